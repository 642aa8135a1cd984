//! Media assets.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Visibility, or_empty, reference};
use crate::document::Document;
use crate::id::DocId;
use crate::ids::{CampaignId, MediaAssetId};
use crate::time::Timestamp;
use crate::value::Fields;

/// What is known of a picture, a sound or another file. Its bytes are elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MediaAsset {
    /// Its id.
    pub id: MediaAssetId,
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
    /// What its file was called: only ever shown, never part of a path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// What its bytes are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime: Option<String>,
    /// Length in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,
    /// SHA-256 of its bytes, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// CRC32C of its bytes, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crc32c: Option<String>,
    /// Width in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<i64>,
    /// Height in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<i64>,
    /// Length in milliseconds.
    #[serde(
        serialize_with = "crate::number::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub duration_ms: Option<f64>,
    /// What is said in it.
    #[serde(
        default,
        deserialize_with = "or_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub captions: Vec<Value>,
    /// What it shows, for those who can't see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alt: Option<String>,
    /// Smaller and other forms of it.
    #[serde(
        default,
        deserialize_with = "or_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub variants: Vec<MediaVariant>,
    /// Where its bytes are in the bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_path: Option<String>,
    /// Where its bytes can be fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_url: Option<String>,
    /// How far its bytes are; `uploaded` when they are in the bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_state: Option<String>,
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

/// One form of an asset beside the original.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MediaVariant {
    /// Which form: `thumbnail`, `webp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Where its bytes are in the bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Width in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<i64>,
    /// Height in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<i64>,
    /// Length in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
    /// What this version doesn't know.
    #[serde(flatten)]
    pub extra: Fields,
}

impl MediaAsset {
    /// An asset of which only the file's name is known.
    pub fn new(
        id: impl Into<MediaAssetId>,
        campaign_id: impl Into<CampaignId>,
        filename: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            campaign_id: Some(campaign_id.into()),
            visibility: None,
            filename: Some(filename.into()),
            mime: None,
            size: None,
            sha256: None,
            crc32c: None,
            width: None,
            height: None,
            duration_ms: None,
            captions: Vec::new(),
            alt: None,
            variants: Vec::new(),
            storage_path: None,
            storage_url: None,
            upload_state: None,
            created_at: None,
            schema_version: None,
            extra: Fields::new(),
        }
    }
}

impl Document for MediaAsset {
    const COLLECTION: &'static str = "mediaAssets";

    fn id(&self) -> &DocId {
        self.id.doc_id()
    }
}
