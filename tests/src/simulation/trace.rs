//! What happened, in order, and how often.

use std::collections::BTreeMap;
use std::sync::Mutex;

/// What a history came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Port calls, transactions of the stores, and what the driver did, in order: the trace.
    pub trace: Vec<String>,
    /// Edits that people tried to make.
    pub edits: u64,
    /// Syncs that were begun.
    pub syncs: u64,
    /// Transactions that were committed.
    pub transactions: u64,
    /// Things that happened: edits, syncs and whatever else the driver draws.
    pub steps: u64,
    /// Faults, kills and upheavals, by kind.
    pub happened: BTreeMap<&'static str, u64>,
}

impl Outcome {
    /// Counts another history's figures in.
    pub fn add(&mut self, other: &Self) {
        self.edits += other.edits;
        self.syncs += other.syncs;
        self.transactions += other.transactions;
        self.steps += other.steps;
        for (kind, count) in &other.happened {
            *self.happened.entry(kind).or_default() += count;
        }
    }
}

/// Writes down what happens.
#[derive(Debug)]
pub(crate) struct Trace {
    outcome: Mutex<Outcome>,
    /// Whether it is printed as it comes about.
    aloud: bool,
}

impl Default for Trace {
    fn default() -> Self {
        Self {
            outcome: Mutex::default(),
            aloud: std::env::var_os("SIMULATE_TRACE").is_some(),
        }
    }
}

impl Trace {
    pub(crate) fn outcome(&self) -> Outcome {
        self.outcome.lock().expect("no panic while held").clone()
    }

    pub(crate) fn line(&self, line: String) {
        if self.aloud {
            eprintln!("{line}");
        }
        self.with(|outcome| outcome.trace.push(line));
    }

    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Outcome) -> T) -> T {
        work(&mut self.outcome.lock().expect("no panic while held"))
    }
}
