//! The engine by itself: exchanges edits and news in the background, through bad networks, and says how it is.
//!
//! One task does one job at a time. What may wake it: an edit (debounced), a timer, the network, an app that comes back, a
//! call. Between those it sleeps. Any job may be cancelled at any await; what was written stays in the outbox.

mod runner;
mod schedule;
#[cfg(test)]
mod schedule_tests;
mod status;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moonforge_model::Collection;
use moonforge_ports::{Clock, Connectivity, Network, Random};
use moonforge_store::Store;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::job::Job;
use crate::report::{SyncOptions, SyncReport};
use worker::Worker;

pub use runner::{Observe, RunError, Runner};
pub use schedule::Cadence;
pub use status::{Phase, Progress, SyncStatus, Trouble};
pub use worker::Turn;

/// What the background engine stands on.
pub struct Parts {
    /// The database.
    pub store: Store,
    /// Who does the jobs.
    pub runner: Arc<dyn Runner>,
    /// The clock of all waits.
    pub clock: Arc<dyn Clock>,
    /// For the jitter of backoff.
    pub random: Arc<dyn Random>,
    /// What the operating system says about the network.
    pub connectivity: Arc<dyn Connectivity>,
    /// The pace.
    pub cadence: Cadence,
    /// The bounds of each run.
    pub options: SyncOptions,
}

/// Something that was asked of the worker.
enum Wish {
    Trigger(BTreeSet<Collection>),
    Pause,
    Resume,
    Stop,
    /// Somebody made a whole run without the worker.
    DoneElsewhere(Box<SyncReport>),
}

struct Shared {
    store: Store,
    runner: Arc<dyn Runner>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    connectivity: Arc<dyn Connectivity>,
    cadence: Cadence,
    options: SyncOptions,
    wishes: Mutex<Vec<Wish>>,
    /// Rung after each wish.
    bell: Notify,
    status: watch::Sender<SyncStatus>,
    task: Mutex<Option<JoinHandle<()>>>,
    /// How many forced runs were begun, and the last that ended well.
    forces: AtomicU64,
    forced: tokio::sync::Mutex<Option<(u64, SyncReport)>>,
}

impl Shared {
    fn wish(&self, wish: Wish) {
        let mut wishes = self.wishes.lock().expect("no panic while held");
        match (wishes.last_mut(), wish) {
            // However often it is wished for, it is one look.
            (Some(Wish::Trigger(known)), Wish::Trigger(more)) => known.extend(more),
            (_, wish) => wishes.push(wish),
        }
        drop(wishes);
        self.bell.notify_one();
    }

    fn take_wishes(&self) -> Vec<Wish> {
        std::mem::take(&mut *self.wishes.lock().expect("no panic while held"))
    }

    /// Returns once a wish is there that no run may hold up.
    async fn interrupted(&self) {
        loop {
            if self.is_urgent() {
                return;
            }
            self.bell.notified().await;
        }
    }

    fn is_urgent(&self) -> bool {
        let wishes = self.wishes.lock().expect("no panic while held");
        let urgent = |wish: &Wish| matches!(wish, Wish::Pause | Wish::Stop);
        wishes.iter().any(urgent)
    }
}

/// Stops the worker when the last handle goes.
struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.wish(Wish::Stop);
    }
}

/// What a bounded run in the background came to.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundedRun {
    /// Whether everything was exchanged in time.
    pub finished: bool,
    /// The last attempt's report, if one came to its end.
    pub report: Option<SyncReport>,
    /// Why it isn't finished, if that isn't the time.
    pub trouble: Option<Trouble>,
}

/// The background engine's handle. Clones are the same engine, which stops when the last of them is dropped.
#[derive(Clone)]
pub struct Coordinator {
    shared: Arc<Shared>,
    _guard: Arc<Guard>,
}

impl std::fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let status = self.shared.status.borrow();
        f.debug_struct("Coordinator")
            .field("phase", &status.phase)
            .finish_non_exhaustive()
    }
}

/// See [`Coordinator::turns`].
pub struct Turns(Worker);

impl Turns {
    /// Takes up what was wished for, does one thing that is due, and says what comes next. Where that is to wait, whoever
    /// gives the turns waits: less long where something happens.
    pub async fn next(&mut self) -> Turn {
        self.0.turn().await
    }
}

impl Coordinator {
    /// An engine that rests until [`Coordinator::start`].
    pub fn new(parts: Parts) -> Self {
        let Parts {
            store,
            runner,
            clock,
            random,
            connectivity,
            cadence,
            options,
        } = parts;
        let shared = Arc::new(Shared {
            store,
            runner,
            clock,
            random,
            connectivity,
            cadence,
            options,
            wishes: Mutex::default(),
            bell: Notify::new(),
            status: watch::Sender::default(),
            task: Mutex::default(),
            forces: AtomicU64::new(0),
            forced: tokio::sync::Mutex::default(),
        });
        Self {
            _guard: Arc::new(Guard(shared.clone())),
            shared,
        }
    }

    /// Begins to exchange in the background. Does nothing where it goes on already. Has to be called within a tokio runtime.
    pub fn start(&self) {
        let mut task = self.shared.task.lock().expect("no panic while held");
        if task.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        // A stop isn't meant for what begins after it; a pause is.
        let mut wishes = self.shared.wishes.lock().expect("no panic while held");
        wishes.retain(|wish| !matches!(wish, Wish::Stop));
        drop(wishes);
        *task = Some(tokio::spawn(Worker::new(self.shared.clone()).work()));
    }

    /// The engine's turns, for whoever gives them himself in place of [`Coordinator::start`]: a test with a clock of its own.
    pub fn turns(&self) -> Turns {
        Turns(Worker::new(self.shared.clone()))
    }

    /// Ends the background work; a run that goes on is left where it is. Everything that is waiting stays in the outbox.
    pub async fn stop(&self) {
        self.shared.wish(Wish::Stop);
        let task = self.shared.task.lock().expect("no panic while held").take();
        if let Some(task) = task {
            // A panic in the task was shown where it happened.
            let _ = task.await;
        }
    }

    /// Sends what waits, for `span` at the most, and then ends the background work. Says whether nothing waits any more.
    ///
    /// # Errors
    /// As the run's; the background work has ended all the same.
    pub async fn drain_and_stop(&self, span: Duration) -> Result<bool, RunError> {
        self.stop().await;
        let run = self.bounded(&Job::Push, span).await;
        let counts = self.shared.store.parked_and_waiting().await;
        let counts = counts.map_err(crate::engine::SyncError::from)?;
        match run.trouble {
            Some(trouble) if counts.waiting > 0 => Err(RunError {
                code: trouble.code,
                message: trouble.message,
            }),
            _ => Ok(counts.waiting == 0),
        }
    }

    /// Rests until [`Coordinator::resume`], as when the app goes out of sight. A run that goes on is left where it is.
    pub fn pause(&self) {
        self.shared.wish(Wish::Pause);
    }

    /// Goes on, and looks for news at once.
    pub fn resume(&self) {
        self.shared.wish(Wish::Resume);
    }

    /// Looks for news and sends what waits, soon, and returns at once. Calls before the work begins count as one.
    pub fn trigger(&self) {
        self.trigger_collections([]);
    }

    /// [`Coordinator::trigger`], and asks for these collections whatever the beacons say.
    pub fn trigger_collections(&self, collections: impl IntoIterator<Item = Collection>) {
        let collections = collections.into_iter().collect();
        self.shared.wish(Wish::Trigger(collections));
    }

    /// [`Coordinator::trigger`] where that can lead to something now: the engine was started, isn't paused, waits for no
    /// person, and there is a network. Says whether. What is held here can be read in any case.
    pub fn trigger_if_ready(&self) -> bool {
        let phase = self.status().phase;
        let at_rest = matches!(
            phase,
            Phase::Stopped | Phase::Paused | Phase::SignInNeeded | Phase::Blocked
        );
        let ready = !at_rest && self.shared.connectivity.network() != Network::None;
        if ready {
            self.trigger();
        }
        ready
    }

    /// Exchanges everything now and compares it name by name, whether or not the engine was started: for pull-to-refresh.
    /// Calls at the same time share a run.
    ///
    /// # Errors
    /// Where the run could not be made at all. A cloud that can't be reached is none: the report says so.
    pub async fn force(&self) -> Result<SyncReport, RunError> {
        let shared = &self.shared;
        let asked = shared.forces.load(Ordering::SeqCst);
        let mut last = shared.forced.lock().await;
        if let Some((begun, report)) = &*last
            && *begun > asked
        {
            return Ok(report.clone());
        }
        let begun = shared.forces.fetch_add(1, Ordering::SeqCst) + 1;
        let options = SyncOptions {
            reconcile: true,
            ..shared.options.clone()
        };
        let report = shared
            .runner
            .run(&Job::Everything, &options, &|_| {})
            .await?;
        *last = Some((begun, report.clone()));
        drop(last);
        self.done_elsewhere(&report);
        Ok(report)
    }

    /// Tells the engine of a whole run that was made without it.
    pub fn done_elsewhere(&self, report: &SyncReport) {
        let running = self.shared.task.lock().expect("no panic while held");
        if running.is_some() {
            self.shared
                .wish(Wish::DoneElsewhere(Box::new(report.clone())));
        }
    }

    /// Exchanges everything, for `span` at the most, whether or not the engine was started: for an operating system's
    /// background tasks. Tries again as long as there is time.
    pub async fn run_until(&self, span: Duration) -> BoundedRun {
        self.bounded(&Job::Everything, span).await
    }

    async fn bounded(&self, job: &Job, span: Duration) -> BoundedRun {
        let shared = &self.shared;
        let mut run = BoundedRun {
            finished: false,
            report: None,
            trouble: None,
        };
        let tries = async {
            let mut failures = 0;
            loop {
                let result = shared.runner.run(job, &shared.options, &|_| {}).await;
                if let Ok(report) = &result {
                    self.done_elsewhere(report);
                    run.report = Some(report.clone());
                }
                let (verdict, _, trouble) = runner::judge(&result);
                run.trouble = trouble;
                match verdict {
                    schedule::Verdict::Done { .. } => {
                        run.finished = true;
                        return;
                    }
                    schedule::Verdict::Failed { retry_after } => {
                        failures += 1;
                        let wait = shared.cadence.wait(failures, &*shared.random);
                        let wait = retry_after.map_or(wait, |asked| asked.max(wait));
                        shared.clock.sleep(wait).await;
                    }
                    schedule::Verdict::Blocked | schedule::Verdict::Halted => return,
                }
            }
        };
        tokio::select! {
            biased;
            () = tries => {}
            () = shared.clock.sleep(span) => {}
        }
        run
    }

    /// How the engine is now.
    pub fn status(&self) -> SyncStatus {
        self.shared.status.borrow().clone()
    }

    /// How the engine is, then each time that changes. One who is slow gets the newest, not each between.
    pub fn watch(&self) -> watch::Receiver<SyncStatus> {
        self.shared.status.subscribe()
    }
}
