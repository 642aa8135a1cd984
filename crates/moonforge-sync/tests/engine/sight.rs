//! What an account may see, and what becomes of its edits when that changes.

use moonforge_model::ParkReason;
use serde_json::json;

use crate::support::{Cloud, doc, set};

fn campaign() -> serde_json::Value {
    json!({"name": "n", "ownerUid": "gm", "memberUids": ["gm", "pl"], "roles": {"pl": "player"}})
}

#[tokio::test]
async fn an_edit_of_what_was_withdrawn_is_parked_and_goes_out_when_it_is_shown_again() {
    let cloud = Cloud::new();
    let (gm, pl) = (
        cloud.device(Some("gm"), "a").await,
        cloud.device(Some("pl"), "b").await,
    );
    let hero = doc("entities", "hero");
    gm.put(&doc("campaigns", "c"), campaign()).await;
    gm.put(
        &hero,
        json!({"name": "h", "kind": "npc", "campaignId": "c", "visibility": "players", "playerUids": ["pl"]}),
    )
    .await;
    gm.sync().await;
    pl.sync().await;
    assert!(pl.view(&hero).await.is_some());
    gm.patch(&hero, vec![set("visibility", "gm")]).await;
    gm.sync().await;
    pl.patch(&hero, vec![set("summary", "mine")]).await;
    let report = pl.reconcile().await;
    assert_eq!((report.parked, report.conflicts), (1, 0));
    // Also when nothing of it was parked before the comparison found it withdrawn.
    pl.store.retry(None).await.unwrap();
    let report = pl.reconcile().await;
    assert_eq!((report.parked, report.conflicts), (1, 0));
    let outbox = pl.store.outbox().await.unwrap();
    assert_eq!(outbox[0].row.row.parked, Some(ParkReason::Denied));
    gm.patch(&hero, vec![set("visibility", "players")]).await;
    gm.sync().await;
    pl.store.retry(None).await.unwrap();
    pl.sync().await;
    assert_eq!(cloud.there(&hero, "summary"), Some(json!("mine")));
}

#[tokio::test]
async fn campaigns_that_were_joined_one_by_one_share_their_queries_once_they_are_read() {
    let cloud = Cloud::new();
    let gm = cloud.device(Some("gm"), "a").await;
    let other = cloud.device(Some("gm"), "b").await;
    for n in 0..5 {
        let campaign = format!("c{n}");
        gm.put(
            &doc("campaigns", &campaign),
            json!({"name": "n", "ownerUid": "gm", "memberUids": ["gm"]}),
        )
        .await;
        for s in 0..3 {
            gm.put(
                &doc("scenes", &format!("{campaign}-{s}")),
                json!({"title": "t", "campaignId": campaign}),
            )
            .await;
        }
        gm.sync().await;
        cloud.pass(100);
        other.sync().await;
        cloud.pass(100);
        other.sync().await;
    }
    for _ in 0..3 {
        cloud.pass(100);
        other.sync().await;
    }
    let before = other.remote.usage().reads;
    other.sync().await;
    // One for each campaign in the list, one for each of the other eight collections.
    assert_eq!(other.remote.usage().reads - before, 5 + 8);
    // And nothing is missed for that.
    gm.patch(&doc("scenes", "c2-1"), vec![set("title", "u")])
        .await;
    gm.sync().await;
    other.sync().await;
    assert_eq!(
        other.field(&doc("scenes", "c2-1"), "title").await,
        Some(json!("u"))
    );
}

#[tokio::test]
async fn a_child_whose_campaign_is_nowhere_waits_for_it_by_name_and_goes_out_once_it_is_there() {
    let cloud = Cloud::new();
    let (a, b) = (
        cloud.device(Some("gm"), "a").await,
        cloud.device(Some("gm"), "b").await,
    );
    let scene = doc("scenes", "s");
    a.put(&scene, json!({"title": "t", "campaignId": "c"}))
        .await;
    assert_eq!(a.sync().await.parked, 1);
    let outbox = a.store.outbox().await.unwrap();
    assert_eq!(outbox[0].row.row.parked, Some(ParkReason::MissingParent));
    b.put(&doc("campaigns", "c"), campaign()).await;
    b.sync().await;
    assert_eq!(a.sync().await.parked, 0);
    assert_eq!(cloud.there(&scene, "title"), Some(json!("t")));
}
