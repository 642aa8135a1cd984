//! One test's world: a project of its own under our rules, and devices in it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use moonforge::SyncOptions;
use moonforge_model::builtin;
use moonforge_testkit::emulator::{Caller, Emulator, Project};
use moonforge_testkit::proxy::FaultProxy;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Asides, CommandLine, Device, Library, Person};

/// How people use their devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In this process.
    Library,
    /// A process a call.
    CommandLine,
}

/// What happens to commits beside what a scenario does to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Nothing.
    Calm,
    /// In each sync a further edit is made while the first commit is under way.
    EditsInFlight,
    /// In each sync the answer to the first commit is lost.
    LostAnswers,
}

/// A project of its own under our rules, and devices in it.
pub struct World {
    /// The project.
    pub project: Project,
    /// How the devices are used.
    pub form: Form,
    weather: Weather,
    dir: TempDir,
    asides: Asides,
}

impl World {
    /// None where there is no emulator.
    pub async fn new(name: &str, form: Form, weather: Weather) -> Option<Self> {
        let project = Emulator::shared()?.project(name);
        project.load_our_rules().await;
        let dir = tempfile::tempdir().expect("a temporary folder");
        Some(Self {
            project,
            form,
            weather,
            dir,
            asides: Asides::default(),
        })
    }

    /// A new device of `uid`.
    pub async fn device(&self, uid: &str, name: &str) -> Device {
        self.device_on(uid, &self.file(name)).await
    }

    /// A database file's place in this world.
    pub fn file(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(format!("{name}.db"))
    }

    /// A device of `uid` on this file.
    pub async fn device_on(&self, uid: &str, path: &Path) -> Device {
        let proxy = Arc::new(FaultProxy::start(self.project.host()).await);
        let person = self.person(self.form, uid, path, &proxy);
        Device::new(
            uid,
            path.to_owned(),
            proxy,
            person,
            self.weather,
            self.asides.clone(),
        )
    }

    /// A device that is used through the library whatever the form is, with these options.
    pub async fn library(&self, uid: &str, name: &str, options: SyncOptions) -> Device {
        let proxy = Arc::new(FaultProxy::start(self.project.host()).await);
        let path = self.file(name);
        let library = Library::new(&self.project, uid, &path, proxy.addr()).options(options);
        Device::new(
            uid,
            path,
            proxy,
            Arc::new(library),
            self.weather,
            self.asides.clone(),
        )
    }

    /// A new device of `uid` that is used in a way of its own: `person` is told the file and the proxy's address.
    pub async fn device_with<P: Person + 'static>(
        &self,
        uid: &str,
        name: &str,
        person: impl FnOnce(&Path, SocketAddr) -> P,
    ) -> (Device, Arc<P>) {
        let proxy = Arc::new(FaultProxy::start(self.project.host()).await);
        let path = self.file(name);
        let person = Arc::new(person(&path, proxy.addr()));
        let used = person.clone();
        let asides = self.asides.clone();
        let device = Device::new(uid, path, proxy, used, self.weather, asides);
        (device, person)
    }

    fn person(&self, form: Form, uid: &str, path: &Path, proxy: &FaultProxy) -> Arc<dyn Person> {
        match form {
            Form::Library => Arc::new(Library::new(&self.project, uid, path, proxy.addr())),
            Form::CommandLine => Arc::new(CommandLine::new(&self.project, uid, path, proxy.addr())),
        }
    }

    /// An operator's console, or another client: plain HTTP that no rule binds.
    pub fn console(&self) -> Caller {
        self.project.owner()
    }

    /// A document at the server as plain JSON; None where nothing is.
    pub async fn remote(&self, path: &str) -> Option<Value> {
        self.console().read(path).await
    }

    /// A console's write of single top-level fields, with or without the server's time. Null deletes a field.
    pub async fn console_edit(&self, path: &str, changes: Value, timed: bool) {
        let changes = changes.as_object().expect("an object").clone();
        let mask: Vec<String> = changes.keys().cloned().collect();
        let present = changes.into_iter().filter(|(_, value)| !value.is_null());
        let fields = moonforge_testkit::emulator::fields(&Value::Object(present.collect()));
        let mut write = json!({
            "update": { "name": self.project.name(path), "fields": fields },
            "updateMask": { "fieldPaths": mask },
        });
        if timed {
            write["updateTransforms"] =
                json!([{ "fieldPath": "updatedAt", "setToServerValue": "REQUEST_TIME" }]);
        }
        self.console_commit(&[write]).await;
    }

    /// A console's commit of these writes, in Firestore's own form.
    pub async fn console_commit(&self, writes: &[Value]) {
        let answer = self.console().commit(writes).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// Syncs these devices until nothing moves, then checks that they are at rest: nothing waits, the doctor finds
    /// nothing, another sync writes nothing, each shows what a new device of the same account shows, no edit made in flight was lost, and the weather
    /// did come to pass.
    pub async fn settle(&self, devices: &[&Device]) {
        self.sync_until_quiet(devices).await;
        for device in devices {
            let outbox = device.outbox().await;
            assert!(outbox.is_empty(), "{} still has {outbox:?}", device.uid);
            let health = device.person.doctor().await;
            assert_eq!(health["ok"], true, "{}: {health}", device.uid);
        }
        self.agree(devices).await;
        let struck = devices.iter().any(|device| device.weather_struck());
        assert!(struck, "no commit of any device met {:?}", self.weather);
    }

    /// Syncs these devices in turn until nothing moves at any of them.
    pub async fn sync_until_quiet(&self, devices: &[&Device]) {
        let mut quiet = 0;
        for device in devices.iter().cycle().take(devices.len() * 6) {
            let report = device.sync_well().await;
            let moved = ["pushed", "pulled", "merged"]
                .iter()
                .any(|key| report[*key] != 0);
            quiet = if moved { 0 } else { quiet + 1 };
            if quiet == devices.len() {
                return;
            }
        }
        panic!("the devices don't come to rest");
    }

    /// Compares what the devices show with what a new device of the same account does.
    pub async fn agree(&self, devices: &[&Device]) {
        let mut witnesses: BTreeMap<&str, BTreeMap<String, Vec<Value>>> = BTreeMap::new();
        for device in devices {
            if !witnesses.contains_key(device.uid.as_str()) {
                let seen = self.as_new(&device.uid).await;
                witnesses.insert(&device.uid, seen);
            }
            let seen = &witnesses[device.uid.as_str()];
            for (collection, expected) in seen {
                let shown = device.ls(collection).await;
                assert_eq!(
                    &shown, expected,
                    "{collection} at a device of {}",
                    device.uid
                );
            }
        }
        let mut asides: BTreeMap<(String, String), u64> = BTreeMap::new();
        for aside in self.asides.lock().expect("no panic while held").clone() {
            *asides.entry(aside).or_default() += 1;
        }
        for ((collection, id), count) in asides {
            let path = format!("{collection}/{id}");
            let remote = self.remote(&path).await.unwrap_or_default();
            assert_eq!(
                remote["asides"], count,
                "edits in flight of {path}: {remote}"
            );
        }
    }

    /// What a new device of `uid` shows after its first sync.
    async fn as_new(&self, uid: &str) -> BTreeMap<String, Vec<Value>> {
        let proxy = Arc::new(FaultProxy::start(self.project.host()).await);
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("new.db");
        let person = self.person(Form::Library, uid, &path, &proxy);
        let device = Device::new(uid, path, proxy, person, Weather::Calm, Asides::default());
        device.sync_well().await;
        let mut shown = BTreeMap::new();
        for config in builtin() {
            let name = config.name.to_string();
            let documents = device.ls(&name).await;
            shown.insert(name, documents);
        }
        device.person.quit().await;
        shown
    }
}
