//! Documents as Rust types.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use futures_util::StreamExt;
use moonforge_model::{
    Adventure, Campaign, Chapter, Collection, DocRef, Document, Encounter, Entity, Fields,
    MediaAsset, Scene, Secret, Session, from_fields, to_fields,
};
use moonforge_store::{QuerySpec, StoredDoc, Written};
use serde_json::Value;

use crate::documents::Documents;
use crate::edits::Edit;
use crate::error::Error;
use crate::forge::Moonforge;
use crate::watch::Watch;

/// A document's value with the snapshot that it was read from, so that [`Repository::upsert`] writes what its author
/// changed, and nothing else.
#[derive(Clone, Debug)]
pub struct Doc<T> {
    value: T,
    /// The fields of the value as it was read.
    read: Fields,
    stored: StoredDoc,
}

impl<T: Document> Doc<T> {
    fn new(stored: StoredDoc) -> Result<Self, Error> {
        let value = from_fields::<T>(&stored.doc.id, &stored.fields)?;
        // Reading normalises; compared with what is stored, that would look like an edit.
        let read = to_fields(&value)?;
        Ok(Self {
            value,
            read,
            stored,
        })
    }
}

impl<T> Doc<T> {
    /// The document as it was read: its rev, whether it has edits on their way, whether it is deleted.
    pub fn stored(&self) -> &StoredDoc {
        &self.stored
    }

    /// The rev that it was read with: what [`Repository::patch`] takes as its base.
    pub fn rev(&self) -> i64 {
        self.stored.rev
    }

    /// The value alone. Written as such, only the fields that are present in it change.
    pub fn into_value(self) -> T {
        self.value
    }
}

impl<T> Deref for Doc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Doc<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

/// What [`Repository::upsert`] takes: a new value, or one that was read and edited.
#[derive(Clone, Debug)]
pub enum Draft<T> {
    /// A value of its own. What is present in it is written.
    Value(T),
    /// One that was read. What changed since is written.
    Edited(Box<Doc<T>>),
}

impl<T> From<T> for Draft<T> {
    fn from(value: T) -> Self {
        Self::Value(value)
    }
}

impl<T> From<Doc<T>> for Draft<T> {
    fn from(doc: Doc<T>) -> Self {
        Self::Edited(Box::new(doc))
    }
}

/// A part of a list.
#[derive(Clone, Debug)]
pub struct DocPage<T> {
    /// The documents, in order.
    pub items: Vec<Doc<T>>,
    /// Those that aren't what their type holds, and so aren't among the items. [`Repository::documents`] has them as JSON.
    pub unreadable: Vec<DocRef>,
    /// Where it ended, if there is more: the next query's `after`.
    pub next: Option<String>,
}

/// The documents of one collection, as values of one type.
pub struct Repository<T> {
    documents: Documents,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Repository<T> {
    fn clone(&self) -> Self {
        Self {
            documents: self.documents.clone(),
            of: PhantomData,
        }
    }
}

impl<T> std::fmt::Debug for Repository<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Repository").field(&self.documents).finish()
    }
}

impl<T: Document + Send + 'static> Repository<T> {
    fn new(documents: Documents) -> Self {
        Self {
            documents,
            of: PhantomData,
        }
    }

    /// The same documents as JSON.
    pub fn documents(&self) -> &Documents {
        &self.documents
    }

    /// The document, unless there is none or it is deleted.
    ///
    /// # Errors
    /// `invalid_id`, `wrong_form` where the document isn't what its type holds, and those of the local store.
    pub async fn get(&self, id: impl AsRef<str>) -> Result<Option<Doc<T>>, Error> {
        self.documents.get(id).await?.map(Doc::new).transpose()
    }

    /// The document, or its tombstone.
    ///
    /// # Errors
    /// As [`Repository::get`].
    pub async fn get_any(&self, id: impl AsRef<str>) -> Result<Option<Doc<T>>, Error> {
        self.documents.get_any(id).await?.map(Doc::new).transpose()
    }

    /// A list to be narrowed down and given to [`Repository::list`]: all live documents, by id.
    pub fn query(&self) -> QuerySpec {
        self.documents.query()
    }

    /// One page of a list. What is deleted, or lies below something deleted, is left out unless asked for. A document that
    /// isn't what its type holds is named in [`DocPage::unreadable`] and in the log, and spares the others.
    ///
    /// # Errors
    /// `invalid_cursor`, and those of the local store.
    pub async fn list(&self, query: &QuerySpec) -> Result<DocPage<T>, Error> {
        Ok(page(self.documents.list(query).await?))
    }

    /// Makes the document, or writes what its author changed.
    ///
    /// A [`Doc`] that was read and edited is compared with its snapshot: what others wrote meanwhile stays. Of a plain value
    /// the fields present are written, and absence unsets nothing. Returns when the write is durable here.
    ///
    /// # Errors
    /// `deleted` where the document is a tombstone now, `not_found` where an edited one is gone, and those of
    /// [`Documents::put`].
    pub async fn upsert(&self, draft: impl Into<Draft<T>>) -> Result<Written, Error> {
        match draft.into() {
            Draft::Value(value) => {
                let fields = Value::Object(to_fields(&value)?);
                self.documents.put(value.id().as_str(), fields).await
            }
            Draft::Edited(doc) => {
                let new = to_fields(&doc.value)?;
                let id = doc.stored.doc.id.clone();
                self.documents.upsert(id, doc.read, new).await
            }
        }
    }

    /// Edits single fields. With a `base_rev` older than what is known here, a set over a value that its author may not have
    /// seen is journaled.
    ///
    /// # Errors
    /// As [`Documents::patch`].
    pub async fn patch<E: Into<Edit>>(
        &self,
        id: impl AsRef<str>,
        base_rev: impl Into<Option<i64>>,
        edits: impl IntoIterator<Item = E>,
    ) -> Result<Written, Error> {
        self.documents.patch(id, base_rev, edits).await
    }

    /// Deletes the document with all that hangs below it; says how many documents that are.
    ///
    /// # Errors
    /// As [`Documents::delete`].
    pub async fn delete(&self, id: impl AsRef<str>) -> Result<u64, Error> {
        self.documents.delete(id).await
    }

    /// Undoes the delete of the document, for all documents that fell with it; says how many.
    ///
    /// # Errors
    /// As [`Documents::restore`].
    pub async fn restore(&self, id: impl AsRef<str>) -> Result<u64, Error> {
        self.documents.restore(id).await
    }

    /// The document as it is, then each time it has become another; `None` while there is none or it is deleted. One who is
    /// slow gets the newest state, not each between.
    ///
    /// # Errors
    /// `invalid_id`; items are errors as of [`Repository::get`].
    pub fn watch(&self, id: impl AsRef<str>) -> Result<Watch<Option<Doc<T>>>, Error> {
        let stream = self.documents.watch(id)?;
        Ok(stream.map(|doc| doc?.map(Doc::new).transpose()).boxed())
    }

    /// The list as it is, then each time it has become another.
    pub fn watch_query(&self, query: QuerySpec) -> Watch<DocPage<T>> {
        let pages = self.documents.watch_query(query);
        pages.map(|found| Ok(page(found?))).boxed()
    }

    /// All live documents, by id, then each time something about them has changed. Those that aren't what their type holds
    /// are left out; the log names them, and so does [`Repository::watch_query`].
    pub fn watch_all(&self) -> Watch<Vec<Doc<T>>> {
        let pages = self.watch_query(self.query());
        pages.map(|page| Ok(page?.items)).boxed()
    }
}

fn page<T: Document>(found: moonforge_store::Page) -> DocPage<T> {
    let (mut items, mut unreadable) = (Vec::with_capacity(found.items.len()), Vec::new());
    for stored in found.items {
        let doc = stored.doc.clone();
        match Doc::new(stored) {
            Ok(item) => items.push(item),
            Err(error) => {
                tracing::warn!(%doc, %error, "left out of a list");
                unreadable.push(doc);
            }
        }
    }
    DocPage {
        items,
        unreadable,
        next: found.next,
    }
}

impl Moonforge {
    /// The documents of the collection that `T` names.
    ///
    /// # Errors
    /// `unknown_collection` where it isn't registered.
    pub fn repository<T: Document + Send + 'static>(&self) -> Result<Repository<T>, Error> {
        Ok(Repository::new(self.documents(T::COLLECTION)?))
    }

    fn built_in<T: Document + Send + 'static>(&self) -> Repository<T> {
        let name = Collection::new(T::COLLECTION).expect("a fixed and valid name");
        Repository::new(Documents::new(self.clone(), name))
    }

    /// Campaigns.
    pub fn campaigns(&self) -> Repository<Campaign> {
        self.built_in()
    }

    /// Adventures.
    pub fn adventures(&self) -> Repository<Adventure> {
        self.built_in()
    }

    /// Chapters.
    pub fn chapters(&self) -> Repository<Chapter> {
        self.built_in()
    }

    /// Scenes.
    pub fn scenes(&self) -> Repository<Scene> {
        self.built_in()
    }

    /// Entities: people, monsters, places, items.
    pub fn entities(&self) -> Repository<Entity> {
        self.built_in()
    }

    /// Encounters.
    pub fn encounters(&self) -> Repository<Encounter> {
        self.built_in()
    }

    /// Sessions.
    pub fn sessions(&self) -> Repository<Session> {
        self.built_in()
    }

    /// Media assets.
    pub fn media_assets(&self) -> Repository<MediaAsset> {
        self.built_in()
    }

    /// What only owner and dms may read.
    pub fn secrets(&self) -> Repository<Secret> {
        self.built_in()
    }
}
