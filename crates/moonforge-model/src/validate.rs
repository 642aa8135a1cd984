//! What can be stored: names, types, depth and size, checked before anything is written.

use std::fmt;

use serde_json::Value;

use crate::id::DocId;
use crate::patch::is_raw;
use crate::path::{FieldPath, InvalidPath, MAX_DEPTH, check_field_name};
use crate::schema::{CollectionConfig, Field, FieldKind, TIMESTAMP_FIELDS};
use crate::time::Timestamp;
use crate::value::Fields;

/// Largest size of a document's own fields, in bytes by Firestore's measure: its limit of 1 MiB, less room for the
/// document's name and for what the protocol keeps beside the model's fields.
pub const MAX_DOCUMENT_BYTES: usize = 1_048_576 - 16 * 1024;

/// Why a document can't be stored. Prints as a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValidationError {
    /// A required field is absent or null.
    #[error("the field `{0}` is required")]
    MissingField(String),
    /// A field holds another type than its model says.
    #[error("the field `{path}` should be {expected}")]
    WrongType {
        /// Which field, down to the member or item: `images[2].assetId`.
        path: String,
        /// What it should be, with its article.
        expected: &'static str,
    },
    /// A field's name can't be one.
    #[error("`{path}`: {source}")]
    Name {
        /// Where the name stands, the name included.
        path: String,
        /// What is wrong with it.
        #[source]
        source: InvalidPath,
    },
    /// Maps and lists nest deeper than Firestore takes.
    #[error("the field `{0}` is nested more than {MAX_DEPTH} levels deep")]
    TooDeep(String),
    /// The document is larger than Firestore takes.
    #[error("the document has about {0} bytes; it can have at most {MAX_DOCUMENT_BYTES}")]
    TooLarge(usize),
    /// An integer that doesn't fit in 64 bits.
    #[error("the number in `{0}` doesn't fit in 64 bits")]
    NumberOutOfRange(String),
    /// A text where only certain texts can stand: a time, a visibility.
    #[error("the field `{path}` should be {expected}")]
    InvalidValue {
        /// Which field.
        path: String,
        /// What it should be.
        expected: String,
    },
}

impl ValidationError {
    /// A stable code for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::MissingField(_) => "missing_field",
            Self::WrongType { .. } => "wrong_type",
            Self::Name { .. } => "invalid_name",
            Self::TooDeep(_) => "too_deep",
            Self::TooLarge(_) => "too_large",
            Self::NumberOutOfRange(_) => "number_out_of_range",
            Self::InvalidValue { .. } => "invalid_value",
        }
    }
}

/// Checks a document that is to be written here: what [`check_types`] checks, and that required fields are there, that
/// names, depth, numbers and size are such as Firestore takes.
///
/// Depth is counted as it travels: a field at the top is at level 1, each map and list adds one, a list inside a list two.
/// Size follows Firestore's rules for names and values. It comes out a little high, as times and bytes are counted as
/// text: what passes here is never too large there.
pub fn validate(config: &CollectionConfig, fields: &Fields) -> Result<(), ValidationError> {
    check(config, None, fields)
}

/// Checks what an edit made of a document, as [`validate`] does, but only where `after` differs from `before`: an edit
/// doesn't answer for what a newer version, another client or an older model left there. A document that is too large may
/// change as long as it doesn't grow.
pub fn validate_edit(
    config: &CollectionConfig,
    before: &Fields,
    after: &Fields,
) -> Result<(), ValidationError> {
    check(config, Some(before), after)
}

fn check(
    config: &CollectionConfig,
    before: Option<&Fields>,
    fields: &Fields,
) -> Result<(), ValidationError> {
    let required = config.fields.iter().filter(|f| f.required);
    let names = required.map(|f| f.name.as_str());
    let lacks = |fields: &Fields, name| matches!(fields.get(name), None | Some(Value::Null));
    for name in names.chain(config.in_campaign.then_some("campaignId")) {
        if lacks(fields, name) && !before.is_some_and(|b| lacks(b, name)) {
            return Err(ValidationError::MissingField(name.to_owned()));
        }
    }
    check_members(&Place::Top, before, fields, 1)?;
    check_all_types(config, before, fields)?;
    let touched = |name: &str| before.is_none_or(|b| b.get(name) != fields.get(name));
    config
        .fields
        .iter()
        .filter(|f| touched(&f.name))
        .try_for_each(|f| check_choice(f, fields))?;
    if config.in_campaign && touched("campaignId") {
        check_campaign_id(fields)?;
    }
    if config.name.as_str() == "campaigns" {
        check_membership(before, fields, touched)?;
    }
    let bytes = members_size(fields);
    if bytes > MAX_DOCUMENT_BYTES && before.is_none_or(|b| bytes > members_size(b)) {
        return Err(ValidationError::TooLarge(bytes));
    }
    Ok(())
}

/// Checks the types of known fields, also of a document that came from the remote: what passes can be read as its model.
/// Null stands for absence.
pub fn check_types(config: &CollectionConfig, fields: &Fields) -> Result<(), ValidationError> {
    check_all_types(config, None, fields)
}

fn check_all_types(
    config: &CollectionConfig,
    before: Option<&Fields>,
    fields: &Fields,
) -> Result<(), ValidationError> {
    check_known(&Place::Top, &config.fields, before, fields)?;
    // These travel as times whether or not the collection lists them.
    let unlisted = TIMESTAMP_FIELDS
        .into_iter()
        .filter(|name| config.field(name).is_none());
    for name in unlisted {
        let old = before.and_then(|b| b.get(name));
        if let Some(value) = fields.get(name).filter(|v| !v.is_null() && old != Some(*v)) {
            check_kind(&Place::Top.member(name), FieldKind::Timestamp, old, value)?;
        }
    }
    Ok(())
}

/// Where a value stands, as a chain on the stack: a path is only written out for an error.
enum Place<'a> {
    Top,
    Member(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
}

impl<'a> Place<'a> {
    fn member(&'a self, name: &'a str) -> Self {
        Self::Member(self, name)
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top => Ok(()),
            Self::Member(Place::Top, name) => write!(f, "{}", FieldPath::field(name)),
            Self::Member(above, name) => write!(f, "{above}.{}", FieldPath::field(name)),
            Self::Item(above, index) => write!(f, "{above}[{index}]"),
        }
    }
}

fn check_known(
    at: &Place<'_>,
    known: &[Field],
    before: Option<&Fields>,
    fields: &Fields,
) -> Result<(), ValidationError> {
    for field in known {
        let old = before.and_then(|b| b.get(&field.name));
        let value = fields.get(&field.name);
        if let Some(value) = value.filter(|v| !v.is_null() && old != Some(*v)) {
            let at = at.member(&field.name);
            check_kind(&at, field.kind, old, value)?;
            check_inside(&at, field, old, value)?;
        }
    }
    Ok(())
}

/// The known members of a map, a list's items or a keyed map's entries.
fn check_inside(
    at: &Place<'_>,
    field: &Field,
    old: Option<&Value>,
    value: &Value,
) -> Result<(), ValidationError> {
    if field.members.is_empty() {
        return Ok(());
    }
    let check_map = |at: &Place<'_>, old: Option<&Value>, value: &Value| match value {
        Value::Object(map) => check_known(at, &field.members, old.and_then(Value::as_object), map),
        _ => Err(wrong_type(at, "an object")),
    };
    match (field.kind, value) {
        (FieldKind::KeyedMap, Value::Object(entries)) => entries
            .iter()
            .filter(|(key, entry)| member(old, key) != Some(*entry))
            .try_for_each(|(key, entry)| check_map(&at.member(key), member(old, key), entry)),
        (_, Value::Object(_)) => check_map(at, old, value),
        // A list is one value: an edit of it answers for all of its items.
        (_, Value::Array(items)) => items
            .iter()
            .enumerate()
            .try_for_each(|(i, item)| check_map(&Place::Item(at, i), None, item)),
        _ => Ok(()),
    }
}

fn member<'a>(map: Option<&'a Value>, key: &str) -> Option<&'a Value> {
    map?.as_object()?.get(key)
}

fn wrong_type(at: &Place<'_>, expected: &'static str) -> ValidationError {
    ValidationError::WrongType {
        path: at.to_string(),
        expected,
    }
}

fn check_kind(
    at: &Place<'_>,
    kind: FieldKind,
    old: Option<&Value>,
    value: &Value,
) -> Result<(), ValidationError> {
    let (fits, expected) = match kind {
        FieldKind::String | FieldKind::Text => (value.is_string(), "a text"),
        FieldKind::Integer => (value.is_i64(), "an integer"),
        FieldKind::Number => (value.is_number(), "a number"),
        FieldKind::Bool => (value.is_boolean(), "true or false"),
        FieldKind::StringList => match value.as_array() {
            Some(items) => {
                let other = items.iter().position(|item| !item.is_string());
                return other.map_or(Ok(()), |i| Err(wrong_type(&Place::Item(at, i), "a text")));
            }
            None => (false, "a list of texts"),
        },
        FieldKind::List => (value.is_array(), "a list"),
        FieldKind::Map => (value.is_object(), "an object"),
        FieldKind::KeyedMap => match value.as_object() {
            Some(entries) => {
                let other = entries
                    .iter()
                    .find(|(key, entry)| !entry.is_object() && member(old, key) != Some(*entry));
                return other.map_or(Ok(()), |(key, _)| {
                    Err(wrong_type(&at.member(key), "an object"))
                });
            }
            None => (false, "an object of objects"),
        },
        FieldKind::Any => (true, ""),
        FieldKind::Order => (value.is_string() || value.is_number(), "a text or a number"),
        FieldKind::Timestamp => match value.as_str() {
            Some(text) if text.parse::<Timestamp>().is_err() => {
                let expected = "a time such as 2026-11-21T18:30:00Z".to_owned();
                let path = at.to_string();
                return Err(ValidationError::InvalidValue { path, expected });
            }
            text => (text.is_some(), "a text with a time"),
        },
        FieldKind::OneOf(_) => (value.is_string(), "a text"),
    };
    if fits {
        Ok(())
    } else {
        Err(wrong_type(at, expected))
    }
}

/// Only on write: a choice that a newer version knows must not put what comes from it into quarantine.
fn check_choice(field: &Field, fields: &Fields) -> Result<(), ValidationError> {
    let (FieldKind::OneOf(texts), Some(Value::String(text))) =
        (field.kind, fields.get(&field.name))
    else {
        return Ok(());
    };
    if texts.contains(&text.as_str()) {
        return Ok(());
    }
    let texts: Vec<_> = texts.iter().map(|t| format!("`{t}`")).collect();
    Err(invalid(&field.name, texts.join(" or ")))
}

fn invalid(name: &str, expected: impl Into<String>) -> ValidationError {
    ValidationError::InvalidValue {
        path: FieldPath::field(name).to_string(),
        expected: expected.into(),
    }
}

/// The rules look the campaign up by it.
fn check_campaign_id(fields: &Fields) -> Result<(), ValidationError> {
    let id = fields.get("campaignId").and_then(Value::as_str);
    match id.map(DocId::new) {
        Some(Err(error)) => Err(invalid("campaignId", format!("a campaign's id: {error}"))),
        _ => Ok(()),
    }
}

/// What the rules deny whoever writes it.
fn check_membership(
    before: Option<&Fields>,
    fields: &Fields,
    touched: impl Fn(&str) -> bool,
) -> Result<(), ValidationError> {
    for name in ["ownerUid", "memberUids", "roles"] {
        if touched(name) && fields.get(name) == Some(&Value::Null) {
            return Err(invalid(name, "left out rather than null"));
        }
    }
    if !touched("ownerUid") && !touched("memberUids") {
        return Ok(());
    }
    let had = |name| before.is_some_and(|b| b.contains_key(name));
    match (fields.get("ownerUid"), fields.get("memberUids")) {
        (Some(owner), Some(Value::Array(members))) if !members.contains(owner) => {
            let owner = owner.as_str().unwrap_or_default();
            let expected = format!("a list that the owner `{owner}` is in");
            Err(invalid("memberUids", expected))
        }
        // Before the first push both may be missing: they are filled in there.
        (None, _) if had("ownerUid") => Err(invalid("ownerUid", "one of the members")),
        (_, None) if had("memberUids") => Err(invalid("memberUids", "a list of the members")),
        _ => Ok(()),
    }
}

fn check_members(
    at: &Place<'_>,
    before: Option<&Fields>,
    fields: &Fields,
    level: usize,
) -> Result<(), ValidationError> {
    fields.iter().try_for_each(|(name, value)| {
        let old = before.and_then(|b| b.get(name));
        if old == Some(value) {
            return Ok(());
        }
        let at = at.member(name);
        check_field_name(name).map_err(|source| ValidationError::Name {
            path: at.to_string(),
            source,
        })?;
        check_value(&at, old, value, level)
    })
}

fn check_value(
    at: &Place<'_>,
    old: Option<&Value>,
    value: &Value,
    level: usize,
) -> Result<(), ValidationError> {
    if level > MAX_DEPTH {
        return Err(ValidationError::TooDeep(at.to_string()));
    }
    match value {
        // What is no field's value goes as it came, with names and levels of its own.
        Value::Object(map) if is_raw(map) => Ok(()),
        Value::Object(map) => check_members(at, old.and_then(Value::as_object), map, level + 1),
        Value::Array(items) => items.iter().enumerate().try_for_each(|(i, item)| {
            // A list inside a list travels in a map.
            let wrapped = usize::from(item.is_array());
            check_value(&Place::Item(at, i), None, item, level + 1 + wrapped)
        }),
        Value::Number(n) if n.is_u64() && !n.is_i64() => {
            Err(ValidationError::NumberOutOfRange(at.to_string()))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

fn members_size(fields: &Fields) -> usize {
    let dollar = |name: &str| usize::from(name.starts_with('$'));
    fields
        .iter()
        .map(|(name, value)| name.len() + dollar(name) + 1 + value_size(value))
        .sum()
}

fn value_size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 1,
        Value::Array(items) => items
            .iter()
            .map(|item| {
                value_size(item)
                    + if item.is_array() {
                        "$array".len() + 1
                    } else {
                        0
                    }
            })
            .sum(),
        Value::Object(map) => members_size(map),
    }
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
