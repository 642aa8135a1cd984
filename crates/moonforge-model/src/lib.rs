//! Moonforge's domain model: documents, patches, versions and the three-way merge.
//!
//! Architecture invariant: nothing here does I/O, awaits, reads a clock or draws a random number. What a function decides
//! follows from its arguments alone, so the engine's decisions can be tested and replayed.

mod aggregates;
mod builtin;
mod canonical;
mod cascade;
mod conflict;
#[doc(hidden)]
pub mod coverage;
mod describe;
mod document;
mod fold;
mod id;
mod ids;
mod intent;
mod links;
mod merge;
mod merge_carry;
#[cfg(test)]
mod merge_deep_properties;
#[cfg(test)]
mod merge_entry_tests;
#[cfg(test)]
mod merge_map_tests;
mod merge_path;
#[cfg(test)]
mod merge_policy_tests;
#[cfg(test)]
mod merge_properties;
#[cfg(test)]
mod merge_resolver_tests;
#[cfg(test)]
mod merge_tests;
mod merge_told;
#[doc(hidden)]
pub mod mutant;
mod number;
mod order;
mod patch;
mod path;
mod policy;
#[cfg(test)]
mod policy_properties;
mod registry;
mod resolver;
mod row;
mod schema;
mod scope;
#[cfg(test)]
mod scope_tests;
mod text;
mod time;
mod validate;
mod value;
mod version;

pub use aggregates::{
    Adventure, Campaign, Chapter, Combatant, Coords, Encounter, Entity, EntityImage, EntityKind,
    MediaAsset, MediaRef, MediaVariant, Mention, Role, Scene, Secret, Session, Statblock,
    Visibility,
};
pub use builtin::builtin;
pub use canonical::{canonical_fields, canonical_op, canonical_value};
pub use cascade::children_of;
pub use conflict::{Conflict, ConflictContext, ConflictReason, DecidedBy, LostSide};
pub use document::{Document, DocumentError, from_fields, to_fields};
pub use fold::{Folded, TOMBSTONE_RETENTION, fold};
pub use id::{Collection, DocId, DocRef, InvalidName, MAX_NAME_BYTES};
pub use ids::{
    AdventureId, CampaignId, ChapterId, EncounterId, EntityId, MediaAssetId, SceneId, SecretId,
    SessionId,
};
pub use intent::as_intents;
pub use links::links;
pub use merge::{Merged, merge, merge_as, merge_onto_absence};
pub use order::{NoRoom, OrderKey};
pub use patch::{
    PatchError, PatchOp, apply, as_text_edit, check_patch, diff, diff_present, is_raw, is_tagged,
};
pub use path::{FieldPath, InvalidPath, MAX_DEPTH};
pub use policy::{ANY_NAME, FieldPolicy, InvalidPolicy};
pub use registry::{Registry, RegistryError};
pub use resolver::{ConflictResolver, Contested, MergeContext, Verdict};
pub use row::{ParkReason, Row, RowOp};
pub use schema::{
    CollectionConfig, Field, FieldKind, Guard, Parent, Priority, RESERVED_FIELDS, TIMESTAMP_FIELDS,
};
pub use scope::{FieldMatch, InvalidScope, Reach, SyncScope};
pub use text::{LostHunk, Side, TextMerge, merge_text};
pub use time::{InvalidTimestamp, Timestamp};
pub use validate::{MAX_DOCUMENT_BYTES, ValidationError, check_types, validate, validate_edit};
pub use value::{Fields, canonical, set_at, standing, unset_at, value_at};
pub use version::{
    Deletion, EDITED_ALL, Envelope, UnreadableVersion, Version, WriterMark, Writers, time_value,
    without_reserved,
};
