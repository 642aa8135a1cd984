//! One run: its patience with failures, and its report.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use moonforge_model::mutant::{Mutant, planted};
use moonforge_model::{Collection, DocRef, Timestamp, Version, check_types};
use moonforge_ports::{
    Clock, Random, RandomExt, RemoteDocument, RemoteError, RemoteErrorKind, RemoteStore,
};
use moonforge_store::{Store, StoreError};

use crate::apply::{Applied, Door, Incoming, Seen, apply_remote};
use crate::beacon::Moves;
use crate::coordinator::{Observe, Progress};
use crate::line::Line;
use crate::report::{SyncOptions, SyncReport};
use crate::tally::Tally;

/// Why a run ends before its work is done. What was written stays queued.
#[derive(Debug)]
pub(crate) enum Stop {
    /// No HTTP answer, twice.
    Offline(RemoteError),
    /// The person has to sign in.
    SignIn(RemoteError),
    /// The remote kept failing, or asks to wait for longer than a run does.
    GaveUp(RemoteError),
    /// The remote refuses the database or the question, not one document.
    Refused(RemoteError),
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A request that failed for good, or a run that has to end.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The remote's answer, which trying again doesn't change.
    Answer(RemoteError),
    /// The run ends.
    Stop(Stop),
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Stop(Stop::Store(error))
    }
}

/// A run's surroundings and its count of failures.
pub(crate) struct Run<'a> {
    pub(crate) store: &'a Store,
    pub(crate) remote: Line<'a>,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) random: &'a dyn Random,
    pub(crate) options: &'a SyncOptions,
    pub(crate) uid: Option<String>,
    pub(crate) door: Door,
    pub(crate) report: SyncReport,
    observe: Observe<'a>,
    pub(crate) to_send: u64,
    state: Mutex<State>,
}

/// What the lanes of a run share beside the line.
#[derive(Debug, Default)]
struct State {
    tally: Tally,
    /// What was written and is to be told others, but for what the tally still has.
    written: Moves,
    /// Whom the file is to be bound to at the first answer.
    owner: Option<String>,
    /// How far the remote's clock is ahead, once asked for: while a run holds the file, it alone changes that.
    offset: Option<i64>,
    first_failure: Option<Duration>,
    refreshed: bool,
    /// A lane found that the run has to end: nothing is tried again.
    ending: bool,
}

/// So many pushed documents are looked up at once, to tell others of their campaigns.
const UNTOLD: usize = 1000;

impl<'a> Run<'a> {
    pub(crate) fn new(
        store: &'a Store,
        remote: &'a dyn RemoteStore,
        clock: &'a dyn Clock,
        random: &'a dyn Random,
        options: &'a SyncOptions,
        owner: String,
        observe: Observe<'a>,
    ) -> Self {
        let uid = remote.uid();
        let door = Door {
            uid: writer_key(uid.as_deref()),
            now: clock.now(),
        };
        Self {
            store,
            remote: Line::new(remote, clock, options.longest_wait),
            clock,
            random,
            options,
            uid,
            door,
            report: SyncReport::default(),
            observe,
            to_send: 0,
            state: Mutex::new(State {
                owner: Some(owner),
                ..State::default()
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while held")
    }

    /// What the run did so far.
    pub(crate) fn take_report(&mut self) -> SyncReport {
        let mut report = std::mem::take(&mut self.report);
        std::mem::take(&mut self.state().tally).add_to(&mut report);
        report
    }

    /// From now on a failure ends the lane that meets it.
    pub(crate) fn end(&self) {
        self.state().ending = true;
    }

    /// Whether a lane found that the run has to end.
    pub(crate) fn is_ending(&self) -> bool {
        self.state().ending
    }

    /// After a failed request that was tried `tries` times: returns when it may be sent again.
    pub(crate) async fn after_failure(
        &self,
        error: RemoteError,
        tries: u32,
    ) -> Result<(), Failure> {
        let now = self.clock.monotonic();
        let first = {
            let mut state = self.state();
            if state.ending {
                return Err(Stop::GaveUp(error).into());
            }
            *state.first_failure.get_or_insert(now)
        };
        match error.kind {
            RemoteErrorKind::NeverSent | RemoteErrorKind::NoAnswer => {
                if tries >= self.options.connection_tries {
                    return Err(Stop::Offline(error).into());
                }
            }
            RemoteErrorKind::Unauthenticated => {
                let refreshed = std::mem::replace(&mut self.state().refreshed, true);
                if refreshed {
                    return Err(Stop::SignIn(error).into());
                }
                return match self.remote.refresh_credentials().await {
                    Ok(()) => Ok(()),
                    Err(e) if e.is_connection() => Err(Stop::Offline(e).into()),
                    Err(e) => Err(Stop::SignIn(e).into()),
                };
            }
            RemoteErrorKind::Aborted
            | RemoteErrorKind::ResourceExhausted
            | RemoteErrorKind::Cancelled
            | RemoteErrorKind::Internal
            | RemoteErrorKind::Unavailable
            | RemoteErrorKind::DeadlineExceeded => {
                if tries >= self.options.document_tries {
                    return Err(Stop::GaveUp(error).into());
                }
            }
            RemoteErrorKind::PermissionDenied
            | RemoteErrorKind::FailedPrecondition
            | RemoteErrorKind::NotFound
            | RemoteErrorKind::AlreadyExists
            | RemoteErrorKind::InvalidArgument
            | RemoteErrorKind::TooLarge => return Err(Failure::Answer(error)),
        }
        let wait = match error.retry_after {
            Some(wait) if wait > self.options.longest_wait => {
                return Err(Stop::GaveUp(error).into());
            }
            Some(wait) if !planted(Mutant::RetryAfterIgnored) => wait,
            _ => full_jitter(self.random, tries),
        };
        if now.saturating_sub(first) + wait > self.options.give_up_after {
            return Err(Stop::GaveUp(error).into());
        }
        self.remote.sleep(wait).await;
        Ok(())
    }

    /// Reads documents by name; `None` for one that isn't there.
    pub(crate) async fn look(&self, docs: &[DocRef]) -> Result<Vec<Incoming>, Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.remote.batch_get(docs).await {
                Ok(answer) => {
                    self.learn_time(answer.read_time).await?;
                    let read_time = answer.read_time;
                    let found = answer
                        .found
                        .into_iter()
                        .map(|d| self.incoming(d, read_time));
                    let mut looks: Vec<Incoming> = found.collect();
                    looks.extend(answer.missing.into_iter().map(|doc| Incoming {
                        doc,
                        seen: Seen::Absent,
                        read_time,
                    }));
                    return Ok(looks);
                }
                Err(error) => self.after_failure(error, tries).await?,
            }
        }
    }

    /// A remote document as its version, or as what can't be read.
    pub(crate) fn incoming(&self, document: RemoteDocument, read_time: Timestamp) -> Incoming {
        let RemoteDocument {
            doc,
            fields,
            update_time,
        } = document;
        let sound = self
            .store
            .config(&doc.collection)
            .map_err(|e| e.to_string())
            .and_then(|c| check_types(c, &fields).map_err(|e| e.to_string()))
            .and_then(|()| Version::decode(fields.clone(), update_time).map_err(|e| e.to_string()));
        let seen = match sound {
            Ok(version) => Seen::Version(version),
            Err(error) => Seen::Unreadable {
                raw: fields,
                update_time,
                error,
            },
        };
        Incoming {
            doc,
            seen,
            read_time,
        }
    }

    /// Passes looks through the door, all in one transaction, and counts them.
    pub(crate) async fn apply(&self, looks: Vec<Incoming>) -> Result<Vec<Applied>, StoreError> {
        let door = self.door.clone();
        let docs: Vec<DocRef> = looks.iter().map(|l| l.doc.clone()).collect();
        let applied = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    tx.load_ahead(looks.iter().map(|l| &l.doc)).await?;
                    let mut applied = Vec::with_capacity(looks.len());
                    for look in looks {
                        applied.push(apply_remote(tx, &door, look).await?);
                    }
                    Ok(applied)
                })
            })
            .await?;
        self.count(docs, &applied).await?;
        Ok(applied)
    }

    pub(crate) async fn count(
        &self,
        docs: Vec<DocRef>,
        applied: &[Applied],
    ) -> Result<(), StoreError> {
        let untold = {
            let mut state = self.state();
            state.tally.count(docs, applied);
            state.tally.untold.len()
        };
        if untold >= UNTOLD {
            self.look_up_campaigns().await?;
        }
        self.tell();
        Ok(())
    }

    /// Tells how far the run is.
    pub(crate) fn tell(&self) {
        let (sent, fetched) = self.state().tally.so_far();
        (self.observe)(Progress {
            to_send: self.to_send,
            sent,
            fetched: self.report.pulled + fetched,
        });
    }

    /// How often documents of a collection were pushed in this run.
    pub(crate) fn pushed_in(&self, collection: &Collection) -> u64 {
        let state = self.state();
        state.tally.pushed_in.get(collection).copied().unwrap_or(0)
    }

    async fn look_up_campaigns(&self) -> Result<(), StoreError> {
        let docs = std::mem::take(&mut self.state().tally.untold);
        let campaigns = self.store.campaigns_of(&docs).await?;
        let mut state = self.state();
        for (doc, campaign) in campaigns {
            let collections = state.written.entry(campaign).or_default();
            collections.insert(doc.collection);
        }
        Ok(())
    }

    /// What was written since the last call, by campaign.
    pub(crate) async fn take_written(&self) -> Result<Moves, StoreError> {
        self.look_up_campaigns().await?;
        Ok(std::mem::take(&mut self.state().written))
    }

    /// After an answer: binds the file, and keeps how far the remote's clock is ahead of the device's, where it moved by more than a network's delay.
    pub(crate) async fn learn_time(&self, remote: Timestamp) -> Result<(), StoreError> {
        let owner = self.state().owner.take();
        if let Some(owner) = owner {
            self.store.claim(owner).await?;
        }
        const TOLERANCE_MICROS: i64 = 2_000_000;
        let offset = remote
            .as_micros()
            .saturating_sub(self.clock.now().as_micros());
        let known = self.clock_offset().await?;
        let wanted = if offset.abs() <= TOLERANCE_MICROS {
            0
        } else {
            offset
        };
        if known.saturating_sub(wanted).abs() > TOLERANCE_MICROS {
            self.state().offset = None;
            self.store.set_clock_offset(wanted).await?;
            self.state().offset = Some(wanted);
        }
        Ok(())
    }

    /// How far the remote's clock is ahead of the device's, in microseconds, as last learnt.
    pub(crate) async fn clock_offset(&self) -> Result<i64, StoreError> {
        let known = self.state().offset;
        match known {
            Some(offset) => Ok(offset),
            None => {
                let offset = self.store.clock_offset().await?;
                self.state().offset = Some(offset);
                Ok(offset)
            }
        }
    }
}

/// The key under `writers`: the account, or a fixed word where there are none.
pub(crate) fn writer_key(uid: Option<&str>) -> String {
    uid.unwrap_or("local").to_owned()
}

/// Full jitter: anywhere up to 1 s × 2 a try, at most 60 s.
fn full_jitter(random: &dyn Random, tries: u32) -> Duration {
    let ceiling =
        Duration::from_secs(1 << tries.saturating_sub(1).min(6)).min(Duration::from_secs(60));
    ceiling.mul_f64(random.unit())
}
