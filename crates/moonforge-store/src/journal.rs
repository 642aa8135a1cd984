//! The conflict journal and the quarantine: what could not be kept, and what could not be read.

use moonforge_model::{Conflict, DocRef, Fields, Timestamp};
use sqlx::{Row as _, SqliteConnection};

use crate::discard::WHOLE;
use crate::edit::{EditTime, Written};
use crate::error::StoreError;
use crate::open::Store;
use crate::rows::shown_as;
use crate::tx::WriteTx;

/// An entry of the journal with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct JournalEntry {
    /// Its number.
    pub conflict_id: u64,
    /// The document.
    pub doc: DocRef,
    /// What was kept and lost.
    pub conflict: Conflict,
    /// When, by the local clock.
    pub at: Timestamp,
    /// When a person settled it.
    pub resolved_at: Option<Timestamp>,
}

/// A remote document that can't be read as its model.
#[derive(Clone, Debug, PartialEq)]
pub struct Quarantined {
    /// The document.
    pub doc: DocRef,
    /// Its version.
    pub update_time: Timestamp,
    /// Its fields, as they came.
    pub raw: Fields,
    /// What is wrong with it.
    pub error: String,
}

impl Store {
    /// The journal, newest first; settled entries only on request.
    pub async fn conflicts(&self, settled_too: bool) -> Result<Vec<JournalEntry>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM conflicts WHERE ?1 OR resolved_at IS NULL ORDER BY conflict_id DESC",
        )
        .bind(settled_too)
        .fetch_all(&self.inner.readers)
        .await?;
        rows.iter().map(entry).collect()
    }

    /// One entry of the journal.
    pub async fn conflict(&self, id: u64) -> Result<JournalEntry, StoreError> {
        let mut conn = self.inner.readers.acquire().await?;
        load(&mut conn, id).await
    }

    /// Marks an entry as settled by a person: what was kept is right.
    pub async fn settle_conflict(&self, id: u64, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                tx.open_conflict(id).await?;
                tx.settle_conflict(id, now).await
            })
        })
        .await
    }

    /// Writes what an entry lost again, as a new edit, and marks it as settled, in one transaction: never one without the
    /// other. Only an entry that holds a whole document makes it again where there is none.
    pub async fn take_conflict(&self, id: u64, at: EditTime) -> Result<Written, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let JournalEntry { doc, conflict, .. } = tx.open_conflict(id).await?;
                if conflict.bring_back.is_empty() {
                    return Err(StoreError::NothingToBringBack(id));
                }
                let written = if conflict.field == WHOLE {
                    tx.bring_back(&doc, conflict.bring_back, at).await?
                } else {
                    tx.patch(&doc, None, conflict.bring_back, at).await?
                };
                tx.settle_conflict(id, at.local).await?;
                Ok(written)
            })
        })
        .await
    }

    /// Whether [`Store::take_conflict`] would find something to write, and a document to write it to.
    pub async fn can_take(&self, entry: &JournalEntry) -> Result<bool, StoreError> {
        if entry.resolved_at.is_some()
            || entry.conflict.bring_back.is_empty()
            || self.config(&entry.doc.collection).is_err()
        {
            return Ok(false);
        }
        Ok(match self.get(&entry.doc).await? {
            Some(read) if read.deleted.is_none() => true,
            Some(_) => entry.conflict.field == WHOLE && self.is_hard_deleted(&entry.doc).await?,
            None => entry.conflict.field == WHOLE,
        })
    }

    /// Whether what is here of a tombstone is all that is left of it.
    async fn is_hard_deleted(&self, doc: &DocRef) -> Result<bool, StoreError> {
        let absent: Option<bool> = sqlx::query_scalar(
            "SELECT base_state = 'absent' AND dirty = 0 FROM local_metas WHERE doc_ref = ?1",
        )
        .bind(doc.to_string())
        .fetch_optional(&self.inner.readers)
        .await?;
        Ok(absent.unwrap_or(false))
    }

    /// What is in quarantine.
    pub async fn quarantined(&self) -> Result<Vec<Quarantined>, StoreError> {
        let rows = sqlx::query("SELECT * FROM quarantine ORDER BY doc_ref")
            .fetch_all(&self.inner.readers)
            .await?;
        rows.iter()
            .map(|row| {
                let raw: String = row.try_get("raw")?;
                Ok(Quarantined {
                    doc: DocRef::parse(row.try_get("collection")?, row.try_get("doc_id")?)?,
                    update_time: Timestamp::from_micros(row.try_get("update_time")?),
                    raw: serde_json::from_str(&raw).map_err(StoreError::corrupt)?,
                    error: row.try_get("error")?,
                })
            })
            .collect()
    }
}

async fn load(conn: &mut SqliteConnection, id: u64) -> Result<JournalEntry, StoreError> {
    let row = sqlx::query("SELECT * FROM conflicts WHERE conflict_id = ?1")
        .bind(id as i64)
        .fetch_optional(conn)
        .await?;
    let missing = StoreError::NoSuch {
        what: "conflict",
        id,
    };
    row.as_ref().map_or(Err(missing), entry)
}

fn entry(row: &sqlx::sqlite::SqliteRow) -> Result<JournalEntry, StoreError> {
    let text: String = row.try_get("entry")?;
    Ok(JournalEntry {
        conflict_id: u64::try_from(row.try_get::<i64, _>("conflict_id")?)
            .map_err(StoreError::corrupt)?,
        doc: shown_as(row.try_get("collection")?, row.try_get("doc_id")?),
        conflict: serde_json::from_str(&text).map_err(StoreError::corrupt)?,
        at: Timestamp::from_micros(row.try_get("at")?),
        resolved_at: row
            .try_get::<Option<i64>, _>("resolved_at")?
            .map(Timestamp::from_micros),
    })
}

impl WriteTx {
    /// An entry that nobody settled yet.
    async fn open_conflict(&mut self, id: u64) -> Result<JournalEntry, StoreError> {
        let entry = load(self.conn(), id).await?;
        match entry.resolved_at {
            Some(_) => Err(StoreError::AlreadySettled(id)),
            None => Ok(entry),
        }
    }

    async fn settle_conflict(&mut self, id: u64, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query("UPDATE conflicts SET resolved_at = ?2 WHERE conflict_id = ?1")
            .bind(id as i64)
            .bind(now.as_micros())
            .execute(self.conn())
            .await?;
        Ok(())
    }

    /// Adds an entry to the journal.
    pub async fn journal(
        &mut self,
        doc: &DocRef,
        conflict: &Conflict,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.journal_as(doc.collection.as_str(), doc.id.as_str(), conflict, now)
            .await
    }

    /// The same for what may be no names.
    pub(crate) async fn journal_as(
        &mut self,
        collection: &str,
        id: &str,
        conflict: &Conflict,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let text = serde_json::to_string(conflict).map_err(StoreError::corrupt)?;
        sqlx::query(
            "INSERT INTO conflicts (collection, doc_id, entry, at) VALUES (?1, ?2, ?3, ?4)",
        )
        .bind(collection)
        .bind(id)
        .bind(text)
        .bind(now.as_micros())
        .execute(self.conn())
        .await?;
        Ok(())
    }

    /// Puts a version aside that can't be read. Says whether it is another one than before.
    pub async fn quarantine(
        &mut self,
        q: &Quarantined,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let raw = serde_json::to_string(&q.raw).map_err(StoreError::corrupt)?;
        let done = sqlx::query(
            "INSERT INTO quarantine (doc_ref, collection, doc_id, update_time, raw, error, at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (doc_ref) DO UPDATE SET update_time = excluded.update_time, raw = excluded.raw,
                 error = excluded.error, at = excluded.at
             WHERE excluded.update_time > update_time",
        )
        .bind(q.doc.to_string())
        .bind(q.doc.collection.as_str())
        .bind(q.doc.id.as_str())
        .bind(q.update_time.as_micros())
        .bind(raw)
        .bind(&q.error)
        .bind(now.as_micros())
        .execute(self.conn())
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Lets a document out of quarantine, because a sound version of it came or it is gone. Says whether it was in it.
    pub async fn release(&mut self, doc: &DocRef) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM quarantine WHERE doc_ref = ?1")
            .bind(doc.to_string())
            .execute(self.conn())
            .await?;
        Ok(done.rows_affected() > 0)
    }
}
