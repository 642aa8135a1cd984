//! The one door: whatever comes from the remote, a page, a re-read or a commit's answer, is applied here, in one local
//! transaction.

use moonforge_model::coverage::reached;
use moonforge_model::mutant::{Mutant, planted};
use moonforge_model::{
    CollectionConfig, Conflict, ConflictContext, ConflictReason, Deletion, DocRef, Fields, Folded,
    LostSide, MergeContext, ParkReason, PatchOp, Row, RowOp, Timestamp, Version, canonical_fields,
    fold, merge_as, merge_onto_absence,
};
use moonforge_store::{Base, DocState, OutboxRow, Quarantined, StoreError, WriteTx};

use crate::mutants::{applied_again, settle_by_content};
use crate::settle::{Settlement, settle};

/// What was seen of a document at the remote.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// This version.
    Version(Version),
    /// A version that its model can't be read from.
    Unreadable {
        raw: Fields,
        update_time: Timestamp,
        error: String,
    },
    /// Nothing.
    Absent,
}

/// A look at a document, and when it was true by the remote's clock.
#[derive(Clone, Debug)]
pub(crate) struct Incoming {
    pub(crate) doc: DocRef,
    pub(crate) seen: Seen,
    pub(crate) read_time: Timestamp,
}

/// Whose rows are settled, and when.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    /// The key under `writers` that this file writes under.
    pub(crate) uid: String,
    /// The device's clock.
    pub(crate) now: Timestamp,
}

/// What a look changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// What a person sees is different.
    pub(crate) changed: bool,
    /// Rows of ours are in it: newly applied at the remote.
    pub(crate) settled: bool,
    /// Rows that weren't settled met a newer base.
    pub(crate) merged: bool,
    /// Entries that went to the journal.
    pub(crate) conflicts: u64,
    /// It went to the quarantine.
    pub(crate) quarantined: bool,
}

/// Applies a look at a document. Looks may come in any order and any number of times.
pub(crate) async fn apply_remote(
    tx: &mut WriteTx,
    door: &Door,
    incoming: Incoming,
) -> Result<Applied, StoreError> {
    let Incoming {
        doc,
        seen,
        read_time,
    } = incoming;
    let mut state = tx.load(&doc).await?;
    let before = state.view();
    let applied = match seen {
        Seen::Version(version) => {
            if !is_newer(&state.base, version.envelope.update_time) {
                return Ok(Applied::default());
            }
            if tx.release(&doc).await? {
                // What was parked because nobody could read the document has a ground to stand on again.
                for row in state
                    .rows
                    .iter_mut()
                    .filter(|r| r.row.parked == Some(ParkReason::Invalid))
                {
                    row.row.parked = None;
                }
            }
            apply_version(tx, door, &mut state, version, read_time).await?
        }
        Seen::Unreadable {
            raw,
            update_time,
            error,
        } => {
            if !is_newer(&state.base, update_time) {
                return Ok(Applied::default());
            }
            reached(|| "door: unreadable".to_owned());
            let quarantined = tx
                .quarantine(
                    &Quarantined {
                        doc,
                        update_time,
                        raw,
                        error,
                    },
                    door.now,
                )
                .await?;
            return Ok(Applied {
                quarantined,
                ..Applied::default()
            });
        }
        Seen::Absent => {
            if !is_newer(&state.base, read_time) {
                return Ok(Applied::default());
            }
            reached(|| "door: absent".to_owned());
            tx.release(&doc).await?;
            apply_absence(tx, door, &mut state, read_time).await?
        }
    };
    if state.rows.is_empty() {
        state.last_synced_at = Some(door.now);
    }
    tx.save(&mut state).await?;
    // One that no scope holds isn't kept; where that is because its edits are sent, nothing changed that was seen.
    let after = state.view().filter(|_| state.is_stored());
    let let_go = after.is_none() && applied.settled;
    Ok(Applied {
        changed: !let_go && differs(before.as_ref(), after.as_ref()),
        ..applied
    })
}

/// Whether a look made at `time` tells anything that the base doesn't.
fn is_newer(base: &Base, time: Timestamp) -> bool {
    match base {
        Base::Known(version) => time > version.envelope.update_time,
        Base::Absent { as_of, .. } => as_of.is_none_or(|known| time > known),
        Base::Unknown { .. } => true,
    }
}

fn differs(before: Option<&Folded>, after: Option<&Folded>) -> bool {
    let seen = |v: &Folded| (v.fields.clone(), v.deleted.is_some());
    before.map(seen) != after.map(seen)
}

async fn apply_version(
    tx: &mut WriteTx,
    door: &Door,
    state: &mut DocState,
    version: Version,
    read_time: Timestamp,
) -> Result<Applied, StoreError> {
    let config = tx.config(&state.doc.collection)?;
    let rows: Vec<Row> = state.edits().cloned().collect();
    let incarnations = tx.incarnations().await?;
    let mut settlement = settle(
        &door.uid,
        state.version(),
        &version,
        &rows,
        &state.settled,
        &incarnations,
    );
    settle_by_content(&mut settlement, &version, &rows);
    if !settlement.undecidable.is_empty() {
        reached(|| "settle: undecidable rows".to_owned());
    }
    if settlement.copied {
        tx.mint_beside_a_copy(door.now).await?;
    }
    // The rows that remain were written over the old base and the rows before them that are now in the version.
    let covered: Vec<&Row> = rows
        .iter()
        .filter(|r| settlement.covered.contains(&r.n))
        .collect();
    let ground = ground(state.version(), &covered, &door.uid, &version);
    let others = rows.len() > covered.len();
    state
        .rows
        .retain(|r| !settlement.covered.contains(&r.row.n) || applied_again(&r.row, others));
    let mut journal = redo_undecidable(tx, door, state, &settlement).await?;
    for row in &mut state.rows {
        // Sent before, not covered: it was not applied, and never will be, for its precondition names an older version.
        row.row.sent = false;
    }
    state.settled = settlement.settled;
    if planted(Mutant::DirtyOverwritten) {
        state.rows.clear();
    }
    let merged = !state.rows.is_empty();
    if merged {
        let resolver = tx.resolver();
        let doc = state.doc.clone();
        let context = MergeContext {
            uid: Some(&door.uid),
            resolver: resolver.as_deref().map(|resolver| (&doc, resolver)),
        };
        journal.extend(merge_rows(
            context,
            &config,
            ground.as_ref(),
            &version,
            state,
            read_time,
        ));
    }
    state.base = Base::Known(version);
    for entry in &journal {
        tx.journal(&state.doc, entry, door.now).await?;
    }
    Ok(Applied {
        settled: !covered.is_empty(),
        merged,
        conflicts: journal.len() as u64,
        ..Applied::default()
    })
}

/// base ⊕ covered rows, as a version to merge from.
fn ground(
    base: Option<&Version>,
    covered: &[&Row],
    uid: &str,
    version: &Version,
) -> Option<Version> {
    if covered.is_empty() {
        return base.cloned();
    }
    let folded = fold(base, covered.iter().copied());
    let mut ground = base.cloned().unwrap_or_else(|| Version {
        fields: Fields::new(),
        envelope: moonforge_model::Envelope {
            update_time: Timestamp::EPOCH,
            rev: None,
            updated_at: None,
            deleted: None,
            edited: Default::default(),
            writers: Default::default(),
        },
    });
    ground.fields = canonical_fields(folded.fields);
    ground.envelope.edited = folded.edited;
    ground.envelope.deleted = folded.deleted;
    // Ours among them, so that the journal names the others alone for what they changed.
    for incarnation in covered.iter().map(|row| &row.incarnation) {
        if let Some(mark) = version.writer(uid, incarnation) {
            let ours = ground.envelope.writers.entry(uid.to_owned()).or_default();
            ours.insert(incarnation.clone(), mark.clone());
        }
    }
    Some(ground)
}

fn merge_rows(
    context: MergeContext<'_>,
    config: &CollectionConfig,
    ground: Option<&Version>,
    theirs: &Version,
    state: &mut DocState,
    read_time: Timestamp,
) -> Vec<Conflict> {
    let rows: Vec<Row> = state.edits().cloned().collect();
    // Rows that got a new number aren't told apart by it yet, but by their random id.
    let merged = merge_as(context, config, ground, theirs, &rows, read_time);
    let mut kept = Vec::with_capacity(merged.rows.len());
    for row in merged.rows {
        if let Some(old) = state.rows.iter().find(|r| r.row.op_id == row.op_id) {
            kept.push(OutboxRow { row, ..old.clone() });
        }
    }
    state.rows = kept;
    merged.conflicts
}

/// Undecidable rows: what can be done twice without harm is queued again under a new name; the rest goes to the journal.
async fn redo_undecidable(
    tx: &mut WriteTx,
    door: &Door,
    state: &mut DocState,
    settlement: &Settlement,
) -> Result<Vec<Conflict>, StoreError> {
    let Some(first) = state
        .rows
        .iter()
        .position(|r| settlement.undecidable.contains(&r.row.n))
    else {
        return Ok(Vec::new());
    };
    let incarnation = tx.incarnations().await?.current;
    let mut journal = Vec::new();
    for row in &mut state.rows[first..] {
        if settlement.undecidable.contains(&row.row.n)
            && let RowOp::Patch { ops } = &mut row.row.op
        {
            let (doubtful, again): (Vec<PatchOp>, Vec<PatchOp>) = std::mem::take(ops)
                .into_iter()
                .partition(|op| matches!(op, PatchOp::Increment { .. } | PatchOp::Text { .. }));
            *ops = again;
            let context = ConflictContext {
                lost_at: Some(row.row.edited_at),
                lost_by: vec![door.uid.clone()],
                ..ConflictContext::default()
            };
            let told = |op| may_have_been_applied(op, context.clone());
            journal.extend(doubtful.into_iter().map(told));
        }
        // All behind it are numbered anew too: their order is their number.
        row.row.n = 0;
        row.row.incarnation.clone_from(&incarnation);
        row.row.op_id = tx.new_id();
    }
    state
        .rows
        .retain(|r| !matches!(&r.row.op, RowOp::Patch { ops } if ops.is_empty()));
    Ok(journal)
}

fn may_have_been_applied(op: PatchOp, context: ConflictContext) -> Conflict {
    let lost = match &op {
        PatchOp::Increment { by, .. } => serde_json::Value::Number(by.clone()),
        PatchOp::Text { to, .. } => serde_json::Value::String(to.clone()),
        _ => serde_json::Value::Null,
    };
    Conflict {
        field: op.path().to_string(),
        kept: serde_json::Value::Null,
        lost,
        lost_side: LostSide::Local,
        reason: ConflictReason::MayHaveBeenApplied,
        bring_back: vec![op],
        context,
    }
}

async fn apply_absence(
    tx: &mut WriteTx,
    door: &Door,
    state: &mut DocState,
    read_time: Timestamp,
) -> Result<Applied, StoreError> {
    let as_of = Some(read_time);
    let view = state.view();
    match (&state.base, view) {
        // Never there, still not there: a creation that is under way may yet arrive, so its mark stays.
        (Base::Absent { remains, .. }, _) => {
            state.base = Base::Absent {
                as_of,
                remains: remains.clone(),
            };
            Ok(Applied::default())
        }
        // A row of version 1 for a document that isn't there: what it leads to is created.
        (Base::Unknown { .. }, Some(view)) if !state.rows.is_empty() => {
            let deleted = view.deleted.is_some();
            recreate(tx, state, view.fields).await?;
            if deleted {
                state.rows.clear();
            }
            state.base = Base::Absent {
                as_of,
                remains: None,
            };
            Ok(Applied::default())
        }
        // Shown from version 1, and perhaps only hidden from this account: nothing is taken away for that.
        (Base::Unknown { .. }, _) => Ok(Applied::default()),
        (Base::Known(_), None) => Ok(Applied::default()),
        (Base::Known(version), Some(view)) => {
            if state.rows.is_empty() {
                state.base = Base::Absent {
                    as_of,
                    remains: None,
                };
                return Ok(Applied::default());
            }
            let restores = state.edits().any(|r| matches!(r.op, RowOp::Restore { .. }));
            if restores && view.deleted.is_none() {
                recreate(tx, state, view.fields).await?;
                state.base = Base::Absent {
                    as_of,
                    remains: None,
                };
                return Ok(Applied {
                    merged: true,
                    ..Applied::default()
                });
            }
            let rows: Vec<Row> = state.edits().cloned().collect();
            let journal = merge_onto_absence(version, &rows);
            for entry in &journal {
                tx.journal(&state.doc, entry, door.now).await?;
            }
            let deletion = view.deleted.unwrap_or_else(|| Deletion {
                at: read_time,
                delete_id: Some(tx.new_id()),
                purge_at: None,
            });
            state.rows.clear();
            state.base = Base::Absent {
                as_of,
                remains: Some((view.fields, deletion)),
            };
            Ok(Applied {
                merged: true,
                conflicts: journal.len() as u64,
                ..Applied::default()
            })
        }
    }
}

/// All rows become one creation, under a new number.
async fn recreate(
    tx: &mut WriteTx,
    state: &mut DocState,
    fields: Fields,
) -> Result<(), StoreError> {
    let incarnation = tx.incarnations().await?.current;
    let Some(last) = state.rows.pop() else {
        return Ok(());
    };
    let row = Row {
        n: 0,
        incarnation,
        op_id: tx.new_id(),
        op: RowOp::Create { fields },
        sent: false,
        parked: None,
        ..last.row
    };
    state.rows.clear();
    state.rows.push(OutboxRow { row, ..last });
    Ok(())
}
