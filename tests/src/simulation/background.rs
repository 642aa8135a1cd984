//! Histories of engines that run by themselves: edits in the middle of their runs, bad networks, pauses, restarts.
//!
//! What is checked: an edit leaves within seconds where nothing stands in its way, whatever the engine was doing when it was
//! made; an engine that has nothing to do asks rarely; and in the end every increment counts once, on the server and on all
//! devices.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use moonforge_model::{DocRef, PatchOp, Timestamp};
use moonforge_ports::{Clock, Connectivity, Network, RandomExt, RemoteErrorKind};
use moonforge_store::{Durability, EditTime, Store, StoreOptions};
use moonforge_sync::{Cadence, Coordinator, Parts, SyncEngine, SyncOptions, Turn, Turns};
use moonforge_testkit::clock::ManualClock;
use moonforge_testkit::random::SeededRandom;
use moonforge_testkit::simulated::{Call, Fault, Gate, GatePoint, SimulatedFirestore};
use serde_json::{Value, json};

use super::trace::Trace;

/// An edit leaves within this where nothing stands in its way: the longest debounce, and a run or two.
const PROMPT: Duration = Duration::from_secs(15);
/// The highest backoff, and a little: so long after the last fault things are as they should be.
const RECOVERY: Duration = Duration::from_secs(70);

/// A network signal that the history moves.
struct Signal(tokio::sync::watch::Sender<Network>);

#[async_trait]
impl Connectivity for Signal {
    fn network(&self) -> Network {
        *self.0.borrow()
    }

    async fn changed(&self, _seen: Network) {
        std::future::pending().await
    }
}

struct Device {
    name: String,
    store: Store,
    coordinator: Coordinator,
    turns: Turns,
    signal: Arc<Signal>,
    paused: bool,
}

struct History {
    rng: SeededRandom,
    clock: Arc<ManualClock>,
    server: SimulatedFirestore,
    folder: PathBuf,
    stormy: AtomicBool,
    /// When a fault last befell a call, or a pause or the network's absence ended.
    trouble: Mutex<Duration>,
    /// The stores that edits in the middle of a call are made in.
    stores: Mutex<Vec<(String, Store)>>,
    /// When each device was last written to.
    written: Mutex<Vec<Duration>>,
    sum: Mutex<i64>,
    trace: Arc<Trace>,
}

fn entity() -> DocRef {
    DocRef::parse("entities", "e").expect("a sound name")
}

impl History {
    fn log(&self, line: String) {
        self.trace
            .line(format!("{:?} {line}", self.clock.monotonic()));
    }

    fn fault(&self, call: &Call) -> Fault {
        if !self.stormy.load(Ordering::Relaxed) || !self.rng.one_in(3) {
            return Fault::None;
        }
        *self.trouble.lock().expect("no panic while held") = self.clock.monotonic();
        let fault = match self.rng.below(5) {
            0 => Fault::NeverSent,
            1 => Fault::LostRequest,
            2 => Fault::LostAnswer,
            3 => Fault::Status(RemoteErrorKind::Unavailable, None),
            _ => Fault::Status(
                RemoteErrorKind::ResourceExhausted,
                Some(Duration::from_secs(self.rng.below(40))),
            ),
        };
        self.log(format!("{} {:?} {fault:?}", call.device, call.kind));
        fault
    }

    /// Somebody writes at this device.
    async fn edit(&self, number: usize) {
        let (name, store) = self.stores.lock().expect("no panic while held")[number].clone();
        let at = EditTime {
            local: self.clock.now(),
            server: self.clock.now(),
        };
        let by = self.rng.below(9) as i64 + 1;
        let op = PatchOp::Increment {
            path: "props.gold".parse().expect("a sound path"),
            by: by.into(),
        };
        let patched = store.patch(entity(), None, vec![op], at).await;
        patched.expect("the entity is there");
        self.written.lock().expect("no panic while held")[number] = self.clock.monotonic();
        *self.sum.lock().expect("no panic while held") += by;
        self.trace.with(|outcome| outcome.edits += 1);
        self.log(format!("{name} +{by}"));
    }

    async fn start(&self, number: usize) -> Device {
        let name = format!("d{number}");
        let random = Arc::new(SeededRandom::new(self.rng.next()));
        let ids = random.clone();
        let options = StoreOptions {
            durability: Durability::Normal,
            ..StoreOptions::new(Arc::new(move || ids.hex128()), self.clock.now())
        };
        let path = self.folder.join(format!("{name}.db"));
        let store = Store::open(&path, options).await.expect("the file opens");
        let remote = self.server.connect(Some("gm".to_owned()), &name);
        let clock = self.clock.clone();
        let engine = SyncEngine::new(store.clone(), remote, clock.clone(), random.clone());
        let signal = Arc::new(Signal(tokio::sync::watch::Sender::new(Network::Good)));
        let coordinator = Coordinator::new(Parts {
            store: store.clone(),
            runner: Arc::new(engine),
            clock,
            random,
            connectivity: signal.clone(),
            // So rare that no look for news covers for a wake-up that was missed.
            cadence: Cadence {
                poll: Duration::from_secs(120),
                ..Cadence::default()
            },
            options: SyncOptions::default(),
        });
        let mut stores = self.stores.lock().expect("no panic while held");
        match stores.get_mut(number) {
            Some(known) => known.1 = store.clone(),
            None => {
                stores.push((name.clone(), store.clone()));
                self.written
                    .lock()
                    .expect("no panic while held")
                    .push(Duration::ZERO);
            }
        }
        Device {
            turns: coordinator.turns(),
            name,
            store,
            coordinator,
            signal,
            paused: false,
        }
    }

    /// Lets the engines run for a span.
    async fn pass(&self, devices: &mut [Device], span: Duration) {
        let end = self.clock.monotonic() + span;
        loop {
            let mut soonest = end;
            let edits = || self.trace.with(|outcome| outcome.edits);
            let before = edits();
            for (number, device) in devices.iter_mut().enumerate() {
                let mut turns = 0;
                let wait = loop {
                    match device.turns.next().await {
                        Turn::Again => turns += 1,
                        Turn::Wait(span) => break span,
                        Turn::Stop => break None,
                    }
                    assert!(turns < 1_000, "{} goes round and round", device.name);
                };
                self.trace.with(|outcome| outcome.syncs += turns);
                if let Some(span) = wait {
                    soonest = soonest.min(self.clock.monotonic() + span);
                }
                self.check_prompt(number, device).await;
            }
            // What somebody wrote meanwhile wakes its engine at once.
            if edits() > before {
                continue;
            }
            let now = self.clock.monotonic();
            if now >= end {
                return;
            }
            self.clock.advance(soonest.saturating_sub(now));
        }
    }

    async fn check_prompt(&self, number: usize, device: &Device) {
        let now = self.clock.monotonic();
        let trouble = *self.trouble.lock().expect("no panic while held");
        let written = self.written.lock().expect("no panic while held")[number];
        let free = !device.paused
            && device.signal.network() != Network::None
            && !self.stormy.load(Ordering::Relaxed)
            && now > trouble + RECOVERY;
        if free && now > written + PROMPT {
            let waiting = device.store.parked_and_waiting().await;
            let waiting = waiting.expect("the outbox reads").waiting;
            assert_eq!(
                waiting,
                0,
                "{}: an edit of {} s ago has not left, though nothing stands in its way",
                device.name,
                (now - written).as_secs()
            );
        }
    }

    async fn step(&self, devices: &mut [Device]) {
        let number = self.rng.below(devices.len() as u64) as usize;
        let device = &mut devices[number];
        match self.rng.below(12) {
            0..=4 => self.edit(number).await,
            5 => {
                let stormy = !self.stormy.fetch_xor(true, Ordering::Relaxed);
                self.log(format!("a storm: {stormy}"));
            }
            6 => {
                device.paused = !device.paused;
                *self.trouble.lock().expect("no panic while held") = self.clock.monotonic();
                self.log(format!("{} paused: {}", device.name, device.paused));
                match device.paused {
                    true => device.coordinator.pause(),
                    false => device.coordinator.resume(),
                }
            }
            7 => {
                let networks = [Network::None, Network::Metered, Network::Good];
                let network = networks[self.rng.below(3) as usize];
                *self.trouble.lock().expect("no panic while held") = self.clock.monotonic();
                self.log(format!("{} network: {}", device.name, network.name()));
                device.signal.0.send_replace(network);
            }
            8 => {
                self.log(format!("{} starts again", device.name));

                devices[number].store.close().await;
                devices[number] = self.start(number).await;
            }
            _ => {}
        }
        let seconds = match self.rng.below(4) {
            0 => self.rng.below(900),
            _ => self.rng.below(8),
        };
        self.pass(devices, Duration::from_secs(seconds)).await;
    }
}

/// A person who goes on writing while a call is on its way.
struct Meanwhile(Weak<History>);

#[async_trait]
impl Gate for Meanwhile {
    async fn pass(&self, point: GatePoint) {
        let Some(history) = self.0.upgrade() else {
            return;
        };
        history.log(format!(
            "{} {:?} {:?}",
            point.call.device, point.call.kind, point.moment
        ));
        history
            .clock
            .advance(Duration::from_millis(1 + history.rng.below(40)));
        if history.rng.one_in(12) {
            let devices = history.stores.lock().expect("no panic while held").len();
            let number = history.rng.below(devices as u64) as usize;
            history.edit(number).await;
        }
    }
}

/// Plays one seed. Panics with a sentence where something isn't as it should be.
pub(super) async fn run(seed: u64, steps: u32, trace: Arc<Trace>) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let clock = Arc::new(ManualClock::leaping(Timestamp::from_millis(
        1_790_000_000_000,
    )));
    let server = SimulatedFirestore::new(clock.clone() as Arc<dyn Clock>);
    let history = Arc::new(History {
        rng: SeededRandom::new(seed),
        clock,
        server: server.clone(),
        folder: folder.path().to_owned(),
        stormy: AtomicBool::new(false),
        trouble: Mutex::default(),
        stores: Mutex::default(),
        written: Mutex::default(),
        sum: Mutex::default(),
        trace,
    });
    let mut devices = vec![history.start(0).await];
    let at = EditTime {
        local: history.clock.now(),
        server: history.clock.now(),
    };
    let fields = |value: Value| value.as_object().expect("an object").clone();
    let campaign = DocRef::parse("campaigns", "c").expect("a sound name");
    for (doc, value) in [
        (campaign, json!({"name": "C"})),
        (
            entity(),
            json!({"name": "Mira", "kind": "npc", "campaignId": "c", "props": {"gold": 0}}),
        ),
    ] {
        let put = devices[0].store.put(doc, fields(value), at).await;
        put.expect("it is written");
    }
    history.pass(&mut devices, Duration::from_secs(60)).await;
    devices.push(history.start(1).await);
    history.pass(&mut devices, Duration::from_secs(60)).await;
    let weak = Arc::downgrade(&history);
    server.set_faults(move |call: &Call| weak.upgrade().map_or(Fault::None, |h| h.fault(call)));
    server.set_gate(Arc::new(Meanwhile(Arc::downgrade(&history))));
    for _ in 0..steps {
        history.trace.with(|outcome| outcome.steps += 1);
        history.step(&mut devices).await;
    }
    server.clear_faults();
    server.clear_gate();
    history.stormy.store(false, Ordering::Relaxed);
    for device in &mut devices {
        device.signal.0.send_replace(Network::Good);
        device.coordinator.resume();
        device.paused = false;
        device.coordinator.trigger();
    }
    history.pass(&mut devices, Duration::from_secs(4000)).await;
    check_sum(&history, &devices).await;
}

async fn check_sum(history: &History, devices: &[Device]) {
    let sum = json!(*history.sum.lock().expect("no panic while held"));
    let there = history.server.document(&entity());
    let gold = |fields: &moonforge_model::Fields| fields["props"]["gold"].clone();
    let there = there.map(|d| gold(&d.fields));
    assert_eq!(there, Some(sum.clone()), "the server's sum");
    for device in devices {
        let here = device.store.get(&entity()).await.expect("it reads");
        let here = here.map(|d| gold(&d.fields));
        assert_eq!(here, Some(sum.clone()), "the sum of {}", device.name);
    }
}
