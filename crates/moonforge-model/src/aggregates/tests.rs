use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::document::{Document, from_fields, to_fields};
use crate::id::{DocId, DocRef};
use crate::registry::Registry;
use crate::schema::{CollectionConfig, Field, FieldKind};
use crate::validate::{check_types, validate};
use crate::value::Fields;

fn id(text: &str) -> DocId {
    DocId::new(text).unwrap()
}

fn config(name: &str) -> CollectionConfig {
    Registry::builtin().get(name).unwrap().clone()
}

/// What is stored for what was read: a trip through the type.
type Trip = fn(&DocId, &Fields) -> Result<Fields, String>;

fn trip<T: Document>(id: &DocId, fields: &Fields) -> Result<Fields, String> {
    let document: T = from_fields(id, fields).map_err(|e| e.to_string())?;
    assert_eq!(document.id(), id);
    to_fields(&document).map_err(|e| e.to_string())
}

const TRIPS: [(&str, Trip); 9] = [
    (Campaign::COLLECTION, trip::<Campaign>),
    (Adventure::COLLECTION, trip::<Adventure>),
    (Chapter::COLLECTION, trip::<Chapter>),
    (Scene::COLLECTION, trip::<Scene>),
    (Entity::COLLECTION, trip::<Entity>),
    (Encounter::COLLECTION, trip::<Encounter>),
    (Session::COLLECTION, trip::<Session>),
    (MediaAsset::COLLECTION, trip::<MediaAsset>),
    (Secret::COLLECTION, trip::<Secret>),
];

/// A value for a field that is known, every member of it filled.
fn sample(field: &Field) -> Value {
    let members = || -> Value {
        let members = field.members.iter().map(|f| (f.name.clone(), sample(f)));
        Value::Object(
            members
                .chain([("newer".to_owned(), json!([null, {"x": 1.5}]))])
                .collect(),
        )
    };
    match field.kind {
        FieldKind::String | FieldKind::Text => json!(format!("some {}", field.name)),
        FieldKind::Integer => json!(7),
        FieldKind::Number => json!(12.5),
        FieldKind::Bool => json!(false),
        FieldKind::Timestamp => json!("2026-11-21T18:30:00.250Z"),
        FieldKind::StringList => json!(["a", "b"]),
        FieldKind::List => json!([members()]),
        FieldKind::Map => members(),
        FieldKind::KeyedMap => json!({ "k1": members() }),
        FieldKind::Any => json!({"any": [[1], null]}),
        FieldKind::OneOf(texts) => json!(texts[0]),
        FieldKind::Order => json!("a0V"),
    }
}

fn filled(config: &CollectionConfig) -> Fields {
    let fields = config.fields.iter().map(|f| (f.name.clone(), sample(f)));
    fields
        .chain([("newer".to_owned(), json!({"a": null, "n": u64::MAX}))])
        .collect()
}

#[test]
fn every_type_keeps_every_field() {
    for (name, trip) in TRIPS {
        let fields = filled(&config(name));
        assert_eq!(trip(&id("x"), &fields), Ok(fields), "{name}");
    }
}

#[test]
fn every_type_takes_null_and_absence_for_nothing() {
    for (name, trip) in TRIPS {
        assert_eq!(trip(&id("x"), &Fields::new()), Ok(Fields::new()), "{name}");
        let nulls = config(name)
            .fields
            .iter()
            .map(|f| (f.name.clone(), Value::Null))
            .collect();
        assert_eq!(trip(&id("x"), &nulls), Ok(Fields::new()), "{name}");
    }
}

#[test]
fn a_new_value_can_be_stored_as_it_is() {
    let campaign = || id("c");
    let stored = [
        to_fields(&Campaign::new(id("c"), "Ember")),
        to_fields(&Adventure::new(id("a"), campaign(), "The Keep")),
        to_fields(&Chapter::new(id("h"), campaign(), id("a"), "Arrival")),
        to_fields(&Scene::new(id("s"), campaign(), id("h"), "Ash")),
        to_fields(&Entity::new(id("e"), campaign(), EntityKind::Npc, "Mira")),
        to_fields(&Encounter::new(id("n"), campaign(), "Ambush")),
        to_fields(&Session::new(id("t"), campaign(), "First night")),
        to_fields(&MediaAsset::new(id("m"), campaign(), "map.webp")),
        to_fields(&Secret::new(&DocRef::parse("scenes", "s").unwrap(), campaign()).unwrap()),
    ];
    for ((name, _), fields) in TRIPS.iter().zip(stored) {
        assert_eq!(validate(&config(name), &fields.unwrap()), Ok(()), "{name}");
    }
}

#[test]
fn what_the_protocol_keeps_is_no_part_of_a_value() {
    let remote = json!({"name": "Ember", "rev": 3, "edited": {}, "writers": {}, "updatedAt": "2026-11-21T18:30:00Z"});
    let campaign: Campaign = from_fields(&id("c"), remote.as_object().unwrap()).unwrap();
    assert_eq!(campaign, Campaign::new(id("c"), "Ember"));
    let other = json!({"id": "another", "name": "Ember"});
    let campaign: Campaign = from_fields(&id("c"), other.as_object().unwrap()).unwrap();
    assert_eq!(campaign.id.as_str(), "c");
}

#[test]
fn words_of_a_newer_version_are_kept() {
    let newer = json!({"kind": "spaceship", "visibility": "friends"});
    let entity: Entity = from_fields(&id("e"), newer.as_object().unwrap()).unwrap();
    assert_eq!(entity.kind, EntityKind::Other("spaceship".to_owned()));
    assert_eq!(
        entity.visibility,
        Some(Visibility::Other("friends".to_owned()))
    );
    assert_eq!(Value::Object(to_fields(&entity).unwrap()), newer);
    let roles = json!({"roles": {"a": "dm", "b": "player", "c": "viewer", "d": "bard", "e": 5}});
    let campaign: Campaign = from_fields(&id("c"), roles.as_object().unwrap()).unwrap();
    assert_eq!(campaign.roles["a"], Role::Dm);
    assert_eq!(campaign.roles["c"], Role::Viewer);
    assert_eq!(campaign.roles["d"], Role::Other(json!("bard")));
    assert_eq!(Value::Object(to_fields(&campaign).unwrap()), roles);
}

#[test]
fn what_cannot_be_an_id_refers_to_nothing() {
    let odd = json!({"campaignId": "", "locationId": "a/b", "entityIds": ["", "e1", ".."]});
    let scene: Scene = from_fields(&id("s"), odd.as_object().unwrap()).unwrap();
    assert_eq!((scene.campaign_id, scene.location_id), (None, None));
    assert_eq!(scene.entity_ids, [id("e1").into()]);
}

#[test]
fn numbers_that_are_whole_are_stored_as_integers() {
    let mut entity = Entity::new(id("e"), id("c"), EntityKind::Place, "Keep");
    let (lat, lng) = (Some(52.0), Some(4.5));
    entity.coords = Some(Coords {
        lat,
        lng,
        extra: Fields::new(),
    });
    let fields = to_fields(&entity).unwrap();
    assert_eq!(fields["coords"].to_string(), r#"{"lat":52,"lng":4.5}"#);
}

#[test]
fn a_value_that_does_not_fit_is_an_error_with_its_document() {
    let wrong = json!({"title": 7});
    let error = from_fields::<Scene>(&id("s"), wrong.as_object().unwrap()).unwrap_err();
    assert!(
        error.to_string().starts_with("scenes/s can't be read"),
        "{error}"
    );
}

#[test]
fn a_secret_is_found_by_its_target() {
    let target = DocRef::parse("scenes", "s1").unwrap();
    let secret = Secret::new(&target, id("c")).unwrap();
    assert_eq!(secret.id.as_str(), "scenes~s1");
    assert_eq!(secret.target.as_deref(), Some("scenes/s1"));
    let long = DocRef::parse("scenes", &"x".repeat(1500)).unwrap();
    assert!(Secret::id_of(&long).is_err());
}

macro_rules! stored_form {
    ($($name:ident: $type:ty),+ $(,)?) => {$(
        #[test]
        fn $name() {
            let fields = filled(&config(<$type>::COLLECTION));
            let document: $type = from_fields(&id("x"), &fields).unwrap();
            insta::assert_json_snapshot!(stringify!($name), document);
        }
    )+};
}

stored_form! {
    campaign_json: Campaign,
    adventure_json: Adventure,
    chapter_json: Chapter,
    scene_json: Scene,
    entity_json: Entity,
    encounter_json: Encounter,
    session_json: Session,
    media_asset_json: MediaAsset,
    secret_json: Secret,
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z/]{0,3}".prop_map(Value::from),
        Just(json!("2026-11-21T18:30:00+01:00")),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let key = prop_oneof![
            "[a-z]{1,2}",
            Just("id".to_owned()),
            Just("currentHp".to_owned()),
            Just("kind".to_owned())
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..4).prop_map(|m| m.into_iter().collect()),
        ]
    })
}

/// A collection, and fields for it: some of its own with sound values, some of its own and others with anything.
fn documents() -> impl Strategy<Value = (usize, Fields)> {
    (0..TRIPS.len()).prop_flat_map(|at| {
        let config = config(TRIPS[at].0);
        let names: Vec<String> = config.fields.iter().map(|f| f.name.clone()).collect();
        let sound = prop::sample::subsequence(config.fields, 0..4).prop_map(|fields| {
            fields
                .iter()
                .map(|f| (f.name.clone(), sample(f)))
                .collect::<Fields>()
        });
        let name = prop_oneof![prop::sample::select(names), "newer[A-C]"];
        let anything = prop::collection::btree_map(name, any_json(), 0..4);
        (sound, anything).prop_map(move |(mut fields, anything)| {
            fields.extend(anything);
            (at, fields)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn what_has_the_right_types_can_be_read((at, fields) in documents()) {
        let (name, trip) = TRIPS[at];
        let read = trip(&id("x"), &fields);
        if check_types(&config(name), &fields).is_ok() {
            let stored = read.map_err(TestCaseError::fail)?;
            // Reading what was stored changes nothing more.
            prop_assert_eq!(trip(&id("x"), &stored), Ok(stored));
        }
    }

    #[test]
    fn unknown_fields_survive((at, fields) in documents(), unknown in prop::collection::btree_map("newer[A-Z]", any_json(), 1..4)) {
        let (name, trip) = TRIPS[at];
        let mut fields = fields;
        fields.extend(unknown.clone());
        if check_types(&config(name), &fields).is_ok() {
            let stored = trip(&id("x"), &fields).map_err(TestCaseError::fail)?;
            for (name, value) in &unknown {
                prop_assert_eq!(stored.get(name), Some(value));
            }
        }
    }
}
