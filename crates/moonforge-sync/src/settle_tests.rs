//! Which rows a version covers.

use std::collections::{BTreeMap, BTreeSet};

use moonforge_model::{Envelope, Fields, Row, RowOp, Timestamp, Version, WriterMark};
use moonforge_store::Incarnations;

use crate::settle::{Settlement, settle};

fn mark(n: u64, op: &str) -> WriterMark {
    WriterMark {
        n,
        op: op.to_owned(),
    }
}

fn version(entries: &[(&str, u64, &str)]) -> Version {
    let copies = entries
        .iter()
        .map(|(i, n, op)| ((*i).to_owned(), mark(*n, op)))
        .collect();
    Version {
        fields: Fields::new(),
        envelope: Envelope {
            update_time: Timestamp::EPOCH,
            rev: Some(1),
            updated_at: None,
            deleted: None,
            edited: BTreeMap::new(),
            writers: [("gm".to_owned(), copies)].into(),
        },
    }
}

fn row(incarnation: &str, n: u64, sent: bool) -> Row {
    Row {
        n,
        incarnation: incarnation.to_owned(),
        op_id: format!("op{n}"),
        edited_at: Timestamp::EPOCH,
        op: RowOp::Patch { ops: Vec::new() },
        sent,
        parked: None,
    }
}

fn decide(
    base: Option<&Version>,
    seen: &Version,
    rows: &[Row],
    closed: &[(&str, u64)],
) -> Settlement {
    let incarnations = Incarnations {
        current: "here".to_owned(),
        reached: 9,
        closed: closed.iter().map(|(i, n)| ((*i).to_owned(), *n)).collect(),
    };
    settle("gm", base, seen, rows, &BTreeMap::new(), &incarnations)
}

fn set(numbers: &[u64]) -> BTreeSet<u64> {
    numbers.iter().copied().collect()
}

#[test]
fn rows_up_to_the_entry_are_covered() {
    let rows = [
        row("here", 4, true),
        row("here", 5, true),
        row("here", 6, false),
    ];
    let s = decide(None, &version(&[("here", 5, "op5")]), &rows, &[]);
    assert_eq!(
        (s.covered, s.undecidable, s.copied),
        (set(&[4, 5]), set(&[]), false)
    );
    assert_eq!(s.settled["here"], mark(5, "op5"));
}

#[test]
fn without_an_entry_nothing_is_covered() {
    let s = decide(None, &version(&[]), &[row("here", 4, true)], &[]);
    assert_eq!((s.covered, s.undecidable), (set(&[]), set(&[])));
}

#[test]
fn another_users_entry_covers_nothing() {
    let mut seen = version(&[]);
    seen.envelope.writers = [(
        "player".to_owned(),
        [("here".to_owned(), mark(9, "op4"))].into(),
    )]
    .into();
    assert_eq!(
        decide(None, &seen, &[row("here", 4, true)], &[]).covered,
        set(&[])
    );
}

#[test]
fn a_known_number_under_a_foreign_op_is_a_copys() {
    let s = decide(
        None,
        &version(&[("here", 4, "other")]),
        &[row("here", 4, false), row("here", 5, false)],
        &[],
    );
    assert_eq!(
        (s.covered, s.undecidable, s.copied),
        (set(&[]), set(&[4]), true)
    );
}

#[test]
fn an_unknown_number_of_the_open_incarnation_is_a_copys() {
    let s = decide(
        None,
        &version(&[("here", 9, "other")]),
        &[row("here", 4, false)],
        &[],
    );
    assert_eq!((s.undecidable, s.copied), (set(&[4]), true));
}

#[test]
fn beyond_what_a_closed_incarnation_had_reached_the_original_went_on() {
    let s = decide(
        None,
        &version(&[("old", 9, "later")]),
        &[row("old", 4, false)],
        &[("old", 7)],
    );
    assert_eq!(
        (s.covered, s.undecidable, s.copied),
        (set(&[4]), set(&[]), false)
    );
}

#[test]
fn within_what_a_closed_incarnation_had_reached_a_foreign_op_is_undecidable() {
    let s = decide(
        None,
        &version(&[("old", 6, "foreign")]),
        &[row("old", 4, false)],
        &[("old", 7)],
    );
    assert_eq!(
        (s.covered, s.undecidable, s.copied),
        (set(&[]), set(&[4]), false)
    );
}

#[test]
fn an_erased_entry_leaves_sent_rows_undecidable_and_others_alone() {
    let base = version(&[("here", 3, "op3")]);
    let s = decide(
        Some(&base),
        &version(&[]),
        &[row("here", 4, true), row("here", 5, false)],
        &[],
    );
    assert_eq!((s.covered, s.undecidable), (set(&[]), set(&[4])));
}

#[test]
fn a_sunken_entry_leaves_sent_rows_undecidable() {
    let base = version(&[("here", 3, "op3")]);
    let s = decide(
        Some(&base),
        &version(&[("here", 2, "op2")]),
        &[row("here", 4, true)],
        &[],
    );
    assert_eq!(s.undecidable, set(&[4]));
}

#[test]
fn an_entry_from_before_says_nothing_of_newer_rows() {
    let base = version(&[("here", 3, "op3")]);
    let s = decide(
        Some(&base),
        &version(&[("here", 3, "op3")]),
        &[row("here", 4, true)],
        &[],
    );
    assert_eq!(
        (s.covered, s.undecidable, s.copied),
        (set(&[]), set(&[]), false)
    );
}

#[test]
fn each_incarnation_is_decided_by_its_own_entry() {
    let rows = [row("old", 4, true), row("here", 8, true)];
    let s = decide(
        None,
        &version(&[("old", 4, "op4"), ("here", 7, "op7")]),
        &rows,
        &[("old", 7)],
    );
    assert!(s.covered.contains(&4) && !s.covered.contains(&8));
}

#[test]
fn a_document_that_was_let_go_and_comes_back_is_no_copys() {
    let back = decide(None, &version(&[("here", 9, "forgotten")]), &[], &[]);
    assert!(!back.copied);
    // Beyond what was given here it can only be a copy's.
    let further = decide(None, &version(&[("here", 10, "other")]), &[], &[]);
    assert!(further.copied);
    let base = version(&[("here", 3, "op3")]);
    let moved = decide(Some(&base), &version(&[("here", 4, "other")]), &[], &[]);
    assert!(moved.copied);
}
