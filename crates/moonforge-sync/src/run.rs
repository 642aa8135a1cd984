//! One run: its patience with failures, and its report.

use std::collections::HashSet;
use std::time::Duration;

use moonforge_model::mutant::{Mutant, planted};
use moonforge_model::{DocRef, Timestamp, Version, check_types};
use moonforge_ports::{
    Clock, Random, RandomExt, RemoteDocument, RemoteError, RemoteErrorKind, RemoteStore,
};
use moonforge_store::{Store, StoreError};

use crate::apply::{Applied, Door, Incoming, Seen, apply_remote};
use crate::beacon::Moves;
use crate::coordinator::{Observe, Progress};
use crate::report::{SyncOptions, SyncReport};

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

/// The documents that the report's figures stand for: each counts once a run.
#[derive(Debug, Default)]
struct Counted {
    pushed: HashSet<DocRef>,
    pulled: HashSet<DocRef>,
    merged: HashSet<DocRef>,
    /// Pushed ones of which others haven't been told.
    untold: Vec<DocRef>,
}

/// A run's surroundings and its count of failures.
pub(crate) struct Run<'a> {
    pub(crate) store: &'a Store,
    pub(crate) remote: &'a dyn RemoteStore,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) random: &'a dyn Random,
    pub(crate) options: &'a SyncOptions,
    pub(crate) uid: Option<String>,
    pub(crate) door: Door,
    pub(crate) report: SyncReport,
    observe: Observe<'a>,
    pub(crate) to_send: u64,
    counted: Counted,
    /// Whom the file is to be bound to at the first answer.
    owner: Option<String>,
    first_failure: Option<Duration>,
    refreshed: bool,
}

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
            remote,
            clock,
            random,
            options,
            uid,
            door,
            report: SyncReport::default(),
            observe,
            to_send: 0,
            counted: Counted::default(),
            owner: Some(owner),
            first_failure: None,
            refreshed: false,
        }
    }

    /// After a failed request that was tried `tries` times: returns when it may be sent again.
    pub(crate) async fn after_failure(
        &mut self,
        error: RemoteError,
        tries: u32,
    ) -> Result<(), Failure> {
        let now = self.clock.monotonic();
        let first = *self.first_failure.get_or_insert(now);
        match error.kind {
            RemoteErrorKind::NeverSent | RemoteErrorKind::NoAnswer => {
                if tries >= self.options.connection_tries {
                    return Err(Stop::Offline(error).into());
                }
            }
            RemoteErrorKind::Unauthenticated => {
                if std::mem::replace(&mut self.refreshed, true) {
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
        self.clock.sleep(wait).await;
        Ok(())
    }

    /// Reads documents by name; `None` for one that isn't there.
    pub(crate) async fn look(&mut self, docs: &[DocRef]) -> Result<Vec<Incoming>, Failure> {
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
    pub(crate) async fn apply(&mut self, looks: Vec<Incoming>) -> Result<Vec<Applied>, StoreError> {
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
        self.count(docs, &applied);
        Ok(applied)
    }

    pub(crate) fn count(&mut self, docs: Vec<DocRef>, applied: &[Applied]) {
        let (report, counted) = (&mut self.report, &mut self.counted);
        for (doc, applied) in docs.into_iter().zip(applied) {
            if applied.settled {
                counted.untold.push(doc.clone());
                report.pushed += u64::from(counted.pushed.insert(doc.clone()));
            }
            report.merged += u64::from(applied.merged && counted.merged.insert(doc.clone()));
            report.pulled += u64::from(applied.changed && counted.pulled.insert(doc));
            report.conflicts += applied.conflicts;
            report.quarantined += u64::from(applied.quarantined);
        }
        self.tell();
    }

    /// Tells how far the run is.
    pub(crate) fn tell(&self) {
        (self.observe)(Progress {
            to_send: self.to_send,
            sent: self.report.pushed,
            fetched: self.report.pulled,
        });
    }

    /// What was written since the last call, by campaign.
    pub(crate) async fn take_written(&mut self) -> Result<Moves, StoreError> {
        let docs = std::mem::take(&mut self.counted.untold);
        let mut written = Moves::new();
        for (doc, campaign) in self.store.campaigns_of(&docs).await? {
            written.entry(campaign).or_default().insert(doc.collection);
        }
        Ok(written)
    }

    /// After an answer: binds the file, and keeps how far the remote's clock is ahead of the device's, where it moved by more than a network's delay.
    pub(crate) async fn learn_time(&mut self, remote: Timestamp) -> Result<(), StoreError> {
        if let Some(owner) = self.owner.take() {
            self.store.claim(owner).await?;
        }
        const TOLERANCE_MICROS: i64 = 2_000_000;
        let offset = remote
            .as_micros()
            .saturating_sub(self.clock.now().as_micros());
        let known = self.store.clock_offset().await?;
        let wanted = if offset.abs() <= TOLERANCE_MICROS {
            0
        } else {
            offset
        };
        if known.saturating_sub(wanted).abs() > TOLERANCE_MICROS {
            self.store.set_clock_offset(wanted).await?;
        }
        Ok(())
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
