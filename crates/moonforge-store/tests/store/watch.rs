//! Streams of what is there: once per change, never of what was rolled back.

use std::pin::pin;

use futures_util::{FutureExt as _, StreamExt as _};
use moonforge_store::{QuerySpec, StoredDoc};
use serde_json::json;

use crate::support::*;

fn name(item: Option<Result<Option<StoredDoc>, moonforge_store::StoreError>>) -> Option<String> {
    let doc = item.unwrap().unwrap()?;
    Some(doc.fields["name"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_document_is_shown_as_it_is_and_then_once_per_change() {
    let store = memory().await;
    let c = doc("campaigns", "c");
    let mut seen = pin!(store.watch_doc(c.clone()));
    assert_eq!(name(seen.next().await), None);
    put(&store, &c, json!({"name": "Ember"}), 1).await;
    assert_eq!(name(seen.next().await).unwrap(), "Ember");

    // Nothing that matters: another document, the same content, a refused edit.
    put(&store, &doc("campaigns", "d"), json!({"name": "Other"}), 2).await;
    put(&store, &c, json!({"name": "Ember"}), 2).await;
    store
        .put(c.clone(), fields(json!({"name": 7})), at(2))
        .await
        .unwrap_err();
    assert!(seen.next().now_or_never().is_none());

    store.delete(c.clone(), at(3)).await.unwrap();
    assert!(
        seen.next()
            .await
            .unwrap()
            .unwrap()
            .unwrap()
            .deleted
            .is_some()
    );
    assert!(seen.next().now_or_never().is_none());
}

#[tokio::test]
async fn one_who_is_slow_gets_the_newest_state() {
    let store = memory().await;
    let c = doc("campaigns", "c");
    let mut seen = pin!(store.watch_doc(c.clone()));
    assert_eq!(name(seen.next().await), None);
    // More than the channel holds.
    for i in 0..300 {
        put(&store, &c, json!({"name": format!("n{i}")}), i).await;
    }
    assert_eq!(name(seen.next().await).unwrap(), "n299");
    assert!(seen.next().now_or_never().is_none());
    put(&store, &c, json!({"name": "after"}), 400).await;
    assert_eq!(name(seen.next().await).unwrap(), "after");
}

#[tokio::test]
async fn a_list_is_shown_again_when_its_page_changes() {
    let store = memory().await;
    small_campaign(&store).await;
    let spec = QuerySpec {
        limit: Some(1),
        ..QuerySpec::all(named("scenes"))
    };
    let mut seen = pin!(store.watch_query(spec));
    let first = seen.next().await.unwrap().unwrap();
    assert_eq!(first.items[0].doc.id.as_str(), "s1");
    // Beyond the page.
    put(&store, &doc("scenes", "s2"), json!({"title": "other"}), 2).await;
    assert!(seen.next().now_or_never().is_none());
    // An ancestor's tombstone hides it.
    store.delete(doc("campaigns", "c"), at(3)).await.unwrap();
    let empty = seen.next().await.unwrap().unwrap();
    assert!(empty.items.is_empty() && empty.next.is_none());
}

#[tokio::test]
async fn an_ancestor_that_falls_marks_the_document_below() {
    let store = memory().await;
    small_campaign(&store).await;
    synced(
        &store,
        &doc("chapters", "ch"),
        json!({"campaignId": "c", "name": "x", "adventureId": "a"}),
        1,
        2,
    )
    .await;
    let scene = doc("scenes", "s1");
    let mut seen = pin!(store.watch_doc(scene));
    assert!(!seen.next().await.unwrap().unwrap().unwrap().parent_deleted);
    // As it comes from the remote: the chapter alone.
    let chapter = doc("chapters", "ch");
    let work = store.write(move |tx| {
        Box::pin(async move {
            let mut state = tx.load(&chapter).await?;
            if let moonforge_store::Base::Known(version) = &mut state.base {
                version.envelope.deleted = Some(moonforge_model::Deletion {
                    at: second(5),
                    delete_id: Some("x".into()),
                    purge_at: None,
                });
            }
            tx.save(&mut state).await
        })
    });
    work.await.unwrap();
    assert!(seen.next().await.unwrap().unwrap().unwrap().parent_deleted);
}

#[tokio::test]
async fn what_another_store_on_the_file_writes_is_noticed_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.db");
    let (here, there) = (open(&file).await, open(&file).await);
    here.poll_other_processes().await.unwrap();
    let c = doc("campaigns", "c");
    let mut seen = pin!(here.watch_doc(c.clone()));
    assert_eq!(name(seen.next().await), None);

    put(&here, &doc("campaigns", "own"), json!({"name": "own"}), 1).await;
    assert!(
        !here.poll_other_processes().await.unwrap(),
        "one's own writes are told already"
    );
    put(&there, &c, json!({"name": "Ember"}), 1).await;
    assert!(seen.next().now_or_never().is_none());
    assert!(here.poll_other_processes().await.unwrap());
    assert_eq!(name(seen.next().await).unwrap(), "Ember");
    assert!(!here.poll_other_processes().await.unwrap());
}
