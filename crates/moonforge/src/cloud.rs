//! Which cloud a database is kept in step with. Nothing is opened or sent before the first sync: writing needs no cloud.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use moonforge_embedded::{Embedded as Directory, OpenError};
use moonforge_firestore::{DEFAULT_DATABASE, Endpoint, FirestoreConfig, Timeouts};
use moonforge_ports::{
    Clock, Random, RemoteError, RemoteErrorKind, RemoteStore, StaticToken, TokenProvider,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OnceCell;

use crate::error::{Error, Kind};

/// Longer than any id of a project or database that Google gives.
const LONGEST_ID: usize = 128;

/// A token that never changes, for an emulator's user or a CI identity. A JSON Web Token names its user by `sub`; any other
/// token (an emulator's `owner`) is an administrator's.
pub fn fixed_token(token: SecretString) -> StaticToken {
    let uid = moonforge_firestore::subject(token.expose_secret());
    StaticToken::new(token, uid)
}

/// The embedded cloud: one directory, no server.
#[derive(Clone, Debug)]
pub struct Embedded {
    place: Place,
    uid: Option<String>,
}

#[derive(Clone, Debug)]
enum Place {
    Dir(PathBuf),
    /// Shared by all clones of the description.
    Memory(Arc<OnceCell<Directory>>),
}

impl Embedded {
    /// The cloud in the directory `path`, which the first sync makes where there is none. The folder above it has to be
    /// there, and for a database that was synced before the cloud too: else it is out of reach, as one on a disk that isn't
    /// plugged in.
    pub fn dir(path: impl Into<PathBuf>) -> Self {
        Self {
            place: Place::Dir(path.into()),
            uid: None,
        }
    }

    /// A cloud in memory, for tests: clones of this value are the same cloud, which goes with the last of them.
    pub fn in_memory() -> Self {
        Self {
            place: Place::Memory(Arc::default()),
            uid: None,
        }
    }

    /// Names who owns what is made. Nothing is kept from anyone.
    #[must_use]
    pub fn uid(mut self, uid: Option<String>) -> Self {
        self.uid = uid;
        self
    }

    async fn open(
        &self,
        clock: Arc<dyn Clock>,
        random: &dyn Random,
        make: bool,
    ) -> Result<Directory, OpenError> {
        let opened = match &self.place {
            Place::Dir(path) if make => Directory::open(path, clock, random).await?,
            Place::Dir(path) => Directory::open_existing(path, clock).await?,
            Place::Memory(shared) => {
                let open = || Directory::in_memory(clock, random);
                shared.get_or_try_init(open).await?.clone()
            }
        };
        Ok(opened.with_uid(self.uid.clone()))
    }
}

/// A Firestore database.
#[derive(Clone)]
pub struct Firestore {
    config: FirestoreConfig,
    tokens: Arc<dyn TokenProvider>,
}

impl Firestore {
    /// The default database of the project; or that project's on the emulator that `FIRESTORE_EMULATOR_HOST` names.
    pub fn new(project: impl Into<String>, tokens: impl TokenProvider) -> Self {
        Self {
            config: FirestoreConfig::new(project).endpoint(Endpoint::from_env()),
            tokens: Arc::new(tokens),
        }
    }

    /// Another database of the project.
    #[must_use]
    pub fn database(mut self, id: impl Into<String>) -> Self {
        self.config = self.config.database(id);
        self
    }

    /// Whether the names of project and database are such as Firestore gives. [`Builder::open`](crate::Builder::open) asks
    /// too; nothing is sent.
    ///
    /// # Errors
    /// `invalid_cloud`.
    pub fn check(&self) -> Result<(), Error> {
        let FirestoreConfig {
            project, database, ..
        } = &self.config;
        let named = |id: &str, others: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
            let begins = id.starts_with(|c: char| c.is_ascii_alphanumeric());
            begins && id.len() <= LONGEST_ID && id.chars().all(fits)
        };
        // A project of a domain is called `example.com:project`.
        if !named(project, "-_.:") {
            return Err(Kind::CloudName("project", project.clone()).into());
        }
        if database != DEFAULT_DATABASE && !named(database, "-_") {
            return Err(Kind::CloudName("database", database.clone()).into());
        }
        Ok(())
    }

    /// Another place than the environment says.
    #[must_use]
    pub fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.config = self.config.endpoint(endpoint);
        self
    }

    /// Other patience with each stage of a request.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.config = self.config.timeouts(timeouts);
        self
    }
}

impl fmt::Debug for Firestore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = &self.config;
        f.debug_struct("Firestore")
            .field("config", config)
            .finish_non_exhaustive()
    }
}

type Decorate = Arc<dyn Fn(Arc<dyn RemoteStore>) -> Arc<dyn RemoteStore> + Send + Sync>;

/// Where a database is kept in step with others: [`Firestore`], the [`Embedded`] cloud, or a remote store of your own.
#[derive(Clone)]
pub struct Cloud {
    remote: Remote,
    decorate: Option<Decorate>,
}

#[derive(Clone, Debug)]
enum Remote {
    Embedded(Embedded),
    Firestore(Firestore),
    Own(OwnRemote),
}

#[derive(Clone)]
struct OwnRemote(Arc<dyn RemoteStore>);

impl fmt::Debug for OwnRemote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name())
    }
}

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cloud").field(&self.remote).finish()
    }
}

impl Cloud {
    /// Puts something between the engine and the remote, such as a fault for a test.
    #[must_use]
    pub fn decorated(
        mut self,
        decorate: impl Fn(Arc<dyn RemoteStore>) -> Arc<dyn RemoteStore> + Send + Sync + 'static,
    ) -> Self {
        self.decorate = Some(match self.decorate.take() {
            Some(inner) => Arc::new(move |remote| decorate(inner(remote))),
            None => Arc::new(decorate),
        });
        self
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        match &self.remote {
            Remote::Firestore(firestore) => firestore.check(),
            Remote::Embedded(_) | Remote::Own(_) => Ok(()),
        }
    }

    /// Whom requests are made for, as far as this side can tell.
    pub fn uid(&self) -> Option<String> {
        match &self.remote {
            Remote::Embedded(embedded) => embedded.uid.clone(),
            Remote::Firestore(firestore) => firestore.tokens.identity().uid,
            Remote::Own(OwnRemote(remote)) => remote.uid(),
        }
    }

    /// Where the cloud is, if it is a folder: as it really is called, whatever way leads there.
    pub(crate) fn place(&self) -> Option<String> {
        match &self.remote {
            Remote::Embedded(Embedded {
                place: Place::Dir(path),
                ..
            }) => {
                let real = path.canonicalize().unwrap_or_else(|_| path.clone());
                Some(real.display().to_string())
            }
            _ => None,
        }
    }

    /// Makes the remote ready, which may `make` a new one; the inner error says that it can't be reached now, and may be
    /// later.
    pub(crate) async fn connect(
        &self,
        clock: Arc<dyn Clock>,
        random: &dyn Random,
        make: bool,
    ) -> Result<Result<Arc<dyn RemoteStore>, RemoteError>, Error> {
        let remote: Arc<dyn RemoteStore> = match &self.remote {
            Remote::Embedded(embedded) => match embedded.open(clock, random, make).await {
                Ok(cloud) => Arc::new(cloud),
                // A folder on a disk that isn't plugged in is a cloud that is offline.
                Err(
                    error @ (OpenError::Missing { .. }
                    | OpenError::Directory { .. }
                    | OpenError::Database { .. }),
                ) => {
                    let message = error.to_string();
                    let error = RemoteError::new(RemoteErrorKind::NeverSent, message);
                    return Ok(Err(error));
                }
                Err(error) => return Err(Kind::Embedded(error).into()),
            },
            Remote::Firestore(Firestore { config, tokens }) => {
                let made = moonforge_firestore::Firestore::new(config.clone(), tokens.clone());
                Arc::new(made.map_err(Kind::Remote)?)
            }
            Remote::Own(OwnRemote(remote)) => remote.clone(),
        };
        Ok(Ok(match &self.decorate {
            Some(decorate) => decorate(remote),
            None => remote,
        }))
    }
}

impl From<Remote> for Cloud {
    fn from(remote: Remote) -> Self {
        Self {
            remote,
            decorate: None,
        }
    }
}

impl From<Embedded> for Cloud {
    fn from(embedded: Embedded) -> Self {
        Remote::Embedded(embedded).into()
    }
}

impl From<Firestore> for Cloud {
    fn from(firestore: Firestore) -> Self {
        Remote::Firestore(firestore).into()
    }
}

impl From<Arc<dyn RemoteStore>> for Cloud {
    fn from(remote: Arc<dyn RemoteStore>) -> Self {
        Remote::Own(OwnRemote(remote)).into()
    }
}
