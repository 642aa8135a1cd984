//! Mending what `doctor` found, where that loses nothing.

use moonforge_model::{DocRef, Fields, RowOp, Timestamp, diff};
use serde_json::json;

use crate::doctor::Finding;
use crate::edit::EditTime;
use crate::error::StoreError;
use crate::journal::Quarantined;
use crate::open::Store;
use crate::state::Base;
use crate::tx::WriteTx;

impl Store {
    /// Mends those of the findings that can be mended without losing anything, each in a transaction of its own, and gives
    /// all of them back.
    ///
    /// Dirty flags follow the outbox (an edit that is in the document and not in the outbox is queued again); views are folded
    /// anew; a document that can't be read and is at the remote goes to quarantine until the remote's version comes.
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
                    Err(StoreError::Corrupt(_)) => false,
                    Err(error) => return Err(error),
                };
            }
            results.push(finding);
        }
        Ok(results)
    }
}

impl WriteTx {
    async fn mend(&mut self, code: &str, doc: &DocRef) -> Result<bool, StoreError> {
        match code {
            "dirty_mismatch" => self.mend_dirty(doc).await,
            "view_out_of_step" => self.fold_anew(doc).await,
            "document_without_metadata" => self.mend_metadata(doc).await,
            "metadata_without_document" | "unreadable_document" => self.mend_document(doc).await,
            _ => Ok(false),
        }
    }

    async fn fold_anew(&mut self, doc: &DocRef) -> Result<bool, StoreError> {
        let mut state = self.load(doc).await?;
        self.save(&mut state).await?;
        Ok(true)
    }

    async fn mend_dirty(&mut self, doc: &DocRef) -> Result<bool, StoreError> {
        let mut state = self.load(doc).await?;
        let kept: Option<Option<String>> =
            sqlx::query_scalar("SELECT base FROM local_metas WHERE doc_ref = ?1")
                .bind(doc.to_string())
                .fetch_optional(self.conn())
                .await?;
        let Some(kept) = kept else {
            return self.mend_metadata(doc).await;
        };
        let raw = self.raw(doc).await?;
        let Some(raw) = raw.filter(|_| state.rows.is_empty()) else {
            return self.fold_anew(doc).await;
        };
        // The edit is in the document alone: the base is beside it, so what the edit was can be told.
        let shown: Fields = serde_json::from_str(&raw.body).map_err(StoreError::corrupt)?;
        let base: Option<Fields> = kept
            .map(|text| serde_json::from_str(&text).map_err(StoreError::corrupt))
            .transpose()?;
        let op = match (&mut state.base, base) {
            (Base::Known(version), Some(base)) => {
                let ops = diff(&self.config(&doc.collection)?, &base, &shown);
                version.fields = base;
                (!ops.is_empty()).then_some(RowOp::Patch { ops })
            }
            (Base::Absent { remains: None, .. }, _) => Some(RowOp::Create { fields: shown }),
            _ => None,
        };
        match op {
            Some(op) => {
                let at = self.updated_at(doc).await?;
                self.queue(&mut state, op, EditTime::at(at)).await?;
            }
            None => self.save(&mut state).await?,
        }
        Ok(true)
    }

    /// What nothing is known of is as if nobody had looked: the next sync does.
    async fn mend_metadata(&mut self, doc: &DocRef) -> Result<bool, StoreError> {
        let raw = self.raw(doc).await?;
        let shown = raw.map(|raw| serde_json::from_str(&raw.body).map_err(StoreError::corrupt));
        let mut state = self.load(doc).await?;
        state.base = Base::Unknown {
            shown: shown.transpose()?.unwrap_or_default(),
        };
        self.save(&mut state).await?;
        Ok(true)
    }

    async fn mend_document(&mut self, doc: &DocRef) -> Result<bool, StoreError> {
        let (dirty, known): (bool, bool) = sqlx::query_as(
            "SELECT EXISTS (SELECT 1 FROM outbox_ops WHERE collection = ?2 AND doc_id = ?3),
                    EXISTS (SELECT 1 FROM local_metas WHERE doc_ref = ?1 AND base_state = 'known')",
        )
        .bind(doc.to_string())
        .bind(doc.collection.as_str())
        .bind(doc.id.as_str())
        .fetch_one(self.conn())
        .await?;
        if dirty {
            // Base and edits are kept beside the document.
            return self.fold_anew(doc).await;
        }
        if !known {
            return Ok(false);
        }
        let raw = self.raw(doc).await?;
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

    async fn updated_at(&mut self, doc: &DocRef) -> Result<Timestamp, StoreError> {
        let table = self.table(&doc.collection)?;
        let sql = format!(
            "SELECT updated_at FROM {} d WHERE {} AND id = ?1",
            table.name, table.only_d
        );
        let at: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(doc.id.as_str())
            .fetch_one(self.conn())
            .await?;
        Ok(Timestamp::from_micros(at))
    }
}
