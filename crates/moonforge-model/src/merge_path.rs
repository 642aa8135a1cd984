//! One path of a merge: did they change it, who wins, and what becomes of our edit.

use serde_json::{Map, Value};

use crate::canonical::canonical_value;
use crate::conflict::{DecidedBy, LostSide};
use crate::coverage::reached;
use crate::intent::join_lists;
use crate::merge::lay_over;
use crate::patch::{PatchOp, is_tagged};
use crate::path::FieldPath;
use crate::policy::FieldPolicy;
use crate::resolver::{Contested, MergeContext, Verdict, ask};
use crate::schema::CollectionConfig;
use crate::time::Timestamp;
use crate::validate::validate_edit;
use crate::value::{Fields, canonical, set_at, standing, value_at};
use crate::version::Version;

/// What becomes of a set or an unset.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// Nobody else touched the path, or there is nothing between the two to decide.
    Beside,
    /// Ours wins.
    Stands,
    /// One side wins the path as a whole, the other parts of it: those are laid over it.
    Laid {
        /// What comes of that.
        value: Option<Value>,
        /// The parts that the side gets which loses the whole.
        parts: Vec<FieldPath>,
        /// The side that loses the whole.
        parts_of: LostSide,
    },
    /// Both count, and this comes of it.
    Joined(Option<Value>),
    /// Both count, and what comes of it is there already.
    Absorbed,
    /// Neither: this is the resolver's.
    Custom(Value),
    /// Theirs wins.
    Lost,
}

/// What becomes of a set or an unset, and who says so.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decision {
    pub(crate) outcome: Outcome,
    pub(crate) by: Option<DecidedBy>,
    /// When ours was written.
    pub(crate) ours_at: Timestamp,
}

/// What else of ours there is around an edit that is decided.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Beside {
    /// An earlier one replaces what is above it.
    pub(crate) above: bool,
    /// A later one is about something in it.
    pub(crate) below: bool,
}

/// What the resolver said of a place, as far as it could be used.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Say {
    /// Nothing: the policy decides.
    Nothing,
    /// It tried, and failed: the policy decides.
    Failed,
    /// One side.
    Ours,
    /// The other.
    Theirs,
    /// Something else.
    Custom(Value),
}

fn is_map(value: &Value) -> bool {
    value.as_object().is_some_and(|map| !is_tagged(map))
}

fn is_empty_map(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty)
}

/// The grounds on which paths are decided.
pub(crate) struct PathMerge<'a> {
    pub(crate) config: &'a CollectionConfig,
    pub(crate) base: Option<&'a Version>,
    pub(crate) theirs: &'a Version,
    /// base ⊕ rows: what the person here sees.
    pub(crate) ours: &'a Fields,
    pub(crate) read_time: Timestamp,
    pub(crate) context: MergeContext<'a>,
}

impl PathMerge<'_> {
    /// The value at `path`, or what stands in its way: a value above it that is no map.
    pub(crate) fn at<'v>(fields: &'v Fields, path: &FieldPath) -> Option<&'v Value> {
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
    pub(crate) fn changed(&self, path: &FieldPath) -> bool {
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

    fn entry_moved(&self, path: &FieldPath) -> bool {
        let key = path.to_string();
        let base = self.base.and_then(|b| b.envelope.edited.get(&key));
        self.theirs.envelope.edited.get(&key) != base
    }

    fn edited_moved(&self, path: &FieldPath) -> bool {
        self.theirs.envelope.edited_above(path)
            != self.base.and_then(|b| b.envelope.edited_above(path))
    }

    /// When they edited `path` as a whole: its own newest `edited` or one above it, where that is new and credible;
    /// for clients that don't keep `edited`, the document's `updatedAt`; for those that forget that too, its version's time.
    pub(crate) fn their_time(&self, path: &FieldPath) -> Timestamp {
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
    pub(crate) fn ours_wins(
        &self,
        path: &FieldPath,
        at: Timestamp,
        theirs_at: Timestamp,
        value: Option<&Value>,
    ) -> bool {
        match self.config.side_policy(path) {
            FieldPolicy::LocalWins => return true,
            FieldPolicy::RemoteWins | FieldPolicy::Manual => return false,
            _ => {}
        }
        let text = |v: Option<&Value>| v.map(canonical).unwrap_or_default();
        let ours_at = at.min(self.read_time);
        (ours_at, text(value)) > (theirs_at, text(Self::at(&self.theirs.fields, path)))
    }

    /// What decides at `path` unless the app does.
    pub(crate) fn decided_by(&self, path: &FieldPath, say: &Say) -> DecidedBy {
        match (say, self.config.side_policy(path)) {
            (Say::Ours | Say::Theirs | Say::Custom(_), _) => DecidedBy::Resolver,
            (Say::Failed, _) => DecidedBy::ResolverFailed,
            (Say::Nothing, FieldPolicy::RemoteWins) => DecidedBy::RemoteWins,
            (Say::Nothing, FieldPolicy::LocalWins) => DecidedBy::LocalWins,
            (Say::Nothing, FieldPolicy::Manual) => DecidedBy::Manual,
            (Say::Nothing, _) => DecidedBy::LaterWins,
        }
    }

    /// Asks the app about a contested place.
    pub(crate) fn say(
        &self,
        path: &FieldPath,
        base: Option<&Value>,
        ours: Option<&Value>,
        theirs: Option<&Value>,
        ours_at: Timestamp,
    ) -> Say {
        let Some((doc, resolver)) = self.context.resolver else {
            return Say::Nothing;
        };
        let contested = Contested {
            doc,
            path,
            base,
            ours,
            ours_at: ours_at.min(self.read_time),
            theirs,
            theirs_at: self.their_time(path),
        };
        let say = match ask(resolver, &contested) {
            Some(Verdict::Default) => Say::Nothing,
            Some(Verdict::Ours) => Say::Ours,
            Some(Verdict::Theirs) => Say::Theirs,
            Some(Verdict::Custom(value)) => {
                let value = canonical_value(path, value);
                match (Some(&value), self.can_stand(path, &value)) {
                    (custom, _) if custom == theirs => Say::Theirs,
                    (custom, _) if custom == ours => Say::Ours,
                    (_, true) => Say::Custom(value),
                    (_, false) => Say::Failed,
                }
            }
            None => Say::Failed,
        };
        reached(|| {
            let said = match &say {
                Say::Nothing => "nothing",
                Say::Failed => "what can't be used",
                Say::Ours => "ours",
                Say::Theirs => "theirs",
                Say::Custom(_) => "something else",
            };
            format!("merge: the resolver says {said}")
        });
        say
    }

    fn can_stand(&self, path: &FieldPath, value: &Value) -> bool {
        let mut with = self.theirs.fields.clone();
        set_at(&mut with, path, value.clone());
        validate_edit(self.config, &self.theirs.fields, &with).is_ok()
    }

    /// What becomes of a set or unset that nothing of ours replaced later.
    pub(crate) fn decide(&self, op: &PatchOp, edited_at: Timestamp, beside: Beside) -> Decision {
        let decision = self.decision(op, edited_at, beside);
        reached(|| {
            let what = match (&decision.outcome, self.changed(op.path())) {
                (Outcome::Beside, _) | (Outcome::Stands, false) => "beside theirs",
                (Outcome::Stands, true) => "later than theirs",
                (Outcome::Laid { parts_of, .. }, _) if *parts_of == LostSide::Remote => {
                    "laid under parts of theirs"
                }
                (Outcome::Laid { .. }, _) => "partly laid over theirs",
                (Outcome::Joined(_) | Outcome::Absorbed, _) => "joined with theirs",
                (Outcome::Custom(_), _) => "resolved",
                (Outcome::Lost, _) => "earlier than theirs",
            };
            format!("merge: a set {what}")
        });
        decision
    }

    fn decision(&self, op: &PatchOp, ours_at: Timestamp, beside: Beside) -> Decision {
        let path = op.path();
        let value = match op {
            PatchOp::Set { value, .. } => Some(value),
            _ => None,
        };
        let theirs = Self::at(&self.theirs.fields, path);
        let unasked = |outcome| Decision {
            outcome,
            by: None,
            ours_at,
        };
        let (at, _) = standing(&self.theirs.fields, path);
        if !beside.above && value.is_none() && at != *path {
            // Nothing is left of ours there, and no map any more either.
            return unasked(Outcome::Absorbed);
        }
        let there = value_at(&self.theirs.fields, path);
        if !self.changed(path) || value == there || self.theirs_only_began(path, value) {
            return unasked(Outcome::Beside);
        }
        // Who puts an empty map where nothing was, and no more, wants a map to be there; where they put one with members, it
        // is.
        let only_began = self.base.is_none() || !beside.below;
        if !beside.above
            && only_began
            && value.is_some_and(is_empty_map)
            && there.is_some_and(is_map)
            && self.began(path)
        {
            return unasked(Outcome::Absorbed);
        }
        match path.root() {
            // Immutable from the first write on.
            "campaignId" if theirs.is_some() => return unasked(Outcome::Lost),
            "createdAt" => return unasked(self.decide_created_at(value, theirs)),
            _ => {}
        }
        let base = self.base.and_then(|b| value_at(&b.fields, path));
        if self.config.stated(path) == Some(FieldPolicy::Set)
            && let Some(joined) = join_lists(base, value, theirs)
        {
            return unasked(match joined.as_ref() == theirs {
                true => Outcome::Absorbed,
                false => Outcome::Joined(joined),
            });
        }
        let say = self.say(path, base, value, theirs, ours_at);
        let by = Some(self.decided_by(path, &say));
        let outcome = match say {
            Say::Nothing | Say::Failed => self.by_policy(path, value, ours_at, beside),
            Say::Ours => Outcome::Stands,
            Say::Theirs => Outcome::Lost,
            Say::Custom(value) => Outcome::Custom(value),
        };
        Decision {
            outcome,
            by,
            ours_at,
        }
    }

    /// Whether nothing was at `path` when this began.
    fn began(&self, path: &FieldPath) -> bool {
        self.base
            .is_none_or(|b| value_at(&b.fields, path).is_none())
    }

    /// Whether all that they did at `path` or above it was to put an empty map where nothing was, and ours is such a map's
    /// content, or lies in it.
    fn theirs_only_began(&self, path: &FieldPath, value: Option<&Value>) -> bool {
        let begun = std::iter::successors(Some(path.clone()), FieldPath::parent).find(|above| {
            self.began(above) && value_at(&self.theirs.fields, above).is_some_and(is_empty_map)
        });
        begun.is_some_and(|begun| {
            let fits = begun != *path || value.is_some_and(is_map);
            // As part of something larger that they set whole, it is that thing's content.
            let part = std::iter::successors(begun.parent(), FieldPath::parent)
                .any(|above| self.entry_moved(&above));
            fits && !part && self.theirs.envelope.edited_below(&begun).next().is_none()
        })
    }

    fn by_policy(
        &self,
        path: &FieldPath,
        value: Option<&Value>,
        ours_at: Timestamp,
        beside: Beside,
    ) -> Outcome {
        let theirs = Self::at(&self.theirs.fields, path);
        let wins = self.ours_wins(path, ours_at, self.their_time(path), value);
        let mut later: Vec<(FieldPath, Option<Value>)> = Vec::new();
        // Whoever wins the whole, parts may be the other's: those that they edited later than ours set it all, and those
        // that a policy of their own gives away.
        let edited = self.theirs.envelope.edited_below(path).filter(|_| wins);
        for (below, theirs_at) in edited.chain(self.ruled_below(path, value)) {
            let ours = value.and_then(|v| self.inside(path, v, &below));
            if self.ours_wins(&below, ours_at, theirs_at, ours.as_ref()) == wins
                || wins && self.theirs_only_began(&below, ours.as_ref())
            {
                continue;
            }
            let stays = match wins {
                true => self.whole_entry(path, value, below),
                false => below,
            };
            if later.iter().any(|(p, _)| p.covers(&stays)) {
                continue;
            }
            let part = match wins {
                true => value_at(&self.theirs.fields, &stays).cloned(),
                false => value.and_then(|v| self.inside(path, v, &stays)),
            };
            later.push((stays, part));
        }
        if later.is_empty() {
            return match wins {
                true => Outcome::Stands,
                false => Outcome::Lost,
            };
        }
        let parts = later.iter().map(|(part, _)| part.clone()).collect();
        let (under, parts_of) = match wins {
            true => (value, LostSide::Remote),
            false => (theirs, LostSide::Local),
        };
        match lay_over(path, under.cloned(), later) {
            // Unless something earlier of ours stays above, which it would bring back.
            laid if laid.as_ref() == theirs && !beside.above => Outcome::Lost,
            value => Outcome::Laid {
                value,
                parts,
                parts_of,
            },
        }
    }

    /// The parts of `path` that have policies of their own and that both sides have different.
    fn ruled_below(&self, path: &FieldPath, value: Option<&Value>) -> Vec<(FieldPath, Timestamp)> {
        let base = self.base.and_then(|b| value_at(&b.fields, path));
        let theirs = Self::at(&self.theirs.fields, path);
        let differs = |below: &FieldPath| {
            self.changed(below)
                && value.and_then(|v| self.inside(path, v, below)).as_ref()
                    != Self::at(&self.theirs.fields, below)
        };
        let ruled = self.config.sides_below(path, [base, value, theirs]);
        let ruled = ruled.into_iter().filter(differs);
        ruled
            .map(|below| (below.clone(), self.their_time(&below)))
            .collect()
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
}
