//! The scopes that this device holds: joining, leaving, and how fresh each is.
//!
//! Without a joined scope the device holds everything that its account may see. With one or more, `doc_scopes` says which of
//! them hold a document, [`WriteTx::save`] keeps that true, and a clean document that none holds isn't kept: see `hold.rs`.

use std::collections::{BTreeMap, HashSet};

use moonforge_model::{Collection, DocId, DocRef, SyncScope, Timestamp};
use sqlx::QueryBuilder;

use crate::error::StoreError;
use crate::hold::{is_held_only_by, is_unheld, push_scope};
use crate::identity::{get, put};
use crate::open::Store;
use crate::tx::WriteTx;

/// The row that stands for everything.
const EVERYTHING: &str = "*";
/// Of so many scopes that were synced by themselves it is known when.
const SYNCED_BY_THEMSELVES: i64 = 500;
/// Counts the changes of what this device holds.
const GENERATION: &str = "scope_generation";

/// A scope that this device joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Which.
    pub scope: SyncScope,
    /// When.
    pub joined_at: Timestamp,
    /// When it was last in step with the remote, by this device's clock.
    pub synced_at: Option<Timestamp>,
    /// Documents that it holds and that are here, tombstones included.
    pub documents: u64,
    /// Those of them with edits on their way.
    pub dirty: u64,
}

/// What joining or leaving came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScopeChange {
    /// Whether it was not joined, or not left, before.
    pub changed: bool,
    /// Clean documents that went from this device, because no scope holds them any more. The remote has them.
    pub removed: u64,
    /// Documents that no scope holds and that stay until their edits are sent.
    pub waiting: u64,
}

/// What a run brought into step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncedScopes {
    /// All that this device holds.
    All,
    /// One scope.
    One(SyncScope),
}

impl Store {
    /// Holds a scope from now on; the next sync fetches it. The first one limits this device: what it held and no scope
    /// holds goes at once, but for what has edits on their way. Needs no network.
    pub async fn join_scope(
        &self,
        scope: SyncScope,
        now: Timestamp,
    ) -> Result<ScopeChange, StoreError> {
        scope.check(self.registry())?;
        self.write(move |tx| {
            Box::pin(async move {
                if tx.joined().await?.contains(&scope) {
                    return Ok(ScopeChange::default());
                }
                // As fresh as everything was, of which it was a part.
                let synced: Option<i64> = sqlx::query_scalar(
                    "SELECT max(synced_at) FROM scopes WHERE scope IN (?1, '*')",
                )
                .bind(scope.to_string())
                .fetch_one(tx.conn())
                .await?;
                tx.hold_something_else().await?;
                sqlx::query("INSERT INTO scopes (scope, joined_at, synced_at) VALUES (?1, ?2, ?3)")
                    .bind(scope.to_string())
                    .bind(now.as_micros())
                    .bind(synced)
                    .execute(tx.conn())
                    .await?;
                tx.scopes = None;
                for config in tx.registry().iter() {
                    tx.hold_matching(config, &scope, None).await?;
                }
                tx.drop_unreadable().await?;
                tx.drop_unheld(is_unheld()).await
            })
        })
        .await
    }

    /// Holds a scope no longer. Its clean documents that no other scope holds go at once, those with edits on their way
    /// once these are sent. After the last one the device holds everything again, which the next sync fetches. Needs no
    /// network.
    pub async fn leave_scope(&self, scope: SyncScope) -> Result<ScopeChange, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                if !tx.joined().await?.contains(&scope) {
                    return Ok(ScopeChange::default());
                }
                tx.hold_something_else().await?;
                let change = tx.drop_unheld(is_held_only_by(&scope)).await?;
                sqlx::query("DELETE FROM scopes WHERE scope = ?1")
                    .bind(scope.to_string())
                    .execute(tx.conn())
                    .await?;
                tx.scopes = None;
                tx.drop_unreadable().await?;
                Ok(change)
            })
        })
        .await
    }

    /// The scopes that this device joined, by their text; none: it holds everything.
    pub async fn scopes(&self) -> Result<Vec<Joined>, StoreError> {
        let rows: Vec<(String, i64, Option<i64>, i64, i64)> = sqlx::query_as(
            "SELECT s.scope, s.joined_at, s.synced_at, count(m.doc_ref), coalesce(sum(m.dirty), 0)
             FROM scopes s
             LEFT JOIN doc_scopes h ON h.scope = s.scope
             LEFT JOIN local_metas m ON m.doc_ref = h.doc_ref
             WHERE s.joined_at IS NOT NULL GROUP BY s.scope ORDER BY s.scope",
        )
        .fetch_all(&self.inner.readers)
        .await?;
        let joined = |(scope, joined_at, synced_at, documents, dirty): (String, _, _, i64, i64)| {
            Ok(Joined {
                scope: scope.parse().map_err(StoreError::corrupt)?,
                joined_at: Timestamp::from_micros(joined_at),
                synced_at: Option::map(synced_at, Timestamp::from_micros),
                documents: documents.unsigned_abs(),
                dirty: dirty.unsigned_abs(),
            })
        };
        rows.into_iter().map(joined).collect()
    }

    /// The same without the figures.
    pub async fn joined_scopes(&self) -> Result<Vec<SyncScope>, StoreError> {
        let mut conn = self.inner.readers.acquire().await?;
        joined(&mut conn).await
    }

    /// Moves with every scope that is joined or left, and when what is in a campaign comes into a scope or leaves it.
    pub async fn scope_generation(&self) -> Result<i64, StoreError> {
        let mut conn = self.inner.readers.acquire().await?;
        generation(&mut conn).await
    }

    /// Keeps that a run which `started` then left nothing out. What was joined since isn't meant, and `generation` is that of
    /// the start: without joined scopes, nothing may have been let go since.
    pub async fn set_synced(
        &self,
        what: SyncedScopes,
        generation: i64,
        started: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let joined = tx.joined().await?;
                let names: Vec<String> = match what {
                    SyncedScopes::One(scope) => vec![scope.to_string()],
                    SyncedScopes::All if joined.is_empty() => vec![EVERYTHING.to_owned()],
                    SyncedScopes::All => joined.iter().map(ToString::to_string).collect(),
                };
                let by_itself = joined.is_empty() && tx.scope_generation().await? == generation;
                for name in names {
                    let sql = match by_itself {
                        true => {
                            "INSERT INTO scopes (scope, synced_at) VALUES (?1, ?2)
                             ON CONFLICT (scope) DO UPDATE SET synced_at = excluded.synced_at"
                        }
                        false => {
                            "UPDATE scopes SET synced_at = ?2 WHERE scope = ?1 AND joined_at <= ?2"
                        }
                    };
                    sqlx::query(sql)
                        .bind(name)
                        .bind(started.as_micros())
                        .execute(tx.conn())
                        .await?;
                }
                if by_itself {
                    sqlx::query(
                        "DELETE FROM scopes WHERE joined_at IS NULL AND scope <> ?1 AND scope NOT IN (
                             SELECT scope FROM scopes WHERE joined_at IS NULL AND scope <> ?1
                             ORDER BY synced_at DESC, scope LIMIT ?2)",
                    )
                    .bind(EVERYTHING)
                    .bind(SYNCED_BY_THEMSELVES)
                    .execute(tx.conn())
                    .await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Ids and update times of the known versions of a collection that are in a scope.
    pub async fn held_in_scope(
        &self,
        collection: &Collection,
        scope: &SyncScope,
    ) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let (table, config) = (self.table(collection)?, self.config(collection)?);
        let mut sql =
            QueryBuilder::new("SELECT d.id, m.synced_update_time FROM local_metas m JOIN ");
        sql.push(format_args!(
            "{} d ON d.id = m.doc_id WHERE m.base_state = 'known' AND {} AND m.collection = ",
            table.name, table.only_d
        ))
        .push_bind(collection.to_string())
        .push(" AND ");
        push_scope(&mut sql, self.registry(), config, scope);
        let names: Vec<(String, i64)> = sql.build_query_as().fetch_all(&self.inner.readers).await?;
        Ok(names
            .into_iter()
            .map(|(id, at)| (id, Timestamp::from_micros(at)))
            .collect())
    }

    /// Those of the documents that are in a scope.
    pub async fn within(
        &self,
        scope: &SyncScope,
        docs: &[DocRef],
    ) -> Result<HashSet<DocRef>, StoreError> {
        let mut by_collection: BTreeMap<&Collection, Vec<&DocId>> = BTreeMap::new();
        for doc in docs {
            let ids = by_collection.entry(&doc.collection).or_default();
            ids.push(&doc.id);
        }
        let mut found = HashSet::new();
        for (collection, ids) in by_collection {
            let (Ok(table), Ok(config)) = (self.table(collection), self.config(collection)) else {
                continue;
            };
            let ids = serde_json::to_string(&ids).map_err(StoreError::corrupt)?;
            let mut sql = QueryBuilder::new("SELECT d.id FROM ");
            sql.push(format_args!(
                "{} d WHERE {} AND d.id IN (SELECT value FROM json_each(",
                table.name, table.only_d
            ))
            .push_bind(ids)
            .push(")) AND ");
            push_scope(&mut sql, self.registry(), config, scope);
            let within: Vec<String> = sql
                .build_query_scalar()
                .fetch_all(&self.inner.readers)
                .await?;
            for id in within {
                found.insert(DocRef::new(collection.clone(), DocId::new(id)?));
            }
        }
        Ok(found)
    }

    /// The joined scopes that hold a document.
    pub async fn scopes_of(&self, doc: &DocRef) -> Result<Vec<SyncScope>, StoreError> {
        let found: Vec<String> =
            sqlx::query_scalar("SELECT scope FROM doc_scopes WHERE doc_ref = ?1 ORDER BY scope")
                .bind(doc.to_string())
                .fetch_all(&self.inner.readers)
                .await?;
        parsed(&found)
    }

    /// When a scope, or everything, was last in step with the remote.
    pub async fn synced_at(
        &self,
        scope: Option<&SyncScope>,
    ) -> Result<Option<Timestamp>, StoreError> {
        let synced: Option<i64> =
            sqlx::query_scalar("SELECT max(synced_at) FROM scopes WHERE scope IN (?1, '*')")
                .bind(scope.map_or_else(|| EVERYTHING.to_owned(), ToString::to_string))
                .fetch_one(&self.inner.readers)
                .await?;
        Ok(synced.map(Timestamp::from_micros))
    }
}

impl WriteTx {
    /// The scopes that this device joined.
    pub(crate) async fn joined(&mut self) -> Result<std::sync::Arc<Vec<SyncScope>>, StoreError> {
        if let Some(known) = &self.scopes {
            return Ok(known.clone());
        }
        let found = std::sync::Arc::new(joined(self.conn()).await?);
        self.scopes = Some(found.clone());
        Ok(found)
    }

    pub(crate) async fn scope_generation(&mut self) -> Result<i64, StoreError> {
        generation(self.conn()).await
    }

    /// Keeps runs under way from claiming what is let go.
    pub(crate) async fn next_generation(&mut self) -> Result<(), StoreError> {
        let next = self.scope_generation().await?.saturating_add(1);
        put(self.conn(), GENERATION, &next.to_string()).await
    }

    /// What was synced by itself, or as a part of everything, is no longer here whole.
    async fn hold_something_else(&mut self) -> Result<(), StoreError> {
        self.next_generation().await?;
        sqlx::query("DELETE FROM scopes WHERE joined_at IS NULL")
            .execute(self.conn())
            .await?;
        Ok(())
    }
}

async fn generation(conn: &mut sqlx::SqliteConnection) -> Result<i64, StoreError> {
    let text = get(conn, GENERATION).await?;
    Ok(text.and_then(|t| t.parse().ok()).unwrap_or(0))
}

async fn joined(conn: &mut sqlx::SqliteConnection) -> Result<Vec<SyncScope>, StoreError> {
    let found: Vec<String> =
        sqlx::query_scalar("SELECT scope FROM scopes WHERE joined_at IS NOT NULL ORDER BY scope")
            .fetch_all(conn)
            .await?;
    parsed(&found)
}

fn parsed(scopes: &[String]) -> Result<Vec<SyncScope>, StoreError> {
    scopes
        .iter()
        .map(|text| text.parse().map_err(StoreError::corrupt))
        .collect()
}
