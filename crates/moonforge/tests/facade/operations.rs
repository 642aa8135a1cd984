//! Operations other than document writes, and an outbox that has a limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use moonforge::{
    Cadence, Campaign, Embedded, Executed, Executor, Health, Moonforge, NewOperation, Operation,
    OutboxLimits, ParkReason, Priority, Room,
};
use serde_json::json;

/// Counts its tries; the first fails.
#[derive(Clone, Default)]
struct Bell(Arc<AtomicU32>);

#[async_trait]
impl Executor for Bell {
    async fn execute(&self, operation: &Operation) -> Executed {
        assert_eq!(operation.name, "ring");
        if self.0.fetch_add(1, Ordering::SeqCst) > 0 {
            return Executed::Done;
        }
        Executed::Retry {
            after: Some(Duration::from_millis(20)),
            message: "the rope is wet".into(),
        }
    }
}

fn id(text: &str) -> moonforge::DocId {
    text.parse().unwrap()
}

#[tokio::test]
async fn the_background_engine_carries_out_and_tries_again_by_itself() {
    let bell = Bell::default();
    let cadence = Cadence {
        debounce: Duration::from_millis(5),
        // A look for news would carry it out too.
        poll: Duration::from_secs(600),
        ..Cadence::default()
    };
    let forge = Moonforge::memory_builder()
        .cadence(cadence)
        .executor("ring", bell.clone())
        .open()
        .await
        .unwrap();
    forge.start();
    let mut status = forge.watch_sync_status();
    status.wait_for(|s| s.runs_done == 1).await.unwrap();
    forge
        .enqueue("ring", "tower", json!(1), Priority::High)
        .await
        .unwrap();
    let done = status.wait_for(|s| s.pending == 0 && s.runs_done > 2);
    tokio::time::timeout(Duration::from_secs(30), done)
        .await
        .expect("it is carried out")
        .unwrap();
    assert_eq!(bell.0.load(Ordering::SeqCst), 2);
    assert!(forge.outbox().list().await.unwrap().is_empty());
    forge.stop().await;
}

#[tokio::test]
async fn one_without_an_executor_waits_and_says_so_until_an_app_has_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.db");
    let forge = Moonforge::builder(&file).open().await.unwrap();
    forge
        .enqueue("ring", "tower", json!(1), Priority::Low)
        .await
        .unwrap();
    let report = forge.sync_now().await.unwrap();
    assert_eq!((report.operations, report.waiting), (0, 1));
    let entry = forge.outbox().list().await.unwrap().remove(0);
    let said = entry.row.error.unwrap();
    assert!(said.contains("no executor `ring` is registered"), "{said}");
    forge.close().await;
    let bell = Bell(Arc::new(AtomicU32::new(1)));
    let builder = Moonforge::builder(&file).executor("ring", bell);
    let forge = builder.open().await.unwrap();
    assert_eq!(forge.outbox().list().await.unwrap()[0].row.error, None);
    assert_eq!(forge.sync_now().await.unwrap().operations, 1);
}

#[tokio::test]
async fn a_parked_one_is_a_persons_and_one_behind_a_document_waits_for_that() {
    struct Refuses;
    #[async_trait]
    impl Executor for Refuses {
        async fn execute(&self, _: &Operation) -> Executed {
            Executed::Park {
                reason: ParkReason::Denied,
                message: "the bell is locked away".into(),
            }
        }
    }
    let forge = Moonforge::memory_builder()
        .executor("ring", Refuses)
        .open()
        .await
        .unwrap();
    forge
        .campaigns()
        .upsert(Campaign::new(id("keep"), "Keep"))
        .await
        .unwrap();
    let operation = NewOperation {
        after: Some(moonforge::DocRef::parse("campaigns", "keep").unwrap()),
        ..NewOperation::new("ring", "tower", json!(1))
    };
    forge.enqueue_operation(operation).await.unwrap();
    let report = forge.sync_now().await.unwrap();
    assert_eq!((report.pushed, report.parked), (1, 1));
    let status = forge.status().await.unwrap();
    assert_eq!((status.parked, status.health), (1, Health::Degraded));
    let entry = forge.outbox().list().await.unwrap().remove(0);
    assert_eq!(entry.operation(), "call");
    let seq = entry.row.row.n;
    assert_eq!(forge.outbox().retry(Some(seq)).await.unwrap(), 1);
    assert_eq!(forge.sync_now().await.unwrap().parked, 1);
    assert_eq!(forge.outbox().discard(seq).await.unwrap(), 1);
    assert!(forge.doctor().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_full_outbox_refuses_warns_before_and_has_room_again_after_a_sync() {
    let limits = OutboxLimits {
        warn_at: 2,
        refuse_at: 3,
    };
    let forge = Moonforge::memory_builder()
        .cloud(Embedded::in_memory())
        .outbox_limits(limits)
        .open()
        .await
        .unwrap();
    let put = async |n: u32| {
        let campaign = Campaign::new(id(&format!("k{n}")), "Keep");
        forge.campaigns().upsert(campaign).await
    };
    put(1).await.unwrap();
    assert_eq!(forge.status().await.unwrap().room, Room::Plenty);
    put(2).await.unwrap();
    let status = forge.status().await.unwrap();
    assert_eq!(
        (status.room, status.health),
        (Room::Tight, Health::Degraded)
    );
    put(3).await.unwrap();
    let refused = put(4).await.unwrap_err();
    assert_eq!(refused.code(), "outbox_full");
    let status = forge.status().await.unwrap();
    assert_eq!((status.room, status.pending), (Room::Full, 3));
    let said = status.sentence();
    assert!(said.contains("no more are taken"), "{said}");
    assert_eq!(forge.sync_now().await.unwrap().pushed, 3);
    put(4).await.unwrap();
    let status = forge.status().await.unwrap();
    assert_eq!((status.room, status.health), (Room::Plenty, Health::Ok));
}
