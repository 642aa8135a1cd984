//! Reads by policy, with a cloud that is there, slow, away, or wants a sign-in.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use moonforge::ports::{Clock, RemoteErrorKind, RemoteStore};
use moonforge::{Answer, CachePolicy, DocPage, Error, Moonforge, Scene, Source, SyncScope, set};
use moonforge_testkit::clock::ManualClock;
use moonforge_testkit::simulated::{
    Call, CallKind, Fault, Gate, GatePoint, Moment, SimulatedFirestore,
};
use serde_json::json;
use tokio::sync::{Notify, watch};

/// Longer than anything here, in the clock's time.
const HOUR: Duration = Duration::from_secs(3600);
const DEADLINE: Duration = Duration::from_secs(10);
/// Nothing here takes longer, in real time.
const SOON: Duration = Duration::from_secs(30);

struct World {
    clock: Arc<ManualClock>,
    server: SimulatedFirestore,
}

fn keep() -> SyncScope {
    "table:campaignId=k".parse().unwrap()
}

impl World {
    /// A server with the campaign `k`, which has the scene `s`.
    async fn new() -> Self {
        let now = "2026-11-21T18:30:00Z".parse().unwrap();
        let clock = Arc::new(ManualClock::new(now));
        let server = SimulatedFirestore::new(clock.clone() as Arc<dyn Clock>);
        let world = Self { clock, server };
        let gm = world.open("gm", HOUR).await;
        for (collection, id, document) in [
            ("campaigns", "k", json!({"name": "The Ember Keep"})),
            ("scenes", "s", json!({"title": "Ash", "campaignId": "k"})),
            ("campaigns", "other", json!({"name": "Elsewhere"})),
        ] {
            let documents = gm.documents(collection).unwrap();
            documents.put(id, document).await.unwrap();
        }
        gm.sync_now().await.unwrap();
        world
    }

    async fn open(&self, device: &str, deadline: Duration) -> Moonforge {
        let remote: Arc<dyn RemoteStore> = self.server.connect(Some("gm".to_owned()), device);
        Moonforge::memory_builder()
            .cloud(remote)
            .clock(self.clock.clone())
            .read_deadline(deadline)
            .open()
            .await
            .unwrap()
    }

    /// A device that read the scene at the start, and another one's edit of it since.
    async fn device(&self, deadline: Duration) -> Moonforge {
        let device = self.open("a", deadline).await;
        device.sync_now().await.unwrap();
        self.clock.advance(Duration::from_secs(60));
        self.edit("Ember").await;
        device
    }

    async fn edit(&self, title: &str) {
        let other = self.open("other", HOUR).await;
        other.sync_now().await.unwrap();
        let scenes = other.scenes();
        scenes
            .patch("s", None, [set("title", title)])
            .await
            .unwrap();
        other.sync_now().await.unwrap();
    }

    /// From now on each call of the device fails so.
    fn fail(&self, fault: Fault) {
        self.server.set_faults(move |call: &Call| {
            if call.device == "a" {
                fault
            } else {
                Fault::None
            }
        });
    }

    /// Moves the clock on in small steps until `work` is done.
    async fn passing<T>(&self, work: impl Future<Output = T>) -> T {
        let time = async {
            loop {
                self.clock.advance(Duration::from_millis(1));
                tokio::task::yield_now().await;
            }
        };
        match select(Box::pin(work), Box::pin(time)).await {
            Either::Left((done, _)) => done,
            Either::Right((never, _)) => never,
        }
    }
}

/// Holds the device's calls until it is opened.
struct Door(watch::Receiver<bool>, Arc<Notify>);

#[async_trait]
impl Gate for Door {
    async fn pass(&self, point: GatePoint) {
        if point.call.device == "a" && point.moment == Moment::Sending {
            self.1.notify_one();
            let _ = self.0.clone().wait_for(|open| *open).await;
        }
    }
}

impl World {
    /// Opens the door, and rings when a call stands before it.
    fn hold(&self) -> (watch::Sender<bool>, Arc<Notify>) {
        let (open, held) = watch::channel(false);
        let bell = Arc::new(Notify::new());
        self.server.set_gate(Arc::new(Door(held, bell.clone())));
        (open, bell)
    }
}

async fn read(forge: &Moonforge, policy: CachePolicy) -> Result<Answer<DocPage<Scene>>, Error> {
    forge.scenes().read(&keep(), policy).await
}

fn title(answer: &Answer<DocPage<Scene>>) -> &str {
    let [scene] = &answer.page.items[..] else {
        panic!("{answer:?}")
    };
    &scene.title
}

/// The title once it is another than it was.
async fn next_title(forge: &Moonforge) -> String {
    let mut live = forge.scenes().watch("s").unwrap();
    let first = live.next().await.unwrap().unwrap().unwrap();
    if first.title != "Ash" {
        return first.title.clone();
    }
    let next = tokio::time::timeout(SOON, live.next()).await;
    let next = next.expect("it comes").unwrap().unwrap().unwrap();
    next.title.clone()
}

#[tokio::test]
async fn a_cloud_that_is_there_is_asked_first_or_alone() {
    for policy in [CachePolicy::RemoteFirst, CachePolicy::OnlineOnly] {
        let world = World::new().await;
        let device = world.device(HOUR).await;
        let answer = read(&device, policy).await.unwrap();
        assert_eq!(title(&answer), "Ember", "{policy:?}");
        let fresh = answer.freshness;
        assert_eq!(
            (fresh.source, fresh.age),
            (Source::Remote, Some(Duration::ZERO))
        );
        assert_eq!(fresh.synced_at, Some(world.clock.now()));
        assert!(fresh.fallback.is_none() && !fresh.refreshing);
        assert_eq!(fresh.report.unwrap().pulled, 1);
    }
}

#[tokio::test]
async fn what_is_here_is_answered_at_once_and_refreshed_in_the_background() {
    let world = World::new().await;
    let device = world.device(HOUR).await;
    let (open, _) = world.hold();
    let answer = read(&device, CachePolicy::LocalFirst).await.unwrap();
    assert_eq!(title(&answer), "Ash");
    let fresh = answer.freshness;
    assert_eq!((fresh.source, fresh.refreshing), (Source::Local, true));
    assert_eq!(fresh.age, Some(Duration::from_secs(60)));
    open.send_replace(true);
    assert_eq!(next_title(&device).await, "Ember");
}

#[tokio::test]
async fn offline_only_makes_no_call() {
    let world = World::new().await;
    let device = world.device(HOUR).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    world.server.set_faults(move |_: &Call| {
        counted.fetch_add(1, Ordering::Relaxed);
        Fault::None
    });
    let answer = read(&device, CachePolicy::OfflineOnly).await.unwrap();
    assert_eq!(title(&answer), "Ash");
    let fresh = answer.freshness;
    assert_eq!(fresh.age, Some(Duration::from_secs(60)));
    assert!(!fresh.refreshing && fresh.report.is_none());
    let policy = CachePolicy::OfflineOnly;
    assert_eq!(device.synchronize(&keep(), policy).await.unwrap(), fresh);
    let new = world.open("b", HOUR).await;
    let answer = read(&new, policy).await.unwrap();
    assert!(answer.page.items.is_empty() && answer.freshness.age.is_none());
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert_eq!(calls.load(Ordering::Relaxed), 0);
}

const FAILURES: [(Fault, &str); 4] = [
    (Fault::NeverSent, "offline"),
    (Fault::LostRequest, "offline"),
    (
        Fault::Status(RemoteErrorKind::Unauthenticated, None),
        "unauthenticated",
    ),
    (
        Fault::Status(RemoteErrorKind::Unavailable, None),
        "cloud_failing",
    ),
];

#[tokio::test]
async fn a_cloud_that_fails_leaves_what_is_here_and_the_reason() {
    for (fault, code) in FAILURES {
        let world = World::new().await;
        let device = world.device(HOUR).await;
        world.fail(fault);
        let reading = read(&device, CachePolicy::RemoteFirst);
        let answer = world.passing(reading).await.unwrap();
        assert_eq!(title(&answer), "Ash");
        let fresh = answer.freshness;
        let fallback = fresh.fallback.expect("it says so");
        assert_eq!((fallback.code, fresh.source), (code, Source::Local));
        assert!(fallback.message.len() > 20 && !fresh.refreshing);
        assert!(fresh.age >= Some(Duration::from_secs(60)));
    }
}

#[tokio::test]
async fn online_only_is_an_error_where_the_cloud_fails_and_changes_nothing() {
    for (fault, code) in FAILURES {
        let world = World::new().await;
        let device = world.device(HOUR).await;
        let scenes = device.scenes();
        scenes
            .patch("s", None, [set("summary", "mine")])
            .await
            .unwrap();
        world.fail(fault);
        let everything = async || {
            let outbox = device.outbox().list().await.unwrap();
            let all = scenes.documents().list(&scenes.query()).await.unwrap();
            let synced = device.synchronize(&keep(), CachePolicy::OfflineOnly).await;
            (outbox, all, synced.unwrap().synced_at)
        };
        let before = everything().await;
        let reading = read(&device, CachePolicy::OnlineOnly);
        let error = world.passing(reading).await.unwrap_err();
        assert_eq!(error.code(), code);
        assert!(error.is_unreachable() && error.to_string().len() > 20);
        assert_eq!(everything().await, before, "{code}");
        world.server.clear_faults();
        let answer = read(&device, CachePolicy::OnlineOnly).await.unwrap();
        assert_eq!(
            (title(&answer), answer.freshness.source),
            ("Ember", Source::Remote)
        );
        let there = world.server.document(&answer.page.items[0].stored().doc);
        assert_eq!(there.unwrap().fields["summary"], "mine");
    }
}

#[tokio::test]
async fn a_slow_cloud_is_waited_for_until_the_deadline() {
    let world = World::new().await;
    let device = world.device(DEADLINE).await;
    let (open, bell) = world.hold();
    let reading = tokio::spawn({
        let device = device.clone();
        async move { read(&device, CachePolicy::RemoteFirst).await }
    });
    bell.notified().await;
    while !reading.is_finished() {
        world.clock.advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
    }
    let answer = reading.await.unwrap().unwrap();
    assert_eq!(title(&answer), "Ash");
    let fresh = answer.freshness;
    assert_eq!(fresh.fallback.unwrap().code, "timed_out");
    assert!(fresh.refreshing);
    // It goes on, and is not begun a second time by one who asks again: a run begins with the campaign, by name.
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    world.server.set_faults(move |call: &Call| {
        let begins = call.device == "a" && call.kind == CallKind::BatchGet;
        counted.fetch_add(usize::from(begins), Ordering::Relaxed);
        Fault::None
    });
    read(&device, CachePolicy::LocalFirst).await.unwrap();
    open.send_replace(true);
    assert_eq!(next_title(&device).await, "Ember");
    assert_eq!(calls.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn online_only_ends_at_the_deadline_and_changes_nothing() {
    let world = World::new().await;
    let device = world.device(DEADLINE).await;
    let (open, bell) = world.hold();
    let reading = tokio::spawn({
        let device = device.clone();
        async move { read(&device, CachePolicy::OnlineOnly).await }
    });
    bell.notified().await;
    while !reading.is_finished() {
        world.clock.advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
    }
    assert_eq!(reading.await.unwrap().unwrap_err().code(), "timed_out");
    open.send_replace(true);
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    let answer = read(&device, CachePolicy::OfflineOnly).await.unwrap();
    assert_eq!(title(&answer), "Ash");
    // Nobody holds the turn.
    assert_eq!(device.sync_now().await.unwrap().pulled, 1);
}

#[tokio::test]
async fn a_read_of_everything_is_as_old_as_its_oldest_part() {
    let world = World::new().await;
    let device = world.device(HOUR).await;
    let other = "other:campaignId=other".parse().unwrap();
    device.join(&keep()).await.unwrap();
    let scenes = device.scenes();
    let age = async |policy| {
        let answer = scenes.read_query(&scenes.query(), policy).await.unwrap();
        answer.freshness.age
    };
    let minute = Some(Duration::from_secs(60));
    assert_eq!(age(CachePolicy::OfflineOnly).await, minute);
    device.join(&other).await.unwrap();
    assert_eq!(age(CachePolicy::OfflineOnly).await, None);
    assert_eq!(age(CachePolicy::RemoteFirst).await, Some(Duration::ZERO));
    world.clock.advance(Duration::from_secs(60));
    device
        .synchronize(&other, CachePolicy::RemoteFirst)
        .await
        .unwrap();
    assert_eq!(age(CachePolicy::OfflineOnly).await, minute);
}

#[tokio::test]
async fn a_scope_that_is_not_joined_beside_others_is_not_fetched() {
    let world = World::new().await;
    let device = world.device(HOUR).await;
    device
        .join(&"other:campaignId=other".parse().unwrap())
        .await
        .unwrap();
    for policy in [
        CachePolicy::RemoteFirst,
        CachePolicy::LocalFirst,
        CachePolicy::OnlineOnly,
    ] {
        let refused = read(&device, policy).await.unwrap_err();
        assert_eq!(refused.code(), "not_joined", "{policy:?}");
    }
    assert!(read(&device, CachePolicy::OfflineOnly).await.is_ok());
    let nothing = "x:colour=red".parse().unwrap();
    for policy in [CachePolicy::OfflineOnly, CachePolicy::RemoteFirst] {
        let refused = device.scenes().read(&nothing, policy).await.unwrap_err();
        assert_eq!(refused.code(), "invalid_scope");
    }
}
