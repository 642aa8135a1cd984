//! Copies of a file, whole and checked.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::error::StoreError;
use crate::open::Store;
use crate::place::{cannot, in_the_way, new_file, private, remove, taken};

impl Store {
    /// Copies the file, as it is at one moment, to `path`, and says how many bytes it has. Reading and writing go on.
    ///
    /// The copy is written beside its place, checked, readable by its owner alone, and appears whole or not at all; a file
    /// that is there already is refused, and so is a place beside which another database's `-wal`, `-shm` or `-journal` was
    /// left. A call that nobody waits for to the end leaves nothing. A copy is a device of its own: opened, it begins a new
    /// incarnation, and what was queued before stays under the old one, so that edits that the original sent meanwhile count
    /// once.
    pub async fn backup(&self, path: impl AsRef<Path>) -> Result<u64, StoreError> {
        let target = new_file(path.as_ref())?;
        let tag = (self.inner.new_id)();
        match self.path() {
            Some(own) => copy_file(own, target, tag).await,
            None => {
                let store = self.clone();
                awaited(move |wanted| {
                    Box::pin(async move {
                        let mut source = store.inner.writer.acquire().await?;
                        copy_into(&mut source, &target, &tag, wanted).await
                    })
                })
                .await
            }
        }
    }
}

/// Copies a database file to one that must not exist yet. `tag` tells copies under way apart.
pub(crate) async fn copy_file(
    path: &Path,
    target: PathBuf,
    tag: String,
) -> Result<u64, StoreError> {
    let path = path.to_owned();
    awaited(move |wanted| {
        Box::pin(async move {
            let mut source = plain(&path).await?;
            let bytes = copy_into(&mut source, &target, &tag, wanted).await;
            source.close().await?;
            bytes
        })
    })
    .await
}

/// A connection that changes nothing of the file by being opened, not even its journal mode.
pub(crate) async fn plain(path: &Path) -> Result<SqliteConnection, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .foreign_keys(false)
        .busy_timeout(Duration::from_secs(10));
    Ok(options.connect().await?)
}

/// Whether somebody still waits for the copy.
type Wanted = Box<dyn Fn() -> bool + Send>;

/// Copies in a task of its own: SQLite's thread goes on writing when its caller stops waiting, and then somebody must clean up.
async fn awaited<F>(copy: F) -> Result<u64, StoreError>
where
    F: FnOnce(Wanted) -> BoxFuture<'static, Result<u64, StoreError>>,
{
    // Lives as long as this future.
    let waiting = Arc::new(());
    let watched = Arc::downgrade(&waiting);
    let done = tokio::spawn(copy(Box::new(move || watched.strong_count() > 0))).await;
    drop(waiting);
    match done {
        Ok(result) => result,
        Err(join) if join.is_panic() => std::panic::resume_unwind(join.into_panic()),
        Err(_) => Err(StoreError::Interrupted),
    }
}

async fn copy_into(
    source: &mut SqliteConnection,
    target: &Path,
    tag: &str,
    wanted: Wanted,
) -> Result<u64, StoreError> {
    if let Some(error) = in_the_way(target) {
        return Err(error);
    }
    let part = Part::create(target, tag)?;
    copy_and_check(source, &part.path).await?;
    if !wanted() {
        return Err(StoreError::Interrupted);
    }
    let target = target.to_owned();
    // A disk takes its time.
    tokio::task::spawn_blocking(move || {
        part.publish(&target, |part, to| std::fs::hard_link(part, to))
    })
    .await
    .map_err(|e| StoreError::Sqlite(Box::new(e)))?
}

/// A copy under way, beside its place. Removed when dropped.
struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    fn create(target: &Path, tag: &str) -> Result<Self, StoreError> {
        // Not the target's name with an addition, which may be too long.
        let path = target.with_file_name(format!(".moonforge-{tag}.part"));
        // SQLite fills an empty file as well as none, and this one is nobody else's and only its owner can read it.
        let file = private(OpenOptions::new().write(true).create_new(true))
            .open(&path)
            .map_err(|e| cannot(&path, &e))?;
        Ok(Self { path, file })
    }

    /// Brings the copy to its place, unless something is there by now. Says how many bytes it has.
    fn publish(
        self,
        target: &Path,
        link: impl FnOnce(&Path, &Path) -> std::io::Result<()>,
    ) -> Result<u64, StoreError> {
        let failed = |e: std::io::Error| match e.kind() {
            ErrorKind::AlreadyExists => taken(target),
            _ => cannot(target, &e),
        };
        self.file.sync_all().map_err(failed)?;
        let bytes = self.file.metadata().map_err(failed)?.len();
        if let Some(error) = in_the_way(target) {
            return Err(error);
        }
        // A link is made where nothing is; a rename would replace what came meanwhile. Some file systems have no links.
        match link(&self.path, target) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => std::fs::rename(&self.path, target),
            linked => linked,
        }
        .map_err(failed)?;
        drop(self);
        sync_folder(target).map_err(failed)?;
        Ok(bytes)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

async fn copy_and_check(source: &mut SqliteConnection, part: &Path) -> Result<(), StoreError> {
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
    Ok(())
}

async fn objects(conn: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
    Ok(
        sqlx::query_scalar("SELECT name FROM sqlite_schema ORDER BY name")
            .fetch_all(conn)
            .await?,
    )
}

/// A new name is on the disk once its folder is.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(target: &Path) -> Part {
        let mut part = Part::create(target, "7").unwrap();
        std::io::Write::write_all(&mut part.file, b"a copy").unwrap();
        part
    }

    fn no_links(_: &Path, _: &Path) -> std::io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    #[test]
    fn where_there_are_no_links_a_copy_is_renamed() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("copy.db");
        assert_eq!(part(&target).publish(&target, no_links).unwrap(), 6);
        assert_eq!(std::fs::read(&target).unwrap(), b"a copy");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_came_meanwhile_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("copy.db");
        let late = |part: &Path, to: &Path| {
            std::fs::write(to, "a letter")?;
            std::fs::hard_link(part, to)
        };
        let refused = part(&target).publish(&target, late).unwrap_err();
        assert_eq!(refused.code(), "cannot_open");
        assert_eq!(std::fs::read(&target).unwrap(), b"a letter");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
