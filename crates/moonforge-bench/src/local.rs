//! The workloads that need no network, ours and their floors: writes, commits of a hundred, reads.

use std::path::PathBuf;

use moonforge::{DocRef, Moonforge};
use rusqlite::{Connection, params};
use serde_json::Value;
use tempfile::TempDir;

use crate::cloud::Failed;
use crate::measure::{Measured, Stopwatch};
use crate::sample::{doc, scene, scene_id};

/// When a write counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Durability {
    /// When it is on the disk.
    Full,
    /// When the operating system has it.
    Normal,
}

impl Durability {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Normal => "NORMAL",
        }
    }
}

impl From<Durability> for moonforge::Durability {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Full => Self::Full,
            Durability::Normal => Self::Normal,
        }
    }
}

/// A folder that goes with this value.
pub(crate) struct Scratch(TempDir);

impl Scratch {
    pub(crate) fn new() -> Result<Self, Failed> {
        Ok(Self(tempfile::tempdir()?))
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// Documents in one transaction of W1g.
pub(crate) const A_GROUP: usize = 100;

pub(crate) async fn open(scratch: &Scratch, durability: Durability) -> Result<Moonforge, Failed> {
    let builder = Moonforge::builder(scratch.file("ours.db")).durability(durability.into());
    Ok(builder.open().await?)
}

fn scene_at(n: usize) -> (DocRef, Value) {
    (doc("scenes", &scene_id(n)), scene(n))
}

/// W1 and W1g: `n` acknowledged writes, so many in a transaction.
pub(crate) async fn write(
    n: usize,
    group: usize,
    durability: Durability,
    scratch: &Scratch,
) -> Result<Measured, Failed> {
    let forge = open(scratch, durability).await?;
    let scenes = forge.documents("scenes")?;
    let watch = Stopwatch::default();
    let mut measured = Measured::default();
    for start in (0..n).step_by(group) {
        let batch: Vec<_> = (start..n.min(start + group)).map(scene_at).collect();
        let begun = watch.now();
        if group == 1 {
            for (doc, document) in batch {
                scenes.put(&doc.id, document).await?;
            }
        } else {
            for result in forge.put_many(batch).await? {
                result?;
            }
        }
        let step = watch.now() - begun;
        measured.elapsed += step;
        measured.steps.push(step);
    }
    measured.ops = n;
    forge.close().await;
    Ok(measured)
}

/// The floor of both: document, metadata and outbox row.
pub(crate) fn write_floor(
    n: usize,
    group: usize,
    durability: Durability,
    scratch: &Scratch,
) -> Result<Measured, Failed> {
    let mut connection = floor(scratch, durability)?;
    let watch = Stopwatch::default();
    let mut measured = Measured::default();
    for start in (0..n).step_by(group) {
        let batch: Vec<_> = (start..n.min(start + group)).map(scene_at).collect();
        let begun = watch.now();
        let transaction = connection.transaction()?;
        for (doc, document) in batch {
            let body = document.to_string();
            let id = doc.id.as_str();
            transaction
                .prepare_cached("INSERT INTO scenes VALUES (?1, ?2, 0, ?3)")?
                .execute(params![id, body, start as i64])?;
            transaction
                .prepare_cached("INSERT INTO metas VALUES (?1, 'scenes', ?2, 1)")?
                .execute(params![doc.to_string(), id])?;
            transaction
                .prepare_cached(
                    "INSERT INTO outbox (collection, doc_id, payload) VALUES ('scenes', ?1, ?2)",
                )?
                .execute(params![id, body])?;
        }
        transaction.commit()?;
        let step = watch.now() - begun;
        measured.elapsed += step;
        measured.steps.push(step);
    }
    measured.ops = n;
    Ok(measured)
}

fn floor(scratch: &Scratch, durability: Durability) -> Result<Connection, Failed> {
    let connection = Connection::open(scratch.file("floor.db"))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", durability.name())?;
    connection.execute_batch(
        "CREATE TABLE scenes (id TEXT NOT NULL PRIMARY KEY, body TEXT NOT NULL, rev INTEGER, updated_at INTEGER);
         CREATE TABLE metas (doc_ref TEXT NOT NULL PRIMARY KEY, collection TEXT, doc_id TEXT, dirty INTEGER);
         CREATE TABLE outbox (n INTEGER PRIMARY KEY AUTOINCREMENT, collection TEXT, doc_id TEXT, payload TEXT);",
    )?;
    Ok(connection)
}

/// W5: documents by id, of `n` that are there.
pub(crate) async fn read(n: usize, scratch: &Scratch) -> Result<Measured, Failed> {
    write(n, 500, Durability::Normal, scratch).await?;
    let forge = open(scratch, Durability::Normal).await?;
    let scenes = forge.documents("scenes")?;
    let watch = Stopwatch::default();
    let mut measured = Measured::default();
    for i in 0..n {
        let id = doc("scenes", &scene_id(i * 7919 % n)).id;
        let begun = watch.now();
        let found = scenes.get(&id).await?;
        let step = watch.now() - begun;
        found.ok_or("a document is missing")?;
        measured.elapsed += step;
        measured.steps.push(step);
    }
    measured.ops = n;
    forge.close().await;
    Ok(measured)
}

/// The floor of W5.
pub(crate) fn read_floor(n: usize, scratch: &Scratch) -> Result<Measured, Failed> {
    write_floor(n, 500, Durability::Normal, scratch)?;
    let connection = Connection::open(scratch.file("floor.db"))?;
    let watch = Stopwatch::default();
    let mut measured = Measured::default();
    for i in 0..n {
        let id = scene_id(i * 7919 % n);
        let begun = watch.now();
        let body: String = connection
            .prepare_cached("SELECT body FROM scenes WHERE id = ?1")?
            .query_row([&id], |row| row.get(0))?;
        let _: Value = serde_json::from_str(&body)?;
        let step = watch.now() - begun;
        measured.elapsed += step;
        measured.steps.push(step);
    }
    measured.ops = n;
    Ok(measured)
}
