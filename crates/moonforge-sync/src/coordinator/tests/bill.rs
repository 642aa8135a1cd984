//! What a day costs.

use std::time::Duration;

use serde_json::json;

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
    let (before, gm_before, edits) = (second.remote.usage(), gm.remote.usage(), 120);
    for edit in 0..edits {
        gm.set(&scene, "content", format!("round {edit}")).await;
        pass(&table, &mut [&mut gm, &mut second], s(30)).await;
    }
    pass(&table, &mut [&mut gm, &mut second], s(23 * 3600)).await;
    assert_eq!(
        second.field(&scene, "content").await,
        Some(json!("round 119"))
    );
    // Each saw every change once: the gm his own, as an echo.
    for (device, before) in [(&second, before), (&gm, gm_before)] {
        let reads = (device.remote.usage() - before).reads;
        assert!(reads - edits <= 1_500, "{reads} reads");
    }
}
