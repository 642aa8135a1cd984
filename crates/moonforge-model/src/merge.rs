//! The three-way merge: rows that were written over `base`, brought onto `theirs`.
//!
//! Rows are intents, so merging is deciding, path by path, which of them still stand on the newer version, and rewriting
//! those whose ground moved. What loses, on either side, becomes a [`Conflict`]. The function is pure: the same base,
//! rows and version always give the same result, and merging its result again changes nothing.

use serde_json::{Map, Value};

use crate::conflict::{Conflict, ConflictContext, ConflictReason, LostSide};
use crate::coverage::reached;
use crate::fold::fold;
use crate::merge_path::{Beside, Decision, Outcome, PathMerge};
use crate::merge_told::around_delete;
use crate::patch::{PatchOp, apply, diff};
use crate::path::FieldPath;
use crate::resolver::MergeContext;
use crate::row::{Row, RowOp};
use crate::schema::CollectionConfig;
use crate::time::Timestamp;
use crate::value::{Fields, set_at, unset_at, value_at};
use crate::version::{Deletion, Version};

/// What a merge came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// The rows that still stand, in order, rewritten where their ground moved.
    pub rows: Vec<Row>,
    /// What was lost.
    pub conflicts: Vec<Conflict>,
}

/// Merges `rows`, written over `base` (`None`: over nothing known), onto `theirs`.
///
/// `read_time` is when `theirs` was read, by the remote's clock: no edit counts as later than that.
pub fn merge(
    config: &CollectionConfig,
    base: Option<&Version>,
    theirs: &Version,
    rows: &[Row],
    read_time: Timestamp,
) -> Merged {
    merge_as(
        MergeContext::default(),
        config,
        base,
        theirs,
        rows,
        read_time,
    )
}

/// [`merge`] by somebody, with the app's say in its conflicts.
pub fn merge_as(
    context: MergeContext<'_>,
    config: &CollectionConfig,
    base: Option<&Version>,
    theirs: &Version,
    rows: &[Row],
    read_time: Timestamp,
) -> Merged {
    let mut rows: Vec<Row> = rows.to_vec();
    for row in &mut rows {
        row.edited_at = row.edited_at.min(read_time);
        if let RowOp::Create { fields } = &row.op {
            row.op = RowOp::Patch {
                ops: diff(config, &Fields::new(), fields),
            };
        }
    }
    let mut conflicts = Vec::new();
    let rows = merge_deletions(context.uid, base, theirs, rows, &mut conflicts);
    let rows = merge_paths(
        context,
        config,
        base,
        theirs,
        rows,
        read_time,
        &mut conflicts,
    );
    Merged { rows, conflicts }
}

/// Brings rows onto the absence of a document that was there: a delete against edits. What they would have changed is
/// journaled; a restore among them creates the document anew.
pub fn merge_onto_absence(base: &Version, rows: &[Row]) -> Vec<Conflict> {
    let after = fold(Some(base), rows);
    let lost: Map<String, Value> = after
        .touched
        .iter()
        .map(|path| {
            (
                path.to_string(),
                value_at(&after.fields, path).cloned().unwrap_or_default(),
            )
        })
        .collect();
    if lost.is_empty() {
        return Vec::new();
    }
    vec![Conflict {
        field: "deletedAt".to_owned(),
        kept: Value::Null,
        lost: Value::Object(lost),
        lost_side: LostSide::Local,
        reason: ConflictReason::Deleted,
        bring_back: Vec::new(),
        context: ConflictContext {
            lost_at: rows.iter().map(|row| row.edited_at).max(),
            ..ConflictContext::default()
        },
    }]
}

/// Deletes and restores, in order: of two deletes the first to land keeps its id, a restore of another id does nothing,
/// and edits on what was deleted meanwhile go into the tombstone's content and the journal.
fn merge_deletions(
    uid: Option<&str>,
    base: Option<&Version>,
    theirs: &Version,
    rows: Vec<Row>,
    conflicts: &mut Vec<Conflict>,
) -> Vec<Row> {
    let mut state: Option<Deletion> = theirs.envelope.deleted.clone();
    // Whether its author saw a tombstone.
    let mut seen_deleted = base.is_some_and(|b| b.envelope.deleted.is_some());
    let mut edits = Map::new();
    let mut edited_at = Timestamp::EPOCH;
    let mut kept = Vec::with_capacity(rows.len());
    for row in rows {
        let saw_deleted = seen_deleted;
        match &row.op {
            RowOp::Delete { .. } => seen_deleted = true,
            RowOp::Restore { .. } => seen_deleted = false,
            RowOp::Patch { .. } | RowOp::Create { .. } => {}
        }
        match &row.op {
            RowOp::Delete { .. } if state.is_some() => {
                reached(|| "merge: deleted there already".to_owned());
                continue;
            }
            RowOp::Delete { delete_id } => {
                state = Some(Deletion {
                    at: row.edited_at,
                    delete_id: Some(delete_id.clone()),
                    purge_at: None,
                });
                conflicts.extend(edits_under_delete(uid, base, theirs, row.edited_at));
            }
            RowOp::Restore { delete_id } => {
                let same = state.as_ref().is_some_and(|d| d.is_of(delete_id));
                if !same {
                    reached(|| "merge: a restore of another delete".to_owned());
                    continue;
                }
                state = None;
            }
            RowOp::Patch { ops } if !saw_deleted && state.is_some() => {
                let mut ours = base.map(|b| b.fields.clone()).unwrap_or_default();
                edited_at = edited_at.max(row.edited_at);
                for op in ops {
                    let _ = apply(&mut ours, op);
                    let value = value_at(&ours, op.path()).cloned().unwrap_or_default();
                    edits.insert(op.path().to_string(), value);
                }
            }
            RowOp::Patch { .. } | RowOp::Create { .. } => {}
        }
        kept.push(row);
    }
    if let Some(deletion) = theirs
        .envelope
        .deleted
        .as_ref()
        .filter(|_| !edits.is_empty())
    {
        reached(|| "merge: edits of what was deleted".to_owned());
        conflicts.push(Conflict {
            field: "deletedAt".to_owned(),
            kept: Value::String(deletion.at.to_string()),
            lost: Value::Object(edits),
            lost_side: LostSide::Local,
            reason: ConflictReason::Deleted,
            bring_back: Vec::new(),
            context: around_delete(base, theirs, uid, edited_at, LostSide::Local),
        });
    }
    kept
}

/// Our delete meets edits of others: the tombstone keeps them as content, and the journal says so.
fn edits_under_delete(
    uid: Option<&str>,
    base: Option<&Version>,
    theirs: &Version,
    at: Timestamp,
) -> Option<Conflict> {
    let base = base?;
    let changed: Map<String, Value> = theirs
        .fields
        .iter()
        .filter(|(name, value)| base.fields.get(*name) != Some(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .chain(
            base.fields
                .keys()
                .filter(|name| !theirs.fields.contains_key(*name))
                .map(|name| (name.clone(), Value::Null)),
        )
        .collect();
    if !changed.is_empty() {
        reached(|| "merge: a delete of what was edited".to_owned());
    }
    (!changed.is_empty()).then(|| Conflict {
        field: "deletedAt".to_owned(),
        kept: Value::String(at.to_string()),
        lost: Value::Object(changed),
        lost_side: LostSide::Remote,
        reason: ConflictReason::Deleted,
        bring_back: Vec::new(),
        context: around_delete(Some(base), theirs, uid, at, LostSide::Remote),
    })
}

/// What else of ours there is around an edit in the row `index`.
fn beside(rows: &[Row], index: usize, op: &PatchOp) -> Beside {
    let ops = |rows: &[Row], wanted: &dyn Fn(&PatchOp) -> bool| {
        rows.iter()
            .any(|row| matches!(&row.op, RowOp::Patch { ops } if ops.iter().any(wanted)))
    };
    let path = op.path();
    let apart = |other: &PatchOp| other.path() != path;
    Beside {
        above: ops(&rows[..=index], &|other| {
            apart(other) && other.replaces() && other.path().covers(path)
        }),
        below: ops(&rows[index..], &|other| {
            apart(other) && path.covers(other.path())
        }),
    }
}

fn merge_paths(
    context: MergeContext<'_>,
    config: &CollectionConfig,
    base: Option<&Version>,
    theirs: &Version,
    rows: Vec<Row>,
    read_time: Timestamp,
    conflicts: &mut Vec<Conflict>,
) -> Vec<Row> {
    let ours = fold(base, &rows).fields;
    let paths = PathMerge {
        config,
        base,
        theirs,
        ours: &ours,
        read_time,
        context,
    };
    let mut decided: Vec<(FieldPath, usize, Decision)> = Vec::new();
    // Last to first: the fate of a replaced value is that of what replaced it.
    for (index, row) in rows.iter().enumerate().rev() {
        let RowOp::Patch { ops } = &row.op else {
            continue;
        };
        for op in ops.iter().rev().filter(|op| op.replaces()) {
            let path = op.path();
            if paths.removed_entry(path).is_none()
                && !decided.iter().any(|(later, _, _)| later.covers(path))
            {
                let decision = paths.decide(op, row.edited_at, beside(&rows, index, op));
                decided.push((path.clone(), index, decision));
            }
        }
    }
    // Where an entry lost to its removal, what was set inside it is carried or goes with it.
    let lost: Vec<FieldPath> = decided
        .iter()
        .filter(|(_, _, decision)| decision.outcome == Outcome::Lost)
        .map(|(path, _, _)| path.clone())
        .collect();
    decided.retain(|(path, _, _)| {
        let entry = paths.entry_not_there(path);
        entry.is_none_or(|entry| !lost.iter().any(|path| path.covers(&entry)))
    });
    let mut now = theirs.fields.clone();
    let mut resurrected: Vec<FieldPath> = Vec::new();
    let mut merged = Vec::with_capacity(rows.len());
    for (index, mut row) in rows.into_iter().enumerate() {
        let RowOp::Patch { ops } = row.op else {
            merged.push(row);
            continue;
        };
        let mut kept = Vec::with_capacity(ops.len());
        for op in ops {
            let decision = decided
                .iter()
                .find(|(path, at, _)| path.covers(op.path()) && index <= *at);
            let op = match decision {
                // Replaced later by something that stands, or being that something.
                Some((path, at, decision)) => {
                    let deciding = path == op.path() && index == *at;
                    match &decision.outcome {
                        Outcome::Lost | Outcome::Absorbed => None,
                        Outcome::Laid { value, .. } | Outcome::Joined(value) if deciding => {
                            let path = path.clone();
                            Some(match value.clone() {
                                Some(value) => PatchOp::Set { path, value },
                                None => PatchOp::Unset { path },
                            })
                        }
                        Outcome::Custom(value) if deciding => Some(PatchOp::Set {
                            path: path.clone(),
                            value: value.clone(),
                        }),
                        Outcome::Beside
                        | Outcome::Stands
                        | Outcome::Laid { .. }
                        | Outcome::Joined(_)
                        | Outcome::Custom(_) => Some(op),
                    }
                }
                None => paths.carry(op, row.edited_at, &now, &mut resurrected, conflicts),
            };
            if let Some(op) = op {
                let _ = apply(&mut now, &op);
                kept.push(op);
            }
        }
        if !kept.is_empty() {
            row.op = RowOp::Patch { ops: kept };
            merged.push(row);
        }
    }
    conflicts.extend(
        decided
            .iter()
            .rev()
            .flat_map(|(path, _, decision)| paths.journal(path, decision)),
    );
    merged
}

/// Lays `over` onto `under` at the relative place of `below` inside `path`.
pub(crate) fn lay_over(
    path: &FieldPath,
    under: Option<Value>,
    over: impl IntoIterator<Item = (FieldPath, Option<Value>)>,
) -> Option<Value> {
    let mut fields = Fields::new();
    if let Some(under) = under {
        set_at(&mut fields, path, under);
    }
    for (below, value) in over {
        match value {
            Some(value) => set_at(&mut fields, &below, value),
            None => {
                unset_at(&mut fields, &below);
            }
        }
    }
    value_at(&fields, path).cloned()
}
