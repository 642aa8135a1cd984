//! The engine: one run pushes, pulls, and pushes what merging left.

use std::sync::Arc;

use futures_util::future::join;
use moonforge_model::Timestamp;
use moonforge_ports::{Clock, Random, RemoteError, RemoteErrorKind, RemoteStore};
use moonforge_store::{EditTime, Store, StoreError, SyncedScopes};
use tokio::sync::Mutex;

use crate::bill::{self, Bill, DayBill};
use crate::coordinator::Observe;
use crate::job::{Job, Memory};
use crate::operations::{Executors, Operations};
use crate::report::{SyncOptions, SyncReport};
use crate::run::{Failure, Run, Stop};
use crate::telemetry;

/// Why a run could not be made at all.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The local store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The remote refused the very question, not one document.
    #[error("{}", refusal(.0))]
    Remote(#[source] RemoteError),
}

/// What a person is told where the remote refuses the very question.
fn refusal(error: &RemoteError) -> String {
    let why = match error.kind {
        RemoteErrorKind::PermissionDenied => {
            "the cloud doesn't let this account read what every sync asks for"
        }
        RemoteErrorKind::NotFound => "the cloud has no such project or database",
        _ => "the cloud refused what every sync asks for",
    };
    format!("{why} ({}); everything written here is kept", error.message)
}

impl SyncError {
    /// A stable code for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(e) => e.code(),
            Self::Remote(_) => "cloud_refused",
        }
    }
}

/// Keeps one store in step with one remote.
#[derive(Clone)]
pub struct SyncEngine {
    store: Store,
    remote: Arc<dyn RemoteStore>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    executors: Executors,
    /// One run at a time in this process; the file's lock keeps other processes away.
    memory: Arc<Mutex<Memory>>,
}

impl std::fmt::Debug for SyncEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SyncEngine")
            .field("remote", &self.remote.name())
            .finish_non_exhaustive()
    }
}

impl SyncEngine {
    /// An engine between `store` and `remote`. It does nothing until it is told to.
    pub fn new(
        store: Store,
        remote: Arc<dyn RemoteStore>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            store,
            remote,
            clock,
            random,
            executors: Executors::default(),
            memory: Arc::default(),
        }
    }

    /// Carries out operations too.
    #[must_use]
    pub fn with_executors(mut self, executors: Executors) -> Self {
        self.executors = executors;
        self
    }

    /// The present moment for an edit: by this device's clock, and by the remote's as far as known.
    pub async fn edit_time(&self) -> Result<EditTime, StoreError> {
        let local = self.clock.now();
        let server = local.offset_micros(self.store.clock_offset().await?);
        Ok(EditTime { local, server })
    }

    /// The remote and account that a file belongs to once it was synced with them.
    fn owner(&self) -> String {
        match self.remote.uid() {
            Some(uid) => format!("{uid} at {}", self.remote.name()),
            None => self.remote.name(),
        }
    }

    /// What this device holds at the start of a run; refuses a scope that isn't a part of it.
    async fn scope_generation(&self, options: &SyncOptions) -> Result<i64, StoreError> {
        let generation = self.store.scope_generation().await?;
        if let Some(scope) = &options.scope {
            scope.check(self.store.registry())?;
            let joined = self.store.joined_scopes().await?;
            if !joined.is_empty() && !joined.contains(scope) {
                return Err(StoreError::NotJoined(scope.to_string()));
            }
            if joined.is_empty() && scope.is_accessed() {
                return Err(StoreError::NotJoined(scope.to_string()));
            }
        }
        Ok(generation)
    }

    /// Pushes, pulls everything, and pushes what merging left, once.
    ///
    /// # Errors
    /// As [`SyncEngine::run`].
    pub async fn sync_now(&self, options: &SyncOptions) -> Result<SyncReport, SyncError> {
        self.run(&Job::Everything, options).await
    }

    /// Does one job. Clones of an engine wait for each other.
    ///
    /// A remote that can't be reached, or that wants a sign-in, is no error: the report says so, and what was written stays
    /// queued. Dropping the future leaves everything to the next run.
    ///
    /// # Errors
    /// When the store fails, belongs to another account (`account_mismatch`), or is being synced by another process, and where
    /// the scope isn't among the joined ones (`not_joined`) or none that could be (`invalid_scope`).
    pub async fn run(&self, job: &Job, options: &SyncOptions) -> Result<SyncReport, SyncError> {
        self.run_observed(job, options, &|_| {}).await
    }

    /// Whether the remote can be reached.
    ///
    /// # Errors
    /// Where it can't.
    pub async fn probe(&self) -> Result<(), RemoteError> {
        self.remote.probe().await
    }

    /// [`SyncEngine::run`], which tells of its progress.
    ///
    /// # Errors
    /// As [`SyncEngine::run`].
    pub async fn run_observed(
        &self,
        job: &Job,
        options: &SyncOptions,
        observe: Observe<'_>,
    ) -> Result<SyncReport, SyncError> {
        let result = self.do_job(job, options, observe).await;
        telemetry::ran(job, &result);
        result
    }

    /// Adds to the day's bill.
    async fn keep_bill(
        &self,
        memory: &mut Memory,
        more: Bill,
        job: &Job,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        memory.unkept += more;
        let much = memory.unkept.reads() + memory.unkept.writes >= bill::KEEP_AT;
        if much || !matches!(job, Job::Poll { .. }) {
            let note = self.store.note(bill::NOTE).await?;
            let mut today = DayBill::read(note.as_deref(), now);
            today.bill += std::mem::take(&mut memory.unkept);
            self.store.set_note(bill::NOTE, today.note()).await?;
        }
        Ok(())
    }

    /// What was billed today, by cause; what the last minutes' idle polls cost may be missing.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn bill_of_the_day(store: &Store, now: Timestamp) -> Result<DayBill, StoreError> {
        let note = store.note(bill::NOTE).await?;
        Ok(DayBill::read(note.as_deref(), now))
    }

    async fn do_job(
        &self,
        job: &Job,
        options: &SyncOptions,
        observe: Observe<'_>,
    ) -> Result<SyncReport, SyncError> {
        let mut memory = self.memory.lock().await;
        let _lock = self.store.lock_for_sync()?;
        // A file is bound once the remote has answered, so that a mistyped project binds nothing.
        let owner = self.owner();
        self.store.check_owner(&owner).await?;
        let generation = self.scope_generation(options).await?;
        let (started, now) = (self.clock.monotonic(), self.clock.now());
        let billed = self.remote.usage();
        let mut run = Run::new(
            &self.store,
            &*self.remote,
            &*self.clock,
            &*self.random,
            options,
            owner,
            observe,
        );
        let mut operations =
            Operations::new(&self.store, &*self.clock, &*self.random, &self.executors);
        let (result, carried_out) =
            Box::pin(join(run.perform(job, &mut memory), operations.pass())).await;
        carried_out?;
        let offline = matches!(&result, Err(Failure::Stop(Stop::Offline(_))));
        if !offline {
            // What waited for a document can go now.
            operations.pass().await?;
        }
        let mut report = run.take_report();
        report.check_in = run.check_in(&memory).await?;
        (report.operations, report.operations_in) = (operations.done, operations.next_in);
        report.bill = run.remote.bill();
        self.keep_bill(&mut memory, report.bill, job, now).await?;
        match result {
            Ok(()) if *job == Job::Everything => {
                let what = options.scope.clone();
                let what = what.map_or(SyncedScopes::All, SyncedScopes::One);
                self.store.set_synced(what, generation, now).await?;
            }
            Ok(()) => {}
            Err(Failure::Answer(error) | Failure::Stop(Stop::Refused(error))) => {
                return Err(SyncError::Remote(error));
            }
            Err(Failure::Stop(Stop::Store(error))) => return Err(error.into()),
            Err(Failure::Stop(stop)) => note_stop(&mut report, &stop),
        }
        let counts = self.store.parked_and_waiting().await?;
        report.parked = counts.parked;
        report.waiting = counts.waiting;
        let reached = (!offline).then(|| self.clock.now());
        self.store.note_reach(reached, counts.waiting).await?;
        report.billed = self.remote.usage() - billed;
        let elapsed = self.clock.monotonic().saturating_sub(started);
        report.elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            pushed = report.pushed,
            pulled = report.pulled,
            conflicts = report.conflicts,
            parked = report.parked,
            waiting = report.waiting,
            offline = report.offline,
            "synced"
        );
        Ok(report)
    }
}

fn note_stop(report: &mut SyncReport, stop: &Stop) {
    let (why, error) = match stop {
        Stop::Offline(error) => {
            report.offline = true;
            ("the cloud can't be reached", error)
        }
        Stop::SignIn(error) => {
            report.unauthenticated = true;
            ("sign-in is needed", error)
        }
        Stop::GaveUp(error) => ("the cloud kept failing", error),
        Stop::Refused(_) | Stop::Store(_) => return,
    };
    tracing::debug!(%error, why, "the run ended early");
    report.retry_after = error.retry_after;
    report.stopped = Some(format!(
        "{why} ({}); everything written here is kept and goes out next time",
        error.message
    ));
}
