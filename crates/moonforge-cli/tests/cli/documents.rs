//! `put`, `patch`, `get`, `ls`, `rm`, `restore`, `tree`: the forms of the contract.

use serde_json::{Value, json};

use crate::support::{Scratch, token_of};

#[test]
fn put_answers_with_the_id_and_get_gives_the_document() {
    let scratch = Scratch::new();
    let device = scratch.device("a");
    let put = device.ok(&[
        "put",
        "campaigns",
        r#"{"name":"The Ember Keep","odd":{"a":[[1],[2]]}}"#,
    ]);
    let id = put["id"].as_str().unwrap();
    assert_eq!(
        put,
        json!({"collection": "campaigns", "id": id, "rev": 0, "dirty": true})
    );
    let document = device.get("campaigns", id);
    assert_eq!(document["name"], "The Ember Keep");
    assert_eq!(document["odd"], json!({"a": [[1], [2]]}));
    assert_eq!(document["id"], id);
    assert!(document["createdAt"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn an_id_comes_from_the_option_then_from_the_document() {
    let scratch = Scratch::new();
    let device = scratch.device("a");
    let document = r#"{"id":"own","name":"x"}"#;
    assert_eq!(device.ok(&["put", "campaigns", document])["id"], "own");
    assert_eq!(
        device.ok(&["put", "campaigns", document, "--id", "other"])["id"],
        "other"
    );
    device.refuses(
        &["put", "campaigns", r#"{"id":7,"name":"x"}"#],
        "invalid_id",
    );
}

#[test]
fn a_document_comes_from_a_file_or_from_stdin() {
    let scratch = Scratch::new();
    let device = scratch.device("a");
    // As editors on Windows save it.
    scratch.file("campaign.json", "\u{feff}{\"name\":\"x\"}\r\n");
    device.ok(&["put", "campaigns", "@campaign.json", "--id", "f"]);
    let done = device.run_with(&["put", "campaigns", "-", "--id", "i"], r#"{"name":"y"}"#);
    done.exits(0);
    assert_eq!(device.get("campaigns", "f")["name"], "x");
    assert_eq!(device.get("campaigns", "i")["name"], "y");
}

#[test]
fn put_changes_only_what_is_given_and_merges_maps() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    device.put("scenes", "s", json!({"props": {"a": {"b": 1}}}));
    device.put(
        "scenes",
        "s",
        json!({"props": {"a": {"c": 2}}, "rev": 99, "updatedAt": "nonsense"}),
    );
    let scene = device.get("scenes", "s");
    assert_eq!(scene["title"], "Ash");
    assert_eq!(scene["props"], json!({"torches": 5, "a": {"b": 1, "c": 2}}));
    assert_eq!(scene["rev"], 0);
}

#[test]
fn what_get_shows_can_be_put_again_and_changes_nothing() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    device.ok(&["sync"]);
    let other = scratch.device("b");
    other.ok(&["sync"]);
    other.ok(&["rm", "campaigns", "k"]);
    other.ok(&["sync"]);
    // Made while the campaign's delete was unknown here, and so alive below a tombstone.
    device.put("scenes", "t", json!({"campaignId": "k", "title": "late"}));
    device.ok(&["sync"]);
    let shown = device.get("scenes", "t");
    assert_eq!(shown["parentDeleted"], true);
    let put = ["put", "scenes", "-", "--id", "t"];
    device.unchanged_by(|| {
        device.run_with(&put, shown.to_string()).exits(0);
    });
    assert_eq!(device.get("scenes", "t"), shown);
    let edit = ["patch", "scenes", "t", "--set", "parentDeleted=false"];
    device.refuses(&edit, "reserved_field");
    // Of another document nothing of it is kept either, nor exported.
    let copy = json!({"campaignId": "l", "title": "x", "parentDeleted": true});
    device.put("scenes", "u", copy);
    assert_eq!(device.get("scenes", "u").get("parentDeleted"), None);
    let exported = device.run(&["export"]).exits(0).stdout;
    assert!(!exported.contains("parentDeleted"), "{exported}");
}

#[test]
fn put_of_what_is_there_already_queues_nothing() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    let before = device.everything();
    device.put("scenes", "s", json!({"title": "Ash"}));
    assert_eq!(device.everything(), before);
}

#[test]
fn each_kind_of_edit_does_what_it_says_and_one_call_is_one_row() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    device.put(
        "scenes",
        "s",
        json!({"summary": "x", "entityIds": ["a", "b"]}),
    );
    let rows = || {
        device.ok(&["outbox", "ls"])["items"]
            .as_array()
            .unwrap()
            .len()
    };
    let before = rows();
    let patched = device.ok(&[
        "patch",
        "scenes",
        "s",
        "--set",
        r#"title="Ash = grey""#,
        "--unset",
        "summary",
        "--inc",
        "props.torches=-7",
        "--add",
        r#"entityIds="c""#,
        "--add",
        r#"entityIds="a""#,
        "--set",
        "props.`a.b=c`={\"x\":1.5}",
    ]);
    assert_eq!(
        patched,
        json!({"collection": "scenes", "id": "s", "rev": 0, "dirty": true})
    );
    assert_eq!(rows(), before + 1);
    device.ok(&["patch", "scenes", "s", "--remove", r#"entityIds="b""#]);
    let scene = device.get("scenes", "s");
    assert_eq!(scene["title"], "Ash = grey");
    assert_eq!(scene.get("summary"), None);
    assert_eq!(scene["props"], json!({"torches": -2, "a.b=c": {"x": 1.5}}));
    assert_eq!(scene["entityIds"], json!(["a", "c"]));
}

#[test]
fn values_for_one_list_are_one_edit_wherever_they_stand() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    let edits = [
        ["--add", "entityIds=\"a\""],
        ["--set", "summary=\"x\""],
        ["--add", "`entityIds`=\"b\""],
        ["--remove", "tags=1"],
        ["--add", "entityIds=\"c\""],
        ["--remove", "tags=2"],
    ];
    device.put("scenes", "s", json!({"tags": [1, 2, 3]}));
    device.ok(&[&["patch", "scenes", "s"], edits.as_flattened()].concat());
    let scene = device.get("scenes", "s");
    assert_eq!(scene["entityIds"], json!(["a", "b", "c"]));
    assert_eq!(
        (&scene["tags"], &scene["summary"]),
        (&json!([3]), &json!("x"))
    );
}

#[test]
fn set_replaces_a_map_whole() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    device.ok(&["patch", "scenes", "s", "--set", r#"props={"gold":1}"#]);
    assert_eq!(device.get("scenes", "s")["props"], json!({"gold": 1}));
}

#[test]
fn ls_filters_orders_and_pages() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    for n in 0..5 {
        let scene = json!({"campaignId": "other", "title": format!("t{}", 4 - n), "n": n});
        device.put("scenes", &format!("s{n}"), scene);
    }
    let ids = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap().iter();
        items
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = device.ok(&["ls", "scenes"]);
    assert_eq!(ids(&all), ["s", "s0", "s1", "s2", "s3", "s4"]);
    assert_eq!(all["next"], Value::Null);
    let query = [
        "ls",
        "scenes",
        "--where",
        r#"campaignId="other""#,
        "--order",
        "title",
    ];
    assert_eq!(ids(&device.ok(&query)), ["s4", "s3", "s2", "s1", "s0"]);
    assert_eq!(
        ids(&device.ok(&["ls", "scenes", "--where", "n>=3", "--order=-n"])),
        ["s4", "s3"]
    );
    assert_eq!(ids(&device.ok(&["ls", "scenes", "--where", "n<1"])), ["s0"]);

    let mut seen = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let mut args = [&query[..], &["--limit", "2"]].concat();
        args.extend(after.as_deref().map(|_| "--after"));
        args.extend(after.as_deref());
        let page = device.ok(&args);
        seen.extend(ids(&page));
        match page["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(seen, ["s4", "s3", "s2", "s1", "s0"]);
}

#[test]
fn a_delete_takes_what_hangs_below_and_a_restore_brings_it_back() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    device.put(
        "scenes",
        "t",
        json!({"campaignId": "k", "title": "gone before"}),
    );
    device.ok(&["rm", "scenes", "t"]);
    let removed = device.ok(&["rm", "campaigns", "k"]);
    assert_eq!(
        removed,
        json!({"collection": "campaigns", "id": "k", "affected": 2})
    );
    assert_eq!(device.ok(&["ls", "scenes"])["items"], json!([]));
    let tombstones = device.ok(&["ls", "scenes", "--deleted"]);
    assert_eq!(tombstones["items"].as_array().unwrap().len(), 2);
    assert!(device.get("scenes", "s")["deletedAt"].is_string());
    device.refuses(
        &["put", "scenes", r#"{"title":"x"}"#, "--id", "s"],
        "deleted",
    );
    device.refuses(&["patch", "scenes", "s", "--set", "title=\"x\""], "deleted");
    device.refuses(&["rm", "scenes", "s"], "deleted");

    let restored = device.ok(&["restore", "campaigns", "k"]);
    assert_eq!(
        restored,
        json!({"collection": "campaigns", "id": "k", "affected": 2})
    );
    assert_eq!(device.get("scenes", "s").get("deletedAt"), None);
    assert!(device.get("scenes", "t")["deletedAt"].is_string());
}

#[test]
fn a_campaign_without_an_owner_belongs_to_the_tokens_user() {
    let scratch = Scratch::new();
    let mut device = scratch.device("a");
    device.token = Some(token_of("anna"));
    device.put(
        "campaigns",
        "k",
        json!({"name": "x", "memberUids": ["ben"]}),
    );
    let campaign = device.get("campaigns", "k");
    assert_eq!(campaign["ownerUid"], "anna");
    assert_eq!(campaign["memberUids"], json!(["ben", "anna"]));
    device.put(
        "campaigns",
        "l",
        json!({"name": "x", "ownerUid": "carl", "memberUids": ["carl"]}),
    );
    assert_eq!(device.get("campaigns", "l")["memberUids"], json!(["carl"]));
    // What exists is nobody else's by a later edit.
    device.token = Some(token_of("ben"));
    device.put("campaigns", "k", json!({"name": "y"}));
    assert_eq!(device.get("campaigns", "k")["ownerUid"], "anna");
    // A token that names nobody makes nobody the owner.
    device.token = Some("owner".to_owned());
    device.put("campaigns", "m", json!({"name": "x"}));
    assert_eq!(device.get("campaigns", "m").get("ownerUid"), None);
}

#[test]
fn tree_shows_what_hangs_where() {
    let scratch = Scratch::new();
    let device = scratch.device("a").with_a_scene();
    device.put("adventures", "a", json!({"campaignId": "k", "name": "A"}));
    device.put(
        "chapters",
        "c",
        json!({"campaignId": "k", "adventureId": "a", "name": "C"}),
    );
    device.put("scenes", "s", json!({"chapterId": "c"}));
    device.put(
        "entities",
        "e",
        json!({"campaignId": "k", "kind": "npc", "name": "E"}),
    );
    let tree = device.ok(&["tree", "k"])["campaigns"][0].take();
    assert_eq!(tree["counts"]["entities"], 1);
    let scene = &tree["children"][0]["children"][0]["children"][0];
    assert_eq!((&scene["id"], &scene["name"]), (&json!("s"), &json!("Ash")));
    let drawn = device.plain(&["tree"]).exits(0).stdout;
    assert!(drawn.contains("└─ Ash scenes/s"), "{drawn}");
    device.refuses(&["tree", "nowhere"], "not_found");
}
