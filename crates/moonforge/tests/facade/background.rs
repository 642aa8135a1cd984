//! The background engine through the facade.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use moonforge::ports::{
    Aggregate, BatchGet, CommitAnswer, QueryStream, RemoteError, RemoteErrorKind, RemoteQuery,
    RemoteStore, RemoteWrite, Usage,
};
use moonforge::{Cadence, Campaign, Cloud, Embedded, Health, Moonforge, Phase, set};

fn id(text: &str) -> moonforge::DocId {
    text.parse().unwrap()
}

/// Nothing here takes longer; an engine that stays silent must fail its test, not hang it.
const SOON: Duration = Duration::from_secs(30);

/// As the real one, a hundred times as fast.
fn fast() -> Cadence {
    let span = Duration::from_millis;
    Cadence {
        debounce: span(10),
        longest_debounce: span(50),
        poll: span(50),
        longest_poll: span(3000),
        metered_poll: span(300),
        lively: span(1200),
        backoff: span(10),
        longest_backoff: span(200),
        blocked: span(3000),
        look_for_others: span(300),
        daily_reads: None,
    }
}

async fn open(cloud: impl Into<Cloud>) -> Moonforge {
    let builder = Moonforge::memory_builder().cloud(cloud).cadence(fast());
    builder.open().await.unwrap()
}

async fn until(forge: &Moonforge, wanted: impl FnMut(&moonforge::SyncStatus) -> bool) {
    let mut watch = forge.watch_sync_status();
    let reached = tokio::time::timeout(SOON, watch.wait_for(wanted)).await;
    reached.expect("it comes to that").unwrap();
}

#[tokio::test]
async fn what_one_device_writes_the_other_shows_without_anybody_asking() {
    let cloud = Embedded::in_memory();
    let (one, other) = (open(cloud.clone()).await, open(cloud).await);
    one.start();
    other.start();
    let mut live = other.campaigns().watch("k").unwrap();
    let campaign = Campaign::new(id("k"), "The Ember Keep");
    one.campaigns().upsert(campaign).await.unwrap();
    let arrives = async { while live.next().await.unwrap().unwrap().is_none() {} };
    tokio::time::timeout(SOON, arrives)
        .await
        .expect("it arrives");
    other
        .campaigns()
        .patch("k", None, [set("name", "Ash")])
        .await
        .unwrap();
    let mut back = one.campaigns().watch("k").unwrap();
    let arrives = async { while back.next().await.unwrap().unwrap().unwrap().name != "Ash" {} };
    tokio::time::timeout(SOON, arrives)
        .await
        .expect("it arrives");
    one.stop().await;
    other.stop().await;
    assert_eq!(one.sync_status().phase, Phase::Stopped);
}

/// A cloud that can be unplugged.
struct Wire(Arc<dyn RemoteStore>, Arc<AtomicBool>);

impl Wire {
    fn leave(&self) -> Result<(), RemoteError> {
        match self.1.load(Ordering::Relaxed) {
            true => Err(RemoteError::new(RemoteErrorKind::NeverSent, "unplugged")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl RemoteStore for Wire {
    async fn commit(&self, writes: &[RemoteWrite]) -> Result<CommitAnswer, RemoteError> {
        self.leave()?;
        self.0.commit(writes).await
    }

    async fn batch_get(&self, docs: &[moonforge::DocRef]) -> Result<BatchGet, RemoteError> {
        self.leave()?;
        self.0.batch_get(docs).await
    }

    async fn query(&self, query: &RemoteQuery) -> Result<QueryStream<'_>, RemoteError> {
        self.leave()?;
        self.0.query(query).await
    }

    async fn aggregate(&self, query: &RemoteQuery) -> Result<Aggregate, RemoteError> {
        self.leave()?;
        self.0.aggregate(query).await
    }

    async fn refresh_credentials(&self) -> Result<(), RemoteError> {
        self.0.refresh_credentials().await
    }

    async fn probe(&self) -> Result<(), RemoteError> {
        self.leave()
    }

    fn usage(&self) -> Usage {
        self.0.usage()
    }

    fn name(&self) -> String {
        self.0.name()
    }

    fn uid(&self) -> Option<String> {
        self.0.uid()
    }
}

#[tokio::test]
async fn the_status_tells_of_a_cloud_that_is_away_and_of_its_return() {
    let unplugged = Arc::new(AtomicBool::new(true));
    let wire = unplugged.clone();
    let cloud = Cloud::from(Embedded::in_memory())
        .decorated(move |remote| Arc::new(Wire(remote, wire.clone())));
    let forge = open(cloud).await;
    let mut live = forge.watch_status();
    let first = live.next().await.unwrap().unwrap();
    assert_eq!(first.sentence(), "Sync is off.");
    let campaign = Campaign::new(id("k"), "C");
    forge.campaigns().upsert(campaign).await.unwrap();
    forge.start();
    until(&forge, |s| s.phase == Phase::Offline).await;
    let status = forge.status().await.unwrap();
    assert_eq!(status.health, Health::Ok, "no Wi-Fi is no trouble");
    assert_eq!(
        status.sentence(),
        "The cloud can't be reached. 1 edit is kept here and will be sent."
    );
    unplugged.store(false, Ordering::Relaxed);
    until(&forge, |s| s.phase == Phase::Idle && s.pending == 0).await;
    let in_step = async {
        while live.next().await.unwrap().unwrap().sentence() != "Everything is in sync." {}
    };
    tokio::time::timeout(SOON, in_step)
        .await
        .expect("it says so");
}

#[tokio::test]
async fn a_worker_with_a_deadline_exchanges_without_being_started() {
    let cloud = Embedded::in_memory();
    let (one, other) = (open(cloud.clone()).await, open(cloud).await);
    let campaign = Campaign::new(id("k"), "C");
    one.campaigns().upsert(campaign).await.unwrap();
    let run = one.run_until(SOON).await;
    assert!(run.finished);
    assert_eq!(run.report.unwrap().pushed, 1);
    assert_eq!(other.force().await.unwrap().pulled, 1);
    assert_eq!(one.sync_status().phase, Phase::Stopped);
}

#[tokio::test]
async fn the_engine_ends_with_the_last_handle_and_what_waits_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let cloud = Embedded::dir(dir.path().join("missing").join("cloud"));
    let forge = Moonforge::builder(&path)
        .cloud(cloud)
        .cadence(fast())
        .open()
        .await
        .unwrap();
    forge.start();
    let campaign = Campaign::new(id("k"), "C");
    forge.campaigns().upsert(campaign).await.unwrap();
    until(&forge, |s| s.phase == Phase::Offline).await;
    let mut watch = forge.watch_sync_status();
    drop(forge);
    let stopped = watch.wait_for(|s| s.phase == Phase::Stopped);
    tokio::time::timeout(SOON, stopped)
        .await
        .expect("it ends")
        .unwrap();
    let again = Moonforge::builder(&path).open().await.unwrap();
    assert_eq!(again.outbox().counts().await.unwrap().pending, 1);
}

#[tokio::test]
async fn a_collection_that_isnt_there_cant_be_asked_for() {
    let forge = Moonforge::in_memory().await.unwrap();
    let refused = forge.trigger_collections(&["scenes", "dragons"]);
    assert_eq!(refused.unwrap_err().code(), "unknown_collection");
}
