//! What every device must show at the end, and do nothing more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use moonforge_model::{DocRef, Folded};
use moonforge_sync::SyncOptions;

use super::oracle::Evidence;
use super::world::World;

impl World {
    /// Invariant 18: every device equals the server in what it may see, and no row is left but the second account's parked ones.
    pub(super) async fn everyone_agrees(&self, evidence: &Evidence) {
        for device in self.device_list() {
            let name = &device.name;
            let store = device.store();
            let outbox = store.outbox().await.expect("the outbox reads");
            let uid = device.remote.uid().unwrap_or_default();
            let kept: BTreeSet<DocRef> = outbox
                .iter()
                .filter(|e| uid != "gm" && e.row.row.parked.is_some())
                .map(|e| e.doc.clone())
                .collect();
            assert!(
                outbox.iter().all(|e| kept.contains(&e.doc)),
                "{name}: rows are left: {outbox:?}"
            );
            for doc in &kept {
                let mut oracle = self.oracle.lock().expect("no panic while held");
                oracle.parked(name, doc);
            }
            for (doc, there) in &evidence.server {
                if kept.contains(doc) {
                    continue;
                }
                if uid != "gm" && !sees(&evidence.server, doc, &uid) {
                    continue;
                }
                let wanted = doc.clone();
                let state = store
                    .write(move |tx| Box::pin(async move { tx.load(&wanted).await }))
                    .await
                    .expect("a document loads");
                let here = state.view();
                let same = here
                    .as_ref()
                    .is_some_and(|h| h.fields == there.fields && h.deleted == there.deleted);
                assert!(
                    same,
                    "{name}: {doc} differs\nhere  {here:?}\nthere {there:?}"
                );
            }
            let collections: Vec<_> = store.registry().iter().map(|c| c.name.clone()).collect();
            for collection in collections {
                for (id, _) in store
                    .held_names(&collection, None, &[])
                    .await
                    .expect("names are read")
                {
                    let there = evidence
                        .server
                        .keys()
                        .any(|d| d.collection == collection && d.id.as_str() == id);
                    assert!(
                        there,
                        "{name}: {collection}/{id} is held and not at the server"
                    );
                }
            }
        }
    }

    /// Invariant 15: what a role may not read isn't on its device, but for what its person wrote and nobody took.
    pub(super) async fn nobody_holds_what_is_hidden(&self, evidence: &Evidence) {
        for device in self.device_list() {
            let uid = device.remote.uid().unwrap_or_default();
            let store = device.store();
            let outbox = store.outbox().await.expect("the outbox reads");
            for doc in evidence.server.keys() {
                let own = outbox.iter().any(|e| e.doc == *doc);
                if uid == "gm" || own || sees(&evidence.server, doc, &uid) {
                    continue;
                }
                let here = store.get(doc).await.expect("the store reads");
                assert!(
                    here.is_none(),
                    "{}: {doc} is not for {uid}'s eyes: {here:?}",
                    device.name
                );
            }
        }
    }

    /// Invariant 18 again.
    pub(super) async fn another_sync_writes_nothing(self: &Arc<Self>) {
        for device in self.device_list() {
            let before = device.remote.usage().writes;
            self.sync(&device, &SyncOptions::default()).await;
            let after = device.remote.usage().writes;
            assert_eq!(before, after, "{}: a settled device writes", device.name);
        }
    }
}

/// Whether the rules let `uid` read a document.
fn sees(server: &BTreeMap<DocRef, Folded>, doc: &DocRef, uid: &str) -> bool {
    let text = |doc: &DocRef, field: &str| {
        let value = server.get(doc)?.fields.get(field)?;
        value.as_str().map(str::to_owned)
    };
    let is_campaign = doc.collection.as_str() == "campaigns";
    let campaign = match is_campaign {
        true => Some(doc.clone()),
        false => text(doc, "campaignId").and_then(|c| DocRef::parse("campaigns", &c).ok()),
    };
    let Some(campaign) = campaign.and_then(|c| server.get(&c)) else {
        return false;
    };
    let member = campaign.fields.get("memberUids").is_some_and(|uids| {
        uids.as_array()
            .is_some_and(|uids| uids.iter().any(|u| u.as_str() == Some(uid)))
    });
    let role = campaign
        .fields
        .get("roles")
        .and_then(|roles| roles.get(uid));
    let leads = role.is_none_or(|role| role == "dm");
    let shown = doc.collection.as_str() != "secrets"
        && text(doc, "visibility").as_deref() == Some("players");
    member && (is_campaign || leads || shown)
}
