//! Campaigns.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{or_empty, reference};
use crate::document::Document;
use crate::id::DocId;
use crate::ids::{CampaignId, MediaAssetId};
use crate::time::Timestamp;
use crate::value::Fields;

/// The container of everything else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Campaign {
    /// Its id.
    pub id: CampaignId,
    /// What it is called.
    #[serde(
        default,
        deserialize_with = "or_empty",
        skip_serializing_if = "String::is_empty"
    )]
    pub name: String,
    /// A few lines about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its long text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// The account that owns it; stamped at the first push where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_uid: Option<String>,
    /// The accounts that can read it; likewise.
    #[serde(
        default,
        deserialize_with = "or_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub member_uids: Vec<String>,
    /// What each account may do; a member without a role is a dm.
    #[serde(
        default,
        deserialize_with = "or_empty",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub roles: BTreeMap<String, Role>,
    /// The game's rules, such as `5e`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ruleset: Option<String>,
    /// The picture on its cover.
    #[serde(
        default,
        deserialize_with = "reference",
        skip_serializing_if = "Option::is_none"
    )]
    pub cover_asset_id: Option<MediaAssetId>,
    /// The name of an icon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
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

/// What an account may do in a campaign that it doesn't own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Reads and writes everything.
    Dm,
    /// Reads what players see, writes their own characters and the session's log.
    Player,
    /// Reads what players see.
    Viewer,
    /// What a newer version wrote.
    #[serde(untagged)]
    Other(Value),
}

impl Campaign {
    /// A campaign with nothing in it yet.
    pub fn new(id: impl Into<CampaignId>, name: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            description: None,
            content: None,
            owner_uid: None,
            member_uids: Vec::new(),
            roles: BTreeMap::new(),
            ruleset: None,
            cover_asset_id: None,
            icon: None,
            created_at: None,
            schema_version: None,
            extra: Fields::new(),
        }
    }
}

impl Document for Campaign {
    const COLLECTION: &'static str = "campaigns";

    fn id(&self) -> &DocId {
        self.id.doc_id()
    }
}
