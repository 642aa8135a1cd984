//! The world of one history: server, devices, and their syncs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use moonforge_model::{DocRef, Timestamp};
use moonforge_ports::{Clock, RemoteDocument, RemoteErrorKind};
use moonforge_store::StoreError;
use moonforge_sync::{SyncError, SyncOptions, SyncReport};
use moonforge_testkit::clock::ManualClock;
use moonforge_testkit::random::SeededRandom;
use moonforge_testkit::simulated::{Call, Fault, SimulatedFirestore};

use super::deeds::Interludes;
use super::device::Device;
use super::faults::{Quiet, Weather};
use super::invariants::the_file_is_whole;
use super::oracle::Oracle;
use super::profile::Profile;
use super::script::Script;
use super::trace::Trace;

pub(crate) struct World {
    pub(crate) rng: SeededRandom,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) server: SimulatedFirestore,
    pub(crate) devices: Mutex<Vec<Arc<Device>>>,
    pub(crate) oracle: Mutex<Oracle>,
    pub(crate) trace: Arc<Trace>,
    pub(crate) script: Script,
    pub(crate) profile: Profile,
    pub(crate) folder: PathBuf,
    pub(crate) calm: AtomicBool,
    /// Syncs that are under way, one inside another.
    pub(crate) depth: AtomicU32,
    /// Until when each device is to be quiet, by a `Retry-After`.
    pub(crate) quiet: Mutex<BTreeMap<String, Quiet>>,
    pub(crate) weather: Mutex<Weather>,
    /// Documents of commits whose sender died before the answer.
    pub(crate) struck: Mutex<Vec<DocRef>>,
    /// Documents that the server refuses, and how.
    pub(crate) refused: Mutex<BTreeMap<DocRef, RemoteErrorKind>>,
    /// Documents that were refused, too large or unreadable at some time.
    pub(crate) trouble: Mutex<BTreeSet<DocRef>>,
}

/// L of the protocol: the longest that a commit takes to become visible.
pub(crate) const LATE: Duration = Duration::from_secs(75);
/// By then what has arrived is made visible, so that what a sync waits for now and then doesn't make it later than L.
const SOON: Duration = Duration::from_secs(20);

type Synced = Result<SyncReport, SyncError>;

impl World {
    pub(crate) fn device_list(&self) -> Vec<Arc<Device>> {
        self.devices.lock().expect("no panic while held").clone()
    }

    /// One of the devices.
    pub(crate) fn any_device(&self) -> Arc<Device> {
        let devices = self.device_list();
        devices[self.rng.below(devices.len() as u64) as usize].clone()
    }

    pub(crate) fn device_named(&self, name: &str) -> Arc<Device> {
        let devices = self.device_list();
        let mut named = devices.into_iter().filter(|d| d.name == name);
        named.next().expect("one of the devices")
    }

    pub(crate) async fn add_device(&self, uid: &str, path: PathBuf) -> Arc<Device> {
        let number = self.device_list().len();
        let name = format!("d{number}");
        let remote = self.server.connect(Some(uid.to_owned()), &name);
        let (clock, trace, seed) = (self.clock.clone(), self.trace.clone(), self.rng.next());
        let device = Device::start(name, path, remote, clock, trace, seed).await;
        self.devices
            .lock()
            .expect("no panic while held")
            .push(device.clone());
        device
    }

    /// Counts that something happens; false where the script leaves it out.
    pub(crate) fn happens(&self, kind: &'static str) -> bool {
        let happens = !self.script.without.contains(kind);
        if happens {
            self.trace
                .with(|outcome| *outcome.happened.entry(kind).or_default() += 1);
        }
        happens
    }

    /// What the server holds, but for beacons, which are nobody's work.
    pub(crate) fn documents_there(&self) -> BTreeMap<DocRef, RemoteDocument> {
        let mut documents = self.server.documents();
        documents.retain(|doc, _| doc.collection.as_str() != "beacons");
        documents
    }

    /// Lets time pass. What has arrived becomes visible before more than L passes; what is on its way may take for ever.
    pub(crate) fn pass_time(&self, span: Duration) {
        if span > SOON {
            self.server.deliver_arrived(self.server.now());
        }
        self.clock.advance(span);
        self.deliver_overdue();
    }

    /// What arrived a while ago becomes visible.
    pub(crate) fn deliver_overdue(&self) {
        let then = self.server.now().as_micros() - SOON.as_micros() as i64;
        self.server.deliver_arrived(Timestamp::from_micros(then));
    }

    /// Runs a device's sync until it ends or is killed; whether it came to its end.
    pub(crate) async fn sync(
        self: &Arc<Self>,
        device: &Arc<Device>,
        options: &SyncOptions,
    ) -> bool {
        if device.syncing.swap(true, Ordering::Relaxed) {
            return false;
        }
        self.trace.with(|outcome| outcome.syncs += 1);
        self.depth.fetch_add(1, Ordering::Relaxed);
        // Who asks for a sync doesn't wait for what an earlier one was told.
        self.quiet
            .lock()
            .expect("no panic while held")
            .remove(&device.name);
        let engine = device.engine();
        let campaigns = self.campaigns_there();
        let began = self.server.now();
        let result = self.drive(device, Box::pin(engine.sync_now(options))).await;
        drop(engine);
        self.depth.fetch_sub(1, Ordering::Relaxed);
        device.syncing.store(false, Ordering::Relaxed);
        device.disarm();
        // Whoever waited for an answer waits no longer.
        device
            .in_flight
            .lock()
            .expect("no panic while held")
            .clear();
        let finished = match result {
            Some(Ok(report)) => {
                self.log_report(device, &report);
                report.stopped.is_none()
            }
            Some(Err(SyncError::Store(StoreError::DiskFull))) => {
                self.log(format!("{}: the disk is full", device.name));
                false
            }
            None | Some(Err(SyncError::Store(StoreError::Interrupted))) => {
                self.log(format!("{} dies", device.name));
                device.restart().await;
                the_file_is_whole(device).await;
                if self.profile == Profile::Erasers && !self.rng.one_in(4) {
                    self.erase_writers().await;
                }
                false
            }
            Some(Err(error)) => panic!("{}: sync failed: {error:?}", device.name),
        };
        self.check_device(device, finished.then_some(began)).await;
        if finished {
            self.check_parked(device, &campaigns).await;
        } else if !self.calm.load(Ordering::Relaxed) && self.rng.one_in(2) {
            self.take_back(device).await;
        }
        finished
    }

    /// Takes a sync from one call that stands still to the next; `None` when its process was killed at one. Boxed, for a sync is
    /// driven within another's interlude.
    fn drive<'a>(
        self: &'a Arc<Self>,
        device: &'a Device,
        mut sync: BoxFuture<'a, Synced>,
    ) -> BoxFuture<'a, Option<Synced>> {
        Box::pin(async move {
            device.nobody_stands().await;
            loop {
                let standing = tokio::select! {
                    biased;
                    standing = device.standing() => standing,
                    result = &mut sync => return Some(result),
                };
                if self.interlude(&standing.point).await {
                    return None;
                }
                // Where the call was given up, nobody waits.
                let _ = standing.permit.send(());
            }
        })
    }

    fn log_report(&self, device: &Device, report: &SyncReport) {
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
    }

    pub(crate) fn log(&self, line: String) {
        self.trace.line(format!("{} {line}", self.clock.now()));
    }
}

/// A folder for databases: in memory where there is such a place.
fn scratch() -> tempfile::TempDir {
    let in_memory = Path::new("/dev/shm");
    let folder = match in_memory.is_dir() {
        true => tempfile::tempdir_in(in_memory),
        false => tempfile::tempdir(),
    };
    folder
        .or_else(|_| tempfile::tempdir())
        .expect("a scratch folder")
}

/// Plays one history. Panics with a sentence where an invariant breaks.
pub(crate) async fn run(script: Script, trace: Arc<Trace>) {
    let folder = scratch();
    let clock = Arc::new(ManualClock::leaping(Timestamp::from_millis(
        1_790_000_000_000,
    )));
    let server = SimulatedFirestore::new(clock.clone() as Arc<dyn Clock>);
    let profile = script.profile();
    let world = Arc::new(World {
        rng: SeededRandom::new(script.seed),
        clock,
        server: server.clone(),
        devices: Mutex::default(),
        oracle: Mutex::default(),
        trace,
        script,
        profile,
        folder: folder.path().to_owned(),
        calm: AtomicBool::new(false),
        depth: AtomicU32::new(0),
        struck: Mutex::default(),
        quiet: Mutex::default(),
        weather: Mutex::default(),
        refused: Mutex::default(),
        trouble: Mutex::default(),
    });
    // A cursor passes what is late when a third device tells of what came later.
    let devices = match (profile, world.rng.below(2)) {
        (Profile::SlowCommits, _) => 3,
        (_, more) => 2 + more,
    };
    for n in 0..devices.min(world.script.devices) {
        let path = folder.path().join(format!("device{n}.db"));
        world.add_device("gm", path).await;
    }
    if profile == Profile::Members {
        let path = folder.path().join("player.db");
        world.add_device("pl", path).await;
    }
    let weak = Arc::downgrade(&world);
    server.set_faults(move |call: &Call| weak.upgrade().map_or(Fault::None, |w| w.fault(call)));
    server.set_gate(Arc::new(Interludes(Arc::downgrade(&world))));
    for _ in 0..world.script.steps {
        let pause = Duration::from_millis(world.rng.below(3000));
        world.pass_time(pause);
        world.step().await;
    }
    world.quiesce().await;
    world.check().await;
    for device in world.device_list() {
        device.close().await;
    }
}
