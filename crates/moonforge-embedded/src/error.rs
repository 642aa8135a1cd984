//! Why the embedded cloud can't be opened, and what SQLite's errors mean for a request.

use std::path::PathBuf;

use moonforge_ports::{RemoteError, RemoteErrorKind};

/// Why an embedded cloud can't be opened. Nothing that was stored was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The cloud isn't there, and neither is the folder that it would be made in; or it has to be there and isn't.
    #[error("there is no cloud in {path}; if it is on a stick or another computer, connect that")]
    Missing {
        /// The cloud's directory.
        path: PathBuf,
    },
    /// The directory, or a file in it, can't be made, read or written.
    #[error("the cloud's directory {path} can't be used: {source}")]
    Directory {
        /// What couldn't be used.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is a file of that name, and it is no embedded cloud.
    #[error("{path} is not a Moonforge cloud")]
    NotACloud {
        /// The file.
        path: PathBuf,
    },
    /// A newer version of Moonforge made it.
    #[error("{path} was made by a newer version of Moonforge (format {found})")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
    },
    /// SQLite failed.
    #[error("the cloud's database {path} can't be opened: {source}")]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// SQLite's primary result code of an error that has one.
pub(crate) fn sqlite_code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?.parse::<i32>().ok()?;
    // The low byte is the primary code, what is above it says more.
    Some(code & 0xff)
}

/// What a failed statement means for the request that it was part of. Its transaction was rolled back.
pub(crate) fn remote_error(error: sqlx::Error) -> RemoteError {
    use RemoteErrorKind::{Internal, NeverSent, ResourceExhausted, Unavailable};
    let (kind, what) = match (sqlite_code(&error), &error) {
        // BUSY and LOCKED; or all of this process's connections are in use.
        (Some(5 | 6), _) | (_, sqlx::Error::PoolTimedOut) => {
            (Unavailable, "the local cloud is busy")
        }
        (Some(13), _) => (ResourceExhausted, "the local cloud's disk is full"),
        // PERM, READONLY, CANTOPEN: nothing can have been applied.
        (Some(3 | 8 | 14), _) => (NeverSent, "the local cloud's directory can't be used"),
        (Some(11 | 26), _) => (Internal, "the local cloud's database is damaged"),
        _ => (Internal, "the local cloud failed"),
    };
    RemoteError::new(kind, format!("{what}: {error}")).with_source(error)
}

/// An error of this kind.
pub(crate) fn refuse(kind: RemoteErrorKind, message: impl Into<String>) -> RemoteError {
    RemoteError::new(kind, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::Connection;
    use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

    async fn kind_of(connection: &mut SqliteConnection, sql: &'static str) -> RemoteErrorKind {
        let error = sqlx::raw_sql(sql).execute(connection).await.unwrap_err();
        remote_error(error).kind
    }

    #[tokio::test]
    async fn sqlites_errors_say_whether_to_try_again() {
        let dir = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new()
            .filename(dir.path().join("a.db"))
            .create_if_missing(true)
            .busy_timeout(std::time::Duration::ZERO);
        let mut one = SqliteConnection::connect_with(&options).await.unwrap();
        let mut two = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql("CREATE TABLE t (x); BEGIN IMMEDIATE")
            .execute(&mut one)
            .await
            .unwrap();
        assert_eq!(
            kind_of(&mut two, "BEGIN IMMEDIATE").await,
            RemoteErrorKind::Unavailable
        );
        sqlx::raw_sql("ROLLBACK; PRAGMA max_page_count = 2")
            .execute(&mut one)
            .await
            .unwrap();
        let fill = "INSERT INTO t VALUES (zeroblob(100000))";
        assert_eq!(
            kind_of(&mut one, fill).await,
            RemoteErrorKind::ResourceExhausted
        );
        let mut reader = SqliteConnection::connect_with(&options.read_only(true))
            .await
            .unwrap();
        assert_eq!(
            kind_of(&mut reader, "DELETE FROM t").await,
            RemoteErrorKind::NeverSent
        );
        assert_eq!(
            kind_of(&mut one, "SELECT nonsense").await,
            RemoteErrorKind::Internal
        );
    }
}
