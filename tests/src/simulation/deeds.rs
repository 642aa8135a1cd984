//! What happens next: at each step, and while a call stands still.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use moonforge_sync::SyncOptions;
use moonforge_testkit::simulated::{Call, CallKind, Gate, GatePoint, Moment};
use tokio::sync::oneshot;

use super::device::Device;
use super::profile::{Deed, Profile};
use super::world::World;

const SECOND: i64 = 1_000_000;

/// Lets others act while a call stands still.
pub(crate) struct Interludes(pub(crate) std::sync::Weak<World>);

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
        world.check_in_flight(&point);
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
        let pause = Duration::from_millis(1 + world.rng.below(40));
        world.pass_time(pause);
        if !world.calm.load(Ordering::Relaxed) {
            let (permit, granted) = oneshot::channel();
            let standing = Standing {
                point: point.clone(),
                permit,
            };
            world.device_named(&point.call.device).stand(standing);
            if granted.await.is_err() {
                // Killed: the driver drops this future.
                std::future::pending::<()>().await;
            }
        }
        world.note_quiet(&point);
    }
}

/// A call that stands still until the driver lets it go on.
pub(crate) struct Standing {
    pub(crate) point: GatePoint,
    pub(crate) permit: oneshot::Sender<()>,
}

impl World {
    /// What happens while a call stands still. True when its device is killed. The device's sync isn't polled meanwhile:
    /// what is done here and what is done there would be mixed in another order each time.
    pub(crate) async fn interlude(self: &Arc<Self>, point: &GatePoint) -> bool {
        let deep = self.depth.load(Ordering::Relaxed) > 2;
        let choice = self.rng.below(40);
        match choice {
            0..=3 => {
                let device = self.any_device();
                self.edit(&device).await;
            }
            10..=19 if self.profile == Profile::Crowded && !deep => {
                let device = self.any_device();
                if device.name != point.call.device {
                    self.edit(&device).await;
                    Box::pin(self.sync(&device, &SyncOptions::default())).await;
                }
            }
            _ if self.is_brittle(point, choice) => self.arm_at(point),
            10..=24 if self.is_slow(point) && !deep => self.overtake(&point.call.device).await,
            4 | 5 if !deep => {
                let device = self.any_device();
                if device.name != point.call.device {
                    Box::pin(self.sync(&device, &SyncOptions::default())).await;
                }
            }
            6 => {
                self.server.deliver(0);
            }
            9 => self.one_process_syncs(point).await,
            _ if self.is_deadly(point, choice) && self.happens("kill at a call") => {
                let mut struck = self.struck.lock().expect("no panic while held");
                struck.extend(point.call.docs.iter().cloned());
                return true;
            }
            _ => {}
        }
        false
    }

    /// Whether the process dies around one of the transactions that an answer leads to.
    fn is_brittle(&self, point: &GatePoint, choice: u64) -> bool {
        let asking = matches!(point.call.kind, CallKind::Query | CallKind::Aggregate);
        let often = asking && self.profile == Profile::SlowCommits;
        point.moment == Moment::Answering && (choice == 8 || often && (25..=31).contains(&choice))
    }

    fn arm_at(&self, point: &GatePoint) {
        let (transactions, after) = (self.rng.below(3) as i64, self.rng.one_in(2));
        if self.happens("kill at a transaction") {
            self.device_named(&point.call.device)
                .arm(transactions, after);
        }
    }

    /// Whether a commit has arrived and takes its time.
    fn is_slow(&self, point: &GatePoint) -> bool {
        let arrived = point.call.kind == CallKind::Commit && point.moment == Moment::Arrived;
        arrived && self.profile == Profile::SlowCommits
    }

    /// What is asked for later is visible sooner, and seen by somebody, while a commit of this device takes its time.
    async fn overtake(self: &Arc<Self>, slow: &str) {
        if !self.happens("commit overtaken") {
            return;
        }
        let mut others = self.device_list();
        others.retain(|device| device.name != slow);
        for _ in 0..2 {
            if others.is_empty() {
                return;
            }
            let other = &others[self.rng.below(others.len() as u64) as usize];
            self.edit(other).await;
            Box::pin(self.sync(other, &SyncOptions::default())).await;
        }
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
    pub(crate) async fn step(self: &Arc<Self>) {
        self.trace.with(|outcome| outcome.steps += 1);
        let device = self.any_device();
        match self.next_deed() {
            Deed::Edit => self.edit(&device).await,
            Deed::Sync => {
                let (armed, after) = (self.rng.one_in(4), self.rng.one_in(2));
                let transactions = self.rng.below(16) as i64;
                if armed && self.happens("kill at a transaction") {
                    device.arm(transactions, after);
                }
                self.sync(&device, &SyncOptions::default()).await;
            }
            Deed::Wait => self.wait(),
            Deed::Clock => self.move_clock(&device),
            Deed::Restart => device.restart().await,
            Deed::Deliver => drop(self.server.deliver(0)),
            Deed::Copy => self.copy(&device).await,
            Deed::Console => self.console(),
            Deed::Erase => self.erase_writers().await,
            Deed::PutBack => self.put_back(&device).await,
            Deed::Members => self.change_members(&self.device_list()[0]).await,
            Deed::Refuse => self.refuse(),
            Deed::Spoil => self.spoil(),
            Deed::Storm => self.storm(),
            Deed::Expire => self.expire(&device),
            Deed::FillDisk => {
                let transactions = 1 + self.rng.below(6) as i64;
                if self.happens("disk full") {
                    device.fill_disk(transactions);
                }
            }
            Deed::OpenTwice => {
                if self.happens("opened twice") {
                    device.open_twice().await;
                }
            }
        }
    }

    fn next_deed(&self) -> Deed {
        let deeds = self.profile.deeds();
        let mut chance = self.rng.below(deeds.iter().map(|(weight, _)| weight).sum());
        for (weight, deed) in deeds {
            match chance.checked_sub(*weight) {
                Some(rest) => chance = rest,
                None => return *deed,
            }
        }
        Deed::Edit
    }

    /// Minutes pass, or now and then a day and more.
    fn wait(&self) {
        let minutes = Duration::from_secs(self.rng.below(200));
        let days = Duration::from_secs(self.rng.below(3 * 24 * 3600));
        // A new day compares everything, and finds what cursors skipped.
        let long = self.rng.one_in(5) && self.profile != Profile::SlowCommits;
        match long && self.happens("days pass") {
            true => self.pass_time(days),
            false => self.pass_time(minutes),
        }
    }

    /// A clock jumps, forth or back, by seconds, hours or about a year, or is set right.
    fn move_clock(&self, device: &Device) {
        let (size, share) = (self.rng.below(7), self.rng.below(2000) as i64 - 1000);
        let (kind, most) = match size {
            0 | 1 => ("clock off by seconds", 60 * SECOND),
            2..=4 => ("clock off by hours", 48 * 3600 * SECOND),
            5 => ("clock off by a year", 500 * 24 * 3600 * SECOND),
            _ => ("clock set right", 0),
        };
        if self.happens(kind) {
            self.log(format!("{}: {kind}", device.name));
            device.skew(most / 1000 * share);
        }
    }

    async fn copy(self: &Arc<Self>, device: &Arc<Device>) {
        let devices = self.device_list();
        if devices.len() as u64 >= self.script.devices || !self.happens("file copied") {
            self.server.deliver(0);
            return;
        }
        let path = self.folder.join(format!("copy{}.db", devices.len()));
        device.copy_to(&path).await;
        self.log(format!("{} copied to d{}", device.name, devices.len()));
        let copy = self.add_device("gm", path).await;
        let mut oracle = self.oracle.lock().expect("no panic while held");
        oracle.copied(&device.name, &copy.name);
    }
}
