//! `conflicts`.

use moonforge::{JournalEntry, Moonforge, Resolution};
use serde_json::{Value, json};

use crate::args::{Choice, Word};
use crate::failure::Failure;
use crate::input;
use crate::output::{Outcome, Table, Text, short};

pub(super) async fn ls(forge: &Moonforge, all: bool) -> Result<Outcome, Failure> {
    let conflicts = forge.conflicts();
    let entries = if all {
        conflicts.list_all().await?
    } else {
        conflicts.list().await?
    };
    let items = items(forge, &entries).await?;
    Ok(Outcome::new(json!({ "items": items }), table(&entries)))
}

/// Entries of the journal for people.
pub(crate) fn table(entries: &[JournalEntry]) -> Table {
    let row = |entry: &JournalEntry| {
        vec![
            entry.conflict_id.to_string(),
            entry.doc.to_string(),
            entry.conflict.field.clone(),
            short(&entry.conflict.kept, 60),
            short(&entry.conflict.lost, 60),
            entry.at.to_string(),
        ]
    };
    Table {
        header: vec!["conflict", "document", "field", "kept", "lost", "when"],
        rows: entries.iter().map(row).collect(),
        empty: "no conflicts",
    }
}

/// Entries of the journal for scripts.
pub(crate) async fn items(
    forge: &Moonforge,
    entries: &[JournalEntry],
) -> Result<Vec<Value>, Failure> {
    let mut items = Vec::with_capacity(entries.len());
    for entry in entries {
        items.push(item(entry, forge.conflicts().can_take(entry).await?));
    }
    Ok(items)
}

fn item(entry: &JournalEntry, can_take: bool) -> Value {
    let conflict = &entry.conflict;
    let context = &conflict.context;
    json!({
        "conflict_id": entry.conflict_id,
        "collection": entry.doc.collection,
        "id": entry.doc.id,
        "field": conflict.field,
        "kept": conflict.kept,
        "lost": conflict.lost,
        "lost_side": conflict.lost_side,
        "reason": conflict.reason,
        "base": context.base,
        "kept_at": context.kept_at,
        "kept_by": context.kept_by,
        "lost_at": context.lost_at,
        "lost_by": context.lost_by,
        "decided_by": context.decided_by,
        "can_take": can_take,
        "at": entry.at,
        "resolved_at": entry.resolved_at,
        "resolved_by": entry.resolved_by,
    })
}

pub(super) async fn show(forge: &Moonforge, id: u64) -> Result<Outcome, Failure> {
    let entry = forge.conflicts().get(id).await?;
    let json = item(&entry, forge.conflicts().can_take(&entry).await?);
    Ok(Outcome::new(json.clone(), Text::Json(json)))
}

pub(super) async fn resolve(
    forge: &Moonforge,
    id: u64,
    choice: Choice,
) -> Result<Outcome, Failure> {
    let (resolution, word, text) = match (choice.value, choice.choice, choice.take) {
        (Some(value), ..) => (
            Resolution::Value(input::value(&value)?),
            "value",
            "the value given is written",
        ),
        (None, Some(Word::Take), _) | (None, None, true) => {
            (Resolution::Take, "take", "what was lost is written again")
        }
        (None, Some(Word::Keep) | None, _) => (Resolution::Keep, "keep", "stays as it is"),
    };
    forge.conflicts().resolve(id, resolution).await?;
    Ok(Outcome::new(
        json!({"conflict_id": id, "resolution": word}),
        format!("conflict {id} is settled: {text}"),
    ))
}

pub(super) async fn undo(forge: &Moonforge, id: u64) -> Result<Outcome, Failure> {
    let undone = forge.conflicts().undo(id).await?;
    let mut text = format!("conflict {id} is open again");
    for (paths, what) in [
        (&undone.restored, "as before"),
        (&undone.left, "left alone, because it was edited since"),
    ] {
        for path in paths {
            text.push_str(&format!("\n  {path}: {what}"));
        }
    }
    Ok(Outcome::new(
        json!({"conflict_id": id, "restored": undone.restored, "left": undone.left}),
        text,
    ))
}
