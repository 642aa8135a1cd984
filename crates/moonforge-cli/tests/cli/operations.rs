//! Operations that an app queued, seen from the command line, which carries out none.

use moonforge::{Moonforge, Priority};
use serde_json::json;

use crate::support::Scratch;

#[test]
fn an_apps_operations_show_wait_and_can_be_discarded() {
    let scratch = Scratch::new();
    let device = scratch.device("gm");
    device.ok(&["put", "campaigns", r#"{"name":"Keep"}"#, "--id", "keep"]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let forge = Moonforge::builder(&device.db).open().await.unwrap();
        let queued = forge.enqueue("send_invite", "anna", json!({"to": "anna"}), Priority::High);
        queued.await.unwrap();
        forge.close().await;
    });
    let items = device.ok(&["outbox", "ls"])["items"].clone();
    let item = &items[1];
    assert_eq!(
        (&item["collection"], &item["id"], &item["operation"]),
        (&json!("~send_invite"), &json!("anna"), &json!("call"))
    );
    assert_eq!(item["state"], "pending");
    let said = item["message"].as_str().unwrap();
    assert!(said.contains("no executor `send_invite`"), "{said}");
    assert_eq!(device.ok(&["status"])["pending"], 2);

    let report = device.run(&["sync"]).exits(3).json();
    assert_eq!(
        (&report["pushed"], &report["waiting"]),
        (&json!(1), &json!(1))
    );
    let status = device.ok(&["status"]);
    assert_eq!(status["pending"], 1);
    assert_eq!(
        (&status["stuck"], &status["outbox_room"]),
        (&json!([]), &json!("plenty"))
    );
    assert_eq!(device.ok(&["doctor"])["ok"], true);

    let seq = item["seq"].to_string();
    assert_eq!(device.ok(&["outbox", "discard", &seq])["discarded"], 1);
    let journal = device.ok(&["conflicts", "ls"])["items"].clone();
    assert_eq!(journal[0]["collection"], "~send_invite");
    assert_eq!(
        (&journal[0]["field"], &journal[0]["lost"]),
        (&json!("call"), &json!({"to": "anna"}))
    );
    assert_eq!(journal[0]["can_take"], false);
    let id = journal[0]["conflict_id"].to_string();
    device.ok(&["conflicts", "resolve", &id, "keep"]);
    device.run(&["sync"]).exits(0);
}
