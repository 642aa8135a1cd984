//! What a day costs.

use std::time::Duration;

use serde_json::json;

use crate::coordinator::Cadence;
use crate::engine::SyncEngine;

use super::rig::{Table, doc, pass};

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test]
async fn an_hour_of_play_and_a_day_of_rest_cost_less_than_1500_reads() {
    let table = Table::new(true);
    let (mut gm, mut second) = (table.device("gm", "a").await, table.device("gm", "b").await);
    let scene = doc("scenes", "s");
    gm.put(&doc("campaigns", "c"), json!({"name": "C"})).await;
    gm.put(
        &scene,
        json!({"title": "t", "campaignId": "c", "chapterId": "h"}),
    )
    .await;
    pass(&table, &mut [&mut gm], s(60)).await;
    pass(&table, &mut [&mut gm, &mut second], s(3600)).await;
    let bill = |device: &super::rig::Device| device.coordinator.status().bill;
    let (before, gm_before) = (bill(&second), bill(&gm));
    let edits = 120;
    for edit in 0..edits {
        gm.set(&scene, "content", format!("round {edit}")).await;
        pass(&table, &mut [&mut gm, &mut second], s(30)).await;
    }
    pass(&table, &mut [&mut gm, &mut second], s(23 * 3600)).await;
    assert_eq!(
        second.field(&scene, "content").await,
        Some(json!("round 119"))
    );
    for (device, before) in [(&second, before), (&gm, gm_before)] {
        let now = bill(device);
        let reads = now.reads() - before.reads();
        // Each saw every change once at the most (the gm his own, as an echo), and each check cost one read: a span of one document.
        let pages = now.pages - before.pages;
        assert!((edits / 2..=edits).contains(&pages), "{now:?}");
        let settling = now.settling - before.settling;
        assert!(settling <= edits, "{now:?}");
        assert!(reads - pages - settling <= 1_500, "{now:?}");
    }
}

#[tokio::test]
async fn the_days_bill_by_cause_adds_up_to_what_the_server_charged() {
    let table = Table::new(true);
    let mut gm = table.device("gm", "a").await;
    let scene = doc("scenes", "s");
    gm.put(&doc("campaigns", "c"), json!({"name": "C"})).await;
    gm.put(
        &scene,
        json!({"title": "t", "campaignId": "c", "chapterId": "h"}),
    )
    .await;
    pass(&table, &mut [&mut gm], s(3600)).await;
    gm.set(&scene, "title", "u").await;
    pass(&table, &mut [&mut gm], s(600)).await;
    // A whole run puts on the bill what idle polls left in memory.
    gm.coordinator.force().await.unwrap();
    let now = moonforge_ports::Clock::now(&*table.clock);
    let today = SyncEngine::bill_of_the_day(&gm.store, now).await.unwrap();
    let (bill, charged) = (today.bill, gm.remote.usage());
    assert_eq!(
        (bill.reads(), bill.writes + bill.beacon_writes),
        (charged.reads, charged.writes),
        "{bill:?}"
    );
    assert_eq!((bill.writes, bill.beacon_writes), (3, 2));
    for (cause, reads) in [
        ("beacons", bill.beacons),
        ("polls", bill.polls),
        ("pages", bill.pages),
        ("listings", bill.listings),
        ("settling", bill.settling),
        ("reconcile", bill.reconcile),
    ] {
        assert!(reads > 0, "{cause}: {bill:?}");
    }
}

#[tokio::test]
async fn a_budget_is_kept() {
    let table = Table::new(true);
    let gm = table.device("gm", "a").await;
    let cadence = Cadence {
        daily_reads: Some(400),
        ..Cadence::default()
    };
    let mut gm = table.device_at("gm", "a", gm.store, cadence).await;
    gm.put(&doc("campaigns", "c"), json!({"name": "C"})).await;
    pass(&table, &mut [&mut gm], s(1)).await;
    let to_midnight = crate::bill::left_of_day(moonforge_ports::Clock::now(&*table.clock));
    pass(&table, &mut [&mut gm], to_midnight).await;
    let before = gm.remote.usage();
    pass(&table, &mut [&mut gm], s(24 * 3600 - 1)).await;
    let reads = (gm.remote.usage() - before).reads;
    // The last looks cost more than one read each.
    assert!((300..=450).contains(&reads), "{reads} reads");
}
