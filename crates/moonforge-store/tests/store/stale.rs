//! Writes by somebody who hasn't seen the newest: what they leave alone, and what they journal.

use moonforge_model::{ConflictReason, LostSide, PatchOp, RowOp};
use moonforge_store::{JournalEntry, Store, StoreError, Written};
use serde_json::{Value, json};

use crate::support::*;

fn set(at: &str, value: Value) -> PatchOp {
    let path = path(at);
    PatchOp::Set { path, value }
}

/// Upserts what `edit` makes of `seen`.
async fn upsert(
    store: &Store,
    id: (&str, &str),
    seen: Value,
    edit: impl FnOnce(&mut Value),
) -> Result<Written, StoreError> {
    let mut new = seen.clone();
    edit(&mut new);
    let (snapshot, new) = (fields(seen), fields(new));
    store.upsert(doc(id.0, id.1), snapshot, new, at(50)).await
}

async fn journal(store: &Store) -> Vec<JournalEntry> {
    let mut entries = store.conflicts(true).await.unwrap();
    entries.reverse();
    entries
}

/// Field, kept, lost and side of each entry.
async fn told(store: &Store) -> Vec<(String, Value, Value, LostSide)> {
    let entries = journal(store).await;
    let entry = |e: JournalEntry| {
        assert_eq!(e.conflict.reason, ConflictReason::Overwritten);
        let c = e.conflict;
        (c.field, c.kept, c.lost, c.lost_side)
    };
    entries.into_iter().map(entry).collect()
}

#[tokio::test]
async fn removing_the_last_seen_entry_of_a_map_leaves_what_others_added() {
    let store = memory().await;
    let e = doc("encounters", "e");
    let seen = json!({"campaignId": "c", "name": "Bridge", "combatants": {"k1": {"name": "Orc"}}});
    let mut newer = seen.clone();
    newer["combatants"]["k2"] = json!({"name": "Elf"});
    synced(&store, &e, newer, 2, 10).await;
    // Typed values leave an empty map out.
    let drop_map = |new: &mut Value| {
        new.as_object_mut().unwrap().remove("combatants");
    };
    upsert(&store, ("encounters", "e"), seen, drop_map)
        .await
        .unwrap();
    assert_eq!(
        content(&store, &e).await["combatants"],
        json!({"k2": {"name": "Elf"}})
    );

    let c = doc("campaigns", "c");
    let seen = json!({"name": "Ember", "roles": {"a": "dm"}});
    let newer = json!({"name": "Ember", "roles": {"a": "dm", "b": "player"}});
    synced(&store, &c, newer, 2, 10).await;
    let drop_map = |new: &mut Value| {
        new.as_object_mut().unwrap().remove("roles");
    };
    upsert(&store, ("campaigns", "c"), seen, drop_map)
        .await
        .unwrap();
    assert_eq!(content(&store, &c).await["roles"], json!({"b": "player"}));
    assert_eq!(journal(&store).await, []);
}

#[tokio::test]
async fn a_map_that_is_one_thing_goes_as_one() {
    let store = memory().await;
    let e = doc("entities", "e");
    let seen =
        json!({"campaignId": "c", "kind": "place", "name": "Keep", "coords": {"lat": 1, "lng": 2}});
    synced(&store, &e, seen.clone(), 2, 10).await;
    let drop_map = |new: &mut Value| {
        new.as_object_mut().unwrap().remove("coords");
    };
    upsert(&store, ("entities", "e"), seen, drop_map)
        .await
        .unwrap();
    assert_eq!(content(&store, &e).await.get("coords"), None);
}

#[tokio::test]
async fn a_stale_upsert_journals_the_newer_values_that_it_replaces() {
    let store = memory().await;
    let s = doc("scenes", "s");
    let seen = json!({"campaignId": "c", "title": "Ash", "status": "draft", "entityIds": ["a"],
        "props": {"gold": 1, "silver": 1}, "locationId": "x", "order": "a"});
    let newer = json!({"campaignId": "c", "title": "Smoke", "status": "done", "entityIds": ["a", "b"],
        "props": {"gold": 5, "silver": 1}, "locationId": "y", "order": "a"});
    synced(&store, &s, newer, 2, 10).await;
    upsert(&store, ("scenes", "s"), seen, |new| {
        new["title"] = json!("Cinder");
        new["entityIds"] = json!(["a", "c"]);
        new["props"]["gold"] = json!(2);
        new["props"]["silver"] = json!(7);
        new["status"] = json!("done");
        new["order"] = json!("b");
        new.as_object_mut().unwrap().remove("locationId");
    })
    .await
    .unwrap();
    let remote =
        |field: &str, kept: Value, lost: Value| (field.to_owned(), kept, lost, LostSide::Remote);
    // Not those that were as seen, nor what came out the same.
    assert_eq!(
        told(&store).await,
        [
            remote("entityIds", json!(["a", "c"]), json!(["a", "b"])),
            remote("props.gold", json!(2), json!(5)),
            remote("title", json!("Cinder"), json!("Smoke")),
            remote("locationId", Value::Null, json!("y")),
        ]
    );
    for entry in journal(&store).await {
        store
            .take_conflict(entry.conflict_id, at(60))
            .await
            .unwrap();
    }
    let now = content(&store, &s).await;
    assert_eq!(
        (
            &now["title"],
            &now["entityIds"],
            &now["props"],
            &now["locationId"]
        ),
        (
            &json!("Smoke"),
            &json!(["a", "b"]),
            &json!({"gold": 5, "silver": 7}),
            &json!("y")
        )
    );
}

#[tokio::test]
async fn a_stale_upsert_of_a_session_is_no_different() {
    let store = memory().await;
    let s = doc("sessions", "s");
    synced(
        &store,
        &s,
        json!({"campaignId": "c", "title": "Two"}),
        0,
        10,
    )
    .await;
    // Written here, not sent yet.
    put(&store, &s, json!({"status": "planned"}), 11).await;
    let seen = json!({"campaignId": "c", "title": "One", "status": "open"});
    upsert(&store, ("sessions", "s"), seen, |new| {
        new["title"] = json!("Three");
        new["status"] = json!("done");
    })
    .await
    .unwrap();
    assert_eq!(
        told(&store).await,
        [
            (
                "status".into(),
                json!("done"),
                json!("planned"),
                LostSide::Local
            ),
            (
                "title".into(),
                json!("Three"),
                json!("Two"),
                LostSide::Remote
            ),
        ]
    );
}

#[tokio::test]
async fn lines_that_a_stale_upsert_replaces_are_journaled() {
    let store = memory().await;
    let s = doc("scenes", "s");
    let text = |text: &str| json!({"campaignId": "c", "title": "Ash", "content": text});
    synced(
        &store,
        &s,
        text("one\ntwo theirs\nthree\nfour theirs"),
        2,
        10,
    )
    .await;
    upsert(
        &store,
        ("scenes", "s"),
        text("one\ntwo\nthree\nfour"),
        |new| {
            new["content"] = json!("one ours\ntwo ours\nthree\nfour");
        },
    )
    .await
    .unwrap();
    let merged = "one ours\ntwo ours\nthree\nfour theirs";
    assert_eq!(content(&store, &s).await["content"], merged);
    let told = told(&store).await;
    assert_eq!(told.len(), 1, "{told:?}");
    let (field, kept, lost, side) = &told[0];
    assert_eq!((field.as_str(), *side), ("content", LostSide::Remote));
    // The hunk, not the line that nobody disputes.
    assert_eq!(
        (kept, lost),
        (&json!("one ours\ntwo ours\n"), &json!("one\ntwo theirs\n"))
    );
    let id = journal(&store).await[0].conflict_id;
    store.take_conflict(id, at(60)).await.unwrap();
    let back = content(&store, &s).await["content"].clone();
    assert!(back.as_str().unwrap().contains("two theirs"), "{back}");
    assert!(back.as_str().unwrap().contains("four theirs"), "{back}");
}

#[tokio::test]
async fn an_entry_that_was_removed_meanwhile_comes_back_whole_when_it_is_edited() {
    let store = memory().await;
    let e = doc("encounters", "e");
    let seen = json!({"campaignId": "c", "name": "Bridge",
        "combatants": {"k1": {"name": "Orc", "currentHp": 7, "maxHp": 9}, "k2": {"name": "Elf"}}});
    let newer = json!({"campaignId": "c", "name": "Bridge", "combatants": {"k2": {"name": "Elf"}}});
    synced(&store, &e, newer, 2, 10).await;
    upsert(&store, ("encounters", "e"), seen, |new| {
        new["combatants"]["k1"]["currentHp"] = json!(3);
        new["combatants"]["k1"]["maxHp"] = json!(8);
    })
    .await
    .unwrap();
    let whole = json!({"name": "Orc", "currentHp": 3, "maxHp": 8});
    assert_eq!(content(&store, &e).await["combatants"]["k1"], whole);
    assert_eq!(
        told(&store).await,
        [("combatants.k1".into(), whole, Value::Null, LostSide::Remote)]
    );
    let id = journal(&store).await[0].conflict_id;
    store.take_conflict(id, at(60)).await.unwrap();
    let now = content(&store, &e).await;
    assert_eq!(now["combatants"], json!({"k2": {"name": "Elf"}}));
}

#[tokio::test]
async fn an_entry_that_is_removed_is_journaled_as_it_was() {
    let store = memory().await;
    let e = doc("encounters", "e");
    let seen = json!({"campaignId": "c", "name": "Bridge",
        "combatants": {"k1": {"currentHp": 7}, "k2": {"currentHp": 4}}});
    let mut newer = seen.clone();
    newer["combatants"]["k1"]["currentHp"] = json!(2);
    synced(&store, &e, newer, 2, 10).await;
    upsert(&store, ("encounters", "e"), seen, |new| {
        new["combatants"] = json!({});
    })
    .await
    .unwrap();
    assert_eq!(content(&store, &e).await["combatants"], json!({}));
    let lost = json!({"currentHp": 2});
    assert_eq!(
        told(&store).await,
        [("combatants.k1".into(), Value::Null, lost, LostSide::Remote)]
    );
}

#[tokio::test]
async fn what_stands_in_the_way_of_a_stale_edit_is_journaled() {
    let store = memory().await;
    let s = doc("scenes", "s");
    let newer = json!({"campaignId": "c", "title": "Ash", "props": "none"});
    synced(&store, &s, newer, 2, 10).await;
    let seen = json!({"campaignId": "c", "title": "Ash", "props": {"gold": {"a": 1}}});
    upsert(&store, ("scenes", "s"), seen, |new| {
        new["props"]["gold"]["a"] = json!(2);
    })
    .await
    .unwrap();
    let kept = json!({"gold": {"a": 2}});
    assert_eq!(content(&store, &s).await["props"], kept);
    assert_eq!(
        told(&store).await,
        [("props".into(), kept, json!("none"), LostSide::Remote)]
    );
}

#[tokio::test]
async fn a_patch_with_an_old_rev_journals_a_long_text_too() {
    let store = memory().await;
    let s = doc("scenes", "s");
    let text = json!({"campaignId": "c", "title": "Ash", "content": "theirs\nall of it"});
    synced(&store, &s, text, 4, 10).await;
    let ops = vec![set("content", json!("mine"))];
    store
        .patch(s.clone(), Some(4), ops.clone(), at(11))
        .await
        .unwrap();
    assert_eq!(journal(&store).await, [], "the author saw it");
    let text = json!({"campaignId": "c", "title": "Ash", "content": "theirs\nall of it"});
    synced(&store, &s, text, 5, 12).await;
    store.patch(s.clone(), Some(4), ops, at(13)).await.unwrap();
    assert_eq!(content(&store, &s).await["content"], "mine");
    assert_eq!(
        told(&store).await,
        [(
            "content".into(),
            json!("mine"),
            json!("theirs\nall of it"),
            LostSide::Remote
        )]
    );
    let id = journal(&store).await[0].conflict_id;
    store.take_conflict(id, at(60)).await.unwrap();
    assert_eq!(content(&store, &s).await["content"], "theirs\nall of it");
}

#[tokio::test]
async fn an_edit_is_not_refused_for_what_it_does_not_touch() {
    let store = memory().await;
    let e = doc("entities", "e");
    // A newer app's visibility, no name, no kind, and larger than what is made here.
    let large = "x".repeat(1_040_000);
    let legacy = json!({"campaignId": "c", "visibility": "spectators", "content": large});
    synced(&store, &e, legacy, 2, 10).await;
    let ops = vec![set("summary", json!("y"))];
    assert_eq!(
        code(store.patch(e.clone(), None, ops, at(11)).await),
        "too_large"
    );
    let ops = vec![set("content", json!("x".repeat(1_039_000)))];
    store.patch(e.clone(), None, ops, at(12)).await.unwrap();
    put(&store, &e, json!({"content": "short"}), 13).await;
    put(&store, &e, json!({"summary": "y"}), 14).await;
    for (field, value, expected) in [
        ("visibility", json!("friends"), "invalid_value"),
        ("tags", json!("no list"), "wrong_type"),
    ] {
        let refused = store.put(e.clone(), fields(json!({ field: value })), at(15));
        assert_eq!(code(refused.await), expected);
    }
}

#[tokio::test]
async fn values_are_written_in_the_form_in_which_they_come_back() {
    let store = memory().await;
    let s = doc("sessions", "s");
    let odd = json!({"campaignId": "c", "title": "One", "datetime": "2026-01-01T01:00:00.5+01:00",
        "createdAt": "2026-01-01T00:00:00.1234567Z", "place": {"$geo": [52, -0.0]},
        "raw": {"$bytes": "_-8"}});
    put(&store, &s, odd.clone(), 1).await;
    let plain = json!({"campaignId": "c", "title": "One", "datetime": "2026-01-01T00:00:00.500Z",
        "createdAt": "2026-01-01T00:00:00.123456Z", "place": {"$geo": [52.0, 0.0]},
        "raw": {"$bytes": "/+8="}});
    assert_eq!(content(&store, &s).await.to_string(), plain.to_string());
    let again = store
        .put(s.clone(), fields(odd.clone()), at(2))
        .await
        .unwrap();
    assert!(!again.changed);
    let same = store
        .upsert(s.clone(), fields(odd), fields(plain), at(3))
        .await;
    assert!(!same.unwrap().changed);
    let ops = vec![
        set("shareExpiresAt", json!("2026-01-01T01:00:00+01:00")),
        PatchOp::ArrayUnion {
            path: path("seen"),
            values: vec![json!({"$timestamp": "2026-01-01T01:00:00+01:00"})],
        },
    ];
    store.patch(s.clone(), None, ops, at(4)).await.unwrap();
    let now = content(&store, &s).await;
    assert_eq!(now["shareExpiresAt"], "2026-01-01T00:00:00Z");
    assert_eq!(now["seen"], json!([{"$timestamp": "2026-01-01T00:00:00Z"}]));
    let rows = store.outbox().await.unwrap();
    let RowOp::Patch { ops } = &rows[1].row.row.op else {
        panic!("{rows:?}");
    };
    assert_eq!(ops[0], set("shareExpiresAt", json!("2026-01-01T00:00:00Z")));
}
