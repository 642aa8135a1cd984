//! How many rows may wait.

use moonforge_model::{Fields, PatchOp};
use moonforge_store::{OutboxLimits, Room, Store, StoreOptions};
use serde_json::json;

use crate::support::{at, doc, fields, number, open, options, path, put, run, second};

fn limited(warn_at: u64, refuse_at: u64) -> StoreOptions {
    StoreOptions {
        outbox_limits: OutboxLimits { warn_at, refuse_at },
        ..options()
    }
}

fn campaign(n: usize) -> (moonforge_model::DocRef, Fields) {
    (
        doc("campaigns", &format!("k{n}")),
        fields(json!({"name": format!("{n}")})),
    )
}

#[tokio::test]
async fn the_outbox_takes_as_many_rows_as_it_may_and_not_one_more() {
    let store = Store::in_memory(limited(10, 23)).await.unwrap();
    for n in 0..23 {
        let expected = if n < 10 { Room::Plenty } else { Room::Tight };
        assert_eq!(store.outbox_room().await.unwrap(), (expected, n as u64));
        let (doc, fields) = campaign(n);
        store.put(doc, fields, at(1)).await.unwrap();
    }
    let (new, fields) = campaign(23);
    let refused = store
        .put(new.clone(), fields.clone(), at(2))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "outbox_full");
    let said = refused.to_string();
    assert!(said.contains("23 edits") && said.contains("sync"), "{said}");
    assert_eq!(store.outbox_room().await.unwrap(), (Room::Full, 23));
    assert!(store.get(&new).await.unwrap().is_none());

    // An edit and a delete are rows too.
    let known = doc("campaigns", "k0");
    let op = PatchOp::Set {
        path: path("name"),
        value: json!("other"),
    };
    let edit = store.patch(known.clone(), None, vec![op], at(3)).await;
    assert_eq!(edit.unwrap_err().code(), "outbox_full");
    let delete = store.delete(known.clone(), at(3)).await;
    assert_eq!(delete.unwrap_err().code(), "outbox_full");
    let read = store.get(&known).await.unwrap().unwrap();
    assert_eq!(read.fields["name"], "0");
    assert_eq!(read.deleted, None);
    // What changes nothing needs no room.
    let same = store
        .put(
            known,
            Fields::from_iter([("name".into(), json!("0"))]),
            at(3),
        )
        .await;
    assert!(!same.unwrap().changed);

    // As soon as one is through there is room for one.
    let oldest = store.outbox().await.unwrap()[0].row.row.n;
    store.discard(oldest, second(4)).await.unwrap();
    store.put(new, fields, at(5)).await.unwrap();
    assert_eq!(store.outbox_room().await.unwrap(), (Room::Full, 23));
}

#[tokio::test]
async fn of_many_documents_those_that_fit_are_written_and_the_others_refused() {
    let store = Store::in_memory(limited(2, 3)).await.unwrap();
    let results = store
        .put_many((0..5).map(campaign).collect(), at(1))
        .await
        .unwrap();
    let codes: Vec<_> = results
        .iter()
        .map(|r| r.as_ref().map_or_else(|e| e.code(), |_| "ok"))
        .collect();
    assert_eq!(codes, ["ok", "ok", "ok", "outbox_full", "outbox_full"]);
    assert_eq!(store.outbox().await.unwrap().len(), 3);
}

#[tokio::test]
async fn what_a_sync_saves_is_never_refused() {
    let store = Store::in_memory(limited(1, 1)).await.unwrap();
    let keep = doc("campaigns", "keep");
    put(&store, &keep, json!({"name": "Keep"}), 1).await;
    // As when rows are merged again under new numbers, and one more than there were.
    let merged = store.write(move |tx| {
        Box::pin(async move {
            let mut state = tx.load(&keep).await?;
            let row = state.rows[0].row.clone();
            state.rows[0].row.n = 0;
            state.push_row(moonforge_model::Row { n: 0, ..row }, second(2));
            tx.save(&mut state).await
        })
    });
    merged.await.unwrap();
    assert_eq!(store.outbox_room().await.unwrap(), (Room::Full, 2));
}

#[tokio::test]
async fn the_number_of_rows_is_right_after_each_way_in_and_out() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.db");
    let store = open(&file).await;
    let right = async || {
        let wrong = "SELECT (SELECT rows FROM outbox_size) - (SELECT count(*) FROM outbox_ops)";
        assert_eq!(number(&file, wrong).await, 0);
    };
    for n in 0..4 {
        put(
            &store,
            &doc("campaigns", &format!("k{n}")),
            json!({"name": "x"}),
            n,
        )
        .await;
    }
    right().await;
    store.delete(doc("campaigns", "k0"), at(5)).await.unwrap();
    right().await;
    store
        .mark_clean(doc("campaigns", "k1"), second(6))
        .await
        .unwrap();
    right().await;
    let refused = store
        .write(|tx| {
            Box::pin(async move {
                let mut state = tx.load(&doc("campaigns", "k2")).await?;
                state.rows.clear();
                tx.save(&mut state).await?;
                Err::<(), _>(moonforge_store::StoreError::Interrupted)
            })
        })
        .await;
    assert!(refused.is_err());
    right().await;
    assert_eq!(store.outbox_room().await.unwrap().1, 4);
}

#[tokio::test]
async fn a_number_that_somebody_made_wrong_is_right_after_the_next_opening() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.db");
    let store = open(&file).await;
    put(&store, &doc("campaigns", "k"), json!({"name": "x"}), 1).await;
    store.close().await;
    for damage in [
        "UPDATE outbox_size SET rows = 77",
        "DELETE FROM outbox_size",
    ] {
        run(&file, damage).await;
        let store = open(&file).await;
        assert_eq!(store.outbox_room().await.unwrap().1, 1, "{damage}");
        store.close().await;
    }
}
