//! Which rows a version covers: decided by `writers` alone, never by content.

use std::collections::{BTreeMap, BTreeSet};

use moonforge_model::coverage::reached;
use moonforge_model::{Row, Version, WriterMark};
use moonforge_store::Incarnations;

/// What a version says of the rows that wait here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settlement {
    /// Numbers of rows that are in the version.
    pub(crate) covered: BTreeSet<u64>,
    /// Numbers of rows of which nobody can know.
    pub(crate) undecidable: BTreeSet<u64>,
    /// The newest settled row of each incarnation, as it is now.
    pub(crate) settled: BTreeMap<String, WriterMark>,
    /// Another copy of this file writes under our name.
    pub(crate) copied: bool,
}

/// Decides the rows of one document against a newer version of it.
///
/// A row is covered when the version's entry for its incarnation has reached its number, and that entry is one that this
/// file knows: the `op` of one of its own rows, or beyond what a closed incarnation had reached here (then the file that
/// this one was copied from went on). An entry that is neither was made by a copy that nobody noticed; an entry of the base
/// that sank or vanished was erased by a console: the rows concerned are undecidable.
pub(crate) fn settle(
    uid: &str,
    base: Option<&Version>,
    version: &Version,
    rows: &[Row],
    settled: &BTreeMap<String, WriterMark>,
    incarnations: &Incarnations,
) -> Settlement {
    let mut result = Settlement {
        settled: settled.clone(),
        ..Settlement::default()
    };
    let mut ours: BTreeSet<&str> = rows.iter().map(|r| r.incarnation.as_str()).collect();
    ours.insert(&incarnations.current);
    for incarnation in ours {
        let before = base.and_then(|b| b.writer(uid, incarnation));
        let rows: Vec<&Row> = rows
            .iter()
            .filter(|r| r.incarnation == incarnation)
            .collect();
        let sent = || rows.iter().filter(|r| r.sent).map(|r| r.n);
        let Some(entry) = version.writer(uid, incarnation) else {
            if before.is_some() {
                reached(|| "settle: an erased entry".to_owned());
                result.undecidable.extend(sent());
            }
            continue;
        };
        if before.is_some_and(|b| b.n > entry.n) {
            reached(|| "settle: a sunken entry".to_owned());
            result.undecidable.extend(sent());
            continue;
        }
        let up_to_it = || rows.iter().filter(|r| r.n <= entry.n).map(|r| r.n);
        let origin = origin(
            incarnation,
            entry,
            before,
            &rows,
            settled.get(incarnation),
            incarnations,
        );
        reached(|| format!("settle: {origin:?}"));
        match origin {
            Origin::Ours => {
                result.covered.extend(up_to_it());
                result.settled.insert(incarnation.to_owned(), entry.clone());
            }
            Origin::Old => {}
            Origin::Copy => {
                result.undecidable.extend(up_to_it());
                result.settled.insert(incarnation.to_owned(), entry.clone());
                result.copied |= incarnation == incarnations.current;
            }
        }
    }
    result
}

#[derive(Debug)]
enum Origin {
    /// A row of this file, or of the file that it was copied from.
    Ours,
    /// An entry that was there before any of the rows here.
    Old,
    /// A row of an unnoticed copy.
    Copy,
}

fn origin(
    incarnation: &str,
    entry: &WriterMark,
    before: Option<&WriterMark>,
    rows: &[&Row],
    last: Option<&WriterMark>,
    incarnations: &Incarnations,
) -> Origin {
    let own = rows
        .iter()
        .find(|r| r.n == entry.n)
        .map(|r| r.op_id.as_str());
    let known = own.or_else(|| last.filter(|l| l.n == entry.n).map(|l| l.op.as_str()));
    match known {
        Some(op) if op == entry.op => Origin::Ours,
        Some(_) => Origin::Copy,
        None if incarnations
            .closed
            .get(incarnation)
            .is_some_and(|reached| entry.n > *reached) =>
        {
            Origin::Ours
        }
        None if before == Some(entry) => Origin::Old,
        // Held here once, let go, and back: nothing of it is known any more, and nothing waits on it.
        None if before.is_none()
            && last.is_none()
            && rows.is_empty()
            && incarnation == incarnations.current
            && entry.n <= incarnations.reached =>
        {
            Origin::Old
        }
        None => Origin::Copy,
    }
}
