//! Edits that work on what is there: increments, list operations, edits of a text, and changes inside what was removed.

use serde_json::Value;

use crate::conflict::{Conflict, ConflictContext, ConflictReason, LostSide};
use crate::coverage::reached;
use crate::merge_path::{Beside, Decision, Outcome, PathMerge, Say};
use crate::merge_told::reason;
use crate::patch::{PatchOp, apply};
use crate::path::FieldPath;
use crate::text::{Side, merge_text};
use crate::time::Timestamp;
use crate::value::{Fields, set_at, value_at};

impl PathMerge<'_> {
    /// What becomes of an edit that works on what is there (an increment, a list operation, a text edit). `now` is
    /// theirs with our earlier edits on it.
    pub(crate) fn carry(
        &self,
        op: PatchOp,
        edited_at: Timestamp,
        now: &Fields,
        resurrected: &mut Vec<FieldPath>,
        conflicts: &mut Vec<Conflict>,
    ) -> Option<PatchOp> {
        let gone = self.removed_entry(op.path());
        if let Some(entry) = gone.or_else(|| self.lost_entry(op.path(), now)) {
            return self.carry_into_removed(op, entry, edited_at, resurrected, conflicts);
        }
        let there = Self::at(now, op.path());
        let fits = match (&op, there) {
            (PatchOp::Text { .. }, _) => {
                return self.carry_text(op, edited_at, now, conflicts);
            }
            (_, None | Some(Value::Null)) => true,
            // A sum that no number holds goes nowhere either.
            (PatchOp::Increment { path, .. }, Some(v)) => {
                let mut alone = Fields::new();
                set_at(&mut alone, path, v.clone());
                apply(&mut alone, &op).is_ok()
            }
            (PatchOp::ArrayUnion { .. } | PatchOp::ArrayRemove { .. }, Some(v)) => v.is_array(),
            (PatchOp::Set { .. } | PatchOp::Unset { .. }, _) => true,
        };
        if fits {
            return Some(op);
        }
        reached(|| "merge: an increment or list edit has nothing to work on".to_owned());
        conflicts.push(Conflict {
            field: op.path().to_string(),
            kept: there.cloned().unwrap_or_default(),
            lost: serde_json::to_value(&op).unwrap_or_default(),
            lost_side: LostSide::Local,
            reason: ConflictReason::TypeChanged,
            bring_back: vec![op.clone()],
            context: ConflictContext {
                decided_by: None,
                ..self.context_of(op.path(), LostSide::Local, &undecided(edited_at))
            },
        });
        None
    }

    /// The entry of a keyed map that holds `path` and that they removed.
    pub(crate) fn removed_entry(&self, path: &FieldPath) -> Option<FieldPath> {
        let entry = self.entry_not_there(path)?;
        let base = self.base.map(|b| &b.fields);
        base.is_some_and(|base| value_at(base, &entry).is_some())
            .then_some(entry)
    }

    /// The entry of a keyed map that holds `path`, where theirs has none of that name.
    pub(crate) fn entry_not_there(&self, path: &FieldPath) -> Option<FieldPath> {
        let entry = self
            .config
            .keyed_entry(path)
            .filter(|entry| entry != path)?;
        value_at(&self.theirs.fields, &entry)
            .is_none()
            .then_some(entry)
    }

    /// The entry that holds `path` and that we made, where theirs of that name is removed, and our making of it lost to that.
    fn lost_entry(&self, path: &FieldPath, now: &Fields) -> Option<FieldPath> {
        let entry = self.entry_not_there(path)?;
        let ours = value_at(self.ours, &entry).is_some() && value_at(now, &entry).is_none();
        (ours && self.changed(&entry)).then_some(entry)
    }

    /// A change inside an entry against its removal: the winner brings the whole entry back or lets it go.
    fn carry_into_removed(
        &self,
        op: PatchOp,
        entry: FieldPath,
        edited_at: Timestamp,
        resurrected: &mut Vec<FieldPath>,
        conflicts: &mut Vec<Conflict>,
    ) -> Option<PatchOp> {
        if resurrected.contains(&entry) {
            return None;
        }
        let ours = value_at(self.ours, &entry).cloned();
        let base = self.base.and_then(|b| value_at(&b.fields, &entry));
        let say = self.say(&entry, base, ours.as_ref(), None, edited_at);
        let by = Some(self.decided_by(&entry, &say));
        let decision = |outcome| Decision {
            outcome,
            by,
            ours_at: edited_at,
        };
        let wins = match &say {
            Say::Ours => true,
            Say::Theirs => false,
            Say::Custom(value) => {
                reached(|| "merge: a removed entry is brought back".to_owned());
                resurrected.push(entry.clone());
                let custom = decision(Outcome::Custom(value.clone()));
                conflicts.push(self.lost_here(&entry, Some(value.clone()), ours, &custom));
                conflicts.push(self.lost_there(&entry, Some(value.clone()), &custom));
                let value = value.clone();
                return Some(PatchOp::Set { path: entry, value });
            }
            Say::Nothing | Say::Failed => {
                self.ours_wins(&entry, edited_at, self.their_time(&entry), ours.as_ref())
            }
        };
        match ours.filter(|_| wins) {
            Some(value) => {
                reached(|| "merge: a removed entry is brought back".to_owned());
                resurrected.push(entry.clone());
                let stands = decision(Outcome::Stands);
                conflicts.push(self.lost_there(&entry, Some(value.clone()), &stands));
                Some(PatchOp::Set { path: entry, value })
            }
            None => {
                reached(|| "merge: an edit goes with its entry".to_owned());
                let kept = Self::at(&self.theirs.fields, op.path()).cloned();
                let lost = value_at(self.ours, op.path()).cloned();
                let told = self.lost_here(op.path(), kept, lost, &decision(Outcome::Lost));
                conflicts.push(Conflict {
                    reason: ConflictReason::Deleted,
                    bring_back: vec![op.clone()],
                    context: ConflictContext {
                        entry: value_at(self.ours, &entry).cloned(),
                        ..told.context
                    },
                    ..told
                });
                None
            }
        }
    }

    fn carry_text(
        &self,
        op: PatchOp,
        edited_at: Timestamp,
        now: &Fields,
        conflicts: &mut Vec<Conflict>,
    ) -> Option<PatchOp> {
        let PatchOp::Text { path, from, to } = op else {
            return Some(op);
        };
        let Some(Value::String(there)) = value_at(now, &path) else {
            let set = PatchOp::Set {
                path: path.clone(),
                value: Value::String(to),
            };
            let decision = self.decide(&set, edited_at, Beside::default());
            conflicts.extend(self.journal(&path, &decision));
            return match decision.outcome {
                Outcome::Lost | Outcome::Absorbed => None,
                Outcome::Custom(value) => Some(PatchOp::Set { path, value }),
                Outcome::Beside | Outcome::Joined(_) | Outcome::Laid { .. } | Outcome::Stands => {
                    Some(set)
                }
            };
        };
        if *there == from {
            return Some(PatchOp::Text { path, from, to });
        }
        let ours = Value::String(to.clone());
        let contested = self.changed(&path);
        let wins =
            !contested || self.ours_wins(&path, edited_at, self.their_time(&path), Some(&ours));
        let joined = |ours_win| {
            let winner = if ours_win { Side::Ours } else { Side::Theirs };
            merge_text(&from, &to, there, winner)
        };
        let overlap = !joined(wins).lost.is_empty();
        reached(|| match overlap {
            false => "merge: texts join".to_owned(),
            true => "merge: texts overlap".to_owned(),
        });
        let say = match overlap && contested {
            true => {
                let (base, theirs) = (Value::String(from.clone()), Value::String(there.clone()));
                self.say(&path, Some(&base), Some(&ours), Some(&theirs), edited_at)
            }
            false => Say::Nothing,
        };
        let mut decision = Decision {
            outcome: Outcome::Stands,
            by: (overlap && contested).then(|| self.decided_by(&path, &say)),
            ours_at: edited_at,
        };
        let wins = match say {
            Say::Ours => true,
            Say::Theirs => false,
            Say::Nothing | Say::Failed => wins,
            Say::Custom(value) => {
                decision.outcome = Outcome::Custom(value.clone());
                let kept = Some(value.clone());
                conflicts.push(self.lost_here(&path, kept.clone(), Some(ours), &decision));
                conflicts.push(self.lost_there(&path, kept, &decision));
                return Some(match value {
                    Value::String(to) => PatchOp::Text {
                        from: there.clone(),
                        to,
                        path,
                    },
                    value => PatchOp::Set { path, value },
                });
            }
        };
        let merged = joined(wins);
        // As it would be, had the other side won.
        let bring_back = match merged.lost.is_empty() {
            true => Vec::new(),
            false => vec![PatchOp::Text {
                path: path.clone(),
                from: merged.text.clone(),
                to: joined(!wins).text,
            }],
        };
        let lost_side = match wins {
            true => LostSide::Remote,
            false => LostSide::Local,
        };
        conflicts.extend(merged.lost.into_iter().map(|hunk| Conflict {
            field: path.to_string(),
            kept: Value::String(hunk.kept),
            lost: Value::String(hunk.lost),
            lost_side,
            reason: match wins {
                true => ConflictReason::Overwritten,
                false => reason(decision.by),
            },
            bring_back: bring_back.clone(),
            context: ConflictContext {
                // The text as a whole says nothing of these lines.
                base: None,
                ..self.context_of(&path, lost_side, &decision)
            },
        }));
        (merged.text != *there).then(|| PatchOp::Text {
            from: there.clone(),
            to: merged.text,
            path,
        })
    }
}

/// An edit on which nothing was weighed.
fn undecided(ours_at: Timestamp) -> Decision {
    Decision {
        outcome: Outcome::Lost,
        by: None,
        ours_at,
    }
}
