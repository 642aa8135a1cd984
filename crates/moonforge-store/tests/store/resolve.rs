//! Settling entries of the journal, and taking that back.

use moonforge_model::{
    Conflict, ConflictContext, ConflictReason, DecidedBy, DocRef, LostSide, PatchOp, RowOp,
};
use moonforge_store::{ConflictCounts, JournalEntry, Resolution, ResolvedBy, Store, Undone};
use serde_json::{Value, json};

use crate::support::*;

pub(crate) fn set(at: &str, value: Value) -> PatchOp {
    let path = path(at);
    PatchOp::Set { path, value }
}

fn text(from: &str, to: &str) -> PatchOp {
    PatchOp::Text {
        path: path("summary"),
        from: from.into(),
        to: to.into(),
    }
}

/// What a merge would have told of `field`.
pub(crate) fn told(field: &str, kept: Value, lost: Value, bring_back: Vec<PatchOp>) -> Conflict {
    Conflict {
        field: field.to_owned(),
        kept,
        lost,
        lost_side: LostSide::Local,
        reason: ConflictReason::Overwritten,
        bring_back,
        context: ConflictContext::default(),
    }
}

pub(crate) async fn journal(store: &Store, doc: &DocRef, conflict: Conflict, n: i64) -> u64 {
    let doc = doc.clone();
    let work = store
        .write(move |tx| Box::pin(async move { tx.journal(&doc, &conflict, second(n)).await }));
    work.await.unwrap();
    store.conflicts(true).await.unwrap()[0].conflict_id
}

const TEXT: &str = "one\ntwo\nthree";

/// A synced entity, and an entry that says that its name was "Vex" here.
pub(crate) async fn with_an_entry(store: &Store) -> (DocRef, u64) {
    let e = doc("entities", "e");
    let fields = json!({"campaignId": "c", "kind": "npc", "name": "Mira", "summary": TEXT, "tags": ["x"],
        "props": {"gold": 3}});
    synced(store, &e, fields, 2, 10).await;
    let entry = told(
        "name",
        json!("Mira"),
        json!("Vex"),
        vec![set("name", json!("Vex"))],
    );
    let id = journal(store, &e, entry, 11).await;
    (e, id)
}

async fn name(store: &Store, doc: &DocRef) -> Value {
    content(store, doc).await["name"].clone()
}

pub(crate) async fn resolve(store: &Store, id: u64, resolution: Resolution, n: i64) {
    store.resolve_conflict(id, resolution, at(n)).await.unwrap();
}

pub(crate) async fn undo(store: &Store, id: u64, n: i64) -> Undone {
    store.undo_resolution(id, at(n)).await.unwrap()
}

pub(crate) fn restored(path: &str) -> Undone {
    Undone {
        restored: vec![path.to_owned()],
        left: vec![],
    }
}

fn left(path: &str) -> Undone {
    Undone {
        restored: vec![],
        left: vec![path.to_owned()],
    }
}

async fn rows(store: &Store) -> usize {
    store.outbox().await.unwrap().len()
}

#[tokio::test]
async fn each_way_to_settle_an_entry_is_a_row_of_its_own_and_can_be_taken_back() {
    for (resolution, by, wanted) in [
        (Resolution::Keep, ResolvedBy::Keep, "Mira"),
        (Resolution::Take, ResolvedBy::Take, "Vex"),
        (
            Resolution::Value(json!("Mira Vex")),
            ResolvedBy::Value,
            "Mira Vex",
        ),
    ] {
        let store = memory().await;
        let (e, id) = with_an_entry(&store).await;
        let written = store
            .resolve_conflict(id, resolution.clone(), at(20))
            .await
            .unwrap();
        assert_eq!(written.is_some(), by != ResolvedBy::Keep);
        assert_eq!(name(&store, &e).await, wanted);
        let edits = usize::from(written.is_some());
        assert_eq!(rows(&store).await, edits);
        let entry = store.conflict(id).await.unwrap();
        assert_eq!(
            (entry.resolved_at, entry.resolved_by),
            (Some(second(20)), Some(by))
        );
        assert_eq!(store.conflicts(false).await.unwrap(), []);
        let again = store.resolve_conflict(id, resolution, at(21)).await;
        assert_eq!(code(again), "already_settled");

        let undone = undo(&store, id, 22).await;
        let wanted = if edits == 1 {
            restored("name")
        } else {
            Undone::default()
        };
        assert_eq!(undone, wanted);
        assert_eq!(name(&store, &e).await, "Mira");
        assert_eq!(rows(&store).await, 2 * edits);
        let open = store.conflicts(false).await.unwrap();
        assert_eq!((open[0].conflict_id, open[0].resolved_by), (id, None));
        assert_eq!(code(store.undo_resolution(id, at(23)).await), "not_settled");
        assert_eq!(store.doctor().await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_later_edit_is_not_overwritten_by_an_undo() {
    let store = memory().await;
    let (e, id) = with_an_entry(&store).await;
    resolve(&store, id, Resolution::Take, 20).await;
    put(&store, &e, json!({"name": "Later"}), 21).await;
    let before = rows(&store).await;
    assert_eq!(undo(&store, id, 22).await, left("name"));
    assert_eq!(name(&store, &e).await, "Later");
    assert_eq!(
        (
            rows(&store).await,
            store.conflicts(false).await.unwrap().len()
        ),
        (before, 1)
    );
    // The same where the document is gone by then.
    resolve(&store, id, Resolution::Take, 23).await;
    store.delete(e.clone(), at(24)).await.unwrap();
    assert_eq!(undo(&store, id, 25).await, left("name"));
    assert!(store.get(&e).await.unwrap().unwrap().deleted.is_some());
}

#[tokio::test]
async fn what_was_edited_since_the_entry_is_journaled_by_its_resolution() {
    for resolution in [Resolution::Take, Resolution::Value(json!("Third"))] {
        let store = memory().await;
        let (e, id) = with_an_entry(&store).await;
        put(&store, &e, json!({"name": "Unseen"}), 12).await;
        resolve(&store, id, resolution, 20).await;
        let open = store.conflicts(false).await.unwrap();
        assert_eq!(open.len(), 1);
        assert_eq!(open[0].conflict.lost, "Unseen");
        assert_eq!(open[0].conflict.bring_back, [set("name", json!("Unseen"))]);
    }
}

#[tokio::test]
async fn what_others_counted_added_or_wrote_beside_it_survives_an_undo() {
    let store = memory().await;
    let (e, _) = with_an_entry(&store).await;
    let union = |value: &str| PatchOp::ArrayUnion {
        path: path("tags"),
        values: vec![value.into()],
    };
    let entries = [
        (
            "props.gold",
            vec![PatchOp::increment(path("props.gold"), 4)],
        ),
        ("tags", vec![union("y")]),
        ("summary", vec![text(TEXT, "one\nTWO\nthree")]),
    ];
    let mut ids = Vec::new();
    for (n, (field, ops)) in (30..).zip(entries) {
        let mut entry = told(field, Value::Null, Value::Null, ops);
        entry.reason = ConflictReason::MayHaveBeenApplied;
        let id = journal(&store, &e, entry, n).await;
        resolve(&store, id, Resolution::Take, n).await;
        ids.push((id, field));
    }
    let after = content(&store, &e).await;
    assert_eq!(
        (&after["props"]["gold"], &after["tags"]),
        (&json!(7), &json!(["x", "y"]))
    );
    let beside = vec![
        PatchOp::increment(path("props.gold"), 10),
        union("z"),
        text("one\nTWO\nthree", "one\nTWO\nTHREE"),
    ];
    store.patch(e.clone(), None, beside, at(40)).await.unwrap();
    for (id, field) in ids {
        assert_eq!(undo(&store, id, 50).await, restored(field), "{field}");
    }
    let now = content(&store, &e).await;
    assert_eq!(now["props"]["gold"], 13);
    assert_eq!(now["tags"], json!(["x", "z"]));
    assert_eq!(now["summary"], "one\ntwo\nTHREE");
}

#[tokio::test]
async fn lines_that_were_edited_since_stay_as_they_are() {
    let store = memory().await;
    let (e, _) = with_an_entry(&store).await;
    let entry = told(
        "summary",
        json!("two\n"),
        json!("TWO\n"),
        vec![text(TEXT, "one\nTWO\nthree")],
    );
    let id = journal(&store, &e, entry, 30).await;
    // A value is for the text as a whole, and meets what came since by line.
    put(&store, &e, json!({"summary": "zero\none\ntwo\nthree"}), 31).await;
    resolve(&store, id, Resolution::Value(json!("one\n2\nthree")), 32).await;
    assert_eq!(content(&store, &e).await["summary"], "zero\none\n2\nthree");
    put(&store, &e, json!({"summary": "zero\none\n22\nthree"}), 33).await;
    assert_eq!(undo(&store, id, 34).await, left("summary"));
    assert_eq!(content(&store, &e).await["summary"], "zero\none\n22\nthree");
}

#[tokio::test]
async fn a_part_of_an_entry_that_is_gone_brings_the_whole_entry_back() {
    let store = memory().await;
    let e = doc("encounters", "e");
    let fields =
        json!({"campaignId": "c", "name": "Ambush", "combatants": {"k2": {"name": "Elf"}}});
    synced(&store, &e, fields, 2, 10).await;
    let at_path = "combatants.k1.currentHp";
    let hit = PatchOp::increment(path(at_path), -5);
    let mut entry = told(at_path, Value::Null, json!(10), vec![hit]);
    entry.reason = ConflictReason::Deleted;
    let orc = json!({"name": "Orc", "currentHp": 10});
    entry.context.entry = Some(orc.clone());
    let id = journal(&store, &e, entry, 11).await;
    resolve(&store, id, Resolution::Take, 12).await;
    assert_eq!(content(&store, &e).await["combatants"]["k1"], orc);
    assert_eq!(undo(&store, id, 13).await, restored("combatants.k1"));
    assert_eq!(
        content(&store, &e).await["combatants"],
        json!({"k2": {"name": "Elf"}})
    );
}

#[tokio::test]
async fn a_document_that_was_made_again_goes_with_the_undo_unless_it_was_edited() {
    let store = memory().await;
    let s = doc("scenes", "s");
    put(&store, &s, json!({"campaignId": "c", "title": "Ash"}), 1).await;
    let n = store.outbox().await.unwrap()[0].row.row.n;
    store.discard(n, second(2)).await.unwrap();
    let id = store.conflicts(false).await.unwrap()[0].conflict_id;
    assert_eq!(
        code(
            store
                .resolve_conflict(id, Resolution::Value(json!(1)), at(3))
                .await
        ),
        "not_a_field"
    );
    let other = json!({"campaignId": "c", "title": "Cinder"});
    resolve(&store, id, Resolution::Value(other), 3).await;
    assert_eq!(content(&store, &s).await["title"], "Cinder");
    assert_eq!(undo(&store, id, 4).await, restored("*"));
    assert!(store.get(&s).await.unwrap().unwrap().deleted.is_some());
    let last = store.outbox().await.unwrap().pop().unwrap();
    assert!(matches!(last.row.row.op, RowOp::Delete { .. }), "{last:?}");

    let store = memory().await;
    small_campaign(&store).await;
    let chapter = doc("chapters", "new");
    put(
        &store,
        &chapter,
        json!({"campaignId": "c", "adventureId": "a", "name": "New"}),
        1,
    )
    .await;
    let n = store.outbox().await.unwrap().pop().unwrap().row.row.n;
    store.discard(n, second(2)).await.unwrap();
    let id = store.conflicts(false).await.unwrap()[0].conflict_id;
    resolve(&store, id, Resolution::Take, 3).await;
    let below = json!({"campaignId": "c", "chapterId": "new", "title": "x"});
    put(&store, &doc("scenes", "below"), below, 4).await;
    assert_eq!(
        undo(&store, id, 5).await,
        left("*"),
        "another document would go with it"
    );
    assert!(
        store
            .get(&chapter)
            .await
            .unwrap()
            .unwrap()
            .deleted
            .is_none()
    );
}

#[tokio::test]
async fn what_can_not_be_written_changes_nothing() {
    let store = memory().await;
    let (e, id) = with_an_entry(&store).await;
    let deleted = journal(
        &store,
        &e,
        told("deletedAt", Value::Null, json!({"name": "x"}), vec![]),
        12,
    )
    .await;
    let before = (
        content(&store, &e).await,
        store.conflicts(true).await.unwrap(),
    );
    for (id, resolution, wanted) in [
        (id, Resolution::Value(json!(7)), "wrong_type"),
        (deleted, Resolution::Value(json!("x")), "not_a_field"),
        (deleted, Resolution::Take, "nothing_to_bring_back"),
        (99, Resolution::Keep, "not_found"),
    ] {
        let refused = store.resolve_conflict(id, resolution, at(20)).await;
        assert_eq!(code(refused), wanted);
    }
    assert_eq!(code(store.undo_resolution(99, at(20)).await), "not_found");
    assert_eq!(
        (
            content(&store, &e).await,
            store.conflicts(true).await.unwrap()
        ),
        before
    );
    assert_eq!(rows(&store).await, 0);
}

#[tokio::test]
async fn what_the_app_decided_is_settled_as_it_is_entered_and_can_be_opened() {
    let store = memory().await;
    let (e, first) = with_an_entry(&store).await;
    let mut entry = told(
        "name",
        json!("Mira"),
        json!("Nox"),
        vec![set("name", json!("Nox"))],
    );
    entry.context.decided_by = Some(DecidedBy::Resolver);
    let id = journal(&store, &e, entry, 12).await;
    let ids = |entries: Vec<JournalEntry>| -> Vec<u64> {
        entries.iter().map(|e| e.conflict_id).collect()
    };
    assert_eq!(ids(store.conflicts(false).await.unwrap()), [first]);
    assert_eq!(
        ids(store.conflicts_of(&e, true).await.unwrap()),
        [id, first]
    );
    let settled = store.conflict(id).await.unwrap();
    assert_eq!(
        (settled.resolved_at, settled.resolved_by),
        (Some(second(12)), Some(ResolvedBy::Resolver))
    );
    assert_eq!(undo(&store, id, 13).await, Undone::default());
    resolve(&store, id, Resolution::Take, 14).await;
    assert_eq!(name(&store, &e).await, "Nox");
    let counts = ConflictCounts {
        open: 1,
        undecided: 0,
        settled: 1,
    };
    assert_eq!(store.conflict_counts().await.unwrap(), counts);
}
