//! Rules about a campaign itself: who makes it, who belongs to it, who says so.

use serde_json::{Value, json};

use crate::rules::{Request, Row, World, campaign, child, row};

/// Campaigns that lie at rev 0, one for each line of a table.
async fn world_of_campaigns(name: &str, count: usize) -> Option<World> {
    let world = World::new(name).await?;
    for n in 0..count {
        world.seed(&[(&path(n), campaign(json!({})))]).await;
    }
    Some(world)
}

fn path(n: usize) -> String {
    format!("campaigns/k{n}")
}

const ALL: [&str; 6] = ["gm", "dee", "noa", "pia", "pete", "vic"];

fn all_but(uid: &str) -> Value {
    ALL.iter()
        .copied()
        .filter(|member| *member != uid)
        .collect()
}

fn all_and(uids: &[&str]) -> Value {
    ALL.iter().chain(uids).copied().collect()
}

/// `uid` edits the n-th campaign.
fn edit(world: &World, uid: &'static str, n: usize, changes: Value) -> (&'static str, Value) {
    let mut changes = changes;
    changes["rev"] = json!(1);
    (uid, world.edit(&path(n), changes))
}

#[tokio::test]
async fn a_campaign_is_made_by_its_owner_who_is_a_member() {
    let Some(world) = World::new("make").await else {
        return;
    };
    let make = |id: &str, owner: Value, members: Value| {
        let fields = json!({ "rev": 0, "name": "New", "ownerUid": owner, "memberUids": members });
        ("dee", world.edit(&format!("campaigns/{id}"), fields))
    };
    let right = |id: &str| make(id, json!("dee"), json!(["dee", "pia"]));
    let with_rev = |id: &str, rev: Value| {
        let fields = json!({ "rev": rev, "name": "New", "ownerUid": "dee", "memberUids": ["dee"] });
        ("dee", world.edit(&format!("campaigns/{id}"), fields))
    };
    world
        .check(&[
            row(
                "for another",
                make("a", json!("gm"), json!(["dee", "gm"])),
                right("a"),
            ),
            row(
                "not a member",
                make("b", json!("dee"), json!(["gm"])),
                right("b"),
            ),
            row(
                "without owner",
                make("c", Value::Null, json!(["dee"])),
                right("c"),
            ),
            row(
                "without rev",
                with_rev("f", Value::Null),
                with_rev("f", json!(0)),
            ),
            row("at rev 1", with_rev("g", json!(1)), with_rev("g", json!(0))),
            row(
                "without members",
                make("d", json!("dee"), Value::Null),
                right("d"),
            ),
            Row {
                what: "nobody who signed in",
                forbidden: (None, Request::Commit(vec![right("e").1])),
                allowed: (Some("dee"), Request::Commit(vec![right("e").1])),
            },
        ])
        .await;
}

#[tokio::test]
async fn only_owner_and_dms_edit_a_campaign() {
    let Some(world) = world_of_campaigns("edit", 6).await else {
        return;
    };
    let rename = |uid, n| edit(&world, uid, n, json!({ "name": "Ash" }));
    let touch = |uid, n| edit(&world, uid, n, json!({}));
    world
        .check(&[
            row("a stranger", rename("zed", 0), rename("gm", 0)),
            row("a player", rename("pia", 1), rename("dee", 1)),
            row("a viewer", rename("vic", 2), rename("noa", 2)),
            row(
                "a stranger who changes nothing",
                touch("zed", 4),
                touch("gm", 4),
            ),
            row(
                "a player who changes nothing",
                touch("pia", 5),
                touch("dee", 5),
            ),
            Row {
                what: "nobody who signed in",
                forbidden: (None, Request::Commit(vec![rename("gm", 3).1])),
                allowed: (Some("gm"), Request::Commit(vec![rename("gm", 3).1])),
            },
        ])
        .await;
}

#[tokio::test]
async fn only_the_owner_passes_a_campaign_on_and_to_a_member() {
    let Some(world) = world_of_campaigns("owner", 5).await else {
        return;
    };
    let give = |uid, n, owner: Value| edit(&world, uid, n, json!({ "ownerUid": owner }));
    let leave = json!({ "memberUids": all_but("gm") });
    let pass_on_and_leave = json!({ "memberUids": all_but("gm"), "ownerUid": "pia" });
    world
        .check(&[
            row(
                "a dm",
                give("dee", 0, json!("dee")),
                give("gm", 0, json!("dee")),
            ),
            row(
                "a player",
                give("pia", 1, json!("pia")),
                give("gm", 1, json!("pia")),
            ),
            row(
                "to a stranger",
                give("gm", 2, json!("zed")),
                give("gm", 2, json!("noa")),
            ),
            row(
                "to nobody",
                give("gm", 3, Value::Null),
                give("gm", 3, json!("gm")),
            ),
            row(
                "an owner who leaves passes it on first",
                edit(&world, "gm", 4, leave),
                edit(&world, "gm", 4, pass_on_and_leave),
            ),
        ])
        .await;
}

#[tokio::test]
async fn only_the_owner_makes_and_unmakes_dms() {
    let Some(world) = world_of_campaigns("dms", 10).await else {
        return;
    };
    let by = |uid, n, changes: &Value| edit(&world, uid, n, changes.clone());
    let owners = |what, n, changes: Value| row(what, by("dee", n, &changes), by("gm", n, &changes));
    let add_max = |role: Value| {
        let mut changes = json!({ "memberUids": all_and(&["max"]) });
        if !role.is_null() {
            changes["roles.max"] = role;
        }
        changes
    };
    let swap = json!({ "memberUids": ["gm", "noa", "pia", "pete", "vic", "max"], "roles.dee": null, "roles.max": "dm" });
    let modest = campaign(json!({ "roles": { "gm": "player", "pia": "player" } }));
    world.seed(&[("campaigns/modest", modest)]).await;
    let without_gm = json!({ "rev": 1, "memberUids": all_but("gm") });
    let without_pia = json!({ "rev": 1, "memberUids": all_but("pia") });
    world
        .check(&[
            owners("a dm promotes a player", 0, json!({ "roles.pia": "dm" })),
            owners("by taking his role away", 1, json!({ "roles.pia": null })),
            owners("a dm demotes a dm", 2, json!({ "roles.noa": "player" })),
            owners("or himself", 3, json!({ "roles.dee": "player" })),
            owners(
                "a dm changes who plays and who looks on",
                4,
                json!({ "roles.vic": "player" }),
            ),
            owners("a dm adds a dm", 5, add_max(json!("dm"))),
            owners("or one without a role", 6, add_max(Value::Null)),
            owners(
                "a dm removes a dm",
                7,
                json!({ "memberUids": all_but("noa") }),
            ),
            owners("or leaves a dm in his place", 8, swap),
            row(
                "a dm removes an owner to whom roles gives less",
                ("dee", world.edit("campaigns/modest", without_gm)),
                ("dee", world.edit("campaigns/modest", without_pia)),
            ),
            row(
                "a dm removes the owner",
                by("dee", 9, &json!({ "memberUids": all_but("gm") })),
                by(
                    "dee",
                    9,
                    &json!({ "memberUids": all_but("dee"), "roles.dee": null }),
                ),
            ),
        ])
        .await;
}

#[tokio::test]
async fn a_dm_adds_and_removes_players_and_viewers() {
    let Some(world) = world_of_campaigns("party", 6).await else {
        return;
    };
    let add = |n: usize, uids: &[&str], role: &str| {
        let mut changes = json!({ "memberUids": all_and(uids) });
        for uid in uids {
            changes[format!("roles.{uid}")] = json!(role);
        }
        changes["rev"] = json!(1);
        world.edit(&path(n), changes)
    };
    let remove = |n: usize, uid: &str| {
        let gone = format!("roles.{uid}");
        world.edit(
            &path(n),
            json!({ "rev": 1, "memberUids": all_but(uid), gone: null }),
        )
    };
    let odd = campaign(json!({ "roles": { "dee": "dm", "pia": "player", "pete": "bard" } }));
    world.seed(&[(&path(6), odd)]).await;
    let nine = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    // The dearest write there is: production allows a rule 1,000 expressions.
    let party = |names: &[&str]| {
        let roles: Value = names
            .iter()
            .map(|name| ((*name).to_owned(), json!("player")))
            .collect();
        let members: Value = ["gm", "noa"].iter().chain(names).copied().collect();
        json!({ "memberUids": members, "roles": roles, "rev": 1 })
    };
    let mut old = party(&["p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8"]);
    old["rev"] = json!(0);
    world.seed(&[("campaigns/swap", campaign(old))]).await;
    let swap = || world.edit("campaigns/swap", party(&nine[..8]));
    world
        .check(&[
            row(
                "add a player",
                ("pia", add(0, &["max"], "player")),
                ("dee", add(0, &["max"], "player")),
            ),
            row(
                "add a viewer",
                ("vic", add(1, &["max"], "viewer")),
                ("noa", add(1, &["max"], "viewer")),
            ),
            row(
                "remove a player",
                ("pia", remove(2, "pete")),
                ("dee", remove(2, "pete")),
            ),
            row(
                "remove a viewer",
                ("zed", remove(3, "vic")),
                ("noa", remove(3, "vic")),
            ),
            row(
                "at most eight at once",
                ("dee", add(4, &nine, "player")),
                ("dee", add(4, &nine[..8], "player")),
            ),
            row(
                "one whose role nobody knows",
                ("pia", remove(6, "pete")),
                ("dee", remove(6, "pete")),
            ),
            row(
                "eight leave and eight come",
                ("p1", swap()),
                ("noa", swap()),
            ),
            row(
                "the owner isn't bound by that",
                ("dee", add(5, &nine, "dm")),
                ("gm", add(5, &nine, "dm")),
            ),
        ])
        .await;
}

#[tokio::test]
async fn players_and_viewers_change_nothing_but_their_own_leaving() {
    let Some(world) = world_of_campaigns("leave", 9).await else {
        return;
    };
    let by = |uid, n, changes: Value| edit(&world, uid, n, changes);
    let leave = |uid: &'static str, n| {
        let role = format!("roles.{uid}");
        by(uid, n, json!({ "memberUids": all_but(uid), role: null }))
    };
    let time = json!({ "$timestamp": "2026-11-21T12:00:00.000Z" });
    let with_edited = |n, path: &str| {
        let edited = json!({ "memberUids": time, path: time });
        by(
            "pia",
            n,
            json!({ "memberUids": all_but("pia"), "roles.pia": null, "edited": edited }),
        )
    };
    let left_alone = by("pete", 7, json!({ "memberUids": all_but("pete") }));
    world
        .check(&[
            row(
                "makes himself a dm",
                by("pia", 0, json!({ "roles.pia": "dm" })),
                leave("pia", 0),
            ),
            row(
                "drops his role",
                by("vic", 1, json!({ "roles.vic": null })),
                leave("vic", 1),
            ),
            row(
                "adds a member",
                by(
                    "pia",
                    2,
                    json!({ "memberUids": all_and(&["max"]), "roles.max": "viewer" }),
                ),
                leave("pia", 2),
            ),
            row(
                "removes another",
                by("pia", 3, json!({ "memberUids": all_but("pete") })),
                leave("pia", 3),
            ),
            row(
                "renames while leaving",
                by(
                    "pia",
                    4,
                    json!({ "memberUids": all_but("pia"), "name": "Ash" }),
                ),
                leave("pia", 4),
            ),
            row(
                "takes another's role while leaving",
                by(
                    "pia",
                    5,
                    json!({ "memberUids": all_but("pia"), "roles.vic": null }),
                ),
                leave("pia", 5),
            ),
            row(
                "leaves a better role behind",
                by(
                    "pia",
                    6,
                    json!({ "memberUids": all_but("pia"), "roles.pia": "dm" }),
                ),
                leave("pia", 6),
            ),
            row(
                "leaves and lets another in",
                by(
                    "pete",
                    7,
                    json!({ "memberUids": ["gm", "dee", "noa", "pia", "vic", "max"] }),
                ),
                left_alone,
            ),
            row(
                "dates other fields while leaving",
                with_edited(8, "name"),
                with_edited(8, "roles.pia"),
            ),
        ])
        .await;
}

#[tokio::test]
async fn who_has_left_or_was_removed_is_out() {
    let Some(world) = World::new("out").await else {
        return;
    };
    world
        .seed(&[
            ("scenes/a", child(json!({}))),
            ("scenes/b", child(json!({}))),
        ])
        .await;
    let leave = json!({ "rev": 1, "memberUids": all_but("dee"), "roles.dee": null });
    let leave = Request::Commit(vec![world.edit("campaigns/c1", leave)]);
    assert_eq!(world.send(Some("dee"), &leave).await.status, 200);
    let get = || Request::Get("scenes/a".to_owned());
    world
        .check(&[
            row(
                "writes",
                ("dee", world.next("scenes/a", json!({}))),
                ("noa", world.next("scenes/a", json!({}))),
            ),
            Row {
                what: "reads",
                forbidden: (Some("dee"), get()),
                allowed: (Some("noa"), get()),
            },
        ])
        .await;
}
