//! The command line.

use clap::{Parser, ValueEnum};

use crate::cloud::Credential;
use crate::local::Durability;

/// Measures Moonforge, or with `--floor` the same work without it, and prints one line of JSON.
///
/// What needs a Firestore uses the emulator that FIRESTORE_EMULATOR_HOST names, or starts one.
#[derive(Debug, Parser)]
#[command(name = "moonforge-bench", version)]
pub(crate) struct Args {
    /// What is measured.
    pub(crate) workload: Workload,
    /// How many documents.
    pub(crate) n: usize,
    /// Without Moonforge, as well as one can.
    #[arg(long)]
    pub(crate) floor: bool,
    /// When a local write counts as done.
    #[arg(long, default_value = "full")]
    pub(crate) durability: Durability,
    /// Commits that W2's floor has in flight.
    #[arg(long, default_value_t = 4)]
    pub(crate) concurrency: usize,
    /// Documents in a commit of W2's floor; without it, what was fastest in the emulator.
    #[arg(long)]
    pub(crate) batch: Option<usize>,
    /// Under whose name requests are made.
    #[arg(long = "as", default_value = "user")]
    pub(crate) credential: Credential,
    /// Pairs the workload with its floor in so many alternating rounds, and prints a row of a table.
    #[arg(long, value_name = "ROUNDS", conflicts_with = "floor")]
    pub(crate) pair: Option<usize>,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// One acknowledged local write after another.
    W1,
    /// Local writes, a hundred in a transaction.
    W1g,
    /// N queued writes, until the cloud has acknowledged them.
    W2,
    /// N documents of the cloud into an empty database.
    W3,
    /// 10 of N documents changed: finding them.
    W4,
    /// N local reads by id.
    W5,
}

impl Workload {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::W1 => "w1",
            Self::W1g => "w1g",
            Self::W2 => "w2",
            Self::W3 => "w3",
            Self::W4 => "w4",
            Self::W5 => "w5",
        }
    }

    /// Whether it talks to a Firestore.
    pub(crate) fn needs_cloud(self) -> bool {
        matches!(self, Self::W2 | Self::W3 | Self::W4)
    }
}
