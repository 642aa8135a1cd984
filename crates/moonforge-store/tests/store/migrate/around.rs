//! What else stands in a file of the first app: it is nobody's business, and it stays.

use std::path::Path;

use moonforge_store::Store;
use sqlx::AssertSqlSafe;

use super::v1;
use crate::support::*;

/// A text of each row.
async fn texts(file: &Path, sql: &str) -> Vec<String> {
    let mut conn = raw(file).await;
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
        .fetch_all(&mut conn)
        .await
        .unwrap()
}

async fn opened(dir: &Path, more: &str) -> (std::path::PathBuf, Store) {
    let file = v1(dir, more).await;
    let store = open(&file).await;
    let report = store.migrated().unwrap();
    assert_eq!((report.documents, report.dirty, report.outbox), (3, 3, 3));
    assert_eq!(store.doctor().await.unwrap(), []);
    (file, store)
}

#[tokio::test]
async fn rows_that_refer_to_campaigns_stay_and_refer_to_them() {
    let dir = tempfile::tempdir().unwrap();
    let more = "
        CREATE TABLE maps (id INTEGER PRIMARY KEY, campaign INTEGER NOT NULL REFERENCES campaigns (id) ON DELETE CASCADE);
        CREATE TABLE pins (id INTEGER PRIMARY KEY, campaign INTEGER REFERENCES campaigns ON DELETE SET NULL);
        CREATE TABLE dice (id INTEGER PRIMARY KEY, campaign TEXT REFERENCES campaigns (firebase_id));
        CREATE TABLE sent (id INTEGER PRIMARY KEY, op INTEGER REFERENCES outbox_ops (id) ON DELETE CASCADE);
        INSERT INTO maps SELECT id, id FROM campaigns;
        INSERT INTO pins SELECT id, id FROM campaigns;
        INSERT INTO dice SELECT id, firebase_id FROM campaigns;
        INSERT INTO sent SELECT id, id FROM outbox_ops;";
    let (file, store) = opened(dir.path(), more).await;
    store.close().await;
    let names = texts(
        &file,
        "SELECT c.name FROM campaigns_v1 c JOIN maps m ON m.campaign = c.id JOIN pins p ON p.campaign = c.id
         JOIN dice d ON d.campaign = c.firebase_id ORDER BY c.id",
    )
    .await;
    assert_eq!(names, ["The Ember Keep", "Ash Road", "Half written"]);
    let sent = number(
        &file,
        "SELECT count(*) FROM sent JOIN outbox_ops_v1 o ON o.id = op",
    );
    assert_eq!(sent.await, 2);
    // References hold for what is written from now on.
    run(
        &file,
        "PRAGMA foreign_keys = ON; INSERT INTO maps VALUES (9, 1); INSERT INTO dice VALUES (9, 'dirty')",
    )
    .await;
}

#[tokio::test]
async fn references_that_dangled_before_stop_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let more = "
        PRAGMA foreign_keys = OFF;
        CREATE TABLE maps (id INTEGER PRIMARY KEY, campaign INTEGER REFERENCES campaigns (id));
        CREATE TABLE odd (id INTEGER PRIMARY KEY, campaign TEXT REFERENCES campaigns (name));
        INSERT INTO maps VALUES (1, 1), (2, 77);
        INSERT INTO odd VALUES (1, 'Nobody');";
    let file = v1(dir.path(), more).await;
    let store = open(&file).await;
    assert_eq!(store.migrated().unwrap().documents, 3);
    let codes = store.doctor().await.unwrap().into_iter().map(|f| f.code);
    assert_eq!(codes.collect::<Vec<_>>(), ["foreign_key"]);
    store.close().await;
    assert_eq!(number(&file, "SELECT sum(campaign) FROM maps").await, 78);
}

#[tokio::test]
async fn views_and_triggers_over_the_old_tables_go_on_working() {
    let dir = tempfile::tempdir().unwrap();
    let more = "
        CREATE TABLE house_rules (text TEXT);
        CREATE VIEW titles AS SELECT c.firebase_id, upper(c.name) AS title FROM campaigns c;
        CREATE TRIGGER noted AFTER INSERT ON house_rules BEGIN
            UPDATE campaigns SET description = new.text WHERE firebase_id = 'clean';
        END;
        CREATE TRIGGER watched AFTER UPDATE ON campaigns BEGIN INSERT INTO house_rules VALUES ('a change'); END;
        CREATE INDEX campaigns_updated ON campaigns (updated_at);
        CREATE UNIQUE INDEX \"scenes_parent\" ON house_rules (text) WHERE text <> 'a change';";
    let (file, store) = opened(dir.path(), more).await;
    store.close().await;
    let titles = texts(&file, "SELECT title FROM titles ORDER BY 1").await;
    assert_eq!(titles, ["ASH ROAD", "HALF WRITTEN", "THE EMBER KEEP"]);
    run(&file, "INSERT INTO house_rules VALUES ('no dice')").await;
    let told = "SELECT description FROM campaigns_v1 WHERE firebase_id = 'clean'";
    assert_eq!(texts(&file, told).await, ["no dice"]);
    assert_eq!(number(&file, "SELECT count(*) FROM house_rules").await, 2);
    let indexes = "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name IN ('campaigns_v1', 'house_rules')
                   AND sql IS NOT NULL ORDER BY name";
    assert_eq!(
        texts(&file, indexes).await,
        ["campaigns_updated_v1", "scenes_parent_v1"]
    );
    assert_eq!(open(&file).await.doctor().await.unwrap(), []);
}

#[tokio::test]
async fn columns_that_nobody_knows_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let more = "
        ALTER TABLE campaigns ADD COLUMN cover TEXT;
        UPDATE campaigns SET cover = 'dragon.png' WHERE firebase_id = 'clean';
        ALTER TABLE campaign_local_metas ADD COLUMN device TEXT DEFAULT 'phone';
        ALTER TABLE outbox_ops ADD COLUMN note TEXT DEFAULT 'by hand';
        UPDATE sqlite_sequence SET seq = 41 WHERE name = 'outbox_ops';";
    let (file, store) = opened(dir.path(), more).await;
    let outbox = store.outbox().await.unwrap();
    assert!(outbox[2].row.row.n > 41, "41 was given once: {outbox:?}");
    store.close().await;
    let cover = "SELECT cover FROM campaigns_v1 WHERE firebase_id = 'clean'";
    assert_eq!(texts(&file, cover).await, ["dragon.png"]);
    assert_eq!(
        texts(&file, "SELECT note FROM outbox_ops_v1").await,
        ["by hand", "by hand"]
    );
    let devices = "SELECT count(*) FROM campaign_local_metas WHERE device = 'phone'";
    assert_eq!(number(&file, devices).await, 3);
}

#[tokio::test]
async fn tables_whose_names_are_ours_are_renamed_with_what_refers_to_them() {
    let dir = tempfile::tempdir().unwrap();
    let more = "
        CREATE TABLE Entities (id INTEGER PRIMARY KEY, text TEXT);
        INSERT INTO Entities VALUES (7, 'a goblin');
        CREATE TABLE entities_v1 (text TEXT);
        INSERT INTO entities_v1 VALUES ('older');
        CREATE TABLE conflicts (entity INTEGER REFERENCES Entities (id));
        INSERT INTO conflicts VALUES (7);
        CREATE TABLE carried_campaigns (text TEXT);
        CREATE VIEW goblins AS SELECT text FROM entities WHERE text LIKE '%goblin%';";
    let (file, store) = opened(dir.path(), more).await;
    store.close().await;
    assert_eq!(
        texts(&file, "SELECT text FROM Entities_v1_2").await,
        ["a goblin"]
    );
    assert_eq!(
        texts(&file, "SELECT text FROM entities_v1").await,
        ["older"]
    );
    assert_eq!(texts(&file, "SELECT text FROM goblins").await, ["a goblin"]);
    let joined = "SELECT e.text FROM conflicts_v1 c JOIN Entities_v1_2 e ON e.id = c.entity";
    assert_eq!(texts(&file, joined).await, ["a goblin"]);
    run(
        &file,
        "PRAGMA foreign_keys = ON; INSERT INTO conflicts_v1 VALUES (7)",
    )
    .await;
    assert_eq!(number(&file, "SELECT count(*) FROM entities").await, 0);
}

#[tokio::test]
async fn a_view_that_cannot_be_moved_is_named_and_the_file_left() {
    let dir = tempfile::tempdir().unwrap();
    for view in [
        "CREATE VIEW scenes AS SELECT name FROM campaigns",
        "CREATE VIEW torn AS SELECT c.name FROM campaigns c, nowhere",
    ] {
        let file = v1(dir.path(), &format!("{view};")).await;
        let before = std::fs::read(&file).unwrap();
        let refused = Store::open(&file, options()).await.unwrap_err();
        assert_eq!(refused.code(), "cannot_open");
        let name = view.split(' ').nth(2).unwrap();
        assert!(refused.to_string().contains(name), "{refused}");
        assert!(std::fs::read(&file).unwrap() == before);
        let planned = Store::plan_migration(&file).await;
        if name == "scenes" {
            assert_eq!(code(planned), "cannot_open");
        }
        run(&file, &format!("DROP VIEW {name}")).await;
        assert_eq!(open(&file).await.migrated().unwrap().documents, 3);
        std::fs::remove_dir_all(dir.path()).unwrap();
        std::fs::create_dir(dir.path()).unwrap();
    }
}

#[tokio::test]
async fn a_broken_view_over_something_else_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let view = "CREATE VIEW torn AS SELECT name FROM nowhere;";
    let (file, store) = opened(dir.path(), view).await;
    store.close().await;
    let kept = "SELECT count(*) FROM sqlite_schema WHERE name = 'torn'";
    assert_eq!(number(&file, kept).await, 1);
}

#[tokio::test]
async fn of_a_file_with_nothing_else_in_it_no_old_table_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let (file, store) = opened(dir.path(), "CREATE INDEX by_name ON campaigns (name);").await;
    store.close().await;
    let old = "SELECT name FROM sqlite_schema WHERE type = 'table' AND (name LIKE '%v1%' OR name LIKE 'carried%')";
    assert_eq!(texts(&file, old).await, [""; 0]);
    // The same tables as in a file that was never anything else.
    let fresh = dir.path().join("fresh.db");
    open(&fresh).await.close().await;
    let schema = "SELECT name FROM sqlite_schema ORDER BY name";
    assert_eq!(texts(&file, schema).await, texts(&fresh, schema).await);
}
