//! Scopes by an app's own keys, and of what was opened here.

use moonforge_model::{Collection, CollectionConfig, Field, FieldKind, Registry};
use serde_json::json;

use crate::scopes::{OF_A, campaign, campaigns};
use crate::support::{Cloud, doc, set};

fn with_clues() -> Registry {
    let mut registry = Registry::builtin();
    let guild = Field::new("guildId", FieldKind::String);
    let clues = Collection::new("clues").unwrap();
    let clues = CollectionConfig::new(clues, [guild]).with_scope_keys(["guildId"]);
    registry.register(clues).unwrap();
    let records = Collection::new("records").unwrap();
    let user = Field::new("userId", FieldKind::String);
    let mut records = CollectionConfig::new(records, [user]).with_scope_keys(["userId"]);
    records.in_campaign = false;
    records.fields.retain(|f| f.name != "campaignId");
    registry.register(records).unwrap();
    registry
}

#[tokio::test]
async fn an_apps_own_key_is_asked_for_and_what_stops_matching_goes_at_the_next_reconcile() {
    let cloud = Cloud::new();
    let gm = cloud.device_with(None, "gm", with_clues()).await;
    gm.put(&doc("campaigns", "a"), campaign("gm")).await;
    let clue = |n: usize| doc("clues", &format!("{n}"));
    for n in 0..6 {
        let guild = if n < 2 { "red" } else { "blue" };
        gm.put(&clue(n), json!({"campaignId": "a", "guildId": guild}))
            .await;
        gm.put(&doc("records", &n.to_string()), json!({"userId": guild}))
            .await;
    }
    gm.sync().await;
    let eve = cloud.device_with(None, "eve", with_clues()).await;
    eve.join("reds:guildId=red").await;
    let report = eve.sync().await;
    // One campaign, two clues, and their figures.
    assert_eq!((report.billed.reads, report.pulled), (1 + 2 + 2, 3));
    eve.join("me:userId=red").await;
    assert_eq!(eve.sync().await.pulled, 2);
    assert_eq!(
        eve.here().await,
        [
            "campaigns/a",
            "clues/0",
            "clues/1",
            "records/0",
            "records/1"
        ]
    );
    gm.patch(&clue(0), vec![set("guildId", "blue")]).await;
    gm.patch(&clue(2), vec![set("guildId", "red")]).await;
    gm.sync().await;
    eve.sync().await;
    assert!(eve.view(&clue(2)).await.is_some());
    // A day later the figures say so.
    cloud.pass(25 * 3600);
    gm.patch(&clue(3), vec![set("x", 1)]).await;
    gm.sync().await;
    eve.sync().await;
    assert!(eve.view(&clue(0)).await.is_none());
    assert_eq!(cloud.there(&clue(0), "deletedAt"), None);
    // An edit of it from before that is sent all the same.
    eve.patch(&clue(1), vec![set("x", 2)]).await;
    gm.patch(&clue(1), vec![set("guildId", "blue")]).await;
    gm.sync().await;
    eve.reconcile().await;
    assert_eq!(cloud.there(&clue(1), "x"), Some(json!(2)));
    assert!(eve.view(&clue(1)).await.is_none());
}

#[tokio::test]
async fn a_whole_campaign_beside_a_part_of_it_is_read_once() {
    let cloud = Cloud::new();
    let gm = cloud.device_with(None, "gm", with_clues()).await;
    gm.put(&doc("campaigns", "a"), campaign("gm")).await;
    for n in 0..4 {
        let guild = if n < 2 { "red" } else { "blue" };
        let clue = json!({"campaignId": "a", "guildId": guild});
        gm.put(&doc("clues", &n.to_string()), clue).await;
    }
    gm.sync().await;
    let eve = cloud.device_with(None, "eve", with_clues()).await;
    eve.join("reds:guildId=red").await;
    eve.join("whole:campaignId=a").await;
    // The campaign, four clues, eight collections without anything, and the two figures of all nine.
    assert_eq!(eve.sync().await.billed.reads, 1 + (4 + 8) + 2 * 9);
    assert_eq!(eve.leave("whole:campaignId=a").await, 2);
    eve.sync().await;
    assert_eq!(eve.here().await, ["campaigns/a", "clues/0", "clues/1"]);
    eve.join("whole:campaignId=a").await;
    eve.sync().await;
    assert_eq!(eve.here().await.len(), 5);
}

#[tokio::test]
async fn what_is_opened_is_fetched_by_name_with_what_it_links_to() {
    let cloud = Cloud::new();
    let gm = campaigns(&cloud).await;
    let entity = json!({"name": "e", "kind": "npc", "campaignId": "a"});
    gm.put(&doc("entities", "e"), entity).await;
    gm.patch(
        &doc("scenes", "a1"),
        vec![set("entityIds", json!(["e", "gone"]))],
    )
    .await;
    gm.sync().await;
    let eve = cloud.device(Some("eve"), "eve").await;
    eve.join("accessed").await;
    assert_eq!(eve.sync().await.billed.reads, 0);
    let opened = doc("scenes", "a1");
    eve.store
        .mark_opened(&opened, cloud.clock_now())
        .await
        .unwrap();
    eve.sync().await;
    assert_eq!(eve.here().await, ["campaigns/a", "entities/e", "scenes/a1"]);
    // Each by name, and what wasn't there not at all.
    assert_eq!(eve.sync().await.billed.reads, 3);
    gm.patch(
        &opened,
        vec![set("title", "new"), set("entityIds", json!([]))],
    )
    .await;
    gm.sync().await;
    eve.sync().await;
    assert_eq!(eve.here().await, ["campaigns/a", "scenes/a1"]);
    assert_eq!(eve.field(&opened, "title").await, Some(json!("new")));
    // Its edits are sent as all others.
    eve.patch(&opened, vec![set("title", "mine")]).await;
    eve.sync().await;
    assert_eq!(cloud.there(&opened, "title"), Some(json!("mine")));
    assert!(eve.view(&opened).await.is_some());
}

#[tokio::test]
async fn what_was_opened_and_is_closed_goes_and_an_edit_of_it_is_parked() {
    let cloud = Cloud::new();
    let gm = campaigns(&cloud).await;
    let eve = cloud.device(Some("eve"), "eve").await;
    eve.join("accessed").await;
    let (one, two) = (doc("scenes", "a1"), doc("scenes", "a2"));
    for opened in [&one, &two] {
        eve.store
            .mark_opened(opened, cloud.clock_now())
            .await
            .unwrap();
    }
    eve.sync().await;
    assert_eq!(eve.here().await, OF_A);
    gm.patch(
        &doc("campaigns", "a"),
        vec![set("memberUids", json!(["gm"]))],
    )
    .await;
    gm.sync().await;
    eve.patch(&one, vec![set("title", "mine")]).await;
    let report = eve.sync().await;
    assert_eq!(report.parked, 1);
    assert_eq!(eve.here().await, ["scenes/a1"]);
    let reads = eve.remote.usage().reads;
    eve.sync().await;
    assert!(
        eve.remote.usage().reads - reads <= 1,
        "only what has an edit is looked at"
    );
}
