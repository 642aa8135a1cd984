//! Rules about reading: rules aren't filters, so a query has to name what its asker may see.

use serde_json::{Value, json};

use crate::rules::{Request, Row, World, campaign, child, open_child};

fn filter(field: &str, op: &str, value: Value) -> Value {
    json!({ "fieldFilter": { "field": { "fieldPath": field }, "op": op, "value": value } })
}

fn text(value: &str) -> Value {
    json!({ "stringValue": value })
}

fn of(campaigns: &[&str]) -> Value {
    match campaigns {
        [one] => filter("campaignId", "EQUAL", text(one)),
        many => {
            let values: Vec<Value> = many.iter().map(|id| text(id)).collect();
            filter(
                "campaignId",
                "IN",
                json!({ "arrayValue": { "values": values } }),
            )
        }
    }
}

fn for_players() -> Value {
    filter("visibility", "EQUAL", text("players"))
}

/// A page as the pull asks for it: by `updatedAt` from a time on.
fn page(collection: &str, filters: &[Value]) -> Value {
    let mut all = filters.to_vec();
    let since = json!({ "timestampValue": "2020-01-01T00:00:00Z" });
    all.push(filter("updatedAt", "GREATER_THAN_OR_EQUAL", since));
    json!({
        "from": [{ "collectionId": collection }],
        "where": { "compositeFilter": { "op": "AND", "filters": all } },
        "orderBy": [
            { "field": { "fieldPath": "updatedAt" } },
            { "field": { "fieldPath": "__name__" } },
        ],
        "limit": 300,
    })
}

/// The same question of two people: the first may not, the second may.
fn both(
    what: &'static str,
    request: impl Fn() -> Request,
    who: Option<&'static str>,
    twin: &'static str,
) -> Row {
    Row {
        what,
        forbidden: (who, request()),
        allowed: (Some(twin), request()),
    }
}

#[tokio::test]
async fn members_get_what_their_role_sees() {
    let Some(world) = World::new("get").await else {
        return;
    };
    world
        .seed(&[
            ("scenes/open", open_child(json!({}))),
            ("scenes/gms", child(json!({ "visibility": "gm" }))),
            ("scenes/unset", child(json!({}))),
        ])
        .await;
    let get = |path: &'static str| move || Request::Get(path.to_owned());
    world
        .check(&[
            both(
                "a stranger and a campaign",
                get("campaigns/c1"),
                Some("zed"),
                "vic",
            ),
            both("nobody and a campaign", get("campaigns/c1"), None, "pia"),
            both(
                "a stranger and a scene",
                get("scenes/open"),
                Some("zed"),
                "vic",
            ),
            both("nobody and a scene", get("scenes/open"), None, "pia"),
            both(
                "a player and the GM's",
                get("scenes/gms"),
                Some("pia"),
                "dee",
            ),
            both(
                "a viewer and the GM's",
                get("scenes/gms"),
                Some("vic"),
                "gm",
            ),
            both(
                "a player and one without visibility",
                get("scenes/unset"),
                Some("pia"),
                "noa",
            ),
        ])
        .await;
}

#[tokio::test]
async fn a_missing_document_denies_no_batch() {
    let Some(world) = World::new("batch").await else {
        return;
    };
    world
        .seed(&[
            ("scenes/open", open_child(json!({}))),
            ("scenes/gms", child(json!({}))),
        ])
        .await;
    let batch = |paths: &'static [&str]| {
        move || Request::BatchGet(paths.iter().map(|path| (*path).to_owned()).collect())
    };
    let missing = || {
        let paths = [
            "scenes/open",
            "scenes/x",
            "campaigns/x",
            "secrets/x",
            "beacons/c1",
        ];
        Request::BatchGet(paths.map(str::to_owned).to_vec())
    };
    world
        .check(&[
            both("nobody who signed in", missing, None, "pia"),
            both(
                "one that is denied",
                batch(&["scenes/open", "scenes/gms"]),
                Some("pia"),
                "dee",
            ),
            Row {
                what: "missing in an open collection only",
                forbidden: (Some("gm"), batch(&["scenes/open", "monsters/x"])()),
                allowed: (Some("gm"), batch(&["scenes/open", "entities/x"])()),
            },
        ])
        .await;
    for path in ["campaigns/x", "scenes/x", "secrets/x", "beacons/c1"] {
        let one = || Request::BatchGet(vec![path.to_owned()]);
        world
            .check(&[both("nobody and one that is missing", one, None, "zed")])
            .await;
    }
    let answer = world
        .send(Some("pia"), &Request::Get("scenes/x".to_owned()))
        .await;
    assert_eq!(answer.status, 404, "{answer:?}");
}

#[tokio::test]
async fn a_list_names_its_campaigns_and_a_players_its_visibility() {
    let Some(world) = World::new("list").await else {
        return;
    };
    world.seed(&[("campaigns/c3", campaign(json!({})))]).await;
    for collection in [
        "adventures",
        "chapters",
        "scenes",
        "entities",
        "encounters",
        "sessions",
        "mediaAssets",
    ] {
        let path = |id: &str| format!("{collection}/{id}");
        world
            .seed(&[
                (&path("open"), open_child(json!({}))),
                (&path("gms"), child(json!({}))),
                (&path("third"), open_child(json!({ "campaignId": "c3" }))),
                (&path("zeds"), open_child(json!({ "campaignId": "c2" }))),
            ])
            .await;
        let query = |filters: &[Value]| Request::Query(page(collection, filters));
        let aggregate = |filters: &[Value]| Request::Aggregate(page(collection, filters));
        let mut rows = Vec::new();
        for ask in [&query as &dyn Fn(&[Value]) -> Request, &aggregate] {
            rows.extend([
                both("a stranger", || ask(&[of(&["c1"])]), Some("zed"), "dee"),
                both("nobody who signed in", || ask(&[of(&["c1"])]), None, "gm"),
                both(
                    "a player without visibility",
                    || ask(&[of(&["c1"])]),
                    Some("pia"),
                    "noa",
                ),
                both(
                    "a stranger with visibility",
                    || ask(&[of(&["c1"]), for_players()]),
                    Some("zed"),
                    "pia",
                ),
                Row {
                    what: "without a campaign",
                    forbidden: (Some("gm"), ask(&[])),
                    allowed: (Some("gm"), ask(&[of(&["c1"])])),
                },
                Row {
                    what: "one foreign campaign among them",
                    forbidden: (Some("gm"), ask(&[of(&["c1", "c2"])])),
                    allowed: (Some("gm"), ask(&[of(&["c1", "c3"])])),
                },
                Row {
                    what: "a viewer's filter for the GM's",
                    forbidden: (
                        Some("vic"),
                        ask(&[of(&["c1"]), filter("visibility", "EQUAL", text("gm"))]),
                    ),
                    allowed: (Some("vic"), ask(&[of(&["c1", "c3"]), for_players()])),
                },
            ]);
        }
        world.check(&rows).await;
    }
}

#[tokio::test]
async fn campaigns_are_listed_by_ones_own_membership() {
    let Some(world) = World::new("campaigns").await else {
        return;
    };
    let containing = |uid: &str| {
        json!({
            "from": [{ "collectionId": "campaigns" }],
            "where": filter("memberUids", "ARRAY_CONTAINS", text(uid)),
        })
    };
    let query = |uid: &str| Request::Query(containing(uid));
    let all = || Request::Query(json!({ "from": [{ "collectionId": "campaigns" }] }));
    world
        .check(&[
            Row {
                what: "another's",
                forbidden: (Some("zed"), query("gm")),
                allowed: (Some("zed"), query("zed")),
            },
            Row {
                what: "all",
                forbidden: (Some("gm"), all()),
                allowed: (Some("gm"), query("gm")),
            },
            Row {
                what: "nobody",
                forbidden: (None, query("gm")),
                allowed: (Some("vic"), query("vic")),
            },
            Row {
                what: "counted",
                forbidden: (Some("pia"), Request::Aggregate(containing("gm"))),
                allowed: (Some("pia"), Request::Aggregate(containing("pia"))),
            },
        ])
        .await;
    let answer = world.send(Some("vic"), &query("vic")).await;
    let found = answer
        .body
        .as_array()
        .into_iter()
        .flatten()
        .filter(|e| e.get("document").is_some());
    assert_eq!(found.count(), 1, "c1, and not zed's: {answer:?}");
}

#[tokio::test]
async fn ten_campaigns_fit_into_every_kind_of_request() {
    let Some(world) = World::new("ten").await else {
        return;
    };
    // Each costs a look-up: the emulator stops at the 21st, production after the 10th of a query.
    let ids: Vec<String> = (0..21).map(|n| format!("t{n:02}")).collect();
    for id in &ids {
        let scene = open_child(json!({ "campaignId": id }));
        let (path, scenes) = (format!("campaigns/{id}"), format!("scenes/{id}"));
        world
            .seed(&[(&path, campaign(json!({}))), (&scenes, scene)])
            .await;
    }
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let list = |n: usize| Request::Query(page("scenes", &[of(&ids[..n]), for_players()]));
    let count = |n: usize| Request::Aggregate(page("scenes", &[of(&ids[..n]), for_players()]));
    let batch =
        |n: usize| Request::BatchGet(ids[..n].iter().map(|id| format!("scenes/{id}")).collect());
    let commit = |n: usize, prefix: &str| {
        let scene =
            |id: &&str| world.create(&format!("scenes/{prefix}{id}"), json!({ "campaignId": id }));
        Request::Commit(ids[..n].iter().map(scene).collect())
    };
    world
        .check(&[
            Row {
                what: "list",
                forbidden: (Some("pia"), list(21)),
                allowed: (Some("pia"), list(10)),
            },
            Row {
                what: "count",
                forbidden: (Some("pia"), count(21)),
                allowed: (Some("pia"), count(10)),
            },
            Row {
                what: "batch",
                forbidden: (Some("pia"), batch(21)),
                allowed: (Some("pia"), batch(10)),
            },
            Row {
                what: "commit",
                forbidden: (Some("dee"), commit(21, "n")),
                allowed: (Some("dee"), commit(10, "n")),
            },
        ])
        .await;
}
