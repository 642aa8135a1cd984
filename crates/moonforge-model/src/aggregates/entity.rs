//! Entities.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Visibility, or_empty, reference};
use crate::document::Document;
use crate::id::DocId;
use crate::ids::{CampaignId, EntityId, MediaAssetId};
use crate::time::Timestamp;
use crate::value::Fields;

/// Somebody, something or some place in the world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entity {
    /// Its id.
    pub id: EntityId,
    /// The campaign that it belongs to.
    #[serde(
        default,
        deserialize_with = "reference",
        skip_serializing_if = "Option::is_none"
    )]
    pub campaign_id: Option<CampaignId>,
    /// Who sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
    /// What it is.
    #[serde(
        default,
        deserialize_with = "or_empty",
        skip_serializing_if = "EntityKind::is_absent"
    )]
    pub kind: EntityKind,
    /// What it is called.
    #[serde(
        default,
        deserialize_with = "or_empty",
        skip_serializing_if = "String::is_empty"
    )]
    pub name: String,
    /// The kind of document that it was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin_type: Option<String>,
    /// The document that it was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin_id: Option<String>,
    /// A few lines about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Words to find it by.
    #[serde(
        default,
        deserialize_with = "or_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub tags: Vec<String>,
    /// Its long text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Its numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statblock: Option<Statblock>,
    /// For a place: what kind of place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place_type: Option<String>,
    /// For a place: the place around it.
    #[serde(
        default,
        deserialize_with = "reference",
        skip_serializing_if = "Option::is_none"
    )]
    pub parent_place_id: Option<EntityId>,
    /// For a place: where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coords: Option<Coords>,
    /// Its pictures.
    #[serde(
        default,
        deserialize_with = "or_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub images: Vec<EntityImage>,
    /// For a group: who belongs to it.
    #[serde(
        default,
        deserialize_with = "or_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub members: Vec<Value>,
    /// The accounts whose players may write it.
    #[serde(
        default,
        deserialize_with = "or_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub player_uids: Vec<String>,
    /// Whatever else is noted of it, by name.
    #[serde(
        default,
        deserialize_with = "or_empty",
        skip_serializing_if = "Fields::is_empty"
    )]
    pub props: Fields,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// The version of the model that wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_version: Option<i64>,
    /// What this version doesn't know.
    #[serde(flatten)]
    pub extra: Fields,
}

/// What an entity is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EntityKind {
    /// Somebody.
    Npc,
    /// Something to fight.
    Monster,
    /// Several who belong together.
    Group,
    /// Somewhere.
    Place,
    /// Something to carry.
    Item,
    /// Something to show to players.
    Handout,
    /// Notes.
    Journal,
    /// What a newer version wrote; an empty text where there is none.
    #[serde(untagged)]
    Other(String),
}

impl EntityKind {
    fn is_absent(&self) -> bool {
        matches!(self, Self::Other(text) if text.is_empty())
    }
}

impl Default for EntityKind {
    fn default() -> Self {
        Self::Other(String::new())
    }
}

/// An entity's numbers, of any game.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statblock {
    /// Where they come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Which entry of the rules' reference they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub srd_ref: Option<Value>,
    /// The numbers themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// What this version doesn't know.
    #[serde(flatten)]
    pub extra: Fields,
}

/// A point on a map.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Coords {
    /// Degrees to the north, or the map's own unit.
    #[serde(
        serialize_with = "crate::number::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub lat: Option<f64>,
    /// Degrees to the east, or the map's own unit.
    #[serde(
        serialize_with = "crate::number::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub lng: Option<f64>,
    /// What this version doesn't know.
    #[serde(flatten)]
    pub extra: Fields,
}

/// A picture of an entity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EntityImage {
    /// The asset.
    #[serde(
        default,
        deserialize_with = "reference",
        skip_serializing_if = "Option::is_none"
    )]
    pub asset_id: Option<MediaAssetId>,
    /// What it shows: a portrait, a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What this version doesn't know.
    #[serde(flatten)]
    pub extra: Fields,
}

impl Entity {
    /// An entity with nothing noted of it yet.
    pub fn new(
        id: impl Into<EntityId>,
        campaign_id: impl Into<CampaignId>,
        kind: EntityKind,
        name: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            campaign_id: Some(campaign_id.into()),
            visibility: None,
            kind,
            name: name.into(),
            origin_type: None,
            origin_id: None,
            summary: None,
            tags: Vec::new(),
            content: None,
            statblock: None,
            place_type: None,
            parent_place_id: None,
            coords: None,
            images: Vec::new(),
            members: Vec::new(),
            player_uids: Vec::new(),
            props: Fields::new(),
            created_at: None,
            schema_version: None,
            extra: Fields::new(),
        }
    }
}

impl Document for Entity {
    const COLLECTION: &'static str = "entities";

    fn id(&self) -> &DocId {
        self.id.doc_id()
    }
}
