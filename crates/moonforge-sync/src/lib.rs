//! Moonforge's sync engine.
//!
//! Two principles carry it (`docs/sync-protocol.md`). Every write has a precondition on the version that it was built from,
//! so one look at any newer version decides every earlier attempt. And whatever comes from the remote goes through one
//! door, `apply_remote`, in one local transaction.
//!
//! Architecture invariant: the engine knows its store and the ports, and nothing of any adapter; what it decides is decided
//! by pure functions ([`outcome()`], `settle`, `plan`, and the model's merge).

mod apply;
mod beacon;
mod bill;
mod coordinator;
mod echo;
mod engine;
mod failed;
mod job;
mod lanes;
mod line;
mod membership;
mod mutants;
mod operations;
mod outcome;
#[cfg(test)]
mod outcome_tests;
mod pace;
mod plan;
mod pull;
mod push;
mod queue;
mod reconcile;
mod report;
mod run;
mod scoped;
mod settle;
#[cfg(test)]
mod settle_tests;
mod tally;
mod telemetry;
mod urgency;

pub use bill::{Bill, DayBill};
pub use coordinator::{
    BoundedRun, Cadence, Coordinator, Observe, Parts, Phase, Progress, RunError, Runner,
    SyncStatus, Trouble, Turn, Turns,
};
pub use engine::{SyncEngine, SyncError};
pub use job::Job;
pub use operations::Executors;
pub use outcome::{Answer, Company, Look, Marks, Next, outcome};
pub use report::{SyncOptions, SyncReport};
