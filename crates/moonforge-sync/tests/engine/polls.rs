//! Polling: a beacon says what moved, and nothing else is asked for.

use std::collections::BTreeSet;

use moonforge_ports::Usage;
use moonforge_sync::{Job, SyncReport};
use moonforge_testkit::simulated::{CallKind, Fault};
use serde_json::json;

use crate::support::{Cloud, Device, doc, set};

impl Device {
    async fn poll(&self) -> SyncReport {
        let due = BTreeSet::new();
        let report = self.run(&Job::Poll { due }).await.unwrap();
        assert_eq!(report.stopped, None);
        report
    }
}

/// Two devices of the gm that know the same campaign with a scene.
async fn table(cloud: &Cloud) -> (Device, Device) {
    let (a, b) = (
        cloud.device(Some("gm"), "a").await,
        cloud.device(Some("gm"), "b").await,
    );
    a.put(&doc("campaigns", "c"), json!({"name": "C"})).await;
    a.put(
        &doc("scenes", "s"),
        json!({"title": "t", "campaignId": "c", "chapterId": "h"}),
    )
    .await;
    a.sync().await;
    b.sync().await;
    cloud.pass(300);
    a.sync().await;
    b.sync().await;
    (a, b)
}

#[tokio::test]
async fn a_poll_where_nothing_moved_costs_one_read() {
    let cloud = Cloud::new();
    let (_a, b) = table(&cloud).await;
    b.poll().await;
    let report = b.poll().await;
    assert_eq!(
        report.billed,
        Usage {
            reads: 1,
            ..Usage::default()
        }
    );
}

#[tokio::test]
async fn a_poll_fetches_what_a_beacon_says_and_checks_it_when_nothing_late_can_come() {
    let cloud = Cloud::new();
    let (a, b) = table(&cloud).await;
    b.poll().await;
    a.patch(&doc("scenes", "s"), vec![set("title", "new")])
        .await;
    a.run(&Job::Push).await.unwrap();
    let report = b.poll().await;
    assert_eq!((report.pulled, report.billed.reads), (1, 2));
    assert_eq!(
        b.field(&doc("scenes", "s"), "title").await,
        Some(json!("new"))
    );
    assert_eq!(b.poll().await.billed.reads, 1, "it was acted on");
    // What came late is found by the check that is owed.
    cloud.pass(80);
    let report = b.poll().await;
    assert_eq!(
        report.billed.reads, 2,
        "the beacon, and the span's one document"
    );
    assert_eq!(b.poll().await.billed.reads, 1, "nothing is owed any more");
}

#[tokio::test]
async fn a_beacon_that_couldnt_be_touched_is_touched_by_the_next_run() {
    let cloud = Cloud::new();
    let (a, b) = table(&cloud).await;
    b.poll().await;
    a.patch(&doc("scenes", "s"), vec![set("title", "new")])
        .await;
    cloud.server.inject("a", CallKind::Commit, Fault::None);
    cloud
        .server
        .inject("a", CallKind::Commit, Fault::LostRequest);
    a.run(&Job::Push).await.unwrap();
    assert_eq!(b.poll().await.pulled, 0);
    a.run(&Job::Push).await.unwrap();
    assert_eq!(b.poll().await.pulled, 1);
}

#[tokio::test]
async fn a_poll_that_was_cut_hears_the_same_news_again() {
    let cloud = Cloud::new();
    let (a, b) = table(&cloud).await;
    b.poll().await;
    a.patch(&doc("scenes", "s"), vec![set("title", "new")])
        .await;
    a.run(&Job::Push).await.unwrap();
    cloud.server.inject("b", CallKind::Query, Fault::None);
    for _ in 0..2 {
        cloud.server.inject("b", CallKind::Query, Fault::LostAnswer);
    }
    let due = BTreeSet::new();
    let report = b.run(&Job::Poll { due }).await.unwrap();
    assert!(report.offline);
    assert_eq!(b.poll().await.pulled, 1);
}

#[tokio::test]
async fn one_who_was_let_in_or_out_learns_it_from_the_beacon_or_the_next_listing() {
    let cloud = Cloud::new();
    let (a, _) = table(&cloud).await;
    let player = cloud.device(Some("pl"), "p").await;
    player.sync().await;
    let campaign = doc("campaigns", "c");
    a.patch(
        &campaign,
        vec![
            set("memberUids", json!(["gm", "pl"])),
            set("roles.pl", "dm"),
        ],
    )
    .await;
    a.run(&Job::Push).await.unwrap();
    // Nobody tells one who isn't in: the listing does.
    assert_eq!(player.poll().await.pulled, 0);
    let due = BTreeSet::from([campaign.collection.clone(), doc("scenes", "s").collection]);
    let report = player.run(&Job::Poll { due }).await.unwrap();
    assert_eq!(report.pulled, 2);
    cloud.pass(1);
    a.patch(&campaign, vec![set("roles.pl", "player")]).await;
    a.run(&Job::Push).await.unwrap();
    player.poll().await;
    assert_eq!(
        player.field(&doc("scenes", "s"), "title").await,
        None,
        "a scene that players may not see goes with the role"
    );
}

#[tokio::test]
async fn an_administrator_polls_all_beacons() {
    let cloud = Cloud::new();
    let (a, b) = (cloud.device(None, "a").await, cloud.device(None, "b").await);
    b.sync().await;
    a.put(&doc("campaigns", "c"), json!({"name": "C"})).await;
    a.run(&Job::Push).await.unwrap();
    assert_eq!(b.poll().await.pulled, 1);
}
