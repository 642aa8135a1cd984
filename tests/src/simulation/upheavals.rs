//! What befalls files, consoles and memberships, and is nobody's edit of a document.

use std::collections::BTreeSet;
use std::sync::Arc;

use moonforge_model::{DocRef, PatchOp, Row};
use moonforge_store::StoreError;
use moonforge_sync::SyncOptions;
use serde_json::{Value, json};

use super::device::Device;
use super::profile::Profile;
use super::world::World;

/// An older copy of a device's file.
pub(crate) struct OldCopy {
    path: std::path::PathBuf,
    /// How many edits were made by anybody before it.
    edits: usize,
    /// The last entry of its journal.
    journal: u64,
}

impl World {
    /// Copies a device's file, or puts such a copy back in place: the file's number on the disk stays, so that it isn't
    /// noticed.
    pub(crate) async fn put_back(self: &Arc<Self>, device: &Arc<Device>) {
        let journal = device
            .store()
            .conflicts(true)
            .await
            .expect("the journal reads");
        let old = device.old_copy.lock().expect("no panic while held").take();
        let Some(old) = old else {
            if !self.happens("file copied") {
                return;
            }
            let path = self.folder.join(format!("{}.old", device.name));
            device.copy_to(&path).await;
            self.log(format!("{} is copied aside", device.name));
            let copy = OldCopy {
                path,
                edits: self.oracle.lock().expect("no panic while held").len(),
                journal: journal.iter().map(|e| e.conflict_id).max().unwrap_or(0),
            };
            *device.old_copy.lock().expect("no panic while held") = Some(copy);
            return;
        };
        if !self.happens("file put back") {
            return;
        }
        device.put_back(&old.path).await;
        self.log(format!("{} is put back", device.name));
        let since = journal
            .into_iter()
            .filter(|e| e.conflict_id > old.journal)
            .collect();
        self.oracle
            .lock()
            .expect("no panic while held")
            .put_back(&device.name, old.edits, since);
    }

    /// A console erases `writers`, but for the one case that can't be noticed: an edit that was carried out, of a copy that
    /// knows of no entry of its own yet.
    pub(crate) async fn erase_writers(self: &Arc<Self>) {
        let there = self.documents_there();
        let documents: Vec<DocRef> = there.keys().cloned().collect();
        if documents.is_empty() {
            return;
        }
        // An edit whose fate its author doesn't know is what erasing does harm to.
        let struck = {
            let mut struck = self.struck.lock().expect("no panic while held");
            // Where numbers add up, harm shows.
            let sharpest = struck
                .iter()
                .rposition(|d| d.collection.as_str() == "entities");
            match sharpest {
                Some(at) => Some(struck.remove(at)),
                None => struck.pop(),
            }
        };
        let target = struck
            .unwrap_or_else(|| documents[self.rng.below(documents.len() as u64) as usize].clone());
        let Some(there) = there.get(&target) else {
            return;
        };
        let carried_out = |row: &Row| {
            let entry = there.fields.get("writers").and_then(|w| w.get("gm"));
            let newest = entry.and_then(|copies| copies.get(&row.incarnation)?.get("n")?.as_u64());
            newest.is_some_and(|n| n >= row.n)
        };
        for device in self.device_list() {
            let wanted = target.clone();
            let store = device.store();
            let load = store.write(move |tx| Box::pin(async move { tx.load(&wanted).await }));
            let state = match load.await {
                Ok(state) => state,
                // Its process is about to die: nobody knows what it has on its way.
                Err(StoreError::Interrupted | StoreError::DiskFull) => return,
                Err(error) => panic!("{error:?}"),
            };
            let unknown = state.edits().filter(|row| carried_out(row)).any(|row| {
                state
                    .version()
                    .is_none_or(|v| v.writer("gm", &row.incarnation).is_none())
            });
            if unknown {
                return;
            }
        }
        if !self.happens("console erases writers") {
            return;
        }
        self.log(format!("console erases the writers of {target}"));
        let writers = "writers".parse().expect("a sound path");
        self.server.console_patch(&target, &[(writers, None)]);
    }

    /// The owner lets the second account in or out, changes its role, or what it sees.
    pub(crate) async fn change_members(self: &Arc<Self>, device: &Arc<Device>) {
        let campaign = format!("c{}", self.rng.below(self.profile.breadth().0));
        let path = |text: &str| text.parse().expect("a sound path");
        let (target, op) = match self.rng.below(6) {
            0..=2 => {
                let values = vec![Value::from("pl")];
                let path = path("memberUids");
                let op = match self.rng.one_in(3) {
                    true => {
                        self.write_unsent().await;
                        PatchOp::ArrayRemove { path, values }
                    }
                    false => PatchOp::ArrayUnion { path, values },
                };
                (DocRef::parse("campaigns", &campaign), op)
            }
            3 => {
                let role = ["player", "player", "dm", "viewer"][self.rng.below(4) as usize];
                let (path, value) = (path("roles.pl"), json!(role));
                (
                    DocRef::parse("campaigns", &campaign),
                    PatchOp::Set { path, value },
                )
            }
            _ => {
                let entity = format!("{campaign}-e{}", self.rng.below(3));
                let value = json!(["gm", "players"][self.rng.below(2) as usize]);
                let path = path("visibility");
                (
                    DocRef::parse("entities", &entity),
                    PatchOp::Set { path, value },
                )
            }
        };
        let target = target.expect("a sound name");
        if !self.happens("membership, role or visibility changed") {
            return;
        }
        self.log(format!("{} lets {target}: {op:?}", device.name));
        let leaves = matches!(op, PatchOp::ArrayRemove { .. });
        let at = device.engine().edit_time().await.expect("the store reads");
        match device.store().patch(target, None, vec![op], at).await {
            Ok(_)
            | Err(
                StoreError::NotFound(_)
                | StoreError::Deleted(_)
                | StoreError::Interrupted
                | StoreError::DiskFull,
            ) => {}
            Err(error) => panic!("{error:?}"),
        }
        if leaves || self.rng.one_in(2) {
            self.sync(device, &SyncOptions::default()).await;
        }
        // Whoever has to leave comes to know it while he still has something unsent.
        if leaves && let Some(second) = self.second_account() {
            self.sync(&second, &SyncOptions::default()).await;
        }
    }

    fn second_account(&self) -> Option<Arc<Device>> {
        let mut devices = self.device_list().into_iter();
        devices.find(|d| d.remote.uid().as_deref() != Some("gm"))
    }

    /// The second account comes to know what there is, and writes what it doesn't send.
    async fn write_unsent(self: &Arc<Self>) {
        if let Some(second) = self.second_account() {
            self.sync(&second, &SyncOptions::default()).await;
            for _ in 0..3 {
                self.edit(&second).await;
            }
        }
    }

    /// The campaigns that the server holds.
    pub(crate) fn campaigns_there(&self) -> BTreeSet<String> {
        self.server.database(|database| {
            let documents = database.documents().keys();
            documents
                .filter(|d| d.collection.as_str() == "campaigns")
                .map(|d| d.id.to_string())
                .collect()
        })
    }

    /// After a sync that came to its end the owner has nothing parked in campaigns that were there from its beginning:
    /// nothing there is denied to him.
    pub(crate) async fn check_parked(&self, device: &Arc<Device>, campaigns: &BTreeSet<String>) {
        if self.profile == Profile::Consoles || device.remote.uid().as_deref() != Some("gm") {
            return;
        }
        let outbox = device.store().outbox().await.expect("the outbox reads");
        let parked = outbox.iter().filter(|e| e.row.row.parked.is_some());
        for entry in parked.filter(|e| !self.is_trouble(&e.doc)) {
            let campaign = entry.doc.id.as_str().split('-').next().unwrap_or_default();
            assert!(
                !campaigns.contains(campaign),
                "{}: {} is parked for no reason: {:?}",
                device.name,
                entry.doc,
                entry.row.error
            );
        }
    }
}
