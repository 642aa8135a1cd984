//! When a tombstone may go for good.

use moonforge_model::{TOMBSTONE_RETENTION, Timestamp};
use moonforge_ports::Clock;
use serde_json::json;

use crate::support::{Cloud, doc};

/// What waited here for longer than tombstones are kept is kept as long from when others see it: they would lose what
/// they never saw deleted, and the rules let nobody purge at once.
#[tokio::test]
async fn a_delete_that_waited_for_long_is_not_purged_at_once() {
    let cloud = Cloud::new();
    let anna = cloud.device(Some("anna"), "anna").await;
    let (campaign, scene) = (doc("campaigns", "c"), doc("scenes", "s"));
    anna.put(&campaign, json!({"name": "The Ember Keep"})).await;
    anna.put(&scene, json!({"campaignId": "c", "title": "Ash"}))
        .await;
    anna.sync().await;
    anna.delete(&scene).await;
    let deleted_at = cloud.clock.now().to_string();
    cloud.pass(100 * 24 * 3600);
    let report = anna.sync().await;
    assert_eq!((report.pushed, report.parked), (1, 0), "{report:?}");
    assert_eq!(cloud.there(&scene, "deletedAt"), Some(json!(deleted_at)));
    let purge_at = cloud.there(&scene, "purgeAt").unwrap();
    let purge_at: Timestamp = purge_at["$timestamp"].as_str().unwrap().parse().unwrap();
    let updated_at: Timestamp = cloud
        .there(&scene, "updatedAt")
        .unwrap()
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(purge_at >= updated_at.saturating_add(TOMBSTONE_RETENTION));
    // The device knows the version that it made: it has nothing more to send.
    assert_eq!(anna.sync().await.pushed, 0);
    assert_eq!(
        anna.view(&scene).await.unwrap().deleted.unwrap().purge_at,
        Some(purge_at)
    );
}
