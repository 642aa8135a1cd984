//! What production needs and the emulator doesn't ask for: `firebase/firestore.indexes.json` against the collections.

use std::collections::BTreeSet;

use moonforge_model::{CollectionConfig, FieldKind, Guard, builtin};
use moonforge_testkit::emulator::rules_path;
use serde_json::{Value, json};

use crate::rules::{Row, World, row};

type Index = (String, Vec<String>);

fn file() -> Value {
    let path = rules_path().with_file_name("firestore.indexes.json");
    let text = std::fs::read_to_string(path).expect("firebase/firestore.indexes.json");
    serde_json::from_str(&text).expect("it is JSON")
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// The indexes of one kind of child: each set of equalities, by time for pages, with `rev` for sums. SUM reads its field
/// from the index, and an index holds only documents that have all its fields, so pages need one without `rev`.
fn wanted(config: &CollectionConfig) -> Vec<Index> {
    let mut filters = vec![vec!["campaignId"]];
    if config.has_visibility {
        filters.push(vec!["campaignId", "visibility"]);
    }
    let mut all: Vec<Vec<&str>> = Vec::new();
    for filter in filters {
        all.push([&filter[..], &["updatedAt"]].concat());
        if config.guard == Guard::Rev {
            all.push([&filter[..], &["updatedAt", "rev"]].concat());
            all.push([&filter[..], &["rev"]].concat());
        }
    }
    if config.guard == Guard::Rev {
        // An admin asks without a campaign.
        all.push(vec!["updatedAt", "rev"]);
    }
    let name = config.name.to_string();
    let owned = |fields: Vec<&str>| fields.into_iter().map(str::to_owned).collect();
    all.into_iter()
        .map(|fields| (name.clone(), owned(fields)))
        .collect()
}

#[test]
fn every_query_of_a_pull_has_its_index() {
    let file = file();
    let listed: BTreeSet<Index> = file["indexes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|index| {
            assert_eq!(index["queryScope"], "COLLECTION");
            let fields = index["fields"].as_array().expect("a list");
            let ascending = |field: &Value| {
                assert_eq!(field["order"], "ASCENDING", "{index}");
                text(&field["fieldPath"])
            };
            (
                text(&index["collectionGroup"]),
                fields.iter().map(ascending).collect(),
            )
        })
        .collect();
    let mut expected: BTreeSet<Index> = builtin()
        .iter()
        .filter(|config| config.in_campaign)
        .flat_map(wanted)
        .collect();
    expected.insert((
        "beacons".to_owned(),
        vec!["campaignId".to_owned(), "updatedAt".to_owned()],
    ));
    assert_eq!(listed, expected);
}

#[test]
fn what_no_query_asks_for_is_not_indexed() {
    let file = file();
    let listed: BTreeSet<(String, String)> = file["fieldOverrides"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| {
            assert_eq!(entry["indexes"], json!([]), "{entry}");
            (text(&entry["collectionGroup"]), text(&entry["fieldPath"]))
        })
        .collect();
    let mut expected = BTreeSet::from([("beacons".to_owned(), "touched".to_owned())]);
    for config in builtin() {
        let long = |kind| matches!(kind, FieldKind::Text | FieldKind::KeyedMap);
        let fields = config
            .fields
            .iter()
            .filter(|f| long(f.kind) || f.name == "statblock");
        let names = fields.map(|f| f.name.as_str()).chain(["writers", "edited"]);
        expected.extend(names.map(|name| (config.name.to_string(), name.to_owned())));
    }
    assert_eq!(listed, expected);
}

#[tokio::test]
async fn the_rules_open_every_built_in_collection() {
    let Some(world) = World::new("builtin").await else {
        return;
    };
    let children = builtin().into_iter().filter(|config| config.in_campaign);
    let rows: Vec<Row> = children
        .map(|config| {
            let write = || world.create(&format!("{}/new", config.name), json!({}));
            row("created by a stranger", ("zed", write()), ("gm", write()))
        })
        .collect();
    assert_eq!(rows.len(), 8);
    world.check(&rows).await;
}
