//! What falls with a document that is deleted.

use crate::id::Collection;
use crate::registry::Registry;

/// The collections whose documents hang directly below those of `collection`, in the order of registration, and the field
/// of theirs that holds the parent's id.
///
/// A campaign's children are all that carry `campaignId`; elsewhere [`CollectionConfig::parent`] says it, so an app's own
/// collections take part. Whoever deletes a document walks from it, child by child, and should remember what it has seen:
/// nothing keeps two collections from naming each other as parents.
///
/// [`CollectionConfig::parent`]: crate::CollectionConfig::parent
pub fn children_of(registry: &Registry, collection: &Collection) -> Vec<(Collection, String)> {
    let field_of = |config: &crate::CollectionConfig| {
        if collection.as_str() == "campaigns" && config.in_campaign {
            return Some("campaignId".to_owned());
        }
        let parent = config.parent.as_ref()?;
        (parent.collection == *collection).then(|| parent.field.clone())
    };
    registry
        .iter()
        .filter_map(|config| Some((config.name.clone(), field_of(config)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{CollectionConfig, Field, FieldKind};

    fn children(registry: &Registry, collection: &str) -> Vec<String> {
        children_of(registry, &Collection::new(collection).unwrap())
            .into_iter()
            .map(|(child, field)| format!("{child}.{field}"))
            .collect()
    }

    #[test]
    fn a_campaign_takes_everything_with_its_id() {
        let registry = Registry::builtin();
        let expected: Vec<_> = registry
            .iter()
            .skip(1)
            .map(|c| format!("{}.campaignId", c.name))
            .collect();
        assert_eq!(expected.len(), 8);
        assert_eq!(children(&registry, "campaigns"), expected);
    }

    #[test]
    fn adventures_take_chapters_and_those_take_scenes() {
        let registry = Registry::builtin();
        assert_eq!(children(&registry, "adventures"), ["chapters.adventureId"]);
        assert_eq!(children(&registry, "chapters"), ["scenes.chapterId"]);
        for leaf in [
            "scenes",
            "entities",
            "encounters",
            "sessions",
            "mediaAssets",
            "secrets",
        ] {
            assert!(children(&registry, leaf).is_empty(), "{leaf}");
        }
    }

    #[test]
    fn an_apps_own_collection_falls_with_its_parent_and_its_campaign() {
        let mut registry = Registry::builtin();
        let named = |name| Collection::new(name).unwrap();
        let clues =
            CollectionConfig::new(named("clues"), [Field::new("sceneId", FieldKind::String)])
                .below(named("scenes"), "sceneId");
        registry.register(clues).unwrap();
        assert_eq!(children(&registry, "scenes"), ["clues.sceneId"]);
        assert_eq!(
            children(&registry, "campaigns").last().unwrap(),
            "clues.campaignId"
        );
    }
}
