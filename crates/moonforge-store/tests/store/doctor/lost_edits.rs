//! A repair loses no edit that is still somewhere in the file, and makes none twice.

use moonforge_model::{CollectionConfig, Field, FieldKind, PatchOp, Registry, Row, RowOp};
use moonforge_store::{Base, DocState, Finding, Store};
use serde_json::json;

use super::{codes, damaged, file, mended};
use crate::support::*;

async fn state(store: &Store, id: &str) -> DocState {
    let doc = doc("scenes", id);
    let work = store.write(move |tx| Box::pin(async move { tx.load(&doc).await }));
    work.await.unwrap()
}

async fn edits(store: &Store, id: &str) -> Vec<RowOp> {
    let rows = state(store, id).await.rows;
    rows.into_iter().map(|r| r.row.op).collect()
}

/// Makes the file as elsewhere, with more done to it, then damage.
async fn with<F: AsyncFnOnce(&Store)>(
    more: F,
    damage: &str,
) -> (tempfile::TempDir, Store, Vec<Finding>) {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path()).await;
    let store = open(&file).await;
    more(&store).await;
    assert_eq!(store.doctor().await.unwrap(), []);
    store.close().await;
    let (store, findings) = damaged(&file, damage).await;
    (dir, store, findings)
}

#[tokio::test]
async fn a_delete_whose_row_was_lost_is_queued_again() {
    let (_dir, store, findings) = with(
        async |store| {
            for id in ["s1", "s2", "s3"] {
                store.delete(doc("scenes", id), at(9)).await.unwrap();
            }
        },
        "DELETE FROM outbox_ops",
    )
    .await;
    let deleted = |id: &'static str| {
        let store = store.clone();
        async move {
            store
                .get(&doc("scenes", id))
                .await
                .unwrap()
                .unwrap()
                .deleted
        }
    };
    let mut before = Vec::new();
    for id in ["s1", "s2", "s3"] {
        before.push(deleted(id).await.unwrap());
    }
    store.repair(findings).await.unwrap();
    assert_eq!(store.doctor().await.unwrap(), []);
    for (id, before) in ["s1", "s2", "s3"].into_iter().zip(before) {
        let after = deleted(id).await.expect("it is still deleted");
        assert_eq!((after.at, after.id()), (before.at, before.id()));
        let last = edits(&store, id).await.pop().unwrap();
        let delete_id = before.id().to_owned();
        assert_eq!(last, RowOp::Delete { delete_id });
    }
    assert_eq!(edits(&store, "s1").await.len(), 1);
    let [RowOp::Patch { .. }, RowOp::Delete { .. }] = &edits(&store, "s2").await[..] else {
        panic!("the edit before the delete counts too");
    };
    let [RowOp::Create { .. }, RowOp::Delete { .. }] = &edits(&store, "s3").await[..] else {
        panic!("it was never at the remote");
    };
}

#[tokio::test]
async fn a_restore_whose_row_was_lost_is_queued_again() {
    let tombstone = async |store: &Store| {
        let s1 = doc("scenes", "s1");
        store.delete(s1.clone(), at(8)).await.unwrap();
        let s1 = &s1;
        store
            .write({
                let s1 = s1.clone();
                move |tx| {
                    Box::pin(async move {
                        let mut state = tx.load(&s1).await?;
                        let view = state.view().unwrap();
                        let Base::Known(version) = &mut state.base else {
                            panic!("it was synced");
                        };
                        version.envelope.deleted = view.deleted;
                        state.rows.clear();
                        tx.save(&mut state).await
                    })
                }
            })
            .await
            .unwrap();
        store.restore(s1.clone(), at(9)).await.unwrap();
        put(store, s1, json!({"title": "back"}), 10).await;
    };
    let (_dir, store, findings) =
        with(tombstone, "DELETE FROM outbox_ops WHERE doc_id = 's1'").await;
    mended(&store, findings).await;
    let read = store.get(&doc("scenes", "s1")).await.unwrap().unwrap();
    assert!(read.deleted.is_none() && read.dirty);
    assert_eq!(read.fields["title"], "back");
    let [RowOp::Restore { .. }, RowOp::Patch { .. }] = &edits(&store, "s1").await[..] else {
        panic!("{:?}", edits(&store, "s1").await);
    };
}

#[tokio::test]
async fn an_edit_of_what_nobody_looked_for_at_the_remote_is_queued_whole() {
    let unknown = async |store: &Store| {
        let s1 = doc("scenes", "s1");
        let work = store.write(move |tx| {
            Box::pin(async move {
                let mut state = tx.load(&s1).await?;
                state.base = Base::Unknown {
                    shown: state.view().unwrap().fields,
                };
                tx.save(&mut state).await
            })
        });
        work.await.unwrap();
        put(store, &doc("scenes", "s1"), json!({"title": "typed"}), 9).await;
    };
    let (_dir, store, findings) = with(unknown, "DELETE FROM outbox_ops WHERE doc_id = 's1'").await;
    assert_eq!(codes(&findings), ["dirty_mismatch"]);
    mended(&store, findings).await;
    let [RowOp::Create { fields }] = &edits(&store, "s1").await[..] else {
        panic!("{:?}", edits(&store, "s1").await);
    };
    assert_eq!(fields["title"], "typed");
    assert_eq!(fields["status"], "draft");
}

#[tokio::test]
async fn one_lost_row_of_several_is_queued_again() {
    let (_dir, store, findings) = with(
        async |store| {
            put(store, &doc("scenes", "s2"), json!({"summary": "new"}), 8).await;
            put(store, &doc("scenes", "s3"), json!({"summary": "new"}), 8).await;
            store.delete(doc("scenes", "s3"), at(9)).await.unwrap();
        },
        "DELETE FROM outbox_ops WHERE doc_id = 's2' AND n = (SELECT min(n) FROM outbox_ops WHERE doc_id = 's2');
         DELETE FROM outbox_ops WHERE doc_id = 's3' AND operation = 'delete'",
    )
    .await;
    assert_eq!(codes(&findings), ["view_out_of_step", "view_out_of_step"]);
    mended(&store, findings).await;
    let s2 = content(&store, &doc("scenes", "s2")).await;
    assert_eq!(
        (&s2["title"], &s2["summary"]),
        (&json!("edited"), &json!("new"))
    );
    assert_eq!(edits(&store, "s2").await.len(), 2);
    let s3 = store.get(&doc("scenes", "s3")).await.unwrap().unwrap();
    assert!(s3.deleted.is_some());
}

#[tokio::test]
async fn parked_rows_stay_parked_through_a_repair() {
    let park = async |store: &Store| {
        put(store, &doc("scenes", "s2"), json!({"summary": "new"}), 8).await;
        let s2 = doc("scenes", "s2");
        let work = store.write(move |tx| {
            Box::pin(async move {
                tx.park(&s2, moonforge_model::ParkReason::Denied, "no")
                    .await
            })
        });
        work.await.unwrap();
    };
    let lost =
        "DELETE FROM outbox_ops WHERE n = (SELECT min(n) FROM outbox_ops WHERE doc_id = 's2')";
    let (_dir, store, findings) = with(park, lost).await;
    mended(&store, findings).await;
    let rows = state(&store, "s2").await.rows;
    assert!(rows.len() == 2 && rows[0].row.parked.is_some());
}

#[tokio::test]
async fn increments_over_lost_metadata_are_made_once() {
    let count = async |store: &Store| {
        let torches = |n: i64| vec![PatchOp::increment(path("props.torches"), n)];
        let s1 = doc("scenes", "s1");
        put(store, &s1, json!({"props": {"torches": 3}}), 7).await;
        let base = content(store, &s1).await;
        synced(store, &s1, base, 4, 8).await;
        store
            .patch(s1.clone(), None, torches(2), at(9))
            .await
            .unwrap();
        store.patch(s1, None, torches(-9), at(10)).await.unwrap();
    };
    let damage = "DELETE FROM local_metas WHERE doc_id IN ('s1', 's3')";
    let (_dir, store, findings) = with(count, damage).await;
    store.repair(findings).await.unwrap();
    assert_eq!(store.doctor().await.unwrap(), []);
    let s1 = content(&store, &doc("scenes", "s1")).await;
    assert_eq!(s1["props"]["torches"], -4);
    let state = state(&store, "s1").await;
    assert_eq!(state.rows.len(), 2);
    let Base::Unknown { shown } = &state.base else {
        panic!("{:?}", state.base);
    };
    assert_eq!(shown["props"]["torches"], 3);
    assert_eq!(
        content(&store, &doc("scenes", "s3")).await["title"],
        "three"
    );
    assert_eq!(edits(&store, "s3").await.len(), 1);
}

#[tokio::test]
async fn what_lies_below_the_edits_is_not_guessed() {
    let damage = "DELETE FROM local_metas WHERE doc_id = 's2';
                  UPDATE scenes SET body = json_set(body, '$.title', 'neither') WHERE id = 's2'";
    let (_dir, store, findings) = with(async |_| {}, damage).await;
    let before = (
        content(&store, &doc("scenes", "s2")).await,
        store.outbox().await.unwrap(),
    );
    let results = store.repair(findings.clone()).await.unwrap();
    assert!(results.iter().all(|f| !f.repaired), "{results:?}");
    assert_eq!(store.doctor().await.unwrap(), findings);
    let after = (
        content(&store, &doc("scenes", "s2")).await,
        store.outbox().await.unwrap(),
    );
    assert_eq!(after, before);
}

#[tokio::test]
async fn a_tombstone_without_metadata_stays_one() {
    let gone = async |store: &Store| {
        store.delete(doc("scenes", "s1"), at(9)).await.unwrap();
    };
    let damage =
        "DELETE FROM local_metas WHERE doc_id = 's1'; DELETE FROM outbox_ops WHERE doc_id = 's1'";
    let (_dir, store, findings) = with(gone, damage).await;
    mended(&store, findings).await;
    let s1 = store.get(&doc("scenes", "s1")).await.unwrap().unwrap();
    assert!(s1.deleted.is_some());
    assert_eq!(s1.fields["title"], "one");
}

#[tokio::test]
async fn an_edit_in_a_body_that_cannot_be_read_is_not_put_aside() {
    let damage = "DELETE FROM outbox_ops WHERE doc_id = 's2'; UPDATE scenes SET body = '[1]' WHERE id = 's2'";
    let (_dir, store, findings) = with(async |_| {}, damage).await;
    assert_eq!(codes(&findings), ["dirty_mismatch", "unreadable_document"]);
    let results = store.repair(findings).await.unwrap();
    assert!(results.iter().all(|f| !f.repaired), "{results:?}");
    assert_eq!(store.quarantined().await.unwrap(), []);
}

#[tokio::test]
async fn what_is_no_longer_so_is_not_mended() {
    let damage = "UPDATE scenes SET body = '[1]' WHERE id = 's1'; DELETE FROM outbox_ops WHERE doc_id = 's2'";
    let (_dir, store, findings) = with(async |_| {}, damage).await;
    assert_eq!(codes(&findings), ["dirty_mismatch", "unreadable_document"]);
    // Meanwhile a sync brought a sound version, and an edit was made.
    let s1 = doc("scenes", "s1");
    run(
        store.path().unwrap(),
        "UPDATE scenes SET body = '{}' WHERE id = 's1'",
    )
    .await;
    synced(
        &store,
        &s1,
        json!({"campaignId": "c", "title": "sound"}),
        4,
        9,
    )
    .await;
    store.mark_dirty(doc("scenes", "s2"), at(9)).await.unwrap();
    let before: Vec<Row> = state(&store, "s2").await.edits().cloned().collect();
    let results = store.repair(findings).await.unwrap();
    assert!(results.iter().all(|f| f.repaired), "{results:?}");
    assert_eq!(content(&store, &s1).await["title"], "sound");
    assert_eq!(store.quarantined().await.unwrap(), []);
    let after: Vec<Row> = state(&store, "s2").await.edits().cloned().collect();
    assert_eq!(after, before);
}

#[tokio::test]
async fn what_cannot_be_mended_does_not_stop_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path()).await;
    let mut registry = Registry::builtin();
    let name = [Field::required("name", FieldKind::String)];
    registry
        .register(CollectionConfig::new(named("factions"), name))
        .unwrap();
    let store = Store::open(&file, options_with(registry)).await.unwrap();
    put(
        &store,
        &doc("factions", "f"),
        json!({"campaignId": "c", "name": "F"}),
        8,
    )
    .await;
    store.close().await;
    // Opened by a program that doesn't know the collection.
    let (store, findings) = damaged(&file, "UPDATE local_metas SET dirty = 0").await;
    assert_eq!(codes(&findings), ["dirty_mismatch"; 3]);
    let results = store.repair(findings).await.unwrap();
    let mended: Vec<bool> = results.iter().map(|f| f.repaired).collect();
    assert_eq!(mended, [false, true, true]);
}
