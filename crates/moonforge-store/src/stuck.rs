//! What waits for longer than it should, though the cloud can be reached.

use std::time::Duration;

use moonforge_model::{DocRef, Timestamp};
use sqlx::Row as _;

use crate::error::StoreError;
use crate::identity::get;
use crate::open::Store;
use crate::rows::shown_as;

/// What was tried so often and isn't through is stuck.
const TRIES: u32 = 5;
/// What waits for so long while the cloud can be reached is stuck.
const LONG: Duration = Duration::from_secs(3600);
/// So many are listed.
const LISTED: i64 = 1000;
/// When the last run ended that reached the cloud and left something waiting; empty after one that didn't reach it.
const REACHED: &str = "reached";

/// A row that is stuck. Parked ones aren't: they wait for a person, and so does what waits behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// Its number.
    pub n: u64,
    /// The document; of an operation its place in the queue.
    pub doc: DocRef,
    /// `create`, `patch`, `delete`, `restore`, or `call`.
    pub operation: String,
    /// How often it was tried.
    pub attempts: u32,
    /// How long it had waited when the cloud was last reached.
    pub waited: Duration,
    /// What the last failure said, or why it can't be sent.
    pub error: Option<String>,
}

impl Stuck {
    /// All of it as one sentence for a person.
    pub fn sentence(&self) -> String {
        let what = if self.operation == "call" {
            format!("operation {} ({})", self.n, self.doc)
        } else {
            format!("edit {} of {}", self.n, self.doc)
        };
        let minutes = self.waited.as_secs() / 60;
        let waited = match (minutes / 60, minutes) {
            (0, 0) => "less than a minute".to_owned(),
            (0, m) => format!("{m} min"),
            (h, _) if h < 48 => format!("{h} h"),
            (h, _) => format!("{} days", h / 24),
        };
        let tried = match self.attempts {
            0 => "was never tried".to_owned(),
            1 => "was tried once".to_owned(),
            n => format!("was tried {n} times"),
        };
        let said = match &self.error {
            Some(error) => format!(": {error}"),
            None => String::new(),
        };
        format!(
            "{what} is stuck: it has waited for {waited} though the cloud can be reached, and {tried}{said}"
        )
    }
}

impl Store {
    /// Notes whether the run that ended reached the cloud, as long as something waits; `None`: it didn't.
    pub async fn note_reach(&self, at: Option<Timestamp>, waiting: u64) -> Result<(), StoreError> {
        let at = at.filter(|_| waiting > 0);
        if at.is_none() && self.note(REACHED).await?.unwrap_or_default().is_empty() {
            return Ok(());
        }
        let text = at.map(|at| at.as_micros().to_string());
        self.set_note(REACHED, text.unwrap_or_default()).await
    }

    /// Rows that were tried five times or more, or that have waited for more than an hour, while the cloud can be reached: as
    /// of the last run that left something waiting. None where that run didn't reach the cloud. The oldest first, the first
    /// thousand.
    pub async fn stuck(&self) -> Result<Vec<Stuck>, StoreError> {
        let mut conn = self.inner.readers.acquire().await?;
        let note = get(&mut conn, &format!("note:{REACHED}")).await?;
        let Some(reached) = note.and_then(|at| at.parse::<i64>().ok()) else {
            return Ok(Vec::new());
        };
        let long = i64::try_from(LONG.as_micros()).unwrap_or(i64::MAX);
        let rows = sqlx::query(
            "SELECT n, collection, doc_id, operation, attempts, created_at, error FROM outbox_ops o
             WHERE state = 'pending' AND (attempts >= ?1 OR created_at < ?2) AND NOT EXISTS (
                 SELECT 1 FROM outbox_ops p WHERE p.state = 'parked'
                 AND p.collection = o.collection AND p.doc_id = o.doc_id)
             ORDER BY n LIMIT ?3",
        )
        .bind(TRIES)
        .bind(reached.saturating_sub(long))
        .bind(LISTED)
        .fetch_all(&mut *conn)
        .await?;
        let reached = Timestamp::from_micros(reached);
        rows.iter()
            .map(|row| {
                let collection: &str = row.try_get("collection")?;
                let operation: String = row.try_get("operation")?;
                let mut error: Option<String> = row.try_get("error")?;
                if !collection.starts_with('~') && self.inner.registry.get(collection).is_none() {
                    let unknown = StoreError::UnknownCollection(collection.to_owned());
                    error = Some(format!("{unknown} in this app"));
                }
                Ok(Stuck {
                    n: row.try_get::<i64, _>("n")?.unsigned_abs(),
                    doc: shown_as(collection, row.try_get("doc_id")?),
                    operation,
                    attempts: row.try_get("attempts")?,
                    waited: reached.since(Timestamp::from_micros(row.try_get("created_at")?)),
                    error,
                })
            })
            .collect()
    }

    /// Whether something was tried so often that somebody should look.
    pub async fn keeps_failing(&self) -> Result<bool, StoreError> {
        let often = "SELECT EXISTS (SELECT 1 FROM outbox_ops WHERE attempts >= ?1)";
        let often = sqlx::query_scalar(often).bind(TRIES);
        Ok(often.fetch_one(&self.inner.readers).await?)
    }
}
