use proptest::prelude::*;
use serde_json::json;

use super::*;

fn key(value: Value) -> OrderKey {
    OrderKey::from_json(&value).unwrap()
}

fn between(after: Option<Value>, before: Option<Value>) -> Option<Value> {
    let (after, before) = (after.map(key), before.map(key));
    let made = OrderKey::between(after.as_ref(), before.as_ref()).ok()?;
    assert!(
        after.is_none_or(|a| a < made) && before.is_none_or(|b| made < b),
        "{made}"
    );
    Some(made.to_json())
}

#[test]
fn keys_have_the_form_that_other_clients_write() {
    for (after, before, made) in [
        (None, None, "a0"),
        (None, Some("a0"), "Zz"),
        (None, Some("Z0"), "Yzz"),
        (Some("a0"), None, "a1"),
        (Some("az"), None, "b00"),
        (Some("a0"), Some("a1"), "a0V"),
        (Some("a0"), Some("a0V"), "a0G"),
        (Some("a1"), Some("a5"), "a2"),
        (Some("Zz"), Some("a1"), "a0"),
        (None, Some("a0V"), "a0"),
    ] {
        let text = |t: Option<&str>| t.map(Value::from);
        assert_eq!(
            between(text(after), text(before)),
            Some(json!(made)),
            "{after:?} {before:?}"
        );
    }
}

#[test]
fn old_numbers_sort_before_texts_and_make_room_among_themselves() {
    let mut keys = [json!("a0"), json!(10), json!("Zz"), json!(2), json!(-1.5)].map(key);
    keys.sort();
    assert_eq!(
        keys.map(|k| k.to_json()),
        [json!(-1.5), json!(2), json!(10), json!("Zz"), json!("a0")]
    );
    for (after, before, made) in [
        (Some(json!(3)), None, json!(4)),
        (None, Some(json!(0)), json!(-1)),
        (None, Some(json!(0.5)), json!(0)),
        (Some(json!(1)), Some(json!(2)), json!(1.5)),
        (Some(json!(1)), Some(json!(9)), json!(5)),
        (Some(json!(3)), Some(json!("a0")), json!(4)),
    ] {
        assert_eq!(between(after, before), Some(made));
    }
}

#[test]
fn a_number_keeps_its_form() {
    for value in [json!(3), json!(-7), json!(1.25), json!(0)] {
        assert_eq!(key(value.clone()).to_json().to_string(), value.to_string());
        assert_eq!(serde_json::to_value(key(value.clone())).unwrap(), value);
    }
    assert_eq!(OrderKey::from_json(&json!(true)), None);
    assert!(serde_json::from_value::<OrderKey>(json!([1])).is_err());
}

#[test]
fn between_numbers_there_is_room_for_fifty_moves_to_one_place() {
    let (after, mut before) = (key(json!(1)), key(json!(2)));
    for _ in 0..50 {
        let made = OrderKey::between(Some(&after), Some(&before)).unwrap();
        assert!(after < made && made < before);
        before = made;
    }
}

#[test]
fn where_nothing_fits_it_says_so() {
    for (after, before) in [
        (json!("a0"), json!("a0")),
        (json!("a1"), json!("a0")),
        (json!(1), json!(1)),
        (json!(2), json!(1)),
        (json!("a0"), json!(5)),
        (json!(1.0), json!(1.0 + f64::EPSILON)),
        (json!("a"), json!("a\u{0}")),
    ] {
        assert_eq!(
            between(Some(after.clone()), Some(before.clone())),
            None,
            "{after} {before}"
        );
    }
    let none = OrderKey::between(Some(&key(json!("a1"))), Some(&key(json!("a0")))).unwrap_err();
    assert_eq!(none.to_string(), "there is no place between `a1` and `a0`");
}

#[test]
fn appends_stay_short() {
    let keys = OrderKey::spread(100_000);
    assert!(keys.is_sorted_by(|a, b| a < b));
    assert_eq!(keys.len(), 100_000);
    assert!(keys.iter().all(|k| k.to_string().len() <= 4));
    let first = (0..10_000).fold(key(json!("a0")), |first, _| {
        let made = OrderKey::between(None, Some(&first)).unwrap();
        assert!(made < first);
        made
    });
    assert!(first.to_string().len() <= 4);
}

#[test]
fn keys_of_another_form_make_room_too() {
    for (after, before) in [
        ("0|hzzzzz:", "0|i00007:"),
        ("m", "n"),
        ("m", "m0"),
        ("m", "m00"),
        ("first", "second"),
        ("é", "ü"),
        ("", "a"),
        ("a", "a0"),
    ] {
        let (after, before) = (Some(json!(after)), Some(json!(before)));
        assert!(
            between(after.clone(), before.clone()).is_some(),
            "{after:?}"
        );
        assert!(between(after.clone(), None).is_some(), "{after:?}");
        assert!(between(None, before.clone()).is_some(), "{before:?}");
    }
    assert_eq!(
        between(Some(json!("m")), None),
        Some(json!("m0000000000000"))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_inserts_keep_a_strict_order(places in prop::collection::vec(any::<prop::sample::Index>(), 1..300)) {
        let mut keys: Vec<OrderKey> = Vec::new();
        for place in places {
            let at = place.index(keys.len() + 1);
            let after = at.checked_sub(1).map(|i| &keys[i]);
            let made = OrderKey::between(after, keys.get(at)).unwrap();
            keys.insert(at, made);
        }
        prop_assert!(keys.is_sorted_by(|a, b| a < b));
        // As SQLite and Firestore see them: by bytes.
        let texts: Vec<String> = keys.iter().map(OrderKey::to_string).collect();
        prop_assert!(texts.is_sorted_by(|a, b| a.as_bytes() < b.as_bytes()));
    }

    /// The worst there is: always beside the newest, on a random side.
    #[test]
    fn nested_inserts_keep_a_strict_order(sides in prop::collection::vec(any::<bool>(), 200)) {
        let (mut after, mut before) = (key(json!("a0")), key(json!("a1")));
        for side in sides {
            let made = OrderKey::between(Some(&after), Some(&before)).unwrap();
            prop_assert!(after < made && made < before);
            if side { after = made } else { before = made }
        }
        prop_assert!(after.to_string().len() < 210);
    }

    #[test]
    fn any_two_texts_have_room_at_their_ends(text in "[ -~]{1,8}") {
        let one = key(json!(text.clone()));
        prop_assert!(one < OrderKey::between(Some(&one), None).unwrap());
        if text.as_str() > "\"" {
            prop_assert!(OrderKey::between(None, Some(&one)).unwrap() < one);
        }
    }

    #[test]
    fn any_two_printable_texts_have_room_between(a in "[\"-~]{0,6}", b in "[0-~]{0,6}") {
        let (a, b) = if a < b { (a, b) } else { (b, a) };
        let (after, before) = (key(json!(a.clone())), key(json!(b.clone())));
        // `x` and `x"` are neighbours but for what nobody types.
        if a != b && b != format!("{a}\"") {
            let made = OrderKey::between(Some(&after), Some(&before)).unwrap();
            prop_assert!(after < made && made < before);
        }
    }
}
