//! Streams of what is there now.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use moonforge::{Campaign, Embedded, Moonforge, set};

/// Nothing here takes longer; a stream that stays silent must fail its test, not hang it.
const SOON: Duration = Duration::from_secs(20);

async fn next<S: futures_core::Stream + Unpin>(stream: &mut S) -> S::Item {
    let item = tokio::time::timeout(SOON, stream.next()).await;
    item.expect("the stream says something")
        .expect("and goes on")
}

#[tokio::test]
async fn a_watched_document_is_shown_as_it_comes_changes_and_goes() {
    let forge = Moonforge::in_memory().await.unwrap();
    let mut live = forge.campaigns().watch("k").unwrap();
    assert!(next(&mut live).await.unwrap().is_none());
    forge
        .campaigns()
        .upsert(Campaign::new(id("k"), "a"))
        .await
        .unwrap();
    assert_eq!(next(&mut live).await.unwrap().unwrap().name, "a");
    forge
        .campaigns()
        .upsert(Campaign::new(id("other"), "x"))
        .await
        .unwrap();
    assert!(
        live.next().now_or_never().is_none(),
        "another document is no news"
    );
    forge
        .campaigns()
        .patch("k", None, [set("name", "b")])
        .await
        .unwrap();
    assert_eq!(next(&mut live).await.unwrap().unwrap().name, "b");
    forge.campaigns().delete("k").await.unwrap();
    assert!(next(&mut live).await.unwrap().is_none());
    assert_eq!(
        forge.campaigns().watch("a/b").err().unwrap().code(),
        "invalid_id"
    );
}

#[tokio::test]
async fn what_a_sync_brings_is_shown() {
    let cloud = Embedded::in_memory();
    let open = || Moonforge::memory_builder().cloud(cloud.clone()).open();
    let (one, other) = (open().await.unwrap(), open().await.unwrap());
    let mut live = other.campaigns().watch_all();
    assert!(next(&mut live).await.unwrap().is_empty());
    one.campaigns()
        .upsert(Campaign::new(one.new_id(), "a"))
        .await
        .unwrap();
    one.sync_now().await.unwrap();
    other.sync_now().await.unwrap();
    let campaigns = next(&mut live).await.unwrap();
    assert_eq!(campaigns[0].name, "a");
    assert!(!campaigns[0].stored().dirty);
}

#[tokio::test]
async fn what_another_process_writes_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Moonforge::builder(dir.path().join("a.db")).open();
    // Two openings of one file are to each other as two processes are.
    let (one, other) = (open().await.unwrap(), open().await.unwrap());
    let mut live = one.campaigns().watch_all();
    assert!(next(&mut live).await.unwrap().is_empty());
    other
        .campaigns()
        .upsert(Campaign::new(other.new_id(), "a"))
        .await
        .unwrap();
    assert_eq!(next(&mut live).await.unwrap()[0].name, "a");
}

fn id(text: &str) -> moonforge::CampaignId {
    moonforge::CampaignId::new(text).unwrap()
}
