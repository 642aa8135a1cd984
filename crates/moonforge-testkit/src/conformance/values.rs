//! Values make the trip unchanged.

use moonforge_model::{FieldPath, canonical};
use moonforge_ports::RemoteStore;
use serde_json::json;

use super::{apply, body, change, create, doc};

/// Integers stay integers and doubles doubles, to the last bit; lists in lists, tagged values and odd texts come back.
pub async fn values_come_back_as_they_were(store: &dyn RemoteStore) {
    let value = json!({
        "null": null, "yes": true, "no": false,
        "integers": [0, 1, -1, i64::MAX, i64::MIN, 9_007_199_254_740_993_i64],
        "doubles": [0.0, 1.0, -1.5, 0.1, 1e300, 5e-324, f64::MAX, 123_456_789.123_456_79],
        "texts": ["", " ", "Größe ☃ 😀 \u{7f}", "\"quoted\" \\ \n\r\t", "2026-01-01T00:00:00Z", "null"],
        "empty": {"map": {}, "list": []},
        "nested": [[1, [2, [3]]], [], [{"in": [[4.0]]}], {"map": [[]]}],
        "deep": {"a": {"b": {"c": {"d": {"e": [{"f": {"g": 1}}]}}}}},
        "createdAt": "2026-11-21T18:30:00.123456Z", "datetime": "2026-11-21T18:30:00Z",
        "tagged": [
            {"$timestamp": "2026-01-01T00:00:00.120Z"}, {"$bytes": "AQIDBA=="},
            {"$geo": [48.25, -16.5]}, {"$double": "NaN"}, {"$double": "Infinity"},
            {"$double": "-Infinity"},
        ],
        "$$genuine": {"$$timestamp": "not a time", "$$$x": 1},
        "odd names": {"a.b": 1, "ü": 3, "`": 4},
    });
    let whole = doc("values", "whole");
    let version = apply(store, create(whole.clone(), value.clone())).await;
    assert_eq!(canonical(&body(store, &whole).await), canonical(&value));

    // The same through masks, member by member, onto something else.
    let names: Vec<String> = value
        .as_object()
        .expect("a map")
        .keys()
        .map(|name| FieldPath::new([name.as_str()]).expect("a name").to_string())
        .collect();
    let masked = doc("values", "masked");
    let other = json!({"tagged": 1, "nested": {"x": 1}, "integers": "text", "texts": [[[]]]});
    let first = apply(store, create(masked.clone(), other)).await;
    assert!(first > version);
    let mask: Vec<&str> = names.iter().map(String::as_str).collect();
    apply(store, change(masked.clone(), first, value.clone(), &mask)).await;
    assert_eq!(canonical(&body(store, &masked).await), canonical(&value));
}
