//! The simulated Firestore against what was measured on the real one.

mod delivery;
mod roles;
mod rules;

use std::sync::Arc;

use moonforge_model::{DocRef, Timestamp};
use moonforge_ports::{RemoteErrorKind, RemoteQuery, RemoteStore, RemoteWrite};
use serde_json::{Value, json};

use super::{SimulatedFirestore, SimulatedRemote};
use crate::clock::ManualClock;
use crate::conformance::{self, Capabilities, change, create, doc};

pub(crate) const START: i64 = 1_700_000_000_000;

struct World {
    server: SimulatedFirestore,
    clock: Arc<ManualClock>,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::leaping(Timestamp::from_micros(
            START * 1000 + 777,
        )));
        Self {
            server: SimulatedFirestore::new(clock.clone()),
            clock,
        }
    }

    fn device(&self, uid: &str) -> Arc<SimulatedRemote> {
        self.server.connect(Some(uid.to_owned()), uid)
    }

    /// A campaign with an owner, a dm, a player and a viewer, made by its owner.
    async fn with_campaign() -> Self {
        let world = Self::new();
        let write = create(doc("campaigns", "c"), campaign());
        world.device("owner").commit(&[write]).await.unwrap();
        world
    }

    fn version(&self, doc: &DocRef) -> Timestamp {
        self.server.document(doc).unwrap().update_time
    }

    /// Changes a document on its newest version.
    fn update(&self, doc: DocRef, value: Value, mask: &[&str]) -> RemoteWrite {
        let version = self.version(&doc);
        change(doc, version, value, mask)
    }
}

fn campaign() -> Value {
    json!({"rev": 0, "name": "The Ember Keep", "ownerUid": "owner",
           "memberUids": ["owner", "dm", "player", "viewer"],
           "roles": {"dm": "dm", "player": "player", "viewer": "viewer"}})
}

async fn kind_of(remote: &SimulatedRemote, writes: &[RemoteWrite]) -> Option<RemoteErrorKind> {
    remote.commit(writes).await.err().map(|e| e.kind)
}

async fn listed(remote: &SimulatedRemote, query: RemoteQuery) -> Result<usize, RemoteErrorKind> {
    let answer = conformance::collect(remote, &query).await;
    answer
        .map(|(documents, _)| documents.len())
        .map_err(|e| e.kind)
}

#[tokio::test]
async fn an_administrator_has_a_whole_remote_store() {
    let capabilities = Capabilities {
        aggregates: true,
        enforces_rev: false,
    };
    let make = || async { World::new().server.connect(None, "admin") as Arc<dyn RemoteStore> };
    conformance::run_all(make, capabilities).await;
}

#[tokio::test]
async fn a_user_is_held_to_revisions() {
    let world = World::with_campaign().await;
    conformance::revisions_rise_by_one(&*world.device("owner")).await;
}
