//! What one push knows of documents that didn't go through, and of the remote's pace. All its lanes share it.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use moonforge_model::DocRef;

/// The most documents in a commit.
const LARGEST_BATCH: usize = 500;
/// A commit that takes longer makes the next ones smaller.
const SLOW: Duration = Duration::from_secs(3);
/// Full commits of one size that tell its speed.
const SAMPLES: u32 = 3;
/// What a size must be faster than half of it, to be worth it: what fails together is larger too.
const WORTH: f64 = 1.15;
/// So many commits later a size that wasn't worth it is tried again.
const REST: u32 = 32;

#[derive(Debug)]
pub(crate) struct Pace(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    unchanged: HashSet<DocRef>,
    again: HashMap<DocRef, u32>,
    aside: HashSet<DocRef>,
    tempo: Tempo,
}

impl Pace {
    pub(crate) fn new(first_batch: usize) -> Self {
        let tempo = Tempo {
            batch: first_batch.clamp(1, LARGEST_BATCH),
            ..Tempo::default()
        };
        Self(Mutex::new(Known {
            tempo,
            ..Known::default()
        }))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().expect("no panic while held")
    }

    /// Whether the document was unchanged when it failed alone.
    pub(crate) fn was_unchanged(&self, doc: &DocRef) -> bool {
        self.known().unchanged.contains(doc)
    }

    pub(crate) fn note_unchanged(&self, doc: DocRef) {
        self.known().unchanged.insert(doc);
    }

    /// How often the document was sent again onto a newer version, this time included.
    pub(crate) fn again(&self, doc: &DocRef) -> u32 {
        let mut known = self.known();
        let count = known.again.entry(doc.clone()).or_default();
        *count += 1;
        *count
    }

    /// This run leaves the document alone from now on.
    pub(crate) fn set_aside(&self, doc: DocRef) {
        self.known().aside.insert(doc);
    }

    pub(crate) fn is_aside(&self, doc: &DocRef) -> bool {
        self.known().aside.contains(doc)
    }

    /// Documents in the next commit.
    pub(crate) fn batch(&self) -> usize {
        self.known().tempo.batch
    }

    pub(crate) fn halve(&self) {
        self.known().tempo.fall();
    }

    /// A commit of so many documents was applied in this time.
    pub(crate) fn took(&self, documents: usize, time: Duration) {
        self.known().tempo.took(documents, time);
    }
}

/// How many documents go in a commit: twice as many as long as that makes it faster.
///
/// With a remote that is far away the time of a commit is mostly the way there, so more documents are faster. One whose
/// rules take long may be no faster, or slower: then the smaller commits are better.
#[derive(Debug, Default)]
struct Tempo {
    batch: usize,
    samples: u32,
    documents: usize,
    time: Duration,
    /// Documents a second with half as many in a commit.
    before: Option<f64>,
    /// Commits until the next try.
    rest: u32,
}

impl Tempo {
    fn took(&mut self, documents: usize, time: Duration) {
        if time > SLOW {
            return self.fall();
        }
        if self.rest > 0 {
            self.rest -= 1;
            return;
        }
        // Those that were under way when the size changed, and the last ones, tell nothing of it.
        if documents != self.batch {
            return;
        }
        self.samples += 1;
        self.documents += documents;
        self.time += time;
        if self.samples < SAMPLES {
            return;
        }
        let rate = self.documents as f64 / self.time.as_secs_f64().max(1e-6);
        if self.before.is_some_and(|before| rate < before * WORTH) {
            return self.fall();
        }
        self.begin((self.batch * 2).min(LARGEST_BATCH));
        self.before = Some(rate);
        if self.batch == LARGEST_BATCH {
            self.rest = u32::MAX;
        }
    }

    fn fall(&mut self) {
        self.begin((self.batch / 2).max(1));
        self.before = None;
        self.rest = REST;
    }

    fn begin(&mut self, batch: usize) {
        *self = Self {
            batch,
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes after so many commits, each of which takes the time that `cost` gives.
    fn after(commits: usize, cost: impl Fn(usize) -> Duration) -> usize {
        let pace = Pace::new(20);
        for _ in 0..commits {
            pace.took(pace.batch(), cost(pace.batch()));
        }
        pace.batch()
    }

    #[test]
    fn where_the_way_is_long_commits_grow() {
        let far = |documents: usize| Duration::from_millis(150 + documents as u64 / 10);
        assert_eq!(after(12, far), 320);
        assert_eq!(after(200, far), LARGEST_BATCH);
    }

    #[test]
    fn where_rules_take_more_than_twice_for_twice_as_many_commits_stay_small() {
        let heavy = |documents: usize| Duration::from_micros((documents * documents * 80) as u64);
        assert!(after(200, heavy) <= 20);
    }

    #[test]
    fn a_slow_commit_makes_the_next_smaller() {
        let pace = Pace::new(20);
        pace.took(20, Duration::from_secs(4));
        assert_eq!(pace.batch(), 10);
        for _ in 0..9 {
            pace.halve();
        }
        assert_eq!(pace.batch(), 1);
    }
}
