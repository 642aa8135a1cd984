//! What histories have to reach in the engine, or they prove nothing about it.

use moonforge_model::coverage::counts;

/// Each row of the outcome table, each outcome of a merge, each reason to park.
const WANTED: &[&str] = &[
    "commit: Applied",
    "commit: Invalid, Alone",
    "commit: Invalid, Batch",
    "commit: NeverLeft, Alone",
    "commit: NeverLeft, AloneAgain",
    "commit: NeverLeft, Batch",
    "commit: StaleOrDenied, Alone",
    "commit: StaleOrDenied, AloneAgain",
    "commit: StaleOrDenied, Batch",
    "commit: TooLarge, Alone",
    "commit: TooLarge, Batch",
    "commit: Unauthenticated, Alone",
    "commit: Unauthenticated, AloneAgain",
    "commit: Unauthenticated, Batch",
    "commit: Undecided, Alone",
    "commit: Undecided, AloneAgain",
    "commit: Undecided, Batch",
    "door: absent",
    "door: unreadable",
    "look: Denied, Alone",
    "look: Denied, Batch",
    "look: Newer, Alone",
    "look: Newer, AloneAgain",
    "look: Newer, Batch",
    "look: Unchanged, Alone",
    "look: Unchanged, AloneAgain",
    "look: Unchanged, Batch",
    "look: Unreadable, Alone",
    "look: Unreadable, Batch",
    "merge: a delete of what was edited",
    "merge: a removed entry is brought back",
    "merge: a restore of another delete",
    "merge: a set beside theirs",
    "merge: a set earlier than theirs",
    "merge: a set laid under parts of theirs",
    "merge: a set later than theirs",
    "merge: an edit goes with its entry",
    "merge: deleted there already",
    "merge: edits of what was deleted",
    "merge: texts join",
    "merge: texts overlap",
    "parked: denied",
    "parked: invalid",
    "parked: missing_parent",
    "parked: too_large",
    "settle: Copy",
    "settle: Ours",
    "settle: an erased entry",
    "settle: undecidable rows",
];

/// From so many seeds on, all of it has to be reached.
const ENOUGH: u64 = 2_000;

pub(crate) fn check(seeds: u64) {
    let counts = counts();
    for (name, count) in &counts {
        println!("{count:>9}  {name}");
    }
    let missed: Vec<_> = WANTED
        .iter()
        .filter(|w| !counts.contains_key(**w))
        .collect();
    assert!(
        seeds < ENOUGH || missed.is_empty(),
        "not reached: {missed:?}"
    );
}
