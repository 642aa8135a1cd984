//! What Moonforge knows about a collection: one description for the built-in ones and for an app's own.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::Collection;
use crate::path::FieldPath;
use crate::policy::FieldPolicy;

/// What a field holds, and so how it is checked and merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// A short text: one value.
    String,
    /// A long text, merged by line.
    Text,
    /// An integer of 64 bits.
    Integer,
    /// An integer or a double.
    Number,
    /// true or false.
    Bool,
    /// A time: RFC 3339 text here, a `timestampValue` on the wire.
    Timestamp,
    /// A list of texts: one value.
    StringList,
    /// A list of anything: one value.
    List,
    /// A map: its members are fields of their own.
    Map,
    /// A map from keys to entries, merged by entry, then by field: `combatants`.
    KeyedMap,
    /// Anything.
    Any,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A place among siblings: an [`OrderKey`](crate::OrderKey)'s text, or a number from older data.
    Order,
}

/// A field that a collection knows. Others are kept as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name at the top of the document.
    pub name: String,
    /// What it holds.
    pub kind: FieldKind,
    /// Whether a document without it is refused on write.
    pub required: bool,
    /// What is known of the members of a map, of each item of a list, or of each entry of a keyed map. Items and entries
    /// are then maps themselves.
    pub members: Vec<Field>,
}

/// What guards a document against a stale write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// `rev`, which rises by one a write, and `updateTime`.
    Rev,
    /// Firestore's `updateTime` alone: the collection has no `rev` (sessions).
    UpdateTime,
}

/// Order in which documents are pushed; within one, the older first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Before all else.
    Critical,
    /// What other documents hang on.
    High,
    /// Most documents.
    #[default]
    Medium,
    /// When nothing else waits.
    Low,
}

/// The document that one hangs below: `chapters` through `chapterId`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The field that names the parent's id.
    pub field: String,
    /// The parent's collection.
    pub collection: Collection,
}

/// Everything the store and the engine need to know of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionConfig {
    /// The collection's name, locally and at the remote.
    pub name: Collection,
    /// What guards against stale writes.
    pub guard: Guard,
    /// The fields known to it.
    pub fields: Vec<Field>,
    /// Whether documents carry `campaignId` (all but `campaigns`).
    pub in_campaign: bool,
    /// Whether `visibility` decides what players see. Secrets have none: they are for owner and dm only.
    pub has_visibility: bool,
    /// The document that one hangs below, for cascades and trees.
    pub parent: Option<Parent>,
    /// Policies of single places; see [`CollectionConfig::with_policy`].
    pub policies: BTreeMap<FieldPath, FieldPolicy>,
    /// The policy of all other fields; see [`CollectionConfig::with_policy_for_all`].
    pub policy_for_all: FieldPolicy,
    /// How often the background engine asks for it while no beacon says that something moved: 30 minutes unless said
    /// otherwise.
    pub interval: Duration,
    /// Where its documents stand in the push order.
    pub priority: Priority,
    /// Fields by which a [`SyncScope`](crate::SyncScope) may narrow it down, beside its campaign. Of `campaigns`: by which
    /// it may pick campaigns, with everything in them. Texts, or lists of texts.
    pub scope_keys: Vec<String>,
}

impl CollectionConfig {
    /// What is known of the field `name`.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.name == name)
    }

    /// What the field at the top of `path` holds; [`FieldKind::Any`] where it is unknown.
    pub fn kind_of(&self, name: &str) -> FieldKind {
        self.field(name).map_or(FieldKind::Any, |f| f.kind)
    }

    /// Whether `path` names a long text, which is merged by line.
    pub fn is_text(&self, path: &FieldPath) -> bool {
        path.segments().len() == 1 && self.kind_of(path.root()) == FieldKind::Text
            || self.stated(path) == Some(FieldPolicy::Text)
    }

    /// The entry of a keyed map that `path` is or lies in: `combatants.k1` for `combatants.k1.currentHp`.
    pub fn keyed_entry(&self, path: &FieldPath) -> Option<FieldPath> {
        let segments = path.segments();
        let above = |depth: &usize| {
            let map = FieldPath::new(&segments[..*depth]).ok()?;
            let by_kind = *depth == 1 && self.kind_of(path.root()) == FieldKind::KeyedMap;
            let keyed = by_kind || self.stated(&map) == Some(FieldPolicy::KeyedMap);
            keyed.then(|| map.child(&segments[*depth]))
        };
        let deepest = match self.policies.is_empty() {
            true => segments.len().min(2),
            false => segments.len(),
        };
        (1..deepest).find_map(|depth| above(&depth))
    }
}

/// Fields at the top of a document that hold times.
pub const TIMESTAMP_FIELDS: [&str; 5] = [
    "createdAt",
    "updatedAt",
    "deletedAt",
    "datetime",
    "shareExpiresAt",
];

/// Fields that the protocol owns: ignored by `put` and `import`, refused by `patch`, left out of `export`. All but
/// `parentDeleted`, which reads add, stand in a document at the remote.
pub const RESERVED_FIELDS: [&str; 8] = [
    "rev",
    "updatedAt",
    "deletedAt",
    "deleteId",
    "edited",
    "writers",
    "purgeAt",
    "parentDeleted",
];
