//! What comes from the cloud: late, in crowds, or malformed.

use std::time::Duration;

use moonforge::SyncOptions;
use moonforge_e2e::device::World;
use moonforge_testkit::emulator::fields;
use moonforge_testkit::proxy::{Fault, Matcher};
use serde_json::{Value, json};

use crate::scenario::{C, campaign, child, two};

crate::scenario::scenarios! {
    calm:
        twenty_five_campaigns_make_the_trip,
        a_commit_that_appears_below_the_cursor_is_found,
        more_documents_than_a_page_under_one_timestamp_all_arrive,
        hostile_documents_stop_nobody_and_arrive_when_mended;
}

/// A whole document as an admin tool writes it, without any of the protocol.
fn set(world: &World, path: &str, document: &Value) -> Value {
    json!({ "update": { "name": world.project.name(path), "fields": fields(document) } })
}

async fn wait(span: Duration) {
    #[expect(clippy::disallowed_methods, reason = "the emulator's time is real")]
    tokio::time::sleep(span).await;
}

/// A time so many milliseconds before that of a document at the server.
async fn before(world: &World, path: &str, millis: i64) -> Value {
    let document = world.remote(path).await.expect("it is there");
    let at: moonforge::Timestamp = document["updatedAt"]
        .as_str()
        .expect("a time")
        .parse()
        .expect("a time");
    json!({ "$timestamp": at.offset_micros(-millis * 1000).to_string() })
}

async fn a_commit_that_appears_below_the_cursor_is_found(world: World) {
    let (a, _) = two(&world, &[]).await;
    for n in 0..8 {
        a.put(
            "entities",
            &format!("e{n}"),
            child(json!({ "name": "Guard", "kind": "npc" })),
        )
        .await;
        a.put(
            "sessions",
            &format!("n{n}"),
            child(json!({ "title": "Evening" })),
        )
        .await;
    }
    a.sync_well().await;
    let options = SyncOptions {
        late_visibility: Duration::from_secs(8),
        ..SyncOptions::default()
    };
    let late = world.library("gm", "late", options).await;
    late.sync_well().await;
    // The cursor has to stand at something new.
    for (collection, id) in [("entities", "e7"), ("sessions", "n7")] {
        a.patch(collection, id, &[("inc", "props.n", json!(1))])
            .await;
    }
    a.sync_well().await;
    late.sync_well().await;
    assert_eq!(late.value("sessions", "n7", "/props/n").await, 1);
    // What a large commit does that began before the others and ended after them.
    let entity = json!({
        "name": "Late", "kind": "npc", "campaignId": C, "rev": 0,
        "updatedAt": before(&world, "entities/e7", 3).await,
    });
    let session = json!({
        "title": "Late", "campaignId": C, "updatedAt": before(&world, "sessions/n7", 3).await,
    });
    let edited = json!({
        "name": "Captain", "kind": "npc", "campaignId": C, "rev": 1,
        "updatedAt": before(&world, "entities/e3", 1).await,
    });
    let writes = [
        set(&world, "entities/late", &entity),
        set(&world, "sessions/late", &session),
        set(&world, "entities/e3", &edited),
    ];
    world.console_commit(&writes).await;
    late.sync_well().await;
    let found = late.get("entities", "late").await;
    assert_eq!(found, None, "the fast cursor passed it by");
    for _ in 0..20 {
        wait(Duration::from_secs(1)).await;
        late.sync_well().await;
        let came = late.get("entities", "late").await.is_some();
        if came && late.get("sessions", "late").await.is_some() {
            break;
        }
    }
    assert_eq!(late.value("entities", "late", "/name").await, "Late");
    assert_eq!(late.value("entities", "e3", "/name").await, "Captain");
    assert_eq!(late.value("sessions", "late", "/title").await, "Late");
    // Once it is settled, nothing more is asked for it.
    late.sync_well().await;
    let aggregations = late.proxy.count(":runAggregationQuery");
    late.sync_well().await;
    assert_eq!(late.proxy.count(":runAggregationQuery"), aggregations);
}

async fn more_documents_than_a_page_under_one_timestamp_all_arrive(world: World) {
    let (a, b) = two(&world, &[]).await;
    let at = json!({ "$timestamp": "2026-02-03T04:05:06.789Z" });
    let entity = |n: usize| {
        let entity = json!({
            "name": format!("Guard {n}"), "kind": "npc", "campaignId": C, "rev": 0, "updatedAt": at,
        });
        set(&world, &format!("entities/e{n:04}"), &entity)
    };
    let writes: Vec<Value> = (0..1100).map(entity).collect();
    for some in writes.chunks(500) {
        world.console_commit(some).await;
    }
    a.sync_well().await;
    assert_eq!(a.ids("entities").await.len(), 1100);
    // Cut twice, in the midst of that timestamp.
    for bytes in [60_000, 150_000] {
        let cut = Matcher::path(":runQuery").containing("entities").skip(1);
        b.proxy.fail(cut, Fault::Cut(bytes));
    }
    b.proxy.fail(
        Matcher::path(":runQuery").containing("entities"),
        Fault::Cut(200_000),
    );
    b.sync_well().await;
    assert_eq!(b.ids("entities").await.len(), 1100);
    world.settle(&[&a, &b]).await;
}

fn hostile() -> Vec<(&'static str, Value)> {
    let sound = json!({ "name": "Rook", "kind": "npc", "campaignId": C, "rev": 0 });
    let with = |changes: Value| {
        let mut document = sound.clone();
        let map = document.as_object_mut().expect("an object");
        map.insert(
            "updatedAt".into(),
            json!({ "$timestamp": "2026-02-03T04:05:06Z" }),
        );
        map.extend(changes.as_object().expect("an object").clone());
        map.retain(|_, value| !value.is_null());
        document
    };
    vec![
        ("wrong-type", with(json!({ "name": 7 }))),
        ("wrong-deep-type", with(json!({ "tags": "a, b" }))),
        ("wrong-kind", with(json!({ "kind": ["npc"] }))),
        ("rev-is-text", with(json!({ "rev": "six" }))),
        ("rev-is-double", with(json!({ "rev": 6.5 }))),
        ("updated-is-text", with(json!({ "updatedAt": "yesterday" }))),
        ("deleted-is-text", with(json!({ "deletedAt": "soon" }))),
        ("writers-is-list", with(json!({ "writers": ["gm"] }))),
        ("edited-is-number", with(json!({ "edited": 3 }))),
        (
            "roles-of-nobody",
            with(json!({ "writers": { "gm": { "x": "y" } }, "props": [] })),
        ),
    ]
}

async fn hostile_documents_stop_nobody_and_arrive_when_mended(world: World) {
    let (a, b) = two(
        &world,
        &[("entities", "own", json!({ "name": "Own", "kind": "npc" }))],
    )
    .await;
    let hostile = hostile();
    let mut writes: Vec<Value> = hostile
        .iter()
        .map(|(id, document)| set(&world, &format!("entities/{id}"), document))
        .collect();
    // Sound ones around them, one that cursors never see, and a document of no campaign.
    let rook = json!({ "name": "Rook", "kind": "npc", "campaignId": C });
    writes.push(set(&world, "entities/never-updated", &rook));
    let at = json!({ "$timestamp": "2026-02-03T04:05:07Z" });
    let sound =
        json!({ "name": "Sound", "kind": "npc", "campaignId": C, "rev": 0, "updatedAt": at });
    writes.push(set(&world, "entities/sound", &sound));
    writes.push(set(
        &world,
        "scenes/sound",
        &json!({ "title": "S", "campaignId": C, "rev": 0, "updatedAt": at }),
    ));
    world.console_commit(&writes).await;
    let new = world.device("gm", "new").await;
    let report = new.sync_well().await;
    assert_eq!(report["quarantined"], hostile.len(), "{report}");
    for (collection, id) in [
        ("entities", "own"),
        ("entities", "sound"),
        ("entities", "never-updated"),
        ("scenes", "sound"),
    ] {
        assert!(new.get(collection, id).await.is_some(), "{collection}/{id}");
    }
    assert_eq!(new.ids("entities").await.len(), 3);
    // They don't come again and again, and those that hold older documents go on as well.
    assert_eq!(new.sync_well().await["quarantined"], 0);
    a.put(
        "entities",
        "next",
        child(json!({ "name": "Next", "kind": "npc" })),
    )
    .await;
    a.sync_well().await;
    new.sync_well().await;
    assert!(new.get("entities", "next").await.is_some());
    for (id, _) in &hostile {
        let mended = json!({
            "name": "Mended", "kind": "npc", "rev": 7, "tags": null, "deletedAt": null,
            "writers": null, "edited": null, "props": null,
        });
        world
            .console_edit(&format!("entities/{id}"), mended, true)
            .await;
    }
    for device in [&a, &b, &new] {
        device.sync_well().await;
        for (id, _) in &hostile {
            assert_eq!(
                device.value("entities", id, "/name").await,
                "Mended",
                "{id}"
            );
        }
    }
    new.patch(
        "entities",
        "rev-is-text",
        &[("inc", "props.gold", json!(1))],
    )
    .await;
    new.patch(
        "entities",
        "never-updated",
        &[("inc", "props.gold", json!(1))],
    )
    .await;
    new.sync_well().await;
    assert_eq!(new.outbox().await, [] as [Value; 0]);
    assert_eq!(
        world.remote("entities/rev-is-text").await.expect("there")["rev"],
        8
    );
}

async fn twenty_five_campaigns_make_the_trip(world: World) {
    let a = world.device("gm", "a").await;
    let b = world.device("gm", "b").await;
    for n in 0..25 {
        let id = format!("c{n:02}");
        a.put("campaigns", &id, campaign(&id)).await;
        a.put(
            "scenes",
            &format!("s{n:02}"),
            json!({ "title": id, "campaignId": id }),
        )
        .await;
    }
    a.sync_well().await;
    assert_eq!(a.outbox().await, [] as [Value; 0]);
    b.sync_well().await;
    assert_eq!(b.ids("campaigns").await.len(), 25);
    assert_eq!(b.ids("scenes").await.len(), 25);
    // Edits in each, all at once.
    for n in 0..25 {
        b.patch(
            "scenes",
            &format!("s{n:02}"),
            &[("inc", "props.n", json!(n))],
        )
        .await;
    }
    b.sync_well().await;
    world.settle(&[&a, &b]).await;
    assert_eq!(a.value("scenes", "s24", "/props/n").await, 24);
}
