//! Letting go of documents that no scope holds, and of what claims that they are here.

use std::collections::BTreeSet;

use moonforge_model::{CollectionConfig, DocRef, FieldMatch};
use sqlx::QueryBuilder;

use crate::checkpoint::claimed;
use crate::error::StoreError;
use crate::held::campaign_column;
use crate::hold::{push_match, push_scope};
use crate::scopes::ScopeChange;
use crate::tx::WriteTx;

/// Documents let go of in one statement.
const AT_ONCE: usize = 500;

impl WriteTx {
    /// Lets go of clean documents for whose metadata `m` a condition holds.
    pub(crate) async fn drop_unheld(
        &mut self,
        condition: String,
    ) -> Result<ScopeChange, StoreError> {
        let mut change = ScopeChange {
            changed: true,
            ..ScopeChange::default()
        };
        for config in self.registry().iter() {
            let (removed, waiting) = self.drop_from(config, &condition).await?;
            change.removed += removed;
            change.waiting += waiting;
        }
        Ok(change)
    }

    pub(crate) async fn drop_from(
        &mut self,
        config: &CollectionConfig,
        condition: &str,
    ) -> Result<(u64, u64), StoreError> {
        let sql = format!(
            "SELECT m.doc_id, m.dirty, m.base_state FROM local_metas m WHERE m.collection = ?1 AND {condition}"
        );
        let found: Vec<(String, bool, String)> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(config.name.as_str())
            .fetch_all(self.conn())
            .await?;
        let (mut clean, mut waiting) = (Vec::new(), 0);
        for (id, dirty, base) in found {
            match (dirty, base.as_str()) {
                (true, _) => waiting += 1,
                (false, "known") => clean.push(id),
                // Nobody has looked, or it is nowhere else any more.
                (false, _) => {}
            }
        }
        let removed = clean.len() as u64;
        self.let_loose(config, clean).await?;
        Ok((removed, waiting))
    }

    /// Lets go of what can't be read, was never read, and is in no scope.
    pub(crate) async fn drop_unreadable(&mut self) -> Result<(), StoreError> {
        let (scopes, registry) = (self.joined().await?, self.registry());
        let aside: Vec<(String, String, String, Option<String>)> = sqlx::query_as(
            "SELECT collection, doc_id, raw,
                    CASE json_type(raw, '$.campaignId') WHEN 'text' THEN raw ->> '$.campaignId' END
             FROM quarantine q
             WHERE NOT EXISTS (SELECT 1 FROM local_metas m WHERE m.doc_ref = q.doc_ref)",
        )
        .fetch_all(self.conn())
        .await?;
        for (collection, id, raw, campaign) in aside {
            let config = registry.get(&collection).filter(|_| !scopes.is_empty());
            // Of what doesn't say where it belongs nobody knows.
            let Some(config) = config.filter(|c| campaign.is_some() || !c.in_campaign) else {
                continue;
            };
            let mut sql = QueryBuilder::new("SELECT count(*) FROM (SELECT ");
            sql.push_bind(id.clone())
                .push(" AS id, ")
                .push_bind(raw)
                .push(" AS body, ")
                .push_bind(campaign.clone())
                .push(" AS campaign_id) d WHERE FALSE");
            for scope in scopes.iter().filter(|s| !s.is_accessed()) {
                sql.push(" OR ");
                push_scope(&mut sql, &registry, config, scope);
            }
            let held: i64 = sql.build_query_scalar().fetch_one(self.conn()).await?;
            if held > 0 {
                continue;
            }
            sqlx::query("DELETE FROM quarantine WHERE collection = ?1 AND doc_id = ?2")
                .bind(&collection)
                .bind(&id)
                .execute(self.conn())
                .await?;
            sqlx::query(
                "DELETE FROM checkpoints WHERE collection = ?1
                 AND (campaign_id = '*' OR campaign_id LIKE '*/%' OR campaign_id = ?2
                      OR substr(campaign_id, 1, length(?2) + 1) = ?2 || '/')",
            )
            .bind(&collection)
            .bind(&campaign)
            .execute(self.conn())
            .await?;
        }
        Ok(())
    }

    /// Lets go of clean documents, and of the claims that they are here.
    pub(crate) async fn let_loose(
        &mut self,
        config: &CollectionConfig,
        ids: Vec<String>,
    ) -> Result<(), StoreError> {
        for ids in ids.chunks(AT_ONCE) {
            self.disclaim(config, ids).await?;
            let list = serde_json::to_string(ids).map_err(StoreError::corrupt)?;
            let table = self.table(&config.name)?;
            let documents = format!(
                "DELETE FROM {} WHERE {} AND id IN (SELECT value FROM json_each(?1))",
                table.name, table.only
            );
            sqlx::query(sqlx::AssertSqlSafe(documents))
                .bind(&list)
                .execute(self.conn())
                .await?;
            for table in ["local_metas", "quarantine", "doc_scopes"] {
                let sql = format!(
                    "DELETE FROM {table} WHERE doc_ref IN (SELECT ?2 || '/' || value FROM json_each(?1))"
                );
                sqlx::query(sqlx::AssertSqlSafe(sql))
                    .bind(&list)
                    .bind(config.name.as_str())
                    .execute(self.conn())
                    .await?;
            }
            for id in ids {
                let doc = DocRef::parse(config.name.as_str(), id)?;
                self.ahead.remove(&doc);
                self.changed.push(doc);
            }
        }
        Ok(())
    }

    /// Forgets the checkpoints that claim that any of these documents is here.
    async fn disclaim(
        &mut self,
        config: &CollectionConfig,
        ids: &[String],
    ) -> Result<(), StoreError> {
        let claims: Vec<String> =
            sqlx::query_scalar("SELECT campaign_id FROM checkpoints WHERE collection = ?1")
                .bind(config.name.as_str())
                .fetch_all(self.conn())
                .await?;
        if claims.is_empty() {
            return Ok(());
        }
        let list = serde_json::to_string(ids).map_err(StoreError::corrupt)?;
        let table = self.table(&config.name)?;
        let (name, only) = (table.name, table.only_d.clone());
        let campaign = campaign_column(&config.name);
        let sql = format!(
            "SELECT DISTINCT d.{campaign} FROM {name} d
             WHERE {only} AND d.id IN (SELECT value FROM json_each(?1))"
        );
        let campaigns: Vec<Option<String>> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(&list)
            .fetch_all(self.conn())
            .await?;
        let campaigns: BTreeSet<&str> = campaigns.iter().flatten().map(String::as_str).collect();
        for claim in &claims {
            let (of, asked) = claimed(claim);
            if of != "*" && !campaigns.contains(of) {
                continue;
            }
            if !asked.is_empty() {
                let mut sql = QueryBuilder::new("SELECT count(*) FROM ");
                sql.push(format_args!(
                    "{name} d WHERE {only} AND d.id IN (SELECT value FROM json_each("
                ))
                .push_bind(list.clone())
                .push("))");
                for (key, value) in asked {
                    let wanted = FieldMatch::new(config, &key, &value);
                    sql.push(" AND ");
                    push_match(&mut sql, "d.body", &wanted);
                }
                if of != "*" {
                    sql.push(format_args!(" AND d.{campaign} = "))
                        .push_bind(of.to_owned());
                }
                let found: i64 = sql.build_query_scalar().fetch_one(self.conn()).await?;
                if found == 0 {
                    continue;
                }
            }
            sqlx::query("DELETE FROM checkpoints WHERE collection = ?1 AND campaign_id = ?2")
                .bind(config.name.as_str())
                .bind(claim)
                .execute(self.conn())
                .await?;
        }
        Ok(())
    }
}
