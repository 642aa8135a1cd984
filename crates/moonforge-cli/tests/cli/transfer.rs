//! `import`, `export`, `backup`, `doctor`, `migrate`.

use std::fmt::Write as _;
use std::io::Read;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Scratch, token_of};

#[test]
fn what_is_exported_can_be_imported_elsewhere_and_is_the_same() {
    let scratch = Scratch::new();
    let (one, other) = (scratch.device("a").with_a_scene(), scratch.device("b"));
    one.put("scenes", "gone", json!({"campaignId": "k", "title": "x"}));
    one.ok(&["rm", "scenes", "gone"]);
    let lines = one.run(&["export"]).exits(0).stdout;
    let documents: Vec<Value> = lines
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(documents.len(), 2);
    for document in &documents {
        let reserved = ["rev", "updatedAt", "deletedAt", "writers", "edited"];
        assert!(
            reserved.iter().all(|field| document.get(field).is_none()),
            "{document}"
        );
    }
    let imported = other.run_with(&["import", "-"], &lines).exits(0).json();
    assert_eq!(imported, json!({"imported": 2, "skipped": 0, "errors": []}));
    assert_eq!(other.run(&["export"]).stdout, lines);
    // Once more changes nothing.
    let before = other.everything();
    let again = other.run_with(&["import", "-"], &lines).exits(0).json();
    assert_eq!(again, json!({"imported": 0, "skipped": 2, "errors": []}));
    assert_eq!(other.everything(), before);
}

#[test]
fn a_field_called_collection_survives_export_and_import() {
    let scratch = Scratch::new();
    let (one, other) = (scratch.device("a"), scratch.device("b"));
    let names = [
        "collection",
        "$collection",
        "$$collection",
        "$other",
        "collections",
    ];
    for set in 0_usize..1 << names.len() {
        let mut document = json!({"name": "x"});
        for (n, name) in names.iter().enumerate().filter(|(n, _)| set & 1 << n > 0) {
            document[name] = json!(n);
        }
        one.put("campaigns", &format!("k{set}"), document);
    }
    let lines = one.run(&["export"]).exits(0).stdout;
    assert_eq!(
        other.run_with(&["import", "-"], &lines).exits(0).json()["imported"],
        32
    );
    assert_eq!(other.run(&["export"]).stdout, lines);
    let fields = |device: &crate::support::Device| {
        let mut list = device.ok(&["ls", "campaigns"]);
        for item in list["items"].as_array_mut().unwrap() {
            item["updatedAt"].take();
        }
        list
    };
    assert_eq!(fields(&one), fields(&other));
    assert_eq!(other.get("campaigns", "k31")["collection"], 0);
}

#[test]
fn lines_that_cannot_be_written_are_named_and_the_others_written() {
    let scratch = Scratch::new();
    let device = scratch.device("a");
    device.put("campaigns", "dead", json!({"name": "x"}));
    device.ok(&["rm", "campaigns", "dead"]);
    let lines = [
        r#"{"collection":"campaigns","id":"k","name":"The Ember Keep"}"#,
        "",
        "{\"collection\":\"campaigns\"",
        "[1]",
        r#"{"collection":"dragons","id":"x"}"#,
        r#"{"id":"x","name":"x"}"#,
        r#"{"collection":"campaigns","name":"x"}"#,
        r#"{"collection":"campaigns","id":"a/b","name":"x"}"#,
        r#"{"collection":"campaigns","id":"w","name":7}"#,
        r#"{"collection":"campaigns","id":"dead","name":"y"}"#,
        r#"{"collection":"campaigns","id":"l","name":"y"}"#,
    ];
    let report = device
        .run_with(&["import", "-"], lines.join("\r\n"))
        .exits(1)
        .json();
    assert_eq!(
        (&report["imported"], &report["skipped"]),
        (&json!(2), &json!(0))
    );
    let errors: Vec<_> = report["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| {
            assert!(e["message"].as_str().unwrap().len() > 10, "{e}");
            (e["line"].as_u64().unwrap(), e["code"].as_str().unwrap())
        })
        .collect();
    let expected = [
        (3, "invalid_json"),
        (4, "not_a_document"),
        (5, "unknown_collection"),
        (6, "unknown_collection"),
        (7, "invalid_id"),
        (8, "invalid_id"),
        (9, "wrong_type"),
        (10, "deleted"),
    ];
    assert_eq!(errors, expected);
    assert_eq!(device.get("campaigns", "l")["name"], "y");
}

#[test]
fn lines_without_a_collection_take_the_given_one() {
    let scratch = Scratch::new();
    let device = scratch.device("a");
    scratch.file(
        "x.jsonl",
        "{\"id\":\"k\",\"name\":\"x\"}\n{\"id\":\"k\",\"name\":\"y\"}",
    );
    let report = device.ok(&["import", "x.jsonl", "--collection", "campaigns"]);
    assert_eq!(report["imported"], 2);
    assert_eq!(device.get("campaigns", "k")["name"], "y");
    assert_eq!(
        device
            .run(&["export", "--collection", "scenes"])
            .exits(0)
            .stdout,
        ""
    );
}

#[test]
fn a_line_without_end_is_refused_and_not_kept() {
    let scratch = Scratch::new();
    let device = scratch.device("a");
    let long = "y".repeat(9 << 20);
    let lines = [
        r#"{"collection":"campaigns","id":"a","name":"x"}"#,
        &format!(r#"{{"collection":"campaigns","id":"b","name":"{long}"}}"#),
        r#"{"collection":"campaigns","id":"c","name":"x"}"#,
        &long,
    ];
    let report = device
        .run_with(&["import", "-"], lines.join("\n"))
        .exits(1)
        .json();
    assert_eq!(report["imported"], 2);
    let errors: Vec<_> = report["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["line"].as_u64().unwrap(), e["code"].as_str().unwrap()))
        .collect();
    assert_eq!(errors, [(2, "too_large"), (4, "too_large")]);
    device.refuses_with(&["put", "campaigns", "-"], &long, "too_large");
    // What a document may have at most is read in its longest form.
    let most = format!(
        r#"{{"collection":"campaigns","id":"d","name":"x","content":"{}"}}"#,
        "\\u0001".repeat(1_000_000)
    );
    let report = device.run_with(&["import", "-"], most).exits(0).json();
    assert_eq!(report["imported"], 1);
}

#[test]
fn of_many_refused_lines_the_first_are_told_and_the_others_counted() {
    let scratch = Scratch::new();
    let device = scratch.device("a");
    let mut lines = String::new();
    for n in 0..1_700 {
        let _ = match n % 2 {
            0 => writeln!(lines, "oops"),
            // Refused by the write, not by the reading.
            _ => writeln!(lines, r#"{{"collection":"campaigns","id":"w","name":7}}"#),
        };
    }
    lines.push_str(r#"{"collection":"campaigns","id":"k","name":"x"}"#);
    let report = device.run_with(&["import", "-"], &lines).exits(1).json();
    assert_eq!(report["imported"], 1);
    let told = report["errors"].as_array().unwrap();
    let numbers: Vec<_> = told.iter().map(|e| e["line"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=1000).collect::<Vec<u64>>());
    assert_eq!(report["errors_left_out"], 700);
}

#[test]
fn more_lines_than_one_transaction_holds_arrive_in_order() {
    let scratch = Scratch::new();
    let device = scratch.device("a");
    let mut lines = String::new();
    for n in 0..1203 {
        let _ = writeln!(
            lines,
            r#"{{"collection":"campaigns","id":"k{n:04}","name":"n{n}"}}"#
        );
    }
    lines.push_str("oops");
    let report = device.run_with(&["import", "-"], &lines).exits(1).json();
    assert_eq!(report["imported"], 1203);
    assert_eq!(report["errors"][0]["line"], 1204);
    assert_eq!(device.ok(&["status"])["pending"], 1203);
    let exported = device.run(&["export"]).exits(0).stdout;
    assert_eq!(exported.lines().count(), 1203);
}

#[test]
fn a_reader_that_has_read_enough_is_no_failure() {
    let scratch = Scratch::new();
    let device = scratch.device("a");
    let long = "y".repeat(10_000);
    let mut lines = String::new();
    for n in 0..200 {
        let _ = writeln!(
            lines,
            r#"{{"collection":"campaigns","id":"k{n}","name":"x","content":"{long}"}}"#
        );
    }
    device.run_with(&["import", "-"], &lines).exits(0);
    for args in [
        &["export"][..],
        &["ls", "campaigns"],
        &["ls", "campaigns", "--json"],
    ] {
        let mut child = device
            .command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = [0; 16];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let done = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&done.stderr), "", "{args:?}");
        assert_eq!(done.status.code(), Some(0), "{args:?}");
    }
}

#[test]
fn a_backup_is_a_database_of_its_own_and_overwrites_nothing() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    let path = scratch.path().join("copy.db");
    let path = path.to_str().unwrap();
    let backup = device.ok(&["backup", path]);
    assert_eq!(backup["path"], path);
    assert_eq!(backup["bytes"], std::fs::metadata(path).unwrap().len());
    assert_eq!(
        scratch.device("copy").run(&["export"]).stdout,
        device.run(&["export"]).stdout
    );
    device.refuses(&["backup", path], "cannot_open");
    device.refuses(&["backup", "nowhere/copy.db"], "cannot_open");
}

#[test]
fn doctor_finds_nothing_wrong_with_a_sound_database() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    device.ok(&["sync"]);
    device.ok(&["patch", "scenes", "s", "--inc", "props.torches=1"]);
    let before = device.everything();
    for args in [&["doctor"][..], &["doctor", "--repair"]] {
        assert_eq!(device.ok(args), json!({"ok": true, "findings": []}));
    }
    assert_eq!(device.everything(), before);
}

#[test]
fn migrate_says_that_a_new_database_needs_nothing() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    let nothing = json!({
        "from": 2, "to": 2, "backup": null, "documents": 2, "dirty": 2, "outbox": 2,
    });
    assert_eq!(device.ok(&["migrate", "--dry-run"]), nothing);
    assert_eq!(device.ok(&["migrate"]), nothing);
    let nowhere = scratch.device("nowhere");
    crate::support::assert_refused(&nowhere.run(&["migrate", "--dry-run"]), "no_database");
    assert!(!nowhere.db.exists());
}

#[test]
fn a_later_line_of_one_import_takes_no_campaign_from_its_owner() {
    let scratch = Scratch::new();
    let mut device = scratch.device("a");
    device.token = Some(token_of("carol"));
    let lines = concat!(
        r#"{"collection":"campaigns","id":"c","name":"x","ownerUid":"alice","memberUids":["alice"]}"#,
        "\n",
        r#"{"collection":"campaigns","id":"c","summary":"x"}"#,
        "\n",
        r#"{"collection":"campaigns","id":"d","name":"y"}"#,
    );
    device.run_with(&["import", "-"], lines).exits(0);
    let campaign = device.get("campaigns", "c");
    assert_eq!(campaign["ownerUid"], "alice");
    assert_eq!(campaign["memberUids"], json!(["alice"]));
    assert_eq!(campaign["summary"], "x");
    assert_eq!(device.get("campaigns", "d")["ownerUid"], "carol");
}
