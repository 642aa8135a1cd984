//! One device: a database file, an engine, and a clock that may be wrong.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use moonforge_model::{DocRef, Fields, Timestamp};
use moonforge_ports::{Clock, RandomExt, RemoteStore};
use moonforge_store::{Durability, Finding, Store, StoreError, StoreOptions, TransactionProbe};
use moonforge_sync::{SyncEngine, SyncError, SyncOptions, SyncReport};
use moonforge_testkit::clock::ManualClock;
use moonforge_testkit::random::SeededRandom;
use tokio::sync::mpsc;

use super::deeds::Standing;
use super::invariants::Known;
use super::trace::Trace;
use super::upheavals::OldCopy;

/// The longest that anything waits: the ceiling of the backoff.
const LONGEST: Duration = Duration::from_secs(60);

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
        assert!(span <= LONGEST, "nobody waits for {span:?}");
        self.world.sleep(span).await;
    }
}

/// Stands around each transaction: kills the process there when it is armed for it, or finds the disk full.
struct Probe {
    name: String,
    trace: Arc<Trace>,
    /// Transactions until the kill; negative while disarmed.
    countdown: AtomicI64,
    after: AtomicBool,
    /// Transactions that find no space.
    full: AtomicI64,
}

impl Probe {
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
impl TransactionProbe for Probe {
    async fn before_commit(&self) -> Result<(), StoreError> {
        self.hit(false)?;
        if self.full.load(Ordering::Relaxed) > 0 {
            self.full.fetch_sub(1, Ordering::Relaxed);
            return Err(StoreError::DiskFull);
        }
        Ok(())
    }

    async fn after_commit(&self) -> Result<(), StoreError> {
        self.trace.line(format!("{} commits", self.name));
        self.trace.with(|outcome| outcome.transactions += 1);
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
    probe: Arc<Probe>,
    running: Mutex<Option<Running>>,
    /// Another process that has the file open.
    second: Mutex<Option<Store>>,
    /// Calls that stand still, in the order in which they came to do so.
    gates: (
        mpsc::UnboundedSender<Standing>,
        tokio::sync::Mutex<mpsc::UnboundedReceiver<Standing>>,
    ),
    pub(crate) syncing: AtomicBool,
    pub(crate) old_copy: Mutex<Option<OldCopy>>,
    /// What a person has open on the screen: a document as it was when it was read.
    pub(crate) form: Mutex<Option<(DocRef, Fields)>>,
    /// What invariants compare the next look at the file with.
    pub(crate) known: Mutex<Known>,
    /// Documents of which a write is under way.
    pub(crate) in_flight: Mutex<BTreeSet<DocRef>>,
    /// Calls that don't leave.
    pub(crate) unsent: Mutex<BTreeSet<u64>>,
}

impl Device {
    pub(crate) async fn start(
        name: String,
        path: PathBuf,
        remote: Arc<dyn RemoteStore>,
        world: Arc<ManualClock>,
        trace: Arc<Trace>,
        seed: u64,
    ) -> Arc<Self> {
        let gates = mpsc::unbounded_channel();
        let device = Arc::new(Self {
            path,
            remote,
            clock: Arc::new(DeviceClock {
                world,
                skew_micros: AtomicI64::new(0),
            }),
            random: Arc::new(SeededRandom::new(seed)),
            probe: Arc::new(Probe {
                name: name.clone(),
                trace,
                countdown: AtomicI64::new(-1),
                after: AtomicBool::new(false),
                full: AtomicI64::new(0),
            }),
            name,
            running: Mutex::default(),
            second: Mutex::default(),
            gates: (gates.0, tokio::sync::Mutex::new(gates.1)),
            syncing: AtomicBool::new(false),
            old_copy: Mutex::default(),
            form: Mutex::default(),
            known: Mutex::default(),
            in_flight: Mutex::default(),
            unsent: Mutex::default(),
        });
        device.reopen().await;
        device
    }

    fn options(&self) -> StoreOptions {
        let random = self.random.clone();
        let mut options = StoreOptions::new(Arc::new(move || random.hex128()), self.clock.now());
        // The process is killed, never the power: what the operating system has is kept.
        options.durability = Durability::Normal;
        // Nothing reads while something else writes: one connection does, and opens sooner.
        options.readers = 0;
        options.probe = Some(self.probe.clone());
        options
    }

    async fn open(&self) -> Store {
        self.disarm();
        let full = self.probe.full.swap(0, Ordering::Relaxed);
        let store = Store::open(&self.path, self.options()).await;
        self.probe.full.store(full, Ordering::Relaxed);
        store.expect("the file opens again")
    }

    async fn reopen(&self) {
        *self.form.lock().expect("no panic while held") = None;
        let store = self.open().await;
        let engine = SyncEngine::new(
            store.clone(),
            self.remote.clone(),
            self.clock.clone(),
            self.random.clone(),
        );
        *self.running.lock().expect("no panic while held") = Some(Running { store, engine });
    }

    /// Ends this process and, with `all`, another that has the file.
    async fn end(&self, all: bool) {
        let running = self.running.lock().expect("no panic while held").take();
        if let Some(running) = running {
            running.store.close().await;
        }
        let second = match all {
            true => self.second.lock().expect("no panic while held").take(),
            false => None,
        };
        if let Some(second) = second {
            second.close().await;
        }
    }

    pub(crate) async fn close(&self) {
        self.end(true).await;
    }

    /// The process ends where it is and starts again on the same file.
    pub(crate) async fn restart(&self) {
        self.end(false).await;
        self.reopen().await;
    }

    /// The file becomes what its copy at `path` was, without becoming another file.
    pub(crate) async fn put_back(&self, path: &Path) {
        self.end(true).await;
        std::fs::copy(path, &self.path).expect("the copy fits");
        *self.known.lock().expect("no panic while held") = Known::default();
        self.reopen().await;
    }

    /// A copy of the file, as a person makes with a file manager while the app is closed.
    pub(crate) async fn copy_to(&self, path: &Path) {
        self.end(true).await;
        std::fs::copy(&self.path, path).expect("the copy fits");
        self.reopen().await;
    }

    /// Another process opens the file too, or closes it.
    pub(crate) async fn open_twice(&self) {
        let second = self.second.lock().expect("no panic while held").take();
        match second {
            Some(second) => second.close().await,
            None => {
                let second = self.open().await;
                *self.second.lock().expect("no panic while held") = Some(second);
            }
        }
    }

    /// A call stands still until the driver lets it go on.
    pub(crate) fn stand(&self, standing: Standing) {
        self.gates.0.send(standing).expect("the device is there");
    }

    /// Those that stood still when the process was killed are no more.
    pub(crate) async fn nobody_stands(&self) {
        let mut gates = self.gates.1.lock().await;
        while gates.try_recv().is_ok() {}
    }

    /// The next call that stands still.
    pub(crate) async fn standing(&self) -> Standing {
        let mut gates = self.gates.1.lock().await;
        gates.recv().await.expect("the device is there")
    }

    /// What `doctor` finds, whatever befalls its transactions else.
    pub(crate) async fn findings(&self) -> Vec<Finding> {
        let full = self.probe.full.swap(0, Ordering::Relaxed);
        let findings = self.store().doctor().await;
        self.probe.full.store(full, Ordering::Relaxed);
        findings.expect("doctor goes on past what is damaged")
    }

    /// Another process tries to sync while one does.
    pub(crate) async fn sync_twice(&self) -> Option<Result<SyncReport, SyncError>> {
        let (clock, random) = (self.clock.clone(), self.random.clone());
        let second = SyncEngine::new(self.second()?, self.remote.clone(), clock, random);
        Some(second.sync_now(&SyncOptions::default()).await)
    }

    /// The store of the other process that has the file open.
    pub(crate) fn second(&self) -> Option<Store> {
        self.second.lock().expect("no panic while held").clone()
    }

    /// Nothing befalls it any more.
    pub(crate) async fn calm_down(&self) {
        self.disarm();
        self.probe.full.store(0, Ordering::Relaxed);
        if self.second().is_some() {
            self.open_twice().await;
        }
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
        self.probe.after.store(after, Ordering::Relaxed);
        self.probe.countdown.store(countdown, Ordering::Relaxed);
    }

    pub(crate) fn disarm(&self) {
        self.probe.countdown.store(-1, Ordering::Relaxed);
    }

    /// The next transactions find no space.
    pub(crate) fn fill_disk(&self, transactions: i64) {
        self.probe.full.store(transactions, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// How far the clock is off from now on.
    pub(crate) fn skew(&self, micros: i64) {
        self.clock.skew_micros.store(micros, Ordering::Relaxed);
    }
}
