//! Making and opening the directory and its database.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use moonforge_ports::{Random, RandomExt};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous};

use crate::error::{OpenError, sqlite_code};

/// "MfCl": says in the file's header whose it is.
const APPLICATION_ID: i64 = 0x4d66_436c;
const FORMAT: i64 = 1;
/// The database's name in its directory.
const DATABASE: &str = "cloud.db";
/// How long a statement waits for another process's transaction.
const BUSY: Duration = Duration::from_secs(20);

/// The connections to one cloud.
#[derive(Clone, Debug)]
pub(crate) struct Pools {
    /// One connection, whose commits are on the disk before they are acknowledged.
    pub(crate) writer: SqlitePool,
    /// For reads. What these write, the time of a read, may be lost with the power.
    pub(crate) readers: SqlitePool,
    /// The random id that was given to this cloud when it was made.
    pub(crate) id: String,
}

/// The cloud in `dir`. `random` gives a new one its id; without it none is made.
pub(crate) async fn directory(dir: &Path, random: Option<&dyn Random>) -> Result<Pools, OpenError> {
    let (path, make) = (dir.to_owned(), random.is_some());
    let files = tokio::task::spawn_blocking(move || match make {
        true => make_and_lock(&path),
        false => lock_existing(&path),
    })
    .await;
    let (lock, path) = files.map_err(|stopped| OpenError::Directory {
        path: dir.to_owned(),
        source: io::Error::other(stopped),
    })??;
    // Every process that opens the cloud does so under this lock, so one makes the tables and the others find them.
    let base = SqliteConnectOptions::new()
        .filename(&path)
        .busy_timeout(BUSY);
    let opened = pools(base, random)
        .await
        .map_err(|error| explain(&path, error));
    drop(lock);
    opened
}

pub(crate) async fn in_memory(random: &dyn Random) -> Result<Pools, OpenError> {
    let base = SqliteConnectOptions::new().in_memory(true);
    // The database lives as long as its one connection.
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(base)
        .await;
    let opened = async {
        let pool = pool?;
        let id = prepare(&pool, Some(random)).await?;
        Ok(Pools {
            writer: pool.clone(),
            readers: pool,
            id,
        })
    };
    opened
        .await
        .map_err(|error| explain(Path::new(":memory:"), error))
}

/// Makes the directory and its files, for their owner's eyes only, and waits for the lock.
fn make_and_lock(dir: &Path) -> Result<(File, PathBuf), OpenError> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(dir) {
        Ok(()) => {}
        // Whatever is there: what can't hold files says so at the first of them.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing(dir)),
        Err(error) => return Err(unusable(dir)(error)),
    }
    let lock = lock(dir)?;
    let path = dir.join(DATABASE);
    private_file(&path).map_err(unusable(&path))?;
    Ok((lock, path))
}

/// Waits for the lock of a cloud that is there; touches nothing else.
fn lock_existing(dir: &Path) -> Result<(File, PathBuf), OpenError> {
    let path = dir.join(DATABASE);
    match path.try_exists() {
        Ok(true) => Ok((lock(dir)?, path)),
        Ok(false) => Err(missing(dir)),
        Err(error) => Err(unusable(&path)(error)),
    }
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("cloud.lock");
    let lock = private_file(&path).map_err(unusable(&path))?;
    lock.lock().map_err(unusable(&path))?;
    Ok(lock)
}

fn unusable(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::Directory { path, source }
}

fn missing(dir: &Path) -> OpenError {
    OpenError::Missing {
        path: dir.to_owned(),
    }
}

fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

enum Failure {
    Sqlx(sqlx::Error),
    Foreign,
    Newer(i64),
    /// There are no tables, and none are to be made.
    Empty,
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sqlx(error)
    }
}

async fn pools(base: SqliteConnectOptions, random: Option<&dyn Random>) -> Result<Pools, Failure> {
    let full = base.clone().synchronous(SqliteSynchronous::Full);
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(full)
        .await?;
    let id = prepare(&writer, random).await?;
    let normal = base.synchronous(SqliteSynchronous::Normal);
    let readers = SqlitePoolOptions::new()
        .max_connections(4)
        .connect_lazy_with(normal);
    Ok(Pools {
        writer,
        readers,
        id,
    })
}

/// Checks whose file it is before anything is written to it, and makes the tables of a new one.
async fn prepare(pool: &SqlitePool, random: Option<&dyn Random>) -> Result<String, Failure> {
    let mut connection = pool.acquire().await?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut *connection)
        .await?;
    if tables == 0 {
        let Some(random) = random else {
            return Err(Failure::Empty);
        };
        sqlx::raw_sql("PRAGMA journal_mode = WAL")
            .execute(&mut *connection)
            .await?;
        let mut tx = sqlx::Connection::begin_with(&mut *connection, "BEGIN IMMEDIATE").await?;
        sqlx::raw_sql(include_str!("schema.sql"))
            .execute(&mut *tx)
            .await?;
        sqlx::query("INSERT INTO cloud (key, id, last_time) VALUES (1, ?, 0)")
            .bind(random.hex128())
            .execute(&mut *tx)
            .await?;
        // PRAGMA takes no parameters: APPLICATION_ID and FORMAT in figures.
        sqlx::raw_sql("PRAGMA application_id = 1298547564; PRAGMA user_version = 1")
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
    }
    let application: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *connection)
        .await?;
    let format: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *connection)
        .await?;
    if application != APPLICATION_ID {
        return Err(Failure::Foreign);
    }
    if format > FORMAT {
        return Err(Failure::Newer(format));
    }
    Ok(sqlx::query_scalar("SELECT id FROM cloud")
        .fetch_one(&mut *connection)
        .await?)
}

fn explain(path: &Path, failure: Failure) -> OpenError {
    let (path, dir) = (path.to_owned(), path.parent());
    match failure {
        Failure::Empty => missing(dir.unwrap_or(&path)),
        Failure::Foreign => OpenError::NotACloud { path },
        Failure::Newer(found) => OpenError::Newer { path, found },
        // NOTADB: there is something else in the file.
        Failure::Sqlx(error) if sqlite_code(&error) == Some(26) => OpenError::NotACloud { path },
        Failure::Sqlx(error) => OpenError::Database {
            path,
            source: Box::new(error),
        },
    }
}
