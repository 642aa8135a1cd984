//! What is told of the inside: figures, and never what a person wrote.

use std::io::Write;
use std::sync::{Arc, Mutex};

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use moonforge::{Campaign, Embedded, Moonforge, set};
use tracing_subscriber::fmt::MakeWriter;

const MARK: &str = "SECRETOFTHEKEEP";

/// Keeps the lines that have the mark in them, and counts the others.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<(Vec<String>, u64)>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        let mut seen = self.0.lock().unwrap();
        if line.contains(MARK) {
            seen.0.push(line.into_owned());
        } else {
            seen.1 += u64::from(line.contains("moonforge.sync"));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Captured {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Two devices that meet in a conflict, a delete and a restore.
async fn story(mark: &str) {
    let cloud = Embedded::in_memory();
    let open = || Moonforge::memory_builder().cloud(cloud.clone()).open();
    let (one, other) = (open().await.unwrap(), open().await.unwrap());
    let campaign = Campaign::new(one.new_id(), format!("{mark} begins"));
    let id = campaign.id.clone();
    one.campaigns().upsert(campaign).await.unwrap();
    one.sync_now().await.unwrap();
    other.sync_now().await.unwrap();
    for (device, name) in [(&one, "one"), (&other, "other")] {
        let edit = [set("name", format!("{mark} {name}"))];
        device.campaigns().patch(&id, None, edit).await.unwrap();
    }
    one.sync_now().await.unwrap();
    assert_eq!(other.sync_now().await.unwrap().conflicts, 1);
    other.campaigns().delete(&id).await.unwrap();
    other.sync_now().await.unwrap();
    one.sync_now().await.unwrap();
    // A value that can't be stored, with the mark in it.
    let wrong = one.documents("campaigns").unwrap();
    let wrong = wrong
        .put("k", serde_json::json!({"name": {"x": mark}}))
        .await;
    assert!(wrong.is_err());
}

#[tokio::test]
async fn no_log_of_any_level_holds_what_a_person_wrote() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(captured.clone())
        .finish();
    // For all tests of this program: one of a thread's own doesn't hear of what another thread met first.
    tracing::subscriber::set_global_default(subscriber).expect("no other test sets one");
    story(MARK).await;
    let seen = captured.0.lock().unwrap();
    assert!(seen.1 > 0, "the log is captured");
    assert_eq!(seen.0, [] as [&str; 0]);
}

#[tokio::test]
async fn runs_and_documents_are_counted_for_whoever_records() {
    let recorder = DebuggingRecorder::new();
    let snapshots = recorder.snapshotter();
    let guard = metrics::set_default_local_recorder(&recorder);
    story("counted").await;
    drop(guard);
    let mut sums = std::collections::BTreeMap::new();
    for (key, _, _, value) in snapshots.snapshot().into_vec() {
        if let DebugValue::Counter(value) = value {
            *sums.entry(key.key().name().to_owned()).or_insert(0) += value;
        }
    }
    assert_eq!(sums["moonforge_runs_total"], 6);
    assert_eq!(sums["moonforge_documents_sent_total"], 4);
    assert_eq!(sums["moonforge_conflicts_total"], 1);
    assert!(sums["moonforge_billed_total"] > 0);
}
