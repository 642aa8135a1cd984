//! What was just written isn't read back, and nothing of others is passed over for that.

use serde_json::json;

use crate::support::{Cloud, Device, doc, set};

async fn scenes(device: &Device, name: &str, count: usize) {
    for n in 0..count {
        let scene = json!({"title": "t", "campaignId": "c", "chapterId": "h"});
        device
            .put(&doc("scenes", &format!("{name}{n}")), scene)
            .await;
    }
}

/// Two devices of the gm that know a campaign, and owe no check.
async fn table(cloud: &Cloud) -> (Device, Device) {
    let (a, b) = (
        cloud.device(Some("gm"), "a").await,
        cloud.device(Some("gm"), "b").await,
    );
    a.put(&doc("campaigns", "c"), json!({"name": "C"})).await;
    a.sync().await;
    b.sync().await;
    cloud.pass(300);
    a.sync().await;
    b.sync().await;
    (a, b)
}

#[tokio::test]
async fn ones_own_writes_are_counted_not_read() {
    let cloud = Cloud::new();
    let (a, b) = table(&cloud).await;
    scenes(&a, "a", 100).await;
    let report = a.sync().await;
    assert_eq!(report.pushed, 100);
    assert!(report.billed.reads <= 12, "{:?}", report.billed);
    cloud.pass(1);
    let idle = a.sync().await;
    assert!(
        idle.billed.reads <= 9,
        "the cursor is behind them: {:?}",
        idle.billed
    );
    cloud.pass(300);
    a.sync().await;
    assert_eq!(b.sync().await.pulled, 100);
    scenes(&b, "b", 1).await;
    b.sync().await;
    assert_eq!(a.sync().await.pulled, 1);
}

#[tokio::test]
async fn what_others_wrote_among_them_is_found() {
    let cloud = Cloud::new();
    let (a, b) = table(&cloud).await;
    scenes(&b, "b", 1).await;
    b.sync().await;
    cloud.pass(1);
    scenes(&a, "a", 30).await;
    assert_eq!(a.sync().await.pulled, 1);
    assert_eq!(b.sync().await.pulled, 30);
    cloud.pass(1);
    b.patch(&doc("scenes", "a7"), vec![set("title", "theirs")])
        .await;
    b.sync().await;
    cloud.pass(1);
    for n in 0..30 {
        let scene = doc("scenes", &format!("a{n}"));
        a.patch(&scene, vec![set("summary", "mine")]).await;
    }
    assert_eq!(a.sync().await.waiting, 0);
    assert_eq!(
        a.field(&doc("scenes", "a7"), "title").await,
        Some("theirs".into())
    );
    b.sync().await;
    assert_eq!(
        b.field(&doc("scenes", "a7"), "summary").await,
        Some("mine".into())
    );
}
