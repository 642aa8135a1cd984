//! Networks, clouds and accounts that don't do as they should: nothing is lost, nothing is hammered, and the status says
//! what is the matter.

use std::time::Duration;

use moonforge_ports::{Clock, RemoteErrorKind};
use moonforge_testkit::simulated::{CallKind, Fault};
use serde_json::json;

use super::rig::{Device, Table, doc, pass};
use crate::coordinator::Phase;

const HOUR: Duration = Duration::from_secs(3600);
const YEAR_MICROS: i64 = 365 * 24 * 3600 * 1_000_000;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A device whose campaign is at the server.
async fn settled(table: &Table) -> Device {
    let mut device = table.device("gm", "a").await;
    device
        .put(&doc("campaigns", "c"), json!({"name": "C"}))
        .await;
    pass(table, &mut [&mut device], HOUR).await;
    assert_eq!(device.coordinator.status().pending, 0);
    table.take_calls();
    device
}

#[tokio::test]
async fn while_the_cloud_cant_be_reached_only_the_way_to_it_is_probed() {
    let table = Table::new(true);
    let mut a = settled(&table).await;
    table.faults(|_| Fault::NeverSent);
    a.set(&doc("campaigns", "c"), "name", "D").await;
    pass(&table, &mut [&mut a], HOUR).await;
    let status = a.coordinator.status();
    assert_eq!(status.phase, Phase::Offline);
    assert_eq!(status.trouble.as_ref().map(|t| t.code), Some("offline"));
    assert_eq!(
        status.sentence(),
        "The cloud can't be reached. 1 edit is kept here and will be sent."
    );
    let calls = table.take_calls();
    let probes = calls.iter().filter(|c| c.kind == CallKind::Probe).count();
    assert!((60..400).contains(&probes), "{probes} probes in an hour");
    assert!(calls.len() - probes <= 2, "{:?}", &calls[..4]);
    table.faults(|_| Fault::None);
    pass(&table, &mut [&mut a], s(61)).await;
    let status = a.coordinator.status();
    assert_eq!((status.phase, status.pending), (Phase::Idle, 0));
    assert_eq!(status.trouble, None);
}

#[tokio::test]
async fn a_cloud_that_answers_nonsense_is_asked_less_and_less() {
    for kind in [RemoteErrorKind::NoAnswer, RemoteErrorKind::Unavailable] {
        let table = Table::new(true);
        let mut a = settled(&table).await;
        // It answers a probe, and nothing that makes sense to anything else.
        table.faults(move |call| match call.kind {
            CallKind::Probe => Fault::None,
            _ => Fault::Status(kind, None),
        });
        a.set(&doc("campaigns", "c"), "name", "D").await;
        pass(&table, &mut [&mut a], HOUR).await;
        let status = a.coordinator.status();
        assert_eq!(status.pending, 1);
        assert!(status.trouble.is_some(), "{status:?}");
        assert!(status.failures >= 5, "{status:?}");
        let calls = table.take_calls().len();
        assert!(calls < 1_000, "{calls} calls in an hour");
    }
}

#[tokio::test]
async fn a_retry_after_is_waited_for() {
    let table = Table::new(true);
    let mut a = settled(&table).await;
    let asked = Fault::Status(RemoteErrorKind::ResourceExhausted, Some(s(600)));
    table.faults(move |_| asked);
    a.set(&doc("campaigns", "c"), "name", "D").await;
    pass(&table, &mut [&mut a], s(60)).await;
    assert_eq!(a.coordinator.status().phase, Phase::Failing);
    table.take_calls();
    pass(&table, &mut [&mut a], s(500)).await;
    assert_eq!(table.take_calls(), []);
    table.faults(|_| Fault::None);
    pass(&table, &mut [&mut a], s(100)).await;
    assert_eq!(a.coordinator.status().pending, 0);
}

#[tokio::test]
async fn one_who_has_to_sign_in_is_told_so_and_goes_on_afterwards() {
    let table = Table::new(true);
    let mut a = settled(&table).await;
    table.faults(|_| Fault::Status(RemoteErrorKind::Unauthenticated, None));
    a.set(&doc("campaigns", "c"), "name", "D").await;
    pass(&table, &mut [&mut a], HOUR).await;
    let status = a.coordinator.status();
    assert_eq!(status.phase, Phase::SignInNeeded);
    assert!(status.needs_attention());
    assert_eq!(
        status.sentence(),
        "Please sign in. 1 edit is kept here and will be sent."
    );
    let calls = table.take_calls().len();
    assert!(calls < 60, "{calls} calls in an hour");
    table.faults(|_| Fault::None);
    a.coordinator.trigger();
    pass(&table, &mut [&mut a], s(1)).await;
    assert_eq!(a.coordinator.status().pending, 0);
}

#[tokio::test]
async fn another_accounts_database_is_left_alone_until_somebody_asks() {
    let table = Table::new(true);
    let mut a = settled(&table).await;
    let store = a.store.clone();
    let mut other = table.device_on("eve", "e", store).await;
    pass(&table, &mut [&mut other], HOUR).await;
    let status = other.coordinator.status();
    assert_eq!(status.phase, Phase::Blocked);
    assert_eq!(
        status.trouble.as_ref().map(|t| t.code),
        Some("account_mismatch")
    );
    assert_eq!(table.take_calls(), []);
    a.set(&doc("campaigns", "c"), "name", "D").await;
    pass(&table, &mut [&mut a], s(2)).await;
    assert_eq!(a.coordinator.status().pending, 0);
}

#[tokio::test]
async fn rules_that_deny_everything_park_and_stop_nothing_else() {
    let table = Table::new(true);
    let mut a = settled(&table).await;
    table.faults(|call| match call.kind {
        CallKind::Probe => Fault::None,
        _ => Fault::Status(RemoteErrorKind::PermissionDenied, None),
    });
    a.set(&doc("campaigns", "c"), "name", "D").await;
    pass(&table, &mut [&mut a], HOUR).await;
    let status = a.coordinator.status();
    assert_eq!((status.pending, status.parked), (0, 1));
    assert!(status.needs_attention());
    let calls = table.take_calls().len();
    assert!(calls < 300, "{calls} calls in an hour");
    assert_eq!(
        a.field(&doc("campaigns", "c"), "name").await,
        Some(json!("D")),
        "what was written is kept and shown"
    );
}

#[tokio::test]
async fn a_clock_that_jumps_starves_nothing() {
    let table = Table::new(true);
    let mut a = settled(&table).await;
    let campaign = doc("campaigns", "c");
    for (n, jump) in [YEAR_MICROS, -3 * YEAR_MICROS, 2 * YEAR_MICROS]
        .into_iter()
        .enumerate()
    {
        table.clock.set_wall(table.clock.now().offset_micros(jump));
        a.set(&campaign, "name", format!("n{n}")).await;
        pass(&table, &mut [&mut a], s(2)).await;
        assert_eq!(a.coordinator.status().pending, 0, "after {jump}");
        table.take_calls();
        pass(&table, &mut [&mut a], HOUR).await;
        let calls = table.take_calls().len();
        assert!((12..200).contains(&calls), "{calls} calls in an hour");
    }
}

#[tokio::test]
async fn the_next_process_waits_as_long_as_the_last_was_told_to() {
    let table = Table::new(true);
    let mut a = settled(&table).await;
    let asked = Fault::Status(RemoteErrorKind::ResourceExhausted, Some(s(600)));
    table.faults(move |_| asked);
    a.set(&doc("campaigns", "c"), "name", "D").await;
    pass(&table, &mut [&mut a], s(30)).await;
    table.take_calls();
    let mut again = table.device_on("gm", "a", a.store.clone()).await;
    again.worker.restore_backoff().await.unwrap();
    pass(&table, &mut [&mut again], s(500)).await;
    assert_eq!(table.take_calls(), []);
    // A wall clock that fell back by a year makes it no longer than it was.
    table
        .clock
        .set_wall(table.clock.now().offset_micros(-YEAR_MICROS));
    let mut third = table.device_on("gm", "a", a.store.clone()).await;
    third.worker.restore_backoff().await.unwrap();
    table.faults(|_| Fault::None);
    pass(&table, &mut [&mut third], s(601)).await;
    assert_eq!(third.coordinator.status().pending, 0);
}
