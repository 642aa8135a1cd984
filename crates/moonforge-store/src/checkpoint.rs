//! How far each collection of each campaign was read.

use std::collections::{BTreeMap, HashMap};

use moonforge_model::{Collection, FieldMatch, Timestamp};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::error::StoreError;
use crate::open::Store;
use crate::tx::WriteTx;

/// A position in the order of `updatedAt, id`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The last document's `updatedAt`.
    pub at: Timestamp,
    /// Its id.
    pub id: String,
}

/// Two cursors and what is owed between them (`docs/sync-protocol.md`, "pull"). All empty at first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The fast cursor: up to here documents were seen, though late ones may be missing.
    pub fast: Option<Cursor>,
    /// The settled cursor: up to here nothing can be missing.
    pub settled: Option<Timestamp>,
    /// A frozen fast position that is to be checked.
    pub owed: Option<Timestamp>,
    /// The remote's time when it was frozen.
    pub owed_since: Option<Timestamp>,
    /// When COUNT and SUM were last compared over all.
    pub reconciled_at: Option<Timestamp>,
    /// When names and versions were last listed.
    pub listed_at: Option<Timestamp>,
    /// What this device held when the checkpoint was loaded: a number that moves with every scope that is joined or left.
    /// Kept under another one, a checkpoint would claim what was let go meanwhile, so it isn't kept then.
    pub generation: i64,
}

/// What a checkpoint is of, within its collection: a campaign (`*` where campaigns don't matter), and what else was asked
/// of its documents. It claims that all of them are here, as far as it was read.
pub fn claim(campaign: &str, of_document: &[FieldMatch]) -> String {
    if of_document.is_empty() {
        return campaign.to_owned();
    }
    // An id has no slash.
    let asked: BTreeMap<&str, &str> = of_document
        .iter()
        .map(|m| (m.path.root(), m.value.as_str()))
        .collect();
    let asked = serde_json::to_string(&asked).expect("texts are JSON");
    format!("{campaign}/{asked}")
}

/// The campaign of a claim, and the keys and values that were asked for.
pub(crate) fn claimed(claim: &str) -> (&str, BTreeMap<String, String>) {
    match claim.split_once('/') {
        Some((campaign, asked)) => (campaign, serde_json::from_str(asked).unwrap_or_default()),
        None => (claim, BTreeMap::new()),
    }
}

impl Store {
    /// The checkpoint of a collection in a campaign (`*` where campaigns don't matter), or of a narrower [`claim`].
    pub async fn checkpoint(
        &self,
        collection: &Collection,
        campaign: &str,
    ) -> Result<Checkpoint, StoreError> {
        let generation = self.scope_generation().await?;
        let row =
            sqlx::query("SELECT * FROM checkpoints WHERE collection = ?1 AND campaign_id = ?2")
                .bind(collection.as_str())
                .bind(campaign)
                .fetch_optional(&self.inner.readers)
                .await?;
        let nothing = Checkpoint {
            generation,
            ..Checkpoint::default()
        };
        row.map_or(Ok(nothing), |row| decode(&row, generation))
    }

    /// The oldest place up to which a check is owed, of these collections and claims. Of what isn't asked for any more (a
    /// scope that was left, a role that was narrowed) nobody makes it.
    pub async fn oldest_owed(
        &self,
        asked: &[(Collection, String)],
    ) -> Result<Option<Timestamp>, StoreError> {
        let asked: Vec<String> = asked
            .iter()
            .map(|(c, claim)| format!("{c}/{claim}"))
            .collect();
        let oldest: Option<i64> = sqlx::query_scalar(
            "SELECT min(owed_at) FROM checkpoints
             WHERE collection || '/' || campaign_id IN (SELECT value FROM json_each(?1))",
        )
        .bind(serde_json::to_string(&asked).map_err(StoreError::corrupt)?)
        .fetch_one(&self.inner.readers)
        .await?;
        Ok(oldest.map(Timestamp::from_micros))
    }

    /// All checkpoints, by the collection's name and what they are a [`claim`] of.
    pub async fn checkpoints(&self) -> Result<HashMap<(String, String), Checkpoint>, StoreError> {
        let generation = self.scope_generation().await?;
        let rows = sqlx::query("SELECT * FROM checkpoints")
            .fetch_all(&self.inner.readers)
            .await?;
        let named = rows.iter().map(|row| {
            let key = (row.try_get("collection")?, row.try_get("campaign_id")?);
            Ok((key, decode(row, generation)?))
        });
        named.collect()
    }
}

fn decode(row: &SqliteRow, generation: i64) -> Result<Checkpoint, StoreError> {
    let time = |column: &str| -> Result<Option<Timestamp>, StoreError> {
        Ok(row
            .try_get::<Option<i64>, _>(column)?
            .map(Timestamp::from_micros))
    };
    let fast = match (
        time("fast_at")?,
        row.try_get::<Option<String>, _>("fast_id")?,
    ) {
        (Some(at), Some(id)) => Some(Cursor { at, id }),
        _ => None,
    };
    Ok(Checkpoint {
        fast,
        settled: time("settled_at")?,
        owed: time("owed_at")?,
        owed_since: time("owed_since")?,
        reconciled_at: time("reconciled_at")?,
        listed_at: time("listed_at")?,
        generation,
    })
}

impl WriteTx {
    /// Keeps a checkpoint, in the transaction that applied what it passes; not where a scope was joined or left since it
    /// was loaded.
    pub async fn save_checkpoint(
        &mut self,
        collection: &Collection,
        campaign: &str,
        checkpoint: &Checkpoint,
    ) -> Result<(), StoreError> {
        if checkpoint.generation != self.scope_generation().await? {
            return Ok(());
        }
        let micros = |t: Option<Timestamp>| t.map(Timestamp::as_micros);
        sqlx::query(
            "INSERT OR REPLACE INTO checkpoints (collection, campaign_id, fast_at, fast_id, settled_at, owed_at,
                 owed_since, reconciled_at, listed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )
        .bind(collection.as_str())
        .bind(campaign)
        .bind(checkpoint.fast.as_ref().map(|c| c.at.as_micros()))
        .bind(checkpoint.fast.as_ref().map(|c| c.id.clone()))
        .bind(micros(checkpoint.settled))
        .bind(micros(checkpoint.owed))
        .bind(micros(checkpoint.owed_since))
        .bind(micros(checkpoint.reconciled_at))
        .bind(micros(checkpoint.listed_at))
        .execute(self.conn())
        .await?;
        Ok(())
    }

    /// Forgets how far a campaign was read.
    pub async fn forget_checkpoints(&mut self, campaign: &str) -> Result<(), StoreError> {
        // Narrower claims begin with the campaign and a slash, which no id has.
        let sql = "DELETE FROM checkpoints
                   WHERE campaign_id = ?1 OR substr(campaign_id, 1, length(?1) + 1) = ?1 || '/'";
        sqlx::query(sql).bind(campaign).execute(self.conn()).await?;
        Ok(())
    }
}
