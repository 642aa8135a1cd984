//! `outbox` and `conflicts`.

use serde_json::{Value, json};

use crate::support::{Device, Scratch};

pub(crate) fn items(device: &Device, args: &[&str]) -> Vec<Value> {
    device.ok(args)["items"].as_array().unwrap().clone()
}

/// A device whose title won against another's, and who has the other's in its journal.
pub(crate) fn with_a_conflict(scratch: &Scratch) -> Device {
    let (one, other) = (scratch.device("a").with_a_scene(), scratch.device("b"));
    one.ok(&["sync"]);
    other.ok(&["sync"]);
    one.ok(&["patch", "scenes", "s", "--set", "title=\"Ash Road\""]);
    other.ok(&["patch", "scenes", "s", "--set", "title=\"Ash Lane\""]);
    one.ok(&["sync"]);
    other.run(&["sync"]).exits(4);
    other
}

#[test]
fn the_outbox_lists_what_waits() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    device.ok(&[
        "patch",
        "scenes",
        "s",
        "--inc",
        "props.torches=1",
        "--set",
        "title=\"x\"",
    ]);
    device.ok(&["rm", "scenes", "s"]);
    let rows = items(&device, &["outbox", "ls"]);
    let operations: Vec<_> = rows
        .iter()
        .map(|r| r["operation"].as_str().unwrap())
        .collect();
    assert_eq!(operations, ["create", "create", "patch", "delete"]);
    for row in &rows {
        assert_eq!(
            (&row["state"], &row["error"]),
            (&json!("pending"), &Value::Null)
        );
        assert!(row["seq"].is_u64() && row["attempts"].is_u64());
    }
    assert_eq!(
        (&rows[1]["collection"], &rows[1]["id"]),
        (&json!("scenes"), &json!("s"))
    );
    device.ok(&["sync"]);
    assert!(items(&device, &["outbox", "ls"]).is_empty());
    assert_eq!(device.ok(&["outbox", "retry"]), json!({"retried": 0}));
}

#[test]
fn the_edits_of_another_apps_collection_wait_and_say_why() {
    use moonforge::{Collection, CollectionConfig, Moonforge};
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let factions = Collection::new("factions").unwrap();
        let forge = Moonforge::builder(&device.db)
            .register(CollectionConfig::new(factions, []))
            .open()
            .await
            .unwrap();
        let faction = json!({"campaignId": "k", "name": "Ashen Hand"});
        let documents = forge.documents("factions").unwrap();
        documents.put("f", faction).await.unwrap();
        forge.close().await;
    });
    let synced = device.run(&["sync"]).exits(3).json();
    assert_eq!(
        (&synced["pushed"], &synced["parked"]),
        (&json!(2), &json!(0))
    );
    let rows = items(&device, &["outbox", "ls"]);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(
        (&rows[0]["id"], &rows[0]["state"]),
        (&json!("f"), &json!("pending"))
    );
    let why = rows[0]["message"].as_str().unwrap();
    assert!(why.contains("factions"), "{why}");
    let shown = device.plain(&["outbox", "ls"]).stdout;
    assert!(shown.contains("no collection"), "{shown}");
    let seq = rows[0]["seq"].to_string();
    assert_eq!(device.ok(&["outbox", "discard", &seq])["discarded"], 1);
    assert!(items(&device, &["outbox", "ls"]).is_empty());
    let lost = items(&device, &["conflicts", "ls"]);
    assert_eq!(
        (
            &lost[0]["field"],
            &lost[0]["lost"]["name"],
            &lost[0]["can_take"]
        ),
        (&json!("*"), &json!("Ashen Hand"), &json!(false))
    );
}

#[test]
fn a_discarded_edit_is_undone_and_can_be_taken_back() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    device.ok(&["sync"]);
    device.ok(&["patch", "scenes", "s", "--set", "title=\"wrong\""]);
    let seq = items(&device, &["outbox", "ls"])[0]["seq"].to_string();
    assert_eq!(device.ok(&["outbox", "discard", &seq])["discarded"], 1);
    assert_eq!(device.get("scenes", "s")["title"], "Ash");
    let journaled = items(&device, &["conflicts", "ls"]);
    assert_eq!(
        (&journaled[0]["field"], &journaled[0]["lost"]),
        (&json!("title"), &json!("wrong"))
    );
    let id = journaled[0]["conflict_id"].to_string();
    device.ok(&["conflicts", "resolve", &id, "take"]);
    assert_eq!(device.get("scenes", "s")["title"], "wrong");
    assert_eq!(device.ok(&["sync"])["pushed"], 1);
}

#[test]
fn giving_up_a_creation_counts_the_edits_that_stood_on_it() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    device.ok(&["patch", "scenes", "s", "--set", "title=\"x\""]);
    device.ok(&["patch", "scenes", "s", "--inc", "props.torches=1"]);
    let seq = items(&device, &["outbox", "ls"])[1]["seq"]
        .as_u64()
        .unwrap();
    let given_up = device.ok(&["outbox", "discard", &seq.to_string()]);
    assert_eq!(given_up, json!({"discarded": 3, "seq": seq}));
    assert_eq!(items(&device, &["outbox", "ls"]).len(), 1);
    assert_eq!(
        device.run(&["get", "scenes", "s"]).exits(1).json()["error"]["code"],
        "not_found"
    );
    // The journal holds the document as it was, and makes it again.
    let entry = items(&device, &["conflicts", "ls"]).remove(0);
    assert_eq!(
        (&entry["can_take"], &entry["lost"]["title"]),
        (&json!(true), &json!("x"))
    );
    let id = entry["conflict_id"].to_string();
    device.ok(&["conflicts", "resolve", &id, "take"]);
    assert_eq!(device.get("scenes", "s")["props"]["torches"], 6);
}

#[test]
fn what_has_no_document_to_go_to_cannot_be_taken() {
    let scratch = Scratch::new();
    let device = with_a_conflict(&scratch);
    let id = items(&device, &["conflicts", "ls"])[0]["conflict_id"].to_string();
    device.ok(&["rm", "scenes", "s"]);
    assert_eq!(device.ok(&["conflicts", "show", &id])["can_take"], false);
    device.refuses(&["conflicts", "resolve", &id, "take"], "deleted");
    device.ok(&["restore", "scenes", "s"]);
    assert_eq!(device.ok(&["conflicts", "show", &id])["can_take"], true);
}

#[test]
fn the_journal_shows_both_sides() {
    let scratch = Scratch::new();
    let device = with_a_conflict(&scratch);
    let entries = items(&device, &["conflicts", "ls"]);
    assert_eq!(entries.len(), 1);
    let entry = &entries[0];
    assert_eq!(
        (&entry["collection"], &entry["id"]),
        (&json!("scenes"), &json!("s"))
    );
    assert_eq!(entry["field"], "title");
    assert_eq!(
        (&entry["kept"], &entry["lost"]),
        (&json!("Ash Lane"), &json!("Ash Road"))
    );
    assert!(entry["at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(entry["can_take"], true);
    let id = entry["conflict_id"].to_string();
    assert_eq!(device.ok(&["conflicts", "show", &id]), *entry);
}

#[test]
fn keeping_settles_an_entry_and_changes_no_document() {
    let scratch = Scratch::new();
    let device = with_a_conflict(&scratch);
    let id = items(&device, &["conflicts", "ls"])[0]["conflict_id"].to_string();
    // The journal's own count is what settling changes.
    let documents = || {
        let (export, outbox, mut status) = device.everything();
        status["conflicts"].take();
        (export, outbox, status)
    };
    let before = documents();
    let settled = device.ok(&["conflicts", "resolve", &id, "keep"]);
    assert_eq!(settled["resolution"], "keep");
    assert_eq!(documents(), before);
    assert!(items(&device, &["conflicts", "ls"]).is_empty());
    let settled = items(&device, &["conflicts", "ls", "--all"]);
    assert!(settled[0]["resolved_at"].is_string());
    assert_eq!(settled[0]["can_take"], false);
    device.refuses(&["conflicts", "resolve", &id, "take"], "already_settled");
}

#[test]
fn taking_writes_what_was_lost_as_a_new_edit() {
    let scratch = Scratch::new();
    let device = with_a_conflict(&scratch);
    let id = items(&device, &["conflicts", "ls"])[0]["conflict_id"].to_string();
    device.ok(&["conflicts", "resolve", &id, "take"]);
    assert!(items(&device, &["conflicts", "ls"]).is_empty());
    assert_eq!(device.get("scenes", "s")["title"], "Ash Road");
    device.ok(&["sync"]);
    let other = scratch.device("a");
    other.ok(&["sync"]);
    assert_eq!(other.get("scenes", "s")["title"], "Ash Road");
}
