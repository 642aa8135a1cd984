//! What waits to be sent.

use moonforge_model::SyncScope;
use moonforge_store::{OutboxCounts, OutboxEntry, Room, Stuck};

use crate::error::Error;
use crate::forge::Moonforge;

/// The edits that aren't in the cloud yet, and the operations that aren't carried out.
#[derive(Clone, Debug)]
pub struct Outbox {
    forge: Moonforge,
}

impl Outbox {
    pub(crate) fn new(forge: Moonforge) -> Self {
        Self { forge }
    }

    /// All of them, oldest first.
    ///
    /// # Errors
    /// Those of the local store.
    pub async fn list(&self) -> Result<Vec<OutboxEntry>, Error> {
        let mut entries = self.forge.store().outbox().await?;
        for entry in &mut entries {
            if let Some(call) = &entry.call
                && entry.row.row.parked.is_none()
                && let Some(why) = self.forge.without_executor(&call.name)
            {
                entry.row.error = Some(why);
            }
        }
        Ok(entries)
    }

    /// Those of documents in a scope, which needn't be joined; oldest first.
    ///
    /// # Errors
    /// Those of the local store.
    pub async fn list_in(&self, scope: &SyncScope) -> Result<Vec<OutboxEntry>, Error> {
        let mut entries = self.list().await?;
        let docs: Vec<_> = entries.iter().map(|entry| entry.doc.clone()).collect();
        let within = self.forge.store().within(scope, &docs).await?;
        entries.retain(|entry| within.contains(&entry.doc));
        Ok(entries)
    }

    /// Those that were tried five times or more, or have waited for more than an hour, though the cloud can be reached: the
    /// oldest first, the first thousand. What is parked, or waits behind that, isn't among them, and nothing is while the
    /// cloud is away.
    ///
    /// # Errors
    /// Those of the local store.
    pub async fn stuck(&self) -> Result<Vec<Stuck>, Error> {
        let mut stuck = self.forge.store().stuck().await?;
        for row in &mut stuck {
            if row.operation == "call"
                && let Some(name) = row.doc.collection.as_str().strip_prefix('~')
                && let Some(why) = self.forge.without_executor(name)
            {
                row.error = Some(why);
            }
        }
        Ok(stuck)
    }

    /// How much room the outbox has, and how many rows.
    ///
    /// # Errors
    /// Those of the local store.
    pub async fn room(&self) -> Result<(Room, u64), Error> {
        Ok(self.forge.store().outbox_room().await?)
    }

    /// How many wait, and how many are parked.
    ///
    /// # Errors
    /// Those of the local store.
    pub async fn counts(&self) -> Result<OutboxCounts, Error> {
        Ok(self.forge.store().outbox_counts().await?)
    }

    /// Lets parked edits go out again: those of the document that edit `seq` belongs to, or all. Says how many.
    ///
    /// # Errors
    /// `not_found`, and those of the local store.
    pub async fn retry(&self, seq: Option<u64>) -> Result<u64, Error> {
        let retried = self.forge.store().retry(seq).await?;
        self.forge.trigger();
        Ok(retried)
    }

    /// Gives up edit `seq`, which goes to the conflict journal; with a creation that the cloud doesn't have go the edits of
    /// its document. Says how many edits that are.
    ///
    /// # Errors
    /// `not_found`, `in_flight` where it may be in the cloud already, and those of the local store.
    pub async fn discard(&self, seq: u64) -> Result<u64, Error> {
        let now = self.forge.clock().now();
        Ok(self.forge.store().discard(seq, now).await?)
    }
}
