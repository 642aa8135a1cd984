//! Opening a file: one process at a time creates or migrates it, and every copy gets a name of its own.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use moonforge_model::{ConflictResolver, Registry, Timestamp};
use sqlx::Connection as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::sync::{Mutex, OwnedMutexGuard, broadcast, watch};

use crate::error::StoreError;
use crate::migrate::{self, MigrationReport};
use crate::place;
use crate::room::{Allowance, OutboxLimits};
use crate::table::Tables;
use crate::tx::TransactionProbe;

/// When a write counts as done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When it is on the disk: a power cut loses nothing acknowledged.
    #[default]
    Full,
    /// When the operating system has it: a power cut may lose the last moments, but never tears a write.
    Normal,
}

/// Makes random ids.
pub type IdSource = Arc<dyn Fn() -> String + Send + Sync>;

/// How to open a store.
#[derive(Clone)]
pub struct StoreOptions {
    /// The collections that it holds.
    pub registry: Arc<Registry>,
    /// When a write counts as done.
    pub durability: Durability,
    /// Where ids of rows, deletes and incarnations come from: 128 random bits as text.
    pub new_id: IdSource,
    /// The time of opening.
    pub now: Timestamp,
    /// How long to wait for another process that has the file, before the error is [`StoreError::Busy`].
    pub busy_timeout: Duration,
    /// The app's own say in conflicts, before the policies of the registry.
    pub resolver: Option<Arc<dyn ConflictResolver>>,
    /// How many rows may wait in the outbox.
    pub outbox_limits: OutboxLimits,
    /// Connections that read beside the one that writes; with none, reads wait for it. A connection costs a thread.
    pub readers: u32,
    /// Called around each write transaction; for tests.
    pub probe: Option<Arc<dyn TransactionProbe>>,
}

impl StoreOptions {
    /// The built-in collections, full durability.
    pub fn new(new_id: IdSource, now: Timestamp) -> Self {
        Self {
            registry: Arc::new(Registry::builtin()),
            durability: Durability::Full,
            new_id,
            now,
            busy_timeout: Duration::from_secs(10),
            resolver: None,
            outbox_limits: OutboxLimits::default(),
            readers: 4,
            probe: None,
        }
    }
}

pub(crate) struct Inner {
    pub(crate) writer: SqlitePool,
    pub(crate) readers: SqlitePool,
    pub(crate) tables: Tables,
    pub(crate) registry: Arc<Registry>,
    pub(crate) new_id: IdSource,
    pub(crate) changes: broadcast::Sender<crate::watch::Change>,
    /// Moves when the journal has become another.
    pub(crate) journaled: watch::Sender<()>,
    pub(crate) resolver: Option<Arc<dyn ConflictResolver>>,
    pub(crate) probe: Option<Arc<dyn TransactionProbe>>,
    pub(crate) path: Option<PathBuf>,
    pub(crate) room: Allowance,
    /// The right to sync a store in memory, which has no file to lock.
    syncing: Arc<Mutex<()>>,
    pub(crate) migrated: Option<MigrationReport>,
    /// SQLite's `data_version` on the writing connection, as last seen: moves with commits of others only.
    pub(crate) data_version: AtomicI64,
}

/// The local store: one SQLite file.
///
/// Cheap to clone; all clones share the connections. Several processes may have a file open at once.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.inner.path)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the file at `path`, which is made (0600) where there is none, and brings it to the newest format.
    ///
    /// A folder that doesn't exist isn't made: a wrong path should say so. A link is followed once, here: the store is the
    /// file's, wherever the process or the link goes later.
    pub async fn open(path: impl AsRef<Path>, options: StoreOptions) -> Result<Self, StoreError> {
        let path = place::made(path.as_ref())?;
        let lock = place::lock_for_opening(&path, options.busy_timeout).await?;
        let migrated = migrate::take_over(&path, &options).await?;
        let connect = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(false);
        let readers = options.readers;
        let store = Self::connect(connect, Some(path), readers, migrated, options).await;
        drop(lock);
        store
    }

    /// A store in memory, for tests: gone with its last clone.
    pub async fn in_memory(options: StoreOptions) -> Result<Self, StoreError> {
        let connect = SqliteConnectOptions::new().in_memory(true);
        Self::connect(connect, None, 0, None, options).await
    }

    async fn connect(
        connect: SqliteConnectOptions,
        path: Option<PathBuf>,
        readers: u32,
        migrated: Option<MigrationReport>,
        options: StoreOptions,
    ) -> Result<Self, StoreError> {
        let connect = connect
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(match options.durability {
                Durability::Full => SqliteSynchronous::Full,
                Durability::Normal => SqliteSynchronous::Normal,
            })
            .foreign_keys(true)
            .busy_timeout(options.busy_timeout);
        let in_memory = path.is_none();
        let writer = if in_memory {
            pool(1)
        } else {
            pool(1).before_acquire(|conn, _| {
                // Where SQLite rolled a transaction back by itself (the disk was full, a page is damaged), sqlx takes it for
                // one that still runs, and would begin no other. A database in memory is its connection, and has no disk.
                Box::pin(std::future::ready(Ok(!conn.is_in_transaction())))
            })
        };
        let writer = writer
            .connect_with(connect.clone())
            .await
            .map_err(StoreError::from)?;
        migrate::run(&writer).await?;
        let readers = match readers {
            0 => writer.clone(),
            n => {
                pool(n)
                    .connect_with(connect.pragma("query_only", "1"))
                    .await?
            }
        };
        let (changes, _) = broadcast::channel(256);
        let inner = Inner {
            writer,
            readers,
            tables: Tables::new(&options.registry),
            registry: options.registry,
            new_id: options.new_id,
            changes,
            journaled: watch::Sender::new(()),
            resolver: options.resolver,
            probe: options.probe,
            path,
            room: Allowance::new(options.outbox_limits),
            syncing: Arc::default(),
            migrated,
            data_version: AtomicI64::new(0),
        };
        let store = Self {
            inner: Arc::new(inner),
        };
        store.recount().await?;
        store.know_this_copy(options.now).await?;
        store.prune_journal(options.now).await?;
        store.poll_other_processes().await?;
        Ok(store)
    }

    /// Ends all connections; waits for writes under way.
    pub async fn close(&self) {
        self.inner.readers.close().await;
        self.inner.writer.close().await;
    }

    /// The file, unless the store is in memory.
    pub fn path(&self) -> Option<&Path> {
        self.inner.path.as_deref()
    }

    /// The registered collections.
    pub fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    /// Takes the right to sync this file, or says that another process has it. Given back when dropped.
    pub fn lock_for_sync(&self) -> Result<SyncLock, StoreError> {
        let held = match &self.inner.path {
            Some(path) => {
                let path = place::beside(path, ".sync.lock");
                let file = place::lockable(&path)?;
                match file.try_lock() {
                    Ok(()) => Held::File(file),
                    Err(TryLockError::WouldBlock) => return Err(StoreError::SyncBusy),
                    Err(TryLockError::Error(e)) => return Err(place::cannot(&path, &e)),
                }
            }
            None => {
                let lock = self.inner.syncing.clone().try_lock_owned();
                Held::InMemory(lock.map_err(|_| StoreError::SyncBusy)?)
            }
        };
        Ok(SyncLock { _held: held })
    }
}

/// The right to sync a file.
#[derive(Debug)]
pub struct SyncLock {
    _held: Held,
}

/// Both let go when they are dropped.
#[derive(Debug)]
#[expect(dead_code, reason = "held, never read")]
enum Held {
    File(File),
    InMemory(OwnedMutexGuard<()>),
}

fn pool(connections: u32) -> SqlitePoolOptions {
    // Connections stay: an in-memory database lives in its one, and prepared statements are kept.
    SqlitePoolOptions::new()
        .max_connections(connections)
        .min_connections(0)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .acquire_timeout(Duration::from_secs(60))
}
