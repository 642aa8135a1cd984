//! The built-in documents as Rust types, one file each.
//!
//! All are read leniently: what is absent or null is `None` or empty, and what this version doesn't know stays in `extra`.
//! An empty list or map is stored as an absent one.

mod adventure;
mod campaign;
mod chapter;
mod encounter;
mod entity;
mod media_asset;
mod scene;
mod secret;
mod session;
#[cfg(test)]
mod tests;

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

pub use adventure::Adventure;
pub use campaign::{Campaign, Role};
pub use chapter::Chapter;
pub use encounter::{Combatant, Encounter};
pub use entity::{Coords, Entity, EntityImage, EntityKind, Statblock};
pub use media_asset::{MediaAsset, MediaVariant};
pub use scene::{MediaRef, Mention, Scene};
pub use secret::Secret;
pub use session::Session;

/// Who sees a document of a campaign. Where it is absent, only the owner and the dms do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Visibility {
    /// Owner and dms.
    Gm,
    /// All members.
    Players,
    /// What a newer version wrote; players don't see it.
    #[serde(untagged)]
    Other(String),
}

/// Null reads as the empty value.
fn or_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// A reference isn't checked: a text that can't be an id refers to nothing.
fn reference<'de, D: Deserializer<'de>, T: FromStr>(from: D) -> Result<Option<T>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.and_then(|text| text.parse().ok()))
}

/// The same for lists.
fn references<'de, D: Deserializer<'de>, T: FromStr>(from: D) -> Result<Vec<T>, D::Error> {
    let texts = Option::<Vec<String>>::deserialize(from)?.unwrap_or_default();
    Ok(texts.iter().filter_map(|text| text.parse().ok()).collect())
}
