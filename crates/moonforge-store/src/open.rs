//! Opening a file: one process at a time creates or migrates it, and every copy gets a name of its own.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use moonforge_model::{Registry, Timestamp};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::sync::broadcast;

use crate::error::StoreError;
use crate::migrate::{self, MigrationReport};
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
    pub(crate) probe: Option<Arc<dyn TransactionProbe>>,
    pub(crate) path: Option<PathBuf>,
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
    /// A folder that doesn't exist isn't made: a wrong path should say so.
    pub async fn open(path: impl AsRef<Path>, options: StoreOptions) -> Result<Self, StoreError> {
        let path = path.as_ref().to_owned();
        let lock_path = beside(&path, ".lock");
        let cannot = |e: std::io::Error| StoreError::CannotOpen(format!("{}: {e}", path.display()));
        if path.is_dir() {
            return Err(StoreError::CannotOpen(format!(
                "{} is a folder",
                path.display()
            )));
        }
        private(
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false),
        )
        .open(&path)
        .map_err(cannot)?;
        let lock = private(OpenOptions::new().write(true).create(true).truncate(false))
            .open(&lock_path)
            .map_err(cannot)?;
        // sqlx's own migration lock does nothing on SQLite. Waiting for a lock blocks, so it has a thread of its own.
        let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock))
            .await
            .map_err(|e| StoreError::Sqlite(Box::new(e)))?
            .map_err(cannot)?;
        let migrated = migrate::take_over(&path).await?;
        let connect = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(false);
        let store = Self::connect(connect, Some(path), 4, migrated, options).await;
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
            .busy_timeout(Duration::from_secs(10));
        let writer = pool(1)
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
            probe: options.probe,
            path,
            migrated,
            data_version: AtomicI64::new(0),
        };
        let store = Self {
            inner: Arc::new(inner),
        };
        store.know_this_copy(options.now).await?;
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
        let Some(path) = &self.inner.path else {
            return Ok(SyncLock { _file: None });
        };
        let file = private(OpenOptions::new().write(true).create(true).truncate(false))
            .open(beside(path, ".sync.lock"))
            .map_err(|e| StoreError::CannotOpen(e.to_string()))?;
        match file.try_lock() {
            Ok(()) => Ok(SyncLock { _file: Some(file) }),
            Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::SyncBusy),
            Err(std::fs::TryLockError::Error(e)) => Err(StoreError::CannotOpen(e.to_string())),
        }
    }
}

/// The right to sync a file.
#[derive(Debug)]
pub struct SyncLock {
    _file: Option<File>,
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

pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}
