//! What waits for longer than it should though the cloud can be reached.

use moonforge_ports::RemoteErrorKind;
use moonforge_sync::SyncReport;
use moonforge_testkit::simulated::{Call, CallKind, Fault};
use serde_json::json;

use crate::support::{Cloud, Device, doc};

/// A run whose commits fail, or all of whose requests do.
async fn failing(cloud: &Cloud, device: &Device, fault: Fault, commits_alone: bool) -> SyncReport {
    cloud.server.set_faults(move |call: &Call| {
        if commits_alone && call.kind != CallKind::Commit {
            Fault::None
        } else {
            fault
        }
    });
    let report = device.try_sync().await.unwrap();
    cloud.server.set_faults(|_: &Call| Fault::None);
    report
}

fn unavailable() -> Fault {
    Fault::Status(RemoteErrorKind::Unavailable, None)
}

#[tokio::test]
async fn an_edit_that_fails_again_and_again_is_stuck_until_it_is_through() {
    let cloud = Cloud::new();
    let device = cloud.device(None, "a").await;
    device
        .put(&doc("campaigns", "keep"), json!({"name": "Keep"}))
        .await;
    failing(&cloud, &device, unavailable(), true).await;
    assert!(
        device.store.stuck().await.unwrap().is_empty(),
        "three tries"
    );
    failing(&cloud, &device, unavailable(), true).await;
    let stuck = device.store.stuck().await.unwrap();
    assert_eq!(stuck.len(), 1);
    assert!(stuck[0].attempts >= 5, "{stuck:?}");
    let said = stuck[0].sentence();
    assert!(said.contains("edit 1 of campaigns/keep is stuck"), "{said}");
    assert!(said.contains("was tried 6 times"), "{said}");
    let findings = device.store.doctor().await.unwrap();
    assert_eq!(findings.len(), 1);
    assert_eq!((findings[0].code, &findings[0].message), ("stuck", &said));
    let findings = device.store.repair(findings).await.unwrap();
    assert!(!findings[0].repaired);
    device.sync().await;
    assert!(device.store.stuck().await.unwrap().is_empty());
    assert!(device.store.doctor().await.unwrap().is_empty());
}

#[tokio::test]
async fn who_is_merely_offline_has_nothing_that_is_stuck() {
    let cloud = Cloud::new();
    let device = cloud.device(None, "a").await;
    device
        .put(&doc("campaigns", "keep"), json!({"name": "Keep"}))
        .await;
    for _ in 0..5 {
        let report = failing(&cloud, &device, Fault::NeverSent, false).await;
        assert!(report.offline);
        cloud.pass(3600);
    }
    assert!(device.store.stuck().await.unwrap().is_empty());
    // The cloud is there and fails: an hour is over.
    failing(&cloud, &device, unavailable(), true).await;
    let stuck = device.store.stuck().await.unwrap();
    assert_eq!(stuck.len(), 1);
    assert_eq!(stuck[0].waited.as_secs() / 3600, 5);
    failing(&cloud, &device, Fault::NeverSent, false).await;
    assert!(device.store.stuck().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_parked_and_what_waits_behind_it_is_not_stuck() {
    let cloud = Cloud::new();
    let device = cloud.device(None, "a").await;
    let (keep, other) = (doc("campaigns", "keep"), doc("campaigns", "other"));
    device.put(&keep, json!({"name": "Keep"})).await;
    device.put(&other, json!({"name": "Other"})).await;
    let parked = keep.clone();
    let park = device.store.write(move |tx| {
        Box::pin(async move {
            let reason = moonforge_model::ParkReason::Denied;
            tx.park(&parked, reason, "no").await
        })
    });
    park.await.unwrap();
    cloud.pass(2 * 3600);
    failing(&cloud, &device, unavailable(), true).await;
    let stuck = device.store.stuck().await.unwrap();
    let docs: Vec<_> = stuck.iter().map(|s| &s.doc).collect();
    assert_eq!(docs, [&other]);
}
