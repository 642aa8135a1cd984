//! There is one door for what comes from the remote, and one place that settles: a second path that writes a base is a defect.

use std::path::Path;

fn sources(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(folder)
        .join("src");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the crate has sources") {
        let path = entry.expect("a readable entry").path();
        if path.extension().is_some_and(|e| e == "rs") {
            let name = path
                .file_name()
                .expect("a file")
                .to_string_lossy()
                .into_owned();
            if !name.ends_with("_tests.rs") {
                found.push((name, std::fs::read_to_string(&path).expect("readable")));
            }
        }
    }
    found
}

/// The files of a crate in which a text stands.
fn files_with(folder: &str, text: &str) -> Vec<String> {
    let mut files: Vec<String> = sources(folder)
        .into_iter()
        .filter(|(_, s)| s.contains(text))
        .map(|(name, _)| name)
        .collect();
    files.sort();
    files
}

#[test]
fn only_the_door_writes_a_base() {
    assert_eq!(files_with("moonforge-sync", ".base = "), ["apply.rs"]);
    // A repair may forget a base that makes no sense, so that it is read again; it never makes one.
    assert_eq!(files_with("moonforge-store", ".base = "), ["repair.rs"]);
    assert_eq!(
        files_with("moonforge-store", ".base = Base::Unknown {"),
        ["repair.rs"]
    );
}

#[test]
fn only_the_door_settles() {
    let calls: Vec<_> = files_with("moonforge-sync", "settle(")
        .into_iter()
        .filter(|file| file != "settle.rs")
        .collect();
    assert_eq!(calls, ["apply.rs"]);
}

#[test]
fn only_one_place_writes_document_metadata_and_rows() {
    assert_eq!(
        files_with("moonforge-store", "INSERT INTO local_metas"),
        ["state.rs"]
    );
    assert_eq!(
        files_with("moonforge-store", "INSERT INTO outbox_ops"),
        ["rows.rs"]
    );
    assert_eq!(
        files_with("moonforge-store", ".upsert.clone()"),
        ["state.rs"]
    );
}
