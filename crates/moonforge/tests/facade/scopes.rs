//! Scopes, and the calls of an orchestrator.

use std::time::Duration;

use moonforge::{CachePolicy, Campaign, DocId, Embedded, Moonforge, Scene, Source, SyncScope, set};
use serde_json::json;

/// Nothing here takes longer.
const SOON: Duration = Duration::from_secs(30);

fn id(text: &str) -> DocId {
    text.parse().unwrap()
}

fn scope(text: &str) -> SyncScope {
    text.parse().unwrap()
}

async fn open(cloud: &Embedded) -> Moonforge {
    let builder = Moonforge::memory_builder().cloud(cloud.clone());
    builder.open().await.unwrap()
}

fn scene(name: &str, campaign: &str) -> Scene {
    Scene::new(id(name), id(campaign), id("ch"), name)
}

/// A cloud with the campaigns `a` and `b`, with a scene each.
async fn cloud() -> Embedded {
    let cloud = Embedded::in_memory();
    let gm = open(&cloud).await;
    for c in ["a", "b"] {
        gm.campaigns()
            .upsert(Campaign::new(id(c), c))
            .await
            .unwrap();
        let name = format!("s{c}");
        gm.scenes().upsert(scene(&name, c)).await.unwrap();
    }
    gm.sync_now().await.unwrap();
    cloud
}

async fn scenes(forge: &Moonforge) -> Vec<String> {
    let scenes = forge.scenes();
    let page = scenes.list(&scenes.query()).await.unwrap();
    page.items.iter().map(|s| s.id.to_string()).collect()
}

#[tokio::test]
async fn a_device_holds_what_it_joined() {
    let cloud = cloud().await;
    let device = open(&cloud).await;
    let (a, b) = (SyncScope::campaign(&id("a")), SyncScope::campaign(&id("b")));
    device.join(&a).await.unwrap();
    device.sync_now().await.unwrap();
    assert_eq!(scenes(&device).await, ["sa"]);
    device.join(&b).await.unwrap();
    device.sync_now().await.unwrap();
    assert_eq!(scenes(&device).await, ["sa", "sb"]);
    let joined = device.scopes().await.unwrap();
    let shown = joined.iter().map(|j| (&j.scope, j.documents));
    assert_eq!(shown.collect::<Vec<_>>(), [(&a, 2), (&b, 2)]);
    device
        .scenes()
        .patch("sb", None, [set("title", "new")])
        .await
        .unwrap();
    let change = device.leave(&b).await.unwrap();
    assert_eq!((change.removed, change.waiting), (1, 1));
    assert_eq!(scenes(&device).await, ["sa", "sb"]);
    device.sync_now().await.unwrap();
    assert_eq!(scenes(&device).await, ["sa"]);
    device.leave(&a).await.unwrap();
    device.sync_now().await.unwrap();
    assert_eq!(scenes(&device).await, ["sa", "sb"]);
    let sb = device.scenes().get("sb").await.unwrap().unwrap();
    assert_eq!(sb.title, "new");
}

#[tokio::test]
async fn what_is_read_is_opened() {
    let cloud = cloud().await;
    let device = open(&cloud).await;
    device.sync_now().await.unwrap();
    device.join(&SyncScope::accessed()).await.unwrap();
    assert_eq!(scenes(&device).await, [""; 0]);
    assert!(device.scenes().get("sb").await.unwrap().is_none());
    let (scenes, opened) = (device.scenes(), SyncScope::accessed());
    let answer = scenes
        .read(&opened, CachePolicy::RemoteFirst)
        .await
        .unwrap();
    assert_eq!(answer.freshness.source, Source::Remote);
    let found: Vec<_> = answer.page.items.iter().map(|s| s.id.to_string()).collect();
    assert_eq!(found, ["sb"]);
    assert!(device.campaigns().get("b").await.unwrap().is_some());
}

#[tokio::test]
async fn what_is_enqueued_is_here_at_once_and_sent_in_the_background() {
    let cloud = cloud().await;
    let device = open(&cloud).await;
    device.sync_now().await.unwrap();
    let a = scope("table:campaignId=a");
    let documents = device.documents("scenes").unwrap();
    let written = documents
        .enqueue_create(&a, "new", json!({"title": "New"}))
        .await;
    assert!(written.unwrap().dirty);
    device
        .scenes()
        .enqueue_create(&a, scene("typed", "a"))
        .await
        .unwrap();
    let mut edited = device.scenes().get("sa").await.unwrap().unwrap();
    edited.title = "Edited".into();
    device.scenes().enqueue_update(edited).await.unwrap();
    documents
        .enqueue_update("new", json!({"summary": "s"}))
        .await
        .unwrap();
    device.campaigns().enqueue_delete("b").await.unwrap();
    let sent = async {
        while !device.outbox().list().await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, sent).await.expect("all is sent");
    let other = open(&cloud).await;
    other.sync_now().await.unwrap();
    assert_eq!(scenes(&other).await, ["new", "sa", "typed"]);
    let new = other.scenes().get("new").await.unwrap().unwrap();
    assert_eq!(
        (new.title.as_str(), new.summary.as_deref()),
        ("New", Some("s"))
    );
    let sa = other.scenes().get("sa").await.unwrap().unwrap();
    assert_eq!(sa.title, "Edited");
}

#[tokio::test]
async fn what_cannot_be_enqueued_is_refused_and_changes_nothing() {
    let cloud = cloud().await;
    let device = open(&cloud).await;
    device.sync_now().await.unwrap();
    let a = scope("table:campaignId=a");
    let scenes = device.scenes();
    let outside = scenes.enqueue_create(&a, scene("x", "b")).await;
    assert_eq!(outside.unwrap_err().code(), "outside_scope");
    let there = scenes.enqueue_create(&a, scene("sa", "a")).await;
    assert_eq!(there.unwrap_err().code(), "already_exists");
    let missing = scenes.enqueue_update(scene("x", "a")).await;
    assert!(missing.unwrap_err().is_not_found());
    let missing = scenes.enqueue_delete("x").await;
    assert!(missing.unwrap_err().is_not_found());
    scenes.delete("sa").await.unwrap();
    let deleted = scenes.enqueue_create(&a, scene("sa", "a")).await;
    assert!(deleted.unwrap_err().is_deleted());
    assert_eq!(device.outbox().list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn pending_ops_are_those_of_the_scope() {
    let device = open(&Embedded::in_memory()).await;
    for c in ["a", "b"] {
        device
            .scenes()
            .upsert(scene(&format!("s{c}"), c))
            .await
            .unwrap();
    }
    let pending = device.pending_ops(&scope("t:campaignId=b")).await.unwrap();
    let docs: Vec<_> = pending.iter().map(|entry| entry.doc.to_string()).collect();
    assert_eq!(docs, ["scenes/sb"]);
}
