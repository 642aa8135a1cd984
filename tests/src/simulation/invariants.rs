//! What must hold while all goes on, whatever happens: looked at after each sync and each death of a process.
//!
//! What is looked at in the end stands in `oracle.rs`, `overwrites.rs` and `agreement.rs`; `docs/testing.md` lists all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use moonforge_model::{DocRef, Fields, Timestamp};
use moonforge_ports::RemoteDocument;
use moonforge_store::{Checkpoint, StoreError};
use moonforge_sync::SyncError;
use moonforge_testkit::simulated::{CallKind, Database, GatePoint, Moment};

use super::device::Device;
use super::world::{LATE, World};

/// What a device knows of the server, as its last look at its file showed.
#[derive(Default)]
pub(crate) struct Known {
    versions: BTreeMap<DocRef, Timestamp>,
    /// When the last of the syncs ended that lie further apart than L, and how many there were without a break.
    apart: (Option<Timestamp>, u32),
}

type Checkpoints = std::collections::HashMap<(String, String), Checkpoint>;

impl World {
    /// Looks at a device's file after a sync that ended, or didn't. One that came to its end `began` at that time.
    pub(crate) async fn check_device(&self, device: &Arc<Device>, began: Option<Timestamp>) {
        let store = device.store();
        let versions = store.versions().await.expect("the versions read");
        let versions: BTreeMap<DocRef, Timestamp> = versions.into_iter().collect();
        let checkpoints = store.checkpoints().await.expect("the checkpoints read");
        let owner = device.remote.uid().as_deref() == Some("gm");
        let apart = {
            let mut known = device.known.lock().expect("no panic while held");
            base_never_goes_back(device, &known.versions, &versions);
            known.versions = versions.clone();
            let due = known.apart.0.map(|ended| ended.saturating_add(LATE));
            if let Some(began) = began.filter(|began| due.is_none_or(|due| *began >= due)) {
                known.apart = (Some(self.server.now()), known.apart.1 + 1);
                Some((began, known.apart.1))
            } else {
                None
            }
        };
        if self.profile.has_consoles() || !owner {
            return;
        }
        self.server.database(|database| {
            no_cursor_passes_what_is_not_here(device, database, &versions, &checkpoints);
            if let Some((began, 3..)) = apart {
                nothing_stays_missed(device, database, &versions, &checkpoints, began);
            }
        });
    }

    /// Of the processes that have a file open one syncs; another is told so, and asks the server for nothing.
    pub(crate) async fn one_process_syncs(&self, point: &GatePoint) {
        let device = self.device_named(&point.call.device);
        if let Some(second) = device.sync_twice().await {
            self.happens("second sync refused");
            assert!(
                matches!(second, Err(SyncError::Store(StoreError::SyncBusy))),
                "{}: two processes sync: {second:?}",
                device.name
            );
        }
    }

    /// Invariant 4: of a device, at most one write of a document is in flight.
    pub(crate) fn check_in_flight(&self, point: &GatePoint) {
        if point.call.kind != CallKind::Commit {
            return;
        }
        let device = self.device_named(&point.call.device);
        let mut in_flight = device.in_flight.lock().expect("no panic while held");
        match point.moment {
            // Refused by the network, it never leaves.
            Moment::Sending
                if device
                    .unsent
                    .lock()
                    .expect("no panic while held")
                    .remove(&point.call.number) => {}
            Moment::Sending => {
                let mut twice = BTreeSet::new();
                for doc in &point.call.docs {
                    let first = in_flight.insert(doc.clone()) && twice.insert(doc);
                    assert!(first, "{}: two writes of {doc} are in flight", device.name);
                }
            }
            Moment::Arrived => {}
            Moment::Answering => in_flight.retain(|doc| !point.call.docs.contains(doc)),
        }
    }
}

/// Invariants 2, 3 and 17: a document, its metadata and its rows changed together, what is dirty has rows and what has rows
/// is dirty, and SQLite finds nothing wrong.
pub(crate) async fn the_file_is_whole(device: &Device) {
    let mut findings = device.findings().await;
    // What was made unreadable on purpose, and what the server keeps refusing.
    findings.retain(|f| !matches!(f.code, "quarantined" | "stuck"));
    assert!(
        findings.is_empty(),
        "{}: the file isn't whole: {findings:?}",
        device.name
    );
}

/// Invariant 7: the base never goes back to an older version.
fn base_never_goes_back(
    device: &Device,
    before: &BTreeMap<DocRef, Timestamp>,
    now: &BTreeMap<DocRef, Timestamp>,
) {
    for (doc, version) in now {
        if let Some(older) = before.get(doc) {
            assert!(
                version >= older,
                "{}: the base of {doc} went back from {older} to {version}",
                device.name
            );
        }
    }
}

/// Invariant 10: a cursor moves in the transaction that applies what it passes. The fast one passes nothing that was visible
/// before anything that was asked for later; the settled one nothing at all that was asked for before it.
fn no_cursor_passes_what_is_not_here(
    device: &Device,
    database: &Database,
    here: &BTreeMap<DocRef, Timestamp>,
    checkpoints: &Checkpoints,
) {
    for (doc, there, checkpoint) in with_checkpoints(database, checkpoints) {
        let held = here.get(doc).is_some_and(|h| *h >= there.update_time);
        let Some(asked) = asked(&there.fields).filter(|_| !held) else {
            continue;
        };
        if let Some(fast) = &checkpoint.fast {
            assert!(
                there.update_time >= fast.at || was_overtaken(database, doc, there),
                "{}: the cursor is at {} and has passed {doc} of {}, which isn't here",
                device.name,
                fast.at,
                there.update_time
            );
        }
        if let Some(settled) = checkpoint.settled {
            assert!(
                asked > settled || there.update_time.since(asked) > LATE,
                "{}: all is settled up to {settled}, and {doc} of {asked} isn't here",
                device.name
            );
        }
    }
}

/// Invariant 10 again: after three syncs that came to their end, each L after the one before, all is here that was visible
/// when the last began. The first gives the fast cursor a place, the second settles that, the third what came meanwhile.
fn nothing_stays_missed(
    device: &Device,
    database: &Database,
    here: &BTreeMap<DocRef, Timestamp>,
    checkpoints: &Checkpoints,
    began: Timestamp,
) {
    for (doc, there, _) in with_checkpoints(database, checkpoints) {
        let held = here.get(doc).is_some_and(|h| *h >= there.update_time);
        let late = asked(&there.fields).is_none_or(|at| there.update_time.since(at) > LATE);
        assert!(
            held || late || there.update_time >= began,
            "{}: {doc} of {} is missed, and the sync of {began} should have found it",
            device.name,
            there.update_time
        );
    }
}

/// When a version was asked for.
pub(crate) fn asked(fields: &Fields) -> Option<Timestamp> {
    fields.get("updatedAt")?.as_str()?.parse().ok()
}

/// Whether something of the same collection was asked for later and visible sooner, so that a cursor could pass.
fn was_overtaken(database: &Database, doc: &DocRef, there: &RemoteDocument) -> bool {
    let asked_at = asked(&there.fields);
    database.history().iter().any(|other| {
        other.doc.collection == doc.collection
            && other.update_time < there.update_time
            && other.fields.as_ref().and_then(asked) > asked_at
    })
}

/// The server's documents that a device asks for by a cursor, with it.
fn with_checkpoints<'a>(
    database: &'a Database,
    checkpoints: &'a Checkpoints,
) -> impl Iterator<Item = (&'a DocRef, &'a RemoteDocument, &'a Checkpoint)> {
    database.documents().iter().filter_map(|(doc, there)| {
        let campaign = there.fields.get("campaignId")?.as_str()?;
        let key = (doc.collection.to_string(), campaign.to_owned());
        Some((doc, there, checkpoints.get(&key)?))
    })
}
