//! How concurrent edits of one place are settled, by field and by collection.
//!
//! Some policies join what both sides did, so that nothing is lost; the others choose a side, and what loses goes to the
//! conflict journal. A joining policy is about the very path that it is stated for. A choosing one holds for all below it
//! too, until one further down is nearer; the collection's own stands above all.

use serde::{Deserialize, Serialize};

use crate::path::{FieldPath, InvalidPath};
use crate::schema::{CollectionConfig, FieldKind};

/// A name in a policy's path that stands for any name: `` combatants.`*`.currentHp ``.
pub const ANY_NAME: &str = "*";

/// How concurrent edits of one place are settled.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum FieldPolicy {
    /// The later edit wins; the other goes to the journal.
    #[default]
    LaterWins,
    /// What is at the remote wins, whenever it was written: whoever syncs first.
    RemoteWins,
    /// What was written here wins, whenever it was written: whoever syncs last.
    LocalWins,
    /// A person decides. Until then what is at the remote stays on all devices, and ours waits in the journal.
    Manual,
    /// A text, merged by line; where both changed the same lines, the choosing policy above it decides.
    Text,
    /// A map from keys to entries, merged by entry, then by field. An entry comes and goes as one thing.
    KeyedMap,
    /// A list whose order means nothing: what either side added is in it, what either side took out is not.
    Set,
    /// A number to which both sides' changes are added.
    Counter,
}

/// Why a policy can't be stated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPolicy {
    /// The path makes no sense.
    #[error(transparent)]
    Path(#[from] InvalidPath),
    /// What a collection's policy is for is to choose a side.
    #[error("a policy for all fields has to choose a side; `{0:?}` is about a single field")]
    NotForAll(FieldPolicy),
    /// The protocol decides this field itself.
    #[error("how `{0}` is merged is fixed")]
    Fixed(FieldPath),
    /// The field holds something else than the policy is for.
    #[error("`{0}` doesn't hold what the policy `{1:?}` is for")]
    Kind(FieldPath, FieldPolicy),
    /// Each thing below a set, a counter or a text is part of one value.
    #[error("`{0}` is part of one value, which is merged as a whole")]
    InsideValue(FieldPath),
}

impl FieldPolicy {
    /// Whether it chooses a side, rather than joining what both did.
    pub fn chooses(self) -> bool {
        match self {
            Self::LaterWins | Self::RemoteWins | Self::LocalWins | Self::Manual => true,
            Self::Text | Self::KeyedMap | Self::Set | Self::Counter => false,
        }
    }

    fn fits(self, kind: FieldKind) -> bool {
        use FieldKind as K;
        let any = kind == K::Any;
        match self {
            Self::Text => any || matches!(kind, K::String | K::Text),
            Self::KeyedMap => any || matches!(kind, K::Map | K::KeyedMap),
            Self::Set => any || matches!(kind, K::StringList | K::List),
            Self::Counter => any || matches!(kind, K::Integer | K::Number),
            Self::LaterWins | Self::RemoteWins | Self::LocalWins | Self::Manual => true,
        }
    }
}

impl CollectionConfig {
    /// States a policy for the place at `path`, whose names may be [`ANY_NAME`]; the last call for a path counts.
    ///
    /// ```
    /// use moonforge_model::{Collection, CollectionConfig, Field, FieldKind, FieldPolicy};
    /// let factions = CollectionConfig::new(
    ///     Collection::new("factions")?,
    ///     [Field::new("strength", FieldKind::Integer), Field::new("members", FieldKind::Map)],
    /// )
    /// .with_policy("strength", FieldPolicy::Counter)?
    /// .with_policy("members.`*`.oath", FieldPolicy::Manual)?;
    /// assert_eq!(factions.policy(&"members.vex.oath".parse()?), FieldPolicy::Manual);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A path that makes no sense, a field whose merge is fixed (`id`, `campaignId`, `createdAt`, the protocol's own), or one
    /// that doesn't hold what the policy is for.
    pub fn with_policy(mut self, path: &str, policy: FieldPolicy) -> Result<Self, InvalidPolicy> {
        let path: FieldPath = path.parse()?;
        self.check_policy(&path, policy)?;
        self.policies.insert(path, policy);
        Ok(self)
    }

    /// States the policy of all fields that have none of their own, nor one above them.
    ///
    /// # Errors
    /// A policy that chooses no side.
    pub fn with_policy_for_all(mut self, policy: FieldPolicy) -> Result<Self, InvalidPolicy> {
        if !policy.chooses() {
            return Err(InvalidPolicy::NotForAll(policy));
        }
        self.policy_for_all = policy;
        Ok(self)
    }

    pub(crate) fn check_policies(&self) -> Result<(), InvalidPolicy> {
        if !self.policy_for_all.chooses() {
            return Err(InvalidPolicy::NotForAll(self.policy_for_all));
        }
        self.policies
            .iter()
            .try_for_each(|(path, policy)| self.check_policy(path, *policy))
    }

    fn check_policy(&self, path: &FieldPath, policy: FieldPolicy) -> Result<(), InvalidPolicy> {
        let root = path.root();
        let fixed = ["id", "campaignId", "createdAt", ANY_NAME];
        if fixed.contains(&root) || crate::schema::RESERVED_FIELDS.contains(&root) {
            return Err(InvalidPolicy::Fixed(path.clone()));
        }
        let mut fields = &self.fields[..];
        let mut kind = FieldKind::Any;
        for (depth, name) in path.segments().iter().enumerate() {
            match kind {
                _ if depth == 0 => {}
                FieldKind::Any | FieldKind::Map | FieldKind::KeyedMap => {}
                _ => return Err(InvalidPolicy::InsideValue(path.clone())),
            }
            // The keys of a keyed map are no fields: what is known below them is of each entry.
            if kind == FieldKind::KeyedMap {
                kind = FieldKind::Map;
                continue;
            }
            let known = fields.iter().find(|f| f.name == *name);
            kind = known.map_or(FieldKind::Any, |f| f.kind);
            fields = known.map_or(&[], |f| &f.members);
        }
        let joined_above = std::iter::successors(path.parent(), FieldPath::parent)
            .any(|above| matches!(self.stated(&above), Some(p) if !p.chooses() && p != FieldPolicy::KeyedMap));
        if joined_above {
            return Err(InvalidPolicy::InsideValue(path.clone()));
        }
        match policy.fits(kind) {
            true => Ok(()),
            false => Err(InvalidPolicy::Kind(path.clone(), policy)),
        }
    }

    /// The policy stated for the very place.
    pub(crate) fn stated(&self, path: &FieldPath) -> Option<FieldPolicy> {
        if self.policies.is_empty() {
            return None;
        }
        let exact = self.policies.get(path).copied();
        exact.or_else(|| {
            let fitting = self.policies.iter().find(|(pattern, _)| {
                let (pattern, names) = (pattern.segments(), path.segments());
                pattern.len() == names.len() && begins(pattern, names)
            });
            fitting.map(|(_, policy)| *policy)
        })
    }

    /// How concurrent edits of `path` are settled: what joins them where that is stated for the path or follows from its
    /// kind, else [`CollectionConfig::side_policy`].
    pub fn policy(&self, path: &FieldPath) -> FieldPolicy {
        if let Some(policy) = self.stated(path) {
            return policy;
        }
        if self.is_text(path) {
            return FieldPolicy::Text;
        }
        let keyed = path.segments().len() == 1 && self.kind_of(path.root()) == FieldKind::KeyedMap;
        match keyed {
            true => FieldPolicy::KeyedMap,
            false => self.side_policy(path),
        }
    }

    /// Which side wins where edits of `path` can't be joined: the nearest choosing policy at or above it.
    pub fn side_policy(&self, path: &FieldPath) -> FieldPolicy {
        if self.policies.is_empty() {
            return self.policy_for_all;
        }
        std::iter::successors(Some(path.clone()), FieldPath::parent)
            .filter_map(|p| self.stated(&p))
            .find(|policy| policy.chooses())
            .unwrap_or(self.policy_for_all)
    }

    /// The paths strictly below `path` for which a choosing policy is stated, as far as one of `values`, which stand at
    /// `path`, has something there.
    pub(crate) fn sides_below(
        &self,
        path: &FieldPath,
        values: [Option<&serde_json::Value>; 3],
    ) -> Vec<FieldPath> {
        let depth = path.segments().len();
        let mut found = Vec::new();
        for (pattern, policy) in &self.policies {
            let names = pattern.segments();
            if policy.chooses() && names.len() > depth && begins(&names[..depth], path.segments()) {
                descend(path, &names[depth..], values, &mut found);
            }
        }
        found.sort();
        found.dedup();
        found
    }
}

/// Whether `names` begins with what `pattern` says.
fn begins(pattern: &[String], names: &[String]) -> bool {
    let fits = |(p, n): (&String, &String)| p == n || p == ANY_NAME;
    pattern.len() <= names.len() && pattern.iter().zip(names).all(fits)
}

fn descend(
    at: &FieldPath,
    rest: &[String],
    values: [Option<&serde_json::Value>; 3],
    found: &mut Vec<FieldPath>,
) {
    let Some((name, rest)) = rest.split_first() else {
        if values.iter().any(Option::is_some) {
            found.push(at.clone());
        }
        return;
    };
    let mut names: Vec<&str> = match name == ANY_NAME {
        true => {
            let maps = values.iter().flatten().filter_map(|v| v.as_object());
            maps.flat_map(|map| map.keys().map(String::as_str))
                .collect()
        }
        false => vec![name],
    };
    names.sort_unstable();
    names.dedup();
    for name in names {
        let below = values.map(|v| v.and_then(|v| v.as_object()?.get(name)));
        descend(&at.child(name), rest, below, found);
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
