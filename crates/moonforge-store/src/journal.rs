//! The conflict journal and the quarantine: what could not be kept, and what could not be read.

use std::time::Duration;

use moonforge_model::{Conflict, DocRef, Fields, Timestamp};
use serde_json::Value;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::discard::WHOLE;
use crate::error::StoreError;
use crate::open::Store;
use crate::resolve::{ResolvedBy, Settled, settled_by_the_app};
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
    /// When it was settled.
    pub resolved_at: Option<Timestamp>,
    /// How it was settled; absent in entries that an older version settled.
    pub resolved_by: Option<ResolvedBy>,
}

/// How many entries the journal has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConflictCounts {
    /// Entries that nobody settled.
    pub open: u64,
    /// Those of them that a person is to decide, as the field's policy wants it.
    pub undecided: u64,
    /// Settled ones that are still there.
    pub settled: u64,
}

/// How long a settled entry is kept.
const SETTLED_RETENTION: Duration = Duration::from_secs(90 * 24 * 3600);
/// How many settled entries are kept in any case.
const SETTLED_ALWAYS_KEPT: i64 = 100;
/// Where an entry keeps how it was settled.
const SETTLED: &str = "settled";

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
        Ok(load(&mut conn, id).await?.0)
    }

    /// The journal of one document, newest first; settled entries only on request.
    pub async fn conflicts_of(
        &self,
        doc: &DocRef,
        settled_too: bool,
    ) -> Result<Vec<JournalEntry>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM conflicts WHERE collection = ?1 AND doc_id = ?2 AND (?3 OR resolved_at IS NULL)
             ORDER BY conflict_id DESC",
        )
        .bind(doc.collection.as_str())
        .bind(doc.id.as_str())
        .bind(settled_too)
        .fetch_all(&self.inner.readers)
        .await?;
        rows.iter().map(entry).collect()
    }

    /// Takes old settled entries out; writes nothing where there are none.
    pub(crate) async fn prune_journal(&self, now: Timestamp) -> Result<(), StoreError> {
        let oldest: Option<i64> = sqlx::query_scalar("SELECT min(resolved_at) FROM conflicts")
            .fetch_one(&self.inner.readers)
            .await?;
        let before = now
            .as_micros()
            .saturating_sub(SETTLED_RETENTION.as_micros() as i64);
        if oldest.is_none_or(|oldest| oldest >= before) {
            return Ok(());
        }
        self.write(move |tx| Box::pin(async move { prune(tx.conn(), now).await }))
            .await
    }

    /// How many entries the journal has.
    pub async fn conflict_counts(&self) -> Result<ConflictCounts, StoreError> {
        let (open, undecided, settled): (i64, i64, i64) = sqlx::query_as(
            "SELECT count(*) FILTER (WHERE resolved_at IS NULL),
                    count(*) FILTER (WHERE resolved_at IS NULL AND entry ->> '$.reason' = 'undecided'),
                    count(*) FILTER (WHERE resolved_at IS NOT NULL)
             FROM conflicts",
        )
        .fetch_one(&self.inner.readers)
        .await?;
        Ok(ConflictCounts {
            open: open.unsigned_abs(),
            undecided: undecided.unsigned_abs(),
            settled: settled.unsigned_abs(),
        })
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

/// Takes settled entries out of the journal once they are old. Open ones stay for ever.
pub(crate) async fn prune(conn: &mut SqliteConnection, now: Timestamp) -> Result<(), StoreError> {
    let kept = i64::try_from(SETTLED_RETENTION.as_micros()).unwrap_or(i64::MAX);
    // The newest stay in any case: a clock that is wrong by a year takes no more than it must.
    sqlx::query(
        "DELETE FROM conflicts WHERE resolved_at < ?1 AND conflict_id NOT IN (
             SELECT conflict_id FROM conflicts WHERE resolved_at IS NOT NULL
             ORDER BY resolved_at DESC, conflict_id DESC LIMIT ?2)",
    )
    .bind(now.as_micros().saturating_sub(kept))
    .bind(SETTLED_ALWAYS_KEPT)
    .execute(conn)
    .await?;
    Ok(())
}

async fn load(
    conn: &mut SqliteConnection,
    id: u64,
) -> Result<(JournalEntry, Option<Settled>), StoreError> {
    let row = sqlx::query("SELECT * FROM conflicts WHERE conflict_id = ?1")
        .bind(id as i64)
        .fetch_optional(conn)
        .await?;
    let missing = StoreError::NoSuch {
        what: "conflict",
        id,
    };
    row.as_ref().map_or(Err(missing), entry_and_settlement)
}

fn entry(row: &SqliteRow) -> Result<JournalEntry, StoreError> {
    Ok(entry_and_settlement(row)?.0)
}

fn entry_and_settlement(row: &SqliteRow) -> Result<(JournalEntry, Option<Settled>), StoreError> {
    let text: String = row.try_get("entry")?;
    let mut fields: Fields = serde_json::from_str(&text).map_err(StoreError::corrupt)?;
    let settled = fields
        .remove(SETTLED)
        .map(serde_json::from_value::<Settled>);
    let settled = settled.transpose().map_err(StoreError::corrupt)?;
    let entry = JournalEntry {
        conflict_id: u64::try_from(row.try_get::<i64, _>("conflict_id")?)
            .map_err(StoreError::corrupt)?,
        doc: shown_as(row.try_get("collection")?, row.try_get("doc_id")?),
        conflict: serde_json::from_value(Value::Object(fields)).map_err(StoreError::corrupt)?,
        at: Timestamp::from_micros(row.try_get("at")?),
        resolved_at: row
            .try_get::<Option<i64>, _>("resolved_at")?
            .map(Timestamp::from_micros),
        resolved_by: settled.as_ref().map(|settled| settled.by),
    };
    Ok((entry, settled))
}

impl WriteTx {
    /// An entry that nobody settled yet.
    pub(crate) async fn open_conflict(&mut self, id: u64) -> Result<JournalEntry, StoreError> {
        let entry = load(self.conn(), id).await?.0;
        match entry.resolved_at {
            Some(_) => Err(StoreError::AlreadySettled(id)),
            None => Ok(entry),
        }
    }

    /// An entry that was settled, and how.
    pub(crate) async fn settled_conflict(
        &mut self,
        id: u64,
    ) -> Result<(JournalEntry, Settled), StoreError> {
        let (entry, settled) = load(self.conn(), id).await?;
        match entry.resolved_at {
            // Older versions didn't note what they wrote.
            Some(_) => Ok((entry, settled.unwrap_or(Settled::by(ResolvedBy::Keep)))),
            None => Err(StoreError::NotSettled(id)),
        }
    }

    pub(crate) async fn settle_conflict(
        &mut self,
        id: u64,
        settled: &Settled,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let text = serde_json::to_string(settled).map_err(StoreError::corrupt)?;
        sqlx::query(
            "UPDATE conflicts SET resolved_at = ?2, entry = json_set(entry, '$.settled', json(?3))
             WHERE conflict_id = ?1",
        )
        .bind(id as i64)
        .bind(now.as_micros())
        .bind(text)
        .execute(self.conn())
        .await?;
        self.journaled = true;
        prune(self.conn(), now).await
    }

    pub(crate) async fn reopen_conflict(
        &mut self,
        id: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE conflicts SET resolved_at = NULL, entry = json_remove(entry, '$.settled')
             WHERE conflict_id = ?1",
        )
        .bind(id as i64)
        .execute(self.conn())
        .await?;
        self.journaled = true;
        prune(self.conn(), now).await
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
        let settled = settled_by_the_app(conflict.context.decided_by);
        let resolved_at = settled.as_ref().map(|_| now.as_micros());
        let mut entry = match serde_json::to_value(conflict).map_err(StoreError::corrupt)? {
            Value::Object(fields) => fields,
            _ => return Err(StoreError::corrupt("an entry is an object")),
        };
        if let Some(settled) = settled {
            let settled = serde_json::to_value(settled).map_err(StoreError::corrupt)?;
            entry.insert(SETTLED.to_owned(), settled);
        }
        let text = serde_json::to_string(&entry).map_err(StoreError::corrupt)?;
        sqlx::query(
            "INSERT INTO conflicts (collection, doc_id, entry, at, resolved_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .bind(collection)
        .bind(id)
        .bind(text)
        .bind(now.as_micros())
        .bind(resolved_at)
        .execute(self.conn())
        .await?;
        self.journaled = true;
        Ok(())
    }

    /// Puts a version aside that can't be read. Says whether it is another one than before.
    pub async fn quarantine(
        &mut self,
        q: &Quarantined,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.nothing_quarantined = Some(false);
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
        // Mostly nothing is in quarantine: asked once a transaction.
        let is_empty = match self.nothing_quarantined {
            Some(is_empty) => is_empty,
            None => {
                let any: Option<i64> = sqlx::query_scalar("SELECT 1 FROM quarantine LIMIT 1")
                    .fetch_optional(self.conn())
                    .await?;
                any.is_none()
            }
        };
        self.nothing_quarantined = Some(is_empty);
        if is_empty {
            return Ok(false);
        }
        let done = sqlx::query("DELETE FROM quarantine WHERE doc_ref = ?1")
            .bind(doc.to_string())
            .execute(self.conn())
            .await?;
        Ok(done.rows_affected() > 0)
    }
}
