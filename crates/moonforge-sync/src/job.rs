//! What a run is to do.

use std::collections::BTreeSet;
use std::time::Duration;

use moonforge_model::{Collection, Timestamp};
use moonforge_store::StoreError;

use crate::beacon::{Beacons, Moves, News};
use crate::bill::Bill;
use crate::lanes::Lanes;
use crate::membership::campaigns;
use crate::pull::{EVERY, Group};
use crate::run::{Failure, Run, Stop};
use crate::scoped::Listing;

/// The clock offset is known no better than this.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(3);

/// What a run of the engine does. Every run pushes first, and again what merging left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Job {
    /// All collections of all campaigns; no beacon is read.
    #[default]
    Everything,
    /// Nothing is pulled.
    Push,
    /// What the beacons say moved, the collections that are due, and owed checks whose time has come.
    Poll {
        /// Collections whose interval is over.
        due: BTreeSet<Collection>,
    },
}

impl Job {
    /// A stable name, for logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::Push => "push",
            Self::Poll { .. } => "poll",
        }
    }
}

/// What an engine keeps between its runs, in memory alone: a new process asks for everything once.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) beacons: Beacons,
    /// What isn't on the day's bill yet.
    pub(crate) unkept: Bill,
    /// What was last found to be asked for, by a run that asked for everything.
    pub(crate) listing: Option<Listing>,
}

/// Which groups a run asks for.
struct Selection {
    due: BTreeSet<Collection>,
    moves: Moves,
    /// Groups that owe a check of what lies before this time.
    owed_before: Option<Timestamp>,
}

/// How a group is asked.
enum Question {
    /// For what is new in it.
    News,
    /// Whether something came late.
    Check,
}

impl Selection {
    /// The part of a group that is asked for, and how.
    fn of(&self, mut group: Group) -> Option<(Group, Question)> {
        if self.due.contains(&group.collection) {
            return Some((group, Question::News));
        }
        let moved = |campaign: &String| {
            let names = |names: &BTreeSet<Collection>| names.contains(&group.collection);
            match campaign.as_str() {
                EVERY => self.moves.values().any(names),
                campaign => self.moves.get(campaign).is_some_and(names),
            }
        };
        let moved: Vec<String> = group
            .campaigns
            .iter()
            .filter(|c| moved(c))
            .cloned()
            .collect();
        if !moved.is_empty() {
            group.campaigns = moved;
            return Some((group, Question::News));
        }
        let owes = group.checkpoint.owed.zip(self.owed_before);
        owes.is_some_and(|(owed, before)| owed <= before)
            .then_some((group, Question::Check))
    }
}

impl Run<'_> {
    /// Does the job, and tells others what was written.
    pub(crate) async fn perform(&mut self, job: &Job, memory: &mut Memory) -> Result<(), Failure> {
        let done = self.exchange(job, memory).await;
        let written = self.take_written().await?;
        for (campaign, collections) in written {
            let owed = memory.beacons.owed.entry(campaign).or_default();
            owed.extend(collections);
        }
        done?;
        self.touch_beacons(&mut memory.beacons).await;
        Ok(())
    }

    /// How long until a check that is owed falls due; a little later than that, for clocks that differ.
    pub(crate) async fn check_in(&self, memory: &Memory) -> Result<Option<Duration>, StoreError> {
        let Some(listing) = &memory.listing else {
            return Ok(None);
        };
        let asked = listing.claims(self.store.registry());
        let Some(owed) = self.store.oldest_owed(&asked).await? else {
            return Ok(None);
        };
        let due = owed.saturating_add(self.options.late_visibility + CLOCK_TOLERANCE);
        Ok(Some(due.since(self.remote_now().await?)))
    }

    async fn exchange(&mut self, job: &Job, memory: &mut Memory) -> Result<(), Failure> {
        self.to_send = self.store.parked_and_waiting().await?.waiting;
        self.tell();
        if !self.options.pull_first || *job == Job::Push {
            self.push().await?;
        }
        match job {
            Job::Push => return Ok(()),
            Job::Everything => self.pull_everything(memory).await?,
            Job::Poll { due } => self.poll(due, memory).await?,
        }
        self.push().await?;
        Ok(())
    }

    async fn pull_everything(&mut self, memory: &mut Memory) -> Result<(), Failure> {
        // What moves from here on is news to the next poll.
        let begun = self.remote_now().await?;
        let listing = self.list().await?;
        let is_whole = self.options.scope.is_none();
        if is_whole {
            memory.listing = Some(listing.clone());
        }
        let groups = self.groups(&listing).await?;
        self.pull_groups(groups.into_iter().map(|g| (g, Question::News)))
            .await?;
        self.pull_accessed(&listing, |_| true).await?;
        if is_whole {
            memory.beacons.since = memory.beacons.since.max(Some(begun));
        }
        Ok(())
    }

    async fn poll(
        &mut self,
        due: &BTreeSet<Collection>,
        memory: &mut Memory,
    ) -> Result<(), Failure> {
        let mut listing = memory.listing.clone();
        let mut listed = due.contains(&campaigns());
        if let Some(known) = &listing {
            listed |= !self.is_current(known).await?;
        }
        if listed || listing.is_none() {
            listing = Some(self.list().await?);
            memory.listing.clone_from(&listing);
            listed = true;
        }
        let mut listing = listing.unwrap_or_default();
        let sights = listing.sights.as_ref();
        let ids: Option<Vec<String>> = sights.map(|s| s.keys().cloned().collect());
        let news = match &ids {
            Some(ids) if ids.is_empty() => News::default(),
            ids => self.read_beacons(&memory.beacons, ids.as_deref()).await?,
        };
        let roles_moved = news.moves.values().any(|m| m.contains(&campaigns()));
        if !listed && (roles_moved || !news.denied.is_empty()) {
            listing = self.list().await?;
        }
        memory.listing = Some(listing.clone());
        let owed_before = self.owed_before(&listing).await?;
        if !due.is_empty() || !news.moves.is_empty() || owed_before.is_some() {
            let selection = Selection {
                due: due.clone(),
                moves: news.moves.clone(),
                owed_before,
            };
            let groups = self.groups(&listing).await?;
            self.pull_groups(groups.into_iter().filter_map(|g| selection.of(g)))
                .await?;
        }
        // No beacon tells of single documents.
        if !due.is_empty() {
            self.pull_accessed(&listing, |doc| due.contains(&doc.collection))
                .await?;
        }
        // Only now: what a failed run didn't fetch is news to the next one.
        memory.beacons.heed(news);
        Ok(())
    }

    /// The present by the remote's clock, as far as it is known.
    pub(crate) async fn remote_now(&self) -> Result<Timestamp, StoreError> {
        let offset = self.clock_offset().await?;
        Ok(self.clock.now().offset_micros(offset))
    }

    /// Checks that are owed up to this time are due; `None` where none is.
    async fn owed_before(&self, listing: &Listing) -> Result<Option<Timestamp>, StoreError> {
        let before = self
            .remote_now()
            .await?
            .saturating_sub(self.options.late_visibility);
        let asked = listing.claims(self.store.registry());
        let oldest = self.store.oldest_owed(&asked).await?;
        Ok(oldest
            .is_some_and(|oldest| oldest <= before)
            .then_some(before))
    }

    /// Asks for several groups at once.
    async fn pull_groups(
        &self,
        mut groups: impl Iterator<Item = (Group, Question)> + Send,
    ) -> Result<(), Failure> {
        let mut lanes = Lanes::new(self.remote.whereabouts());
        let (mut pulled, mut stopped) = (Vec::new(), None);
        loop {
            while stopped.is_none()
                && lanes.len() < self.options.queries_in_flight.max(1)
                && let Some((group, question)) = groups.next()
            {
                lanes.push(self.pull_group(group, question));
            }
            match lanes.next().await {
                None => break,
                Some(Ok(some)) => pulled.extend(some),
                Some(Err(failure @ Failure::Stop(Stop::Store(_)))) => return Err(failure),
                Some(Err(failure)) => {
                    self.end();
                    stopped.get_or_insert(failure);
                }
            }
        }
        match stopped {
            Some(failure) => Err(failure),
            None => Ok(self.gather(pulled).await?),
        }
    }

    /// Asks for a group; those of its campaigns that were read to their end, and when that was so.
    async fn pull_group(
        &self,
        mut group: Group,
        question: Question,
    ) -> Result<Vec<(Group, Timestamp)>, Failure> {
        let mut pulled = Vec::new();
        match self.ask(&mut group, &question).await {
            Ok(read_time) => pulled.extend(read_time.map(|at| (group, at))),
            // One campaign that denies must not keep the others from being read.
            Err(Failure::Answer(error)) if group.campaigns.len() > 1 => {
                tracing::debug!(%error, collection = %group.collection, "asking campaign by campaign");
                for mut one in group.split() {
                    match self.ask(&mut one, &question).await {
                        Ok(read_time) => pulled.extend(read_time.map(|at| (one, at))),
                        Err(Failure::Answer(_)) => {}
                        Err(stop) => return Err(stop),
                    }
                }
            }
            Err(failure) if self.uid.is_none() => return Err(failure),
            // The next listing of campaigns says whether the account is still in this one.
            Err(Failure::Answer(error)) => {
                tracing::warn!(%error, collection = %group.collection, "denied");
            }
            Err(stop) => return Err(stop),
        }
        Ok(pulled)
    }

    async fn ask(
        &self,
        group: &mut Group,
        question: &Question,
    ) -> Result<Option<Timestamp>, Failure> {
        match question {
            Question::News => {
                let read_time = self.pull(group).await?;
                self.reconcile(group).await?;
                Ok(Some(read_time))
            }
            Question::Check => {
                self.check_owed(group).await?;
                Ok(None)
            }
        }
    }
}
