//! What is given up goes to the journal, and can be taken back.

use moonforge_model::{ConflictReason, Deletion, LostSide, PatchOp, RowOp};
use moonforge_store::{Base, JournalEntry, Store};
use serde_json::{Value, json};

use crate::support::*;

fn set(at: &str, value: Value) -> PatchOp {
    let path = path(at);
    PatchOp::Set { path, value }
}

async fn rows(store: &Store) -> Vec<u64> {
    let rows = store.outbox().await.unwrap();
    rows.iter().map(|r| r.row.row.n).collect()
}

async fn journal(store: &Store) -> Vec<JournalEntry> {
    let mut entries = store.conflicts(true).await.unwrap();
    entries.reverse();
    entries
}

/// Field, kept and lost of each entry.
async fn told(store: &Store) -> Vec<(String, Value, Value)> {
    let entry = |e: JournalEntry| {
        assert_eq!(
            (e.conflict.reason, e.conflict.lost_side),
            (ConflictReason::Discarded, LostSide::Local)
        );
        (e.conflict.field, e.conflict.kept, e.conflict.lost)
    };
    journal(store).await.into_iter().map(entry).collect()
}

fn entry(field: &str, kept: Value, lost: Value) -> (String, Value, Value) {
    (field.to_owned(), kept, lost)
}

#[tokio::test]
async fn each_path_of_a_discarded_edit_has_its_entry() {
    let store = memory().await;
    let e = doc("entities", "e");
    let base = json!({"campaignId": "c", "kind": "npc", "name": "Mira", "summary": "a\nb", "tags": ["x"],
        "props": {"gold": 3}, "placeType": "inn"});
    synced(&store, &e, base.clone(), 2, 10).await;
    let ops = vec![
        set("name", json!("Vex")),
        set("summary", json!("a\nB")),
        PatchOp::increment(path("props.gold"), 2),
        PatchOp::ArrayUnion {
            path: path("tags"),
            values: vec![json!("y")],
        },
        PatchOp::Unset {
            path: path("placeType"),
        },
    ];
    store.patch(e.clone(), None, ops, at(11)).await.unwrap();
    let edited = content(&store, &e).await;
    assert_eq!(
        store
            .discard(rows(&store).await[0], second(12))
            .await
            .unwrap(),
        1
    );
    assert_eq!(content(&store, &e).await, base);
    assert_eq!(
        told(&store).await,
        [
            entry("name", json!("Mira"), json!("Vex")),
            entry("summary", json!("a\nb"), json!("a\nB")),
            entry("props.gold", json!(3), json!(5)),
            entry("tags", json!(["x"]), json!(["x", "y"])),
            entry("placeType", json!("inn"), Value::Null),
        ]
    );
    for entry in journal(&store).await {
        store
            .take_conflict(entry.conflict_id, at(20))
            .await
            .unwrap();
    }
    assert_eq!(content(&store, &e).await, edited);
}

#[tokio::test]
async fn an_edit_between_others_is_journaled_with_its_own_values() {
    let store = memory().await;
    let c = doc("campaigns", "c");
    synced(&store, &c, json!({"name": "A"}), 2, 10).await;
    put(&store, &c, json!({"name": "B"}), 11).await;
    put(&store, &c, json!({"name": "C"}), 12).await;
    store
        .discard(rows(&store).await[0], second(13))
        .await
        .unwrap();
    assert_eq!(content(&store, &c).await["name"], "C");
    assert_eq!(told(&store).await, [entry("name", json!("C"), json!("B"))]);
}

#[tokio::test]
async fn a_discarded_creation_can_be_taken_back_whole() {
    let store = memory().await;
    let s = doc("scenes", "s");
    put(&store, &s, json!({"campaignId": "c", "title": "Ash"}), 1).await;
    put(
        &store,
        &s,
        json!({"title": "Cinder", "props": {"gold": 1}}),
        2,
    )
    .await;
    let seen = content(&store, &s).await;
    assert_eq!(
        store
            .discard(rows(&store).await[0], second(3))
            .await
            .unwrap(),
        2
    );
    assert!(store.get(&s).await.unwrap().is_none());
    assert_eq!(rows(&store).await, [] as [u64; 0]);
    assert_eq!(told(&store).await, [entry("*", Value::Null, seen.clone())]);

    let entry = journal(&store).await.remove(0);
    assert!(store.can_take(&entry).await.unwrap());
    let id = entry.conflict_id;
    let written = store.take_conflict(id, at(9)).await.unwrap();
    assert!(written.changed && written.dirty);
    let settled = store.conflict(id).await.unwrap();
    assert!(!store.can_take(&settled).await.unwrap());
    assert_eq!(content(&store, &s).await, seen);
    let outbox = store.outbox().await.unwrap();
    assert!(
        matches!(outbox[0].row.row.op, RowOp::Create { .. }),
        "{outbox:?}"
    );
    assert_eq!(
        code(store.take_conflict(id, at(10)).await),
        "already_settled"
    );
    assert_eq!(store.doctor().await.unwrap(), []);
}

#[tokio::test]
async fn a_creation_is_taken_back_into_what_was_made_in_its_place() {
    let store = memory().await;
    let s = doc("scenes", "s");
    put(
        &store,
        &s,
        json!({"campaignId": "c", "title": "Ash", "status": "draft"}),
        1,
    )
    .await;
    store
        .discard(rows(&store).await[0], second(2))
        .await
        .unwrap();
    put(
        &store,
        &s,
        json!({"campaignId": "c", "title": "Other", "order": "a"}),
        3,
    )
    .await;
    let id = journal(&store).await[0].conflict_id;
    store.take_conflict(id, at(4)).await.unwrap();
    let now = content(&store, &s).await;
    assert_eq!(
        (&now["title"], &now["status"], &now["order"]),
        (&json!("Ash"), &json!("draft"), &json!("a"))
    );
}

#[tokio::test]
async fn an_edit_alone_makes_no_document() {
    let store = memory().await;
    let c = doc("campaigns", "c");
    synced(&store, &c, json!({"name": "Ember"}), 2, 10).await;
    put(&store, &c, json!({"name": "Cinder"}), 11).await;
    store
        .discard(rows(&store).await[0], second(12))
        .await
        .unwrap();
    store.leave_campaign("c").await.unwrap();
    assert!(store.get(&c).await.unwrap().is_none());
    let entry = journal(&store).await.remove(0);
    assert!(!store.can_take(&entry).await.unwrap());
    let take = store.take_conflict(entry.conflict_id, at(13)).await;
    assert_eq!(code(take), "not_found");
    assert_eq!(
        store.conflicts(false).await.unwrap().len(),
        1,
        "it stays open"
    );
}

#[tokio::test]
async fn what_is_left_of_a_hard_deleted_document_outlives_a_discarded_restore() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.db");
    let store = open(&file).await;
    let s = doc("scenes", "s");
    let remains = json!({"campaignId": "c", "title": "Ash"});
    let gone = Base::Absent {
        as_of: Some(second(5)),
        remains: Some((
            fields(remains.clone()),
            Deletion {
                at: second(4),
                delete_id: Some("d".into()),
                purge_at: None,
            },
        )),
    };
    let of = s.clone();
    store
        .write(move |tx| {
            Box::pin(async move {
                let mut state = tx.load(&of).await?;
                state.base = gone;
                tx.save(&mut state).await
            })
        })
        .await
        .unwrap();
    assert_eq!(store.restore(s.clone(), at(6)).await.unwrap(), 1);
    put(&store, &s, json!({"title": "Cinder"}), 7).await;
    assert!(store.get(&s).await.unwrap().unwrap().deleted.is_none());
    store.close().await;

    let store = open(&file).await;
    assert_eq!(
        store
            .discard(rows(&store).await[0], second(8))
            .await
            .unwrap(),
        2
    );
    let read = store.get(&s).await.unwrap().unwrap();
    let deletion = read.deleted.unwrap();
    assert_eq!(
        (deletion.at, deletion.delete_id.as_deref()),
        (second(4), Some("d"))
    );
    assert_eq!(Value::Object(read.fields), remains);
    assert_eq!(store.doctor().await.unwrap(), []);
    let entry = journal(&store).await.remove(0);
    assert!(store.can_take(&entry).await.unwrap());
    store.take_conflict(entry.conflict_id, at(9)).await.unwrap();
    let read = store.get(&s).await.unwrap().unwrap();
    assert!(read.deleted.is_none());
    assert_eq!(read.fields["title"], "Cinder");
}

#[tokio::test]
async fn a_discarded_delete_says_when_it_was() {
    let store = memory().await;
    let c = doc("campaigns", "c");
    synced(&store, &c, json!({"name": "A"}), 2, 1).await;
    store.delete(c.clone(), at(5)).await.unwrap();
    store
        .discard(rows(&store).await[0], second(6))
        .await
        .unwrap();
    assert!(store.get(&c).await.unwrap().unwrap().deleted.is_none());
    assert!(!store.can_take(&journal(&store).await[0]).await.unwrap());
    let when = json!(second(5).to_string());
    assert_eq!(told(&store).await, [entry("deletedAt", Value::Null, when)]);
}

#[tokio::test]
async fn marking_clean_journals_every_edit() {
    let store = memory().await;
    let c = doc("campaigns", "c");
    synced(&store, &c, json!({"name": "A", "ruleset": "5e"}), 2, 10).await;
    put(&store, &c, json!({"name": "B"}), 11).await;
    put(&store, &c, json!({"name": "C", "ruleset": "6e"}), 12).await;
    assert_eq!(store.mark_clean(c.clone(), second(13)).await.unwrap(), 2);
    assert_eq!(
        told(&store).await,
        [
            entry("name", json!("A"), json!("B")),
            entry("name", json!("A"), json!("C")),
            entry("ruleset", json!("5e"), json!("6e")),
        ]
    );
    let new = doc("campaigns", "new");
    put(&store, &new, json!({"name": "N"}), 14).await;
    assert_eq!(store.mark_clean(new.clone(), second(15)).await.unwrap(), 1);
    assert!(store.get(&new).await.unwrap().is_none());
    let whole = journal(&store).await.pop().unwrap();
    store
        .take_conflict(whole.conflict_id, at(16))
        .await
        .unwrap();
    assert_eq!(content(&store, &new).await["name"], "N");
}
