//! The built-in collections, described as an app describes its own.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::id::Collection;
use crate::schema::{CollectionConfig, Field, FieldKind, Guard, Parent, Priority};

const VISIBILITY: FieldKind = FieldKind::OneOf(&["gm", "players"]);

/// A description that begins like every built-in collection's.
fn collection(name: &str, fields: &[(&str, FieldKind)]) -> CollectionConfig {
    let is_campaign = name == "campaigns";
    let mut all = vec![
        ("createdAt", FieldKind::Timestamp),
        ("schemaVersion", FieldKind::Integer),
    ];
    if !is_campaign {
        all.extend([
            ("campaignId", FieldKind::String),
            ("visibility", VISIBILITY),
        ]);
    }
    all.extend(fields);
    let required = ["campaignId", "name", "title", "kind"];
    CollectionConfig {
        name: named(name),
        guard: Guard::Rev,
        fields: all
            .into_iter()
            .map(|(name, kind)| Field {
                name: name.to_owned(),
                kind,
                required: required.contains(&name),
            })
            .collect(),
        in_campaign: !is_campaign,
        has_visibility: !is_campaign,
        parent: None,
        policies: BTreeMap::new(),
        interval: Duration::from_secs(15 * 60),
        priority: Priority::Medium,
    }
}

fn named(name: &str) -> Collection {
    Collection::new(name).expect("a fixed and valid name")
}

fn below(field: &str, collection: &str) -> Option<Parent> {
    Some(Parent {
        field: field.to_owned(),
        collection: named(collection),
    })
}

/// The eight aggregates and secrets.
pub fn builtin() -> Vec<CollectionConfig> {
    use FieldKind::{
        Any, Bool, Integer, KeyedMap, List, Map, Number, String, StringList, Text, Timestamp,
    };
    vec![
        CollectionConfig {
            priority: Priority::Critical,
            ..collection(
                "campaigns",
                &[
                    ("name", String),
                    ("description", Text),
                    ("content", Text),
                    ("ownerUid", String),
                    ("memberUids", StringList),
                    ("roles", Map),
                    ("ruleset", String),
                    ("coverAssetId", String),
                    ("icon", String),
                ],
            )
        },
        CollectionConfig {
            priority: Priority::High,
            ..collection(
                "adventures",
                &[
                    ("name", String),
                    ("order", Any),
                    ("summary", Text),
                    ("content", Text),
                    ("entityIds", StringList),
                ],
            )
        },
        CollectionConfig {
            priority: Priority::High,
            parent: below("adventureId", "adventures"),
            ..collection(
                "chapters",
                &[
                    ("adventureId", String),
                    ("name", String),
                    ("order", Any),
                    ("summary", Text),
                    ("content", Text),
                    ("entityIds", StringList),
                ],
            )
        },
        CollectionConfig {
            parent: below("chapterId", "chapters"),
            ..collection(
                "scenes",
                &[
                    ("chapterId", String),
                    ("title", String),
                    ("order", Any),
                    ("summary", Text),
                    ("content", Text),
                    ("readAloud", Text),
                    ("entityIds", StringList),
                    ("mentions", List),
                    ("mediaRefs", List),
                    ("locationId", String),
                    ("status", String),
                ],
            )
        },
        collection(
            "entities",
            &[
                ("kind", String),
                ("name", String),
                ("originType", String),
                ("originId", String),
                ("summary", Text),
                ("tags", StringList),
                ("content", Text),
                ("statblock", Map),
                ("placeType", String),
                ("parentPlaceId", String),
                ("coords", Map),
                ("images", List),
                ("members", List),
                ("playerUids", StringList),
                ("props", Map),
            ],
        ),
        collection(
            "encounters",
            &[
                ("name", String),
                ("originId", String),
                ("status", String),
                ("round", Integer),
                ("activeCombatantId", String),
                ("notes", Text),
                ("loot", Text),
                ("entityIds", StringList),
                ("combatants", KeyedMap),
            ],
        ),
        CollectionConfig {
            guard: Guard::UpdateTime,
            ..collection(
                "sessions",
                &[
                    ("number", Integer),
                    ("title", String),
                    ("datetime", Timestamp),
                    ("status", String),
                    ("log", Text),
                    ("attendeeIds", StringList),
                    ("sceneIds", StringList),
                    ("encounterIds", StringList),
                    ("shareToken", String),
                    ("shareEnabled", Bool),
                    ("shareExpiresAt", Timestamp),
                ],
            )
        },
        CollectionConfig {
            priority: Priority::Low,
            ..collection(
                "mediaAssets",
                &[
                    ("filename", String),
                    ("mime", String),
                    ("size", Integer),
                    ("sha256", String),
                    ("crc32c", String),
                    ("width", Integer),
                    ("height", Integer),
                    ("durationMs", Number),
                    ("captions", List),
                    ("alt", String),
                    ("variants", List),
                    ("storagePath", String),
                    ("storageUrl", String),
                    ("uploadState", String),
                ],
            )
        },
        secrets(),
    ]
}

/// What only owner and dm may read about another document; it has no visibility of its own.
fn secrets() -> CollectionConfig {
    let mut config = collection(
        "secrets",
        &[
            ("target", FieldKind::String),
            ("gmNotes", FieldKind::Text),
            ("info", FieldKind::Text),
            ("combatants", FieldKind::KeyedMap),
        ],
    );
    config.fields.retain(|f| f.name != "visibility");
    config.has_visibility = false;
    config
}
