//! Firestore's values as plain JSON, written apart from our codec so that tests can judge it.

use serde_json::{Map, Value, json};

/// A plain value in Firestore's form. Numbers with a fraction are doubles; `{"$timestamp": "…"}` is a time.
pub fn encode(value: &Value) -> Value {
    match value {
        Value::Null => json!({ "nullValue": null }),
        Value::Bool(b) => json!({ "booleanValue": b }),
        Value::Number(n) if n.is_f64() => json!({ "doubleValue": n }),
        Value::Number(n) => json!({ "integerValue": n.to_string() }),
        Value::String(s) => json!({ "stringValue": s }),
        Value::Array(items) => {
            json!({ "arrayValue": { "values": items.iter().map(encode).collect::<Vec<_>>() } })
        }
        Value::Object(map) => match map.get("$timestamp") {
            Some(time) => json!({ "timestampValue": time }),
            None => json!({ "mapValue": { "fields": fields(value) } }),
        },
    }
}

/// The `fields` of a document that holds this plain object.
///
/// # Panics
/// When `value` is no object.
pub fn fields(value: &Value) -> Value {
    let map = value.as_object().expect("a document is an object");
    map.iter()
        .map(|(name, value)| (name.clone(), encode(value)))
        .collect()
}

/// A value of Firestore's as plain JSON: times are texts, what JSON lacks keeps its tag.
pub fn decode(value: &Value) -> Value {
    let Some((kind, inner)) = value.as_object().and_then(|map| map.iter().next()) else {
        return Value::Null;
    };
    match kind.as_str() {
        "nullValue" => Value::Null,
        "integerValue" => match inner.as_str().map(str::parse::<i64>) {
            Some(Ok(number)) => number.into(),
            _ => inner.clone(),
        },
        "arrayValue" => {
            let items = inner["values"].as_array();
            items.into_iter().flatten().map(decode).collect()
        }
        "mapValue" => decode_fields(&inner["fields"]),
        "booleanValue" | "doubleValue" | "stringValue" | "timestampValue" => inner.clone(),
        _ => value.clone(),
    }
}

/// A document's `fields` as a plain object.
pub(super) fn decode_fields(fields: &Value) -> Value {
    let map = fields.as_object();
    let plain = map
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), decode(value)));
    Value::Object(plain.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_values_make_the_trip() {
        let plain = json!({
            "text": "a", "whole": -7, "part": 6.0, "yes": true, "none": null,
            "list": [1, [], { "deep": "x" }], "map": { "empty": {} },
        });
        assert_eq!(decode_fields(&fields(&plain)), plain);
    }

    #[test]
    fn numbers_and_times_take_firestores_forms() {
        assert_eq!(encode(&json!(6)), json!({ "integerValue": "6" }));
        assert_eq!(encode(&json!(6.0)), json!({ "doubleValue": 6.0 }));
        let time = "2026-01-01T00:00:00Z";
        let encoded = encode(&json!({ "$timestamp": time }));
        assert_eq!(encoded, json!({ "timestampValue": time }));
        assert_eq!(decode(&encoded), json!(time));
        assert_eq!(
            decode(&json!({ "bytesValue": "AA==" })),
            json!({ "bytesValue": "AA==" })
        );
    }
}
