use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use moonforge_firestore::{Endpoint, Firestore, FirestoreConfig, Timeouts};
use moonforge_model::{Collection, FieldPath};
use moonforge_ports::{
    Precondition, QueryEvent, RemoteError, RemoteQuery, RemoteStore, RemoteWrite, StaticToken,
};
use moonforge_testkit::conformance::{doc, fields};
use moonforge_testkit::emulator::{Emulator, Project, owner_token};
use moonforge_testkit::proxy::{FaultProxy, Matcher, Reply};
use serde_json::Value;

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
    at(project.id(), project.host())
}

pub(crate) fn at(project: &str, host: &str) -> FirestoreConfig {
    FirestoreConfig::new(project).endpoint(Endpoint::Emulator(host.to_owned()))
}

pub(crate) fn store(project: &Project) -> Firestore {
    Firestore::new(config(project), owner()).unwrap()
}

/// Short enough to wait for. Only for what is to run out of it: a loaded machine's emulator may be slower.
pub(crate) const PATIENCE: Timeouts = Timeouts {
    connect: Duration::from_millis(400),
    headers: Duration::from_millis(1600),
    idle: Duration::from_millis(1000),
};

/// A store behind a proxy.
pub(crate) async fn behind_proxy(project: &Project) -> (FaultProxy, Firestore) {
    let proxy = FaultProxy::start(project.host()).await;
    let config = at(project.id(), &proxy.addr().to_string());
    (proxy, Firestore::new(config, owner()).unwrap())
}

/// Another store behind that proxy, with short timeouts.
pub(crate) fn impatient(project: &Project, proxy: &FaultProxy) -> Firestore {
    let config = at(project.id(), &proxy.addr().to_string()).timeouts(PATIENCE);
    Firestore::new(config, owner()).unwrap()
}

/// A store that gets this answer to its every request, and whose project is `p`.
pub(crate) async fn answering(reply: Reply) -> (FaultProxy, Firestore) {
    let proxy = FaultProxy::start("127.0.0.1:9").await;
    proxy.fail(
        Matcher::any().always(),
        moonforge_testkit::proxy::Fault::Status(reply),
    );
    let config = at("p", &proxy.addr().to_string());
    (proxy, Firestore::new(config, owner()).unwrap())
}

/// A write of the whole document, whatever is there.
pub(crate) fn put(collection: &str, id: &str, value: Value) -> RemoteWrite {
    RemoteWrite {
        doc: doc(collection, id),
        fields: fields(value),
        mask: None,
        server_time: vec![FieldPath::field("updatedAt")],
        precondition: Precondition::None,
    }
}

pub(crate) fn all(collection: &str) -> RemoteQuery {
    RemoteQuery::all(Collection::new(collection).unwrap())
}

/// The ids that came, and how the answer ended.
pub(crate) async fn ids(
    store: &Firestore,
    query: &RemoteQuery,
) -> (Vec<String>, Result<(), RemoteError>) {
    let mut ids = Vec::new();
    let mut events = match store.query(query).await {
        Ok(events) => events,
        Err(error) => return (ids, Err(error)),
    };
    while let Some(event) = events.next().await {
        match event {
            Ok(QueryEvent::Document(document)) => ids.push(document.doc.id.to_string()),
            Ok(QueryEvent::Done { .. }) => {
                assert!(events.next().await.is_none());
                return (ids, Ok(()));
            }
            Err(error) => {
                assert!(events.next().await.is_none());
                return (ids, Err(error));
            }
        }
    }
    panic!("the stream ended without an end");
}
