use moonforge_model::{FieldPath, Fields, TIMESTAMP_FIELDS};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

fn to_wire(local: &Value) -> Value {
    encode(local).unwrap()
}

fn fields(value: Value) -> Fields {
    value.as_object().unwrap().clone()
}

#[test]
fn each_kind_has_its_wire_form() {
    let wire = encode_fields(&fields(json!({
        "n": null, "b": true, "i": -7, "d": 1.0, "z": -0.0, "s": "x", "a": [], "m": {},
        "createdAt": "2026-01-01T01:00:00.1234567+01:00", "note": "2026-01-01T00:00:00Z",
        "t": {"$timestamp": "2026-01-01T00:00:00.123456789Z"}, "y": {"$bytes": "_-8="},
        "g": {"$geo": [0.0, -4.5]}, "nan": {"$double": "NaN"},
        "r": {"$ref": "projects/p/databases/(default)/documents/c/d"},
    })))
    .unwrap();
    let expected = json!({
        "n": {"nullValue": null}, "b": {"booleanValue": true}, "i": {"integerValue": "-7"},
        "d": {"doubleValue": 1.0}, "z": {"doubleValue": 0.0}, "s": {"stringValue": "x"},
        "a": {"arrayValue": {}}, "m": {"mapValue": {}},
        "createdAt": {"timestampValue": "2026-01-01T00:00:00.123456Z"},
        "note": {"stringValue": "2026-01-01T00:00:00Z"},
        "t": {"timestampValue": "2026-01-01T00:00:00.123456Z"}, "y": {"bytesValue": "_-8="},
        "g": {"geoPointValue": {"longitude": -4.5}}, "nan": {"doubleValue": "NaN"},
        "r": {"referenceValue": "projects/p/databases/(default)/documents/c/d"},
    });
    assert_eq!(Value::Object(wire).to_string(), expected.to_string());
}

#[test]
fn an_array_in_an_array_is_a_map_on_the_wire() {
    let nested = to_wire(&json!([[1, []], {"a": [2]}]));
    assert_eq!(
        nested,
        json!({"arrayValue": {"values": [
            {"mapValue": {"fields": {"$array": {"arrayValue": {"values": [
                {"integerValue": "1"},
                {"mapValue": {"fields": {"$array": {"arrayValue": {}}}}},
            ]}}}}},
            {"mapValue": {"fields": {"a": {"arrayValue": {"values": [{"integerValue": "2"}]}}}}},
        ]}})
    );
    assert_eq!(decode(&nested), json!([[1, []], {"a": [2]}]));
}

#[test]
fn a_genuine_key_gets_one_dollar_more_on_the_other_side() {
    let wire = to_wire(&json!({"$cost": 1, "$array": [1], "x": 2}));
    assert_eq!(
        wire,
        json!({"mapValue": {"fields": {
            "$$cost": {"integerValue": "1"},
            "$$array": {"arrayValue": {"values": [{"integerValue": "1"}]}},
            "x": {"integerValue": "2"},
        }}})
    );
    let theirs =
        json!({"mapValue": {"fields": {"$timestamp": {"stringValue": "2026-01-01T00:00:00Z"}}}});
    assert_eq!(
        decode(&theirs),
        json!({"$$timestamp": "2026-01-01T00:00:00Z"})
    );
    let theirs = json!({"mapValue": {"fields": {"$cost": {"integerValue": "1"}, "$ref": {"nullValue": null}}}});
    assert_eq!(decode(&theirs), json!({"$$cost": 1, "$$ref": null}));
}

#[test]
fn a_malformed_tag_is_a_map_like_any_other() {
    for look_alike in [
        json!({"$timestamp": 5}),
        json!({"$timestamp": "yesterday"}),
        json!({"$bytes": "?"}),
        json!({"$geo": [91, 0]}),
        json!({"$geo": [1]}),
        json!({"$ref": "scenes/a"}),
        json!({"$double": "1"}),
        json!({"$double": 1}),
        json!({"$timestamp": "2026-01-01T00:00:00Z", "more": 1}),
        json!({"$wire": {"stringValue": "known"}}),
    ] {
        let wire = to_wire(&look_alike);
        assert!(
            wire.get("mapValue").is_some(),
            "{look_alike} went as {wire}"
        );
        assert_eq!(decode(&wire), look_alike);
    }
}

/// Firestore answers 400 to what people and other programs call RFC 3339 too.
#[test]
fn a_time_is_sent_in_the_one_form_that_firestore_takes() {
    for (text, sent) in [
        ("2026-01-01t00:00:00z", "2026-01-01T00:00:00Z"),
        ("2026-01-01 00:00:00Z", "2026-01-01T00:00:00Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999999Z"),
        ("2026-01-01T02:00:00.5+02:00", "2026-01-01T00:00:00.500Z"),
        (
            "2026-01-01T00:00:00.123456999Z",
            "2026-01-01T00:00:00.123456Z",
        ),
    ] {
        let wire = json!({ "timestampValue": sent });
        assert_eq!(to_wire(&json!({ "$timestamp": text })), wire, "{text}");
        let field = encode_fields(&fields(json!({ "datetime": text }))).unwrap();
        assert_eq!(field["datetime"], wire, "{text}");
    }
}

/// A vector. Its map can't be built of names that a field may have, so it must go back whole.
#[test]
fn a_map_with_a_type_of_its_own_is_kept_whole() {
    let vector = json!({"mapValue": {"fields": {
        "__type__": {"stringValue": "__vector__"},
        "value": {"arrayValue": {"values": [{"doubleValue": 0.5}, {"integerValue": "1"}]}},
    }}});
    assert_eq!(decode(&vector), json!({ "$wire": vector }));
    assert_eq!(to_wire(&decode(&vector)), vector);
    let around = json!({"mapValue": {"fields": {"in": {"arrayValue": {"values": [vector]}}}}});
    assert_eq!(decode(&around), json!({"in": [{ "$wire": vector }]}));
    assert_eq!(to_wire(&decode(&around)), around);
    // Written here by hand, it is the same.
    let mask = ["embedding".parse().unwrap()];
    let local = fields(json!({ "embedding": { "$wire": vector } }));
    assert_eq!(encode_masked(&local, &mask).unwrap()["embedding"], vector);
}

#[test]
fn an_integer_beyond_64_bits_is_refused() {
    let error = encode_fields(&fields(
        json!({"a": [{"b": 9_223_372_036_854_775_808_u64}]}),
    ));
    assert_eq!(error, Err(CodecError::IntegerTooLarge(1 << 63)));
    assert!(encode_fields(&fields(json!({"a": [i64::MAX, i64::MIN]}))).is_ok());
}

#[test]
fn a_time_field_holds_a_time_or_null() {
    for name in TIMESTAMP_FIELDS {
        for bad in [
            json!("yesterday"),
            json!(5),
            json!({"$timestamp": "2026-01-01T00:00:00Z"}),
        ] {
            let error = encode_fields(&fields(json!({ name: bad })));
            assert_eq!(error, Err(CodecError::NotATime(name)));
        }
        let good = fields(json!({ name: null, "inner": { name: "yesterday" } }));
        assert_eq!(decode_fields(encode_fields(&good).unwrap()), good);
    }
}

#[test]
fn a_time_field_of_another_kind_comes_as_what_it_is() {
    let wire = fields(json!({
        "updatedAt": {"stringValue": "soon"},
        "deletedAt": {"integerValue": "5"},
        "datetime": {"timestampValue": "2026-01-01T00:00:00.123456Z"},
        "other": {"timestampValue": "2026-01-01T00:00:00.123456Z"},
    }));
    assert_eq!(
        Value::Object(decode_fields(wire)),
        json!({
            "updatedAt": "soon", "deletedAt": 5, "datetime": "2026-01-01T00:00:00.123456Z",
            "other": {"$timestamp": "2026-01-01T00:00:00.123456Z"},
        })
    );
}

#[test]
fn what_stands_above_a_masked_path_is_a_map() {
    let mask: Vec<FieldPath> = ["createdAt", "props.`$timestamp`", "props.a", "gone.x"]
        .map(|text| text.parse().unwrap())
        .into();
    let local = fields(json!({
        "createdAt": "2026-01-01T00:00:00Z",
        "props": {"$timestamp": "2026-01-01T00:00:00Z"},
        "unmasked": 9,
    }));
    assert_eq!(
        Value::Object(encode_masked(&local, &mask).unwrap()),
        json!({
            "createdAt": {"timestampValue": "2026-01-01T00:00:00Z"},
            "props": {"mapValue": {"fields": {"$$timestamp": {"stringValue": "2026-01-01T00:00:00Z"}}}},
        })
    );
    assert_eq!(encode_path(&mask[1]).unwrap(), "props.`$$timestamp`");
}

#[test]
fn a_bare_integer_or_an_integer_for_a_double_is_read() {
    assert_eq!(decode(&json!({"integerValue": 5})), json!(5));
    assert_eq!(decode(&json!({"doubleValue": 5})).to_string(), "5.0");
}

#[test]
fn a_kind_of_the_future_is_kept_whole() {
    let wire =
        json!({"arrayValue": {"values": [{"colourValue": {"r": 1}}, {"integerValue": "x"}]}});
    assert_eq!(
        decode(&wire),
        json!([{"$wire": {"colourValue": {"r": 1}}}, {"$wire": {"integerValue": "x"}}])
    );
    assert_eq!(to_wire(&decode(&wire)), wire);
}

const TIME: &str = "2026-01-01T00:00:00.123456Z";
const REF: &str = "projects/p/databases/(default)/documents/c/d";

/// Keys, among them many that look like tags.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\${0,4}(timestamp|bytes|geo|ref|double|array|wire)",
        "\\${0,3}[a-z]{0,2}",
        any::<String>(),
    ]
}

/// A key that looks like a tag, with a payload that fits it, here and on the wire.
fn look_alike() -> impl Strategy<Value = (String, Value, Value)> {
    let pair = prop_oneof![
        Just(("timestamp", json!(TIME), json!({"stringValue": TIME}))),
        Just(("ref", json!(REF), json!({"stringValue": REF}))),
        Just(("double", json!("NaN"), json!({"stringValue": "NaN"}))),
        Just(("bytes", json!("AAE="), json!({"stringValue": "AAE="}))),
        Just((
            "geo",
            json!([0.0, 4.5]),
            json!({"arrayValue": {"values": [{"doubleValue": 0.0}, {"doubleValue": 4.5}]}})
        )),
        Just((
            "wire",
            json!({"xValue": true}),
            json!({"mapValue": {"fields": {"xValue": {"booleanValue": true}}}})
        )),
        Just(("array", json!([]), json!({"arrayValue": {}}))),
    ];
    (1..6usize, pair).prop_map(|(n, (stem, local, wire))| ("$".repeat(n) + stem, local, wire))
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => plain_scalar(),
        1 => look_alike().prop_map(|(key, local, _)| json!({ key: local })),
    ]
}

fn plain_scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|f| Value::from(f + 0.0)), // not finite: null
        any::<String>().prop_map(Value::from),
        prop_oneof![Just(TIME), Just(REF), Just("NaN"), Just("AAE="), Just("\0")]
            .prop_map(Value::from),
        (-90.0..90.0, -180.0..180.0).prop_map(|(lat, lng)| json!([lat, lng])),
    ]
}

fn local_value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key(), inner.clone()), 0..4)
                .prop_map(|m| Value::Object(Map::from_iter(m))),
            (key(), inner).prop_map(|(k, v)| json!({ k: v })),
        ]
    })
}

/// A place on earth given in whole degrees comes back with a fraction: the one case of another spelling.
fn spell_out_degrees(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(spell_out_degrees),
        Value::Object(map) => {
            for (key, inner) in map {
                spell_out_degrees(inner);
                if key.ends_with("$geo")
                    && let Value::Array(degrees) = inner
                {
                    for degree in degrees {
                        if let Some(f) = degree.as_f64() {
                            *degree = Value::from(f);
                        }
                    }
                }
            }
        }
        _ => {}
    }
}

fn wire_scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => plain_wire_scalar(),
        1 => look_alike().prop_map(|(key, _, wire)| json!({"mapValue": {"fields": {key: wire}}})),
    ]
}

fn plain_wire_scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({"nullValue": null})),
        any::<bool>().prop_map(|b| json!({"booleanValue": b})),
        any::<i64>().prop_map(|i| json!({"integerValue": i.to_string()})),
        any::<f64>().prop_filter_map("finite", |f| f.is_finite().then(|| json!({"doubleValue": f + 0.0}))),
        prop_oneof![Just("NaN"), Just("Infinity"), Just("-Infinity")].prop_map(|t| json!({"doubleValue": t})),
        any::<String>().prop_map(|t| json!({"stringValue": t})),
        prop_oneof![Just(TIME), Just(REF), Just("NaN"), Just("AAE=")].prop_map(|t| json!({"stringValue": t})),
        // Firestore cuts times to microseconds, and prints no, three or six digits.
        prop_oneof![Just(1_000_000), Just(1000), Just(1)]
            .prop_flat_map(|unit| (0..2_000_000_000_000_000i64).prop_map(move |us| us / unit * unit))
            .prop_map(|us| json!({"timestampValue": Timestamp::from_micros(us)})),
        prop::collection::vec(any::<u8>(), 0..9)
            .prop_map(|b| json!({"bytesValue": base64::Engine::encode(&base64::engine::general_purpose::STANDARD, b)})),
        (any::<bool>(), any::<bool>(), -90.0..90.0, -180.0..180.0).prop_map(|(a, b, lat, lng)| {
            let mut point = Map::new();
            a.then(|| point.insert("latitude".into(), json!(lat)));
            b.then(|| point.insert("longitude".into(), json!(lng)));
            json!({ "geoPointValue": point })
        }),
        "[a-z~%é]{1,5}".prop_map(|id| json!({"referenceValue": format!("projects/p/databases/d/documents/c/{id}")})),
        "[a-z]{1,3}".prop_map(|kind| json!({format!("{kind}Value"): {"x": [1]}})),
        prop::collection::vec(-9.0..9.0, 0..4).prop_map(|v| {
            let values: Vec<_> = v.iter().map(|f: &f64| json!({"doubleValue": f + 0.0})).collect();
            json!({"mapValue": {"fields": {
                "__type__": {"stringValue": "__vector__"}, "value": {"arrayValue": {"values": values}},
            }}})
        }),
    ]
}

fn wire_value() -> impl Strategy<Value = Value> {
    wire_scalar().prop_recursive(5, 40, 4, |inner| {
        let no_array = inner.clone().prop_filter("Firestore nests no arrays", |v| {
            v.get("arrayValue").is_none()
        });
        prop_oneof![
            prop::collection::vec(no_array, 1..4)
                .prop_map(|items| json!({"arrayValue": {"values": items}})),
            Just(json!({"arrayValue": {}})),
            Just(json!({"mapValue": {}})),
            prop::collection::vec((key(), inner.clone()), 1..4)
                .prop_map(|m| json!({"mapValue": {"fields": Map::from_iter(m)}})),
            (key(), inner).prop_map(|(k, v)| json!({"mapValue": {"fields": {k: v}}})),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_json_value_makes_the_trip_unchanged(mut value in local_value()) {
        spell_out_degrees(&mut value);
        prop_assert_eq!(decode(&encode(&value).unwrap()).to_string(), value.to_string());
    }

    #[test]
    fn any_json_document_makes_the_trip_unchanged(m in prop::collection::vec((key(), local_value()), 0..5)) {
        let mut value = Value::Object(Map::from_iter(m));
        spell_out_degrees(&mut value);
        let wire = encode_fields(value.as_object().unwrap()).unwrap();
        prop_assert_eq!(Value::Object(decode_fields(wire)).to_string(), value.to_string());
    }

    #[test]
    fn any_firestore_value_goes_back_as_it_came(wire in wire_value()) {
        prop_assert_eq!(encode(&decode(&wire)).unwrap().to_string(), wire.to_string());
    }

    #[test]
    fn no_array_stands_directly_in_an_array_on_the_wire(value in local_value()) {
        fn check(wire: &Value) -> bool {
            match wire {
                Value::Object(map) => {
                    let values = wire.pointer("/arrayValue/values").and_then(Value::as_array);
                    values.is_none_or(|v| v.iter().all(|item| item.get("arrayValue").is_none()))
                        && map.values().all(check)
                }
                Value::Array(items) => items.iter().all(check),
                _ => true,
            }
        }
        prop_assert!(check(&encode(&value).unwrap()));
    }

    #[test]
    fn a_mask_of_all_fields_sends_what_no_mask_would(m in prop::collection::vec(("\\$?[a-z]{1,3}", local_value()), 0..5)) {
        let local = Map::from_iter(m);
        let mask: Vec<_> = local.keys().map(|key| FieldPath::field(key)).collect();
        prop_assert_eq!(encode_masked(&local, &mask), encode_fields(&local));
    }
}
