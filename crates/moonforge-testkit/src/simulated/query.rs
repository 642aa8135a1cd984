//! Queries over the simulated database.

use moonforge_model::{Fields, Timestamp, set_at, value_at};
use moonforge_ports::{
    Aggregate, Filter, RemoteDocument, RemoteError, RemoteErrorKind, RemoteQuery,
};
use serde_json::Value;

use super::database::{Database, error};
use super::rules;

impl Database {
    /// The documents that a query matches, in its order, and the time at which this was true.
    pub fn query(
        &mut self,
        uid: Option<&str>,
        query: &RemoteQuery,
        now: Timestamp,
    ) -> Result<(Vec<RemoteDocument>, Timestamp), RemoteError> {
        let mut rows = self.matching(uid, query)?;
        match (&query.after, query.is_by_updated_at()) {
            (None, _) => {}
            (Some((Some(at), id)), true) => {
                rows.retain(|(t, d)| (*t, d.doc.id.as_str()) > (Some(*at), id.as_str()));
            }
            (Some((None, id)), false) => rows.retain(|(_, d)| d.doc.id.as_str() > id.as_str()),
            (Some(_), _) => {
                let message = "the cursor has another number of values than the order";
                return Err(error(RemoteErrorKind::InvalidArgument, message));
            }
        }
        let limit = query.limit.map_or(usize::MAX, |n| n as usize);
        let documents = rows
            .into_iter()
            .take(limit)
            .map(|(_, document)| RemoteDocument {
                fields: match &query.select {
                    None => document.fields.clone(),
                    Some(paths) => paths.iter().fold(Fields::new(), |mut selected, path| {
                        if let Some(value) = value_at(&document.fields, path) {
                            set_at(&mut selected, path, value.clone());
                        }
                        selected
                    }),
                },
                ..document.clone()
            })
            .collect();
        Ok((documents, self.read_time(now)))
    }

    /// COUNT and SUM(rev) of a query.
    pub fn aggregate(
        &mut self,
        uid: Option<&str>,
        query: &RemoteQuery,
        now: Timestamp,
    ) -> Result<Aggregate, RemoteError> {
        let rows = self.matching(uid, query)?;
        let sum_rev = rows
            .iter()
            .filter_map(|(_, d)| d.fields.get("rev")?.as_i64())
            .fold(0, i64::wrapping_add);
        let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        Ok(Aggregate {
            count,
            sum_rev,
            read_time: self.read_time(now),
        })
    }

    /// What the filters and the span match, sorted, each with its `updatedAt` where the order has it.
    fn matching(
        &self,
        uid: Option<&str>,
        query: &RemoteQuery,
    ) -> Result<Vec<(Option<Timestamp>, &RemoteDocument)>, RemoteError> {
        for filter in &query.filters {
            if let Filter::In(path, values) = filter
                && !(1..=30).contains(&values.len())
            {
                let message = format!("IN on `{path}` has {} values", values.len());
                return Err(error(RemoteErrorKind::InvalidArgument, message));
            }
        }
        if let Some(uid) = uid {
            rules::check_list(self, uid, query)?;
        }
        let by_time = query.is_by_updated_at();
        let mut rows: Vec<_> = self
            .documents
            .values()
            .filter(|d| d.doc.collection == query.collection)
            .filter(|d| query.filters.iter().all(|f| holds(f, &d.fields)))
            .map(|d| (if by_time { updated_at(&d.fields) } else { None }, d))
            .filter(|(at, _)| !by_time || in_span(*at, query))
            .collect();
        // Names are compared by their bytes, which is what `str` does; the map has them in that order already.
        rows.sort_by_key(|(at, _)| *at);
        Ok(rows)
    }
}

fn updated_at(fields: &Fields) -> Option<Timestamp> {
    fields.get("updatedAt")?.as_str()?.parse().ok()
}

fn in_span(at: Option<Timestamp>, query: &RemoteQuery) -> bool {
    at.is_some_and(|at| {
        query.since.is_none_or(|since| at >= since) && query.until.is_none_or(|until| at <= until)
    })
}

fn holds(filter: &Filter, fields: &Fields) -> bool {
    let text = |path| value_at(fields, path).and_then(Value::as_str);
    match filter {
        Filter::Equals(path, value) => text(path) == Some(value),
        Filter::In(path, values) => text(path).is_some_and(|t| values.iter().any(|v| v == t)),
        Filter::Contains(path, value) => value_at(fields, path)
            .and_then(Value::as_array)
            .is_some_and(|items| items.iter().any(|item| item.as_str() == Some(value))),
    }
}
