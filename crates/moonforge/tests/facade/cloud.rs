//! Databases, clouds and accounts.

use std::sync::Arc;
use std::time::Duration;

use moonforge::ports::{Clock, RemoteStore, StaticToken, TokenProvider};
use moonforge::{
    Campaign, Cloud, Embedded, Endpoint, Firestore, Moonforge, SecretString, Timestamp,
    fixed_token, increment,
};
use moonforge_testkit::clock::ManualClock;
use moonforge_testkit::random::SeededRandom;
use serde_json::json;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::leaping(
        "2026-11-21T18:30:00Z".parse().unwrap(),
    ))
}

#[tokio::test]
async fn ids_are_of_the_injected_time_and_chance() {
    let open = || {
        Moonforge::memory_builder()
            .clock(clock())
            .random(Arc::new(SeededRandom::new(7)))
            .open()
    };
    let (one, same) = (open().await.unwrap(), open().await.unwrap());
    let id = one.new_id();
    assert_eq!(id, same.new_id());
    assert_ne!(id, one.new_id());
    // The first 48 bits are milliseconds since 1970, then comes the version.
    let millis = i64::from_str_radix(&id.as_str()[..13].replace('-', ""), 16).unwrap();
    assert_eq!(
        Timestamp::from_millis(millis).to_string(),
        "2026-11-21T18:30:00Z"
    );
    assert_eq!(&id.as_str()[14..15], "7");
}

#[tokio::test]
async fn ids_made_later_sort_later() {
    let clock = clock();
    let forge = Moonforge::memory_builder()
        .clock(clock.clone())
        .open()
        .await
        .unwrap();
    let first = forge.new_id();
    clock.advance(Duration::from_millis(1));
    assert!(first < forge.new_id());
}

#[tokio::test]
async fn two_devices_meet_in_one_cloud_in_memory() {
    let cloud = Embedded::in_memory();
    let open = || Moonforge::memory_builder().cloud(cloud.clone()).open();
    let (one, other) = (open().await.unwrap(), open().await.unwrap());
    let campaign = Campaign::new(one.new_id(), "The Ember Keep");
    let id = campaign.id.clone();
    one.campaigns().upsert(campaign).await.unwrap();
    one.sync_now().await.unwrap();
    other.sync_now().await.unwrap();
    for (device, by) in [(&one, 2), (&other, 3)] {
        device
            .campaigns()
            .patch(&id, None, [increment("props.gold", by)])
            .await
            .unwrap();
    }
    one.sync_now().await.unwrap();
    assert_eq!(other.sync_now().await.unwrap().merged, 1);
    one.sync_now().await.unwrap();
    for device in [&one, &other] {
        let campaign = device.campaigns().get(&id).await.unwrap().unwrap();
        assert_eq!(campaign.extra["props"]["gold"], 5);
    }
}

#[tokio::test]
async fn a_cloud_that_cannot_be_reached_is_a_report_and_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let builder = Moonforge::builder(dir.path().join("a.db"));
    let forge = builder
        .cloud(Embedded::dir(file.join("cloud")))
        .open()
        .await
        .unwrap();
    forge
        .campaigns()
        .upsert(Campaign::new(forge.new_id(), "x"))
        .await
        .unwrap();
    let report = forge.sync_now().await.unwrap();
    assert!(report.offline && report.stopped.is_some());
    assert_eq!((report.pushed, report.waiting), (0, 1));
    // Once there is one, the same database goes on with it.
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    assert_eq!(forge.sync_now().await.unwrap().pushed, 1);
}

#[tokio::test]
async fn a_database_of_another_cloud_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let open = |cloud: &str| {
        let builder = Moonforge::builder(dir.path().join("a.db"));
        builder.cloud(Embedded::dir(dir.path().join(cloud))).open()
    };
    let forge = open("one").await.unwrap();
    forge.sync_now().await.unwrap();
    forge.close().await;
    // Another device's.
    let other = Moonforge::memory_builder().cloud(Embedded::dir(dir.path().join("other")));
    other.open().await.unwrap().sync_now().await.unwrap();
    let error = open("other").await.unwrap().sync_now().await.unwrap_err();
    assert!(error.is_account_mismatch(), "{error:?}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    std::fs::write(&path, "Dear diary, ".repeat(500)).unwrap();
    let error = Moonforge::builder(&path).open().await.unwrap_err();
    assert_eq!(error.code(), "not_a_database");
    assert!(error.is_unusable_file());
    let error = Moonforge::builder(dir.path().join("nowhere/a.db"))
        .open()
        .await
        .unwrap_err();
    assert_eq!(error.code(), "cannot_open");
}

#[tokio::test]
async fn a_campaign_is_stamped_with_the_account_that_makes_it() {
    let cloud = Embedded::in_memory().uid(Some("anna".to_owned()));
    let forge = Moonforge::memory_builder()
        .cloud(cloud)
        .open()
        .await
        .unwrap();
    assert_eq!(forge.uid().as_deref(), Some("anna"));
    let campaigns = forge.documents("campaigns").unwrap();
    campaigns
        .put("k", json!({"name": "x", "memberUids": null}))
        .await
        .unwrap();
    let campaign = forge.campaigns().get("k").await.unwrap().unwrap();
    assert_eq!(campaign.owner_uid.as_deref(), Some("anna"));
    assert_eq!(campaign.member_uids, ["anna"]);
    campaigns
        .put("l", json!({"name": "x", "memberUids": "anna"}))
        .await
        .unwrap_err();
    assert!(campaigns.get("l").await.unwrap().is_none());
}

#[test]
fn a_token_that_is_no_json_web_token_names_nobody() {
    let uid = |token: &str| fixed_token(SecretString::from(token)).identity().uid;
    assert_eq!(
        uid("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm5hIn0.").as_deref(),
        Some("anna")
    );
    for other in ["owner", "", "a.b.c", "ya29.token"] {
        assert_eq!(uid(other), None, "{other}");
    }
}

#[tokio::test]
async fn decorators_stand_between_the_engine_and_the_cloud_in_the_order_given() {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let note = |name: &'static str| {
        let seen = seen.clone();
        move |remote: Arc<dyn RemoteStore>| {
            seen.lock().unwrap().push(name);
            remote
        }
    };
    let cloud = Cloud::from(Embedded::in_memory());
    let cloud = cloud.decorated(note("inner")).decorated(note("outer"));
    let forge = Moonforge::memory_builder()
        .cloud(cloud)
        .open()
        .await
        .unwrap();
    assert!(
        seen.lock().unwrap().is_empty(),
        "nothing is opened before the first sync"
    );
    forge.sync_now().await.unwrap();
    forge.sync_now().await.unwrap();
    assert_eq!(*seen.lock().unwrap(), ["inner", "outer"]);
}

#[tokio::test]
async fn the_real_clock_runs_and_sleeps() {
    let clock = moonforge::SystemClock::new();
    let (now, monotonic) = (clock.now(), clock.monotonic());
    clock.sleep(Duration::from_millis(2)).await;
    assert!(clock.monotonic() - monotonic >= Duration::from_millis(2));
    assert!(clock.now() >= now);
    assert!(now > "2026-01-01T00:00:00Z".parse().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn syncs_at_once_wait_for_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let file = Moonforge::builder(dir.path().join("a.db")).cloud(Embedded::in_memory());
    for builder in [file, Moonforge::memory_builder()] {
        let forge = builder.open().await.unwrap();
        for _ in 0..20 {
            let campaign = Campaign::new(forge.new_id(), "x");
            forge.campaigns().upsert(campaign).await.unwrap();
        }
        let runs: Vec<_> = (0..4)
            .map(|_| {
                let forge = forge.clone();
                tokio::spawn(async move { forge.sync_now().await })
            })
            .collect();
        let mut pushed = 0;
        for run in runs {
            pushed += run.await.unwrap().unwrap().pushed;
        }
        assert_eq!(pushed, 20);
        forge.close().await;
    }
}

#[tokio::test]
async fn a_cloud_that_cannot_be_called_so_is_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let firestore = |project: &str, database: &str| {
        let cloud = Firestore::new(project, StaticToken::none());
        cloud.database(database).endpoint(Endpoint::Production)
    };
    for (project, database) in [
        ("p", ".."),
        ("p", ""),
        ("p", "(other)"),
        ("p", "a/b"),
        ("..", "d"),
        ("", "d"),
        ("p?x", "d"),
        ("a/../b", "d"),
    ] {
        let builder = Moonforge::builder(&path).cloud(firestore(project, database));
        let error = builder.open().await.unwrap_err();
        assert_eq!(error.code(), "invalid_cloud", "{project} {database}");
    }
    assert!(!path.exists());
    for (project, database) in [
        ("my-project", "(default)"),
        ("example.com:my-project", "eu-west1"),
        ("demo_1", "d"),
    ] {
        firestore(project, database).check().unwrap();
    }
}
