//! What can't be done is said so, and changes nothing.

use serde_json::{Value, json};

use crate::support::{Scratch, assert_refused};

#[test]
fn malformed_json_is_refused_wherever_it_comes_from() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    device.unchanged_by(|| {
        for text in [
            "{",
            "{\"name\":}",
            "{'name':'x'}",
            "{\"name\":\"x\"} x",
            "",
            "NaN",
            "{\"a\":01}",
        ] {
            device.refused(&["put", "campaigns", text], "invalid_json");
            let done = device.run_with(&["put", "campaigns", "-"], text);
            assert_refused(&done, "invalid_json");
        }
    });
    scratch.file("cut.json", "{\"name\": \"x");
    device.refuses(&["put", "campaigns", "@cut.json"], "invalid_json");
    device.refuses(
        &["patch", "scenes", "s", "--set", "title=Ash"],
        "invalid_json",
    );
    device.refuses(&["ls", "scenes", "--where", "title=Ash"], "invalid_json");
    let done = device.run(&["put", "campaigns", "{\n  \"name\": x}"]);
    let message = done.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("line 2 column 11"), "{message}");
}

#[test]
fn a_key_that_stands_twice_is_refused_and_named() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    for document in [
        r#"{"name":"a","summary":"x","name":"b"}"#,
        r#"{"name":"a","props":{"name":1,"\u006eame":2}}"#,
        r#"{"name":"a","list":[{"name":1,"name":1}]}"#,
    ] {
        device.refuses(&["put", "campaigns", document], "invalid_json");
        let error = device.run(&["put", "campaigns", document]).json();
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains("`name`"), "{message}");
    }
    let edit = r#"props={"a":1,"a":2}"#;
    device.refuses(&["patch", "scenes", "s", "--set", edit], "invalid_json");
    let line = r#"{"collection":"campaigns","id":"x","name":"a","name":"b"}"#;
    device.unchanged_by(|| {
        let report = device.run_with(&["import", "-"], line).exits(1).json();
        assert_eq!(report["errors"][0]["code"], "invalid_json");
    });
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    device.refuses_with(
        &["put", "campaigns", "-"],
        b"{\"name\":\"\xff\"}",
        "invalid_json",
    );
}

#[test]
fn nul_bytes_are_refused_in_json_and_in_ids_and_kept_in_texts() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    device.refuses_with(
        &["put", "campaigns", "-"],
        b"{\"name\":\"a\0b\"}",
        "invalid_json",
    );
    device.refuses_with(
        &["put", "campaigns", "-"],
        r#"{"id":"a\u0000b","name":"x"}"#,
        "invalid_id",
    );
    device.put(
        "scenes",
        "nul",
        json!({"campaignId": "k", "title": "a\0b", "x\0y": 1}),
    );
    let scene = device.get("scenes", "nul");
    assert_eq!(
        (&scene["title"], &scene["x\0y"]),
        (&json!("a\0b"), &json!(1))
    );
}

#[test]
fn an_unknown_collection_is_refused_by_every_command() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    device.unchanged_by(|| {
        for collection in [
            "dragons",
            "",
            "Scenes",
            "a/b",
            "beacons",
            "scenes; DROP TABLE scenes",
        ] {
            for args in [
                &["put", collection, "{}"][..],
                &["patch", collection, "s", "--unset", "x"],
                &["get", collection, "s"],
                &["ls", collection],
                &["rm", collection, "s"],
                &["restore", collection, "s"],
                &["import", "-", "--collection", collection],
                &["export", "--collection", collection],
            ] {
                device.refused(args, "unknown_collection");
            }
        }
    });
}

#[test]
fn what_is_no_object_is_no_document() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    device.unchanged_by(|| {
        for json in ["[1]", "[{\"name\":\"x\"}]", "7", "\"x\"", "null", "true"] {
            device.refused(&["put", "campaigns", json, "--id", "x"], "not_a_document");
        }
    });
}

#[test]
fn wrong_types_are_refused_and_missing_fields_named() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    device.unchanged_by(|| {
        for (collection, document) in [
            ("campaigns", json!({"name": 7})),
            ("campaigns", json!({"name": "x", "memberUids": "anna"})),
            ("campaigns", json!({"name": "x", "memberUids": ["a", 1]})),
            ("campaigns", json!({"name": "x", "roles": []})),
            ("scenes", json!({"campaignId": ["k"], "title": "x"})),
            (
                "sessions",
                json!({"campaignId": "k", "title": "x", "number": "one"}),
            ),
            (
                "encounters",
                json!({"campaignId": "k", "name": "x", "combatants": {"k1": 5}}),
            ),
        ] {
            device.refused(&["put", collection, &document.to_string()], "wrong_type");
        }
    });
    let document = json!({"name": "x", "createdAt": "yesterday"}).to_string();
    device.refuses(&["put", "campaigns", &document], "invalid_value");
    let document = json!({"campaignId": "k", "title": "x", "visibility": "all"}).to_string();
    device.refuses(&["put", "scenes", &document], "invalid_value");
    for (collection, document) in [
        ("campaigns", json!({})),
        ("scenes", json!({"title": "x"})),
        ("entities", json!({"campaignId": "k", "name": "x"})),
    ] {
        device.refuses(&["put", collection, &document.to_string()], "missing_field");
    }
    device.refuses(&["patch", "scenes", "s", "--set", "title=7"], "wrong_type");
    device.refuses(
        &["patch", "scenes", "s", "--unset", "title"],
        "missing_field",
    );
}

#[test]
fn ids_that_firestore_does_not_take_are_refused() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    let long = "x".repeat(1501);
    device.unchanged_by(|| {
        for id in ["a/b", "__x__", ".", "..", "", &long, "tab\tbed"] {
            device.refused(
                &["put", "campaigns", "{\"name\":\"x\"}", "--id", id],
                "invalid_id",
            );
            device.refused(&["get", "campaigns", id], "invalid_id");
            device.refused(&["patch", "campaigns", id, "--unset", "x"], "invalid_id");
            device.refused(&["rm", "campaigns", id], "invalid_id");
        }
    });
    device.put(
        "campaigns",
        &"é".repeat(750),
        json!({"name": "1,500 bytes are fine"}),
    );
}

#[test]
fn a_document_over_a_mebibyte_is_refused() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    let document = json!({"name": "x", "content": "y".repeat(1_100_000)}).to_string();
    device.refuses_with(&["put", "campaigns", "-"], document, "too_large");
    // It mustn't get there step by step either.
    let half = json!({"content": "y".repeat(700_000)}).to_string();
    device
        .run_with(&["put", "scenes", "-", "--id", "s"], half)
        .exits(0);
    let other = json!({"other": "y".repeat(700_000)}).to_string();
    device.refuses_with(&["put", "scenes", "-", "--id", "s"], other, "too_large");
}

#[test]
fn nesting_beyond_what_firestore_takes_is_refused() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    let nested = |depth: usize| (1..depth).fold(json!(1), |value, _| json!({ "a": value }));
    let document = |depth| json!({"name": "x", "props": nested(depth)}).to_string();
    device.ok(&["put", "campaigns", &document(20)]);
    device.refuses(&["put", "campaigns", &document(21)], "too_deep");
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let text = format!(
            "{{\"name\":\"x\",\"p\":{}1{}}}",
            open.repeat(20_000),
            close.repeat(20_000)
        );
        device.refuses_with(&["put", "campaigns", "-"], text, "too_deep");
    }
    let set = format!("props={}", nested(21));
    device.refuses(&["patch", "scenes", "s", "--set", &set], "too_deep");
    let path = format!("props{}=1", ".a".repeat(25));
    device.refuses(&["patch", "scenes", "s", "--set", &path], "invalid_path");
}

#[test]
fn paths_that_touch_the_same_place_are_refused() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    device.unchanged_by(|| {
        for edits in [
            &["--set", "title=\"a\"", "--set", "title=\"b\""][..],
            &["--inc", "props.torches=1", "--inc", "props.torches=1"],
            &["--set", "props={}", "--inc", "props.torches=1"],
            &["--inc", "props.torches=1", "--unset", "props"],
            &["--set", "props.`torches`=1", "--unset", "props.torches"],
            &["--add", "entityIds=\"a\"", "--remove", "entityIds=\"b\""],
        ] {
            device.refused(
                &[&["patch", "scenes", "s"], edits].concat(),
                "overlapping_paths",
            );
        }
    });
}

#[test]
fn paths_that_make_no_sense_are_refused() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    device.unchanged_by(|| {
        for path in ["", ".", "a..b", "a.", "`a", "a`b", "__x__", "``"] {
            device.refused(&["patch", "scenes", "s", "--unset", path], "invalid_path");
        }
    });
    device.refuses(&["ls", "scenes", "--where", "a..b=1"], "invalid_path");
    device.refuses(&["ls", "scenes", "--order", "a..b"], "invalid_path");
}

#[test]
fn a_patch_of_what_is_not_there_is_refused() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    device.refuses(
        &["patch", "scenes", "nowhere", "--set", "title=\"x\""],
        "not_found",
    );
    device.refuses(&["get", "scenes", "nowhere"], "not_found");
    device.refuses(&["rm", "scenes", "nowhere"], "not_found");
    device.refuses(&["restore", "scenes", "nowhere"], "not_found");
    device.refuses(&["outbox", "retry", "99"], "not_found");
    device.refuses(&["outbox", "discard", "99"], "not_found");
    device.refuses(&["conflicts", "show", "99"], "not_found");
    device.refuses(&["conflicts", "resolve", "99", "keep"], "not_found");
}

#[test]
fn edits_that_do_not_fit_their_field_are_refused() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    device.unchanged_by(|| {
        for (edit, code) in [
            (["--inc", "title=1"], "not_a_number"),
            (["--inc", "props.torches=\"1\""], "not_a_number"),
            (
                ["--inc", "props.torches=9223372036854775807"],
                "number_out_of_range",
            ),
            (["--add", "title=1"], "not_a_list"),
            (["--remove", "props=1"], "not_a_list"),
            (["--set", "rev=7"], "reserved_field"),
            (["--unset", "writers"], "reserved_field"),
            (["--set", "id=\"x\""], "reserved_field"),
            (["--set", "campaignId=\"other\""], "reserved_field"),
            (["--set", "title"], "usage"),
        ] {
            device.refused(&[&["patch", "scenes", "s"], &edit[..]].concat(), code);
        }
    });
}

#[test]
fn a_number_that_would_be_rounded_is_refused() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    for number in [
        "9223372036854775808",
        "-9223372036854775809",
        "100000000000000000000",
    ] {
        let document = format!("{{\"name\":\"x\",\"n\":{number}}}");
        device.refuses(&["put", "campaigns", &document], "number_out_of_range");
    }
    for number in [
        "9223372036854775807",
        "-9223372036854775808",
        "0.1",
        "1e300",
        "1.0",
    ] {
        device.ok(&[
            "put",
            "campaigns",
            &format!("{{\"name\":\"x\",\"n\":{number}}}"),
            "--id",
            "n",
        ]);
        let shown = device.run(&["get", "campaigns", "n"]).stdout;
        let kept: Value = serde_json::from_str(number).unwrap();
        assert!(shown.contains(&format!("\"n\":{kept}")), "{shown}");
    }
}

#[test]
fn a_cursor_of_another_list_is_refused() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    device.put("scenes", "t", json!({"campaignId": "k", "title": "x"}));
    let page = device.ok(&["ls", "scenes", "--limit", "1"]);
    let next = page["next"].as_str().unwrap();
    device.refuses(
        &["ls", "scenes", "--order", "title", "--after", next],
        "invalid_cursor",
    );
    device.refuses(&["ls", "campaigns", "--after", next], "invalid_cursor");
    device.refuses(&["ls", "scenes", "--after", "nonsense"], "invalid_cursor");
}
