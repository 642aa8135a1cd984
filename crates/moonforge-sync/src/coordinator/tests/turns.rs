//! What an engine does by itself.

use std::time::Duration;

use moonforge_ports::Network;
use moonforge_testkit::simulated::CallKind;
use serde_json::json;

use super::rig::{Table, doc, pass};
use crate::coordinator::Phase;

const HOUR: Duration = Duration::from_secs(3600);

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test]
async fn an_edit_reaches_the_other_device_within_seconds() {
    let table = Table::new(true);
    let (mut a, mut b) = (table.device("gm", "a").await, table.device("gm", "b").await);
    let scene = doc("scenes", "s");
    a.put(&doc("campaigns", "c"), json!({"name": "C"})).await;
    a.put(
        &scene,
        json!({"title": "t", "campaignId": "c", "chapterId": "h"}),
    )
    .await;
    pass(&table, &mut [&mut a, &mut b], s(30)).await;
    // Nobody told b of the campaign; its own listing does.
    b.coordinator
        .trigger_collections([doc("campaigns", "c").collection, scene.collection.clone()]);
    pass(&table, &mut [&mut a, &mut b], s(1)).await;
    assert_eq!(b.field(&scene, "title").await, Some(json!("t")));
    a.set(&scene, "title", "Ash").await;
    pass(&table, &mut [&mut a, &mut b], s(8)).await;
    assert_eq!(b.field(&scene, "title").await, Some(json!("Ash")));
    assert_eq!(a.coordinator.status().pending, 0);
    assert_eq!(a.coordinator.status().sentence(), "Everything is in sync.");
}

#[tokio::test]
async fn an_idle_engine_wakes_only_when_something_is_due_and_asks_once() {
    let table = Table::new(true);
    let mut a = table.device("gm", "a").await;
    a.put(&doc("campaigns", "c"), json!({"name": "C"})).await;
    pass(&table, &mut [&mut a], HOUR).await;
    table.take_calls();
    let before = a.remote.usage();
    pass(&table, &mut [&mut a], HOUR).await;
    let calls = table.take_calls();
    // Twelve beacons; what is due every half hour, and every hour: 2 × 8 + 1.
    let (beacons, others): (Vec<_>, Vec<_>) = calls
        .iter()
        .partition(|call| call.collection.as_deref() == Some("beacons"));
    assert!((12..=15).contains(&beacons.len()), "{}", beacons.len());
    assert_eq!(others.len(), 17, "{others:?}");
    let billed = a.remote.usage() - before;
    assert_eq!(billed.reads, (beacons.len() + others.len()) as u64);
    assert_eq!(billed.writes, 0);
}

#[tokio::test]
async fn a_written_word_goes_out_a_second_later_and_not_at_the_next_look() {
    let table = Table::new(true);
    let mut a = table.device("gm", "a").await;
    a.put(&doc("campaigns", "c"), json!({"name": "C"})).await;
    pass(&table, &mut [&mut a], HOUR).await;
    table.take_calls();
    a.set(&doc("campaigns", "c"), "name", "D").await;
    pass(&table, &mut [&mut a], s(2)).await;
    let commits = table.take_calls();
    let commits = commits.iter().filter(|c| c.kind == CallKind::Commit);
    assert_eq!(commits.count(), 2, "the campaign and its beacon");
}

#[tokio::test]
async fn what_is_written_in_the_middle_of_a_run_goes_out_right_after_it() {
    let table = Table::new(true);
    let mut a = table.device("gm", "a").await;
    let campaign = doc("campaigns", "c");
    a.put(&campaign, json!({"name": "C"})).await;
    pass(&table, &mut [&mut a], HOUR).await;
    // While the beacon is touched, after the last look at the outbox, a person goes on.
    let (store, clock) = (a.store.clone(), table.clock.clone());
    let gate = super::rig_gate::Writes::at_beacon(store, clock, campaign.clone());
    table.server.set_gate(gate);
    a.set(&campaign, "name", "first").await;
    pass(&table, &mut [&mut a], s(4)).await;
    table.server.clear_gate();
    let there = table.server.document(&campaign).unwrap();
    assert_eq!(there.fields["description"], json!("written meanwhile"));
}

#[tokio::test]
async fn without_a_network_nothing_is_asked_and_its_return_sends_what_waits() {
    let table = Table::new(true);
    let mut a = table.device("gm", "a").await;
    let campaign = doc("campaigns", "c");
    a.put(&campaign, json!({"name": "C"})).await;
    pass(&table, &mut [&mut a], s(30)).await;
    a.signal.set(Network::None);
    table.take_calls();
    a.set(&campaign, "name", "D").await;
    pass(&table, &mut [&mut a], HOUR).await;
    assert_eq!(table.take_calls(), []);
    assert_eq!(a.coordinator.status().pending, 1);
    assert!(!a.coordinator.trigger_if_ready());
    a.signal.set(Network::Metered);
    pass(&table, &mut [&mut a], s(1)).await;
    assert_eq!(a.coordinator.status().pending, 0);
}

#[tokio::test]
async fn a_paused_engine_rests_and_looks_when_it_goes_on() {
    let table = Table::new(true);
    let mut a = table.device("gm", "a").await;
    a.put(&doc("campaigns", "c"), json!({"name": "C"})).await;
    a.coordinator.pause();
    pass(&table, &mut [&mut a], HOUR).await;
    assert_eq!(table.take_calls(), []);
    assert_eq!(a.coordinator.status().phase, Phase::Paused);
    assert_eq!(a.coordinator.status().pending, 1);
    a.coordinator.resume();
    pass(&table, &mut [&mut a], s(1)).await;
    assert_eq!(a.coordinator.status().pending, 0);
    assert_eq!(a.coordinator.status().phase, Phase::Idle);
}
