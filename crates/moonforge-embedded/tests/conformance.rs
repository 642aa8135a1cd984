//! The embedded cloud is a whole remote store.

use std::sync::Arc;

use moonforge_embedded::Embedded;
use moonforge_model::Timestamp;
use moonforge_ports::RemoteStore;
use moonforge_testkit::clock::ManualClock;
use moonforge_testkit::conformance::{self, Capabilities};
use moonforge_testkit::random::SeededRandom;

const CAPABILITIES: Capabilities = Capabilities {
    aggregates: true,
    enforces_rev: true,
};

/// A clock that stands still: no order may rest on its moving.
fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_micros(
        1_700_000_000_000_777,
    )))
}

#[tokio::test]
async fn in_memory() {
    let make = || async {
        let cloud = Embedded::in_memory(clock(), &SeededRandom::new(1))
            .await
            .unwrap();
        Arc::new(cloud) as Arc<dyn RemoteStore>
    };
    conformance::run_all(make, CAPABILITIES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_directory() {
    let root = tempfile::tempdir().unwrap();
    let random = SeededRandom::new(1);
    let make = || async {
        let dir = root.path().join(random.next().to_string());
        let cloud = Embedded::open(dir, clock(), &random).await.unwrap();
        Arc::new(cloud) as Arc<dyn RemoteStore>
    };
    conformance::run_all(make, CAPABILITIES).await;
}
