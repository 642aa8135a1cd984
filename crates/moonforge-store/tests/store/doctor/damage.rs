//! A damaged file is what `doctor` is for: it says what it can, and never fails over it.

use std::path::Path;

use moonforge_store::{Finding, Store};

use serde_json::json;

use super::{codes, file};
use crate::support::*;

/// Writes over a page of a file.
fn spoil(file: &Path, page: usize, size: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[(page - 1) * size..page * size].fill(0xa5);
    std::fs::write(file, bytes).unwrap();
}

async fn closed_and_whole(dir: &Path) -> (std::path::PathBuf, usize, usize) {
    let file = file(dir).await;
    // Without free pages: what stands in them is no damage.
    run(&file, "VACUUM; PRAGMA wal_checkpoint(TRUNCATE)").await;
    let size = number(&file, "PRAGMA page_size").await;
    let pages = number(&file, "PRAGMA page_count").await;
    (file, size as usize, pages as usize)
}

fn integrity(findings: &[Finding]) -> bool {
    codes(findings).contains(&"integrity")
}

#[tokio::test]
async fn a_spoilt_table_is_named_and_the_others_are_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let (file, size, _) = closed_and_whole(dir.path()).await;
    run(
        &file,
        r#"UPDATE local_metas SET dirty = 0 WHERE doc_id = 's2';
           INSERT INTO campaigns (id, body, updated_at) VALUES ('lost', '{"name":"L"}', 0);
           PRAGMA wal_checkpoint(TRUNCATE);"#,
    )
    .await;
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'scenes'";
    let page = number(&file, root).await as usize;
    spoil(&file, page, size);
    let store = open(&file).await;
    let findings = store.doctor().await.unwrap();
    assert!(integrity(&findings), "{findings:?}");
    for code in ["dirty_mismatch", "document_without_metadata"] {
        assert!(codes(&findings).contains(&code), "{code}: {findings:?}");
    }
    let results = store.repair(findings).await.unwrap();
    assert!(results.iter().any(|f| f.repaired), "{results:?}");
    // SQLite rolled back what met the damage; other writes go on.
    put(
        &store,
        &doc("entities", "e"),
        json!({"campaignId": "c", "kind": "npc", "name": "E"}),
        9,
    )
    .await;
}

#[tokio::test]
async fn whichever_page_is_spoilt_the_doctor_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (file, size, pages) = closed_and_whole(dir.path()).await;
    let whole = std::fs::read(&file).unwrap();
    let mut opened = 0;
    for page in 2..=pages {
        let spoilt = dir.path().join(format!("{page}.db"));
        std::fs::write(&spoilt, &whole).unwrap();
        spoil(&spoilt, page, size);
        let findings = match Store::open(&spoilt, options()).await {
            Ok(store) => {
                opened += 1;
                let findings = store.doctor().await.unwrap();
                store.repair(findings.clone()).await.unwrap();
                findings
            }
            Err(error) => {
                assert_eq!(error.code(), "corrupt", "page {page}: {error}");
                Store::examine(&spoilt).await.unwrap()
            }
        };
        assert!(integrity(&findings), "page {page}: {findings:?}");
    }
    assert!(opened > pages / 2);
    // A file that lost its end.
    for kept in [whole.len() / 2, size * 3 + 100] {
        std::fs::write(&file, &whole[..kept]).unwrap();
        let findings = match Store::open(&file, options()).await {
            Ok(store) => store.doctor().await.unwrap(),
            Err(_) => Store::examine(&file).await.unwrap(),
        };
        assert!(integrity(&findings), "{kept} bytes: {findings:?}");
    }
}

#[tokio::test]
async fn examining_changes_nothing_and_knows_a_database_from_something_else() {
    let dir = tempfile::tempdir().unwrap();
    let (file, ..) = closed_and_whole(dir.path()).await;
    let before = std::fs::read(&file).unwrap();
    assert_eq!(Store::examine(&file).await.unwrap(), []);
    assert!(std::fs::read(&file).unwrap() == before);
    let letter = dir.path().join("letter.txt");
    std::fs::write(&letter, "Dear players, ".repeat(500)).unwrap();
    assert_eq!(code(Store::examine(&letter).await), "not_a_database");
    let none = dir.path().join("none.db");
    assert_eq!(code(Store::examine(&none).await), "cannot_open");
    assert_eq!(code(Store::examine(dir.path()).await), "cannot_open");
    assert!(!none.exists());
}

#[tokio::test]
async fn ids_that_cannot_be_are_found_and_stop_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path()).await;
    let damage = "
        INSERT INTO scenes (id, body, updated_at) VALUES ('a/b', '{}', 0);
        INSERT INTO local_metas (doc_ref, collection, doc_id, base_state) VALUES ('scenes/', 'scenes', '__x__', 'absent');
        INSERT INTO quarantine VALUES ('q', 'scenes', 'c/d', 0, '{}', 'odd', 0);
        INSERT INTO outbox_ops (incarnation, op_id, collection, doc_id, operation, payload, edited_at, created_at)
            VALUES ('', '', 'no/name', 'e/f', 'delete', '{}', 0, 0);
        UPDATE local_metas SET dirty = 0 WHERE doc_id = 's2';";
    run(&file, damage).await;
    let store = open(&file).await;
    let findings = store.doctor().await.unwrap();
    assert_eq!(
        codes(&findings),
        [
            "invalid_id",
            "dirty_mismatch",
            "invalid_id",
            "invalid_id",
            "invalid_id"
        ]
    );
    for (finding, name) in findings.iter().zip(["e/f", "s2", "__x__", "a/b", "c/d"]) {
        assert!(finding.message.contains(name), "{finding:?}");
    }
    let results = store.repair(findings).await.unwrap();
    let mended: Vec<bool> = results.iter().map(|f| f.repaired).collect();
    assert_eq!(mended, [false, true, false, false, false]);
}
