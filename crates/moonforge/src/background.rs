//! Keeping in step without being asked.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use moonforge_model::Collection;
use moonforge_ports::{AlwaysGood, Connectivity};
use moonforge_sync::{
    BoundedRun, Cadence, Executors, Job, Observe, RunError, Runner, SyncOptions, SyncReport,
    SyncStatus,
};
use tokio::sync::watch;

use crate::error::Error;
use crate::forge::{Inner, Moonforge};

/// How the background engine is set up.
#[derive(Clone)]
pub(crate) struct Background {
    pub(crate) connectivity: Arc<dyn Connectivity>,
    pub(crate) cadence: Cadence,
    pub(crate) options: SyncOptions,
    pub(crate) executors: Executors,
}

impl Default for Background {
    fn default() -> Self {
        Self {
            connectivity: Arc::new(AlwaysGood),
            cadence: Cadence::default(),
            options: SyncOptions::default(),
            executors: Executors::default(),
        }
    }
}

/// Does the background engine's jobs for as long as somebody has the database.
pub(crate) struct Connector(pub(crate) Weak<Inner>);

#[async_trait]
impl Runner for Connector {
    async fn run(
        &self,
        job: &Job,
        options: &SyncOptions,
        observe: Observe<'_>,
    ) -> Result<SyncReport, RunError> {
        let forge = Moonforge::upgrade(&self.0).ok_or_else(closed)?;
        Ok(forge.run_job(job, options, observe).await?)
    }

    async fn reachable(&self) -> bool {
        match Moonforge::upgrade(&self.0) {
            Some(forge) => forge.is_reachable().await,
            None => false,
        }
    }
}

fn closed() -> RunError {
    RunError {
        code: "closed",
        message: "the database was closed".to_owned(),
    }
}

impl From<Error> for RunError {
    fn from(error: Error) -> Self {
        Self {
            code: error.code(),
            message: error.to_string(),
        }
    }
}

impl Moonforge {
    /// Begins to keep the database in step in the background: edits go out about a second after they were made, news comes
    /// in within seconds while something moves and within minutes while nothing does. Returns at once; does nothing where it
    /// goes on already. It ends with [`Moonforge::stop`], or when the last clone of this value is dropped.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(&self) {
        self.inner().coordinator.start();
    }

    /// Ends the background work. A run that goes on is left where it is; what waits stays in the outbox.
    pub async fn stop(&self) {
        self.inner().coordinator.stop().await;
    }

    /// Sends what waits, for `span` at the most, and ends the background work. Says whether nothing waits any more.
    ///
    /// # Errors
    /// Why it couldn't be sent. The background work has ended all the same.
    pub async fn drain_and_stop(&self, span: Duration) -> Result<bool, RunError> {
        self.inner().coordinator.drain_and_stop(span).await
    }

    /// Rests until [`Moonforge::resume`]: for an app that goes out of sight. Writing goes on as ever.
    pub fn pause(&self) {
        self.inner().coordinator.pause();
    }

    /// Goes on after a pause, and looks for news at once.
    pub fn resume(&self) {
        self.inner().coordinator.resume();
    }

    /// Makes the background engine send what waits and look for news now, whatever it waits for, and returns at once. Calls
    /// at the same time count as one. After a sign-in, this is how the engine learns of it.
    pub fn trigger(&self) {
        self.inner().coordinator.trigger();
    }

    /// [`Moonforge::trigger`] for some collections, which are asked for in any case.
    ///
    /// # Errors
    /// `unknown_collection`.
    pub fn trigger_collections(&self, names: &[&str]) -> Result<(), Error> {
        let named: Result<Vec<Collection>, Error> =
            names.iter().map(|name| self.collection(name)).collect();
        self.inner().coordinator.trigger_collections(named?);
        Ok(())
    }

    /// [`Moonforge::trigger`], where that can lead to something now; says whether. For the launch of an app, which shows what
    /// is held here at once.
    pub fn trigger_if_ready(&self) -> bool {
        self.inner().coordinator.trigger_if_ready()
    }

    /// Exchanges everything now and compares it with the cloud name by name, whether or not the engine was started: for
    /// pull-to-refresh. Calls at the same time share a run.
    ///
    /// # Errors
    /// As [`Moonforge::sync_now`], as a code and a sentence.
    pub async fn force(&self) -> Result<SyncReport, RunError> {
        self.inner().coordinator.force().await
    }

    /// Exchanges everything, for `span` at the most, whether or not the engine was started: for an operating system's
    /// background tasks, which have a deadline. Tries again as long as there is time.
    pub async fn run_until(&self, span: Duration) -> BoundedRun {
        self.inner().coordinator.run_until(span).await
    }

    /// How the background engine is.
    pub fn sync_status(&self) -> SyncStatus {
        self.inner().coordinator.status()
    }

    /// How the background engine is, now and each time that this changes.
    pub fn watch_sync_status(&self) -> watch::Receiver<SyncStatus> {
        self.inner().coordinator.watch()
    }
}
