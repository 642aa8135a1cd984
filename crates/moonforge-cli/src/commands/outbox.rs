//! `outbox`.

use moonforge::{Moonforge, OutboxEntry};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Outcome, Table};

pub(super) async fn ls(forge: &Moonforge) -> Result<Outcome, Failure> {
    let entries = forge.outbox().list().await?;
    let items: Vec<Value> = entries.iter().map(item).collect();
    let table = Table {
        header: vec!["seq", "document", "operation", "state", "attempts", "why"],
        rows: entries.iter().map(row).collect(),
        empty: "everything is in the cloud",
    };
    Ok(Outcome::new(json!({ "items": items }), table))
}

fn state(entry: &OutboxEntry) -> &'static str {
    match (entry.row.row.parked, entry.row.row.sent) {
        (Some(_), _) => "parked",
        (None, true) => "sent",
        (None, false) => "pending",
    }
}

fn item(entry: &OutboxEntry) -> Value {
    let row = &entry.row.row;
    json!({
        "seq": row.n,
        "collection": entry.doc.collection,
        "id": entry.doc.id,
        "operation": entry.operation(),
        "state": state(entry),
        "attempts": entry.row.attempts,
        "error": row.parked.map(|reason| reason.code()),
        "message": entry.row.error,
        "edited_at": row.edited_at,
    })
}

fn row(entry: &OutboxEntry) -> Vec<String> {
    // One that isn't parked and says something waits for an app that can send it.
    let said = entry.row.error.as_deref().unwrap_or_default();
    let why = match entry.row.row.parked {
        Some(reason) => format!("{}: {said}", reason.code()),
        None => said.to_owned(),
    };
    vec![
        entry.row.row.n.to_string(),
        entry.doc.to_string(),
        entry.operation().to_owned(),
        state(entry).to_owned(),
        entry.row.attempts.to_string(),
        why,
    ]
}

pub(super) async fn retry(forge: &Moonforge, seq: Option<u64>) -> Result<Outcome, Failure> {
    let retried = forge.outbox().retry(seq).await?;
    let text = format!("{retried} parked edits go out with the next sync");
    Ok(Outcome::new(json!({ "retried": retried }), text))
}

pub(super) async fn discard(forge: &Moonforge, seq: u64) -> Result<Outcome, Failure> {
    let discarded = forge.outbox().discard(seq).await?;
    let text = match discarded {
        1 => format!("edit {seq} is given up; the conflict journal has it"),
        n => format!(
            "{n} edits are given up, with the document that they made; the conflict journal has them"
        ),
    };
    Ok(Outcome::new(
        json!({"discarded": discarded, "seq": seq}),
        text,
    ))
}
