//! `conflicts resolve` and `conflicts undo`.

use serde_json::{Value, json};

use crate::journal::{items, with_a_conflict};
use crate::support::{Device, Scratch};

fn open(device: &Device) -> Vec<Value> {
    items(device, &["conflicts", "ls"])
}

fn id(device: &Device) -> String {
    open(device)[0]["conflict_id"].to_string()
}

#[test]
fn an_entry_tells_who_when_and_why() {
    let scratch = Scratch::new();
    let device = with_a_conflict(&scratch);
    let entry = &open(&device)[0];
    assert_eq!(
        (&entry["base"], &entry["decided_by"], &entry["resolved_by"]),
        (&json!("Ash"), &json!("later_wins"), &Value::Null)
    );
    for at in ["kept_at", "lost_at"] {
        assert!(entry[at].as_str().unwrap().ends_with('Z'), "{entry}");
    }
    assert!(entry["lost_at"].as_str() <= entry["kept_at"].as_str());
    let counted = &device.ok(&["status"])["conflicts"];
    assert_eq!(*counted, json!({"open": 1, "undecided": 0}));
    // Without accounts the cloud's own word for them.
    assert_eq!(
        (&entry["kept_by"], &entry["lost_by"]),
        (&json!(["local"]), &json!(["local"]))
    );
}

#[test]
fn a_value_of_ones_own_is_written_as_a_new_edit() {
    let scratch = Scratch::new();
    let device = with_a_conflict(&scratch);
    let settled = device.ok(&[
        "conflicts",
        "resolve",
        &id(&device),
        "--value",
        "\"Ash Way\"",
    ]);
    assert_eq!(settled["resolution"], "value");
    assert!(open(&device).is_empty());
    assert_eq!(device.get("scenes", "s")["title"], "Ash Way");
    assert_eq!(items(&device, &["outbox", "ls"]).len(), 1);
    device.ok(&["sync"]);
    let other = scratch.device("a");
    other.ok(&["sync"]);
    assert_eq!(other.get("scenes", "s")["title"], "Ash Way");
}

#[test]
fn a_resolution_is_taken_back_by_a_new_edit_and_the_entry_is_open_again() {
    for (choice, by, title) in [
        (&["take"][..], "take", "Ash Road"),
        (&["--take"], "take", "Ash Road"),
        (&["--value", "\"x\""], "value", "x"),
        (&["keep"], "keep", "Ash Lane"),
        (&["--keep"], "keep", "Ash Lane"),
    ] {
        let scratch = Scratch::new();
        let device = with_a_conflict(&scratch);
        let before = open(&device);
        let id = id(&device);
        device.ok(&[&["conflicts", "resolve", &id], choice].concat());
        assert_eq!(device.get("scenes", "s")["title"], title);
        device.ok(&["sync"]);
        let settled = items(&device, &["conflicts", "ls", "--all"]);
        assert_eq!(settled[0]["resolved_by"], by);
        let undone = device.ok(&["conflicts", "undo", &id]);
        let wrote = title != "Ash Lane";
        let restored = if wrote { json!(["title"]) } else { json!([]) };
        assert_eq!(
            (&undone["restored"], &undone["left"]),
            (&restored, &json!([]))
        );
        assert_eq!(device.get("scenes", "s")["title"], "Ash Lane");
        assert_eq!(open(&device), before);
        assert_eq!(device.ok(&["sync"])["pushed"], u64::from(wrote));
        device.refuses(&["conflicts", "undo", &id], "not_settled");
    }
}

#[test]
fn nothing_that_was_written_since_is_overwritten_silently() {
    let scratch = Scratch::new();
    let device = with_a_conflict(&scratch);
    let first = id(&device);
    device.ok(&["patch", "scenes", "s", "--set", "title=\"Since\""]);
    device.ok(&["conflicts", "resolve", &first, "take"]);
    let entry = &open(&device)[0];
    assert_eq!(
        (&entry["kept"], &entry["lost"]),
        (&json!("Ash Road"), &json!("Since"))
    );
    device.ok(&["patch", "scenes", "s", "--set", "title=\"Later\""]);
    let undone = device.ok(&["conflicts", "undo", &first]);
    assert_eq!(
        (&undone["restored"], &undone["left"]),
        (&json!([]), &json!(["title"]))
    );
    assert_eq!(device.get("scenes", "s")["title"], "Later");
    assert_eq!(open(&device).len(), 2);
    let shown = device
        .plain(&["conflicts", "resolve", &first, "take"])
        .stdout;
    assert!(shown.contains("is settled"), "{shown}");
    let shown = device.plain(&["conflicts", "undo", &first]).stdout;
    assert!(
        shown.contains("is open again") && shown.contains("title: as before"),
        "{shown}"
    );
}

#[test]
fn calls_that_make_no_sense_change_nothing() {
    let scratch = Scratch::new();
    let device = with_a_conflict(&scratch);
    let id = id(&device);
    let resolve = |rest: &[&'static str]| {
        let mut args = vec!["conflicts", "resolve", id.as_str()];
        args.extend(rest);
        args.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    for (rest, code) in [
        (&[][..], "usage"),
        (&["keep", "--take"], "usage"),
        (&["--keep", "--value", "1"], "usage"),
        (&["perhaps"], "usage"),
        (&["--value", "Ash"], "invalid_json"),
        (&["--value", "7"], "wrong_type"),
        (&["--value", "null"], "missing_field"),
        (&["--value", "@no such file"], "io"),
    ] {
        let args = resolve(rest);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        device.refuses(&args, code);
    }
    device.refuses(&["conflicts", "undo", &id], "not_settled");
    device.refuses(&["conflicts", "undo", "99"], "not_found");
    device.refuses(&["conflicts", "resolve", "99", "--value", "1"], "not_found");
    device.ok(&["rm", "scenes", "s"]);
    device.refuses(
        &["conflicts", "resolve", &id, "--value", "\"x\""],
        "deleted",
    );
    device.ok(&["conflicts", "resolve", &id, "--keep"]);
    device.ok(&["conflicts", "undo", &id]);
    assert_eq!(open(&device)[0]["conflict_id"].to_string(), id);
}
