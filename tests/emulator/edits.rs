//! What two people wrote at once: what survives, what wins, and what goes to the journal.

use moonforge_e2e::device::{Device, World};
use serde_json::{Value, json};

use crate::scenario::{C, two};

crate::scenario::scenarios! {
    everywhere:
        disjoint_edits_both_survive,
        the_later_edit_wins_when_it_syncs_last,
        the_later_edit_wins_when_it_syncs_first,
        increments_from_both_devices_add_up,
        edits_of_different_lines_merge,
        where_the_same_line_was_edited_the_other_hunk_is_journaled,
        hit_points_of_two_combatants_both_change,
        of_one_combatants_hit_points_the_later_wins,
        lists_take_additions_and_removals_of_both,
        one_id_created_on_two_devices_is_one_document,
        sessions_merge_without_a_rev;
}

/// Journal entries of a device about one field, without those of edits in flight.
async fn journal(device: &Device, field: &str) -> Vec<(Value, Value)> {
    let entries = device.conflicts().await.into_iter();
    let about = entries.filter(|entry| entry["field"] == field);
    about
        .map(|entry| (entry["kept"].clone(), entry["lost"].clone()))
        .collect()
}

async fn disjoint_edits_both_survive(world: World) {
    let scene = json!({ "title": "Ash", "summary": "Smoke.", "status": "draft" });
    let (a, b) = two(&world, &[("scenes", "s1", scene)]).await;
    a.patch("scenes", "s1", &[("set", "title", json!("Ember"))])
        .await;
    b.patch(
        "scenes",
        "s1",
        &[
            ("set", "status", json!("ready")),
            ("unset", "summary", json!(null)),
        ],
    )
    .await;
    a.sync_well().await;
    b.sync_well().await;
    world.settle(&[&a, &b]).await;
    let scene = a.get("scenes", "s1").await.expect("it is there");
    assert_eq!(
        (&scene["title"], &scene["status"]),
        (&json!("Ember"), &json!("ready"))
    );
    assert_eq!(scene.get("summary"), None, "{scene}");
    for device in [&a, &b] {
        assert_eq!(device.conflicts().await, [] as [Value; 0]);
    }
}

/// a writes, then b writes the same field; they sync in the order given.
async fn later_edit_wins(world: World, b_syncs_first: bool) {
    let (a, b) = two(&world, &[("scenes", "s1", json!({ "title": "Ash" }))]).await;
    a.patch("scenes", "s1", &[("set", "title", json!("earlier"))])
        .await;
    b.patch("scenes", "s1", &[("set", "title", json!("later"))])
        .await;
    let (first, second) = if b_syncs_first { (&b, &a) } else { (&a, &b) };
    first.sync_well().await;
    let report = second.sync_well().await;
    assert!(report["conflicts"].as_u64() >= Some(1), "{report}");
    world.settle(&[&a, &b]).await;
    assert_eq!(a.value("scenes", "s1", "/title").await, "later");
    assert_eq!(journal(first, "title").await, []);
    let expected = (json!("later"), json!("earlier"));
    assert_eq!(journal(second, "title").await, [expected]);
}

async fn the_later_edit_wins_when_it_syncs_last(world: World) {
    later_edit_wins(world, false).await;
}

async fn the_later_edit_wins_when_it_syncs_first(world: World) {
    later_edit_wins(world, true).await;
}

async fn increments_from_both_devices_add_up(world: World) {
    let chest = json!({ "name": "Chest", "kind": "item", "props": { "gold": 10 } });
    let (a, b) = two(&world, &[("entities", "e1", chest)]).await;
    for by in [3, 4] {
        a.patch("entities", "e1", &[("inc", "props.gold", json!(by))])
            .await;
    }
    b.patch("entities", "e1", &[("inc", "props.gold", json!(-2))])
        .await;
    b.patch("entities", "e1", &[("inc", "props.weight", json!(0.5))])
        .await;
    a.sync_well().await;
    b.sync_well().await;
    world.settle(&[&a, &b]).await;
    assert_eq!(
        a.value("entities", "e1", "/props").await,
        json!({ "gold": 15, "weight": 0.5 })
    );
    assert_eq!(
        world.remote("entities/e1").await.expect("there")["props"]["gold"],
        15
    );
}

const TEXT: &str = "The gate is shut.\nA guard sleeps.\nThe bell is cracked.\n";

async fn edits_of_different_lines_merge(world: World) {
    let (a, b) = two(
        &world,
        &[("scenes", "s1", json!({ "title": "Gate", "content": TEXT }))],
    )
    .await;
    let edited = TEXT.replace("shut", "open");
    a.patch("scenes", "s1", &[("set", "content", json!(edited))])
        .await;
    let edited = format!("{}It rains.\n", TEXT.replace("cracked", "gone"));
    b.patch("scenes", "s1", &[("set", "content", json!(edited))])
        .await;
    a.sync_well().await;
    b.sync_well().await;
    world.settle(&[&a, &b]).await;
    let merged = "The gate is open.\nA guard sleeps.\nThe bell is gone.\nIt rains.\n";
    assert_eq!(a.value("scenes", "s1", "/content").await, merged);
    assert_eq!(journal(&b, "content").await, []);
}

async fn where_the_same_line_was_edited_the_other_hunk_is_journaled(world: World) {
    let (a, b) = two(
        &world,
        &[("scenes", "s1", json!({ "title": "Gate", "content": TEXT }))],
    )
    .await;
    let edited = TEXT.replace("shut", "open");
    a.patch("scenes", "s1", &[("set", "content", json!(edited))])
        .await;
    let edited = TEXT.replace("shut", "burnt").replace("cracked", "gone");
    b.patch("scenes", "s1", &[("set", "content", json!(edited))])
        .await;
    a.sync_well().await;
    b.sync_well().await;
    world.settle(&[&a, &b]).await;
    let merged = "The gate is burnt.\nA guard sleeps.\nThe bell is gone.\n";
    assert_eq!(b.value("scenes", "s1", "/content").await, merged);
    let journal = journal(&b, "content").await;
    assert_eq!(journal.len(), 1, "{journal:?}");
    let lost = journal[0].1.to_string();
    assert!(lost.contains("The gate is open."), "{lost}");
}

fn fight() -> Value {
    json!({ "name": "Ambush", "round": 1, "combatants": {
        "k1": { "name": "Wolf", "type": "monster", "currentHp": 11, "maxHp": 11, "conditions": [] },
        "k2": { "name": "Rook", "type": "pc", "currentHp": 24, "maxHp": 24 },
    } })
}

async fn hit_points_of_two_combatants_both_change(world: World) {
    let (a, b) = two(&world, &[("encounters", "f1", fight())]).await;
    a.patch(
        "encounters",
        "f1",
        &[("set", "combatants.k1.currentHp", json!(4))],
    )
    .await;
    b.patch(
        "encounters",
        "f1",
        &[
            ("set", "combatants.k2.currentHp", json!(20)),
            ("set", "combatants.k1.conditions", json!(["prone"])),
            (
                "set",
                "combatants.k3",
                json!({ "name": "Crow", "type": "monster", "currentHp": 1 }),
            ),
        ],
    )
    .await;
    a.sync_well().await;
    b.sync_well().await;
    world.settle(&[&a, &b]).await;
    let combatants = a.value("encounters", "f1", "/combatants").await;
    assert_eq!(combatants["k1"]["currentHp"], 4, "{combatants}");
    assert_eq!(
        combatants["k1"]["conditions"],
        json!(["prone"]),
        "{combatants}"
    );
    assert_eq!(combatants["k2"]["currentHp"], 20, "{combatants}");
    assert_eq!(combatants["k3"]["name"], "Crow", "{combatants}");
    assert_eq!(b.conflicts().await, [] as [Value; 0]);
}

async fn of_one_combatants_hit_points_the_later_wins(world: World) {
    let (a, b) = two(&world, &[("encounters", "f1", fight())]).await;
    a.patch(
        "encounters",
        "f1",
        &[("set", "combatants.k1.currentHp", json!(4))],
    )
    .await;
    b.patch(
        "encounters",
        "f1",
        &[("set", "combatants.k1.currentHp", json!(9))],
    )
    .await;
    a.patch(
        "encounters",
        "f1",
        &[("inc", "combatants.k2.currentHp", json!(-5))],
    )
    .await;
    b.patch(
        "encounters",
        "f1",
        &[("inc", "combatants.k2.currentHp", json!(-6))],
    )
    .await;
    b.sync_well().await;
    a.sync_well().await;
    world.settle(&[&a, &b]).await;
    let combatants = b.value("encounters", "f1", "/combatants").await;
    assert_eq!(combatants["k1"]["currentHp"], 9, "{combatants}");
    assert_eq!(combatants["k2"]["currentHp"], 13, "{combatants}");
    let lost = journal(&a, "combatants.k1.currentHp").await;
    assert_eq!(lost, [(json!(9), json!(4))]);
}

async fn lists_take_additions_and_removals_of_both(world: World) {
    let rook = json!({ "name": "Rook", "kind": "npc", "tags": ["old", "kept"] });
    let (a, b) = two(&world, &[("entities", "e1", rook)]).await;
    a.patch(
        "entities",
        "e1",
        &[
            ("add", "tags", json!("from a")),
            ("add", "props.keys", json!("iron")),
        ],
    )
    .await;
    b.patch("entities", "e1", &[("add", "tags", json!("from b"))])
        .await;
    b.patch("entities", "e1", &[("remove", "tags", json!("old"))])
        .await;
    a.sync_well().await;
    b.sync_well().await;
    world.settle(&[&a, &b]).await;
    let tags = a.value("entities", "e1", "/tags").await;
    assert_eq!(tags, json!(["kept", "from a", "from b"]));
}

async fn one_id_created_on_two_devices_is_one_document(world: World) {
    let (a, b) = two(&world, &[]).await;
    let one = json!({ "name": "Rook", "kind": "npc", "campaignId": C, "summary": "A thief.", "props": { "gold": 1 } });
    let other = json!({ "name": "Raven", "kind": "npc", "campaignId": C, "tags": ["bird"], "props": { "silver": 2 } });
    a.put("entities", "twin", one).await;
    b.put("entities", "twin", other).await;
    let created = a.value("entities", "twin", "/createdAt").await;
    a.sync_well().await;
    b.sync_well().await;
    world.settle(&[&a, &b]).await;
    let twin = a.get("entities", "twin").await.expect("it is there");
    assert_eq!(
        (&twin["name"], &twin["summary"]),
        (&json!("Raven"), &json!("A thief."))
    );
    assert_eq!(
        (&twin["tags"], &twin["props"]),
        (&json!(["bird"]), &json!({ "gold": 1, "silver": 2 }))
    );
    assert_eq!(twin["createdAt"], created, "the earlier one stays");
    assert_eq!(journal(&b, "name").await, [(json!("Raven"), json!("Rook"))]);
    assert_eq!(journal(&b, "createdAt").await, []);
}

async fn sessions_merge_without_a_rev(world: World) {
    let session = json!({ "number": 1, "title": "One", "datetime": "2026-03-01T18:00:00Z", "log": "start\n" });
    let (a, b) = two(&world, &[("sessions", "n1", session)]).await;
    a.patch(
        "sessions",
        "n1",
        &[("set", "log", json!("a came\nstart\n"))],
    )
    .await;
    b.patch(
        "sessions",
        "n1",
        &[
            ("set", "log", json!("start\nb came\n")),
            ("inc", "number", json!(1)),
        ],
    )
    .await;
    a.patch("sessions", "n1", &[("inc", "number", json!(1))])
        .await;
    a.sync_well().await;
    b.sync_well().await;
    world.settle(&[&a, &b]).await;
    let session = a.get("sessions", "n1").await.expect("it is there");
    assert_eq!(
        (&session["log"], &session["number"]),
        (&json!("a came\nstart\nb came\n"), &json!(3))
    );
    let remote = world.remote("sessions/n1").await.expect("it is there");
    assert_eq!(remote.get("rev"), None, "{remote}");
    assert_eq!(
        remote["datetime"], "2026-03-01T18:00:00Z",
        "a time on the wire too"
    );
}
