//! The figures of a report.

use serde_json::json;

use crate::support::{Cloud, doc, set};

#[tokio::test]
async fn a_report_counts_documents() {
    let cloud = Cloud::new();
    let (a, b) = (cloud.device(None, "a").await, cloud.device(None, "b").await);
    let scenes: Vec<_> = (0..3).map(|n| doc("scenes", &format!("s{n}"))).collect();
    for scene in &scenes {
        a.put(scene, json!({"title": "t", "campaignId": "c"})).await;
    }
    a.delete(&scenes[2]).await;
    let report = a.sync().await;
    assert_eq!((report.pushed, report.pulled, report.merged), (3, 0, 0));
    let report = b.sync().await;
    assert_eq!((report.pushed, report.pulled, report.merged), (0, 3, 0));
    let report = b.sync().await;
    assert_eq!((report.pushed, report.pulled, report.merged), (0, 0, 0));
    a.patch(&scenes[0], vec![set("title", "a")]).await;
    a.sync().await;
    cloud.pass(5);
    b.patch(&scenes[0], vec![set("title", "b"), set("status", "b")])
        .await;
    b.patch(&scenes[1], vec![set("title", "b")]).await;
    let report = b.sync().await;
    assert_eq!((report.pushed, report.merged, report.conflicts), (2, 1, 1));
    // What it shows is still its own edit.
    assert_eq!(report.pulled, 0);
    let report = a.sync().await;
    assert_eq!((report.pushed, report.pulled, report.parked), (0, 2, 0));
}
