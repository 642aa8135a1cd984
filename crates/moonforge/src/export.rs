//! Reading a database as a whole.

use futures_core::Stream;
use futures_util::StreamExt;
use moonforge_model::DocId;
use moonforge_store::Tree;
use serde_json::Value;

use crate::error::Error;
use crate::forge::Moonforge;

impl Moonforge {
    /// All visible documents, or those of one collection, each as `{"collection", "id", …document}` without the fields of
    /// the sync protocol: what `moonforge import` takes. A field `collection` of the document's own goes by `$collection`,
    /// and one that is called so by `$$collection`. Read as it is asked for, some hundreds at a time.
    ///
    /// # Errors
    /// `unknown_collection`; items are errors of the local store.
    pub fn export(
        &self,
        collection: Option<&str>,
    ) -> Result<impl Stream<Item = Result<Value, Error>> + Send + use<>, Error> {
        let collection = collection.map(|name| self.collection(name)).transpose()?;
        let lines = self.store().export(collection.as_ref())?;
        Ok(lines.map(|line| line.map_err(Error::from)))
    }

    /// A campaign with its adventures, chapters and scenes as they hang together, and how much else it has.
    ///
    /// # Errors
    /// `not_found`, `invalid_id`, and those of the local store.
    pub async fn tree(&self, campaign: impl AsRef<str>) -> Result<Tree, Error> {
        let campaign = DocId::new(campaign.as_ref())?;
        Ok(self.store().tree(&campaign).await?)
    }
}
