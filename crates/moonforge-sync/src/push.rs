//! Push: what waits in the outbox goes to the remote, under preconditions.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use moonforge_model::{DocId, DocRef, ParkReason, Priority};
use moonforge_ports::{Precondition, RemoteError, RemoteWrite};
use moonforge_store::{DocState, PendingDoc, StoreError};

use crate::apply::{Incoming, Seen};
use crate::membership::campaigns;
use crate::outcome::{Company, Look, Marks, Next, answer_of, outcome};
use crate::plan::{Planned, plan};
use crate::run::{Failure, Run, Stop};

/// Rules look up each campaign, and Firestore allows few look-ups a request.
pub(crate) const CAMPAIGNS_A_REQUEST: usize = 10;
/// Commits stay below this, under the 4 MiB at which a request is refused.
const BYTES_A_COMMIT: usize = 3_500_000;
/// The most documents in a commit.
const LARGEST_BATCH: usize = 200;
/// A commit that took less lets the next one be larger, one that took much more makes it smaller.
const BRISK: Duration = Duration::from_millis(700);
/// How often the queue is looked at again, for what was written meanwhile.
const PASSES: usize = 10;

/// What one push knows of documents that didn't go through, and of the remote's pace.
struct Pace {
    /// Documents that were unchanged when they failed alone.
    unchanged: HashSet<DocRef>,
    /// How often each was sent again onto a newer version.
    again: HashMap<DocRef, u32>,
    /// Documents that this run leaves alone from now on.
    aside: HashSet<DocRef>,
    batch: usize,
    /// Failures in a row that nothing was learnt from.
    tries: u32,
}

impl Run<'_> {
    /// Sends everything that can be sent.
    pub(crate) async fn push(&mut self) -> Result<(), Stop> {
        let mut pace = Pace {
            unchanged: HashSet::new(),
            again: HashMap::new(),
            aside: HashSet::new(),
            batch: self.options.first_batch.max(1),
            tries: 0,
        };
        for _ in 0..PASSES {
            let mut queue = self.sendable(&pace).await?;
            let mut moved = false;
            while let Some(batch) = self.next_batch(&mut queue, &pace).await? {
                moved = true;
                self.send(batch, &mut pace).await?;
            }
            if !moved {
                break;
            }
        }
        Ok(())
    }

    /// Documents to send: by priority, then age.
    async fn sendable(&self, pace: &Pace) -> Result<VecDeque<PendingDoc>, StoreError> {
        let mut docs = self.store.pending_docs().await?;
        docs.retain(|d| !pace.aside.contains(&d.doc));
        let priority = |d: &PendingDoc| {
            self.store
                .config(&d.doc.collection)
                .map_or(Priority::default(), |c| c.priority)
        };
        docs.sort_by_key(|d| (priority(d), d.oldest));
        Ok(docs.into())
    }

    /// The next documents to send together, of at most ten campaigns. A child whose campaign isn't at the remote yet
    /// waits, or rides in its commit.
    async fn next_batch(
        &self,
        queue: &mut VecDeque<PendingDoc>,
        pace: &Pace,
    ) -> Result<Option<Vec<DocRef>>, StoreError> {
        let unacknowledged = self.store.unacknowledged_campaigns().await?;
        let mut batch: Vec<DocRef> = Vec::new();
        let mut campaigns: BTreeSet<String> = BTreeSet::new();
        let mut later = VecDeque::new();
        while let Some(next) = queue.pop_front() {
            let is_campaign = next.doc.collection.as_str() == "campaigns";
            let waits = !is_campaign
                && next
                    .campaign
                    .as_ref()
                    .is_some_and(|c| unacknowledged.contains(c) && !has_campaign(&batch, c));
            let crowded = next
                .campaign
                .as_ref()
                .is_some_and(|c| !campaigns.contains(c) && campaigns.len() >= CAMPAIGNS_A_REQUEST);
            if waits || crowded {
                later.push_back(next);
                continue;
            }
            campaigns.extend(next.campaign);
            batch.push(next.doc);
            if batch.len() >= pace.batch {
                break;
            }
        }
        while let Some(waiting) = later.pop_back() {
            queue.push_front(waiting);
        }
        Ok((!batch.is_empty()).then_some(batch))
    }

    /// Sends documents in one commit, and in smaller ones as long as that fails.
    async fn send(&mut self, batch: Vec<DocRef>, pace: &mut Pace) -> Result<(), Stop> {
        let mut work = vec![batch];
        while let Some(docs) = work.pop() {
            let (planned, rest) = self.prepare(&docs).await?;
            if !rest.is_empty() {
                work.push(rest);
            }
            if planned.is_empty() {
                continue;
            }
            let writes: Vec<RemoteWrite> = planned.iter().map(|p| p.write.clone()).collect();
            let started = self.clock.monotonic();
            match self.remote.commit(&writes).await {
                Ok(answer) => {
                    pace.tries = 0;
                    let took = self.clock.monotonic().saturating_sub(started);
                    if took < BRISK {
                        pace.batch = (pace.batch * 2).min(LARGEST_BATCH);
                    } else if took > BRISK * 4 {
                        pace.batch = (pace.batch / 2).max(1);
                    }
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
                Err(error) => self.commit_failed(error, planned, &mut work, pace).await?,
            }
        }
        Ok(())
    }

    /// Builds the writes of documents and marks their rows as sent, durably, before anything leaves. Documents whose base
    /// isn't known are read first. What is too much for one commit is given back.
    async fn prepare(&mut self, docs: &[DocRef]) -> Result<(Vec<Planned>, Vec<DocRef>), Stop> {
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
        let docs = docs.to_vec();
        Ok(self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    tx.load_ahead(&docs).await?;
                    let (mut planned, mut rest, mut bytes) = (Vec::new(), Vec::new(), 0);
                    let mut rows = Vec::new();
                    for doc in docs.clone() {
                        let state = tx.load(&doc).await?;
                        // A commit that was split may have parted it from its campaign.
                        let waits = !unacknowledged.is_empty()
                            && awaits(&state).is_some_and(|c| {
                                unacknowledged.contains(&c) && !has_campaign(&docs, &c)
                            });
                        let sends = !waits
                            && !state.rows.is_empty()
                            && state.rows.iter().all(|r| r.row.parked.is_none());
                        let config = tx.config(&doc.collection)?;
                        let Some(write) = sends
                            .then(|| plan(&config, &state, uid.as_deref(), &writer))
                            .flatten()
                        else {
                            continue;
                        };
                        if bytes + write.bytes > BYTES_A_COMMIT && !planned.is_empty() {
                            rest.push(doc);
                            continue;
                        }
                        bytes += write.bytes;
                        rows.extend_from_slice(&write.rows);
                        planned.push(write);
                    }
                    tx.mark_sent(&rows, true).await?;
                    Ok((planned, rest))
                })
            })
            .await?)
    }

    async fn commit_failed(
        &mut self,
        error: RemoteError,
        planned: Vec<Planned>,
        work: &mut Vec<Vec<DocRef>>,
        pace: &mut Pace,
    ) -> Result<(), Stop> {
        let bytes = planned.iter().map(|p| p.bytes).sum();
        let answer = answer_of(&error, bytes);
        let docs: Vec<DocRef> = planned.iter().map(|p| p.write.doc.clone()).collect();
        let (next, marks) = outcome(answer, Look::None, company(&docs, pace));
        tracing::debug!(?answer, ?next, documents = docs.len(), error = %error, "commit failed");
        if marks == Marks::Go {
            let fresh: Vec<u64> = planned.iter().flat_map(|p| p.fresh.clone()).collect();
            self.store
                .write(move |tx| Box::pin(async move { tx.mark_sent(&fresh, false).await }))
                .await?;
        }
        match next {
            Next::Backoff | Next::Refresh => {
                pace.tries += 1;
                match self.after_failure(error, pace.tries).await {
                    Ok(()) => work.push(docs),
                    Err(Failure::Stop(stop)) => return Err(stop),
                    // The kinds that lead here are never final.
                    Err(Failure::Answer(error)) => return Err(Stop::GaveUp(error)),
                }
            }
            Next::Halve | Next::Bisect => {
                pace.batch = (pace.batch / 2).max(1);
                work.extend(halves(docs));
            }
            Next::Look => {
                let looks = self.look_each(&docs).await?;
                self.after_look(answer, &error, planned, looks, work, pace)
                    .await?;
            }
            Next::Park(reason) => {
                for doc in &docs {
                    self.park(doc, reason, &error).await?;
                }
            }
            Next::Door | Next::Again => work.push(docs),
        }
        Ok(())
    }

    /// Decides a failed commit by a look at its documents.
    async fn after_look(
        &mut self,
        answer: crate::outcome::Answer,
        error: &RemoteError,
        planned: Vec<Planned>,
        looks: Vec<(DocRef, Result<Incoming, RemoteError>)>,
        work: &mut Vec<Vec<DocRef>>,
        pace: &mut Pace,
    ) -> Result<(), Stop> {
        let docs: Vec<DocRef> = planned.iter().map(|p| p.write.doc.clone()).collect();
        let company = company(&docs, pace);
        let (mut again, mut stuck, mut moved) = (Vec::new(), Vec::new(), false);
        for (doc, look) in looks {
            let precondition = planned
                .iter()
                .find(|p| p.write.doc == doc)
                .map(|p| p.write.precondition);
            let shown = shown(look.as_ref().ok().map(|l| &l.seen), precondition);
            let words = look.as_ref().err().unwrap_or(error).to_string();
            if let Ok(look) = look {
                self.apply(vec![look]).await?;
            }
            match outcome(answer, shown, company).0 {
                Next::Again if shown == Look::Newer => {
                    moved = true;
                    let count = pace.again.entry(doc.clone()).or_default();
                    *count += 1;
                    if *count >= self.options.document_tries {
                        pace.aside.insert(doc);
                    } else {
                        again.push(doc);
                    }
                }
                Next::Again => {
                    pace.unchanged.insert(doc.clone());
                    again.push(doc);
                }
                Next::Park(reason) => {
                    moved = true;
                    let reason = self.sharpen(reason, &doc).await?;
                    self.park_saying(&doc, reason, words).await?;
                }
                Next::Bisect
                | Next::Door
                | Next::Backoff
                | Next::Halve
                | Next::Refresh
                | Next::Look => {
                    stuck.push(doc);
                }
            }
        }
        if moved {
            again.extend(stuck);
        } else {
            work.extend(halves(stuck));
        }
        if !again.is_empty() {
            work.push(again);
        }
        Ok(())
    }

    /// A denial whose cause can be named: the campaign that the document says it is in isn't there.
    async fn sharpen(&mut self, reason: ParkReason, doc: &DocRef) -> Result<ParkReason, Stop> {
        if reason != ParkReason::Denied || doc.collection == campaigns() {
            return Ok(reason);
        }
        let campaign = self
            .store
            .campaign_of(doc)
            .await?
            .and_then(|id| DocId::new(id).ok());
        let Some(campaign) = campaign.map(|id| DocRef::new(campaigns(), id)) else {
            return Ok(reason);
        };
        let looks = self.look_each(&[campaign]).await?;
        let missing = looks.iter().any(|(_, l)| {
            matches!(
                l,
                Ok(Incoming {
                    seen: Seen::Absent,
                    ..
                })
            )
        });
        Ok(if missing {
            ParkReason::MissingParent
        } else {
            reason
        })
    }

    /// Reads documents together, and one by one where that is denied.
    pub(crate) async fn look_each(
        &mut self,
        docs: &[DocRef],
    ) -> Result<Vec<(DocRef, Result<Incoming, RemoteError>)>, Stop> {
        match self.look(docs).await {
            Ok(looks) => Ok(looks.into_iter().map(|l| (l.doc.clone(), Ok(l))).collect()),
            Err(Failure::Stop(stop)) => Err(stop),
            Err(Failure::Answer(error)) if docs.len() == 1 => {
                Ok(docs.iter().cloned().zip([Err(error)]).collect())
            }
            Err(Failure::Answer(_)) => {
                let mut looks = Vec::with_capacity(docs.len());
                for doc in docs {
                    let look = match self.look(std::slice::from_ref(doc)).await {
                        Ok(mut found) => match found.pop() {
                            Some(look) => Ok(look),
                            None => continue,
                        },
                        Err(Failure::Answer(error)) => Err(error),
                        Err(Failure::Stop(stop)) => return Err(stop),
                    };
                    looks.push((doc.clone(), look));
                }
                Ok(looks)
            }
        }
    }

    pub(crate) async fn park(
        &mut self,
        doc: &DocRef,
        reason: ParkReason,
        error: &RemoteError,
    ) -> Result<(), StoreError> {
        self.park_saying(doc, reason, error.to_string()).await
    }

    async fn park_saying(
        &mut self,
        doc: &DocRef,
        reason: ParkReason,
        words: String,
    ) -> Result<(), StoreError> {
        tracing::warn!(%doc, reason = reason.code(), "parked");
        let doc = doc.clone();
        self.store
            .write(move |tx| Box::pin(async move { tx.park(&doc, reason, &words).await }))
            .await?;
        Ok(())
    }
}

fn has_campaign(docs: &[DocRef], id: &str) -> bool {
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

fn company(docs: &[DocRef], pace: &Pace) -> Company {
    match docs {
        [doc] if pace.unchanged.contains(doc) => Company::AloneAgain,
        [_] => Company::Alone,
        _ => Company::Batch,
    }
}

/// What a look showed, against the precondition of the write that failed.
fn shown(seen: Option<&Seen>, precondition: Option<Precondition>) -> Look {
    let newer = |time| !matches!(precondition, Some(Precondition::UpdateTime(t)) if time <= t);
    match seen {
        None => Look::Denied,
        Some(Seen::Version(version)) if newer(version.envelope.update_time) => Look::Newer,
        Some(Seen::Unreadable { update_time, .. }) if newer(*update_time) => Look::Unreadable,
        Some(Seen::Version(_) | Seen::Unreadable { .. }) => Look::Unchanged,
        Some(Seen::Absent) => match precondition {
            Some(Precondition::UpdateTime(_)) => Look::Newer,
            _ => Look::Unchanged,
        },
    }
}

fn halves(mut docs: Vec<DocRef>) -> Vec<Vec<DocRef>> {
    let second = docs.split_off(docs.len() / 2);
    // The last one pushed is worked on first: keep the order.
    [second, docs]
        .into_iter()
        .filter(|half| !half.is_empty())
        .collect()
}
