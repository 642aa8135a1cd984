//! Settling entries of the journal, and taking that back: each a new edit with a row of its own.
//!
//! A person decides by what the entry shows. So what a resolution replaces is compared with what the entry kept: where
//! somebody edited the place since, that edit goes to the journal in turn. And an undo puts back only what is still as the
//! resolution left it; a later edit stays.

use moonforge_model::{
    CollectionConfig, ConflictReason, DecidedBy, FieldPath, Fields, PatchOp, RowOp, Side,
    Timestamp, canonical_fields, canonical_op, check_patch, merge_text, set_at, standing, value_at,
    without_reserved,
};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use crate::discard::WHOLE;
use crate::edit::{EditTime, Written};
use crate::error::StoreError;
use crate::journal::JournalEntry;
use crate::open::Store;
use crate::overwrite::Seen;
use crate::tx::WriteTx;

/// How a person settles an entry.
#[derive(Clone, Debug, PartialEq)]
pub enum Resolution {
    /// What was kept is right.
    Keep,
    /// What was lost is written again, as a new edit.
    Take,
    /// This is written, as a new edit: the value of the whole field, also where the entry is about lines of a text; for an
    /// entry of a whole document, an object of its fields.
    Value(Value),
}

/// How an entry was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResolvedBy {
    /// A person kept what was there.
    Keep,
    /// A person took what was lost.
    Take,
    /// A person wrote something else.
    Value,
    /// The app's resolver decided in the merge.
    Resolver,
}

/// What taking a resolution back came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undone {
    /// Paths that have again what they had before the resolution; `*` is the whole document.
    pub restored: Vec<String>,
    /// Paths that were edited, or whose document was deleted, since: they stay as they are.
    pub left: Vec<String>,
}

/// How an entry was settled, and what that wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settled {
    pub(crate) by: ResolvedBy,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    wrote: Vec<Wrote>,
    /// The document that it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made: Option<Fields>,
}

/// One edit of a resolution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Wrote {
    op: PatchOp,
    /// The path that changed: the edit's own, or what stood in its way above it.
    path: FieldPath,
    #[serde(default, with = "present")]
    before: Option<Value>,
    #[serde(default, with = "present")]
    after: Option<Value>,
}

/// Absence and null are different things: a list of one or none.
mod present {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
    use serde_json::Value;

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Value>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        value.iter().collect::<Vec<_>>().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Value>, D::Error> {
        Ok(Vec::<Value>::deserialize(from)?.into_iter().next())
    }
}

impl Settled {
    pub(crate) fn by(by: ResolvedBy) -> Self {
        Self {
            by,
            wrote: Vec::new(),
            made: None,
        }
    }
}

impl Store {
    /// Settles an entry, with the edit that this takes, in one transaction. Says what was written; `None` where nothing
    /// had to be.
    ///
    /// # Errors
    /// [`StoreError::NoSuch`], [`StoreError::AlreadySettled`]; [`StoreError::NothingToBringBack`] of a take,
    /// [`StoreError::NotAField`] of a value; and those of a patch.
    pub async fn resolve_conflict(
        &self,
        id: u64,
        resolution: Resolution,
        at: EditTime,
    ) -> Result<Option<Written>, StoreError> {
        self.write(move |tx| Box::pin(async move { tx.resolve(id, resolution, at).await }))
            .await
    }

    /// Marks an entry as settled by a person: what was kept is right.
    pub async fn settle_conflict(&self, id: u64, now: Timestamp) -> Result<(), StoreError> {
        let done = self.resolve_conflict(id, Resolution::Keep, EditTime::at(now));
        done.await.map(|_| ())
    }

    /// Writes what an entry lost again, as a new edit, and marks it as settled. Only an entry that holds a whole document
    /// makes it again where there is none.
    pub async fn take_conflict(&self, id: u64, at: EditTime) -> Result<Written, StoreError> {
        let done = self.resolve_conflict(id, Resolution::Take, at).await?;
        done.ok_or(StoreError::NothingToBringBack(id))
    }

    /// Takes a resolution back: the entry is open again, and what the resolution wrote is undone by a new edit, as far as
    /// nobody edited it since.
    ///
    /// # Errors
    /// [`StoreError::NoSuch`], [`StoreError::NotSettled`], and those of a patch.
    pub async fn undo_resolution(&self, id: u64, at: EditTime) -> Result<Undone, StoreError> {
        self.write(move |tx| Box::pin(async move { tx.undo_resolution(id, at).await }))
            .await
    }
}

impl WriteTx {
    async fn resolve(
        &mut self,
        id: u64,
        resolution: Resolution,
        at: EditTime,
    ) -> Result<Option<Written>, StoreError> {
        let entry = self.open_conflict(id).await?;
        let by = match &resolution {
            Resolution::Keep => {
                let settled = Settled::by(ResolvedBy::Keep);
                self.settle_conflict(id, &settled, at.local).await?;
                return Ok(None);
            }
            Resolution::Take => ResolvedBy::Take,
            Resolution::Value(_) => ResolvedBy::Value,
        };
        let doc = entry.doc.clone();
        let config = self.config(&doc.collection)?;
        let before = self.load(&doc).await?;
        let (before, rows) = (before.view(), before.rows.len());
        let shown = before.as_ref().map(|view| &view.fields);
        let ops = match resolution {
            Resolution::Value(value) => custom(&entry, value).ok_or(StoreError::NotAField(id))?,
            _ => brought_back(&config, &entry, shown),
        };
        if ops.is_empty() {
            return Err(StoreError::NothingToBringBack(id));
        }
        let written = if entry.conflict.field == WHOLE {
            self.bring_back(&doc, ops, at).await?
        } else {
            check_patch(&ops)?;
            let seen = seen(&entry);
            let ops = ops.into_iter().map(canonical_op).collect();
            self.edit(&doc, seen, ops, at).await?
        };
        let mut settled = Settled::by(by);
        let after = self.load(&doc).await?;
        if let (Some(row), Some(view)) =
            (after.rows.get(rows..).and_then(<[_]>::last), after.view())
        {
            let before = before.map(|view| view.fields).unwrap_or_default();
            match &row.row.op {
                RowOp::Create { fields } => settled.made = Some(fields.clone()),
                RowOp::Patch { ops } => {
                    let wrote = |op: &PatchOp| wrote(op, &before, &view.fields);
                    settled.wrote = ops.iter().map(wrote).collect();
                }
                RowOp::Delete { .. } | RowOp::Restore { .. } => {}
            }
        }
        self.settle_conflict(id, &settled, at.local).await?;
        Ok(Some(written))
    }

    async fn undo_resolution(&mut self, id: u64, at: EditTime) -> Result<Undone, StoreError> {
        let (entry, settled) = self.settled_conflict(id).await?;
        let mut undone = Undone::default();
        let Settled { wrote, made, .. } = settled;
        if let Some(made) = made {
            let state = self.load(&entry.doc).await?;
            let live = state.view().filter(|view| view.deleted.is_none());
            // What others hung below it since would go with it.
            let alone = self.with_descendants(entry.doc.clone()).await?.len() == 1;
            if alone && live.is_some_and(|view| view.fields == made) {
                self.delete(entry.doc.clone(), at).await?;
                undone.restored.push(WHOLE.to_owned());
            } else {
                undone.left.push(WHOLE.to_owned());
            }
        } else if !wrote.is_empty() {
            let state = self.load(&entry.doc).await?;
            let live = state.view().filter(|view| view.deleted.is_none());
            let mut ops: Vec<PatchOp> = Vec::new();
            for wrote in &wrote {
                let back = live.as_ref().and_then(|view| wrote.back(&view.fields));
                let told = match back {
                    Some(op) => {
                        // A list's additions and removals stand for one path.
                        ops.push(op);
                        &mut undone.restored
                    }
                    None => &mut undone.left,
                };
                let path = wrote.path.to_string();
                if !told.contains(&path) {
                    told.push(path);
                }
            }
            if !ops.is_empty() {
                self.edit(&entry.doc, Seen::Present, ops, at).await?;
            }
        }
        self.reopen_conflict(id, at.local).await?;
        Ok(undone)
    }
}

/// What the person who settles an entry has before his eyes.
fn seen(entry: &JournalEntry) -> Seen {
    let conflict = &entry.conflict;
    let whole = !matches!(conflict.bring_back.first(), Some(PatchOp::Text { .. }));
    match conflict.field.parse::<FieldPath>() {
        Ok(path) if whole && conflict.reason != ConflictReason::MayHaveBeenApplied => Seen::Shown {
            path,
            value: Some(conflict.kept.clone()).filter(|kept| !kept.is_null()),
        },
        // A text's edit says itself what was seen.
        _ => Seen::Present,
    }
}

/// The edits that bring back what was lost, as they make sense on what is there now.
fn brought_back(
    config: &CollectionConfig,
    entry: &JournalEntry,
    now: Option<&Fields>,
) -> Vec<PatchOp> {
    let conflict = &entry.conflict;
    // Of an entry of a keyed map that is gone, no part comes back alone.
    if let (Some(whole), Some(now)) = (&conflict.context.entry, now)
        && let Ok(path) = conflict.field.parse::<FieldPath>()
        && let Some(path) = config.keyed_entry(&path)
        && value_at(now, &path).is_none()
    {
        let value = whole.clone();
        return vec![PatchOp::Set { path, value }];
    }
    conflict.bring_back.clone()
}

/// The edits that write a value of one's own. `None` where the entry isn't about one value.
fn custom(entry: &JournalEntry, value: Value) -> Option<Vec<PatchOp>> {
    let conflict = &entry.conflict;
    if conflict.field == WHOLE {
        let Value::Object(fields) = value else {
            return None;
        };
        let fields = canonical_fields(without_reserved(fields));
        let set = |(name, value): (String, Value)| PatchOp::Set {
            path: FieldPath::field(&name),
            value,
        };
        return Some(fields.into_iter().map(set).collect());
    }
    let of_a_field =
        !conflict.bring_back.is_empty() || conflict.reason == ConflictReason::TypeChanged;
    let path: FieldPath = conflict.field.parse().ok().filter(|_| of_a_field)?;
    Some(vec![match (conflict.bring_back.first(), value) {
        // The entry is about lines of this text, so that is what was looked at.
        (Some(PatchOp::Text { from, .. }), Value::String(to))
            if conflict.reason != ConflictReason::MayHaveBeenApplied =>
        {
            let from = from.clone();
            PatchOp::Text { path, from, to }
        }
        (_, value) => PatchOp::Set { path, value },
    }])
}

fn wrote(op: &PatchOp, before: &Fields, after: &Fields) -> Wrote {
    let (path, was) = standing(before, op.path());
    Wrote {
        op: op.clone(),
        before: was.cloned(),
        after: value_at(after, &path).cloned(),
        path,
    }
}

impl Wrote {
    /// The edit that undoes it on what is there `now`; `None` where a later one would go with it.
    fn back(&self, now: &Fields) -> Option<PatchOp> {
        let path = self.path.clone();
        let there = value_at(now, &path);
        let untouched = there == self.after.as_ref();
        let op = match (&self.op, &self.before, there) {
            (PatchOp::Increment { by, .. }, Some(Value::Number(_)), Some(Value::Number(_))) => {
                let by = negated(by)?;
                Some(PatchOp::Increment { path, by })
            }
            (
                PatchOp::ArrayUnion { values, .. },
                Some(Value::Array(before)),
                Some(Value::Array(_)),
            ) => {
                let mut values = values.clone();
                values.retain(|value| !before.contains(value));
                Some(PatchOp::ArrayRemove { path, values })
            }
            (
                PatchOp::ArrayRemove { values, .. },
                Some(Value::Array(before)),
                Some(Value::Array(_)),
            ) => {
                let mut values = values.clone();
                values.retain(|value| before.contains(value));
                Some(PatchOp::ArrayUnion { path, values })
            }
            (PatchOp::Text { .. }, Some(Value::String(to)), Some(Value::String(now))) => {
                let from = self.after.as_ref()?.as_str()?;
                let nothing_lost = merge_text(from, to, now, Side::Ours).lost.is_empty();
                let (from, to) = (from.to_owned(), to.clone());
                return nothing_lost.then_some(PatchOp::Text { path, from, to });
            }
            _ => None,
        };
        op.or_else(|| {
            let path = self.path.clone();
            untouched.then(|| match self.before.clone() {
                Some(value) => PatchOp::Set { path, value },
                None => PatchOp::Unset { path },
            })
        })
    }
}

fn negated(by: &Number) -> Option<Number> {
    match by.as_i64() {
        Some(by) => by.checked_neg().map(Number::from),
        None => Number::from_f64(-by.as_f64()?),
    }
}

/// `now` with what a person saw at one place.
pub(crate) fn as_shown(now: &Fields, path: &FieldPath, value: Option<&Value>) -> Fields {
    let mut shown = now.clone();
    match value {
        Some(value) => set_at(&mut shown, path, value.clone()),
        None => {
            moonforge_model::unset_at(&mut shown, path);
        }
    }
    shown
}

/// How an entry is settled as it is entered: only what the app's resolver decided is.
pub(crate) fn settled_by_the_app(decided_by: Option<DecidedBy>) -> Option<Settled> {
    (decided_by == Some(DecidedBy::Resolver)).then(|| Settled::by(ResolvedBy::Resolver))
}
