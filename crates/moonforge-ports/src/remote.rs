//! The document store at the other end.

use std::pin::Pin;

use async_trait::async_trait;
use futures_core::Stream;
use moonforge_model::{Collection, DocRef, FieldPath, Fields, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::RemoteError;

/// A document as the remote holds it.
///
/// `fields` is in Moonforge's local JSON form (`docs/sync-protocol.md`, "values"): the five time fields at the top are
/// RFC 3339 strings, every other value that JSON lacks is tagged (`{"$timestamp": …}`, `{"$bytes": …}`, …). Reserved fields
/// (`rev`, `updatedAt`, `edited`, `writers`, …) are in it like any other.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteDocument {
    /// Where it is.
    pub doc: DocRef,
    /// All of its fields.
    pub fields: Fields,
    /// When this version was written, by the remote's clock. Orders versions.
    pub update_time: Timestamp,
}

/// What must hold for a write to be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    None,
    /// No document is there.
    MustNotExist,
    /// A document is there.
    MustExist,
    /// The document there is this version.
    UpdateTime(Timestamp),
}

/// One write of a commit.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteWrite {
    /// The document.
    pub doc: DocRef,
    /// The values, nested, in the local JSON form. With a mask only what it names counts.
    pub fields: Fields,
    /// The paths to change: those missing from `fields` are deleted. `None` replaces the document whole.
    pub mask: Option<Vec<FieldPath>>,
    /// Paths that the remote sets to the time of the request (REQUEST_TIME), in the answer's order. Never in `mask`.
    pub server_time: Vec<FieldPath>,
    /// What must hold.
    pub precondition: Precondition,
}

/// What one write of a commit came to.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteResult {
    /// The version that the document now has. A write that changed nothing keeps the old one.
    pub update_time: Timestamp,
    /// The values of `server_time`, in that order.
    pub server_times: Vec<Timestamp>,
}

/// A commit's answer: all writes were applied.
#[derive(Clone, Debug, PartialEq)]
pub struct CommitAnswer {
    /// One result a write, in order.
    pub results: Vec<WriteResult>,
    /// The remote's clock at the commit.
    pub commit_time: Timestamp,
}

/// What a batch of reads found.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchGet {
    /// Those that are there, in any order.
    pub found: Vec<RemoteDocument>,
    /// Those that are not.
    pub missing: Vec<DocRef>,
    /// When this was true, by the remote's clock.
    pub read_time: Timestamp,
}

/// A condition on one field.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// The field is this text.
    Equals(FieldPath, String),
    /// The field is one of these texts (at most 30).
    In(FieldPath, Vec<String>),
    /// The list holds this text.
    Contains(FieldPath, String),
}

/// A query over one collection.
///
/// With `since` or `until`, only documents whose `updatedAt` is a timestamp in `since..=until` come, ordered by `updatedAt`
/// then id, and `after` (a position in that order) leaves out all up to and including it. Without both, documents come
/// ordered by id, and `after_id` does the same.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteQuery {
    /// The collection.
    pub collection: Collection,
    /// Conditions, all of which hold.
    pub filters: Vec<Filter>,
    /// Earliest `updatedAt`, inclusive.
    pub since: Option<Timestamp>,
    /// Latest `updatedAt`, inclusive.
    pub until: Option<Timestamp>,
    /// Order by `updatedAt, id` even without a bound. (Documents without `updatedAt` don't come then.)
    pub by_updated_at: bool,
    /// Position after which to begin: `updatedAt` (where the order has it) and id.
    pub after: Option<(Option<Timestamp>, String)>,
    /// Fields to return; `None` for all. An empty list returns names and update times only.
    pub select: Option<Vec<FieldPath>>,
    /// Most documents to return.
    pub limit: Option<u32>,
}

impl RemoteQuery {
    /// All documents of a collection, by id.
    pub fn all(collection: Collection) -> Self {
        Self {
            collection,
            filters: Vec::new(),
            since: None,
            until: None,
            by_updated_at: false,
            after: None,
            select: None,
            limit: None,
        }
    }

    /// Whether results come in the order of `updatedAt`.
    pub fn is_by_updated_at(&self) -> bool {
        self.by_updated_at || self.since.is_some() || self.until.is_some()
    }
}

/// One step of a query's answer.
#[derive(Clone, Debug, PartialEq)]
pub enum QueryEvent {
    /// A document, in the query's order.
    Document(RemoteDocument),
    /// The answer is whole. A stream that ends without this, or with an error, was cut.
    Done {
        /// When the answer was true, by the remote's clock: the smallest where the remote gave several.
        read_time: Timestamp,
    },
}

/// A query's answer as it arrives.
pub type QueryStream<'a> = Pin<Box<dyn Stream<Item = Result<QueryEvent, RemoteError>> + Send + 'a>>;

/// COUNT and SUM(rev) over a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aggregate {
    /// How many documents match.
    pub count: i64,
    /// The sum of their integer `rev`s; those without count as 0.
    pub sum_rev: i64,
    /// When this was true, by the remote's clock.
    pub read_time: Timestamp,
}

/// What was billed since the adapter was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Documents read (a query costs at least one; aggregation one per 1,000 entries).
    pub reads: u64,
    /// Documents written.
    pub writes: u64,
    /// Documents deleted.
    pub deletes: u64,
}

impl std::ops::Sub for Usage {
    type Output = Usage;
    fn sub(self, earlier: Usage) -> Usage {
        Usage {
            reads: self.reads.saturating_sub(earlier.reads),
            writes: self.writes.saturating_sub(earlier.writes),
            deletes: self.deletes.saturating_sub(earlier.deletes),
        }
    }
}

/// A remote document store with compare-and-set: Firestore, or what behaves like it.
///
/// No method retries; that is the engine's, which knows what was decided. Dropping a future or stream abandons the
/// request: it may still be applied.
#[async_trait]
pub trait RemoteStore: Send + Sync + 'static {
    /// Applies all writes or none. At most one write a document.
    async fn commit(&self, writes: &[RemoteWrite]) -> Result<CommitAnswer, RemoteError>;

    /// Reads documents by name. One that may not be read fails the whole call.
    async fn batch_get(&self, docs: &[DocRef]) -> Result<BatchGet, RemoteError>;

    /// Runs a query; the documents come as they arrive.
    async fn query(&self, query: &RemoteQuery) -> Result<QueryStream<'_>, RemoteError>;

    /// COUNT and SUM(rev) of what a query matches. `select`, `limit` and `after` don't count.
    async fn aggregate(&self, query: &RemoteQuery) -> Result<Aggregate, RemoteError>;

    /// Asks the token provider for a fresh token after a 401; `Ok` when there is one to try again with.
    async fn refresh_credentials(&self) -> Result<(), RemoteError>;

    /// Whether the remote can be reached: returns as soon as it answers anything at all. Bills nothing. One that can't
    /// tell says yes.
    async fn probe(&self) -> Result<(), RemoteError> {
        Ok(())
    }

    /// What was billed so far.
    fn usage(&self) -> Usage;

    /// A stable name of this remote (`firestore://project/(default)`, `local:…`): a file belongs to one.
    fn name(&self) -> String;

    /// Whom requests are made for; `None` for an administrator or where there are no accounts.
    fn uid(&self) -> Option<String>;
}
