//! Looking for what should not be.

use std::path::Path;

use futures_util::TryStreamExt as _;
use moonforge_model::{Collection, DocId, DocRef, Fields};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Row as _};

use crate::backup::plain;
use crate::error::StoreError;
use crate::open::Store;
use crate::place::ordinary;
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
    pub(crate) updated_at: i64,
    pub(crate) deleted_at: Option<i64>,
    pub(crate) delete_id: Option<String>,
    has_meta: bool,
}

impl Store {
    /// Looks at the whole file. Changes nothing, and goes on past what is damaged.
    ///
    /// Codes: `integrity`, `foreign_key`, `dirty_mismatch`, `metadata_without_document`, `document_without_metadata`,
    /// `unreadable_document`, `view_out_of_step`, `unreadable_state`, `invalid_id`, `quarantined`, `stuck` and `left_behind`.
    pub async fn doctor(&self) -> Result<Vec<Finding>, StoreError> {
        let mut findings = Vec::new();
        let mut conn = self.inner.readers.acquire().await?;
        let sound = integrity(&mut conn, &mut findings).await;
        or_damage(&mut findings, sound)?;
        let found = foreign_keys(&mut conn).await;
        let found = or_damage(&mut findings, found)?;
        findings.extend(found);
        drop(conn);
        for found in [
            self.dirty_mismatches().await,
            self.documents().await,
            self.in_quarantine().await,
            self.stuck_rows().await,
            self.left_behind().await,
        ] {
            let found = or_damage(&mut findings, found)?;
            for finding in found {
                // Damage shows wherever it is met.
                if finding.code != "integrity" || !findings.contains(&finding) {
                    findings.push(finding);
                }
            }
        }
        Ok(findings)
    }

    /// What SQLite itself says of a file that can't be opened as a store: `integrity` alone. Changes nothing.
    pub async fn examine(path: impl AsRef<Path>) -> Result<Vec<Finding>, StoreError> {
        let path = path.as_ref();
        ordinary(path)?;
        let mut findings = Vec::new();
        let mut conn = plain(path).await?;
        let sound = integrity(&mut conn, &mut findings).await;
        or_damage(&mut findings, sound)?;
        conn.close().await?;
        Ok(findings)
    }

    async fn dirty_mismatches(&self) -> Result<Vec<Finding>, StoreError> {
        let wrong: Vec<(String, String, bool)> = sqlx::query_as(
            "WITH queued AS (SELECT DISTINCT collection, doc_id FROM outbox_ops
                 WHERE operation <> 'call' OR collection NOT LIKE '~%')
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
            let what = mismatch(queued);
            match DocRef::parse(&collection, &id) {
                Ok(doc) => Finding::of("dirty_mismatch", doc, what),
                Err(why) => nameless(&collection, &id, &format!("{what}: {why}")),
            }
        };
        Ok(wrong.into_iter().map(finding).collect())
    }

    async fn documents(&self) -> Result<Vec<Finding>, StoreError> {
        let mut findings = Vec::new();
        for config in self.registry().iter() {
            let collection = config.name.clone();
            let mut after = String::new();
            loop {
                let (collection, from) = (collection.clone(), after.clone());
                let slice = self
                    .write(move |tx| Box::pin(async move { tx.look_at(&collection, &from).await }))
                    .await;
                let (found, last) = or_damage(&mut findings, slice)?;
                findings.extend(found);
                match last {
                    Some(last) => after = last,
                    None => break,
                }
            }
        }
        Ok(findings)
    }

    async fn in_quarantine(&self) -> Result<Vec<Finding>, StoreError> {
        let aside: Vec<(String, String, String)> =
            sqlx::query_as("SELECT collection, doc_id, error FROM quarantine ORDER BY doc_ref")
                .fetch_all(&self.inner.readers)
                .await?;
        let finding = |(collection, id, error): (String, String, String)| {
            let what = format!("came from the remote in a form that can't be read: {error}");
            match DocRef::parse(&collection, &id) {
                Ok(doc) => Finding::of("quarantined", doc, &what),
                Err(why) => nameless(&collection, &id, &format!("is in quarantine: {why}")),
            }
        };
        Ok(aside.into_iter().map(finding).collect())
    }

    async fn stuck_rows(&self) -> Result<Vec<Finding>, StoreError> {
        let stuck = self.stuck().await?;
        let finding = |row: crate::stuck::Stuck| Finding::new("stuck", row.sentence());
        Ok(stuck.into_iter().map(finding).collect())
    }

    /// What of version 1 could not be carried over, as long as its table is there.
    async fn left_behind(&self) -> Result<Vec<Finding>, StoreError> {
        let left: Vec<String> = sqlx::query_scalar(
            "SELECT value FROM identity JOIN sqlite_schema s ON key = 'left_behind:' || s.name ORDER BY key",
        )
        .fetch_all(&self.inner.readers)
        .await?;
        let finding = |what| Finding::new("left_behind", what);
        Ok(left.into_iter().map(finding).collect())
    }
}

fn mismatch(queued: bool) -> &'static str {
    if queued {
        "has edits in the outbox and isn't marked dirty"
    } else {
        "is marked dirty and has no edits in the outbox"
    }
}

fn nameless(collection: &str, id: &str, what: &str) -> Finding {
    Finding::new("invalid_id", format!("{collection}/{id} {what}"))
}

/// SQLite's own checks, line by line, as far as they come.
async fn integrity(
    conn: &mut SqliteConnection,
    findings: &mut Vec<Finding>,
) -> Result<(), StoreError> {
    let mut lines = sqlx::query_scalar::<_, String>("PRAGMA integrity_check").fetch(conn);
    while let Some(line) = lines.try_next().await? {
        if line != "ok" {
            findings.push(Finding::new("integrity", line));
        }
    }
    Ok(())
}

async fn foreign_keys(conn: &mut SqliteConnection) -> Result<Vec<Finding>, StoreError> {
    let rows = match sqlx::query("PRAGMA foreign_key_check")
        .fetch_all(conn)
        .await
    {
        Ok(rows) => rows,
        Err(error) => {
            return match StoreError::from(error) {
                // A table of somebody else's refers to what is no key: SQLite checks none then.
                StoreError::Sqlite(e) => Ok(vec![Finding::new("foreign_key", e.to_string())]),
                error => Err(error),
            };
        }
    };
    rows.iter()
        .map(|row| {
            let table: String = row.try_get(0)?;
            let message = format!("a row of {table} refers to nothing");
            Ok(Finding::new("foreign_key", message))
        })
        .collect()
}

/// Damage is what is looked for: where a step meets it, that is a finding, and the next step follows.
fn or_damage<T: Default>(
    findings: &mut Vec<Finding>,
    step: Result<T, StoreError>,
) -> Result<T, StoreError> {
    match step {
        Err(StoreError::Corrupt(what)) => {
            let finding = Finding::new("integrity", what);
            if !findings.contains(&finding) {
                findings.push(finding);
            }
            Ok(T::default())
        }
        step => step,
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
            let doc = match DocId::new(id.as_str()) {
                Ok(id) => DocRef::new(collection.clone(), id),
                Err(why) => {
                    findings.push(nameless(
                        collection.as_str(),
                        id,
                        &format!("can be no document: {why}"),
                    ));
                    continue;
                }
            };
            match self.look_at_one(&doc).await {
                Ok(None) => {}
                Ok(Some((code, what))) => findings.push(Finding::of(code, doc, &what)),
                Err(StoreError::Corrupt(what)) => {
                    findings.push(Finding::new("integrity", format!("{doc}: {what}")));
                }
                Err(error) => return Err(error),
            }
        }
        let full = ids.len() as i64 == SLICE;
        Ok((findings, ids.into_iter().next_back().filter(|_| full)))
    }

    /// The codes of what would be found of one document now.
    pub(crate) async fn look_again(
        &mut self,
        doc: &DocRef,
    ) -> Result<Vec<&'static str>, StoreError> {
        let (dirty, queued): (bool, bool) = sqlx::query_as(
            "SELECT EXISTS (SELECT 1 FROM local_metas WHERE doc_ref = ?1 AND dirty = 1),
                    EXISTS (SELECT 1 FROM outbox_ops WHERE collection = ?2 AND doc_id = ?3)",
        )
        .bind(doc.to_string())
        .bind(doc.collection.as_str())
        .bind(doc.id.as_str())
        .fetch_one(self.conn())
        .await?;
        let mismatch = (dirty != queued).then_some("dirty_mismatch");
        let other = self.look_at_one(doc).await?.map(|(code, _)| code);
        Ok(mismatch.into_iter().chain(other).collect())
    }

    async fn look_at_one(
        &mut self,
        doc: &DocRef,
    ) -> Result<Option<(&'static str, String)>, StoreError> {
        let Some(raw) = self.raw(doc).await? else {
            let known: bool =
                sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM local_metas WHERE doc_ref = ?1)")
                    .bind(doc.to_string())
                    .fetch_one(self.conn())
                    .await?;
            let what = "is known in the metadata and isn't there".to_owned();
            return Ok(known.then_some(("metadata_without_document", what)));
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
            "SELECT body, rev, updated_at, deleted_at, delete_id,
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
                updated_at: row.try_get("updated_at")?,
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
