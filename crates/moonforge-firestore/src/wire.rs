//! Firestore's own shapes: names, documents, answers.

use moonforge_model::{DocRef, Fields, Timestamp};
use moonforge_ports::{RemoteDocument, RemoteError, RemoteErrorKind as Kind};
use serde::Deserialize;
use serde_json::Value;

use crate::codec;
use crate::failure::ErrorBody;

/// The resource names of one database's documents.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// `projects/P/databases/D/documents/`
    prefix: String,
}

impl Names {
    pub(crate) fn new(project: &str, database: &str) -> Self {
        Self {
            prefix: format!("projects/{project}/databases/{database}/documents/"),
        }
    }

    /// A document's name. In JSON names stand as they are, unlike in a URL.
    pub(crate) fn of(&self, doc: &DocRef) -> String {
        self.join(doc.collection.as_str(), doc.id.as_str())
    }

    pub(crate) fn join(&self, collection: &str, id: &str) -> String {
        format!("{}{collection}/{id}", self.prefix)
    }

    /// The document that a name names; `None` for one that can't be held here: in a subcollection, or with control
    /// characters in its id. What is no document of this database has no place in an answer.
    pub(crate) fn parse(&self, name: &str) -> Result<Option<DocRef>, RemoteError> {
        let inside = name.strip_prefix(&self.prefix);
        let Some((collection, id)) = inside.and_then(|path| path.split_once('/')) else {
            let message = format!("the answer holds `{name}`, which isn't in {}", self.prefix);
            return Err(RemoteError::new(Kind::NoAnswer, message));
        };
        Ok(DocRef::parse(collection, id).ok())
    }
}

/// A document in an answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Document {
    pub(crate) name: String,
    #[serde(default)]
    fields: Fields,
    update_time: Timestamp,
}

impl Document {
    /// The document in the port's form, if its name can be held here.
    pub(crate) fn into_remote(self, names: &Names) -> Result<Option<RemoteDocument>, RemoteError> {
        let Some(doc) = names.parse(&self.name)? else {
            return Ok(None);
        };
        let fields = codec::decode_fields(self.fields);
        Ok(Some(RemoteDocument {
            doc,
            fields,
            update_time: self.update_time,
        }))
    }
}

/// One element of what `batchGet`, `runQuery` and `runAggregationQuery` stream.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Element {
    pub(crate) error: Option<ErrorBody>,
    pub(crate) read_time: Option<Timestamp>,
    /// `runQuery`
    pub(crate) document: Option<Document>,
    /// `batchGet`
    pub(crate) found: Option<Document>,
    /// `batchGet`
    pub(crate) missing: Option<String>,
    /// `runAggregationQuery`
    pub(crate) result: Option<AggregationResult>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AggregationResult {
    pub(crate) aggregate_fields: Fields,
}

impl AggregationResult {
    /// An aggregate as an integer. A sum becomes a double where a document's field holds one, or it leaves 64 bits.
    pub(crate) fn integer(&self, alias: &str) -> Option<i64> {
        let value = self.aggregate_fields.get(alias)?;
        match value.get("integerValue") {
            Some(Value::String(text)) => text.parse().ok(),
            Some(other) => other.as_i64(),
            None => value.get("doubleValue")?.as_f64().map(|sum| sum as i64),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CommitResponse {
    #[serde(default)]
    pub(crate) write_results: Vec<WriteResult>,
    pub(crate) commit_time: Timestamp,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WriteResult {
    pub(crate) update_time: Timestamp,
    #[serde(default)]
    pub(crate) transform_results: Vec<TransformResult>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TransformResult {
    pub(crate) timestamp_value: Timestamp,
}
