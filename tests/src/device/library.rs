//! A person whose app uses the library, in this process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use moonforge::ports::Clock;
use moonforge::{
    Cadence, Endpoint, Error, Firestore, JournalEntry, Moonforge, OutboxEntry, PatchOp,
    ScopeChange, StoredDoc, SyncOptions, SystemClock, Timestamp, Written, fixed_token,
};
use moonforge_testkit::emulator::Project;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{Edit, Person};

/// The machine's clock, but waiting takes a tenth of its time.
#[derive(Default)]
pub struct HurriedClock(SystemClock);

#[async_trait]
impl Clock for HurriedClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    async fn sleep(&self, span: Duration) {
        self.0.sleep(span / 10).await;
    }
}

/// A person whose app uses the library.
pub struct Library {
    path: PathBuf,
    cloud: Firestore,
    clock: Arc<dyn Clock>,
    cadence: Cadence,
    options: SyncOptions,
    open: Mutex<Option<Moonforge>>,
}

impl Library {
    /// `uid`'s database at `path`, kept in step with the project through `proxy`.
    pub fn new(project: &Project, uid: &str, path: &Path, proxy: SocketAddr) -> Self {
        let token = fixed_token(project.user_token(uid).into());
        let place = Endpoint::Emulator(proxy.to_string());
        Self::on(path, Firestore::new(project.id(), token).endpoint(place))
    }

    /// The database at `path`, kept in step with this cloud.
    pub fn on(path: &Path, cloud: Firestore) -> Self {
        Self {
            path: path.to_owned(),
            cloud,
            clock: Arc::new(HurriedClock::default()),
            cadence: Cadence::default(),
            options: SyncOptions::default(),
            open: Mutex::default(),
        }
    }

    /// With these bounds for its runs.
    #[must_use]
    pub fn options(self, options: SyncOptions) -> Self {
        Self { options, ..self }
    }

    /// By this clock.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// At this pace in the background.
    #[must_use]
    pub fn cadence(self, cadence: Cadence) -> Self {
        Self { cadence, ..self }
    }

    /// The database, opened at the first call.
    ///
    /// # Panics
    /// When it doesn't open.
    pub async fn open(&self) -> Moonforge {
        let mut open = self.open.lock().await;
        if let Some(forge) = &*open {
            return forge.clone();
        }
        let forge = Moonforge::builder(&self.path)
            .cloud(self.cloud.clone())
            .clock(self.clock.clone())
            .cadence(self.cadence.clone())
            .open()
            .await
            .expect("the file opens");
        open.insert(forge).clone()
    }

    async fn try_put(&self, collection: &str, id: &str, document: Value) -> Result<Value, Error> {
        let documents = self.open().await.documents(collection)?;
        Ok(wrote(collection, id, documents.put(id, document).await?))
    }

    async fn try_patch(
        &self,
        collection: &str,
        id: &str,
        ops: Vec<PatchOp>,
    ) -> Result<Value, Error> {
        let documents = self.open().await.documents(collection)?;
        Ok(wrote(collection, id, documents.patch(id, None, ops).await?))
    }

    async fn try_get(&self, collection: &str, id: &str) -> Result<Option<StoredDoc>, Error> {
        self.open().await.documents(collection)?.get(id).await
    }

    async fn try_ls(&self, collection: &str) -> Result<Value, Error> {
        let documents = self.open().await.documents(collection)?;
        let page = documents.list(&documents.query()).await?;
        let items: Vec<Value> = page.items.iter().map(StoredDoc::to_json).collect();
        Ok(json!({ "items": items, "next": page.next }))
    }

    async fn try_rm(&self, collection: &str, id: &str) -> Result<Value, Error> {
        let affected = self.open().await.documents(collection)?.delete(id).await?;
        Ok(json!({ "collection": collection, "id": id, "affected": affected }))
    }

    async fn try_restore(&self, collection: &str, id: &str) -> Result<Value, Error> {
        let affected = self.open().await.documents(collection)?.restore(id).await?;
        Ok(json!({ "collection": collection, "id": id, "affected": affected }))
    }
}

fn error(code: &str, message: impl std::fmt::Display) -> Value {
    json!({ "error": { "code": code, "message": message.to_string() } })
}

fn answer(result: Result<Value, Error>) -> Value {
    result.unwrap_or_else(|e| error(e.code(), e))
}

fn let_go(change: ScopeChange) -> Value {
    json!({ "changed": change.changed, "removed": change.removed, "waiting": change.waiting })
}

fn wrote(collection: &str, id: &str, written: Written) -> Value {
    let Written { rev, dirty, .. } = written;
    json!({ "collection": collection, "id": id, "rev": rev, "dirty": dirty })
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

fn row(entry: &OutboxEntry) -> Value {
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
}

fn conflict(entry: &JournalEntry) -> Value {
    json!({
        "conflict_id": entry.conflict_id, "collection": entry.doc.collection, "id": entry.doc.id,
        "field": entry.conflict.field, "kept": entry.conflict.kept, "lost": entry.conflict.lost,
        "at": entry.at.to_string(),
    })
}

#[async_trait]
impl Person for Library {
    async fn put(&self, collection: &str, id: &str, document: Value) -> Value {
        answer(self.try_put(collection, id, document).await)
    }

    async fn patch(&self, collection: &str, id: &str, edits: &[Edit<'_>]) -> Value {
        let ops = edits.iter().map(op).collect();
        answer(self.try_patch(collection, id, ops).await)
    }

    async fn get(&self, collection: &str, id: &str) -> Value {
        match self.try_get(collection, id).await {
            Ok(Some(found)) => found.to_json(),
            Ok(None) => error("not_found", "there is none"),
            Err(e) => error(e.code(), e),
        }
    }

    async fn ls(&self, collection: &str) -> Value {
        answer(self.try_ls(collection).await)
    }

    async fn rm(&self, collection: &str, id: &str) -> Value {
        answer(self.try_rm(collection, id).await)
    }

    async fn restore(&self, collection: &str, id: &str) -> Value {
        answer(self.try_restore(collection, id).await)
    }

    async fn sync(&self) -> Value {
        let report = self.open().await.sync_with(&self.options).await;
        answer(report.map(|report| serde_json::to_value(report).expect("a report is JSON")))
    }

    async fn sync_scope(&self, scope: &str) -> Value {
        let options = SyncOptions {
            scope: Some(scope.parse().expect("a sound scope")),
            ..self.options.clone()
        };
        let report = self.open().await.sync_with(&options).await;
        answer(report.map(|report| serde_json::to_value(report).expect("a report is JSON")))
    }

    async fn join(&self, scope: &str) -> Value {
        let scope = scope.parse().expect("a sound scope");
        answer(self.open().await.join(&scope).await.map(let_go))
    }

    async fn leave(&self, scope: &str) -> Value {
        let scope = scope.parse().expect("a sound scope");
        answer(self.open().await.leave(&scope).await.map(let_go))
    }

    async fn outbox(&self) -> Value {
        let rows = self.open().await.outbox().list().await;
        answer(rows.map(|rows| json!({ "items": rows.iter().map(row).collect::<Vec<_>>() })))
    }

    async fn conflicts(&self) -> Value {
        let entries = self.open().await.conflicts().list().await;
        answer(
            entries.map(
                |entries| json!({ "items": entries.iter().map(conflict).collect::<Vec<_>>() }),
            ),
        )
    }

    async fn retry(&self) -> Value {
        let retried = self.open().await.outbox().retry(None).await;
        answer(retried.map(|retried| json!({ "retried": retried })))
    }

    async fn doctor(&self) -> Value {
        let findings = self.open().await.doctor().await;
        answer(findings.map(|findings| {
            let shown: Vec<Value> = findings
                .iter()
                .map(|f| json!({ "code": f.code, "message": f.message, "repaired": f.repaired }))
                .collect();
            json!({ "ok": shown.is_empty(), "findings": shown })
        }))
    }

    async fn backup(&self, path: &Path) -> Value {
        let bytes = self.open().await.backup(path).await;
        answer(bytes.map(|bytes| json!({ "path": path, "bytes": bytes })))
    }

    async fn quit(&self) {
        if let Some(forge) = self.open.lock().await.take() {
            forge.close().await;
        }
    }
}
