//! Operations other than document writes, in the same outbox.
//!
//! Their rows say `call`, and `~` with a name where a document's have their collection, which no collection can be called. No
//! document depends on them: they make nothing dirty, and nothing of a document's state is kept for them.

use std::time::Duration;

use moonforge_model::{
    Collection, Conflict, ConflictContext, ConflictReason, DocId, DocRef, LostSide, ParkReason,
    Priority, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::error::StoreError;
use crate::open::Store;
use crate::outbox::{OutboxEntry, stand_in};
use crate::rows::{row_of, shown_as};
use crate::state::OutboxRow;
use crate::tx::WriteTx;

/// Which rows of `outbox_ops` are operations. `~` is the last character before the one of code 127.
pub(crate) const IS_CALL: &str =
    "operation = 'call' AND collection >= '~' AND collection < char(127)";
/// The longest payload, in bytes of JSON.
const MAX_PAYLOAD_BYTES: usize = 1 << 20;

/// An operation to queue.
#[derive(Clone, Debug, PartialEq)]
pub struct NewOperation {
    /// The name that its executor is registered by.
    pub name: String,
    /// Its lane: operations of one name and key are carried out one at a time, first in first out.
    pub key: String,
    /// What its executor is given, at most 1 MiB.
    pub payload: Value,
    /// Which go first.
    pub priority: Priority,
    /// A document that has to be clean before: all its edits are at the remote.
    pub after: Option<DocRef>,
}

impl NewOperation {
    /// One of medium priority that waits for no document.
    pub fn new(name: impl Into<String>, key: impl Into<String>, payload: Value) -> Self {
        Self {
            name: name.into(),
            key: key.into(),
            payload,
            priority: Priority::default(),
            after: None,
        }
    }
}

/// An operation in the outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct QueuedOperation {
    /// Its number.
    pub n: u64,
    /// Its random id, the same at every try.
    pub id: String,
    /// The name that its executor is registered by.
    pub name: String,
    /// Its lane.
    pub key: String,
    /// What its executor is given.
    pub payload: Value,
    /// Which go first.
    pub priority: Priority,
    /// The document that has to be clean before.
    pub after: Option<DocRef>,
    /// How often it was begun.
    pub attempts: u32,
}

/// The first operation of a lane, without its payload.
#[derive(Clone, Debug, PartialEq)]
pub struct NextOperation {
    /// Its number.
    pub n: u64,
    /// The name that its executor is registered by.
    pub name: String,
    /// Its lane.
    pub key: String,
    /// Which go first.
    pub priority: Priority,
    /// When it was queued, by the local clock.
    pub queued_at: Timestamp,
    /// How often it was begun.
    pub attempts: u32,
    /// When it may be tried again, and how long a wait that was, where it failed.
    pub retry: Option<(Timestamp, Duration)>,
}

/// What a try came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperationEnd {
    /// It is done.
    Done,
    /// It is to be tried again after a while.
    Retry {
        /// Now, by the local clock.
        now: Timestamp,
        /// How long to wait.
        wait: Duration,
        /// Why, for a person.
        message: String,
    },
    /// It waits for a person.
    Park {
        /// The class of the trouble.
        reason: ParkReason,
        /// What a person should know.
        message: String,
    },
}

/// A row's payload.
#[derive(Serialize, Deserialize)]
struct Content {
    kind: Kind,
    payload: Value,
    priority: Priority,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<After>,
}

#[derive(Serialize, Deserialize)]
enum Kind {
    #[serde(rename = "call")]
    Call,
}

#[derive(Serialize, Deserialize)]
struct After {
    collection: String,
    id: String,
}

/// Where an operation stands in the outbox: `~NAME/KEY`.
fn place(name: &str, key: &str) -> Result<DocRef, StoreError> {
    // Alone it would be a name, and `~` isn't one of an executor.
    Collection::new(name)?;
    Ok(DocRef::new(
        Collection::new(format!("~{name}"))?,
        DocId::new(key)?,
    ))
}

/// Whether a row is an operation.
pub(crate) fn is_call(operation: &str, collection: &str) -> bool {
    operation == "call" && collection.starts_with('~')
}

fn operation_of(row: &SqliteRow) -> Result<QueuedOperation, StoreError> {
    let content: Content = serde_json::from_str(row.try_get("payload")?)
        .map_err(|e| StoreError::corrupt(format!("the operation can't be read: {e}")))?;
    let after = content.after.map(|a| DocRef::parse(&a.collection, &a.id));
    Ok(QueuedOperation {
        n: row.try_get::<i64, _>("n")?.unsigned_abs(),
        id: row.try_get("op_id")?,
        name: name_of(row)?,
        key: row.try_get("doc_id")?,
        payload: content.payload,
        priority: content.priority,
        after: after.transpose()?,
        attempts: row.try_get("attempts")?,
    })
}

fn name_of(row: &SqliteRow) -> Result<String, StoreError> {
    let collection: &str = row.try_get("collection")?;
    Ok(collection.trim_start_matches('~').to_owned())
}

/// A row of the outbox as an operation, if it is one. One that can't be read waits, and says why.
pub(crate) fn call_entry(row: &SqliteRow) -> Result<Option<OutboxEntry>, StoreError> {
    let (operation, collection, id): (&str, &str, &str) = (
        row.try_get("operation")?,
        row.try_get("collection")?,
        row.try_get("doc_id")?,
    );
    if !is_call(operation, collection) {
        return Ok(None);
    }
    let (call, why) = match operation_of(row) {
        Ok(call) => (call, None),
        Err(error) => {
            let unreadable = QueuedOperation {
                n: row.try_get::<i64, _>("n")?.unsigned_abs(),
                id: row.try_get("op_id")?,
                name: name_of(row)?,
                key: id.to_owned(),
                payload: Value::Null,
                priority: Priority::default(),
                after: None,
                attempts: row.try_get("attempts")?,
            };
            (unreadable, Some(error.to_string()))
        }
    };
    let row: OutboxRow = row_of(stand_in(operation), row)?;
    let error = why.or_else(|| row.error.clone());
    Ok(Some(OutboxEntry {
        doc: shown_as(collection, id),
        row: OutboxRow { error, ..row },
        call: Some(call),
    }))
}

impl Store {
    /// Queues an operation, durably, and gives it its id.
    ///
    /// # Errors
    /// `invalid_id` for a name or key that can't be (what can't be a collection or an id can't), `too_large`,
    /// `unknown_collection` of the document that it waits for, `outbox_full`.
    pub async fn enqueue(
        &self,
        operation: NewOperation,
        now: Timestamp,
    ) -> Result<String, StoreError> {
        let place = place(&operation.name, &operation.key)?;
        let after = match operation.after {
            Some(doc) => {
                self.config(&doc.collection)?;
                Some(After {
                    collection: doc.collection.to_string(),
                    id: doc.id.to_string(),
                })
            }
            None => None,
        };
        let content = Content {
            kind: Kind::Call,
            payload: operation.payload,
            priority: operation.priority,
            after,
        };
        let text = serde_json::to_string(&content).map_err(StoreError::corrupt)?;
        if text.len() > MAX_PAYLOAD_BYTES {
            return Err(StoreError::OperationTooLarge(text.len()));
        }
        self.write(move |tx| {
            Box::pin(async move {
                tx.take_room().await?;
                let id = tx.new_id();
                tx.insert_call(&place, &id, &text, now).await?;
                // Nothing of a document changed, but who waits for something to do should know.
                tx.changed.push(place);
                Ok(id)
            })
        })
        .await
    }

    /// The first operation of each lane that may be carried out now or later without anybody's doing: not parked, readable,
    /// and waiting for no document. In the order of their numbers.
    pub async fn next_operations(&self) -> Result<Vec<NextOperation>, StoreError> {
        let sql = format!(
            "SELECT n, collection, doc_id, created_at, attempts, retry_at, retry_span, payload ->> '$.priority' AS priority
             FROM outbox_ops o WHERE {IS_CALL} AND state = 'pending'
                 AND CASE WHEN json_valid(payload) THEN payload ->> '$.kind' = 'call'
                     AND json_type(payload, '$.payload') IS NOT NULL ELSE 0 END
                 AND NOT EXISTS (SELECT 1 FROM outbox_ops b
                     WHERE b.collection = o.collection AND b.doc_id = o.doc_id AND b.n < o.n)
                 AND NOT EXISTS (SELECT 1 FROM outbox_ops d
                     WHERE d.collection = o.payload ->> '$.after.collection' AND d.doc_id = o.payload ->> '$.after.id')
             ORDER BY n"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .fetch_all(&self.inner.readers)
            .await?;
        rows.iter().map(next).collect()
    }

    /// Marks an operation as begun, durably, and gives it whole; `None` where it is gone, parked or can't be read.
    pub async fn begin_operation(&self, n: u64) -> Result<Option<QueuedOperation>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                tx.mark_sent(&[n], true).await?;
                let sql = format!(
                    "SELECT * FROM outbox_ops WHERE n = ?1 AND {IS_CALL} AND state = 'pending'"
                );
                let row = sqlx::query(sqlx::AssertSqlSafe(sql))
                    .bind(n as i64)
                    .fetch_optional(tx.conn())
                    .await?;
                match row.as_ref().map(operation_of) {
                    Some(Ok(operation)) => Ok(Some(operation)),
                    None | Some(Err(_)) => {
                        tx.mark_sent(&[n], false).await?;
                        Ok(None)
                    }
                }
            })
        })
        .await
    }

    /// Records what a try came to.
    pub async fn end_operation(&self, n: u64, end: OperationEnd) -> Result<(), StoreError> {
        self.write(move |tx| Box::pin(async move { tx.end_operation(n, end).await }))
            .await
    }
}

fn next(row: &SqliteRow) -> Result<NextOperation, StoreError> {
    let priority: Option<String> = row.try_get("priority")?;
    let retry_at: Option<i64> = row.try_get("retry_at")?;
    let span: Option<i64> = row.try_get("retry_span")?;
    Ok(NextOperation {
        n: row.try_get::<i64, _>("n")?.unsigned_abs(),
        name: name_of(row)?,
        key: row.try_get("doc_id")?,
        // One that a newer version knows is as good as any.
        priority: priority
            .and_then(|p| serde_json::from_value(Value::String(p)).ok())
            .unwrap_or_default(),
        queued_at: Timestamp::from_micros(row.try_get("created_at")?),
        attempts: row.try_get("attempts")?,
        retry: retry_at.zip(span).map(|(at, span)| {
            let span = Duration::from_micros(u64::try_from(span).unwrap_or(0));
            (Timestamp::from_micros(at), span)
        }),
    })
}

impl WriteTx {
    async fn end_operation(&mut self, n: u64, end: OperationEnd) -> Result<(), StoreError> {
        let found: Option<(String, String)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT collection, doc_id FROM outbox_ops WHERE n = ?1 AND {IS_CALL}"
        )))
        .bind(n as i64)
        .fetch_optional(self.conn())
        .await?;
        let Some((collection, key)) = found else {
            return Ok(());
        };
        let ended = match end {
            OperationEnd::Done => sqlx::query("DELETE FROM outbox_ops WHERE n = ?1").bind(n as i64),
            OperationEnd::Retry { now, wait, message } => {
                let span = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
                sqlx::query(
                    "UPDATE outbox_ops SET sent = 0, error = ?2, retry_at = ?3, retry_span = ?4 WHERE n = ?1",
                )
                .bind(n as i64)
                .bind(message)
                .bind(now.saturating_add(wait).as_micros())
                .bind(span)
            }
            OperationEnd::Park { reason, message } => sqlx::query(
                "UPDATE outbox_ops SET sent = 0, state = 'parked', reason = ?2, error = ?3, retry_at = NULL,
                     retry_span = NULL WHERE n = ?1",
            )
            .bind(n as i64)
            .bind(reason.code())
            .bind(message),
        };
        ended.execute(self.conn()).await?;
        self.changed.push(shown_as(&collection, &key));
        Ok(())
    }

    /// Takes an operation out of the queue; the journal keeps what it was.
    pub(crate) async fn discard_call(
        &mut self,
        n: u64,
        (collection, key): (&str, &str),
        payload: String,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let content: Option<Content> = serde_json::from_str(&payload).ok();
        let entry = Conflict {
            field: "call".to_owned(),
            kept: Value::Null,
            lost: content.map_or(Value::String(payload), |c| c.payload),
            lost_side: LostSide::Local,
            reason: ConflictReason::Discarded,
            bring_back: Vec::new(),
            context: ConflictContext::default(),
        };
        self.journal_as(collection, key, &entry, now).await?;
        sqlx::query("DELETE FROM outbox_ops WHERE n = ?1")
            .bind(n as i64)
            .execute(self.conn())
            .await?;
        self.changed.push(shown_as(collection, key));
        Ok(1)
    }
}
