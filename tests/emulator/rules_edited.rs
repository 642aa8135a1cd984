//! Rules about `edited`: nobody gives weight to what he may not change. An entry, its absence, and one above or below it
//! decide which of two edits is the later one, so each of them is as good as the field itself.

use serde_json::{Map, Value, json};

use crate::rules::{Row, World, campaign, open_child, row};

const EARLIER: &str = "2026-01-01T00:00:00.000Z";
const NOW: &str = "2026-11-21T12:00:00.000Z";

fn time(text: &str) -> Value {
    json!({ "$timestamp": text })
}

/// What is dated at first: all, and the paths in `more`.
fn dated(more: &[&str]) -> Map<String, Value> {
    let paths = ["*"].iter().chain(more);
    paths.map(|p| ((*p).to_owned(), time(EARLIER))).collect()
}

/// The same with `path` dated anew, or (`None`) not dated at all.
fn redated(mut edited: Map<String, Value>, path: &str, at: Option<&str>) -> Value {
    match at {
        Some(at) => edited.insert(path.to_owned(), time(at)),
        None => edited.remove(path),
    };
    edited.into()
}

#[tokio::test]
async fn a_player_dates_nothing_that_decides_who_sees_or_plays() {
    let Some(world) = World::new("edited-player").await else {
        return;
    };
    let known = ["visibility", "playerUids", "summary"];
    let cases: [(&'static str, &str, Option<&str>); 7] = [
        ("all at once", "*", Some(NOW)),
        ("all at once no longer", "*", None),
        ("who sees it", "visibility", Some(NOW)),
        ("who sees it no longer", "visibility", None),
        ("who plays it", "playerUids", Some(NOW)),
        ("below who sees it", "visibility.x", Some(NOW)),
        ("below who plays it", "playerUids.`0`", Some(NOW)),
    ];
    let mut rows: Vec<Row> = Vec::new();
    for (n, (what, path, at)) in cases.into_iter().enumerate() {
        let id = format!("entities/e{n}");
        let entity = json!({ "playerUids": ["pia"], "edited": dated(&known) });
        world.seed(&[(&id, open_child(entity))]).await;
        let edit = |edited| {
            let changes = json!({ "summary": "Limps", "edited": edited });
            ("pia", world.next(&id, changes))
        };
        let own = redated(dated(&known), "summary", Some(NOW));
        rows.push(row(what, edit(redated(dated(&known), path, at)), edit(own)));
    }
    world.check(&rows).await;
}

#[tokio::test]
async fn a_dm_dates_the_roles_of_none_but_those_whom_he_manages() {
    let Some(world) = World::new("edited-dm").await else {
        return;
    };
    let known = ["roles.dee", "roles.pia", "name"];
    let cases: [(&'static str, &str, Option<&str>); 12] = [
        ("all at once", "*", Some(NOW)),
        ("all at once no longer", "*", None),
        ("who owns it", "ownerUid", Some(NOW)),
        ("below who owns it", "ownerUid.x", Some(NOW)),
        ("all roles", "roles", Some(NOW)),
        ("his own role", "roles.dee", Some(NOW)),
        ("his own role no longer", "roles.dee", None),
        ("below his own role", "roles.dee.x", Some(NOW)),
        ("another dm's", "roles.noa", Some(NOW)),
        ("another dm's in backticks", "roles.`noa`", Some(NOW)),
        ("the owner's", "roles.gm", Some(NOW)),
        ("one's who is no member", "roles.max", Some(NOW)),
    ];
    let mut rows: Vec<Row> = Vec::new();
    for (n, (what, path, at)) in cases.into_iter().enumerate() {
        let id = format!("campaigns/k{n}");
        world
            .seed(&[(&id, campaign(json!({ "edited": dated(&known) })))])
            .await;
        let by = |uid, rev: u64, path: &str, at: Option<&str>| {
            let edited = redated(dated(&known), path, at);
            let changes = json!({ "rev": rev, "name": "Ash", "edited": edited });
            (uid, world.edit(&id, changes))
        };
        let forbidden = by("dee", 1, path, at);
        rows.push(row(what, forbidden, by("dee", 1, "name", Some(NOW))));
        let stale = by("gm", 1, path, at);
        rows.push(row("what the owner may", stale, by("gm", 2, path, at)));
    }
    world.check(&rows).await;
}

#[tokio::test]
async fn a_dm_dates_the_roles_of_those_who_come_and_go() {
    let Some(world) = World::new("edited-party").await else {
        return;
    };
    let known = ["roles.dee", "roles.pia", "roles.`p-t`", "name"];
    let members = ["gm", "dee", "noa", "pia", "p-t", "vic"];
    let roles = json!({ "dee": "dm", "pia": "player", "p-t": "player", "vic": "viewer" });
    let start = || {
        let edited = dated(&known);
        campaign(json!({ "memberUids": members, "roles": roles, "edited": edited }))
    };
    for n in 0..4 {
        world.seed(&[(&format!("campaigns/k{n}"), start())]).await;
    }
    let edit = |uid, n: usize, changes: Value, paths: &[&str]| {
        let mut edited = dated(&known);
        for path in paths.iter().chain(&["memberUids"]) {
            edited.insert((*path).to_owned(), time(NOW));
        }
        let mut all = json!({ "rev": 1, "edited": edited });
        let fields = changes.as_object().expect("an object").clone();
        all.as_object_mut().expect("an object").extend(fields);
        (uid, world.edit(&format!("campaigns/k{n}"), all))
    };
    let come = |extra: &[&str]| {
        let members: Value = members.iter().chain(extra).copied().collect();
        let mut roles = roles.clone();
        for uid in extra {
            roles[*uid] = json!("player");
        }
        json!({ "memberUids": members, "roles": roles })
    };
    let mut left = come(&[]);
    left["memberUids"] = json!(["gm", "dee", "noa", "pia", "vic"]);
    left["roles"] = json!({ "dee": "dm", "pia": "player", "vic": "viewer" });
    let added = ["roles.max", "roles.`m-x`"];
    world
        .check(&[
            row(
                "two come",
                edit("dee", 0, come(&["max", "m-x"]), &["roles.max", "roles.dee"]),
                edit("dee", 0, come(&["max", "m-x"]), &added),
            ),
            row(
                "one goes",
                edit("dee", 1, left.clone(), &["roles.`p-t`", "roles.noa"]),
                edit("dee", 1, left, &["roles.`p-t`"]),
            ),
            // Two people added him at once: the second write dates what is there already.
            row(
                "one is there already",
                edit("noa", 2, come(&[]), &["roles.vic", "roles.noa"]),
                edit("noa", 2, come(&[]), &["roles.vic", "roles.`p-t`"]),
            ),
            row(
                "who leaves",
                edit("pia", 3, json!({ "roles": roles }), &["roles.dee"]),
                (
                    "pia",
                    world.edit(
                        "campaigns/k3",
                        json!({
                            "rev": 1, "memberUids": ["gm", "dee", "noa", "p-t", "vic"],
                            "roles.pia": null, "edited": redated(dated(&known), "roles.pia", Some(NOW)),
                        }),
                    ),
                ),
            ),
        ])
        .await;
}

/// `gm`, the dm `noa`, players of one letter, as many dms, and one more player, whom somebody else let in.
fn party(letter: char, players: usize, dms: usize, rev: u64) -> Value {
    let dms = names('d', dms);
    let mut members = vec!["gm".to_owned(), "noa".to_owned()];
    members.extend(names(letter, players));
    members.extend(dms.clone());
    members.push("late".to_owned());
    let role = |name: &String| {
        let role = if dms.contains(name) { "dm" } else { "player" };
        (name.clone(), json!(role))
    };
    let roles: Map<_, _> = members[2..].iter().map(role).collect();
    json!({ "memberUids": members, "roles": roles, "rev": rev, "edited": dated(&[]) })
}

fn names(letter: char, count: usize) -> Vec<String> {
    (1..=count).map(|n| format!("{letter}-{n}")).collect()
}

/// The dearest writes there are: production allows a rule 1,000 expressions.
#[tokio::test]
async fn eight_come_and_eight_go_and_all_are_dated() {
    let Some(world) = World::new("edited-swap").await else {
        return;
    };
    let edit = |id: &str, mut after: Value, who: &[String], more: &str| {
        for name in who {
            after["edited"][format!("roles.`{name}`")] = time(NOW);
        }
        after["edited"][more] = time(NOW);
        ("noa", world.edit(&format!("campaigns/{id}"), after))
    };
    let both = [names('p', 8), names('q', 8)].concat();
    let swap = |more| edit("swap", party('q', 8, 1, 1), &both, more);
    let add = |more| edit("add", party('q', 8, 1, 1), &names('q', 8), more);
    let nine = |more| edit("nine", party('q', 8, 1, 1), &names('q', 8), more);
    world
        .seed(&[
            ("campaigns/swap", campaign(party('p', 8, 1, 0))),
            ("campaigns/add", campaign(party('q', 0, 1, 0))),
            ("campaigns/nine", campaign(party('q', 0, 1, 0))),
        ])
        .await;
    world
        .check(&[
            row("eight and eight", swap("roles.noa"), swap("name")),
            row(
                "eight, and one who is there already",
                add("roles.`d-1`"),
                add("roles.late"),
            ),
            row("all of one's own", nine("roles.gm"), nine("name")),
        ])
        .await;
}
