//! Writing a collection's description: the built-in ones use nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::id::Collection;
use crate::policy::FieldPolicy;
use crate::schema::{CollectionConfig, Field, FieldKind, Guard, Parent, Priority};

impl Field {
    /// An optional field.
    pub fn new(name: impl Into<String>, kind: FieldKind) -> Self {
        Self {
            name: name.into(),
            kind,
            required: false,
            members: Vec::new(),
        }
    }

    /// The same, but refused on write where it is absent.
    pub fn required(name: impl Into<String>, kind: FieldKind) -> Self {
        Self {
            required: true,
            ..Self::new(name, kind)
        }
    }

    /// What the members of this map, or of each of its items or entries, hold. `required` means nothing there.
    pub fn holding(self, members: impl IntoIterator<Item = Field>) -> Self {
        Self {
            members: members.into_iter().collect(),
            ..self
        }
    }
}

impl CollectionConfig {
    /// A collection in a campaign, with the fields that all of those have (`campaignId`, `visibility`, `createdAt`,
    /// `schemaVersion`) before its own; guarded by `rev`, pulled every 15 minutes, of medium priority.
    ///
    /// ```
    /// use moonforge_model::{Collection, CollectionConfig, Field, FieldKind, Registry};
    /// let factions = CollectionConfig::new(
    ///     Collection::new("factions")?,
    ///     [Field::required("name", FieldKind::String), Field::new("creed", FieldKind::Text)],
    /// );
    /// let mut registry = Registry::builtin();
    /// registry.register(factions)?;
    /// assert!(registry.get("factions").is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(name: Collection, fields: impl IntoIterator<Item = Field>) -> Self {
        let common = [
            Field::required("campaignId", FieldKind::String),
            Field::new("visibility", FieldKind::OneOf(&["gm", "players"])),
            Field::new("createdAt", FieldKind::Timestamp),
            Field::new("schemaVersion", FieldKind::Integer),
        ];
        Self {
            name,
            guard: Guard::Rev,
            fields: common.into_iter().chain(fields).collect(),
            in_campaign: true,
            has_visibility: true,
            parent: None,
            policies: BTreeMap::new(),
            policy_for_all: FieldPolicy::LaterWins,
            interval: Duration::from_secs(30 * 60),
            priority: Priority::Medium,
            scope_keys: Vec::new(),
        }
    }

    /// Its documents hang below those of `collection`, whose id stands in `field`.
    pub fn below(self, collection: Collection, field: impl Into<String>) -> Self {
        Self {
            parent: Some(Parent {
                field: field.into(),
                collection,
            }),
            ..self
        }
    }

    /// Fields by which a scope may narrow it down. Firestore needs an index over each of them and `updatedAt`.
    pub fn with_scope_keys<K: Into<String>>(self, keys: impl IntoIterator<Item = K>) -> Self {
        Self {
            scope_keys: keys.into_iter().map(Into::into).collect(),
            ..self
        }
    }

    /// Its place in the push order.
    pub fn with_priority(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }
}
