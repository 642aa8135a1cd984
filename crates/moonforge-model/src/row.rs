//! A row of the outbox: one edit, kept as intent until it is in the remote document.

use serde::{Deserialize, Serialize};

use crate::patch::PatchOp;
use crate::time::Timestamp;
use crate::value::Fields;

/// What a row does to its document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RowOp {
    /// The document begins.
    Create {
        /// Its fields.
        fields: Fields,
    },
    /// Some of its fields change.
    Patch {
        /// How, in order.
        ops: Vec<PatchOp>,
    },
    /// It becomes a tombstone.
    Delete {
        /// Which delete this is.
        #[serde(rename = "deleteId")]
        delete_id: String,
    },
    /// A tombstone becomes a document again, if it is that delete's.
    Restore {
        /// Which delete to undo.
        #[serde(rename = "deleteId")]
        delete_id: String,
    },
}

impl RowOp {
    /// The word that lists show: `create`, `patch`, `delete`, `restore`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Patch { .. } => "patch",
            Self::Delete { .. } => "delete",
            Self::Restore { .. } => "restore",
        }
    }
}

/// Why a row waits for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParkReason {
    /// The remote denies it, and nothing newer explains why.
    Denied,
    /// The remote can't take it as it is.
    Invalid,
    /// Document or request too large.
    TooLarge,
    /// What it belongs to isn't there.
    MissingParent,
}

impl ParkReason {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Invalid => "invalid",
            Self::TooLarge => "too_large",
            Self::MissingParent => "missing_parent",
        }
    }

    /// The reason with that code.
    pub fn from_code(code: &str) -> Option<Self> {
        [
            Self::Denied,
            Self::Invalid,
            Self::TooLarge,
            Self::MissingParent,
        ]
        .into_iter()
        .find(|r| r.code() == code)
    }
}

/// One edit in the outbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its number: rises within the file and never comes again.
    pub n: u64,
    /// The copy of the file that it was written in.
    pub incarnation: String,
    /// A random id, by which a file knows its own rows.
    pub op_id: String,
    /// When a person made it, in server-adjusted time.
    pub edited_at: Timestamp,
    /// What it does.
    pub op: RowOp,
    /// Whether a request that carried it may have been applied.
    pub sent: bool,
    /// Set while it waits for a person.
    pub parked: Option<ParkReason>,
}
