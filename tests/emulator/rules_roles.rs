//! Rules about what a role may write.

use serde_json::{Value, json};

use crate::rules::{Request, Row, World, campaign, child, open_child, row};

#[tokio::test]
async fn only_owner_and_dms_write_children() {
    let Some(world) = World::new("roles").await else {
        return;
    };
    for collection in [
        "adventures",
        "chapters",
        "scenes",
        "entities",
        "encounters",
        "mediaAssets",
    ] {
        let path = |id: &str| format!("{collection}/{id}");
        for id in ["a", "b", "c", "d"] {
            world.seed(&[(&path(id), open_child(json!({})))]).await;
        }
        let by = |uid, id: &str| (uid, world.next(&path(id), json!({ "title": "Embers" })));
        world
            .check(&[
                row("a viewer", by("vic", "a"), by("gm", "a")),
                row("a player", by("pia", "b"), by("dee", "b")),
                row("a stranger", by("zed", "c"), by("noa", "c")),
                Row {
                    what: "nobody who signed in",
                    forbidden: (None, Request::Commit(vec![by("gm", "d").1])),
                    allowed: (Some("gm"), Request::Commit(vec![by("gm", "d").1])),
                },
            ])
            .await;
    }
}

#[tokio::test]
async fn an_unknown_role_gives_a_viewers_rights() {
    let Some(world) = World::new("unknown-role").await else {
        return;
    };
    let odd = campaign(json!({ "roles": { "pia": "owner", "pete": 7 } }));
    world
        .seed(&[
            ("campaigns/c1", odd),
            ("scenes/a", child(json!({}))),
            ("scenes/b", open_child(json!({}))),
        ])
        .await;
    let by = |uid, path: &str| (uid, world.next(path, json!({})));
    let get = |uid, path: &str| (Some(uid), Request::Get(path.to_owned()));
    world
        .check(&[
            row(
                "owner in roles is no owner",
                by("pia", "scenes/a"),
                by("noa", "scenes/a"),
            ),
            row(
                "a number is no role",
                by("pete", "scenes/b"),
                by("noa", "scenes/b"),
            ),
            Row {
                what: "reading the GM's",
                forbidden: get("pia", "scenes/a"),
                allowed: get("pete", "scenes/b"),
            },
        ])
        .await;
}

#[tokio::test]
async fn players_write_the_entities_that_name_them() {
    let Some(world) = World::new("entities").await else {
        return;
    };
    let of = |uid: &str| open_child(json!({ "playerUids": [uid], "kind": "npc" }));
    let mut gms = of("pia");
    gms["visibility"] = json!("gm");
    world
        .seed(&[("entities/petes", of("pete")), ("entities/hidden", gms)])
        .await;
    for id in ["a", "b", "c", "d", "e", "f", "g", "h", "i"] {
        world.seed(&[(&format!("entities/{id}"), of("pia"))]).await;
    }
    world
        .seed(&[("entities/nobodys", open_child(json!({})))])
        .await;
    let by = |uid, id: &str, changes: Value| (uid, world.next(&format!("entities/{id}"), changes));
    let own = |id: &str| by("pia", id, json!({ "summary": "Limps" }));
    let time = json!({ "$timestamp": "2026-11-21T12:00:00.000Z" });
    let edited = |path: &str| json!({ "summary": "Limps", "edited": { path: time } });
    let summary = || json!({ "summary": "Limps" });
    world
        .check(&[
            row(
                "another's",
                by("pia", "petes", summary()),
                by("pete", "petes", summary()),
            ),
            row(
                "one that names nobody",
                by("pia", "nobodys", summary()),
                own("a"),
            ),
            row(
                "one that the GM hides",
                by("pia", "hidden", summary()),
                own("b"),
            ),
            row(
                "who plays it",
                by("pia", "c", json!({ "playerUids": ["pia", "pete"] })),
                own("c"),
            ),
            row(
                "who sees it",
                by("pia", "d", json!({ "visibility": "gm" })),
                own("d"),
            ),
            row(
                "dates of what isn't his",
                by("pia", "e", edited("visibility")),
                by("pia", "e", edited("summary")),
            ),
            row("a viewer who is named", by("vic", "f", summary()), own("f")),
            row(
                "whether it is there",
                by("pia", "h", json!({ "deletedAt": time, "deleteId": "d" })),
                by("gm", "h", json!({ "deletedAt": time, "deleteId": "d" })),
            ),
            row(
                "when it goes for good",
                by("pia", "i", json!({ "purgeAt": time })),
                own("i"),
            ),
            row(
                "a stale one of his own",
                ("pia", world.edit("entities/g", json!({ "rev": 5 }))),
                own("g"),
            ),
        ])
        .await;
}

#[tokio::test]
async fn players_write_the_log_of_a_session_and_nothing_else_there() {
    let Some(world) = World::new("log").await else {
        return;
    };
    let session = |visibility: &str| child(json!({ "rev": null, "visibility": visibility }));
    for id in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        world
            .seed(&[(&format!("sessions/{id}"), session("players"))])
            .await;
    }
    world.seed(&[("sessions/hidden", session("gm"))]).await;
    let edit =
        |uid, id: &str, changes: Value| (uid, world.edit(&format!("sessions/{id}"), changes));
    let time = json!({ "$timestamp": "2026-11-21T12:00:00.000Z" });
    let edited = |path: &str| {
        let entry = json!({ "i1": { "n": 1, "op": "a" } });
        json!({ "log": "We ran.", "edited": { path: time }, "writers": { "pia": entry } })
    };
    let log = |uid, id: &str| edit(uid, id, json!({ "log": "We ran." }));
    world
        .check(&[
            row(
                "the title",
                edit("pia", "a", json!({ "title": "Flight" })),
                log("pia", "a"),
            ),
            row(
                "the title with the log",
                edit("pia", "b", json!({ "title": "Flight", "log": "We ran." })),
                edit("pia", "b", edited("log")),
            ),
            row(
                "dates of other fields",
                edit("pia", "c", edited("title")),
                edit("pia", "c", edited("log")),
            ),
            row(
                "a log that is no text",
                edit("pia", "g", json!({ "log": ["We ran."] })),
                edit("pia", "g", json!({ "log": null })),
            ),
            row(
                "who may hold one",
                edit("pia", "h", json!({ "log": 7 })),
                edit("gm", "h", json!({ "log": 7 })),
            ),
            row("a viewer", log("vic", "d"), log("pete", "d")),
            row("a stranger", log("zed", "e"), log("gm", "e")),
            row(
                "a tombstone",
                edit("pia", "f", json!({ "deleteId": "d" })),
                log("pia", "f"),
            ),
            row(
                "one that the GM hides",
                log("pia", "hidden"),
                log("dee", "hidden"),
            ),
        ])
        .await;
}

#[tokio::test]
async fn secrets_are_the_owners_and_dms() {
    let Some(world) = World::new("secrets").await else {
        return;
    };
    let secret =
        child(json!({ "visibility": "players", "playerUids": ["pia"], "gmNotes": "He lies." }));
    world.seed(&[("secrets/scenes~s", secret)]).await;
    let write = |uid, rev: u64| {
        (
            uid,
            world.edit("secrets/scenes~s", json!({ "rev": rev, "info": "x" })),
        )
    };
    let create = |uid, id: &str| {
        (
            uid,
            world.create(&format!("secrets/scenes~{id}"), json!({})),
        )
    };
    let get = |uid| (Some(uid), Request::Get("secrets/scenes~s".to_owned()));
    let list = |uid| {
        (
            Some(uid),
            Request::Query(json!({
                "from": [{ "collectionId": "secrets" }],
                "where": { "fieldFilter": {
                    "field": { "fieldPath": "campaignId" }, "op": "EQUAL", "value": { "stringValue": "c1" },
                } },
            })),
        )
    };
    let both =
        |what, request: &dyn Fn(&'static str) -> (Option<&'static str>, Request), who, twin| Row {
            what,
            forbidden: request(who),
            allowed: request(twin),
        };
    world
        .check(&[
            row("a player writes", write("pia", 6), write("gm", 6)),
            row("a viewer writes", write("vic", 7), write("dee", 7)),
            row("a player creates", create("pia", "a"), create("noa", "a")),
            row("a stranger creates", create("zed", "b"), create("gm", "b")),
            both("a player reads", &get, "pia", "gm"),
            both("a viewer reads", &get, "vic", "dee"),
            both("a stranger reads", &get, "zed", "noa"),
            both("a player lists", &list, "pia", "dee"),
            both("a stranger lists", &list, "zed", "gm"),
        ])
        .await;
}

#[tokio::test]
async fn every_member_touches_the_beacon() {
    let Some(world) = World::new("beacon").await else {
        return;
    };
    let touch = |path: &str, changes: Value| {
        let collections: Vec<&str> = vec!["updatedAt", "touched.scenes"];
        let transforms: Value = collections
            .iter()
            .map(|path| json!({ "fieldPath": path, "setToServerValue": "REQUEST_TIME" }))
            .collect();
        let mut write = world.untimed(path, changes);
        write["updateTransforms"] = transforms;
        write
    };
    let right = || touch("beacons/c1", json!({ "campaignId": "c1" }));
    let list = |uid, campaign: &str| {
        let filter = json!({ "fieldFilter": {
            "field": { "fieldPath": "campaignId" }, "op": "IN",
            "value": { "arrayValue": { "values": [{ "stringValue": campaign }] } },
        } });
        let query = json!({ "from": [{ "collectionId": "beacons" }], "where": filter });
        (Some(uid), Request::Query(query))
    };
    let get = |uid| (Some(uid), Request::Get("beacons/c1".to_owned()));
    world
        .seed(&[("beacons/c2", json!({ "campaignId": "c2" }))])
        .await;
    world
        .check(&[
            row("a stranger", ("zed", right()), ("pia", right())),
            row("a viewer touches again", ("max", right()), ("vic", right())),
            row(
                "one's own time",
                (
                    "gm",
                    world.untimed("beacons/c1", json!({ "campaignId": "c1" })),
                ),
                ("gm", right()),
            ),
            row(
                "anything else",
                (
                    "gm",
                    touch("beacons/c1", json!({ "campaignId": "c1", "note": "x" })),
                ),
                ("gm", right()),
            ),
            row(
                "no campaignId",
                ("gm", touch("beacons/c1", json!({ "campaignId": null }))),
                ("gm", right()),
            ),
            row(
                "touched is a map",
                (
                    "gm",
                    world.edit(
                        "beacons/c1",
                        json!({ "campaignId": "c1", "touched": "now" }),
                    ),
                ),
                (
                    "gm",
                    world.edit("beacons/c1", json!({ "campaignId": "c1", "touched": {} })),
                ),
            ),
            row(
                "for another campaign",
                ("gm", touch("beacons/c1", json!({ "campaignId": "c2" }))),
                ("gm", right()),
            ),
            row(
                "another campaign's",
                ("gm", touch("beacons/c2", json!({ "campaignId": "c2" }))),
                ("zed", touch("beacons/c2", json!({ "campaignId": "c2" }))),
            ),
            Row {
                what: "a stranger lists",
                forbidden: list("zed", "c1"),
                allowed: list("vic", "c1"),
            },
            Row {
                what: "a stranger gets",
                forbidden: get("zed"),
                allowed: get("vic"),
            },
        ])
        .await;
}
