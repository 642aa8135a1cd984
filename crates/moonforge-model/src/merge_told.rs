//! What a merge tells the journal: both sides, when, by whom, and why.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::conflict::{Conflict, ConflictContext, ConflictReason, DecidedBy, LostSide};
use crate::merge::lay_over;
use crate::merge_path::{Decision, Outcome, PathMerge};
use crate::patch::PatchOp;
use crate::path::FieldPath;
use crate::time::Timestamp;
use crate::value::{standing, value_at};
use crate::version::Version;

impl PathMerge<'_> {
    /// The journal's entries for a decided path: what was lost there, on either side.
    pub(crate) fn journal(&self, path: &FieldPath, decision: &Decision) -> Vec<Conflict> {
        let theirs = value_at(&self.theirs.fields, path);
        let ours = value_at(self.ours, path);
        if path.root() == "createdAt" || ours == theirs || !self.changed(path) {
            return Vec::new();
        }
        // A value that stood in the way of the path went with it: it is told where it stood.
        let here = |path: &FieldPath, kept: Option<&Value>| {
            let (at, lost) = standing(self.ours, path);
            let kept = match at == *path {
                true => kept,
                false => value_at(&self.theirs.fields, &at),
            };
            self.lost_here(&at, kept.cloned(), lost.cloned(), decision)
        };
        let there = |path: &FieldPath, kept: Option<Value>| {
            let (at, _) = standing(&self.theirs.fields, path);
            let kept = match at == *path {
                true => kept,
                false => value_at(self.ours, &at).cloned(),
            };
            self.lost_there(&at, kept, decision)
        };
        let differ = |part: &&FieldPath| {
            standing(self.ours, part).1 != standing(&self.theirs.fields, part).1
        };
        let mut told: Vec<Conflict> = match &decision.outcome {
            Outcome::Beside | Outcome::Joined(_) | Outcome::Absorbed => Vec::new(),
            Outcome::Lost => vec![here(path, theirs)],
            Outcome::Stands => vec![there(path, ours.cloned())],
            Outcome::Custom(value) => {
                vec![here(path, Some(value)), there(path, Some(value.clone()))]
            }
            Outcome::Laid {
                value,
                parts,
                parts_of: LostSide::Remote,
            } => {
                // What is as in the base isn't ours: an earlier merge took it from others.
                let written = |part: &&FieldPath| {
                    let (at, ours) = standing(self.ours, part);
                    self.base.is_none_or(|b| value_at(&b.fields, &at) != ours)
                };
                let mine = parts.iter().filter(differ).filter(written);
                let mine = mine.map(|part| here(part, value_at(&self.theirs.fields, part)));
                let whole = (!self.only_parts_moved(path, parts, theirs, |part| {
                    value_at(&self.theirs.fields, part).cloned()
                }))
                .then(|| there(path, value.clone()));
                mine.chain(whole).collect()
            }
            Outcome::Laid {
                value,
                parts,
                parts_of: LostSide::Local,
            } => {
                let their = parts.iter().filter(differ);
                let their = their.map(|part| there(part, value_at(self.ours, part).cloned()));
                let whole = (!self.only_parts_moved(path, parts, ours, |part| {
                    value_at(self.ours, part).cloned()
                }))
                .then(|| here(path, value.as_ref()));
                their.chain(whole).collect()
            }
        };
        // Two parts may have met the same value in their way.
        let mut seen = BTreeSet::new();
        told.retain(|c| seen.insert((c.field.clone(), c.lost_side)));
        told
    }

    /// Whether a side, which has `side` at `path`, changed nothing there but these parts of it.
    fn only_parts_moved(
        &self,
        path: &FieldPath,
        parts: &[FieldPath],
        side: Option<&Value>,
        part_of: impl Fn(&FieldPath) -> Option<Value>,
    ) -> bool {
        let base = self.base.and_then(|b| value_at(&b.fields, path)).cloned();
        let moved = parts.iter().map(|part| (part.clone(), part_of(part)));
        lay_over(path, base, moved).as_ref() == side
    }

    pub(crate) fn lost_there(
        &self,
        path: &FieldPath,
        kept: Option<Value>,
        decision: &Decision,
    ) -> Conflict {
        let theirs = value_at(&self.theirs.fields, path).cloned();
        Conflict {
            field: path.to_string(),
            kept: kept.unwrap_or_default(),
            lost: theirs.clone().unwrap_or_default(),
            lost_side: LostSide::Remote,
            reason: ConflictReason::Overwritten,
            bring_back: set_or_unset(path, theirs),
            context: self.context_of(path, LostSide::Remote, decision),
        }
    }

    pub(crate) fn lost_here(
        &self,
        path: &FieldPath,
        kept: Option<Value>,
        ours: Option<Value>,
        decision: &Decision,
    ) -> Conflict {
        Conflict {
            field: path.to_string(),
            kept: kept.unwrap_or_default(),
            lost: ours.clone().unwrap_or_default(),
            lost_side: LostSide::Local,
            reason: reason(decision.by),
            bring_back: set_or_unset(path, ours),
            context: self.context_of(path, LostSide::Local, decision),
        }
    }

    /// When, by whom and how `path` was decided.
    pub(crate) fn context_of(
        &self,
        path: &FieldPath,
        lost: LostSide,
        decision: &Decision,
    ) -> ConflictContext {
        let ours = (
            Some(decision.ours_at.min(self.read_time)),
            self.context.uid.map(str::to_owned).into_iter().collect(),
        );
        let theirs = (Some(self.their_time(path)), self.their_writers());
        let ((kept_at, kept_by), (lost_at, lost_by)) = match (lost, &decision.outcome) {
            (LostSide::Local, Outcome::Custom(_)) => ((None, Vec::new()), ours),
            (LostSide::Remote, Outcome::Custom(_)) => ((None, Vec::new()), theirs),
            (LostSide::Local, _) => (theirs, ours),
            (LostSide::Remote, _) => (ours, theirs),
        };
        ConflictContext {
            base: self.base.and_then(|b| value_at(&b.fields, path)).cloned(),
            kept_at,
            kept_by,
            lost_at,
            lost_by,
            entry: None,
            decided_by: decision.by,
        }
    }

    pub(crate) fn their_writers(&self) -> Vec<String> {
        writers_since(self.base, self.theirs)
    }
}

/// The accounts that wrote to a document since `base`.
pub(crate) fn writers_since(base: Option<&Version>, theirs: &Version) -> Vec<String> {
    let before = base.map(|b| &b.envelope.writers);
    let writers = theirs.envelope.writers.iter();
    writers
        .filter(|(uid, marks)| before.and_then(|b| b.get(*uid)) != Some(*marks))
        .map(|(uid, _)| uid.clone())
        .collect()
}

/// When our edits and theirs were made, where a delete met edits.
pub(crate) fn around_delete(
    base: Option<&Version>,
    theirs: &Version,
    uid: Option<&str>,
    ours_at: Timestamp,
    lost: LostSide,
) -> ConflictContext {
    let envelope = &theirs.envelope;
    let deleted_at = envelope.deleted.as_ref().map(|d| d.at);
    let theirs_at = deleted_at
        .or(envelope.updated_at)
        .unwrap_or(envelope.update_time);
    let ours = (Some(ours_at), uid.map(str::to_owned).into_iter().collect());
    let theirs = (Some(theirs_at), writers_since(base, theirs));
    let ((kept_at, kept_by), (lost_at, lost_by)) = match lost {
        LostSide::Local => (theirs, ours),
        LostSide::Remote => (ours, theirs),
    };
    ConflictContext {
        kept_at,
        kept_by,
        lost_at,
        lost_by,
        ..ConflictContext::default()
    }
}

/// Why ours did not stay.
pub(crate) fn reason(by: Option<DecidedBy>) -> ConflictReason {
    match by {
        Some(DecidedBy::Manual) => ConflictReason::Undecided,
        _ => ConflictReason::Overwritten,
    }
}

fn set_or_unset(path: &FieldPath, value: Option<Value>) -> Vec<PatchOp> {
    vec![match value {
        Some(value) => PatchOp::Set {
            path: path.clone(),
            value,
        },
        None => PatchOp::Unset { path: path.clone() },
    }]
}
