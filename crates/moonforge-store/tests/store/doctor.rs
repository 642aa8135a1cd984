//! What `doctor` finds in a damaged file, and what `repair` mends.

mod damage;
mod lost_edits;

use std::path::{Path, PathBuf};

use moonforge_model::{RowOp, Timestamp};
use moonforge_store::{Finding, Quarantined, Store};
use serde_json::json;

use crate::support::*;

/// A file with a clean document `s1`, an edited one `s2` and a new one `s3`.
async fn file(dir: &Path) -> PathBuf {
    let file = dir.join("m.db");
    let store = open(&file).await;
    let scene = |title: &str| json!({"campaignId": "c", "title": title, "status": "draft"});
    synced(&store, &doc("scenes", "s1"), scene("one"), 3, 5).await;
    synced(&store, &doc("scenes", "s2"), scene("two"), 4, 5).await;
    put(&store, &doc("scenes", "s2"), json!({"title": "edited"}), 6).await;
    put(&store, &doc("scenes", "s3"), scene("three"), 7).await;
    assert_eq!(store.doctor().await.unwrap(), []);
    store.close().await;
    file
}

async fn damaged(file: &Path, sql: &str) -> (Store, Vec<Finding>) {
    run(file, sql).await;
    let store = open(file).await;
    let findings = store.doctor().await.unwrap();
    (store, findings)
}

fn codes(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|f| f.code).collect()
}

/// Repairs everything, and expects nothing to be found after.
async fn mended(store: &Store, findings: Vec<Finding>) {
    let results = store.repair(findings).await.unwrap();
    assert!(results.iter().all(|f| f.repaired), "{results:?}");
    assert_eq!(store.doctor().await.unwrap(), []);
}

#[tokio::test]
async fn a_flag_that_was_lost_is_set_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path()).await;
    let (store, findings) = damaged(
        &file,
        "UPDATE local_metas SET dirty = 0 WHERE doc_id = 's2'",
    )
    .await;
    assert_eq!(codes(&findings), ["dirty_mismatch"]);
    assert!(findings[0].message.contains("scenes/s2"));
    mended(&store, findings).await;
    let read = store.get(&doc("scenes", "s2")).await.unwrap().unwrap();
    assert!(read.dirty);
    assert_eq!(read.fields["title"], "edited");
}

#[tokio::test]
async fn edits_whose_rows_were_lost_are_queued_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path()).await;
    let (store, findings) = damaged(&file, "DELETE FROM outbox_ops").await;
    assert_eq!(codes(&findings)[..2], ["dirty_mismatch", "dirty_mismatch"]);
    store.repair(findings).await.unwrap();
    assert_eq!(store.doctor().await.unwrap(), []);
    let rows = store.outbox().await.unwrap();
    let RowOp::Patch { ops } = &rows[0].row.row.op else {
        panic!("{rows:?}");
    };
    assert_eq!(ops.len(), 1, "only what differs from the base");
    assert_eq!(
        content(&store, &doc("scenes", "s2")).await["title"],
        "edited"
    );
    assert!(matches!(rows[1].row.row.op, RowOp::Create { .. }));
    assert_eq!(
        content(&store, &doc("scenes", "s3")).await["title"],
        "three"
    );
}

#[tokio::test]
async fn a_view_out_of_step_is_folded_anew() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path()).await;
    let damage = "UPDATE scenes SET body = json_set(body, '$.title', 'wrong') WHERE id = 's2';
                  UPDATE scenes SET deleted_at = 5 WHERE id = 's1'";
    let (store, findings) = damaged(&file, damage).await;
    assert_eq!(codes(&findings), ["view_out_of_step", "view_out_of_step"]);
    mended(&store, findings).await;
    // What its person saw of an edited document counts as an edit: its row may be what was lost.
    let s2 = doc("scenes", "s2");
    assert_eq!(content(&store, &s2).await["title"], "wrong");
    assert_eq!(store.outbox().await.unwrap().len(), 3);
    assert!(
        store
            .get(&doc("scenes", "s1"))
            .await
            .unwrap()
            .unwrap()
            .deleted
            .is_none()
    );
}

#[tokio::test]
async fn a_document_that_went_missing_comes_back_from_its_base_and_edits_or_from_the_remote() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path()).await;
    let (store, findings) = damaged(&file, "DELETE FROM scenes WHERE id IN ('s1', 's2')").await;
    assert_eq!(
        codes(&findings),
        ["metadata_without_document", "metadata_without_document"]
    );
    mended(&store, findings).await;
    assert_eq!(
        content(&store, &doc("scenes", "s2")).await["title"],
        "edited"
    );
    // What was clean counts as not held, which the next comparison with the remote finds.
    assert!(store.get(&doc("scenes", "s1")).await.unwrap().is_none());
    assert_eq!(
        store
            .held(&named("scenes"), None, &[], None, None)
            .await
            .unwrap()
            .count,
        1
    );
}

#[tokio::test]
async fn a_document_without_metadata_is_looked_for_at_the_remote() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path()).await;
    let (store, findings) = damaged(&file, "DELETE FROM local_metas WHERE doc_id = 's1'").await;
    assert_eq!(codes(&findings), ["document_without_metadata"]);
    mended(&store, findings).await;
    let s1 = doc("scenes", "s1");
    assert_eq!(content(&store, &s1).await["title"], "one");
    assert_eq!(
        store
            .unknown_bases(std::slice::from_ref(&s1))
            .await
            .unwrap(),
        [s1]
    );
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_put_aside_or_folded_anew() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path()).await;
    let damage = "UPDATE scenes SET body = '[\"no object\"]' WHERE id IN ('s1', 's2')";
    let (store, findings) = damaged(&file, damage).await;
    assert_eq!(
        codes(&findings),
        ["unreadable_document", "unreadable_document"]
    );
    assert_eq!(code(store.get(&doc("scenes", "s1")).await), "corrupt");
    let results = store.repair(findings).await.unwrap();
    assert!(results.iter().all(|f| f.repaired), "{results:?}");
    assert_eq!(
        content(&store, &doc("scenes", "s2")).await["title"],
        "edited"
    );
    assert!(store.get(&doc("scenes", "s1")).await.unwrap().is_none());
    let aside = store.quarantined().await.unwrap();
    assert_eq!(aside[0].raw["body"], "[\"no object\"]");
    assert_eq!(codes(&store.doctor().await.unwrap()), ["quarantined"]);
}

#[tokio::test]
async fn what_has_no_safe_repair_is_named_and_left() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path()).await;
    let damage = "UPDATE outbox_ops SET payload = '{' WHERE doc_id = 's2';
                  UPDATE local_metas SET envelope = 'x' WHERE doc_id = 's1'";
    let (store, findings) = damaged(&file, damage).await;
    assert_eq!(codes(&findings), ["unreadable_state", "unreadable_state"]);
    let results = store.repair(findings).await.unwrap();
    assert!(results.iter().all(|f| !f.repaired));
    assert_eq!(store.doctor().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_row_of_the_shared_pages_that_was_torn_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path()).await;
    // An index that lacks an entry: what a lost page looks like.
    let damage = "PRAGMA writable_schema = ON;
                  UPDATE sqlite_schema SET sql = replace(sql, '(updated_at, id)', '(updated_at, id) WHERE id <> ''s1''')
                      WHERE name = 'scenes_updated';
                  PRAGMA writable_schema = RESET;
                  REINDEX scenes_updated;
                  PRAGMA writable_schema = ON;
                  UPDATE sqlite_schema SET sql = replace(sql, ' WHERE id <> ''s1''', '') WHERE name = 'scenes_updated';
                  PRAGMA writable_schema = RESET";
    let (_, findings) = damaged(&file, damage).await;
    assert!(codes(&findings).contains(&"integrity"), "{findings:?}");
}

#[tokio::test]
async fn quarantine_shows() {
    let store = memory().await;
    let aside = Quarantined {
        doc: doc("scenes", "s"),
        update_time: Timestamp::from_micros(7),
        raw: fields(json!({"title": 7})),
        error: "the field `title` should be a text".into(),
    };
    let work =
        store.write(move |tx| Box::pin(async move { tx.quarantine(&aside, second(1)).await }));
    work.await.unwrap();
    let findings = store.doctor().await.unwrap();
    assert_eq!(codes(&findings), ["quarantined"]);
    assert!(findings[0].message.contains("should be a text"));
    assert_eq!(store.status().await.unwrap().quarantined, 1);
    assert!(!store.repair(findings).await.unwrap()[0].repaired);
}
