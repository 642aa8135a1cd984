//! An app's own say in a conflict.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;

use crate::id::DocRef;
use crate::path::FieldPath;
use crate::time::Timestamp;

/// A place that two sides changed.
#[derive(Clone, Copy, Debug)]
pub struct Contested<'a> {
    /// The document.
    pub doc: &'a DocRef,
    /// The field, a member of a map, or a whole entry of a keyed map.
    pub path: &'a FieldPath,
    /// What both started from; `None` where nothing was there.
    pub base: Option<&'a Value>,
    /// What was written here; `None` where it was taken away.
    pub ours: Option<&'a Value>,
    /// When, in the remote's time.
    pub ours_at: Timestamp,
    /// What is at the remote; `None` where it was taken away.
    pub theirs: Option<&'a Value>,
    /// When it was written, as far as it tells.
    pub theirs_at: Timestamp,
}

/// What becomes of a contested place.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// What the field's policy says.
    Default,
    /// What was written here stays.
    Ours,
    /// What is at the remote stays.
    Theirs,
    /// This, as a new edit that goes to everybody.
    Custom(Value),
}

/// An app's own say in a conflict: asked for each place that two sides changed in ways that can't be joined, before the
/// policy.
///
/// The contract: the verdict follows from what is asked alone. No clock, no chance, no waiting, and no call of the
/// database, whose one writer waits for the answer. A verdict that doesn't depend on which side is called ours gives the
/// same document whoever syncs first; one that does is still the same on all devices, for there the first merge counts.
///
/// A resolver that panics, or whose value can't stand at the place, has said nothing: the policy decides, and the journal
/// says so.
pub trait ConflictResolver: Send + Sync {
    /// Decides.
    fn resolve(&self, contested: &Contested<'_>) -> Verdict;
}

impl<F> ConflictResolver for F
where
    F: Fn(&Contested<'_>) -> Verdict + Send + Sync,
{
    fn resolve(&self, contested: &Contested<'_>) -> Verdict {
        self(contested)
    }
}

/// Who merges, and who has a say in it.
#[derive(Clone, Copy, Default)]
pub struct MergeContext<'a> {
    /// Whom the journal names for what was written here.
    pub uid: Option<&'a str>,
    /// The document, and the app's say in its conflicts.
    pub resolver: Option<(&'a DocRef, &'a dyn ConflictResolver)>,
}

impl fmt::Debug for MergeContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MergeContext")
            .field("uid", &self.uid)
            .field("resolver", &self.resolver.map(|(doc, _)| doc))
            .finish()
    }
}

/// A verdict, or that the resolver panicked.
pub(crate) fn ask(resolver: &dyn ConflictResolver, contested: &Contested<'_>) -> Option<Verdict> {
    // Whatever it left half done is its own; here nothing has changed yet.
    catch_unwind(AssertUnwindSafe(|| resolver.resolve(contested))).ok()
}
