//! `sync --watch`: it shows how it is, exchanges by itself, and ends cleanly.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Device, Done, Scratch};

/// The program, which goes on until it is told to end; ended when dropped.
struct Watching {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Watching {
    fn begin(device: &Device, json: bool) -> Self {
        let mut command = device.command(&["sync", "--watch"]);
        if json {
            command.arg("--json");
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads until a state like this is shown.
    fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        for line in self.lines.by_ref() {
            let state: Value = serde_json::from_str(&line.unwrap()).unwrap();
            if wanted(&state) {
                return state;
            }
        }
        panic!("it ended before that");
    }

    /// Sends a signal, and says how it ended and what it said last.
    fn end(mut self, signal: &str) -> (Option<i32>, String) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success());
        let last = self.lines.by_ref().map(Result::unwrap).last();
        let code = self.child.wait().unwrap().code();
        (code, last.unwrap_or_default())
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn in_step(state: &Value) -> bool {
    state["phase"] == "idle" && state["pending"] == 0
}

#[test]
fn edits_of_another_process_go_out_and_news_comes_in_without_a_call() {
    let scratch = Scratch::new();
    let (gm, tablet) = (scratch.device("gm"), scratch.device("tablet"));
    gm.run(&["put", "campaigns", r#"{"name":"C"}"#, "--id", "k"])
        .exits(0);
    let mut watching = Watching::begin(&gm, true);
    watching.until(in_step);
    tablet.run(&["sync"]).exits(0);
    assert_eq!(tablet.get("campaigns", "k")["name"], "C");
    // Written beside the one that syncs.
    gm.run(&["patch", "campaigns", "k", "--set", r#"name="D""#])
        .exits(0);
    watching.until(|state| state["pending"] == 1);
    watching.until(in_step);
    tablet.run(&["sync"]).exits(0);
    assert_eq!(tablet.get("campaigns", "k")["name"], "D");
    let (code, last) = watching.end("-INT");
    let last: Value = serde_json::from_str(&last).unwrap();
    assert_eq!(code, Some(0), "{last}");
    assert_eq!(
        (&last["phase"], &last["pending"]),
        (&json!("stopped"), &json!(0))
    );
}

#[test]
fn without_a_terminal_it_says_each_state_in_a_line_and_ends_with_what_is_kept() {
    let scratch = Scratch::new();
    let mut gm = scratch.device("gm");
    gm.cloud = format!("local:{}", scratch.path().join("away/cloud").display());
    gm.run(&["put", "campaigns", r#"{"name":"C"}"#]).exits(0);
    let mut watching = Watching::begin(&gm, false);
    let offline = "The cloud can't be reached. 1 edit is kept here and will be sent.";
    let seen = watching.lines.by_ref().map(Result::unwrap);
    assert!(seen.into_iter().any(|line| line == offline));
    let (code, last) = watching.end("-TERM");
    assert_eq!(code, Some(3), "{last}");
    assert_eq!(last, "ended: 1 edit waits here for the next time");
}

#[test]
fn another_clouds_database_ends_it_with_an_error() {
    let scratch = Scratch::new();
    let mut gm = scratch.device("gm");
    gm.run(&["put", "campaigns", r#"{"name":"C"}"#]).exits(0);
    gm.run(&["sync"]).exits(0);
    let mut stranger = scratch.device("stranger");
    stranger.cloud = format!("local:{}", scratch.path().join("other").display());
    stranger.run(&["sync"]).exits(0);
    gm.cloud = format!("local:{}", scratch.path().join("other").display());
    let done = Done::from(gm.command(&["sync", "--watch", "--json"]).output().unwrap());
    assert_eq!(done.exit, 1, "{} {}", done.stdout, done.stderr);
    let last = done.stdout.lines().last().unwrap_or_default();
    let last: Value = serde_json::from_str(last).unwrap();
    assert_eq!(last["error"]["code"], "account_mismatch");
}
