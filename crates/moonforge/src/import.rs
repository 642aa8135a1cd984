//! Many documents at once.

use moonforge_model::DocRef;
use moonforge_store::Written;
use serde_json::Value;
use tracing::Instrument;

use crate::documents::fields_of;
use crate::error::Error;
use crate::forge::Moonforge;

impl Moonforge {
    /// [`Documents::put`](crate::Documents::put) for many documents in one transaction. One that is refused spares the others: the answer has a
    /// result for each, in order. Some hundreds at a time are fast and keep the database free for others in between.
    ///
    /// # Errors
    /// Those of the local store as a whole, such as `disk_full`; then none was written.
    pub async fn put_many(
        &self,
        documents: Vec<(DocRef, Value)>,
    ) -> Result<Vec<Result<Written, Error>>, Error> {
        let span = tracing::debug_span!("moonforge.put_many", documents = documents.len());
        Box::pin(self.put_many_inner(documents))
            .instrument(span)
            .await
    }

    async fn put_many_inner(
        &self,
        documents: Vec<(DocRef, Value)>,
    ) -> Result<Vec<Result<Written, Error>>, Error> {
        let mut results = Vec::with_capacity(documents.len());
        let mut ready = Vec::with_capacity(documents.len());
        for (doc, document) in documents {
            match fields_of(document) {
                Ok(fields) => {
                    results.push(None);
                    ready.push((doc, fields));
                }
                Err(error) => results.push(Some(Err(error))),
            }
        }
        let at = self.edit_time().await?;
        let mut written = self
            .store()
            .put_many_as(ready, self.uid(), at)
            .await?
            .into_iter();
        let mut next = || match written.next() {
            Some(result) => result.map_err(Error::from),
            // As many answers as questions.
            None => Err(moonforge_store::StoreError::Interrupted.into()),
        };
        Ok(results
            .into_iter()
            .map(|refused| refused.unwrap_or_else(&mut next))
            .collect())
    }
}
