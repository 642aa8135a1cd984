//! Scenes.

use serde::{Deserialize, Serialize};

use super::{Visibility, or_empty, reference, references};
use crate::document::Document;
use crate::id::DocId;
use crate::ids::{CampaignId, ChapterId, EntityId, MediaAssetId, SceneId};
use crate::order::OrderKey;
use crate::time::Timestamp;
use crate::value::Fields;

/// Something that happens at one place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scene {
    /// Its id.
    pub id: SceneId,
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
    /// The chapter that it is part of.
    #[serde(
        default,
        deserialize_with = "reference",
        skip_serializing_if = "Option::is_none"
    )]
    pub chapter_id: Option<ChapterId>,
    /// What it is called.
    #[serde(
        default,
        deserialize_with = "or_empty",
        skip_serializing_if = "String::is_empty"
    )]
    pub title: String,
    /// Its place in the chapter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderKey>,
    /// A few lines about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Its long text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// What is read to the players.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_aloud: Option<String>,
    /// Who and what appears in it.
    #[serde(
        default,
        deserialize_with = "references",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub entity_ids: Vec<EntityId>,
    /// What its text links to.
    #[serde(
        default,
        deserialize_with = "or_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub mentions: Vec<Mention>,
    /// The pictures and sounds in it.
    #[serde(
        default,
        deserialize_with = "or_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub media_refs: Vec<MediaRef>,
    /// The place where it happens.
    #[serde(
        default,
        deserialize_with = "reference",
        skip_serializing_if = "Option::is_none"
    )]
    pub location_id: Option<EntityId>,
    /// How far it is: free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
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

/// A link from a text to a document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mention {
    /// What it is: an entity's kind, or the kind of another document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What this version doesn't know.
    #[serde(flatten)]
    pub extra: Fields,
}

/// A use of a media asset.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MediaRef {
    /// The asset.
    #[serde(
        default,
        deserialize_with = "reference",
        skip_serializing_if = "Option::is_none"
    )]
    pub asset_id: Option<MediaAssetId>,
    /// Which variant of it; the original where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// What this version doesn't know.
    #[serde(flatten)]
    pub extra: Fields,
}

impl Scene {
    /// A scene with nothing in it yet.
    pub fn new(
        id: impl Into<SceneId>,
        campaign_id: impl Into<CampaignId>,
        chapter_id: impl Into<ChapterId>,
        title: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            campaign_id: Some(campaign_id.into()),
            visibility: None,
            chapter_id: Some(chapter_id.into()),
            title: title.into(),
            order: None,
            summary: None,
            content: None,
            read_aloud: None,
            entity_ids: Vec::new(),
            mentions: Vec::new(),
            media_refs: Vec::new(),
            location_id: None,
            status: None,
            created_at: None,
            schema_version: None,
            extra: Fields::new(),
        }
    }
}

impl Document for Scene {
    const COLLECTION: &'static str = "scenes";

    fn id(&self) -> &DocId {
        self.id.doc_id()
    }
}
