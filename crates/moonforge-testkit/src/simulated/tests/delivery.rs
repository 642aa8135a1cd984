use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use moonforge_model::Timestamp;
use moonforge_ports::{QueryEvent, RemoteErrorKind, RemoteQuery, RemoteStore, Usage};
use serde_json::json;
use tokio::sync::Semaphore;

use super::{START, World, kind_of, listed};
use crate::conformance::{create, doc, fields, path};
use crate::simulated::{Call, CallKind, Fault, Gate, GatePoint, Moment};

fn scenes() -> RemoteQuery {
    RemoteQuery::all(doc("scenes", "x").collection)
}

#[tokio::test]
async fn each_fault_answers_and_applies_as_it_says() {
    use RemoteErrorKind::{NeverSent, NoAnswer, Unavailable};
    let retry = Some(Duration::from_secs(3));
    let cases = [
        (Fault::None, None, true, 0),
        (Fault::NeverSent, Some(NeverSent), false, 0),
        (Fault::LostRequest, Some(NoAnswer), false, 0),
        (Fault::LostAnswer, Some(NoAnswer), true, 0),
        (Fault::Late, Some(NoAnswer), false, 1),
        (Fault::LateVisible, Some(NoAnswer), false, 1),
        (Fault::Slow(Duration::from_secs(1)), None, true, 0),
        (
            Fault::Status(Unavailable, retry),
            Some(Unavailable),
            false,
            0,
        ),
        (Fault::CutStream(1), Some(NoAnswer), true, 0),
        (Fault::EndStream(1), Some(NoAnswer), true, 0),
    ];
    for (fault, expected, applied, late) in cases {
        let world = World::new();
        let remote = world.server.connect(None, "d");
        world.server.inject("d", CallKind::Commit, fault);
        let answer = remote
            .commit(&[create(doc("scenes", "s"), json!({}))])
            .await;
        if let Fault::Status(_, wait) = fault {
            assert_eq!(answer.as_ref().unwrap_err().retry_after, wait);
        }
        assert_eq!(answer.err().map(|e| e.kind), expected, "{fault:?}");
        assert_eq!(
            world.server.document(&doc("scenes", "s")).is_some(),
            applied,
            "{fault:?}"
        );
        assert_eq!(world.server.late(), late, "{fault:?}");
        assert_eq!(world.server.deliver_late(), late);
        assert_eq!(world.server.documents().len(), usize::from(applied) + late);
        // Once is once.
        let again = create(doc("scenes", "t"), json!({}));
        assert_eq!(kind_of(&remote, &[again]).await, None);
    }
}

#[tokio::test]
async fn a_plan_sees_each_call() {
    let world = World::new();
    let seen: Arc<Mutex<Vec<Call>>> = Arc::default();
    let log = Arc::clone(&seen);
    world.server.set_faults(move |call: &Call| {
        log.lock().unwrap().push(call.clone());
        if call.device == "b" {
            Fault::NeverSent
        } else {
            Fault::None
        }
    });
    let (a, b) = (
        world.server.connect(None, "a"),
        world.server.connect(None, "b"),
    );
    let write = create(doc("scenes", "s"), json!({}));
    assert_eq!(kind_of(&a, std::slice::from_ref(&write)).await, None);
    assert_eq!(listed(&b, scenes()).await, Err(RemoteErrorKind::NeverSent));
    assert_eq!(listed(&a, scenes()).await, Ok(1));
    assert!(b.refresh_credentials().await.is_err());
    let seen: Vec<_> = seen
        .lock()
        .unwrap()
        .iter()
        .map(|c| (c.device.clone(), c.kind, c.number))
        .collect();
    let call = |device: &str, kind, number| (device.to_owned(), kind, number);
    assert_eq!(
        seen,
        [
            call("a", CallKind::Commit, 0),
            call("b", CallKind::Query, 0),
            call("a", CallKind::Query, 1),
            call("b", CallKind::Refresh, 1),
        ]
    );
    world.server.clear_faults();
    assert_eq!(listed(&b, scenes()).await, Ok(1));
}

#[tokio::test]
async fn a_cut_answer_never_has_its_end() {
    let world = World::new();
    let remote = world.server.connect(None, "d");
    let writes: Vec<_> = (0..3)
        .map(|i| create(doc("scenes", &i.to_string()), json!({})))
        .collect();
    remote.commit(&writes).await.unwrap();
    for (fault, documents, errors) in [
        (Fault::CutStream(2), 2, 1),
        (Fault::CutStream(0), 0, 1),
        (Fault::CutStream(9), 3, 1),
        (Fault::EndStream(2), 2, 0),
        (Fault::EndStream(9), 3, 0),
    ] {
        world.server.inject("d", CallKind::Query, fault);
        let query = scenes();
        let events: Vec<_> = remote.query(&query).await.unwrap().collect().await;
        let is_document = |e: &&Result<QueryEvent, _>| matches!(e, Ok(QueryEvent::Document(_)));
        assert_eq!(
            events.iter().filter(is_document).count(),
            documents,
            "{fault:?}"
        );
        assert_eq!(
            events.iter().filter(|e| e.is_err()).count(),
            errors,
            "{fault:?}"
        );
        assert_eq!(events.len(), documents + errors, "{fault:?} has an end");
        world.server.inject("d", CallKind::Query, fault);
        assert_eq!(
            listed(&remote, scenes()).await,
            Err(RemoteErrorKind::NoAnswer)
        );
    }
}

#[tokio::test]
async fn a_slow_commit_appears_below_a_cursor_that_passed_it() {
    let world = World::new();
    let (slow, fast) = (
        world.server.connect(None, "slow"),
        world.server.connect(None, "fast"),
    );
    world
        .server
        .inject("slow", CallKind::Commit, Fault::LateVisible);
    assert!(
        slow.commit(&[create(doc("scenes", "late"), json!({}))])
            .await
            .is_err()
    );
    world.clock.advance(Duration::from_secs(5));
    fast.commit(&[create(doc("scenes", "early"), json!({}))])
        .await
        .unwrap();
    let since = |id: &str| {
        let at = world.server.document(&doc("scenes", id)).unwrap().fields["updatedAt"].clone();
        at.as_str().unwrap().parse::<Timestamp>().unwrap()
    };
    let cursor = since("early");
    let behind = RemoteQuery {
        since: Some(cursor),
        after: Some((Some(cursor), "early".to_owned())),
        ..scenes()
    };
    assert_eq!(listed(&fast, behind.clone()).await, Ok(0));
    assert_eq!(world.server.deliver_late(), 1);
    assert_eq!(
        since("late"),
        Timestamp::from_millis(START),
        "milliseconds, at its arrival"
    );
    assert!(since("late") < cursor);
    assert!(world.version(&doc("scenes", "late")) > world.version(&doc("scenes", "early")));
    assert_eq!(listed(&fast, behind).await, Ok(0), "the cursor is past it");
    assert_eq!(listed(&fast, scenes()).await, Ok(2));
}

#[tokio::test]
async fn a_request_on_its_way_takes_its_time_when_it_arrives() {
    let world = World::new();
    let remote = world.server.connect(None, "d");
    world.server.inject("d", CallKind::Commit, Fault::Late);
    assert!(
        remote
            .commit(&[create(doc("scenes", "s"), json!({}))])
            .await
            .is_err()
    );
    world.clock.advance(Duration::from_secs(60));
    // Meanwhile the same was sent again: the late one finds it there.
    remote
        .commit(&[create(doc("scenes", "s"), json!({}))])
        .await
        .unwrap();
    assert_eq!(
        world.server.deliver(0).unwrap().unwrap_err().kind,
        RemoteErrorKind::AlreadyExists
    );
    world.server.inject("d", CallKind::Commit, Fault::Late);
    assert!(
        remote
            .commit(&[create(doc("scenes", "t"), json!({}))])
            .await
            .is_err()
    );
    world.clock.advance(Duration::from_secs(1));
    let answer = world.server.deliver(0).unwrap().unwrap();
    assert_eq!(
        answer.results[0].server_times,
        [Timestamp::from_millis(START + 61_000)]
    );
    assert!(world.server.deliver(0).is_none());
}

/// Holds every call at one moment until it is given a permit.
struct Turnstile {
    moment: Moment,
    permits: Semaphore,
}

#[async_trait]
impl Gate for Turnstile {
    async fn pass(&self, point: GatePoint) {
        if point.moment == self.moment {
            self.permits.acquire().await.unwrap().forget();
        }
    }
}

#[tokio::test]
async fn a_device_dropped_at_a_gate_leaves_what_that_moment_means() {
    for (moment, applied, late) in [
        (Moment::Sending, 0, 0),
        (Moment::Arrived, 0, 1),
        (Moment::Answering, 1, 0),
    ] {
        let world = World::new();
        let gate = Arc::new(Turnstile {
            moment,
            permits: Semaphore::new(0),
        });
        world.server.set_gate(gate.clone());
        let remote = world.server.connect(None, "d");
        let writes = [create(doc("scenes", "s"), json!({}))];
        let mut commit = Box::pin(remote.commit(&writes));
        // It takes its turn first, and then comes to the gate.
        for _ in 0..8 {
            assert!(futures_util::poll!(&mut commit).is_pending(), "{moment:?}");
        }
        drop(commit);
        assert_eq!(world.server.documents().len(), applied, "{moment:?}");
        assert_eq!(world.server.late(), late, "{moment:?}");
        assert_eq!(world.server.forget_late(), late);
        // With a permit it goes on.
        let writes = [create(doc("scenes", "t"), json!({}))];
        let mut commit = Box::pin(remote.commit(&writes));
        assert!(futures_util::poll!(&mut commit).is_pending());
        gate.permits.add_permits(1);
        commit.await.unwrap();
        assert_eq!(world.server.late(), 0, "it was applied once");
    }
}

#[tokio::test]
async fn the_console_knows_no_rules() {
    let world = World::new();
    let scene = doc("scenes", "s");
    let first = world
        .server
        .console_set(&scene, fields(json!({"rev": 5, "writers": {"u": {}}})));
    let second = world.server.console_patch(
        &scene,
        &[
            (path("rev"), Some(json!(2))),
            (path("writers"), None),
            (path("m.x"), Some(json!(1))),
        ],
    );
    assert!(second > first);
    let now = world.server.document(&scene).unwrap();
    assert_eq!(now.fields, fields(json!({"rev": 2, "m": {"x": 1}})));
    assert!(world.server.console_delete(&scene));
    assert!(!world.server.console_delete(&scene));
    let history = world.server.history();
    assert_eq!(history.len(), 3);
    assert!(history.is_sorted_by(|a, b| a.update_time < b.update_time));
    assert_eq!(history[2].fields, None);
    // A text where `updatedAt` belongs isn't a time: bounded queries don't see it.
    world
        .server
        .console_set(&scene, fields(json!({"updatedAt": "yesterday"})));
    let admin = world.server.connect(None, "admin");
    let since = RemoteQuery {
        since: Some(Timestamp::EPOCH),
        ..scenes()
    };
    assert_eq!(listed(&admin, since).await, Ok(0));
    assert_eq!(listed(&admin, scenes()).await, Ok(1));
}

#[tokio::test]
async fn usage_counts_what_firestore_bills() {
    let world = World::new();
    let remote = world.server.connect(None, "d");
    let writes: Vec<_> = (0..3)
        .map(|i| create(doc("scenes", &i.to_string()), json!({})))
        .collect();
    remote.commit(&writes).await.unwrap();
    assert!(remote.commit(&writes).await.is_err());
    assert_eq!(
        remote.usage(),
        Usage {
            reads: 0,
            writes: 3,
            deletes: 0
        }
    );
    listed(&remote, scenes()).await.unwrap();
    remote
        .batch_get(&[doc("scenes", "0"), doc("scenes", "absent")])
        .await
        .unwrap();
    remote.aggregate(&scenes()).await.unwrap();
    listed(&remote, RemoteQuery::all(doc("none", "x").collection))
        .await
        .unwrap();
    assert_eq!(
        remote.usage(),
        Usage {
            // COUNT and SUM are two requests.
            reads: 3 + 2 + 2 + 1,
            writes: 3,
            deletes: 0
        }
    );
}
