//! Notices of what changed, after the commit.

use std::sync::Arc;

use moonforge_model::DocRef;
use tokio::sync::broadcast;

use crate::open::Store;

/// What a commit changed.
#[derive(Clone, Debug)]
pub enum Change {
    /// These documents.
    Documents(Arc<[DocRef]>),
    /// Something: another process wrote.
    Unknown,
}

impl Store {
    /// Notices from now on. One who is slow is told that notices were missed, and looks at everything again.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.inner.changes.subscribe()
    }
}
