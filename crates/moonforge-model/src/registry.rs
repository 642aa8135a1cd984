//! The collections that a store holds: the built-in ones and an app's own, registered by the same call.

use crate::builtin::builtin;
use crate::id::Collection;
use crate::schema::CollectionConfig;

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
            // The names are distinct and none is reserved, as a test says; a twin would simply not be taken.
            let _ = registry.register(config);
        }
        registry
    }

    /// Adds a collection.
    pub fn register(&mut self, config: CollectionConfig) -> Result<(), RegistryError> {
        if matches!(config.name.as_str(), "beacons" | "invites") {
            return Err(RegistryError::Reserved(config.name));
        }
        if self.get(config.name.as_str()).is_some() {
            return Err(RegistryError::Twice(config.name));
        }
        self.0.push(config);
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

/// The collections whose documents hang below those of `collection`, and the field by which: what falls with a delete.
///
/// Everything in a campaign carries `campaignId`, so a campaign's children are all of them.
pub fn children_of(registry: &Registry, collection: &Collection) -> Vec<(Collection, String)> {
    registry
        .iter()
        .filter_map(|c| {
            if collection.as_str() == "campaigns" {
                return c
                    .in_campaign
                    .then(|| (c.name.clone(), "campaignId".to_owned()));
            }
            let parent = c.parent.as_ref()?;
            (parent.collection == *collection).then(|| (c.name.clone(), parent.field.clone()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn children(collection: &str) -> Vec<String> {
        children_of(&Registry::builtin(), &Collection::new(collection).unwrap())
            .into_iter()
            .map(|(c, field)| format!("{c} by {field}"))
            .collect()
    }

    #[test]
    fn all_nine_are_registered() {
        let names: Vec<_> = Registry::builtin()
            .iter()
            .map(|c| c.name.to_string())
            .collect();
        assert_eq!(
            names,
            [
                "campaigns",
                "adventures",
                "chapters",
                "scenes",
                "entities",
                "encounters",
                "sessions",
                "mediaAssets",
                "secrets"
            ]
        );
    }

    #[test]
    fn a_name_is_registered_once_and_never_the_protocols() {
        let mut registry = Registry::builtin();
        let scenes = registry.get("scenes").unwrap().clone();
        assert!(matches!(
            registry.register(scenes.clone()),
            Err(RegistryError::Twice(_))
        ));
        let beacons = CollectionConfig {
            name: Collection::new("beacons").unwrap(),
            ..scenes
        };
        assert!(matches!(
            registry.register(beacons),
            Err(RegistryError::Reserved(_))
        ));
    }

    #[test]
    fn a_delete_falls_as_the_hierarchy_says() {
        assert_eq!(children("campaigns").len(), 8);
        assert_eq!(children("adventures"), ["chapters by adventureId"]);
        assert_eq!(children("chapters"), ["scenes by chapterId"]);
        assert!(children("scenes").is_empty());
    }
}
