//! Devices whose engines run by themselves, and a clock that leaps from one reason to wake up to the next.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use moonforge_model::{DocRef, PatchOp, Timestamp};
use moonforge_ports::{Clock, Connectivity, Network, RandomExt, RemoteStore};
use moonforge_store::{Store, StoreOptions};
use moonforge_testkit::clock::ManualClock;
use moonforge_testkit::random::SeededRandom;
use moonforge_testkit::simulated::{Call, Fault, SimulatedFirestore};
use serde_json::Value;
use tokio::sync::watch;

use crate::coordinator::worker::{Turn, Worker};
use crate::coordinator::{Cadence, Coordinator, Parts};
use crate::engine::SyncEngine;
use crate::report::SyncOptions;

pub(super) fn doc(collection: &str, id: &str) -> DocRef {
    DocRef::parse(collection, id).unwrap()
}

/// A network signal under the test's control.
pub(super) struct Signal(watch::Sender<Network>);

impl Signal {
    pub(super) fn set(&self, network: Network) {
        self.0.send_replace(network);
    }
}

#[async_trait]
impl Connectivity for Signal {
    fn network(&self) -> Network {
        *self.0.borrow()
    }

    async fn changed(&self, seen: Network) {
        let mut there = self.0.subscribe();
        let _ = there.wait_for(|now| *now != seen).await;
    }
}

/// A server and the time.
pub(super) struct Table {
    pub(super) clock: Arc<ManualClock>,
    pub(super) server: SimulatedFirestore,
    pub(super) calls: Arc<Mutex<Vec<Call>>>,
}

pub(super) struct Device {
    pub(super) store: Store,
    pub(super) remote: Arc<dyn RemoteStore>,
    pub(super) coordinator: Coordinator,
    pub(super) signal: Arc<Signal>,
    pub(super) worker: Worker,
    clock: Arc<ManualClock>,
}

impl Table {
    /// A clock whose sleeps leap, for turns that the test gives; or one that stands, for engines that were started.
    pub(super) fn new(leaps: bool) -> Self {
        let begin = Timestamp::from_millis(1_790_000_000_000);
        let clock = Arc::new(match leaps {
            true => ManualClock::leaping(begin),
            false => ManualClock::new(begin),
        });
        let server = SimulatedFirestore::new(clock.clone() as Arc<dyn Clock>);
        let table = Self {
            clock,
            server,
            calls: Arc::default(),
        };
        table.faults(|_| Fault::None);
        table
    }

    /// Decides what befalls each call from now on.
    pub(super) fn faults(&self, plan: impl Fn(&Call) -> Fault + Send + Sync + 'static) {
        let calls = self.calls.clone();
        self.server.set_faults(move |call: &Call| {
            calls.lock().unwrap().push(call.clone());
            plan(call)
        });
    }

    pub(super) fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    pub(super) async fn device(&self, uid: &str, name: &str) -> Device {
        let random = Arc::new(SeededRandom::new(name.bytes().map(u64::from).sum()));
        let options = StoreOptions::new(Arc::new(move || random.hex128()), self.clock.now());
        let store = Store::in_memory(options).await.unwrap();
        self.device_on(uid, name, store).await
    }

    /// A device on a database that is there.
    pub(super) async fn device_on(&self, uid: &str, name: &str, store: Store) -> Device {
        self.device_at(uid, name, store, Cadence::default()).await
    }

    /// The same, with a pace of its own.
    pub(super) async fn device_at(
        &self,
        uid: &str,
        name: &str,
        store: Store,
        cadence: Cadence,
    ) -> Device {
        let seed = name.bytes().fold(7, |a: u64, b| a * 31 + u64::from(b));
        let random = Arc::new(SeededRandom::new(seed));
        let remote: Arc<dyn RemoteStore> = self.server.connect(Some(uid.to_owned()), name);
        let engine = SyncEngine::new(
            store.clone(),
            remote.clone(),
            self.clock.clone(),
            random.clone(),
        );
        let signal = Arc::new(Signal(watch::Sender::new(Network::Good)));
        let coordinator = Coordinator::new(Parts {
            store: store.clone(),
            runner: Arc::new(engine),
            clock: self.clock.clone(),
            random,
            connectivity: signal.clone(),
            cadence,
            options: SyncOptions::default(),
        });
        Device {
            worker: Worker::new(coordinator.shared.clone()),
            coordinator,
            store,
            remote,
            signal,
            clock: self.clock.clone(),
        }
    }
}

impl Device {
    pub(super) async fn put(&self, doc: &DocRef, value: Value) {
        let at = moonforge_store::EditTime {
            local: self.clock.now(),
            server: self.clock.now(),
        };
        let fields = value.as_object().unwrap().clone();
        self.store.put(doc.clone(), fields, at).await.unwrap();
    }

    pub(super) async fn set(&self, doc: &DocRef, path: &str, value: impl Into<Value>) {
        let at = moonforge_store::EditTime {
            local: self.clock.now(),
            server: self.clock.now(),
        };
        let op = PatchOp::Set {
            path: path.parse().unwrap(),
            value: value.into(),
        };
        self.store
            .patch(doc.clone(), None, vec![op], at)
            .await
            .unwrap();
    }

    pub(super) async fn field(&self, doc: &DocRef, field: &str) -> Option<Value> {
        let found = self.store.get(doc).await.unwrap()?;
        found.fields.get(field).cloned()
    }
}

/// Lets engines run for a span of the table's time. Each wakes when it planned to, not before.
pub(super) async fn pass(table: &Table, devices: &mut [&mut Device], span: Duration) {
    let end = table.clock.monotonic() + span;
    loop {
        let mut soonest = end;
        for device in devices.iter_mut() {
            let planned = loop {
                match device.worker.turn().await {
                    Turn::Again => {}
                    Turn::Wait(span) => break span,
                    Turn::Stop => break None,
                }
            };
            if let Some(span) = planned {
                soonest = soonest.min(table.clock.monotonic() + span);
            }
        }
        let now = table.clock.monotonic();
        if now >= end {
            return;
        }
        table.clock.advance(soonest.saturating_sub(now));
    }
}
