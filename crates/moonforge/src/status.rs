//! How things stand.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use moonforge_model::{Collection, Timestamp};
use moonforge_store::{Change, CollectionStatus, ConflictCounts, Room, Stuck};
use moonforge_sync::{DayBill, SyncEngine, SyncStatus};
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use crate::error::Error;
use crate::forge::Moonforge;
use crate::watch::{Watch, with_other_processes};

/// Whether a person should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// All is as it should be; edits may be on their way.
    Ok,
    /// Edits are parked, stuck or keep failing, too many wait, or documents of the cloud can't be read.
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
    /// What is stuck: tried often, or waiting for long, though the cloud can be reached.
    pub stuck: Vec<Stuck>,
    /// How much room the outbox has.
    pub room: Room,
    /// When a sync last came to its end, also where nothing had changed.
    pub last_synced_at: Option<Timestamp>,
    /// Documents of the cloud that can't be read.
    pub quarantined: u64,
    /// What the conflict journal has.
    pub conflicts: ConflictCounts,
    /// Each registered collection.
    pub collections: BTreeMap<Collection, CollectionStatus>,
    /// What the cloud billed today, by cause, to this file; what the last minutes' idle polls cost may be missing.
    pub bill: DayBill,
    /// The background engine of this process.
    pub sync: SyncStatus,
}

impl Status {
    /// All of it as one sentence, fit for a status line and for a screen reader.
    pub fn sentence(&self) -> String {
        let sync = SyncStatus {
            pending: self.pending,
            parked: self.parked,
            ..self.sync.clone()
        };
        let mut said = sync.sentence();
        match self.quarantined {
            0 => {}
            1 => said.push_str(" 1 document of the cloud can't be read."),
            n => said.push_str(&format!(" {n} documents of the cloud can't be read.")),
        }
        match self.stuck.len() {
            0 => {}
            1 => said.push_str(" 1 edit is stuck."),
            n => said.push_str(&format!(" {n} edits are stuck.")),
        }
        match self.room {
            Room::Plenty => {}
            Room::Tight => said.push_str(" Many edits wait to be sent."),
            Room::Full => said.push_str(" So many edits wait to be sent that no more are taken."),
        }
        match self.conflicts.open {
            0 => {}
            1 => said.push_str(" 1 conflict can be looked at."),
            n => said.push_str(&format!(" {n} conflicts can be looked at.")),
        }
        said
    }
}

impl Moonforge {
    /// How things stand, as far as this device knows.
    ///
    /// # Errors
    /// Those of the local store.
    pub async fn status(&self) -> Result<Status, Error> {
        let store = self.store().status().await?;
        let counts = self.store().outbox_counts().await?;
        let failing = self.store().keeps_failing().await?;
        let stuck = self.outbox().stuck().await?;
        let (room, _) = self.outbox().room().await?;
        let age = counts
            .oldest_pending_at
            .map(|at| self.clock().now().since(at).as_secs());
        let sync = self.sync_status();
        let attention =
            failing || !stuck.is_empty() || room != Room::Plenty || sync.needs_attention();
        Ok(Status {
            health: if counts.parked > 0 || store.quarantined > 0 || attention {
                Health::Degraded
            } else {
                Health::Ok
            },
            pending: counts.pending,
            parked: counts.parked,
            oldest_pending_age_s: age,
            stuck,
            room,
            last_synced_at: self.last_sync().await?,
            quarantined: store.quarantined,
            conflicts: self.store().conflict_counts().await?,
            collections: store.collections,
            bill: SyncEngine::bill_of_the_day(self.store(), self.clock().now()).await?,
            sync,
        })
    }

    /// How things stand, then each time that this has changed, here or in the background engine: for a UI to bind to. One
    /// who is slow gets the newest, not each between. After an error it goes on.
    pub fn watch_status(&self) -> Watch<Status> {
        struct Watching {
            forge: Moonforge,
            engine: watch::Receiver<SyncStatus>,
            documents: broadcast::Receiver<Change>,
            journal: watch::Receiver<()>,
            last: Option<Status>,
            due: bool,
        }
        let start = Watching {
            forge: self.clone(),
            // All before the first look, so that nothing falls between.
            engine: self.watch_sync_status(),
            documents: self.store().changes(),
            journal: self.store().journal_changes(),
            last: None,
            due: true,
        };
        let statuses = stream::unfold(start, async |mut watching| {
            loop {
                if !std::mem::take(&mut watching.due) {
                    tokio::select! {
                        changed = watching.engine.changed() => changed.ok()?,
                        changed = watching.journal.changed() => changed.ok()?,
                        change = watching.documents.recv() => {
                            if matches!(change, Err(RecvError::Closed)) {
                                return None;
                            }
                        }
                    }
                }
                // Many changes, one look.
                watching.engine.mark_unchanged();
                watching.journal.mark_unchanged();
                watching.documents = watching.documents.resubscribe();
                match watching.forge.status().await {
                    Ok(now) if watching.last.as_ref() == Some(&now) => {}
                    Ok(now) => {
                        watching.last = Some(now.clone());
                        return Some((Ok(now), watching));
                    }
                    Err(error) => return Some((Err(error), watching)),
                }
            }
        });
        with_other_processes(self.clone(), statuses).boxed()
    }
}
