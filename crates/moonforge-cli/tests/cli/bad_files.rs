//! Databases and clouds that can't be used: refused, and left as they are.

use std::fs;
use std::path::Path;

use crate::support::{Device, Scratch, assert_refused};

/// The places of `user_version` and `application_id` in an SQLite file's header.
const USER_VERSION: usize = 60;
const APPLICATION_ID: usize = 68;

#[track_caller]
fn refused_and_untouched(device: &Device, path: &Path, code: &str) {
    let before = fs::read(path).unwrap();
    for args in [
        &["status"][..],
        &["put", "campaigns", "{\"name\":\"x\"}"],
        &["sync"],
        &["doctor"],
        &["export"],
    ] {
        assert_refused(&device.run(args), code);
        assert!(
            fs::read(path).unwrap() == before,
            "{args:?} changed the file"
        );
    }
}

#[test]
fn a_missing_folder_is_refused_and_not_made() {
    let scratch = Scratch::new();
    let mut device = scratch.device("a");
    device.db = scratch.path().join("nowhere/a.db");
    assert_refused(
        &device.run(&["put", "campaigns", "{\"name\":\"x\"}"]),
        "cannot_open",
    );
    assert!(!scratch.path().join("nowhere").exists());
}

#[test]
fn a_folder_that_cannot_be_written_is_refused() {
    let scratch = Scratch::new();
    let mut device = scratch.device("a");
    device.db = scratch.file("file", "").join("a.db");
    let put = ["put", "campaigns", "{\"name\":\"x\"}"];
    assert_refused(&device.run(&["status"]), "cannot_open");
    assert_refused(&device.run(&put), "cannot_open");
    // Not even an administrator writes there.
    if cfg!(target_os = "linux") {
        device.db = "/proc/a.db".into();
        assert_refused(&device.run(&put), "cannot_open");
    }
}

#[test]
fn a_mistyped_path_is_told_and_makes_no_database() {
    let scratch = Scratch::new();
    let device = scratch.device("campains");
    let copy = scratch.path().join("copy.db");
    for args in [
        &["get", "campaigns", "k"][..],
        &["ls", "campaigns"],
        &["tree"],
        &["export"],
        &["status"],
        &["outbox", "ls"],
        &["outbox", "retry"],
        &["outbox", "discard", "1"],
        &["conflicts", "ls"],
        &["conflicts", "show", "1"],
        &["conflicts", "resolve", "1", "keep"],
        &["doctor"],
        &["doctor", "--repair"],
        &["backup", copy.to_str().unwrap()],
        &["migrate"],
        &["migrate", "--dry-run"],
        &["patch", "campaigns", "k", "--unset", "x"],
        &["rm", "campaigns", "k"],
        &["restore", "campaigns", "k"],
    ] {
        let done = device.run(args);
        assert_refused(&done, "no_database");
        assert!(done.stdout.contains("campains.db"), "{}", done.stdout);
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "{args:?}");
    }
    for args in [
        &["put", "campaigns", "{\"name\":\"x\"}"][..],
        &["sync"],
        &["import", "/dev/null"],
    ] {
        device.ok(args);
        fs::remove_file(&device.db).unwrap();
    }
}

#[test]
fn what_names_no_file_is_refused_and_makes_none() {
    let scratch = Scratch::new();
    let mut device = scratch.device("a");
    let pipe = scratch.path().join("pipe");
    if cfg!(unix) {
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
    }
    let before = fs::read_dir(scratch.path()).unwrap().count();
    let mut names = vec![":memory:", "file:a.db?mode=memory", "file::memory:"];
    names.extend(pipe.to_str().filter(|_| cfg!(unix)));
    for name in names {
        device.db = name.into();
        for args in [
            &["put", "campaigns", "{\"name\":\"x\"}"][..],
            &["status"],
            &["sync"],
            &["migrate", "--dry-run"],
        ] {
            let done = device.run(args);
            assert_refused(&done, "cannot_open");
            assert!(done.stdout.contains(name), "{}", done.stdout);
        }
    }
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), before);
    // A file of such a name can be had.
    device.db = "./:memory:".into();
    device.put("campaigns", "k", serde_json::json!({"name": "x"}));
    assert!(scratch.path().join(":memory:").exists());
}

#[test]
fn a_folder_is_no_database() {
    let scratch = Scratch::new();
    let mut device = scratch.device("a");
    device.db = scratch.path().to_owned();
    assert_refused(&device.run(&["status"]), "cannot_open");
}

#[test]
fn a_file_that_is_no_database_is_refused_and_untouched() {
    let scratch = Scratch::new();
    let device = scratch.device("a");
    let text = "Dear diary, today the ogre won. ".repeat(200);
    refused_and_untouched(&device, &scratch.file("a.db", text), "not_a_database");
}

#[test]
fn another_applications_database_is_refused_and_untouched() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    let mut bytes = fs::read(&device.db).unwrap();
    bytes[APPLICATION_ID..APPLICATION_ID + 4].copy_from_slice(b"Else");
    fs::write(&device.db, bytes).unwrap();
    refused_and_untouched(&device, &device.db, "not_a_database");
}

#[test]
fn a_database_of_a_newer_version_is_refused_and_untouched() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    let mut bytes = fs::read(&device.db).unwrap();
    bytes[USER_VERSION..USER_VERSION + 4].copy_from_slice(&3_u32.to_be_bytes());
    fs::write(&device.db, bytes).unwrap();
    refused_and_untouched(&device, &device.db, "newer_version");
}

#[test]
fn a_damaged_database_is_an_error_and_no_panic() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    let mut bytes = fs::read(&device.db).unwrap();
    for byte in bytes.iter_mut().skip(4096) {
        *byte = 0xa5;
    }
    fs::write(&device.db, bytes).unwrap();
    for args in [&["status"][..], &["ls", "scenes"], &["sync"]] {
        let done = device.run(args);
        assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
        assert_refused(&done, "corrupt");
    }
    // Its doctor sees what it is called for.
    for args in [&["doctor"][..], &["doctor", "--repair"]] {
        let found = device.ok(args);
        assert_eq!(found["ok"], false);
        assert_eq!(found["findings"][0]["code"], "integrity");
        assert_eq!(found["findings"][0]["repaired"], false);
    }
}

#[test]
fn a_cloud_that_is_none_is_refused_and_the_edits_stay() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    fs::create_dir(scratch.path().join("cloud")).unwrap();
    let file = scratch.file("cloud/cloud.db", "Dear diary, ".repeat(500));
    let before = (fs::read(&file).unwrap(), device.everything());
    assert_refused(&device.run(&["sync"]), "not_a_cloud");
    assert_eq!((fs::read(&file).unwrap(), device.everything()), before);
}
