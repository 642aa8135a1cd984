//! How things stand.

use std::collections::BTreeMap;

use moonforge_model::{Collection, Timestamp};
use moonforge_store::CollectionStatus;
use serde::Serialize;

use crate::error::Error;
use crate::forge::Moonforge;

/// An edit that was tried this often and isn't through makes the health degraded.
const MAX_RETRIES: u32 = 5;

/// Whether a person should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// All is as it should be; edits may be on their way.
    Ok,
    /// Edits are parked or keep failing, or documents of the cloud can't be read.
    Degraded,
}

/// How things stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Whether a person should look.
    pub health: Health,
    /// Edits on their way, sent ones included.
    pub pending: u64,
    /// Edits that wait for a person.
    pub parked: u64,
    /// How long the oldest edit on its way has waited, in seconds.
    pub oldest_pending_age_s: Option<u64>,
    /// When a sync last came to its end, also where nothing had changed.
    pub last_synced_at: Option<Timestamp>,
    /// Documents of the cloud that can't be read.
    pub quarantined: u64,
    /// Each registered collection.
    pub collections: BTreeMap<Collection, CollectionStatus>,
}

impl Moonforge {
    /// How things stand, as far as this device knows.
    ///
    /// # Errors
    /// Those of the local store.
    pub async fn status(&self) -> Result<Status, Error> {
        let store = self.store().status().await?;
        let counts = self.store().outbox_counts().await?;
        let failing = self
            .store()
            .outbox()
            .await?
            .iter()
            .any(|entry| entry.row.attempts >= MAX_RETRIES);
        let age = counts
            .oldest_pending_at
            .map(|at| self.clock().now().since(at).as_secs());
        Ok(Status {
            health: if counts.parked > 0 || store.quarantined > 0 || failing {
                Health::Degraded
            } else {
                Health::Ok
            },
            pending: counts.pending,
            parked: counts.parked,
            oldest_pending_age_s: age,
            last_synced_at: self.last_sync().await?,
            quarantined: store.quarantined,
            collections: store.collections,
        })
    }
}
