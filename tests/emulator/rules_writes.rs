//! Rules that hold for every write, whoever it comes from.

use serde_json::{Value, json};

use crate::rules::{Request, World, campaign, child, row};

const GUARDED: [&str; 7] = [
    "adventures",
    "chapters",
    "scenes",
    "entities",
    "encounters",
    "mediaAssets",
    "secrets",
];

/// Anything in the shape of a time that isn't the server's.
const ONES_OWN_TIME: &str = "2026-11-21T12:00:00.000Z";

#[tokio::test]
async fn every_guarded_collection_takes_one_step_of_rev_only() {
    let Some(world) = World::new("rev").await else {
        return;
    };
    for collection in GUARDED {
        let path = |id: &str| format!("{collection}/{id}");
        let ids = ["stale", "skipped", "double", "text", "forgotten", "unset"];
        for id in ids {
            world.seed(&[(&path(id), child(json!({})))]).await;
        }
        let without = child(json!({ "rev": null }));
        world.seed(&[(&path("without"), without)]).await;
        let edit = |id: &str, rev: Value| {
            (
                "dee",
                world.edit(&path(id), json!({ "rev": rev, "title": "Embers" })),
            )
        };
        let right = |id: &str| edit(id, json!(6));
        let create = |id: &str, rev: Value| ("dee", world.create(&path(id), json!({ "rev": rev })));
        world
            .check(&[
                row("stale rev", edit("stale", json!(5)), right("stale")),
                row("skipped rev", edit("skipped", json!(7)), right("skipped")),
                row(
                    "rev as a double",
                    edit("double", json!(6.0)),
                    right("double"),
                ),
                row("rev as text", edit("text", json!("6")), right("text")),
                row(
                    "rev forgotten",
                    (
                        "dee",
                        world.edit(&path("forgotten"), json!({ "title": "Embers" })),
                    ),
                    right("forgotten"),
                ),
                row("rev unset", edit("unset", Value::Null), right("unset")),
                row(
                    "no rev yet, 1",
                    edit("without", json!(1)),
                    edit("without", json!(0)),
                ),
                row(
                    "created at 1",
                    create("one", json!(1)),
                    create("one", json!(0)),
                ),
                row(
                    "created at 0.0",
                    create("double0", json!(0.0)),
                    create("double0", json!(0)),
                ),
                row(
                    "created without",
                    create("none", Value::Null),
                    create("none", json!(0)),
                ),
            ])
            .await;
    }
}

#[tokio::test]
async fn campaigns_take_one_step_of_rev_only() {
    let Some(world) = World::new("campaign-rev").await else {
        return;
    };
    let edit = |rev: Value| {
        (
            "gm",
            world.edit("campaigns/c1", json!({ "rev": rev, "name": "Ash" })),
        )
    };
    world
        .check(&[
            row("stale rev", edit(json!(0)), edit(json!(1))),
            row("skipped rev", edit(json!(3)), edit(json!(2))),
            row("rev as a double", edit(json!(3.0)), edit(json!(3))),
        ])
        .await;
}

#[tokio::test]
async fn a_session_needs_no_rev_and_is_guarded_by_its_update_time() {
    let Some(world) = World::new("session").await else {
        return;
    };
    world
        .seed(&[("sessions/s", child(json!({ "rev": null })))])
        .await;
    let version = world.project.owner().get("sessions/s").await.body["updateTime"].clone();
    let edit = |title: &str| {
        let mut write = world.edit("sessions/s", json!({ "title": title }));
        write["currentDocument"] = json!({ "updateTime": version });
        Request::Commit(vec![write])
    };
    let first = world.send(Some("dee"), &edit("First")).await;
    assert_eq!(first.status, 200, "{first:?}");
    let second = world.send(Some("gm"), &edit("Second")).await;
    assert_eq!(
        (second.status, &second.body["error"]["status"]),
        (400, &json!("FAILED_PRECONDITION")),
    );
}

#[tokio::test]
async fn updated_at_is_the_servers() {
    let Some(world) = World::new("time").await else {
        return;
    };
    for collection in ["scenes", "sessions", "secrets"] {
        let path = |id: &str| format!("{collection}/{id}");
        world
            .seed(&[
                (&path("untimed"), child(json!({}))),
                (&path("own"), child(json!({}))),
            ])
            .await;
        let own = json!({ "rev": 6, "updatedAt": { "$timestamp": ONES_OWN_TIME } });
        let mut created = world.create(&path("new"), json!({}));
        created
            .as_object_mut()
            .expect("a write")
            .remove("updateTransforms");
        world
            .check(&[
                row(
                    "an edit without the transform",
                    ("dee", world.untimed(&path("untimed"), json!({ "rev": 6 }))),
                    ("dee", world.next(&path("untimed"), json!({}))),
                ),
                row(
                    "one's own time",
                    ("dee", world.untimed(&path("own"), own)),
                    ("dee", world.next(&path("own"), json!({}))),
                ),
                row(
                    "a creation without the transform",
                    ("dee", created),
                    ("dee", world.create(&path("new"), json!({}))),
                ),
            ])
            .await;
    }
    let untimed = world.untimed("campaigns/c1", json!({ "rev": 1 }));
    let timed = world.edit("campaigns/c1", json!({ "rev": 1 }));
    world
        .check(&[row("a campaign", ("gm", untimed), ("gm", timed))])
        .await;
}

#[tokio::test]
async fn writers_holds_ones_own_entry_and_forgets_nothing() {
    let Some(world) = World::new("writers").await else {
        return;
    };
    let writers = json!({
        "dee": { "i1": { "n": 4, "op": "a" }, "i2": { "n": 1, "op": "b" } },
        "gm": { "i9": { "n": 7, "op": "c" } },
    });
    let known = child(json!({ "writers": writers }));
    let paths: Vec<String> = (0..8).map(|n| format!("scenes/w{n}")).collect();
    for path in &paths {
        world.seed(&[(path, known.clone())]).await;
    }
    world.seed(&[("scenes/none", child(json!({})))]).await;
    let entry = json!({ "n": 5, "op": "d" });
    let next = |n: usize, changes: Value| ("dee", world.next(&paths[n], changes));
    let mine = |n: usize| next(n, json!({ "writers.dee.i1": entry }));
    let whole = |n: usize, writers: Value| next(n, json!({ "writers": writers }));
    let untouched = |n: usize| next(n, json!({ "title": "Embers" }));
    world
        .check(&[
            row(
                "another's entry forged",
                next(0, json!({ "writers.gm.i9": entry })),
                mine(0),
            ),
            row(
                "another's entry erased",
                next(1, json!({ "writers.gm": null })),
                untouched(1),
            ),
            row(
                "an entry for a third",
                next(2, json!({ "writers.zed.i1": entry })),
                mine(2),
            ),
            row(
                "one's own key forgotten",
                next(3, json!({ "writers.dee.i2": null })),
                mine(3),
            ),
            row(
                "one's own entry forgotten",
                next(4, json!({ "writers.dee": null })),
                mine(4),
            ),
            row("all erased", whole(5, Value::Null), untouched(5)),
            row("no map", whole(6, json!("dee")), mine(6)),
            row(
                "a whole map without the others",
                whole(7, json!({ "dee": writers["dee"] })),
                whole(7, writers.clone()),
            ),
            row(
                "forged where there is none",
                (
                    "dee",
                    world.next(
                        "scenes/none",
                        json!({ "writers": { "gm": { "i9": entry } } }),
                    ),
                ),
                (
                    "dee",
                    world.next(
                        "scenes/none",
                        json!({ "writers": { "dee": { "i1": entry } } }),
                    ),
                ),
            ),
            row(
                "forged on creation",
                (
                    "dee",
                    world.create(
                        "scenes/new",
                        json!({ "writers": { "gm": { "i9": entry } } }),
                    ),
                ),
                (
                    "dee",
                    world.create(
                        "scenes/new",
                        json!({ "writers": { "dee": { "i1": entry } } }),
                    ),
                ),
            ),
            row(
                "a campaign's forged",
                (
                    "gm",
                    world.edit("campaigns/c1", json!({ "rev": 1, "writers.dee.i1": entry })),
                ),
                (
                    "gm",
                    world.edit("campaigns/c1", json!({ "rev": 1, "writers.gm.i1": entry })),
                ),
            ),
        ])
        .await;
}

#[tokio::test]
async fn fields_of_the_protocol_keep_their_types() {
    let Some(world) = World::new("types").await else {
        return;
    };
    world
        .seed(&[
            ("scenes/e", child(json!({}))),
            ("campaigns/1", campaign(json!({}))),
        ])
        .await;
    let edited = json!({ "title": { "$timestamp": ONES_OWN_TIME } });
    world
        .check(&[
            row(
                "edited is a map",
                ("dee", world.next("scenes/e", json!({ "edited": "title" }))),
                ("dee", world.next("scenes/e", json!({ "edited": edited }))),
            ),
            row(
                "campaignId is there",
                (
                    "dee",
                    world.create("scenes/n", json!({ "campaignId": null })),
                ),
                ("dee", world.create("scenes/n", json!({}))),
            ),
            row(
                "campaignId is text",
                ("dee", world.create("scenes/t", json!({ "campaignId": 1 }))),
                (
                    "dee",
                    world.create("scenes/t", json!({ "campaignId": "1" })),
                ),
            ),
            row(
                "a secret's campaignId is there",
                (
                    "dee",
                    world.create("secrets/scenes~n", json!({ "campaignId": null })),
                ),
                ("dee", world.create("secrets/scenes~n", json!({}))),
            ),
        ])
        .await;
}

#[tokio::test]
async fn a_child_stays_in_its_campaign() {
    let Some(world) = World::new("campaign-id").await else {
        return;
    };
    // dee leads both: so what denies is the move, not a missing right.
    world.seed(&[("campaigns/c3", campaign(json!({})))]).await;
    for collection in ["scenes", "sessions", "secrets"] {
        let path = format!("{collection}/moves");
        world.seed(&[(&path, child(json!({})))]).await;
        world
            .check(&[
                row(
                    "moved",
                    ("dee", world.next(&path, json!({ "campaignId": "c3" }))),
                    ("dee", world.next(&path, json!({ "campaignId": "c1" }))),
                ),
                row(
                    "taken out",
                    (
                        "dee",
                        world.edit(&path, json!({ "rev": 7, "campaignId": null })),
                    ),
                    ("dee", world.edit(&path, json!({ "rev": 7 }))),
                ),
            ])
            .await;
    }
}
