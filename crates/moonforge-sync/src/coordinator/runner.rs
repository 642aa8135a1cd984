//! Who does the jobs, and what came of them.

use std::time::Duration;

use async_trait::async_trait;

use crate::coordinator::schedule::Verdict;
use crate::coordinator::status::{Phase, Progress, Trouble};
use crate::engine::{SyncEngine, SyncError};
use crate::job::Job;
use crate::report::{SyncOptions, SyncReport};

/// Why a job could not be done at all: a stable code, and a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RunError {
    /// For programs.
    pub code: &'static str,
    /// For a person.
    pub message: String,
}

impl From<SyncError> for RunError {
    fn from(error: SyncError) -> Self {
        Self {
            code: error.code(),
            message: error.to_string(),
        }
    }
}

/// Told of a run's progress as it goes on.
pub type Observe<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// Does jobs: a [`SyncEngine`], or what has to connect one first.
#[async_trait]
pub trait Runner: Send + Sync + 'static {
    /// Does a job. Jobs that are asked for at the same time wait for each other.
    async fn run(
        &self,
        job: &Job,
        options: &SyncOptions,
        observe: Observe<'_>,
    ) -> Result<SyncReport, RunError>;

    /// Whether the remote can be reached; where that can't be told, yes.
    async fn reachable(&self) -> bool;
}

#[async_trait]
impl Runner for SyncEngine {
    async fn run(
        &self,
        job: &Job,
        options: &SyncOptions,
        observe: Observe<'_>,
    ) -> Result<SyncReport, RunError> {
        Ok(self.run_observed(job, options, observe).await?)
    }

    async fn reachable(&self) -> bool {
        self.probe().await.is_ok()
    }
}

/// What an attempt came to: for the schedule, and for people.
pub(super) fn judge(result: &Result<SyncReport, RunError>) -> (Verdict, Phase, Option<Trouble>) {
    let trouble = |code, message: &str| {
        Some(Trouble {
            code,
            message: message.to_owned(),
        })
    };
    match result {
        Ok(report) => {
            let failed = Verdict::Failed {
                retry_after: report.retry_after,
            };
            let said = report.stopped.as_deref().unwrap_or_default();
            if report.offline {
                (failed, Phase::Offline, trouble("offline", said))
            } else if report.unauthenticated {
                let needed = trouble("unauthenticated", said);
                (Verdict::Blocked, Phase::SignInNeeded, needed)
            } else if report.stopped.is_some() {
                (failed, Phase::Failing, trouble("cloud_failing", said))
            } else {
                let moved = report.pushed + report.pulled > 0;
                (Verdict::Done { moved }, Phase::Idle, None)
            }
        }
        Err(error) => {
            let why = trouble(error.code, &error.message);
            match error.code {
                // Another process syncs the file, or writes to it for long.
                "sync_busy" | "busy" => (
                    Verdict::Failed { retry_after: None },
                    Phase::Elsewhere,
                    None,
                ),
                "account_mismatch" => (Verdict::Halted, Phase::Blocked, why),
                _ => (Verdict::Blocked, Phase::Blocked, why),
            }
        }
    }
}

/// Everything that an attempt told.
pub(super) struct Attempt {
    pub(super) verdict: Verdict,
    pub(super) phase: Phase,
    pub(super) trouble: Option<Trouble>,
    /// How long until an owed check falls due.
    pub(super) check_in: Option<Duration>,
    pub(super) report: SyncReport,
}

impl From<Result<SyncReport, RunError>> for Attempt {
    fn from(result: Result<SyncReport, RunError>) -> Self {
        let (verdict, phase, trouble) = judge(&result);
        let report = result.unwrap_or_default();
        Self {
            verdict,
            phase,
            trouble,
            check_in: report.check_in,
            report,
        }
    }
}
