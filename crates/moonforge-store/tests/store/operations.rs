//! Operations that are no document writes, in the same outbox.

use std::time::Duration;

use moonforge_model::{ParkReason, Priority};
use moonforge_store::{NewOperation, NextOperation, OperationEnd, Store, StoreError};
use serde_json::json;

use crate::support::{doc, memory, number, open, options, put, run, second};

fn invite(key: &str) -> NewOperation {
    NewOperation::new("send_invite", key, json!({"to": key}))
}

async fn enqueue(store: &Store, operation: NewOperation) -> String {
    store.enqueue(operation, second(1)).await.unwrap()
}

fn keys(next: &[NextOperation]) -> Vec<&str> {
    next.iter().map(|n| n.key.as_str()).collect()
}

fn retry(seconds: u64) -> OperationEnd {
    OperationEnd::Retry {
        now: second(5),
        wait: Duration::from_secs(seconds),
        message: "the mail server is away".into(),
    }
}

#[tokio::test]
async fn an_operation_stands_in_the_outbox_and_makes_no_document_dirty() {
    let store = memory().await;
    let operation = NewOperation {
        priority: Priority::High,
        ..invite("anna")
    };
    let id = enqueue(&store, operation).await;
    let outbox = store.outbox().await.unwrap();
    let [entry] = &outbox[..] else {
        panic!("{outbox:?}")
    };
    assert_eq!(entry.operation(), "call");
    assert_eq!(entry.doc.to_string(), "~send_invite/anna");
    let call = entry.call.as_ref().unwrap();
    assert_eq!((&call.id, call.priority), (&id, Priority::High));
    assert_eq!(
        (call.name.as_str(), &call.payload),
        ("send_invite", &json!({"to": "anna"}))
    );
    assert_eq!(entry.row.error, None);
    assert_eq!(store.outbox_counts().await.unwrap().pending, 1);
    assert_eq!(store.parked_and_waiting().await.unwrap().waiting, 1);
    assert!(store.pending_docs().await.unwrap().is_empty());
    assert!(store.doctor().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_lane_is_first_in_first_out_and_lanes_stand_beside_each_other() {
    let store = memory().await;
    let first = enqueue(&store, invite("anna")).await;
    let second = enqueue(&store, invite("anna")).await;
    enqueue(&store, invite("ben")).await;
    let next = store.next_operations().await.unwrap();
    assert_eq!(keys(&next), ["anna", "ben"]);
    let begun = store.begin_operation(next[0].n).await.unwrap().unwrap();
    assert_eq!((&begun.id, begun.attempts), (&first, 1));
    store
        .end_operation(begun.n, OperationEnd::Done)
        .await
        .unwrap();
    let next = store.next_operations().await.unwrap();
    assert_eq!(keys(&next), ["anna", "ben"]);
    let begun = store.begin_operation(next[0].n).await.unwrap().unwrap();
    assert_eq!(begun.id, second);
}

#[tokio::test]
async fn a_failed_try_keeps_its_wait_and_its_words_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.db");
    let store = open(&file).await;
    let id = enqueue(&store, invite("anna")).await;
    let n = store.next_operations().await.unwrap()[0].n;
    store.begin_operation(n).await.unwrap();
    store.end_operation(n, retry(30)).await.unwrap();
    store.close().await;
    let store = open(&file).await;
    let next = &store.next_operations().await.unwrap()[0];
    assert_eq!(next.retry, Some((second(35), Duration::from_secs(30))));
    let entry = &store.outbox().await.unwrap()[0];
    assert_eq!((entry.row.attempts, entry.row.row.sent), (1, false));
    assert_eq!(entry.row.error.as_deref(), Some("the mail server is away"));
    let again = store.begin_operation(n).await.unwrap().unwrap();
    assert_eq!((again.id, again.attempts), (id, 2));
}

#[tokio::test]
async fn one_that_was_begun_when_the_process_ended_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.db");
    let store = open(&file).await;
    let id = enqueue(&store, invite("anna")).await;
    let n = store.next_operations().await.unwrap()[0].n;
    store.begin_operation(n).await.unwrap();
    store.close().await;
    let store = open(&file).await;
    assert!(store.outbox().await.unwrap()[0].row.row.sent);
    let n = store.next_operations().await.unwrap()[0].n;
    assert_eq!(store.begin_operation(n).await.unwrap().unwrap().id, id);
}

#[tokio::test]
async fn a_parked_one_holds_its_lane_alone_until_it_is_retried_or_discarded() {
    let store = memory().await;
    for key in ["anna", "anna", "ben"] {
        enqueue(&store, invite(key)).await;
    }
    let n = store.next_operations().await.unwrap()[0].n;
    let park = OperationEnd::Park {
        reason: ParkReason::Invalid,
        message: "no such address".into(),
    };
    store.begin_operation(n).await.unwrap();
    store.end_operation(n, park.clone()).await.unwrap();
    assert_eq!(keys(&store.next_operations().await.unwrap()), ["ben"]);
    assert_eq!(store.begin_operation(n).await.unwrap(), None);
    let counts = store.outbox_counts().await.unwrap();
    assert_eq!((counts.pending, counts.parked), (2, 1));
    let waiting = store.parked_and_waiting().await.unwrap();
    assert_eq!((waiting.parked, waiting.waiting), (1, 1));

    assert_eq!(store.retry(Some(n)).await.unwrap(), 1);
    assert_eq!(
        keys(&store.next_operations().await.unwrap()),
        ["anna", "ben"]
    );
    store.begin_operation(n).await.unwrap();
    store.end_operation(n, park).await.unwrap();
    assert_eq!(store.discard(n, second(9)).await.unwrap(), 1);
    assert_eq!(
        keys(&store.next_operations().await.unwrap()),
        ["anna", "ben"]
    );
    let journal = &store.conflicts(false).await.unwrap()[0];
    assert_eq!(journal.doc.to_string(), "~send_invite/anna");
    assert_eq!(journal.conflict.lost, json!({"to": "anna"}));
    assert!(!store.can_take(journal).await.unwrap());
}

#[tokio::test]
async fn one_that_is_being_carried_out_is_not_discarded() {
    let store = memory().await;
    enqueue(&store, invite("anna")).await;
    let n = store.next_operations().await.unwrap()[0].n;
    let syncing = store.lock_for_sync().unwrap();
    store.begin_operation(n).await.unwrap();
    let refused = store.discard(n, second(2)).await.unwrap_err();
    assert_eq!(refused.code(), "in_flight");
    drop(syncing);
    assert_eq!(store.discard(n, second(2)).await.unwrap(), 1);
    assert!(store.outbox().await.unwrap().is_empty());
}

#[tokio::test]
async fn one_that_depends_on_a_document_waits_until_that_is_clean() {
    let store = memory().await;
    let keep = doc("campaigns", "keep");
    put(&store, &keep, json!({"name": "Keep"}), 1).await;
    let operation = NewOperation {
        after: Some(keep),
        ..invite("anna")
    };
    enqueue(&store, operation).await;
    assert!(store.next_operations().await.unwrap().is_empty());
    let edit = store.outbox().await.unwrap()[0].row.row.n;
    store.discard(edit, second(2)).await.unwrap();
    assert_eq!(keys(&store.next_operations().await.unwrap()), ["anna"]);
}

#[tokio::test]
async fn what_can_be_no_operation_is_refused() {
    let store = memory().await;
    let code = async |operation| {
        store
            .enqueue(operation, second(1))
            .await
            .unwrap_err()
            .code()
    };
    assert_eq!(
        code(NewOperation::new("", "k", json!(1))).await,
        "invalid_id"
    );
    assert_eq!(
        code(NewOperation::new("a/b", "k", json!(1))).await,
        "invalid_id"
    );
    assert_eq!(
        code(NewOperation::new("a", "", json!(1))).await,
        "invalid_id"
    );
    let long = "x".repeat(1 << 20);
    assert_eq!(
        code(NewOperation::new("a", "k", json!(long))).await,
        "too_large"
    );
    let after_nothing = NewOperation {
        after: Some(doc("ghosts", "g")),
        ..invite("anna")
    };
    assert_eq!(code(after_nothing).await, "unknown_collection");
    assert!(store.outbox().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_damaged_one_waits_and_says_why_and_can_be_discarded() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.db");
    let store = open(&file).await;
    enqueue(&store, invite("anna")).await;
    enqueue(&store, invite("ben")).await;
    run(
        &file,
        "UPDATE outbox_ops SET payload = '{\"kind\":\"cal' WHERE doc_id = 'anna'",
    )
    .await;
    assert_eq!(keys(&store.next_operations().await.unwrap()), ["ben"]);
    let entry = &store.outbox().await.unwrap()[0];
    let said = entry.row.error.as_deref().unwrap();
    assert!(said.contains("can't be read"), "{said}");
    let n = entry.row.row.n;
    assert_eq!(store.begin_operation(n).await.unwrap(), None);
    assert!(!store.outbox().await.unwrap()[0].row.row.sent);
    store.discard(n, second(2)).await.unwrap();
    assert_eq!(store.outbox().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_copy_has_the_operations_under_the_same_ids() {
    let dir = tempfile::tempdir().unwrap();
    let (file, copy) = (dir.path().join("m.db"), dir.path().join("copy.db"));
    let store = open(&file).await;
    let id = enqueue(&store, invite("anna")).await;
    store.backup(&copy).await.unwrap();
    let copied = open(&copy).await;
    let n = copied.next_operations().await.unwrap()[0].n;
    assert_eq!(copied.begin_operation(n).await.unwrap().unwrap().id, id);
    assert!(copied.doctor().await.unwrap().is_empty());
    assert_eq!(number(&copy, "SELECT rows FROM outbox_size").await, 1);
}

#[tokio::test]
async fn a_lane_that_is_parked_doesnt_stand_in_the_way_of_a_campaigns_retry() {
    let store = memory().await;
    enqueue(&store, invite("anna")).await;
    let n = store.next_operations().await.unwrap()[0].n;
    let park = OperationEnd::Park {
        reason: ParkReason::Denied,
        message: "not allowed".into(),
    };
    store.end_operation(n, park).await.unwrap();
    assert_eq!(store.retry_denied("keep").await.unwrap(), 0);
    assert_eq!(store.outbox_counts().await.unwrap().parked, 1);
}

#[tokio::test]
async fn a_full_outbox_takes_no_operation_either() {
    let mut options = options();
    options.outbox_limits.refuse_at = 1;
    let store = Store::in_memory(options).await.unwrap();
    enqueue(&store, invite("anna")).await;
    let refused = store.enqueue(invite("ben"), second(2)).await;
    assert!(matches!(
        refused,
        Err(StoreError::OutboxFull { rows: 1, limit: 1 })
    ));
}
