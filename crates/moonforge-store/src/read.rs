//! Reading one document.

use moonforge_model::{Deletion, DocRef, Fields, Guard, Timestamp};
use serde_json::Value;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::error::StoreError;
use crate::open::Store;

/// A document as it is here: the last version known from the remote with the edits of the outbox folded over it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredDoc {
    /// Which.
    pub doc: DocRef,
    /// The model's fields, without `id` and those of the sync protocol.
    pub fields: Fields,
    /// The last synced rev; 0 for what was never synced.
    pub rev: i64,
    /// Whether the collection's documents carry a rev.
    pub has_rev: bool,
    /// When it was last edited, here or elsewhere, in the remote's time.
    pub updated_at: Timestamp,
    /// Set on a tombstone.
    pub deleted: Option<Deletion>,
    /// Whether it has edits on their way, parked ones included.
    pub dirty: bool,
    /// Whether it is alive and something above it is a tombstone, so that lists leave it out.
    pub parent_deleted: bool,
}

impl StoredDoc {
    /// The document as on the wire: its fields with `id`, `rev`, `updatedAt`, on a tombstone `deletedAt` and `deleteId`, and
    /// `parentDeleted` where it is hidden.
    pub fn to_json(&self) -> Value {
        let mut map = self.fields.clone();
        map.insert("id".into(), self.doc.id.as_str().into());
        if self.has_rev {
            map.insert("rev".into(), self.rev.into());
        }
        map.insert("updatedAt".into(), self.updated_at.to_string().into());
        if let Some(deletion) = &self.deleted {
            map.insert("deletedAt".into(), deletion.at.to_string().into());
            if let Some(id) = &deletion.delete_id {
                map.insert("deleteId".into(), id.as_str().into());
            }
        }
        if self.parent_deleted {
            map.insert("parentDeleted".into(), true.into());
        }
        Value::Object(map)
    }
}

impl Store {
    /// The document, tombstones included.
    pub async fn get(&self, doc: &DocRef) -> Result<Option<StoredDoc>, StoreError> {
        let table = self.table(&doc.collection)?;
        let sql = format!(
            "SELECT {} WHERE {} AND d.id = ?1",
            table.stored, table.only_d
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(doc.id.as_str())
            .fetch_optional(&self.inner.readers)
            .await?;
        row.map(|row| self.stored_doc(&doc.collection, &row))
            .transpose()
    }

    pub(crate) fn stored_doc(
        &self,
        collection: &moonforge_model::Collection,
        row: &SqliteRow,
    ) -> Result<StoredDoc, StoreError> {
        let id: String = row.try_get("id")?;
        let doc = DocRef::parse(collection.as_str(), &id)?;
        let body: String = row.try_get("body")?;
        let fields =
            serde_json::from_str(&body).map_err(|e| StoreError::corrupt(format!("{doc}: {e}")))?;
        let deleted_at: Option<i64> = row.try_get("deleted_at")?;
        let delete_id: Option<String> = row.try_get("delete_id")?;
        Ok(StoredDoc {
            fields,
            rev: row.try_get::<Option<i64>, _>("rev")?.unwrap_or(0),
            has_rev: self.config(collection)?.guard == Guard::Rev,
            updated_at: Timestamp::from_micros(row.try_get("updated_at")?),
            deleted: deleted_at.map(|at| Deletion {
                at: Timestamp::from_micros(at),
                delete_id: delete_id.filter(|id| !id.is_empty()),
                purge_at: None,
            }),
            dirty: row.try_get("dirty")?,
            parent_deleted: row.try_get("hidden")?,
            doc,
        })
    }
}
