//! A document's rows in the outbox: read and written with its state, numbered in their order.

use std::collections::HashMap;

use moonforge_model::{
    Collection, DocId, DocRef, MAX_NAME_BYTES, ParkReason, Row, RowOp, Timestamp,
};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::error::StoreError;
use crate::state::{DocState, OutboxRow, json};
use crate::tx::WriteTx;

/// Rows by document; one that can't be read spoils those of its document alone.
pub(crate) type RowsById = HashMap<String, Result<Vec<OutboxRow>, StoreError>>;

impl WriteTx {
    /// The rows of the documents in a JSON array of ids, `but` one passed over. A document without any isn't among them.
    pub(crate) async fn rows_of(
        &mut self,
        collection: &Collection,
        ids: &str,
        but: Option<u64>,
    ) -> Result<RowsById, StoreError> {
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
        let mut rows = RowsById::new();
        for row in found {
            let id: String = row.try_get("doc_id")?;
            let of_doc = rows.entry(id.clone()).or_insert_with(|| Ok(Vec::new()));
            if but.is_some_and(|but| row.try_get("n").is_ok_and(|n: i64| n.unsigned_abs() == but)) {
                continue;
            }
            let doc = DocRef::new(collection.clone(), DocId::new(id)?);
            match (decode_row(&doc, &row), of_doc) {
                (Ok(row), Ok(sound)) => sound.push(row),
                (Err(error), of_doc @ Ok(_)) => *of_doc = Err(error),
                (_, Err(_)) => {}
            }
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

    /// Adds an operation that is no edit. Its payload is written as it is.
    pub(crate) async fn insert_call(
        &mut self,
        place: &DocRef,
        op_id: &str,
        payload: &str,
        at: Timestamp,
    ) -> Result<u64, StoreError> {
        let incarnation = self.incarnations().await?.current;
        let n: i64 = sqlx::query_scalar(
            "INSERT INTO outbox_ops (incarnation, op_id, collection, doc_id, operation, payload, edited_at, created_at)
             VALUES (?1, ?2, ?3, ?4, 'call', ?5, ?6, ?6) RETURNING n",
        )
        .bind(incarnation)
        .bind(op_id)
        .bind(place.collection.as_str())
        .bind(place.id.as_str())
        .bind(payload)
        .bind(at.as_micros())
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
    let op = json(&row.try_get::<String, _>("payload")?, doc)?;
    row_of(op, row)
}

/// A row that does `op`.
pub(crate) fn row_of(op: RowOp, row: &SqliteRow) -> Result<OutboxRow, StoreError> {
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
            op,
            sent: row.try_get("sent")?,
            parked,
        },
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
        attempts: row.try_get("attempts")?,
        error: row.try_get("error")?,
    })
}

/// The document that a list shows for these names, also where they can't be names: with `~` for what can't stand there.
pub(crate) fn shown_as(collection: &str, id: &str) -> DocRef {
    const NAME: &str = "what begins with a `~` and has no odd characters is a name";
    DocRef::new(
        Collection::new(collection)
            .unwrap_or_else(|_| Collection::new(mended(collection)).expect(NAME)),
        DocId::new(id).unwrap_or_else(|_| DocId::new(mended(id)).expect(NAME)),
    )
}

fn mended(text: &str) -> String {
    let plain = |c: char| if c == '/' || c.is_control() { '~' } else { c };
    let mut name: String = text.chars().map(plain).collect();
    if DocId::new(name.as_str()).is_err() {
        name.insert(0, '~');
    }
    while name.len() > MAX_NAME_BYTES {
        name.pop();
    }
    name
}
