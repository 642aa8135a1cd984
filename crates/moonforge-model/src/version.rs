//! A remote document's version: its content, and what the protocol keeps beside it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::path::FieldPath;
use crate::schema::RESERVED_FIELDS;
use crate::time::Timestamp;
use crate::value::Fields;

/// The key in `edited` that a creation writes, and that stands above all paths.
pub const EDITED_ALL: &str = "*";

/// A tombstone's mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    /// When a person deleted it.
    pub at: Timestamp,
    /// Which delete made it; all tombstones of one cascade share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_id: Option<String>,
    /// When an operator's TTL policy may remove it for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purge_at: Option<Timestamp>,
}

impl Deletion {
    /// Whether the delete `delete_id` made it. A tombstone of another client may lack an id: it answers to the empty one.
    pub fn is_of(&self, delete_id: &str) -> bool {
        self.id() == delete_id
    }

    /// Which delete made it, or the empty text.
    pub fn id(&self) -> &str {
        self.delete_id.as_deref().unwrap_or_default()
    }
}

/// The newest row of one copy of a database file that is in a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriterMark {
    /// The row's number in its incarnation.
    pub n: u64,
    /// The row's random id.
    pub op: String,
}

/// Per user, per incarnation: what of theirs is in a document.
pub type Writers = BTreeMap<String, BTreeMap<String, WriterMark>>;

/// What the protocol keeps of a version beside the model's fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// Orders versions; never `rev`.
    pub update_time: Timestamp,
    /// Rises by one a write; absent in collections without, and where another client left it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<i64>,
    /// REQUEST_TIME of the last write; absent where another client left it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
    /// Set on a tombstone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Deletion>,
    /// When a person edited which path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub edited: BTreeMap<String, Timestamp>,
    /// What of whom is in it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub writers: Writers,
}

/// A remote document's content with its `updateTime`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// The model's fields, without `id` and the reserved ones.
    pub fields: Fields,
    /// What the protocol keeps.
    pub envelope: Envelope,
}

/// A remote document whose protocol fields can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the field `{field}` is not {expected}")]
pub struct UnreadableVersion {
    /// Which field.
    pub field: String,
    /// What it should be.
    pub expected: &'static str,
}

impl Version {
    /// Takes a remote document's fields apart. Single entries of `edited` and `writers` that make no sense are passed over;
    /// anything else of a wrong type makes the document unreadable.
    pub fn decode(mut fields: Fields, update_time: Timestamp) -> Result<Self, UnreadableVersion> {
        let rev = match fields.remove("rev") {
            None | Some(Value::Null) => None,
            Some(value) => Some(value.as_i64().ok_or_else(|| wrong("rev", "an integer"))?),
        };
        let updated_at = take_time(&mut fields, "updatedAt")?;
        let deleted_at = take_time(&mut fields, "deletedAt")?;
        let delete_id = match fields.remove("deleteId") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) => Some(id),
            Some(_) => return Err(wrong("deleteId", "a text")),
        };
        let purge_at = fields.remove("purgeAt").as_ref().and_then(tagged_time);
        let edited = match fields.remove("edited") {
            Some(Value::Object(map)) => map
                .iter()
                .filter_map(|(k, v)| Some((k.clone(), tagged_time(v)?)))
                .collect(),
            None | Some(Value::Null) => BTreeMap::new(),
            Some(_) => return Err(wrong("edited", "a map")),
        };
        let writers = match fields.remove("writers") {
            Some(Value::Object(map)) => map
                .iter()
                .filter_map(|(uid, copies)| {
                    let copies = copies.as_object()?;
                    let marks = copies.iter().filter_map(|(inc, mark)| {
                        Some((inc.clone(), serde_json::from_value(mark.clone()).ok()?))
                    });
                    Some((uid.clone(), marks.collect()))
                })
                .collect(),
            None | Some(Value::Null) => Writers::new(),
            Some(_) => return Err(wrong("writers", "a map")),
        };
        fields.remove("id");
        let deleted = deleted_at.map(|at| Deletion {
            at,
            delete_id,
            purge_at,
        });
        let envelope = Envelope {
            update_time,
            rev,
            updated_at,
            deleted,
            edited,
            writers,
        };
        Ok(Self { fields, envelope })
    }

    /// The mark of `incarnation` under `uid`.
    pub fn writer(&self, uid: &str, incarnation: &str) -> Option<&WriterMark> {
        self.envelope.writers.get(uid)?.get(incarnation)
    }
}

impl Envelope {
    /// The newest entry of `edited` for `path` itself and what is above it.
    pub fn edited_above(&self, path: &FieldPath) -> Option<Timestamp> {
        let own = std::iter::successors(Some(path.clone()), FieldPath::parent)
            .filter_map(|p| self.edited.get(&p.to_string()));
        own.chain(self.edited.get(EDITED_ALL)).max().copied()
    }

    /// The entries of `edited` strictly below `path`.
    pub fn edited_below<'a>(
        &'a self,
        path: &'a FieldPath,
    ) -> impl Iterator<Item = (FieldPath, Timestamp)> + 'a {
        self.edited.iter().filter_map(move |(key, at)| {
            let below: FieldPath = key.parse().ok()?;
            // A key in another spelling isn't one that any client of ours writes, and gets past the rules.
            let counts = path.covers(&below) && below != *path && below.to_string() == *key;
            counts.then_some((below, *at))
        })
    }
}

fn wrong(field: &str, expected: &'static str) -> UnreadableVersion {
    UnreadableVersion {
        field: field.to_owned(),
        expected,
    }
}

fn take_time(fields: &mut Fields, name: &str) -> Result<Option<Timestamp>, UnreadableVersion> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => text
            .parse()
            .map(Some)
            .map_err(|_| wrong(name, "a timestamp")),
        Some(_) => Err(wrong(name, "a timestamp")),
    }
}

/// A time in the tagged form that values below the top have: `{"$timestamp": "…"}`.
pub fn time_value(at: Timestamp) -> Value {
    json!({ "$timestamp": at.to_string() })
}

fn tagged_time(value: &Value) -> Option<Timestamp> {
    value.as_object()?.get("$timestamp")?.as_str()?.parse().ok()
}

/// Takes the protocol's fields and `id` out of what a person gave: `put` and `import` ignore them.
pub fn without_reserved(mut fields: Fields) -> Fields {
    for name in RESERVED_FIELDS {
        fields.remove(name);
    }
    fields.remove("id");
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rules tell by an entry's text what it is about: one in another spelling gets past them.
    #[test]
    fn an_entry_of_edited_counts_in_its_one_spelling_only() {
        let at = json!({ "$timestamp": "2026-01-01T00:00:00Z" });
        let keys = [
            "roles.anna.x",
            "roles.`anna`.y",
            r"`r\oles`.anna.z",
            "roles.anna.`a.b`",
        ];
        let edited: Fields = keys
            .map(|key| (key.to_owned(), at.clone()))
            .into_iter()
            .collect();
        let fields = Fields::from_iter([("edited".to_owned(), Value::Object(edited))]);
        let version = Version::decode(fields, Timestamp::EPOCH).expect("a sound version");
        let path = "roles.anna".parse().expect("a path");
        let below: Vec<String> = version
            .envelope
            .edited_below(&path)
            .map(|(path, _)| path.to_string())
            .collect();
        assert_eq!(below, ["roles.anna.`a.b`", "roles.anna.x"]);
    }
}
