//! Rows that can't be read, or that nothing here knows: they stop nothing else, are shown, and can be given up.

use std::path::{Path, PathBuf};

use moonforge_model::{CollectionConfig, Field, FieldKind, Registry};
use moonforge_store::{OutboxEntry, Store};
use serde_json::json;

use crate::support::*;

/// A file with a new campaign `c` and a synced one `d` that was edited.
async fn file(dir: &Path) -> PathBuf {
    let file = dir.join("m.db");
    let store = open(&file).await;
    put(&store, &doc("campaigns", "c"), json!({"name": "C"}), 1).await;
    synced(&store, &doc("campaigns", "d"), json!({"name": "D"}), 2, 1).await;
    put(&store, &doc("campaigns", "d"), json!({"name": "D2"}), 2).await;
    store.close().await;
    file
}

async fn row(collection: &str, id: &str, operation: &str, payload: &str, file: &Path) {
    let sql = format!(
        "INSERT INTO outbox_ops (incarnation, op_id, collection, doc_id, operation, payload, edited_at, created_at)
         VALUES ('', 'x', '{collection}', '{id}', '{operation}', '{payload}', 0, 0)"
    );
    run(file, &sql).await;
}

async fn pending(store: &Store) -> Vec<String> {
    let docs = store.pending_docs().await.unwrap();
    docs.iter().map(|d| d.doc.to_string()).collect()
}

fn unreadable(outbox: &[OutboxEntry]) -> Vec<(String, &'static str, bool)> {
    let of = |e: &OutboxEntry| {
        (
            e.doc.to_string(),
            e.row.row.op.name(),
            e.row.error.is_some(),
        )
    };
    outbox.iter().map(of).collect()
}

#[tokio::test]
async fn rows_that_nothing_here_can_read_stop_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path()).await;
    // What version 1 could hold: an id that can't be one, no payload, no operations; and an app's own collection.
    row(
        "campaigns",
        "a/b",
        "create",
        r#"{"kind":"create","fields":{"name":"x"}}"#,
        &file,
    )
    .await;
    row(
        "campaigns",
        "",
        "delete",
        r#"{"kind":"delete","deleteId":"1"}"#,
        &file,
    )
    .await;
    row(
        "campaigns",
        "e",
        "create",
        r#"{"kind":"create","fields":null}"#,
        &file,
    )
    .await;
    row(
        "campaigns",
        "f",
        "patch",
        r#"{"kind":"patch","ops":null}"#,
        &file,
    )
    .await;
    row("campaigns", "g", "move", r#"{"kind":"move"}"#, &file).await;
    row("campaigns", "h", "patch", "{", &file).await;
    row(
        "factions",
        "i",
        "create",
        r#"{"kind":"create","fields":{"name":"x"}}"#,
        &file,
    )
    .await;
    let store = open(&file).await;
    assert_eq!(pending(&store).await, ["campaigns/c", "campaigns/d"]);
    let outbox = store.outbox().await.unwrap();
    let seen = unreadable(&outbox);
    assert_eq!(
        seen[2..]
            .iter()
            .map(|(doc, op, error)| (doc.as_str(), *op, *error))
            .collect::<Vec<_>>(),
        [
            ("campaigns/a~b", "create", true),
            ("campaigns/~", "delete", true),
            ("campaigns/e", "create", true),
            ("campaigns/f", "patch", true),
            ("campaigns/g", "patch", true),
            ("campaigns/h", "patch", true),
            ("factions/i", "create", true),
        ]
    );
    assert!(!seen[0].2 && !seen[1].2);
    assert_eq!(store.outbox_counts().await.unwrap().pending, 9);

    let docs: Vec<_> = ["c", "h", "d"].map(|id| doc("campaigns", id)).into();
    store
        .write(move |tx| {
            Box::pin(async move {
                tx.load_ahead(&docs).await?;
                assert!(tx.load(&docs[0]).await.is_ok());
                assert_eq!(code(tx.load(&docs[1]).await), "corrupt");
                assert!(tx.load(&docs[2]).await.is_ok());
                Ok(())
            })
        })
        .await
        .unwrap();
    assert_eq!(
        code(
            store
                .put(doc("campaigns", "h"), fields(json!({"name": "x"})), at(9))
                .await
        ),
        "corrupt"
    );

    assert_eq!(store.retry(Some(outbox[2].row.row.n)).await.unwrap(), 0);
    for entry in &outbox[2..] {
        assert_eq!(store.discard(entry.row.row.n, second(9)).await.unwrap(), 1);
    }
    assert_eq!(store.outbox().await.unwrap().len(), 2);
    let journal = store.conflicts(false).await.unwrap();
    assert_eq!(journal.len(), 7);
    assert_eq!(journal[6].doc.to_string(), "campaigns/a~b");
    assert_eq!(
        journal[6].conflict.lost,
        r#"{"kind":"create","fields":{"name":"x"}}"#
    );
    assert_eq!(journal[1].conflict.lost, "{");
    let take = store.take_conflict(journal[1].conflict_id, at(10)).await;
    assert_eq!(code(take), "nothing_to_bring_back");
    let app = store.take_conflict(journal[0].conflict_id, at(10)).await;
    assert_eq!(code(app), "unknown_collection");
    for entry in &journal {
        store
            .settle_conflict(entry.conflict_id, second(11))
            .await
            .unwrap();
    }
    assert_eq!(store.doctor().await.unwrap(), []);
}

#[tokio::test]
async fn a_document_is_what_it_was_before_the_unreadable_edit() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path()).await;
    run(&file, "UPDATE outbox_ops SET payload = '{'").await;
    let store = open(&file).await;
    assert_eq!(pending(&store).await, [] as [String; 0]);
    for entry in store.outbox().await.unwrap() {
        store.discard(entry.row.row.n, second(9)).await.unwrap();
    }
    let d = store.get(&doc("campaigns", "d")).await.unwrap().unwrap();
    assert_eq!(
        (d.fields["name"].as_str(), d.rev, d.dirty),
        (Some("D"), 2, false)
    );
    // Nothing but the edit knew of it.
    assert!(store.get(&doc("campaigns", "c")).await.unwrap().is_none());
    assert_eq!(store.doctor().await.unwrap(), []);
}

#[tokio::test]
async fn the_other_edits_of_the_document_stay() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path()).await;
    row("campaigns", "d", "patch", "null", &file).await;
    let store = open(&file).await;
    assert_eq!(pending(&store).await, ["campaigns/c"]);
    let rows = store.outbox().await.unwrap();
    // A sound row of the same document isn't given up blindly.
    assert_eq!(
        code(store.discard(rows[1].row.row.n, second(8)).await),
        "corrupt"
    );
    store.discard(rows[2].row.row.n, second(9)).await.unwrap();
    assert_eq!(pending(&store).await, ["campaigns/c", "campaigns/d"]);
    assert_eq!(content(&store, &doc("campaigns", "d")).await["name"], "D2");
    assert_eq!(store.doctor().await.unwrap(), []);
}

#[tokio::test]
async fn edits_of_an_apps_own_collection_wait_for_the_app() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.db");
    let mut registry = Registry::builtin();
    let name = [Field::required("name", FieldKind::String)];
    registry
        .register(CollectionConfig::new(named("factions"), name))
        .unwrap();
    let store = Store::open(&file, options_with(registry.clone()))
        .await
        .unwrap();
    let (f, g) = (doc("factions", "f"), doc("factions", "g"));
    synced(&store, &f, json!({"campaignId": "c", "name": "A"}), 2, 1).await;
    put(&store, &f, json!({"name": "B"}), 2).await;
    put(&store, &g, json!({"campaignId": "c", "name": "G"}), 3).await;
    store.close().await;

    let store = open(&file).await;
    assert_eq!(pending(&store).await, [] as [String; 0]);
    let rows = store.outbox().await.unwrap();
    let why = rows[0].row.error.clone().unwrap();
    assert!(why.contains("factions"), "{why}");
    for row in &rows {
        store.discard(row.row.row.n, second(9)).await.unwrap();
    }
    store.close().await;

    let store = Store::open(&file, options_with(registry)).await.unwrap();
    let read = store.get(&f).await.unwrap().unwrap();
    assert_eq!(
        (read.fields["name"].as_str(), read.dirty),
        (Some("A"), false)
    );
    assert!(store.get(&g).await.unwrap().is_none());
    assert_eq!(store.doctor().await.unwrap(), []);
}

#[tokio::test]
async fn edits_over_a_base_that_was_lost_are_no_edits_over_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path()).await;
    run(
        &file,
        "UPDATE local_metas SET base = NULL WHERE doc_id = 'd'",
    )
    .await;
    let store = open(&file).await;
    let refused = store.put(
        doc("campaigns", "d"),
        fields(json!({"ruleset": "5e"})),
        at(9),
    );
    assert_eq!(code(refused.await), "corrupt");
    assert_eq!(content(&store, &doc("campaigns", "d")).await["name"], "D2");
}

#[tokio::test]
async fn an_edit_from_version_1_of_what_it_never_had_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path()).await;
    row(
        "campaigns",
        "v1",
        "patch",
        r#"{"kind":"patch","ops":[]}"#,
        &file,
    )
    .await;
    run(
        &file,
        "INSERT INTO local_metas (doc_ref, collection, doc_id, dirty, base_state)
         VALUES ('campaigns/v1', 'campaigns', 'v1', 1, 'unknown')",
    )
    .await;
    let store = open(&file).await;
    let rows = store.outbox().await.unwrap();
    assert_eq!(rows[2].row.error, None);
    store.discard(rows[2].row.row.n, second(9)).await.unwrap();
    let gone = store.get(&doc("campaigns", "v1")).await.unwrap();
    assert!(gone.is_none(), "{gone:?}");
    assert_eq!(store.doctor().await.unwrap(), []);
}

#[tokio::test]
async fn a_batch_stops_at_what_is_no_fault_of_a_document() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path()).await;
    run(
        &file,
        "UPDATE local_metas SET envelope = 'x' WHERE doc_id = 'd'",
    )
    .await;
    let store = open(&file).await;
    let docs = |ids: [&str; 3]| {
        ids.map(|id| (doc("campaigns", id), fields(json!({"name": "N"}))))
            .into()
    };
    assert_eq!(
        code(store.put_many(docs(["x", "d", "y"]), at(9)).await),
        "corrupt"
    );
    assert!(store.get(&doc("campaigns", "x")).await.unwrap().is_none());
    assert_eq!(store.outbox().await.unwrap().len(), 2);
}
