//! The task itself: started, left in the middle of a run, stopped, dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use moonforge_testkit::simulated::{CallKind, Gate, GatePoint, Moment};
use serde_json::json;
use tokio::sync::Notify;

use super::rig::{Device, Table, doc};
use crate::coordinator::{Phase, SyncStatus};

/// Holds the first commit at the server until it is opened.
#[derive(Default)]
struct Barrier {
    reached: Notify,
    open: AtomicBool,
}

#[async_trait]
impl Gate for Barrier {
    async fn pass(&self, point: GatePoint) {
        let stands = point.call.kind == CallKind::Commit && point.moment == Moment::Answering;
        if stands && !self.open.load(Ordering::Relaxed) {
            self.reached.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

async fn until(device: &Device, wanted: impl FnMut(&SyncStatus) -> bool) -> SyncStatus {
    let mut watch = device.coordinator.watch();
    watch.wait_for(wanted).await.unwrap().clone()
}

async fn device(table: &Table) -> Device {
    let device = table.device("gm", "a").await;
    device
        .put(&doc("campaigns", "c"), json!({"name": "C"}))
        .await;
    device
}

#[tokio::test]
async fn a_started_engine_sends_what_waits_and_one_that_was_stopped_doesnt() {
    let table = Table::new(false);
    let a = device(&table).await;
    assert_eq!(a.coordinator.status().phase, Phase::Stopped);
    a.coordinator.start();
    a.coordinator.start();
    until(&a, |s| s.runs_done == 1 && s.pending == 0).await;
    a.coordinator.stop().await;
    assert_eq!(a.coordinator.status().phase, Phase::Stopped);
    a.set(&doc("campaigns", "c"), "name", "D").await;
    table.clock.advance(Duration::from_secs(60));
    assert!(!a.coordinator.trigger_if_ready());
    a.coordinator.start();
    until(&a, |s| {
        s.phase == Phase::Idle && s.runs_done == 1 && s.pending == 0
    })
    .await;
    let there = table.server.document(&doc("campaigns", "c")).unwrap();
    assert_eq!(there.fields["name"], json!("D"));
    a.coordinator.stop().await;
}

#[tokio::test]
async fn an_engine_that_is_told_to_rest_before_it_starts_rests() {
    let table = Table::new(false);
    let a = device(&table).await;
    a.coordinator.pause();
    a.coordinator.start();
    until(&a, |s| s.phase == Phase::Paused).await;
    assert_eq!(table.take_calls(), []);
    a.coordinator.resume();
    until(&a, |s| s.phase == Phase::Idle && s.pending == 0).await;
    a.coordinator.stop().await;
}

#[tokio::test]
async fn a_run_that_is_left_between_a_commit_and_its_answer_loses_and_doubles_nothing() {
    let table = Table::new(false);
    let a = device(&table).await;
    let barrier = Arc::new(Barrier::default());
    table.server.set_gate(barrier.clone());
    a.coordinator.start();
    barrier.reached.notified().await;
    a.coordinator.pause();
    let status = until(&a, |s| s.phase == Phase::Paused).await;
    assert_eq!(status.pending, 1);
    barrier.open.store(true, Ordering::Relaxed);
    a.coordinator.resume();
    until(&a, |s| s.phase == Phase::Idle && s.pending == 0).await;
    let there = table.server.document(&doc("campaigns", "c")).unwrap();
    assert_eq!(there.fields["rev"], json!(0), "written once");
    a.coordinator.stop().await;
}

#[tokio::test]
async fn an_engine_whose_last_handle_is_dropped_ends() {
    let table = Table::new(false);
    let a = device(&table).await;
    a.coordinator.start();
    until(&a, |s| s.runs_done == 1).await;
    let mut watch = a.coordinator.watch();
    let task = a.coordinator.shared.task.lock().unwrap().take().unwrap();
    drop(a);
    task.await.unwrap();
    assert_eq!(watch.borrow_and_update().phase, Phase::Stopped);
}

#[tokio::test]
async fn calls_for_a_refresh_at_the_same_time_share_a_run() {
    let table = Table::new(false);
    let a = device(&table).await;
    let (first, second, third) = tokio::join!(
        a.coordinator.force(),
        a.coordinator.force(),
        a.coordinator.force()
    );
    assert_eq!(first.unwrap().pushed, 1);
    assert_eq!(second.unwrap(), third.unwrap());
    let begun = a.coordinator.shared.forces.load(Ordering::Relaxed);
    assert!(begun <= 2, "{begun} runs for three calls");
}

#[tokio::test]
async fn a_bounded_run_ends_in_time_and_says_how_far_it_came() {
    let table = Table::new(false);
    let a = device(&table).await;
    let barrier = Arc::new(Barrier::default());
    table.server.set_gate(barrier.clone());
    let run = a.coordinator.run_until(Duration::from_secs(25));
    let (run, ()) = tokio::join!(run, async {
        barrier.reached.notified().await;
        table.clock.advance(Duration::from_secs(25));
    });
    assert!(!run.finished && run.report.is_none());
    barrier.open.store(true, Ordering::Relaxed);
    let run = a.coordinator.run_until(Duration::from_secs(25)).await;
    assert!(run.finished, "{run:?}");
    let there = table.server.document(&doc("campaigns", "c")).unwrap();
    assert_eq!(there.fields["rev"], json!(0), "written once");
}

#[tokio::test]
async fn an_engine_that_is_drained_ends_with_nothing_left_to_send() {
    let table = Table::new(false);
    let a = device(&table).await;
    a.coordinator.start();
    let drained = a.coordinator.drain_and_stop(Duration::from_secs(25)).await;
    assert_eq!(drained, Ok(true));
    assert_eq!(a.coordinator.status().phase, Phase::Stopped);
    assert!(table.server.document(&doc("campaigns", "c")).is_some());
}
