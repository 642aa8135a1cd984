//! The journal of what a merge could not keep.

use futures_util::StreamExt;
use moonforge_model::{DocId, DocRef};
use moonforge_store::{ConflictCounts, JournalEntry, Resolution, Undone};

use crate::error::Error;
use crate::forge::Moonforge;
use crate::watch::{Watch, with_other_processes};

/// The journal of what a merge could not keep.
///
/// An entry shows both sides, when and by whom they were written as far as that is known, and what decided. It is open until
/// a person settles it; what the app's [`ConflictResolver`](crate::ConflictResolver) decided is settled from the start.
/// Settled entries are kept for 90 days (the newest 100 in any case), open ones for ever.
#[derive(Clone, Debug)]
pub struct Conflicts {
    forge: Moonforge,
}

impl Conflicts {
    pub(crate) fn new(forge: Moonforge) -> Self {
        Self { forge }
    }

    /// What nobody settled yet, newest first.
    ///
    /// # Errors
    /// Those of the local store.
    pub async fn list(&self) -> Result<Vec<JournalEntry>, Error> {
        Ok(self.forge.store().conflicts(false).await?)
    }

    /// All entries, settled ones too, newest first.
    ///
    /// # Errors
    /// Those of the local store.
    pub async fn list_all(&self) -> Result<Vec<JournalEntry>, Error> {
        Ok(self.forge.store().conflicts(true).await?)
    }

    /// What nobody settled yet of one document, newest first.
    ///
    /// # Errors
    /// `unknown_collection`, `invalid_id`, and those of the local store.
    pub async fn of(
        &self,
        collection: &str,
        id: impl AsRef<str>,
    ) -> Result<Vec<JournalEntry>, Error> {
        let doc = DocRef::new(self.forge.collection(collection)?, DocId::new(id.as_ref())?);
        Ok(self.forge.store().conflicts_of(&doc, false).await?)
    }

    /// How many entries there are.
    ///
    /// # Errors
    /// Those of the local store.
    pub async fn counts(&self) -> Result<ConflictCounts, Error> {
        Ok(self.forge.store().conflict_counts().await?)
    }

    /// What nobody settled yet, newest first, as it is, then each time it has become something else. One who is slow gets
    /// the newest state, not each between. Never shows what was rolled back, and shows what other processes wrote about a
    /// second later.
    pub fn watch(&self) -> Watch<Vec<JournalEntry>> {
        let entries = self.forge.store().watch_conflicts();
        let entries = entries.map(|entries| entries.map_err(Error::from));
        with_other_processes(self.forge.clone(), entries).boxed()
    }

    /// One entry.
    ///
    /// # Errors
    /// `not_found`, and those of the local store.
    pub async fn get(&self, id: u64) -> Result<JournalEntry, Error> {
        Ok(self.forge.store().conflict(id).await?)
    }

    /// Whether [`Resolution::Take`] would be accepted now: nobody settled the entry, it holds an edit that can be written
    /// again, and there is a document to write it to, or the entry holds a whole one.
    ///
    /// # Errors
    /// Those of the local store.
    pub async fn can_take(&self, entry: &JournalEntry) -> Result<bool, Error> {
        Ok(self.forge.store().can_take(entry).await?)
    }

    /// Settles an entry: what was kept stays, or what was lost, or another value is written as a new edit. Where the place
    /// was edited after the entry was made, what the resolution replaces is journaled in turn.
    ///
    /// # Errors
    /// `not_found`, `already_settled`, `nothing_to_bring_back` of a take, `not_a_field` of a value, `deleted` where the
    /// document is a tombstone now, and those of a patch.
    pub async fn resolve(&self, id: u64, resolution: Resolution) -> Result<(), Error> {
        let at = self.forge.edit_time().await?;
        let store = self.forge.store();
        store.resolve_conflict(id, resolution, at).await?;
        Ok(())
    }

    /// Takes a resolution back: the entry is open again, and what the resolution wrote is undone by a new edit. What was
    /// edited since stays as it is, and is named.
    ///
    /// # Errors
    /// `not_found`, `not_settled`, and those of a patch.
    pub async fn undo(&self, id: u64) -> Result<Undone, Error> {
        let at = self.forge.edit_time().await?;
        Ok(self.forge.store().undo_resolution(id, at).await?)
    }
}
