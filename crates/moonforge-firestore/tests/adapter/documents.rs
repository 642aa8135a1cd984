//! What goes to the emulator is checked by plain HTTP, not by our own codec.

use moonforge_firestore::{Firestore, FirestoreConfig};
use moonforge_ports::{
    Precondition, RemoteErrorKind, RemoteStore, RemoteWrite, StaticToken, Usage,
};
use moonforge_testkit::conformance::{doc, path};
use moonforge_testkit::emulator::OPEN_RULES;
use serde_json::{Map, Value, json};
use std::sync::Arc;

use crate::support::{all, behind_proxy, config, ids, owner, project, put, store};

#[tokio::test]
async fn another_client_finds_the_documented_wire_form() {
    let Some(project) = project("wire").await else {
        return;
    };
    let store = store(&project);
    let local = json!({
        "createdAt": "2026-01-02T03:04:05.678901Z", "text": "2026-01-02T03:04:05Z",
        "statblock": [[1, 2.0], []], "$cost": 5, "`a.b`": {"$timestamp": "soon", "x": null},
        "when": {"$timestamp": "2026-01-02T03:04:05.678901Z"}, "where": {"$geo": [0.0, 4.5]},
        "raw": {"$bytes": "AAECAw=="}, "odds": {"$double": "-Infinity"},
    });
    store
        .commit(&[put("scenes", "s", local.clone())])
        .await
        .unwrap();
    let mut wire = project.owner().get("scenes/s").await.body["fields"].take();
    let updated = wire.as_object_mut().unwrap().remove("updatedAt").unwrap();
    assert!(updated.get("timestampValue").is_some());
    let int = |i: i64| json!({"integerValue": i.to_string()});
    let nested = |items: Value| json!({"mapValue": {"fields": {"$array": {"arrayValue": items}}}});
    assert_eq!(
        wire,
        json!({
            "createdAt": {"timestampValue": "2026-01-02T03:04:05.678901Z"},
            "text": {"stringValue": "2026-01-02T03:04:05Z"},
            "statblock": {"arrayValue": {"values": [
                nested(json!({"values": [int(1), {"doubleValue": 2.0}]})), nested(json!({})),
            ]}},
            "$$cost": int(5),
            "`a.b`": {"mapValue": {"fields": {"$$timestamp": {"stringValue": "soon"}, "x": {"nullValue": null}}}},
            "when": {"timestampValue": "2026-01-02T03:04:05.678901Z"},
            "where": {"geoPointValue": {"longitude": 4.5}},
            "raw": {"bytesValue": "AAECAw=="},
            "odds": {"doubleValue": "-Infinity"},
        })
    );
    let mut back = store
        .batch_get(&[doc("scenes", "s")])
        .await
        .unwrap()
        .found
        .remove(0)
        .fields;
    back.remove("updatedAt");
    assert_eq!(Value::Object(back), local);
}

#[tokio::test]
async fn another_clients_values_go_back_bit_for_bit() {
    let Some(project) = project("theirs").await else {
        return;
    };
    let store = store(&project);
    let reference = project.name("scenes/other~ %41é");
    let wire = json!({
        "$cost": {"integerValue": "9223372036854775807"}, "a.b": {"doubleValue": 1.0},
        "nan": {"doubleValue": "NaN"}, "tiny": {"doubleValue": 5e-324}, "none": {"nullValue": null},
        "ref": {"referenceValue": reference}, "point": {"geoPointValue": {"latitude": -90.0}},
        "zero": {"geoPointValue": {}}, "bytes": {"bytesValue": "/+8="}, "nul": {"stringValue": "a\u{0}b"},
        "time": {"timestampValue": "2026-01-02T03:04:05.600Z"}, "deletedAt": {"nullValue": null},
        "datetime": {"timestampValue": "0001-01-01T00:00:00Z"},
        "like": {"mapValue": {"fields": {"$timestamp": {"stringValue": "2026-01-02T03:04:05Z"}}}},
        "more": {"mapValue": {"fields": {"$$timestamp": {"stringValue": "2026-01-02T03:04:05Z"}}}},
        "array": {"mapValue": {"fields": {"$array": {"arrayValue": {"values": [{"booleanValue": true}]}}}}},
        "vector": {"mapValue": {"fields": {
            "__type__": {"stringValue": "__vector__"},
            "value": {"arrayValue": {"values": [{"doubleValue": 0.5}, {"doubleValue": -1.0}]}},
        }}},
        "list": {"arrayValue": {"values": [
            {"mapValue": {"fields": {"$$array": {"arrayValue": {}}}}},
            {"mapValue": {"fields": {"$array": {"integerValue": "1"}}}},
            {"mapValue": {}},
        ]}},
    });
    let update = json!({"update": {"name": project.name("scenes/theirs"), "fields": wire}});
    assert_eq!(project.owner().commit(&[update]).await.status, 200);
    let theirs = store
        .batch_get(&[doc("scenes", "theirs")])
        .await
        .unwrap()
        .found
        .remove(0);
    let copy = RemoteWrite {
        server_time: vec![],
        ..put("scenes", "copy", Value::Object(theirs.fields))
    };
    store.commit(&[copy]).await.unwrap();
    assert_eq!(
        project.owner().get("scenes/copy").await.body["fields"],
        wire
    );
}

#[tokio::test]
async fn odd_names_name_what_they_say() {
    let Some(project) = project("odd").await else {
        return;
    };
    let store = store(&project);
    let names = [
        "a b",
        "100%",
        "%2F",
        "x~y",
        "a+b&c=d",
        "?q#f",
        "é☃😀",
        "`",
        "\\",
        "a.b",
        "\"",
        "...",
        "_",
        "$x",
        "(default)",
        ":commit",
        &"x".repeat(700),
    ];
    let docs = names.map(|name| doc("odd names~", name));
    let writes: Vec<_> = names
        .iter()
        .map(|name| put("odd names~", name, json!({*name: {*name: 1}, "kept": 1})))
        .collect();
    let made = store.commit(&writes).await.unwrap();
    let mask = |name: &str| vec![moonforge_model::FieldPath::new([name, name]).unwrap()];
    let changes: Vec<_> = names
        .iter()
        .zip(&made.results)
        .map(|(name, result)| RemoteWrite {
            mask: Some(mask(name)),
            precondition: Precondition::UpdateTime(result.update_time),
            ..put("odd names~", name, json!({*name: {*name: 2}}))
        })
        .collect();
    store.commit(&changes).await.unwrap();
    let got = store.batch_get(&docs).await.unwrap();
    assert_eq!((got.found.len(), got.missing.len()), (names.len(), 0));
    for mut found in got.found {
        let name = found.doc.id.to_string();
        found.fields.remove("updatedAt");
        let expected =
            Map::from_iter([(name.clone(), json!({name: 2})), ("kept".into(), json!(1))]);
        assert_eq!(found.fields, expected);
    }
    let longest = "é".repeat(750);
    store
        .commit(&[put("long", &longest, json!({&longest: 1}))])
        .await
        .unwrap();
    assert_eq!(ids(&store, &all("long")).await.0, [longest]);
    let (came, end) = ids(&store, &all("odd names~")).await;
    assert_eq!((came.len(), end.is_ok()), (names.len(), true));
}

#[tokio::test]
async fn databases_of_one_project_are_apart() {
    let Some(project) = project("databases").await else {
        return;
    };
    let default = store(&project);
    let other = Firestore::new(config(&project).database("other-db"), owner()).unwrap();
    assert_eq!(
        other.name(),
        format!("firestore-emulator://{}/other-db", project.id())
    );
    assert_eq!(
        default.name(),
        format!("firestore-emulator://{}/(default)", project.id())
    );
    other
        .commit(&[put("scenes", "s", json!({"in": "other"}))])
        .await
        .unwrap();
    assert_eq!(
        default
            .batch_get(&[doc("scenes", "s")])
            .await
            .unwrap()
            .found
            .len(),
        0
    );
    default
        .commit(&[put("scenes", "s", json!({"in": "default"}))])
        .await
        .unwrap();
    let found = other
        .batch_get(&[doc("scenes", "s")])
        .await
        .unwrap()
        .found
        .remove(0);
    assert_eq!(found.fields["in"], json!("other"));
    assert_eq!(ids(&other, &all("scenes")).await.0, ["s"]);
}

#[tokio::test]
async fn what_is_billed_is_counted() {
    let Some(project) = project("bill").await else {
        return;
    };
    let store = store(&project);
    let mut before = Usage::default();
    let mut billed = |store: &Firestore| {
        let now = store.usage();
        let since = now - before;
        before = now;
        (since.reads, since.writes, since.deletes)
    };
    let writes: Vec<_> = ["a", "b", "c"]
        .map(|id| put("scenes", id, json!({"rev": 0})))
        .into();
    store.commit(&writes).await.unwrap();
    assert_eq!(billed(&store), (0, 3, 0));
    store
        .batch_get(&["a", "b", "gone"].map(|id| doc("scenes", id)))
        .await
        .unwrap();
    assert_eq!(billed(&store), (3, 0, 0));
    ids(&store, &all("scenes")).await.1.unwrap();
    assert_eq!(billed(&store), (3, 0, 0));
    ids(&store, &all("nothing")).await.1.unwrap();
    assert_eq!(billed(&store), (1, 0, 0));
    store.aggregate(&all("scenes")).await.unwrap();
    assert_eq!(billed(&store), (2, 0, 0));
}

#[tokio::test]
async fn what_can_never_pass_is_refused_before_it_is_sent() {
    let Some(project) = project("refused").await else {
        return;
    };
    let (proxy, store) = behind_proxy(&project).await;
    let masked = |paths: &[&str]| RemoteWrite {
        mask: Some(paths.iter().map(|text| path(text)).collect()),
        ..put("scenes", "s", json!({}))
    };
    for writes in [
        vec![masked(&["a", "b", "a"])],
        vec![masked(&["a.b", "a"])],
        vec![put("scenes", "s", json!({"n": u64::MAX}))],
        vec![put("scenes", "s", json!({"createdAt": "yesterday"}))],
        vec![put("scenes", "s", json!({})), put("scenes", "s", json!({}))],
    ] {
        let error = store.commit(&writes).await.unwrap_err();
        assert_eq!(error.kind, RemoteErrorKind::InvalidArgument, "{error}");
        assert!(error.message.contains("scenes/s"), "{error}");
    }
    for nothing in [
        store.commit(&[]).await.err(),
        store.batch_get(&[]).await.err(),
    ] {
        assert_eq!(
            nothing.map(|error| error.kind),
            Some(RemoteErrorKind::InvalidArgument)
        );
    }
    assert_eq!(proxy.seen(), []);
}

#[tokio::test]
async fn refusals_have_their_kind() {
    let Some(project) = project("kinds").await else {
        return;
    };
    let store = store(&project);
    let text = "x".repeat(1 << 20);
    for (write, kind) in [
        (
            put("scenes", "s", json!({"text": text})),
            RemoteErrorKind::TooLarge,
        ),
        (
            put("scenes", "s", json!({"": 1})),
            RemoteErrorKind::InvalidArgument,
        ),
        (
            put("scenes", "s", json!({"a": {"__b__": 1}})),
            RemoteErrorKind::InvalidArgument,
        ),
        (
            RemoteWrite {
                precondition: Precondition::MustExist,
                ..put("scenes", "s", json!({}))
            },
            RemoteErrorKind::NotFound,
        ),
    ] {
        let error = store.commit(&[write]).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
    }
    let closed = OPEN_RULES.replace("if true", "if false");
    project.load_rules(&closed).await;
    let user = |token: String| {
        let token = StaticToken::new(token.into(), Some("anna".to_owned()));
        Firestore::new(config(&project), Arc::new(token)).unwrap()
    };
    let anna = user(project.user_token("anna"));
    assert_eq!(anna.uid().as_deref(), Some("anna"));
    let denied = anna
        .commit(&[put("scenes", "s", json!({}))])
        .await
        .unwrap_err();
    assert_eq!(denied.kind, RemoteErrorKind::PermissionDenied);
    let denied = ids(&anna, &all("scenes")).await.1.unwrap_err();
    assert_eq!(denied.kind, RemoteErrorKind::PermissionDenied);
    let denied = anna.batch_get(&[doc("scenes", "s")]).await.unwrap_err();
    assert_eq!(denied.kind, RemoteErrorKind::PermissionDenied);
    // Production says 401 to such a token. The emulator says 400, which nothing tells from any other 400.
    let garbage = user("x.y.z".to_owned())
        .batch_get(&[doc("scenes", "s")])
        .await
        .unwrap_err();
    assert_eq!(garbage.kind, RemoteErrorKind::InvalidArgument);
    let stuck = user("x".to_owned())
        .refresh_credentials()
        .await
        .unwrap_err();
    assert_eq!(stuck.kind, RemoteErrorKind::Unauthenticated);
}

#[test]
fn a_config_without_a_name_is_refused() {
    for config in [
        FirestoreConfig::new(""),
        FirestoreConfig::new("a/b"),
        FirestoreConfig::new("p").database(""),
        FirestoreConfig::new("p").database("a/b"),
    ] {
        let error = Firestore::new(config, owner()).unwrap_err();
        assert_eq!(error.kind, RemoteErrorKind::InvalidArgument);
    }
}
