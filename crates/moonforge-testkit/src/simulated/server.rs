//! The simulated server: a database, a clock, and what is on its way.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use moonforge_model::{DocRef, FieldPath, Fields, Timestamp};
use moonforge_ports::{Clock, CommitAnswer, RemoteDocument, RemoteError, RemoteWrite};
use serde_json::Value;

use super::database::{Applied, Database, Limits};
use super::faults::{Call, CallKind, Fault, FaultPlan, Gate, GatePoint, Moment};
use super::remote::SimulatedRemote;

/// A commit whose sender no longer waits for it.
#[derive(Debug)]
pub(super) struct Underway {
    pub(super) uid: Option<String>,
    pub(super) writes: Vec<RemoteWrite>,
    /// When it arrived; `None` while it is on its way.
    pub(super) request_time: Option<Timestamp>,
}

/// A Firestore in memory, for as many devices as connect to it. Clones are the same server.
#[derive(Clone)]
pub struct SimulatedFirestore {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Arc<dyn Clock>,
    name: String,
    database: Mutex<Database>,
    control: Mutex<Control>,
}

#[derive(Default)]
struct Control {
    plan: Option<Arc<dyn FaultPlan>>,
    gate: Option<Arc<dyn Gate>>,
    injected: Vec<(String, CallKind, Fault)>,
    late: VecDeque<Underway>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic while held")
}

impl SimulatedFirestore {
    /// An empty database on a server with this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_limits(clock, Limits::default())
    }

    /// The same with other limits.
    pub fn with_limits(clock: Arc<dyn Clock>, limits: Limits) -> Self {
        Self {
            inner: Arc::new(Inner {
                clock,
                name: "simulated://demo/(default)".to_owned(),
                database: Mutex::new(Database::new(limits)),
                control: Mutex::default(),
            }),
        }
    }

    /// A device's connection, signed in as `uid`, or as an administrator where that is `None`.
    pub fn connect(&self, uid: Option<String>, device: &str) -> Arc<SimulatedRemote> {
        Arc::new(SimulatedRemote::new(self.clone(), uid, device))
    }

    /// Decides from now on what befalls each call.
    pub fn set_faults(&self, plan: impl FaultPlan + 'static) {
        lock(&self.inner.control).plan = Some(Arc::new(plan));
    }

    /// From now on nothing goes wrong; what was injected is forgotten too.
    pub fn clear_faults(&self) {
        let mut control = lock(&self.inner.control);
        control.plan = None;
        control.injected.clear();
    }

    /// The next call of this kind by this device has this fault, whatever the plan says. Several are used up in order.
    pub fn inject(&self, device: &str, kind: CallKind, fault: Fault) {
        lock(&self.inner.control)
            .injected
            .push((device.to_owned(), kind, fault));
    }

    /// Every call passes this gate from now on.
    pub fn set_gate(&self, gate: Arc<dyn Gate>) {
        lock(&self.inner.control).gate = Some(gate);
    }

    /// No gate from now on. Calls that wait at the old one still do.
    pub fn clear_gate(&self) {
        lock(&self.inner.control).gate = None;
    }

    /// How many commits are late: on their way, or arrived and not applied.
    pub fn late(&self) -> usize {
        lock(&self.inner.control).late.len()
    }

    /// Delivers the late commit at this position (0 is the oldest), and says what the server would have answered.
    pub fn deliver(&self, position: usize) -> Option<Result<CommitAnswer, RemoteError>> {
        let late = lock(&self.inner.control).late.remove(position)?;
        let request_time = late.request_time.unwrap_or_else(|| self.request_time());
        let now = self.now();
        let uid = late.uid.as_deref();
        Some(self.database(|database| database.commit(uid, &late.writes, request_time, now)))
    }

    /// Delivers all late commits, oldest first; how many were applied.
    pub fn deliver_late(&self) -> usize {
        std::iter::from_fn(|| self.deliver(0))
            .filter(Result::is_ok)
            .count()
    }

    /// Applies the late commits that arrived until then, oldest first. Those on their way stay there.
    pub fn deliver_arrived(&self, until: Timestamp) {
        let arrived = |late: &Underway| late.request_time.is_some_and(|at| at <= until);
        loop {
            let position = lock(&self.inner.control).late.iter().position(arrived);
            let Some(position) = position else { return };
            self.deliver(position);
        }
    }

    /// Late commits never arrive; how many there were.
    pub fn forget_late(&self) -> usize {
        std::mem::take(&mut lock(&self.inner.control).late).len()
    }

    /// The server's clock.
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// All documents, by name.
    pub fn documents(&self) -> BTreeMap<DocRef, RemoteDocument> {
        self.database(|database| database.documents().clone())
    }

    /// One document.
    pub fn document(&self, doc: &DocRef) -> Option<RemoteDocument> {
        self.database(|database| database.documents().get(doc).cloned())
    }

    /// Every change so far, in order.
    pub fn history(&self) -> Vec<Applied> {
        self.database(|database| database.history().to_vec())
    }

    /// An operator's console writes a document whole: no rules, no server time.
    pub fn console_set(&self, doc: &DocRef, fields: Fields) -> Timestamp {
        let now = self.now();
        self.database(|database| database.console_set(doc, fields, now))
    }

    /// An operator's console sets (`Some`) and deletes (`None`) fields.
    pub fn console_patch(&self, doc: &DocRef, changes: &[(FieldPath, Option<Value>)]) -> Timestamp {
        let now = self.now();
        self.database(|database| database.console_patch(doc, changes, now))
    }

    /// An operator's console deletes a document for good; whether it was there.
    pub fn console_delete(&self, doc: &DocRef) -> bool {
        let now = self.now();
        self.database(|database| database.console_delete(doc, now))
    }

    /// Works on the database itself.
    pub fn database<T>(&self, work: impl FnOnce(&mut Database) -> T) -> T {
        work(&mut lock(&self.inner.database))
    }

    /// REQUEST_TIME for a request that arrives now: milliseconds.
    pub(super) fn request_time(&self) -> Timestamp {
        Timestamp::from_millis(self.now().as_micros().div_euclid(1000))
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.inner.clock
    }

    pub(super) fn name(&self) -> &str {
        &self.inner.name
    }

    pub(super) fn add_late(&self, underway: Underway) {
        lock(&self.inner.control).late.push_back(underway);
    }

    pub(super) fn begins(&self, call: &Call) {
        let gate = lock(&self.inner.control).gate.clone();
        if let Some(gate) = gate {
            gate.begins(call);
        }
    }

    pub(super) fn fault(&self, call: &Call) -> Fault {
        let mut control = lock(&self.inner.control);
        let injected = control
            .injected
            .iter()
            .position(|(device, kind, _)| *device == call.device && *kind == call.kind);
        if let Some(position) = injected {
            return control.injected.remove(position).2;
        }
        // The plan may look at this server, so it runs without the lock.
        let plan = control.plan.clone();
        drop(control);
        plan.map_or(Fault::None, |plan| plan.fault(call))
    }

    pub(super) async fn pass(&self, call: &Call, moment: Moment) {
        let gate = lock(&self.inner.control).gate.clone();
        if let Some(gate) = gate {
            gate.pass(GatePoint {
                call: call.clone(),
                moment,
            })
            .await;
        }
    }
}

impl std::fmt::Debug for SimulatedFirestore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimulatedFirestore")
            .field("name", &self.inner.name)
            .finish_non_exhaustive()
    }
}
