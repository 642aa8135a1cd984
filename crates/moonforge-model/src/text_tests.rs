use proptest::prelude::*;

use super::*;

fn clean(base: &str, ours: &str, theirs: &str) -> String {
    let merged = merge_text(base, ours, theirs, Side::Ours);
    assert_eq!(merged.lost, [], "{base:?} {ours:?} {theirs:?}");
    merged.text
}

fn hunk(kept: &str, lost: &str) -> LostHunk {
    LostHunk {
        kept: kept.to_owned(),
        lost: lost.to_owned(),
    }
}

#[test]
fn disjoint_hunks_both_survive() {
    assert_eq!(
        clean("a\nb\nc\nd\n", "a\nB\nc\nd\n", "a\nb\nc\nD\ne\n"),
        "a\nB\nc\nD\ne\n"
    );
    assert_eq!(clean("a\nb\nc", "b\nc", "a\nb"), "b");
}

#[test]
fn hunks_that_touch_both_survive() {
    assert_eq!(
        clean("a\nb\nc\nd", "a\nB\nc\nd", "a\nb\nC\nd"),
        "a\nB\nC\nd"
    );
    assert_eq!(clean("a\nb\nc", "a\nnew\nb\nc", "a\nB\nc"), "a\nnew\nB\nc");
    assert_eq!(clean("a\nb\nc", "a\nb\nnew\nc", "a\nB\nc"), "a\nB\nnew\nc");
    assert_eq!(clean("a\nb\nc\nd", "a\nc\nd", "a\nb\nC\nd"), "a\nC\nd");
}

#[test]
fn overlapping_hunks_leave_the_winners() {
    let merged = merge_text("a\nb\nc\n", "a\nours\nc\n", "a\ntheirs\nc\n", Side::Theirs);
    assert_eq!(merged.text, "a\ntheirs\nc\n");
    assert_eq!(merged.lost, [hunk("theirs\n", "ours\n")]);
}

#[test]
fn an_edit_inside_what_the_other_deleted_is_lost_whole() {
    let merged = merge_text("a\nb\nc\nd\ne", "a\ne", "a\nb\nC\nd\ne", Side::Ours);
    assert_eq!(
        (merged.text.as_str(), merged.lost),
        ("a\ne", vec![hunk("", "b\nC\nd\n")])
    );
    let merged = merge_text("a\nb\nc\nd\ne", "a\ne", "a\nb\nC\nd\ne", Side::Theirs);
    assert_eq!(
        (merged.text.as_str(), merged.lost),
        ("a\nb\nC\nd\ne", vec![hunk("b\nC\nd\n", "")])
    );
}

#[test]
fn a_chain_of_overlaps_is_one_conflict() {
    let merged = merge_text(
        "1\n2\n3\n4\n5\n6",
        "1\nx\ny\n4\nz\n6",
        "1\n2\np\nq\nr\n6",
        Side::Ours,
    );
    assert_eq!(merged.text, "1\nx\ny\n4\nz\n6");
    assert_eq!(merged.lost, [hunk("x\ny\n4\nz\n", "2\np\nq\nr\n")]);
}

#[test]
fn equal_changes_are_no_conflict() {
    assert_eq!(
        clean("a\nb\nc\nd", "a\nB\nc\nd", "a\nB\nc\nD"),
        "a\nB\nc\nD"
    );
    assert_eq!(clean("a\nb", "a\nnew\nb", "a\nnew\nb\nc"), "a\nnew\nb\nc");
}

#[test]
fn two_insertions_at_one_point_are_a_conflict() {
    let merged = merge_text("a\nb", "a\nours\nb", "a\ntheirs\nb", Side::Ours);
    assert_eq!(
        (merged.text.as_str(), merged.lost),
        ("a\nours\nb", vec![hunk("ours\n", "theirs\n")])
    );
}

#[test]
fn an_insertion_that_holds_the_other_one_is_taken() {
    assert_eq!(clean("a\nd", "a\nb\nd", "a\nb\nc\nd"), "a\nb\nc\nd");
    assert_eq!(clean("a\nd", "a\nb\nc\nd", "a\nc\nd"), "a\nb\nc\nd");
}

#[test]
fn lines_in_common_are_left_out_of_the_lost_hunk() {
    let merged = merge_text(
        "log",
        "log\n\nGoblins came.",
        "log\n\nIt rained.",
        Side::Theirs,
    );
    assert_eq!(merged.text, "log\n\nIt rained.");
    assert_eq!(merged.lost, [hunk("It rained.", "Goblins came.")]);
}

#[test]
fn appending_leaves_an_edit_of_the_last_line_alone() {
    assert_eq!(clean("a\nb", "a\nb\nc", "a\nB"), "a\nB\nc");
    assert_eq!(clean("a\nb", "a\nb\n", "A\nb"), "A\nb\n");
}

#[test]
fn line_endings_and_the_missing_last_one_stay() {
    assert_eq!(
        clean("a\r\nb\r\nc", "A\r\nb\r\nc", "a\r\nb\r\nC"),
        "A\r\nb\r\nC"
    );
    assert_eq!(
        clean("a\r\nb\r\nc\r\n", "A\r\nb\r\nc\r\n", "a\r\nb\r\nc"),
        "A\r\nb\r\nc"
    );
    assert_eq!(
        clean("a\nb\nc\n\n", "A\nb\nc\n\n", "a\nb\nc\n"),
        "A\nb\nc\n"
    );
    assert_eq!(clean("", "a\r\n", ""), "a\r\n");
}

#[test]
fn a_changed_line_ending_is_a_change() {
    let merged = merge_text("a\nb", "a\r\nb", "A\nb", Side::Ours);
    assert_eq!(
        (merged.text.as_str(), merged.lost),
        ("a\r\nb", vec![hunk("a\r\n", "A\n")])
    );
}

#[test]
fn from_nothing_the_winner_stays() {
    let merged = merge_text("", "ours", "theirs", Side::Ours);
    assert_eq!(
        (merged.text.as_str(), merged.lost),
        ("ours", vec![hunk("ours", "theirs")])
    );
}

/// A sequence without a random source: enough to be different everywhere.
fn scatter(n: u32, range: u32) -> impl Iterator<Item = u32> {
    std::iter::successors(Some(12_345_u32), |x| {
        Some(x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223))
    })
    .take(n as usize)
    .map(move |x| (x >> 8) % range)
}

#[test]
fn twenty_thousand_lines_merge_whatever_they_hold() {
    let numbered = |salt: u32| {
        (0..20_000).map(move |i| {
            format!("line {i} of {salt} and some more prose to fill it up, as people write.\n")
        })
    };
    let text = |lines: &mut dyn Iterator<Item = String>| lines.collect::<String>();
    let base = text(&mut numbered(0));
    assert!(base.len() > 900_000);

    // Sparse edits of both sides: every tenth line, none in common.
    let edited = |rest: usize| {
        text(&mut numbered(0).enumerate().map(|(i, line)| {
            if i % 10 == rest {
                format!("{rest} {line}")
            } else {
                line
            }
        }))
    };
    let (ours, theirs) = (edited(3), edited(7));
    let merged = merge_text(&base, &ours, &theirs, Side::Ours);
    assert!(merged.lost.is_empty());
    assert!(
        merged
            .text
            .lines()
            .enumerate()
            .all(|(i, line)| match i % 10 {
                rest @ (3 | 7) => line.starts_with(&format!("{rest} line {i} ")),
                _ => line.starts_with(&format!("line {i} ")),
            })
    );

    // Nothing in common at all.
    let (ours, theirs) = (text(&mut numbered(1)), text(&mut numbered(2)));
    assert_eq!(merge_text(&base, &ours, &theirs, Side::Theirs).text, theirs);

    // Few different lines, in no order: the worst case for a diff.
    let noise = |skip: usize| {
        text(
            &mut scatter(20_000 + skip as u32, 7)
                .skip(skip)
                .map(|x| format!("{x}\n")),
        )
    };
    let merged = merge_text(&noise(0), &noise(1_000), &noise(5_000), Side::Ours);
    let shuffled = |range: u32| text(&mut scatter(20_000, range).map(|x| format!("line {x}\n")));
    let also = merge_text(
        &shuffled(20_000),
        &shuffled(19_000),
        &shuffled(10_000),
        Side::Ours,
    );
    assert!(!merged.text.is_empty() && !also.text.is_empty());

    // Turned around: one line in common at most.
    let reversed: String = base.lines().rev().map(|line| format!("{line}\n")).collect();
    assert_eq!(
        merge_text(&base, &reversed, &edited(3), Side::Ours)
            .text
            .lines()
            .count(),
        20_000
    );
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Ours), Just(Side::Theirs)]
}

/// Three texts with much in common: few different lines, and edits of one base as well as free texts.
fn three() -> impl Strategy<Value = (String, String, String)> {
    let line = || prop_oneof!["[a-d]", "[a-d]\r", Just(String::new()), "[w-z]{2}"];
    let lines = prop::collection::vec(line(), 0..12);
    let edits = || {
        prop::collection::vec(
            (0..14_usize, 0..3_usize, prop::collection::vec(line(), 0..3)),
            0..4,
        )
    };
    (lines, edits(), edits()).prop_map(|(base, ours, theirs)| {
        let edit = |edits: Vec<(usize, usize, Vec<String>)>| {
            let mut lines = base.clone();
            for (at, gone, new) in edits {
                let at = at.min(lines.len());
                lines.splice(at..(at + gone).min(lines.len()), new);
            }
            lines.join("\n")
        };
        (base.join("\n"), edit(ours), edit(theirs))
    })
}

fn count(text: &str, line: &str) -> usize {
    text.split('\n').filter(|l| *l == line).count()
}

#[test]
fn a_last_line_feed_alone_is_no_conflict() {
    let merged = merge_text("a\nw", "a", "a\n", Side::Ours);
    assert_eq!((merged.text.as_str(), merged.lost), ("a", Vec::new()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn swapping_the_sides_and_the_winner_changes_nothing((base, ours, theirs) in three()) {
        let one = merge_text(&base, &ours, &theirs, Side::Ours);
        prop_assert_eq!(merge_text(&base, &theirs, &ours, Side::Theirs), one.clone());
        prop_assert_eq!(merge_text(&base, &ours, &theirs, Side::Ours), one);
    }

    #[test]
    fn one_sided_edits_come_through_whole((base, text, _) in three(), winner in side()) {
        for merged in [
            merge_text(&base, &text, &base, winner),
            merge_text(&base, &base, &text, winner),
            merge_text(&base, &text, &text, winner),
        ] {
            prop_assert_eq!(merged, TextMerge { text: text.clone(), lost: Vec::new() });
        }
    }

    /// As above, but through the join rather than the shortcut: the other side changes one far line.
    #[test]
    fn a_far_edit_leaves_the_rest_to_the_other((base, text, _) in three(), winner in side()) {
        let far = |text: &str, end: &str| format!("{text}\nend 1\nend 2\n{end}");
        let merged = merge_text(&far(&base, "end 3"), &far(&text, "end 3"), &far(&base, "END"), winner);
        prop_assert_eq!(merged, TextMerge { text: far(&text, "END"), lost: Vec::new() });
    }

    #[test]
    fn no_inserted_line_disappears((base, ours, theirs) in three(), winner in side()) {
        let merged = merge_text(&base, &ours, &theirs, winner);
        for side in [&ours, &theirs] {
            for line in side.split('\n').filter(|line| !line.is_empty()) {
                let lost: usize = merged.lost.iter().map(|hunk| count(&hunk.lost, line)).sum();
                let inserted = count(side, line).saturating_sub(count(&base, line));
                prop_assert!(count(&merged.text, line) + lost >= inserted, "{:?} {:?}", line, merged);
            }
        }
    }

    #[test]
    fn the_winner_keeps_its_hunks((base, ours, theirs) in three()) {
        let merged = merge_text(&base, &ours, &theirs, Side::Ours);
        for line in ours.split('\n') {
            let inserted = count(&ours, line).saturating_sub(count(&base, line));
            prop_assert!(count(&merged.text, line) >= inserted, "{:?} {:?}", line, merged);
        }
        for hunk in &merged.lost {
            prop_assert!(ours.contains(&hunk.kept) && theirs.contains(&hunk.lost));
            prop_assert_ne!(&hunk.kept, &hunk.lost);
        }
    }
}
