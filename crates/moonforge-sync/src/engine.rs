//! The engine: one run pushes, pulls, and pushes what merging left.

use std::sync::Arc;

use moonforge_model::Timestamp;
use moonforge_ports::{Clock, Random, RemoteError, RemoteStore};
use moonforge_store::{EditTime, Store, StoreError};

use crate::report::{SyncOptions, SyncReport};
use crate::run::{Failure, Run, Stop};

/// Why a run could not be made at all.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The local store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The remote refused the very question, not one document.
    #[error("the cloud refused: {0}")]
    Remote(#[source] RemoteError),
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
        }
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

    /// Pushes, pulls, and pushes what merging left, once.
    ///
    /// A remote that can't be reached, or that wants a sign-in, is no error: the report says so, and what was written stays
    /// queued. Dropping the future leaves everything to the next run.
    ///
    /// # Errors
    /// When the store fails, belongs to another account (`account_mismatch`), or is being synced by another process.
    pub async fn sync_now(&self, options: &SyncOptions) -> Result<SyncReport, SyncError> {
        let _lock = self.store.lock_for_sync()?;
        // A file is bound once the remote has answered, so that a mistyped project binds nothing.
        let owner = self.owner();
        self.store.check_owner(&owner).await?;
        let started = self.clock.monotonic();
        let billed = self.remote.usage();
        let mut run = Run::new(
            &self.store,
            &*self.remote,
            &*self.clock,
            &*self.random,
            options,
            owner,
        );
        let result = run.all().await;
        let mut report = std::mem::take(&mut run.report);
        match result {
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
    report.stopped = Some(format!(
        "{why} ({}); everything written here is kept and goes out next time",
        error.message
    ));
}

impl Run<'_> {
    async fn all(&mut self) -> Result<(), Failure> {
        self.push().await?;
        self.pull_everything().await?;
        self.push().await?;
        Ok(())
    }

    async fn pull_everything(&mut self) -> Result<(), Failure> {
        let seen = match self.uid.clone() {
            Some(uid) => Some(self.list_campaigns(&uid).await?),
            None => None,
        };
        let mut pulled = Vec::new();
        for mut group in self.groups(seen.as_ref()).await? {
            match self.pull_group(&mut group).await {
                Ok(read_time) => pulled.push((group, read_time)),
                // One campaign that denies must not keep the others from being read.
                Err(Failure::Answer(error)) if group.campaigns.len() > 1 => {
                    tracing::debug!(%error, collection = %group.collection, "asking campaign by campaign");
                    for mut one in group.split() {
                        match self.pull_group(&mut one).await {
                            Ok(read_time) => pulled.push((one, read_time)),
                            Err(Failure::Answer(_)) => {}
                            Err(stop) => return Err(stop),
                        }
                    }
                }
                Err(failure) if self.uid.is_none() => return Err(failure),
                // The next listing of campaigns says whether the account is still in this one.
                Err(Failure::Answer(error)) => {
                    tracing::warn!(%error, collection = %group.collection, "denied");
                }
                Err(stop) => return Err(stop),
            }
        }
        Ok(self.gather(pulled).await?)
    }

    async fn pull_group(&mut self, group: &mut crate::pull::Group) -> Result<Timestamp, Failure> {
        let read_time = self.pull(group).await?;
        self.reconcile(group).await?;
        Ok(read_time)
    }
}
