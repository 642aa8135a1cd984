//! Two devices edit one document; whoever syncs first, both end with the same.

use serde_json::{Value, json};

use crate::conflict::{ConflictReason, LostSide};
use crate::fold::fold;
use crate::merge::{Merged, merge};
use crate::patch::{PatchOp, apply};
use crate::registry::Registry;
use crate::row::{Row, RowOp};
use crate::schema::CollectionConfig;
use crate::time::Timestamp;
use crate::value::Fields;
use crate::version::{Deletion, EDITED_ALL, Envelope, Version};

pub(crate) fn config() -> CollectionConfig {
    Registry::builtin().get("encounters").unwrap().clone()
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000)
}

pub(crate) fn fields(value: Value) -> Fields {
    value.as_object().unwrap().clone()
}

/// The version that everyone starts from, made at second 10.
pub(crate) fn base() -> Version {
    Version {
        fields: fields(json!({
            "campaignId": "c", "name": "Ambush", "notes": "one\ntwo\nthree\n", "round": 1,
            "entityIds": ["e1"], "props": {"gold": 5, "lit": true},
            "combatants": {"k1": {"name": "Orc", "currentHp": 15}, "k2": {"name": "Elf", "currentHp": 9}},
        })),
        envelope: Envelope {
            update_time: at(10),
            rev: Some(0),
            updated_at: Some(at(10)),
            deleted: None,
            edited: [(EDITED_ALL.to_owned(), at(9))].into(),
            writers: Default::default(),
        },
    }
}

pub(crate) fn row(n: u64, second: i64, op: RowOp) -> Row {
    let (incarnation, op_id) = ("i".to_owned(), format!("op{n}"));
    Row {
        n,
        incarnation,
        op_id,
        edited_at: at(second),
        op,
        sent: false,
        parked: None,
    }
}

pub(crate) fn patch(second: i64, ops: Vec<PatchOp>) -> Row {
    row(second as u64, second, RowOp::Patch { ops })
}

pub(crate) fn set(path: &str, value: impl Into<Value>) -> PatchOp {
    PatchOp::Set {
        path: path.parse().unwrap(),
        value: value.into(),
    }
}

pub(crate) fn unset(path: &str) -> PatchOp {
    PatchOp::Unset {
        path: path.parse().unwrap(),
    }
}

pub(crate) fn increment(path: &str, by: i64) -> PatchOp {
    PatchOp::increment(path.parse().unwrap(), by)
}

/// What the server holds after these rows were pushed over `base`.
pub(crate) fn pushed(base: &Version, rows: &[Row], second: i64) -> Version {
    let folded = fold(Some(base), rows);
    let mut version = base.clone();
    version.fields = folded.fields;
    version.envelope.edited = folded.edited;
    version.envelope.deleted = folded.deleted;
    version.envelope.update_time = at(second);
    version.envelope.updated_at = Some(at(second));
    version.envelope.rev = version.envelope.rev.map(|r| r + 1);
    version
}

pub(crate) fn met(rows: &[Row], theirs: &Version) -> Merged {
    merge(
        &config(),
        Some(&base()),
        theirs,
        rows,
        theirs.envelope.update_time.max(at(1000)),
    )
}

/// `first` is pushed as it is, `second` merged onto it and pushed.
pub(crate) fn in_order(first: &[Row], second: &[Row]) -> (Version, Merged) {
    let theirs = pushed(&base(), first, 1000);
    let merged = met(second, &theirs);
    let last = if merged.rows.is_empty() {
        theirs
    } else {
        pushed(&theirs, &merged.rows, 1001)
    };
    (last, merged)
}

pub(crate) fn name_of(version: &Version) -> &str {
    version.fields["name"].as_str().unwrap()
}

#[test]
fn the_later_edit_wins_whoever_syncs_first_and_the_other_is_journaled() {
    let (early, late) = (
        vec![patch(20, vec![set("name", "Early")])],
        vec![patch(30, vec![set("name", "Late")])],
    );
    let (one, merged) = in_order(&early, &late);
    assert_eq!(name_of(&one), "Late");
    assert_eq!(merged.conflicts.len(), 1);
    assert_eq!(
        (&merged.conflicts[0].kept, &merged.conflicts[0].lost),
        (&json!("Late"), &json!("Early"))
    );
    assert_eq!(merged.conflicts[0].lost_side, LostSide::Remote);
    let (two, merged) = in_order(&late, &early);
    assert_eq!(name_of(&two), "Late");
    assert!(merged.rows.is_empty());
    assert_eq!(
        (&merged.conflicts[0].kept, &merged.conflicts[0].lost),
        (&json!("Late"), &json!("Early"))
    );
    assert_eq!(merged.conflicts[0].lost_side, LostSide::Local);
}

#[test]
fn a_tie_goes_to_the_greater_text() {
    let (a, b) = (
        vec![patch(20, vec![set("name", "A")])],
        vec![patch(20, vec![set("name", "B")])],
    );
    assert_eq!(name_of(&in_order(&a, &b).0), "B");
    assert_eq!(name_of(&in_order(&b, &a).0), "B");
}

#[test]
fn the_same_value_is_no_conflict() {
    let rows = vec![patch(20, vec![set("name", "Same")])];
    let (version, merged) = in_order(&rows, &[patch(30, vec![set("name", "Same")])]);
    assert_eq!((name_of(&version), merged.conflicts.len()), ("Same", 0));
}

#[test]
fn increments_add_up_and_never_conflict() {
    let (a, b) = (
        vec![patch(20, vec![increment("props.gold", 3)])],
        vec![patch(21, vec![increment("props.gold", -1)])],
    );
    let (version, merged) = in_order(&a, &b);
    assert_eq!(
        (&version.fields["props"]["gold"], merged.conflicts.len()),
        (&json!(7), 0)
    );
}

#[test]
fn an_increment_of_what_became_a_text_is_journaled() {
    let theirs = vec![patch(20, vec![set("props.gold", "plenty")])];
    let (version, merged) = in_order(&theirs, &[patch(30, vec![increment("props.gold", 3)])]);
    assert_eq!(version.fields["props"]["gold"], json!("plenty"));
    assert_eq!(merged.conflicts[0].reason, ConflictReason::TypeChanged);
    assert_eq!(merged.conflicts[0].bring_back, [increment("props.gold", 3)]);
}

#[test]
fn of_several_sets_the_last_is_compared_and_takes_the_others_along() {
    let ours = vec![
        patch(20, vec![set("round", 7)]),
        patch(21, vec![increment("round", 1)]),
        patch(22, vec![set("round", 9)]),
        patch(40, vec![increment("round", 2)]),
    ];
    let (version, merged) = in_order(&[patch(30, vec![set("round", 100)])], &ours);
    assert_eq!(version.fields["round"], json!(102));
    assert_eq!(merged.rows.len(), 1);
    assert_eq!(merged.conflicts.len(), 1);
}

#[test]
fn an_older_whole_map_keeps_newer_members_of_others() {
    let whole = vec![patch(20, vec![set("props", json!({"silver": 1}))])];
    let member = vec![patch(30, vec![set("props.gold", 8)])];
    let wanted = json!({"silver": 1, "gold": 8});
    assert_eq!(in_order(&whole, &member).0.fields["props"], wanted);
    let (version, merged) = in_order(&member, &whole);
    assert_eq!(version.fields["props"], wanted);
    // Theirs is all there; of ours the removal of one member went.
    let fields: Vec<_> = merged.conflicts.iter().map(|c| c.field.as_str()).collect();
    assert_eq!(fields, ["props.gold"]);
}

#[test]
fn a_change_inside_a_removed_entry_brings_the_whole_entry_back_or_goes() {
    let removal = vec![patch(20, vec![unset("combatants.k1")])];
    let hit = |second| {
        vec![patch(
            second,
            vec![increment("combatants.k1.currentHp", -5)],
        )]
    };
    let (version, merged) = in_order(&removal, &hit(30));
    assert_eq!(
        version.fields["combatants"]["k1"],
        json!({"name": "Orc", "currentHp": 10})
    );
    assert_eq!(merged.conflicts.len(), 1);
    let (version, merged) = in_order(&removal, &hit(15));
    assert_eq!(version.fields["combatants"].get("k1"), None);
    assert_eq!(merged.conflicts[0].reason, ConflictReason::Deleted);
}

#[test]
fn an_entry_changed_before_its_removal_came_stays_whole() {
    for removal in ["combatants.k1", "combatants"] {
        let removal = vec![patch(20, vec![unset(removal)])];
        let hit = vec![patch(30, vec![increment("combatants.k1.currentHp", -5)])];
        let whole = json!({"name": "Orc", "currentHp": 10});
        let (one, _) = in_order(&hit, &removal);
        assert_eq!(one.fields["combatants"]["k1"], whole);
        let (two, _) = in_order(&removal, &hit);
        assert_eq!(one.fields, two.fields);
    }
}

#[test]
fn where_both_lose_a_part_of_an_entry_the_journal_has_both() {
    let entry = |name: &str| json!({"name": name, "currentHp": 20});
    let theirs = vec![
        patch(20, vec![set("combatants.k3", entry("Bat"))]),
        patch(40, vec![increment("combatants.k3.currentHp", -5)]),
    ];
    let ours = vec![patch(30, vec![set("combatants.k3", entry("Rat"))])];
    let (version, merged) = in_order(&theirs, &ours);
    assert_eq!(
        version.fields["combatants"]["k3"],
        json!({"name": "Rat", "currentHp": 15})
    );
    let lost: Vec<_> = merged
        .conflicts
        .iter()
        .map(|c| (c.field.as_str(), c.lost_side, c.lost.clone()))
        .collect();
    let part = ("combatants.k3.currentHp", LostSide::Local, json!(20));
    let whole = (
        "combatants.k3",
        LostSide::Remote,
        json!({"name": "Bat", "currentHp": 15}),
    );
    assert_eq!(lost, [part, whole]);
}

#[test]
fn a_lost_line_of_a_text_can_be_brought_back() {
    let line = |text: &str| {
        vec![PatchOp::Text {
            path: "notes".parse().unwrap(),
            from: "one\ntwo\nthree\n".into(),
            to: format!("one\n{text}\nthree\n"),
        }]
    };
    for (ours, theirs, kept, lost) in [(30, 20, "mine", "yours"), (20, 30, "yours", "mine")] {
        let (mut version, merged) = in_order(
            &[patch(theirs, line("yours"))],
            &[patch(ours, line("mine"))],
        );
        assert_eq!(version.fields["notes"], format!("one\n{kept}\nthree\n"));
        apply(&mut version.fields, &merged.conflicts[0].bring_back[0]).unwrap();
        assert_eq!(version.fields["notes"], format!("one\n{lost}\nthree\n"));
    }
}

#[test]
fn an_increment_that_no_longer_fits_is_journaled() {
    let near = vec![patch(20, vec![set("props.gold", i64::MAX - 3)])];
    let (version, merged) = in_order(&near, &[patch(30, vec![increment("props.gold", 10)])]);
    assert_eq!(version.fields["props"]["gold"], json!(i64::MAX - 3));
    assert_eq!(merged.conflicts.len(), 1);
    assert_eq!(
        merged.conflicts[0].bring_back,
        [increment("props.gold", 10)]
    );
}

#[test]
fn a_delete_wins_and_the_edit_is_in_the_tombstone_and_the_journal() {
    let delete = vec![row(
        1,
        20,
        RowOp::Delete {
            delete_id: "d1".into(),
        },
    )];
    let edit = vec![patch(30, vec![set("name", "Edited")])];
    let (one, merged) = in_order(&delete, &edit);
    assert!(one.envelope.deleted.is_some());
    assert_eq!(name_of(&one), "Edited");
    assert_eq!(merged.conflicts[0].lost, json!({"name": "Edited"}));
    let (two, merged) = in_order(&edit, &delete);
    assert!(two.envelope.deleted.is_some());
    assert_eq!(name_of(&two), "Edited");
    assert_eq!(merged.conflicts[0].lost, json!({"name": "Edited"}));
}

#[test]
fn of_two_deletes_the_first_keeps_its_id_and_only_its_restore_works() {
    let delete = |id: &str| {
        row(
            1,
            20,
            RowOp::Delete {
                delete_id: id.into(),
            },
        )
    };
    let restore = |id: &str| {
        row(
            2,
            40,
            RowOp::Restore {
                delete_id: id.into(),
            },
        )
    };
    let (version, merged) = in_order(&[delete("d1")], &[delete("d2"), restore("d2")]);
    assert!(merged.rows.is_empty());
    let tombstone: &Deletion = version.envelope.deleted.as_ref().unwrap();
    assert_eq!(tombstone.id(), "d1");
    let restored = merge(
        &config(),
        Some(&version),
        &version,
        &[restore("d1")],
        at(2000),
    );
    assert!(
        pushed(&version, &restored.rows, 1002)
            .envelope
            .deleted
            .is_none()
    );
}

#[test]
fn two_creations_of_one_id_merge_and_the_earlier_created_at_stays_untold() {
    let mut theirs = base();
    theirs.fields = fields(
        json!({"campaignId": "c", "name": "Theirs", "createdAt": "2026-01-02T00:00:00Z", "status": "ready"}),
    );
    let created =
        json!({"campaignId": "c", "name": "Ours", "createdAt": "2026-01-01T00:00:00Z", "round": 2});
    let ours = row(
        1,
        30,
        RowOp::Create {
            fields: fields(created),
        },
    );
    let merged = merge(&config(), None, &theirs, &[ours], at(1000));
    let version = pushed(&theirs, &merged.rows, 1001);
    let wanted = json!({"campaignId": "c", "name": "Ours", "createdAt": "2026-01-01T00:00:00Z", "status": "ready", "round": 2});
    assert_eq!(Value::Object(version.fields), wanted);
    assert_eq!(
        merged
            .conflicts
            .iter()
            .map(|c| c.field.as_str())
            .collect::<Vec<_>>(),
        ["name"]
    );
}

#[test]
fn an_edit_of_a_client_that_keeps_no_edited_counts_from_the_documents_time() {
    let mut theirs = base();
    theirs.fields.insert("name".into(), "Console".into());
    theirs.envelope.update_time = at(500);
    theirs.envelope.updated_at = Some(at(500));
    assert!(
        met(&[patch(400, vec![set("name", "Ours")])], &theirs)
            .rows
            .is_empty()
    );
    assert_eq!(
        met(&[patch(600, vec![set("name", "Ours")])], &theirs)
            .rows
            .len(),
        1
    );
}

#[test]
fn an_edit_from_the_future_counts_as_made_when_it_was_read() {
    let theirs = pushed(&base(), &[patch(900, vec![set("name", "Theirs")])], 1000);
    let ours = [patch(99_999, vec![set("name", "Ours")])];
    let merged = merge(&config(), Some(&base()), &theirs, &ours, at(850));
    assert!(merged.rows.is_empty());
}

#[test]
fn an_edit_after_a_restore_that_came_too_late_is_journaled() {
    let mut base = base();
    base.envelope.deleted = Some(Deletion {
        at: at(10),
        delete_id: Some("d1".into()),
        purge_at: None,
    });
    let mut theirs = base.clone();
    theirs.envelope.update_time = at(30);
    theirs.envelope.deleted = Some(Deletion {
        at: at(30),
        delete_id: Some("d2".into()),
        purge_at: None,
    });
    let delete_id = "d1".to_owned();
    let rows = [
        row(1, 20, RowOp::Restore { delete_id }),
        patch(21, vec![set("name", "Mine")]),
    ];
    let merged = merge(&config(), Some(&base), &theirs, &rows, at(40));
    assert_eq!(merged.rows, rows[1..]);
    assert_eq!(merged.conflicts.len(), 1);
    assert_eq!(merged.conflicts[0].reason, ConflictReason::Deleted);
}
