//! The journal of what a merge could not keep.

use moonforge_store::JournalEntry;

use crate::error::Error;
use crate::forge::Moonforge;

/// How a person settles a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// What was kept is right.
    Keep,
    /// What was lost is written again, as a new edit.
    Take,
}

/// The journal of what a merge could not keep.
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

    /// Settles an entry.
    ///
    /// # Errors
    /// `not_found`, `already_settled`, `nothing_to_bring_back`, `deleted` where the document is a tombstone now, and those
    /// of a patch.
    pub async fn resolve(&self, id: u64, resolution: Resolution) -> Result<(), Error> {
        let at = self.forge.edit_time().await?;
        let store = self.forge.store();
        match resolution {
            Resolution::Keep => store.settle_conflict(id, at.local).await?,
            Resolution::Take => {
                store.take_conflict(id, at).await?;
            }
        }
        Ok(())
    }
}
