//! Secrets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Combatant, or_empty, reference};
use crate::document::Document;
use crate::id::{DocId, DocRef, InvalidName};
use crate::ids::{CampaignId, SecretId};
use crate::time::Timestamp;
use crate::value::Fields;

/// What only owner and dm may read about a scene, a session, an encounter or an entity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Secret {
    /// Its id.
    pub id: SecretId,
    /// The campaign that it belongs to.
    #[serde(
        default,
        deserialize_with = "reference",
        skip_serializing_if = "Option::is_none"
    )]
    pub campaign_id: Option<CampaignId>,
    /// The document that it is about: `scenes/abc`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Notes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gm_notes: Option<String>,
    /// What is really going on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<String>,
    /// Hidden combatants, by a key that never changes.
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

impl Secret {
    /// The secret of `target`, with nothing in it yet. There is one a document: its id follows from the target.
    ///
    /// # Errors
    /// The target's names are so long that both don't fit in one id.
    pub fn new(target: &DocRef, campaign_id: impl Into<CampaignId>) -> Result<Self, InvalidName> {
        Ok(Self {
            id: Self::id_of(target)?,
            campaign_id: Some(campaign_id.into()),
            target: Some(target.to_string()),
            gm_notes: None,
            info: None,
            combatants: BTreeMap::new(),
            created_at: None,
            schema_version: None,
            extra: Fields::new(),
        })
    }

    /// The id of the secret of `target`.
    ///
    /// # Errors
    /// As for [`Secret::new`].
    pub fn id_of(target: &DocRef) -> Result<SecretId, InvalidName> {
        SecretId::new(format!("{}~{}", target.collection, target.id))
    }
}

impl Document for Secret {
    const COLLECTION: &'static str = "secrets";

    fn id(&self) -> &DocId {
        self.id.doc_id()
    }
}
