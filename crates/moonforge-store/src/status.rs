//! What the file holds, in numbers.

use std::collections::BTreeMap;

use moonforge_model::{Collection, Timestamp};

use crate::error::StoreError;
use crate::open::Store;

/// What one collection holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CollectionStatus {
    /// Live documents, hidden ones included.
    pub documents: u64,
    /// Documents with edits on their way, parked ones and tombstones included.
    pub dirty: u64,
    /// When one of its documents was last in step with the remote.
    pub last_synced_at: Option<Timestamp>,
}

/// What the file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreStatus {
    /// Each registered collection.
    pub collections: BTreeMap<Collection, CollectionStatus>,
    /// Remote documents that can't be read.
    pub quarantined: u64,
}

impl Store {
    /// What the file holds, in numbers.
    pub async fn status(&self) -> Result<StoreStatus, StoreError> {
        // One read transaction: all numbers are of one moment.
        let mut tx = self.inner.readers.begin().await?;
        let mut status = StoreStatus::default();
        for config in self.registry().iter() {
            let table = self.table(&config.name)?;
            let sql = format!(
                "SELECT (SELECT count(*) FROM {} d WHERE {} AND d.deleted_at IS NULL),
                        (SELECT count(*) FROM local_metas WHERE collection = ?1 AND dirty = 1),
                        (SELECT max(last_synced_at) FROM local_metas WHERE collection = ?1)",
                table.name, table.only_d
            );
            let (documents, dirty, last_synced_at): (i64, i64, Option<i64>) =
                sqlx::query_as(sqlx::AssertSqlSafe(sql))
                    .bind(config.name.as_str())
                    .fetch_one(&mut *tx)
                    .await?;
            status.collections.insert(
                config.name.clone(),
                CollectionStatus {
                    documents: documents.unsigned_abs(),
                    dirty: dirty.unsigned_abs(),
                    last_synced_at: last_synced_at.map(Timestamp::from_micros),
                },
            );
        }
        let quarantined: i64 = sqlx::query_scalar("SELECT count(*) FROM quarantine")
            .fetch_one(&mut *tx)
            .await?;
        status.quarantined = quarantined.unsigned_abs();
        Ok(status)
    }
}
