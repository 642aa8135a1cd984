//! Pages of lists.

use moonforge_store::{Comparison, Direction, QuerySpec, Store};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::query::{entities, filter, valued};
use crate::support::*;

#[tokio::test]
async fn a_cursor_of_another_list_is_refused() {
    let store = memory().await;
    small_campaign(&store).await;
    let spec = QuerySpec {
        limit: Some(1),
        ..QuerySpec::all(named("scenes"))
    };
    let next = store.list(&spec).await.unwrap().next.unwrap();
    let ordered = vec![(path("title"), Direction::Asc)];
    let changed: String = next.chars().rev().collect();
    for (cursor, spec) in [
        ("", spec.clone()),
        ("zz", spec.clone()),
        ("7b7", spec.clone()),
        ("é", spec.clone()),
        (&*changed, spec.clone()),
        (
            &*next,
            QuerySpec {
                order: ordered,
                ..spec.clone()
            },
        ),
        (
            &*next,
            QuerySpec {
                collection: named("chapters"),
                ..spec.clone()
            },
        ),
    ] {
        let after = Some(cursor.to_owned());
        let refused = store.list(&QuerySpec { after, ..spec }).await;
        assert_eq!(code(refused), "invalid_cursor", "{cursor}");
    }
    let rest = QuerySpec {
        after: Some(next),
        ..spec
    };
    assert_eq!(ids(&store, &rest).await, ["s2"]);
}

#[derive(Clone, Debug)]
struct Listing {
    values: Vec<Option<Value>>,
    order: Vec<(&'static str, Direction)>,
    limit: u32,
}

fn listing() -> impl Strategy<Value = Listing> {
    let value = prop_oneof![
        Just(None),
        Just(Some(json!(null))),
        (-2i64..3).prop_map(|n| Some(json!(n))),
        Just(Some(json!(0.5))),
        Just(Some(json!(1e300))),
        "[ab]{0,2}".prop_map(|s| Some(json!(s))),
        any::<bool>().prop_map(|b| Some(json!(b))),
    ];
    let direction = prop_oneof![Just(Direction::Asc), Just(Direction::Desc)];
    let name = prop_oneof![
        Just("props.v"),
        Just("id"),
        Just("updatedAt"),
        Just("kind"),
        Just("createdAt")
    ];
    (
        prop::collection::vec(value, 0..14),
        prop::collection::vec((name, direction), 0..3),
        1u32..5,
    )
        .prop_map(|(values, order, limit)| Listing {
            values,
            order,
            limit,
        })
}

/// What SQL's order of values should come to: null, then numbers with true as 1, then texts.
fn rank(value: &Option<Value>) -> (u8, f64, String) {
    match value {
        None | Some(Value::Null) => (0, 0.0, String::new()),
        Some(Value::Bool(b)) => (1, f64::from(u8::from(*b)), String::new()),
        Some(Value::Number(n)) => (1, n.as_f64().unwrap(), String::new()),
        Some(other) => (2, 0.0, other.as_str().unwrap().to_owned()),
    }
}

async fn pages(store: &Store, mut spec: QuerySpec) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        let page = store.list(&spec).await.unwrap();
        seen.extend(page.items.iter().map(|d| d.doc.id.to_string()));
        spec.after = page.next;
        if spec.after.is_none() {
            return seen;
        }
        assert_eq!(
            page.items.len(),
            spec.limit.unwrap() as usize,
            "only the last page is short"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn pages_come_in_order_without_a_gap_or_a_repeat(listing in listing()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = memory().await;
            valued(&store, &listing.values).await;
            let spec = QuerySpec {
                order: listing.order.iter().map(|(p, d)| (path(p), *d)).collect(),
                limit: Some(listing.limit),
                ..entities(Vec::new())
            };
            let paged = pages(&store, spec.clone()).await;
            let whole = ids(&store, &QuerySpec { limit: None, ..spec }).await;
            prop_assert_eq!(&paged, &whole);
            let mut sorted = whole.clone();
            sorted.sort();
            let mut all: Vec<_> = (0..listing.values.len()).map(|i| format!("e{i}")).collect();
            all.sort();
            prop_assert_eq!(sorted, all);
            if let [("props.v", direction), ..] = listing.order[..] {
                let ranks: Vec<_> = whole.iter().map(|id| rank(&listing.values[id[1..].parse::<usize>().unwrap()])).collect();
                let rising = |a: &(u8, f64, String), b: &(u8, f64, String)| a <= b;
                let sorted = match direction {
                    Direction::Asc => ranks.is_sorted_by(rising),
                    Direction::Desc => ranks.is_sorted_by(|a, b| rising(b, a)),
                };
                prop_assert!(sorted, "{:?}", ranks);
            }
            Ok(())
        })?;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_neither_skip_nor_repeat_while_others_write() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("m.db")).await;
    let entity = |name: &str| fields(json!({"campaignId": "c", "kind": "npc", "name": name}));
    // Many ties: the place in the order is by name, of which there are three, then by id.
    let name = |i: usize| ["a", "b", "c"][i % 3];
    let stable = (0..120).map(|i| (doc("entities", &format!("s{i:03}")), entity(name(i))));
    store.put_many(stable.collect(), at(1)).await.unwrap();
    let writer = {
        let store = store.clone();
        tokio::spawn(async move {
            for i in 0..60 {
                let id = doc("entities", &format!("t{:03}", (i * 37) % 60));
                store.put(id, entity(name(i)), at(2)).await.unwrap();
                if i % 3 == 0 {
                    let gone = doc("entities", &format!("t{:03}", (i * 37) % 60));
                    store.delete(gone, at(3)).await.unwrap();
                }
            }
        })
    };
    for direction in [Direction::Asc, Direction::Desc] {
        let spec = QuerySpec {
            order: vec![(path("name"), direction)],
            limit: Some(7),
            ..entities(vec![filter("campaignId", Comparison::Eq, json!("c"))])
        };
        let seen = pages(&store, spec).await;
        let distinct: std::collections::HashSet<_> = seen.iter().collect();
        assert_eq!(distinct.len(), seen.len(), "a document came twice");
        assert_eq!(seen.iter().filter(|id| id.starts_with('s')).count(), 120);
    }
    writer.await.unwrap();
}
