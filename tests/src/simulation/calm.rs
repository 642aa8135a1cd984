//! The end: nothing goes wrong any more, and everyone syncs until nothing moves.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use moonforge_model::{Fields, ParkReason};
use moonforge_store::StoreError;
use moonforge_sync::SyncOptions;

use super::actions::doc;
use super::device::Device;
use super::invariants::asked;
use super::profile::Profile;
use super::world::{LATE, World};

impl World {
    /// Nothing goes wrong any more; everyone syncs until nothing moves.
    pub(crate) async fn quiesce(self: &Arc<Self>) {
        self.log("all calms down".to_owned());
        self.calm.store(true, Ordering::Relaxed);
        self.relent();
        self.server.deliver_late();
        let slow = self.profile == Profile::SlowCommits;
        for device in self.device_list() {
            device.calm_down().await;
            // A clock that is set back compares everything, and would find what cursors skipped.
            if !slow {
                device.skew(0);
            }
        }
        // Children of a campaign that nobody made are denied for as long as that is so.
        let devices = self.device_list();
        self.make_missing_campaigns(&devices[0]).await;
        // What a console did, what was withdrawn, and what came later than L is found by a comparison of everything; all else
        // the cursors find.
        let comparing =
            matches!(self.profile, Profile::Consoles | Profile::Members) || self.was_later_than_l();
        let mut last: Option<Vec<(String, Fields)>> = None;
        for round in 0..12 {
            self.pass_time(LATE * 2);
            let options = SyncOptions {
                reconcile: comparing && round % 4 == 0,
                ..SyncOptions::default()
            };
            for device in self.device_list() {
                if device.remote.uid().as_deref() == Some("gm") {
                    self.take_care_of_parked(&device, round > 1).await;
                }
                assert!(
                    self.sync(&device, &options).await,
                    "{}: a calm sync finishes",
                    device.name
                );
            }
            let now = self.contents();
            if last.as_ref() == Some(&now) && round > 2 {
                return;
            }
            last = Some(now);
        }
        panic!("the devices write on and on");
    }

    fn contents(&self) -> Vec<(String, Fields)> {
        self.server.database(|database| {
            let documents = database.documents().iter();
            documents
                .filter(|(d, _)| d.collection.as_str() != "beacons")
                .map(|(d, v)| (d.to_string(), v.fields.clone()))
                .collect()
        })
    }

    /// Whether a commit became visible later than the protocol allows for, while another sync made it wait.
    fn was_later_than_l(&self) -> bool {
        self.server.history().iter().any(|applied| {
            let asked = applied.fields.as_ref().and_then(asked);
            asked.is_some_and(|at| applied.update_time.since(at) > LATE)
        })
    }

    /// The owner tries again what was refused, and gives up what is too large for good.
    async fn take_care_of_parked(&self, device: &Device, at_last: bool) {
        let store = device.store();
        loop {
            let outbox = store.outbox().await.expect("the outbox reads");
            let mut trouble = outbox
                .iter()
                .filter(|e| e.row.row.parked.is_some() && self.is_trouble(&e.doc));
            let Some(entry) = trouble.next_back() else {
                return;
            };
            let (n, reason) = (entry.row.row.n, entry.row.row.parked);
            if at_last && reason == Some(ParkReason::TooLarge) {
                self.log(format!("{} gives up {n} of {}", device.name, entry.doc));
                let discarded = store.discard(n, device.now()).await;
                discarded.expect("what is parked can be given up");
            } else {
                self.log(format!("{} tries {} again", device.name, entry.doc));
                store.retry(Some(n)).await.expect("the store writes");
            }
        }
    }

    /// Makes the campaigns that nobody made, on this device.
    pub(crate) async fn make_missing_campaigns(self: &Arc<Self>, device: &Arc<Device>) {
        for n in 0..2 {
            let campaign = format!("c{n}");
            let target = doc("campaigns", &campaign);
            // One that is only here goes out with the next sync.
            let wanted = target.clone();
            let here = device
                .store()
                .write(move |tx| Box::pin(async move { Ok(tx.load(&wanted).await?.view()) }))
                .await
                .expect("the store reads");
            if self.server.document(&target).is_none() && here.is_none() {
                let at = device.engine().edit_time().await.expect("the store reads");
                let created = self.creation(&target, &campaign, &format!("made-{n}"));
                match device.store().put(target, created, at).await {
                    Ok(_) | Err(StoreError::Deleted(_)) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
    }
}
