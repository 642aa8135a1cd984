//! What is finished goes: nothing in the file grows with use alone.

use std::path::Path;

use moonforge_model::SyncScope;
use moonforge_store::{
    Checkpoint, Cursor, NewOperation, OperationEnd, Quarantined, Store, SyncedScopes,
};
use serde_json::json;
use sqlx::Connection as _;

use crate::support::*;

/// For each table the number of its rows, or of those in which a text stands.
async fn rows(file: &Path, text: Option<&str>) -> Vec<(String, i64)> {
    let mut conn = raw(file).await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    let mut found = Vec::new();
    for table in tables {
        let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info(?1)")
            .bind(&table)
            .fetch_all(&mut conn)
            .await
            .unwrap();
        let within: Vec<String> = columns
            .iter()
            .map(|c| format!("instr(coalesce({c}, ''), ?1) > 0"))
            .collect();
        let condition = text.map_or_else(|| "?1 IS NULL".to_owned(), |_| within.join(" OR "));
        let sql = format!("SELECT count(*) FROM {table} WHERE {condition}");
        let n: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(text)
            .fetch_one(&mut conn)
            .await
            .unwrap();
        found.push((table, n));
    }
    conn.close().await.unwrap();
    found
}

async fn aside(store: &Store, collection: &str, id: &str, raw: serde_json::Value) {
    let aside = Quarantined {
        doc: doc(collection, id),
        update_time: second(3),
        raw: fields(raw),
        error: "`title` should be a text".into(),
    };
    let quarantine =
        store.write(move |tx| Box::pin(async move { tx.quarantine(&aside, second(3)).await }));
    quarantine.await.unwrap();
}

async fn in_quarantine(store: &Store) -> Vec<String> {
    let found = store.quarantined().await.unwrap();
    found.iter().map(|q| q.doc.to_string()).collect()
}

#[tokio::test]
async fn of_a_campaign_that_was_left_nothing_remains() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.db");
    let store = open(&file).await;
    let left = "campaign-that-is-left";
    synced(&store, &doc("campaigns", left), json!({"name": "x"}), 0, 1).await;
    let scene = json!({"campaignId": left, "chapterId": "ch", "title": "A"});
    synced(&store, &doc("scenes", "s1"), scene, 0, 2).await;
    aside(
        &store,
        "scenes",
        "s2",
        json!({"campaignId": left, "title": 7}),
    )
    .await;
    aside(
        &store,
        "scenes",
        "s3",
        json!({"campaignId": "another", "title": 7}),
    )
    .await;
    store
        .set_note(&format!("sight:{left}"), "dm".into())
        .await
        .unwrap();
    let scenes = named("scenes");
    let checkpoint = Checkpoint {
        fast: Some(Cursor {
            at: second(2),
            id: "s1".into(),
        }),
        ..Checkpoint::default()
    };
    let claims = [left.to_owned(), format!("{left}/chapterId=ch")];
    let save = store.write(move |tx| {
        Box::pin(async move {
            for claim in claims {
                tx.save_checkpoint(&scenes, &claim, &checkpoint).await?;
            }
            Ok(())
        })
    });
    save.await.unwrap();
    let before = rows(&file, Some(left)).await;
    assert!(
        before.iter().map(|(_, n)| n).sum::<i64>() >= 6,
        "{before:?}"
    );

    store.leave_campaign(left).await.unwrap();
    let after = rows(&file, Some(left)).await;
    assert!(after.iter().all(|(_, n)| *n == 0), "{after:?}");
    assert_eq!(in_quarantine(&store).await, ["scenes/s3"]);
}

#[tokio::test]
async fn what_a_player_may_not_see_goes_unread_too() {
    let store = memory().await;
    let unreadable =
        |visibility: &str| json!({"campaignId": "c", "title": 7, "visibility": visibility});
    aside(&store, "scenes", "hidden", unreadable("gm")).await;
    aside(&store, "scenes", "open", unreadable("players")).await;
    aside(
        &store,
        "scenes",
        "unsaid",
        json!({"campaignId": "c", "title": 7}),
    )
    .await;
    store.drop_closed("c").await.unwrap();
    assert_eq!(in_quarantine(&store).await, ["scenes/open"]);
}

#[tokio::test]
async fn an_unread_version_of_what_was_edited_here_stays_with_the_edit() {
    let store = memory().await;
    small_campaign(&store).await;
    aside(
        &store,
        "scenes",
        "s1",
        json!({"campaignId": "c", "title": 7}),
    )
    .await;
    store.leave_campaign("c").await.unwrap();
    assert_eq!(in_quarantine(&store).await, ["scenes/s1"]);
}

#[tokio::test]
async fn edits_and_operations_that_are_through_leave_no_row_behind() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.db");
    let store = open(&file).await;
    let keep = doc("campaigns", "keep");
    let mut sizes = Vec::new();
    for n in 1..60 {
        put(&store, &keep, json!({"name": format!("name {n}")}), n).await;
        synced(&store, &keep, json!({"name": format!("name {n}")}), n, n).await;
        let ring = NewOperation::new("ring", format!("lane {n}"), json!(n));
        store.enqueue(ring, second(n)).await.unwrap();
        let next = store.next_operations().await.unwrap()[0].n;
        store.begin_operation(next).await.unwrap();
        store.end_operation(next, OperationEnd::Done).await.unwrap();
        store.note_reach(Some(second(n)), 1).await.unwrap();
        store.note_reach(None, 0).await.unwrap();
        if n % 20 == 0 {
            sizes.push(rows(&file, None).await);
        }
    }
    assert_eq!(sizes[0], sizes[1]);
}

#[tokio::test]
async fn of_scopes_that_were_synced_by_themselves_the_newest_are_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.db");
    let store = open(&file).await;
    let scope = |n: i64| -> SyncScope { format!("chapter:chapterId=ch{n}").parse().unwrap() };
    let synced = async |what, n| {
        let generation = store.scope_generation().await.unwrap();
        store.set_synced(what, generation, second(n)).await.unwrap();
    };
    synced(SyncedScopes::All, 0).await;
    for n in 1..=520 {
        synced(SyncedScopes::One(scope(n)), n).await;
    }
    assert_eq!(number(&file, "SELECT count(*) FROM scopes").await, 501);
    let at = async |n| store.synced_at(Some(&scope(n))).await.unwrap();
    assert_eq!(at(520).await, Some(second(520)));
    // Of a forgotten one it is still known that everything was.
    assert_eq!(at(1).await, Some(second(0)));
}
