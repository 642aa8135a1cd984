//! The documents of one collection, as JSON.

use moonforge_model::{Collection, DocId, DocRef, Fields};
use moonforge_store::{Page, QuerySpec, StoredDoc, Written};
use serde_json::Value;
use tracing::Instrument;

use crate::edits::Edit;
use crate::error::{Error, Kind};
use crate::forge::Moonforge;

/// The documents of one collection, as JSON: for tools, and for collections without a type of their own.
#[derive(Clone, Debug)]
pub struct Documents {
    forge: Moonforge,
    collection: Collection,
}

impl Documents {
    pub(crate) fn new(forge: Moonforge, collection: Collection) -> Self {
        Self { forge, collection }
    }

    /// The collection's name.
    pub fn collection(&self) -> &Collection {
        &self.collection
    }

    pub(crate) fn forge(&self) -> &Moonforge {
        &self.forge
    }

    pub(crate) fn doc(&self, id: impl AsRef<str>) -> Result<DocRef, Error> {
        let id = DocId::new(id.as_ref())?;
        Ok(DocRef::new(self.collection.clone(), id))
    }

    fn span(&self, name: &'static str) -> tracing::Span {
        // The name of a span is a constant of its place, so there is one for all writes with the call as a field.
        tracing::debug_span!("moonforge.documents", call = name, collection = %self.collection)
    }

    /// The document, unless there is none or it is deleted. Reading it opens it, for scopes that hold what was opened here
    /// ([`SyncScope::accessed`](crate::SyncScope::accessed)).
    ///
    /// # Errors
    /// `invalid_id`, and those of the local store.
    pub async fn get(&self, id: impl AsRef<str>) -> Result<Option<StoredDoc>, Error> {
        Ok(self.get_any(id).await?.filter(|doc| doc.deleted.is_none()))
    }

    /// The document, or its tombstone.
    ///
    /// # Errors
    /// As [`Documents::get`].
    pub async fn get_any(&self, id: impl AsRef<str>) -> Result<Option<StoredDoc>, Error> {
        let doc = self.doc(id)?;
        let get = async {
            let (store, now) = (self.forge.store(), self.forge.clock().now());
            // What can't be noted is read all the same.
            if let Err(error) = store.mark_opened(&doc, now).await {
                tracing::warn!(%doc, %error, "can't note that it was opened");
            }
            store.get(&doc).await
        };
        Ok(get.instrument(self.span("get")).await?)
    }

    /// A list to be narrowed down and given to [`Documents::list`]: all live documents, by id.
    pub fn query(&self) -> QuerySpec {
        QuerySpec::all(self.collection.clone())
    }

    /// One page of a list. What is deleted, or lies below something deleted, is left out unless asked for.
    ///
    /// # Errors
    /// `invalid_cursor`, and those of the local store.
    pub async fn list(&self, query: &QuerySpec) -> Result<Page, Error> {
        let list = self.forge.store().list(query);
        Ok(list.instrument(self.span("list")).await?)
    }

    /// Brings what is present in `document` into the document `id`, which is made where there is none. Absence unsets
    /// nothing, and maps are merged at every depth. Fields of the sync protocol and `id` are passed over.
    ///
    /// A campaign that is made without an owner belongs to the account, which is its first member.
    ///
    /// # Errors
    /// `not_a_document`, `invalid_id`, `deleted`, those of validation (`missing_field`, `wrong_type`, `too_large`, …), and
    /// those of the local store.
    pub async fn put(&self, id: impl AsRef<str>, document: Value) -> Result<Written, Error> {
        let doc = self.doc(id)?;
        let fields = fields_of(document)?;
        let at = self.forge.edit_time().await?;
        let put = self.forge.store().put_as(doc, fields, self.forge.uid(), at);
        Ok(put.instrument(self.span("put")).await?)
    }

    /// Edits single fields of the document `id`. With a `base_rev` older than what is known here, a set over a value that
    /// its author may not have seen is journaled.
    ///
    /// # Errors
    /// `not_found`, `deleted`, `invalid_path`, `overlapping_paths`, `reserved_field`, `not_a_number`, `not_a_list`, and
    /// those of [`Documents::put`].
    pub async fn patch<E: Into<Edit>>(
        &self,
        id: impl AsRef<str>,
        base_rev: impl Into<Option<i64>>,
        edits: impl IntoIterator<Item = E>,
    ) -> Result<Written, Error> {
        let doc = self.doc(id)?;
        let ops: Result<Vec<_>, Error> = edits.into_iter().map(|e| e.into().into_op()).collect();
        let at = self.forge.edit_time().await?;
        let patch = self.forge.store().patch(doc, base_rev.into(), ops?, at);
        Ok(patch.instrument(self.span("patch")).await?)
    }

    /// Writes what its author changed between `read` and `new`, and nothing else.
    ///
    /// # Errors
    /// `not_found`, and those of [`Documents::put`].
    pub async fn upsert(
        &self,
        id: impl AsRef<str>,
        read: Fields,
        new: Fields,
    ) -> Result<Written, Error> {
        let doc = self.doc(id)?;
        let at = self.forge.edit_time().await?;
        let upsert = self.forge.store().upsert(doc, read, new, at);
        Ok(upsert.instrument(self.span("upsert")).await?)
    }

    /// Deletes the document with all that hangs below it; says how many documents that are. They can be restored.
    ///
    /// # Errors
    /// `not_found`, `deleted`, `invalid_id`, and those of the local store.
    pub async fn delete(&self, id: impl AsRef<str>) -> Result<u64, Error> {
        let doc = self.doc(id)?;
        let at = self.forge.edit_time().await?;
        let delete = self.forge.store().delete(doc, at);
        Ok(delete.instrument(self.span("delete")).await?)
    }

    /// Undoes the delete of the document, for all documents that fell with it; says how many.
    ///
    /// # Errors
    /// `not_found`, `invalid_id`, and those of the local store.
    pub async fn restore(&self, id: impl AsRef<str>) -> Result<u64, Error> {
        let doc = self.doc(id)?;
        let at = self.forge.edit_time().await?;
        let restore = self.forge.store().restore(doc, at);
        Ok(restore.instrument(self.span("restore")).await?)
    }
}

pub(crate) fn fields_of(document: Value) -> Result<Fields, Error> {
    match document {
        Value::Object(fields) => Ok(fields),
        _ => Err(Kind::NotADocument.into()),
    }
}
