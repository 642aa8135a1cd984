//! The metadata calls of the first app, on what metadata means here.
//!
//! There they set flags. Here a document is dirty exactly while the outbox has an edit of it, and only a version from the
//! remote makes a base; so marking dirty queues an edit, marking clean gives edits up, and there is no call that sets a rev:
//! `setClean(id, rev)` is what the engine does when it applies a version. `patchLocal` is [`Store::patch`].

use moonforge_model::{DocRef, Fields, RowOp, Timestamp, diff_present};

use crate::edit::EditTime;
use crate::error::StoreError;
use crate::open::Store;

impl Store {
    /// Whether the document has edits on their way, parked ones included.
    pub async fn is_dirty(&self, doc: &DocRef) -> Result<bool, StoreError> {
        self.config(&doc.collection)?;
        Ok(sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM outbox_ops WHERE collection = ?1 AND doc_id = ?2)",
        )
        .bind(doc.collection.as_str())
        .bind(doc.id.as_str())
        .fetch_one(&self.inner.readers)
        .await?)
    }

    /// Queues the whole present content as an edit made now, so that it is sent again and wins over older edits of others.
    pub async fn mark_dirty(&self, doc: DocRef, at: EditTime) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let config = tx.config(&doc.collection)?;
                let mut state = tx.load(&doc).await?;
                let fields = match state.view() {
                    None => return Err(StoreError::NotFound(doc)),
                    Some(view) if view.deleted.is_some() => return Err(StoreError::Deleted(doc)),
                    Some(view) => view.fields,
                };
                // Member by member, so that members that others added to a map meanwhile stay.
                let mut ops = diff_present(&config, &Fields::new(), &fields);
                ops.retain(|op| op.path().root() != "campaignId");
                tx.queue(&mut state, RowOp::Patch { ops }, at).await
            })
        })
        .await
    }

    /// Gives up all edits of the document, which go to the conflict journal. Refused with [`StoreError::InFlight`] while one of
    /// them is at the remote perhaps. Says how many were given up.
    ///
    /// What was never at the remote is gone then.
    pub async fn mark_clean(&self, doc: DocRef, now: Timestamp) -> Result<u64, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let mut state = tx.load(&doc).await?;
                if state.view().is_none() {
                    return Err(StoreError::NotFound(doc));
                }
                tx.give_up(&mut state, |_| true, now).await
            })
        })
        .await
    }
}
