//! Calls, variables and files that make no sense.

use crate::support::{Scratch, assert_refused};

#[test]
fn calls_that_make_no_sense_exit_with_2() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    device.unchanged_by(|| {
        for args in [
            &[][..],
            &["fly"],
            &["put", "scenes"],
            &["put", "scenes", "{}", "--fly"],
            &["patch", "scenes", "s"],
            &["ls", "scenes", "--limit", "0"],
            &["ls", "scenes", "--limit", "many"],
            &["ls", "scenes", "--where", "title"],
            &["outbox", "discard"],
            &["conflicts", "resolve", "1", "throw"],
            &["sync", "--scope", "campaign"],
            &["sync", "--scope", "campaign:id"],
            &["sync", "--scope", ":id=k"],
            &["sync", "--scope", "campaign:id="],
            &["sync", "--scope", "campaign:id=k", "--watch"],
            &["scopes"],
            &["scopes", "join"],
            &["scopes", "join", "campaign"],
            &["scopes", "leave", "x:=y"],
            &["status", "--cloud", "ftp://x"],
            &["status", "--cloud", "local:"],
            &["status", "--cloud", "firestore://"],
            &["status", "--cloud", "firestore://p/d/e"],
            &["status", "--cloud", "firestore://p?colour=red"],
            &["status", "--cloud", "firestore://p/.."],
            &["status", "--cloud", "firestore://../d"],
            &["status", "--cloud", "firestore://p/"],
            &["status", "--cloud", "firestore://p q"],
            &["status", "--cloud", "firestore://p/d%2fe"],
        ] {
            device.refused(args, "usage");
        }
    });
}

#[cfg(unix)]
#[test]
fn a_token_that_cannot_be_sent_is_refused_and_space_around_it_is_none_of_it() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    let put = [
        "put",
        "campaigns",
        "{\"name\":\"x\"}",
        "--id",
        "c",
        "--json",
    ];
    for variable in ["MOONFORGE_TOKEN", "FIRESTORE_EMULATOR_HOST"] {
        for value in [&b"\xff"[..], b"a\xffb", b"a b", b"a\nb", "é".as_bytes()] {
            let mut command = device.command(&put);
            command.env(variable, OsStr::from_bytes(value));
            assert_refused(&command.output().unwrap().into(), "usage");
        }
    }
    let token = crate::support::token_of("anna");
    let mut command = device.command(&put);
    command.env("MOONFORGE_TOKEN", format!(" {token}\n"));
    assert!(command.output().unwrap().status.success());
    assert_eq!(device.get("campaigns", "c")["ownerUid"], "anna");
}

#[test]
fn without_json_the_sentence_goes_to_stderr() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    let done = device.plain(&["get", "scenes", "nowhere"]).exits(1);
    assert_eq!(done.stdout, "");
    assert!(
        done.stderr.contains("there is no document scenes/nowhere"),
        "{}",
        done.stderr
    );
    let done = device.plain(&["put", "scenes"]).exits(2);
    assert!(done.stderr.contains("Usage:"), "{}", done.stderr);
}

#[test]
fn a_file_that_cannot_be_read_is_refused() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    device.refuses(&["put", "scenes", "@nowhere.json"], "io");
    device.refuses(&["import", "nowhere.jsonl"], "io");
    let folder = scratch.path().to_str().unwrap();
    device.refuses(&["import", folder], "io");
    assert_refused(&device.run(&["put", "scenes", &format!("@{folder}")]), "io");
}
