//! What can be stored: names, types, depth and size, checked before anything is written.

use serde_json::Value;

use crate::path::{FieldPath, InvalidPath, MAX_DEPTH, check_field_name};
use crate::schema::{CollectionConfig, FieldKind};
use crate::time::Timestamp;
use crate::value::Fields;

/// Firestore's limit for a document, less room for what the protocol keeps beside the model's fields.
pub const MAX_DOCUMENT_BYTES: usize = 1_048_576 - 16 * 1024;

/// Why a document can't be stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValidationError {
    /// A required field is absent.
    #[error("the field `{0}` is required")]
    MissingField(String),
    /// A field holds another type than its model says.
    #[error("the field `{path}` should be {expected}")]
    WrongType {
        /// Which field.
        path: FieldPath,
        /// What it should be, with its article.
        expected: &'static str,
    },
    /// A field's name can't be one.
    #[error(transparent)]
    Name(#[from] InvalidPath),
    /// Maps and lists nest deeper than Firestore takes.
    #[error("the field `{0}` is nested more than {MAX_DEPTH} levels deep")]
    TooDeep(String),
    /// The document is larger than Firestore takes.
    #[error("the document has about {0} bytes; it can have at most {MAX_DOCUMENT_BYTES}")]
    TooLarge(usize),
    /// An integer that doesn't fit in 64 bits.
    #[error("the number in `{0}` doesn't fit in 64 bits")]
    NumberOutOfRange(String),
    /// A tagged value, such as `{"$timestamp": …}`, whose content is not what its tag says.
    #[error("the value in `{0}` is not what its `$` tag says")]
    InvalidValue(String),
}

impl ValidationError {
    /// A stable code for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::MissingField(_) => "missing_field",
            Self::WrongType { .. } => "wrong_type",
            Self::Name(_) => "invalid_field_name",
            Self::TooDeep(_) => "too_deep",
            Self::TooLarge(_) => "too_large",
            Self::NumberOutOfRange(_) => "number_out_of_range",
            Self::InvalidValue(_) => "invalid_value",
        }
    }
}

/// Checks a document that is to be written here.
pub fn validate(config: &CollectionConfig, fields: &Fields) -> Result<(), ValidationError> {
    for field in config.fields.iter().filter(|f| f.required) {
        if matches!(fields.get(&field.name), None | Some(Value::Null)) {
            return Err(ValidationError::MissingField(field.name.clone()));
        }
    }
    for (name, value) in fields {
        if let FieldKind::OneOf(texts) = config.kind_of(name)
            && let Some(text) = value.as_str()
            && !texts.contains(&text)
        {
            let path = FieldPath::field(name);
            return Err(ValidationError::WrongType {
                path,
                expected: "`gm` or `players`",
            });
        }
        check_field_name(name)?;
        check_value(name, value, 1)?;
    }
    check_types(config, fields)?;
    let bytes = fields
        .iter()
        .map(|(name, value)| name.len() + 1 + size(value))
        .sum();
    if bytes > MAX_DOCUMENT_BYTES {
        return Err(ValidationError::TooLarge(bytes));
    }
    Ok(())
}

/// Checks the types of known fields, also of a document that came from the remote. Null stands for absence.
pub fn check_types(config: &CollectionConfig, fields: &Fields) -> Result<(), ValidationError> {
    for field in &config.fields {
        let Some(value) = fields.get(&field.name).filter(|v| !v.is_null()) else {
            continue;
        };
        if let Some(expected) = expected(field.kind, value) {
            let path = FieldPath::field(&field.name);
            return Err(ValidationError::WrongType { path, expected });
        }
    }
    Ok(())
}

/// What the value should be, where it is not.
fn expected(kind: FieldKind, value: &Value) -> Option<&'static str> {
    let (fits, expected) = match kind {
        FieldKind::String | FieldKind::Text | FieldKind::OneOf(_) => (value.is_string(), "a text"),
        FieldKind::Integer => (value.is_i64(), "an integer"),
        FieldKind::Number => (value.is_number(), "a number"),
        FieldKind::Bool => (value.is_boolean(), "true or false"),
        FieldKind::Timestamp => {
            let time = value
                .as_str()
                .is_some_and(|t| t.parse::<Timestamp>().is_ok());
            (time, "a time such as 2026-11-21T18:30:00Z")
        }
        FieldKind::StringList => {
            let texts = value
                .as_array()
                .is_some_and(|l| l.iter().all(Value::is_string));
            (texts, "a list of texts")
        }
        FieldKind::List => (value.is_array(), "a list"),
        FieldKind::Map => (value.is_object(), "an object"),
        FieldKind::KeyedMap => {
            let maps = value
                .as_object()
                .is_some_and(|m| m.values().all(Value::is_object));
            (maps, "an object of objects")
        }
        FieldKind::Any => (true, ""),
    };
    (!fits).then_some(expected)
}

fn check_value(root: &str, value: &Value, depth: usize) -> Result<(), ValidationError> {
    match value {
        Value::Object(_) | Value::Array(_) if depth >= MAX_DEPTH => {
            Err(ValidationError::TooDeep(root.to_owned()))
        }
        Value::Object(map) => map.iter().try_for_each(|(name, value)| {
            check_field_name(name)?;
            check_value(root, value, depth + 1)
        }),
        Value::Array(items) => items
            .iter()
            .try_for_each(|v| check_value(root, v, depth + 1)),
        Value::Number(n) if n.is_u64() && !n.is_i64() => {
            Err(ValidationError::NumberOutOfRange(root.to_owned()))
        }
        _ => Ok(()),
    }
}

/// Firestore's rules for the size of a value, in bytes.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 1,
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(map) => map.iter().map(|(name, v)| name.len() + 1 + size(v)).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;
    use serde_json::json;

    fn code(collection: &str, document: Value) -> Option<&'static str> {
        let registry = Registry::builtin();
        let fields = document.as_object().unwrap();
        validate(registry.get(collection).unwrap(), fields)
            .err()
            .map(|e| e.code())
    }

    #[test]
    fn what_a_model_asks_for_is_enough() {
        assert_eq!(code("campaigns", json!({"name": "The Ember Keep"})), None);
        let scene = json!({"campaignId": "c", "title": "Ash", "summary": null, "odd": [[1], [2]]});
        assert_eq!(code("scenes", scene), None);
    }

    #[test]
    fn each_fault_has_its_code() {
        let nested = (0..25).fold(json!(1), |v, _| json!({ "a": v }));
        for (fault, document) in [
            ("missing_field", json!({})),
            ("missing_field", json!({"name": null})),
            ("wrong_type", json!({"name": 7})),
            ("wrong_type", json!({"name": "x", "memberUids": ["a", 1]})),
            ("wrong_type", json!({"name": "x", "createdAt": "yesterday"})),
            ("invalid_field_name", json!({"name": "x", "": 1})),
            (
                "invalid_field_name",
                json!({"name": "x", "roles": {"__x__": 1}}),
            ),
            ("too_deep", json!({"name": "x", "props": nested})),
            ("number_out_of_range", json!({"name": "x", "n": u64::MAX})),
            (
                "too_large",
                json!({"name": "x", "content": "y".repeat(1_100_000)}),
            ),
        ] {
            assert_eq!(code("campaigns", document), Some(fault));
        }
    }

    #[test]
    fn visibility_is_one_of_two_words() {
        let scene = json!({"campaignId": "c", "title": "Ash", "visibility": "public"});
        assert_eq!(code("scenes", scene), Some("wrong_type"));
    }

    #[test]
    fn a_kind_from_a_newer_version_passes() {
        let entity = json!({"campaignId": "c", "name": "x", "kind": "spaceship"});
        assert_eq!(code("entities", entity), None);
    }
}
