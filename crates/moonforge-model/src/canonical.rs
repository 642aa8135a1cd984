//! The one form of each value: as a Firestore gives it back.
//!
//! Written in that form from the start, a document sorts before its first push as it does after it, and what nobody edited
//! looks the same after the trip.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::{Map, Number, Value};

use crate::patch::PatchOp;
use crate::path::FieldPath;
use crate::schema::TIMESTAMP_FIELDS;
use crate::time::Timestamp;
use crate::value::Fields;

/// A document's fields in their one form: times in UTC, cut to microseconds (the fields that hold times, and
/// `{"$timestamp": …}`), `{"$geo": …}` in doubles, `{"$bytes": …}` in padded base64 of the standard alphabet, no negative
/// zero. What only looks like one of these stays as it is.
///
/// ```
/// use moonforge_model::canonical_fields;
/// use serde_json::json;
/// let given = json!({"datetime": "2026-11-21T20:00:00+01:00", "note": "2026-11-21T20:00:00+01:00"});
/// let fields = canonical_fields(given.as_object().unwrap().clone());
/// assert_eq!(fields["datetime"], "2026-11-21T19:00:00Z");
/// assert_eq!(fields["note"], "2026-11-21T20:00:00+01:00");
/// ```
pub fn canonical_fields(mut fields: Fields) -> Fields {
    for (name, value) in &mut fields {
        make_field(name, value);
    }
    fields
}

/// What [`canonical_fields`] makes of a value that stands at `path`.
pub fn canonical_value(path: &FieldPath, mut value: Value) -> Value {
    match path.segments() {
        [name] => make_field(name, &mut value),
        _ => make(&mut value),
    }
    value
}

/// An edit whose values are in their one form.
pub fn canonical_op(op: PatchOp) -> PatchOp {
    match op {
        PatchOp::Set { path, value } => PatchOp::Set {
            value: canonical_value(&path, value),
            path,
        },
        PatchOp::Increment { path, by } => PatchOp::Increment {
            by: if is_zero(&by) { zero(by) } else { by },
            path,
        },
        PatchOp::ArrayUnion { path, values } => PatchOp::ArrayUnion {
            path,
            values: values.into_iter().map(item).collect(),
        },
        PatchOp::ArrayRemove { path, values } => PatchOp::ArrayRemove {
            path,
            values: values.into_iter().map(item).collect(),
        },
        op @ (PatchOp::Unset { .. } | PatchOp::Text { .. }) => op,
    }
}

fn item(mut value: Value) -> Value {
    make(&mut value);
    value
}

fn make_field(name: &str, value: &mut Value) {
    if TIMESTAMP_FIELDS.contains(&name) && value.is_string() {
        make_time(value);
    } else {
        make(value);
    }
}

fn make(value: &mut Value) {
    match value {
        Value::Number(n) if is_zero(n) => *value = Value::from(0.0),
        Value::Array(items) => items.iter_mut().for_each(make),
        Value::Object(map) if map.len() == 1 => make_only(map),
        Value::Object(map) => map.values_mut().for_each(make),
        _ => {}
    }
}

/// A map with one member, which may stand for a value that JSON lacks.
fn make_only(map: &mut Map<String, Value>) {
    let Some((key, value)) = map.iter_mut().next() else {
        return;
    };
    match (key.as_str(), &mut *value) {
        ("$timestamp", Value::String(_)) => make_time(value),
        ("$bytes", Value::String(text)) => {
            if let Some(plain) = base64(text) {
                *text = plain;
            }
        }
        ("$geo", Value::Array(items)) if is_place(items) => {
            for degrees in items {
                if let Some(f) = degrees.as_f64() {
                    *degrees = Value::from(f + 0.0);
                }
            }
        }
        // A value of a kind that this version doesn't know goes back as it came.
        ("$wire", _) => {}
        _ => make(value),
    }
}

fn make_time(value: &mut Value) {
    if let Value::String(text) = value
        && let Ok(at) = text.parse::<Timestamp>()
    {
        *text = at.to_string();
    }
}

/// Latitude and longitude, in degrees.
fn is_place(items: &[Value]) -> bool {
    let within = |value: &Value, most: f64| value.as_f64().is_some_and(|f| f.abs() <= most);
    matches!(items, [lat, lng] if within(lat, 90.0) && within(lng, 180.0))
}

fn base64(text: &str) -> Option<String> {
    let plain = text.trim_end_matches('=');
    let plain = plain.replace('-', "+").replace('_', "/");
    let bytes = STANDARD_NO_PAD.decode(plain).ok()?;
    Some(STANDARD.encode(bytes))
}

/// Whether it is the double 0, with either sign.
fn is_zero(n: &Number) -> bool {
    n.is_f64() && n.as_f64() == Some(0.0)
}

fn zero(zero: Number) -> Number {
    Number::from_f64(0.0).unwrap_or(zero)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn one_form(value: Value) -> String {
        let fields = canonical_fields(value.as_object().unwrap().clone());
        Value::Object(fields).to_string()
    }

    #[test]
    fn each_value_has_one_form() {
        for (given, expected) in [
            (
                json!({"createdAt": "2026-01-01T01:00:00.1234567+01:00"}),
                json!({"createdAt": "2026-01-01T00:00:00.123456Z"}),
            ),
            (
                json!({"shareExpiresAt": "2026-01-01T00:00:00.50Z"}),
                json!({"shareExpiresAt": "2026-01-01T00:00:00.500Z"}),
            ),
            (
                json!({"a": [{"t": {"$timestamp": "2026-01-01T00:00:00.0Z"}}]}),
                json!({"a": [{"t": {"$timestamp": "2026-01-01T00:00:00Z"}}]}),
            ),
            (
                json!({"coords": {"$geo": [52, -0.0]}}),
                json!({"coords": {"$geo": [52.0, 0.0]}}),
            ),
            (
                json!({"b": [{"$bytes": "_-8"}, {"$bytes": "AA=="}]}),
                json!({"b": [{"$bytes": "/+8="}, {"$bytes": "AA=="}]}),
            ),
            (
                json!({"x": [-0.0, 0, 1.5], "m": {"n": -0.0}}),
                json!({"x": [0.0, 0, 1.5], "m": {"n": 0.0}}),
            ),
        ] {
            assert_eq!(one_form(given), expected.to_string());
        }
    }

    #[test]
    fn what_only_looks_like_it_stays() {
        for given in [
            json!({"note": "2026-01-01T01:00:00+01:00", "createdAt": "yesterday"}),
            json!({"props": {"createdAt": "2026-01-01T01:00:00+01:00"}}),
            json!({"t": {"$timestamp": "2026-01-01T01:00:00+01:00", "more": 1}}),
            json!({"t": {"$timestamp": 5}, "b": {"$bytes": "?"}, "r": {"$ref": "x"}}),
            json!({"g": [{"$geo": [91, 0]}, {"$geo": [1]}, {"$geo": ["1", 2]}]}),
            json!({"w": {"$wire": {"newValue": [-0.0]}}}),
        ] {
            assert_eq!(one_form(given.clone()), given.to_string());
        }
    }

    #[test]
    fn an_edits_values_have_it_too() {
        let path = |text: &str| text.parse::<FieldPath>().unwrap();
        let (late, plain) = ("2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00Z");
        let set = |at: &str, value: &str| PatchOp::Set {
            path: path(at),
            value: value.into(),
        };
        assert_eq!(canonical_op(set("datetime", late)), set("datetime", plain));
        let below = set("props.datetime", late);
        assert_eq!(canonical_op(below.clone()), below);
        let union = |text: &str| PatchOp::ArrayUnion {
            path: path("captions"),
            values: vec![json!({ "$timestamp": text })],
        };
        assert_eq!(canonical_op(union(late)), union(plain));
        let remove = |text: &str| PatchOp::ArrayRemove {
            path: path("captions"),
            values: vec![json!({ "$timestamp": text })],
        };
        assert_eq!(canonical_op(remove(late)), remove(plain));
        let PatchOp::Increment { by, .. } = canonical_op(PatchOp::increment(
            path("n"),
            Number::from_f64(-0.0).unwrap(),
        )) else {
            unreachable!()
        };
        assert_eq!(by.to_string(), "0.0");
    }

    fn odd_values() -> impl Strategy<Value = Value> {
        let tagged = prop_oneof![
            (0i64..4_000_000_000_000, -23i8..24).prop_map(|(ms, hours)| {
                let at = Timestamp::from_millis(ms).to_string();
                let at = at.trim_end_matches('Z');
                json!({ "$timestamp": format!("{at}{hours:+03}:30") })
            }),
            "[A-Za-z0-9+/_-]{0,9}={0,2}".prop_map(|text| json!({ "$bytes": text })),
            (-91i64..92, -181.0..181.0f64).prop_map(|(lat, lng)| json!({ "$geo": [lat, lng] })),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            Just(json!(-0.0)),
            "\\PC{0,8}".prop_map(Value::from),
            Just(json!("2026-01-01T01:00:00.1234567+01:00")),
            tagged,
        ];
        let name = prop_oneof![
            "[a-z]{1,3}",
            Just("$timestamp".to_owned()),
            Just("$geo".to_owned()),
            Just("$bytes".to_owned()),
            Just("$wire".to_owned()),
        ];
        leaf.prop_recursive(3, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::btree_map(name.clone(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_one_form_of_it_is_itself(values in prop::collection::vec(odd_values(), 5..6)) {
            let names = ["createdAt", "datetime", "props", "statblock", "x"];
            let fields: Fields = names.map(str::to_owned).into_iter().zip(values).collect();
            let once = canonical_fields(fields);
            let twice = canonical_fields(once.clone());
            // As texts: equality takes -0.0 for 0.0.
            prop_assert_eq!(Value::Object(once).to_string(), Value::Object(twice).to_string());
        }
    }
}
