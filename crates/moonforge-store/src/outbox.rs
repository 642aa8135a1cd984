//! The outbox as a queue: what waits, what was sent, what is parked.

use moonforge_model::{
    Collection, Conflict, ConflictReason, DocId, DocRef, LostSide, ParkReason, PatchOp, RowOp,
    Timestamp,
};
use sqlx::Row as _;

use crate::error::StoreError;
use crate::open::Store;
use crate::rows::decode_row;
use crate::state::OutboxRow;
use crate::tx::WriteTx;

/// A row with its document, for lists.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxEntry {
    /// The document.
    pub doc: DocRef,
    /// The row.
    pub row: OutboxRow,
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
    /// Whether one of its rows may have been applied.
    pub sent: bool,
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
    pub async fn outbox(&self) -> Result<Vec<OutboxEntry>, StoreError> {
        let rows = sqlx::query("SELECT * FROM outbox_ops ORDER BY n")
            .fetch_all(&self.inner.readers)
            .await?;
        rows.iter()
            .map(|row| {
                let doc = DocRef::parse(row.try_get("collection")?, row.try_get("doc_id")?)?;
                Ok(OutboxEntry {
                    row: decode_row(&doc, row)?,
                    doc,
                })
            })
            .collect()
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

    /// Documents that have rows and none parked, oldest first.
    pub async fn pending_docs(&self) -> Result<Vec<PendingDoc>, StoreError> {
        let rows = sqlx::query(
            "SELECT collection, doc_id, min(n) AS oldest, max(sent) AS sent FROM outbox_ops
             GROUP BY collection, doc_id HAVING count(*) FILTER (WHERE state = 'parked') = 0
             ORDER BY oldest",
        )
        .fetch_all(&self.inner.readers)
        .await?;
        let mut docs = Vec::with_capacity(rows.len());
        for row in rows {
            let doc = DocRef::parse(row.try_get("collection")?, row.try_get("doc_id")?)?;
            docs.push(PendingDoc {
                campaign: (doc.collection.as_str() == "campaigns").then(|| doc.id.to_string()),
                oldest: u64::try_from(row.try_get::<i64, _>("oldest")?)
                    .map_err(StoreError::corrupt)?,
                sent: row.try_get::<i64, _>("sent")? != 0,
                doc,
            });
        }
        self.fill_campaigns(&mut docs).await?;
        Ok(docs)
    }

    async fn fill_campaigns(&self, docs: &mut [PendingDoc]) -> Result<(), StoreError> {
        let mut by_collection: std::collections::BTreeMap<Collection, Vec<DocId>> =
            Default::default();
        for doc in docs.iter().filter(|d| d.campaign.is_none()) {
            by_collection
                .entry(doc.doc.collection.clone())
                .or_default()
                .push(doc.doc.id.clone());
        }
        let mut found = std::collections::HashMap::new();
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
            found.extend(
                rows.into_iter()
                    .filter_map(|(id, c)| Some(((collection.clone(), id), c?))),
            );
        }
        for doc in docs.iter_mut().filter(|d| d.campaign.is_none()) {
            let key = (doc.doc.collection.clone(), doc.doc.id.to_string());
            doc.campaign = found.get(&key).cloned();
        }
        Ok(())
    }

    /// Makes parked rows pending again: those of the row `n`'s document, or all. Says how many.
    pub async fn retry(&self, n: Option<u64>) -> Result<u64, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                if let Some(n) = n {
                    tx.doc_of_row(n).await?;
                }
                let done = sqlx::query(
                    "UPDATE outbox_ops SET state = 'pending', reason = NULL
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

    /// Gives up the edit `n`, which goes to the conflict journal. One that is at the remote perhaps, and not parked, can't be
    /// given up.
    pub async fn discard(&self, n: u64, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let doc = tx.doc_of_row(n).await?;
                let mut state = tx.load(&doc).await?;
                let seen = state.view();
                let Some(at) = state.rows.iter().position(|r| r.row.n == n) else {
                    return Err(StoreError::NoSuch { what: "row", id: n });
                };
                // Without its creation a document that isn't at the remote has no ground to stand on.
                let creation = matches!(state.rows[at].row.op, RowOp::Create { .. });
                let gone: Vec<OutboxRow> = if creation && state.version().is_none() {
                    state.rows.drain(..).collect()
                } else {
                    vec![state.rows.remove(at)]
                };
                tx.give_up(&doc, gone, seen.as_ref().map(|v| &v.fields), now)
                    .await?;
                tx.save(&mut state).await
            })
        })
        .await
    }
}

fn describe(op: &RowOp) -> (String, Vec<PatchOp>) {
    match op {
        RowOp::Patch { ops } => {
            let paths: Vec<String> = ops.iter().map(|o| o.path().to_string()).collect();
            (paths.join(", "), ops.clone())
        }
        other => (other.name().to_owned(), Vec::new()),
    }
}

fn seen_value(op: &RowOp, seen: Option<&moonforge_model::Fields>) -> Option<serde_json::Value> {
    match op {
        RowOp::Patch { ops } if ops.len() == 1 => {
            moonforge_model::value_at(seen?, ops[0].path()).cloned()
        }
        _ => None,
    }
}

impl WriteTx {
    /// Enters rows that were taken out of their document's state in the journal, with what was `seen` of them.
    pub(crate) async fn give_up(
        &mut self,
        doc: &DocRef,
        rows: Vec<OutboxRow>,
        seen: Option<&moonforge_model::Fields>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for OutboxRow { row, .. } in rows {
            if row.sent && row.parked.is_none() {
                return Err(StoreError::InFlight(row.n));
            }
            let lost = serde_json::to_value(&row.op).map_err(StoreError::corrupt)?;
            let (field, bring_back) = describe(&row.op);
            let entry = Conflict {
                field,
                kept: serde_json::Value::Null,
                lost: seen_value(&row.op, seen).unwrap_or(lost),
                lost_side: LostSide::Local,
                reason: ConflictReason::Discarded,
                bring_back,
            };
            self.journal(doc, &entry, now).await?;
        }
        Ok(())
    }

    pub(crate) async fn doc_of_row(&mut self, n: u64) -> Result<DocRef, StoreError> {
        let found: Option<(String, String)> =
            sqlx::query_as("SELECT collection, doc_id FROM outbox_ops WHERE n = ?1")
                .bind(n as i64)
                .fetch_optional(self.conn())
                .await?;
        let (collection, id) = found.ok_or(StoreError::NoSuch { what: "row", id: n })?;
        Ok(DocRef::parse(&collection, &id)?)
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
