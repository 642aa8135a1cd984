//! The app's own say.

use serde_json::{Value, json};

use crate::conflict::{ConflictReason, DecidedBy, LostSide};
use crate::id::DocRef;
use crate::merge_policy_tests::{both, early, late};
use crate::merge_tests::{at, config, increment, patch, set, unset};
use crate::patch::PatchOp;
use crate::resolver::{ConflictResolver, Contested, Verdict};

#[test]
fn the_resolver_is_told_all_and_its_word_counts_before_the_policy() {
    let doc = DocRef::parse("encounters", "e").unwrap();
    for (verdict, kept, lost) in [
        (Verdict::Default, "late", vec![LostSide::Remote]),
        (Verdict::Ours, "late", vec![LostSide::Remote]),
        (Verdict::Theirs, "early", vec![LostSide::Local]),
        (
            Verdict::Custom(json!("early and late")),
            "early and late",
            vec![LostSide::Local, LostSide::Remote],
        ),
        (
            Verdict::Custom(json!("late")),
            "late",
            vec![LostSide::Remote],
        ),
        (
            Verdict::Custom(json!("early")),
            "early",
            vec![LostSide::Local],
        ),
    ] {
        let resolver = |asked: &Contested<'_>| {
            assert_eq!(
                (asked.doc, asked.path.to_string()),
                (&doc, "name".to_owned())
            );
            assert_eq!(
                (asked.base, asked.ours),
                (Some(&json!("Ambush")), Some(&json!("late")))
            );
            assert_eq!(asked.theirs, Some(&json!("early")));
            assert_eq!((asked.ours_at, asked.theirs_at), (at(30), at(20)));
            verdict.clone()
        };
        let (version, merged) = both(
            &config(),
            Some(&resolver),
            early(set("name", "early")),
            late(set("name", "late")),
        );
        assert_eq!(version.fields["name"], kept);
        let told: Vec<_> = merged.conflicts.iter().map(|c| c.lost_side).collect();
        assert_eq!(told, lost, "{verdict:?}");
        let by = match verdict {
            Verdict::Default => DecidedBy::LaterWins,
            _ => DecidedBy::Resolver,
        };
        assert!(
            merged
                .conflicts
                .iter()
                .all(|c| c.context.decided_by == Some(by))
        );
        assert!(merged.conflicts.iter().all(|c| c.kept == json!(kept)));
    }
}

#[test]
fn a_custom_value_goes_to_everybody_as_the_later_of_both_edits() {
    let longest = |asked: &Contested<'_>| {
        let mut names =
            [asked.ours, asked.theirs].map(|v| v.and_then(Value::as_str).unwrap_or_default());
        names.sort_unstable();
        Verdict::Custom(json!(names.join(" & ")))
    };
    for (first, second) in [(20, 30), (30, 20)] {
        let (one, two) = (
            patch(first, vec![set("name", "a")]),
            patch(second, vec![set("name", "b")]),
        );
        let (version, merged) = both(&config(), Some(&longest), one, two);
        assert_eq!(version.fields["name"], "a & b");
        assert_eq!(version.envelope.edited["name"], at(30));
        assert_eq!(merged.rows.len(), 1);
    }
}

/// The panics' own words go to stderr, as everywhere.
#[test]
fn a_resolver_that_fails_has_said_nothing_and_the_journal_says_so() {
    let panics = |_: &Contested<'_>| -> Verdict { panic!("a mistake of the app") };
    let wrong = |_: &Contested<'_>| Verdict::Custom(json!(["no", "number"]));
    for resolver in [&panics as &dyn ConflictResolver, &wrong] {
        let (version, merged) = both(
            &config(),
            Some(resolver),
            early(set("round", 3)),
            late(set("round", 4)),
        );
        assert_eq!(version.fields["round"], json!(4));
        let [entry] = &merged.conflicts[..] else {
            panic!("{:?}", merged.conflicts)
        };
        assert_eq!(
            (&entry.lost, entry.context.decided_by),
            (&json!(3), Some(DecidedBy::ResolverFailed))
        );
    }
}

#[test]
fn what_joins_is_no_conflict_and_nobody_is_asked() {
    let never = |asked: &Contested<'_>| -> Verdict { unreachable!("asked about {}", asked.path) };
    let text = |to: &str| PatchOp::Text {
        path: "notes".parse().unwrap(),
        from: "one\ntwo\nthree\n".into(),
        to: to.into(),
    };
    for (first, second) in [
        (increment("round", 2), increment("round", 3)),
        (set("name", "same"), set("name", "same")),
        (set("props.gold", 1), set("props.lit", false)),
        (text("ONE\ntwo\nthree\n"), text("one\ntwo\nTHREE\n")),
    ] {
        let (_, merged) = both(&config(), Some(&never), early(first), late(second));
        assert_eq!(merged.conflicts, []);
    }
}

#[test]
fn overlapping_lines_and_removed_entries_are_asked_about() {
    let text = |to: &str| PatchOp::Text {
        path: "notes".parse().unwrap(),
        from: "one\ntwo\nthree\n".into(),
        to: to.into(),
    };
    let joined = |_: &Contested<'_>| Verdict::Custom(json!("one\nyours and mine\nthree\n"));
    let (version, merged) = both(
        &config(),
        Some(&joined),
        early(text("one\nyours\nthree\n")),
        late(text("one\nmine\nthree\n")),
    );
    assert_eq!(version.fields["notes"], "one\nyours and mine\nthree\n");
    assert_eq!(merged.conflicts.len(), 2);
    let hit = || increment("combatants.k1.currentHp", -5);
    let stays_gone = |asked: &Contested<'_>| {
        assert_eq!(
            (asked.path.to_string(), asked.theirs),
            ("combatants.k1".to_owned(), None)
        );
        assert_eq!(asked.ours, Some(&json!({"name": "Orc", "currentHp": 10})));
        Verdict::Theirs
    };
    let (version, merged) = both(
        &config(),
        Some(&stays_gone),
        early(unset("combatants.k1")),
        late(hit()),
    );
    assert_eq!(version.fields["combatants"].get("k1"), None);
    assert_eq!(merged.conflicts[0].reason, ConflictReason::Deleted);
    let wounded = |_: &Contested<'_>| Verdict::Custom(json!({"name": "Orc", "currentHp": 1}));
    let (version, merged) = both(
        &config(),
        Some(&wounded),
        late(unset("combatants.k1")),
        early(hit()),
    );
    assert_eq!(
        version.fields["combatants"]["k1"],
        json!({"name": "Orc", "currentHp": 1})
    );
    assert_eq!(merged.conflicts.len(), 2);
}
