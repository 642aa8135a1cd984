//! The merge under deep maps, whole maps against their parts, lists, lines of texts, deletes and restores: the later edit of
//! each place stays whoever syncs first, edits of different places all stay, nothing goes untold, and a second merge says
//! nothing.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::conflict::Conflict;
use crate::merge::merge;
use crate::merge_tests::{at, base, config, in_order, met, patch, pushed, row, set, unset};
use crate::patch::{PatchOp, apply};
use crate::row::{Row, RowOp};
use crate::value::{Fields, canonical, standing, value_at};

/// Paths that lie above, below and beside each other.
const PATHS: [&str; 10] = [
    "name",
    "props",
    "props.lit",
    "props.a",
    "props.a.b",
    "props.a.b.c",
    "props.a.d",
    "entityIds",
    "combatants.k3",
    "status",
];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        "[n-z]{3}".prop_map(Value::from),
        (0..99i64).prop_map(Value::from),
        prop::collection::vec("[n-z]{2}", 0..3).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop::collection::btree_map("[abcd]", inner, 0..3)
            .prop_map(|m| Value::Object(m.into_iter().collect()))
    })
}

fn op() -> impl Strategy<Value = PatchOp> {
    let path = || prop::sample::select(&PATHS[..]);
    prop_oneof![
        4 => (path(), value()).prop_map(|(path, value)| set(path, value)),
        1 => path().prop_map(unset),
    ]
}

/// One to three edits of one person, at even or odd seconds so that two people never edit at once.
fn edits(parity: i64) -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec((5..40i64, op()), 1..4).prop_map(move |mut edits| {
        edits.sort_by_key(|(second, _)| *second);
        let mut view = base().fields;
        edits.retain(|(_, op)| {
            // To take away what isn't there, or wasn't before, is no edit; whether it leaves an empty map behind depends
            // on who was first.
            let there = [&view, &base().fields].map(|f| value_at(f, op.path()).is_some());
            let says = op != &unset(&op.path().to_string()) || there == [true, true];
            // And what one person puts in the place of his own text isn't there to decide twice.
            let free = standing(&view, op.path()).0 == *op.path();
            says && free && apply(&mut view, op).is_ok()
        });
        let rows = edits.into_iter().enumerate();
        rows.map(|(n, (second, op))| Row {
            n: n as u64 + 1,
            op_id: format!("{parity}-{n}"),
            ..patch(2 * second + parity, vec![op])
        })
        .collect()
    })
}

fn ops(rows: &[Row]) -> impl Iterator<Item = &PatchOp> {
    rows.iter().flat_map(|row| match &row.op {
        RowOp::Patch { ops } => &ops[..],
        _ => &[],
    })
}

/// Texts of at least three letters that stand in a value.
fn words(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text.len() == 3 => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| words(item, found)),
        Value::Object(map) => map.values().for_each(|value| words(value, found)),
        _ => {}
    }
}

fn told(word: &str, fields: &Fields, journal: &[Conflict]) -> bool {
    canonical(&Value::Object(fields.clone())).contains(word)
        || journal.iter().any(|c| {
            canonical(&c.lost).contains(word)
                || serde_json::to_string(&c.bring_back).unwrap().contains(word)
        })
}

/// A text of seven lines with some of them changed, taken out or added to.
fn text() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        5 => Just(None),
        1 => Just(Some(String::new())),
        2 => "[n-z]{3}".prop_map(|w| Some(format!("{w}\n"))),
        1 => ("[n-z]{3}", "[n-z]{3}").prop_map(|(a, b)| Some(format!("{a}\n{b}\n"))),
    ];
    prop::collection::vec(line, 7).prop_map(|lines| {
        let kept = |(n, line): (usize, Option<String>)| line.unwrap_or(format!("line {n}\n"));
        lines.into_iter().enumerate().map(kept).collect()
    })
}

fn seven_lines() -> String {
    (0..7).map(|n| format!("line {n}\n")).collect()
}

fn written(to: &str) -> PatchOp {
    PatchOp::Text {
        path: "notes".parse().unwrap(),
        from: seven_lines(),
        to: to.to_owned(),
    }
}

/// Who takes away what isn't there leaves no trace, or the map around it, depending on who was first.
fn without_empty_maps(fields: Fields) -> Fields {
    let filled = |(name, value): (String, Value)| {
        let value = match value {
            Value::Object(map) => Value::Object(without_empty_maps(map)),
            value => value,
        };
        (value != json!({})).then_some((name, value))
    };
    fields.into_iter().filter_map(filled).collect()
}

proptest! {
    #[test]
    fn deep_edits_come_out_the_same_in_either_order(a in edits(0), b in edits(1)) {
        let (one, two) = (in_order(&a, &b).0, in_order(&b, &a).0);
        prop_assert_eq!(without_empty_maps(one.fields), without_empty_maps(two.fields));
    }

    #[test]
    fn deep_edits_that_lose_are_told(a in edits(0), b in edits(1)) {
        let alone = |rows: &[Row]| pushed(&base(), rows, 1000).fields;
        let (version, merged) = in_order(&a, &b);
        for side in [alone(&a), alone(&b)] {
            let mut wrote = Vec::new();
            words(&Value::Object(side), &mut wrote);
            for word in wrote.iter().filter(|w| !["Orc", "Elf"].contains(&w.as_str())) {
                prop_assert!(told(word, &version.fields, &merged.conflicts), "{} of {:?}", word, merged);
            }
        }
    }

    #[test]
    fn merging_deep_edits_again_says_nothing(a in edits(0), b in edits(1)) {
        let theirs = pushed(&base(), &a, 1000);
        let once = met(&b, &theirs);
        let again = merge(&config(), Some(&theirs), &theirs, &once.rows, at(1000));
        prop_assert_eq!(&again.rows, &once.rows);
        prop_assert_eq!(again.conflicts, []);
    }

    #[test]
    fn edits_of_different_places_all_stay(a in edits(0), b in edits(1)) {
        let a: Vec<Row> = a.into_iter().filter(|row| {
            let row = std::slice::from_ref(row);
            ops(row).all(|a| ops(&b).all(|b| !a.path().overlaps(b.path())))
        }).collect();
        let (version, merged) = in_order(&a, &b);
        prop_assert_eq!(merged.conflicts, []);
        for rows in [&a, &b] {
            let alone = pushed(&base(), rows, 1000).fields;
            for op in ops(rows) {
                prop_assert_eq!(value_at(&version.fields, op.path()), value_at(&alone, op.path()));
            }
        }
    }

    #[test]
    fn a_third_device_changes_nothing_about_it(a in edits(0), b in edits(1), word in "[a-m]{4}") {
        // An edit in between that has nothing to do with either: two merges come to what one would.
        let between = pushed(&base(), &[patch(7, vec![set("loot", word)])], 900);
        let theirs = pushed(&between, &a, 1000);
        let twice = met(&met(&b, &between).rows, &between);
        let stepwise = merge(&config(), Some(&between), &theirs, &twice.rows, at(1000));
        let direct = met(&b, &theirs);
        prop_assert_eq!(
            pushed(&theirs, &stepwise.rows, 1001).fields,
            pushed(&theirs, &direct.rows, 1001).fields
        );
    }

    #[test]
    fn lines_of_both_are_there_or_told(a in text(), b in text(), ours_later in any::<bool>()) {
        let mut start = base();
        start.fields.insert("notes".into(), seven_lines().into());
        let (ta, tb) = if ours_later { (20, 30) } else { (30, 20) };
        let theirs = pushed(&start, &[patch(ta, vec![written(&a)])], 1000);
        let merged = merge(&config(), Some(&start), &theirs, &[patch(tb, vec![written(&b)])], at(1000));
        let version = pushed(&theirs, &merged.rows, 1001);
        for side in [&a, &b] {
            for line in side.lines() {
                let taken_out = [&a, &b].iter().any(|other| line.starts_with("line") && !other.contains(line));
                prop_assert!(taken_out || told(line, &version.fields, &merged.conflicts), "{} of {:?}", line, merged);
            }
        }
        // The other order shows the same text.
        let theirs = pushed(&start, &[patch(tb, vec![written(&b)])], 1000);
        let other = merge(&config(), Some(&start), &theirs, &[patch(ta, vec![written(&a)])], at(1000));
        prop_assert_eq!(&pushed(&theirs, &other.rows, 1001).fields["notes"], &version.fields["notes"]);
        // And what was lost can be brought back, hunk for hunk.
        let mut back = version.fields.clone();
        for op in merged.conflicts.iter().flat_map(|c| &c.bring_back) {
            apply(&mut back, op).unwrap();
        }
    }

    #[test]
    fn a_delete_keeps_every_edit_in_the_tombstone_or_the_journal(
        edit in edits(0), deleted_at in 5..40i64, restored in any::<bool>(),
    ) {
        let delete = row(9, 2 * deleted_at + 1, RowOp::Delete { delete_id: "d".into() });
        let mut deletes = vec![delete];
        if restored {
            deletes.push(row(10, 2 * deleted_at + 3, RowOp::Restore { delete_id: "d".into() }));
        }
        let alone = pushed(&base(), &edit, 1000).fields;
        for (first, second) in [(&edit, &deletes), (&deletes, &edit)] {
            let (version, merged) = in_order(first, second);
            prop_assert_eq!(version.envelope.deleted.is_some(), !restored);
            prop_assert_eq!(&version.fields, &alone, "the content is all there");
            prop_assert!(restored || !merged.conflicts.is_empty() || alone == base().fields);
        }
    }

    #[test]
    fn two_creations_of_one_id_come_out_the_same(a in edits(0), b in edits(1)) {
        let made = |rows: &[Row], name: &str| {
            let mut fields = json!({"campaignId": "c", "name": name}).as_object().unwrap().clone();
            for op in ops(rows) {
                let _ = apply(&mut fields, op);
            }
            fields
        };
        let (a, b) = (made(&a, "A"), made(&b, "B"));
        let create = |fields: &Fields, second| row(1, second, RowOp::Create { fields: fields.clone() });
        let end = |first: Row, second: Row| {
            let mut theirs = base();
            theirs.fields = Fields::new();
            theirs.envelope.edited.clear();
            let theirs = pushed(&theirs, &[first], 1000);
            let merged = merge(&config(), None, &theirs, &[second], at(1000));
            (pushed(&theirs, &merged.rows, 1001).fields, merged.conflicts)
        };
        let (one, journal) = end(create(&a, 20), create(&b, 30));
        let (two, _) = end(create(&b, 30), create(&a, 20));
        prop_assert_eq!(&one, &two);
        let mut wrote = Vec::new();
        words(&Value::Object(a), &mut wrote);
        words(&Value::Object(b), &mut wrote);
        for word in wrote {
            prop_assert!(told(&word, &one, &journal), "{} of {:?}", word, journal);
        }
    }
}
