//! What Firestore refuses in a document: shared by the remotes that stand in for it.

use moonforge_model::{DocRef, FieldPath, Fields, MAX_DEPTH, is_raw};
use serde_json::Value;

use crate::error::{RemoteError, RemoteErrorKind};

/// Largest document that Firestore takes, in bytes by its own measure.
pub const MAX_DOCUMENT_BYTES: usize = 1 << 20;

/// A document's size by Firestore's rules: name, field names and values, and 32 bytes.
pub fn document_size(doc: &DocRef, fields: &Fields) -> usize {
    let name = doc.collection.as_str().len() + doc.id.as_str().len() + 2 + 16;
    name + members_size(fields) + 32
}

fn members_size(fields: &Fields) -> usize {
    fields
        .iter()
        .map(|(name, value)| name.len() + 1 + value_size(value))
        .sum()
}

fn value_size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 1,
        Value::Array(items) => items.iter().map(value_size).sum(),
        Value::Object(map) => members_size(map),
    }
}

/// Refuses what no Firestore would store: a reserved or empty field name, more than 20 levels
/// ([`RemoteErrorKind::InvalidArgument`]), more than 1 MiB ([`RemoteErrorKind::TooLarge`]).
pub fn check_document(doc: &DocRef, fields: &Fields) -> Result<(), RemoteError> {
    check_members(doc, fields, 0)?;
    let size = document_size(doc, fields);
    if size > MAX_DOCUMENT_BYTES {
        let message = format!("{doc} has {size} bytes; a document can have {MAX_DOCUMENT_BYTES}");
        return Err(RemoteError::new(RemoteErrorKind::TooLarge, message));
    }
    Ok(())
}

fn check_members(doc: &DocRef, fields: &Fields, depth: usize) -> Result<(), RemoteError> {
    fields.iter().try_for_each(|(name, value)| {
        FieldPath::new([name.as_str()]).map_err(|error| {
            let message = format!("{doc}: field name `{name}`: {error}");
            RemoteError::new(RemoteErrorKind::InvalidArgument, message)
        })?;
        check_value(doc, value, depth)
    })
}

fn check_value(doc: &DocRef, value: &Value, depth: usize) -> Result<(), RemoteError> {
    if depth > MAX_DEPTH {
        let message = format!("{doc} is nested more than {MAX_DEPTH} levels deep");
        return Err(RemoteError::new(RemoteErrorKind::InvalidArgument, message));
    }
    match value {
        Value::Array(items) => items
            .iter()
            .try_for_each(|v| check_value(doc, v, depth + 1)),
        Value::Object(map) if is_raw(map) => Ok(()),
        Value::Object(map) => check_members(doc, map, depth + 1),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(fields: Value) -> Result<(), RemoteErrorKind> {
        let doc = DocRef::parse("scenes", "s").unwrap();
        check_document(&doc, fields.as_object().unwrap()).map_err(|e| e.kind)
    }

    #[test]
    fn refuses_what_firestore_would() {
        assert_eq!(check(json!({"text": "x".repeat(1_000_000)})), Ok(()));
        assert_eq!(
            check(json!({"text": "x".repeat(1 << 20)})),
            Err(RemoteErrorKind::TooLarge)
        );
        assert_eq!(
            check(json!({"a": {"": 1}})),
            Err(RemoteErrorKind::InvalidArgument)
        );
        assert_eq!(
            check(json!({"__a__": 1})),
            Err(RemoteErrorKind::InvalidArgument)
        );
        let vector = json!({"mapValue": {"fields": {"__type__": {"stringValue": "__vector__"}}}});
        assert_eq!(check(json!({"v": [{"$wire": vector}]})), Ok(()));
        assert_eq!(
            check(json!({"v": vector})),
            Err(RemoteErrorKind::InvalidArgument)
        );
        let nested = |levels| (0..levels).fold(json!(1), |inner, _| json!({ "a": inner }));
        assert_eq!(check(nested(MAX_DEPTH + 1)), Ok(()));
        assert_eq!(
            check(nested(MAX_DEPTH + 2)),
            Err(RemoteErrorKind::InvalidArgument)
        );
    }
}
