//! One device: a database file, an engine, and a clock that may be wrong.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use moonforge_model::{DocRef, Fields, Timestamp};
use moonforge_ports::{Clock, RandomExt, RemoteStore};
use moonforge_store::{Durability, Store, StoreError, StoreOptions, TransactionProbe};
use moonforge_sync::SyncEngine;
use moonforge_testkit::clock::ManualClock;
use moonforge_testkit::random::SeededRandom;
use tokio::sync::Notify;

use super::upheavals::OldCopy;

/// The device's clock: the world's, and how far it is off.
struct DeviceClock {
    world: Arc<ManualClock>,
    skew_micros: AtomicI64,
}

#[async_trait]
impl Clock for DeviceClock {
    fn now(&self) -> Timestamp {
        self.world
            .now()
            .offset_micros(self.skew_micros.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        self.world.monotonic()
    }

    async fn sleep(&self, span: Duration) {
        self.world.sleep(span).await;
    }
}

/// Kills the process around a transaction when it is armed for it.
#[derive(Default)]
struct Killer {
    /// Transactions until the kill; negative while disarmed.
    countdown: AtomicI64,
    after: AtomicBool,
}

impl Killer {
    fn hit(&self, after: bool) -> Result<(), StoreError> {
        if self.countdown.load(Ordering::Relaxed) < 0 || self.after.load(Ordering::Relaxed) != after
        {
            return Ok(());
        }
        if self.countdown.fetch_sub(1, Ordering::Relaxed) == 0 {
            return Err(StoreError::Interrupted);
        }
        Ok(())
    }
}

#[async_trait]
impl TransactionProbe for Killer {
    async fn before_commit(&self) -> Result<(), StoreError> {
        self.hit(false)
    }

    async fn after_commit(&self) -> Result<(), StoreError> {
        self.hit(true)
    }
}

struct Running {
    store: Store,
    engine: SyncEngine,
}

/// A device of the simulation.
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) remote: Arc<dyn RemoteStore>,
    clock: Arc<DeviceClock>,
    random: Arc<SeededRandom>,
    killer: Arc<Killer>,
    running: Mutex<Option<Running>>,
    /// Set when the driver kills the sync that stands at a gate.
    pub(crate) killed: Arc<Notify>,
    pub(crate) syncing: AtomicBool,
    pub(crate) starts: AtomicU64,
    pub(crate) old_copy: Mutex<Option<OldCopy>>,
    /// What a person has open on the screen: a document as it was when it was read.
    pub(crate) form: Mutex<Option<(DocRef, Fields)>>,
}

impl Device {
    pub(crate) async fn start(
        name: String,
        path: PathBuf,
        remote: Arc<dyn RemoteStore>,
        world: Arc<ManualClock>,
        seed: u64,
    ) -> Arc<Self> {
        let device = Arc::new(Self {
            name,
            path,
            remote,
            clock: Arc::new(DeviceClock {
                world,
                skew_micros: AtomicI64::new(0),
            }),
            random: Arc::new(SeededRandom::new(seed)),
            killer: Arc::new(Killer {
                countdown: AtomicI64::new(-1),
                after: AtomicBool::new(false),
            }),
            running: Mutex::new(None),
            killed: Arc::new(Notify::new()),
            syncing: AtomicBool::new(false),
            starts: AtomicU64::new(0),
            old_copy: Mutex::new(None),
            form: Mutex::new(None),
        });
        device.reopen().await;
        device
    }

    fn options(&self) -> StoreOptions {
        let random = self.random.clone();
        let mut options = StoreOptions::new(Arc::new(move || random.hex128()), self.clock.now());
        options.durability = Durability::Normal;
        options.probe = Some(self.killer.clone());
        options
    }

    async fn reopen(&self) {
        self.killer.countdown.store(-1, Ordering::Relaxed);
        *self.form.lock().expect("no panic while held") = None;
        let store = Store::open(&self.path, self.options())
            .await
            .expect("the file opens again");
        let engine = SyncEngine::new(
            store.clone(),
            self.remote.clone(),
            self.clock.clone(),
            self.random.clone(),
        );
        self.starts.fetch_add(1, Ordering::Relaxed);
        *self.running.lock().expect("no panic while held") = Some(Running { store, engine });
    }

    /// The process ends where it is and starts again on the same file.
    pub(crate) async fn restart(&self) {
        let running = self.running.lock().expect("no panic while held").take();
        if let Some(running) = running {
            running.store.close().await;
        }
        self.reopen().await;
    }

    /// The file becomes what its copy at `path` was, without becoming another file.
    pub(crate) async fn put_back(&self, path: &Path) {
        let running = self.running.lock().expect("no panic while held").take();
        if let Some(running) = running {
            running.store.close().await;
        }
        std::fs::copy(path, &self.path).expect("the copy fits");
        self.reopen().await;
    }

    /// A copy of the file, as a person makes with a file manager while the app is closed.
    pub(crate) async fn copy_to(&self, path: &Path) {
        let running = self.running.lock().expect("no panic while held").take();
        if let Some(running) = running {
            running.store.close().await;
        }
        std::fs::copy(&self.path, path).expect("the copy fits");
        self.reopen().await;
    }

    pub(crate) fn store(&self) -> Store {
        let running = self.running.lock().expect("no panic while held");
        running
            .as_ref()
            .expect("a device runs between restarts")
            .store
            .clone()
    }

    pub(crate) fn engine(&self) -> SyncEngine {
        let running = self.running.lock().expect("no panic while held");
        running
            .as_ref()
            .expect("a device runs between restarts")
            .engine
            .clone()
    }

    /// Arms the kill of this process `countdown` transactions from now, before or after the commit.
    pub(crate) fn arm(&self, countdown: i64, after: bool) {
        self.killer.after.store(after, Ordering::Relaxed);
        self.killer.countdown.store(countdown, Ordering::Relaxed);
    }

    pub(crate) fn disarm(&self) {
        self.killer.countdown.store(-1, Ordering::Relaxed);
    }

    /// How far the clock is off from now on.
    pub(crate) fn skew(&self, micros: i64) {
        self.clock.skew_micros.store(micros, Ordering::Relaxed);
    }
}
