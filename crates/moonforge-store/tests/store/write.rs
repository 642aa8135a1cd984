//! What a person's writes do, and what they leave alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use moonforge_model::{PatchOp, RowOp};
use moonforge_store::{StoreError, TransactionProbe};
use serde_json::{Value, json};

use crate::support::*;

fn set(at: &str, value: Value) -> PatchOp {
    let path = path(at);
    PatchOp::Set { path, value }
}

#[tokio::test]
async fn a_put_creates_then_merges_what_is_present() {
    let store = memory().await;
    let e = doc("encounters", "e");
    let first = json!({"campaignId": "c", "name": "Bridge", "notes": "fog", "odd": {"kept": [[1], [2]]},
        "combatants": {"k1": {"currentHp": 7, "name": "Orc"}}});
    let written = store.put(e.clone(), fields(first), at(1)).await.unwrap();
    assert!(written.changed && written.dirty && written.rev == 0);
    let second =
        json!({"notes": "rain", "combatants": {"k1": {"currentHp": 3}, "k2": {"name": "Elf"}}});
    put(&store, &e, second, 2).await;
    assert_eq!(
        content(&store, &e).await,
        json!({"campaignId": "c", "name": "Bridge", "notes": "rain", "odd": {"kept": [[1], [2]]},
            "createdAt": second_text(1),
            "combatants": {"k1": {"currentHp": 3, "name": "Orc"}, "k2": {"name": "Elf"}}})
    );
}

fn second_text(n: i64) -> String {
    second(n).to_string()
}

#[tokio::test]
async fn a_put_of_what_is_there_queues_nothing() {
    let store = memory().await;
    let c = doc("campaigns", "c");
    let same = json!({"name": "Ember", "roles": {"u": "dm"}});
    put(&store, &c, same.clone(), 1).await;
    let again = store.put(c, fields(same), at(2)).await.unwrap();
    assert!(!again.changed);
    assert_eq!(store.outbox().await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_protocols_fields_are_ignored_by_put_and_refused_by_patch() {
    let store = memory().await;
    let c = doc("campaigns", "c");
    let given = json!({"name": "Ember", "rev": 9, "updatedAt": "x", "writers": 1, "id": "other"});
    put(&store, &c, given, 1).await;
    let read = store.get(&c).await.unwrap().unwrap();
    assert_eq!(read.rev, 0);
    assert_eq!(read.to_json()["id"], "c");
    assert!(!read.fields.contains_key("writers"));
    for name in [
        "rev",
        "updatedAt",
        "deletedAt",
        "deleteId",
        "edited",
        "writers",
        "id",
    ] {
        let refused = store.patch(c.clone(), None, vec![set(name, json!(1))], at(2));
        assert_eq!(code(refused.await), "reserved_field", "{name}");
    }
    assert_eq!(store.outbox().await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_upsert_sends_only_what_its_author_changed() {
    let store = memory().await;
    let s = doc("scenes", "s");
    let start = json!({"campaignId": "c", "title": "Ash", "status": "draft", "locationId": "x"});
    put(&store, &s, start, 1).await;
    let snapshot = store.get(&s).await.unwrap().unwrap().fields;
    put(&store, &s, json!({"status": "done"}), 2).await;

    let mut new = snapshot.clone();
    new.insert("title".into(), json!("Cinder"));
    new.remove("locationId");
    let written = store.upsert(s.clone(), snapshot, new, at(3)).await.unwrap();
    assert!(written.changed);
    let now = content(&store, &s).await;
    assert_eq!(now["title"], "Cinder");
    assert_eq!(now["status"], "done", "another's edit stays");
    assert_eq!(now.get("locationId"), None);
    let rows = store.outbox().await.unwrap();
    let RowOp::Patch { ops } = &rows[2].row.row.op else {
        panic!("{rows:?}");
    };
    let paths: Vec<_> = ops.iter().map(|op| op.path().to_string()).collect();
    assert_eq!(paths, ["title", "locationId"]);
}

#[tokio::test]
async fn writes_that_are_refused_change_nothing() {
    let store = memory().await;
    small_campaign(&store).await;
    let s = doc("scenes", "s1");
    let before = (store.get(&s).await.unwrap(), store.outbox().await.unwrap());
    let deep = (0..25).fold(json!(1), |v, _| json!({ "a": v }));
    for (expected, ops) in [
        (
            "overlapping_paths",
            vec![set("title", json!("x")), set("title", json!("y"))],
        ),
        (
            "overlapping_paths",
            vec![set("props.a", json!(1)), set("props.a.b", json!(2))],
        ),
        (
            "wrong_type",
            vec![set("status", json!("ok")), set("title", json!(7))],
        ),
        (
            "missing_field",
            vec![PatchOp::Unset {
                path: path("title"),
            }],
        ),
        ("reserved_field", vec![set("campaignId", json!("other"))]),
        ("not_a_number", vec![PatchOp::increment(path("title"), 1)]),
        ("too_deep", vec![set("deep", deep)]),
        (
            "too_large",
            vec![set("content", json!("x".repeat(1 << 21)))],
        ),
    ] {
        let refused = store.patch(s.clone(), None, ops, at(5)).await;
        assert_eq!(code(refused), expected);
    }
    let moved = store.put(s.clone(), fields(json!({"campaignId": "other"})), at(5));
    assert_eq!(code(moved.await), "reserved_field");
    let nowhere = store.patch(
        doc("scenes", "none"),
        None,
        vec![set("title", json!("x"))],
        at(5),
    );
    assert_eq!(code(nowhere.await), "not_found");
    let unknown = store.put(doc("dragons", "d"), fields(json!({})), at(5));
    assert_eq!(code(unknown.await), "unknown_collection");
    assert_eq!(
        before,
        (store.get(&s).await.unwrap(), store.outbox().await.unwrap())
    );
}

#[tokio::test]
async fn one_refused_document_spares_the_others_of_its_batch() {
    let store = memory().await;
    let docs = vec![
        (doc("campaigns", "a"), fields(json!({"name": "A"}))),
        (doc("campaigns", "b"), fields(json!({"name": 7}))),
        (doc("campaigns", "c"), fields(json!({"name": "C"}))),
    ];
    let results = store.put_many(docs, at(1)).await.unwrap();
    let worked: Vec<bool> = results.iter().map(Result::is_ok).collect();
    assert_eq!(worked, [true, false, true]);
    assert!(store.get(&doc("campaigns", "b")).await.unwrap().is_none());
    assert_eq!(store.outbox_counts().await.unwrap().pending, 2);
}

#[tokio::test]
async fn an_edit_is_never_older_than_the_version_it_was_made_on() {
    let store = memory().await;
    let c = doc("campaigns", "c");
    synced(&store, &c, json!({"name": "Ember"}), 4, 100).await;
    // This device's clock is a minute and a half behind.
    put(&store, &c, json!({"name": "Cinder"}), 10).await;
    put(&store, &c, json!({"name": "Smoke"}), 200).await;
    let rows = store.outbox().await.unwrap();
    assert_eq!(rows[0].row.row.edited_at, second(100));
    assert_eq!(
        rows[0].row.created_at,
        second(10),
        "age is by the device's clock"
    );
    assert_eq!(rows[1].row.row.edited_at, second(200));
    let read = store.get(&c).await.unwrap().unwrap();
    assert_eq!(
        (read.rev, read.updated_at, read.dirty),
        (4, second(200), true)
    );
}

#[tokio::test]
async fn a_set_over_what_its_author_may_not_have_seen_is_journaled() {
    let store = memory().await;
    let c = doc("campaigns", "c");
    synced(
        &store,
        &c,
        json!({"name": "Ember", "ruleset": "5e"}),
        4,
        100,
    )
    .await;
    let ops = vec![set("name", json!("Cinder")), set("ruleset", json!("5e"))];
    store.patch(c.clone(), Some(3), ops, at(101)).await.unwrap();
    let journal = store.conflicts(false).await.unwrap();
    assert_eq!(journal.len(), 1, "what came out equal is no loss");
    assert_eq!(journal[0].conflict.lost, "Ember");
    store
        .patch(c, Some(4), vec![set("name", json!("Smoke"))], at(102))
        .await
        .unwrap();
    assert_eq!(store.conflicts(false).await.unwrap().len(), 1);
}

#[tokio::test]
async fn row_numbers_never_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.db");
    let store = open(&file).await;
    let c = doc("campaigns", "c");
    put(&store, &c, json!({"name": "A"}), 1).await;
    put(&store, &c, json!({"name": "B"}), 2).await;
    let highest = store.outbox().await.unwrap()[1].row.row.n;
    store.discard(highest, second(3)).await.unwrap();
    store.close().await;
    let store = open(&file).await;
    put(&store, &c, json!({"name": "C"}), 4).await;
    let rows = store.outbox().await.unwrap();
    assert_eq!(rows.len(), 2);
    assert!(rows[1].row.row.n > highest);
}

#[tokio::test]
async fn what_may_have_reached_the_remote_is_not_given_up() {
    let store = memory().await;
    let c = doc("campaigns", "c");
    synced(&store, &c, json!({"name": "Ember"}), 1, 1).await;
    put(&store, &c, json!({"name": "Cinder"}), 2).await;
    let n = store.outbox().await.unwrap()[0].row.row.n;
    let mark =
        |sent| store.write(move |tx| Box::pin(async move { tx.mark_sent(&[n], sent).await }));
    mark(true).await.unwrap();
    assert_eq!(code(store.discard(n, second(3)).await), "in_flight");
    assert_eq!(
        code(store.mark_clean(c.clone(), second(3)).await),
        "in_flight"
    );
    assert!(store.conflicts(true).await.unwrap().is_empty());
    mark(false).await.unwrap();
    assert_eq!(store.mark_clean(c.clone(), second(3)).await.unwrap(), 1);
    assert_eq!(content(&store, &c).await["name"], "Ember");
    assert_eq!(
        store.conflicts(false).await.unwrap()[0].conflict.lost,
        "Cinder"
    );
    assert!(!store.is_dirty(&c).await.unwrap());
}

#[tokio::test]
async fn marking_dirty_queues_the_content_again() {
    let store = memory().await;
    let s = doc("scenes", "s");
    let scene = json!({"campaignId": "c", "title": "Ash", "props": {"gold": 3, "odd name": null}});
    synced(&store, &s, scene.clone(), 2, 5).await;
    assert!(!store.is_dirty(&s).await.unwrap());
    store.mark_dirty(s.clone(), at(9)).await.unwrap();
    assert!(store.is_dirty(&s).await.unwrap());
    assert_eq!(content(&store, &s).await, scene);
    let rows = store.outbox().await.unwrap();
    let RowOp::Patch { ops } = &rows[0].row.row.op else {
        panic!("{rows:?}");
    };
    let paths: Vec<_> = ops.iter().map(|op| op.path().to_string()).collect();
    assert_eq!(paths, ["props.gold", "props.`odd name`", "title"]);
    assert_eq!(
        code(store.mark_dirty(doc("scenes", "none"), at(9)).await),
        "not_found"
    );
}

#[derive(Default)]
struct Stop(AtomicBool);

#[async_trait]
impl TransactionProbe for Stop {
    async fn before_commit(&self) -> Result<(), StoreError> {
        if self.0.load(Ordering::Relaxed) {
            return Err(StoreError::Interrupted);
        }
        Ok(())
    }

    async fn after_commit(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_write_that_stops_before_its_commit_leaves_nothing() {
    let stop = Arc::new(Stop::default());
    let store = moonforge_store::Store::in_memory(options_probed(stop.clone()))
        .await
        .unwrap();
    let mut notices = store.changes();
    stop.0.store(true, Ordering::Relaxed);
    let c = doc("campaigns", "c");
    let stopped = store
        .put(c.clone(), fields(json!({"name": "A"})), at(1))
        .await;
    assert_eq!(code(stopped), "interrupted");
    stop.0.store(false, Ordering::Relaxed);
    assert!(store.get(&c).await.unwrap().is_none());
    assert!(store.outbox().await.unwrap().is_empty());
    assert!(
        notices.try_recv().is_err(),
        "what was rolled back is no news"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_nobody_waits_for_is_whole_or_absent() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("m.db")).await;
    for i in 0..40 {
        let dropped = store.put(
            doc("campaigns", &format!("d{i}")),
            fields(json!({"name": "A"})),
            at(1),
        );
        // Polled once, then dropped: it has hardly begun.
        drop(dropped.now_or_never());
        put(
            &store,
            &doc("campaigns", &format!("e{i}")),
            json!({"name": "A"}),
            1,
        )
        .await;
    }
    let seen = store.status().await.unwrap().collections[&named("campaigns")];
    assert!(seen.documents >= 40);
    assert_eq!(store.doctor().await.unwrap(), []);
    for i in 0..40 {
        let d = doc("campaigns", &format!("d{i}"));
        if store.get(&d).await.unwrap().is_some() {
            assert!(store.is_dirty(&d).await.unwrap());
        }
    }
}
