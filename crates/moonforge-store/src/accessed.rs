//! What was opened here, and what it links to: the documents of `accessed` scopes.
//!
//! A row of `doc_scopes` says that a document was opened, or that an opened one links to it; the document may have to be
//! fetched yet. One that wasn't there, or was closed to the account, is asked for again a day later.

use std::collections::BTreeSet;
use std::time::Duration;

use moonforge_model::{CollectionConfig, DocRef, Fields, SyncScope, Timestamp, links};
use sqlx::{QueryBuilder, SqliteConnection};

use crate::error::StoreError;
use crate::hold::{IS_ACCESSED, is_unheld, push_scope};
use crate::open::Store;
use crate::table::{Table, quoted};
use crate::tx::WriteTx;

/// How long a document that wasn't there is not asked for.
const MISSING_FOR: Duration = Duration::from_secs(24 * 3600);

impl Store {
    /// Notes that a document was opened, for the scopes that hold such. It needn't be here: the next sync fetches it then.
    /// Nothing is written where there is no such scope, or where it is known.
    pub async fn mark_opened(&self, doc: &DocRef, now: Timestamp) -> Result<(), StoreError> {
        let sql = format!(
            "SELECT scope FROM scopes s WHERE joined_at IS NOT NULL AND ({IS_ACCESSED}) AND NOT EXISTS (
                 SELECT 1 FROM doc_scopes h WHERE h.doc_ref = ?1 AND h.scope = s.scope AND h.opened_at IS NOT NULL)"
        );
        let mut conn = self.inner.readers.acquire().await?;
        let unnoted: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(doc.to_string())
            .fetch_all(&mut *conn)
            .await?;
        let mut wanted = Vec::new();
        for text in unnoted {
            let scope: SyncScope = text.parse().map_err(StoreError::corrupt)?;
            let (config, table) = (self.config(&doc.collection)?, self.table(&doc.collection)?);
            let keys = scope.reach(self.registry(), config).is_some()
                && can_hold(&mut conn, self.registry(), config, table, &scope, doc).await?;
            wanted.extend(keys.then_some(scope));
        }
        drop(conn);
        if wanted.is_empty() {
            return Ok(());
        }
        let doc = doc.clone();
        self.write(move |tx| {
            Box::pin(async move {
                for scope in wanted {
                    // Another process may have left it meanwhile.
                    if tx.joined().await?.contains(&scope) {
                        tx.note_opened(&scope, &doc, now).await?;
                    }
                }
                Ok(())
            })
        })
        .await
    }

    /// Documents that `accessed` scopes hold (or one of them) and no other scope, to be fetched by name. Not all are here.
    pub async fn accessed_documents(
        &self,
        only: Option<&SyncScope>,
        now: Timestamp,
    ) -> Result<Vec<DocRef>, StoreError> {
        let sql = format!(
            "SELECT DISTINCT doc_ref FROM doc_scopes a
             WHERE ({IS_ACCESSED}) AND (?1 IS NULL OR scope = ?1)
               AND (missing_at IS NULL OR missing_at > ?2 OR missing_at <= ?3)
               AND NOT EXISTS (SELECT 1 FROM doc_scopes WHERE doc_ref = a.doc_ref AND NOT ({IS_ACCESSED}))
             ORDER BY doc_ref"
        );
        let found: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(only.map(ToString::to_string))
            // A clock that was set back.
            .bind(now.as_micros())
            .bind(now.saturating_sub(MISSING_FOR).as_micros())
            .fetch_all(&self.inner.readers)
            .await?;
        let known = |doc: &DocRef| self.registry().get(doc.collection.as_str()).is_some();
        let docs = found.iter().filter_map(|text| parse(text));
        Ok(docs.filter(known).collect())
    }

    /// Brings into step what the opened documents link to, as they are now.
    pub async fn relink_accessed(&self) -> Result<(), StoreError> {
        self.write(|tx| {
            Box::pin(async move {
                let joined = tx.joined().await?;
                for scope in joined.iter().filter(|s| s.is_accessed()) {
                    tx.relink(scope).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Notes that a document that was opened here, or linked to, isn't there or may not be read: then its copy here goes,
    /// unless another scope holds it or it has edits on their way. Says whether it went.
    pub async fn note_missing(&self, doc: DocRef, now: Timestamp) -> Result<bool, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = format!(
                    "SELECT scope, opened_at FROM doc_scopes WHERE doc_ref = ?1 AND ({IS_ACCESSED})"
                );
                let rows: Vec<(String, Option<i64>)> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
                    .bind(doc.to_string())
                    .fetch_all(tx.conn())
                    .await?;
                let condition = format!(
                    "m.doc_ref = {} AND NOT EXISTS (SELECT 1 FROM doc_scopes h WHERE h.doc_ref = m.doc_ref
                     AND NOT ({IS_ACCESSED}))",
                    quoted(&doc.to_string())
                );
                let config = tx.config(&doc.collection)?;
                let (removed, _) = tx.drop_from(&config, &condition).await?;
                for (scope, opened_at) in rows {
                    sqlx::query(
                        "INSERT OR REPLACE INTO doc_scopes (doc_ref, scope, opened_at, missing_at)
                         VALUES (?1, ?2, ?3, ?4)",
                    )
                    .bind(doc.to_string())
                    .bind(scope)
                    .bind(opened_at)
                    .bind(now.as_micros())
                    .execute(tx.conn())
                    .await?;
                }
                Ok(removed > 0)
            })
        })
        .await
    }
}

/// Whether a scope of opened documents can hold this one, as far as that is known here.
async fn can_hold(
    conn: &mut SqliteConnection,
    registry: &moonforge_model::Registry,
    config: &CollectionConfig,
    table: &Table,
    scope: &SyncScope,
    doc: &DocRef,
) -> Result<bool, StoreError> {
    if scope.keys().is_empty() {
        return Ok(true);
    }
    // The keys alone, of a document that wasn't opened yet.
    let keys = SyncScope::new("keys", scope.keys().clone())?;
    let mut sql = QueryBuilder::new("SELECT NOT EXISTS (SELECT 1 FROM ");
    sql.push(format_args!(
        "{} d WHERE {} AND d.id = ",
        table.name, table.only_d
    ))
    .push_bind(doc.id.to_string())
    .push(" AND NOT coalesce((");
    push_scope(&mut sql, registry, config, &keys);
    // What lacks a field is compared with nothing.
    sql.push("), FALSE))");
    Ok(sql.build_query_scalar().fetch_one(conn).await?)
}

impl WriteTx {
    async fn note_opened(
        &mut self,
        scope: &SyncScope,
        doc: &DocRef,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO doc_scopes (doc_ref, scope, opened_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (doc_ref, scope) DO UPDATE SET opened_at = excluded.opened_at",
        )
        .bind(doc.to_string())
        .bind(scope.to_string())
        .bind(now.as_micros())
        .execute(self.conn())
        .await?;
        self.changed.push(doc.clone());
        let links = self.links_of(doc).await?;
        self.hold_linked(scope, links.iter()).await
    }

    async fn links_of(&mut self, doc: &DocRef) -> Result<BTreeSet<DocRef>, StoreError> {
        let registry = self.registry();
        let config = self.config(&doc.collection)?;
        let fields = self.fields(doc).await?;
        Ok(fields.map_or_else(BTreeSet::new, |fields| {
            links(&registry, &config, doc, &fields)
        }))
    }

    /// Notes that a scope holds documents because opened ones link to them.
    async fn hold_linked(
        &mut self,
        scope: &SyncScope,
        linked: impl Iterator<Item = &DocRef>,
    ) -> Result<(), StoreError> {
        let registry = self.registry();
        for doc in linked {
            let config = self.config(&doc.collection)?;
            if scope.reach(&registry, &config).is_none() {
                continue;
            }
            let table = Table::new(&registry, &config);
            if !can_hold(self.conn(), &registry, &config, &table, scope, doc).await? {
                continue;
            }
            let sql = "INSERT OR IGNORE INTO doc_scopes (doc_ref, scope) VALUES (?1, ?2)";
            let noted = sqlx::query(sql)
                .bind(doc.to_string())
                .bind(scope.to_string())
                .execute(self.conn())
                .await?;
            if noted.rows_affected() > 0 {
                self.changed.push(doc.clone());
            }
        }
        Ok(())
    }

    async fn fields(&mut self, doc: &DocRef) -> Result<Option<Fields>, StoreError> {
        let table = self.table(&doc.collection)?;
        let sql = format!(
            "SELECT d.body FROM {} d WHERE {} AND d.id = ?1",
            table.name, table.only_d
        );
        let body: Option<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(doc.id.as_str())
            .fetch_optional(self.conn())
            .await?;
        // One that can't be read links to nothing: `doctor` looks after it.
        Ok(body.map(|text| serde_json::from_str(&text).unwrap_or_default()))
    }

    /// Notes what the opened documents of a scope link to now, and lets go of what none of them links to any more.
    async fn relink(&mut self, scope: &SyncScope) -> Result<(), StoreError> {
        let name = scope.to_string();
        let rows: Vec<(String, Option<i64>)> =
            sqlx::query_as("SELECT doc_ref, opened_at FROM doc_scopes WHERE scope = ?1")
                .bind(&name)
                .fetch_all(self.conn())
                .await?;
        let registry = self.registry();
        let (mut opened, mut linked) = (BTreeSet::new(), BTreeSet::new());
        let mut wanted = BTreeSet::new();
        for (text, opened_at) in rows {
            let known = |doc: &DocRef| registry.get(doc.collection.as_str()).is_some();
            let Some(doc) = parse(&text).filter(known) else {
                continue;
            };
            if opened_at.is_none() {
                linked.insert(doc);
                continue;
            }
            wanted.extend(self.links_of(&doc).await?);
            opened.insert(doc);
        }
        let new = wanted.difference(&linked).filter(|d| !opened.contains(*d));
        self.hold_linked(scope, new).await?;
        for doc in linked.difference(&wanted) {
            sqlx::query("DELETE FROM doc_scopes WHERE doc_ref = ?1 AND scope = ?2")
                .bind(doc.to_string())
                .bind(&name)
                .execute(self.conn())
                .await?;
            let config = self.config(&doc.collection)?;
            let document = quoted(&doc.to_string());
            let condition = format!("m.doc_ref = {document} AND {}", is_unheld());
            self.drop_from(&config, &condition).await?;
        }
        Ok(())
    }
}

fn parse(text: &str) -> Option<DocRef> {
    let (collection, id) = text.split_once('/')?;
    DocRef::parse(collection, id).ok()
}
