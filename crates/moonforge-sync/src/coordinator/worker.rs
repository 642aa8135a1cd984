//! The loop: takes up wishes, does what is due, and waits for the next reason to wake up.

use std::sync::Arc;
use std::time::Duration;

use moonforge_model::Timestamp;
use moonforge_model::mutant::{Mutant, planted};
use moonforge_store::{Change, StoreError};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::bill::left_of_day;
use crate::coordinator::runner::Attempt;
use crate::coordinator::schedule::{Due, Schedule};
use crate::coordinator::status::{Phase, Progress, SyncStatus};
use crate::coordinator::{Shared, Wish};
use crate::engine::SyncEngine;
use crate::job::Job;
use crate::telemetry;

/// What comes after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Another turn at once.
    Again,
    /// Nothing before this much time has passed; `None`: nothing until something happens.
    Wait(Option<Duration>),
    /// The end.
    Stop,
}

pub(super) struct Worker {
    shared: Arc<Shared>,
    schedule: Schedule,
    changes: broadcast::Receiver<Change>,
    /// The newest edit that a run took up or a debounce waits for.
    seen: u64,
    /// When it was last looked for other processes' writes.
    looked: Duration,
    /// The state between runs.
    phase: Phase,
    /// The counts may have changed.
    recount: bool,
    status: SyncStatus,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let configs = shared.store.registry().iter();
        let intervals = configs.map(|c| (c.name.clone(), c.interval)).collect();
        let network = shared.connectivity.network();
        let last_synced_at = shared.status.borrow().last_synced_at;
        Self {
            schedule: Schedule::new(shared.cadence.clone(), intervals, network),
            // Before the first look at what is there, so that nothing falls between.
            changes: shared.store.changes(),
            seen: 0,
            looked: shared.clock.monotonic(),
            phase: Phase::Idle,
            recount: true,
            status: SyncStatus {
                last_synced_at,
                ..SyncStatus::default()
            },
            shared,
        }
    }

    pub(super) async fn work(mut self) {
        if let Err(error) = self.restore_backoff().await {
            tracing::warn!(%error, "the backoff can't be read");
        }
        loop {
            match self.turn().await {
                Turn::Again => {}
                Turn::Wait(span) => {
                    self.wait(span).await;
                    self.status.wake_ups += 1;
                }
                Turn::Stop => break,
            }
        }
        self.phase = Phase::Stopped;
        self.publish(None, None);
    }

    /// Takes up what was wished for, and does one thing that is due.
    pub(super) async fn turn(&mut self) -> Turn {
        if !self.take_wishes() {
            return Turn::Stop;
        }
        let now = self.shared.clock.monotonic();
        self.schedule
            .set_network(self.shared.connectivity.network(), now);
        if let Err(error) = self.look_for_edits(now).await {
            tracing::warn!(%error, "the outbox can't be read");
        }
        match self.schedule.due(now) {
            Due::Now(job) => {
                self.attempt(job).await;
                Turn::Again
            }
            Due::At(moment) => {
                let span = moment.saturating_sub(now);
                self.publish(None, Some(span));
                Turn::Wait(Some(self.or_others(now, span)))
            }
            Due::Never => {
                self.publish(None, None);
                Turn::Wait(None)
            }
        }
    }

    /// Returns after `span`, or as soon as there is a reason to look again.
    async fn wait(&mut self, span: Option<Duration>) {
        let shared = self.shared.clone();
        let network = shared.connectivity.network();
        let sleep = async {
            match span {
                Some(span) => shared.clock.sleep(span).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep => {}
            () = shared.bell.notified() => {}
            () = shared.connectivity.changed(network) => {}
            change = self.changes.recv() => self.recount |= !matches!(change, Err(RecvError::Closed)),
        }
    }

    /// No later than the next look for other processes' writes, where there can be any.
    fn or_others(&self, now: Duration, span: Duration) -> Duration {
        match self.shared.store.path() {
            Some(_) => {
                let next = self.looked + self.shared.cadence.look_for_others;
                span.min(next.saturating_sub(now))
            }
            None => span,
        }
    }

    /// False where it is to stop.
    fn take_wishes(&mut self) -> bool {
        let now = self.shared.clock.monotonic();
        for wish in self.shared.take_wishes() {
            match wish {
                Wish::Stop => return false,
                Wish::Trigger(collections) => self.schedule.trigger(now, collections),
                Wish::Pause => {
                    self.schedule.set_paused(true, now);
                    self.phase = Phase::Paused;
                }
                Wish::Resume => {
                    if self.phase == Phase::Paused {
                        self.phase = Phase::Idle;
                    }
                    self.schedule.set_paused(false, now);
                }
                Wish::DoneElsewhere(report) => {
                    let attempt = Attempt::from(Ok(*report));
                    if let crate::coordinator::schedule::Verdict::Done { moved } = attempt.verdict {
                        let random = &*self.shared.random;
                        self.schedule.done_elsewhere(now, moved, random);
                        self.note_end(&attempt, now);
                    }
                }
            }
        }
        true
    }

    /// Looks whether something was written here since the last look, by this process or another.
    async fn look_for_edits(&mut self, now: Duration) -> Result<(), StoreError> {
        let store = &self.shared.store;
        let others = store.path().is_some()
            && now.saturating_sub(self.looked) >= self.shared.cadence.look_for_others;
        if others {
            self.looked = now;
            self.recount |= store.poll_other_processes().await?;
        }
        while self.changes.try_recv().is_ok() {
            self.recount = true;
        }
        if !std::mem::take(&mut self.recount) {
            return Ok(());
        }
        let counts = store.outbox_counts().await?;
        telemetry::counted(&counts);
        self.status.pending = counts.pending;
        self.status.parked = counts.parked;
        self.status.oldest_pending_at = counts.oldest_pending_at;
        let newest = store.newest_row().await?;
        if newest > self.seen {
            self.seen = newest;
            self.schedule.edited(now);
        }
        Ok(())
    }

    async fn attempt(&mut self, job: Job) {
        let shared = self.shared.clone();
        if self.phase == Phase::Offline && !shared.runner.reachable().await {
            let still = crate::report::SyncReport {
                offline: true,
                stopped: self.status.trouble.as_ref().map(|t| t.message.clone()),
                ..Default::default()
            };
            self.finish(&job, Attempt::from(Ok(still))).await;
            return;
        }
        self.schedule.begin(&job);
        let before = shared.store.newest_row().await.unwrap_or(self.seen);
        self.seen = self.seen.max(before);
        // A look that finds nothing is nobody's concern: it isn't shown.
        if !matches!(job, Job::Poll { .. }) {
            self.publish(Some(Progress::default()), None);
        }
        let observe = |progress: Progress| {
            if progress != Progress::default() {
                shared.status.send_modify(|shown| {
                    shown.phase = Phase::Syncing;
                    shown.progress = Some(progress);
                });
            }
        };
        let result = tokio::select! {
            biased;
            () = shared.interrupted() => None,
            result = shared.runner.run(&job, &shared.options, &observe) => Some(result),
        };
        let Some(result) = result else {
            self.schedule.interrupted(&job, shared.clock.monotonic());
            return;
        };
        self.finish(&job, Attempt::from(result)).await;
    }

    async fn finish(&mut self, job: &Job, attempt: Attempt) {
        let now = self.shared.clock.monotonic();
        self.schedule
            .end(job, attempt.verdict, now, &*self.shared.random);
        if self.phase != Phase::Paused {
            self.phase = attempt.phase;
        }
        self.note_end(&attempt, now);
        if let Err(error) = self.after_run(&attempt).await {
            tracing::warn!(%error, "the outbox can't be read");
        }
    }

    fn note_end(&mut self, attempt: &Attempt, now: Duration) {
        use crate::coordinator::schedule::Verdict;
        self.schedule.owe(attempt.check_in.map(|span| now + span));
        let again = attempt.report.operations_in.map(|span| now + span);
        self.schedule.try_operation(again);
        let billed = attempt.report.billed;
        self.status.billed.reads += billed.reads;
        self.status.billed.writes += billed.writes;
        self.status.billed.deletes += billed.deletes;
        self.status.bill += attempt.report.bill;
        self.status.trouble = attempt.trouble.clone();
        match attempt.verdict {
            Verdict::Done { .. } => {
                self.status.runs_done += 1;
                self.status.last_synced_at = Some(self.shared.clock.now());
                if !matches!(self.phase, Phase::Paused | Phase::Stopped) {
                    self.phase = Phase::Idle;
                }
            }
            Verdict::Failed { .. } | Verdict::Blocked | Verdict::Halted => {
                self.status.runs_failed += 1;
            }
        }
        self.status.failures = self.schedule.failures();
    }

    /// What was written while the run went on may have come too late for it.
    async fn after_run(&mut self, attempt: &Attempt) -> Result<(), StoreError> {
        let store = &self.shared.store;
        let newest = store.newest_row().await?;
        if newest > self.seen {
            self.seen = newest;
            if attempt.report.waiting > 0 && !planted(Mutant::LostWakeup) {
                self.schedule.edited(self.shared.clock.monotonic());
            }
        }
        self.recount = true;
        if self.shared.cadence.daily_reads.is_some() {
            let now = self.shared.clock.now();
            let today = SyncEngine::bill_of_the_day(store, now).await?;
            self.schedule.budget(today.bill.reads(), left_of_day(now));
        }
        self.keep_backoff().await
    }

    /// Lets the next process begin where this one had to wait.
    async fn keep_backoff(&mut self) -> Result<(), StoreError> {
        let now = self.shared.clock.monotonic();
        let held = self.schedule.held_until(now).map(|until| until - now);
        let text = match held {
            Some(span) => {
                let until = self.shared.clock.now().saturating_add(span);
                format!("{} {}", span.as_millis(), until)
            }
            None => String::new(),
        };
        let known = self.shared.store.note(BACKOFF).await?.unwrap_or_default();
        if known != text {
            self.shared.store.set_note(BACKOFF, text).await?;
        }
        Ok(())
    }

    /// A wall clock that jumped makes the wait no longer than it was.
    pub(super) async fn restore_backoff(&mut self) -> Result<(), StoreError> {
        let note = self.shared.store.note(BACKOFF).await?.unwrap_or_default();
        let parsed = note.split_once(' ').and_then(|(span, until)| {
            let until: Timestamp = until.parse().ok()?;
            Some((Duration::from_millis(span.parse().ok()?), until))
        });
        if let Some((span, until)) = parsed {
            let left = until.since(self.shared.clock.now()).min(span);
            self.schedule.hold(self.shared.clock.monotonic() + left);
        }
        Ok(())
    }

    fn publish(&mut self, progress: Option<Progress>, next: Option<Duration>) {
        self.status.phase = match progress {
            Some(_) => Phase::Syncing,
            None => self.phase,
        };
        self.status.progress = progress;
        self.status.next_sync_in = next;
        self.status.network = self.shared.connectivity.network();
        self.shared.status.send_if_modified(|shown| {
            let changed = *shown != self.status;
            if changed {
                shown.clone_from(&self.status);
            }
            changed
        });
    }
}

/// The store's note of how long to wait, and until when.
const BACKOFF: &str = "backoff";
