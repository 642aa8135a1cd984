//! Where a database stands: its one real path, and the files beside it.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::StoreError;

/// What SQLite keeps beside a database, and takes for its own when it opens one of that name.
const LOGS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Refuses what doesn't name an ordinary file, before anything is made.
pub(crate) fn ordinary(path: &Path) -> Result<(), StoreError> {
    let refused = |why: &str| StoreError::CannotOpen(format!("`{}` {why}", path.to_string_lossy()));
    let name = path.to_string_lossy();
    // SQLite would take these for something else than a file of that name.
    if name.is_empty() {
        return Err(refused("names no file"));
    }
    if name == ":memory:" {
        return Err(refused(
            "names no file; a database in memory has a call of its own",
        ));
    }
    if name.starts_with("file:") {
        return Err(refused("is a URI; give the file's path instead"));
    }
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Err(refused("is a folder")),
        Ok(meta) if !meta.is_file() => Err(refused("is no ordinary file")),
        _ => Ok(()),
    }
}

/// Makes the file where there is none, readable by its owner alone, and gives its one real path: the same through every link,
/// and wherever the process goes.
pub(crate) fn made(path: &Path) -> Result<PathBuf, StoreError> {
    ordinary(path)?;
    lockable(path)?;
    path.canonicalize().map_err(|e| cannot(path, &e))
}

/// The real path of a file that is yet to be made. A link in its place is not followed.
pub(crate) fn new_file(path: &Path) -> Result<PathBuf, StoreError> {
    ordinary(path)?;
    let refused = || StoreError::CannotOpen(format!("`{}` names no file", path.display()));
    let name = path.file_name().ok_or_else(refused)?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let folder = folder.canonicalize().map_err(|e| cannot(path, &e))?;
    Ok(folder.join(name))
}

/// What is in the way of a new database at `path`: something of that name, or the log of another database, which SQLite would
/// take for the new one's.
pub(crate) fn in_the_way(path: &Path) -> Option<StoreError> {
    let is_there = |path: &Path| path.symlink_metadata().is_ok();
    if is_there(path) {
        return Some(taken(path));
    }
    let log = LOGS.map(|suffix| beside(path, suffix));
    let log = log.iter().find(|log| is_there(log))?;
    Some(StoreError::CannotOpen(format!(
        "{} is left of another database and would spoil this one; move it away first",
        log.display()
    )))
}

pub(crate) fn taken(path: &Path) -> StoreError {
    StoreError::CannotOpen(format!("{} is there already", path.display()))
}

/// Takes the right to make or migrate the file at `path`, once whoever has it gives it back.
///
/// sqlx's own migration lock does nothing on SQLite.
pub(crate) async fn lock_for_opening(path: &Path, most: Duration) -> Result<File, StoreError> {
    let path = beside(path, ".lock");
    let file = lockable(&path)?;
    // Waiting blocks, so it has a thread of its own.
    tokio::task::spawn_blocking(move || wait_for(file, &path, most))
        .await
        .map_err(|e| StoreError::Sqlite(Box::new(e)))?
}

#[expect(
    clippy::disallowed_methods,
    reason = "as SQLite's own busy timeout: waits for another process, whatever clock the caller has"
)]
fn wait_for(file: File, path: &Path, most: Duration) -> Result<File, StoreError> {
    let (mut waited, mut pause) = (Duration::ZERO, Duration::from_millis(1));
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(e)) => return Err(cannot(path, &e)),
            Err(TryLockError::WouldBlock) if waited >= most => return Err(StoreError::Busy),
            Err(TryLockError::WouldBlock) => std::thread::sleep(pause),
        }
        waited += pause;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Opens a file to lock it, or makes it, readable by its owner alone.
pub(crate) fn lockable(path: &Path) -> Result<File, StoreError> {
    private(
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false),
    )
    .open(path)
    .map_err(|e| cannot(path, &e))
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

pub(crate) fn cannot(path: &Path, error: &std::io::Error) -> StoreError {
    match error.kind() {
        std::io::ErrorKind::StorageFull => StoreError::DiskFull,
        _ => StoreError::CannotOpen(format!("{}: {error}", path.display())),
    }
}

/// Removes a database's file and what SQLite keeps beside it, as far as they are there.
pub(crate) fn remove(path: &Path) {
    // What is to be removed is of no use, and that it can't be adds nothing to whatever brought it about.
    let _ = std::fs::remove_file(path);
    for suffix in LOGS {
        let _ = std::fs::remove_file(beside(path, suffix));
    }
}
