//! What people see: help, tables, plain lines where there is no terminal, the demo.

use serde_json::{Value, json};

use crate::support::Scratch;

const COMMANDS: [&[&str]; 22] = [
    &[],
    &["demo"],
    &["put"],
    &["patch"],
    &["get"],
    &["ls"],
    &["tree"],
    &["rm"],
    &["restore"],
    &["import"],
    &["export"],
    &["sync"],
    &["status"],
    &["outbox"],
    &["outbox", "ls"],
    &["outbox", "retry"],
    &["outbox", "discard"],
    &["conflicts"],
    &["conflicts", "resolve"],
    &["doctor"],
    &["backup"],
    &["migrate"],
];

#[test]
fn every_command_explains_itself_and_touches_nothing() {
    let scratch = Scratch::new();
    let device = scratch.device("a");
    for command in COMMANDS {
        let help = device.plain(&[command, &["--help"]].concat()).exits(0);
        assert!(
            help.stdout.contains("Usage:"),
            "{command:?}: {}",
            help.stdout
        );
        assert_eq!(help.stderr, "");
    }
    let help = device.plain(&["--help"]).stdout;
    for word in [
        "Examples:",
        "Exit codes",
        "moonforge demo",
        "MOONFORGE_TOKEN",
    ] {
        assert!(help.contains(word), "{word}");
    }
    assert!(!device.db.exists());
}

#[test]
fn lists_are_tables_and_there_are_no_colours_on_a_pipe() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    let mut shown = String::new();
    for args in [
        &["ls", "scenes"][..],
        &["outbox", "ls"],
        &["conflicts", "ls"],
        &["status"],
        &["tree"],
        &["sync"],
        &["doctor"],
        &["get", "scenes", "s"],
    ] {
        let done = device.plain(args).exits(0);
        assert!(!done.stdout.contains('\u{1b}'), "{args:?}: {}", done.stdout);
        let goes_on = match args {
            ["sync"] => "sync: started\nsync: ended\n",
            _ => "",
        };
        assert_eq!(done.stderr, goes_on, "{args:?}");
        shown.push_str(&done.stdout);
    }
    for word in [
        "Ash",
        "no conflicts",
        "in step",
        "The Ember Keep",
        "nothing wrong",
        "2 sent",
    ] {
        assert!(shown.contains(word), "{word} is missing in\n{shown}");
    }
}

#[test]
fn without_a_terminal_plain_lines_say_that_it_goes_on_and_scripts_get_none() {
    let scratch = Scratch::new();
    let device = scratch.device("a");
    let lines = "{\"collection\":\"campaigns\",\"id\":\"k\",\"name\":\"x\"}\noops\n";
    scratch.file("x.jsonl", lines);
    let done = device.plain(&["import", "x.jsonl"]).exits(1);
    assert_eq!(done.stderr, "import: started\nimport: ended, 2 lines\n");
    for (args, exit) in [(&["import", "x.jsonl"][..], 1), (&["sync"], 0)] {
        assert_eq!(device.run(args).exits(exit).stderr, "", "{args:?}");
    }
}

#[test]
fn other_peoples_texts_do_not_steer_the_terminal() {
    let scratch = Scratch::new();
    let device = scratch.device("a");
    let name = "evil \u{1b}[31m\u{1b}]0;title\u{7} \u{9b}2J";
    device.put("campaigns", "k", json!({ "name": name }));
    for args in [
        &["ls", "campaigns"][..],
        &["tree"],
        &["get", "campaigns", "k"],
    ] {
        let shown = device.plain(args).exits(0).stdout;
        let steers = |c: char| c.is_control() && c != '\n';
        assert!(!shown.contains(steers), "{args:?}: {shown:?}");
    }
    assert_eq!(device.get("campaigns", "k")["name"], name);
    let collection = device.plain(&["ls", name]).exits(1).stderr;
    assert!(
        !collection.contains(['\u{1b}', '\u{7}', '\u{9b}']),
        "{collection:?}"
    );
}

#[test]
fn logs_go_to_stderr() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    let mut command = device.command(&["sync", "--json"]);
    let done = command.env("RUST_LOG", "info").output().unwrap();
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(report["pushed"], 2);
    let logged = String::from_utf8_lossy(&done.stderr);
    assert!(logged.contains("moonforge.sync"));
    assert!(!logged.contains('\u{1b}'), "{logged}");
}

#[test]
fn the_demo_converges_and_leaves_nothing_behind() {
    let scratch = Scratch::new();
    let device = scratch.device("a");
    let temp = scratch.path().join("tmp");
    std::fs::create_dir(&temp).unwrap();
    let mut command = device.command(&["demo", "--json"]);
    let done = command.env("TMPDIR", &temp).output().unwrap();
    assert_eq!(
        done.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let demo: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(demo["converged"], true);
    assert_eq!(
        (&demo["documents"], &demo["pending"]),
        (&json!(6), &json!(0))
    );
    assert_eq!(demo["answers_lost"], 1);
    assert_eq!(demo["writes_of_another_sync"], 0);
    let edits = demo["edits"].as_array().unwrap();
    let journaled = |n: usize| edits[n]["journaled"].as_array().unwrap().len();
    // The hit points of both count; of two titles one is journaled; lines merge; a delete against an edit is journaled.
    assert_eq!(edits[0]["now"], 38);
    assert_eq!([0, 1, 2, 3].map(journaled), [0, 1, 0, 1]);
    assert_eq!(edits[1]["journaled"][0]["lost"], "The bridge of ash");
    let offline = demo["steps"].as_array().unwrap().iter();
    assert_eq!(
        offline.filter(|s| s["report"]["offline"] == true).count(),
        1
    );
    assert_eq!(std::fs::read_dir(&temp).unwrap().count(), 0);
    assert!(!device.db.exists());
    let told = device.plain(&["demo"]).exits(0).stdout;
    assert!(
        told.contains("Converged") && told.contains("└─ The old mill"),
        "{told}"
    );
}

#[cfg(unix)]
#[test]
fn a_demo_that_is_stopped_leaves_nothing_behind() {
    let scratch = Scratch::new();
    let temp = scratch.path().join("tmp");
    std::fs::create_dir(&temp).unwrap();
    let mut command = scratch.device("a").command(&["demo", "--json"]);
    let mut demo = command
        .env("TMPDIR", &temp)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while std::fs::read_dir(&temp).unwrap().count() == 0 {
        assert!(demo.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::yield_now();
    }
    let pid = demo.id().to_string();
    let told = std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status();
    assert!(told.unwrap().success());
    let done: crate::support::Done = demo.wait_with_output().unwrap().into();
    assert_eq!(done.exit, 130);
    assert_eq!(done.json()["error"]["code"], "interrupted");
    assert_eq!(std::fs::read_dir(&temp).unwrap().count(), 0);
}
