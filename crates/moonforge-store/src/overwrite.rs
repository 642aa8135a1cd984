//! What an edit takes away that its author hasn't seen: found before it is written, and entered in the journal with it.
//!
//! What was seen tells what was meant. An upsert has the snapshot that its author read; a patch has at most a rev, and a
//! rev says only whether something changed, not what.

use moonforge_model::{
    CollectionConfig, Conflict, ConflictContext, ConflictReason, FieldKind, FieldPath, Fields,
    LostSide, PatchOp, Side, diff, is_tagged, merge_text, standing, value_at,
};
use serde_json::{Map, Value};

/// What the author of an edit had seen.
#[derive(Debug)]
pub(crate) enum Seen {
    /// What is there now, or he doesn't care.
    Present,
    /// The version of that rev, which is older: what was in it, nobody knows.
    Rev(i64),
    /// This value at this place, and all else as it is now.
    Shown {
        /// Where.
        path: FieldPath,
        /// What; `None` where nothing was there.
        value: Option<Value>,
    },
    /// This, and he made that of it.
    Snapshot {
        /// The document as he read it.
        read: Fields,
        /// The document as he left it.
        left: Fields,
    },
}

/// What a mistaken upsert sends: each field of the form.
pub(crate) fn everything(left: &Fields) -> Vec<PatchOp> {
    let set = |(name, value): (&String, &Value)| PatchOp::Set {
        path: FieldPath::field(name),
        value: value.clone(),
    };
    left.iter().map(set).collect()
}

/// The edits that turn `read` into `left`.
///
/// Typed values leave out an empty map. So a map that isn't in `left` was emptied: of what was seen in it nothing stays, and
/// what others put into it does.
pub(crate) fn edits(config: &CollectionConfig, read: &Fields, left: &mut Fields) -> Vec<PatchOp> {
    for (name, value) in read {
        let is_open = match (config.kind_of(name), config.field(name)) {
            (FieldKind::KeyedMap, _) => true,
            (FieldKind::Map, Some(field)) => field.members.is_empty(),
            _ => false,
        };
        let was_map = value.as_object().is_some_and(|map| !is_tagged(map));
        if is_open && was_map && !left.contains_key(name) {
            left.insert(name.clone(), Value::Object(Map::new()));
        }
    }
    diff(config, read, left)
}

/// The edits as they make sense on what is there `now`.
///
/// An edit inside an entry of a keyed map that somebody removed brings the whole entry back, as its author left it: else
/// there would be an entry that consists of what he touched. An empty map takes nothing away from one that somebody began
/// meanwhile.
pub(crate) fn fitted(
    config: &CollectionConfig,
    seen: &Seen,
    now: &Fields,
    ops: Vec<PatchOp>,
) -> Vec<PatchOp> {
    let Seen::Snapshot { read, left } = seen else {
        return ops;
    };
    let mut fitted: Vec<PatchOp> = Vec::with_capacity(ops.len());
    for op in ops {
        let entry = config.keyed_entry(op.path()).filter(|entry| {
            entry != op.path() && value_at(read, entry).is_some() && value_at(now, entry).is_none()
        });
        if let Some(path) = entry {
            if let Some(value) = value_at(left, &path).cloned()
                && fitted.iter().all(|op| *op.path() != path)
            {
                fitted.push(PatchOp::Set { path, value });
            }
            continue;
        }
        let begins_empty =
            matches!(&op, PatchOp::Set { value: Value::Object(map), .. } if map.is_empty());
        let begun = begins_empty
            && value_at(read, op.path()).is_none()
            && value_at(now, op.path()).is_some_and(Value::is_object);
        if !begun {
            fitted.push(op);
        }
    }
    fitted
}

/// What `ops`, which turn `now` into `after`, take away unseen. `synced` is what is known of the remote.
pub(crate) fn unseen(
    seen: &Seen,
    ops: &[PatchOp],
    now: &Fields,
    after: &Fields,
    synced: Option<&Fields>,
) -> Vec<Conflict> {
    let mut found: Vec<Conflict> = Vec::new();
    for op in ops {
        let (path, there) = standing(now, op.path());
        let kept = value_at(after, &path);
        if there == kept || was_seen(seen, op, &path, there) {
            continue;
        }
        let lost_side = match synced {
            Some(synced) if value_at(synced, &path) == there => LostSide::Remote,
            _ => LostSide::Local,
        };
        let conflict = match (op, there) {
            (PatchOp::Text { from, to, path: at }, Some(Value::String(there))) if *at == path => {
                lost_lines(&path, from, to, there, lost_side)
            }
            (PatchOp::Set { .. } | PatchOp::Unset { .. } | PatchOp::Text { .. }, there) => {
                Some(overwritten(&path, kept.cloned(), there.cloned(), lost_side))
            }
            // They work on what is there.
            _ => None,
        };
        // Two edits may have met the same value in their way.
        found.extend(conflict.filter(|c| found.iter().all(|f| f.field != c.field)));
    }
    found
}

fn was_seen(seen: &Seen, op: &PatchOp, path: &FieldPath, there: Option<&Value>) -> bool {
    if let PatchOp::Text { from, path: at, .. } = op
        && at == path
    {
        return there.and_then(Value::as_str) == Some(from);
    }
    match seen {
        Seen::Present => true,
        Seen::Rev(_) => false,
        Seen::Shown { path: at, value } => {
            at != path || value.as_ref() == there.filter(|there| !there.is_null())
        }
        Seen::Snapshot { read, .. } => value_at(read, path) == there,
    }
}

/// Lines of `there` that an edit of `from` to `to` overwrites.
fn lost_lines(
    path: &FieldPath,
    from: &str,
    to: &str,
    there: &str,
    lost_side: LostSide,
) -> Option<Conflict> {
    let ours = merge_text(from, to, there, Side::Ours);
    if ours.lost.is_empty() {
        return None;
    }
    let theirs = merge_text(from, to, there, Side::Theirs);
    let lines = |of: fn(&moonforge_model::LostHunk) -> &str| {
        Value::String(ours.lost.iter().map(of).collect())
    };
    Some(Conflict {
        field: path.to_string(),
        kept: lines(|hunk| &hunk.kept),
        lost: lines(|hunk| &hunk.lost),
        lost_side,
        reason: ConflictReason::Overwritten,
        bring_back: vec![PatchOp::Text {
            path: path.clone(),
            from: ours.text,
            to: theirs.text,
        }],
        context: ConflictContext::default(),
    })
}

fn overwritten(
    path: &FieldPath,
    kept: Option<Value>,
    lost: Option<Value>,
    lost_side: LostSide,
) -> Conflict {
    let bring_back = match lost.clone() {
        Some(value) => PatchOp::Set {
            path: path.clone(),
            value,
        },
        None => PatchOp::Unset { path: path.clone() },
    };
    Conflict {
        field: path.to_string(),
        kept: kept.unwrap_or_default(),
        lost: lost.unwrap_or_default(),
        lost_side,
        reason: ConflictReason::Overwritten,
        bring_back: vec![bring_back],
        context: ConflictContext::default(),
    }
}
