//! What is held of the remote: figures to compare with it, and what to let go of.

use std::collections::HashSet;

use moonforge_model::{Collection, DocRef, FieldMatch, Timestamp};
use sqlx::{QueryBuilder, Sqlite};

use crate::checkpoint::Cursor;
use crate::error::StoreError;
use crate::hold::push_match;
use crate::open::Store;

/// COUNT and SUM(rev) of known versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// How many documents.
    pub count: u64,
    /// The sum of their revs.
    pub sum_rev: i64,
}

impl Held {
    /// As the remote's aggregation gives them.
    pub fn figures(self) -> (i64, i64) {
        (i64::try_from(self.count).unwrap_or(i64::MAX), self.sum_rev)
    }
}

/// How many documents are stuck, and how many wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Documents with a parked row, and lanes of operations with one.
    pub parked: u64,
    /// Documents and lanes with rows and none parked.
    pub waiting: u64,
}

impl Store {
    /// Figures over the known versions of a collection, within campaigns (`None`: all) and of these fields, by their
    /// `updatedAt` (both bounds inclusive; without bounds, those that have none count too).
    pub async fn held(
        &self,
        collection: &Collection,
        campaigns: Option<&[String]>,
        of_document: &[FieldMatch],
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Result<Held, StoreError> {
        // `sum` fails where the sum leaves 64 bits, which a console can bring about.
        let mut sql = QueryBuilder::new(
            "SELECT count(*), cast(total(m.synced_rev) AS INTEGER) FROM local_metas m",
        );
        self.push_known(&mut sql, collection, campaigns, of_document)?;
        for (bound, sign) in [(since, ">="), (until, "<=")] {
            if let Some(at) = bound {
                sql.push(format_args!(" AND m.synced_updated_at {sign} "))
                    .push_bind(at.as_micros());
            }
        }
        let (count, sum_rev): (i64, i64) =
            sql.build_query_as().fetch_one(&self.inner.readers).await?;
        Ok(Held {
            count: count.unsigned_abs(),
            sum_rev,
        })
    }

    /// The last of the known versions of a collection in the order of `updatedAt, id`, within campaigns (`None`: all), of
    /// these fields, and not after a time.
    pub async fn last_held(
        &self,
        collection: &Collection,
        campaigns: Option<&[String]>,
        of_document: &[FieldMatch],
        until: Option<Timestamp>,
    ) -> Result<Option<Cursor>, StoreError> {
        let mut sql = QueryBuilder::new("SELECT m.synced_updated_at, m.doc_id FROM local_metas m");
        self.push_known(&mut sql, collection, campaigns, of_document)?;
        sql.push(" AND m.synced_updated_at IS NOT NULL");
        if let Some(until) = until {
            sql.push(" AND m.synced_updated_at <= ")
                .push_bind(until.as_micros());
        }
        sql.push(" ORDER BY m.synced_updated_at DESC, m.doc_id DESC LIMIT 1");
        let last: Option<(i64, String)> = sql
            .build_query_as()
            .fetch_optional(&self.inner.readers)
            .await?;
        Ok(last.map(|(at, id)| Cursor {
            at: Timestamp::from_micros(at),
            id,
        }))
    }

    /// Ids and update times of the known versions of a collection, within campaigns (`None`: all) and of these fields,
    /// quarantined ones included.
    pub async fn held_names(
        &self,
        collection: &Collection,
        campaigns: Option<&[String]>,
        of_document: &[FieldMatch],
    ) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let mut sql = QueryBuilder::new(
            "SELECT m.doc_id, max(m.synced_update_time, coalesce(q.update_time, 0)) FROM local_metas m
             LEFT JOIN quarantine q ON q.doc_ref = m.doc_ref",
        );
        self.push_known(&mut sql, collection, campaigns, of_document)?;
        let names: Vec<(String, i64)> = sql.build_query_as().fetch_all(&self.inner.readers).await?;
        Ok(names
            .into_iter()
            .map(|(id, t)| (id, Timestamp::from_micros(t)))
            .collect())
    }

    /// Joins the documents `d` to `local_metas m`: those whose known version is of a collection, in one of the campaigns,
    /// with these fields.
    fn push_known(
        &self,
        sql: &mut QueryBuilder<Sqlite>,
        collection: &Collection,
        campaigns: Option<&[String]>,
        of_document: &[FieldMatch],
    ) -> Result<(), StoreError> {
        let table = self.table(collection)?;
        sql.push(format_args!(
            " JOIN {} d ON d.id = m.doc_id
             WHERE m.base_state = 'known' AND {} AND m.collection = ",
            table.name, table.only_d
        ))
        .push_bind(collection.to_string());
        if let Some(campaigns) = list(campaigns)? {
            let column = campaign_column(collection);
            sql.push(format_args!(
                " AND d.{column} IN (SELECT value FROM json_each("
            ))
            .push_bind(campaigns)
            .push("))");
        }
        for wanted in of_document {
            sql.push(" AND ");
            push_match(sql, "iif(m.dirty, m.base, d.body)", wanted);
        }
        Ok(())
    }

    /// All known versions, each with its time, quarantined ones included.
    pub async fn versions(&self) -> Result<Vec<(DocRef, Timestamp)>, StoreError> {
        let found: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT m.collection, m.doc_id, max(m.synced_update_time, coalesce(q.update_time, 0))
             FROM local_metas m LEFT JOIN quarantine q ON q.doc_ref = m.doc_ref
             WHERE m.base_state = 'known'
             UNION ALL
             SELECT q.collection, q.doc_id, q.update_time FROM quarantine q
             WHERE NOT EXISTS (
                 SELECT 1 FROM local_metas m WHERE m.doc_ref = q.doc_ref AND m.base_state = 'known')",
        )
        .fetch_all(&self.inner.readers)
        .await?;
        let version = |(collection, id, time): (String, String, i64)| {
            Ok((
                DocRef::parse(&collection, &id)?,
                Timestamp::from_micros(time),
            ))
        };
        found.into_iter().map(version).collect()
    }

    /// Campaigns made here that the remote doesn't have yet.
    pub async fn unacknowledged_campaigns(&self) -> Result<HashSet<String>, StoreError> {
        let ids: Vec<String> = sqlx::query_scalar(
            "SELECT doc_id FROM local_metas
             WHERE collection = 'campaigns' AND dirty = 1 AND base_state <> 'known'",
        )
        .fetch_all(&self.inner.readers)
        .await?;
        Ok(ids.into_iter().collect())
    }

    /// Those of the documents whose base nobody has looked at.
    pub async fn unknown_bases(&self, docs: &[DocRef]) -> Result<Vec<DocRef>, StoreError> {
        let refs: Vec<String> = docs.iter().map(ToString::to_string).collect();
        let found: Vec<String> = sqlx::query_scalar(
            "SELECT doc_ref FROM local_metas
             WHERE base_state = 'unknown' AND doc_ref IN (SELECT value FROM json_each(?1))",
        )
        .bind(serde_json::to_string(&refs).map_err(StoreError::corrupt)?)
        .fetch_all(&self.inner.readers)
        .await?;
        Ok(docs
            .iter()
            .filter(|d| found.contains(&d.to_string()))
            .cloned()
            .collect())
    }

    /// How many documents are stuck, and how many wait.
    pub async fn parked_and_waiting(&self) -> Result<Waiting, StoreError> {
        let (parked, waiting): (i64, i64) = sqlx::query_as(
            "SELECT count(*) FILTER (WHERE parked > 0), count(*) FILTER (WHERE parked = 0)
             FROM (SELECT count(*) FILTER (WHERE state = 'parked') AS parked FROM outbox_ops
                   GROUP BY collection, doc_id)",
        )
        .fetch_one(&self.inner.readers)
        .await?;
        Ok(Waiting {
            parked: parked.unsigned_abs(),
            waiting: waiting.unsigned_abs(),
        })
    }

    /// Lets a campaign go that the account is no longer in: clean documents, cursors and notes. What was written here and
    /// not sent stays, parked. Says how many documents went.
    pub async fn leave_campaign(&self, campaign: &str) -> Result<u64, StoreError> {
        self.let_go(campaign, "TRUE", true).await
    }

    /// Campaigns of which clean documents are held, and which aren't held themselves: left, and cleaned up since.
    pub async fn orphaned_campaigns(&self) -> Result<Vec<String>, StoreError> {
        let mut selects = Vec::new();
        let mut names = Vec::new();
        for config in self.inner.registry.iter().filter(|c| c.in_campaign) {
            let table = self.table(&config.name)?;
            names.push(config.name.as_str());
            selects.push(format!(
                "SELECT d.campaign_id FROM {} d
                 JOIN local_metas m ON m.doc_ref = ?{} || '/' || d.id
                 WHERE {} AND m.dirty = 0 AND m.base_state = 'known' AND d.campaign_id IS NOT NULL
                   AND NOT EXISTS (SELECT 1 FROM campaigns c WHERE c.id = d.campaign_id)",
                table.name,
                names.len(),
                table.only_d,
            ));
        }
        if selects.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!("{} ORDER BY 1", selects.join(" UNION "));
        let mut query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql));
        for name in names {
            query = query.bind(name);
        }
        Ok(query.fetch_all(&self.inner.readers).await?)
    }

    /// Lets go of the clean documents of a campaign that players may not see.
    pub async fn drop_closed(&self, campaign: &str) -> Result<u64, StoreError> {
        self.let_go(
            campaign,
            "coalesce(json_extract(d.body, '$.visibility'), 'gm') <> 'players'",
            false,
        )
        .await
    }

    /// Reads a campaign from the start again.
    pub async fn reset_campaign(&self, campaign: &str) -> Result<(), StoreError> {
        let campaign = campaign.to_owned();
        self.write(move |tx| Box::pin(async move { tx.forget_checkpoints(&campaign).await }))
            .await
    }

    /// Makes edits of a campaign that were denied, or that missed it, pending again.
    pub async fn retry_denied(&self, campaign: &str) -> Result<u64, StoreError> {
        let parked: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT collection, doc_id, min(n) FROM outbox_ops
             WHERE state = 'parked' AND reason IN ('denied', 'missing_parent') AND collection NOT LIKE '~%' GROUP BY collection, doc_id",
        )
        .fetch_all(&self.inner.readers)
        .await?;
        let mut retried = 0;
        for (collection, id, n) in parked {
            let doc = DocRef::parse(&collection, &id)?;
            if self.campaign_of(&doc).await?.as_deref() == Some(campaign) {
                retried += self.retry(Some(n.unsigned_abs())).await?;
            }
        }
        Ok(retried)
    }

    /// The campaign that a document is in, as far as known here; a campaign is in itself.
    pub async fn campaign_of(&self, doc: &DocRef) -> Result<Option<String>, StoreError> {
        let table = self.table(&doc.collection)?;
        if table.name == "campaigns" {
            return Ok(Some(doc.id.to_string()));
        }
        let sql = format!(
            "SELECT campaign_id FROM {} WHERE {} AND id = ?1",
            table.name, table.only
        );
        let found: Option<Option<String>> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(doc.id.as_str())
            .fetch_optional(&self.inner.readers)
            .await?;
        Ok(found.flatten())
    }

    async fn let_go(
        &self,
        campaign: &str,
        condition: &'static str,
        leaving: bool,
    ) -> Result<u64, StoreError> {
        let campaign = campaign.to_owned();
        self.write(move |tx| {
            Box::pin(async move {
                let mut gone = 0;
                for config in tx.registry().iter() {
                    let is_campaigns = config.name.as_str() == "campaigns";
                    if !config.in_campaign && !is_campaigns || is_campaigns && !leaving {
                        continue;
                    }
                    let table = tx.table(&config.name)?;
                    let (name, only) = (table.name, table.only_d.clone());
                    let sql = format!(
                        "SELECT d.id, coalesce(m.dirty, 0) FROM {name} d
                         LEFT JOIN local_metas m ON m.doc_ref = ?2 || '/' || d.id
                         WHERE {only} AND d.{} = ?1 AND {condition}",
                        campaign_column(&config.name),
                    );
                    let found: Vec<(String, bool)> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
                        .bind(&campaign)
                        .bind(config.name.as_str())
                        .fetch_all(tx.conn())
                        .await?;
                    for (id, dirty) in found {
                        let doc = DocRef::parse(config.name.as_str(), &id)?;
                        if dirty {
                            let why = "no longer a member of the campaign";
                            tx.park(&doc, moonforge_model::ParkReason::Denied, why)
                                .await?;
                        } else {
                            tx.forget(&doc).await?;
                            gone += 1;
                        }
                    }
                }
                tx.forget_unread(&campaign, leaving).await?;
                if leaving {
                    tx.forget_checkpoints(&campaign).await?;
                    sqlx::query("DELETE FROM identity WHERE key = 'note:sight:' || ?1")
                        .bind(&campaign)
                        .execute(tx.conn())
                        .await?;
                }
                Ok(gone)
            })
        })
        .await
    }
}

impl crate::tx::WriteTx {
    /// Takes out of quarantine what belongs to a campaign that is left, or what players may not see of one. What was edited
    /// here stays, with its edits.
    async fn forget_unread(&mut self, campaign: &str, leaving: bool) -> Result<(), StoreError> {
        sqlx::query(
            "DELETE FROM quarantine
             WHERE CASE WHEN NOT json_valid(raw) THEN 0 WHEN collection = 'campaigns' THEN ?2 AND doc_id = ?1
                 ELSE raw ->> '$.campaignId' = ?1
                     AND (?2 OR coalesce(raw ->> '$.visibility', 'gm') <> 'players') END
             AND NOT EXISTS (SELECT 1 FROM local_metas m WHERE m.doc_ref = quarantine.doc_ref AND m.dirty = 1)",
        )
        .bind(campaign)
        .bind(leaving)
        .execute(self.conn())
        .await?;
        Ok(())
    }

    /// Lets a clean document go: the remote has it, and it isn't to be seen here any more.
    pub(crate) async fn forget(&mut self, doc: &DocRef) -> Result<(), StoreError> {
        let delete = sqlx::AssertSqlSafe(self.table(&doc.collection)?.delete.clone());
        sqlx::query(delete)
            .bind(doc.id.as_str())
            .execute(self.conn())
            .await?;
        for table in ["local_metas", "quarantine"] {
            sqlx::query(sqlx::AssertSqlSafe(format!(
                "DELETE FROM {table} WHERE doc_ref = ?1"
            )))
            .bind(doc.to_string())
            .execute(self.conn())
            .await?;
        }
        self.unhold(doc).await?;
        self.changed.push(doc.clone());
        Ok(())
    }
}

pub(crate) fn campaign_column(collection: &Collection) -> &'static str {
    if collection.as_str() == "campaigns" {
        "id"
    } else {
        "campaign_id"
    }
}

fn list(campaigns: Option<&[String]>) -> Result<Option<String>, StoreError> {
    campaigns
        .map(|c| serde_json::to_string(c).map_err(StoreError::corrupt))
        .transpose()
}
