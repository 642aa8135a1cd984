//! Deletes, the edits that meet them, and restoring from anywhere.

use moonforge_e2e::device::{Device, World};
use serde_json::{Value, json};

use crate::scenario::{C, child, two};

crate::scenario::scenarios! {
    everywhere:
        a_delete_that_syncs_first_wins_over_an_edit,
        a_delete_that_syncs_last_wins_over_an_edit,
        of_two_deletes_the_first_to_arrive_can_be_undone,
        a_campaign_falls_with_all_below_and_is_restored_from_another_device,
        what_fell_earlier_stays_down_when_its_parent_is_restored,
        a_child_made_below_a_deleted_parent_is_hidden_until_the_parent_is_restored;
    calm:
        a_tombstone_takes_no_put,
        what_a_console_deleted_for_good_goes_and_edits_of_it_are_journaled;
}

fn gate() -> (&'static str, &'static str, Value) {
    (
        "scenes",
        "s1",
        json!({ "title": "Gate", "content": "It is shut.\n", "status": "draft" }),
    )
}

/// b deletes what a edits; they sync in the order given.
async fn delete_against_edit(world: World, delete_first: bool) {
    let (a, b) = two(&world, &[gate()]).await;
    a.patch(
        "scenes",
        "s1",
        &[
            ("set", "title", json!("Ash Gate")),
            ("set", "status", json!("ready")),
        ],
    )
    .await;
    assert_eq!(b.rm("scenes", "s1").await, 1);
    let (first, second) = if delete_first { (&b, &a) } else { (&a, &b) };
    first.sync_well().await;
    second.sync_well().await;
    world.settle(&[&a, &b]).await;
    for device in [&a, &b] {
        assert_eq!(device.get("scenes", "s1").await, None, "the delete wins");
    }
    let journal = second.conflicts().await;
    assert!(
        journal
            .iter()
            .any(|entry| entry.to_string().contains("Ash Gate")),
        "the edit is in the journal of the device that merged: {journal:?}"
    );
    let tombstone = world.remote("scenes/s1").await.expect("it stays");
    assert_eq!(
        (&tombstone["title"], &tombstone["status"]),
        (&json!("Ash Gate"), &json!("ready"))
    );
    assert_eq!(b.restore("scenes", "s1").await, 1);
    world.settle(&[&b, &a]).await;
    let scene = a.get("scenes", "s1").await.expect("it is back");
    assert_eq!(
        (&scene["title"], &scene["status"]),
        (&json!("Ash Gate"), &json!("ready"))
    );
}

async fn a_delete_that_syncs_first_wins_over_an_edit(world: World) {
    delete_against_edit(world, true).await;
}

async fn a_delete_that_syncs_last_wins_over_an_edit(world: World) {
    delete_against_edit(world, false).await;
}

async fn of_two_deletes_the_first_to_arrive_can_be_undone(world: World) {
    let (a, b) = two(&world, &[gate()]).await;
    a.rm("scenes", "s1").await;
    b.rm("scenes", "s1").await;
    a.sync_well().await;
    let first = world.remote("scenes/s1").await.expect("it stays")["deleteId"].clone();
    b.sync_well().await;
    world.settle(&[&a, &b]).await;
    let kept = world.remote("scenes/s1").await.expect("it stays")["deleteId"].clone();
    assert_eq!(kept, first);
    assert_eq!(b.restore("scenes", "s1").await, 1);
    world.settle(&[&b, &a]).await;
    assert_eq!(a.value("scenes", "s1", "/title").await, "Gate");
}

/// A campaign with an adventure of one chapter of two scenes, an entity and a secret: seven documents.
async fn tree(world: &World) -> (Device, Device) {
    two(
        world,
        &[
            ("adventures", "v1", json!({ "name": "The Siege" })),
            (
                "chapters",
                "h1",
                json!({ "name": "Walls", "adventureId": "v1" }),
            ),
            (
                "scenes",
                "s1",
                json!({ "title": "Gate", "chapterId": "h1" }),
            ),
            (
                "scenes",
                "s2",
                json!({ "title": "Moat", "chapterId": "h1" }),
            ),
            ("entities", "e1", json!({ "name": "Rook", "kind": "npc" })),
            (
                "secrets",
                "entities~e1",
                json!({ "target": "entities/e1", "gmNotes": "A spy.\n" }),
            ),
        ],
    )
    .await
}

const ALL: [(&str, &str); 7] = [
    ("campaigns", C),
    ("adventures", "v1"),
    ("chapters", "h1"),
    ("scenes", "s1"),
    ("scenes", "s2"),
    ("entities", "e1"),
    ("secrets", "entities~e1"),
];

async fn live(device: &Device) -> Vec<(&'static str, &'static str)> {
    let mut live = Vec::new();
    for (collection, id) in ALL {
        if device.get(collection, id).await.is_some() {
            live.push((collection, id));
        }
    }
    live
}

async fn a_campaign_falls_with_all_below_and_is_restored_from_another_device(world: World) {
    let (a, b) = tree(&world).await;
    assert_eq!(a.rm("campaigns", C).await, 7);
    a.sync_well().await;
    world.settle(&[&a, &b]).await;
    assert_eq!(live(&b).await, []);
    let first = world.remote("campaigns/keep").await.expect("it stays");
    for (collection, id) in ALL {
        let tombstone = world
            .remote(&format!("{collection}/{id}"))
            .await
            .expect("it stays");
        assert_eq!(
            tombstone["deleteId"], first["deleteId"],
            "one delete: {collection}/{id}"
        );
    }
    assert_eq!(b.restore("campaigns", C).await, 7);
    b.sync_well().await;
    world.settle(&[&b, &a]).await;
    assert_eq!(live(&a).await, ALL);
    assert_eq!(
        a.value("secrets", "entities~e1", "/gmNotes").await,
        "A spy.\n"
    );
}

async fn what_fell_earlier_stays_down_when_its_parent_is_restored(world: World) {
    let (a, b) = tree(&world).await;
    assert_eq!(a.rm("scenes", "s2").await, 1);
    world.settle(&[&a, &b]).await;
    assert_eq!(
        b.rm("adventures", "v1").await,
        3,
        "the adventure, the chapter and one scene"
    );
    world.settle(&[&b, &a]).await;
    assert_eq!(live(&a).await, [ALL[0], ALL[5], ALL[6]]);
    assert_eq!(a.restore("adventures", "v1").await, 3);
    world.settle(&[&a, &b]).await;
    let but_one: Vec<_> = ALL
        .into_iter()
        .filter(|doc| *doc != ("scenes", "s2"))
        .collect();
    assert_eq!(live(&b).await, but_one);
    assert_eq!(b.restore("scenes", "s2").await, 1);
    world.settle(&[&b, &a]).await;
    assert_eq!(live(&a).await, ALL);
}

async fn a_child_made_below_a_deleted_parent_is_hidden_until_the_parent_is_restored(world: World) {
    let (a, b) = tree(&world).await;
    assert_eq!(a.rm("chapters", "h1").await, 3);
    b.put(
        "scenes",
        "s3",
        child(json!({ "title": "Tower", "chapterId": "h1" })),
    )
    .await;
    a.sync_well().await;
    b.sync_well().await;
    world.settle(&[&a, &b]).await;
    for device in [&a, &b] {
        assert_eq!(
            device.ids("scenes").await,
            [] as [&str; 0],
            "hidden from lists"
        );
    }
    assert_eq!(b.restore("chapters", "h1").await, 3);
    world.settle(&[&a, &b]).await;
    assert_eq!(a.ids("scenes").await, ["s1", "s2", "s3"]);
}

async fn a_tombstone_takes_no_put(world: World) {
    let (a, b) = two(&world, &[gate()]).await;
    a.rm("scenes", "s1").await;
    world.settle(&[&a, &b]).await;
    let put = b
        .person
        .put("scenes", "s1", child(json!({ "title": "New" })))
        .await;
    assert_eq!(put["error"]["code"], "deleted", "{put}");
    let patch = b
        .person
        .patch("scenes", "s1", &[("set", "title", json!("New"))])
        .await;
    assert_eq!(patch["error"]["code"], "deleted", "{patch}");
    assert_eq!(b.outbox().await, [] as [Value; 0]);
}

async fn what_a_console_deleted_for_good_goes_and_edits_of_it_are_journaled(world: World) {
    let (a, b) = two(
        &world,
        &[gate(), ("scenes", "s2", json!({ "title": "Moat" }))],
    )
    .await;
    for path in ["scenes/s1", "scenes/s2"] {
        assert_eq!(world.console().delete(path).await.status, 200);
    }
    a.patch("scenes", "s1", &[("set", "title", json!("Ash Gate"))])
        .await;
    a.sync_well().await;
    assert_eq!(a.outbox().await, [] as [Value; 0]);
    assert_eq!(
        a.get("scenes", "s1").await,
        None,
        "a delete wins over an edit"
    );
    let journal = a.conflicts().await;
    assert!(
        journal.iter().any(|e| e.to_string().contains("Ash Gate")),
        "{journal:?}"
    );
    // Brought back by who wrote it last, it is created anew.
    assert_eq!(a.restore("scenes", "s1").await, 1);
    a.sync_well().await;
    let back = world.remote("scenes/s1").await.expect("it is back");
    assert_eq!(
        (&back["rev"], &back["title"]),
        (&json!(0), &json!("Ash Gate"))
    );
    b.sync_well().await;
    assert_eq!(b.value("scenes", "s1", "/title").await, "Ash Gate");
    // An edit of what isn't here any more must not bring half of it back.
    b.patch("scenes", "s2", &[("set", "status", json!("ready"))])
        .await;
    b.sync_well().await;
    assert_eq!(b.get("scenes", "s2").await, None);
    assert_eq!(world.remote("scenes/s2").await, None);
}
