//! The journal itself: how long entries stay, and who sees them come and go.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use moonforge_store::{ConflictCounts, EditTime, JournalEntry, Resolution, Store};
use serde_json::json;

use crate::resolve::{journal, resolve, told, undo, with_an_entry};
use crate::support::*;

const DAY: i64 = 24 * 3600;

#[tokio::test]
async fn settled_entries_go_after_ninety_days_the_newest_and_open_ones_stay() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let store = open(&path).await;
    let e = doc("entities", "e");
    for n in 0..103 {
        let entry = told("name", json!("a"), json!(n), vec![]);
        let id = journal(&store, &e, entry, n).await;
        if n > 0 {
            store.settle_conflict(id, second(n)).await.unwrap();
        }
    }
    let counts = |open, settled| ConflictCounts {
        open,
        undecided: 0,
        settled,
    };
    assert_eq!(store.conflict_counts().await.unwrap(), counts(1, 102));
    store.close().await;
    let reopened = |n: i64| {
        let mut options = options();
        options.now = second(n);
        Store::open(path.clone(), options)
    };
    let store = reopened(89 * DAY).await.unwrap();
    assert_eq!(store.conflict_counts().await.unwrap(), counts(1, 102));
    store.close().await;
    let store = reopened(91 * DAY).await.unwrap();
    assert_eq!(store.conflict_counts().await.unwrap(), counts(1, 100));
    let entries = store.conflicts(true).await.unwrap();
    assert!(
        entries.iter().any(|e| e.conflict.lost == 0),
        "the open one, the oldest of all"
    );
    assert!(
        entries
            .iter()
            .all(|e| e.conflict.lost != 1 && e.conflict.lost != 2)
    );
    // A resolution looks too, so that an app that is never closed keeps no more.
    let open = store.conflicts(false).await.unwrap()[0].conflict_id;
    let late = EditTime::at(second(200 * DAY));
    store
        .resolve_conflict(open, Resolution::Keep, late)
        .await
        .unwrap();
    assert_eq!(store.conflict_counts().await.unwrap(), counts(0, 100));
}

async fn next(
    stream: &mut (
             impl futures_util::Stream<Item = Result<Vec<JournalEntry>, moonforge_store::StoreError>>
             + Unpin
         ),
) -> usize {
    let item = tokio::time::timeout(Duration::from_secs(20), stream.next()).await;
    item.expect("the stream says something")
        .unwrap()
        .unwrap()
        .len()
}

#[tokio::test]
async fn watchers_see_the_open_entries_after_each_commit_and_never_what_was_rolled_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let store = open(&path).await;
    let mut live = Box::pin(store.watch_conflicts());
    assert_eq!(next(&mut live).await, 0);
    let (e, id) = with_an_entry(&store).await;
    assert_eq!(next(&mut live).await, 1);
    put(&store, &e, json!({"name": "x"}), 12).await;
    assert!(
        live.next().now_or_never().is_none(),
        "a document is no news here"
    );
    let refused = store
        .resolve_conflict(id, Resolution::Value(json!(7)), at(20))
        .await;
    assert_eq!(code(refused), "wrong_type");
    let back = store.write(|tx| {
        Box::pin(async move {
            let entry = told("name", json!(1), json!(2), vec![]);
            tx.journal(&doc("entities", "e"), &entry, second(21))
                .await?;
            Err::<(), _>(moonforge_store::StoreError::Busy)
        })
    });
    assert_eq!(code(back.await), "busy");
    assert!(live.next().now_or_never().is_none());
    // Many changes, one look.
    for n in 30..33 {
        journal(&store, &e, told("name", json!(n), json!(n), vec![]), n).await;
    }
    assert_eq!(next(&mut live).await, 4);
    resolve(&store, id, Resolution::Keep, 40).await;
    assert_eq!(next(&mut live).await, 3);
    undo(&store, id, 41).await;
    assert_eq!(next(&mut live).await, 4);
    // Another process.
    let other = open(&path).await;
    resolve(&other, id, Resolution::Keep, 50).await;
    assert!(live.next().now_or_never().is_none());
    assert!(store.poll_other_processes().await.unwrap());
    assert_eq!(next(&mut live).await, 3);
}
