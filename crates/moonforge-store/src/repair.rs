//! Mending what `doctor` found, where that loses nothing.
//!
//! A document's row is what its person saw last, so an edit whose outbox row is gone is still to be read there: it is what
//! leads from base ⊕ rows to the row, and is queued before anything is folded anew. What can't be told for certain is left,
//! and its finding stays.

use moonforge_model::{
    Deletion, DocRef, Fields, Folded, PatchOp, Row, RowOp, Timestamp, apply, diff,
};
use serde_json::{Number, json};

use crate::doctor::{Finding, RawDoc};
use crate::error::StoreError;
use crate::journal::Quarantined;
use crate::open::Store;
use crate::state::{Base, DocState};
use crate::tx::WriteTx;

/// The findings that there is a way to mend.
const MENDED: [&str; 5] = [
    "dirty_mismatch",
    "view_out_of_step",
    "document_without_metadata",
    "metadata_without_document",
    "unreadable_document",
];

impl Store {
    /// Mends those of the findings that can be mended without losing anything, each in a transaction of its own, and gives
    /// all of them back. A finding that has gone by itself since counts as mended.
    ///
    /// Dirty flags follow the outbox, and an edit that is in the document and not in the outbox is queued again, deletes and
    /// restores included; views are folded anew; a document that can't be read and is at the remote goes to quarantine until
    /// the remote's version comes.
    pub async fn repair(&self, findings: Vec<Finding>) -> Result<Vec<Finding>, StoreError> {
        let mut results = Vec::with_capacity(findings.len());
        for mut finding in findings {
            if let Some(doc) = finding.doc.clone() {
                let code = finding.code;
                let mended = self
                    .write(move |tx| Box::pin(async move { tx.mend(code, &doc).await }))
                    .await;
                finding.repaired = match mended {
                    Ok(mended) => mended,
                    Err(
                        error @ (StoreError::Sqlite(_)
                        | StoreError::DiskFull
                        | StoreError::Busy
                        | StoreError::CannotOpen(_)
                        | StoreError::Interrupted),
                    ) => return Err(error),
                    // This document can't be mended; others may.
                    Err(_) => false,
                };
            }
            results.push(finding);
        }
        Ok(results)
    }
}

impl WriteTx {
    /// Mends what was found of a document, if it is still so. Says whether it is so no longer.
    async fn mend(&mut self, code: &'static str, doc: &DocRef) -> Result<bool, StoreError> {
        if !MENDED.contains(&code) {
            return Ok(false);
        }
        let found = self.look_again(doc).await?;
        if !found.contains(&code) {
            return Ok(found.is_empty());
        }
        let tried = match code {
            "dirty_mismatch" => self.mend_dirty(doc).await?,
            "view_out_of_step" => self.queue_what_shows(doc).await?,
            "document_without_metadata" => self.mend_metadata(doc).await?,
            _ => self.mend_document(doc).await?,
        };
        Ok(tried && !self.look_again(doc).await?.contains(&code))
    }

    async fn mend_dirty(&mut self, doc: &DocRef) -> Result<bool, StoreError> {
        let kept: Option<Option<String>> =
            sqlx::query_scalar("SELECT base FROM local_metas WHERE doc_ref = ?1")
                .bind(doc.to_string())
                .fetch_optional(self.conn())
                .await?;
        let Some(kept) = kept else {
            return self.mend_metadata(doc).await;
        };
        let mut state = self.load(doc).await?;
        let Some(raw) = self.raw(doc).await? else {
            // The flag tells of an edit, and there is nothing that would tell which.
            let known = !state.rows.is_empty();
            if known {
                self.save(&mut state).await?;
            }
            return Ok(known);
        };
        let shown: Fields = serde_json::from_str(&raw.body).map_err(StoreError::corrupt)?;
        if !state.rows.is_empty() {
            return self.queue_lost(&mut state, &shown, &raw).await;
        }
        // The edit is in the document alone. The base is beside it, so what the edit was can be told.
        let base: Option<Fields> = kept
            .map(|text| serde_json::from_str(&text).map_err(StoreError::corrupt))
            .transpose()?;
        match (&mut state.base, base) {
            (Base::Known(version), Some(base)) => version.fields = base,
            // Nobody has looked at the remote: all that shows may be an edit.
            (Base::Unknown { shown: below }, base) => {
                *below = base.unwrap_or_else(|| shown.clone());
                let all = RowOp::Create {
                    fields: shown.clone(),
                };
                self.push(&mut state, all, raw.updated_at).await?;
            }
            // What is left of a document that went at the remote is no edit.
            (
                Base::Absent {
                    as_of: Some(_),
                    remains: Some(_),
                },
                _,
            ) => {}
            (Base::Absent { remains, .. }, _) => *remains = None,
            (Base::Known(_), None) => {}
        }
        self.queue_lost(&mut state, &shown, &raw).await
    }

    async fn queue_what_shows(&mut self, doc: &DocRef) -> Result<bool, StoreError> {
        let mut state = self.load(doc).await?;
        let raw = self.raw(doc).await?;
        match raw.filter(|_| !state.rows.is_empty()) {
            Some(raw) => {
                let shown: Fields = serde_json::from_str(&raw.body).map_err(StoreError::corrupt)?;
                self.queue_lost(&mut state, &shown, &raw).await
            }
            // A clean document's fields are its base.
            None => {
                self.save(&mut state).await?;
                Ok(true)
            }
        }
    }

    /// Queues what leads from base ⊕ rows to what the document's row shows, and saves.
    async fn queue_lost(
        &mut self,
        state: &mut DocState,
        shown: &Fields,
        raw: &RawDoc,
    ) -> Result<bool, StoreError> {
        let config = self.config(&state.doc.collection)?;
        let view = state.view();
        let deleted = view.as_ref().and_then(|v| v.deleted.clone());
        if let (Some(deletion), None) = (&deleted, raw.deleted_at) {
            let delete_id = deletion.id().to_owned();
            let restore = RowOp::Restore { delete_id };
            self.push(state, restore, raw.updated_at).await?;
        }
        let edit = match &view {
            None => Some(RowOp::Create {
                fields: shown.clone(),
            }),
            Some(view) => Some(diff(&config, &view.fields, shown))
                .filter(|ops| !ops.is_empty())
                .map(|ops| RowOp::Patch { ops }),
        };
        if let Some(edit) = edit {
            self.push(state, edit, raw.updated_at).await?;
        }
        if let (None, Some(at)) = (&deleted, raw.deleted_at) {
            let id = raw.delete_id.clone().filter(|id| !id.is_empty());
            let delete_id = id.unwrap_or_else(|| self.new_id());
            self.push(state, RowOp::Delete { delete_id }, at).await?;
        }
        self.save(state).await?;
        Ok(true)
    }

    /// Adds an edit that was made at `at`, as long ago as that is. Parked rows stay parked: nobody edited anything now.
    async fn push(&mut self, state: &mut DocState, op: RowOp, at: i64) -> Result<(), StoreError> {
        let at = Timestamp::from_micros(at);
        let seen = state.version().and_then(|v| v.envelope.updated_at);
        let row = Row {
            n: 0,
            incarnation: self.incarnations().await?.current,
            op_id: self.new_id(),
            edited_at: seen.map_or(at, |seen| at.max(seen)),
            op,
            sent: false,
            parked: None,
        };
        state.push_row(row, at);
        Ok(())
    }

    /// What nothing is known of is as if nobody had looked: the next sync does.
    async fn mend_metadata(&mut self, doc: &DocRef) -> Result<bool, StoreError> {
        let mut state = self.load(doc).await?;
        let Some(raw) = self.raw(doc).await? else {
            state.base = Base::Unknown {
                shown: Fields::new(),
            };
            self.save(&mut state).await?;
            return Ok(true);
        };
        let shown: Fields = serde_json::from_str(&raw.body).map_err(StoreError::corrupt)?;
        let deletion = raw.deleted_at.map(|at| Deletion {
            at: Timestamp::from_micros(at),
            delete_id: raw.delete_id.clone().filter(|id| !id.is_empty()),
            purge_at: None,
        });
        state.base = match deletion {
            // Not to be seen again before the remote says so.
            Some(deletion) if state.rows.is_empty() => Base::Absent {
                as_of: None,
                remains: Some((shown.clone(), deletion)),
            },
            _ => Base::Unknown {
                shown: without_rows(&shown, state.edits()),
            },
        };
        let shows = |view: Folded| {
            view.fields == shown
                && view.deleted.as_ref().map(Deletion::id).unwrap_or_default()
                    == raw.delete_id.as_deref().unwrap_or_default()
                && view.deleted.is_some() == raw.deleted_at.is_some()
        };
        // Else its edits would be made twice, or not at all.
        let certain = state.view().is_some_and(shows);
        if certain {
            self.save(&mut state).await?;
        }
        Ok(certain)
    }

    async fn mend_document(&mut self, doc: &DocRef) -> Result<bool, StoreError> {
        let (queued, known, dirty): (bool, bool, bool) = sqlx::query_as(
            "SELECT EXISTS (SELECT 1 FROM outbox_ops WHERE collection = ?2 AND doc_id = ?3),
                    EXISTS (SELECT 1 FROM local_metas WHERE doc_ref = ?1 AND base_state = 'known'),
                    EXISTS (SELECT 1 FROM local_metas WHERE doc_ref = ?1 AND dirty = 1)",
        )
        .bind(doc.to_string())
        .bind(doc.collection.as_str())
        .bind(doc.id.as_str())
        .fetch_one(self.conn())
        .await?;
        if queued {
            // Base and edits are kept beside the document.
            let mut state = self.load(doc).await?;
            self.save(&mut state).await?;
            return Ok(true);
        }
        let raw = self.raw(doc).await?;
        // What can't be read may hold an edit that is nowhere else.
        if !known || dirty && raw.is_some() {
            return Ok(false);
        }
        self.forget(doc).await?;
        if let Some(raw) = raw {
            let aside = Quarantined {
                doc: doc.clone(),
                // Older than any version that the remote can have.
                update_time: Timestamp::EPOCH,
                raw: Fields::from_iter([("body".to_owned(), json!(raw.body))]),
                error: "the copy here can't be read".to_owned(),
            };
            self.quarantine(&aside, Timestamp::EPOCH).await?;
        }
        Ok(true)
    }
}

/// What a document was before these edits, as far as they can be undone: what sets a value comes out the same when it is
/// made twice, what adds to one doesn't.
fn without_rows<'a>(shown: &Fields, rows: impl Iterator<Item = &'a Row>) -> Fields {
    let rows: Vec<&Row> = rows.collect();
    if let Some(RowOp::Create { .. }) = rows.first().map(|row| &row.op) {
        return Fields::new();
    }
    let mut fields = shown.clone();
    for row in rows.into_iter().rev() {
        let RowOp::Patch { ops } = &row.op else {
            continue;
        };
        for op in ops.iter().rev() {
            if let PatchOp::Increment { path, by } = op
                && let Some(by) = negated(by)
            {
                // Where it can't be undone the fields come out otherwise, which is noticed.
                let _ = apply(
                    &mut fields,
                    &PatchOp::Increment {
                        path: path.clone(),
                        by,
                    },
                );
            }
        }
    }
    fields
}

fn negated(number: &Number) -> Option<Number> {
    match number.as_i64() {
        Some(n) => n.checked_neg().map(Number::from),
        None => Number::from_f64(-number.as_f64()?),
    }
}
