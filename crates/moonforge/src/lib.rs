//! Moonforge: an offline-first data layer for tabletop-RPG campaign tools.
//!
//! An app writes to a local SQLite database and goes on at once, with or without a network. A sync keeps that database and
//! the user's Firebase project in step, and never loses, duplicates or silently overwrites what a person wrote.
//!
//! ```
//! use moonforge::{Moonforge, increment};
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), moonforge::Error> {
//! // `Moonforge::builder("campaigns.db")` opens a file; this one is for tests.
//! let forge = Moonforge::in_memory().await?;
//!
//! let campaigns = forge.documents("campaigns")?;
//! let keep = forge.new_id();
//! campaigns.put(&keep, json!({"name": "The Ember Keep"})).await?; // returns when durable here
//! campaigns.patch(&keep, None, [increment("props.torches", 5)]).await?;
//!
//! let report = forge.sync_now().await?;
//! assert_eq!(report.pushed, 1);
//! let found = campaigns.get(&keep).await?.expect("it was just put");
//! assert_eq!(found.fields["props"]["torches"], 5);
//! assert!(!found.dirty);
//! # Ok(())
//! # }
//! ```
//!
//! Tracing spans have stable names: `moonforge.open`, `moonforge.sync`, `moonforge.documents` (with the call and the
//! collection as fields).

mod builder;
mod cloud;
mod conflicts;
mod documents;
mod edits;
mod error;
mod export;
mod forge;
mod import;
mod outbox;
mod status;
mod system;

/// What a remote store, a token provider, a clock or a source of chance of one's own implements.
pub mod ports {
    pub use moonforge_ports::*;
}

pub use builder::Builder;
pub use cloud::{Cloud, Embedded, Firestore, fixed_token};
pub use conflicts::{Conflicts, Resolution};
pub use documents::Documents;
pub use edits::{Edit, array_remove, array_union, increment, set, unset};
pub use error::Error;
pub use forge::Moonforge;
pub use moonforge_firestore::Endpoint;
pub use moonforge_model::{
    Collection, CollectionConfig, Conflict, ConflictReason, Deletion, DocId, DocRef, Field,
    FieldKind, FieldPath, FieldPolicy, Fields, Guard, LostSide, Parent, ParkReason, PatchOp,
    Priority, Registry, RowOp, Timestamp,
};
pub use moonforge_store::{
    Branch, CollectionStatus, Comparison, Direction, Durability, JournalEntry, OutboxCounts,
    OutboxEntry, Page, QuerySpec, StoredDoc, Tree, Where, Written,
};
pub use moonforge_sync::{SyncOptions, SyncReport};
pub use outbox::Outbox;
pub use secrecy::SecretString;
pub use status::{Health, Status};
pub use system::{OsRandom, SystemClock};
