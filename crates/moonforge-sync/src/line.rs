//! The line to the remote, which all lanes of a run share: what one of them is told holds for the others.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use moonforge_model::DocRef;
use moonforge_model::mutant::{Mutant, planted};
use moonforge_ports::{
    Aggregate, BatchGet, Clock, CommitAnswer, QueryEvent, QueryStream, RemoteError,
    RemoteErrorKind, RemoteQuery, RemoteStore, RemoteWrite,
};

use crate::bill::{Bill, Cause};
use crate::lanes::Whereabouts;

/// A remote as a run's lanes see it. Its methods are those of [`RemoteStore`].
pub(crate) struct Line<'a> {
    remote: &'a dyn RemoteStore,
    clock: &'a dyn Clock,
    /// The longest `Retry-After` that is waited for.
    longest_wait: Duration,
    whereabouts: Whereabouts,
    state: Mutex<State>,
    bill: Arc<Mutex<Bill>>,
}

#[derive(Debug, Default)]
struct State {
    /// By the monotonic clock: nothing leaves before.
    quiet_until: Duration,
    /// The remote asked for more patience than a run has, so nothing leaves any more.
    closed: Option<Duration>,
    /// How often the credentials were renewed.
    renewals: u64,
}

/// What an answer cost that is being read; it goes on the bill when that ends, or is left.
struct Counted {
    cause: Cause,
    documents: u64,
    bill: Arc<Mutex<Bill>>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut bill = self.bill.lock().expect("no panic while held");
        self.cause.add(&mut bill, self.documents);
    }
}

impl<'a> Line<'a> {
    pub(crate) fn new(
        remote: &'a dyn RemoteStore,
        clock: &'a dyn Clock,
        longest_wait: Duration,
    ) -> Self {
        Self {
            remote,
            clock,
            longest_wait,
            whereabouts: Whereabouts::default(),
            state: Mutex::default(),
            bill: Arc::default(),
        }
    }

    /// What was billed for what so far.
    pub(crate) fn bill(&self) -> Bill {
        *self.bill.lock().expect("no panic while held")
    }

    fn charge(&self, charge: impl FnOnce(&mut Bill)) {
        charge(&mut self.bill.lock().expect("no panic while held"));
    }

    /// Where lanes say that they are away.
    pub(crate) fn whereabouts(&self) -> &Whereabouts {
        &self.whereabouts
    }

    pub(crate) async fn commit(&self, writes: &[RemoteWrite]) -> Result<CommitAnswer, RemoteError> {
        let answer = self.ask(|| self.remote.commit(writes)).await?;
        let beacon = |w: &&RemoteWrite| w.doc.collection.as_str() == "beacons";
        let beacons = writes.iter().filter(beacon).count() as u64;
        self.charge(|bill| {
            bill.beacon_writes += beacons;
            bill.writes += writes.len() as u64 - beacons;
        });
        Ok(answer)
    }

    pub(crate) async fn batch_get(&self, docs: &[DocRef]) -> Result<BatchGet, RemoteError> {
        let answer = self.ask(|| self.remote.batch_get(docs)).await?;
        let reads = answer.found.len() + answer.missing.len();
        self.charge(|bill| bill.rereads += reads as u64);
        Ok(answer)
    }

    pub(crate) async fn query(&self, query: &RemoteQuery) -> Result<QueryStream<'a>, RemoteError> {
        let stream = self.ask(|| self.remote.query(query)).await?;
        let counted = Counted {
            cause: Cause::of(query),
            documents: 0,
            bill: self.bill.clone(),
        };
        Ok(Box::pin(stream.scan(counted, |counted, event| {
            counted.documents += u64::from(matches!(event, Ok(QueryEvent::Document(_))));
            std::future::ready(Some(event))
        })))
    }

    pub(crate) async fn aggregate(&self, query: &RemoteQuery) -> Result<Aggregate, RemoteError> {
        let answer = self.ask(|| self.remote.aggregate(query)).await?;
        self.charge(|bill| Cause::add_aggregate(query, bill, answer.count));
        Ok(answer)
    }

    /// Asks for a fresh token. It concerns all lanes, so the others stand still meanwhile.
    pub(crate) async fn refresh_credentials(&self) -> Result<(), RemoteError> {
        while let Some(left) = self.quiet_for()? {
            self.clock.sleep(left).await;
        }
        match self.remote.refresh_credentials().await {
            Ok(()) => self.state().renewals += 1,
            Err(error) => {
                self.heed(&error);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Waits; the other lanes go on.
    pub(crate) async fn sleep(&self, span: Duration) {
        self.whereabouts.away(self.clock.sleep(span)).await;
    }

    async fn ask<'f, T>(
        &self,
        mut request: impl FnMut() -> BoxFuture<'f, Result<T, RemoteError>>,
    ) -> Result<T, RemoteError> {
        loop {
            self.whereabouts.line_up().await;
            self.wait_for_permission().await?;
            let renewals = self.state().renewals;
            let answer = self.whereabouts.away(request()).await;
            if let Err(error) = &answer {
                // It was signed with the token before the present one, and a 401 does nothing.
                if error.kind == RemoteErrorKind::Unauthenticated
                    && self.state().renewals != renewals
                {
                    continue;
                }
                self.heed(error);
            }
            return answer;
        }
    }

    /// What one lane is told to wait for, all wait for.
    fn heed(&self, error: &RemoteError) {
        let Some(wait) = error.retry_after else {
            return;
        };
        if planted(Mutant::RetryAfterIgnored) {
            return;
        }
        let now = self.clock.monotonic();
        let mut state = self.state();
        if wait > self.longest_wait {
            state.closed = Some(wait);
        } else {
            state.quiet_until = state.quiet_until.max(now + wait);
        }
    }

    async fn wait_for_permission(&self) -> Result<(), RemoteError> {
        while let Some(left) = self.quiet_for()? {
            self.sleep(left).await;
        }
        Ok(())
    }

    /// How long nothing may leave.
    fn quiet_for(&self) -> Result<Option<Duration>, RemoteError> {
        let state = self.state();
        if let Some(wait) = state.closed {
            let message = "the remote asked to wait for longer than a run does";
            let unsent = RemoteError::new(RemoteErrorKind::NeverSent, message);
            return Err(unsent.with_retry_after(Some(wait)));
        }
        let left = state.quiet_until.checked_sub(self.clock.monotonic());
        Ok(left.filter(|left| !left.is_zero()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while held")
    }
}
