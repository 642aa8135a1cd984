//! The three-way merge of long texts, by line.
//!
//! Each side is compared with the base; what it changed are its hunks. Hunks that share no line of the base both survive,
//! also where they touch. Where they overlap, the winner's hunk stays and the other is handed back, for the conflict
//! journal. The result depends on the three texts and the winner alone: no clock, no order of arrival.
//!
//! A line feed separates lines here, rather than ending them. So text appended after a last line without one is a plain
//! insertion, carriage returns are part of their lines, and every text comes back byte for byte.

use std::collections::HashMap;
use std::ops::Range;

use similar::{Algorithm, DiffTag, capture_diff_slices};

/// One of the two sides of a merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What was written here.
    Ours,
    /// What came from elsewhere.
    Theirs,
}

/// What a merge of texts came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextMerge {
    /// The merged text.
    pub text: String,
    /// Hunks of the losing side that overlapped the winner's, in the order of the text.
    pub lost: Vec<LostHunk>,
}

/// Two hunks that overlapped, without the lines that they begin or end with in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostHunk {
    /// The winner's lines, with their line feeds; empty where the winner deleted.
    pub kept: String,
    /// The other side's lines, with their line feeds; empty where it deleted.
    pub lost: String,
}

/// Merges two edits of `base` by line. Where they overlap, `winner`'s stays and the other's goes into
/// [`TextMerge::lost`]; equal edits are no conflict. Swapping the sides and the winner gives the same result.
///
/// ```
/// use moonforge_model::{Side, merge_text};
/// let merged = merge_text("a\nb\nc", "A\nb\nc", "a\nb\nC", Side::Ours);
/// assert_eq!(merged.text, "A\nb\nC");
/// assert!(merged.lost.is_empty());
/// ```
pub fn merge_text(base: &str, ours: &str, theirs: &str, winner: Side) -> TextMerge {
    if ours == theirs || theirs == base {
        return TextMerge {
            text: ours.to_owned(),
            lost: Vec::new(),
        };
    }
    if ours == base {
        return TextMerge {
            text: theirs.to_owned(),
            lost: Vec::new(),
        };
    }
    let (winning, losing) = match winner {
        Side::Ours => (ours, theirs),
        Side::Theirs => (theirs, ours),
    };
    let mut ids = HashMap::new();
    let base = Lines::new(base, &mut ids);
    let winning = Edited::new(&base, winning, &mut ids);
    let losing = Edited::new(&base, losing, &mut ids);
    join(&base, &winning, &losing)
}

/// A text as lines, and as numbers that are equal for equal lines.
struct Lines<'a> {
    texts: Vec<&'a str>,
    ids: Vec<u32>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str, known: &mut HashMap<&'a str, u32>) -> Self {
        let texts: Vec<&str> = text.split('\n').collect();
        let ids = texts
            .iter()
            .map(|line| {
                let next = known.len() as u32;
                *known.entry(line).or_insert(next)
            })
            .collect();
        Self { texts, ids }
    }

    /// The lines of `range` as they stand in the text: with a line feed after each but the text's last.
    fn cut(&self, range: Range<usize>) -> String {
        let mut text = self.texts[range.clone()].join("\n");
        if !range.is_empty() && range.end < self.texts.len() {
            text.push('\n');
        }
        text
    }
}

/// Lines of the base that one side put others for. Two hunks of one side have a line between them.
#[derive(Clone, Debug)]
struct Hunk {
    base: Range<usize>,
    side: Range<usize>,
}

/// One side, and its hunks in order.
struct Edited<'a> {
    lines: Lines<'a>,
    hunks: Vec<Hunk>,
}

impl<'a> Edited<'a> {
    fn new(base: &Lines<'a>, text: &'a str, known: &mut HashMap<&'a str, u32>) -> Self {
        let lines = Lines::new(text, known);
        // Myers with Git's bounds on the search: near-minimal on prose, and never quadratic. Without a deadline, so
        // that every machine finds the same hunks.
        let mut hunks: Vec<Hunk> = Vec::new();
        for op in capture_diff_slices(Algorithm::Myers, &base.ids, &lines.ids) {
            let (tag, base, side) = op.as_tag_tuple();
            match hunks.last_mut() {
                _ if tag == DiffTag::Equal => {}
                Some(last) if last.base.end == base.start && last.side.end == side.start => {
                    last.base.end = base.end;
                    last.side.end = side.end;
                }
                _ => hunks.push(Hunk { base, side }),
            }
        }
        Self { lines, hunks }
    }

    /// The lines that stand here for `region` of the base, given which of this side's hunks lie in it.
    fn in_region(&self, region: &Range<usize>, hunks: Range<usize>) -> Range<usize> {
        let first = &self.hunks[hunks.start];
        let last = &self.hunks[hunks.end - 1];
        first.side.start - (first.base.start - region.start)
            ..last.side.end + (region.end - last.base.end)
    }
}

/// Whether two stretches of the base share a line, one lies inside the other, or both are the same point between lines.
fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    (a.start < b.end && b.start < a.end) || (a.is_empty() && a == b)
}

/// Walks both lists of hunks along the base.
fn join(base: &Lines<'_>, winning: &Edited<'_>, losing: &Edited<'_>) -> TextMerge {
    let mut out: Vec<&str> = Vec::new();
    let mut lost = Vec::new();
    let (mut at, mut w, mut l) = (0, 0, 0);
    loop {
        let (first_w, first_l) = (w, l);
        // An insertion before a line comes before a change of that line.
        let key = |hunk: &Hunk| (hunk.base.start, hunk.base.end);
        let mut region = match (winning.hunks.get(w), losing.hunks.get(l)) {
            (None, None) => break,
            (Some(a), Some(b)) if key(b) < key(a) => b.base.clone(),
            (Some(hunk), _) | (None, Some(hunk)) => hunk.base.clone(),
        };
        // Takes in every hunk that overlaps, which may make the region longer and so overlap more.
        loop {
            if let Some(hunk) = winning.hunks.get(w).filter(|h| overlap(&h.base, &region)) {
                region = region.start..region.end.max(hunk.base.end);
                w += 1;
            } else if let Some(hunk) = losing.hunks.get(l).filter(|h| overlap(&h.base, &region)) {
                region = region.start..region.end.max(hunk.base.end);
                l += 1;
            } else {
                break;
            }
        }
        out.extend(&base.texts[at..region.start]);
        at = region.end;
        if l == first_l {
            out.extend(&winning.lines.texts[winning.in_region(&region, first_w..w)]);
        } else if w == first_w {
            out.extend(&losing.lines.texts[losing.in_region(&region, first_l..l)]);
        } else {
            let kept = winning.in_region(&region, first_w..w);
            let other = losing.in_region(&region, first_l..l);
            out.extend(settle(
                &region,
                &winning.lines,
                kept,
                &losing.lines,
                other,
                &mut lost,
            ));
        }
    }
    out.extend(&base.texts[at..]);
    TextMerge {
        text: out.join("\n"),
        lost,
    }
}

/// What stands where both sides changed the same `region` of the base.
fn settle<'a>(
    region: &Range<usize>,
    winning: &Lines<'a>,
    kept: Range<usize>,
    losing: &Lines<'a>,
    other: Range<usize>,
    lost: &mut Vec<LostHunk>,
) -> Vec<&'a str> {
    let (a, b) = (&winning.ids[kept.clone()], &losing.ids[other.clone()]);
    let prefix = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[prefix..], &b[prefix..]);
    let suffix = a
        .iter()
        .rev()
        .zip(b.iter().rev())
        .take_while(|(x, y)| x == y)
        .count();
    let (a_left, b_left) = (a.len() - suffix, b.len() - suffix);
    if region.is_empty() && a_left == 0 {
        // Both inserted the same here, and the other more: nobody took that away.
        return losing.texts[other].to_vec();
    }
    let nothing_lost = b_left == 0 && (a_left == 0 || region.is_empty());
    if !nothing_lost {
        let from = |range: &Range<usize>, len| range.start + prefix..range.start + prefix + len;
        let hunk = LostHunk {
            kept: winning.cut(from(&kept, a_left)),
            lost: losing.cut(from(&other, b_left)),
        };
        // An empty line at the text's very end and no line there read the same.
        if hunk.kept != hunk.lost {
            lost.push(hunk);
        }
    }
    winning.texts[kept].to_vec()
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
