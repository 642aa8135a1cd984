//! Answers as production gives them where the emulator's differ, from a script: no emulator is needed.

use moonforge_model::Timestamp;
use moonforge_ports::{RemoteErrorKind, RemoteStore};
use moonforge_testkit::conformance::doc;
use moonforge_testkit::proxy::Reply;
use serde_json::{Value, json};

use crate::support::{all, answering, ids, put};

const EARLY: &str = "2026-01-01T00:00:00.000001Z";
const LATE: &str = "2026-01-01T00:00:01Z";

fn reply(body: Value) -> Reply {
    Reply {
        code: 200,
        headers: vec![],
        body: format!("{body:#}\n"),
    }
}

fn found(id: &str) -> Value {
    json!({
        "name": format!("projects/p/databases/(default)/documents/scenes/{id}"),
        "fields": {}, "createTime": EARLY, "updateTime": EARLY,
    })
}

#[tokio::test]
async fn elements_without_a_document_are_no_documents() {
    let (_proxy, store) = answering(reply(json!([
        {"transaction": "AA=="},
        {"skippedResults": 2, "readTime": LATE},
        {"document": found("a"), "readTime": EARLY},
        {"explainMetrics": {}},
    ])))
    .await;
    let (documents, read_time) = moonforge_testkit::conformance::collect(&store, &all("scenes"))
        .await
        .unwrap();
    assert_eq!(documents.len(), 1);
    assert_eq!(read_time, EARLY.parse::<Timestamp>().unwrap());
}

#[tokio::test]
async fn errors_in_an_array_are_errors_whatever_the_status() {
    let error = json!([{"error": {"code": 403, "message": "no", "status": "PERMISSION_DENIED"}}]);
    for code in [200, 403] {
        let (_proxy, store) = answering(Reply {
            code,
            ..reply(error.clone())
        })
        .await;
        for error in [
            ids(&store, &all("scenes")).await.1.unwrap_err(),
            store.batch_get(&[doc("scenes", "s")]).await.unwrap_err(),
            store.aggregate(&all("scenes")).await.unwrap_err(),
        ] {
            assert_eq!(
                error.kind,
                RemoteErrorKind::PermissionDenied,
                "{code}: {error}"
            );
        }
    }
}

#[tokio::test]
async fn a_batch_comes_in_any_order_and_leaves_nothing_out() {
    let name = |id: &str| format!("projects/p/databases/(default)/documents/scenes/{id}");
    let (_proxy, store) = answering(reply(json!([
        {"missing": name("c"), "readTime": LATE},
        {"found": found("b"), "readTime": EARLY},
    ])))
    .await;
    let answer = store
        .batch_get(&["b", "c"].map(|id| doc("scenes", id)))
        .await
        .unwrap();
    assert_eq!(answer.found[0].doc, doc("scenes", "b"));
    assert_eq!(
        (answer.missing, answer.read_time.to_string().as_str()),
        (vec![doc("scenes", "c")], EARLY)
    );
    let silent = store
        .batch_get(&["a", "b", "c"].map(|id| doc("scenes", id)))
        .await
        .unwrap_err();
    assert_eq!(silent.kind, RemoteErrorKind::NoAnswer);
    assert!(silent.message.contains("scenes/a"), "{silent}");
}

#[tokio::test]
async fn an_answer_that_leaves_out_what_it_must_have_is_none() {
    let empty_commit = json!({"commitTime": EARLY});
    for body in [
        json!([]),
        json!({}),
        json!([{}]),
        json!("text"),
        json!([1]),
        empty_commit,
    ] {
        let (_proxy, store) = answering(reply(body.clone())).await;
        for error in [
            store
                .commit(&[put("scenes", "s", json!({}))])
                .await
                .unwrap_err(),
            store.batch_get(&[doc("scenes", "s")]).await.unwrap_err(),
            ids(&store, &all("scenes")).await.1.unwrap_err(),
            store.aggregate(&all("scenes")).await.unwrap_err(),
        ] {
            assert_eq!(error.kind, RemoteErrorKind::NoAnswer, "{body}: {error}");
        }
    }
    // The write was applied, but without the time that it set there is no version to go on from.
    let body = json!({"writeResults": [{"updateTime": EARLY}], "commitTime": EARLY});
    let (_proxy, store) = answering(reply(body)).await;
    let error = store
        .commit(&[put("scenes", "s", json!({}))])
        .await
        .unwrap_err();
    assert_eq!(error.kind, RemoteErrorKind::NoAnswer);
}

/// An answer about another database isn't one to this question: leaving its documents out would look like absence.
#[tokio::test]
async fn a_document_of_another_database_is_no_answer() {
    for prefix in [
        "projects/other/databases/(default)",
        "projects/p/databases/other",
        "projects/123/databases/(default)",
    ] {
        let name = format!("{prefix}/documents/scenes/a");
        let mut foreign = found("a");
        foreign["name"] = json!(name);
        for element in [
            json!({"document": foreign, "readTime": EARLY}),
            json!({"found": foreign, "readTime": EARLY}),
            json!({"missing": name, "readTime": EARLY}),
        ] {
            let (_proxy, store) = answering(reply(json!([element]))).await;
            let error = match element.get("document") {
                Some(_) => ids(&store, &all("scenes")).await.1.unwrap_err(),
                None => store.batch_get(&[doc("scenes", "a")]).await.unwrap_err(),
            };
            assert_eq!(error.kind, RemoteErrorKind::NoAnswer, "{element}");
            assert!(error.message.contains(prefix), "{error}");
        }
    }
    // What can't be called so here is left out, and nothing else.
    let odd = found("a\u{1}b");
    let (_proxy, store) = answering(reply(json!([
        {"document": odd, "readTime": EARLY}, {"document": found("b"), "readTime": EARLY},
    ])))
    .await;
    let (ids, end) = ids(&store, &all("scenes")).await;
    assert_eq!((ids, end.is_ok()), (vec!["b".to_owned()], true));
}

#[tokio::test]
async fn no_answer_fills_the_memory() {
    let padding = "x".repeat(17 << 20);
    let fits = &padding[..1 << 20];
    let commit = |padding: &str| {
        let result = json!({"updateTime": EARLY, "transformResults": [{"timestampValue": EARLY}]});
        json!({"writeResults": [result], "commitTime": EARLY, "more": padding})
    };
    let row = |padding: &str| {
        let mut row = json!({"document": found("a"), "readTime": EARLY});
        row["document"]["fields"] = json!({"content": {"stringValue": padding}});
        row
    };
    let write = [put("scenes", "s", json!({}))];
    let (_proxy, store) = answering(reply(commit(fits))).await;
    store.commit(&write).await.unwrap();
    let (_proxy, store) = answering(reply(commit(&padding))).await;
    let error = store.commit(&write).await.unwrap_err();
    assert_eq!(error.kind, RemoteErrorKind::NoAnswer, "{error}");
    // Documents are held one at a time, however many there are.
    let (_proxy, store) = answering(reply(Value::from(vec![row(fits); 20]))).await;
    let (came, end) = ids(&store, &all("scenes")).await;
    assert_eq!((came.len(), end.is_ok()), (20, true));
    let (_proxy, store) = answering(reply(json!([row(fits), row(&padding)]))).await;
    let (came, end) = ids(&store, &all("scenes")).await;
    assert_eq!(
        (came.len(), end.unwrap_err().kind),
        (1, RemoteErrorKind::NoAnswer)
    );
}

#[tokio::test]
async fn a_sum_may_be_a_double() {
    for (value, expected) in [
        (json!({"integerValue": "7"}), 7),
        (json!({"integerValue": 7}), 7),
        (json!({"doubleValue": 7.5}), 7),
        (json!({"doubleValue": 1e300}), i64::MAX),
    ] {
        let result = json!({"aggregateFields": {"figure": value}});
        let (_proxy, store) =
            answering(reply(json!([{"result": result, "readTime": EARLY}]))).await;
        assert_eq!(
            store.aggregate(&all("scenes")).await.unwrap().sum_rev,
            expected
        );
    }
}
