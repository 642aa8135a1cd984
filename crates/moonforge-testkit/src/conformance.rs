//! What every [`RemoteStore`] must do: plain functions that panic where it doesn't.
//!
//! [`run_all`] takes them all in turn, each on a store of its own; each can be called alone too. The store is used as an
//! administrator uses it, or under rules that are open, and is empty at first.

mod commits;
mod queries;
mod reads;
mod values;

use std::sync::Arc;

use futures_util::StreamExt;
use moonforge_model::{DocRef, FieldPath, Fields, Timestamp};
use moonforge_ports::{
    CommitAnswer, Precondition, QueryEvent, RemoteDocument, RemoteError, RemoteErrorKind,
    RemoteQuery, RemoteStore, RemoteWrite,
};
use serde_json::Value;

pub use commits::{
    a_commit_applies_all_or_nothing, a_create_needs_absence, a_document_has_a_size,
    a_mask_changes_only_what_it_names, a_replacement_leaves_nothing_over,
    a_write_needs_its_version, a_write_without_effect_is_no_version, masks_name_odd_fields,
    one_write_a_document, revisions_rise_by_one, server_times_are_answered, update_times_rise,
};
pub use queries::{
    aggregates_count_and_sum, filters_select, pages_cross_equal_times, pages_in_the_order_of_names,
    queries_bound_times, queries_select_fields,
};
pub use reads::{a_batch_says_what_is_missing, an_answer_has_an_end, reads_see_whole_commits};
pub use values::values_come_back_as_they_were;

/// What a store can do beyond the least.
#[derive(Clone, Copy, Debug)]
pub struct Capabilities {
    /// `aggregate` works.
    pub aggregates: bool,
    /// Refuses a `rev` that isn't 0 at creation and one more at each write, for this caller.
    pub enforces_rev: bool,
}

/// Runs every check, each on what `make` gives it.
pub async fn run_all<M, F>(make: M, capabilities: Capabilities)
where
    M: Fn() -> F,
    F: Future<Output = Arc<dyn RemoteStore>>,
{
    a_create_needs_absence(&*make().await).await;
    a_write_needs_its_version(&*make().await).await;
    a_mask_changes_only_what_it_names(&*make().await).await;
    masks_name_odd_fields(&*make().await).await;
    a_replacement_leaves_nothing_over(&*make().await).await;
    server_times_are_answered(&*make().await).await;
    a_commit_applies_all_or_nothing(&*make().await).await;
    one_write_a_document(&*make().await).await;
    a_write_without_effect_is_no_version(&*make().await).await;
    update_times_rise(&*make().await).await;
    a_document_has_a_size(&*make().await).await;
    a_batch_says_what_is_missing(&*make().await).await;
    reads_see_whole_commits(make().await).await;
    an_answer_has_an_end(&*make().await).await;
    filters_select(&*make().await).await;
    pages_cross_equal_times(&*make().await).await;
    pages_in_the_order_of_names(&*make().await).await;
    queries_bound_times(&*make().await).await;
    queries_select_fields(&*make().await).await;
    values_come_back_as_they_were(&*make().await).await;
    if capabilities.aggregates {
        aggregates_count_and_sum(&*make().await).await;
    }
    if capabilities.enforces_rev {
        revisions_rise_by_one(&*make().await).await;
    }
}

/// A query's documents and read time. An answer that ends without its end is `NoAnswer`.
pub async fn collect(
    store: &dyn RemoteStore,
    query: &RemoteQuery,
) -> Result<(Vec<RemoteDocument>, Timestamp), RemoteError> {
    let mut events = store.query(query).await?;
    let mut documents = Vec::new();
    while let Some(event) = events.next().await {
        match event? {
            QueryEvent::Document(document) => documents.push(document),
            QueryEvent::Done { read_time } => {
                assert!(
                    events.next().await.is_none(),
                    "something came after the end"
                );
                return Ok((documents, read_time));
            }
        }
    }
    Err(RemoteError::new(
        RemoteErrorKind::NoAnswer,
        "the answer has no end",
    ))
}

/// The document of this name.
pub fn doc(collection: &str, id: &str) -> DocRef {
    DocRef::parse(collection, id).expect("a test's names are valid")
}

/// The path that a text names.
pub fn path(text: &str) -> FieldPath {
    text.parse().expect("a test's paths are valid")
}

/// The members of a JSON object.
pub fn fields(value: Value) -> Fields {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

/// A creation with these fields, `updatedAt` from the server.
pub fn create(doc: DocRef, value: Value) -> RemoteWrite {
    RemoteWrite {
        doc,
        fields: fields(value),
        mask: None,
        server_time: vec![FieldPath::field("updatedAt")],
        precondition: Precondition::MustNotExist,
    }
}

/// A change of the masked paths of a version, `updatedAt` from the server.
pub fn change(doc: DocRef, version: Timestamp, value: Value, mask: &[&str]) -> RemoteWrite {
    RemoteWrite {
        doc,
        fields: fields(value),
        mask: Some(mask.iter().map(|text| path(text)).collect()),
        server_time: vec![FieldPath::field("updatedAt")],
        precondition: Precondition::UpdateTime(version),
    }
}

/// Commits one write that has to pass, and gives the version that it made.
async fn apply(store: &dyn RemoteStore, write: RemoteWrite) -> Timestamp {
    let answer = commit(store, vec![write]).await;
    answer.results[0].update_time
}

async fn commit(store: &dyn RemoteStore, writes: Vec<RemoteWrite>) -> CommitAnswer {
    let answer = store
        .commit(&writes)
        .await
        .expect("a commit that nothing speaks against");
    assert_eq!(answer.results.len(), writes.len(), "one result a write");
    answer
}

/// Why a commit was refused.
async fn refused(store: &dyn RemoteStore, writes: &[RemoteWrite]) -> RemoteErrorKind {
    store
        .commit(writes)
        .await
        .expect_err("a commit that must not pass")
        .kind
}

/// The document as it is now.
async fn read(store: &dyn RemoteStore, doc: &DocRef) -> Option<RemoteDocument> {
    let mut answer = store
        .batch_get(std::slice::from_ref(doc))
        .await
        .expect("a read that nothing speaks against");
    assert_eq!(
        answer.found.len() + answer.missing.len(),
        1,
        "found or missing"
    );
    answer.found.pop()
}

/// What a document holds apart from `updatedAt`, as JSON.
async fn body(store: &dyn RemoteStore, doc: &DocRef) -> Value {
    let mut document = read(store, doc).await.expect("the document is there");
    document.fields.remove("updatedAt");
    Value::Object(document.fields)
}

/// Whether a refusal is one of those that a stale write can get.
fn is_stale(kind: RemoteErrorKind) -> bool {
    use RemoteErrorKind::{Aborted, AlreadyExists, FailedPrecondition, NotFound, PermissionDenied};
    matches!(
        kind,
        Aborted | AlreadyExists | FailedPrecondition | NotFound | PermissionDenied
    )
}
