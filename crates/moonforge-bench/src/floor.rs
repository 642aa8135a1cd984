//! The floors: each workload without us, as well as one can. Nothing here survives a lost answer, a crash or a conflict.

use futures_util::{StreamExt, TryStreamExt, stream};
use moonforge::Timestamp;
use moonforge_testkit::emulator::decode;
use rusqlite::{Connection, params};
use serde_json::{Map, Value, json};

use crate::cloud::{Credential, Failed, Place};
use crate::elements::Elements;
use crate::local::{Durability, Scratch};
use crate::measure::{Measured, Stopwatch};
use crate::sample::{campaign_creation, scene_change, scene_creation, scenes_after};

/// Documents in a commit: what was fastest of 20 to 500 in the emulator, whose rules take more than twice the time for
/// twice the documents.
fn commit_size(credential: Credential) -> usize {
    match credential {
        Credential::User => 40,
        Credential::Admin => 500,
    }
}

/// W2: `n` creations in commits, so many of them in flight.
pub(crate) async fn push(
    place: &Place,
    n: usize,
    size: Option<usize>,
    in_flight: usize,
) -> Result<Measured, Failed> {
    let watch = Stopwatch::default();
    let size = size.unwrap_or(commit_size(place.credential)).max(1);
    let started = watch.now();
    let body = json!({ "writes": [campaign_creation(&place.project)] });
    place.call("commit", &body, place.token()).await?;
    let steps = stream::iter((0..n).step_by(size))
        .map(|start| async move {
            let writes: Vec<Value> = (start..n.min(start + size))
                .map(|i| scene_creation(&place.project, i))
                .collect();
            let sent = watch.now();
            let answer = place
                .call("commit", &json!({ "writes": writes }), place.token())
                .await?;
            let answer: Value = serde_json::from_slice(&answer.bytes().await?)?;
            match answer["writeResults"].as_array() {
                Some(results) if results.len() == writes.len() => Ok(watch.now() - sent),
                _ => Err(Failed::from("results are missing")),
            }
        })
        .buffer_unordered(in_flight)
        .try_collect()
        .await?;
    Ok(Measured {
        ops: n,
        elapsed: watch.now() - started,
        steps,
        billed: moonforge::ports::Usage {
            writes: n as u64 + 1,
            ..Default::default()
        },
        settling_reads: None,
    })
}

/// W3: one query, streamed into SQLite.
pub(crate) async fn pull(
    place: &Place,
    n: usize,
    durability: Durability,
    scratch: &Scratch,
) -> Result<Measured, Failed> {
    place.seed(n).await?;
    let mut into = open(scratch, durability)?;
    let watch = Stopwatch::default();
    let started = watch.now();
    let found = read_into(place, None, &mut into).await?;
    let elapsed = watch.now() - started;
    if found.count != n {
        return Err(format!("{} of {n} documents came", found.count).into());
    }
    Ok(Measured {
        ops: n,
        elapsed,
        steps: vec![elapsed],
        billed: moonforge::ports::Usage {
            reads: n as u64,
            ..Default::default()
        },
        settling_reads: None,
    })
}

/// W4: again and again 10 of `n` change, and one query finds them.
pub(crate) async fn poll(
    place: &Place,
    n: usize,
    rounds: usize,
    durability: Durability,
    scratch: &Scratch,
) -> Result<Measured, Failed> {
    place.seed(n).await?;
    let mut into = open(scratch, durability)?;
    let mut position = read_into(place, None, &mut into).await?.last;
    let watch = Stopwatch::default();
    let mut measured = Measured::default();
    for round in 0..rounds {
        let changed = crate::changed(n);
        let changes = changed.map(|i| scene_change(&place.project, i, round as u64 + 1));
        place.prepare(changes.collect()).await?;
        let started = watch.now();
        let found = read_into(place, position.as_ref(), &mut into).await?;
        let step = watch.now() - started;
        if found.count != crate::CHANGED.min(n) {
            return Err(format!("{} changed documents came", found.count).into());
        }
        position = found.last;
        measured.elapsed += step;
        measured.steps.push(step);
        measured.billed.reads = found.count as u64;
    }
    measured.ops = rounds;
    Ok(measured)
}

fn open(scratch: &Scratch, durability: Durability) -> Result<Connection, Failed> {
    let connection = Connection::open(scratch.file("floor.db"))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", durability.name())?;
    connection.execute_batch(
        "CREATE TABLE scenes (id TEXT NOT NULL PRIMARY KEY, body TEXT NOT NULL, rev INTEGER, updated_at TEXT,
             update_time TEXT) WITHOUT ROWID",
    )?;
    Ok(connection)
}

/// What a query brought.
#[derive(Default)]
struct Found {
    count: usize,
    last: Option<(Timestamp, String)>,
}

/// Streams a query's answer into the table: elements are split and parsed as they arrive, all in one transaction.
async fn read_into(
    place: &Place,
    after: Option<&(Timestamp, String)>,
    into: &mut Connection,
) -> Result<Found, Failed> {
    let mut query = scenes_after(&place.project, after);
    if place.credential == Credential::Admin {
        // As Moonforge asks where there are no memberships.
        let filters = &mut query["structuredQuery"]["where"]["compositeFilter"]["filters"];
        query["structuredQuery"]["where"] = filters[1].take();
    }
    let answer = place.call("runQuery", &query, place.token()).await?;
    let mut chunks = answer.bytes_stream();
    let (mut found, mut text) = (Found::default(), Elements::default());
    let transaction = into.transaction()?;
    {
        let mut insert = transaction.prepare(
            "INSERT INTO scenes (id, body, rev, updated_at, update_time) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (id) DO UPDATE SET body = excluded.body, rev = excluded.rev,
                 updated_at = excluded.updated_at, update_time = excluded.update_time",
        )?;
        while let Some(chunk) = chunks.try_next().await? {
            text.push(&chunk);
            while let Some(element) = text.next() {
                let mut element: Value = serde_json::from_slice(element)?;
                let document = element["document"].take();
                let Some(name) = document["name"].as_str() else {
                    continue;
                };
                let id = name.rsplit('/').next().unwrap_or_default();
                let fields = document["fields"].as_object();
                let mut plain: Map<String, Value> = fields
                    .into_iter()
                    .flatten()
                    .map(|(name, value)| (name.clone(), decode(value)))
                    .collect();
                let rev = plain.remove("rev").and_then(|rev| rev.as_i64());
                let at = plain.remove("updatedAt").unwrap_or_default();
                let at = at.as_str().unwrap_or_default();
                let body = serde_json::to_string(&plain)?;
                let update_time = document["updateTime"].as_str();
                insert.execute(params![id, body, rev, at, update_time])?;
                found.count += 1;
                found.last = Some((at.parse()?, id.to_owned()));
            }
        }
    }
    transaction.commit()?;
    Ok(found)
}
