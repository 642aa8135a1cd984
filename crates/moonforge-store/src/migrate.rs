//! Which format a file has, and how it comes to the newest.
//!
//! A file of the first app is copied first, then taken over in one transaction on a connection that leaves its journal mode
//! alone: when anything fails, the very same bytes are there as before.

use std::path::{Path, PathBuf};

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{AssertSqlSafe, Connection as _};

use crate::aside::Aside;
use crate::backup::{copy_file, plain};
use crate::error::StoreError;
use crate::open::{Store, StoreOptions};
use crate::place::{beside, in_the_way, ordinary};

/// Marks the file as Moonforge's ("Moon").
const APPLICATION_ID: i64 = 0x4d6f_6f6e;
/// The format's version. Additive migrations don't change it.
const USER_VERSION: i64 = 2;

pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// What a migration of a file to the newest format came to, or would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationReport {
    /// The format that the file had.
    pub from: i64,
    /// The newest format; equal to `from` where there was nothing to do.
    pub to: i64,
    /// The copy of the old file, unless none was made.
    pub backup: Option<PathBuf>,
    /// Documents carried over.
    pub documents: u64,
    /// Documents with edits on their way, those whose edit the first app had not queued included.
    pub dirty: u64,
    /// Rows of the outbox.
    pub outbox: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// Nothing in it yet.
    Fresh,
    /// The first app's.
    V1,
    /// Ours, from version 2 on.
    Ours,
}

impl Store {
    /// What opening this store did to bring the file from an older format; `None` where it had the newest.
    pub fn migrated(&self) -> Option<&MigrationReport> {
        self.inner.migrated.as_ref()
    }

    /// What opening the file would do, without doing it.
    pub async fn plan_migration(path: impl AsRef<Path>) -> Result<MigrationReport, StoreError> {
        let path = path.as_ref();
        ordinary(path)?;
        if !path.is_file() {
            return Err(StoreError::CannotOpen(format!(
                "there is no file {}",
                path.display()
            )));
        }
        let mut conn = plain(path).await?;
        let format = format_of(&mut conn).await?;
        let from = if format == Format::V1 {
            1
        } else {
            USER_VERSION
        };
        let report = match format {
            Format::Fresh => report(from, (0, 0, 0)),
            Format::V1 => {
                let aside = Aside::plan(&mut conn).await?;
                report(from, count_v1(&mut conn, &aside.nameless).await?)
            }
            Format::Ours => {
                let mut documents = 0;
                for table in tables_with_documents(&mut conn).await? {
                    let sql = format!("SELECT count(*) FROM {table} WHERE deleted_at IS NULL");
                    let n: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
                        .fetch_one(&mut conn)
                        .await?;
                    documents += n;
                }
                let (dirty, outbox) = count_v2(&mut conn).await?;
                report(from, (documents, dirty, outbox))
            }
        };
        conn.close().await?;
        Ok(report)
    }
}

/// Looks at the file before anything of it is changed, and carries over a file of the first app. Refuses others.
pub(crate) async fn take_over(
    path: &Path,
    options: &StoreOptions,
) -> Result<Option<MigrationReport>, StoreError> {
    let mut conn = plain(path).await?;
    let migrated = match format_of(&mut conn).await? {
        Format::Fresh | Format::Ours => None,
        Format::V1 => {
            let backup = free_name(path)?;
            copy_file(path, backup.clone(), (options.new_id)()).await?;
            match from_v1(&mut conn).await {
                Ok(report) => Some(MigrationReport {
                    backup: Some(backup),
                    ..report
                }),
                Err(error) => {
                    // The file is as it was; each further try would leave another copy of it.
                    let _ = std::fs::remove_file(&backup);
                    return Err(error);
                }
            }
        }
    };
    conn.close().await?;
    Ok(migrated)
}

/// Brings a file that is empty or ours to the newest schema.
pub(crate) async fn run(writer: &SqlitePool) -> Result<(), StoreError> {
    let mut conn = writer.acquire().await?;
    if format_of(&mut conn).await? == Format::Fresh {
        // First, so that a file is known as ours even when the rest is cut short.
        set_pragma(&mut conn, "application_id", APPLICATION_ID).await?;
    }
    drop(conn);
    MIGRATIONS.run(writer).await.map_err(|error| match error {
        MigrateError::VersionMissing(_) => StoreError::NewerVersion,
        MigrateError::VersionMismatch(n) => {
            StoreError::corrupt(format!("migration {n} is not the one that made this file"))
        }
        MigrateError::Execute(e) | MigrateError::ExecuteMigration(e, _) => e.into(),
        other => StoreError::Sqlite(Box::new(other)),
    })?;
    let mut conn = writer.acquire().await?;
    if pragma(&mut conn, "user_version").await? != USER_VERSION {
        set_pragma(&mut conn, "user_version", USER_VERSION).await?;
    }
    Ok(())
}

async fn format_of(conn: &mut SqliteConnection) -> Result<Format, StoreError> {
    let application_id = pragma(conn, "application_id").await?;
    let user_version = pragma(conn, "user_version").await?;
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table'")
            .fetch_all(&mut *conn)
            .await?;
    let has = |name: &str| tables.iter().any(|t| t == name);
    let tracked = has("_sqlx_migrations");
    match application_id {
        APPLICATION_ID if user_version > USER_VERSION => Err(StoreError::NewerVersion),
        APPLICATION_ID if tracked => Ok(Format::Ours),
        APPLICATION_ID | 0 if tables.is_empty() && user_version == 0 => Ok(Format::Fresh),
        0 if user_version == 1 && !tracked && has("campaigns") && has("outbox_ops") => {
            Ok(Format::V1)
        }
        _ => Err(StoreError::NotADatabase(
            "it holds another application's tables".into(),
        )),
    }
}

async fn from_v1(conn: &mut SqliteConnection) -> Result<MigrationReport, StoreError> {
    let mut tx = conn.begin_with("BEGIN EXCLUSIVE").await?;
    let aside = Aside::plan(&mut tx).await?;
    let expected = count_v1(&mut tx, &aside.nameless).await?;
    let dangled = dangling(&mut tx).await?;
    aside.carry_out(&mut tx).await?;
    // sqlx's own list, as it would have made it; its schema counts as the first migration, applied.
    sqlx::query(
        "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL,
             installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL,
             checksum BLOB NOT NULL, execution_time BIGINT NOT NULL)",
    )
    .execute(&mut *tx)
    .await?;
    for migration in MIGRATIONS.iter().filter(|m| m.version <= USER_VERSION) {
        if migration.version > 1 {
            sqlx::raw_sql(migration.sql.clone())
                .execute(&mut *tx)
                .await
                .map_err(cannot_carry)?;
        }
        sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (?1, ?2, TRUE, ?3, 0)",
        )
        .bind(migration.version)
        .bind(&*migration.description)
        .bind(&*migration.checksum)
        .execute(&mut *tx)
        .await?;
    }
    aside.note(&mut tx).await?;
    set_pragma(&mut tx, "application_id", APPLICATION_ID).await?;
    set_pragma(&mut tx, "user_version", USER_VERSION).await?;
    let documents: i64 = sqlx::query_scalar("SELECT count(*) FROM campaigns")
        .fetch_one(&mut *tx)
        .await?;
    let (dirty, outbox) = count_v2(&mut tx).await?;
    if (documents, dirty, outbox) != expected {
        return Err(StoreError::corrupt(format!(
            "of {expected:?} documents, dirty ones and operations, {:?} would be carried over",
            (documents, dirty, outbox)
        )));
    }
    let damage: Option<String> = sqlx::query_scalar("PRAGMA integrity_check(1)")
        .fetch_optional(&mut *tx)
        .await?;
    if let Some(damage) = damage.filter(|d| d != "ok") {
        return Err(StoreError::corrupt(damage));
    }
    if dangled.is_some() && dangling(&mut tx).await? != dangled {
        return Err(StoreError::corrupt("a reference would lead to nothing"));
    }
    tx.commit().await?;
    Ok(report(1, expected))
}

/// How many references lead to nothing; the first app didn't enforce them. `None` where SQLite can't tell, because one is to
/// what is no key.
async fn dangling(conn: &mut SqliteConnection) -> Result<Option<usize>, StoreError> {
    match sqlx::query("PRAGMA foreign_key_check")
        .fetch_all(conn)
        .await
    {
        Ok(rows) => Ok(Some(rows.len())),
        Err(sqlx::Error::Database(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Campaigns, dirty documents and operations, as they will be: what the first app marked and did not queue is queued; the
/// campaigns `without` stay where they are.
async fn count_v1(
    conn: &mut SqliteConnection,
    without: &[i64],
) -> Result<(i64, i64, i64), StoreError> {
    let without = serde_json::to_string(without).map_err(StoreError::corrupt)?;
    Ok(sqlx::query_as(
        "WITH carried AS (
             SELECT firebase_id FROM campaigns WHERE id NOT IN (SELECT value FROM json_each(?1))),
         half_written AS (
             SELECT firebase_id FROM carried
             WHERE firebase_id IN (
                 SELECT doc_id FROM campaign_local_metas WHERE collection = 'campaigns' AND dirty = 1)
             AND firebase_id NOT IN (SELECT doc_id FROM outbox_ops WHERE collection = 'campaigns'))
         SELECT (SELECT count(*) FROM carried),
                (SELECT count(*) FROM half_written)
                    + (SELECT count(*) FROM (SELECT DISTINCT collection, doc_id FROM outbox_ops)),
                (SELECT count(*) FROM half_written) + (SELECT count(*) FROM outbox_ops)",
    )
    .bind(without)
    .fetch_one(conn)
    .await?)
}

/// What SQLite says of a statement that the file's content stands against.
fn cannot_carry(error: sqlx::Error) -> StoreError {
    match StoreError::from(error) {
        StoreError::Sqlite(e) => {
            StoreError::CannotOpen(format!("it can't be brought to this version: {e}"))
        }
        other => other,
    }
}

async fn count_v2(conn: &mut SqliteConnection) -> Result<(i64, i64), StoreError> {
    Ok(sqlx::query_as(
        "SELECT (SELECT count(*) FROM local_metas WHERE dirty = 1), (SELECT count(*) FROM outbox_ops)",
    )
    .fetch_one(conn)
    .await?)
}

async fn tables_with_documents(conn: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar(
        "SELECT s.name FROM sqlite_schema s WHERE s.type = 'table' AND s.name NOT LIKE '%\"%'
         AND (SELECT count(*) FROM pragma_table_xinfo(s.name) WHERE name IN ('body', 'deleted_at')) = 2",
    )
    .fetch_all(conn)
    .await?)
}

fn report(from: i64, (documents, dirty, outbox): (i64, i64, i64)) -> MigrationReport {
    MigrationReport {
        from,
        to: USER_VERSION,
        backup: None,
        documents: documents.unsigned_abs(),
        dirty: dirty.unsigned_abs(),
        outbox: outbox.unsigned_abs(),
    }
}

/// `NAME.v1-backup.db`, or with a number: a copy that is there already is never replaced.
fn free_name(path: &Path) -> Result<PathBuf, StoreError> {
    let numbered = (2..1000).map(|n| format!(".v1-backup-{n}.db"));
    std::iter::once(".v1-backup.db".to_owned())
        .chain(numbered)
        .map(|suffix| beside(path, &suffix))
        .find(|name| in_the_way(name).is_none())
        .ok_or_else(|| StoreError::CannotOpen("there are too many backups beside the file".into()))
}

async fn pragma(conn: &mut SqliteConnection, name: &'static str) -> Result<i64, StoreError> {
    let sql = AssertSqlSafe(format!("PRAGMA {name}"));
    Ok(sqlx::query_scalar(sql).fetch_one(conn).await?)
}

async fn set_pragma(
    conn: &mut SqliteConnection,
    name: &'static str,
    value: i64,
) -> Result<(), StoreError> {
    sqlx::query(AssertSqlSafe(format!("PRAGMA {name} = {value}")))
        .execute(conn)
        .await?;
    Ok(())
}
