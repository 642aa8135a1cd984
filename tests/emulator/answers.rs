//! Answers that get lost, requests that come late, and what is written meanwhile: each edit has exactly one effect.

use std::time::Duration;

use moonforge_e2e::device::{Device, Form, World};
use moonforge_testkit::proxy::{Fault, Matcher};
use serde_json::{Value, json};

use crate::scenario::{C, campaign, child, two};

crate::scenario::scenarios! {
    everywhere:
        many_edits_made_offline_go_out_in_one_sync;
    calm:
        a_lost_answer_of_a_creation_is_applied_once,
        a_lost_answer_of_an_edit_is_applied_once,
        a_lost_answer_of_a_delete_is_applied_once,
        answers_lost_in_two_syncs_are_applied_once,
        a_lost_answer_with_another_devices_write_on_top_counts_once,
        a_lost_answer_under_a_later_write_of_the_same_field_is_no_conflict,
        more_typing_after_a_lost_answer_goes_out_too,
        an_edit_made_while_the_request_is_under_way_goes_out_next,
        an_edit_made_while_a_request_is_under_way_whose_answer_is_lost_goes_out_too,
        another_device_commits_while_the_request_is_under_way,
        a_request_that_arrives_late_counts_once,
        a_request_that_arrives_after_further_typing_counts_once;
}

fn chest() -> (&'static str, &'static str, Value) {
    (
        "entities",
        "e1",
        json!({ "name": "Chest", "kind": "item", "props": { "gold": 10 } }),
    )
}

fn lose_answers(device: &Device, count: u32) {
    device
        .proxy
        .fail(Matcher::path(":commit").times(count), Fault::LoseAnswer);
}

async fn remote(world: &World, path: &str) -> Value {
    world
        .remote(path)
        .await
        .unwrap_or_else(|| panic!("no {path} at the server"))
}

/// What the server has of the chest: rev and gold.
async fn gold(world: &World) -> (Value, Value) {
    let chest = remote(world, "entities/e1").await;
    (chest["rev"].clone(), chest["props"]["gold"].clone())
}

async fn a_lost_answer_of_a_creation_is_applied_once(world: World) {
    let a = world.device("gm", "a").await;
    a.put("campaigns", C, campaign("The Ember Keep")).await;
    a.put("scenes", "s1", child(json!({ "title": "Ash" })))
        .await;
    lose_answers(&a, 1);
    let report = a.sync_well().await;
    assert_eq!(report["pushed"], 2, "{report}");
    assert_eq!(
        (&report["conflicts"], &report["parked"]),
        (&json!(0), &json!(0)),
        "{report}"
    );
    assert_eq!(a.outbox().await, [] as [Value; 0]);
    world.settle(&[&a]).await;
    for path in ["campaigns/keep", "scenes/s1"] {
        assert_eq!(remote(&world, path).await["rev"], 0, "{path}");
    }
}

async fn a_lost_answer_of_an_edit_is_applied_once(world: World) {
    let (a, b) = two(&world, &[chest()]).await;
    a.patch(
        "entities",
        "e1",
        &[
            ("inc", "props.gold", json!(5)),
            ("set", "name", json!("Coffer")),
        ],
    )
    .await;
    lose_answers(&a, 1);
    let report = a.sync_well().await;
    assert_eq!(report["pushed"], 1, "{report}");
    world.settle(&[&a, &b]).await;
    assert_eq!(gold(&world).await, (json!(1), json!(15)));
    assert_eq!(b.value("entities", "e1", "/name").await, "Coffer");
    assert_eq!(a.conflicts().await, [] as [Value; 0]);
}

async fn a_lost_answer_of_a_delete_is_applied_once(world: World) {
    let (a, b) = two(&world, &[chest()]).await;
    assert_eq!(a.rm("entities", "e1").await, 1);
    lose_answers(&a, 1);
    a.sync_well().await;
    world.settle(&[&a, &b]).await;
    let tombstone = remote(&world, "entities/e1").await;
    assert_eq!(
        (&tombstone["rev"], &tombstone["name"]),
        (&json!(1), &json!("Chest"))
    );
    assert_eq!(b.get("entities", "e1").await, None);
    assert_eq!(b.restore("entities", "e1").await, 1);
    lose_answers(&b, 1);
    world.settle(&[&b, &a]).await;
    assert_eq!(a.value("entities", "e1", "/props/gold").await, 10);
    assert_eq!(remote(&world, "entities/e1").await["rev"], 2);
}

async fn answers_lost_in_two_syncs_are_applied_once(world: World) {
    let (a, b) = two(&world, &[chest()]).await;
    a.patch("entities", "e1", &[("inc", "props.gold", json!(5))])
        .await;
    // Both tries of both runs.
    lose_answers(&a, 4);
    for _ in 0..2 {
        let report = a.sync().await;
        if report["offline"] == true {
            assert_eq!(a.outbox().await[0]["state"], "sent");
        }
    }
    a.go_online();
    world.settle(&[&a, &b]).await;
    assert_eq!(gold(&world).await, (json!(1), json!(15)));
}

/// a's increment arrives and nobody tells a.
async fn unheard(a: &Device, edits: &[moonforge_e2e::device::Edit<'_>]) {
    a.patch("entities", "e1", edits).await;
    lose_answers(a, 1);
    a.proxy.fail(Matcher::any().always(), Fault::Drop);
    let report = a.sync().await;
    assert_eq!(report["offline"], true, "{report}");
    let outbox = a.outbox().await;
    assert_eq!(outbox.len(), 1, "{outbox:?}");
    assert_eq!(outbox[0]["state"], "sent");
    a.go_online();
}

async fn a_lost_answer_with_another_devices_write_on_top_counts_once(world: World) {
    let (a, b) = two(&world, &[chest()]).await;
    unheard(&a, &[("inc", "props.gold", json!(5))]).await;
    b.patch("entities", "e1", &[("inc", "props.gold", json!(2))])
        .await;
    b.sync_well().await;
    assert_eq!(gold(&world).await, (json!(2), json!(17)));
    world.settle(&[&a, &b]).await;
    assert_eq!(
        gold(&world).await,
        (json!(2), json!(17)),
        "nothing was written again"
    );
    assert_eq!(a.conflicts().await, [] as [Value; 0]);
}

async fn a_lost_answer_under_a_later_write_of_the_same_field_is_no_conflict(world: World) {
    let (a, b) = two(&world, &[chest()]).await;
    unheard(&a, &[("set", "name", json!("Coffer"))]).await;
    b.sync_well().await;
    b.patch("entities", "e1", &[("set", "name", json!("Trunk"))])
        .await;
    b.sync_well().await;
    world.settle(&[&a, &b]).await;
    assert_eq!(a.value("entities", "e1", "/name").await, "Trunk");
    for device in [&a, &b] {
        assert_eq!(
            device.conflicts().await,
            [] as [Value; 0],
            "b saw what a wrote"
        );
    }
}

async fn more_typing_after_a_lost_answer_goes_out_too(world: World) {
    let (a, b) = two(&world, &[chest()]).await;
    unheard(
        &a,
        &[
            ("inc", "props.gold", json!(5)),
            ("set", "name", json!("Coffer")),
        ],
    )
    .await;
    a.patch(
        "entities",
        "e1",
        &[
            ("inc", "props.gold", json!(1)),
            ("set", "name", json!("Trunk")),
        ],
    )
    .await;
    assert_eq!(
        a.value("entities", "e1", "/props/gold").await,
        16,
        "what is seen here"
    );
    a.sync_well().await;
    world.settle(&[&a, &b]).await;
    assert_eq!(gold(&world).await, (json!(2), json!(16)));
    assert_eq!(b.value("entities", "e1", "/name").await, "Trunk");
    assert_eq!(a.conflicts().await, [] as [Value; 0]);
}

/// What a person types while the next commit of this device is under way.
fn typing(a: &Device) {
    let person = a.person.clone();
    a.proxy
        .before_forward(Matcher::path(":commit"), async move {
            let edits = [
                ("inc", "props.gold", json!(1)),
                ("set", "name", json!("Trunk")),
            ];
            let answer = person.patch("entities", "e1", &edits).await;
            assert!(answer.get("error").is_none(), "{answer}");
        });
}

async fn an_edit_made_while_the_request_is_under_way_goes_out_next(world: World) {
    let (a, b) = two(&world, &[chest()]).await;
    a.patch(
        "entities",
        "e1",
        &[
            ("inc", "props.gold", json!(5)),
            ("set", "name", json!("Coffer")),
        ],
    )
    .await;
    typing(&a);
    a.sync_well().await;
    assert_eq!(a.outbox().await, [] as [Value; 0], "the same run sends it");
    assert_eq!(gold(&world).await, (json!(2), json!(16)));
    world.settle(&[&a, &b]).await;
    assert_eq!(b.value("entities", "e1", "/name").await, "Trunk");
}

async fn an_edit_made_while_a_request_is_under_way_whose_answer_is_lost_goes_out_too(world: World) {
    let (a, b) = two(&world, &[chest()]).await;
    a.patch(
        "entities",
        "e1",
        &[
            ("inc", "props.gold", json!(5)),
            ("set", "name", json!("Coffer")),
        ],
    )
    .await;
    typing(&a);
    lose_answers(&a, 1);
    world.settle(&[&a, &b]).await;
    assert_eq!(gold(&world).await, (json!(2), json!(16)));
    assert_eq!(b.value("entities", "e1", "/name").await, "Trunk");
    assert_eq!(a.conflicts().await, [] as [Value; 0]);
}

async fn another_device_commits_while_the_request_is_under_way(world: World) {
    let (a, b) = two(&world, &[chest()]).await;
    a.patch(
        "entities",
        "e1",
        &[
            ("inc", "props.gold", json!(5)),
            ("set", "name", json!("Coffer")),
        ],
    )
    .await;
    let other = b.clone();
    a.proxy
        .before_forward(Matcher::path(":commit"), async move {
            other
                .patch(
                    "entities",
                    "e1",
                    &[
                        ("inc", "props.gold", json!(2)),
                        ("set", "summary", json!("Oak.")),
                    ],
                )
                .await;
            other.sync_well().await;
        });
    let report = a.sync_well().await;
    assert_eq!(report["merged"], 1, "{report}");
    world.settle(&[&a, &b]).await;
    assert_eq!(gold(&world).await, (json!(2), json!(17)));
    let chest = a.get("entities", "e1").await.expect("it is there");
    assert_eq!(
        (&chest["name"], &chest["summary"]),
        (&json!("Coffer"), &json!("Oak."))
    );
}

async fn a_request_that_arrives_late_counts_once(world: World) {
    let (a, b) = two(&world, &[chest()]).await;
    a.patch("entities", "e1", &[("inc", "props.gold", json!(5))])
        .await;
    let late = Fault::DeliverLate(Duration::from_millis(30));
    a.proxy.fail(Matcher::path(":commit"), late);
    a.sync_well().await;
    a.proxy.settled().await;
    world.settle(&[&a, &b]).await;
    assert_eq!(gold(&world).await, (json!(1), json!(15)));
}

async fn a_request_that_arrives_after_further_typing_counts_once(world: World) {
    let (a, b) = two(&world, &[chest()]).await;
    a.patch("entities", "e1", &[("inc", "props.gold", json!(5))])
        .await;
    let late = Fault::DeliverLate(Duration::from_millis(1500));
    a.proxy.fail(Matcher::path(":commit"), late);
    a.proxy.fail(Matcher::any().always(), Fault::Drop);
    let report = a.sync().await;
    assert_eq!(report["offline"], true, "{report}");
    a.patch("entities", "e1", &[("inc", "props.gold", json!(1))])
        .await;
    a.go_online();
    a.sync_well().await;
    a.proxy.settled().await;
    world.settle(&[&a, &b]).await;
    assert_eq!(gold(&world).await.1, 16);
}

async fn many_edits_made_offline_go_out_in_one_sync(world: World) {
    // A process an edit takes its time.
    let count = if world.form == Form::Library { 100 } else { 30 };
    let (a, b) = two(&world, &[chest()]).await;
    a.go_offline();
    let report = a.sync().await;
    assert_eq!(report["offline"], true, "{report}");
    for n in 0..count {
        match n % 5 {
            0 => {
                a.put(
                    "scenes",
                    &format!("s{n}"),
                    child(json!({ "title": format!("Scene {n}") })),
                )
                .await
            }
            1 => {
                a.patch(
                    "scenes",
                    &format!("s{}", n - 1),
                    &[("set", "summary", json!(format!("No. {n}.")))],
                )
                .await
            }
            2 => {
                a.patch(
                    "campaigns",
                    C,
                    &[("set", "description", json!(format!("Day {n}.")))],
                )
                .await
            }
            _ => {
                a.patch("entities", "e1", &[("inc", "props.gold", json!(1))])
                    .await
            }
        }
    }
    assert_eq!(a.outbox().await.len(), count);
    a.go_online();
    a.sync_well().await;
    assert_eq!(a.outbox().await, [] as [Value; 0]);
    world.settle(&[&a, &b]).await;
    assert_eq!(b.ids("scenes").await.len(), count / 5);
    assert_eq!(
        b.value("entities", "e1", "/props/gold").await,
        10 + count / 5 * 2
    );
    assert_eq!(
        b.value("campaigns", C, "/description").await,
        format!("Day {}.", count - 3)
    );
}
