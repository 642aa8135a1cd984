//! What a merge could not keep.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::patch::PatchOp;
use crate::time::Timestamp;

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
    /// The field's policy leaves it to a person: what is at the remote stays until he has decided.
    Undecided,
}

/// What decided between two edits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecidedBy {
    /// [`FieldPolicy::LaterWins`](crate::FieldPolicy::LaterWins).
    LaterWins,
    /// [`FieldPolicy::RemoteWins`](crate::FieldPolicy::RemoteWins).
    RemoteWins,
    /// [`FieldPolicy::LocalWins`](crate::FieldPolicy::LocalWins).
    LocalWins,
    /// Nobody yet: [`FieldPolicy::Manual`](crate::FieldPolicy::Manual).
    Manual,
    /// The app's [`ConflictResolver`](crate::ConflictResolver).
    Resolver,
    /// The policy, because the app's resolver panicked or gave a value that can't stand there.
    ResolverFailed,
}

/// When, by whom and how, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConflictContext {
    /// What both sides started from; absent where nothing was there, for single lines of a text, and in older entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Value>,
    /// When what stayed was written, in the remote's time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_at: Option<Timestamp>,
    /// The accounts that may have written it: those that wrote to the document since the base.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept_by: Vec<String>,
    /// When what did not stay was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_at: Option<Timestamp>,
    /// The accounts that may have written it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost_by: Vec<String>,
    /// The whole entry of a keyed map as it was here, where it was removed and an edit inside it went with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<Value>,
    /// What decided; absent where nothing had to be weighed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<DecidedBy>,
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
    /// When, by whom and how.
    #[serde(flatten)]
    pub context: ConflictContext,
}
