//! Maps that two devices begin at once.

use serde_json::json;

use crate::support::{Cloud, doc};

#[tokio::test]
async fn an_empty_map_takes_nothing_from_one_with_members_whoever_syncs_first() {
    for empty_is_later in [false, true] {
        for empty_syncs_first in [false, true] {
            let cloud = Cloud::new();
            let (a, b) = (cloud.device(None, "a").await, cloud.device(None, "b").await);
            let hero = doc("entities", "hero");
            let created_at = "2026-01-01T00:00:00Z";
            let with = |props| json!({"name": "h", "kind": "npc", "campaignId": "c", "createdAt": created_at, "props": props});
            if empty_is_later {
                b.put(&hero, with(json!({"gold": 5}))).await;
                cloud.pass(5);
                a.put(&hero, with(json!({}))).await;
            } else {
                a.put(&hero, with(json!({}))).await;
                cloud.pass(5);
                b.put(&hero, with(json!({"gold": 5}))).await;
            }
            cloud.pass(5);
            for device in if empty_syncs_first {
                [&a, &b]
            } else {
                [&b, &a]
            } {
                device.sync().await;
                cloud.pass(5);
            }
            a.sync().await;
            for device in [&a, &b] {
                assert_eq!(
                    device.field(&hero, "props").await,
                    Some(json!({"gold": 5})),
                    "later: {empty_is_later}, first: {empty_syncs_first}"
                );
                assert_eq!(device.store.conflicts(true).await.unwrap(), []);
            }
        }
    }
}
