//! What a merge could not keep.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::patch::PatchOp;

/// Which side's value did not stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LostSide {
    /// What was written here.
    Local,
    /// What was at the remote.
    Remote,
}

/// Why it did not stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictReason {
    /// Another edit of the same place won.
    Overwritten,
    /// The document, or the entry of a map, was deleted meanwhile.
    Deleted,
    /// The value's type changed, so an increment or a list operation has nothing to work on.
    TypeChanged,
    /// Whether the edit was applied can't be known: it may be in the document already.
    MayHaveBeenApplied,
    /// A person discarded it.
    Discarded,
}

/// An entry of the conflict journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conflict {
    /// The path, or `deletedAt` where a deletion met edits.
    pub field: String,
    /// What stayed.
    pub kept: Value,
    /// What did not.
    pub lost: Value,
    /// Whose it was.
    pub lost_side: LostSide,
    /// Why.
    pub reason: ConflictReason,
    /// The edits that bring it back, as a new edit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bring_back: Vec<PatchOp>,
}
