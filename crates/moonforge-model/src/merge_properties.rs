//! Properties of the merge: deterministic, idempotent, the same in either order, nothing untold.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::merge::merge;
use crate::merge_tests::{
    at, base, config, in_order, increment, met, name_of, patch, pushed, set, unset,
};
use crate::patch::{PatchOp, apply, diff, diff_present};
use crate::value::{Fields, value_at};
use crate::version::Version;

/// Paths on which both sides may do the same kind of thing without an order between them mattering.
fn edit() -> impl Strategy<Value = PatchOp> {
    let word = || "[a-e]{1,3}";
    prop_oneof![
        word().prop_map(|w| set("name", w)),
        word().prop_map(|w| set("props.mood", w)),
        word().prop_map(|w| set("props", json!({ "mood": w }))),
        Just(unset("props.lit")),
        Just(unset("props")),
        word().prop_map(|w| set("combatants.k1.name", w)),
        Just(unset("combatants.k1")),
        Just(unset("combatants")),
        (-9..9i64).prop_map(|n| increment("combatants.k1.currentHp", n)),
        (-9..9i64).prop_map(|n| increment("round", n)),
        word().prop_map(|w| PatchOp::ArrayUnion {
            path: "entityIds".parse().unwrap(),
            values: vec![w.into()]
        }),
        (0..4usize, word()).prop_map(|(line, w)| {
            let from = "one\ntwo\nthree\n".to_owned();
            let mut lines: Vec<&str> = from.lines().collect();
            lines.insert(line, &w);
            let to = lines.join("\n") + "\n";
            PatchOp::Text {
                path: "notes".parse().unwrap(),
                from,
                to,
            }
        }),
    ]
}

/// A value without the order of what unions appended.
fn unordered(version: &Version) -> (Fields, Vec<String>) {
    let mut fields = version.fields.clone();
    let list = fields.remove("entityIds").unwrap_or_default();
    let mut ids: Vec<String> = list
        .as_array()
        .into_iter()
        .flatten()
        .map(ToString::to_string)
        .collect();
    ids.sort();
    (fields, ids)
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-c]{1,2}", inner, 0..4)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

fn document() -> impl Strategy<Value = Fields> {
    prop::collection::btree_map("name|notes|props|round|odd|combatants", json_value(), 0..5)
        .prop_map(|m| m.into_iter().collect())
}

proptest! {
    #[test]
    fn either_order_shows_the_same(a in edit(), b in edit(), ta in 11..60i64, tb in 11..60i64) {
        prop_assume!(ta != tb);
        let (a, b) = (vec![patch(ta, vec![a])], vec![patch(tb, vec![b])]);
        let (one, two) = (in_order(&a, &b).0, in_order(&b, &a).0);
        prop_assert_eq!(unordered(&one), unordered(&two));
    }

    #[test]
    fn merging_again_changes_nothing(a in edit(), b in edit(), ta in 11..60i64, tb in 11..60i64) {
        let theirs = pushed(&base(), &[patch(ta, vec![a])], 1000);
        let once = met(&[patch(tb, vec![b])], &theirs);
        let again = merge(&config(), Some(&theirs), &theirs, &once.rows, at(1000));
        prop_assert_eq!(&again.rows, &once.rows);
        prop_assert!(again.conflicts.is_empty());
    }

    #[test]
    fn what_loses_is_journaled(a in "[a-m]{3}", b in "[n-z]{3}", ta in 11..60i64, tb in 11..60i64) {
        let (version, merged) = in_order(&[patch(ta, vec![set("name", a.clone())])], &[patch(tb, vec![set("name", b.clone())])]);
        let lost = if name_of(&version) == a { b } else { a };
        prop_assert_eq!(&merged.conflicts[0].lost, &json!(lost));
    }

    #[test]
    fn disjoint_edits_all_survive(gold in 0..99i64, w in "[a-z]{2}", hp in -9..9i64) {
        let ours = vec![patch(20, vec![set("props.silver", gold), increment("combatants.k2.currentHp", hp)])];
        let theirs = vec![patch(30, vec![set("name", w.clone()), set("combatants.k1.name", w.clone())])];
        let (version, merged) = in_order(&theirs, &ours);
        prop_assert!(merged.conflicts.is_empty());
        prop_assert_eq!(&version.fields["props"]["silver"], &json!(gold));
        prop_assert_eq!(&version.fields["combatants"]["k2"]["currentHp"], &json!(9 + hp));
        prop_assert_eq!(name_of(&version), &w);
    }

    #[test]
    fn apply_undoes_diff(old in document(), new in document()) {
        let mut fields = old.clone();
        for op in diff(&config(), &old, &new) {
            apply(&mut fields, &op).unwrap();
        }
        prop_assert_eq!(fields, new);
    }

    #[test]
    fn what_is_not_given_is_not_touched(old in document(), part in document()) {
        let mut fields = old.clone();
        for op in diff_present(&config(), &old, &part) {
            apply(&mut fields, &op).unwrap();
        }
        for (name, value) in &old {
            if !part.contains_key(name) {
                prop_assert_eq!(value_at(&fields, &crate::FieldPath::field(name)), Some(value));
            }
        }
        prop_assert!(diff_present(&config(), &fields, &part).is_empty());
    }
}
