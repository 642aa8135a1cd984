//! Writes and syncs by scope, as an orchestrator offers them: `docs/vocabulary.md`.

use moonforge_model::{DocId, Document, SyncScope, to_fields};
use moonforge_store::{OutboxEntry, Written};
use moonforge_sync::Phase;
use serde_json::Value;

use crate::documents::{Documents, fields_of};
use crate::error::{Error, Kind};
use crate::forge::Moonforge;
use crate::read::{CachePolicy, Freshness};
use crate::refresh::Errand;
use crate::typed::{Draft, Repository};

impl Moonforge {
    /// Sends what was written here, wherever it belongs, and fetches one scope, as the policy says: at once
    /// ([`CachePolicy::RemoteFirst`], which tells in [`Freshness::fallback`] where that couldn't be done), in the background
    /// ([`CachePolicy::LocalFirst`]), or else as an error ([`CachePolicy::OnlineOnly`]). [`CachePolicy::OfflineOnly`] only says
    /// how fresh the scope is.
    ///
    /// # Errors
    /// As [`Documents::read`].
    pub async fn synchronize(
        &self,
        scope: &SyncScope,
        policy: CachePolicy,
    ) -> Result<Freshness, Error> {
        self.freshen(Some(scope), policy).await
    }

    /// The edits of a scope's documents that aren't in the cloud yet, oldest first.
    ///
    /// # Errors
    /// Those of the local store.
    pub async fn pending_ops(&self, scope: &SyncScope) -> Result<Vec<OutboxEntry>, Error> {
        self.outbox().list_in(scope).await
    }

    /// Has what was written sent in the background, unless the background engine does that anyway.
    fn send_soon(&self) {
        if self.sync_status().phase == Phase::Stopped {
            drop(self.refresh(Errand::Push));
        }
    }
}

impl Documents {
    /// Makes a document in a scope, durably here, and sends it in the background. What the scope's keys say of it is filled
    /// in where it is absent.
    ///
    /// # Errors
    /// `outside_scope` where its fields say otherwise than the scope, `already_exists`, and those of [`Documents::put`].
    pub async fn enqueue_create(
        &self,
        scope: &SyncScope,
        id: impl AsRef<str>,
        document: Value,
    ) -> Result<Written, Error> {
        let doc = self.doc(id)?;
        let mut fields = fields_of(document)?;
        let forge = self.forge();
        let config = forge.store().config(&doc.collection)?;
        if !scope.fill(forge.registry(), config, &doc.id, &mut fields) {
            return Err(Kind::OutsideScope(doc, scope.clone()).into());
        }
        let at = forge.edit_time().await?;
        let written = forge
            .store()
            .create_as(doc, fields, forge.uid(), at)
            .await?;
        forge.send_soon();
        Ok(written)
    }

    /// Brings what is present in `document` into a document that is here, durably, and sends it in the background.
    ///
    /// # Errors
    /// `not_found`, and those of [`Documents::put`].
    pub async fn enqueue_update(
        &self,
        id: impl AsRef<str>,
        document: Value,
    ) -> Result<Written, Error> {
        let doc = self.doc(id)?;
        let fields = fields_of(document)?;
        let forge = self.forge();
        let at = forge.edit_time().await?;
        let written = forge.store().update(doc, fields, at).await?;
        forge.send_soon();
        Ok(written)
    }

    /// Deletes a document with all that hangs below it, durably here, and sends that in the background. Says how many
    /// documents that are.
    ///
    /// # Errors
    /// As [`Documents::delete`].
    pub async fn enqueue_delete(&self, id: impl AsRef<str>) -> Result<u64, Error> {
        let affected = self.delete(id).await?;
        self.forge().send_soon();
        Ok(affected)
    }
}

impl<T: Document + Send + 'static> Repository<T> {
    /// Makes a document in a scope, durably here, and sends it in the background.
    ///
    /// # Errors
    /// As [`Documents::enqueue_create`].
    pub async fn enqueue_create(&self, scope: &SyncScope, value: T) -> Result<Written, Error> {
        let (id, fields): (DocId, _) = (value.id().clone(), to_fields(&value)?);
        let documents = self.documents();
        documents
            .enqueue_create(scope, id, Value::Object(fields))
            .await
    }

    /// Writes what its author changed in a document that is here, durably, and sends it in the background. See
    /// [`Repository::upsert`].
    ///
    /// # Errors
    /// `not_found`, and those of [`Repository::upsert`].
    pub async fn enqueue_update(&self, draft: impl Into<Draft<T>>) -> Result<Written, Error> {
        match draft.into() {
            Draft::Value(value) => {
                let fields = Value::Object(to_fields(&value)?);
                self.documents().enqueue_update(value.id(), fields).await
            }
            edited => {
                let written = self.upsert(edited).await?;
                self.documents().forge().send_soon();
                Ok(written)
            }
        }
    }

    /// Deletes a document with all that hangs below it, durably here, and sends that in the background.
    ///
    /// # Errors
    /// As [`Documents::delete`].
    pub async fn enqueue_delete(&self, id: impl AsRef<str>) -> Result<u64, Error> {
        self.documents().enqueue_delete(id).await
    }
}
