//! What a run counts for its report: each document once.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use moonforge_model::{Collection, DocRef};

use crate::apply::Applied;
use crate::report::SyncReport;

/// The documents that the report's figures stand for. Of each only a hash is kept: a run may see a great many.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pushed: HashSet<u64>,
    pulled: HashSet<u64>,
    merged: HashSet<u64>,
    /// How often documents of a collection were pushed.
    pub(crate) pushed_in: BTreeMap<Collection, u64>,
    conflicts: u64,
    quarantined: u64,
    /// Pushed ones of which others haven't been told.
    pub(crate) untold: Vec<DocRef>,
}

impl Tally {
    pub(crate) fn count(&mut self, docs: Vec<DocRef>, applied: &[Applied]) {
        for (doc, applied) in docs.into_iter().zip(applied) {
            let key = key(&doc);
            if applied.merged {
                self.merged.insert(key);
            }
            if applied.changed {
                self.pulled.insert(key);
            }
            if applied.settled {
                self.pushed.insert(key);
                *self.pushed_in.entry(doc.collection.clone()).or_default() += 1;
                self.untold.push(doc);
            }
            self.conflicts += applied.conflicts;
            self.quarantined += u64::from(applied.quarantined);
        }
    }

    /// How many documents were pushed, and how many pulled.
    pub(crate) fn so_far(&self) -> (u64, u64) {
        (self.pushed.len() as u64, self.pulled.len() as u64)
    }

    /// Adds the figures to a report.
    pub(crate) fn add_to(&self, report: &mut SyncReport) {
        report.pushed += self.pushed.len() as u64;
        report.merged += self.merged.len() as u64;
        report.pulled += self.pulled.len() as u64;
        report.conflicts += self.conflicts;
        report.quarantined += self.quarantined;
    }
}

fn key(doc: &DocRef) -> u64 {
    let mut hasher = DefaultHasher::new();
    doc.hash(&mut hasher);
    hasher.finish()
}
