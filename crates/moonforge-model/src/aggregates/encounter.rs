//! Encounters.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Visibility, or_empty, reference, references};
use crate::document::Document;
use crate::id::DocId;
use crate::ids::{CampaignId, EncounterId, EntityId};
use crate::order::OrderKey;
use crate::time::Timestamp;
use crate::value::Fields;

/// A fight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Encounter {
    /// Its id.
    pub id: EncounterId,
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
    /// What it is called.
    #[serde(
        default,
        deserialize_with = "or_empty",
        skip_serializing_if = "String::is_empty"
    )]
    pub name: String,
    /// The document that it was made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin_id: Option<String>,
    /// How far it is: free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The round that is being played.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round: Option<i64>,
    /// Whose turn it is: a key of `combatants`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_combatant_id: Option<String>,
    /// Notes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// What there is to win.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loot: Option<String>,
    /// Who and what appears in it.
    #[serde(
        default,
        deserialize_with = "references",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub entity_ids: Vec<EntityId>,
    /// Who fights, by a key that never changes.
    #[serde(
        default,
        deserialize_with = "or_empty",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub combatants: BTreeMap<String, Combatant>,
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

/// One who fights.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Combatant {
    /// What it is called.
    #[serde(
        default,
        deserialize_with = "or_empty",
        skip_serializing_if = "String::is_empty"
    )]
    pub name: String,
    /// What it is: a character, a monster.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(rename = "type")]
    pub combatant_type: Option<String>,
    /// Whether it is on the players' side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_ally: Option<bool>,
    /// Hit points left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_hp: Option<i64>,
    /// Hit points when unhurt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_hp: Option<i64>,
    /// Hit points on top.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temp_hp: Option<i64>,
    /// How hard it is to hit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub armor_class: Option<i64>,
    /// Its place in the round; fractions break ties.
    #[serde(
        serialize_with = "crate::number::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub initiative: Option<f64>,
    /// What is added to its roll.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initiative_modifier: Option<i64>,
    /// The entity that it is.
    #[serde(
        default,
        deserialize_with = "reference",
        skip_serializing_if = "Option::is_none"
    )]
    pub entity_id: Option<EntityId>,
    /// Challenge rating, as text: `1/4`, `5`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cr: Option<String>,
    /// Experience for defeating it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xp: Option<i64>,
    /// What it suffers from.
    #[serde(
        default,
        deserialize_with = "or_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub conditions: Vec<String>,
    /// Notes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// Its place in the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderKey>,
    /// What this version doesn't know.
    #[serde(flatten)]
    pub extra: Fields,
}

impl Encounter {
    /// An encounter with nobody in it yet.
    pub fn new(
        id: impl Into<EncounterId>,
        campaign_id: impl Into<CampaignId>,
        name: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            campaign_id: Some(campaign_id.into()),
            visibility: None,
            name: name.into(),
            origin_id: None,
            status: None,
            round: None,
            active_combatant_id: None,
            notes: None,
            loot: None,
            entity_ids: Vec::new(),
            combatants: BTreeMap::new(),
            created_at: None,
            schema_version: None,
            extra: Fields::new(),
        }
    }
}

impl Document for Encounter {
    const COLLECTION: &'static str = "encounters";

    fn id(&self) -> &DocId {
        self.id.doc_id()
    }
}
