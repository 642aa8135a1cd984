//! Lists, trees, export and status.

use futures_util::TryStreamExt as _;
use moonforge_model::{CollectionConfig, Registry};
use moonforge_store::{Comparison, Direction, QuerySpec, Store, Where};
use serde_json::{Value, json};

use crate::support::*;

pub(crate) fn filter(at: &str, op: Comparison, value: Value) -> Where {
    let path = path(at);
    Where { path, op, value }
}

pub(crate) fn entities(filters: Vec<Where>) -> QuerySpec {
    QuerySpec {
        filters,
        ..QuerySpec::all(named("entities"))
    }
}

/// Entities whose `props.v` are the values, with ids `e0`, `e1`, …; none where the value is absent.
pub(crate) async fn valued(store: &Store, values: &[Option<Value>]) {
    for (i, value) in values.iter().enumerate() {
        let mut entity =
            json!({"campaignId": "c", "kind": "npc", "name": format!("n{i}"), "props": {}});
        if let Some(value) = value {
            entity["props"]["v"] = value.clone();
        }
        put(store, &doc("entities", &format!("e{i}")), entity, 1).await;
    }
}

#[tokio::test]
async fn equality_knows_the_types_of_json() {
    let store = memory().await;
    let values = [
        json!(true),
        json!(1),
        json!("1"),
        json!(1.0),
        json!("true"),
        json!(null),
        json!([1]),
        json!("[1]"),
        json!({"a": 1}),
        json!(0),
        json!(false),
        json!(""),
    ];
    let given: Vec<_> = values.iter().cloned().map(Some).chain([None]).collect();
    valued(&store, &given).await;
    for (value, expected) in [
        (json!(true), vec!["e0"]),
        (json!(1), vec!["e1", "e3"]),
        (json!("1"), vec!["e2"]),
        (json!("true"), vec!["e4"]),
        (json!(null), vec!["e12", "e5"]),
        (json!([1]), vec!["e6"]),
        (json!("[1]"), vec!["e7"]),
        (json!({"a": 1}), vec!["e8"]),
        (json!(0), vec!["e9"]),
        (json!(false), vec!["e10"]),
        (json!(""), vec!["e11"]),
        (json!(2), vec![]),
    ] {
        let spec = entities(vec![filter("props.v", Comparison::Eq, value.clone())]);
        assert_eq!(ids(&store, &spec).await, expected, "{value}");
    }
}

#[tokio::test]
async fn a_range_compares_values_of_one_kind() {
    let store = memory().await;
    let given = [
        json!(1),
        json!(2.5),
        json!(10),
        json!("1"),
        json!("b"),
        json!(true),
        json!(null),
    ];
    valued(&store, &given.map(Some)).await;
    for (op, value, expected) in [
        (Comparison::Gt, json!(1), vec!["e1", "e2"]),
        (Comparison::Ge, json!(1), vec!["e0", "e1", "e2"]),
        (Comparison::Lt, json!(10), vec!["e0", "e1"]),
        (Comparison::Le, json!("1"), vec!["e3"]),
        (Comparison::Gt, json!("1"), vec!["e4"]),
        (Comparison::Lt, json!(null), vec![]),
    ] {
        let spec = entities(vec![filter("props.v", op, value.clone())]);
        assert_eq!(ids(&store, &spec).await, expected, "{op:?} {value}");
    }
}

#[tokio::test]
async fn odd_names_and_columns_of_the_protocol_can_be_asked_for() {
    let store = memory().await;
    let odd = "a\".b'\\ $é";
    let entity = json!({"campaignId": "c", "kind": "npc", "name": "Vex", "props": {odd: 7}});
    put(&store, &doc("entities", "e"), entity, 1).await;
    let entity = json!({"campaignId": "c", "kind": "place", "name": "Inn", "createdAt": "2026-01-01T00:00:00Z"});
    put(&store, &doc("entities", "f"), entity, 5).await;
    let quoted = moonforge_model::FieldPath::new(["props", odd]).unwrap();
    for (path, op, value, expected) in [
        (quoted, Comparison::Eq, json!(7), vec!["e"]),
        (path("kind"), Comparison::Eq, json!("place"), vec!["f"]),
        (
            path("campaignId"),
            Comparison::Eq,
            json!("c"),
            vec!["e", "f"],
        ),
        (path("id"), Comparison::Gt, json!("e"), vec!["f"]),
        (
            path("updatedAt"),
            Comparison::Lt,
            json!(second(5).to_string()),
            vec!["e"],
        ),
        (path("updatedAt"), Comparison::Eq, json!(7), vec![]),
        (
            path("createdAt"),
            Comparison::Eq,
            json!("2026-01-01T01:00:00+01:00"),
            vec!["f"],
        ),
        (
            path("createdAt"),
            Comparison::Gt,
            json!("2026-01-01T00:00:00Z"),
            vec!["e"],
        ),
        (
            path("deletedAt"),
            Comparison::Eq,
            json!(null),
            vec!["e", "f"],
        ),
        (path("rev"), Comparison::Eq, json!(0), vec!["e", "f"]),
    ] {
        let spec = entities(vec![Where { path, op, value }]);
        assert_eq!(ids(&store, &spec).await, expected, "{spec:?}");
    }
    let since = QuerySpec {
        since: Some(second(5)),
        ..entities(Vec::new())
    };
    assert_eq!(ids(&store, &since).await, ["f"]);
}

#[tokio::test]
async fn times_sort_as_times_with_a_fraction_or_without() {
    let store = memory().await;
    for (id, time) in [
        ("b", "2026-01-01T00:00:00.500Z"),
        ("a", "2026-01-01T00:00:01Z"),
        ("c", "2026-01-01T00:00:00Z"),
    ] {
        let session = json!({"campaignId": "c", "title": "x", "datetime": time});
        put(&store, &doc("sessions", id), session, 1).await;
    }
    let spec = QuerySpec {
        order: vec![(path("datetime"), Direction::Asc)],
        ..QuerySpec::all(named("sessions"))
    };
    assert_eq!(ids(&store, &spec).await, ["c", "b", "a"]);
    let read = store.get(&doc("sessions", "a")).await.unwrap().unwrap();
    assert_eq!(read.to_json().get("rev"), None, "sessions carry no rev");
}

#[tokio::test]
async fn a_tree_has_its_branches_in_order_and_its_orphans_apart() {
    let store = memory().await;
    small_campaign(&store).await;
    let loose = json!({"campaignId": "c", "title": "Loose"});
    put(&store, &doc("scenes", "loose"), loose, 1).await;
    let lost = json!({"campaignId": "c", "name": "Lost", "adventureId": "nowhere"});
    put(&store, &doc("chapters", "lost"), lost, 1).await;
    let below = json!({"campaignId": "c", "title": "Below", "chapterId": "lost"});
    put(&store, &doc("scenes", "below"), below, 1).await;
    let entity = json!({"campaignId": "c", "kind": "npc", "name": "Vex"});
    put(&store, &doc("entities", "e"), entity, 1).await;
    let other = json!({"campaignId": "other", "title": "Elsewhere"});
    put(&store, &doc("scenes", "other"), other, 1).await;

    let tree = store.tree(&doc("campaigns", "c").id).await.unwrap();
    assert_eq!(tree.campaign.fields["name"], "Ember");
    let [adventure] = &tree.adventures[..] else {
        panic!("{:?}", tree.adventures);
    };
    assert_eq!(adventure.descendants(), 3);
    let scenes: Vec<_> = adventure.children[0]
        .children
        .iter()
        .map(|b| b.doc.doc.id.as_str())
        .collect();
    assert_eq!(scenes, ["s2", "s1"]);
    let orphans: Vec<_> = tree
        .orphans
        .iter()
        .map(|b| (b.doc.doc.id.as_str(), b.descendants()))
        .collect();
    assert_eq!(orphans, [("lost", 1), ("loose", 0)]);
    assert_eq!(tree.counts[&named("scenes")], 4);
    assert_eq!(tree.counts[&named("entities")], 1);
    assert_eq!(
        code(store.tree(&doc("campaigns", "none").id).await),
        "not_found"
    );
}

#[tokio::test]
async fn an_export_has_what_is_visible_in_a_stable_order() {
    let store = memory().await;
    small_campaign(&store).await;
    let many = (0..450).map(|i| {
        let scene = json!({"campaignId": "c", "chapterId": "ch", "title": "x", "n": i});
        (doc("scenes", &format!("m{i:03}")), fields(scene))
    });
    store.put_many(many.collect(), at(1)).await.unwrap();
    store.delete(doc("scenes", "s2"), at(2)).await.unwrap();
    let lines: Vec<Value> = store.export(None).unwrap().try_collect().await.unwrap();
    assert_eq!(lines.len(), 4 + 450);
    let collections: Vec<_> = lines
        .iter()
        .map(|l| l["collection"].as_str().unwrap())
        .collect();
    assert_eq!(collections[..3], ["campaigns", "adventures", "chapters"]);
    let ids: Vec<_> = lines[3..]
        .iter()
        .map(|l| l["id"].as_str().unwrap())
        .collect();
    assert!(ids.is_sorted());
    assert!(
        lines
            .iter()
            .all(|l| l.get("updatedAt").is_none() && l.get("rev").is_none())
    );

    let scenes = named("scenes");
    let again: Vec<Value> = store
        .export(Some(&scenes))
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(again, lines[3..]);
    let unknown = store.export(Some(&named("dragons"))).map(|_| ());
    assert_eq!(code(unknown), "unknown_collection");
}

#[tokio::test]
async fn an_apps_own_collection_is_kept_apart_from_others() {
    // The name holds the very word that the shared table's column has.
    let config = |name: &str| CollectionConfig {
        name: named(name),
        ..Registry::builtin().get("entities").unwrap().clone()
    };
    let mut registry = Registry::builtin();
    registry.register(config("collection'notes")).unwrap();
    registry.register(config("dice")).unwrap();
    let store = Store::in_memory(options_with(registry)).await.unwrap();
    let note = json!({"campaignId": "c", "kind": "npc", "name": "x"});
    for (collection, id) in [
        ("collection'notes", "same"),
        ("dice", "same"),
        ("dice", "two"),
    ] {
        put(&store, &doc(collection, id), note.clone(), 1).await;
    }
    put(&store, &doc("campaigns", "c"), json!({"name": "Ember"}), 1).await;
    assert_eq!(
        ids(&store, &QuerySpec::all(named("dice"))).await,
        ["same", "two"]
    );
    let notes = named("collection'notes");
    assert_eq!(ids(&store, &QuerySpec::all(notes.clone())).await, ["same"]);
    synced(&store, &doc("collection'notes", "same"), note, 3, 9).await;
    assert_eq!(
        store
            .held(&notes, None, &[], None, None)
            .await
            .unwrap()
            .figures(),
        (1, 3)
    );
    assert_eq!(
        store
            .held(&named("dice"), None, &[], None, None)
            .await
            .unwrap()
            .figures(),
        (0, 0)
    );
    let status = store.status().await.unwrap();
    assert_eq!(status.collections[&notes].last_synced_at, Some(second(9)));
    assert_eq!(
        (
            status.collections[&notes].documents,
            status.collections[&notes].dirty
        ),
        (1, 0)
    );
    assert_eq!(
        (
            status.collections[&named("dice")].documents,
            status.collections[&named("dice")].dirty
        ),
        (2, 2)
    );
    assert_eq!(store.delete(doc("campaigns", "c"), at(2)).await.unwrap(), 4);
    assert_eq!(store.doctor().await.unwrap(), []);
}
