//! What is written here where a policy joins: counters and sets.

use moonforge_model::{FieldPolicy, Registry};
use moonforge_store::{Resolution, Store};
use serde_json::json;

use crate::resolve::{journal, resolve, restored, set, told, undo, with_an_entry};
use crate::support::*;

#[tokio::test]
async fn a_counter_gets_the_difference_to_what_was_seen() {
    let mut registry = Registry::builtin();
    registry
        .state_policy("entities", Some("props.gold"), FieldPolicy::Counter)
        .unwrap();
    registry
        .state_policy("entities", Some("tags"), FieldPolicy::Set)
        .unwrap();
    let store = Store::in_memory(options_with(registry)).await.unwrap();
    let (e, _) = with_an_entry(&store).await;
    let entry = told(
        "props.gold",
        json!(3),
        json!(8),
        vec![set("props.gold", json!(8))],
    );
    let gold = journal(&store, &e, entry, 30).await;
    let entry = told(
        "tags",
        json!(["x"]),
        json!(["y"]),
        vec![set("tags", json!(["y"]))],
    );
    let tags = journal(&store, &e, entry, 30).await;
    put(
        &store,
        &e,
        json!({"props": {"gold": 5}, "tags": ["x", "z"]}),
        31,
    )
    .await;
    for id in [gold, tags] {
        resolve(&store, id, Resolution::Take, 32).await;
    }
    let now = content(&store, &e).await;
    assert_eq!(
        (&now["props"]["gold"], &now["tags"]),
        (&json!(10), &json!(["z", "y"]))
    );
    assert_eq!(undo(&store, tags, 33).await, restored("tags"));
    assert_eq!(undo(&store, gold, 33).await, restored("props.gold"));
    let now = content(&store, &e).await;
    assert_eq!(
        (&now["props"]["gold"], &now["tags"]),
        (&json!(5), &json!(["z", "x"]))
    );
    assert_eq!(
        store.conflicts(false).await.unwrap().len(),
        3,
        "none is new"
    );
}

/// A form that was open while others counted and added: an upsert means what its author changed.
#[tokio::test]
async fn a_stale_form_takes_nothing_from_counters_and_sets() {
    let mut registry = Registry::builtin();
    registry
        .state_policy("entities", Some("props.gold"), FieldPolicy::Counter)
        .unwrap();
    registry
        .state_policy("entities", Some("tags"), FieldPolicy::Set)
        .unwrap();
    let store = Store::in_memory(options_with(registry)).await.unwrap();
    let (e, id) = with_an_entry(&store).await;
    resolve(&store, id, Resolution::Keep, 12).await;
    let read = store.get(&e).await.unwrap().unwrap().fields;
    put(
        &store,
        &e,
        json!({"props": {"gold": 5}, "tags": ["x", "z"]}),
        31,
    )
    .await;
    let mut form = read.clone();
    form["props"]["gold"] = json!(2);
    form["tags"] = json!(["x", "form"]);
    store.upsert(e.clone(), read, form, at(32)).await.unwrap();
    let now = content(&store, &e).await;
    assert_eq!(
        (&now["props"]["gold"], &now["tags"]),
        (&json!(4), &json!(["x", "z", "form"]))
    );
    assert_eq!(store.conflicts(false).await.unwrap(), []);
}
