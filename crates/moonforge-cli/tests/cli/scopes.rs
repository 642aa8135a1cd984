//! Devices that hold a part of the cloud.

use serde_json::{Value, json};

use crate::support::{Device, Scratch, token_of};

/// A cloud with the campaigns `a` and `b`, with a scene each.
fn two_campaigns(scratch: &Scratch) -> Device {
    let gm = scratch.device("gm");
    for c in ["a", "b"] {
        gm.put(
            "campaigns",
            c,
            json!({"name": c, "ownerUid": c, "memberUids": [c, "eve"]}),
        );
        let scene = json!({"campaignId": c, "title": "t"});
        gm.put("scenes", &format!("s{c}"), scene);
    }
    gm.ok(&["sync"]);
    gm
}

fn documents(device: &Device) -> Vec<String> {
    let exported = device.run(&["export"]).exits(0).stdout;
    let lines = exported.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        format!(
            "{}/{}",
            line["collection"].as_str().unwrap(),
            line["id"].as_str().unwrap()
        )
    });
    let mut found: Vec<String> = lines.collect();
    found.sort();
    found
}

const ALL: [&str; 4] = ["campaigns/a", "campaigns/b", "scenes/sa", "scenes/sb"];
const OF_A: [&str; 2] = ["campaigns/a", "scenes/sa"];

#[test]
fn a_sync_of_a_scope_fetches_that_alone_and_sends_everything() {
    let scratch = Scratch::new();
    let gm = two_campaigns(&scratch);
    let device = scratch.device("one");
    device.put("campaigns", "c", json!({"name": "mine"}));
    let report = device.ok(&["sync", "--scope", "any:campaignId=a"]);
    assert_eq!(
        (&report["pushed"], &report["pulled"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(
        documents(&device),
        ["campaigns/a", "campaigns/c", "scenes/sa"]
    );
    // It limits nothing.
    assert_eq!(device.ok(&["sync"])["pulled"], 2);
    assert_eq!(gm.ok(&["sync"])["pulled"], 1);
    for form in [
        "x:id=a",
        "x:ownerUid=a",
        "x:memberUids=a",
        "x:ownerUid=a,id=a",
    ] {
        let device = scratch.device(&form.replace([':', '=', ','], "-"));
        assert_eq!(device.ok(&["sync", "--scope", form])["pulled"], 2, "{form}");
        assert_eq!(documents(&device), OF_A);
    }
}

#[test]
fn scopes_are_joined_and_left_offline() {
    let scratch = Scratch::new();
    two_campaigns(&scratch);
    let device = scratch.device("one");
    assert_eq!(
        device.ok(&["scopes", "join", "keep:campaignId=a"]),
        json!({"scope": "keep:campaignId=a", "changed": true, "removed": 0, "waiting": 0})
    );
    assert_eq!(device.ok(&["sync"])["pulled"], 2);
    assert_eq!(documents(&device), OF_A);
    device.ok(&["scopes", "join", "bs:ownerUid=b"]);
    device.ok(&["sync"]);
    assert_eq!(documents(&device), ALL);
    let listed = device.ok(&["scopes", "ls"]);
    let items = listed["items"].as_array().unwrap();
    assert_eq!(items.len(), 2);
    assert_eq!(items[0]["scope"], "bs:ownerUid=b");
    assert_eq!(
        (&items[0]["name"], &items[0]["keys"]),
        (&json!("bs"), &json!({"ownerUid": "b"}))
    );
    assert_eq!(
        (&items[0]["documents"], &items[0]["dirty"]),
        (&json!(2), &json!(0))
    );
    assert!(items[0]["last_synced_at"].is_string() && items[0]["joined_at"].is_string());

    device.ok(&["patch", "scenes", "sb", "--set", "title=\"mine\""]);
    let mut away = device.clone();
    away.cloud = format!("local:{}/nowhere/cloud", scratch.path().display());
    let left = away.ok(&["scopes", "leave", "bs:ownerUid=b"]);
    assert_eq!((&left["removed"], &left["waiting"]), (&json!(1), &json!(1)));
    assert_eq!(
        documents(&device),
        ["campaigns/a", "scenes/sa", "scenes/sb"]
    );
    let report = device.ok(&["sync"]);
    assert_eq!(
        (&report["pushed"], &report["waiting"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(documents(&device), OF_A);
    assert_eq!(device.ok(&["doctor"]), json!({"ok": true, "findings": []}));

    assert_eq!(
        device.ok(&["scopes", "leave", "keep:campaignId=a"])["removed"],
        2
    );
    assert_eq!(device.ok(&["scopes", "ls"])["items"], json!([]));
    device.ok(&["sync"]);
    assert_eq!(documents(&device), ALL);
    assert_eq!(device.get("scenes", "sb")["title"], "mine");
}

#[test]
fn what_get_opens_is_held() {
    let scratch = Scratch::new();
    two_campaigns(&scratch);
    let device = scratch.device("one");
    device.ok(&["scopes", "join", "accessed"]);
    device.refused(&["get", "scenes", "sb"], "not_found");
    assert_eq!(device.ok(&["sync", "--scope", "accessed"])["pulled"], 2);
    assert_eq!(documents(&device), ["campaigns/b", "scenes/sb"]);
    assert_eq!(device.get("scenes", "sb")["title"], "t");
}

#[test]
fn under_an_account_a_scope_is_a_part_of_its_campaigns() {
    let scratch = Scratch::new();
    two_campaigns(&scratch);
    // The local cloud keeps nothing from anyone, but asks as any other.
    let mut device = scratch.device("one");
    device.token = Some(token_of("eve"));
    assert_eq!(device.ok(&["sync", "--scope", "x:ownerUid=a"])["pulled"], 2);
    assert_eq!(
        device.ok(&["sync", "--scope", "x:memberUids=b"])["pulled"],
        2
    );
    assert_eq!(documents(&device), ALL);
}

#[test]
fn a_scope_that_makes_no_sense_changes_nothing() {
    let scratch = Scratch::new();
    two_campaigns(&scratch);
    let device = scratch.device("one");
    device.ok(&["scopes", "join", "keep:campaignId=a"]);
    device.ok(&["sync"]);
    device.refuses(&["scopes", "join", "x:colour=red"], "invalid_scope");
    device.refuses(&["sync", "--scope", "x:colour=red"], "invalid_scope");
    device.refuses(&["sync", "--scope", "bs:ownerUid=b"], "not_joined");
    device.refuses(&["sync", "--scope", "accessed"], "not_joined");
    device.refuses(&["scopes", "leave", "bs:ownerUid=b"], "not_joined");
    let none = scratch.device("none");
    none.refused(&["scopes", "ls"], "no_database");
}

#[test]
fn people_are_told_what_went() {
    let scratch = Scratch::new();
    let gm = two_campaigns(&scratch);
    let said = gm.plain(&["scopes", "ls"]).exits(0).stdout;
    assert!(said.contains("everything"), "{said}");
    let said = gm.plain(&["scopes", "join", "keep:id=a"]).exits(0).stdout;
    assert!(
        said.contains("keep:campaignId=a") && said.contains("2 documents"),
        "{said}"
    );
    let said = gm.plain(&["scopes", "ls"]).exits(0).stdout;
    assert!(said.contains("keep:campaignId=a"), "{said}");
    let said = gm
        .plain(&["scopes", "leave", "keep:campaignId=a"])
        .exits(0)
        .stdout;
    assert!(said.contains("everything"), "{said}");
}
