use std::sync::Arc;

use moonforge_firestore::{Endpoint, Firestore, FirestoreConfig};
use moonforge_ports::StaticToken;
use moonforge_testkit::emulator::{Emulator, Project, owner_token};

/// A project of its own under open rules, or `None` (and a line that says so) where there is no emulator.
pub(crate) async fn project(name: &str) -> Option<Project> {
    let project = Emulator::shared()?.project(name);
    project.load_open_rules().await;
    Some(project)
}

pub(crate) fn owner() -> Arc<StaticToken> {
    Arc::new(StaticToken::new(owner_token().into(), None))
}

pub(crate) fn config(project: &Project) -> FirestoreConfig {
    FirestoreConfig::new(project.id()).endpoint(Endpoint::Emulator(project.host().to_owned()))
}

pub(crate) fn store(project: &Project) -> Firestore {
    Firestore::new(config(project), owner()).unwrap()
}
