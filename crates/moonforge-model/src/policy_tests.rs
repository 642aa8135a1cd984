//! Which policy holds where, and which can't be stated.

use super::*;
use crate::registry::{Registry, RegistryError};

fn path(text: &str) -> FieldPath {
    text.parse().unwrap()
}

fn encounters() -> CollectionConfig {
    Registry::builtin().get("encounters").unwrap().clone()
}

#[test]
fn the_nearest_choosing_policy_holds_and_the_collections_stands_above_all() {
    let config = encounters()
        .with_policy_for_all(FieldPolicy::RemoteWins)
        .unwrap()
        .with_policy("props", FieldPolicy::LocalWins)
        .unwrap()
        .with_policy("props.mood", FieldPolicy::LaterWins)
        .unwrap()
        .with_policy("props.gold", FieldPolicy::Counter)
        .unwrap();
    for (at, policy, side) in [
        ("name", FieldPolicy::RemoteWins, FieldPolicy::RemoteWins),
        (
            "props.odd.deep",
            FieldPolicy::LocalWins,
            FieldPolicy::LocalWins,
        ),
        ("props.mood", FieldPolicy::LaterWins, FieldPolicy::LaterWins),
        ("props.gold", FieldPolicy::Counter, FieldPolicy::LocalWins),
        ("notes", FieldPolicy::Text, FieldPolicy::RemoteWins),
        ("combatants", FieldPolicy::KeyedMap, FieldPolicy::RemoteWins),
    ] {
        assert_eq!(config.policy(&path(at)), policy, "{at}");
        assert_eq!(config.side_policy(&path(at)), side, "{at}");
    }
    assert_eq!(encounters().policy(&path("name")), FieldPolicy::LaterWins);
}

#[test]
fn any_name_stands_for_every_entry_and_an_exact_path_is_nearer() {
    let config = encounters()
        .with_policy("combatants.`*`.currentHp", FieldPolicy::Counter)
        .unwrap()
        .with_policy("combatants.boss.currentHp", FieldPolicy::RemoteWins)
        .unwrap();
    let hp = |key: &str| config.policy(&path(&format!("combatants.{key}.currentHp")));
    assert_eq!(hp("k1"), FieldPolicy::Counter);
    assert_eq!(hp("boss"), FieldPolicy::RemoteWins);
    assert_eq!(
        config.policy(&path("combatants.k1.name")),
        FieldPolicy::LaterWins
    );
}

#[test]
fn a_map_can_be_keyed_and_a_text_merged_by_line_wherever_they_are() {
    let config = encounters()
        .with_policy("props.wards", FieldPolicy::KeyedMap)
        .unwrap()
        .with_policy("props.journal", FieldPolicy::Text)
        .unwrap();
    assert_eq!(
        config.keyed_entry(&path("props.wards.north.power")),
        Some(path("props.wards.north"))
    );
    assert_eq!(config.keyed_entry(&path("props.wards")), None);
    assert_eq!(config.keyed_entry(&path("props.gold")), None);
    assert!(config.is_text(&path("props.journal")) && !config.is_text(&path("props.mood")));
}

#[test]
fn a_policy_that_makes_no_sense_is_refused() {
    use FieldPolicy::*;
    let refused = |at: &str, policy| encounters().with_policy(at, policy).unwrap_err();
    for fixed in ["campaignId", "createdAt", "id", "rev", "writers", "`*`"] {
        assert!(
            matches!(refused(fixed, LocalWins), InvalidPolicy::Fixed(_)),
            "{fixed}"
        );
    }
    for (at, policy) in [
        ("name", Counter),
        ("name", Set),
        ("round", Text),
        ("entityIds", KeyedMap),
        ("combatants.`*`.currentHp", Set),
    ] {
        assert!(
            matches!(refused(at, policy), InvalidPolicy::Kind(..)),
            "{at}"
        );
    }
    assert!(matches!(
        refused("name.first", LocalWins),
        InvalidPolicy::InsideValue(_)
    ));
    assert!(matches!(refused("..", LocalWins), InvalidPolicy::Path(_)));
    let below = encounters().with_policy("props.bag", Set).unwrap();
    let below = below.with_policy("props.bag.first", LocalWins);
    assert!(matches!(below, Err(InvalidPolicy::InsideValue(_))));
    for joining in [Text, KeyedMap, Set, Counter] {
        let error = encounters().with_policy_for_all(joining).unwrap_err();
        assert_eq!(error, InvalidPolicy::NotForAll(joining));
    }
}

#[test]
fn a_registry_states_policies_of_its_collections_and_refuses_senseless_ones() {
    let mut registry = Registry::builtin();
    registry
        .state_policy("entities", Some("tags"), FieldPolicy::Set)
        .unwrap();
    registry
        .state_policy("scenes", None, FieldPolicy::RemoteWins)
        .unwrap();
    let policy = |collection: &str, at| registry.get(collection).unwrap().policy(&path(at));
    assert_eq!(policy("entities", "tags"), FieldPolicy::Set);
    assert_eq!(policy("scenes", "title"), FieldPolicy::RemoteWins);
    let unknown = registry
        .clone()
        .state_policy("guilds", None, FieldPolicy::Manual);
    assert_eq!(unknown, Err(RegistryError::Unknown("guilds".to_owned())));
    let odd = registry.state_policy("entities", Some("name"), FieldPolicy::Counter);
    assert!(matches!(odd, Err(RegistryError::Policy(..))));
    // Also where it was put in by hand.
    let mut config = encounters();
    config.name = crate::Collection::new("battles").unwrap();
    config.policies.insert(path("name"), FieldPolicy::Set);
    assert!(matches!(
        registry.register(config),
        Err(RegistryError::Policy(..))
    ));
}
