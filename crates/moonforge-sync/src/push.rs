//! Push: what waits in the outbox goes to the remote, under preconditions.

use moonforge_model::coverage::reached;
use moonforge_model::mutant::{Mutant, planted};
use moonforge_model::{DocRef, ParkReason};
use moonforge_ports::{RemoteError, RemoteErrorKind, RemoteWrite};
use moonforge_store::{DocState, StoreError};

use crate::apply::{Incoming, Seen};
use crate::lanes::Lanes;
use crate::mutants::{comes_to_nothing, drop_rows};
use crate::pace::Pace;
use crate::plan::{Planned, plan};
use crate::queue::Queue;
use crate::run::{Failure, Run, Stop};

/// Rules look up each campaign, and Firestore allows few look-ups a request.
pub(crate) const CAMPAIGNS_A_REQUEST: usize = 10;
/// Commits stay below this, under the 4 MiB at which a request is refused.
const BYTES_A_COMMIT: usize = 3_500_000;
/// How often the queue is looked at again, for what was written meanwhile.
const PASSES: usize = 10;

/// One commit's documents on their way, and what became of them where it failed.
pub(crate) struct Consignment {
    /// What is to be sent, the last one first.
    pub(crate) work: Vec<Vec<DocRef>>,
    /// Failures in a row that nothing was learnt from.
    pub(crate) tries: u32,
}

impl Run<'_> {
    /// Sends everything that can be sent.
    pub(crate) async fn push(&self) -> Result<(), Stop> {
        let pace = Pace::new(self.options.first_batch);
        for _ in 0..PASSES {
            if !self.push_once(&pace).await? {
                break;
            }
        }
        Ok(())
    }

    /// Goes through the queue once, with several commits under way. Says whether there was anything to send.
    async fn push_once(&self, pace: &Pace) -> Result<bool, Stop> {
        let mut queue = Queue::open(self.store, self.clock.now()).await?;
        let mut lanes = Lanes::new(self.remote.whereabouts());
        let (mut moved, mut stopped) = (false, None);
        loop {
            while stopped.is_none() && lanes.len() < self.options.commits_in_flight.max(1) {
                let Some(batch) = queue.next_batch(pace).await? else {
                    break;
                };
                moved = true;
                lanes.push(async move {
                    let sent = self.send(batch.clone(), pace).await;
                    (batch, sent)
                });
            }
            let Some((batch, sent)) = lanes.next().await else {
                break;
            };
            queue.landed(&batch);
            match sent {
                Ok(()) => {}
                Err(Stop::Store(error)) => return Err(error.into()),
                Err(stop) => {
                    // What is under way may still arrive: its answers are worth waiting for.
                    self.end();
                    stopped.get_or_insert(stop);
                }
            }
        }
        stopped.map_or(Ok(moved), Err)
    }

    /// Sends documents in one commit, and in smaller ones as long as that fails.
    async fn send(&self, batch: Vec<DocRef>, pace: &Pace) -> Result<(), Stop> {
        let mut consignment = Consignment {
            work: vec![batch],
            tries: 0,
        };
        while let Some(docs) = consignment.work.pop() {
            if self.is_ending() {
                break;
            }
            let (planned, rest) = self.prepare(&docs).await?;
            if !rest.is_empty() {
                consignment.work.push(rest);
            }
            if planned.is_empty() {
                continue;
            }
            let writes: Vec<RemoteWrite> = planned.iter().map(|p| p.write.clone()).collect();
            let started = self.clock.monotonic();
            let answer = self.remote.commit(&writes).await;
            if planted(Mutant::SentAfterRequest) {
                let rows: Vec<u64> = planned.iter().flat_map(|p| p.rows.clone()).collect();
                self.store
                    .write(move |tx| Box::pin(async move { tx.mark_sent(&rows, true).await }))
                    .await?;
            }
            match answer {
                Ok(answer) => {
                    reached(|| "commit: Applied".to_owned());
                    consignment.tries = 0;
                    let took = self.clock.monotonic().saturating_sub(started);
                    pace.took(planned.len(), took);
                    self.learn_time(answer.commit_time).await?;
                    let read_time = answer.commit_time;
                    let looks =
                        planned
                            .into_iter()
                            .zip(&answer.results)
                            .map(|(p, result)| Incoming {
                                doc: p.write.doc.clone(),
                                seen: Seen::Version(p.outcome(result)),
                                read_time,
                            });
                    let looks = looks.collect();
                    self.apply(looks).await?;
                }
                Err(error) => {
                    self.commit_failed(error, planned, &mut consignment, pace)
                        .await?;
                }
            }
        }
        Ok(())
    }

    /// Builds the writes of documents and marks their rows as sent, durably, before anything leaves. Documents whose base
    /// isn't known are read first. What is too much for one commit is given back.
    async fn prepare(&self, docs: &[DocRef]) -> Result<(Vec<Planned>, Vec<DocRef>), Stop> {
        let unknown = self.store.unknown_bases(docs).await?;
        for group in unknown.chunks(CAMPAIGNS_A_REQUEST) {
            for (doc, look) in self.look_each(group).await? {
                match look {
                    Ok(look) => {
                        self.apply(vec![look]).await?;
                    }
                    Err(error) => self.park(&doc, ParkReason::Denied, &error).await?,
                }
            }
        }
        let (uid, writer) = (self.uid.clone(), self.door.uid.clone());
        let unacknowledged = self.store.unacknowledged_campaigns().await?;
        let offset = self.clock_offset().await?;
        let now = self.clock.now().offset_micros(offset);
        let docs = docs.to_vec();
        Ok(self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    tx.load_ahead(&docs).await?;
                    let (mut planned, mut rest, mut bytes) = (Vec::new(), Vec::new(), 0);
                    let mut rows = Vec::new();
                    for doc in docs.clone() {
                        let state = match tx.load(&doc).await {
                            Ok(state) => state,
                            // It waits for `doctor`; the others don't.
                            Err(StoreError::Corrupt(why)) => {
                                tracing::warn!(%doc, %why, "can't be read");
                                continue;
                            }
                            Err(error) => return Err(error),
                        };
                        // A commit that was split may have parted it from its campaign.
                        let waits = !unacknowledged.is_empty()
                            && awaits(&state).is_some_and(|c| {
                                unacknowledged.contains(&c) && !has_campaign(&docs, &c)
                            });
                        let sends = !waits
                            && !state.rows.is_empty()
                            && (planted(Mutant::ParkedSettledByLater)
                                || state.rows.iter().all(|r| r.row.parked.is_none()));
                        let config = tx.config(&doc.collection)?;
                        let Some(write) = sends
                            .then(|| plan(&config, &state, uid.as_deref(), &writer, now))
                            .flatten()
                        else {
                            continue;
                        };
                        if planted(Mutant::NetZeroDropped) && comes_to_nothing(&state) {
                            drop_rows(tx, &doc).await?;
                            continue;
                        }
                        if bytes + write.bytes > BYTES_A_COMMIT && !planned.is_empty() {
                            rest.push(doc);
                            continue;
                        }
                        bytes += write.bytes;
                        rows.extend_from_slice(&write.rows);
                        planned.push(write);
                    }
                    if !planted(Mutant::SentAfterRequest) {
                        tx.mark_sent(&rows, true).await?;
                    }
                    Ok((planned, rest))
                })
            })
            .await?)
    }

    /// Reads documents together, and one by one where that is denied. Any other refusal isn't about a document, but about
    /// the whole database (one that isn't there, say): the run ends, and nothing is parked for it.
    pub(crate) async fn look_each(
        &self,
        docs: &[DocRef],
    ) -> Result<Vec<(DocRef, Result<Incoming, RemoteError>)>, Stop> {
        match self.look(docs).await {
            Ok(looks) => Ok(looks.into_iter().map(|l| (l.doc.clone(), Ok(l))).collect()),
            Err(Failure::Answer(error)) if docs.len() == 1 => {
                Ok(vec![(docs[0].clone(), Err(about_one(error)?))])
            }
            Err(Failure::Answer(error)) => {
                about_one(error)?;
                let mut looks = Vec::with_capacity(docs.len());
                for doc in docs {
                    let look = match self.look(std::slice::from_ref(doc)).await {
                        Ok(mut found) => match found.pop() {
                            Some(look) => Ok(look),
                            None => continue,
                        },
                        Err(Failure::Answer(error)) => Err(about_one(error)?),
                        Err(Failure::Stop(stop)) => return Err(stop),
                    };
                    looks.push((doc.clone(), look));
                }
                Ok(looks)
            }
            Err(Failure::Stop(stop)) => Err(stop),
        }
    }

    pub(crate) async fn park(
        &self,
        doc: &DocRef,
        reason: ParkReason,
        error: &RemoteError,
    ) -> Result<(), StoreError> {
        self.park_saying(doc, reason, error.to_string()).await
    }

    pub(crate) async fn park_saying(
        &self,
        doc: &DocRef,
        reason: ParkReason,
        words: String,
    ) -> Result<(), StoreError> {
        tracing::warn!(%doc, reason = reason.code(), "parked");
        reached(|| format!("parked: {}", reason.code()));
        let doc = doc.clone();
        self.store
            .write(move |tx| Box::pin(async move { tx.park(&doc, reason, &words).await }))
            .await?;
        Ok(())
    }
}

/// A refused look that may be about the document that was looked at.
fn about_one(error: RemoteError) -> Result<RemoteError, Stop> {
    match error.kind {
        RemoteErrorKind::PermissionDenied | RemoteErrorKind::InvalidArgument => Ok(error),
        _ => Err(Stop::Refused(error)),
    }
}

pub(crate) fn has_campaign(docs: &[DocRef], id: &str) -> bool {
    docs.iter()
        .any(|d| d.collection.as_str() == "campaigns" && d.id.as_str() == id)
}

/// The campaign that has to be at the remote before this document, or with it.
fn awaits(state: &DocState) -> Option<String> {
    if state.doc.collection.as_str() == "campaigns" {
        return None;
    }
    let campaign = state.view()?.fields.remove("campaignId")?;
    campaign.as_str().map(str::to_owned)
}
