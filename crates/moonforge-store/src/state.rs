//! A document's whole state, loaded and saved as one thing.
//!
//! `save` is the one place that writes document rows, metadata and outbox rows, so that what a person sees is always
//! base ⊕ rows, and a document is dirty exactly while it has rows.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use moonforge_model::{
    Collection, Deletion, DocId, DocRef, Envelope, Fields, Folded, Row, Timestamp, Version,
    WriterMark, fold,
};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::error::StoreError;
use crate::tx::WriteTx;

/// What the remote is known to hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Base {
    /// Nothing.
    Absent {
        /// When that was true, by the remote's clock; `None` for a document that was never there.
        as_of: Option<Timestamp>,
        /// What is left here of a document that was removed at the remote for good, so that it can be restored.
        remains: Option<(Fields, Deletion)>,
    },
    /// Nobody has looked: from version 1, or from a copy for a new remote.
    Unknown {
        /// What is shown meanwhile.
        shown: Fields,
    },
    /// This version.
    Known(Version),
}

/// A row of the outbox with what the queue keeps of it.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxRow {
    /// The edit. `n` is 0 until it is saved.
    pub row: Row,
    /// When it was queued, by the local clock.
    pub created_at: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// What the last failure said.
    pub error: Option<String>,
}

/// Everything known of one document.
#[derive(Clone, Debug, PartialEq)]
pub struct DocState {
    /// Which.
    pub doc: DocRef,
    /// What the remote is known to hold.
    pub base: Base,
    /// Per incarnation of this file, the newest settled row.
    pub settled: BTreeMap<String, WriterMark>,
    /// Its rows, in order.
    pub rows: Vec<OutboxRow>,
    /// When it was last in step with the remote.
    pub last_synced_at: Option<Timestamp>,
    pub(crate) loaded: Vec<OutboxRow>,
    stored: bool,
}

impl DocState {
    /// The known version, if there is one.
    pub fn version(&self) -> Option<&Version> {
        match &self.base {
            Base::Known(version) => Some(version),
            _ => None,
        }
    }

    /// Whether the document is in the file, as last loaded or saved. After a save it isn't where no scope holds it.
    pub fn is_stored(&self) -> bool {
        self.stored
    }

    /// The edits alone.
    pub fn edits(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().map(|r| &r.row)
    }

    /// base ⊕ rows, or `None` where there is no document.
    pub fn view(&self) -> Option<Folded> {
        match &self.base {
            Base::Absent { remains: None, .. } if self.rows.is_empty() => None,
            Base::Unknown { shown } if shown.is_empty() && self.rows.is_empty() => None,
            Base::Absent {
                remains: Some((fields, deletion)),
                ..
            } if self.rows.is_empty() => {
                let mut folded = fold(None, []);
                folded.fields = fields.clone();
                folded.deleted = Some(deletion.clone());
                Some(folded)
            }
            Base::Absent { .. } => Some(fold(None, self.edits())),
            Base::Unknown { shown } => {
                let envelope = Envelope {
                    update_time: Timestamp::EPOCH,
                    rev: None,
                    updated_at: None,
                    deleted: None,
                    edited: BTreeMap::new(),
                    writers: BTreeMap::new(),
                };
                let shown = Version {
                    fields: shown.clone(),
                    envelope,
                };
                Some(fold(Some(&shown), self.edits()))
            }
            Base::Known(version) => Some(fold(Some(version), self.edits())),
        }
    }

    /// The last synced rev; 0 for what was never there.
    pub fn rev(&self) -> i64 {
        self.version().and_then(|v| v.envelope.rev).unwrap_or(0)
    }

    /// Adds an edit at the end.
    pub fn push_row(&mut self, row: Row, created_at: Timestamp) {
        self.rows.push(OutboxRow {
            row,
            created_at,
            attempts: 0,
            error: None,
        });
    }
}

fn micros(value: Option<i64>) -> Option<Timestamp> {
    value.map(Timestamp::from_micros)
}

pub(crate) fn json<T: serde::de::DeserializeOwned>(
    text: &str,
    doc: &DocRef,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|e| StoreError::corrupt(format!("{doc}: {e}")))
}

/// Behind the statement that saves a document, whose six parameters come before: ?1 is its id.
pub(crate) const SAVE_META: &str =
    "INSERT INTO local_metas (doc_ref, collection, doc_id, dirty, last_synced_at, base_state,
         synced_rev, synced_update_time, synced_updated_at, envelope, base, settled)
     VALUES (?7, ?8, ?1, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
     ON CONFLICT (doc_ref) DO UPDATE SET dirty = excluded.dirty,
         last_synced_at = excluded.last_synced_at, base_state = excluded.base_state,
         synced_rev = excluded.synced_rev, synced_update_time = excluded.synced_update_time,
         synced_updated_at = excluded.synced_updated_at, envelope = excluded.envelope, base = excluded.base,
         settled = excluded.settled";

impl WriteTx {
    /// Loads one document's state; an empty one where nothing is known.
    pub async fn load(&mut self, doc: &DocRef) -> Result<DocState, StoreError> {
        if let Some(state) = self.ahead.remove(doc) {
            return Ok(state);
        }
        let states = self
            .load_many(&doc.collection, std::slice::from_ref(&doc.id))
            .await?;
        states
            .into_iter()
            .next()
            .ok_or_else(|| StoreError::NotFound(doc.clone()))
    }

    /// Reads states ahead, so that the next `load` of each costs nothing. Those that can't be read are left to that `load`,
    /// which says why.
    pub async fn load_ahead<'d>(
        &mut self,
        docs: impl IntoIterator<Item = &'d DocRef>,
    ) -> Result<(), StoreError> {
        let mut ids: BTreeMap<&Collection, BTreeSet<&DocId>> = BTreeMap::new();
        for doc in docs {
            ids.entry(&doc.collection).or_default().insert(&doc.id);
        }
        for (collection, ids) in ids {
            if self.table(collection).is_err() {
                continue;
            }
            let ids: Vec<DocId> = ids.into_iter().cloned().collect();
            let states = self.load_each(collection, &ids, None).await?;
            for state in states.into_values().flatten() {
                self.ahead.insert(state.doc.clone(), state);
            }
        }
        Ok(())
    }

    /// Loads the states of several documents of one collection, in the order asked.
    pub async fn load_many(
        &mut self,
        collection: &Collection,
        ids: &[DocId],
    ) -> Result<Vec<DocState>, StoreError> {
        let mut states = self.load_each(collection, ids, None).await?;
        ids.iter()
            .map(|id| {
                let twice =
                    || StoreError::corrupt(format!("{collection}/{id} was asked for twice"));
                states.remove(id.as_str()).ok_or_else(twice)?
            })
            .collect()
    }

    /// Loads one document's state as if the row `n` weren't there.
    pub(crate) async fn load_without(
        &mut self,
        doc: &DocRef,
        n: u64,
    ) -> Result<DocState, StoreError> {
        let ids = std::slice::from_ref(&doc.id);
        let mut states = self.load_each(&doc.collection, ids, Some(n)).await?;
        let state = states.remove(doc.id.as_str());
        state.ok_or_else(|| StoreError::NotFound(doc.clone()))?
    }

    /// The states of documents by their ids, each with its own error.
    async fn load_each(
        &mut self,
        collection: &Collection,
        ids: &[DocId],
        but: Option<u64>,
    ) -> Result<HashMap<String, Result<DocState, StoreError>>, StoreError> {
        let list = serde_json::to_string(ids).map_err(StoreError::corrupt)?;
        let load = sqlx::AssertSqlSafe(self.table(collection)?.load.clone());
        let found = sqlx::query(load).bind(&list).fetch_all(self.conn()).await?;
        let mut rows = self.rows_of(collection, &list, but).await?;
        let mut states = HashMap::with_capacity(found.len());
        for row in found {
            let id: String = row.try_get("id")?;
            let doc = DocRef::new(collection.clone(), DocId::new(id.clone())?);
            let state = match rows.remove(&id).transpose() {
                Ok(rows) => decode(doc, rows, &row),
                Err(error) => Err(error),
            };
            states.insert(id, state);
        }
        Ok(states)
    }

    /// Saves a state that this transaction loaded. New rows get their numbers, in order.
    pub async fn save(&mut self, state: &mut DocState) -> Result<(), StoreError> {
        self.ahead.remove(&state.doc);
        self.save_rows(state).await?;
        let doc = state.doc.clone();
        let Some(view) = state.view() else {
            if state.stored {
                let delete = sqlx::AssertSqlSafe(self.table(&doc.collection)?.delete.clone());
                sqlx::query(delete)
                    .bind(doc.id.as_str())
                    .execute(self.conn())
                    .await?;
                sqlx::query("DELETE FROM local_metas WHERE doc_ref = ?1")
                    .bind(doc.to_string())
                    .execute(self.conn())
                    .await?;
                self.changed.push(doc.clone());
                state.stored = false;
            }
            return self.unhold(&doc).await;
        };
        let envelope = state.version().map(|v| &v.envelope);
        let last_edit = state.edits().map(|r| r.edited_at).max();
        let synced = envelope.map(|e| e.updated_at.unwrap_or(e.update_time));
        let updated_at = last_edit.max(synced).unwrap_or(Timestamp::EPOCH);
        let body = serde_json::to_string(&view.fields).map_err(StoreError::corrupt)?;
        self.save_both(state, body, updated_at, view.deleted.as_ref())
            .await?;
        let clean = state.rows.is_empty() && state.version().is_some();
        let campaign = view.fields.get("campaignId").and_then(|id| id.as_str());
        state.stored = self.hold(&doc, campaign, clean).await?;
        self.changed.push(doc);
        Ok(())
    }

    /// Saves document and metadata in one statement: each would cost a way to the connection's thread and back.
    async fn save_both(
        &mut self,
        state: &DocState,
        body: String,
        updated_at: Timestamp,
        deleted: Option<&Deletion>,
    ) -> Result<(), StoreError> {
        let dirty = !state.rows.is_empty();
        let text = |fields: &Fields| serde_json::to_string(fields).map_err(StoreError::corrupt);
        let (base_state, update_time, envelope, base) = match &state.base {
            Base::Absent {
                as_of,
                remains: Some((fields, deletion)),
            } if dirty => (
                "absent",
                *as_of,
                Some(serde_json::to_string(deletion).map_err(StoreError::corrupt)?),
                Some(text(fields)?),
            ),
            Base::Absent { as_of, .. } => ("absent", *as_of, None, None),
            Base::Unknown { shown } => (
                "unknown",
                None,
                None,
                dirty.then(|| text(shown)).transpose()?,
            ),
            Base::Known(v) => (
                "known",
                Some(v.envelope.update_time),
                Some(serde_json::to_string(&v.envelope).map_err(StoreError::corrupt)?),
                dirty.then(|| text(&v.fields)).transpose()?,
            ),
        };
        let settled = serde_json::to_string(&state.settled).map_err(StoreError::corrupt)?;
        let save = sqlx::AssertSqlSafe(self.table(&state.doc.collection)?.upsert.clone());
        sqlx::query(save)
            .bind(state.doc.id.as_str())
            .bind(body)
            .bind(state.version().map_or(Some(0), |v| v.envelope.rev))
            .bind(updated_at.as_micros())
            .bind(deleted.map(|d| d.at.as_micros()))
            .bind(deleted.map(|d| d.id().to_owned()))
            .bind(state.doc.to_string())
            .bind(state.doc.collection.as_str())
            .bind(dirty)
            .bind(state.last_synced_at.map(Timestamp::as_micros))
            .bind(base_state)
            .bind(state.version().and_then(|v| v.envelope.rev))
            .bind(update_time.map(Timestamp::as_micros))
            .bind(
                state
                    .version()
                    .and_then(|v| v.envelope.updated_at)
                    .map(Timestamp::as_micros),
            )
            .bind(envelope)
            .bind(base)
            .bind(settled)
            .execute(self.conn())
            .await?;
        Ok(())
    }
}

/// A state from its columns and its rows; `None` where the outbox has none, which isn't the same as none that are loaded.
fn decode(
    doc: DocRef,
    rows: Option<Vec<OutboxRow>>,
    row: &SqliteRow,
) -> Result<DocState, StoreError> {
    let body: Option<String> = row.try_get("body")?;
    let base_state: Option<String> = row.try_get("base_state")?;
    let kept: Option<String> = row.try_get("base")?;
    let envelope: Option<String> = row.try_get("envelope")?;
    let time = micros(row.try_get("synced_update_time")?);
    let clean = rows.is_none();
    // While there are rows the base stands beside the document, else the document is the base.
    let fields = || match if clean { &body } else { &kept } {
        Some(text) => json(text, &doc),
        None if clean => Ok(Fields::new()),
        None => Err(StoreError::corrupt(format!(
            "{doc}: what its edits are made on is missing"
        ))),
    };
    let base = match base_state.as_deref() {
        Some("known") => {
            let envelope = envelope.as_deref();
            let envelope =
                envelope.ok_or_else(|| StoreError::corrupt(format!("{doc}: no envelope")))?;
            Base::Known(Version {
                fields: fields()?,
                envelope: json(envelope, &doc)?,
            })
        }
        Some("unknown") => Base::Unknown {
            // Version 1 could queue edits of a document that it didn't have.
            shown: match (&body, &kept) {
                (None, None) => Fields::new(),
                _ => fields()?,
            },
        },
        _ => Base::Absent {
            as_of: time,
            remains: match (micros(row.try_get("deleted_at")?), &kept, &envelope) {
                (Some(at), _, _) if clean => {
                    let deletion = Deletion {
                        at,
                        delete_id: row.try_get("delete_id")?,
                        purge_at: None,
                    };
                    Some((fields()?, deletion))
                }
                (_, Some(kept), Some(deletion)) if !clean => {
                    Some((json(kept, &doc)?, json(deletion, &doc)?))
                }
                _ => None,
            },
        },
    };
    let settled: Option<String> = row.try_get("settled")?;
    let rows = rows.unwrap_or_default();
    Ok(DocState {
        base,
        settled: settled.map_or_else(|| Ok(BTreeMap::new()), |text| json(&text, &doc))?,
        last_synced_at: micros(row.try_get("last_synced_at")?),
        loaded: rows.clone(),
        stored: base_state.is_some() || body.is_some(),
        rows,
        doc,
    })
}
