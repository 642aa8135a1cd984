//! What else stands in a file of the first app, and how it is kept.
//!
//! Version 2 has new tables called `campaigns` and `outbox_ops`. Where somebody built on the old ones (columns of his own,
//! references, views, triggers), they stay as `campaigns_v1` and `outbox_ops_v1` with all that refers to them, and plain
//! copies of what version 1 wrote are carried over in their place. Tables and indexes whose names version 2 takes are renamed
//! likewise; what can't be renamed is refused by name. All of it happens in the transaction of the migration, with foreign
//! keys unenforced, so that nothing cascades.

use std::collections::HashSet;

use futures_util::TryStreamExt as _;
use moonforge_model::DocId;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _};

use crate::error::StoreError;
use crate::migrate::MIGRATIONS;

/// Tables of version 1 that version 2 replaces: their columns, and how they are read where a column was made without NOT NULL.
const REPLACED: [(&str, &[&str], &str); 2] = [
    (
        "campaigns",
        &[
            "id",
            "firebase_id",
            "name",
            "description",
            "rev",
            "created_at",
            "updated_at",
        ],
        "id, firebase_id, coalesce(name, ''), description, coalesce(rev, 1), coalesce(created_at, ''),
         coalesce(updated_at, '')",
    ),
    (
        "outbox_ops",
        &[
            "id",
            "collection",
            "doc_id",
            "operation",
            "payload",
            "created_at",
            "attempts",
        ],
        "id, collection, doc_id, operation, coalesce(payload, 'null'), coalesce(created_at, ''), coalesce(attempts, 0)",
    ),
];
/// Tables of version 1 that may stand in version 2's place until they are carried over, or stay.
const V1_TABLES: [&str; 3] = ["campaigns", "outbox_ops", "campaign_local_metas"];
/// Names that the migration takes for a while.
const TAKEN_MEANWHILE: [&str; 3] = ["carried_campaigns", "carried_outbox_ops", "carried_numbers"];

/// What is to be put aside.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    /// Tables and their new names.
    tables: Vec<(String, String)>,
    /// Indexes and their new names.
    indexes: Vec<(String, String)>,
    /// Version 1's tables that stay, and their new names.
    kept: Vec<(&'static str, String)>,
    /// Campaigns whose ids no document can have, by row number. They stay in the old table.
    pub(crate) nameless: Vec<i64>,
}

impl Aside {
    /// Looks at a file of the first app. Changes nothing.
    pub(crate) async fn plan(conn: &mut SqliteConnection) -> Result<Self, StoreError> {
        let ours = our_names().await?;
        let there: Vec<(String, String, String)> =
            sqlx::query_as("SELECT type, name, coalesce(sql, '') FROM sqlite_schema")
                .fetch_all(&mut *conn)
                .await?;
        let mut names: HashSet<String> = there.iter().map(|t| t.1.to_lowercase()).collect();
        names.extend(ours.iter().cloned());
        let mut aside = Self {
            nameless: nameless(conn).await?,
            ..Self::default()
        };
        for (kind, name, _) in &there {
            if V1_TABLES.contains(&&**name) || !ours.contains(&name.to_lowercase()) {
                continue;
            }
            match kind.as_str() {
                "table" => aside.tables.push((name.clone(), free(name, &mut names))),
                "index" => aside.indexes.push((name.clone(), free(name, &mut names))),
                // Triggers have names of their own.
                "trigger" => {}
                _ => {
                    return Err(StoreError::CannotOpen(format!(
                        "its {kind} `{name}` has the name of a table that Moonforge needs; rename or drop it first"
                    )));
                }
            }
        }
        for (table, columns, _) in REPLACED {
            let extra: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_xinfo(?1)")
                .bind(table)
                .fetch_all(&mut *conn)
                .await?;
            let built_on = extra.iter().any(|c| !columns.contains(&c.as_str()))
                || there.iter().any(|(kind, name, sql)| {
                    kind != "index" && name != table && sql.to_lowercase().contains(table)
                })
                || table == "campaigns" && !aside.nameless.is_empty();
            if built_on {
                aside.kept.push((table, free(table, &mut names)));
            }
        }
        Ok(aside)
    }

    /// Puts aside what was planned.
    pub(crate) async fn carry_out(&self, conn: &mut SqliteConnection) -> Result<(), StoreError> {
        for (name, new) in &self.tables {
            rename(conn, name, new).await?;
        }
        for (table, new) in &self.kept {
            rename(conn, table, new).await?;
            let (_, columns, read) = REPLACED
                .iter()
                .find(|r| r.0 == *table)
                .expect("only these are kept");
            run(conn, plain_table(table)).await?;
            let sql = format!(
                "INSERT INTO {table} ({}) SELECT {read} FROM {} WHERE ?2 OR id NOT IN (SELECT value FROM json_each(?1))",
                columns.join(", "),
                quoted(new)
            );
            sqlx::query(AssertSqlSafe(sql))
                .bind(serde_json::to_string(&self.nameless).map_err(StoreError::corrupt)?)
                .bind(*table != "campaigns")
                .execute(&mut *conn)
                .await?;
            // Numbers go on from where they were.
            sqlx::query(
                "UPDATE sqlite_sequence SET seq = coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?2), seq)
                 WHERE name = ?1",
            )
            .bind(*table)
            .bind(new)
            .execute(&mut *conn)
            .await?;
            sqlx::query(
                "INSERT INTO sqlite_sequence (name, seq)
                 SELECT ?1, seq FROM sqlite_sequence WHERE name = ?2
                 AND NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?1)",
            )
            .bind(*table)
            .bind(new)
            .execute(&mut *conn)
            .await?;
        }
        for (name, new) in &self.indexes {
            let sql: Option<String> = sqlx::query_scalar(
                "SELECT sql FROM sqlite_schema WHERE type = 'index' AND name = ?1",
            )
            .bind(name)
            .fetch_optional(&mut *conn)
            .await?;
            let Some(again) = sql.as_deref().and_then(|sql| renamed_index(sql, new)) else {
                return Err(StoreError::CannotOpen(format!(
                    "its index `{name}` has the name of one that Moonforge needs; drop it first"
                )));
            };
            run(conn, format!("DROP INDEX {}", quoted(name))).await?;
            run(conn, again).await?;
        }
        Ok(())
    }

    /// Notes in the migrated file what stayed in the old table, for `doctor` to name.
    pub(crate) async fn note(&self, conn: &mut SqliteConnection) -> Result<(), StoreError> {
        let Some((_, kept)) = self.kept.iter().find(|k| k.0 == "campaigns") else {
            return Ok(());
        };
        if !self.nameless.is_empty() {
            let count = self.nameless.len();
            sqlx::query("INSERT INTO identity (key, value) VALUES ('left_behind:' || ?1, ?2)")
                .bind(kept)
                .bind(format!(
                    "{count} campaigns of the first app have ids that no document can have; they are kept in the table `{kept}`"
                ))
                .execute(conn)
                .await?;
        }
        Ok(())
    }
}

/// Names that version 2 and the way there take, in lower case.
async fn our_names() -> Result<HashSet<String>, StoreError> {
    let mut conn = SqliteConnectOptions::new()
        .in_memory(true)
        .connect()
        .await?;
    for migration in MIGRATIONS.iter() {
        sqlx::raw_sql(migration.sql.clone())
            .execute(&mut conn)
            .await?;
    }
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT lower(name) FROM sqlite_schema WHERE type <> 'trigger' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )
    .fetch_all(&mut conn)
    .await?;
    let meanwhile = TAKEN_MEANWHILE.map(str::to_owned);
    Ok(names.into_iter().chain(meanwhile).collect())
}

async fn nameless(conn: &mut SqliteConnection) -> Result<Vec<i64>, StoreError> {
    let mut rows = sqlx::query_as::<_, (i64, Option<String>)>(
        "SELECT id, CASE typeof(firebase_id) WHEN 'text' THEN firebase_id END FROM campaigns",
    )
    .fetch(conn);
    let mut nameless = Vec::new();
    while let Some((id, name)) = rows.try_next().await? {
        if name.is_none_or(|name| DocId::new(name).is_err()) {
            nameless.push(id);
        }
    }
    Ok(nameless)
}

/// `NAME_v1`, or with a number.
fn free(name: &str, names: &mut HashSet<String>) -> String {
    let numbered = (2..).map(|n| format!("{name}_v1_{n}"));
    std::iter::once(format!("{name}_v1"))
        .chain(numbered)
        .find(|new| names.insert(new.to_lowercase()))
        .expect("numbers don't end")
}

async fn rename(conn: &mut SqliteConnection, name: &str, new: &str) -> Result<(), StoreError> {
    let sql = format!("ALTER TABLE {} RENAME TO {}", quoted(name), quoted(new));
    // SQLite looks through every view and trigger, and refuses where one of them is broken.
    run(conn, sql).await.map_err(|error| match error {
        StoreError::Sqlite(e) => StoreError::CannotOpen(format!(
            "its table `{name}` can't be renamed: {e}; mend or drop what is named here first"
        )),
        other => other,
    })
}

async fn run(conn: &mut SqliteConnection, sql: String) -> Result<(), StoreError> {
    sqlx::query(AssertSqlSafe(sql)).execute(conn).await?;
    Ok(())
}

/// The statement that made a table of version 1.
fn plain_table(table: &str) -> String {
    let v1 = MIGRATIONS.iter().find(|m| m.version == 1);
    let v1 = v1.map_or("", |m| m.sql.as_str());
    let start = v1
        .find(&format!("CREATE TABLE {table} ("))
        .expect("the first migration makes it");
    let end = v1[start..].find(");").expect("the statement ends");
    v1[start..start + end + 1].to_owned()
}

/// `CREATE [UNIQUE] INDEX name ON …`, as SQLite keeps it, with another name.
fn renamed_index(sql: &str, new: &str) -> Option<String> {
    let (before, rest) = sql.split_at(sql.find(" INDEX ")? + " INDEX ".len());
    let after = match rest.chars().next()? {
        quote @ ('"' | '`' | '\'') => rest[1..].split_once(quote)?.1,
        '[' => rest.split_once(']')?.1,
        _ => &rest[rest.find(char::is_whitespace)?..],
    };
    // A quote inside a quoted name: not worth reading further.
    let sound = after.trim_start().to_lowercase().starts_with("on");
    sound.then(|| format!("{before}{}{after}", quoted(new)))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
