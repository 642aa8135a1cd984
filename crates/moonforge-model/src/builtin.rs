//! The built-in collections, described as an app describes its own.

use std::time::Duration;

use crate::id::Collection;
use crate::schema::FieldKind::{
    Any, Bool, Integer, KeyedMap, List, Map, Number, Order, String, StringList, Text, Timestamp,
};
use crate::schema::{CollectionConfig, Field, FieldKind, Guard, Priority};

/// The eight aggregates and secrets, parents first.
pub fn builtin() -> Vec<CollectionConfig> {
    vec![
        campaigns(),
        adventures(),
        chapters(),
        scenes(),
        entities(),
        encounters(),
        sessions(),
        media_assets(),
        secrets(),
    ]
}

fn named(name: &str) -> Collection {
    Collection::new(name).expect("a fixed and valid name")
}

fn opt(name: &str, kind: FieldKind) -> Field {
    Field::new(name, kind)
}

/// A collection outside of campaigns: the campaigns themselves.
fn campaigns() -> CollectionConfig {
    let mut config = CollectionConfig::new(
        named("campaigns"),
        [
            Field::required("name", String),
            opt("description", Text),
            opt("content", Text),
            opt("ownerUid", String),
            opt("memberUids", StringList),
            // A role of a newer version is kept, so its value is not looked at.
            opt("roles", Map),
            opt("ruleset", String),
            opt("coverAssetId", String),
            opt("icon", String),
        ],
    );
    config
        .fields
        .retain(|f| f.name != "campaignId" && f.name != "visibility");
    CollectionConfig {
        in_campaign: false,
        has_visibility: false,
        priority: Priority::Critical,
        // Listed whole, for whoever was let in; a beacon tells the members of the rest.
        interval: Duration::from_secs(60 * 60),
        ..config.with_scope_keys(["ownerUid", "memberUids", "ruleset"])
    }
}

fn adventures() -> CollectionConfig {
    CollectionConfig::new(
        named("adventures"),
        [
            Field::required("name", String),
            opt("order", Order),
            opt("summary", Text),
            opt("content", Text),
            opt("entityIds", StringList),
        ],
    )
    .with_priority(Priority::High)
}

fn chapters() -> CollectionConfig {
    CollectionConfig::new(
        named("chapters"),
        [
            opt("adventureId", String),
            Field::required("name", String),
            opt("order", Order),
            opt("summary", Text),
            opt("content", Text),
            opt("entityIds", StringList),
        ],
    )
    .below(named("adventures"), "adventureId")
    .with_priority(Priority::High)
}

fn scenes() -> CollectionConfig {
    CollectionConfig::new(
        named("scenes"),
        [
            opt("chapterId", String),
            Field::required("title", String),
            opt("order", Order),
            opt("summary", Text),
            opt("content", Text),
            opt("readAloud", Text),
            opt("entityIds", StringList),
            opt("mentions", List).holding([opt("kind", String), opt("id", String)]),
            opt("mediaRefs", List).holding([opt("assetId", String), opt("variant", String)]),
            opt("locationId", String),
            opt("status", String),
        ],
    )
    .below(named("chapters"), "chapterId")
}

fn entities() -> CollectionConfig {
    CollectionConfig::new(
        named("entities"),
        [
            // Any text: a kind that a newer version knows must pass.
            Field::required("kind", String),
            Field::required("name", String),
            opt("originType", String),
            opt("originId", String),
            opt("summary", Text),
            opt("tags", StringList),
            opt("content", Text),
            opt("statblock", Map).holding([
                opt("source", String),
                opt("srdRef", Any),
                opt("data", Any),
            ]),
            opt("placeType", String),
            opt("parentPlaceId", String),
            opt("coords", Map).holding([opt("lat", Number), opt("lng", Number)]),
            opt("images", List).holding([opt("assetId", String), opt("kind", String)]),
            opt("members", List),
            opt("playerUids", StringList),
            opt("props", Map),
        ],
    )
}

/// What is known of one combatant.
fn combatant() -> Vec<Field> {
    vec![
        opt("name", String),
        opt("type", String),
        opt("isAlly", Bool),
        opt("currentHp", Integer),
        opt("maxHp", Integer),
        opt("tempHp", Integer),
        opt("armorClass", Integer),
        // People break ties with fractions.
        opt("initiative", Number),
        opt("initiativeModifier", Integer),
        opt("entityId", String),
        // Text: 1/4, 1/2, 5.
        opt("cr", String),
        opt("xp", Integer),
        opt("conditions", StringList),
        opt("notes", String),
        opt("order", Order),
    ]
}

fn encounters() -> CollectionConfig {
    CollectionConfig::new(
        named("encounters"),
        [
            Field::required("name", String),
            opt("originId", String),
            opt("status", String),
            opt("round", Integer),
            opt("activeCombatantId", String),
            opt("notes", Text),
            opt("loot", Text),
            opt("entityIds", StringList),
            opt("combatants", KeyedMap).holding(combatant()),
        ],
    )
}

fn sessions() -> CollectionConfig {
    let config = CollectionConfig::new(
        named("sessions"),
        [
            opt("number", Integer),
            Field::required("title", String),
            opt("datetime", Timestamp),
            opt("status", String),
            opt("log", Text),
            opt("attendeeIds", StringList),
            opt("sceneIds", StringList),
            opt("encounterIds", StringList),
            opt("shareToken", String),
            opt("shareEnabled", Bool),
            opt("shareExpiresAt", Timestamp),
        ],
    );
    CollectionConfig {
        guard: Guard::UpdateTime,
        ..config
    }
}

fn media_assets() -> CollectionConfig {
    CollectionConfig::new(
        named("mediaAssets"),
        [
            opt("filename", String),
            opt("mime", String),
            opt("size", Integer),
            opt("sha256", String),
            opt("crc32c", String),
            opt("width", Integer),
            opt("height", Integer),
            // Players measure seconds in fractions, which make fractions of milliseconds.
            opt("durationMs", Number),
            opt("captions", List),
            opt("alt", String),
            opt("variants", List).holding([
                opt("kind", String),
                opt("path", String),
                opt("width", Integer),
                opt("height", Integer),
                opt("bytes", Integer),
            ]),
            opt("storagePath", String),
            opt("storageUrl", String),
            opt("uploadState", String),
        ],
    )
    .with_priority(Priority::Low)
}

/// What only owner and dm may read about another document; it has no visibility of its own.
fn secrets() -> CollectionConfig {
    let mut config = CollectionConfig::new(
        named("secrets"),
        [
            opt("target", String),
            opt("gmNotes", Text),
            opt("info", Text),
            opt("combatants", KeyedMap).holding(combatant()),
        ],
    );
    config.fields.retain(|f| f.name != "visibility");
    CollectionConfig {
        has_visibility: false,
        ..config
    }
}

#[cfg(test)]
mod tests {
    use super::builtin;
    use crate::schema::{Field, FieldKind};

    fn fields(list: &[Field]) -> String {
        let one = |f: &Field| {
            let must = if f.required { "!" } else { "" };
            let members = match &f.members[..] {
                [] => String::new(),
                known => format!(" {{{}}}", fields(known)),
            };
            format!("{}{must}: {:?}{members}", f.name, f.kind)
        };
        list.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn the_collections_hold_what_other_clients_and_the_rules_rely_on() {
        let written: Vec<String> = builtin()
            .iter()
            .map(|c| {
                let parent = c.parent.as_ref();
                let parent = parent.map_or(String::new(), |p| {
                    format!(" < {}.{}", p.collection, p.field)
                });
                format!(
                    "{}{parent} {:?} {:?}\n  {}",
                    c.name,
                    c.guard,
                    c.priority,
                    fields(&c.fields)
                )
            })
            .collect();
        insta::assert_snapshot!(written.join("\n"));
    }

    #[test]
    fn long_texts_are_merged_by_line_and_nothing_else_is() {
        let long = [
            "content",
            "summary",
            "description",
            "readAloud",
            "notes",
            "loot",
            "log",
            "gmNotes",
            "info",
        ];
        for field in builtin().iter().flat_map(|c| &c.fields) {
            let is_long = long.contains(&field.name.as_str());
            assert_eq!(field.kind == FieldKind::Text, is_long, "{}", field.name);
        }
    }
}
