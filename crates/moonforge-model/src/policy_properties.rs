//! Two devices with the same policies, resolver and all: whoever syncs first, both end with one document, nothing is lost
//! untold, and another merge writes nothing.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::conflict::Conflict;
use crate::id::DocRef;
use crate::intent::as_intents;
use crate::merge::{Merged, merge_as};
use crate::merge_tests::{at, base, config, increment, patch, pushed, set, unset};
use crate::patch::{PatchOp, apply};
use crate::policy::FieldPolicy;
use crate::resolver::{Contested, MergeContext, Verdict};
use crate::row::{Row, RowOp};
use crate::schema::CollectionConfig;
use crate::value::{Fields, canonical, value_at};
use crate::version::Version;

fn policies() -> impl Strategy<Value = CollectionConfig> {
    use FieldPolicy::*;
    let side = || {
        prop_oneof![
            Just(LaterWins),
            Just(RemoteWins),
            Just(LocalWins),
            Just(Manual)
        ]
    };
    let some = |path: &'static str, policy: BoxedStrategy<FieldPolicy>| {
        prop::option::of(policy).prop_map(move |policy| (path, policy))
    };
    let stated = (
        some("name", side().boxed()),
        some("notes", side().boxed()),
        some("round", prop_oneof![Just(Counter), side()].boxed()),
        some("entityIds", prop_oneof![Just(Set), side()].boxed()),
        some("props", prop_oneof![Just(KeyedMap), side()].boxed()),
        some("props.gold", prop_oneof![Just(Counter), side()].boxed()),
        some("props.a", side().boxed()),
        some("combatants.`*`.name", side().boxed()),
        some("combatants.k1", side().boxed()),
    );
    (side(), stated).prop_map(|(all, s)| {
        let stated = [s.0, s.1, s.2, s.3, s.4, s.5, s.6, s.7, s.8];
        let config = config().with_policy_for_all(all).unwrap();
        stated
            .into_iter()
            .fold(config, |config, (path, policy)| match policy {
                Some(policy) => config.with_policy(path, policy).unwrap(),
                None => config,
            })
    })
}

fn edit() -> impl Strategy<Value = PatchOp> {
    let word = || "[a-e]{1,2}";
    prop_oneof![
        word().prop_map(|w| set("name", w)),
        (0..9i64).prop_map(|n| set("round", n)),
        (-9..9i64).prop_map(|n| increment("round", n)),
        prop::collection::vec("[a-e]", 0..4).prop_map(|list| set("entityIds", list)),
        (0..9i64).prop_map(|n| set("props.gold", n)),
        word().prop_map(|w| set("props.a", w)),
        word().prop_map(|w| set("props.b.c", w)),
        (word(), 0..9i64).prop_map(|(w, n)| set("props", json!({"a": w, "gold": n}))),
        Just(unset("props")),
        Just(unset("props.gold")),
        word().prop_map(|w| set("combatants.k1.name", w)),
        word().prop_map(|w| set("combatants.k1", json!({ "name": w }))),
        (-9..9i64).prop_map(|n| increment("combatants.k1.currentHp", n)),
        Just(unset("combatants.k1")),
        (0..3usize, word()).prop_map(|(line, w)| {
            let from = "one\ntwo\nthree\n".to_owned();
            let mut lines: Vec<&str> = from.lines().collect();
            lines[line] = &w;
            let to = lines.join("\n") + "\n";
            let path = "notes".parse().unwrap();
            PatchOp::Text { path, from, to }
        }),
    ]
}

/// Up to three edits of one person, each at its own time, none later than second 99.
fn edits() -> impl Strategy<Value = Vec<(i64, PatchOp)>> {
    prop::collection::vec((11..99i64, edit()), 1..4).prop_map(|mut edits| {
        edits.sort_by_key(|(second, _)| *second);
        edits
    })
}

/// The rows that a device queues: each edit means what it means on what its author saw.
fn queued(config: &CollectionConfig, edits: &[(i64, PatchOp)]) -> Vec<Row> {
    let mut view = base().fields;
    let mut rows = Vec::new();
    for (n, (second, op)) in edits.iter().enumerate() {
        let op = match op {
            PatchOp::Text { path, to, .. } => match value_at(&view, path) {
                Some(Value::String(from)) => PatchOp::Text {
                    path: path.clone(),
                    from: from.clone(),
                    to: to.clone(),
                },
                _ => op.clone(),
            },
            op => op.clone(),
        };
        let ops = as_intents(config, &view, vec![op]);
        if ops.iter().any(|op| apply(&mut view.clone(), op).is_err()) {
            continue;
        }
        for op in &ops {
            apply(&mut view, op).unwrap();
        }
        rows.push(Row {
            n: n as u64 + 1,
            ..patch(*second, ops)
        });
    }
    rows
}

fn ops(rows: &[Row]) -> impl Iterator<Item = &PatchOp> {
    rows.iter().flat_map(|row| match &row.op {
        RowOp::Patch { ops } => &ops[..],
        _ => &[],
    })
}

/// A resolver that doesn't care which side is called ours, now and then.
fn fair(asked: &Contested<'_>) -> Verdict {
    let text = |v: Option<&Value>| v.map(canonical).unwrap_or_default();
    let mut sides = [text(asked.ours), text(asked.theirs)];
    sides.sort();
    match (sides.concat().len() % 3, asked.ours) {
        (0, Some(Value::String(_))) => Verdict::Custom(json!(sides.join("|"))),
        (1, _) => match text(asked.ours) >= text(asked.theirs) {
            true => Verdict::Ours,
            false => Verdict::Theirs,
        },
        _ => Verdict::Default,
    }
}

fn meet(
    config: &CollectionConfig,
    resolved: bool,
    base: &Version,
    theirs: &Version,
    rows: &[Row],
) -> Merged {
    let doc = DocRef::parse("encounters", "e").unwrap();
    let context = MergeContext {
        uid: Some("anna"),
        resolver: resolved.then_some((&doc, &fair as _)),
    };
    merge_as(context, config, Some(base), theirs, rows, at(1000))
}

/// Whether a text of ours is in the document or told in the journal, whole or in what it would bring back.
fn is_told(text: &str, fields: &Fields, journal: &[Conflict]) -> bool {
    let here = canonical(&Value::Object(fields.clone()));
    let told = journal.iter().any(|c| {
        [&c.lost, &c.kept]
            .iter()
            .any(|v| canonical(v).contains(text))
            || serde_json::to_string(&c.bring_back).unwrap().contains(text)
    });
    here.contains(text) || told
}

proptest! {
    #[test]
    fn merging_again_writes_and_says_nothing(
        config in policies(), resolved in any::<bool>(), a in edits(), b in edits(),
    ) {
        let theirs = pushed(&base(), &queued(&config, &a), 1000);
        let once = meet(&config, resolved, &base(), &theirs, &queued(&config, &b));
        let again = meet(&config, resolved, &theirs, &theirs, &once.rows);
        prop_assert_eq!(&again.rows, &once.rows);
        prop_assert_eq!(again.conflicts, []);
        // And once the rows are there, nothing is left of them to say.
        let last = pushed(&theirs, &once.rows, 1001);
        let settled = meet(&config, resolved, &last, &last, &[]);
        prop_assert_eq!((settled.rows.len(), settled.conflicts.len()), (0, 0));
    }

    #[test]
    fn nothing_is_lost_untold(
        config in policies(), resolved in any::<bool>(),
        a in "[n-z]{4}", b in "[n-z]{4}", ta in 11..99i64, tb in 11..99i64,
        at_path in prop_oneof![Just("name"), Just("props.a"), Just("props.b.c"), Just("combatants.k1.name")],
        whole in any::<bool>(), noise in edits(),
    ) {
        prop_assume!(a != b);
        let one = match (whole, at_path) {
            (true, "props.a") => set("props", json!({"a": a, "b": {"c": 1}})),
            (true, "combatants.k1.name") => set("combatants.k1", json!({"name": a, "currentHp": 15})),
            _ => set(at_path, a.clone()),
        };
        let theirs = pushed(&base(), &queued(&config, &[(ta, one)]), 1000);
        let ours = queued(&config, &[(tb, set(at_path, b.clone()))]);
        let merged = meet(&config, resolved, &base(), &theirs, &ours);
        let last = pushed(&theirs, &merged.rows, 1001);
        prop_assert!(is_told(&a, &last.fields, &merged.conflicts), "{a} of {last:?} {merged:?}");
        prop_assert!(is_told(&b, &last.fields, &merged.conflicts), "{b} of {last:?} {merged:?}");
        // Nor under edits that have nothing to do with them.
        let theirs = pushed(&theirs, &queued(&config, &noise), 1000);
        let merged = meet(&config, resolved, &base(), &theirs, &ours);
        let last = pushed(&theirs, &merged.rows, 1001);
        prop_assert!(is_told(&b, &last.fields, &merged.conflicts), "{b} of {last:?} {merged:?}");
    }

    #[test]
    fn disjoint_edits_survive_under_every_policy(
        config in policies(), resolved in any::<bool>(), gold in 100..999i64, word in "[n-z]{3}", turns in (11..99i64, 11..99i64),
    ) {
        let ours = vec![(turns.0, set("props.gold", gold)), (turns.0, set("combatants.k2.name", word.clone()))];
        let theirs = vec![(turns.1, set("props.mood", word.clone())), (turns.1, set("name", word.clone()))];
        for (first, second) in [(&ours, &theirs), (&theirs, &ours)] {
            let there = pushed(&base(), &queued(&config, first), 1000);
            let merged = meet(&config, resolved, &base(), &there, &queued(&config, second));
            prop_assert_eq!(&merged.conflicts, &[]);
            let last = pushed(&there, &merged.rows, 1001).fields;
            prop_assert_eq!((&last["props"]["gold"], &last["props"]["mood"]), (&json!(gold), &json!(word)));
            prop_assert_eq!((&last["combatants"]["k2"]["name"], &last["name"]), (&json!(word), &json!(word)));
        }
    }

    #[test]
    fn what_does_not_name_a_side_comes_out_the_same_in_either_order(
        a in edit(), b in edit(), ta in 11..60i64, tb in 60..99i64, resolved in any::<bool>(),
    ) {
        // Left out are the documented limits: a set or removal of what the other counts, and a resolver that is asked about
        // a whole map in one order and about a part of it in the other.
        let limit = |a: &PatchOp, b: &PatchOp| a.path().overlaps(b.path()) && a.replaces() && !b.replaces();
        let part = a.path() != b.path() && a.path().overlaps(b.path());
        let config = config().with_policy("round", FieldPolicy::Counter).unwrap();
        let config = config.with_policy("entityIds", FieldPolicy::Set).unwrap();
        let config = config.with_policy("props.gold", FieldPolicy::Counter).unwrap();
        let (a, b) = (queued(&config, &[(ta, a)]), queued(&config, &[(tb, b)]));
        let limited = ops(&a).any(|a| ops(&b).any(|b| limit(a, b) || limit(b, a)));
        prop_assume!(!(limited || resolved && part));
        let end = |first: &[Row], second: &[Row]| {
            let there = pushed(&base(), first, 1000);
            let merged = meet(&config, resolved, &base(), &there, second);
            let mut fields = pushed(&there, &merged.rows, 1001).fields;
            if let Some(Value::Array(ids)) = fields.get_mut("entityIds") {
                ids.sort_by_key(canonical);
            }
            fields
        };
        prop_assert_eq!(end(&a, &b), end(&b, &a));
    }
}
