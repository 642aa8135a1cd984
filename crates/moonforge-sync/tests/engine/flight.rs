//! Several requests under way at once.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use moonforge_ports::{Clock, RemoteErrorKind};
use moonforge_sync::SyncOptions;
use moonforge_testkit::clock::ManualClock;
use moonforge_testkit::simulated::{Call, CallKind, Fault, Gate, GatePoint, Moment};
use serde_json::json;

use crate::support::{Cloud, Device, doc, set};

/// What calls went through, and when.
#[derive(Default)]
struct Log(Mutex<Vec<(GatePoint, Duration)>>);

struct Watched {
    log: Arc<Log>,
    clock: Arc<ManualClock>,
}

#[async_trait]
impl Gate for Watched {
    async fn pass(&self, point: GatePoint) {
        self.clock.advance(Duration::from_millis(20));
        let mut log = self.log.0.lock().unwrap();
        log.push((point, self.clock.monotonic()));
    }
}

fn watch(cloud: &Cloud) -> Arc<Log> {
    let log = Arc::new(Log::default());
    cloud.server.set_gate(Arc::new(Watched {
        log: log.clone(),
        clock: cloud.clock.clone(),
    }));
    log
}

impl Log {
    fn points(&self) -> Vec<(GatePoint, Duration)> {
        self.0.lock().unwrap().clone()
    }

    /// The most commits that were under way at once. No document may be in two of them.
    fn most_commits(&self) -> usize {
        let mut under_way: Vec<Call> = Vec::new();
        let mut most = 0;
        for (point, _) in self.points() {
            if point.call.kind != CallKind::Commit {
                continue;
            }
            match point.moment {
                Moment::Sending => under_way.push(point.call),
                Moment::Arrived => {}
                Moment::Answering => under_way.retain(|call| call.number != point.call.number),
            }
            let docs = under_way.iter().flat_map(|call| &call.docs);
            let all: Vec<_> = docs.collect();
            assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
            most = most.max(under_way.len());
        }
        most
    }
}

/// A device of the gm with a campaign at the server.
async fn gm(cloud: &Cloud, name: &str) -> Device {
    let device = cloud.device(Some("gm"), name).await;
    device
        .put(&doc("campaigns", "c"), json!({"name": "C"}))
        .await;
    device.sync().await;
    device
}

async fn scenes(device: &Device, count: usize) {
    for n in 0..count {
        let scene = json!({"title": "t", "campaignId": "c", "chapterId": "h"});
        device.put(&doc("scenes", &format!("s{n}")), scene).await;
    }
}

#[tokio::test]
async fn several_commits_are_under_way_and_no_document_is_in_two() {
    let cloud = Cloud::new();
    let device = gm(&cloud, "a").await;
    scenes(&device, 150).await;
    let log = watch(&cloud);
    let report = device.sync().await;
    assert_eq!((report.pushed, report.waiting), (150, 0));
    let most = log.most_commits();
    assert!((2..=4).contains(&most), "{most} at once");
}

#[tokio::test]
async fn the_same_happens_again_with_the_same_clock_and_chance() {
    let mut traces = Vec::new();
    for _ in 0..2 {
        let cloud = Cloud::new();
        let device = gm(&cloud, "a").await;
        scenes(&device, 150).await;
        let log = watch(&cloud);
        cloud
            .server
            .set_faults(|call: &Call| match call.number % 5 {
                1 => Fault::LostAnswer,
                3 => Fault::Status(RemoteErrorKind::Aborted, None),
                _ => Fault::None,
            });
        device.try_sync().await.unwrap();
        let moments = log.points().into_iter();
        let moments = moments.map(|(p, at)| (p.call.number, p.call.docs, p.moment, at));
        traces.push(moments.collect::<Vec<_>>());
    }
    assert_eq!(traces[0], traces[1]);
}

#[tokio::test]
async fn what_one_commit_is_told_to_wait_for_all_wait_for() {
    let cloud = Cloud::new();
    let device = gm(&cloud, "a").await;
    scenes(&device, 150).await;
    let log = watch(&cloud);
    let calls = Arc::new(Mutex::new(Vec::new()));
    let (seen, clock, told) = (calls.clone(), cloud.clock.clone(), Mutex::new(false));
    let span = Duration::from_secs(8);
    cloud.server.set_faults(move |call: &Call| {
        seen.lock().unwrap().push((call.number, clock.monotonic()));
        let first =
            call.kind == CallKind::Commit && !std::mem::replace(&mut *told.lock().unwrap(), true);
        if first {
            Fault::Status(RemoteErrorKind::ResourceExhausted, Some(span))
        } else {
            Fault::None
        }
    });
    let report = device.sync().await;
    assert_eq!(report.pushed, 150);
    let calls = calls.lock().unwrap().clone();
    let (told, _) = calls[0];
    let is_answer = |p: &GatePoint| p.call.number == told && p.moment == Moment::Answering;
    let points = log.points();
    let (_, answered) = points.iter().find(|(p, _)| is_answer(p)).unwrap();
    let too_early: Vec<_> = calls
        .iter()
        .filter(|(_, at)| at > answered && *at < *answered + span)
        .collect();
    assert!(too_early.is_empty(), "{too_early:?} after {answered:?}");
}

#[tokio::test]
async fn an_expired_token_is_renewed_once_for_all_that_are_under_way() {
    let cloud = Cloud::new();
    let device = gm(&cloud, "a").await;
    scenes(&device, 150).await;
    let renewals = Arc::new(Mutex::new(0));
    let count = renewals.clone();
    cloud.server.set_faults(move |call: &Call| {
        let mut renewals = count.lock().unwrap();
        match call.kind {
            CallKind::Refresh => *renewals += 1,
            _ if *renewals == 0 => return Fault::Status(RemoteErrorKind::Unauthenticated, None),
            _ => {}
        }
        Fault::None
    });
    let report = device.sync().await;
    assert_eq!((report.pushed, report.unauthenticated), (150, false));
    assert_eq!(*renewals.lock().unwrap(), 1);
}

#[tokio::test]
async fn children_wait_while_their_campaign_is_under_way() {
    let cloud = Cloud::new();
    let device = cloud.device(Some("gm"), "a").await;
    device
        .put(&doc("campaigns", "c"), json!({"name": "C"}))
        .await;
    scenes(&device, 6).await;
    let log = watch(&cloud);
    let options = SyncOptions {
        first_batch: 1,
        ..SyncOptions::default()
    };
    let report = device.sync_with(&options).await;
    assert_eq!((report.pushed, report.parked), (7, 0));
    let commits = log.points().into_iter().map(|(point, _)| point);
    let commits = commits.filter(|p| p.call.kind == CallKind::Commit);
    let told: Vec<_> = commits
        .map(|p| (p.call.docs[0].to_string(), p.moment))
        .collect();
    let of_campaign = told.iter().take_while(|(doc, _)| doc == "campaigns/c");
    assert_eq!(of_campaign.count(), 3, "{told:?}");
    assert!(log.most_commits() > 1);
}

#[tokio::test]
async fn what_is_under_way_when_the_run_ends_is_still_settled() {
    let cloud = Cloud::new();
    let device = gm(&cloud, "a").await;
    scenes(&device, 100).await;
    cloud
        .server
        .set_faults(|call: &Call| match call.docs.first() {
            Some(doc) if call.kind == CallKind::Commit && doc.id.as_str() == "s0" => Fault::Status(
                RemoteErrorKind::ResourceExhausted,
                Some(Duration::from_secs(60)),
            ),
            _ => Fault::None,
        });
    let report = device.try_sync().await.unwrap();
    assert!(report.stopped.is_some());
    let sent = device.store.outbox().await.unwrap();
    let sent: Vec<_> = sent.iter().filter(|e| e.row.row.sent).collect();
    assert_eq!(report.pushed + report.waiting, 100);
    assert!(
        report.pushed > 0 && sent.len() <= 20,
        "{report:?}, {} sent",
        sent.len()
    );
}

#[tokio::test]
async fn an_outbox_of_many_pages_goes_out_whole_and_in_order() {
    let cloud = Cloud::new();
    let device = gm(&cloud, "a").await;
    scenes(&device, 1200).await;
    for n in 0..40 {
        let scene = doc("scenes", &format!("s{n}"));
        device.patch(&scene, vec![set("title", "later")]).await;
    }
    let report = device.sync().await;
    assert_eq!((report.pushed, report.waiting), (1200, 0));
    assert_eq!(cloud.there(&doc("scenes", "s7"), "rev"), Some(0.into()));
    assert_eq!(
        cloud.there(&doc("scenes", "s7"), "title"),
        Some("later".into())
    );
}
