//! Mistakes that sync engines have made, to be planted on purpose: the simulation has to find each of them.
//!
//! Without the feature `simulation`, which only tests switch on, [`planted`] is `false` and the compiler drops what it guards.

macro_rules! mutants {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)+) => {
        /// A mistake that can be planted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant {
            $($(#[$doc])* $variant,)+
        }

        impl Mutant {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

mutants! {
    /// One cursor, which takes REQUEST_TIME for the order in which documents appear.
    StrictCursor = "strict-cursor",
    /// The cursor is kept before what it passes.
    CursorBeforePage = "cursor-before-page",
    /// Rows are marked as sent once the answer is there.
    SentAfterRequest = "sent-after-request",
    /// A row counts as applied when the document looks as if it were.
    SettleByContent = "settle-by-content",
    /// Rows go out past a parked one of the same document, and their number settles it.
    ParkedSettledByLater = "parked-settled-by-later",
    /// Rows that come to nothing together are dropped, though one of them may be on its way.
    NetZeroDropped = "net-zero-dropped",
    /// A re-read is compared with the base that it has just become.
    RereadAgainstBase = "reread-against-base",
    /// A 403 is taken at its word.
    ForbiddenFinal = "forbidden-final",
    /// What failed a few times is dropped.
    DroppedAfterTries = "dropped-after-tries",
    /// A newer version replaces what was edited here.
    DirtyOverwritten = "dirty-overwritten",
    /// An edit of a form sends the whole form.
    UpsertWhole = "upsert-whole",
    /// Increments that are in the document are applied again when others are merged.
    IncrementsAgain = "increments-again",
    /// A copy of a file goes on under the original's name.
    CopySharesIncarnation = "copy-shares-incarnation",
    /// An edit of a deleted document brings it back.
    TombstoneResurrected = "tombstone-resurrected",
    /// A denied commit parks all its documents.
    BatchParksAll = "batch-parks-all",
    /// While something is parked nothing is sent.
    ParkedBlocksOthers = "parked-blocks-others",
    /// Whoever leaves a campaign loses what he hadn't sent.
    LeavingWipesEdits = "leaving-wipes-edits",
    /// `Retry-After` is not waited for.
    RetryAfterIgnored = "retry-after-ignored",
    /// What is written between "the queue is empty" and "sleep" wakes nobody.
    LostWakeup = "lost-wakeup",
}

/// Whether a mistake is made.
#[cfg(not(feature = "simulation"))]
#[inline(always)]
pub const fn planted(_: Mutant) -> bool {
    false
}

#[cfg(feature = "simulation")]
mod choice {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::Mutant;

    /// Its number and one; 0 is none.
    static CHOSEN: AtomicUsize = AtomicUsize::new(0);

    /// Whether a mistake is made.
    pub fn planted(mutant: Mutant) -> bool {
        CHOSEN.load(Ordering::Relaxed) == mutant as usize + 1
    }

    /// Makes this process make a mistake, or none.
    pub fn plant(mutant: Option<Mutant>) {
        CHOSEN.store(mutant.map_or(0, |m| m as usize + 1), Ordering::Relaxed);
    }
}

#[cfg(feature = "simulation")]
pub use choice::{plant, planted};
