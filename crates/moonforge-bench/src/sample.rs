//! The documents: one campaign, and scenes of about 1 KB.

use moonforge::{DocRef, Timestamp};
use moonforge_testkit::emulator::{Project, fields};
use serde_json::{Value, json};

/// The one user.
pub(crate) const USER: &str = "gm";
/// The one campaign.
pub(crate) const CAMPAIGN: &str = "ember-keep";

/// The campaign, plain.
pub(crate) fn campaign() -> Value {
    json!({
        "name": "The Ember Keep",
        "ownerUid": USER,
        "memberUids": [USER],
        "createdAt": "2026-11-21T18:30:00Z",
    })
}

/// The how-manieth scene, plain.
pub(crate) fn scene(n: usize) -> Value {
    let content = format!(
        "The party comes to door {n}. Behind it the corridor bends twice, and whoever listens hears the forge below. {}",
        "Soot lies on the steps, and the third of them gives way. ".repeat(9)
    );
    json!({
        "campaignId": CAMPAIGN,
        "chapterId": format!("chapter-{}", n / 100),
        "title": format!("Door {n}"),
        "order": format!("a{n:06}"),
        "summary": "A door, a corridor, and what waits at its end.",
        "content": content,
        "readAloud": "The door is warm to the touch.",
        "entityIds": [format!("npc-{}", n % 37), format!("item-{}", n % 91)],
        "mentions": [{ "kind": "npc", "id": format!("npc-{}", n % 37) }],
        "status": "draft",
        "visibility": "gm",
        "createdAt": "2026-11-21T18:30:00Z",
    })
}

/// The id of the how-manieth scene.
pub(crate) fn scene_id(n: usize) -> String {
    // As with random ids, neighbours in time aren't neighbours by name.
    format!(
        "{:016x}",
        (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    )
}

/// A document of the sample by its names.
pub(crate) fn doc(collection: &str, id: &str) -> DocRef {
    DocRef::parse(collection, id).expect("the sample's names are sound")
}

/// Firestore's form of a plain document, whose `createdAt` is a time there.
fn wire_fields(mut plain: Value) -> Value {
    plain["createdAt"] = json!({ "$timestamp": plain["createdAt"] });
    plain["rev"] = 0.into();
    fields(&plain)
}

/// A write of Firestore's that creates a document as our rules want it.
fn creation(project: &Project, path: &str, plain: Value) -> Value {
    json!({
        "update": { "name": project.name(path), "fields": wire_fields(plain) },
        "updateTransforms": [server_time()],
        "currentDocument": { "exists": false },
    })
}

fn server_time() -> Value {
    json!({ "fieldPath": "updatedAt", "setToServerValue": "REQUEST_TIME" })
}

/// The campaign's creation.
pub(crate) fn campaign_creation(project: &Project) -> Value {
    creation(project, &format!("campaigns/{CAMPAIGN}"), campaign())
}

/// A scene's creation.
pub(crate) fn scene_creation(project: &Project, n: usize) -> Value {
    creation(project, &format!("scenes/{}", scene_id(n)), scene(n))
}

/// Another client's change of a scene: its title, onto the rev before.
pub(crate) fn scene_change(project: &Project, n: usize, rev: u64) -> Value {
    let plain = json!({ "title": format!("Door {n}, seen {rev} times"), "rev": rev });
    json!({
        "update": { "name": project.name(&format!("scenes/{}", scene_id(n))), "fields": fields(&plain) },
        "updateMask": { "fieldPaths": ["title", "rev"] },
        "updateTransforms": [server_time()],
    })
}

/// The query that finds a campaign's scenes after a position, in the order of a sync's cursor.
pub(crate) fn scenes_after(project: &Project, position: Option<&(Timestamp, String)>) -> Value {
    let field = |path: &str| json!({ "fieldPath": path });
    let condition = |path: &str, op: &str, value: Value| json!({ "fieldFilter": { "field": field(path), "op": op, "value": value } });
    let since = position.map_or(Timestamp::MIN, |(at, _)| *at);
    let mut query = json!({
        "from": [{ "collectionId": "scenes" }],
        "where": { "compositeFilter": { "op": "AND", "filters": [
            condition("campaignId", "EQUAL", json!({ "stringValue": CAMPAIGN })),
            condition("updatedAt", "GREATER_THAN_OR_EQUAL", json!({ "timestampValue": since })),
        ] } },
        "orderBy": [
            { "field": field("updatedAt"), "direction": "ASCENDING" },
            { "field": field("__name__"), "direction": "ASCENDING" },
        ],
    });
    if let Some((at, id)) = position {
        let name = project.name(&format!("scenes/{id}"));
        query["startAt"] = json!({
            "values": [{ "timestampValue": at }, { "referenceValue": name }],
            "before": false,
        });
    }
    json!({ "structuredQuery": query })
}
