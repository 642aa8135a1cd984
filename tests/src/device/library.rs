//! A person whose app uses the library, in this process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use moonforge_firestore::{Endpoint, Firestore, FirestoreConfig};
use moonforge_model::{Collection, DocRef, Fields, PatchOp, Timestamp};
use moonforge_ports::{Clock, RandomExt, RemoteStore, StaticToken};
use moonforge_store::{QuerySpec, Store, StoreError, StoreOptions};
use moonforge_sync::{SyncEngine, SyncOptions};
use moonforge_testkit::emulator::Project;
use moonforge_testkit::random::SeededRandom;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{Edit, Person};

/// Options of a run that a test doesn't wait long for.
pub fn quick() -> SyncOptions {
    SyncOptions {
        late_visibility: Duration::ZERO,
        ..SyncOptions::default()
    }
}

/// The machine's clock, but waiting takes a tenth of its time.
struct HurriedClock(std::time::Instant);

#[async_trait]
impl Clock for HurriedClock {
    #[expect(clippy::disallowed_methods, reason = "the emulator's time is real")]
    fn now(&self) -> Timestamp {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let micros = now.expect("after 1970").as_micros();
        Timestamp::from_micros(i64::try_from(micros).expect("before 294247"))
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "the emulator's time is real")]
    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span / 10).await;
    }
}

struct Open {
    store: Store,
    engine: SyncEngine,
}

/// A person whose app uses the library.
pub struct Library {
    path: PathBuf,
    remote: Arc<dyn RemoteStore>,
    clock: Arc<HurriedClock>,
    random: Arc<SeededRandom>,
    options: SyncOptions,
    open: Mutex<Option<Arc<Open>>>,
}

impl Library {
    /// `uid`'s database at `path`, kept in step with the project through `proxy`.
    pub fn new(project: &Project, uid: &str, path: &Path, proxy: SocketAddr) -> Self {
        let token = StaticToken::new(project.user_token(uid).into(), Some(uid.to_owned()));
        let config =
            FirestoreConfig::new(project.id()).endpoint(Endpoint::Emulator(proxy.to_string()));
        let remote = Firestore::new(config, Arc::new(token)).expect("a sound configuration");
        Self {
            path: path.to_owned(),
            remote: Arc::new(remote),
            clock: Arc::new(started()),
            random: Arc::new(SeededRandom::new(seed())),
            options: SyncOptions::default(),
            open: Mutex::default(),
        }
    }

    /// With these bounds for its runs.
    #[must_use]
    pub fn options(self, options: SyncOptions) -> Self {
        Self { options, ..self }
    }

    async fn open(&self) -> Arc<Open> {
        let mut open = self.open.lock().await;
        if let Some(open) = &*open {
            return open.clone();
        }
        let random = self.random.clone();
        let options = StoreOptions::new(Arc::new(move || random.hex128()), self.clock.now());
        let store = Store::open(&self.path, options)
            .await
            .expect("the file opens");
        let (clock, random) = (self.clock.clone(), self.random.clone());
        let engine = SyncEngine::new(store.clone(), self.remote.clone(), clock, random);
        open.insert(Arc::new(Open { store, engine })).clone()
    }
}

#[expect(clippy::disallowed_methods, reason = "the emulator's time is real")]
fn started() -> HurriedClock {
    HurriedClock(std::time::Instant::now())
}

/// Ids must differ between devices and runs: several runs may share an emulator.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

fn doc(collection: &str, id: &str) -> DocRef {
    DocRef::parse(collection, id).expect("a sound name")
}

fn error(code: &str, message: impl std::fmt::Display) -> Value {
    json!({ "error": { "code": code, "message": message.to_string() } })
}

fn answer(result: Result<Value, StoreError>) -> Value {
    result.unwrap_or_else(|e| error(e.code(), e))
}

fn op((kind, path, value): &Edit<'_>) -> PatchOp {
    let path = path.parse().expect("a sound path");
    let value = value.clone();
    match *kind {
        "set" => PatchOp::Set { path, value },
        "unset" => PatchOp::Unset { path },
        "inc" => match value {
            Value::Number(by) => PatchOp::Increment { path, by },
            other => panic!("{other} is no number"),
        },
        "add" => PatchOp::ArrayUnion {
            path,
            values: vec![value],
        },
        "remove" => PatchOp::ArrayRemove {
            path,
            values: vec![value],
        },
        other => panic!("unknown edit {other}"),
    }
}

impl Library {
    async fn try_put(&self, doc: DocRef, fields: Fields) -> Result<Value, StoreError> {
        let open = self.open().await;
        let at = open.engine.edit_time().await?;
        let shown = json!({ "collection": doc.collection, "id": doc.id });
        let written = open.store.put(doc, fields, at).await?;
        Ok(wrote(shown, written))
    }

    async fn try_patch(&self, doc: DocRef, ops: Vec<PatchOp>) -> Result<Value, StoreError> {
        let open = self.open().await;
        let at = open.engine.edit_time().await?;
        let shown = json!({ "collection": doc.collection, "id": doc.id });
        let written = open.store.patch(doc, None, ops, at).await?;
        Ok(wrote(shown, written))
    }
}

fn wrote(mut shown: Value, written: moonforge_store::Written) -> Value {
    shown["rev"] = written.rev.into();
    shown["dirty"] = written.dirty.into();
    shown
}

#[async_trait]
impl Person for Library {
    async fn put(&self, collection: &str, id: &str, document: Value) -> Value {
        let Value::Object(fields) = document else {
            return error("not_a_document", "a document is an object");
        };
        answer(self.try_put(doc(collection, id), fields).await)
    }

    async fn patch(&self, collection: &str, id: &str, edits: &[Edit<'_>]) -> Value {
        let ops = edits.iter().map(op).collect();
        answer(self.try_patch(doc(collection, id), ops).await)
    }

    async fn get(&self, collection: &str, id: &str) -> Value {
        let open = self.open().await;
        match open.store.get(&doc(collection, id)).await {
            Ok(Some(found)) if found.deleted.is_none() => found.to_json(),
            Ok(_) => error("not_found", "there is none"),
            Err(e) => error(e.code(), e),
        }
    }

    async fn ls(&self, collection: &str) -> Value {
        let open = self.open().await;
        let collection = Collection::new(collection).expect("a sound name");
        match open.store.list(&QuerySpec::all(collection)).await {
            Ok(page) => {
                let items: Vec<Value> = page.items.iter().map(|d| d.to_json()).collect();
                json!({ "items": items, "next": page.next })
            }
            Err(e) => error(e.code(), e),
        }
    }

    async fn rm(&self, collection: &str, id: &str) -> Value {
        let open = self.open().await;
        let at = open.engine.edit_time().await.expect("the store reads");
        let result = open.store.delete(doc(collection, id), at).await;
        answer(result.map(|n| json!({ "collection": collection, "id": id, "affected": n })))
    }

    async fn restore(&self, collection: &str, id: &str) -> Value {
        let open = self.open().await;
        let at = open.engine.edit_time().await.expect("the store reads");
        let result = open.store.restore(doc(collection, id), at).await;
        answer(result.map(|n| json!({ "collection": collection, "id": id, "affected": n })))
    }

    async fn sync(&self) -> Value {
        let open = self.open().await;
        match Box::pin(open.engine.sync_now(&self.options)).await {
            Ok(report) => serde_json::to_value(report).expect("a report is JSON"),
            Err(e) => error(e.code(), e),
        }
    }

    async fn outbox(&self) -> Value {
        let open = self.open().await;
        let rows = open.store.outbox().await.expect("the store reads");
        let item = |entry: &moonforge_store::OutboxEntry| {
            let row = &entry.row.row;
            let state = match (row.parked, row.sent) {
                (Some(_), _) => "parked",
                (None, true) => "sent",
                (None, false) => "pending",
            };
            json!({
                "seq": row.n, "collection": entry.doc.collection, "id": entry.doc.id,
                "operation": row.op.name(), "state": state, "attempts": entry.row.attempts,
                "error": row.parked.map(|reason| reason.code()),
            })
        };
        json!({ "items": rows.iter().map(item).collect::<Vec<_>>() })
    }

    async fn conflicts(&self) -> Value {
        let open = self.open().await;
        let entries = open.store.conflicts(false).await.expect("the store reads");
        let item = |entry: &moonforge_store::JournalEntry| {
            json!({
                "conflict_id": entry.conflict_id, "collection": entry.doc.collection,
                "id": entry.doc.id, "field": entry.conflict.field, "kept": entry.conflict.kept,
                "lost": entry.conflict.lost, "at": entry.at.to_string(),
            })
        };
        json!({ "items": entries.iter().map(item).collect::<Vec<_>>() })
    }

    async fn retry(&self) -> Value {
        let open = self.open().await;
        answer(
            open.store
                .retry(None)
                .await
                .map(|n| json!({ "retried": n })),
        )
    }

    async fn quit(&self) {
        if let Some(open) = self.open.lock().await.take() {
            open.store.close().await;
        }
    }
}
