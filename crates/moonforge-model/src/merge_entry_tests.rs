//! Entries of keyed maps that are made twice, and removed by one of the two.

use serde_json::json;

use crate::merge_tests::{in_order, increment, patch, set, unset};

#[test]
fn an_entry_that_lost_to_its_removal_leaves_no_half_behind() {
    let entry = |name: &str| json!({"name": name, "currentHp": 20});
    // They made an entry of the same name and removed it, all before ours came.
    let theirs = vec![
        patch(20, vec![set("combatants.k3", entry("Bat"))]),
        patch(40, vec![unset("combatants.k3")]),
    ];
    let ours = |second| {
        vec![
            patch(30, vec![set("combatants.k3", entry("Rat"))]),
            patch(second, vec![increment("combatants.k3.currentHp", -5)]),
        ]
    };
    let renamed = |second| {
        let mut rows = ours(35);
        rows.push(patch(second, vec![set("combatants.k3.name", "Cat")]));
        rows
    };
    for ours in [ours(35), renamed(38)] {
        let (version, merged) = in_order(&theirs, &ours);
        assert_eq!(version.fields["combatants"].get("k3"), None);
        assert_eq!(merged.conflicts.len(), ours.len());
    }
    let (version, _) = in_order(&theirs, &renamed(60));
    let whole = json!({"name": "Cat", "currentHp": 15});
    assert_eq!(version.fields["combatants"]["k3"], whole);
    // The hit is later than the removal, and keeps what it hits.
    let (version, _) = in_order(&theirs, &ours(50));
    let whole = json!({"name": "Rat", "currentHp": 15});
    assert_eq!(version.fields["combatants"]["k3"], whole);
}
