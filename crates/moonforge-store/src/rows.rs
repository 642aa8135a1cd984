//! A document's rows in the outbox: read and written with its state, numbered in their order.

use std::collections::HashMap;

use moonforge_model::{Collection, DocId, DocRef, ParkReason, Row, Timestamp};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::error::StoreError;
use crate::state::{DocState, OutboxRow, json};
use crate::tx::WriteTx;

impl WriteTx {
    /// The rows of the documents in a JSON array of ids.
    pub(crate) async fn rows_of(
        &mut self,
        collection: &Collection,
        ids: &str,
    ) -> Result<HashMap<String, Vec<OutboxRow>>, StoreError> {
        let found = sqlx::query(
            "SELECT doc_id, n, incarnation, op_id, payload, edited_at, created_at, attempts, sent, state,
                    reason, error
             FROM outbox_ops WHERE collection = ?1 AND doc_id IN (SELECT value FROM json_each(?2))
             ORDER BY n",
        )
        .bind(collection.as_str())
        .bind(ids)
        .fetch_all(self.conn())
        .await?;
        let mut rows: HashMap<String, Vec<OutboxRow>> = HashMap::new();
        for row in found {
            let id: String = row.try_get("doc_id")?;
            let doc = DocRef::new(collection.clone(), DocId::new(id.clone())?);
            rows.entry(id).or_default().push(decode_row(&doc, &row)?);
        }
        Ok(rows)
    }

    /// Writes what changed of a state's rows since it was loaded.
    pub(crate) async fn save_rows(&mut self, state: &mut DocState) -> Result<(), StoreError> {
        for old in &state.loaded {
            if !state.rows.iter().any(|r| r.row.n == old.row.n) {
                sqlx::query("DELETE FROM outbox_ops WHERE n = ?1")
                    .bind(old.row.n as i64)
                    .execute(self.conn())
                    .await?;
            }
        }
        // A row before a new one would be numbered before it, but n is the order: all behind a new row are new too.
        let mut renumber = false;
        for row in &mut state.rows {
            renumber |= row.row.n == 0;
            if renumber && row.row.n != 0 {
                sqlx::query("DELETE FROM outbox_ops WHERE n = ?1")
                    .bind(row.row.n as i64)
                    .execute(self.conn())
                    .await?;
                row.row.n = 0;
            }
            if row.row.n == 0 {
                row.row.n = self.insert_row(&state.doc, row).await?;
            } else if !state.loaded.contains(row) {
                self.update_row(row).await?;
            }
        }
        state.loaded.clone_from(&state.rows);
        Ok(())
    }

    async fn insert_row(&mut self, doc: &DocRef, row: &OutboxRow) -> Result<u64, StoreError> {
        let payload = serde_json::to_string(&row.row.op).map_err(StoreError::corrupt)?;
        let n: i64 = sqlx::query_scalar(
            "INSERT INTO outbox_ops (incarnation, op_id, collection, doc_id, operation, payload, edited_at,
                 created_at, attempts, sent, state, reason, error)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) RETURNING n",
        )
        .bind(&row.row.incarnation)
        .bind(&row.row.op_id)
        .bind(doc.collection.as_str())
        .bind(doc.id.as_str())
        .bind(row.row.op.name())
        .bind(payload)
        .bind(row.row.edited_at.as_micros())
        .bind(row.created_at.as_micros())
        .bind(row.attempts)
        .bind(row.row.sent)
        .bind(if row.row.parked.is_some() { "parked" } else { "pending" })
        .bind(row.row.parked.map(ParkReason::code))
        .bind(&row.error)
        .fetch_one(self.conn())
        .await?;
        u64::try_from(n).map_err(StoreError::corrupt)
    }

    async fn update_row(&mut self, row: &OutboxRow) -> Result<(), StoreError> {
        let payload = serde_json::to_string(&row.row.op).map_err(StoreError::corrupt)?;
        sqlx::query(
            "UPDATE outbox_ops SET operation = ?2, payload = ?3, edited_at = ?4, attempts = ?5, sent = ?6,
                 state = ?7, reason = ?8, error = ?9, incarnation = ?10, op_id = ?11 WHERE n = ?1",
        )
        .bind(row.row.n as i64)
        .bind(row.row.op.name())
        .bind(payload)
        .bind(row.row.edited_at.as_micros())
        .bind(row.attempts)
        .bind(row.row.sent)
        .bind(if row.row.parked.is_some() { "parked" } else { "pending" })
        .bind(row.row.parked.map(ParkReason::code))
        .bind(&row.error)
        .bind(&row.row.incarnation)
        .bind(&row.row.op_id)
        .execute(self.conn())
        .await?;
        Ok(())
    }
}

pub(crate) fn decode_row(doc: &DocRef, row: &SqliteRow) -> Result<OutboxRow, StoreError> {
    let state: String = row.try_get("state")?;
    let reason: Option<String> = row.try_get("reason")?;
    let parked = (state == "parked").then(|| {
        reason
            .as_deref()
            .and_then(ParkReason::from_code)
            .unwrap_or(ParkReason::Denied)
    });
    Ok(OutboxRow {
        row: Row {
            n: u64::try_from(row.try_get::<i64, _>("n")?).map_err(StoreError::corrupt)?,
            incarnation: row.try_get("incarnation")?,
            op_id: row.try_get("op_id")?,
            edited_at: Timestamp::from_micros(row.try_get("edited_at")?),
            op: json(&row.try_get::<String, _>("payload")?, doc)?,
            sent: row.try_get("sent")?,
            parked,
        },
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
        attempts: row.try_get("attempts")?,
        error: row.try_get("error")?,
    })
}
