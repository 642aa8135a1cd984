//! Policies that join, and policies that choose.

use serde_json::{Value, json};

use crate::conflict::{ConflictReason, DecidedBy, LostSide};
use crate::id::DocRef;
use crate::intent::{as_intents, join_lists};
use crate::merge::{Merged, merge_as};
use crate::merge_tests::{at, base, config, patch, pushed, set};
use crate::patch::PatchOp;
use crate::policy::FieldPolicy;
use crate::resolver::{ConflictResolver, MergeContext};
use crate::row::{Row, RowOp};
use crate::schema::CollectionConfig;
use crate::version::{Version, WriterMark};

fn with(path: &str, policy: FieldPolicy) -> CollectionConfig {
    config().with_policy(path, policy).unwrap()
}

/// What is pushed first, and then what comes of merging the second onto it.
pub(crate) fn both(
    config: &CollectionConfig,
    resolver: Option<&dyn ConflictResolver>,
    first: Row,
    second: Row,
) -> (Version, Merged) {
    let meant = |row: Row| {
        let RowOp::Patch { ops } = row.op else {
            return row;
        };
        let ops = as_intents(config, &base().fields, ops);
        Row {
            op: RowOp::Patch { ops },
            ..row
        }
    };
    let mut theirs = pushed(&base(), &[meant(first)], 1000);
    let mark = WriterMark {
        n: 1,
        op: "x".into(),
    };
    theirs.envelope.writers = [("ben".to_owned(), [("i".to_owned(), mark)].into())].into();
    let doc = DocRef::parse("encounters", "e").unwrap();
    let context = MergeContext {
        uid: Some("anna"),
        resolver: resolver.map(|resolver| (&doc, resolver)),
    };
    let merged = merge_as(
        context,
        config,
        Some(&base()),
        &theirs,
        &[meant(second)],
        at(1000),
    );
    let last = match merged.rows.is_empty() {
        true => theirs,
        false => pushed(&theirs, &merged.rows, 1001),
    };
    // Merging its result again says nothing new.
    let again = merge_as(context, config, Some(&last), &last, &merged.rows, at(1000));
    assert_eq!(again.conflicts, []);
    (last, merged)
}

pub(crate) fn early(op: PatchOp) -> Row {
    patch(20, vec![op])
}

pub(crate) fn late(op: PatchOp) -> Row {
    patch(30, vec![op])
}

#[test]
fn a_counter_counts_what_both_sides_did_in_either_order() {
    let config = with("round", FieldPolicy::Counter);
    let (up, down) = (set("round", 6), set("round", -1));
    for (first, second) in [(&up, &down), (&down, &up)] {
        let (version, merged) = both(&config, None, early(first.clone()), late(second.clone()));
        assert_eq!(version.fields["round"], json!(4));
        assert_eq!(merged.conflicts, []);
    }
}

#[test]
fn a_counter_of_doubles_stays_what_its_author_saw() {
    let config = with("props.gold", FieldPolicy::Counter);
    for (old, new) in [
        (json!(0.1), json!(0.3)),
        (json!(5), json!(5.5)),
        (json!(0.1), json!(7)),
    ] {
        let seen = json!({"props": {"gold": old}}).as_object().unwrap().clone();
        let ops = as_intents(&config, &seen, vec![set("props.gold", new.clone())]);
        let mut fields = seen.clone();
        for op in &ops {
            crate::patch::apply(&mut fields, op).unwrap();
        }
        assert_eq!(fields["props"]["gold"], new, "{ops:?}");
    }
}

#[test]
fn a_set_keeps_what_either_added_and_drops_what_either_took_out() {
    let config = with("entityIds", FieldPolicy::Set);
    let added = set("entityIds", json!(["e1", "x"]));
    let replaced = set("entityIds", json!(["a"]));
    for (first, second) in [(&added, &replaced), (&replaced, &added)] {
        let (version, merged) = both(&config, None, early(first.clone()), late(second.clone()));
        let mut ids: Vec<_> = version.fields["entityIds"].as_array().unwrap().clone();
        ids.sort_by_key(Value::to_string);
        assert_eq!(ids, [json!("a"), json!("x")]);
        assert_eq!(merged.conflicts, []);
    }
}

/// An order of its own can't be told as additions, so it is written whole, and joined when it meets others.
#[test]
fn a_set_that_was_put_in_order_loses_nothing_of_others() {
    let mut config = with("entityIds", FieldPolicy::Set);
    config = config.with_policy("props.bag", FieldPolicy::Set).unwrap();
    let ordered = set("entityIds", json!(["new", "e1"]));
    let union = PatchOp::ArrayUnion {
        path: "entityIds".parse().unwrap(),
        values: vec!["theirs".into()],
    };
    let (version, merged) = both(&config, None, late(union), early(ordered));
    assert_eq!(version.fields["entityIds"], json!(["e1", "new", "theirs"]));
    assert_eq!(merged.conflicts, []);
    // Two lists that begin at once.
    let (one, two) = (
        set("props.bag", json!(["rope"])),
        set("props.bag", json!(["lamp"])),
    );
    for (first, second) in [(&one, &two), (&two, &one)] {
        let (version, merged) = both(&config, None, early(first.clone()), late(second.clone()));
        assert_eq!(version.fields["props"]["bag"], json!(["lamp", "rope"]));
        assert_eq!(merged.conflicts, []);
    }
    // Nothing is left of a list that one side took away.
    let (gone, old, empty) = (None, json!(["e1"]), json!([]));
    assert_eq!(join_lists(Some(&old), gone, Some(&empty)), Some(None));
    assert_eq!(join_lists(Some(&old), Some(&empty), gone), Some(None));
    assert_eq!(
        join_lists(Some(&old), Some(&empty), Some(&empty)),
        Some(Some(json!([])))
    );
    assert_eq!(join_lists(Some(&old), Some(&json!(1)), gone), None);
}

#[test]
fn the_remote_or_the_local_side_wins_whichever_is_later() {
    for (policy, kept, lost_side, by) in [
        (
            FieldPolicy::RemoteWins,
            "first",
            LostSide::Local,
            DecidedBy::RemoteWins,
        ),
        (
            FieldPolicy::LocalWins,
            "second",
            LostSide::Remote,
            DecidedBy::LocalWins,
        ),
    ] {
        for (one, two) in [(20, 30), (30, 20)] {
            let config = config().with_policy_for_all(policy).unwrap();
            let row = |second, text: &str| patch(second, vec![set("name", text)]);
            let (version, merged) = both(&config, None, row(one, "first"), row(two, "second"));
            assert_eq!(version.fields["name"], kept);
            let [entry] = &merged.conflicts[..] else {
                panic!("{:?}", merged.conflicts)
            };
            assert_eq!(
                (entry.lost_side, entry.reason),
                (lost_side, ConflictReason::Overwritten)
            );
            assert_eq!(entry.context.decided_by, Some(by));
        }
    }
}

#[test]
fn what_a_person_is_to_decide_stays_as_the_remote_has_it_and_waits() {
    let config = with("name", FieldPolicy::Manual);
    let (version, merged) = both(
        &config,
        None,
        early(set("name", "theirs")),
        patch(30, vec![set("name", "ours"), set("round", 9)]),
    );
    assert_eq!(
        (&version.fields["name"], &version.fields["round"]),
        (&json!("theirs"), &json!(9))
    );
    let [entry] = &merged.conflicts[..] else {
        panic!("{:?}", merged.conflicts)
    };
    assert_eq!(entry.reason, ConflictReason::Undecided);
    assert_eq!(
        (&entry.kept, &entry.lost),
        (&json!("theirs"), &json!("ours"))
    );
    assert_eq!(entry.bring_back, [set("name", "ours")]);
    let context = &entry.context;
    assert_eq!(context.base, Some(json!("Ambush")));
    assert_eq!(
        (context.kept_at, context.lost_at),
        (Some(at(20)), Some(at(30)))
    );
    assert_eq!(
        (&context.kept_by[..], &context.lost_by[..]),
        (&["ben".to_owned()][..], &["anna".to_owned()][..])
    );
    assert_eq!(context.decided_by, Some(DecidedBy::Manual));
}

/// A policy of a member holds against a set of the whole map, on either side.
#[test]
fn parts_with_a_policy_of_their_own_follow_it_under_a_whole_map() {
    let whole =
        |gold: i64, mood: &str| set("props", json!({"gold": gold, "lit": true, "mood": mood}));
    let config = with("props.gold", FieldPolicy::RemoteWins);
    let (version, merged) = both(
        &config,
        None,
        early(whole(1, "grim")),
        late(whole(2, "gay")),
    );
    assert_eq!(
        version.fields["props"],
        json!({"gold": 1, "lit": true, "mood": "gay"})
    );
    let told: Vec<_> = merged
        .conflicts
        .iter()
        .map(|c| (&*c.field, c.lost_side))
        .collect();
    assert_eq!(
        told,
        [("props.gold", LostSide::Local), ("props", LostSide::Remote)]
    );
    let config = with("props.gold", FieldPolicy::LocalWins);
    let (version, merged) = both(
        &config,
        None,
        late(whole(1, "grim")),
        early(whole(2, "gay")),
    );
    assert_eq!(
        version.fields["props"],
        json!({"gold": 2, "lit": true, "mood": "grim"})
    );
    let told: Vec<_> = merged
        .conflicts
        .iter()
        .map(|c| (&*c.field, c.lost_side))
        .collect();
    assert_eq!(
        told,
        [("props.gold", LostSide::Remote), ("props", LostSide::Local)]
    );
}

#[test]
fn a_nested_text_merges_by_line_where_the_policy_says_so() {
    let config = with("props.log", FieldPolicy::Text);
    let mut old = base();
    let text = |to: &str| PatchOp::Text {
        path: "props.log".parse().unwrap(),
        from: "one\ntwo\n".into(),
        to: to.into(),
    };
    old.fields["props"]["log"] = json!("one\ntwo\n");
    let theirs = pushed(&old, &[early(text("ONE\ntwo\n"))], 1000);
    let rows = [late(text("one\nTWO\n"))];
    let merged = merge_as(
        MergeContext::default(),
        &config,
        Some(&old),
        &theirs,
        &rows,
        at(1000),
    );
    assert_eq!(
        pushed(&theirs, &merged.rows, 1001).fields["props"]["log"],
        "ONE\nTWO\n"
    );
    assert_eq!(merged.conflicts, []);
    // And a set of it is an edit of its lines.
    let after = pushed(&old, &[late(set("props.log", "one\nTWO\n"))], 1000).fields;
    assert_eq!(
        crate::patch::diff(&config, &old.fields, &after),
        [text("one\nTWO\n")]
    );
}
