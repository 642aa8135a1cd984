//! A stream of the open entries of the journal.

use futures_util::stream::{self, Stream};
use tokio::sync::watch;

use crate::error::StoreError;
use crate::journal::JournalEntry;
use crate::open::Store;

impl Store {
    /// Moves after each commit that changed the journal, and when another process may have changed it.
    pub fn journal_changes(&self) -> watch::Receiver<()> {
        self.inner.journaled.subscribe()
    }

    /// The open entries as they are, newest first, then each time they have become others: after a commit, never what was
    /// rolled back. One who is slow gets the newest state, not each between. Ends only when dropped; an error is an item,
    /// and the next change is tried again. What other processes write is told by [`Store::poll_other_processes`].
    pub fn watch_conflicts(
        &self,
    ) -> impl Stream<Item = Result<Vec<JournalEntry>, StoreError>> + Send + use<> {
        struct Watch {
            store: Store,
            // Taken before the first look, so that nothing falls between.
            journaled: watch::Receiver<()>,
            last: Option<Vec<JournalEntry>>,
        }
        let mut journaled = self.journal_changes();
        journaled.mark_changed();
        let start = Watch {
            store: self.clone(),
            journaled,
            last: None,
        };
        stream::unfold(start, async |mut watch| {
            loop {
                // The sender lives in the store, which is held here.
                watch.journaled.changed().await.ok()?;
                let store = watch.store.clone();
                // In a task of its own, so that a watcher who stops polling halfway doesn't keep a connection.
                let looked = tokio::spawn(async move { store.conflicts(false).await }).await;
                let item = match looked.unwrap_or(Err(StoreError::Interrupted)) {
                    Ok(now) if watch.last.as_ref() == Some(&now) => continue,
                    Ok(now) => {
                        watch.last = Some(now.clone());
                        Ok(now)
                    }
                    Err(error) => Err(error),
                };
                return Some((item, watch));
            }
        })
    }
}
