//! What a sync run did, and what it is told to do.

use std::time::Duration;

use moonforge_model::SyncScope;
use moonforge_ports::Usage;
use serde::Serialize;

use crate::bill::Bill;

/// What one run of the engine did. Serialises as the CLI's `sync --json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SyncReport {
    /// Documents newly applied at the remote.
    pub pushed: u64,
    /// Documents that changed here.
    pub pulled: u64,
    /// Documents whose unsettled rows met a newer base.
    pub merged: u64,
    /// Entries that went to the conflict journal.
    pub conflicts: u64,
    /// Documents that are parked, from this run or an earlier one.
    pub parked: u64,
    /// Remote documents that can't be read, put aside in this run.
    pub quarantined: u64,
    /// Whether a request got no HTTP answer at its second try.
    pub offline: bool,
    /// Whether the person has to sign in.
    pub unauthenticated: bool,
    /// Documents and lanes of operations that still wait, for a reason that may pass by itself.
    pub waiting: u64,
    /// What the remote billed.
    pub billed: Usage,
    /// The same by cause, as far as answers came.
    #[serde(skip)]
    pub bill: Bill,
    /// How long it took.
    pub elapsed_ms: u64,
    /// How long the remote asked to wait, where that is why the run ended early.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
    /// How long until a check that is owed falls due.
    #[serde(skip)]
    pub check_in: Option<Duration>,
    /// Operations that were carried out.
    #[serde(skip)]
    pub operations: u64,
    /// How long until an operation that failed may be tried again.
    #[serde(skip)]
    pub operations_in: Option<Duration>,
    /// Why the run ended early, in words for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

/// How a run behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncOptions {
    /// How long after its REQUEST_TIME a document may still appear: L of the protocol.
    pub late_visibility: Duration,
    /// The longest `Retry-After` that the run waits for.
    pub longest_wait: Duration,
    /// When to stop retrying, from the first failure on.
    pub give_up_after: Duration,
    /// How often a lost connection is tried.
    pub connection_tries: u32,
    /// How often a document is tried.
    pub document_tries: u32,
    /// Compare everything held here with the remote, however recently that was done.
    pub reconcile: bool,
    /// Fetch this scope alone; what was written is sent all the same. Where scopes are joined, it is one of them.
    pub scope: Option<SyncScope>,
    /// Fetch before sending, so that nothing at all changes here where the remote can't be asked.
    pub pull_first: bool,
    /// Documents in the first commit; more follow as the remote keeps up.
    pub first_batch: usize,
    /// Commits under way at once.
    pub commits_in_flight: usize,
    /// Queries under way at once.
    pub queries_in_flight: usize,
}

impl Default for SyncOptions {
    fn default() -> Self {
        Self {
            late_visibility: Duration::from_secs(75),
            longest_wait: Duration::from_secs(10),
            give_up_after: Duration::from_secs(30),
            connection_tries: 2,
            document_tries: 3,
            reconcile: false,
            scope: None,
            pull_first: false,
            first_batch: 20,
            commits_in_flight: 4,
            queries_in_flight: 4,
        }
    }
}
