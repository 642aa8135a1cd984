//! Queries: filters, order, pages, bounds, selection, aggregation.

use std::collections::BTreeSet;

use moonforge_model::{Collection, Timestamp};
use moonforge_ports::{
    Filter, Precondition, RemoteDocument, RemoteQuery, RemoteStore, RemoteWrite,
};
use serde_json::json;

use super::{apply, change, collect, commit, create, doc, path};

fn all(collection: &str) -> RemoteQuery {
    RemoteQuery::all(Collection::new(collection).expect("a test's names are valid"))
}

async fn ids(store: &dyn RemoteStore, query: &RemoteQuery) -> Vec<String> {
    let (documents, _) = collect(store, query).await.expect("a query");
    documents.iter().map(|d| d.doc.id.to_string()).collect()
}

fn updated_at(document: &RemoteDocument) -> Timestamp {
    document.fields["updatedAt"]
        .as_str()
        .expect("a time")
        .parse()
        .expect("a time")
}

/// Equality, membership and containment choose, alone and together; other collections don't show.
pub async fn filters_select(store: &dyn RemoteStore) {
    let rows = [
        (
            "a",
            json!({"campaignId": "c1", "visibility": "players", "memberUids": ["u1", "u2"]}),
        ),
        (
            "b",
            json!({"campaignId": "c2", "visibility": "gm", "memberUids": ["u2"]}),
        ),
        (
            "c",
            json!({"campaignId": "c3", "memberUids": [], "props": {"a.b": "c1"}}),
        ),
        (
            "d",
            json!({"campaignId": "c1", "visibility": "gm", "memberUids": "u1"}),
        ),
        ("e", json!({"campaignId": 1})),
    ];
    let mut writes: Vec<_> = rows
        .into_iter()
        .map(|(id, value)| create(doc("filtered", id), value))
        .collect();
    writes.push(create(doc("elsewhere", "z"), json!({"campaignId": "c1"})));
    commit(store, writes).await;
    let equals = |p: &str, v: &str| Filter::Equals(path(p), v.to_owned());
    let within =
        |p: &str, v: &[&str]| Filter::In(path(p), v.iter().map(|v| (*v).to_owned()).collect());
    let contains = |p: &str, v: &str| Filter::Contains(path(p), v.to_owned());
    let cases: Vec<(Vec<Filter>, &[&str])> = vec![
        (vec![], &["a", "b", "c", "d", "e"]),
        (vec![equals("campaignId", "c1")], &["a", "d"]),
        (
            vec![equals("campaignId", "c1"), equals("visibility", "players")],
            &["a"],
        ),
        (
            vec![within("campaignId", &["c1", "c3", "c9"])],
            &["a", "c", "d"],
        ),
        (
            vec![
                within("campaignId", &["c2", "c1"]),
                equals("visibility", "gm"),
            ],
            &["b", "d"],
        ),
        (vec![contains("memberUids", "u1")], &["a"]),
        (vec![contains("memberUids", "u2")], &["a", "b"]),
        (vec![equals("props.`a.b`", "c1")], &["c"]),
        (vec![equals("campaignId", "' OR 1=1 --")], &[]),
    ];
    for (filters, expected) in cases {
        let query = RemoteQuery {
            filters,
            ..all("filtered")
        };
        assert_eq!(ids(store, &query).await, expected, "{:?}", query.filters);
        let timed = RemoteQuery {
            by_updated_at: true,
            ..query
        };
        assert_eq!(
            ids(store, &timed).await,
            expected,
            "{:?} by time",
            timed.filters
        );
    }
}

/// Many documents with one `updatedAt` and some with others: pages of any size bring each once, in order.
pub async fn pages_cross_equal_times(store: &dyn RemoteStore) {
    for batch in 0..3 {
        let writes = (0..7)
            .map(|i| {
                create(
                    doc("pages", &format!("{i}-{batch}-é")),
                    json!({"batch": batch}),
                )
            })
            .collect();
        commit(store, writes).await;
    }
    // Without `updatedAt` a document isn't in this order at all.
    let hidden = RemoteWrite {
        server_time: vec![],
        ..create(doc("pages", "0-hidden"), json!({}))
    };
    apply(store, hidden).await;
    let whole = RemoteQuery {
        by_updated_at: true,
        ..all("pages")
    };
    let (documents, _) = collect(store, &whole).await.expect("a query");
    let expected: Vec<_> = documents
        .iter()
        .map(|d| (updated_at(d), d.doc.id.as_str().to_owned()))
        .collect();
    assert_eq!(expected.len(), 21);
    assert!(expected.is_sorted(), "{expected:?}");
    let times: BTreeSet<_> = expected.iter().map(|(at, _)| *at).collect();
    assert!(times.len() <= 3, "one time a commit: {times:?}");
    for limit in [1, 2, 5, 7, 21, 30] {
        let mut seen = Vec::new();
        let mut page = RemoteQuery {
            limit: Some(limit),
            ..whole.clone()
        };
        loop {
            let (documents, _) = collect(store, &page).await.expect("a page");
            assert!(documents.len() <= limit as usize);
            let Some(last) = documents.last() else { break };
            page.after = Some((Some(updated_at(last)), last.doc.id.to_string()));
            seen.extend(
                documents
                    .iter()
                    .map(|d| (updated_at(d), d.doc.id.as_str().to_owned())),
            );
        }
        assert_eq!(seen, expected, "pages of {limit}");
    }
}

/// Without times, documents come by the bytes of their names, those without `updatedAt` too.
pub async fn pages_in_the_order_of_names(store: &dyn RemoteStore) {
    let names = ["B", "a", "a b", "ab", "z", "é", "\u{ff5e}", "\u{1f600}"];
    let mut writes: Vec<_> = names
        .map(|id| create(doc("named", id), json!({"x": 1})))
        .into();
    writes[0].server_time.clear();
    commit(store, writes).await;
    let mut seen = Vec::new();
    let mut page = RemoteQuery {
        limit: Some(3),
        ..all("named")
    };
    loop {
        let ids = ids(store, &page).await;
        let Some(last) = ids.last() else { break };
        page.after = Some((None, last.clone()));
        seen.extend(ids);
    }
    assert_eq!(seen, names);
}

/// `since` and `until` include their ends, and leave out what has no time or a text in its place.
pub async fn queries_bound_times(store: &dyn RemoteStore) {
    let at = |ms| Timestamp::from_millis(1_700_000_000_000 + ms);
    let mut writes: Vec<_> = [("a", 0), ("b", 1), ("c", 1), ("d", 2), ("e", 3)]
        .map(|(id, ms)| create(doc("bounded", id), json!({"updatedAt": at(ms)})))
        .into();
    writes.push(create(doc("bounded", "none"), json!({})));
    writes.iter_mut().for_each(|w| w.server_time.clear());
    commit(store, writes).await;
    let cases: [(Option<i64>, Option<i64>, &[&str]); 6] = [
        (Some(0), None, &["a", "b", "c", "d", "e"]),
        (Some(1), None, &["b", "c", "d", "e"]),
        (None, Some(1), &["a", "b", "c"]),
        (Some(1), Some(2), &["b", "c", "d"]),
        (Some(4), None, &[]),
        (Some(2), Some(1), &[]),
    ];
    for (since, until, expected) in cases {
        let query = RemoteQuery {
            since: since.map(at),
            until: until.map(at),
            ..all("bounded")
        };
        assert_eq!(ids(store, &query).await, expected, "{since:?}..={until:?}");
    }
    let query = RemoteQuery {
        since: Some(at(1)),
        until: Some(at(3)),
        after: Some((Some(at(1)), "b".to_owned())),
        limit: Some(2),
        ..all("bounded")
    };
    assert_eq!(ids(store, &query).await, ["c", "d"]);
    // One microsecond counts.
    let later = RemoteQuery {
        since: Some(at(3).offset_micros(1)),
        ..all("bounded")
    };
    assert!(ids(store, &later).await.is_empty());
}

/// A selection brings what it names and nothing else; an empty one names and versions alone.
pub async fn queries_select_fields(store: &dyn RemoteStore) {
    let value = json!({"a": 1, "m": {"x": 2, "y": 3}, "odd.name": 4});
    let version = apply(store, create(doc("selected", "one"), value)).await;
    let select = |paths: &[&str]| RemoteQuery {
        select: Some(paths.iter().map(|p| path(p)).collect()),
        ..all("selected")
    };
    for (paths, expected) in [
        (
            &["m.x", "`odd.name`", "absent"][..],
            json!({"m": {"x": 2}, "odd.name": 4}),
        ),
        (&["m", "a"], json!({"a": 1, "m": {"x": 2, "y": 3}})),
        (&[], json!({})),
    ] {
        let (documents, _) = collect(store, &select(paths)).await.expect("a query");
        assert_eq!(documents.len(), 1);
        assert_eq!(
            serde_json::Value::Object(documents[0].fields.clone()),
            expected
        );
        assert_eq!(documents[0].update_time, version);
    }
}

/// COUNT and SUM(rev) are those of the filters and the span, whatever page the query asks for.
pub async fn aggregates_count_and_sum(store: &dyn RemoteStore) {
    let ids = ["a", "b", "c", "d"];
    let value = |id: &str| json!({"rev": 0, "campaignId": if id == "d" { "c2" } else { "c1" }});
    let created = commit(
        store,
        ids.map(|id| create(doc("summed", id), value(id))).into(),
    )
    .await;
    let mut version = created.results[0].update_time;
    for rev in 1..=3 {
        let write = change(doc("summed", "a"), version, json!({"rev": rev}), &["rev"]);
        version = apply(store, write).await;
    }
    let without_rev = RemoteWrite {
        precondition: Precondition::None,
        ..create(doc("summed", "session"), json!({"campaignId": "c1"}))
    };
    apply(store, without_rev).await;
    let of_c1 = vec![Filter::Equals(path("campaignId"), "c1".to_owned())];
    let query = RemoteQuery {
        filters: of_c1,
        ..all("summed")
    };
    let answer = store.aggregate(&query).await.expect("an aggregation");
    assert_eq!((answer.count, answer.sum_rev), (4, 3));
    assert!(answer.read_time >= version);
    let paged = RemoteQuery {
        limit: Some(1),
        after: Some((None, "b".to_owned())),
        select: Some(vec![]),
        ..query.clone()
    };
    let answer = store
        .aggregate(&paged)
        .await
        .expect("an aggregation of a page's query");
    assert_eq!((answer.count, answer.sum_rev), (4, 3));
    let (documents, _) = collect(store, &query).await.expect("a query");
    let first = documents
        .iter()
        .map(updated_at)
        .min()
        .expect("four documents");
    let before = RemoteQuery {
        until: Some(first.offset_micros(-1)),
        ..query
    };
    let answer = store
        .aggregate(&before)
        .await
        .expect("an aggregation of nothing");
    assert_eq!((answer.count, answer.sum_rev), (0, 0));
}
