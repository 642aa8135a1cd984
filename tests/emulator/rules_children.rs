//! Rules about where documents come into being, and that none goes.

use serde_json::{Value, json};

use crate::rules::{Request, Row, World, campaign, child, open_child, row};

#[tokio::test]
async fn nothing_is_deleted_for_good_but_a_tombstone_is_an_edit() {
    let Some(world) = World::new("delete").await else {
        return;
    };
    world
        .seed(&[
            ("scenes/d", child(json!({}))),
            ("sessions/d", child(json!({}))),
            ("secrets/scenes~d", child(json!({}))),
        ])
        .await;
    let delete = |path: &str| ("gm", json!({ "delete": world.project.name(path) }));
    let buried =
        json!({ "deletedAt": { "$timestamp": "2026-11-21T12:00:00.000Z" }, "deleteId": "d1" });
    let bury = |path: &str| ("gm", world.next(path, buried.clone()));
    let mut whole = buried.clone();
    whole["rev"] = json!(1);
    let campaign = world.edit("campaigns/c1", whole);
    let touch = world.edit("beacons/c1", json!({ "campaignId": "c1", "touched": {} }));
    let first = world
        .send(Some("gm"), &Request::Commit(vec![touch.clone()]))
        .await;
    assert_eq!(first.status, 200, "{first:?}");
    world
        .check(&[
            row("a scene", delete("scenes/d"), bury("scenes/d")),
            row("a session", delete("sessions/d"), bury("sessions/d")),
            row(
                "a secret",
                delete("secrets/scenes~d"),
                bury("secrets/scenes~d"),
            ),
            row("a campaign", delete("campaigns/c1"), ("gm", campaign)),
            row("a beacon", delete("beacons/c1"), ("gm", touch)),
            row(
                "a tombstone is edited like anything",
                (
                    "dee",
                    world.edit("scenes/d", json!({ "rev": 6, "title": "Late" })),
                ),
                (
                    "dee",
                    world.edit("scenes/d", json!({ "rev": 7, "title": "Late" })),
                ),
            ),
        ])
        .await;
}

#[tokio::test]
async fn only_a_tombstone_is_purged_and_not_at_once() {
    let Some(world) = World::new("purge").await else {
        return;
    };
    let time = |text: &str| json!({ "$timestamp": text });
    let (past, future) = (
        time("2026-01-02T00:00:00.000Z"),
        time("9999-01-01T00:00:00.000Z"),
    );
    let tomb = json!({ "deletedAt": past, "deleteId": "d1", "purgeAt": past });
    for collection in ["campaigns", "scenes", "sessions", "secrets"] {
        let make = |extra: Value| match collection {
            "campaigns" => campaign(merge(json!({ "rev": 5 }), extra)),
            _ => child(extra),
        };
        let path = |id: &str| format!("{collection}/{id}");
        for id in ["live", "early", "text", "date"] {
            world.seed(&[(&path(id), make(json!({})))]).await;
        }
        world
            .seed(&[
                (&path("tomb"), make(tomb.clone())),
                (&path("old"), make(json!({ "purgeAt": past }))),
                (&path("back"), make(tomb.clone())),
            ])
            .await;
        let next = |id: &str, changes: Value| ("dee", world.next(&path(id), changes));
        let bury =
            |id: &str, at: &Value| next(id, json!({ "deletedAt": past, "purgeAt": at.clone() }));
        let restore = json!({ "deletedAt": null, "deleteId": null, "purgeAt": null });
        world
            .check(&[
                row(
                    "what lives",
                    next("live", json!({ "purgeAt": future })),
                    bury("live", &future),
                ),
                row("at once", bury("early", &past), bury("early", &future)),
                row(
                    "at no time",
                    bury("text", &json!("soon")),
                    bury("text", &Value::Null),
                ),
                row(
                    "deleted at no time",
                    next("date", json!({ "deletedAt": "soon" })),
                    next("date", json!({ "deletedAt": past })),
                ),
                row(
                    "restored but for that",
                    next("back", json!({ "deletedAt": null })),
                    next("back", restore),
                ),
                row(
                    "a tombstone earlier",
                    next(
                        "tomb",
                        json!({ "purgeAt": time("2026-01-03T00:00:00.000Z") }),
                    ),
                    next("tomb", json!({ "title": "Late" })),
                ),
                // An older client restored it so. Whoever edits it needn't know.
                row(
                    "what lives, again",
                    next("old", json!({ "purgeAt": future })),
                    next("old", json!({ "title": "Late" })),
                ),
            ])
            .await;
    }
}

fn merge(mut base: Value, extra: Value) -> Value {
    let fields = extra.as_object().expect("an object").clone();
    base.as_object_mut().expect("an object").extend(fields);
    base
}

#[tokio::test]
async fn other_collections_are_closed() {
    let Some(world) = World::new("closed").await else {
        return;
    };
    world
        .seed(&[
            ("monsters/m", open_child(json!({}))),
            ("scenes/m", open_child(json!({}))),
        ])
        .await;
    let get = |path: &str| (Some("gm"), Request::Get(path.to_owned()));
    let create = |path: &str| ("gm", world.create(path, json!({})));
    world
        .check(&[
            row("creation", create("monsters/n"), create("scenes/n")),
            row(
                "edit",
                ("gm", world.next("monsters/m", json!({}))),
                ("gm", world.next("scenes/m", json!({}))),
            ),
            row(
                "below a child",
                create("scenes/m/notes/n"),
                create("scenes/o"),
            ),
            row("invites", create("invites/i"), create("scenes/p")),
            Row {
                what: "get",
                forbidden: get("monsters/m"),
                allowed: get("scenes/m"),
            },
        ])
        .await;
}

#[tokio::test]
async fn a_child_is_created_in_a_campaign_that_one_leads() {
    let Some(world) = World::new("create").await else {
        return;
    };
    let own = |path: &str| ("dee", world.create(path, json!({})));
    let under = |path: &str, id: &str| ("dee", world.create(path, json!({ "campaignId": id })));
    world
        .check(&[
            row(
                "a foreign campaign",
                under("scenes/a", "c2"),
                own("scenes/a"),
            ),
            row("no such campaign", under("scenes/b", "c9"), own("scenes/b")),
            row(
                "a session of a foreign campaign",
                under("sessions/a", "c2"),
                own("sessions/a"),
            ),
            row(
                "a secret of a foreign campaign",
                under("secrets/s~a", "c2"),
                own("secrets/s~a"),
            ),
            row(
                "a player creates",
                ("pia", own("entities/e").1),
                own("entities/e"),
            ),
            row(
                "a viewer creates",
                ("vic", own("scenes/c").1),
                own("scenes/c"),
            ),
            Row {
                what: "nobody who signed in",
                forbidden: (None, Request::Commit(vec![own("scenes/d").1])),
                allowed: (Some("noa"), Request::Commit(vec![own("scenes/d").1])),
            },
        ])
        .await;
}

#[tokio::test]
async fn a_campaign_and_its_children_come_in_one_commit() {
    let Some(world) = World::new("together").await else {
        return;
    };
    let create = |owner: &str| {
        let fields = json!({ "rev": 0, "name": "New", "ownerUid": owner, "memberUids": [owner] });
        let mut writes = vec![world.edit("campaigns/c8", fields)];
        let in_c8 = json!({ "campaignId": "c8" });
        writes.extend((0..40).map(|n| world.create(&format!("scenes/t{n}"), in_c8.clone())));
        Request::Commit(writes)
    };
    let row = Row {
        what: "campaign and scenes",
        forbidden: (Some("dee"), create("gm")),
        allowed: (Some("dee"), create("dee")),
    };
    world.check(&[row]).await;
}
