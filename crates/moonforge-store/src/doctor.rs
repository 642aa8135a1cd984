//! Looking for what should not be.

use moonforge_model::{Collection, DocId, DocRef, Fields};
use sqlx::Row as _;

use crate::error::StoreError;
use crate::open::Store;
use crate::state::{Base, DocState};
use crate::tx::WriteTx;

/// How many documents are looked at in one transaction, so that writers needn't wait for the whole.
const SLICE: i64 = 200;

/// Something that should not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A stable code.
    pub code: &'static str,
    /// A sentence for a person.
    pub message: String,
    /// Whether [`Store::repair`] mended it.
    pub repaired: bool,
    pub(crate) doc: Option<DocRef>,
}

impl Finding {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            repaired: false,
            doc: None,
        }
    }

    fn of(code: &'static str, doc: DocRef, what: &str) -> Self {
        Self {
            message: format!("{doc} {what}"),
            doc: Some(doc),
            ..Self::new(code, "")
        }
    }
}

/// A document's row as it stands.
pub(crate) struct RawDoc {
    pub(crate) body: String,
    rev: Option<i64>,
    deleted_at: Option<i64>,
    delete_id: Option<String>,
    has_meta: bool,
}

impl Store {
    /// Looks at the whole file. Changes nothing.
    ///
    /// Codes: `integrity`, `foreign_key`, `dirty_mismatch`, `metadata_without_document`, `document_without_metadata`,
    /// `unreadable_document`, `view_out_of_step`, `unreadable_state` and `quarantined`.
    pub async fn doctor(&self) -> Result<Vec<Finding>, StoreError> {
        let mut findings = Vec::new();
        let readers = &self.inner.readers;
        let lines: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check")
            .fetch_all(readers)
            .await?;
        findings.extend(
            lines
                .into_iter()
                .filter(|l| l != "ok")
                .map(|l| Finding::new("integrity", l)),
        );
        for row in sqlx::query("PRAGMA foreign_key_check")
            .fetch_all(readers)
            .await?
        {
            let table: String = row.try_get(0)?;
            let message = format!("a row of {table} refers to nothing");
            findings.push(Finding::new("foreign_key", message));
        }
        findings.extend(self.dirty_mismatches().await?);
        for config in self.registry().iter() {
            let collection = config.name.clone();
            let mut after = String::new();
            loop {
                let (collection, from) = (collection.clone(), after.clone());
                let slice = self
                    .write(move |tx| Box::pin(async move { tx.look_at(&collection, &from).await }));
                let (found, last) = slice.await?;
                findings.extend(found);
                match last {
                    Some(last) => after = last,
                    None => break,
                }
            }
        }
        let aside: Vec<(String, String, String)> =
            sqlx::query_as("SELECT collection, doc_id, error FROM quarantine ORDER BY doc_ref")
                .fetch_all(readers)
                .await?;
        for (collection, id, error) in aside {
            let doc = DocRef::parse(&collection, &id)?;
            let what = format!("came from the remote in a form that can't be read: {error}");
            findings.push(Finding::of("quarantined", doc, &what));
        }
        Ok(findings)
    }

    async fn dirty_mismatches(&self) -> Result<Vec<Finding>, StoreError> {
        let wrong: Vec<(String, String, bool)> = sqlx::query_as(
            "WITH queued AS (SELECT DISTINCT collection, doc_id FROM outbox_ops)
             SELECT collection, doc_id, 0 FROM local_metas m WHERE dirty = 1 AND NOT EXISTS (
                 SELECT 1 FROM queued q WHERE q.collection = m.collection AND q.doc_id = m.doc_id)
             UNION ALL
             SELECT collection, doc_id, 1 FROM queued q WHERE NOT EXISTS (
                 SELECT 1 FROM local_metas m WHERE m.dirty = 1
                 AND m.collection = q.collection AND m.doc_id = q.doc_id)
             ORDER BY 1, 2",
        )
        .fetch_all(&self.inner.readers)
        .await?;
        let finding = |(collection, id, queued): (String, String, bool)| {
            let doc = DocRef::parse(&collection, &id)?;
            let what = if queued {
                "has edits in the outbox and isn't marked dirty"
            } else {
                "is marked dirty and has no edits in the outbox"
            };
            Ok(Finding::of("dirty_mismatch", doc, what))
        };
        wrong.into_iter().map(finding).collect()
    }
}

impl WriteTx {
    /// Looks at the documents whose ids follow `after`. Says where it stopped, if there is more.
    async fn look_at(
        &mut self,
        collection: &Collection,
        after: &str,
    ) -> Result<(Vec<Finding>, Option<String>), StoreError> {
        let table = self.table(collection)?;
        let sql = format!(
            "SELECT id FROM {} d WHERE {} AND id > ?2
             UNION SELECT doc_id FROM local_metas WHERE collection = ?1 AND doc_id > ?2
             ORDER BY 1 LIMIT ?3",
            table.name, table.only_d
        );
        let ids: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(collection.as_str())
            .bind(after)
            .bind(SLICE)
            .fetch_all(self.conn())
            .await?;
        let mut findings = Vec::new();
        for id in &ids {
            let doc = DocRef::new(collection.clone(), DocId::new(id.as_str())?);
            if let Some((code, what)) = self.look_at_one(&doc).await? {
                findings.push(Finding::of(code, doc, &what));
            }
        }
        let full = ids.len() as i64 == SLICE;
        Ok((findings, ids.into_iter().next_back().filter(|_| full)))
    }

    async fn look_at_one(
        &mut self,
        doc: &DocRef,
    ) -> Result<Option<(&'static str, String)>, StoreError> {
        let Some(raw) = self.raw(doc).await? else {
            let what = "is known in the metadata and isn't there".to_owned();
            return Ok(Some(("metadata_without_document", what)));
        };
        if !raw.has_meta {
            let what = "has no metadata".to_owned();
            return Ok(Some(("document_without_metadata", what)));
        }
        let body: Fields = match serde_json::from_str(&raw.body) {
            Ok(body) => body,
            Err(error) => {
                let what = format!("can't be read: {error}");
                return Ok(Some(("unreadable_document", what)));
            }
        };
        let state = match self.load(doc).await {
            Ok(state) => state,
            Err(StoreError::Corrupt(what)) => {
                let what = format!("has metadata or edits that can't be read: {what}");
                return Ok(Some(("unreadable_state", what)));
            }
            Err(error) => return Err(error),
        };
        Ok((!in_step(&state, &body, &raw)).then(|| {
            let what = "doesn't show what its base and its edits come to".to_owned();
            ("view_out_of_step", what)
        }))
    }

    pub(crate) async fn raw(&mut self, doc: &DocRef) -> Result<Option<RawDoc>, StoreError> {
        let table = self.table(&doc.collection)?;
        let sql = format!(
            "SELECT body, rev, deleted_at, delete_id,
                    EXISTS (SELECT 1 FROM local_metas WHERE doc_ref = ?2) AS has_meta
             FROM {} d WHERE {} AND id = ?1",
            table.name, table.only_d
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(doc.id.as_str())
            .bind(doc.to_string())
            .fetch_optional(self.conn())
            .await?;
        row.map(|row| {
            Ok(RawDoc {
                body: row.try_get("body")?,
                rev: row.try_get("rev")?,
                deleted_at: row.try_get("deleted_at")?,
                delete_id: row.try_get("delete_id")?,
                has_meta: row.try_get("has_meta")?,
            })
        })
        .transpose()
    }
}

fn in_step(state: &DocState, body: &Fields, raw: &RawDoc) -> bool {
    let Some(view) = state.view() else {
        return false;
    };
    let deletion = view.deleted.as_ref();
    // A rev of version 1 is shown until the first sync, and nothing here says what it should be.
    let rev = match &state.base {
        Base::Known(version) => raw.rev == version.envelope.rev,
        Base::Absent { .. } | Base::Unknown { .. } => true,
    };
    view.fields == *body
        && deletion.map(|d| d.at.as_micros()) == raw.deleted_at
        && deletion.map(|d| d.id()) == raw.delete_id.as_deref()
        && rev
}
