//! Operations other than document writes, and who carries them out.

use std::time::Duration;

use async_trait::async_trait;
use moonforge_model::ParkReason;
use serde_json::Value;

/// An operation to be carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// Random, and the same at every try, also after a crash and in a copy of the database: an idempotency key.
    pub id: String,
    /// The name that its executor is registered by.
    pub name: String,
    /// Its lane: operations of one name and key are carried out one at a time, first in first out.
    pub key: String,
    /// What it was queued with.
    pub payload: Value,
    /// How often it was begun, this time included. Some of them may have been cut short.
    pub attempts: u32,
}

/// What carrying out an operation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Executed {
    /// It is done, and leaves the queue.
    Done,
    /// It may succeed later. It is never dropped, however often that happens.
    Retry {
        /// How long the other side asked to wait. A wait that doubles with each try is kept to in any case.
        after: Option<Duration>,
        /// Why, in words for a person.
        message: String,
    },
    /// It can't succeed by itself: it waits for a person, and with it those of its lane.
    Park {
        /// The class of the trouble.
        reason: ParkReason,
        /// What a person should know.
        message: String,
    },
}

/// Carries out the operations of one name.
///
/// An operation is marked as begun, durably, before this is called, and is gone once [`Executed::Done`] is recorded. Where
/// the process ends, or the run is left, in between, it is carried out again: at least once. What must not happen twice is
/// guarded by [`Operation::id`], which the other side can be told.
///
/// The future may be dropped at any await: when the engine is paused or stopped, and when the time is over. A panic counts as
/// a failed try.
#[async_trait]
pub trait Executor: Send + Sync + 'static {
    /// Carries out one operation. Others of its lane wait for the answer, those of other lanes don't.
    async fn execute(&self, operation: &Operation) -> Executed;

    /// How long one try may take; then it is left, and tried again later.
    fn time_limit(&self) -> Duration {
        Duration::from_secs(60)
    }
}
