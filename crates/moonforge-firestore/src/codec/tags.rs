//! The values that JSON lacks.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use moonforge_model::{Fields, Timestamp};
use serde_json::{Map, Value, json};

use super::keys::Place;
use super::{decode_known, only_member};

/// What a local map stands for on the wire, if it is a tag.
pub(super) fn to_wire(map: &Fields) -> Option<Value> {
    let (key, payload) = only_member(map)?;
    payload_to_wire(key.strip_prefix('$')?, payload)
}

/// The value on the wire of the tag `$name`, if `payload` can be its payload.
pub(super) fn payload_to_wire(name: &str, payload: &Value) -> Option<Value> {
    match name {
        "timestamp" => time(payload).map(|at| json!({ "timestampValue": at })),
        "bytes" => is_base64(payload).then(|| json!({ "bytesValue": payload })),
        "ref" => is_reference(payload).then(|| json!({ "referenceValue": payload })),
        "double" => is_no_number(payload).then(|| json!({ "doubleValue": payload })),
        "geo" => {
            let [lat, lng] = payload.as_array()?.as_slice() else {
                return None;
            };
            let mut point = Map::new();
            put_degrees(&mut point, "latitude", lat, 90.0)?;
            put_degrees(&mut point, "longitude", lng, 180.0)?;
            Some(json!({ "geoPointValue": point }))
        }
        "wire" => {
            let (kind, _) = only_member(payload.as_object()?)?;
            let unread = decode_known(payload, Place::Elsewhere).is_none();
            (kind.ends_with("Value") && unread).then(|| payload.clone())
        }
        _ => None,
    }
}

/// The local tag of a value of `kind` on the wire.
pub(super) fn from_wire(kind: &str, payload: &Value) -> Option<Value> {
    match kind {
        "timestampValue" => time(payload).map(|_| json!({ "$timestamp": payload })),
        "bytesValue" => is_base64(payload).then(|| json!({ "$bytes": payload })),
        "referenceValue" => is_reference(payload).then(|| json!({ "$ref": payload })),
        "doubleValue" => is_no_number(payload).then(|| json!({ "$double": payload })),
        "geoPointValue" => {
            let point = payload.as_object()?;
            let (lat, lng) = (
                degrees(point, "latitude", 90.0)?,
                degrees(point, "longitude", 180.0)?,
            );
            Some(json!({ "$geo": [lat, lng] }))
        }
        _ => None,
    }
}

/// The time that a text says.
pub(super) fn time(payload: &Value) -> Option<Timestamp> {
    payload.as_str()?.parse().ok()
}

/// Both alphabets are Firestore's, padded or not.
fn is_base64(payload: &Value) -> bool {
    let Some(text) = payload.as_str() else {
        return false;
    };
    let plain = text
        .trim_end_matches('=')
        .replace('-', "+")
        .replace('_', "/");
    STANDARD_NO_PAD.decode(plain).is_ok()
}

fn is_reference(payload: &Value) -> bool {
    payload.as_str().is_some_and(|name| {
        name.starts_with("projects/")
            && name.contains("/databases/")
            && name.contains("/documents/")
    })
}

fn is_no_number(payload: &Value) -> bool {
    matches!(payload.as_str(), Some("NaN" | "Infinity" | "-Infinity"))
}

/// Firestore leaves zeros out.
fn put_degrees(point: &mut Fields, name: &str, value: &Value, most: f64) -> Option<()> {
    let degrees = value.as_f64().filter(|degrees| degrees.abs() <= most)?;
    if degrees != 0.0 {
        point.insert(name.to_owned(), Value::from(degrees));
    }
    Some(())
}

fn degrees(point: &Fields, name: &str, most: f64) -> Option<f64> {
    match point.get(name) {
        None => Some(0.0),
        Some(value) => value
            .as_f64()
            .filter(|degrees| degrees.abs() <= most)
            .map(|f| f + 0.0),
    }
}
