//! Devices that meet in one local cloud.

use std::fs::{self, File};

use serde_json::{Value, json};

use crate::support::{Device, Scratch, assert_refused};

fn pair(scratch: &Scratch) -> (Device, Device) {
    let (one, other) = (scratch.device("a").with_a_scene(), scratch.device("b"));
    one.ok(&["sync"]);
    other.ok(&["sync"]);
    (one, other)
}

#[track_caller]
fn agree(one: &Device, other: &Device) {
    assert_eq!(one.run(&["export"]).stdout, other.run(&["export"]).stdout);
}

#[test]
fn the_report_has_the_contracts_keys_and_counts() {
    let scratch = Scratch::new();
    let (one, other) = (scratch.device("a").with_a_scene(), scratch.device("b"));
    let sent = one.ok(&["sync"]);
    for (key, count) in [
        ("pushed", 2),
        ("pulled", 0),
        ("merged", 0),
        ("conflicts", 0),
        ("parked", 0),
        ("quarantined", 0),
    ] {
        assert_eq!(sent[key], count, "{key}: {sent}");
    }
    assert_eq!(sent["offline"], false);
    assert_eq!(sent["billed"]["writes"], 3, "two documents and the beacon");
    assert!(sent["billed"]["reads"].is_u64() && sent["billed"]["deletes"].is_u64());
    assert!(sent["elapsed_ms"].is_u64());
    let received = other.ok(&["sync"]);
    assert_eq!(
        (&received["pushed"], &received["pulled"]),
        (&json!(0), &json!(2))
    );
    let idle = one.ok(&["sync"]);
    assert_eq!(
        (&idle["pushed"], &idle["pulled"], &idle["billed"]["writes"]),
        (&json!(0), &json!(0), &json!(0))
    );
}

#[test]
fn edits_go_both_ways_and_increments_add_up() {
    let scratch = Scratch::new();
    let (one, other) = pair(&scratch);
    one.ok(&[
        "patch",
        "scenes",
        "s",
        "--inc",
        "props.torches=-2",
        "--set",
        "status=\"draft\"",
    ]);
    other.ok(&[
        "patch",
        "scenes",
        "s",
        "--inc",
        "props.torches=10",
        "--add",
        "entityIds=\"e\"",
    ]);
    other.put(
        "entities",
        "e",
        json!({"campaignId": "k", "kind": "npc", "name": "Ash"}),
    );
    one.ok(&["sync"]);
    let merged = other.ok(&["sync"]);
    assert_eq!(
        (&merged["merged"], &merged["conflicts"]),
        (&json!(1), &json!(0))
    );
    one.ok(&["sync"]);
    agree(&one, &other);
    let scene = one.get("scenes", "s");
    assert_eq!(scene["props"]["torches"], 13);
    assert_eq!(
        (&scene["status"], &scene["entityIds"]),
        (&json!("draft"), &json!(["e"]))
    );
    assert_eq!(
        (&scene["rev"], &other.get("scenes", "s")["rev"]),
        (&json!(2), &json!(2))
    );
}

#[test]
fn deletes_and_restores_reach_the_other_device() {
    let scratch = Scratch::new();
    let (one, other) = pair(&scratch);
    one.ok(&["rm", "campaigns", "k"]);
    one.ok(&["sync"]);
    assert_eq!(other.ok(&["sync"])["pulled"], 2);
    assert_eq!(other.run(&["export"]).stdout, "");
    assert_eq!(other.ok(&["restore", "campaigns", "k"])["affected"], 2);
    other.ok(&["sync"]);
    one.ok(&["sync"]);
    agree(&one, &other);
    assert_eq!(one.get("scenes", "s")["title"], "Ash");
}

#[test]
fn status_shows_what_waits_and_when_it_was_in_step() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    let before = device.ok(&["status"]);
    assert_eq!(
        (&before["health"], &before["pending"], &before["parked"]),
        (&json!("ok"), &json!(2), &json!(0))
    );
    assert!(before["oldest_pending_age_s"].is_u64());
    assert_eq!(before["last_synced_at"], Value::Null);
    let scenes = &before["collections"]["scenes"];
    assert_eq!(
        *scenes,
        json!({"documents": 1, "dirty": 1, "last_synced_at": null})
    );
    assert_eq!(
        before["media"],
        json!({"queued": 0, "failed": 0, "cached_bytes": 0})
    );
    device.ok(&["sync"]);
    let after = device.ok(&["status"]);
    assert_eq!(
        (&after["pending"], &after["oldest_pending_age_s"]),
        (&json!(0), &Value::Null)
    );
    assert!(after["last_synced_at"].is_string());
    assert_eq!(after["collections"]["scenes"]["dirty"], 0);
    // A sync in which nothing moved is one too.
    device.ok(&["sync"]);
    let again = device.ok(&["status"]);
    assert!(again["last_synced_at"].as_str() > after["last_synced_at"].as_str());
}

#[test]
fn a_cloud_out_of_reach_exits_with_3_and_keeps_everything() {
    let scratch = Scratch::new();
    let mut device = scratch.device("a").with_a_scene();
    let near = device.cloud.clone();
    // A stick that isn't plugged in: there is no such folder, and none can be made.
    device.cloud = format!("local:{}", scratch.file("file", "").join("cloud").display());
    let before = device.everything();
    let report = device.run(&["sync"]).exits(3).json();
    assert_eq!(
        (&report["offline"], &report["waiting"], &report["pushed"]),
        (&json!(true), &json!(2), &json!(0))
    );
    assert!(
        report["stopped"].as_str().unwrap().contains("kept"),
        "{report}"
    );
    assert_eq!(device.everything(), before);
    device.put(
        "scenes",
        "t",
        json!({"campaignId": "k", "title": "written offline"}),
    );
    device.cloud = near;
    assert_eq!(device.ok(&["sync"])["pushed"], 3);
}

#[track_caller]
fn out_of_reach(device: &Device) {
    let report = device.run(&["sync"]).exits(3).json();
    assert_eq!(report["offline"], true, "{report}");
    let why = report["stopped"].as_str().unwrap();
    assert!(why.contains("there is no cloud in"), "{report}");
}

#[test]
fn a_stick_that_is_not_plugged_in_gets_no_cloud_in_its_place() {
    let scratch = Scratch::new();
    let mut device = scratch.device("a").with_a_scene();
    let stick = scratch.path().join("media/stick");
    device.cloud = format!("local:{}", stick.join("cloud").display());
    out_of_reach(&device);
    assert!(!scratch.path().join("media").exists());
    // Nothing was bound: with the stick in, the first sync makes the cloud.
    fs::create_dir_all(&stick).unwrap();
    assert_eq!(device.ok(&["sync"])["pushed"], 2);
}

#[test]
fn a_database_that_was_synced_gets_no_other_cloud_where_its_own_is_away() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    device.ok(&["sync"]);
    let (cloud, away) = (scratch.path().join("cloud"), scratch.path().join("away"));
    fs::rename(&cloud, &away).unwrap();
    device.put("scenes", "t", json!({"campaignId": "k", "title": "x"}));
    out_of_reach(&device);
    assert!(!cloud.exists());
    fs::create_dir(&cloud).unwrap();
    out_of_reach(&device);
    assert_eq!(fs::read_dir(&cloud).unwrap().count(), 0);
    fs::remove_dir(&cloud).unwrap();
    fs::rename(&away, &cloud).unwrap();
    assert_eq!(device.ok(&["sync"])["pushed"], 1);
}

#[test]
fn firestore_out_of_reach_exits_with_3() {
    let scratch = Scratch::new();
    let mut device = scratch.device("a").with_a_scene();
    device.cloud = "firestore://demo-nowhere".to_owned();
    // A port that was free a moment ago, and that nobody listens on.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    drop(listener);
    let mut command = device.command(&["sync", "--json"]);
    let done: crate::support::Done = command
        .env("FIRESTORE_EMULATOR_HOST", host)
        .output()
        .unwrap()
        .into();
    let report = done.exits(3).json();
    assert_eq!(
        (&report["offline"], &report["waiting"]),
        (&json!(true), &json!(2))
    );
}

#[test]
fn a_journaled_edit_exits_with_4_once() {
    let scratch = Scratch::new();
    let (one, other) = pair(&scratch);
    one.ok(&["patch", "scenes", "s", "--set", "title=\"Ash Road\""]);
    other.ok(&["patch", "scenes", "s", "--set", "title=\"Ash Lane\""]);
    one.ok(&["sync"]);
    assert_eq!(other.run(&["sync"]).exits(4).json()["conflicts"], 1);
    other.ok(&["sync"]);
    one.ok(&["sync"]);
    agree(&one, &other);
    assert_eq!(one.get("scenes", "s")["title"], "Ash Lane");
}

#[test]
fn one_database_belongs_to_one_cloud() {
    let scratch = Scratch::new();
    let mut device = scratch.device("a").with_a_scene();
    device.ok(&["sync"]);
    let mut other = scratch.device("b");
    other.cloud = format!("local:{}", scratch.path().join("other").display());
    other.ok(&["sync"]);
    device.cloud = other.cloud;
    device.put("scenes", "t", json!({"campaignId": "k", "title": "x"}));
    device.refuses(&["sync"], "account_mismatch");
    // A person knows folders, not the random names of clouds.
    let error = device.run(&["sync"]).json();
    let message = error["error"]["message"].as_str().unwrap();
    for name in ["cloud", "other"] {
        let path = scratch.path().join(name).canonicalize().unwrap();
        assert!(message.contains(path.to_str().unwrap()), "{message}");
    }
    assert!(!message.contains("local:"), "{message}");
}

#[test]
fn one_process_syncs_a_database_at_a_time_and_others_write() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    let lock = File::create(scratch.path().join("a.db.sync.lock")).unwrap();
    lock.lock().unwrap();
    device.refuses(&["sync"], "sync_busy");
    device.put("scenes", "t", json!({"campaignId": "k", "title": "x"}));
    lock.unlock().unwrap();
    assert_eq!(device.ok(&["sync"])["pushed"], 3);
}

#[test]
fn the_default_cloud_stands_beside_the_database() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path().join("deep")).unwrap();
    let mut device = scratch.device("a");
    device.cloud = String::new();
    device.db = scratch.path().join("deep/a.db");
    device.put("campaigns", "k", json!({"name": "x"}));
    assert!(
        !scratch.path().join("deep/moonforge-cloud").exists(),
        "made before the first sync"
    );
    device.ok(&["sync"]);
    assert!(
        scratch
            .path()
            .join("deep/moonforge-cloud/cloud.db")
            .exists()
    );
}

#[test]
fn a_backup_restored_as_another_device_counts_every_edit_once() {
    let scratch = Scratch::new();
    let (one, other) = pair(&scratch);
    one.ok(&["patch", "scenes", "s", "--inc", "props.torches=1"]);
    one.ok(&["backup", scratch.path().join("copy.db").to_str().unwrap()]);
    let copy = scratch.device("copy");
    one.ok(&["sync"]);
    copy.ok(&["patch", "scenes", "s", "--inc", "props.torches=10"]);
    copy.ok(&["sync"]);
    other.ok(&["sync"]);
    one.ok(&["sync"]);
    assert_eq!(other.get("scenes", "s")["props"]["torches"], 16);
    agree(&one, &copy);
    agree(&one, &other);
}

#[test]
fn an_unknown_token_is_no_obstacle_in_a_local_cloud() {
    let scratch = Scratch::new();
    let mut device = scratch.device("a");
    device.token = Some("owner".to_owned());
    device.put("campaigns", "k", json!({"name": "x"}));
    device.ok(&["sync"]);
    // Another account on the same file is another owner.
    device.token = Some(crate::support::token_of("anna"));
    assert_refused(&device.run(&["sync"]), "account_mismatch");
}
