//! The outbox as a queue: what waits, what was sent, what is parked.

use std::collections::{BTreeMap, HashMap};

use moonforge_model::{
    Collection, CollectionConfig, DocId, DocRef, Fields, ParkReason, RowOp, Timestamp,
};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::error::StoreError;
use crate::open::Store;
use crate::operations::{QueuedOperation, call_entry};
use crate::rows::{row_of, shown_as};
use crate::state::OutboxRow;
use crate::tx::WriteTx;

/// A row with its document, for lists.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxEntry {
    /// The document.
    pub doc: DocRef,
    /// The row.
    pub row: OutboxRow,
    /// The operation, where this is no edit of a document: `doc` then is its place in the queue, and the row's edit does
    /// nothing.
    pub call: Option<QueuedOperation>,
}

impl OutboxEntry {
    /// What it does: `create`, `patch`, `delete`, `restore`, or `call`.
    pub fn operation(&self) -> &'static str {
        match self.call {
            Some(_) => "call",
            None => self.row.row.op.name(),
        }
    }
}

/// A document that has something to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingDoc {
    /// Which.
    pub doc: DocRef,
    /// The campaign it belongs to, as far as known here.
    pub campaign: Option<String>,
    /// Its oldest row's number: age.
    pub oldest: u64,
}

/// Some of the documents that have something to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PendingPage {
    /// The documents, oldest first.
    pub docs: Vec<PendingDoc>,
    /// The row after which the next page begins; `None` where this is the last.
    pub next: Option<u64>,
}

/// Documents of a collection whose oldest row was queued between two moments, both included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedIn {
    /// The collection.
    pub collection: Collection,
    /// The first moment, by the local clock.
    pub from: Timestamp,
    /// The last one.
    pub to: Timestamp,
}

/// What the outbox holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxCounts {
    /// Rows on their way, sent ones included.
    pub pending: u64,
    /// Rows that wait for a person.
    pub parked: u64,
    /// When the oldest row on its way was queued.
    pub oldest_pending_at: Option<Timestamp>,
}

impl Store {
    /// All rows, oldest first.
    ///
    /// One that can't be read or sent by this app (it is of a collection that isn't registered, say) waits, and its `error`
    /// says why. Where its document's names can't be names they are shown with `~` for what can't stand there, and an edit
    /// that can't be read shows as one that does nothing.
    pub async fn outbox(&self) -> Result<Vec<OutboxEntry>, StoreError> {
        let rows = sqlx::query("SELECT * FROM outbox_ops ORDER BY n")
            .fetch_all(&self.inner.readers)
            .await?;
        rows.iter().map(|row| self.outbox_entry(row)).collect()
    }

    fn outbox_entry(&self, row: &SqliteRow) -> Result<OutboxEntry, StoreError> {
        let (collection, id): (&str, &str) = (row.try_get("collection")?, row.try_get("doc_id")?);
        if let Some(entry) = call_entry(row)? {
            return Ok(entry);
        }
        let mut why = DocRef::parse(collection, id).err().map(|e| e.to_string());
        if why.is_none() && self.inner.registry.get(collection).is_none() {
            let unknown = StoreError::UnknownCollection(collection.to_owned());
            why = Some(format!("{unknown} in this app, so the edit waits"));
        }
        let op = match serde_json::from_str(row.try_get("payload")?) {
            Ok(op) => op,
            Err(error) => {
                why = Some(format!("the edit can't be read: {error}"));
                stand_in(row.try_get("operation")?)
            }
        };
        let mut entry = OutboxEntry {
            doc: shown_as(collection, id),
            row: row_of(op, row)?,
            call: None,
        };
        entry.row.error = why.or(entry.row.error);
        Ok(entry)
    }

    /// What the outbox holds, in numbers.
    pub async fn outbox_counts(&self) -> Result<OutboxCounts, StoreError> {
        let (pending, parked, oldest): (i64, i64, Option<i64>) = sqlx::query_as(
            "SELECT count(*) FILTER (WHERE state = 'pending'), count(*) FILTER (WHERE state = 'parked'),
                    min(created_at) FILTER (WHERE state = 'pending')
             FROM outbox_ops",
        )
        .fetch_one(&self.inner.readers)
        .await?;
        Ok(OutboxCounts {
            pending: pending.unsigned_abs(),
            parked: parked.unsigned_abs(),
            oldest_pending_at: oldest.map(Timestamp::from_micros),
        })
    }

    /// The number of the newest row that was ever queued here; 0 before the first.
    pub async fn newest_row(&self) -> Result<u64, StoreError> {
        let newest: Option<i64> =
            sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = 'outbox_ops'")
                .fetch_optional(&self.inner.readers)
                .await?;
        Ok(newest.unwrap_or(0).unsigned_abs())
    }

    /// Documents that have rows and none parked, oldest first. Those that this app can't send ([`Store::outbox`] says why)
    /// aren't among them.
    pub async fn pending_docs(&self) -> Result<Vec<PendingDoc>, StoreError> {
        let ever = |config: &CollectionConfig| QueuedIn {
            collection: config.name.clone(),
            from: Timestamp::from_micros(i64::MIN),
            to: Timestamp::from_micros(i64::MAX),
        };
        let all: Vec<QueuedIn> = self.registry().iter().map(ever).collect();
        let until = self.last_pending().await?;
        Ok(self.pending_page(&all, 0, until, usize::MAX).await?.docs)
    }

    /// The number of the newest row; 0 where there is none.
    pub async fn last_pending(&self) -> Result<u64, StoreError> {
        let last: Option<i64> = sqlx::query_scalar("SELECT max(n) FROM outbox_ops")
            .fetch_one(&self.inner.readers)
            .await?;
        Ok(last.unwrap_or(0).unsigned_abs())
    }

    /// Of [`Store::pending_docs`] those in these collections and times whose oldest row is in `after + 1..=until`, the first
    /// `most` of them.
    pub async fn pending_page(
        &self,
        which: &[QueuedIn],
        after: u64,
        until: u64,
        most: usize,
    ) -> Result<PendingPage, StoreError> {
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let span = |q: &QueuedIn| {
            let (from, to) = (q.from.as_micros(), q.to.as_micros());
            (q.collection.to_string(), from, to)
        };
        let spans: Vec<(String, i64, i64)> = which.iter().map(span).collect();
        // SQLite plans a statement anew at each call whose limit is a bare parameter, hence the sum.
        let rows = sqlx::query(
            "SELECT o.collection, o.doc_id, o.n AS oldest FROM outbox_ops o
             WHERE o.n > ?1 AND o.n <= ?2 AND EXISTS (SELECT 1 FROM json_each(?3) w
                     WHERE o.collection = w.value ->> 0 AND o.created_at BETWEEN w.value ->> 1 AND w.value ->> 2)
                 AND NOT EXISTS (SELECT 1 FROM outbox_ops e
                     WHERE e.collection = o.collection AND e.doc_id = o.doc_id
                         AND (e.n < o.n OR e.state = 'parked'
                             OR CASE WHEN NOT json_valid(e.payload) THEN 1
                                ELSE CASE e.payload ->> '$.kind'
                                    WHEN 'create' THEN json_type(e.payload, '$.fields') IS NOT 'object'
                                    WHEN 'patch' THEN json_type(e.payload, '$.ops') IS NOT 'array'
                                    WHEN 'delete' THEN json_type(e.payload, '$.deleteId') IS NOT 'text'
                                    WHEN 'restore' THEN json_type(e.payload, '$.deleteId') IS NOT 'text'
                                    ELSE 1 END
                                END))
             ORDER BY o.n LIMIT 0 + ?4",
        )
        .bind(number(after))
        .bind(number(until))
        .bind(serde_json::to_string(&spans).map_err(StoreError::corrupt)?)
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .fetch_all(&self.inner.readers)
        .await?;
        let mut page = PendingPage::default();
        if rows.len() >= most
            && let Some(last) = rows.last()
        {
            page.next = Some(last.try_get::<i64, _>("oldest")?.unsigned_abs());
        }
        for row in rows {
            // What can't be a name is no document of ours.
            let Ok(doc) = DocRef::parse(row.try_get("collection")?, row.try_get("doc_id")?) else {
                continue;
            };
            page.docs.push(PendingDoc {
                campaign: None,
                oldest: row.try_get::<i64, _>("oldest")?.unsigned_abs(),
                doc,
            });
        }
        self.fill_campaigns(&mut page.docs).await?;
        Ok(page)
    }

    async fn fill_campaigns(&self, docs: &mut [PendingDoc]) -> Result<(), StoreError> {
        let unknown: Vec<DocRef> = docs.iter().map(|d| d.doc.clone()).collect();
        let mut campaigns = self.campaigns_of(&unknown).await?;
        for doc in docs {
            doc.campaign = campaigns.remove(&doc.doc);
        }
        Ok(())
    }

    /// The campaigns that documents are in, as far as known here; a campaign is in itself.
    pub async fn campaigns_of(
        &self,
        docs: &[DocRef],
    ) -> Result<HashMap<DocRef, String>, StoreError> {
        let mut by_collection: BTreeMap<Collection, Vec<DocId>> = BTreeMap::new();
        let mut found = HashMap::new();
        for doc in docs {
            if doc.collection.as_str() == "campaigns" {
                found.insert(doc.clone(), doc.id.to_string());
                continue;
            }
            let ids = by_collection.entry(doc.collection.clone()).or_default();
            ids.push(doc.id.clone());
        }
        for (collection, ids) in by_collection {
            let Ok(table) = self.table(&collection) else {
                continue;
            };
            let ids = serde_json::to_string(&ids).map_err(StoreError::corrupt)?;
            let sql = format!(
                "SELECT id, campaign_id FROM {} WHERE {} AND id IN (SELECT value FROM json_each(?1))",
                table.name, table.only
            );
            let rows: Vec<(String, Option<String>)> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
                .bind(ids)
                .fetch_all(&self.inner.readers)
                .await?;
            for (id, campaign) in rows {
                let id = DocId::new(id).map_err(StoreError::corrupt)?;
                let doc = DocRef::new(collection.clone(), id);
                found.extend(campaign.map(|campaign| (doc, campaign)));
            }
        }
        Ok(found)
    }

    /// Makes parked rows pending again: those of the row `n`'s document, or all. Says how many.
    pub async fn retry(&self, n: Option<u64>) -> Result<u64, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                if let Some(n) = n {
                    tx.find_row(n).await?;
                }
                let done = sqlx::query(
                    "UPDATE outbox_ops SET state = 'pending', reason = NULL, error = NULL
                     WHERE state = 'parked' AND (?1 IS NULL OR (collection, doc_id) =
                         (SELECT collection, doc_id FROM outbox_ops WHERE n = ?1))",
                )
                .bind(n.map(|n| n as i64))
                .execute(tx.conn())
                .await?;
                Ok(done.rows_affected())
            })
        })
        .await
    }
}

/// What stands for an edit that can't be read.
pub(crate) fn stand_in(operation: &str) -> RowOp {
    let delete_id = String::new();
    match operation {
        "create" => RowOp::Create {
            fields: Fields::new(),
        },
        "delete" => RowOp::Delete { delete_id },
        "restore" => RowOp::Restore { delete_id },
        _ => RowOp::Patch { ops: Vec::new() },
    }
}

impl WriteTx {
    async fn find_row(&mut self, n: u64) -> Result<(), StoreError> {
        let found: Option<i64> = sqlx::query_scalar("SELECT n FROM outbox_ops WHERE n = ?1")
            .bind(n as i64)
            .fetch_optional(self.conn())
            .await?;
        let missing = StoreError::NoSuch { what: "row", id: n };
        found.map(|_| ()).ok_or(missing)
    }

    /// Marks rows as carried by a request that may be applied, or takes the mark of a failed one away.
    pub async fn mark_sent(&mut self, rows: &[u64], sent: bool) -> Result<(), StoreError> {
        let list = serde_json::to_string(rows).map_err(StoreError::corrupt)?;
        sqlx::query(
            "UPDATE outbox_ops SET sent = ?2, attempts = attempts + ?2
             WHERE n IN (SELECT value FROM json_each(?1))",
        )
        .bind(list)
        .bind(i64::from(sent))
        .execute(self.conn())
        .await?;
        Ok(())
    }

    /// Parks all rows of a document.
    pub async fn park(
        &mut self,
        doc: &DocRef,
        reason: ParkReason,
        error: &str,
    ) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "UPDATE outbox_ops SET state = 'parked', reason = ?3, error = ?4
             WHERE collection = ?1 AND doc_id = ?2",
        )
        .bind(doc.collection.as_str())
        .bind(doc.id.as_str())
        .bind(reason.code())
        .bind(error)
        .execute(self.conn())
        .await?;
        Ok(done.rows_affected())
    }
}
