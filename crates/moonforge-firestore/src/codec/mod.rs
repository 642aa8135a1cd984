//! Values: Moonforge's local JSON form and Firestore's `Value`, there and back.
//!
//! Both directions together lose nothing: any JSON value comes back from the wire as it was, and any Firestore value that
//! was read goes back bit for bit. Three rules make that so.
//!
//! - **Tags.** What JSON lacks is a map with one key, `{"$timestamp": "2026-01-01T00:00:00Z"}`, `{"$bytes": "AAE="}`,
//!   `{"$geo": [52.1, 4.3]}`, `{"$ref": "projects/…/documents/c/d"}`, `{"$double": "NaN"}`, and its text is kept as it came.
//!   A look-alike whose payload can't be that value (`{"$timestamp": 5}`) is a map like any other. A kind of value that
//!   this version doesn't know, or can't read, is kept as `{"$wire": {…}}`. So is a vector, a map that says so under the
//!   name `__type__`, which no field can have.
//! - **Dollars.** A genuine key that begins with `$` has one `$` more on the other side: `$cost`, written by another client,
//!   is `$$cost` here, and `$cost` here is `$$cost` there. (So an odd number of `$` means one more, an even number one
//!   less: the rule is its own inverse, and depends on nothing but the key, so that masks can follow it.) A map that
//!   would then read as a tag gets one more still, see [`keys`].
//! - **Arrays.** Firestore has no array inside an array; there it travels as `{"$array": […]}`.
//!
//! At the top of a document the five [`TIMESTAMP_FIELDS`] are plain RFC 3339 texts here and `timestampValue`s there. A time
//! is sent in the form in which Firestore gives it back, UTC to the microsecond: it takes fewer forms than people write.

mod keys;
mod tags;
#[cfg(test)]
mod tests;

use moonforge_model::{FieldPath, Fields, InvalidPath, TIMESTAMP_FIELDS, Timestamp, value_at};
use serde_json::{Map, Value, json};

use keys::{Place, swap};

/// Why a local value can't be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CodecError {
    /// Firestore's integers have 64 bits with a sign.
    #[error("the integer {0} is larger than 9223372036854775807, the largest that Firestore holds")]
    IntegerTooLarge(u64),
    /// One of the five time fields holds something else.
    #[error("`{0}` must be an RFC 3339 time such as 2026-11-21T18:30:00Z")]
    NotATime(&'static str),
    /// A path that Firestore can't have.
    #[error(transparent)]
    Path(#[from] InvalidPath),
}

/// A document's fields as they go to Firestore.
pub(crate) fn encode_fields(fields: &Fields) -> Result<Fields, CodecError> {
    fields
        .iter()
        .map(|(name, value)| Ok((swap(name), encode_field(name, value)?)))
        .collect()
}

/// Of a document's fields, those that `mask` names. What stands above them is sent as maps, whatever it looks like.
pub(crate) fn encode_masked(fields: &Fields, mask: &[FieldPath]) -> Result<Fields, CodecError> {
    let mut wire = Map::new();
    for path in mask {
        let Some(value) = value_at(fields, path) else {
            continue;
        };
        let value = match path.segments() {
            [name] => encode_field(name, value)?,
            _ => encode(value)?,
        };
        insert(&mut wire, path.segments(), value);
    }
    Ok(wire)
}

fn insert(fields: &mut Fields, path: &[String], value: Value) {
    let Some((name, rest)) = path.split_first() else {
        return;
    };
    if rest.is_empty() {
        fields.insert(swap(name), value);
        return;
    }
    let map = fields
        .entry(swap(name))
        .or_insert_with(|| json!({"mapValue": {"fields": {}}}));
    if let Some(Value::Object(inner)) = map.pointer_mut("/mapValue/fields") {
        insert(inner, rest, value);
    }
}

/// A field path as Firestore is to read it: with its names' dollars turned, quoted where needed.
pub(crate) fn encode_path(path: &FieldPath) -> Result<String, CodecError> {
    Ok(FieldPath::new(path.segments().iter().map(|name| swap(name)))?.to_string())
}

/// A document's fields as they came from Firestore. A time field that isn't a `timestampValue` comes as what it is.
pub(crate) fn decode_fields(wire: Fields) -> Fields {
    wire.into_iter()
        .map(|(key, value)| {
            let name = swap(&key);
            let value = match (time_field(&name), plain_time(&value)) {
                (Some(_), Some(text)) => Value::String(text.to_owned()),
                _ => decode(&value),
            };
            (name, value)
        })
        .collect()
}

fn encode_field(name: &str, value: &Value) -> Result<Value, CodecError> {
    match (time_field(name), value) {
        (None, _) | (_, Value::Null) => encode(value),
        (Some(name), value) => match tags::time(value) {
            Some(at) => Ok(json!({ "timestampValue": at })),
            None => Err(CodecError::NotATime(name)),
        },
    }
}

fn time_field(name: &str) -> Option<&'static str> {
    TIMESTAMP_FIELDS.into_iter().find(|field| *field == name)
}

fn plain_time(wire: &Value) -> Option<&str> {
    let map = wire.as_object().filter(|map| map.len() == 1)?;
    map.get("timestampValue")?
        .as_str()
        .filter(|text| text.parse::<Timestamp>().is_ok())
}

/// A local value as Firestore's `Value`.
fn encode(value: &Value) -> Result<Value, CodecError> {
    encode_at(value, Place::Elsewhere)
}

fn encode_at(value: &Value, place: Place) -> Result<Value, CodecError> {
    Ok(match value {
        Value::Null => json!({ "nullValue": null }),
        Value::Bool(b) => json!({ "booleanValue": b }),
        Value::String(text) => json!({ "stringValue": text }),
        Value::Number(n) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
            (Some(i), _, _) => json!({ "integerValue": i.to_string() }),
            (None, Some(u), _) => return Err(CodecError::IntegerTooLarge(u)),
            // Firestore keeps no negative zero: `+ 0.0` makes it a positive one.
            (None, None, f) => json!({ "doubleValue": f.unwrap_or_default() + 0.0 }),
        },
        Value::Array(items) if place == Place::InArray => map_value(Fields::from_iter([(
            "$array".to_owned(),
            encode_array(items)?,
        )])),
        Value::Array(items) => encode_array(items)?,
        Value::Object(map) => match tags::to_wire(map) {
            Some(wire) => wire,
            None => {
                let name = keys::only_name_to_wire(map, place);
                let fields = map.iter().map(|(key, value)| {
                    Ok((name.clone().unwrap_or_else(|| swap(key)), encode(value)?))
                });
                map_value(fields.collect::<Result<_, CodecError>>()?)
            }
        },
    })
}

fn encode_array(items: &[Value]) -> Result<Value, CodecError> {
    let items: Vec<Value> = items
        .iter()
        .map(|item| encode_at(item, Place::InArray))
        .collect::<Result<_, _>>()?;
    Ok(match items.is_empty() {
        true => json!({ "arrayValue": {} }),
        false => json!({ "arrayValue": { "values": items } }),
    })
}

fn map_value(fields: Fields) -> Value {
    match fields.is_empty() {
        true => json!({ "mapValue": {} }),
        false => json!({ "mapValue": { "fields": fields } }),
    }
}

/// What makes a map on the wire a value of a kind of its own.
const TYPE: &str = "__type__";

/// Firestore's `Value` as a local value.
fn decode(wire: &Value) -> Value {
    decode_at(wire, Place::Elsewhere)
}

fn decode_at(wire: &Value, place: Place) -> Value {
    decode_known(wire, place).unwrap_or_else(|| json!({ "$wire": wire }))
}

/// The local value, where `wire` is of a kind that this version knows and has a sound payload.
fn decode_known(wire: &Value, place: Place) -> Option<Value> {
    let (kind, payload) = only_member(wire.as_object()?)?;
    match kind {
        "nullValue" => Some(Value::Null),
        "booleanValue" => payload.is_boolean().then(|| payload.clone()),
        "stringValue" => payload.is_string().then(|| payload.clone()),
        "integerValue" => match payload {
            Value::String(text) => text.parse::<i64>().ok().map(Value::from),
            other => other.as_i64().map(Value::from),
        },
        "doubleValue" if payload.is_number() => payload.as_f64().map(|f| Value::from(f + 0.0)),
        "arrayValue" => decode_array(payload),
        "mapValue" => decode_map(payload, place),
        _ => tags::from_wire(kind, payload),
    }
}

fn decode_array(payload: &Value) -> Option<Value> {
    match payload.as_object()?.get("values") {
        None => Some(Value::Array(Vec::new())),
        Some(values) => {
            let items = values.as_array()?.iter();
            Some(items.map(|item| decode_at(item, Place::InArray)).collect())
        }
    }
}

fn decode_map(payload: &Value, place: Place) -> Option<Value> {
    let Some(fields) = payload.as_object()?.get("fields") else {
        return Some(Value::Object(Map::new()));
    };
    let fields = fields.as_object()?;
    if fields.contains_key(TYPE) {
        return None;
    }
    if place == Place::InArray
        && let Some(("$array", array)) = only_member(fields)
        && let Some(items) = array.get("arrayValue").and_then(decode_array)
    {
        return Some(items);
    }
    let mut map: Fields = fields
        .iter()
        .map(|(key, value)| (key.clone(), decode(value)))
        .collect();
    let name = keys::only_name_to_local(&map, place);
    map = map
        .into_iter()
        .map(|(key, value)| (name.clone().unwrap_or_else(|| swap(&key)), value))
        .collect();
    Some(Value::Object(map))
}

/// The one member of a map that has exactly one.
fn only_member(map: &Fields) -> Option<(&str, &Value)> {
    let mut members = map.iter();
    match (members.next(), members.next()) {
        (Some((key, value)), None) => Some((key, value)),
        _ => None,
    }
}
