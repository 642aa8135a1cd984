//! Which copy of which file this is, and whose.

use std::collections::BTreeMap;
use std::path::Path;

use moonforge_model::Timestamp;
use moonforge_model::mutant::{Mutant, planted};
use sqlx::SqliteConnection;

use crate::error::StoreError;
use crate::open::Store;
use crate::tx::WriteTx;

/// The copies of a file that rows were written in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incarnations {
    /// The one that writes now.
    pub current: String,
    /// The highest row number that was given here.
    pub reached: u64,
    /// Those that were closed when a copy was noticed, with the highest row number that they had reached here; the highest
    /// number of all where both copies wrote under it.
    pub closed: BTreeMap<String, u64>,
}

impl Store {
    /// Compares the file with the one that it was, and mints an incarnation where it is another: a copy that was put in
    /// its place, or the same file on another machine.
    pub(crate) async fn know_this_copy(&self, now: Timestamp) -> Result<(), StoreError> {
        let here = self.path().map(fingerprint);
        self.write(move |tx| {
            Box::pin(async move {
                let known = get(tx.conn(), "file").await?;
                let current = get(tx.conn(), "incarnation").await?;
                let copied = here.is_some() && here != known;
                if current.is_none() || copied && !planted(Mutant::CopySharesIncarnation) {
                    tx.mint_incarnation(now).await?;
                }
                if current.is_none() {
                    tx.take_in_version_1(now).await?;
                }
                if let Some(here) = here.filter(|h| known.as_ref() != Some(h)) {
                    put(tx.conn(), "file", &here).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Whom the file belongs to, recorded at the first sync.
    pub async fn owner(&self) -> Result<Option<String>, StoreError> {
        let mut conn = self.inner.readers.acquire().await?;
        get(&mut conn, "owner").await
    }

    /// Refuses anyone but whom the file belongs to, if it belongs to somebody.
    pub async fn check_owner(&self, owner: &str) -> Result<(), StoreError> {
        match self.owner().await? {
            Some(known) if known != owner => Err(StoreError::AccountMismatch {
                owner: known,
                other: owner.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// Records whom the file belongs to, or refuses another.
    pub async fn claim(&self, owner: String) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                match get(tx.conn(), "owner").await? {
                    Some(known) if known != owner => Err(StoreError::AccountMismatch {
                        owner: known,
                        other: owner,
                    }),
                    Some(_) => Ok(()),
                    None => put(tx.conn(), "owner", &owner).await,
                }
            })
        })
        .await
    }

    /// How far the remote's clock is ahead of this device's, in microseconds, as last learnt.
    pub async fn clock_offset(&self) -> Result<i64, StoreError> {
        let mut conn = self.inner.readers.acquire().await?;
        let text = get(&mut conn, "clock_offset").await?;
        Ok(text.and_then(|t| t.parse().ok()).unwrap_or(0))
    }

    /// Keeps how far the remote's clock is ahead.
    pub async fn set_clock_offset(&self, micros: i64) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move { put(tx.conn(), "clock_offset", &micros.to_string()).await })
        })
        .await
    }

    /// A note of the engine's that outlives the process.
    pub async fn note(&self, key: &str) -> Result<Option<String>, StoreError> {
        let mut conn = self.inner.readers.acquire().await?;
        get(&mut conn, &format!("note:{key}")).await
    }

    /// Keeps a note.
    pub async fn set_note(&self, key: &str, value: String) -> Result<(), StoreError> {
        let key = format!("note:{key}");
        self.write(move |tx| Box::pin(async move { put(tx.conn(), &key, &value).await }))
            .await
    }
}

impl WriteTx {
    /// Closes the current incarnation and begins another.
    pub async fn mint_incarnation(&mut self, now: Timestamp) -> Result<String, StoreError> {
        self.incarnations = None;
        let reached = self.reached().await?;
        sqlx::query("UPDATE incarnations SET closed_at_n = ?1 WHERE closed_at_n IS NULL")
            .bind(reached)
            .execute(self.conn())
            .await?;
        let incarnation = self.new_id();
        sqlx::query("INSERT INTO incarnations (incarnation, minted_at) VALUES (?1, ?2)")
            .bind(&incarnation)
            .bind(now.as_micros())
            .execute(self.conn())
            .await?;
        // Rows that version 1 wrote belong to the first one.
        sqlx::query("UPDATE outbox_ops SET incarnation = ?1 WHERE incarnation = ''")
            .bind(&incarnation)
            .execute(self.conn())
            .await?;
        put(self.conn(), "incarnation", &incarnation).await?;
        Ok(incarnation)
    }

    /// The highest row number so far.
    async fn reached(&mut self) -> Result<i64, StoreError> {
        let last = sqlx::query_scalar(
            "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'outbox_ops'), 0)",
        );
        Ok(last.fetch_one(self.conn()).await?)
    }

    /// Begins another incarnation because an unnoticed copy of this file writes under the current one. What either wrote
    /// under it can't be told apart by its number, however high that is.
    pub async fn mint_beside_a_copy(&mut self, now: Timestamp) -> Result<String, StoreError> {
        let shared = get(self.conn(), "incarnation").await?;
        let minted = self.mint_incarnation(now).await?;
        sqlx::query("UPDATE incarnations SET closed_at_n = ?1 WHERE incarnation = ?2")
            .bind(i64::MAX)
            .bind(shared)
            .execute(self.conn())
            .await?;
        Ok(minted)
    }

    /// The copies of this file.
    pub async fn incarnations(&mut self) -> Result<Incarnations, StoreError> {
        if let Some(known) = &self.incarnations {
            return Ok(known.clone());
        }
        let current = get(self.conn(), "incarnation").await?;
        let current = current.ok_or_else(|| StoreError::corrupt("the file has no incarnation"))?;
        let closed: Vec<(String, i64)> = sqlx::query_as(
            "SELECT incarnation, closed_at_n FROM incarnations WHERE closed_at_n IS NOT NULL",
        )
        .fetch_all(self.conn())
        .await?;
        let closed = closed
            .into_iter()
            .map(|(i, n)| (i, u64::try_from(n).unwrap_or(0)))
            .collect();
        let reached = u64::try_from(self.reached().await?).unwrap_or(0);
        let known = Incarnations {
            current,
            reached,
            closed,
        };
        self.incarnations = Some(known.clone());
        Ok(known)
    }
}

pub(crate) async fn get(
    conn: &mut SqliteConnection,
    key: &str,
) -> Result<Option<String>, StoreError> {
    Ok(
        sqlx::query_scalar("SELECT value FROM identity WHERE key = ?1")
            .bind(key)
            .fetch_optional(conn)
            .await?,
    )
}

pub(crate) async fn put(
    conn: &mut SqliteConnection,
    key: &str,
    value: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO identity (key, value) VALUES (?1, ?2)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    )
    .bind(key)
    .bind(value)
    .execute(conn)
    .await?;
    Ok(())
}

/// What tells one file from a copy of it: the machine and the inode. Never the device's number, which changes at a reboot.
fn fingerprint(path: &Path) -> String {
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    #[cfg(unix)]
    let file = std::fs::metadata(path)
        .map(|m| std::os::unix::fs::MetadataExt::ino(&m).to_string())
        .unwrap_or_default();
    #[cfg(not(unix))]
    let file = path
        .canonicalize()
        .unwrap_or_else(|_| path.to_owned())
        .display()
        .to_string();
    format!("{}/{file}", machine.trim())
}
