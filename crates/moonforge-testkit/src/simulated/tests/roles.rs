use moonforge_ports::{Precondition, RemoteErrorKind, RemoteStore, RemoteWrite};
use serde_json::{Value, json};

use super::{World, kind_of};
use crate::conformance::{create, doc, path};

const DENIED: Option<RemoteErrorKind> = Some(RemoteErrorKind::PermissionDenied);
const NOW: &str = "2026-11-21T12:00:00Z";

#[tokio::test]
async fn players_write_their_entities_and_the_log() {
    let world = World::with_campaign().await;
    let entity = json!({"rev": 0, "campaignId": "c", "name": "Ryn", "kind": "npc",
                        "visibility": "players", "playerUids": ["player"]});
    let session = json!({"campaignId": "c", "title": "One", "visibility": "players"});
    let writes = [
        create(doc("entities", "ryn"), entity),
        create(doc("sessions", "one"), session),
        create(
            doc("scenes", "open"),
            json!({"rev": 0, "campaignId": "c", "visibility": "players"}),
        ),
    ];
    world.device("owner").commit(&writes).await.unwrap();
    let entity = |value, mask: &[&str]| world.update(doc("entities", "ryn"), value, mask);
    let session = |value, mask: &[&str]| world.update(doc("sessions", "one"), value, mask);
    let cases = [
        (
            entity(
                json!({"rev": 1, "visibility": "gm"}),
                &["rev", "visibility"],
            ),
            false,
        ),
        (session(json!({"title": "Two"}), &["title"]), false),
        (
            session(
                json!({"log": "x", "edited": {"title": "t"}}),
                &["log", "edited.title"],
            ),
            false,
        ),
        (
            entity(
                json!({"rev": 1, "edited": {"visibility": "t"}}),
                &["rev", "edited.visibility"],
            ),
            false,
        ),
        (session(json!({"log": 7}), &["log"]), false),
        (
            entity(
                json!({"rev": 1, "deletedAt": NOW, "deleteId": "d"}),
                &["rev", "deletedAt", "deleteId"],
            ),
            false,
        ),
        (
            entity(
                json!({"rev": 1, "edited": {"*": "t"}}),
                &["rev", "edited.`*`"],
            ),
            false,
        ),
        (
            entity(
                json!({"rev": 1, "edited": {"visibility.x": "t"}}),
                &["rev", "edited.`visibility.x`"],
            ),
            false,
        ),
        (
            world.update(doc("scenes", "open"), json!({"rev": 1}), &["rev"]),
            false,
        ),
        (
            entity(json!({"rev": 1, "name": "Rynn"}), &["rev", "name"]),
            true,
        ),
        (session(json!({"log": "We went in."}), &["log"]), true),
    ];
    for (write, passes) in cases {
        let write = [write];
        assert_eq!(kind_of(&world.device("viewer"), &write).await, DENIED);
        let expected = if passes { None } else { DENIED };
        assert_eq!(
            kind_of(&world.device("player"), &write).await,
            expected,
            "{write:?}"
        );
    }
}

/// The campaign's members and roles after a write, by one uid and role each.
fn members(standings: &[(&str, Option<&str>)]) -> Value {
    let uids: Vec<&str> = standings.iter().map(|(uid, _)| *uid).collect();
    let roles: serde_json::Map<_, _> = standings
        .iter()
        .filter_map(|(uid, role)| Some(((*uid).to_owned(), json!((*role)?))))
        .collect();
    json!({"rev": 1, "memberUids": uids, "roles": roles})
}

#[tokio::test]
async fn roles_are_given_by_owner_and_dm_and_anyone_leaves() {
    const OWNER: (&str, Option<&str>) = ("owner", None);
    const DM: (&str, Option<&str>) = ("dm", Some("dm"));
    const PLAYER: (&str, Option<&str>) = ("player", Some("player"));
    const VIEWER: (&str, Option<&str>) = ("viewer", Some("viewer"));
    let cases: [(&str, &[_], bool); 14] = [
        ("player", &[OWNER, DM, VIEWER], true),
        ("player", &[OWNER, DM, PLAYER], false),
        (
            "player",
            &[OWNER, DM, ("player", Some("dm")), VIEWER],
            false,
        ),
        ("viewer", &[OWNER, DM, PLAYER], true),
        ("dm", &[OWNER, DM, VIEWER], true),
        (
            "dm",
            &[OWNER, DM, PLAYER, VIEWER, ("new", Some("player"))],
            true,
        ),
        ("dm", &[OWNER, DM, PLAYER, VIEWER, ("new", None)], false),
        (
            "dm",
            &[OWNER, DM, PLAYER, VIEWER, ("new", Some("dm"))],
            false,
        ),
        (
            "dm",
            &[OWNER, DM, ("player", Some("viewer")), VIEWER],
            false,
        ),
        ("dm", &[OWNER, PLAYER, VIEWER], true),
        ("dm", &[DM, PLAYER, VIEWER], false),
        ("owner", &[OWNER, ("player", Some("dm"))], true),
        ("owner", &[DM, PLAYER, VIEWER], false),
        (
            "stranger",
            &[OWNER, DM, PLAYER, VIEWER, ("stranger", None)],
            false,
        ),
    ];
    for (uid, standings, passes) in cases {
        let world = World::with_campaign().await;
        let mask = ["rev", "memberUids", "roles"];
        let write = [world.update(doc("campaigns", "c"), members(standings), &mask)];
        let expected = if passes { None } else { DENIED };
        assert_eq!(
            kind_of(&world.device(uid), &write).await,
            expected,
            "{uid} {standings:?}"
        );
    }
    let world = World::with_campaign().await;
    let to = |uid: &str| {
        let value = json!({"rev": 1, "ownerUid": uid});
        [world.update(doc("campaigns", "c"), value, &["rev", "ownerUid"])]
    };
    assert_eq!(kind_of(&world.device("dm"), &to("dm")).await, DENIED);
    assert_eq!(
        kind_of(&world.device("owner"), &to("stranger")).await,
        DENIED
    );
    assert_eq!(kind_of(&world.device("owner"), &to("dm")).await, None);
}

#[tokio::test]
async fn a_dm_dates_no_roles_but_those_of_whom_he_manages() {
    let members = |more: &[&str]| -> Value {
        let all = ["owner", "dm", "player", "viewer"];
        all.iter().chain(more).copied().collect()
    };
    let add = |more: &[&str]| {
        let mut value = json!({"rev": 1, "memberUids": members(more), "edited": {}});
        value["roles"] = json!({"dm": "dm", "player": "player", "viewer": "viewer"});
        for uid in more {
            value["roles"][*uid] = json!("player");
        }
        value
    };
    let nine = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    let cases: [(Value, &[&str], bool); 16] = [
        (add(&[]), &["name", "memberUids"], true),
        (add(&[]), &["*"], false),
        (add(&[]), &["ownerUid"], false),
        (add(&[]), &["ownerUid.x"], false),
        (add(&[]), &["roles"], false),
        (add(&[]), &["roles.dm"], false),
        (add(&[]), &["roles.`dm`"], false),
        (add(&[]), &["roles.dm.x"], false),
        (add(&[]), &["roles.owner"], false),
        (add(&[]), &["roles.max"], false),
        (add(&["max"]), &["roles.max", "memberUids"], true),
        (add(&["m-x"]), &["roles.`m-x`"], true),
        (add(&["max"]), &["roles.max", "roles.dm"], false),
        // One whom the owner let in at the same time.
        (add(&[]), &["roles.viewer"], true),
        (add(&nine[..8]), &["roles.a"], true),
        (add(&nine), &["roles.a"], false),
    ];
    for (mut value, dated, passes) in cases {
        let world = World::with_campaign().await;
        for path in dated {
            value["edited"][*path] = json!({"$timestamp": NOW});
        }
        let mask = ["rev", "memberUids", "roles", "edited"];
        let write = [world.update(doc("campaigns", "c"), value, &mask)];
        let expected = if passes { None } else { DENIED };
        assert_eq!(
            kind_of(&world.device("dm"), &write).await,
            expected,
            "{dated:?}"
        );
    }
}

#[tokio::test]
async fn every_member_touches_the_beacon_and_nothing_else_in_it() {
    let world = World::with_campaign().await;
    let beacon = |id: &str, value| RemoteWrite {
        server_time: vec![path("updatedAt"), path("touched.scenes")],
        precondition: Precondition::None,
        ..create(doc("beacons", id), value)
    };
    for uid in ["owner", "dm", "player", "viewer"] {
        let write = [beacon("c", json!({"campaignId": "c"}))];
        assert_eq!(kind_of(&world.device(uid), &write).await, None, "{uid}");
    }
    let cases = [
        ("stranger", beacon("c", json!({"campaignId": "c"}))),
        ("owner", beacon("d", json!({"campaignId": "c"}))),
        (
            "owner",
            beacon("c", json!({"campaignId": "c", "gmNotes": "x"})),
        ),
    ];
    for (uid, write) in cases {
        let write = [write];
        assert_eq!(
            kind_of(&world.device(uid), &write).await,
            DENIED,
            "{uid} {write:?}"
        );
    }
}
