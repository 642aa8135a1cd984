//! The collections that a store holds: the built-in ones and an app's own, registered by the same call.

use crate::builtin::builtin;
use crate::id::Collection;
use crate::path::{InvalidPath, check_field_name};
use crate::policy::{FieldPolicy, InvalidPolicy};
use crate::schema::{CollectionConfig, Field, FieldKind, RESERVED_FIELDS};

/// Collections in the order of their registration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry(Vec<CollectionConfig>);

/// Why a collection can't be registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Two of one name.
    #[error("the collection `{0}` is registered twice")]
    Twice(Collection),
    /// The sync protocol uses the name itself.
    #[error("the name `{0}` belongs to the sync protocol")]
    Reserved(Collection),
    /// `~` parts the collection from the id in a secret's id.
    #[error("a collection's name can't contain `~`: {0}")]
    Tilde(Collection),
    /// Two fields of one name.
    #[error("the collection `{0}` lists the field `{1}` twice")]
    FieldTwice(Collection, String),
    /// `id`, or a field that the sync protocol keeps.
    #[error("the collection `{0}` lists the field `{1}`, which belongs to the sync protocol")]
    FieldReserved(Collection, String),
    /// A name that Firestore wouldn't take.
    #[error("the collection `{0}` lists a field that can't be one: {1}")]
    FieldName(Collection, #[source] InvalidPath),
    /// A policy that can't be stated for this collection.
    #[error("a policy of the collection `{0}` can't be: {1}")]
    Policy(Collection, #[source] InvalidPolicy),
    /// A policy is stated for a collection that isn't registered.
    #[error("a policy is stated for the collection `{0}`, which isn't registered")]
    Unknown(String),
    /// A field by which no scope can narrow it down: one of the sync protocol, `campaignId`, which always can, or one that
    /// holds no text.
    #[error("the collection `{0}` can't have the scope key `{1}`")]
    ScopeKey(Collection, String),
}

impl Registry {
    /// No collections.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The eight aggregates and secrets.
    pub fn builtin() -> Self {
        let mut registry = Self::empty();
        for config in builtin() {
            registry
                .register(config)
                .expect("the built-in collections are sound and distinct");
        }
        registry
    }

    /// Adds a collection.
    pub fn register(&mut self, config: CollectionConfig) -> Result<(), RegistryError> {
        if matches!(config.name.as_str(), "beacons" | "invites") {
            return Err(RegistryError::Reserved(config.name));
        }
        if config.name.as_str().contains('~') {
            return Err(RegistryError::Tilde(config.name));
        }
        if self.get(config.name.as_str()).is_some() {
            return Err(RegistryError::Twice(config.name));
        }
        for field in &config.fields {
            if field.name == "id" || RESERVED_FIELDS.contains(&field.name.as_str()) {
                return Err(RegistryError::FieldReserved(
                    config.name,
                    field.name.clone(),
                ));
            }
        }
        check_fields(&config.name, &config.fields)?;
        config
            .check_policies()
            .map_err(|error| RegistryError::Policy(config.name.clone(), error))?;
        for key in &config.scope_keys {
            let kind = config.kind_of(key);
            let fits = check_field_name(key).is_ok()
                && !key.contains(['=', ',', ':', '.', '`'])
                && !["id", "campaignId"].contains(&key.as_str())
                && !RESERVED_FIELDS.contains(&key.as_str())
                && matches!(
                    kind,
                    FieldKind::String
                        | FieldKind::StringList
                        | FieldKind::OneOf(_)
                        | FieldKind::Any
                );
            if !fits {
                return Err(RegistryError::ScopeKey(config.name.clone(), key.clone()));
            }
        }
        self.0.push(config);
        Ok(())
    }

    /// States a policy for a collection that is registered, also a built-in one: for the place at `path`, or for all fields
    /// without one of their own.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`], and [`RegistryError::Policy`] as [`CollectionConfig::with_policy`] gives.
    pub fn state_policy(
        &mut self,
        collection: &str,
        path: Option<&str>,
        policy: FieldPolicy,
    ) -> Result<(), RegistryError> {
        let config = self.0.iter_mut().find(|c| c.name.as_str() == collection);
        let config = config.ok_or_else(|| RegistryError::Unknown(collection.to_owned()))?;
        let stated = match path {
            Some(path) => config.clone().with_policy(path, policy),
            None => config.clone().with_policy_for_all(policy),
        };
        *config = stated.map_err(|error| RegistryError::Policy(config.name.clone(), error))?;
        Ok(())
    }

    /// What is known of a collection.
    pub fn get(&self, name: &str) -> Option<&CollectionConfig> {
        self.0.iter().find(|c| c.name.as_str() == name)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &CollectionConfig> {
        self.0.iter()
    }
}

fn check_fields(collection: &Collection, fields: &[Field]) -> Result<(), RegistryError> {
    for (i, field) in fields.iter().enumerate() {
        check_field_name(&field.name)
            .map_err(|error| RegistryError::FieldName(collection.clone(), error))?;
        if fields[..i].iter().any(|f| f.name == field.name) {
            return Err(RegistryError::FieldTwice(
                collection.clone(),
                field.name.clone(),
            ));
        }
        check_fields(collection, &field.members)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(name: &str, fields: &[&str]) -> CollectionConfig {
        let fields = fields.iter().map(|f| Field::new(*f, FieldKind::String));
        CollectionConfig::new(Collection::new(name).unwrap(), fields)
    }

    #[test]
    fn all_nine_are_registered() {
        let registry = Registry::builtin();
        let names: Vec<_> = registry.iter().map(|c| c.name.as_str()).collect();
        let expected =
            "campaigns adventures chapters scenes entities encounters sessions mediaAssets secrets";
        assert_eq!(names.join(" "), expected);
    }

    #[test]
    fn an_apps_own_collection_stands_behind_the_built_in_ones() {
        let mut registry = Registry::builtin();
        registry.register(config("factions", &["name"])).unwrap();
        assert_eq!(registry.iter().last(), registry.get("factions"));
        assert_eq!(registry.get("guilds"), None);
    }

    #[test]
    fn a_collection_that_would_clash_is_refused() {
        let refused = |config| {
            let mut registry = Registry::builtin();
            let error = registry.register(config).unwrap_err();
            assert_eq!(registry, Registry::builtin());
            error
        };
        assert!(matches!(
            refused(config("scenes", &[])),
            RegistryError::Twice(_)
        ));
        assert!(matches!(
            refused(config("beacons", &[])),
            RegistryError::Reserved(_)
        ));
        assert!(matches!(
            refused(config("invites", &[])),
            RegistryError::Reserved(_)
        ));
        assert!(matches!(
            refused(config("a~b", &[])),
            RegistryError::Tilde(_)
        ));
        let twice = refused(config("factions", &["name", "name"]));
        assert!(matches!(twice, RegistryError::FieldTwice(..)));
        for name in ["id", "rev", "writers"] {
            let reserved = refused(config("factions", &[name]));
            assert!(matches!(reserved, RegistryError::FieldReserved(..)));
        }
        for key in ["rev", "id", "campaignId", "a.b", "", "createdAt"] {
            let key = refused(config("factions", &[]).with_scope_keys([key]));
            assert!(matches!(key, RegistryError::ScopeKey(..)));
        }
        for name in ["", "__x__"] {
            let bad = refused(config("factions", &[name]));
            assert!(matches!(bad, RegistryError::FieldName(..)));
        }
    }
}
