//! `status`.

use moonforge::{Health, Moonforge, Room, Stuck};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::output::{Outcome, Paint, Table, Text, printable};

/// Sentences about what is stuck that are shown to a person.
const MOST_STUCK: usize = 10;

pub(super) async fn status(forge: &Moonforge) -> Result<Outcome, Failure> {
    let status = forge.status().await?;
    let collections: Map<String, Value> = status
        .collections
        .iter()
        .map(|(name, c)| {
            let figures = json!({
                "documents": c.documents,
                "dirty": c.dirty,
                "last_synced_at": c.last_synced_at,
            });
            (name.to_string(), figures)
        })
        .collect();
    let stuck: Vec<Value> = status.stuck.iter().map(stuck).collect();
    let json = json!({
        "health": status.health,
        "pending": status.pending,
        "parked": status.parked,
        "quarantined": status.quarantined,
        "stuck": stuck,
        "outbox_room": status.room.name(),
        "conflicts": {"open": status.conflicts.open, "undecided": status.conflicts.undecided},
        "oldest_pending_age_s": status.oldest_pending_age_s,
        "last_synced_at": status.last_synced_at,
        "collections": collections,
        "bill": status.bill,
        // Nothing puts media on the way yet.
        "media": {"queued": 0, "failed": 0, "cached_bytes": 0},
    });
    let health = match status.health {
        Health::Ok => Paint::Good.on("ok"),
        Health::Degraded => Paint::Warn.on("needs a look"),
    };
    let synced = match status.last_synced_at {
        Some(at) => format!("last synced {at}"),
        None => "never synced".to_owned(),
    };
    let line = format!(
        "{health} · {} pending · {} parked · {} unreadable · {synced}",
        status.pending, status.parked, status.quarantined
    );
    let line = match status.conflicts.open {
        0 => line,
        n => format!("{line} · {n} in the conflict journal"),
    };
    let rows = status
        .collections
        .iter()
        .filter(|(_, c)| c.documents + c.dirty > 0)
        .map(|(name, c)| {
            let synced = c.last_synced_at.map(|at| at.to_string());
            vec![
                name.to_string(),
                c.documents.to_string(),
                c.dirty.to_string(),
                synced.unwrap_or_default(),
            ]
        })
        .collect();
    let table = Table {
        header: vec!["collection", "documents", "not sent", "last synced"],
        rows,
        empty: "no documents yet",
    };
    let mut outcome = Outcome::new(json, line);
    outcome.text.push(Text::Table(table));
    for row in status.stuck.iter().take(MOST_STUCK) {
        let line = Paint::Warn.on(&printable(&row.sentence()));
        outcome.text.push(Text::Line(line));
    }
    match status.stuck.len().saturating_sub(MOST_STUCK) {
        0 => {}
        more => {
            let line = format!("and {more} more are stuck");
            outcome.text.push(Text::Line(Paint::Warn.on(&line)));
        }
    }
    let full = match status.room {
        Room::Plenty => return Ok(outcome),
        Room::Tight => "many edits wait to be sent: sync soon",
        Room::Full => "so many edits wait to be sent that no more are taken: sync",
    };
    outcome.text.push(Text::Line(Paint::Warn.on(full)));
    Ok(outcome)
}

fn stuck(row: &Stuck) -> Value {
    json!({
        "seq": row.n,
        "collection": row.doc.collection,
        "id": row.doc.id,
        "operation": row.operation,
        "attempts": row.attempts,
        "waited_s": row.waited.as_secs(),
        "message": row.sentence(),
    })
}
