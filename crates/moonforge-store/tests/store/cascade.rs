//! Deleting, restoring, and what a deleted ancestor hides.

use moonforge_store::QuerySpec;
use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn a_delete_takes_what_hangs_below_and_a_restore_brings_exactly_that_back() {
    let store = memory().await;
    small_campaign(&store).await;
    let (s1, s2, ch) = (
        doc("scenes", "s1"),
        doc("scenes", "s2"),
        doc("chapters", "ch"),
    );
    assert_eq!(store.delete(s2.clone(), at(5)).await.unwrap(), 1);
    let own = store.get(&s2).await.unwrap().unwrap().deleted.unwrap();
    assert_eq!(
        store.delete(doc("adventures", "a"), at(6)).await.unwrap(),
        3
    );

    let deletion = store.get(&s1).await.unwrap().unwrap().deleted.unwrap();
    assert_eq!(deletion.at, second(6));
    assert!(deletion.delete_id.is_some());
    assert_eq!(
        deletion.delete_id,
        store
            .get(&ch)
            .await
            .unwrap()
            .unwrap()
            .deleted
            .unwrap()
            .delete_id
    );
    let kept = store.get(&s2).await.unwrap().unwrap().deleted.unwrap();
    assert_eq!(kept, own, "a tombstone keeps its own delete");

    // From anywhere in what fell.
    assert_eq!(store.restore(s1.clone(), at(7)).await.unwrap(), 3);
    assert!(store.get(&ch).await.unwrap().unwrap().deleted.is_none());
    assert!(store.get(&s2).await.unwrap().unwrap().deleted.is_some());
    assert_eq!(
        store.restore(s1, at(8)).await.unwrap(),
        0,
        "nothing is left to undo"
    );
}

#[tokio::test]
async fn deleting_a_campaign_takes_everything_in_it() {
    let store = memory().await;
    small_campaign(&store).await;
    let entity = json!({"campaignId": "c", "kind": "npc", "name": "Vex"});
    put(&store, &doc("entities", "e"), entity.clone(), 1).await;
    put(
        &store,
        &doc("campaigns", "other"),
        json!({"name": "Other"}),
        1,
    )
    .await;
    let elsewhere = json!({"campaignId": "other", "kind": "npc", "name": "Vex"});
    put(&store, &doc("entities", "f"), elsewhere, 1).await;
    assert_eq!(store.delete(doc("campaigns", "c"), at(2)).await.unwrap(), 6);
    assert_eq!(ids(&store, &QuerySpec::all(named("entities"))).await, ["f"]);
    assert_eq!(
        store.restore(doc("campaigns", "c"), at(3)).await.unwrap(),
        6
    );
    assert_eq!(
        ids(&store, &QuerySpec::all(named("entities"))).await,
        ["e", "f"]
    );
}

#[tokio::test]
async fn a_tombstone_refuses_edits_and_keeps_its_content() {
    let store = memory().await;
    small_campaign(&store).await;
    let s = doc("scenes", "s1");
    store.delete(s.clone(), at(2)).await.unwrap();
    let read = store.get(&s).await.unwrap().unwrap();
    let wire = read.to_json();
    assert_eq!(wire["title"], "s1");
    assert_eq!(wire["deletedAt"], second(2).to_string());
    assert!(wire["deleteId"].is_string() && wire.get("parentDeleted").is_none());
    let edit = || fields(json!({"title": "x"}));
    assert_eq!(code(store.put(s.clone(), edit(), at(3)).await), "deleted");
    let upserted = store
        .upsert(s.clone(), fields(json!({})), edit(), at(3))
        .await;
    assert_eq!(code(upserted), "deleted");
    assert_eq!(code(store.delete(s, at(3)).await), "deleted");
    assert_eq!(
        code(store.delete(doc("scenes", "none"), at(3)).await),
        "not_found"
    );
    assert_eq!(
        code(store.restore(doc("scenes", "none"), at(3)).await),
        "not_found"
    );
}

#[tokio::test]
async fn a_live_document_under_a_deleted_ancestor_is_hidden_and_marked() {
    let store = memory().await;
    small_campaign(&store).await;
    store.delete(doc("adventures", "a"), at(2)).await.unwrap();
    // Written meanwhile, elsewhere: a chapter of the adventure, and a scene in it.
    let chapter = json!({"campaignId": "c", "adventureId": "a", "name": "Late"});
    put(&store, &doc("chapters", "late"), chapter, 3).await;
    let scene = json!({"campaignId": "c", "chapterId": "late", "title": "Late"});
    put(&store, &doc("scenes", "late"), scene, 3).await;
    let scenes = QuerySpec::all(named("scenes"));
    assert!(
        ids(&store, &scenes).await.is_empty(),
        "the chapter lives, what is above it doesn't"
    );
    let all = QuerySpec {
        deleted: true,
        ..scenes
    };
    let page = store.list(&all).await.unwrap();
    let marks: Vec<_> = page
        .items
        .iter()
        .map(|d| (d.doc.id.as_str(), d.deleted.is_some(), d.parent_deleted))
        .collect();
    assert_eq!(
        marks,
        [
            ("late", false, true),
            ("s1", true, false),
            ("s2", true, false)
        ]
    );
    let read = store.get(&doc("scenes", "late")).await.unwrap().unwrap();
    assert_eq!(read.to_json()["parentDeleted"], true);

    store.restore(doc("adventures", "a"), at(4)).await.unwrap();
    assert_eq!(
        ids(&store, &QuerySpec::all(named("scenes"))).await,
        ["late", "s1", "s2"]
    );
    let read = store.get(&doc("scenes", "late")).await.unwrap().unwrap();
    assert!(!read.parent_deleted);
}
