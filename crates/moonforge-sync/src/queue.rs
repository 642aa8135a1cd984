//! The outbox as a push reads it: page by page, most urgent first.

use std::collections::{BTreeSet, HashSet, VecDeque};

use moonforge_model::mutant::{Mutant, planted};
use moonforge_model::{DocRef, Timestamp};
use moonforge_store::{PendingDoc, QueuedIn, Store, StoreError};

use crate::mutants::past_parked;
use crate::pace::Pace;
use crate::push::{CAMPAIGNS_A_REQUEST, has_campaign};
use crate::urgency::{CLASSES, queued_in_class};

/// Documents read at once; about twice as many are held.
const PAGE: usize = 500;

/// What waits to be sent when a pass over the outbox begins.
pub(crate) struct Queue<'a> {
    store: &'a Store,
    /// What is in each class when the pass begins, those to come.
    classes: VecDeque<Vec<QueuedIn>>,
    /// Up to which row the present class was read.
    after: u64,
    /// The last row of this pass: what is written meanwhile is for the next.
    until: u64,
    waiting: VecDeque<PendingDoc>,
    /// Documents of commits under way.
    in_flight: HashSet<DocRef>,
}

impl<'a> Queue<'a> {
    pub(crate) async fn open(store: &'a Store, now: Timestamp) -> Result<Queue<'a>, StoreError> {
        let in_class = |class| {
            let configs = store.registry().iter();
            let spans = configs.flat_map(|config| {
                let spans = queued_in_class(config.priority, class, now).into_iter();
                spans.map(|(from, to)| QueuedIn {
                    collection: config.name.clone(),
                    from,
                    to,
                })
            });
            spans.collect()
        };
        let mut queue = Queue {
            store,
            classes: (0..CLASSES).map(in_class).collect(),
            after: 0,
            until: store.last_pending().await?,
            waiting: VecDeque::new(),
            in_flight: HashSet::new(),
        };
        if planted(Mutant::ParkedSettledByLater) {
            queue.waiting.extend(past_parked(store).await?);
        }
        if planted(Mutant::ParkedBlocksOthers) && store.parked_and_waiting().await?.parked > 0 {
            queue.classes.clear();
        }
        Ok(queue)
    }

    /// The next documents to send together, of at most ten campaigns. A child whose campaign isn't at the remote yet
    /// waits, or rides in its commit. `None` where all wait, or none is left.
    pub(crate) async fn next_batch(
        &mut self,
        pace: &Pace,
    ) -> Result<Option<Vec<DocRef>>, StoreError> {
        let unacknowledged = self.store.unacknowledged_campaigns().await?;
        loop {
            while self.waiting.len() < PAGE.max(pace.batch()) && !self.classes.is_empty() {
                self.read_page().await?;
            }
            let batch = self.take(pace, &unacknowledged);
            if !batch.is_empty() {
                self.in_flight.extend(batch.iter().cloned());
                return Ok(Some(batch));
            }
            if !self.in_flight.is_empty() || self.classes.is_empty() {
                return Ok(None);
            }
            // They wait for what isn't under way: the next pass comes back to them.
            self.waiting.clear();
        }
    }

    /// A commit is over; what it left may be sent again.
    pub(crate) fn landed(&mut self, batch: &[DocRef]) {
        for doc in batch {
            self.in_flight.remove(doc);
        }
    }

    async fn read_page(&mut self) -> Result<(), StoreError> {
        let Some(class) = self.classes.front() else {
            return Ok(());
        };
        let page = self
            .store
            .pending_page(class, self.after, self.until, PAGE)
            .await?;
        self.after = page.next.unwrap_or(0);
        if page.next.is_none() {
            self.classes.pop_front();
        }
        self.waiting.extend(page.docs);
        Ok(())
    }

    fn take(&mut self, pace: &Pace, unacknowledged: &HashSet<String>) -> Vec<DocRef> {
        let size = pace.batch();
        let mut batch: Vec<DocRef> = Vec::new();
        let mut campaigns: BTreeSet<String> = BTreeSet::new();
        let mut later = VecDeque::new();
        while batch.len() < size
            && let Some(next) = self.waiting.pop_front()
        {
            if pace.is_aside(&next.doc) {
                continue;
            }
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
            if waits || crowded || self.in_flight.contains(&next.doc) {
                later.push_back(next);
                continue;
            }
            campaigns.extend(next.campaign);
            batch.push(next.doc);
        }
        while let Some(waiting) = later.pop_back() {
            self.waiting.push_front(waiting);
        }
        batch
    }
}
