//! Moonforge: an offline-first data layer for tabletop-RPG campaign tools.
//!
//! An app writes to a local SQLite database and goes on at once, with or without a network. A sync keeps that database and
//! the user's Firebase project in step, and never loses, duplicates or silently overwrites what a person wrote.
//!
//! ```
//! use moonforge::{Campaign, Moonforge, Scene, increment};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), moonforge::Error> {
//! // `Moonforge::builder("campaigns.db")` opens a file; this one is for tests.
//! let forge = Moonforge::in_memory().await?;
//!
//! let campaign = Campaign::new(forge.new_id(), "The Ember Keep");
//! let scene = Scene::new(forge.new_id(), campaign.id.clone(), forge.new_id(), "The gate");
//! let scene_id = scene.id.clone();
//! forge.campaigns().upsert(campaign).await?; // returns when durable here
//! forge.scenes().upsert(scene).await?;
//!
//! let mut scene = forge.scenes().get(&scene_id).await?.expect("it was just written");
//! scene.title = "Ash".into();
//! forge.scenes().upsert(scene).await?; // writes the title, nothing else
//! forge.scenes().patch(&scene_id, None, [increment("props.torches", -1)]).await?;
//!
//! let report = forge.sync_now().await?;
//! assert_eq!(report.pushed, 2);
//! let scene = forge.scenes().get(&scene_id).await?.expect("it is still there");
//! assert_eq!((scene.title.as_str(), &scene.extra["props"]["torches"]), ("Ash", &(-1).into()));
//! # Ok(())
//! # }
//! ```
//!
//! Tracing spans have stable names: `moonforge.open`, `moonforge.sync`, `moonforge.documents` (with the call and the
//! collection as fields), `moonforge.put_many`, `moonforge.doctor`, `moonforge.repair`, `moonforge.backup`.
//!
//! An app that installs a recorder of the `metrics` facade gets the counters `moonforge_runs_total` (`job`, `outcome`),
//! `moonforge_documents_{sent,received,merged,quarantined}_total`, `moonforge_conflicts_total`, `moonforge_billed_total`
//! (`kind`), the histogram `moonforge_run_seconds` (`job`) and the gauges `moonforge_documents_{parked,waiting}`,
//! `moonforge_outbox_rows` (`state`). Neither logs nor metrics hold what a person wrote, nor a token.

mod background;
mod builder;
mod care;
mod cloud;
mod conflicts;
mod documents;
mod edits;
mod error;
mod export;
mod forge;
mod import;
mod operations;
mod orchestrate;
mod outbox;
mod read;
mod refresh;
mod scopes;
mod status;
mod sync;
mod system;
mod typed;
mod watch;

/// What a remote store, a token provider, a clock or a source of chance of one's own implements.
pub mod ports {
    pub use moonforge_ports::*;
}

pub use builder::Builder;
pub use cloud::{Cloud, Embedded, Firestore, fixed_token};
pub use conflicts::Conflicts;
pub use documents::Documents;
pub use edits::{Edit, array_remove, array_union, increment, set, unset};
pub use error::Error;
pub use forge::Moonforge;
pub use moonforge_firestore::{Endpoint, Timeouts};
pub use moonforge_model::{
    Adventure, AdventureId, Campaign, CampaignId, Chapter, ChapterId, Collection, CollectionConfig,
    Combatant, Conflict, ConflictContext, ConflictReason, ConflictResolver, Contested, Coords,
    DecidedBy, Deletion, DocId, DocRef, Document, DocumentError, Encounter, EncounterId, Entity,
    EntityId, EntityImage, EntityKind, Field, FieldKind, FieldPath, FieldPolicy, Fields, Guard,
    InvalidName, InvalidPath, InvalidPolicy, InvalidScope, InvalidTimestamp, LostSide, MediaAsset,
    MediaAssetId, MediaRef, MediaVariant, Mention, NoRoom, OrderKey, Parent, ParkReason,
    PatchError, PatchOp, Priority, Registry, RegistryError, Role, Row, RowOp, Scene, SceneId,
    Secret, SecretId, Session, SessionId, Statblock, SyncScope, Timestamp, ValidationError,
    Verdict, Visibility,
};
pub use moonforge_ports::{Executed, Executor, Operation};
pub use moonforge_store::{
    Branch, CollectionStatus, Comparison, ConflictCounts, Direction, Durability, Finding, Joined,
    JournalEntry, MigrationReport, NewOperation, OutboxCounts, OutboxEntry, OutboxLimits,
    OutboxRow, Page, QuerySpec, QueuedOperation, Resolution, ResolvedBy, Room, ScopeChange,
    StoreError, StoredDoc, Stuck, Tree, Undone, Where, Written,
};
pub use moonforge_sync::{
    Bill, BoundedRun, Cadence, DayBill, Phase, Progress, RunError, SyncError, SyncOptions,
    SyncReport, SyncStatus, Trouble,
};
pub use outbox::Outbox;
pub use read::{Answer, CachePolicy, Fallback, Freshness, Source};
pub use secrecy::SecretString;
pub use status::{Health, Status};
pub use system::{OsRandom, SystemClock};
pub use typed::{Doc, DocPage, Draft, Repository};
pub use watch::Watch;

/// The README, so that its example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
