//! Requests in Firestore's shapes.

use std::collections::HashSet;

use moonforge_model::{DocRef, FieldPath, Timestamp};
use moonforge_ports::{
    Filter, Precondition, RemoteError, RemoteErrorKind as Kind, RemoteQuery, RemoteWrite,
};
use serde_json::{Value, json};

use crate::codec::{self, CodecError};
use crate::wire::Names;

/// The body of `commit`. Refused here: no writes, two writes of one document, paths that conflict, values that Firestore can't hold.
pub(crate) fn commit(names: &Names, writes: &[RemoteWrite]) -> Result<Value, RemoteError> {
    if writes.is_empty() {
        return Err(invalid("a commit without writes"));
    }
    let mut seen = HashSet::new();
    let writes = writes.iter().map(|write| {
        if !seen.insert(&write.doc) {
            return Err(invalid(format!(
                "{} is written twice in one commit",
                write.doc
            )));
        }
        if let Some(conflict) = write.conflicting_paths() {
            return Err(invalid(format!("{}: {conflict}", write.doc)));
        }
        one_write(names, write)
            .map_err(|error| invalid(format!("{}: {error}", write.doc)).with_source(error))
    });
    Ok(json!({ "writes": writes.collect::<Result<Vec<_>, _>>()? }))
}

fn one_write(names: &Names, write: &RemoteWrite) -> Result<Value, CodecError> {
    let fields = match &write.mask {
        None => codec::encode_fields(&write.fields)?,
        Some(mask) => codec::encode_masked(&write.fields, mask)?,
    };
    let mut body = json!({ "update": { "name": names.of(&write.doc), "fields": fields } });
    if let Some(mask) = &write.mask {
        body["updateMask"] = json!({ "fieldPaths": paths(mask)? });
    }
    if !write.server_time.is_empty() {
        let transforms = paths(&write.server_time)?
            .into_iter()
            .map(|path| json!({ "fieldPath": path, "setToServerValue": "REQUEST_TIME" }));
        body["updateTransforms"] = transforms.collect();
    }
    match write.precondition {
        Precondition::None => {}
        Precondition::MustNotExist => body["currentDocument"] = json!({ "exists": false }),
        Precondition::MustExist => body["currentDocument"] = json!({ "exists": true }),
        Precondition::UpdateTime(at) => body["currentDocument"] = json!({ "updateTime": at }),
    }
    Ok(body)
}

fn paths(paths: &[FieldPath]) -> Result<Vec<String>, CodecError> {
    paths.iter().map(codec::encode_path).collect()
}

/// The body of `batchGet`.
pub(crate) fn batch_get(names: &Names, docs: &[DocRef]) -> Result<Value, RemoteError> {
    if docs.is_empty() {
        return Err(invalid("a batch of no documents"));
    }
    Ok(json!({ "documents": docs.iter().map(|doc| names.of(doc)).collect::<Vec<_>>() }))
}

/// The body of `runQuery`.
pub(crate) fn run_query(names: &Names, query: &RemoteQuery) -> Result<Value, RemoteError> {
    let mut body = selection(query)?;
    let by_time = query.is_by_updated_at();
    let order = |path: &str| json!({ "field": { "fieldPath": path }, "direction": "ASCENDING" });
    body["orderBy"] = match by_time {
        true => json!([order("updatedAt"), order("__name__")]),
        false => json!([order("__name__")]),
    };
    if let Some((at, id)) = &query.after {
        let name = json!({ "referenceValue": names.join(query.collection.as_str(), id) });
        let values = match at {
            Some(at) => json!([time(*at), name]),
            None => json!([name]),
        };
        body["startAt"] = json!({ "values": values, "before": false });
    }
    if let Some(select) = &query.select {
        let mut fields = paths(select).map_err(|error| invalid(error.to_string()))?;
        if fields.is_empty() {
            fields.push("__name__".to_owned());
        }
        let fields: Vec<_> = fields
            .into_iter()
            .map(|path| json!({ "fieldPath": path }))
            .collect();
        body["select"] = json!({ "fields": fields });
    }
    if let Some(limit) = query.limit {
        body["limit"] = json!(limit);
    }
    Ok(json!({ "structuredQuery": body }))
}

/// What the one figure in an aggregation's answer is called.
pub(crate) const FIGURE: &str = "figure";

/// The body of `runAggregationQuery` that counts.
pub(crate) fn count(query: &RemoteQuery) -> Result<Value, RemoteError> {
    aggregation(query, json!({ "alias": FIGURE, "count": {} }))
}

/// The body of `runAggregationQuery` that sums `rev`.
pub(crate) fn sum_of_rev(query: &RemoteQuery) -> Result<Value, RemoteError> {
    aggregation(
        query,
        json!({ "alias": FIGURE, "sum": { "field": { "fieldPath": "rev" } } }),
    )
}

fn aggregation(query: &RemoteQuery, aggregation: Value) -> Result<Value, RemoteError> {
    Ok(json!({ "structuredAggregationQuery": {
        "structuredQuery": selection(query)?,
        "aggregations": [aggregation],
    } }))
}

/// From which collection, and which of its documents.
fn selection(query: &RemoteQuery) -> Result<Value, RemoteError> {
    if let Some(contradiction) = query.contradiction() {
        return Err(invalid(contradiction));
    }
    let mut filters = Vec::new();
    for filter in &query.filters {
        let text = |text: &String| json!({ "stringValue": text });
        let (path, op, value) = match filter {
            Filter::Equals(path, value) => (path, "EQUAL", text(value)),
            Filter::Contains(path, value) => (path, "ARRAY_CONTAINS", text(value)),
            Filter::In(path, values) => {
                let values: Vec<_> = values.iter().map(text).collect();
                (path, "IN", json!({ "arrayValue": { "values": values } }))
            }
        };
        let path = codec::encode_path(path).map_err(|error| invalid(error.to_string()))?;
        filters.push(condition(&path, op, value));
    }
    // A range takes only values of its own type: texts in `updatedAt`, which sort after all times, stay out.
    filters.extend(
        query
            .since
            .map(|at| condition("updatedAt", "GREATER_THAN_OR_EQUAL", time(at))),
    );
    filters.extend(
        query
            .until
            .map(|at| condition("updatedAt", "LESS_THAN_OR_EQUAL", time(at))),
    );
    let mut body = json!({ "from": [{ "collectionId": query.collection }] });
    match filters.len() {
        0 => {}
        1 => body["where"] = filters.remove(0),
        _ => body["where"] = json!({ "compositeFilter": { "op": "AND", "filters": filters } }),
    }
    Ok(body)
}

fn condition(path: &str, op: &str, value: Value) -> Value {
    json!({ "fieldFilter": { "field": { "fieldPath": path }, "op": op, "value": value } })
}

fn time(at: Timestamp) -> Value {
    json!({ "timestampValue": at })
}

fn invalid(message: impl Into<String>) -> RemoteError {
    RemoteError::new(Kind::InvalidArgument, message)
}
