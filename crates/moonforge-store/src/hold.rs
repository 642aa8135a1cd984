//! Which scopes hold a document, and what goes when none does.
//!
//! A document that no joined scope holds is let go once it is clean: the remote has it. What claims that it is here, the
//! checkpoints that passed it, goes in the same transaction, or it would be missed when a scope that holds it is joined
//! again. What has edits on their way, what nobody has looked at yet, and what is nowhere else any more stays.

use moonforge_model::{CollectionConfig, DocRef, FieldMatch, Reach, Registry, SyncScope};
use sqlx::{QueryBuilder, Sqlite};

use crate::error::StoreError;
use crate::held::campaign_column;
use crate::table::quoted;
use crate::tx::WriteTx;

/// A row of `doc_scopes` belongs to a scope that holds what was opened here.
pub(crate) const IS_ACCESSED: &str = "scope = 'accessed' OR scope LIKE 'accessed:%'";

/// No scope holds the document of the metadata `m`.
pub(crate) fn is_unheld() -> String {
    "NOT EXISTS (SELECT 1 FROM doc_scopes h WHERE h.doc_ref = m.doc_ref)".to_owned()
}

/// The scope holds the document of the metadata `m`, and no other does.
pub(crate) fn is_held_only_by(scope: &SyncScope) -> String {
    let scope = quoted(&scope.to_string());
    format!(
        "EXISTS (SELECT 1 FROM doc_scopes h WHERE h.doc_ref = m.doc_ref AND h.scope = {scope})
         AND NOT EXISTS (SELECT 1 FROM doc_scopes h WHERE h.doc_ref = m.doc_ref AND h.scope <> {scope})"
    )
}

/// That a field of a JSON object is what a scope asks for.
pub(crate) fn push_match(sql: &mut QueryBuilder<Sqlite>, object: &str, wanted: &FieldMatch) {
    let path = format!("$.{}", serde_json::Value::from(wanted.path.root()));
    sql.push(format_args!("json_type({object}, "))
        .push_bind(path.clone());
    if wanted.in_list {
        sql.push(format_args!(
            ") = 'array' AND EXISTS (SELECT 1 FROM json_each({object}, "
        ))
        .push_bind(path)
        .push(") WHERE type = 'text' AND value = ")
        .push_bind(wanted.value.clone())
        .push(")");
    } else {
        sql.push(format_args!(") = 'text' AND json_extract({object}, "))
            .push_bind(path)
            .push(") = ")
            .push_bind(wanted.value.clone());
    }
}

/// That the document `d` is what a scope asks of its collection.
fn push_reach(sql: &mut QueryBuilder<Sqlite>, config: &CollectionConfig, reach: &Reach) {
    let campaign = campaign_column(&config.name);
    sql.push("TRUE");
    if let Some(id) = &reach.campaign {
        sql.push(format_args!(" AND d.{campaign} = "))
            .push_bind(id.clone());
    }
    for wanted in &reach.of_campaign {
        if config.name.as_str() == "campaigns" {
            sql.push(" AND ");
            push_match(sql, "d.body", wanted);
        } else {
            sql.push(" AND EXISTS (SELECT 1 FROM campaigns c WHERE c.id = d.campaign_id AND ");
            push_match(sql, "c.body", wanted);
            sql.push(")");
        }
    }
    for wanted in &reach.of_document {
        sql.push(" AND ");
        push_match(sql, "d.body", wanted);
    }
}

/// That the document `d` with the metadata `m` is in a scope.
pub(crate) fn push_scope(
    sql: &mut QueryBuilder<Sqlite>,
    registry: &Registry,
    config: &CollectionConfig,
    scope: &SyncScope,
) {
    let Some(reach) = scope.reach(registry, config) else {
        sql.push("FALSE");
        return;
    };
    push_reach(sql, config, &reach);
    if scope.is_accessed() {
        let collection = quoted(config.name.as_str());
        sql.push(format_args!(
            " AND EXISTS (SELECT 1 FROM doc_scopes h WHERE h.doc_ref = {collection} || '/' || d.id AND h.scope = "
        ))
        .push_bind(scope.to_string())
        .push(")");
    }
}

impl WriteTx {
    /// Brings into step which scopes hold a document that was just saved. Says whether it is kept: one that is `clean` and
    /// that none holds is let go.
    pub(crate) async fn hold(
        &mut self,
        doc: &DocRef,
        campaign: Option<&str>,
        clean: bool,
    ) -> Result<bool, StoreError> {
        let scopes = self.joined().await?;
        let registry = self.registry();
        let Some(config) = registry.get(doc.collection.as_str()) else {
            return Ok(true);
        };
        if scopes.is_empty() {
            return Ok(true);
        }
        let is_campaign = doc.collection.as_str() == "campaigns";
        let campaign = if is_campaign {
            Some(doc.id.as_str())
        } else {
            campaign
        };
        let before: Vec<String> =
            sqlx::query_scalar("SELECT scope FROM doc_scopes WHERE doc_ref = ?1")
                .bind(doc.to_string())
                .fetch_all(self.conn())
                .await?;
        let mut held = false;
        for scope in scopes.iter() {
            let text = scope.to_string();
            let was = before.contains(&text);
            let matches = match scope.reach(&registry, config) {
                None => false,
                Some(reach)
                    if reach
                        .campaign
                        .as_deref()
                        .is_some_and(|id| Some(id) != campaign) =>
                {
                    false
                }
                Some(reach) if reach.of_campaign.is_empty() && reach.of_document.is_empty() => true,
                Some(reach) => self.is_within(doc, config, &reach).await?,
            };
            // What was opened here is noted when it is.
            let is = matches && (was || !scope.is_accessed());
            held |= is;
            if is == was {
                continue;
            }
            let sql = match is {
                true => "INSERT INTO doc_scopes (doc_ref, scope) VALUES (?1, ?2)",
                false => "DELETE FROM doc_scopes WHERE doc_ref = ?1 AND scope = ?2",
            };
            sqlx::query(sql)
                .bind(doc.to_string())
                .bind(text)
                .execute(self.conn())
                .await?;
            if is_campaign && !scope.is_accessed() {
                self.hold_children(doc.id.as_str(), scope, is).await?;
            }
        }
        if !held && clean {
            self.let_loose(config, vec![doc.id.to_string()]).await?;
            return Ok(false);
        }
        Ok(true)
    }

    /// Forgets that a document is held: it is gone. That it was opened here is still known.
    pub(crate) async fn unhold(&mut self, doc: &DocRef) -> Result<(), StoreError> {
        if !self.joined().await?.is_empty() {
            let sql = format!("DELETE FROM doc_scopes WHERE doc_ref = ?1 AND NOT ({IS_ACCESSED})");
            sqlx::query(sqlx::AssertSqlSafe(sql))
                .bind(doc.to_string())
                .execute(self.conn())
                .await?;
        }
        Ok(())
    }

    async fn is_within(
        &mut self,
        doc: &DocRef,
        config: &CollectionConfig,
        reach: &Reach,
    ) -> Result<bool, StoreError> {
        let (name, only) = {
            let table = self.table(&doc.collection)?;
            (table.name, table.only_d.clone())
        };
        let mut sql = QueryBuilder::new("SELECT count(*) FROM ");
        sql.push(format_args!("{name} d WHERE {only} AND d.id = "))
            .push_bind(doc.id.to_string())
            .push(" AND ");
        push_reach(&mut sql, config, reach);
        let found: i64 = sql.build_query_scalar().fetch_one(self.conn()).await?;
        Ok(found > 0)
    }

    /// Of a campaign whose own document came into a scope, or left it: what is in it follows, where the scope asks for that.
    async fn hold_children(
        &mut self,
        campaign: &str,
        scope: &SyncScope,
        held: bool,
    ) -> Result<(), StoreError> {
        let registry = self.registry();
        let follows = |config: &&CollectionConfig| {
            let reach = scope.reach(&registry, config);
            config.in_campaign && reach.is_some_and(|reach| !reach.of_campaign.is_empty())
        };
        if registry.iter().any(|config| follows(&config)) {
            self.next_generation().await?;
        }
        for config in registry.iter().filter(follows) {
            if held {
                self.hold_matching(config, scope, Some(campaign)).await?;
                continue;
            }
            let table = self.table(&config.name)?;
            let of = format!(
                "SELECT {} || '/' || d.id FROM {} d WHERE {} AND d.campaign_id = ",
                quoted(config.name.as_str()),
                table.name,
                table.only_d
            );
            sqlx::query(sqlx::AssertSqlSafe(format!(
                "DELETE FROM doc_scopes WHERE scope = ?1 AND doc_ref IN ({of} ?2)"
            )))
            .bind(scope.to_string())
            .bind(campaign)
            .execute(self.conn())
            .await?;
            let unheld = format!(
                "{} AND m.doc_ref IN ({of} {})",
                is_unheld(),
                quoted(campaign)
            );
            self.drop_from(config, &unheld).await?;
        }
        Ok(())
    }

    /// Notes that a scope holds the documents here that it matches: of a collection, and of one campaign where one is named.
    pub(crate) async fn hold_matching(
        &mut self,
        config: &CollectionConfig,
        scope: &SyncScope,
        campaign: Option<&str>,
    ) -> Result<(), StoreError> {
        let registry = self.registry();
        let Some(reach) = scope
            .reach(&registry, config)
            .filter(|_| !scope.is_accessed())
        else {
            return Ok(());
        };
        let table = self.table(&config.name)?;
        let mut sql =
            QueryBuilder::new("INSERT OR IGNORE INTO doc_scopes (doc_ref, scope) SELECT ");
        sql.push_bind(config.name.to_string())
            .push(" || '/' || d.id, ")
            .push_bind(scope.to_string())
            .push(format_args!(
                " FROM {} d WHERE {} AND ",
                table.name, table.only_d
            ));
        push_reach(&mut sql, config, &reach);
        if let Some(campaign) = campaign {
            sql.push(" AND d.campaign_id = ")
                .push_bind(campaign.to_owned());
        }
        sql.build().execute(self.conn()).await?;
        Ok(())
    }
}
