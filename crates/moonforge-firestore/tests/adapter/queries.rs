use futures_util::StreamExt;
use moonforge_model::Timestamp;
use moonforge_ports::{Filter, QueryEvent, RemoteQuery, RemoteStore, RemoteWrite};
use moonforge_testkit::conformance::path;
use serde_json::json;

use crate::support::{all, ids, project, put, store};

#[tokio::test]
async fn documents_come_while_the_rest_is_still_on_its_way() {
    let Some(project) = project("stream").await else {
        return;
    };
    let store = store(&project);
    let text = "}]\"\\[{ ".repeat(400);
    for batch in 0..4 {
        let writes: Vec<_> = (0..150)
            .map(|i| {
                put(
                    "scenes",
                    &format!("{batch}-{i:03}"),
                    json!({"text": text, "i": i}),
                )
            })
            .collect();
        store.commit(&writes).await.unwrap();
    }
    let mut events = store.query(&all("scenes")).await.unwrap();
    let mut last = String::new();
    let mut count = 0;
    while let Some(event) = events.next().await {
        match event.unwrap() {
            QueryEvent::Document(document) => {
                count += 1;
                assert!(document.doc.id.as_str() > last.as_str());
                assert_eq!(document.fields["text"], json!(text));
                last = document.doc.id.to_string();
                // It was billed when it came, not at the end.
                assert_eq!(store.usage().reads, count);
            }
            QueryEvent::Done { .. } => assert_eq!(count, 600),
        }
    }
}

#[tokio::test]
async fn a_text_in_place_of_a_time_is_kept_out_by_a_bound() {
    let Some(project) = project("hostile").await else {
        return;
    };
    let store = store(&project);
    store
        .commit(&[put("scenes", "sound", json!({}))])
        .await
        .unwrap();
    let hostile = json!({"updatedAt": "9999", "rev": "x"});
    assert_eq!(
        project.owner().set("scenes/hostile", &hostile).await.status,
        200
    );
    let unbound = RemoteQuery {
        by_updated_at: true,
        ..all("scenes")
    };
    assert_eq!(ids(&store, &unbound).await.0, ["sound", "hostile"]);
    let bound = RemoteQuery {
        since: Some(Timestamp::EPOCH),
        ..all("scenes")
    };
    assert_eq!(ids(&store, &bound).await.0, ["sound"]);
    assert_eq!(ids(&store, &all("scenes")).await.0, ["hostile", "sound"]);
    assert_eq!(store.aggregate(&all("scenes")).await.unwrap().count, 2);
}

#[tokio::test]
async fn a_document_with_an_id_that_cant_be_held_doesnt_stop_the_rest() {
    let Some(project) = project("ids").await else {
        return;
    };
    let store = store(&project);
    for id in ["a", "b\u{1}", "c"] {
        assert_eq!(
            project
                .owner()
                .set(&format!("scenes/{id}"), &json!({"x": 1}))
                .await
                .status,
            200
        );
    }
    let (came, end) = ids(&store, &all("scenes")).await;
    assert_eq!(
        (came, end.is_ok()),
        (vec!["a".to_owned(), "c".to_owned()], true)
    );
    assert_eq!(store.usage().reads, 3);
}

#[tokio::test]
async fn filters_reach_fields_of_any_name() {
    let Some(project) = project("filters").await else {
        return;
    };
    let store = store(&project);
    let value = |x: &str| json!({"$role": x, "roles": {"a.b": x}, "list": [x, "all"]});
    let writes: Vec<RemoteWrite> = ["x", "y", "z"]
        .map(|id| put("scenes", id, value(id)))
        .into();
    store.commit(&writes).await.unwrap();
    for (filters, expected) in [
        (
            vec![Filter::Equals(path("`$role`"), "x".into())],
            &["x"][..],
        ),
        (
            vec![Filter::In(
                path("roles.`a.b`"),
                vec!["x".into(), "z".into()],
            )],
            &["x", "z"],
        ),
        (
            vec![
                Filter::Contains(path("list"), "all".into()),
                Filter::Equals(path("roles.`a.b`"), "y".into()),
            ],
            &["y"],
        ),
    ] {
        let query = RemoteQuery {
            filters,
            ..all("scenes")
        };
        assert_eq!(ids(&store, &query).await.0, expected);
        let since = RemoteQuery {
            since: Some(Timestamp::EPOCH),
            select: Some(vec![]),
            ..query
        };
        assert_eq!(ids(&store, &since).await.0, expected);
        assert_eq!(
            store.aggregate(&since).await.unwrap().count,
            expected.len() as i64
        );
    }
}
