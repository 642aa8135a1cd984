//! What others write must neither stop a sync nor make devices differ.

use moonforge_model::{Collection, CollectionConfig, ParkReason, Registry};
use moonforge_ports::RemoteErrorKind;
use moonforge_testkit::simulated::{Call, Fault};
use serde_json::json;

use crate::support::{Cloud, doc, fields, set};

#[tokio::test]
async fn a_rev_at_the_end_of_its_range_stops_nothing() {
    let cloud = Cloud::new();
    let device = cloud.device(None, "a").await;
    for n in 0..8 {
        let hostile = doc("scenes", &format!("s{n}"));
        cloud.server.console_set(
            &hostile,
            fields(json!({"title": "t", "campaignId": "c", "rev": i64::MAX,
                          "updatedAt": "2026-09-21T14:13:20Z"})),
        );
    }
    device.sync().await;
    cloud.pass(200);
    device.sync().await;
    cloud.pass(90_000);
    device.reconcile().await;
    let edited = doc("scenes", "s0");
    device.patch(&edited, vec![set("title", "u")]).await;
    device.sync().await;
    assert_eq!(cloud.there(&edited, "title"), Some(json!("u")));
}

#[tokio::test]
async fn a_time_written_with_an_offset_is_the_same_text_on_all_devices() {
    let cloud = Cloud::new();
    let (a, b) = (cloud.device(None, "a").await, cloud.device(None, "b").await);
    let session = doc("sessions", "n");
    a.put(
        &session,
        json!({"title": "t", "campaignId": "c", "datetime": "2026-01-01T12:00:00.123456789+02:00"}),
    )
    .await;
    a.sync().await;
    b.sync().await;
    let there = cloud.there(&session, "datetime");
    assert_eq!(a.field(&session, "datetime").await, there);
    assert_eq!(b.field(&session, "datetime").await, there);
}

#[tokio::test]
async fn an_apps_collection_may_have_any_name() {
    let cloud = Cloud::new();
    for name in ["WHEREABOUTS", "collection", "it's"] {
        let mut registry = Registry::builtin();
        let collection = Collection::new(name).unwrap();
        registry
            .register(CollectionConfig::new(collection, []))
            .unwrap();
        let device = cloud.device_with(None, name, registry).await;
        let thing = doc(name, "it's \"100%\" ü");
        device
            .put(&thing, json!({"campaignId": "c", "name": "x"}))
            .await;
        device.sync().await;
        assert!(cloud.server.document(&thing).is_some());
        // Of a campaign that isn't held here.
        assert_eq!(device.store.orphaned_campaigns().await.unwrap(), ["c"]);
        assert_eq!(device.store.leave_campaign("c").await.unwrap(), 1);
        assert_eq!(device.view(&thing).await, None);
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_parks_nothing() {
    let cloud = Cloud::new();
    let device = cloud.device(Some("gm"), "a").await;
    let campaign = doc("campaigns", "c");
    device
        .put(
            &campaign,
            json!({"name": "x", "ownerUid": "gm", "memberUids": ["gm"]}),
        )
        .await;
    for n in 0..3 {
        let scene = doc("scenes", &format!("s{n}"));
        device
            .put(&scene, json!({"title": "t", "campaignId": "c"}))
            .await;
    }
    for answer in [
        RemoteErrorKind::NotFound,
        RemoteErrorKind::FailedPrecondition,
    ] {
        cloud
            .server
            .set_faults(move |_: &Call| Fault::Status(answer, None));
        let error = device.try_sync().await.unwrap_err();
        assert_eq!(error.code(), "cloud_refused");
        let counts = device.store.parked_and_waiting().await.unwrap();
        assert_eq!((counts.parked, counts.waiting), (0, 4));
    }
    cloud.server.clear_faults();
    assert_eq!(device.sync().await.pushed, 4);
}

#[tokio::test]
async fn what_a_firestore_gives_back_in_another_form_was_edited_by_nobody() {
    let cloud = Cloud::new();
    let (a, b) = (cloud.device(None, "a").await, cloud.device(None, "b").await);
    let place = doc("entities", "keep");
    a.put(
        &place,
        json!({"name": "n", "kind": "place", "campaignId": "c",
               "props": {"at": {"$geo": [52, 4]}, "seal": {"$bytes": "_-8="}}}),
    )
    .await;
    a.sync().await;
    b.sync().await;
    a.patch(&place, vec![set("props.at", json!({"$geo": [53, 4]}))])
        .await;
    cloud.pass(5);
    b.patch(&place, vec![set("name", "m")]).await;
    b.sync().await;
    cloud.pass(5);
    let report = a.sync().await;
    assert_eq!(report.conflicts, 0);
    b.sync().await;
    for device in [&a, &b] {
        let props = device.field(&place, "props").await.unwrap();
        assert_eq!(props["at"], json!({"$geo": [53.0, 4.0]}));
        assert_eq!(props["seal"], json!({"$bytes": "/+8="}));
    }
}

#[tokio::test]
async fn a_document_that_two_devices_made_too_large_is_parked_as_that() {
    let cloud = Cloud::new();
    let (a, b) = (cloud.device(None, "a").await, cloud.device(None, "b").await);
    let scene = doc("scenes", "s");
    a.put(&scene, json!({"title": "t", "campaignId": "c"}))
        .await;
    a.sync().await;
    b.sync().await;
    let much = "x".repeat(600_000);
    a.patch(&scene, vec![set("summary", much.clone())]).await;
    b.patch(&scene, vec![set("readAloud", much)]).await;
    a.sync().await;
    cloud.pass(5);
    b.sync().await;
    let outbox = b.store.outbox().await.unwrap();
    assert_eq!(outbox[0].row.row.parked, Some(ParkReason::TooLarge));
    // Cut down, it goes out.
    b.patch(&scene, vec![set("readAloud", "short")]).await;
    b.sync().await;
    assert_eq!(cloud.there(&scene, "readAloud"), Some(json!("short")));
}

#[tokio::test]
async fn what_a_disk_spoiled_stops_nobody_else() {
    let cloud = Cloud::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.db");
    let device = cloud.device_at(None, "a", &file).await;
    let (spoiled, sound) = (doc("campaigns", "c"), doc("campaigns", "d"));
    device.put(&spoiled, json!({"name": "OLD-NAME-MARK"})).await;
    device.put(&sound, json!({"name": "D"})).await;
    device.sync().await;
    device.patch(&spoiled, vec![set("name", "new")]).await;
    device.patch(&sound, vec![set("name", "new")]).await;
    device.store.close().await;
    let mut bytes = std::fs::read(&file).unwrap();
    let mark = b"OLD-NAME-MARK";
    let found: Vec<usize> = (0..bytes.len() - mark.len())
        .filter(|at| bytes[*at..].starts_with(mark))
        .collect();
    assert!(!found.is_empty(), "the base is in the file");
    for at in found {
        bytes[at + 3] = b'"';
    }
    std::fs::write(&file, bytes).unwrap();
    let device = cloud.device_at(None, "a", &file).await;
    device.sync().await;
    assert_eq!(cloud.there(&sound, "name"), Some(json!("new")));
    assert_eq!(cloud.there(&spoiled, "name"), Some(json!("OLD-NAME-MARK")));
    let waiting = device.store.pending_docs().await.unwrap();
    assert_eq!(waiting.len(), 1, "the edit is kept");
}
