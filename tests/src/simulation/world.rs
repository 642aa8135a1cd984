//! The world of one seed: server, devices, and the order in which things happen.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use moonforge_model::{DocRef, Fields, Timestamp};
use moonforge_ports::{Clock, RemoteDocument};
use moonforge_store::StoreError;
use moonforge_sync::{SyncError, SyncOptions};
use moonforge_testkit::clock::ManualClock;
use moonforge_testkit::random::SeededRandom;
use moonforge_testkit::simulated::{
    Call, CallKind, Fault, Gate, GatePoint, Moment, SimulatedFirestore,
};

use super::device::Device;
use super::faults::Quiet;
use super::oracle::Oracle;

/// What happens often in a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// A bit of everything.
    Mixed,
    /// Most answers are lost.
    LostAnswers,
    /// Commits become visible long after their time.
    SlowCommits,
    /// Files are copied and go on side by side.
    Copies,
    /// An operator's console writes, erases and deletes without knowing the protocol.
    Consoles,
    /// Older copies of files are put back in place, so that nothing tells them from the files that went on.
    PutBack,
    /// A console erases `writers`, while processes die between a commit and its answer.
    Erasers,
    /// A second account is let in and out, changes its role, and edits what it may and may not.
    Members,
    /// All write one document at once, and in the middle of each other's syncs.
    Crowded,
}

/// What a seed came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Port calls, in order: the trace.
    pub trace: Vec<String>,
    /// Edits that were acknowledged.
    pub edits: u64,
    /// Syncs that were begun.
    pub syncs: u64,
    /// Things that happened: edits, syncs and whatever else the driver draws.
    pub steps: u64,
    /// Faults that befell calls, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Kills.
    pub kills: u64,
}

impl Outcome {
    /// Counts another seed's figures in.
    pub fn add(&mut self, other: &Self) {
        self.edits += other.edits;
        self.syncs += other.syncs;
        self.steps += other.steps;
        self.kills += other.kills;
        for (kind, count) in &other.faults {
            *self.faults.entry(kind).or_default() += count;
        }
    }
}

pub(crate) struct World {
    pub(crate) rng: SeededRandom,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) server: SimulatedFirestore,
    pub(crate) devices: Mutex<Vec<Arc<Device>>>,
    pub(crate) oracle: Mutex<Oracle>,
    pub(crate) outcome: Mutex<Outcome>,
    pub(crate) profile: Profile,
    pub(crate) folder: PathBuf,
    pub(crate) calm: AtomicBool,
    depth: AtomicU32,
    /// Until when each device is to be quiet, by a `Retry-After`.
    pub(crate) quiet: Mutex<BTreeMap<String, Quiet>>,
    /// Whether the trace is printed as it comes about.
    aloud: bool,
    /// Documents of commits whose sender died before the answer.
    pub(crate) struck: Mutex<Vec<DocRef>>,
}

/// L of the protocol, and the longest that a commit takes to become visible.
const LATE: Duration = Duration::from_secs(75);

impl World {
    pub(crate) fn device_list(&self) -> Vec<Arc<Device>> {
        self.devices.lock().expect("no panic while held").clone()
    }

    pub(crate) async fn add_device(&self, path: PathBuf) -> Arc<Device> {
        self.add_device_of("gm", path).await
    }

    async fn add_device_of(&self, uid: &str, path: PathBuf) -> Arc<Device> {
        let number = self.device_list().len();
        let name = format!("d{number}");
        let remote = self.server.connect(Some(uid.to_owned()), &name);
        let device = Device::start(name, path, remote, self.clock.clone(), self.rng.next()).await;
        self.devices
            .lock()
            .expect("no panic while held")
            .push(device.clone());
        device
    }

    /// What the server holds, but for beacons, which are nobody's work.
    pub(crate) fn documents_there(&self) -> BTreeMap<DocRef, RemoteDocument> {
        let mut documents = self.server.documents();
        documents.retain(|doc, _| doc.collection.as_str() != "beacons");
        documents
    }

    /// Lets time pass. Before more than L passes, what has arrived becomes visible.
    pub(crate) fn pass_time(&self, span: Duration) {
        if span > Duration::from_secs(20) {
            self.server.deliver_late();
        }
        self.clock.advance(span);
    }

    /// Runs a device's sync until it ends or is killed.
    pub(crate) async fn sync(
        self: &Arc<Self>,
        device: &Arc<Device>,
        options: &SyncOptions,
    ) -> bool {
        if device.syncing.swap(true, Ordering::Relaxed) {
            return false;
        }
        self.outcome.lock().expect("no panic while held").syncs += 1;
        self.depth.fetch_add(1, Ordering::Relaxed);
        // Who asks for a sync doesn't wait for what an earlier one was told.
        self.quiet
            .lock()
            .expect("no panic while held")
            .remove(&device.name);
        let engine = device.engine();
        let campaigns = self.campaigns_there();
        let result = tokio::select! {
            biased;
            () = device.killed.notified() => None,
            result = engine.sync_now(options) => Some(result),
        };
        drop(engine);
        self.depth.fetch_sub(1, Ordering::Relaxed);
        device.syncing.store(false, Ordering::Relaxed);
        let finished = match result {
            Some(Ok(report)) => {
                self.log(format!(
                    "{} synced: pushed {} pulled {} merged {} conflicts {} parked {} {}",
                    device.name,
                    report.pushed,
                    report.pulled,
                    report.merged,
                    report.conflicts,
                    report.parked,
                    report.stopped.as_deref().unwrap_or("")
                ));
                report.stopped.is_none()
            }
            None => {
                self.outcome.lock().expect("no panic while held").kills += 1;
                device.restart().await;
                if self.profile == Profile::Erasers && self.rng.one_in(2) {
                    self.erase_writers().await;
                }
                false
            }
            Some(Err(SyncError::Store(StoreError::Interrupted))) => {
                self.outcome.lock().expect("no panic while held").kills += 1;
                device.restart().await;
                false
            }
            Some(Err(error)) => panic!("{}: sync failed: {error:?}", device.name),
        };
        device.disarm();
        if finished {
            self.check_parked(device, &campaigns).await;
        }
        finished
    }

    pub(crate) fn log(&self, line: String) {
        if self.aloud {
            eprintln!("{} {line}", self.clock.now());
        }
        self.outcome
            .lock()
            .expect("no panic while held")
            .trace
            .push(line);
    }
}

struct Interludes(std::sync::Weak<World>);

#[async_trait]
impl Gate for Interludes {
    fn begins(&self, call: &Call) {
        if let Some(world) = self.0.upgrade() {
            world.check_quiet(call);
        }
    }

    async fn pass(&self, point: GatePoint) {
        let Some(world) = self.0.upgrade() else {
            return;
        };
        world.log(format!(
            "{} {:?} {:?} {:?} {}",
            point.call.device,
            point.call.kind,
            point.moment,
            point.call.collection,
            point
                .call
                .docs
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(",")
        ));
        world
            .clock
            .advance(Duration::from_millis(1 + world.rng.below(40)));
        if !world.calm.load(Ordering::Relaxed) {
            let future: BoxFuture<'_, bool> = Box::pin(world.interlude(&point));
            if future.await {
                // Killed: the driver drops this future.
                std::future::pending::<()>().await;
            }
        }
        world.note_quiet(&point);
    }
}

impl World {
    /// What happens while a call stands still. True when its device is killed.
    async fn interlude(self: &Arc<Self>, point: &GatePoint) -> bool {
        let deep = self.depth.load(Ordering::Relaxed) > 2;
        let devices = self.device_list();
        let choice = self.rng.below(40);
        match choice {
            0..=3 => {
                let device = &devices[self.rng.below(devices.len() as u64) as usize];
                self.edit(device).await;
            }
            10..=19 if self.profile == Profile::Crowded && !deep => {
                let device = &devices[self.rng.below(devices.len() as u64) as usize];
                if device.name != point.call.device {
                    self.edit(device).await;
                    Box::pin(self.sync(device, &SyncOptions::default())).await;
                }
            }
            4 | 5 if !deep => {
                let device = &devices[self.rng.below(devices.len() as u64) as usize];
                if device.name != point.call.device {
                    Box::pin(self.sync(device, &SyncOptions::default())).await;
                }
            }
            6 => {
                self.server.deliver(0);
            }
            _ if self.is_deadly(point, choice) => {
                if let Some(device) = devices.iter().find(|d| d.name == point.call.device) {
                    let mut struck = self.struck.lock().expect("no panic while held");
                    struck.extend(point.call.docs.iter().cloned());
                    device.killed.notify_one();
                    return true;
                }
            }
            _ => {}
        }
        false
    }

    /// Whether this is a moment to die. Between a commit and its answer it matters most.
    fn is_deadly(&self, point: &GatePoint, choice: u64) -> bool {
        let unanswered = point.call.kind == CallKind::Commit && point.moment == Moment::Answering;
        let asking = matches!(point.call.kind, CallKind::Query | CallKind::Aggregate);
        match self.profile {
            Profile::Erasers if unanswered => choice > 20,
            // What is late is found by a second look, which must not count as made before it was.
            Profile::SlowCommits if asking => choice > 36,
            _ => choice == 7,
        }
    }

    /// One step of the history.
    async fn step(self: &Arc<Self>) {
        self.outcome.lock().expect("no panic while held").steps += 1;
        let devices = self.device_list();
        let device = &devices[self.rng.below(devices.len() as u64) as usize];
        match self.rng.below(20) {
            8..=11 | 16 if self.profile == Profile::Erasers => self.erase_writers().await,
            0..=9 => self.edit(device).await,
            10..=15 => {
                if self.rng.one_in(4) {
                    device.arm(self.rng.below(8) as i64, self.rng.one_in(2));
                }
                self.sync(device, &SyncOptions::default()).await;
            }
            16 => self.pass_time(Duration::from_secs(self.rng.below(200))),
            17 => {
                let hours = self.rng.below(3) as i64 - 1;
                device.skew(hours * self.rng.below(4_000_000_000) as i64);
            }
            18 => device.restart().await,
            _ if self.profile == Profile::Consoles => self.console(),
            _ if self.profile == Profile::Erasers => self.erase_writers().await,
            _ if self.profile == Profile::PutBack => self.put_back(device).await,
            _ if self.profile == Profile::Members => self.change_members(&devices[0]).await,
            _ => {
                if self.profile == Profile::Copies && devices.len() < 4 {
                    let path = self.folder.join(format!("copy{}.db", devices.len()));
                    device.copy_to(&path).await;
                    self.log(format!("{} copied to d{}", device.name, devices.len()));
                    let copy = self.add_device(path).await;
                    let mut oracle = self.oracle.lock().expect("no panic while held");
                    oracle.copied(&device.name, &copy.name);
                } else {
                    self.server.deliver(0);
                }
            }
        }
    }
}

/// Plays one seed. Panics with a sentence where an invariant breaks.
pub async fn run_seed(seed: u64, profile: Profile, steps: u32) -> Outcome {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let clock = Arc::new(ManualClock::leaping(Timestamp::from_millis(
        1_790_000_000_000,
    )));
    let server = SimulatedFirestore::new(clock.clone() as Arc<dyn Clock>);
    let world = Arc::new(World {
        rng: SeededRandom::new(seed),
        clock,
        server: server.clone(),
        devices: Mutex::default(),
        oracle: Mutex::default(),
        outcome: Mutex::default(),
        profile,
        folder: folder.path().to_owned(),
        calm: AtomicBool::new(false),
        depth: AtomicU32::new(0),
        aloud: std::env::var_os("SIMULATE_TRACE").is_some(),
        struck: Mutex::default(),
        quiet: Mutex::default(),
    });
    for n in 0..2 + world.rng.below(2) {
        world
            .add_device(folder.path().join(format!("device{n}.db")))
            .await;
    }
    if profile == Profile::Members {
        world
            .add_device_of("pl", folder.path().join("player.db"))
            .await;
    }
    let weak = Arc::downgrade(&world);
    server.set_faults(move |call: &Call| weak.upgrade().map_or(Fault::None, |w| w.fault(call)));
    server.set_gate(Arc::new(Interludes(Arc::downgrade(&world))));
    for _ in 0..steps {
        world
            .clock
            .advance(Duration::from_millis(world.rng.below(3000)));
        world.step().await;
    }
    quiesce(&world).await;
    world.check().await;
    for device in world.device_list() {
        device.store().close().await;
    }
    world.outcome.lock().expect("no panic while held").clone()
}

/// Nothing goes wrong any more; everyone syncs until nothing moves.
async fn quiesce(world: &Arc<World>) {
    world.calm.store(true, Ordering::Relaxed);
    world.server.deliver_late();
    for device in world.device_list() {
        device.disarm();
        device.skew(0);
    }
    // Children of a campaign that nobody made are denied for as long as that is so.
    let devices = world.device_list();
    world.make_missing_campaigns(&devices[0]).await;
    // Only what a console did, or was withdrawn, needs a comparison of everything; all else the cursors find.
    let consoles = matches!(world.profile, Profile::Consoles | Profile::Members);
    let mut last: Option<Vec<(String, Fields)>> = None;
    for round in 0..12 {
        world.pass_time(LATE * 2);
        let options = SyncOptions {
            reconcile: consoles && round % 4 == 0,
            ..SyncOptions::default()
        };
        for device in world.device_list() {
            assert!(
                world.sync(&device, &options).await,
                "{}: a calm sync finishes",
                device.name
            );
        }
        let now: Vec<_> = world
            .documents_there()
            .into_iter()
            .map(|(d, v)| (d.to_string(), v.fields))
            .collect();
        if last.as_ref() == Some(&now) {
            return;
        }
        last = Some(now);
    }
    panic!("the devices write on and on");
}
