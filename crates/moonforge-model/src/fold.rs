//! Folding: base ⊕ rows, which is both what a person sees and what a write carries.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::id::MAX_NAME_BYTES;
use crate::patch::{PatchOp, apply};
use crate::path::FieldPath;
use crate::row::{Row, RowOp};
use crate::time::Timestamp;
use crate::value::Fields;
use crate::version::{Deletion, EDITED_ALL, Version};

/// How long a tombstone keeps its content before an operator's TTL policy may remove it.
pub const TOMBSTONE_RETENTION: Duration = Duration::from_secs(90 * 24 * 3600);

/// base ⊕ rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Folded {
    /// The model's fields.
    pub fields: Fields,
    /// Set when the result is a tombstone.
    pub deleted: Option<Deletion>,
    /// Paths that a row touches, also where the value came out equal; none covers another.
    pub touched: Vec<FieldPath>,
    /// Whether a row deletes or restores.
    pub deletion_touched: bool,
    /// When a person edited which path, the base's entries included.
    pub edited: BTreeMap<String, Timestamp>,
}

/// Folds `rows`, in order, over `base`.
pub fn fold<'a>(base: Option<&Version>, rows: impl IntoIterator<Item = &'a Row>) -> Folded {
    let mut folded = Folded {
        fields: base.map(|b| b.fields.clone()).unwrap_or_default(),
        deleted: base.and_then(|b| b.envelope.deleted.clone()),
        touched: Vec::new(),
        deletion_touched: false,
        edited: base.map(|b| b.envelope.edited.clone()).unwrap_or_default(),
    };
    for row in rows {
        match &row.op {
            RowOp::Create { fields } => {
                for (name, value) in fields {
                    folded.fields.insert(name.clone(), value.clone());
                    folded.touch(FieldPath::field(name));
                }
                folded.edited.clear();
                folded.edited.insert(EDITED_ALL.to_owned(), row.edited_at);
            }
            RowOp::Patch { ops } => {
                for op in ops {
                    // The store checked the operation against what its author saw, and the merge against what came since;
                    // what still can't be applied leaves the value as it is.
                    let _ = apply(&mut folded.fields, op);
                    folded.touch(op.path().clone());
                    folded.mark_edited(op, row.edited_at);
                }
            }
            RowOp::Delete { delete_id } => {
                folded.deletion_touched = true;
                folded.deleted.get_or_insert_with(|| Deletion {
                    at: row.edited_at,
                    delete_id: Some(delete_id.clone()),
                    purge_at: Some(row.edited_at.saturating_add(TOMBSTONE_RETENTION)),
                });
            }
            RowOp::Restore { delete_id } => {
                folded.deletion_touched = true;
                if folded.deleted.as_ref().is_some_and(|d| d.is_of(delete_id)) {
                    folded.deleted = None;
                }
            }
        }
    }
    folded
}

impl Folded {
    fn touch(&mut self, path: FieldPath) {
        if self.touched.iter().any(|p| p.covers(&path)) {
            return;
        }
        self.touched.retain(|p| !path.covers(p));
        self.touched.push(path);
    }

    fn mark_edited(&mut self, op: &PatchOp, at: Timestamp) {
        // An entry is a field name, so a path whose text is longer than a name can be is entered under what is above it.
        let path = std::iter::successors(Some(op.path().clone()), FieldPath::parent)
            .find(|p| p.to_string().len() <= MAX_NAME_BYTES);
        let Some(path) = path else { return };
        let own = self.edited.get(&path.to_string()).copied();
        if op.replaces() {
            // What was edited later below a whole value was laid over it by the merge, and keeps its entry.
            self.edited.retain(|key, below_at| {
                *below_at > at
                    || !key
                        .parse::<FieldPath>()
                        .is_ok_and(|below| path.covers(&below))
            });
        }
        self.edited
            .insert(path.to_string(), own.map_or(at, |own| own.max(at)));
    }
}
