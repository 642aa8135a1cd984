//! Policies and an app's resolver between devices: whoever syncs first, all end with one document, and another sync writes
//! nothing.

use std::sync::Arc;

use moonforge_model::{
    ConflictReason, ConflictResolver, Contested, DecidedBy, DocRef, FieldPolicy, PatchOp, Registry,
    Verdict,
};
use moonforge_store::{Resolution, ResolvedBy};
use serde_json::{Value, json};

use crate::support::{Cloud, Device, doc, set};

/// Both names, in an order that doesn't depend on the side.
fn both_names(asked: &Contested<'_>) -> Verdict {
    if asked.path.to_string() != "name" {
        return Verdict::Default;
    }
    let name = |v: Option<&Value>| v.and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut names = [name(asked.ours), name(asked.theirs)];
    names.sort();
    Verdict::Custom(json!(names.join(" & ")))
}

fn panics(_: &Contested<'_>) -> Verdict {
    panic!("a mistake of the app")
}

type App = Option<Arc<dyn ConflictResolver>>;

/// Devices with one entity, all in step.
async fn devices(
    cloud: &Cloud,
    registry: &Registry,
    app: &App,
    names: &[&str],
) -> (Vec<Device>, DocRef) {
    let hero = doc("entities", "hero");
    let mut devices = Vec::new();
    for name in names {
        devices.push(cloud.device_of(name, registry.clone(), app.clone()).await);
    }
    let fields = json!({"name": "h", "kind": "npc", "campaignId": "c", "tags": ["old"], "props": {"gold": 10},
        "summary": "one\ntwo\nthree"});
    devices[0].put(&hero, fields).await;
    for device in &devices {
        device.sync().await;
        cloud.pass(5);
    }
    (devices, hero)
}

/// Syncs until nobody has anything to send; three rounds must do.
async fn settle(cloud: &Cloud, devices: &[&Device]) {
    for _ in 0..3 {
        for device in devices {
            // What two devices wrote within a moment is found by the check that is owed a little later.
            cloud.pass(40);
            device.sync().await;
        }
    }
    let before = cloud
        .server
        .document(&doc("entities", "hero"))
        .unwrap()
        .update_time;
    for device in devices {
        let report = device.sync().await;
        assert_eq!((report.pushed, report.merged, report.conflicts), (0, 0, 0));
        assert_eq!(report.billed.writes, 0, "another sync writes nothing");
    }
    let after = cloud
        .server
        .document(&doc("entities", "hero"))
        .unwrap()
        .update_time;
    assert_eq!(before, after);
}

async fn agree(devices: &[&Device], hero: &DocRef, field: &str) -> Value {
    let first = devices[0].field(hero, field).await.unwrap();
    for device in devices {
        assert_eq!(device.field(hero, field).await.as_ref(), Some(&first));
    }
    first
}

#[tokio::test]
async fn a_resolvers_value_reaches_all_devices_whoever_syncs_first_and_nobody_writes_again() {
    for a_first in [true, false] {
        let cloud = Cloud::new();
        let app: App = Some(Arc::new(both_names));
        let (devices, hero) = devices(&cloud, &Registry::builtin(), &app, &["a", "b", "c"]).await;
        let [a, b, c] = &devices[..] else {
            unreachable!()
        };
        a.patch(&hero, vec![set("name", "Anna")]).await;
        cloud.pass(1);
        b.patch(&hero, vec![set("name", "Ben"), set("kind", "monster")])
            .await;
        let order = if a_first { [a, b] } else { [b, a] };
        settle(&cloud, &[order[0], order[1], c]).await;
        assert_eq!(agree(&[a, b, c], &hero, "name").await, "Anna & Ben");
        assert_eq!(agree(&[a, b, c], &hero, "kind").await, "monster");
        // Whoever merged has both sides, settled; the others have nothing to decide.
        let (first, second) = (order[0], order[1]);
        assert_eq!(first.store.conflicts(true).await.unwrap(), []);
        assert_eq!(second.store.conflicts(false).await.unwrap(), []);
        let entries = second.store.conflicts(true).await.unwrap();
        let mut lost: Vec<_> = entries
            .iter()
            .map(|e| e.conflict.lost.to_string())
            .collect();
        lost.sort();
        assert_eq!(lost, [r#""Anna""#, r#""Ben""#]);
        assert!(
            entries
                .iter()
                .all(|e| e.resolved_by == Some(ResolvedBy::Resolver)
                    && e.conflict.context.decided_by == Some(DecidedBy::Resolver))
        );
    }
}

/// Each goes on editing while the other's value is on its way: every edit is answered once.
#[tokio::test]
async fn two_devices_with_a_resolver_do_not_answer_each_other_for_ever() {
    let cloud = Cloud::new();
    let app: App = Some(Arc::new(both_names));
    let (devices, hero) = devices(&cloud, &Registry::builtin(), &app, &["a", "b"]).await;
    let (a, b) = (&devices[0], &devices[1]);
    for round in 0..4 {
        a.patch(&hero, vec![set("name", format!("a{round}"))]).await;
        cloud.pass(1);
        b.patch(&hero, vec![set("name", format!("b{round}"))]).await;
        cloud.pass(1);
        a.sync().await;
        a.patch(&hero, vec![set("name", format!("aa{round}"))])
            .await;
        b.sync().await;
        settle(&cloud, &[a, b]).await;
        // `aN & bN` was there when `aaN` met it.
        let mut sides = [format!("a{round} & b{round}"), format!("aa{round}")];
        sides.sort();
        assert_eq!(agree(&[a, b], &hero, "name").await, sides.join(" & "));
    }
}

#[tokio::test]
async fn a_resolver_that_panics_costs_nothing() {
    let cloud = Cloud::new();
    let app: App = Some(Arc::new(panics));
    let (devices, hero) = devices(&cloud, &Registry::builtin(), &app, &["a", "b"]).await;
    let (a, b) = (&devices[0], &devices[1]);
    a.patch(&hero, vec![set("name", "Anna"), set("props.lit", true)])
        .await;
    cloud.pass(1);
    b.patch(&hero, vec![set("name", "Ben"), set("props.dark", true)])
        .await;
    settle(&cloud, &[a, b]).await;
    assert_eq!(agree(&[a, b], &hero, "name").await, "Ben");
    assert_eq!(
        agree(&[a, b], &hero, "props").await,
        json!({"gold": 10, "lit": true, "dark": true})
    );
    let open = b.store.conflicts(false).await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(
        (&open[0].conflict.lost, open[0].conflict.context.decided_by),
        (&json!("Anna"), Some(DecidedBy::ResolverFailed))
    );
}

#[tokio::test]
async fn what_a_person_is_to_decide_waits_and_his_word_goes_to_everybody() {
    for take in [true, false] {
        let cloud = Cloud::new();
        let mut registry = Registry::builtin();
        registry
            .state_policy("entities", Some("name"), FieldPolicy::Manual)
            .unwrap();
        let (devices, hero) = devices(&cloud, &registry, &None, &["a", "b"]).await;
        let (a, b) = (&devices[0], &devices[1]);
        a.patch(&hero, vec![set("name", "Anna")]).await;
        cloud.pass(1);
        b.patch(&hero, vec![set("name", "Ben"), set("props.lit", true)])
            .await;
        settle(&cloud, &[a, b]).await;
        assert_eq!(agree(&[a, b], &hero, "name").await, "Anna");
        assert_eq!(
            agree(&[a, b], &hero, "props").await["lit"],
            true,
            "nothing else waits"
        );
        let open = b.store.conflicts(false).await.unwrap();
        assert_eq!(open[0].conflict.reason, ConflictReason::Undecided);
        assert_eq!(b.store.conflict_counts().await.unwrap().undecided, 1);
        let (id, decision) = (
            open[0].conflict_id,
            if take {
                Resolution::Take
            } else {
                Resolution::Keep
            },
        );
        let at = b.edit_time().await;
        b.store.resolve_conflict(id, decision, at).await.unwrap();
        settle(&cloud, &[a, b]).await;
        assert_eq!(
            agree(&[a, b], &hero, "name").await,
            if take { "Ben" } else { "Anna" }
        );
        // And back: as a new edit, which everybody gets.
        let at = b.edit_time().await;
        b.store.undo_resolution(id, at).await.unwrap();
        settle(&cloud, &[a, b]).await;
        assert_eq!(agree(&[a, b], &hero, "name").await, "Anna");
        assert_eq!(b.store.conflicts(false).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn counters_and_sets_join_whoever_syncs_first() {
    for a_first in [true, false] {
        let cloud = Cloud::new();
        let mut registry = Registry::builtin();
        registry
            .state_policy("entities", Some("props.gold"), FieldPolicy::Counter)
            .unwrap();
        registry
            .state_policy("entities", Some("tags"), FieldPolicy::Set)
            .unwrap();
        let (devices, hero) = devices(&cloud, &registry, &None, &["a", "b"]).await;
        let (a, b) = (&devices[0], &devices[1]);
        a.patch(
            &hero,
            vec![set("props.gold", 7), set("tags", json!(["old", "a"]))],
        )
        .await;
        cloud.pass(1);
        b.patch(
            &hero,
            vec![set("props.gold", 12), set("tags", json!(["b"]))],
        )
        .await;
        settle(&cloud, &if a_first { [a, b] } else { [b, a] }).await;
        assert_eq!(agree(&[a, b], &hero, "props").await["gold"], 9);
        let mut tags: Vec<_> = agree(&[a, b], &hero, "tags")
            .await
            .as_array()
            .unwrap()
            .clone();
        tags.sort_by_key(Value::to_string);
        assert_eq!(tags, [json!("a"), json!("b")]);
        for device in [a, b] {
            assert_eq!(device.store.conflicts(true).await.unwrap(), []);
        }
    }
}

/// Policies are the app's own; where two versions of it differ, the document is still one.
#[tokio::test]
async fn devices_with_different_policies_still_agree() {
    use FieldPolicy::{LaterWins, LocalWins, Manual, RemoteWins};
    for (ours, theirs) in [
        (LocalWins, LocalWins),
        (LocalWins, RemoteWins),
        (RemoteWins, LaterWins),
        (Manual, LocalWins),
    ] {
        for a_first in [true, false] {
            let cloud = Cloud::new();
            let with = |policy| {
                let mut registry = Registry::builtin();
                registry.state_policy("entities", None, policy).unwrap();
                registry
            };
            let hero = doc("entities", "hero");
            let a = &cloud.device_of("a", with(ours), None).await;
            let b = &cloud.device_of("b", with(theirs), None).await;
            a.put(
                &hero,
                json!({"name": "h", "kind": "npc", "campaignId": "c", "summary": "one\ntwo"}),
            )
            .await;
            for device in [a, b] {
                device.sync().await;
                cloud.pass(5);
            }
            let edits = |text: &str| {
                let line = PatchOp::Text {
                    path: "summary".parse().unwrap(),
                    from: "one\ntwo".into(),
                    to: format!("one\n{text}"),
                };
                vec![set("name", text), line]
            };
            a.patch(&hero, edits("a")).await;
            cloud.pass(1);
            b.patch(&hero, edits("b")).await;
            settle(&cloud, &if a_first { [a, b] } else { [b, a] }).await;
            let name = agree(&[a, b], &hero, "name").await;
            let summary = agree(&[a, b], &hero, "summary").await;
            let lost = if name == "a" { "b" } else { "a" };
            assert_eq!(summary, format!("one\n{}", name.as_str().unwrap()));
            let mut told = Vec::new();
            for device in [a, b] {
                told.extend(device.store.conflicts(false).await.unwrap());
            }
            assert_eq!(told.len(), 2, "{told:?}");
            assert!(told.iter().all(|e| e.conflict.lost == lost), "{told:?}");
        }
    }
}
