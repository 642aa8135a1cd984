//! Operations other than document writes, carried out by a run.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use moonforge_model::{DocRef, ParkReason, Priority, Timestamp};
use moonforge_ports::{Clock, Executed, Executor, Operation};
use moonforge_store::{NewOperation, Store};
use moonforge_sync::{Executors, SyncEngine, SyncOptions, SyncReport};
use moonforge_testkit::clock::ManualClock;
use moonforge_testkit::random::SeededRandom;
use moonforge_testkit::simulated::{Call, Fault, SimulatedFirestore};
use serde_json::json;
use tokio::sync::{Barrier, Semaphore};

use crate::support::{Cloud, Device, doc};

type Answer = Box<dyn Fn(Operation) -> BoxFuture<'static, Executed> + Send + Sync>;

/// Answers as the test says, and keeps what it was given.
struct Post {
    seen: Mutex<Vec<Operation>>,
    answer: Answer,
}

#[async_trait]
impl Executor for Post {
    async fn execute(&self, operation: &Operation) -> Executed {
        self.seen.lock().unwrap().push(operation.clone());
        (self.answer)(operation.clone()).await
    }
}

fn post(answer: impl Fn(&Operation) -> Executed + Send + Sync + 'static) -> Arc<Post> {
    Arc::new(Post {
        seen: Mutex::default(),
        answer: Box::new(move |operation| {
            let answer = answer(&operation);
            Box::pin(async move { answer })
        }),
    })
}

impl Post {
    fn keys(&self) -> Vec<String> {
        let mut seen = self.seen.lock().unwrap();
        std::mem::take(&mut *seen)
            .into_iter()
            .map(|o| o.key)
            .collect()
    }
}

fn later(after: Option<u64>) -> Executed {
    Executed::Retry {
        after: after.map(Duration::from_secs),
        message: "the mail server is away".into(),
    }
}

/// An engine of a process that has just begun.
fn engine(cloud: &Cloud, device: &Device, post: &Arc<Post>) -> SyncEngine {
    let mut executors = Executors::default();
    executors.register("send_invite", post.clone());
    let random = Arc::new(SeededRandom::new(11));
    let (store, remote) = (device.store.clone(), device.remote.clone());
    SyncEngine::new(store, remote, cloud.clock.clone(), random).with_executors(executors)
}

async fn sync(engine: &SyncEngine) -> SyncReport {
    engine.sync_now(&SyncOptions::default()).await.unwrap()
}

async fn invite(cloud: &Cloud, store: &Store, key: &str) -> String {
    queue(cloud, store, key, Priority::Medium, None).await
}

async fn queue(
    cloud: &Cloud,
    store: &Store,
    key: &str,
    priority: Priority,
    after: Option<DocRef>,
) -> String {
    let operation = NewOperation {
        priority,
        after,
        ..NewOperation::new("send_invite", key, json!({"to": key}))
    };
    store.enqueue(operation, cloud.clock_now()).await.unwrap()
}

#[tokio::test]
async fn an_operation_is_carried_out_once_and_marked_before_that() {
    let cloud = Cloud::new();
    let device = cloud.device(None, "a").await;
    let id = invite(&cloud, &device.store, "anna").await;
    let store = device.store.clone();
    let post = Arc::new(Post {
        seen: Mutex::default(),
        answer: Box::new(move |_| {
            let store = store.clone();
            Box::pin(async move {
                let outbox = store.outbox().await.unwrap();
                assert!(outbox[0].row.row.sent);
                Executed::Done
            })
        }),
    });
    // A store takes its time, and a clock that leaps would take that for too long.
    let cloud = Cloud {
        clock: Arc::new(ManualClock::new(cloud.clock_now())),
        ..cloud
    };
    let engine = engine(&cloud, &device, &post);
    let report = sync(&engine).await;
    assert_eq!(
        (report.operations, report.waiting, report.pushed),
        (1, 0, 0)
    );
    let seen = post.seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 1);
    assert_eq!((&seen[0].id, seen[0].attempts), (&id, 1));
    assert_eq!(seen[0].payload, json!({"to": "anna"}));
    assert!(device.store.outbox().await.unwrap().is_empty());
    assert_eq!(sync(&engine).await.operations, 0);
}

#[tokio::test]
async fn one_that_fails_is_tried_again_later_and_never_dropped() {
    let cloud = Cloud::new();
    let device = cloud.device(None, "a").await;
    let post = post(|o| {
        if o.attempts < 30 {
            later(None)
        } else {
            Executed::Done
        }
    });
    let engine = engine(&cloud, &device, &post);
    let id = invite(&cloud, &device.store, "anna").await;
    let mut longest = Duration::ZERO;
    while !device.store.outbox().await.unwrap().is_empty() {
        let report = sync(&engine).await;
        if let Some(wait) = report.operations_in {
            longest = longest.max(wait);
            assert_eq!(report.waiting, 1);
            // Before its time is come nothing is tried.
            let before = post.seen.lock().unwrap().len();
            sync(&engine).await;
            assert_eq!(post.seen.lock().unwrap().len(), before);
            cloud.clock.advance(wait);
        }
    }
    let seen = post.seen.lock().unwrap();
    assert_eq!(seen.len(), 30);
    assert!(seen.iter().all(|o| o.id == id));
    assert!(
        longest > Duration::from_secs(20) && longest <= Duration::from_secs(60),
        "{longest:?}"
    );
}

#[tokio::test]
async fn what_the_other_side_asked_to_wait_holds_for_the_next_process_too() {
    let cloud = Cloud::new();
    let device = cloud.device(None, "a").await;
    let post = post(|o| {
        if o.attempts == 1 {
            later(Some(600))
        } else {
            Executed::Done
        }
    });
    invite(&cloud, &device.store, "anna").await;
    let report = sync(&engine(&cloud, &device, &post)).await;
    assert_eq!(report.operations_in, Some(Duration::from_secs(600)));
    cloud.pass(599);
    let next = engine(&cloud, &device, &post);
    let report = sync(&next).await;
    assert_eq!(report.operations_in, Some(Duration::from_secs(1)));
    cloud.pass(1);
    assert_eq!(sync(&next).await.operations, 1);
}

#[tokio::test]
async fn a_clock_that_jumps_a_year_makes_no_wait_longer() {
    let year = Duration::from_secs(365 * 24 * 3600);
    for back in [true, false] {
        let cloud = Cloud::new();
        let device = cloud.device(None, "a").await;
        let post = post(|o| {
            if o.attempts == 1 {
                later(Some(600))
            } else {
                Executed::Done
            }
        });
        let first = engine(&cloud, &device, &post);
        invite(&cloud, &device.store, "anna").await;
        sync(&first).await;
        let wall = cloud.clock_now();
        let jumped = match back {
            true => Timestamp::from_micros(wall.as_micros() - year.as_micros() as i64),
            false => wall.saturating_add(year),
        };
        cloud.clock.set_wall(jumped);
        // Who was there knows better than the wall clock.
        let report = sync(&first).await;
        assert_eq!(report.operations_in, Some(Duration::from_secs(600)));
        let next = engine(&cloud, &device, &post);
        if back {
            sync(&next).await;
            cloud.clock.advance(Duration::from_secs(600));
        }
        assert_eq!(sync(&next).await.operations, 1);
    }
}

#[tokio::test]
async fn a_parked_one_holds_up_its_lane_and_no_other() {
    let cloud = Cloud::new();
    let device = cloud.device(None, "a").await;
    let post = post(|o| match (o.key.as_str(), o.attempts) {
        ("anna", 1) => Executed::Park {
            reason: ParkReason::Invalid,
            message: "no such address".into(),
        },
        _ => Executed::Done,
    });
    let engine = engine(&cloud, &device, &post);
    for key in ["anna", "ben", "ben"] {
        invite(&cloud, &device.store, key).await;
    }
    let report = sync(&engine).await;
    assert_eq!(
        (report.operations, report.parked, report.waiting),
        (2, 1, 0)
    );
    let parked = device.store.outbox().await.unwrap().remove(0);
    assert_eq!(parked.row.row.parked, Some(ParkReason::Invalid));
    assert_eq!(parked.row.error.as_deref(), Some("no such address"));
    assert_eq!(sync(&engine).await.operations, 0);
    device.store.retry(None).await.unwrap();
    assert_eq!(sync(&engine).await.operations, 1);
    assert_eq!(post.keys(), ["anna", "ben", "ben", "anna"]);
}

#[tokio::test]
async fn an_executor_that_panics_loses_nothing_and_stops_nobody() {
    let cloud = Cloud::new();
    let device = cloud.device(None, "a").await;
    let post = post(|o| match (o.key.as_str(), o.attempts) {
        ("anna", 1) => panic!("a bug of the app's"),
        _ => Executed::Done,
    });
    let engine = engine(&cloud, &device, &post);
    let keep = doc("campaigns", "keep");
    device.put(&keep, json!({"name": "Keep"})).await;
    for key in ["anna", "ben"] {
        invite(&cloud, &device.store, key).await;
    }
    let report = sync(&engine).await;
    assert_eq!(
        (report.operations, report.pushed, report.waiting),
        (1, 1, 1)
    );
    let entry = device.store.outbox().await.unwrap().remove(0);
    let said = entry.row.error.unwrap();
    assert!(said.contains("panicked: a bug of the app's"), "{said}");
    assert_eq!(entry.row.row.parked, None);
    cloud.pass(60);
    assert_eq!(sync(&engine).await.operations, 1);
}

#[tokio::test]
async fn an_executor_that_never_answers_holds_no_run_for_ever() {
    let cloud = Cloud::new();
    let device = cloud.device(None, "a").await;
    let post = Arc::new(Post {
        seen: Mutex::default(),
        answer: Box::new(|_| Box::pin(std::future::pending())),
    });
    let engine = engine(&cloud, &device, &post);
    invite(&cloud, &device.store, "anna").await;
    let report = sync(&engine).await;
    assert_eq!((report.operations, report.waiting), (0, 1));
    let entry = device.store.outbox().await.unwrap().remove(0);
    assert_eq!(entry.row.error.as_deref(), Some("it took longer than 60 s"));
    assert!(!entry.row.row.sent);
}

#[tokio::test]
async fn one_that_was_cut_short_is_carried_out_again_under_the_same_id() {
    let cloud = Cloud::new();
    let cloud = Cloud {
        clock: Arc::new(ManualClock::new(cloud.clock_now())),
        ..cloud
    };
    let device = cloud.device(None, "a").await;
    let begun = Arc::new(Semaphore::new(0));
    let ring = begun.clone();
    let post = Arc::new(Post {
        seen: Mutex::default(),
        answer: Box::new(move |operation| {
            let ring = ring.clone();
            Box::pin(async move {
                if operation.attempts == 1 {
                    ring.add_permits(1);
                    std::future::pending::<()>().await;
                }
                Executed::Done
            })
        }),
    });
    let id = invite(&cloud, &device.store, "anna").await;
    let first = engine(&cloud, &device, &post);
    tokio::select! {
        _ = sync(&first) => panic!("it waits for ever"),
        _ = begun.acquire() => {}
    }
    assert!(device.store.outbox().await.unwrap()[0].row.row.sent);
    let next = engine(&cloud, &device, &post);
    assert_eq!(sync(&next).await.operations, 1);
    let seen = post.seen.lock().unwrap();
    assert_eq!((&seen[1].id, seen[1].attempts), (&id, 2));
}

#[tokio::test]
async fn one_without_an_executor_waits_untouched() {
    let cloud = Cloud::new();
    let device = cloud.device(None, "a").await;
    let post = post(|_| Executed::Done);
    let engine = engine(&cloud, &device, &post);
    let other = NewOperation::new("ring_bell", "tower", json!(null));
    device
        .store
        .enqueue(other, cloud.clock_now())
        .await
        .unwrap();
    let report = sync(&engine).await;
    assert_eq!((report.operations, report.waiting), (0, 1));
    assert_eq!(report.operations_in, None);
    let entry = device.store.outbox().await.unwrap().remove(0);
    assert_eq!((entry.row.attempts, entry.row.row.sent), (0, false));
}

#[tokio::test]
async fn one_that_depends_on_a_document_goes_in_the_run_that_sends_it() {
    let cloud = Cloud::new();
    let device = cloud.device(None, "a").await;
    let keep = doc("campaigns", "keep");
    device.put(&keep, json!({"name": "Keep"})).await;
    let there = cloud.server.clone();
    let looked = keep.clone();
    let post = post(move |_| {
        assert!(there.document(&looked).is_some());
        Executed::Done
    });
    let engine = engine(&cloud, &device, &post);
    queue(
        &cloud,
        &device.store,
        "anna",
        Priority::Critical,
        Some(keep),
    )
    .await;
    let report = sync(&engine).await;
    assert_eq!(
        (report.pushed, report.operations, report.waiting),
        (1, 1, 0)
    );
}

#[tokio::test]
async fn the_urgent_ones_begin_first_and_those_that_waited_rise() {
    let cloud = Cloud::new();
    let device = cloud.device(None, "a").await;
    let post = post(|_| Executed::Done);
    let engine = engine(&cloud, &device, &post);
    queue(&cloud, &device.store, "old-low", Priority::Low, None).await;
    cloud.pass(180);
    for (key, priority) in [
        ("low", Priority::Low),
        ("high", Priority::High),
        ("critical", Priority::Critical),
    ] {
        queue(&cloud, &device.store, key, priority, None).await;
    }
    assert_eq!(sync(&engine).await.operations, 4);
    assert_eq!(post.keys(), ["old-low", "critical", "high", "low"]);
}

#[tokio::test]
async fn four_lanes_go_beside_each_other_and_each_is_in_order() {
    let cloud = Cloud::new();
    let cloud = Cloud {
        clock: Arc::new(ManualClock::new(cloud.clock_now())),
        ..cloud
    };
    let device = cloud.device(None, "a").await;
    let (running, most) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
    let together = Arc::new(Barrier::new(4));
    let (now, highest) = (running.clone(), most.clone());
    let post = Arc::new(Post {
        seen: Mutex::default(),
        answer: Box::new(move |operation| {
            let (now, highest, together) = (now.clone(), highest.clone(), together.clone());
            Box::pin(async move {
                {
                    let mut now = now.lock().unwrap();
                    assert!(!now.contains(&operation.key), "two of one lane");
                    now.push(operation.key.clone());
                    let mut highest = highest.lock().unwrap();
                    *highest = now.len().max(*highest);
                }
                // Goes on only once four are here.
                together.wait().await;
                now.lock().unwrap().retain(|key| *key != operation.key);
                Executed::Done
            })
        }),
    });
    let engine = engine(&cloud, &device, &post);
    let mut ids = Vec::new();
    for _ in 0..2 {
        for key in ["a", "b", "c", "d", "e", "f"] {
            ids.push(invite(&cloud, &device.store, key).await);
        }
    }
    assert_eq!(sync(&engine).await.operations, 12);
    assert_eq!(*most.lock().unwrap(), 4);
    let seen = post.seen.lock().unwrap();
    for key in ["a", "f"] {
        let mine: Vec<&String> = seen
            .iter()
            .filter(|o| o.key == key)
            .map(|o| &o.id)
            .collect();
        let at = ids.iter().position(|id| id == mine[0]).unwrap();
        assert_eq!(mine[1], &ids[at + 6], "first in, first out");
    }
}

#[tokio::test]
async fn what_an_executor_queues_is_the_next_runs() {
    let cloud = Cloud::new();
    let cloud = Cloud {
        clock: Arc::new(ManualClock::new(cloud.clock_now())),
        ..cloud
    };
    let device = cloud.device(None, "a").await;
    let (store, clock) = (device.store.clone(), cloud.clock.clone());
    let post = Arc::new(Post {
        seen: Mutex::default(),
        answer: Box::new(move |_| {
            let (store, now) = (store.clone(), clock.now());
            Box::pin(async move {
                let again = NewOperation::new("send_invite", "again", json!(0));
                store.enqueue(again, now).await.unwrap();
                Executed::Done
            })
        }),
    });
    let engine = engine(&cloud, &device, &post);
    invite(&cloud, &device.store, "anna").await;
    for _ in 0..3 {
        let report = sync(&engine).await;
        assert_eq!((report.operations, report.waiting), (1, 1));
    }
}

#[tokio::test]
async fn a_cloud_that_is_away_stops_no_operation_that_needs_no_document() {
    let cloud = Cloud::new();
    let device = cloud.device(None, "a").await;
    let post = post(|_| Executed::Done);
    let engine = engine(&cloud, &device, &post);
    invite(&cloud, &device.store, "anna").await;
    let server: &SimulatedFirestore = &cloud.server;
    server.set_faults(|_: &Call| Fault::NeverSent);
    let report = sync(&engine).await;
    assert!(report.offline);
    assert_eq!(report.operations, 1);
}
