//! Moonforge's domain model: documents, patches, versions and the three-way merge.
//!
//! Architecture invariant: nothing here does I/O, awaits, reads a clock or draws a random number. What a function decides
//! follows from its arguments alone, so the engine's decisions can be tested and replayed.

mod id;
mod path;
mod schema;
mod time;
mod value;

pub use id::{Collection, DocId, DocRef, InvalidName, MAX_NAME_BYTES};
pub use path::{FieldPath, InvalidPath, MAX_DEPTH};
pub use schema::{
    CollectionConfig, Field, FieldKind, FieldPolicy, Guard, Parent, Priority, RESERVED_FIELDS,
    TIMESTAMP_FIELDS,
};
pub use time::{InvalidTimestamp, Timestamp};
pub use value::{Fields, canonical, set_at, unset_at, value_at};
