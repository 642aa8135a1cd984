//! What the first app had queued, in all the forms that it wrote.

use moonforge_model::{PatchOp, RowOp};
use moonforge_store::{OutboxEntry, QuerySpec, Store};
use serde_json::{Value, json};

use super::{of, seconds, v1};
use crate::support::*;

/// An operation of version 1.
fn queued(id: &str, operation: &str, payload: &str) -> String {
    let payload = payload.replace('\'', "''");
    format!(
        "INSERT INTO outbox_ops (collection, doc_id, operation, payload, created_at)
         VALUES ('campaigns', '{id}', '{operation}', '{payload}', 1700001500);"
    )
}

/// Opens a file in which `clean` has one operation more.
async fn with(operation: &str, payload: Value) -> (Store, OutboxEntry, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let more = queued("clean", operation, &payload.to_string());
    let store = open(&v1(dir.path(), &more).await).await;
    assert_eq!(store.doctor().await.unwrap(), []);
    let row = of(&store.outbox().await.unwrap(), "clean").clone();
    (store, row, dir)
}

fn created(row: &OutboxEntry) -> Value {
    match &row.row.row.op {
        RowOp::Create { fields } => fields.clone().into(),
        other => panic!("{other:?}"),
    }
}

/// The campaign takes an edit, and lists show it.
async fn goes_on(store: &Store, id: &str) {
    put(store, &doc("campaigns", id), json!({"ruleset": "5e"}), 9).await;
    assert_eq!(content(store, &doc("campaigns", id)).await["ruleset"], "5e");
}

#[tokio::test]
async fn times_are_brought_to_one_form_and_never_made_up() {
    let own = seconds(1_700_000_000).to_string();
    for (given, shown) in [
        (json!("2023-11-14T10:00:00.000Z"), "2023-11-14T10:00:00Z"),
        (
            json!("2023-11-14 11:00:00.250+01:00"),
            "2023-11-14T10:00:00.250Z",
        ),
        (json!(1_699_956_000_000_i64), "2023-11-14T10:00:00Z"),
        (json!(1_699_956_000_000_000_i64), "2023-11-14T10:00:00Z"),
        (json!(1_699_956_000), "2023-11-14T10:00:00Z"),
        // Without a zone it is some other place's time: the campaign's own is known.
        (json!("2023-11-14T10:00:00.000"), &own),
        (Value::Null, &own),
    ] {
        let (store, row, _dir) = with("upsert", json!({"name": "X", "createdAt": given})).await;
        let got = content(&store, &doc("campaigns", "clean")).await;
        let at = |text: &Value| text.as_str().unwrap().parse::<moonforge_model::Timestamp>();
        assert_eq!(at(&got["createdAt"]), at(&json!(shown)), "{given}: {row:?}");
        assert_eq!(store.conflicts(false).await.unwrap(), [], "{given}");
        goes_on(&store, "clean").await;
    }
    let dir = tempfile::tempdir().unwrap();
    let more = queued(
        "new",
        "upsert",
        r#"{"name":"N","createdAt":"2023-11-14T10:00:00"}"#,
    );
    let store = open(&v1(dir.path(), &more).await).await;
    let new = content(&store, &doc("campaigns", "new")).await;
    assert_eq!(new["createdAt"], "2023-11-14T10:00:00Z", "better than none");
    let (store, _, _dir) = with("upsert", json!({"createdAt": "long ago"})).await;
    let journal = store.conflicts(false).await.unwrap();
    assert_eq!(journal[0].conflict.field, "createdAt");
    assert_eq!(journal[0].conflict.lost, "long ago");
    goes_on(&store, "clean").await;
}

#[tokio::test]
async fn nothing_is_unset_by_what_is_null() {
    let payload = json!({"id": "clean", "name": "X", "description": null, "rev": 3, "roles": {"u": "dm", "v": null},
        "updatedAt": "2023-11-14T10:00:00", "deletedAt": null, "writers": {}, "edited": 1});
    let (store, row, _dir) = with("upsert", payload).await;
    assert_eq!(created(&row), json!({"name": "X", "roles": {"u": "dm"}}));
    goes_on(&store, "clean").await;
}

#[tokio::test]
async fn a_patch_keeps_its_edits_and_loses_what_is_the_protocols() {
    let ops = json!([
        {"op": "set", "path": "name", "value": "first"},
        {"op": "set", "path": "rev", "value": 9},
        {"op": "set", "path": "updatedAt", "value": "2023-11-14T10:00:00"},
        {"op": "unset", "path": "deletedAt"},
        {"op": "set", "path": "id", "value": "clean"},
        {"op": "set", "path": "createdAt", "value": 1_699_956_000_000_i64},
        {"op": "set", "path": "name", "value": "second"},
        {"op": "set", "path": "description", "value": null},
    ]);
    let (store, row, _dir) = with("patch", json!({"baseRev": 3, "ops": ops})).await;
    let RowOp::Patch { ops } = &row.row.row.op else {
        panic!("{row:?}");
    };
    let set = |at: &str, value: Value| PatchOp::Set {
        path: path(at),
        value,
    };
    let expected = [
        set("createdAt", json!("2023-11-14T10:00:00Z")),
        set("name", json!("second")),
        set("description", Value::Null),
    ];
    assert_eq!(*ops, expected);
    assert_eq!(store.conflicts(false).await.unwrap(), []);
    goes_on(&store, "clean").await;
}

#[tokio::test]
async fn what_does_not_fit_the_model_goes_to_the_journal_and_the_rest_on_its_way() {
    let payload = json!({"name": 7, "ruleset": "5e", "memberUids": ["u"], "roles": []});
    let (store, row, _dir) = with("upsert", payload).await;
    assert_eq!(created(&row), json!({"ruleset": "5e", "memberUids": ["u"]}));
    let lost = |store: &Store| {
        let store = store.clone();
        async move {
            let journal = store.conflicts(false).await.unwrap();
            let mut lost: Vec<_> = journal
                .into_iter()
                .map(|e| (e.conflict.field, e.conflict.kept, e.conflict.lost))
                .collect();
            lost.sort_by(|a, b| a.0.cmp(&b.0));
            lost
        }
    };
    assert_eq!(
        lost(&store).await,
        [
            ("name".to_owned(), json!("The Ember Keep"), json!(7)),
            ("roles".to_owned(), Value::Null, json!([])),
        ]
    );
    goes_on(&store, "clean").await;

    let ops = json!([
        {"op": "set", "path": "name", "value": {"a": 1}},
        {"op": "rename", "path": "name", "to": "title"},
        {"op": "set", "path": "ruleset", "value": "5e"},
        {"op": "increment", "path": "ruleset", "by": 1},
        {"op": "set", "path": "a..b", "value": 1},
        "?",
    ]);
    let (store, row, _dir) = with("patch", json!({ "ops": ops })).await;
    let set = PatchOp::Set {
        path: path("ruleset"),
        value: json!("5e"),
    };
    assert_eq!(row.row.row.op, RowOp::Patch { ops: vec![set] });
    assert_eq!(lost(&store).await.len(), 5);
    goes_on(&store, "clean").await;
}

#[tokio::test]
async fn a_payload_that_cannot_be_read_is_kept_beside_the_document_that_it_was_for() {
    for (operation, payload) in [
        ("upsert", "null"),
        ("upsert", "[1]"),
        ("upsert", "not JSON"),
        ("upsert", ""),
        ("patch", "{}"),
        ("patch", r#"{"ops":null}"#),
        ("patch", r#"{"ops":7}"#),
        ("move", r#"{"to":"x"}"#),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let more = format!(
            "{}{}",
            queued("clean", operation, payload),
            queued("other", operation, payload)
        );
        let file = v1(dir.path(), &more).await;
        let store = open(&file).await;
        assert_eq!(store.migrated().unwrap().outbox, 5, "{operation} {payload}");
        let clean = store.get(&doc("campaigns", "clean")).await.unwrap();
        let clean = clean.unwrap();
        // The campaign had the edit, whatever it was.
        assert!(clean.dirty && clean.fields["name"] == "The Ember Keep");
        let outbox = store.outbox().await.unwrap();
        assert_eq!(created(of(&outbox, "clean"))["name"], "The Ember Keep");
        let journal = store.conflicts(false).await.unwrap();
        assert_eq!(journal.len(), 1);
        assert_eq!(journal[0].doc, doc("campaigns", "clean"));
        assert_eq!(journal[0].conflict.lost, payload);
        goes_on(&store, "clean").await;
        // Where there was no campaign the operation waits for a person, as it is.
        let other = of(&outbox, "other");
        assert!(other.row.row.parked.is_some() && other.row.error.is_some());
        store.discard(other.row.row.n, second(9)).await.unwrap();
        let journal = store.conflicts(false).await.unwrap();
        assert_eq!(journal[0].conflict.lost, payload);
        assert_eq!(store.doctor().await.unwrap(), []);
    }
}

#[tokio::test]
async fn an_edit_that_makes_no_whole_document_waits_for_a_person() {
    let dir = tempfile::tempdir().unwrap();
    let more = queued("nameless", "upsert", r#"{"ruleset":"5e"}"#);
    let store = open(&v1(dir.path(), &more).await).await;
    let row = of(&store.outbox().await.unwrap(), "nameless").clone();
    assert_eq!(created(&row), json!({"ruleset": "5e"}));
    assert_eq!(
        row.row.row.parked,
        Some(moonforge_model::ParkReason::Invalid)
    );
    assert!(row.row.error.unwrap().contains("name"));
}

#[tokio::test]
async fn dates_that_cannot_be_read_count_as_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let more = "
        UPDATE campaigns SET updated_at = 'soon', created_at = 'once' WHERE firebase_id = 'clean';
        UPDATE campaigns SET updated_at = 9223372036854775807, created_at = 1e300 WHERE firebase_id = 'dirty';
        UPDATE campaign_local_metas SET last_synced_at = 'never';
        UPDATE outbox_ops SET created_at = '' WHERE doc_id = 'gone';";
    let store = open(&v1(dir.path(), more).await).await;
    for id in ["clean", "dirty"] {
        let read = store.get(&doc("campaigns", id)).await.unwrap().unwrap();
        assert_eq!(read.fields.get("createdAt"), None);
        goes_on(&store, id).await;
    }
    assert_eq!(
        ids(&store, &QuerySpec::all(named("campaigns"))).await.len(),
        3
    );
    let gone = of(&store.outbox().await.unwrap(), "gone").clone();
    assert_eq!(gone.row.created_at, seconds(0));
    assert_eq!(store.doctor().await.unwrap(), []);
}

#[tokio::test]
async fn a_campaign_whose_id_cannot_be_one_is_kept_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let more = "INSERT INTO campaigns (firebase_id, name, created_at, updated_at)
                VALUES ('a/b', 'Slashed', 1, 1), ('', 'Empty', 1, 1), ('__x__', 'Reserved', 1, 1);";
    let file = v1(dir.path(), more).await;
    let planned = Store::plan_migration(&file).await.unwrap();
    assert_eq!(planned.documents, 3);
    let store = open(&file).await;
    assert_eq!(store.migrated().unwrap().documents, 3);
    assert_eq!(
        ids(&store, &QuerySpec::all(named("campaigns"))).await.len(),
        3
    );
    let findings = store.doctor().await.unwrap();
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].code, "left_behind");
    assert!(findings[0].message.contains("campaigns_v1"));
    store.close().await;
    let kept = "SELECT count(*) FROM campaigns_v1 WHERE firebase_id IN ('a/b', '', '__x__')";
    assert_eq!(number(&file, kept).await, 3);
    run(&file, "DROP TABLE campaigns_v1").await;
    assert_eq!(open(&file).await.doctor().await.unwrap(), []);
}

#[tokio::test]
async fn operations_of_ids_that_cannot_be_are_shown_and_can_be_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let more = queued("a/b", "upsert", r#"{"name":"Slashed"}"#);
    let store = open(&v1(dir.path(), &more).await).await;
    let outbox = store.outbox().await.unwrap();
    assert_eq!(outbox.len(), 4);
    let row = outbox.iter().find(|e| e.doc.id.as_str().contains('b'));
    let row = row.unwrap();
    assert!(row.row.error.is_some(), "{row:?}");
    let findings = store.doctor().await.unwrap();
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].code, "invalid_id");
    store.discard(row.row.row.n, second(9)).await.unwrap();
    assert_eq!(store.doctor().await.unwrap(), []);
}
