//! How far each collection of each campaign was read.

use moonforge_model::{Collection, Timestamp};
use sqlx::Row as _;

use crate::error::StoreError;
use crate::open::Store;
use crate::tx::WriteTx;

/// A position in the order of `updatedAt, id`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The last document's `updatedAt`.
    pub at: Timestamp,
    /// Its id.
    pub id: String,
}

/// Two cursors and what is owed between them (`docs/sync-protocol.md`, "pull"). All empty at first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The fast cursor: up to here documents were seen, though late ones may be missing.
    pub fast: Option<Cursor>,
    /// The settled cursor: up to here nothing can be missing.
    pub settled: Option<Timestamp>,
    /// A frozen fast position that is to be checked.
    pub owed: Option<Timestamp>,
    /// The remote's time when it was frozen.
    pub owed_since: Option<Timestamp>,
    /// When COUNT and SUM were last compared over all.
    pub reconciled_at: Option<Timestamp>,
    /// When names and versions were last listed.
    pub listed_at: Option<Timestamp>,
}

impl Store {
    /// The checkpoint of a collection in a campaign (`*` where campaigns don't matter).
    pub async fn checkpoint(
        &self,
        collection: &Collection,
        campaign: &str,
    ) -> Result<Checkpoint, StoreError> {
        let row =
            sqlx::query("SELECT * FROM checkpoints WHERE collection = ?1 AND campaign_id = ?2")
                .bind(collection.as_str())
                .bind(campaign)
                .fetch_optional(&self.inner.readers)
                .await?;
        let Some(row) = row else {
            return Ok(Checkpoint::default());
        };
        let time = |column: &str| -> Result<Option<Timestamp>, StoreError> {
            Ok(row
                .try_get::<Option<i64>, _>(column)?
                .map(Timestamp::from_micros))
        };
        let fast = match (
            time("fast_at")?,
            row.try_get::<Option<String>, _>("fast_id")?,
        ) {
            (Some(at), Some(id)) => Some(Cursor { at, id }),
            _ => None,
        };
        Ok(Checkpoint {
            fast,
            settled: time("settled_at")?,
            owed: time("owed_at")?,
            owed_since: time("owed_since")?,
            reconciled_at: time("reconciled_at")?,
            listed_at: time("listed_at")?,
        })
    }

    /// The oldest place up to which a check is owed.
    pub async fn oldest_owed(&self) -> Result<Option<Timestamp>, StoreError> {
        let oldest: Option<i64> = sqlx::query_scalar("SELECT min(owed_at) FROM checkpoints")
            .fetch_one(&self.inner.readers)
            .await?;
        Ok(oldest.map(Timestamp::from_micros))
    }
}

impl WriteTx {
    /// Keeps a checkpoint, in the transaction that applied what it passes.
    pub async fn save_checkpoint(
        &mut self,
        collection: &Collection,
        campaign: &str,
        checkpoint: &Checkpoint,
    ) -> Result<(), StoreError> {
        let micros = |t: Option<Timestamp>| t.map(Timestamp::as_micros);
        sqlx::query(
            "INSERT OR REPLACE INTO checkpoints (collection, campaign_id, fast_at, fast_id, settled_at, owed_at,
                 owed_since, reconciled_at, listed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )
        .bind(collection.as_str())
        .bind(campaign)
        .bind(checkpoint.fast.as_ref().map(|c| c.at.as_micros()))
        .bind(checkpoint.fast.as_ref().map(|c| c.id.clone()))
        .bind(micros(checkpoint.settled))
        .bind(micros(checkpoint.owed))
        .bind(micros(checkpoint.owed_since))
        .bind(micros(checkpoint.reconciled_at))
        .bind(micros(checkpoint.listed_at))
        .execute(self.conn())
        .await?;
        Ok(())
    }

    /// Forgets how far a campaign was read.
    pub async fn forget_checkpoints(&mut self, campaign: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM checkpoints WHERE campaign_id = ?1")
            .bind(campaign)
            .execute(self.conn())
            .await?;
        Ok(())
    }
}
