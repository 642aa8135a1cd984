//! Files of the first app.

mod around;
mod payloads;

use std::path::{Path, PathBuf};

use moonforge_model::{RowOp, Timestamp};
use moonforge_store::{MigrationReport, OutboxEntry, QuerySpec, Store};
use serde_json::json;

use crate::support::*;

const V1: &str = include_str!("../fixtures/v1.sql");
/// The first app could also keep its dates as text.
const TEXT_DATES: &str = "
    UPDATE campaigns SET created_at = strftime('%Y-%m-%dT%H:%M:%fZ', created_at, 'unixepoch'),
        updated_at = strftime('%Y-%m-%dT%H:%M:%f', updated_at, 'unixepoch', '+2 hours') || ' +02:00';
    UPDATE campaign_local_metas SET last_synced_at = strftime('%Y-%m-%dT%H:%M:%fZ', last_synced_at, 'unixepoch');
    UPDATE outbox_ops SET created_at = strftime('%Y-%m-%dT%H:%M:%fZ', created_at, 'unixepoch');";

async fn v1(dir: &Path, more: &str) -> PathBuf {
    let file = dir.join("old.db");
    run(&file, &format!("{V1}{more}")).await;
    file
}

fn seconds(n: i64) -> Timestamp {
    Timestamp::from_millis(n * 1000)
}

fn of<'a>(rows: &'a [OutboxEntry], id: &str) -> &'a OutboxEntry {
    rows.iter().find(|r| r.doc.id.as_str() == id).unwrap()
}

async fn carries_over(more: &str) {
    let dir = tempfile::tempdir().unwrap();
    let file = v1(dir.path(), more).await;
    let planned = Store::plan_migration(&file).await.unwrap();
    let store = open(&file).await;
    let backup = dir.path().join("old.db.v1-backup.db");
    let expected = MigrationReport {
        from: 1,
        to: 2,
        backup: Some(backup.clone()),
        documents: 3,
        dirty: 3,
        outbox: 3,
    };
    assert_eq!(store.migrated(), Some(&expected));
    assert_eq!(
        planned,
        MigrationReport {
            backup: None,
            ..expected
        }
    );

    let read = |id: &str| {
        let (store, doc) = (store.clone(), doc("campaigns", id));
        async move { store.get(&doc).await.unwrap().unwrap() }
    };
    let clean = read("clean").await;
    let content =
        json!({"name": "The Ember Keep", "createdAt": seconds(1_700_000_000).to_string()});
    let got = clean.fields["createdAt"]
        .as_str()
        .unwrap()
        .parse::<Timestamp>()
        .unwrap();
    assert_eq!(got, seconds(1_700_000_000));
    assert_eq!(clean.fields["name"], content["name"]);
    assert!(!clean.dirty && clean.rev == 3 && clean.updated_at == seconds(1_700_001_000));
    assert_eq!(
        clean.fields.get("description"),
        None,
        "what was null is absent"
    );
    let dirty = read("dirty").await;
    assert_eq!(dirty.fields["description"], "typed on a train");
    assert!(dirty.dirty);
    assert!(read("dirty-no-op").await.dirty);

    let rows = store.outbox().await.unwrap();
    let order: Vec<_> = rows.iter().map(|r| r.doc.id.as_str()).collect();
    assert_eq!(order, ["dirty", "gone", "dirty-no-op"]);
    let row = &of(&rows, "dirty").row;
    assert_eq!((row.attempts, row.created_at), (4, seconds(1_700_001_100)));
    assert_eq!(row.row.edited_at, row.created_at);
    let RowOp::Create { fields } = &row.row.op else {
        panic!("{row:?}");
    };
    assert_eq!(
        *fields,
        crate::support::fields(json!({"name": "Ash Road", "description": "typed on a train"}))
    );
    assert!(matches!(of(&rows, "gone").row.row.op, RowOp::Delete { .. }));
    let RowOp::Create { fields } = &of(&rows, "dirty-no-op").row.row.op else {
        panic!("{rows:?}");
    };
    assert_eq!(fields["name"], "Half written");
    assert!(
        rows.iter()
            .all(|r| !r.row.row.incarnation.is_empty() && !r.row.row.op_id.is_empty())
    );
    let ops: std::collections::HashSet<_> = rows.iter().map(|r| &r.row.row.op_id).collect();
    assert_eq!(ops.len(), 3);

    let synced = store.status().await.unwrap().collections[&named("campaigns")];
    assert_eq!(synced.last_synced_at, Some(seconds(1_700_002_000)));
    let docs: Vec<_> = rows.iter().map(|r| r.doc.clone()).collect();
    assert_eq!(
        store.unknown_bases(&docs).await.unwrap().len(),
        3,
        "nobody has looked at the remote yet"
    );
    assert_eq!(
        ids(&store, &QuerySpec::all(named("campaigns"))).await,
        ["clean", "dirty", "dirty-no-op"]
    );
    assert_eq!(store.doctor().await.unwrap(), []);

    // The copy is the old file, and opens as one.
    assert_eq!(number(&backup, "PRAGMA user_version").await, 1);
    assert_eq!(number(&backup, "SELECT count(*) FROM outbox_ops").await, 2);
    store.close().await;
    let again = open(&file).await;
    assert_eq!(again.migrated(), None);
    assert_eq!(again.outbox().await.unwrap(), rows);
    let planned = Store::plan_migration(&file).await.unwrap();
    assert_eq!(
        (planned.from, planned.to, planned.documents, planned.outbox),
        (2, 2, 3, 3)
    );
}

#[tokio::test]
async fn version_1_is_carried_over() {
    carries_over("").await;
}

#[tokio::test]
async fn version_1_with_dates_as_text_is_carried_over() {
    carries_over(TEXT_DATES).await;
}

#[tokio::test]
async fn row_numbers_go_on_from_where_version_1_was() {
    let dir = tempfile::tempdir().unwrap();
    let file = v1(
        dir.path(),
        "UPDATE sqlite_sequence SET seq = 41 WHERE name = 'outbox_ops';",
    )
    .await;
    let store = open(&file).await;
    let numbers: Vec<_> = store
        .outbox()
        .await
        .unwrap()
        .iter()
        .map(|r| r.row.row.n)
        .collect();
    assert_eq!(numbers[..2], [1, 2]);
    assert!(numbers[2] > 41, "41 was given once: {numbers:?}");
}

#[tokio::test]
async fn a_patch_of_a_later_build_stays_a_patch() {
    let dir = tempfile::tempdir().unwrap();
    let patch = r#"INSERT INTO outbox_ops (collection, doc_id, operation, payload, created_at) VALUES ('campaigns', 'clean',
        'patch', '{"baseRev":3,"ops":[{"op":"set","path":"name","value":"Renamed"}]}', 1700001500);"#;
    let store = open(&v1(dir.path(), patch).await).await;
    let clean = store
        .get(&doc("campaigns", "clean"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(clean.fields["name"], "Renamed");
    assert!(clean.dirty);
    assert_eq!(store.doctor().await.unwrap(), []);
}

#[tokio::test]
async fn tables_that_nobody_knows_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let more = "CREATE TABLE house_rules (text TEXT); INSERT INTO house_rules VALUES ('no dice after midnight');";
    let file = v1(dir.path(), more).await;
    open(&file).await.close().await;
    assert_eq!(number(&file, "SELECT count(*) FROM house_rules").await, 1);
    assert_eq!(
        number(&file, "SELECT count(*) FROM campaign_local_metas").await,
        3
    );
}

#[tokio::test]
async fn a_migration_that_fails_leaves_the_very_same_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = v1(dir.path(), "CREATE VIEW scenes AS SELECT 1;").await;
    let before = std::fs::read(&file).unwrap();
    for _ in 0..2 {
        Store::open(&file, options()).await.unwrap_err();
        assert!(std::fs::read(&file).unwrap() == before);
    }
    assert!(
        !dir.path().join("old.db.v1-backup.db").exists(),
        "the file itself is what it was"
    );
    // Mended, it opens.
    run(&file, "DROP VIEW scenes").await;
    assert_eq!(open(&file).await.outbox().await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_copy_that_is_there_already_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let file = v1(dir.path(), "").await;
    let kept = dir.path().join("old.db.v1-backup.db");
    std::fs::write(&kept, "someone's").unwrap();
    let store = open(&file).await;
    let second = dir.path().join("old.db.v1-backup-2.db");
    assert_eq!(store.migrated().unwrap().backup.as_deref(), Some(&*second));
    assert_eq!(std::fs::read(&kept).unwrap(), b"someone's");
}

#[tokio::test]
async fn a_plan_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = v1(dir.path(), "").await;
    let before = std::fs::read(&file).unwrap();
    Store::plan_migration(&file).await.unwrap();
    assert!(std::fs::read(&file).unwrap() == before);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(
        code(Store::plan_migration(dir.path().join("none.db")).await),
        "cannot_open"
    );
}

/// A migration that was published is never edited: files made by it would no longer open. Add another instead.
#[tokio::test]
async fn published_migrations_are_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.db");
    open(&file).await.close().await;
    let mut conn = raw(&file).await;
    let applied: Vec<(i64, String)> = sqlx::query_as(
        "SELECT version, lower(hex(substr(checksum, 1, 8))) FROM _sqlx_migrations ORDER BY version",
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    let published = [(1, "03fd3d82ec1111a5"), (2, "a7fbaf1a47139c64")];
    assert_eq!(applied, published.map(|(n, sum)| (n, sum.to_owned())));
}
