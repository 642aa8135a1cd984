//! Scopes: what is asked for, what is kept, and what that costs.

use std::collections::BTreeSet;
use std::sync::Arc;

use moonforge_model::{Collection, ParkReason, SyncScope};
use moonforge_sync::{Job, SyncOptions, SyncReport};
use moonforge_testkit::simulated::{CallKind, Fault, Gate, GatePoint, Moment};
use serde_json::{Value, json};

use crate::support::{Cloud, Device, doc, set};

fn scope(text: &str) -> SyncScope {
    text.parse().unwrap()
}

impl Device {
    pub(crate) async fn join(&self, text: &str) {
        let now = moonforge_model::Timestamp::from_millis(1_790_000_000_000);
        self.store.join_scope(scope(text), now).await.unwrap();
    }

    pub(crate) async fn leave(&self, text: &str) -> u64 {
        let left = self.store.leave_scope(scope(text)).await.unwrap();
        left.removed
    }

    async fn sync_scope(&self, text: &str) -> SyncReport {
        let options = SyncOptions {
            scope: Some(scope(text)),
            ..SyncOptions::default()
        };
        self.with(&options).await
    }

    async fn with(&self, options: &SyncOptions) -> SyncReport {
        let report = self.try_with(options).await.unwrap();
        assert_eq!(report.stopped, None);
        report
    }

    pub(crate) async fn here(&self) -> Vec<String> {
        let mut found = Vec::new();
        for config in self.store.registry().iter() {
            let all = moonforge_store::QuerySpec::all(config.name.clone());
            let page = self.store.list(&all).await.unwrap();
            found.extend(page.items.iter().map(|d| d.doc.to_string()));
        }
        found.sort();
        found
    }
}

pub(crate) fn campaign(owner: &str) -> Value {
    json!({"name": "n", "ownerUid": owner, "memberUids": [owner, "eve"], "roles": {"eve": "dm"}})
}

/// Campaigns of the gm, and of eve, each with two scenes.
pub(crate) async fn campaigns(cloud: &Cloud) -> Device {
    let gm = cloud.device(Some("gm"), "gm").await;
    for c in ["a", "b", "c"] {
        gm.put(&doc("campaigns", c), campaign("gm")).await;
        for s in 1..3 {
            let scene = json!({"title": "t", "campaignId": c});
            gm.put(&doc("scenes", &format!("{c}{s}")), scene).await;
        }
    }
    gm.sync().await;
    cloud.pass(100);
    gm.sync().await;
    gm
}

/// What the first sync of a campaign with two scenes costs: the campaign by name, the scenes and a query for each of the
/// other seven collections, the scenes' span once nothing late can come, and two figures of all eight.
const FIRST_OF_A: u64 = 1 + (2 + 7) + 2 + 2 * 8;
pub(crate) const OF_A: [&str; 3] = ["campaigns/a", "scenes/a1", "scenes/a2"];

#[tokio::test]
async fn a_scope_asks_for_its_campaign_alone() {
    let cloud = Cloud::new();
    campaigns(&cloud).await;
    for uid in [Some("eve"), None] {
        let eve = cloud.device(uid, "eve").await;
        eve.join("one:campaignId=a").await;
        let report = eve.sync().await;
        assert_eq!(report.pulled, 3, "{uid:?}");
        assert_eq!(eve.here().await, OF_A);
        assert_eq!(report.billed.reads, FIRST_OF_A);
        cloud.pass(100);
        eve.sync().await;
        assert_eq!(eve.sync().await.billed.reads, 1 + 8);
        assert_eq!(eve.sync().await.pulled, 0);
    }
}

#[tokio::test]
async fn without_a_scope_all_campaigns_are_held_and_a_sync_of_one_holds_that_besides() {
    let cloud = Cloud::new();
    let gm = campaigns(&cloud).await;
    for uid in [Some("eve"), None] {
        let eve = cloud.device(uid, "eve").await;
        assert_eq!(eve.sync_scope("one:campaignId=a").await.pulled, 3);
        assert_eq!(eve.here().await, OF_A);
        assert_eq!(eve.sync_scope("x:id=b").await.pulled, 3);
        assert_eq!(eve.sync().await.pulled, 3);
        assert_eq!(eve.here().await, gm.here().await, "{uid:?}");
        assert_eq!(eve.sync().await.pulled, 0);
    }
}

#[tokio::test]
async fn scopes_that_overlap_read_their_campaign_once() {
    let cloud = Cloud::new();
    campaigns(&cloud).await;
    let eve = cloud.device(Some("eve"), "eve").await;
    eve.join("one:campaignId=a").await;
    eve.join("again:campaignId=a").await;
    assert_eq!(eve.sync().await.billed.reads, FIRST_OF_A);
    cloud.pass(100);
    eve.sync().await;
    // One that joins to what is here costs no more than what it adds.
    eve.join("gms:ownerUid=gm").await;
    let report = eve.sync().await;
    assert_eq!((report.pulled, eve.here().await.len()), (6, 9));
    cloud.pass(100);
    eve.sync().await;
    assert_eq!(eve.leave("gms:ownerUid=gm").await, 6);
    assert_eq!(eve.here().await, OF_A);
    assert_eq!(eve.sync().await.billed.reads, 1 + 8);
}

#[tokio::test]
async fn left_offline_at_once_and_back_again_whole() {
    let cloud = Cloud::new();
    let gm = campaigns(&cloud).await;
    let eve = cloud.device(Some("eve"), "eve").await;
    eve.join("one:campaignId=a").await;
    eve.join("two:campaignId=b").await;
    eve.sync().await;
    let reads = eve.remote.usage();
    assert_eq!(eve.leave("two:campaignId=b").await, 3);
    assert_eq!(eve.here().await, OF_A);
    assert_eq!(eve.remote.usage(), reads);
    gm.patch(&doc("scenes", "b1"), vec![set("title", "new")])
        .await;
    gm.sync().await;
    eve.sync().await;
    eve.join("two:campaignId=b").await;
    assert_eq!(eve.sync().await.pulled, 3);
    assert_eq!(
        eve.field(&doc("scenes", "b1"), "title").await,
        Some(json!("new"))
    );
}

#[tokio::test]
async fn what_was_written_goes_out_from_a_scope_that_was_left_and_then_goes() {
    let cloud = Cloud::new();
    campaigns(&cloud).await;
    let eve = cloud.device(Some("eve"), "eve").await;
    eve.join("one:campaignId=a").await;
    eve.join("two:campaignId=b").await;
    eve.sync().await;
    eve.patch(&doc("scenes", "b1"), vec![set("title", "mine")])
        .await;
    eve.put(
        &doc("scenes", "b3"),
        json!({"title": "new", "campaignId": "b"}),
    )
    .await;
    assert_eq!(eve.leave("two:campaignId=b").await, 2);
    assert_eq!(
        eve.field(&doc("scenes", "b1"), "title").await,
        Some(json!("mine"))
    );
    // Lost on its way, it stays.
    cloud
        .server
        .inject("eve", CallKind::Commit, Fault::LostAnswer);
    cloud
        .server
        .inject("eve", CallKind::Commit, Fault::LostRequest);
    eve.try_sync().await.unwrap();
    assert!(eve.view(&doc("scenes", "b1")).await.is_some());
    let report = eve.sync().await;
    assert_eq!((report.pushed, report.pulled), (2, 0));
    assert_eq!(
        cloud.there(&doc("scenes", "b1"), "title"),
        Some(json!("mine"))
    );
    assert_eq!(eve.here().await, OF_A);
    assert!(cloud.there(&doc("scenes", "b3"), "title").is_some());
    eve.join("two:campaignId=b").await;
    eve.sync().await;
    assert_eq!(eve.here().await.len(), 7);
}

#[tokio::test]
async fn a_scope_sends_what_was_written_anywhere() {
    let cloud = Cloud::new();
    let gm = campaigns(&cloud).await;
    gm.patch(&doc("scenes", "b1"), vec![set("title", "mine")])
        .await;
    assert_eq!(gm.sync_scope("one:campaignId=a").await.pushed, 1);
    assert!(gm.view(&doc("scenes", "b1")).await.is_some());
}

#[tokio::test]
async fn one_scope_of_several_is_synced_alone_and_another_is_refused() {
    let cloud = Cloud::new();
    let gm = campaigns(&cloud).await;
    let eve = cloud.device(Some("eve"), "eve").await;
    eve.join("one:campaignId=a").await;
    eve.join("two:campaignId=b").await;
    eve.sync().await;
    for s in ["a1", "b1"] {
        gm.patch(&doc("scenes", s), vec![set("title", "new")]).await;
    }
    gm.sync().await;
    assert_eq!(eve.sync_scope("one:campaignId=a").await.pulled, 1);
    assert_eq!(eve.sync().await.pulled, 1);
    let before = eve.remote.usage();
    for (text, code) in [
        ("three:campaignId=c", "not_joined"),
        ("x:colour=red", "invalid_scope"),
    ] {
        let options = SyncOptions {
            scope: Some(scope(text)),
            ..SyncOptions::default()
        };
        assert_eq!(eve.try_with(&options).await.unwrap_err().code(), code);
    }
    assert_eq!(eve.remote.usage(), before);
}

#[tokio::test]
async fn a_campaign_that_closes_is_left_and_its_edits_wait() {
    let cloud = Cloud::new();
    let gm = campaigns(&cloud).await;
    for text in ["one:campaignId=a", "gms:ownerUid=gm"] {
        gm.patch(
            &doc("campaigns", "a"),
            vec![set("memberUids", json!(["gm", "eve"]))],
        )
        .await;
        gm.sync().await;
        let eve = cloud.device(Some("eve"), text).await;
        eve.join(text).await;
        eve.sync().await;
        let (edited, clean) = (doc("scenes", "a1"), doc("scenes", "a2"));
        eve.patch(&edited, vec![set("title", "mine")]).await;
        gm.patch(
            &doc("campaigns", "a"),
            vec![set("memberUids", json!(["gm"]))],
        )
        .await;
        gm.sync().await;
        let report = eve.sync().await;
        assert_eq!(report.parked, 1, "{text}");
        assert!(eve.view(&clean).await.is_none() && eve.view(&edited).await.is_some());
        let outbox = eve.store.outbox().await.unwrap();
        assert_eq!(outbox[0].row.row.parked, Some(ParkReason::Denied));
        // Given up, it goes with the rest.
        let seq = outbox[0].row.row.n;
        eve.store.discard(seq, cloud.clock_now()).await.unwrap();
        eve.sync().await;
        assert!(eve.view(&edited).await.is_none(), "{text}");
        cloud.pass(5);
    }
}

#[tokio::test]
async fn a_player_in_a_scope_sees_what_players_may() {
    let cloud = Cloud::new();
    let gm = campaigns(&cloud).await;
    gm.patch(
        &doc("campaigns", "a"),
        vec![set("roles", json!({"eve": "player"}))],
    )
    .await;
    gm.patch(&doc("scenes", "a1"), vec![set("visibility", "players")])
        .await;
    gm.sync().await;
    let eve = cloud.device(Some("eve"), "eve").await;
    eve.join("one:campaignId=a").await;
    eve.sync().await;
    assert_eq!(eve.here().await, ["campaigns/a", "scenes/a1"]);
    cloud.pass(1);
    gm.patch(
        &doc("campaigns", "a"),
        vec![set("roles", json!({"eve": "dm"}))],
    )
    .await;
    gm.sync().await;
    eve.sync().await;
    assert_eq!(eve.here().await, OF_A);
}

#[tokio::test]
async fn a_campaign_that_changes_hands_leaves_the_scope_and_comes_back() {
    let cloud = Cloud::new();
    let gm = campaigns(&cloud).await;
    let eve = cloud.device(Some("eve"), "eve").await;
    eve.join("gms:ownerUid=gm").await;
    eve.sync().await;
    assert_eq!(eve.here().await.len(), 9);
    gm.patch(&doc("campaigns", "a"), vec![set("ownerUid", "eve")])
        .await;
    gm.sync().await;
    cloud.pass(1);
    eve.sync().await;
    assert_eq!(eve.here().await.len(), 6);
    let back = cloud.device(Some("eve"), "back").await;
    back.sync().await;
    back.patch(&doc("campaigns", "a"), vec![set("ownerUid", "gm")])
        .await;
    back.sync().await;
    eve.sync().await;
    assert_eq!(eve.here().await.len(), 9);
}

/// Leaves or joins a scope while the scenes are on their way.
struct Meanwhile(moonforge_store::Store, SyncScope, bool);

#[async_trait::async_trait]
impl Gate for Meanwhile {
    async fn pass(&self, point: GatePoint) {
        let scenes = point.call.collection.as_deref() == Some("scenes");
        if !scenes || point.moment != Moment::Answering || point.call.device != "eve" {
            return;
        }
        let Self(store, scope, joining) = self;
        let now = moonforge_model::Timestamp::from_millis(1_790_000_000_000);
        if *joining {
            store.join_scope(scope.clone(), now).await.unwrap();
        } else {
            store.leave_scope(scope.clone()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_run_that_was_overtaken_by_leaving_claims_nothing() {
    let cloud = Cloud::new();
    campaigns(&cloud).await;
    let eve = cloud.device(Some("eve"), "eve").await;
    eve.join("one:campaignId=a").await;
    eve.join("two:campaignId=b").await;
    let left = scope("two:campaignId=b");
    let gate = Meanwhile(eve.store.clone(), left, false);
    cloud.server.set_gate(Arc::new(gate));
    eve.sync().await;
    cloud.server.clear_gate();
    assert_eq!(eve.here().await, OF_A);
    eve.join("two:campaignId=b").await;
    eve.sync().await;
    assert_eq!(eve.here().await.len(), 6);
}

#[tokio::test]
async fn a_run_that_was_overtaken_by_the_first_scope_claims_nothing() {
    let cloud = Cloud::new();
    campaigns(&cloud).await;
    for uid in [Some("eve"), None] {
        let eve = cloud.device(uid, "eve").await;
        let gate = Meanwhile(eve.store.clone(), scope("one:campaignId=a"), true);
        cloud.server.set_gate(Arc::new(gate));
        eve.sync().await;
        cloud.server.clear_gate();
        assert_eq!(eve.here().await, OF_A);
        eve.leave("one:campaignId=a").await;
        eve.sync().await;
        assert_eq!(eve.here().await.len(), 9, "{uid:?}");
    }
}

#[tokio::test]
async fn a_poll_asks_for_what_is_in_the_scopes() {
    let cloud = Cloud::new();
    let gm = campaigns(&cloud).await;
    let eve = cloud.device(Some("eve"), "eve").await;
    eve.join("one:campaignId=a").await;
    eve.sync().await;
    cloud.pass(100);
    eve.sync().await;
    for s in ["a1", "b1"] {
        gm.patch(&doc("scenes", s), vec![set("title", "new")]).await;
    }
    gm.sync().await;
    let due = BTreeSet::new();
    let report = eve.run(&Job::Poll { due }).await.unwrap();
    assert_eq!((report.pulled, report.billed.reads), (1, 2));
    // A scope that joined since is found without a listing being due.
    eve.join("two:campaignId=b").await;
    let due = BTreeSet::from([Collection::new("scenes").unwrap()]);
    eve.run(&Job::Poll { due }).await.unwrap();
    assert_eq!(eve.here().await.len(), 6);
}

#[tokio::test]
async fn what_is_not_asked_for_any_more_owes_nothing() {
    let cloud = Cloud::new();
    for uid in [Some("eve"), None] {
        let gm = cloud.device(Some("gm"), "gm").await;
        gm.sync().await;
        gm.put(&doc("campaigns", "a"), campaign("gm")).await;
        for collection in ["scenes", "secrets"] {
            let child = json!({"title": "t", "campaignId": "a"});
            gm.put(&doc(collection, "x"), child).await;
        }
        gm.sync().await;
        let eve = cloud.device(uid, "eve").await;
        assert!(eve.sync().await.check_in.is_some());
        // All of it is in the scope, so nothing of what was read is let go.
        eve.join("one:campaignId=a").await;
        gm.patch(&doc("campaigns", "a"), vec![set("roles.eve", "player")])
            .await;
        gm.sync().await;
        for _ in 0..3 {
            cloud.pass(100);
            eve.sync().await;
        }
        assert_eq!(eve.sync().await.check_in, None, "{uid:?}");
        gm.patch(&doc("campaigns", "a"), vec![set("roles.eve", "dm")])
            .await;
        gm.sync().await;
    }
}

#[tokio::test]
async fn fetching_first_changes_nothing_where_the_cloud_is_away() {
    let cloud = Cloud::new();
    let gm = campaigns(&cloud).await;
    gm.patch(&doc("scenes", "a1"), vec![set("title", "mine")])
        .await;
    for _ in 0..2 {
        cloud.server.inject("gm", CallKind::Query, Fault::NeverSent);
    }
    let before = gm.store.outbox().await.unwrap();
    let options = SyncOptions {
        pull_first: true,
        ..SyncOptions::default()
    };
    assert!(gm.try_with(&options).await.unwrap().offline);
    assert_eq!(gm.store.outbox().await.unwrap(), before);
    assert_eq!(gm.with(&options).await.pushed, 1);
}
