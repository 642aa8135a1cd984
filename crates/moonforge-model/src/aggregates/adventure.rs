//! Adventures.

use serde::{Deserialize, Serialize};

use super::{Visibility, or_empty, reference, references};
use crate::document::Document;
use crate::id::DocId;
use crate::ids::{AdventureId, CampaignId, EntityId};
use crate::order::OrderKey;
use crate::time::Timestamp;
use crate::value::Fields;

/// A story in a campaign, made of chapters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Adventure {
    /// Its id.
    pub id: AdventureId,
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
    /// Its place in the campaign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderKey>,
    /// A few lines about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Its long text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Who and what appears in it.
    #[serde(
        default,
        deserialize_with = "references",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub entity_ids: Vec<EntityId>,
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

impl Adventure {
    /// An adventure with nothing in it yet.
    pub fn new(
        id: impl Into<AdventureId>,
        campaign_id: impl Into<CampaignId>,
        name: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            campaign_id: Some(campaign_id.into()),
            visibility: None,
            name: name.into(),
            order: None,
            summary: None,
            content: None,
            entity_ids: Vec::new(),
            created_at: None,
            schema_version: None,
            extra: Fields::new(),
        }
    }
}

impl Document for Adventure {
    const COLLECTION: &'static str = "adventures";

    fn id(&self) -> &DocId {
        self.id.doc_id()
    }
}
