//! Carrying out operations other than document writes.
//!
//! A lane's first operation is marked as begun, durably, and handed to its executor; what that says is recorded. Lanes go
//! beside each other, a few at a time, and beside the documents of the same run. Each operation is tried once a run. What
//! fails waits for itself alone: a run that comes earlier passes it over.

use std::any::Any;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use futures_util::{FutureExt as _, future};
use moonforge_ports::{Clock, Executed, Executor, Operation, Random, RandomExt};
use moonforge_store::{NextOperation, OperationEnd, Store, StoreError};

use crate::urgency::urgency;

/// Lanes that are worked on at a time.
const AT_ONCE: usize = 4;
/// The longest ceiling of a wait after a failed try.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// Who carries out which operations, and which of those have to wait.
#[derive(Clone, Default)]
pub struct Executors {
    by_name: BTreeMap<String, Arc<dyn Executor>>,
    /// For each operation that failed: at which try, and the monotonic moment of the next. The file has them too, in the time
    /// of a clock that may jump.
    waits: Arc<Mutex<HashMap<u64, (u32, Duration)>>>,
}

impl std::fmt::Debug for Executors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

impl Executors {
    /// Registers who carries out the operations of a name; the last one of a name counts.
    pub fn register(&mut self, name: impl Into<String>, executor: Arc<dyn Executor>) {
        self.by_name.insert(name.into(), executor);
    }

    /// Whether somebody carries out the operations of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }
}

/// A run's part that carries out operations.
pub(crate) struct Operations<'a> {
    store: &'a Store,
    clock: &'a dyn Clock,
    random: &'a dyn Random,
    executors: &'a Executors,
    /// Those of this run.
    tried: HashSet<u64>,
    /// Later ones are the next run's.
    newest: Option<u64>,
    /// How many are done.
    pub(crate) done: u64,
    /// How long until the first that failed may be tried again.
    pub(crate) next_in: Option<Duration>,
}

impl<'a> Operations<'a> {
    pub(crate) fn new(
        store: &'a Store,
        clock: &'a dyn Clock,
        random: &'a dyn Random,
        executors: &'a Executors,
    ) -> Self {
        Self {
            store,
            clock,
            random,
            executors,
            tried: HashSet::new(),
            newest: None,
            done: 0,
            next_in: None,
        }
    }

    /// Carries out what can be carried out now and was not tried in this run.
    pub(crate) async fn pass(&mut self) -> Result<(), StoreError> {
        if self.executors.by_name.is_empty() {
            return Ok(());
        }
        let newest = match self.newest {
            Some(newest) => newest,
            None => *self.newest.insert(self.store.newest_row().await?),
        };
        let mut running = FuturesUnordered::new();
        loop {
            if running.len() < AT_ONCE {
                for next in self.ready(newest).await? {
                    if running.len() == AT_ONCE {
                        break;
                    }
                    if self.tried.insert(next.n)
                        && let Some(executor) = self.executors.by_name.get(&next.name)
                    {
                        let executor = executor.clone();
                        running.push(self.worker().carry_out(next, executor));
                    }
                }
            }
            match running.next().await {
                Some(done) => self.done += u64::from(done?),
                None => break,
            }
        }
        drop(running);
        self.next_in = self.soonest().await?;
        Ok(())
    }

    fn worker(&self) -> Worker<'a> {
        Worker {
            store: self.store,
            clock: self.clock,
            random: self.random,
            executors: self.executors,
        }
    }

    /// Those whose time has come, most urgent first.
    async fn ready(&self, newest: u64) -> Result<Vec<NextOperation>, StoreError> {
        let (monotonic, now) = (self.clock.monotonic(), self.clock.now());
        let mut ready = self.store.next_operations().await?;
        ready.retain(|next| {
            next.n <= newest
                && !self.tried.contains(&next.n)
                && self.executors.contains(&next.name)
                && self.worker().due(next) <= monotonic
        });
        ready.sort_by_key(|next| urgency(next.priority, next.queued_at, next.n, now));
        Ok(ready)
    }

    async fn soonest(&self) -> Result<Option<Duration>, StoreError> {
        let now = self.clock.monotonic();
        let next = self.store.next_operations().await?;
        let known: HashSet<u64> = next.iter().map(|next| next.n).collect();
        self.worker().waits().retain(|n, _| known.contains(n));
        let mine = next
            .iter()
            .filter(|next| next.retry.is_some() && self.executors.contains(&next.name));
        let due = mine.map(|next| self.worker().due(next).saturating_sub(now));
        Ok(due.min())
    }
}

struct Worker<'a> {
    store: &'a Store,
    clock: &'a dyn Clock,
    random: &'a dyn Random,
    executors: &'a Executors,
}

impl Worker<'_> {
    fn waits(&self) -> std::sync::MutexGuard<'_, HashMap<u64, (u32, Duration)>> {
        let waits = self.executors.waits.lock();
        waits.unwrap_or_else(PoisonError::into_inner)
    }

    /// The monotonic moment from which an operation may be tried.
    fn due(&self, next: &NextOperation) -> Duration {
        let Some((at, span)) = next.retry else {
            return Duration::ZERO;
        };
        let mut waits = self.waits();
        match waits.get(&next.n) {
            Some((attempts, due)) if *attempts == next.attempts => *due,
            // Another process left it, so only the wall clock knows; where that jumped, no longer than it was to be.
            _ => {
                let due = self.clock.monotonic() + at.since(self.clock.now()).min(span);
                waits.insert(next.n, (next.attempts, due));
                due
            }
        }
    }

    /// Tries one operation; says whether it is done.
    async fn carry_out(
        self,
        next: NextOperation,
        executor: Arc<dyn Executor>,
    ) -> Result<bool, StoreError> {
        let Some(queued) = self.store.begin_operation(next.n).await? else {
            return Ok(false);
        };
        let (n, attempts) = (queued.n, queued.attempts);
        let operation = Operation {
            id: queued.id,
            name: queued.name,
            key: queued.key,
            payload: queued.payload,
            attempts,
        };
        let end = match self.execute(&operation, &*executor).await {
            Executed::Done => OperationEnd::Done,
            Executed::Retry { after, message } => {
                // One that always asks for no wait at all would keep the engine busy.
                let wait = backoff(attempts, self.random).max(after.unwrap_or_default());
                tracing::info!(name = operation.name, n, attempts, "to be tried again");
                let due = self.clock.monotonic() + wait;
                self.waits().insert(n, (attempts, due));
                OperationEnd::Retry {
                    now: self.clock.now(),
                    wait,
                    message,
                }
            }
            Executed::Park { reason, message } => {
                tracing::warn!(name = operation.name, n, reason = reason.code(), "parked");
                OperationEnd::Park { reason, message }
            }
        };
        let done = end == OperationEnd::Done;
        self.store.end_operation(n, end).await?;
        Ok(done)
    }

    async fn execute(&self, operation: &Operation, executor: &dyn Executor) -> Executed {
        let limit = executor.time_limit();
        let tried = AssertUnwindSafe(async { executor.execute(operation).await }).catch_unwind();
        let retry = |message| Executed::Retry {
            after: None,
            message,
        };
        match future::select(Box::pin(tried), self.clock.sleep(limit)).await {
            future::Either::Left((Ok(executed), _)) => executed,
            future::Either::Left((Err(panic), _)) => {
                let what = words(&*panic);
                tracing::error!(name = operation.name, what, "an executor panicked");
                retry(format!("its executor panicked: {what}"))
            }
            future::Either::Right(((), _)) => {
                retry(format!("it took longer than {} s", limit.as_secs()))
            }
        }
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a word")
}

/// Full jitter: anywhere up to 1 s × 2 a try, at most 60 s.
fn backoff(attempts: u32, random: &dyn Random) -> Duration {
    let ceiling = Duration::from_secs(1 << attempts.saturating_sub(1).min(6));
    ceiling.min(LONGEST_BACKOFF).mul_f64(random.unit())
}
