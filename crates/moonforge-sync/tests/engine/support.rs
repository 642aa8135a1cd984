//! Devices on one simulated Firestore, with a clock that the test moves.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use moonforge_model::{ConflictResolver, DocRef, Fields, Folded, PatchOp, Registry, Timestamp};
use moonforge_ports::{Clock, RandomExt, RemoteStore};
use moonforge_store::{Durability, EditTime, Store, StoreOptions};
use moonforge_sync::{Job, SyncEngine, SyncError, SyncOptions, SyncReport};
use moonforge_testkit::clock::ManualClock;
use moonforge_testkit::random::SeededRandom;
use moonforge_testkit::simulated::SimulatedFirestore;
use serde_json::Value;

/// A server and its clock.
pub(crate) struct Cloud {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) server: SimulatedFirestore,
}

/// One device of one account.
pub(crate) struct Device {
    pub(crate) store: Store,
    pub(crate) remote: Arc<dyn RemoteStore>,
    engine: SyncEngine,
}

pub(crate) fn doc(collection: &str, id: &str) -> DocRef {
    DocRef::parse(collection, id).unwrap()
}

pub(crate) fn fields(value: Value) -> Fields {
    value.as_object().unwrap().clone()
}

pub(crate) fn set(path: &str, value: impl Into<Value>) -> PatchOp {
    PatchOp::Set {
        path: path.parse().unwrap(),
        value: value.into(),
    }
}

impl Cloud {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(ManualClock::leaping(Timestamp::from_millis(
            1_790_000_000_000,
        )));
        let server = SimulatedFirestore::new(clock.clone() as Arc<dyn Clock>);
        Self { clock, server }
    }

    /// A device in memory; `None` is an administrator.
    pub(crate) async fn device(&self, uid: Option<&str>, name: &str) -> Device {
        let store = Store::in_memory(self.options(name)).await.unwrap();
        self.with_store(uid, name, store)
    }

    /// A device on a file.
    pub(crate) async fn device_at(&self, uid: Option<&str>, name: &str, path: &Path) -> Device {
        let store = Store::open(path, self.options(name)).await.unwrap();
        self.with_store(uid, name, store)
    }

    /// A device that registered collections of its own.
    pub(crate) async fn device_with(
        &self,
        uid: Option<&str>,
        name: &str,
        registry: Registry,
    ) -> Device {
        let options = StoreOptions {
            registry: Arc::new(registry),
            ..self.options(name)
        };
        let store = Store::in_memory(options).await.unwrap();
        self.with_store(uid, name, store)
    }

    /// An administrator's device with an app's own policies and say in conflicts.
    pub(crate) async fn device_of(
        &self,
        name: &str,
        registry: Registry,
        resolver: Option<Arc<dyn ConflictResolver>>,
    ) -> Device {
        let options = StoreOptions {
            registry: Arc::new(registry),
            resolver,
            ..self.options(name)
        };
        let store = Store::in_memory(options).await.unwrap();
        self.with_store(None, name, store)
    }

    fn options(&self, name: &str) -> StoreOptions {
        let seed = name.bytes().fold(self.clock.now().as_micros(), |a, b| {
            a.wrapping_mul(31).wrapping_add(b.into())
        });
        let random = SeededRandom::new(seed.unsigned_abs());
        let mut options = StoreOptions::new(Arc::new(move || random.hex128()), self.clock.now());
        options.durability = Durability::Normal;
        options
    }

    fn with_store(&self, uid: Option<&str>, name: &str, store: Store) -> Device {
        let remote: Arc<dyn RemoteStore> = self.server.connect(uid.map(str::to_owned), name);
        let engine = SyncEngine::new(
            store.clone(),
            remote.clone(),
            self.clock.clone(),
            Arc::new(SeededRandom::new(7)),
        );
        Device {
            store,
            remote,
            engine,
        }
    }

    pub(crate) fn clock_now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// A field of a document at the server.
    pub(crate) fn there(&self, doc: &DocRef, field: &str) -> Option<Value> {
        self.server.document(doc)?.fields.get(field).cloned()
    }
}

impl Device {
    pub(crate) async fn edit_time(&self) -> EditTime {
        self.engine.edit_time().await.unwrap()
    }

    pub(crate) async fn put(&self, doc: &DocRef, value: Value) {
        let at = self.engine.edit_time().await.unwrap();
        self.store
            .put(doc.clone(), fields(value), at)
            .await
            .unwrap();
    }

    pub(crate) async fn patch(&self, doc: &DocRef, ops: Vec<PatchOp>) {
        let at = self.engine.edit_time().await.unwrap();
        self.store.patch(doc.clone(), None, ops, at).await.unwrap();
    }

    pub(crate) async fn delete(&self, doc: &DocRef) {
        let at = self.engine.edit_time().await.unwrap();
        self.store.delete(doc.clone(), at).await.unwrap();
    }

    pub(crate) async fn try_sync(&self) -> Result<SyncReport, SyncError> {
        self.engine.sync_now(&SyncOptions::default()).await
    }

    pub(crate) async fn run(&self, job: &Job) -> Result<SyncReport, SyncError> {
        self.engine.run(job, &SyncOptions::default()).await
    }

    pub(crate) async fn try_with(&self, options: &SyncOptions) -> Result<SyncReport, SyncError> {
        self.engine.sync_now(options).await
    }

    pub(crate) async fn sync_with(&self, options: &SyncOptions) -> SyncReport {
        let report = self.engine.sync_now(options).await.unwrap();
        assert_eq!(report.stopped, None);
        report
    }

    pub(crate) async fn sync(&self) -> SyncReport {
        let report = self.engine.sync_now(&SyncOptions::default()).await.unwrap();
        assert_eq!(report.stopped, None);
        report
    }

    /// Compares everything with the remote.
    pub(crate) async fn reconcile(&self) -> SyncReport {
        let options = SyncOptions {
            reconcile: true,
            ..SyncOptions::default()
        };
        let report = self.engine.sync_now(&options).await.unwrap();
        assert_eq!(report.stopped, None);
        report
    }

    pub(crate) async fn view(&self, doc: &DocRef) -> Option<Folded> {
        let doc = doc.clone();
        let load = self
            .store
            .write(move |tx| Box::pin(async move { Ok(tx.load(&doc).await?.view()) }));
        load.await.unwrap()
    }

    pub(crate) async fn field(&self, doc: &DocRef, field: &str) -> Option<Value> {
        self.view(doc).await?.fields.get(field).cloned()
    }
}
