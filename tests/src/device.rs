//! Devices for whole-system tests: each is a database file behind a fault proxy of its own, and a person who uses it,
//! through the library or through the command line. Both speak the command line's JSON forms, so that a scenario is
//! written once.

mod command_line;
mod library;
mod world;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use moonforge_testkit::proxy::{Fault, FaultProxy, Matcher, Seen};
use serde_json::{Value, json};

pub use command_line::{CommandLine, Running};
pub use library::{HurriedClock, Library};
pub use world::{Form, Weather, World};

/// One edit of one path: `("set", "title", json!("Ash"))`, `("inc", "props.gold", json!(1))`, `unset`, `add`, `remove`.
pub type Edit<'a> = (&'a str, &'a str, Value);

/// Somebody at a device. Answers have the forms of `moonforge … --json`, `{"error": {"code", "message"}}` included.
#[async_trait]
pub trait Person: Send + Sync {
    /// `put COLLECTION JSON --id ID`
    async fn put(&self, collection: &str, id: &str, document: Value) -> Value;
    /// `patch COLLECTION ID …`
    async fn patch(&self, collection: &str, id: &str, edits: &[Edit<'_>]) -> Value;
    /// `get COLLECTION ID`
    async fn get(&self, collection: &str, id: &str) -> Value;
    /// `ls COLLECTION`, all of it
    async fn ls(&self, collection: &str) -> Value;
    /// `rm COLLECTION ID`
    async fn rm(&self, collection: &str, id: &str) -> Value;
    /// `restore COLLECTION ID`
    async fn restore(&self, collection: &str, id: &str) -> Value;
    /// `sync`
    async fn sync(&self) -> Value;
    /// `sync --scope SCOPE`
    async fn sync_scope(&self, scope: &str) -> Value;
    /// `scopes join SCOPE`
    async fn join(&self, scope: &str) -> Value;
    /// `scopes leave SCOPE`
    async fn leave(&self, scope: &str) -> Value;
    /// `outbox ls`
    async fn outbox(&self) -> Value;
    /// `conflicts ls`
    async fn conflicts(&self) -> Value;
    /// `outbox retry`
    async fn retry(&self) -> Value;
    /// `doctor`
    async fn doctor(&self) -> Value;
    /// `backup PATH`
    async fn backup(&self, path: &Path) -> Value;
    /// Ends the process, so that the file can be copied; the next call opens it again.
    async fn quit(&self);
}

/// Edits made in flight, by all devices of a world: the documents, each as often as it was edited.
pub(crate) type Asides = Arc<std::sync::Mutex<Vec<(String, String)>>>;

/// A device: calls that are to succeed, and its network.
#[derive(Clone)]
pub struct Device {
    /// Whose account it is signed in to.
    pub uid: String,
    /// Between this device and the emulator.
    pub proxy: Arc<FaultProxy>,
    /// Who uses it, for calls that may fail.
    pub person: Arc<dyn Person>,
    path: PathBuf,
    weather: Weather,
    /// How many commits had come by when the weather was last made for one.
    made_at: Arc<AtomicUsize>,
    asides: Asides,
}

fn done(what: &str, answer: Value) -> Value {
    assert!(answer.get("error").is_none(), "{what}: {answer}");
    answer
}

fn items(answer: &Value) -> Vec<Value> {
    answer["items"].as_array().expect("a list").clone()
}

impl Device {
    pub(crate) fn new(
        uid: &str,
        path: PathBuf,
        proxy: Arc<FaultProxy>,
        person: Arc<dyn Person>,
        weather: Weather,
        asides: Asides,
    ) -> Self {
        Self {
            uid: uid.to_owned(),
            proxy,
            person,
            path,
            weather,
            made_at: Arc::new(AtomicUsize::new(usize::MAX)),
            asides,
        }
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Brings these fields into a document.
    pub async fn put(&self, collection: &str, id: &str, document: Value) {
        let answer = self.person.put(collection, id, document).await;
        done("put", answer);
    }

    /// Edits single fields.
    pub async fn patch(&self, collection: &str, id: &str, edits: &[Edit<'_>]) {
        let answer = self.person.patch(collection, id, edits).await;
        done("patch", answer);
    }

    /// The document; None where there is none or it is deleted.
    pub async fn get(&self, collection: &str, id: &str) -> Option<Value> {
        let answer = self.person.get(collection, id).await;
        match answer.get("error") {
            None if answer.get("deletedAt").is_some_and(|at| !at.is_null()) => None,
            None => Some(answer),
            Some(error) if error["code"] == "not_found" || error["code"] == "deleted" => None,
            Some(_) => panic!("get: {answer}"),
        }
    }

    /// What stands at a JSON pointer (`/props/gold`) of a document that is there; null where nothing does.
    pub async fn value(&self, collection: &str, id: &str, pointer: &str) -> Value {
        let document = self.get(collection, id).await;
        let document = document.unwrap_or_else(|| panic!("no {collection}/{id} at {}", self.uid));
        document.pointer(pointer).cloned().unwrap_or_default()
    }

    /// All live documents of a collection, by id.
    pub async fn ls(&self, collection: &str) -> Vec<Value> {
        items(&done("ls", self.person.ls(collection).await))
    }

    /// Their ids.
    pub async fn ids(&self, collection: &str) -> Vec<String> {
        let id = |document: &Value| document["id"].as_str().expect("an id").to_owned();
        self.ls(collection).await.iter().map(id).collect()
    }

    /// Deletes; says how many documents.
    pub async fn rm(&self, collection: &str, id: &str) -> u64 {
        let answer = done("rm", self.person.rm(collection, id).await);
        answer["affected"].as_u64().expect("a number")
    }

    /// Restores; says how many documents.
    pub async fn restore(&self, collection: &str, id: &str) -> u64 {
        let answer = done("restore", self.person.restore(collection, id).await);
        answer["affected"].as_u64().expect("a number")
    }

    /// What waits.
    pub async fn outbox(&self) -> Vec<Value> {
        items(&done("outbox", self.person.outbox().await))
    }

    /// The journal, newest first.
    pub async fn conflicts(&self) -> Vec<Value> {
        items(&done("conflicts", self.person.conflicts().await))
    }

    /// Lets everything that is parked go out again; says how many edits.
    pub async fn retry(&self) -> u64 {
        let answer = done("retry", self.person.retry().await);
        answer["retried"].as_u64().expect("a number")
    }

    /// Makes a copy of the database, as a device of its own.
    pub async fn backup(&self, path: &Path) {
        let answer = done("backup", self.person.backup(path).await);
        assert!(answer["bytes"].as_u64() > Some(0), "{answer}");
    }

    /// Syncs in the weather of this test.
    pub async fn sync(&self) -> Value {
        self.make_weather();
        done("sync", self.person.sync().await)
    }

    /// Syncs, and reached the cloud.
    pub async fn sync_well(&self) -> Value {
        let report = self.sync().await;
        let stopped = report.get("stopped").is_some_and(|why| !why.is_null());
        assert!(report["offline"] == false && !stopped, "{report}");
        report
    }

    /// Fetches one scope, and reached the cloud.
    pub async fn sync_scope(&self, scope: &str) -> Value {
        let report = done("sync", self.person.sync_scope(scope).await);
        let stopped = report.get("stopped").is_some_and(|why| !why.is_null());
        assert!(report["offline"] == false && !stopped, "{report}");
        report
    }

    /// Holds a scope; says how many documents went.
    pub async fn join(&self, scope: &str) -> u64 {
        let answer = done("join", self.person.join(scope).await);
        answer["removed"].as_u64().expect("a number")
    }

    /// Holds a scope no longer; says how many documents went.
    pub async fn leave(&self, scope: &str) -> u64 {
        let answer = done("leave", self.person.leave(scope).await);
        answer["removed"].as_u64().expect("a number")
    }

    /// No request comes through any more.
    pub fn go_offline(&self) {
        self.proxy.fail(Matcher::any().always(), Fault::Drop);
    }

    /// They do again, and all other faults are gone.
    pub fn go_online(&self) {
        self.proxy.heal();
        self.made_at.store(usize::MAX, Ordering::Relaxed);
    }

    /// Whether what the weather does to commits happened to one of this device's.
    pub fn weather_struck(&self) -> bool {
        match self.weather {
            Weather::Calm => true,
            Weather::EditsInFlight => !self.asides.lock().expect("no panic while held").is_empty(),
            Weather::LostAnswers => {
                let lost = |seen: &Seen| seen.upstream.is_some() && seen.told.is_none();
                self.proxy
                    .seen()
                    .iter()
                    .any(|s| s.path.ends_with(":commit") && lost(s))
            }
        }
    }

    /// Prepares what befalls the next commit, unless the last preparation still waits for one.
    fn make_weather(&self) {
        if self.weather == Weather::Calm {
            return;
        }
        let commits = self.proxy.count(":commit");
        if self.made_at.swap(commits, Ordering::Relaxed) == commits {
            return;
        }
        if self.weather == Weather::LostAnswers {
            self.proxy.fail(Matcher::path(":commit"), Fault::LoseAnswer);
        } else {
            let device = self.clone();
            self.proxy
                .before_forward(Matcher::path(":commit"), async move {
                    device.edit_in_flight().await;
                });
        }
    }

    /// One more edit on a document whose write is on its way.
    async fn edit_in_flight(&self) {
        let sent = self
            .outbox()
            .await
            .into_iter()
            .find(|row| row["state"] == "sent");
        let Some(row) = sent else { return };
        let text = |name: &str| row[name].as_str().expect("a text").to_owned();
        let (collection, id) = (text("collection"), text("id"));
        let edit = [("inc", "asides", json!(1))];
        let answer = self.person.patch(&collection, &id, &edit).await;
        match answer.get("error") {
            None => self
                .asides
                .lock()
                .expect("no panic while held")
                .push((collection, id)),
            Some(error) => assert_eq!(error["code"], "deleted", "{answer}"),
        }
    }
}
