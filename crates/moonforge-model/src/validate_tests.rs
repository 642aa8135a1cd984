use serde_json::json;

use super::*;
use crate::registry::Registry;

fn check(collection: &str, document: Value) -> Result<(), ValidationError> {
    let registry = Registry::builtin();
    validate(
        registry.get(collection).unwrap(),
        document.as_object().unwrap(),
    )
}

fn refused(collection: &str, document: Value) -> (&'static str, String) {
    let error = check(collection, document).unwrap_err();
    (error.code(), error.to_string())
}

fn remote(collection: &str, document: Value) -> Result<(), ValidationError> {
    let registry = Registry::builtin();
    check_types(
        registry.get(collection).unwrap(),
        document.as_object().unwrap(),
    )
}

fn entity(more: Value) -> Value {
    let mut entity = json!({"campaignId": "c", "kind": "npc", "name": "Mira"});
    entity
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    entity
}

#[test]
fn the_required_fields_are_enough() {
    for (collection, document) in [
        ("campaigns", json!({"name": "The Ember Keep"})),
        ("adventures", json!({"campaignId": "c", "name": "x"})),
        ("chapters", json!({"campaignId": "c", "name": "x"})),
        ("scenes", json!({"campaignId": "c", "title": "x"})),
        (
            "entities",
            json!({"campaignId": "c", "name": "x", "kind": "npc"}),
        ),
        ("encounters", json!({"campaignId": "c", "name": "x"})),
        ("sessions", json!({"campaignId": "c", "title": "x"})),
        ("mediaAssets", json!({"campaignId": "c"})),
        ("secrets", json!({"campaignId": "c"})),
    ] {
        assert_eq!(check(collection, document.clone()), Ok(()), "{collection}");
        for name in document.as_object().unwrap().keys() {
            for blank in [None, Some(Value::Null)] {
                let mut without = document.as_object().unwrap().clone();
                without.remove(name);
                without.extend(blank.map(|value| (name.clone(), value)));
                let error = refused(collection, Value::Object(without));
                assert_eq!(
                    error,
                    ("missing_field", format!("the field `{name}` is required"))
                );
            }
        }
    }
}

#[test]
fn what_comes_from_the_remote_may_lack_everything() {
    for config in Registry::builtin().iter() {
        assert_eq!(check_types(config, &Fields::new()), Ok(()));
        let nulls = config
            .fields
            .iter()
            .map(|f| (f.name.clone(), Value::Null))
            .collect();
        assert_eq!(check_types(config, &nulls), Ok(()));
    }
}

#[test]
fn null_stands_for_absence_of_what_is_optional() {
    assert_eq!(
        check(
            "entities",
            entity(json!({"summary": null, "tags": null, "coords": null}))
        ),
        Ok(())
    );
}

#[test]
fn unknown_fields_and_kinds_pass() {
    let newer =
        json!({"kind": "spaceship", "hull": {"plates": [[1, 2], ["x"]]}, "props": {"a": [1]}});
    assert_eq!(check("entities", entity(newer)), Ok(()));
}

#[test]
fn a_wrong_type_is_named_by_its_path() {
    for (document, path, expected) in [
        (json!({"name": 7}), "name", "a text"),
        (json!({"tags": "a"}), "tags", "a list of texts"),
        (json!({"tags": ["a", 1]}), "tags[1]", "a text"),
        (json!({"props": []}), "props", "an object"),
        (json!({"coords": {"lat": "52"}}), "coords.lat", "a number"),
        (
            json!({"images": [{"assetId": "a"}, {"assetId": 1}]}),
            "images[1].assetId",
            "a text",
        ),
        (json!({"images": ["a"]}), "images[0]", "an object"),
        (json!({"schemaVersion": 1.5}), "schemaVersion", "an integer"),
        (
            json!({"createdAt": 1700000000}),
            "createdAt",
            "a text with a time",
        ),
        (json!({"visibility": true}), "visibility", "a text"),
    ] {
        let document = entity(document);
        let error = ValidationError::WrongType {
            path: path.to_owned(),
            expected,
        };
        assert_eq!(remote("entities", document.clone()), Err(error.clone()));
        assert_eq!(check("entities", document), Err(error.clone()));
        assert_eq!(error.code(), "wrong_type");
    }
    let hurt = json!({"combatants": {"k 1": {"currentHp": "7"}}});
    let message = remote("encounters", hurt).unwrap_err().to_string();
    assert_eq!(
        message,
        "the field `combatants.`k 1`.currentHp` should be an integer"
    );
    assert!(remote("encounters", json!({"combatants": {"k": 1}})).is_err());
    assert!(remote("encounters", json!({"combatants": []})).is_err());
    assert!(remote("sessions", json!({"shareEnabled": 1})).is_err());
}

#[test]
fn texts_that_must_be_something_special_are_checked() {
    let (code, message) = refused("entities", entity(json!({"visibility": "public"})));
    assert_eq!(
        (code, message.as_str()),
        (
            "invalid_value",
            "the field `visibility` should be `gm` or `players`"
        )
    );
    assert_eq!(
        remote("entities", entity(json!({"visibility": "friends"}))),
        Ok(())
    );
    for name in ["createdAt", "datetime", "deletedAt"] {
        assert_eq!(
            refused("entities", entity(json!({name: "yesterday"}))).0,
            "invalid_value",
            "{name}"
        );
    }
    assert_eq!(
        check(
            "sessions",
            json!({"campaignId": "c", "title": "x", "datetime": "2026-11-21T19:00:00+01:00"})
        ),
        Ok(())
    );
}

#[test]
fn a_place_among_siblings_is_a_text_or_an_old_number() {
    for order in [json!("a0"), json!(3), json!(1.5), Value::Null] {
        assert_eq!(
            check(
                "scenes",
                json!({"campaignId": "c", "title": "x", "order": order})
            ),
            Ok(())
        );
    }
    assert_eq!(
        refused(
            "scenes",
            json!({"campaignId": "c", "title": "x", "order": true})
        )
        .0,
        "wrong_type"
    );
}

#[test]
fn names_are_checked_at_every_level() {
    let long = "x".repeat(1501);
    for (document, path) in [
        (json!({"": 1}), "``"),
        (json!({"props": {"__x__": 1}}), "props.__x__"),
        (json!({"props": {"list": [{"": 1}]}}), "props.list[0].``"),
        (json!({ &long: 1 }), long.as_str()),
    ] {
        let (code, message) = refused("entities", entity(document));
        assert_eq!(code, "invalid_name");
        assert!(message.starts_with(&format!("`{path}`: ")), "{message}");
    }
    assert_eq!(
        check(
            "entities",
            entity(json!({"props": {"$cost": 1, "a.b": 2, "é": 3}}))
        ),
        Ok(())
    );
}

/// A vector, which says what it is under a name that no field can have.
#[test]
fn what_goes_back_as_it_came_is_not_looked_into() {
    let wire = |inner: Value| json!({ "$wire": { "mapValue": { "fields": inner } } });
    let vector = wire(json!({ "__type__": { "stringValue": "__vector__" } }));
    assert_eq!(
        check("entities", entity(json!({ "props": { "a": [vector] } }))),
        Ok(())
    );
    let map = json!({ "$wire": { "__type__": 1 }, "more": 1 });
    assert_eq!(
        refused("entities", entity(json!({ "props": map }))).0,
        "invalid_name"
    );
    assert_eq!(
        refused("entities", entity(json!({ "props": { "__type__": 1 } }))).0,
        "invalid_name"
    );
}

#[test]
fn twenty_levels_are_the_most() {
    let nested = |maps: usize| (0..maps).fold(json!(1), |inner, _| json!({ "a": inner }));
    assert_eq!(
        check("entities", entity(json!({"props": nested(19)}))),
        Ok(())
    );
    assert_eq!(
        refused("entities", entity(json!({"props": nested(20)}))).0,
        "too_deep"
    );
    // A list inside a list counts twice: on the wire there is a map between.
    let lists = |lists: usize| (0..lists).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(
        check("entities", entity(json!({"data": lists(10)}))),
        Ok(())
    );
    assert_eq!(
        refused("entities", entity(json!({"data": lists(11)}))).0,
        "too_deep"
    );
}

#[test]
fn integers_have_64_bits() {
    assert_eq!(
        check(
            "entities",
            entity(json!({"n": [i64::MIN, i64::MAX, 1e300]}))
        ),
        Ok(())
    );
    let (code, message) = refused("entities", entity(json!({"props": {"n": u64::MAX}})));
    assert_eq!(
        (code, message.as_str()),
        (
            "number_out_of_range",
            "the number in `props.n` doesn't fit in 64 bits"
        )
    );
}

#[test]
fn size_is_limited_below_a_mebibyte() {
    let of = |bytes: usize| entity(json!({"content": "y".repeat(bytes)}));
    assert_eq!(check("entities", of(1_000_000)), Ok(()));
    assert_eq!(refused("entities", of(1_040_000)).0, "too_large");
    let many: Vec<_> = (0..300_000).collect();
    assert_eq!(
        refused("entities", entity(json!({ "list": many }))).0,
        "too_large"
    );
}

#[test]
fn a_campaigns_id_is_asked_for_also_where_it_isnt_listed() {
    let registry = Registry::builtin();
    let mut config = registry.get("secrets").unwrap().clone();
    config.fields.clear();
    assert_eq!(
        validate(&config, &Fields::new()).unwrap_err().code(),
        "missing_field"
    );
}

#[test]
fn a_campaigns_members_are_such_as_the_rules_take() {
    let campaign = |more: Value| {
        let mut campaign = json!({"name": "Ember"});
        campaign
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        campaign
    };
    for fine in [
        json!({"ownerUid": "a"}),
        json!({"memberUids": ["b"]}),
        json!({"ownerUid": "a", "memberUids": ["b", "a"], "roles": {"b": "player"}}),
    ] {
        assert_eq!(check("campaigns", campaign(fine)), Ok(()));
    }
    for (denied, message) in [
        (
            json!({"roles": null}),
            "the field `roles` should be left out rather than null",
        ),
        (
            json!({"memberUids": null}),
            "the field `memberUids` should be left out rather than null",
        ),
        (
            json!({"ownerUid": null}),
            "the field `ownerUid` should be left out rather than null",
        ),
        (
            json!({"ownerUid": "a", "memberUids": ["b"]}),
            "the field `memberUids` should be a list that the owner `a` is in",
        ),
    ] {
        let refused = refused("campaigns", campaign(denied));
        assert_eq!(refused, ("invalid_value", message.to_owned()));
    }
    // Only campaigns have members.
    assert_eq!(check("entities", entity(json!({"roles": null}))), Ok(()));
}

fn edit(collection: &str, before: Value, after: Value) -> Result<(), &'static str> {
    let registry = Registry::builtin();
    let config = registry.get(collection).unwrap();
    let (before, after) = (before.as_object().unwrap(), after.as_object().unwrap());
    validate_edit(config, before, after).map_err(|e| e.code())
}

#[test]
fn an_owner_stays_a_member() {
    let before = json!({"name": "Ember", "ownerUid": "a", "memberUids": ["a", "b"]});
    for (name, value) in [
        ("memberUids", json!(["b"])),
        ("memberUids", json!([])),
        ("ownerUid", json!("c")),
    ] {
        let mut after = before.clone();
        after[name] = value;
        assert_eq!(
            edit("campaigns", before.clone(), after),
            Err("invalid_value")
        );
    }
    for name in ["memberUids", "ownerUid"] {
        let mut after = before.clone();
        after.as_object_mut().unwrap().remove(name);
        assert_eq!(
            edit("campaigns", before.clone(), after),
            Err("invalid_value"),
            "{name}"
        );
    }
    let handed_over = json!({"name": "Ember", "ownerUid": "b", "memberUids": ["b"]});
    assert_eq!(edit("campaigns", before, handed_over), Ok(()));
}

#[test]
fn a_campaigns_id_can_be_one() {
    for bad in ["", "a/b", "__x__", "..", "a\u{0}"] {
        assert_eq!(
            refused("scenes", json!({"campaignId": bad, "title": "x"})).0,
            "invalid_value",
            "{bad}"
        );
        assert_eq!(
            remote("scenes", json!({"campaignId": bad, "title": "x"})),
            Ok(())
        );
    }
    // A campaign isn't in one.
    assert_eq!(
        check("campaigns", json!({"name": "x", "campaignId": "a/b"})),
        Ok(())
    );
}

#[test]
fn an_edit_answers_only_for_what_it_touches() {
    let newer = json!({"visibility": "spectators", "props": {"a": 1}});
    let with = |name: &str, value: Value| {
        let mut after = newer.clone();
        after[name] = value;
        after
    };
    // It lacks what is required, too.
    assert_eq!(
        edit("entities", newer.clone(), with("summary", json!("x"))),
        Ok(())
    );
    for (name, value, code) in [
        ("visibility", json!("friends"), "invalid_value"),
        ("summary", json!(7), "wrong_type"),
        ("props", json!({"a": 1, "": 2}), "invalid_name"),
        ("props", json!({"a": u64::MAX}), "number_out_of_range"),
        ("campaignId", json!("a/b"), "invalid_value"),
    ] {
        assert_eq!(
            edit("entities", newer.clone(), with(name, value)),
            Err(code),
            "{name}"
        );
    }
    let whole = entity(json!({}));
    assert_eq!(edit("entities", whole, newer), Err("missing_field"));
    // An app may have come to know a field that older documents hold otherwise.
    let odd = json!({"campaignId": "c", "name": "x", "combatants": {"old": {"currentHp": "7"}, "k": {"currentHp": 7}}});
    let mut after = odd.clone();
    after["combatants"]["k"]["currentHp"] = json!(6);
    assert_eq!(edit("encounters", odd.clone(), after.clone()), Ok(()));
    after["combatants"]["old"]["currentHp"] = json!("8");
    assert_eq!(edit("encounters", odd, after), Err("wrong_type"));
}

#[test]
fn a_document_that_is_too_large_may_shrink() {
    let of = |bytes: usize| entity(json!({"content": "y".repeat(bytes)}));
    assert_eq!(edit("entities", of(1_046_000), of(1_045_000)), Ok(()));
    let mut other = of(1_046_000);
    other["name"] = json!("Rami");
    assert_eq!(edit("entities", of(1_046_000), other), Ok(()));
    assert_eq!(
        edit("entities", of(1_046_000), of(1_046_001)),
        Err("too_large")
    );
}
