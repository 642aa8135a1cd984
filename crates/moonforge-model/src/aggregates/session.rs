//! Sessions.

use serde::{Deserialize, Serialize};

use super::{Visibility, or_empty, reference, references};
use crate::document::Document;
use crate::id::DocId;
use crate::ids::{CampaignId, EncounterId, SceneId, SessionId};
use crate::time::Timestamp;
use crate::value::Fields;

/// One evening of play. It has no `rev`: `updateTime` alone guards it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// Its id.
    pub id: SessionId,
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
    /// Which one it is, counted by people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<i64>,
    /// What it is called.
    #[serde(
        default,
        deserialize_with = "or_empty",
        skip_serializing_if = "String::is_empty"
    )]
    pub title: String,
    /// When it is played.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datetime: Option<Timestamp>,
    /// How far it is: free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// What happened; players write it too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Who was there.
    #[serde(
        default,
        deserialize_with = "or_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub attendee_ids: Vec<String>,
    /// The scenes that were played.
    #[serde(
        default,
        deserialize_with = "references",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub scene_ids: Vec<SceneId>,
    /// The fights that were fought.
    #[serde(
        default,
        deserialize_with = "references",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub encounter_ids: Vec<EncounterId>,
    /// The secret of its public page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_token: Option<String>,
    /// Whether the page is public.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_enabled: Option<bool>,
    /// Until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_expires_at: Option<Timestamp>,
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

impl Session {
    /// A session that nothing is noted of yet.
    pub fn new(
        id: impl Into<SessionId>,
        campaign_id: impl Into<CampaignId>,
        title: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            campaign_id: Some(campaign_id.into()),
            visibility: None,
            number: None,
            title: title.into(),
            datetime: None,
            status: None,
            log: None,
            attendee_ids: Vec::new(),
            scene_ids: Vec::new(),
            encounter_ids: Vec::new(),
            share_token: None,
            share_enabled: None,
            share_expires_at: None,
            created_at: None,
            schema_version: None,
            extra: Fields::new(),
        }
    }
}

impl Document for Session {
    const COLLECTION: &'static str = "sessions";

    fn id(&self) -> &DocId {
        self.id.doc_id()
    }
}
