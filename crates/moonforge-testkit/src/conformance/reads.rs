//! Reads by name, and what an answer's end means.

use std::sync::Arc;

use moonforge_ports::{RemoteQuery, RemoteStore};
use serde_json::json;

use super::{apply, change, collect, commit, create, doc};

/// A batch tells what is there from what isn't, each document once.
pub async fn a_batch_says_what_is_missing(store: &dyn RemoteStore) {
    let there: Vec<_> = ["b", "a", "ü", "with blank", "q?x=1&y#z%25"]
        .map(|id| doc("batch", id))
        .into();
    let absent: Vec<_> = ["c", "d"].map(|id| doc("batch", id)).into();
    let writes = there
        .iter()
        .map(|d| create(d.clone(), json!({"id": d.id.as_str()})))
        .collect();
    let answer = commit(store, writes).await;
    let asked: Vec<_> = there.iter().chain(&absent).cloned().collect();
    let mut got = store.batch_get(&asked).await.expect("a read");
    got.found.sort_by(|a, b| a.doc.cmp(&b.doc));
    got.missing.sort();
    let mut expected = there.clone();
    expected.sort();
    assert_eq!(
        got.found.iter().map(|d| &d.doc).collect::<Vec<_>>(),
        expected.iter().collect::<Vec<_>>()
    );
    assert_eq!(got.missing, absent);
    for found in &got.found {
        assert_eq!(found.fields["id"], json!(found.doc.id.as_str()));
        assert_eq!(found.update_time, answer.results[0].update_time);
        assert!(got.read_time >= found.update_time);
    }
    let empty = store.batch_get(&absent).await.expect("a read of nothing");
    assert!(empty.found.is_empty() && empty.missing.len() == 2);
    // What is made later is newer than an absence that was seen.
    let made = apply(store, create(absent[0].clone(), json!({}))).await;
    assert!(
        made > empty.read_time,
        "{made} is not after {}",
        empty.read_time
    );
}

/// A reader beside a writer sees all of a commit or nothing of it.
pub async fn reads_see_whole_commits(store: Arc<dyn RemoteStore>) {
    let docs = ["a", "b", "c"].map(|id| doc("whole", id));
    let writes = docs
        .iter()
        .map(|d| create(d.clone(), json!({"n": 0})))
        .collect();
    let mut version = commit(&*store, writes).await.results[0].update_time;
    let writer = {
        let (store, docs) = (Arc::clone(&store), docs.clone());
        async move {
            for n in 1..=20 {
                let all = docs
                    .clone()
                    .map(|d| change(d, version, json!({"n": n}), &["n"]));
                version = commit(&*store, all.into()).await.results[0].update_time;
                tokio::task::yield_now().await;
            }
        }
    };
    let reader = async {
        for _ in 0..20 {
            let (documents, _) = collect(&*store, &RemoteQuery::all(docs[0].collection.clone()))
                .await
                .expect("a query");
            let seen: Vec<_> = documents.iter().map(|d| &d.fields["n"]).collect();
            assert!(
                seen.len() == 3 && seen.iter().all(|n| *n == seen[0]),
                "{seen:?}"
            );
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(writer, reader);
}

/// An answer, also an empty one, ends with its read time; without one it was cut.
pub async fn an_answer_has_an_end(store: &dyn RemoteStore) {
    let query = RemoteQuery::all(doc("ends", "x").collection);
    let (documents, before) = collect(store, &query).await.expect("an empty answer");
    assert!(documents.is_empty());
    let version = apply(store, create(doc("ends", "x"), json!({}))).await;
    assert!(version > before, "{version} is not after {before}");
    let (documents, after) = collect(store, &query).await.expect("an answer");
    assert_eq!((documents.len(), documents[0].update_time), (1, version));
    assert!(after >= version);
    let limited = RemoteQuery {
        limit: Some(1),
        ..query
    };
    assert_eq!(
        collect(store, &limited).await.expect("a full page").0.len(),
        1
    );
}
