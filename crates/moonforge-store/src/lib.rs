//! Moonforge's local store: one SQLite file that holds documents, what is known of their remote state, and the outbox.
//!
//! Architecture invariant: nothing here knows the network, a clock or a source of chance; times and ids are given by the
//! caller. Every change of a document goes through `WriteTx::save`, in one transaction with its metadata and its rows.

mod accessed;
mod aside;
mod backup;
mod carry;
mod cascade;
mod checkpoint;
mod discard;
mod doctor;
mod edit;
mod error;
mod held;
mod hold;
mod identity;
mod journal;
mod journal_watch;
mod keyset;
mod let_go;
mod metas;
mod migrate;
mod open;
mod operations;
mod outbox;
mod overwrite;
mod place;
mod query;
mod read;
mod repair;
mod resolve;
mod room;
mod rows;
mod scopes;
mod state;
mod status;
mod stuck;
mod table;
mod tree;
mod tx;
mod watch;

pub use checkpoint::{Checkpoint, Cursor, claim};
pub use doctor::Finding;
pub use edit::{EditTime, Written};
pub use error::StoreError;
pub use held::{Held, Waiting};
pub use identity::Incarnations;
pub use journal::{ConflictCounts, JournalEntry, Quarantined};
pub use migrate::MigrationReport;
pub use open::{Durability, IdSource, Store, StoreOptions, SyncLock};
pub use operations::{NewOperation, NextOperation, OperationEnd, QueuedOperation};
pub use outbox::{OutboxCounts, OutboxEntry, PendingDoc, PendingPage, QueuedIn};
pub use query::{Comparison, Direction, Page, QuerySpec, Where};
pub use read::StoredDoc;
pub use resolve::{Resolution, ResolvedBy, Undone};
pub use room::{OutboxLimits, Room};
pub use scopes::{Joined, ScopeChange, SyncedScopes};
pub use state::{Base, DocState, OutboxRow};
pub use status::{CollectionStatus, StoreStatus};
pub use stuck::Stuck;
pub use tree::{Branch, Tree};
pub use tx::{TransactionProbe, WriteTx};
pub use watch::Change;
