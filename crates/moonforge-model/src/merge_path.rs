//! One path of a merge: did they change it, who wins, and what becomes of our edit.

use serde_json::Value;

use crate::conflict::{Conflict, ConflictReason, LostSide};
use crate::coverage::reached;
use crate::merge::lay_over;
use crate::patch::{PatchOp, apply};
use crate::path::FieldPath;
use crate::schema::{CollectionConfig, FieldPolicy};
use crate::text::{Side, merge_text};
use crate::time::Timestamp;
use crate::value::{Fields, canonical, set_at, value_at};
use crate::version::Version;

/// What becomes of a set or an unset.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// Nobody else touched the path, or ours is the later edit.
    Stands,
    /// Ours is later than the path as a whole, theirs than parts of it: theirs' parts laid over ours.
    Laid {
        /// What comes of that.
        value: Option<Value>,
        /// The parts that stay theirs.
        parts: Vec<FieldPath>,
    },
    /// Theirs is the later edit.
    Lost,
}

/// The grounds on which paths are decided.
pub(crate) struct PathMerge<'a> {
    pub(crate) config: &'a CollectionConfig,
    pub(crate) base: Option<&'a Version>,
    pub(crate) theirs: &'a Version,
    /// base ⊕ rows: what the person here sees.
    pub(crate) ours: &'a Fields,
    pub(crate) read_time: Timestamp,
}

impl PathMerge<'_> {
    /// The value at `path`, or what stands in its way: a value above it that is no map.
    fn at<'v>(fields: &'v Fields, path: &FieldPath) -> Option<&'v Value> {
        let mut value = fields.get(path.root())?;
        for name in &path.segments()[1..] {
            match value {
                Value::Object(map) => value = map.get(name)?,
                blocking => return Some(blocking),
            }
        }
        Some(value)
    }

    /// Whether they changed `path`: its value, or when it (or what is above or below it) was edited.
    fn changed(&self, path: &FieldPath) -> bool {
        let theirs = Self::at(&self.theirs.fields, path);
        let Some(base) = self.base else {
            return theirs.is_some();
        };
        Self::at(&base.fields, path) != theirs
            || self.edited_moved(path)
            || self.edited_below_moved(path)
    }

    fn edited_below_moved(&self, path: &FieldPath) -> bool {
        let base = self.base.map(|b| &b.envelope.edited);
        self.theirs
            .envelope
            .edited_below(path)
            .any(|(p, at)| base.and_then(|e| e.get(&p.to_string())) != Some(&at))
    }

    fn edited_moved(&self, path: &FieldPath) -> bool {
        self.theirs.envelope.edited_above(path)
            != self.base.and_then(|b| b.envelope.edited_above(path))
    }

    /// When they edited `path` as a whole: its own newest `edited` or one above it, where that is new and credible;
    /// for clients that don't keep `edited`, the document's `updatedAt`; for those that forget that too, its version's time.
    fn their_time(&self, path: &FieldPath) -> Timestamp {
        let envelope = &self.theirs.envelope;
        let updated = envelope.updated_at.unwrap_or(envelope.update_time);
        let entry = envelope.edited_above(path).filter(|at| *at <= updated);
        match entry {
            Some(at)
                if self.base.is_none()
                    || self.edited_moved(path)
                    || self.edited_below_moved(path) =>
            {
                at
            }
            _ if self
                .base
                .is_some_and(|b| b.envelope.updated_at == envelope.updated_at) =>
            {
                envelope.update_time
            }
            _ => updated,
        }
    }

    /// Whether an edit of ours at `at` stands against theirs of `path` at `theirs_at`.
    fn ours_wins(
        &self,
        path: &FieldPath,
        at: Timestamp,
        theirs_at: Timestamp,
        value: Option<&Value>,
    ) -> bool {
        match self.config.policy(path) {
            FieldPolicy::LocalWins => return true,
            FieldPolicy::RemoteWins => return false,
            FieldPolicy::LaterWins => {}
        }
        let text = |v: Option<&Value>| v.map(canonical).unwrap_or_default();
        let ours_at = at.min(self.read_time);
        (ours_at, text(value)) > (theirs_at, text(Self::at(&self.theirs.fields, path)))
    }

    /// What becomes of a set or unset that nothing of ours replaced later.
    pub(crate) fn decide(&self, op: &PatchOp, edited_at: Timestamp) -> Outcome {
        let outcome = self.outcome(op, edited_at);
        reached(|| {
            let what = match (&outcome, self.changed(op.path())) {
                (Outcome::Stands, false) => "beside theirs",
                (Outcome::Stands, true) => "later than theirs",
                (Outcome::Laid { .. }, _) => "laid under parts of theirs",
                (Outcome::Lost, _) => "earlier than theirs",
            };
            format!("merge: a set {what}")
        });
        outcome
    }

    fn outcome(&self, op: &PatchOp, edited_at: Timestamp) -> Outcome {
        let path = op.path();
        let value = match op {
            PatchOp::Set { value, .. } => Some(value),
            _ => None,
        };
        let theirs = Self::at(&self.theirs.fields, path);
        if !self.changed(path) || value == theirs {
            return Outcome::Stands;
        }
        match path.root() {
            // Immutable from the first write on.
            "campaignId" if theirs.is_some() => return Outcome::Lost,
            "createdAt" => return self.decide_created_at(value, theirs),
            _ => {}
        }
        if !self.ours_wins(path, edited_at, self.their_time(path), value) {
            return Outcome::Lost;
        }
        // Ours is later than the whole; parts that they edited later still stay theirs.
        let mut later: Vec<(FieldPath, Option<Value>)> = Vec::new();
        for (below, at) in self.theirs.envelope.edited_below(path) {
            let ours = value.and_then(|v| self.inside(path, v, &below));
            if self.ours_wins(&below, edited_at, at, ours.as_ref()) {
                continue;
            }
            let stays = self.whole_entry(path, value, below);
            if !later.iter().any(|(p, _)| p.covers(&stays)) {
                let theirs = value_at(&self.theirs.fields, &stays).cloned();
                later.push((stays, theirs));
            }
        }
        if later.is_empty() {
            return Outcome::Stands;
        }
        let parts = later.iter().map(|(part, _)| part.clone()).collect();
        match lay_over(path, value.cloned(), later) {
            laid if laid.as_ref() == theirs => Outcome::Lost,
            value => Outcome::Laid { value, parts },
        }
    }

    /// What stays theirs at `below`: the whole entry of a keyed map where ours has none, for half an entry is nobody's.
    fn whole_entry(&self, path: &FieldPath, value: Option<&Value>, below: FieldPath) -> FieldPath {
        let entry = self.config.keyed_entry(&below).filter(|entry| {
            path.covers(entry) && value.and_then(|v| self.inside(path, v, entry)).is_none()
        });
        entry.unwrap_or(below)
    }

    fn decide_created_at(&self, ours: Option<&Value>, theirs: Option<&Value>) -> Outcome {
        let time = |v: Option<&Value>| v?.as_str()?.parse::<Timestamp>().ok();
        match (time(ours), time(theirs)) {
            (Some(ours), Some(theirs)) if ours < theirs => Outcome::Stands,
            (Some(_), None) => Outcome::Stands,
            _ => Outcome::Lost,
        }
    }

    /// The part of `value`, which stands at `path`, that is at `below`.
    fn inside(&self, path: &FieldPath, value: &Value, below: &FieldPath) -> Option<Value> {
        below.segments()[path.segments().len()..]
            .iter()
            .try_fold(value, |v, name| v.as_object()?.get(name))
            .cloned()
    }

    /// The journal's entries for a decided path: what was lost there, on either side.
    pub(crate) fn journal(&self, path: &FieldPath, outcome: &Outcome) -> Vec<Conflict> {
        let theirs = Self::at(&self.theirs.fields, path);
        let ours = value_at(self.ours, path);
        if path.root() == "createdAt" || ours == theirs || !self.changed(path) {
            return Vec::new();
        }
        match outcome {
            Outcome::Lost => vec![self.lost_here(path, ours.cloned())],
            Outcome::Stands => vec![self.lost_there(path, ours.cloned())],
            Outcome::Laid { value, parts } => {
                let mine = parts.iter().filter_map(|part| {
                    let ours = value_at(self.ours, part);
                    // What is as in the base isn't ours: an earlier merge took it from others.
                    let written = self.base.is_none_or(|b| value_at(&b.fields, part) != ours);
                    (written && ours != Self::at(&self.theirs.fields, part))
                        .then(|| self.lost_here(part, ours.cloned()))
                });
                let whole = (!self.only_parts_moved(path, parts))
                    .then(|| self.lost_there(path, value.clone()));
                mine.chain(whole).collect()
            }
        }
    }

    /// Whether they changed nothing at `path` but these parts of it.
    fn only_parts_moved(&self, path: &FieldPath, parts: &[FieldPath]) -> bool {
        let base = self.base.and_then(|b| value_at(&b.fields, path)).cloned();
        let theirs = parts
            .iter()
            .map(|part| (part.clone(), value_at(&self.theirs.fields, part).cloned()));
        lay_over(path, base, theirs).as_ref() == Self::at(&self.theirs.fields, path)
    }

    fn lost_there(&self, path: &FieldPath, kept: Option<Value>) -> Conflict {
        let theirs = Self::at(&self.theirs.fields, path).cloned();
        Conflict {
            field: path.to_string(),
            kept: kept.unwrap_or_default(),
            lost: theirs.clone().unwrap_or_default(),
            lost_side: LostSide::Remote,
            reason: ConflictReason::Overwritten,
            bring_back: set_or_unset(path, theirs),
        }
    }

    fn lost_here(&self, path: &FieldPath, ours: Option<Value>) -> Conflict {
        Conflict {
            field: path.to_string(),
            kept: Self::at(&self.theirs.fields, path)
                .cloned()
                .unwrap_or_default(),
            lost: ours.clone().unwrap_or_default(),
            lost_side: LostSide::Local,
            reason: ConflictReason::Overwritten,
            bring_back: set_or_unset(path, ours),
        }
    }

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
        if let Some(entry) = self.removed_entry(op.path()) {
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
            bring_back: vec![op],
        });
        None
    }

    /// The entry of a keyed map that holds `path` and that they removed.
    pub(crate) fn removed_entry(&self, path: &FieldPath) -> Option<FieldPath> {
        let entry = self
            .config
            .keyed_entry(path)
            .filter(|entry| entry != path)?;
        let had = self
            .base
            .is_some_and(|b| value_at(&b.fields, &entry).is_some());
        (had && value_at(&self.theirs.fields, &entry).is_none()).then_some(entry)
    }

    /// A change inside an entry against its removal: the later wins, and brings the whole entry back or lets it go.
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
        let wins = self.ours_wins(&entry, edited_at, self.their_time(&entry), ours.as_ref());
        match ours.filter(|_| wins) {
            Some(value) => {
                reached(|| "merge: a removed entry is brought back".to_owned());
                resurrected.push(entry.clone());
                conflicts.push(Conflict {
                    field: entry.to_string(),
                    kept: value.clone(),
                    lost: Value::Null,
                    lost_side: LostSide::Remote,
                    reason: ConflictReason::Overwritten,
                    bring_back: vec![PatchOp::Unset {
                        path: entry.clone(),
                    }],
                });
                Some(PatchOp::Set { path: entry, value })
            }
            None => {
                reached(|| "merge: an edit goes with its entry".to_owned());
                conflicts.push(Conflict {
                    reason: ConflictReason::Deleted,
                    bring_back: vec![op.clone()],
                    ..self.lost_here(op.path(), value_at(self.ours, op.path()).cloned())
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
            let outcome = self.decide(&set, edited_at);
            conflicts.extend(self.journal(&path, &outcome));
            return (outcome != Outcome::Lost).then_some(set);
        };
        if *there == from {
            return Some(PatchOp::Text { path, from, to });
        }
        let ours = Value::String(to.clone());
        let wins = !self.changed(&path)
            || self.ours_wins(&path, edited_at, self.their_time(&path), Some(&ours));
        let (winner, loser) = match wins {
            true => (Side::Ours, Side::Theirs),
            false => (Side::Theirs, Side::Ours),
        };
        let merged = merge_text(&from, &to, there, winner);
        // As it would be, had the other side won.
        let bring_back = match merged.lost.is_empty() {
            true => Vec::new(),
            false => vec![PatchOp::Text {
                path: path.clone(),
                from: merged.text.clone(),
                to: merge_text(&from, &to, there, loser).text,
            }],
        };
        reached(|| match merged.lost.is_empty() {
            true => "merge: texts join".to_owned(),
            false => "merge: texts overlap".to_owned(),
        });
        conflicts.extend(merged.lost.into_iter().map(|hunk| Conflict {
            field: path.to_string(),
            kept: Value::String(hunk.kept),
            lost: Value::String(hunk.lost),
            lost_side: if wins {
                LostSide::Remote
            } else {
                LostSide::Local
            },
            reason: ConflictReason::Overwritten,
            bring_back: bring_back.clone(),
        }));
        (merged.text != *there).then(|| PatchOp::Text {
            from: there.clone(),
            to: merged.text,
            path,
        })
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
