//! Maps against their parts: begun, emptied, set whole, and met by what is no map.

use serde_json::json;

use crate::conflict::LostSide;
use crate::fold::fold;
use crate::merge::merge;
use crate::merge_tests::{
    at, base, config, in_order, increment, met, patch, pushed, row, set, unset,
};
use crate::row::RowOp;

#[test]
fn what_an_earlier_merge_took_from_others_is_not_ours_to_lose() {
    let before = |second| {
        let entry = json!({"name": "Bat", "currentHp": 20});
        vec![
            patch(20, vec![set("combatants.k3", entry)]),
            patch(second, vec![increment("combatants.k3.currentHp", -5)]),
        ]
    };
    let first = pushed(&base(), &before(40), 1000);
    let entry = json!({"name": "Rat", "currentHp": 20});
    let ours = met(&[patch(30, vec![set("combatants.k3", entry)])], &first).rows;
    // They go on; our edit waits, with their hit points in it.
    let hit = patch(50, vec![increment("combatants.k3.currentHp", -5)]);
    let second = pushed(&first, &[hit], 1100);
    let merged = merge(&config(), Some(&first), &second, &ours, at(1100));
    let shown = fold(Some(&second), &merged.rows).fields;
    assert_eq!(
        shown["combatants"]["k3"],
        json!({"name": "Rat", "currentHp": 10})
    );
    assert_eq!(merged.conflicts, []);
}

#[test]
fn an_empty_map_that_was_begun_takes_nothing_from_one_with_members_in_either_order() {
    let (full, empty) = (set("props.a", json!({"x": 1})), set("props.a", json!({})));
    for (full_at, empty_at) in [(20, 30), (30, 20)] {
        let (full, empty) = (
            patch(full_at, vec![full.clone()]),
            patch(empty_at, vec![empty.clone()]),
        );
        for (first, second) in [(&full, &empty), (&empty, &full)] {
            let (version, merged) =
                in_order(std::slice::from_ref(first), std::slice::from_ref(second));
            assert_eq!(version.fields["props"]["a"], json!({"x": 1}));
            assert_eq!(merged.conflicts, []);
        }
    }
    // A map that is emptied, or set whole with an empty one in it, is another matter.
    let whole = [patch(30, vec![set("props", json!({"a": {}}))])];
    let full = [patch(20, vec![full])];
    let (one, two) = (in_order(&full, &whole).0, in_order(&whole, &full).0);
    assert_eq!(
        (&one.fields["props"], &one.fields),
        (&json!({"a": {}}), &two.fields)
    );
}

#[test]
fn a_value_that_stood_in_the_way_is_told_where_it_stood() {
    let deep = vec![patch(30, vec![set("props.a.b", "deep")])];
    let text = vec![patch(20, vec![set("props", json!({"a": "in the way"}))])];
    let (version, merged) = in_order(&deep, &text);
    assert_eq!(version.fields["props"], json!({"a": {"b": "deep"}}));
    let told: Vec<_> = merged
        .conflicts
        .iter()
        .map(|c| (&*c.field, &c.lost, c.lost_side))
        .collect();
    assert_eq!(told, [("props.a", &json!("in the way"), LostSide::Local)]);
    assert_eq!(
        merged.conflicts[0].bring_back,
        [set("props.a", "in the way")]
    );
    let text = vec![patch(20, vec![set("props.a", "in the way")])];
    let (version, merged) = in_order(&text, &deep);
    assert_eq!(version.fields["props"]["a"], json!({"b": "deep"}));
    assert_eq!(
        merged.conflicts[0].bring_back,
        [set("props.a", "in the way")]
    );
    assert_eq!(merged.conflicts[0].kept, json!({"b": "deep"}));
}

#[test]
fn a_value_that_looks_like_ours_but_stands_above_is_not_ours() {
    let deep = vec![patch(20, vec![set("props.a.b", json!([]))])];
    let above = vec![patch(30, vec![set("props.a", json!([]))])];
    for (first, second) in [(&deep, &above), (&above, &deep)] {
        let (version, merged) = in_order(first, second);
        assert_eq!(version.fields["props"]["a"], json!([]));
        assert_eq!(merged.conflicts.len(), 1);
    }
}

#[test]
fn what_one_put_in_the_place_of_his_own_does_not_come_back() {
    let twice = vec![
        patch(10, vec![set("props", json!({"a": {"c": "old"}}))]),
        patch(12, vec![set("props.a", "new")]),
    ];
    let part = vec![patch(20, vec![set("props.a.b", "theirs")])];
    for (first, second) in [(&twice, &part), (&part, &twice)] {
        let (version, _) = in_order(first, second);
        assert_eq!(version.fields["props"], json!({"a": {"b": "theirs"}}));
    }
    // Nor does what one made and took away again push aside what others put there.
    let gone = vec![
        patch(20, vec![set("props.a.b", "x")]),
        patch(21, vec![unset("props.a.b")]),
    ];
    let text = vec![patch(10, vec![set("props", json!({"a": "theirs"}))])];
    let (version, merged) = in_order(&text, &gone);
    assert_eq!(version.fields["props"], json!({"a": "theirs"}));
    assert_eq!(merged.conflicts, []);
}

#[test]
fn our_delete_tells_what_they_took_away() {
    let delete = row(
        1,
        20,
        RowOp::Delete {
            delete_id: "d1".into(),
        },
    );
    let (_, merged) = in_order(&[patch(30, vec![unset("round")])], &[delete]);
    assert_eq!(merged.conflicts[0].lost, json!({"round": null}));
}
