use moonforge_model::FieldPath;
use moonforge_ports::{Filter, RemoteErrorKind, RemoteQuery, RemoteStore, RemoteWrite};
use serde_json::json;

use super::{World, campaign, kind_of, listed};
use crate::conformance::{change, create, doc, path};

const DENIED: Option<RemoteErrorKind> = Some(RemoteErrorKind::PermissionDenied);

fn scene(visibility: &str) -> serde_json::Value {
    json!({"rev": 0, "campaignId": "c", "title": "Ash", "visibility": visibility})
}

fn list(collection: &str, campaigns: &[&str], players_only: bool) -> RemoteQuery {
    let campaigns = campaigns.iter().map(|c| (*c).to_owned()).collect();
    let mut filters = vec![Filter::In(path("campaignId"), campaigns)];
    if players_only {
        filters.push(Filter::Equals(path("visibility"), "players".to_owned()));
    }
    RemoteQuery {
        filters,
        ..RemoteQuery::all(doc(collection, "x").collection)
    }
}

#[tokio::test]
async fn rules_run_before_preconditions() {
    let world = World::with_campaign().await;
    let (owner, scene_doc) = (world.device("owner"), doc("scenes", "s"));
    let made = create(scene_doc.clone(), scene("gm"));
    owner.commit(std::slice::from_ref(&made)).await.unwrap();
    // A create that meets a document is told so; a replay of an applied change is denied.
    assert_eq!(
        kind_of(&owner, &[made]).await,
        Some(RemoteErrorKind::AlreadyExists)
    );
    let old = world.version(&scene_doc);
    let write = world.update(
        scene_doc.clone(),
        json!({"rev": 1, "title": "Ember"}),
        &["rev", "title"],
    );
    owner.commit(std::slice::from_ref(&write)).await.unwrap();
    assert_eq!(kind_of(&owner, &[write]).await, DENIED);
    // The right rev with an old version is a failed precondition.
    let right_rev = change(scene_doc, old, json!({"rev": 2}), &["rev"]);
    assert_eq!(
        kind_of(&owner, &[right_rev]).await,
        Some(RemoteErrorKind::FailedPrecondition)
    );
}

#[tokio::test]
async fn a_write_without_the_servers_time_is_denied() {
    let world = World::with_campaign().await;
    let write = RemoteWrite {
        server_time: vec![],
        ..create(doc("scenes", "s"), scene("gm"))
    };
    assert_eq!(kind_of(&world.device("owner"), &[write]).await, DENIED);
}

#[tokio::test]
async fn writers_are_ones_own_and_not_forgotten() {
    let world = World::with_campaign().await;
    let scene_doc = doc("scenes", "s");
    let mut first = scene("gm");
    first["writers"] = json!({"owner": {"i1": {"n": 1, "op": "a"}}});
    world
        .device("owner")
        .commit(&[create(scene_doc.clone(), first)])
        .await
        .unwrap();
    for (uid, value, mask, passes) in [
        (
            "dm",
            json!({"writers": {"owner": {"i1": {"n": 9}}}}),
            "writers.owner.i1",
            false,
        ),
        ("dm", json!({}), "writers", false),
        ("owner", json!({}), "writers.owner.i1", false),
        ("owner", json!({"writers": 1}), "writers", false),
        (
            "dm",
            json!({"writers": {"dm": {"i2": {"n": 1}}}}),
            "writers.dm.i2",
            true,
        ),
        (
            "owner",
            json!({"writers": {"owner": {"i3": {"n": 1}}}}),
            "writers.owner.i3",
            true,
        ),
        ("dm", json!({}), "title", true),
    ] {
        let rev = world.server.document(&scene_doc).unwrap().fields["rev"]
            .as_i64()
            .unwrap()
            + 1;
        let mut value = value;
        value["rev"] = json!(rev);
        let write = world.update(scene_doc.clone(), value, &["rev", mask]);
        let expected = if passes { None } else { DENIED };
        assert_eq!(
            kind_of(&world.device(uid), &[write]).await,
            expected,
            "{uid} {mask}"
        );
    }
}

#[tokio::test]
async fn a_campaign_and_its_children_are_made_in_one_commit() {
    let world = World::new();
    let mut writes = vec![create(doc("scenes", "s"), scene("gm"))];
    let owner = world.device("owner");
    assert_eq!(
        kind_of(&owner, &writes).await,
        DENIED,
        "a child before its campaign"
    );
    writes.push(create(doc("campaigns", "c"), campaign()));
    assert_eq!(
        kind_of(&world.device("dm"), &writes).await,
        DENIED,
        "not its owner"
    );
    assert_eq!(kind_of(&owner, &writes).await, None);
    let mut moved = world.update(
        doc("scenes", "s"),
        json!({"rev": 1, "campaignId": "d"}),
        &["rev"],
    );
    moved.mask = Some(vec![
        FieldPath::field("rev"),
        FieldPath::field("campaignId"),
    ]);
    assert_eq!(kind_of(&owner, &[moved]).await, DENIED, "campaignId stays");
    assert_eq!(
        kind_of(&owner, &[create(doc("hoards", "h"), json!({"rev": 0}))]).await,
        DENIED
    );
}

#[tokio::test]
async fn players_see_what_is_for_players() {
    let world = World::with_campaign().await;
    let owner = world.device("owner");
    let secret = json!({"rev": 0, "campaignId": "c", "target": "scenes/open", "gmNotes": "x"});
    let writes = [
        create(doc("scenes", "open"), scene("players")),
        create(doc("scenes", "hidden"), scene("gm")),
        create(doc("secrets", "scenes~open"), secret),
        RemoteWrite {
            server_time: vec![path("updatedAt"), path("touched.scenes")],
            ..create(doc("beacons", "c"), json!({"campaignId": "c"}))
        },
    ];
    owner.commit(&writes).await.unwrap();
    let denied = Err(RemoteErrorKind::PermissionDenied);
    for (uid, gets_hidden, gets_secret) in [
        ("owner", true, true),
        ("dm", true, true),
        ("player", false, false),
        ("viewer", false, false),
    ] {
        let remote = world.device(uid);
        assert!(
            remote
                .batch_get(&[doc("scenes", "open"), doc("scenes", "absent")])
                .await
                .is_ok()
        );
        let both = remote
            .batch_get(&[doc("scenes", "open"), doc("scenes", "hidden")])
            .await;
        assert_eq!(both.is_ok(), gets_hidden, "{uid}");
        assert_eq!(
            remote
                .batch_get(&[doc("secrets", "scenes~open")])
                .await
                .is_ok(),
            gets_secret
        );
        let (all, secrets) = if gets_hidden {
            (Ok(2), Ok(1))
        } else {
            (denied, denied)
        };
        assert_eq!(
            listed(&remote, list("scenes", &["c"], false)).await,
            all,
            "{uid}"
        );
        assert_eq!(
            listed(&remote, list("scenes", &["c"], true)).await,
            Ok(1),
            "{uid}"
        );
        assert_eq!(
            listed(&remote, list("secrets", &["c"], false)).await,
            secrets,
            "{uid}"
        );
        assert_eq!(
            listed(&remote, list("beacons", &["c"], false)).await,
            Ok(1),
            "{uid}"
        );
        assert_eq!(
            remote
                .aggregate(&list("scenes", &["c"], false))
                .await
                .is_ok(),
            gets_hidden
        );
    }
    let stranger = world.device("stranger");
    assert_eq!(
        listed(&stranger, list("scenes", &["c"], true)).await,
        denied
    );
    assert_eq!(
        listed(&owner, list("scenes", &["c", "other"], false)).await,
        denied
    );
    let bare = RemoteQuery::all(doc("scenes", "x").collection);
    assert_eq!(
        listed(&owner, bare).await,
        denied,
        "a list must be provable"
    );
}

#[tokio::test]
async fn campaigns_are_listed_by_ones_own_membership() {
    let world = World::with_campaign().await;
    let by = |uid: &str| RemoteQuery {
        filters: vec![Filter::Contains(path("memberUids"), uid.to_owned())],
        ..RemoteQuery::all(doc("campaigns", "c").collection)
    };
    let denied = Err(RemoteErrorKind::PermissionDenied);
    assert_eq!(listed(&world.device("player"), by("player")).await, Ok(1));
    assert_eq!(listed(&world.device("player"), by("owner")).await, denied);
    assert_eq!(
        listed(&world.device("stranger"), by("stranger")).await,
        Ok(0)
    );
    let bare = RemoteQuery {
        filters: vec![],
        ..by("x")
    };
    assert_eq!(listed(&world.device("owner"), bare).await, denied);
    assert!(
        world
            .device("stranger")
            .batch_get(&[doc("campaigns", "c")])
            .await
            .is_err()
    );
}

#[tokio::test]
async fn the_twenty_first_campaign_is_denied_and_the_eleventh_in_a_query() {
    let world = World::new();
    let owner = world.device("owner");
    let ids: Vec<String> = (0..21).map(|i| format!("c{i:02}")).collect();
    for id in &ids {
        owner
            .commit(&[create(doc("campaigns", id), campaign())])
            .await
            .unwrap();
    }
    let scene = |id: &String| {
        create(
            doc("scenes", id),
            json!({"rev": 0, "campaignId": id, "title": "Ash"}),
        )
    };
    let scenes: Vec<_> = ids.iter().map(scene).collect();
    assert_eq!(kind_of(&owner, &scenes).await, DENIED);
    assert_eq!(kind_of(&owner, &scenes[..20]).await, None);
    assert_eq!(kind_of(&owner, &scenes[20..]).await, None);
    let names: Vec<&str> = ids.iter().map(String::as_str).collect();
    // A query may look up half as many in production.
    let eleven = list("scenes", &names[..11], false);
    assert!(listed(&owner, eleven.clone()).await.is_err());
    assert!(owner.aggregate(&eleven).await.is_err());
    assert_eq!(
        listed(&owner, list("scenes", &names[..10], false)).await,
        Ok(10)
    );
    let docs: Vec<_> = names.iter().map(|id| doc("scenes", id)).collect();
    assert!(owner.batch_get(&docs).await.is_err());
    assert!(owner.batch_get(&docs[1..]).await.is_ok());
}

#[tokio::test]
async fn only_a_tombstone_is_purged_and_not_at_once() {
    let past = "2020-01-01T00:00:00Z";
    let at = |text: &str| json!({"$timestamp": text});
    let (early, late) = (at(past), at("2999-01-01T00:00:00Z"));
    let tomb = json!({"deletedAt": past, "purgeAt": early});
    let old = json!({"purgeAt": early});
    let live = json!({});
    let both = ["deletedAt", "purgeAt"];
    let cases = [
        (&live, json!({"purgeAt": late}), &["purgeAt"][..], false),
        (
            &live,
            json!({"deletedAt": past, "purgeAt": early}),
            &both,
            false,
        ),
        (
            &live,
            json!({"deletedAt": past, "purgeAt": past}),
            &both,
            false,
        ),
        (&live, json!({"deletedAt": "soon"}), &["deletedAt"], false),
        (&live, json!({"deletedAt": 7}), &["deletedAt"], false),
        (&tomb, json!({}), &["deletedAt"], false),
        (
            &live,
            json!({"deletedAt": past, "purgeAt": late}),
            &both,
            true,
        ),
        (&live, json!({"deletedAt": past}), &["deletedAt"], true),
        (&live, json!({"deletedAt": null}), &["deletedAt"], true),
        (&tomb, json!({"title": "Late"}), &["title"], true),
        (&tomb, json!({}), &both, true),
        (&old, json!({"title": "Late"}), &["title"], true),
    ];
    for (before, value, mask, passes) in cases {
        for collection in ["scenes", "campaigns", "secrets"] {
            let world = World::with_campaign().await;
            let doc = doc(collection, "c");
            let mut fields = if collection == "campaigns" {
                campaign()
            } else {
                scene("gm")
            };
            fields
                .as_object_mut()
                .unwrap()
                .extend(before.as_object().unwrap().clone());
            world
                .server
                .console_set(&doc, fields.as_object().unwrap().clone());
            let mut value = value.clone();
            value["rev"] = json!(1);
            let write = [world.update(doc, value.clone(), &[mask, &["rev"]].concat())];
            let expected = if passes { None } else { DENIED };
            assert_eq!(
                kind_of(&world.device("owner"), &write).await,
                expected,
                "{collection} {before} {value} {mask:?}"
            );
        }
    }
}

#[tokio::test]
async fn large_documents_and_requests_are_told_apart() {
    let world = World::new();
    let admin = world.server.connect(None, "admin");
    let text = |bytes| json!({"content": "x".repeat(bytes)});
    let big = [create(doc("scenes", "big"), text(1 << 20))];
    assert_eq!(
        kind_of(&admin, &big).await,
        Some(RemoteErrorKind::InvalidArgument)
    );
    let many: Vec<_> = (0..5)
        .map(|i| create(doc("scenes", &format!("s{i}")), text(900_000)))
        .collect();
    assert_eq!(
        kind_of(&admin, &many).await,
        Some(RemoteErrorKind::ResourceExhausted)
    );
    assert_eq!(kind_of(&admin, &many[..4]).await, None);
}
