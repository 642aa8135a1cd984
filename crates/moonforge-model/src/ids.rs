//! Ids that say which collection they belong to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{DocId, InvalidName};

macro_rules! typed_id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(DocId);

        impl $name {
            /// Checks and takes a text.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
                DocId::new(text).map(Self)
            }

            /// The id without its kind.
            pub fn doc_id(&self) -> &DocId {
                &self.0
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl From<DocId> for $name {
            fn from(id: DocId) -> Self {
                Self(id)
            }
        }

        impl From<$name> for DocId {
            fn from(id: $name) -> DocId {
                id.0
            }
        }

        impl AsRef<DocId> for $name {
            fn as_ref(&self) -> &DocId {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }
    )+};
}

typed_id! {
    /// The id of a campaign.
    CampaignId,
    /// The id of an adventure.
    AdventureId,
    /// The id of a chapter.
    ChapterId,
    /// The id of a scene.
    SceneId,
    /// The id of an entity.
    EntityId,
    /// The id of an encounter.
    EncounterId,
    /// The id of a session.
    SessionId,
    /// The id of a media asset.
    MediaAssetId,
    /// The id of a secret: `{collection}~{id}` of the document that it is about.
    SecretId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_id_is_a_plain_text_in_json() {
        let id: SceneId = serde_json::from_str("\"ash-road\"").unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"ash-road\"");
        assert_eq!(DocId::from(id.clone()), *id.doc_id());
        assert!(serde_json::from_str::<SceneId>("\"a/b\"").is_err());
    }
}
