//! What a document links to.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::id::DocRef;
use crate::registry::Registry;
use crate::schema::CollectionConfig;
use crate::value::Fields;

/// Fields that hold the id of a document, or a list of them, and the collection where that is.
const IDS: [(&str, &str); 6] = [
    ("entityIds", "entities"),
    ("locationId", "entities"),
    ("parentPlaceId", "entities"),
    ("sceneIds", "scenes"),
    ("encounterIds", "encounters"),
    ("coverAssetId", "mediaAssets"),
];

/// The documents that one names directly: its campaign, its parent, the ids in fields whose names say what they are
/// (`entityIds`, `locationId`, `sceneIds`, …), mentions, media, combatants, the target of a secret, and references of
/// Firestore's own type (`{"$ref": …}`) anywhere. Only those in registered collections, and not itself.
pub fn links(
    registry: &Registry,
    config: &CollectionConfig,
    doc: &DocRef,
    fields: &Fields,
) -> BTreeSet<DocRef> {
    let mut found = Found {
        registry,
        links: BTreeSet::new(),
    };
    if config.in_campaign {
        found.add("campaigns", fields.get("campaignId"));
    }
    if let Some(parent) = &config.parent {
        found.add(parent.collection.as_str(), fields.get(&parent.field));
    }
    for (field, collection) in IDS {
        found.add(collection, fields.get(field));
    }
    for asset in items(fields, "mediaRefs").chain(items(fields, "images")) {
        found.add("mediaAssets", asset.get("assetId"));
    }
    for mention in items(fields, "mentions") {
        let kind = mention.get("kind").and_then(Value::as_str);
        found.add(
            collection_of(registry, kind.unwrap_or("")),
            mention.get("id"),
        );
    }
    if let Some(kind) = fields.get("originType").and_then(Value::as_str) {
        found.add(collection_of(registry, kind), fields.get("originId"));
    }
    if let Some(Value::Object(combatants)) = fields.get("combatants") {
        for combatant in combatants.values() {
            found.add("entities", combatant.get("entityId"));
        }
    }
    if config.name.as_str() == "secrets"
        && let Some(target) = fields.get("target").and_then(Value::as_str)
        && let Some((collection, id)) = target.split_once(['/', '~'])
    {
        found.add_one(collection, id);
    }
    fields
        .values()
        .for_each(|value| found.add_references(value));
    found.links.remove(doc);
    found.links
}

struct Found<'a> {
    registry: &'a Registry,
    links: BTreeSet<DocRef>,
}

impl Found<'_> {
    fn add(&mut self, collection: &str, ids: Option<&Value>) {
        match ids {
            Some(Value::String(id)) => self.add_one(collection, id),
            Some(Value::Array(ids)) => ids.iter().for_each(|id| {
                if let Value::String(id) = id {
                    self.add_one(collection, id);
                }
            }),
            _ => {}
        }
    }

    fn add_one(&mut self, collection: &str, id: &str) {
        if self.registry.get(collection).is_some()
            && let Ok(link) = DocRef::parse(collection, id)
        {
            self.links.insert(link);
        }
    }

    fn add_references(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.add_references(item)),
            Value::Object(members) => match members.get("$ref") {
                Some(Value::String(path)) if members.len() == 1 => {
                    let path = path.split_once("/documents/").map_or("", |(_, path)| path);
                    if let Some((collection, id)) = path.split_once('/') {
                        self.add_one(collection, id);
                    }
                }
                _ => members
                    .values()
                    .for_each(|member| self.add_references(member)),
            },
            _ => {}
        }
    }
}

fn items<'a>(fields: &'a Fields, field: &str) -> impl Iterator<Item = &'a Value> {
    fields
        .get(field)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// The collection of what is called `kind`: its own name, its singular, or an entity's kind.
fn collection_of<'a>(registry: &'a Registry, kind: &str) -> &'a str {
    let names = |c: &&CollectionConfig| {
        let name = c.name.as_str();
        name == kind || name.strip_suffix('s') == Some(kind) && !kind.is_empty()
    };
    let found = registry.iter().find(names).map(|c| c.name.as_str());
    found.unwrap_or("entities")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn links_of(collection: &str, fields: Value) -> Vec<String> {
        let registry = Registry::builtin();
        let config = registry.get(collection).unwrap();
        let doc = DocRef::parse(collection, "self").unwrap();
        let found = links(&registry, config, &doc, fields.as_object().unwrap());
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_scene_links_to_what_it_names() {
        let scene = json!({
            "campaignId": "k", "chapterId": "c", "entityIds": ["e1", 7], "locationId": "l",
            "mentions": [{"kind": "npc", "id": "e2"}, {"kind": "scene", "id": "s2"}, {"kind": "scene", "id": "self"}],
            "mediaRefs": [{"assetId": "m"}],
            "props": {"map": {"$ref": "projects/p/databases/(default)/documents/encounters/x"}},
        });
        assert_eq!(
            links_of("scenes", scene),
            [
                "campaigns/k",
                "chapters/c",
                "encounters/x",
                "entities/e1",
                "entities/e2",
                "entities/l",
                "mediaAssets/m",
                "scenes/s2"
            ]
        );
    }

    #[test]
    fn what_can_be_no_document_is_no_link() {
        let odd = json!({
            "campaignId": 7, "entityIds": "a/b", "mentions": "x", "mediaRefs": [null, {"assetId": []}],
            "x": {"$ref": "nowhere"}, "y": {"$ref": "projects/p/databases/d/documents/unknown/x"},
        });
        assert!(links_of("scenes", odd).is_empty());
    }

    #[test]
    fn an_encounter_links_to_its_combatants_and_a_secret_to_its_target() {
        let fight = json!({"combatants": {"k1": {"entityId": "orc"}, "k2": {"name": "x"}}});
        assert_eq!(links_of("encounters", fight), ["entities/orc"]);
        for target in ["scenes/s", "scenes~s"] {
            assert_eq!(links_of("secrets", json!({"target": target})), ["scenes/s"]);
        }
    }
}
