//! Copies of a file, whole and checked.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::error::StoreError;
use crate::open::{Store, beside, private};

impl Store {
    /// Copies the file, as it is at one moment, to `path`, and says how many bytes it has. Reading and writing go on.
    ///
    /// The copy is written beside its place, checked, readable by its owner alone, and appears whole or not at all; a file
    /// that is there already is refused. A copy is a device of its own: opened, it begins a new incarnation, and what was
    /// queued before stays under the old one, so that edits that the original sent meanwhile count once.
    pub async fn backup(&self, path: impl AsRef<Path>) -> Result<u64, StoreError> {
        let target = path.as_ref();
        match self.path() {
            Some(own) => {
                let mut source = plain(own).await?;
                let bytes = copy_into(&mut source, target).await;
                source.close().await?;
                bytes
            }
            None => {
                let mut source = self.inner.writer.acquire().await?;
                copy_into(&mut source, target).await
            }
        }
    }
}

/// A connection that changes nothing of the file by being opened, not even its journal mode.
pub(crate) async fn plain(path: &Path) -> Result<SqliteConnection, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .busy_timeout(Duration::from_secs(10));
    Ok(options.connect().await?)
}

/// Copies a database to a file that must not exist yet.
pub(crate) async fn copy_into(
    source: &mut SqliteConnection,
    target: &Path,
) -> Result<u64, StoreError> {
    let taken = || StoreError::CannotOpen(format!("{} is there already", target.display()));
    if target.exists() {
        return Err(taken());
    }
    let part = beside(target, ".part");
    let copied = copy_and_check(source, &part).await.and_then(|bytes| {
        if target.exists() {
            return Err(taken());
        }
        std::fs::rename(&part, target).map_err(|e| cannot(target, &e))?;
        sync_folder(target).map_err(|e| cannot(target, &e))?;
        Ok(bytes)
    });
    if copied.is_err() {
        // What is left of a failed copy is of no use; that it can't be removed adds nothing to the error.
        let _ = std::fs::remove_file(&part);
    }
    copied
}

async fn copy_and_check(source: &mut SqliteConnection, part: &Path) -> Result<u64, StoreError> {
    let name = part
        .to_str()
        .ok_or_else(|| StoreError::CannotOpen(format!("{} is not UTF-8", part.display())))?;
    // A connection in memory would open a bare name in memory too; a URI says where it is meant.
    let escaped = name
        .replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23");
    let in_memory: bool = sqlx::query_scalar(
        "SELECT coalesce(file, '') = '' FROM pragma_database_list WHERE seq = 0",
    )
    .fetch_one(&mut *source)
    .await?;
    let name = if in_memory {
        format!("file:{escaped}?mode=rwc")
    } else {
        name.to_owned()
    };
    // SQLite fills an empty file as well as none, and this one only its owner can read.
    let file = private(OpenOptions::new().write(true).create(true).truncate(true))
        .open(part)
        .map_err(|e| cannot(part, &e))?;
    sqlx::query("VACUUM INTO ?1")
        .bind(name)
        .execute(&mut *source)
        .await?;
    let mut copy = plain(part).await?;
    let found: String = sqlx::query_scalar("PRAGMA integrity_check(1)")
        .fetch_one(&mut copy)
        .await?;
    if found != "ok" {
        return Err(StoreError::corrupt(format!("the copy is damaged: {found}")));
    }
    if objects(&mut copy).await? != objects(source).await? {
        return Err(StoreError::corrupt("the copy is not whole"));
    }
    let ours: bool = sqlx::query_scalar(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'identity'",
    )
    .fetch_one(&mut copy)
    .await?;
    if ours {
        // The copy doesn't know which file it is, so it can't take itself for the original, wherever it is put.
        sqlx::query("DELETE FROM identity WHERE key = 'file'")
            .execute(&mut copy)
            .await?;
    }
    copy.close().await?;
    file.sync_all().map_err(|e| cannot(part, &e))?;
    let bytes = file.metadata().map_err(|e| cannot(part, &e))?.len();
    Ok(bytes)
}

async fn objects(conn: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
    Ok(
        sqlx::query_scalar("SELECT name FROM sqlite_schema ORDER BY name")
            .fetch_all(conn)
            .await?,
    )
}

/// A rename is on the disk once its folder is.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
        File::open(folder.map_or(PathBuf::from("."), Path::to_owned))?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

fn cannot(path: &Path, error: &std::io::Error) -> StoreError {
    match error.kind() {
        std::io::ErrorKind::StorageFull => StoreError::DiskFull,
        _ => StoreError::CannotOpen(format!("{}: {error}", path.display())),
    }
}
