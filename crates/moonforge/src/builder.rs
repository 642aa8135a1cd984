//! Opening a database and wiring it to its cloud: the composition root.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use moonforge_model::{CollectionConfig, ConflictResolver, FieldPolicy, Registry};
use moonforge_ports::{Clock, Connectivity, Executor, Random, RandomExt};
use moonforge_store::{Durability, OutboxLimits, Store, StoreError, StoreOptions};
use moonforge_sync::{Cadence, SyncOptions};
use tracing::Instrument;

use crate::background::Background;
use crate::cloud::{Cloud, Embedded};
use crate::error::{Error, Kind};
use crate::forge::Moonforge;
use crate::system::{OsRandom, SystemClock};

/// The folder of the embedded cloud, beside the database, where no cloud is named.
const DEFAULT_CLOUD: &str = "moonforge-cloud";

/// How long a read waits for the cloud: as long as a person does.
const READ_DEADLINE: Duration = Duration::from_secs(10);

/// How a database is opened. Made by [`Moonforge::builder`].
#[derive(Clone)]
#[must_use = "nothing happens before `open`"]
pub struct Builder {
    /// `None`: in memory.
    path: Option<PathBuf>,
    existing: bool,
    cloud: Option<Cloud>,
    collections: Vec<CollectionConfig>,
    policies: Vec<(String, Option<String>, FieldPolicy)>,
    resolver: Option<Arc<dyn ConflictResolver>>,
    durability: Durability,
    outbox_limits: OutboxLimits,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    background: Background,
    read_deadline: Duration,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("path", &self.path)
            .field("cloud", &self.cloud)
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}

impl Builder {
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        Self {
            path,
            existing: false,
            cloud: None,
            collections: Vec::new(),
            policies: Vec::new(),
            resolver: None,
            durability: Durability::Full,
            outbox_limits: OutboxLimits::default(),
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(OsRandom),
            background: Background::default(),
            read_deadline: READ_DEADLINE,
        }
    }

    /// Which cloud to keep in step with. Without this call: an embedded one in the folder `moonforge-cloud` beside the
    /// database.
    pub fn cloud(mut self, cloud: impl Into<Cloud>) -> Self {
        self.cloud = Some(cloud.into());
        self
    }

    /// Opens a database that is there, and makes none: for whoever only looks, and could have mistyped the path.
    pub fn existing(mut self) -> Self {
        self.existing = true;
        self
    }

    /// Adds a collection of the app's own to the built-in ones, which are registered by the same call.
    pub fn register(mut self, collection: CollectionConfig) -> Self {
        self.collections.push(collection);
        self
    }

    /// How concurrent edits of the place at `path` are settled, in a built-in collection or one of the app's own: see
    /// [`CollectionConfig::with_policy`]. The same policies belong on all devices.
    pub fn policy(
        mut self,
        collection: impl Into<String>,
        path: impl Into<String>,
        policy: FieldPolicy,
    ) -> Self {
        self.policies
            .push((collection.into(), Some(path.into()), policy));
        self
    }

    /// How those of all fields of a collection are settled that have no policy of their own: see
    /// [`CollectionConfig::with_policy_for_all`].
    pub fn policy_for_all(mut self, collection: impl Into<String>, policy: FieldPolicy) -> Self {
        self.policies.push((collection.into(), None, policy));
        self
    }

    /// The app's own say in conflicts, before the policies.
    pub fn resolver(mut self, resolver: impl ConflictResolver + 'static) -> Self {
        self.resolver = Some(Arc::new(resolver));
        self
    }

    /// When a write counts as done; [`Durability::Full`] unless said otherwise.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How many edits and operations may wait in the outbox: 10,000 before the log and the status warn, 100,000 before more
    /// are refused as `outbox_full`, unless said otherwise. Nothing that waits is ever dropped.
    pub fn outbox_limits(mut self, limits: OutboxLimits) -> Self {
        self.outbox_limits = limits;
        self
    }

    /// Who carries out the operations of a name ([`Moonforge::enqueue`]), in the background and in explicit syncs. The last
    /// one of a name counts; operations that nobody is registered for wait.
    pub fn executor(mut self, name: impl Into<String>, executor: impl Executor) -> Self {
        let executors = &mut self.background.executors;
        executors.register(name, Arc::new(executor));
        self
    }

    /// What the operating system says about the network. Without this call the engine finds out by itself when the cloud
    /// can't be reached, and when it can be again.
    pub fn connectivity(mut self, connectivity: Arc<dyn Connectivity>) -> Self {
        self.background.connectivity = connectivity;
        self
    }

    /// How the background engine paces itself.
    pub fn cadence(mut self, cadence: Cadence) -> Self {
        self.background.cadence = cadence;
        self
    }

    /// The bounds of each run in the background.
    pub fn sync_options(mut self, options: SyncOptions) -> Self {
        self.background.options = options;
        self
    }

    /// How long a read that asks the cloud first waits for it ([`CachePolicy`](crate::CachePolicy)): 10 s unless said
    /// otherwise.
    pub fn read_deadline(mut self, span: Duration) -> Self {
        self.read_deadline = span;
        self
    }

    /// Another clock than the device's, for tests.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Another source of chance than the operating system's, for tests.
    pub fn random(mut self, random: Arc<dyn Random>) -> Self {
        self.random = random;
        self
    }

    /// Opens the database, which is made where there is none, and brings it to the newest format. The cloud isn't touched
    /// before the first sync.
    ///
    /// # Errors
    /// `no_database` where there is none and none is to be made ([`Builder::existing`]); `cannot_open`, `not_a_database`, `newer_version`, `busy`, `disk_full`, `corrupt`; `invalid_collection` for a
    /// registration that doesn't fit the others, `invalid_policy` and `unknown_collection` for a policy, `invalid_cloud` for a cloud whose name can't be.
    pub async fn open(self) -> Result<Moonforge, Error> {
        let span = tracing::info_span!("moonforge.open");
        Box::pin(self.open_inner()).instrument(span).await
    }

    async fn open_inner(self) -> Result<Moonforge, Error> {
        self.cloud.as_ref().map_or(Ok(()), Cloud::check)?;
        let mut registry = Registry::empty();
        for config in moonforge_model::builtin()
            .into_iter()
            .chain(self.collections)
        {
            registry.register(config)?;
        }
        for (collection, path, policy) in &self.policies {
            registry.state_policy(collection, path.as_deref(), *policy)?;
        }
        let ids = self.random.clone();
        let options = StoreOptions {
            registry: Arc::new(registry),
            durability: self.durability,
            outbox_limits: self.outbox_limits,
            resolver: self.resolver,
            ..StoreOptions::new(Arc::new(move || ids.hex128()), self.clock.now())
        };
        let (store, beside) = match &self.path {
            Some(path) => {
                check_path(path, self.existing)?;
                let dir = path.parent().unwrap_or(Path::new(""));
                let beside = Embedded::dir(dir.join(DEFAULT_CLOUD));
                (Store::open(path, options).await?, beside)
            }
            None => (Store::in_memory(options).await?, Embedded::in_memory()),
        };
        let cloud = self.cloud.unwrap_or_else(|| beside.into());
        Ok(Moonforge::new(
            store,
            cloud,
            self.clock,
            self.random,
            self.background,
            self.read_deadline,
        ))
    }
}

/// Refuses what is no path of a database, before anything is made there.
pub(crate) fn check_path(path: &Path, existing: bool) -> Result<(), Error> {
    let cannot = |why: String| Err(StoreError::CannotOpen(why).into());
    let shown = path.display();
    // SQLite would take these for something else than the file that is made under this name.
    let text = path.to_string_lossy();
    if text == ":memory:" || text.starts_with("file:") {
        return cannot(format!(
            "`{shown}` is one of SQLite's own names, not a path; `./{shown}` is a file"
        ));
    }
    match path.metadata() {
        Ok(found) if found.is_file() => Ok(()),
        Ok(found) if found.is_dir() => cannot(format!("{shown} is a folder")),
        Ok(_) => cannot(format!("{shown} is no regular file")),
        Err(error) if error.kind() != ErrorKind::NotFound => cannot(format!("{shown}: {error}")),
        Err(_) if existing => Err(Kind::NoDatabase(path.to_owned()).into()),
        Err(_) => Ok(()),
    }
}
