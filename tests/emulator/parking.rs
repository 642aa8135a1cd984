//! What the cloud refuses: it is parked alone, shown, and goes out when the cause is gone.

use moonforge_e2e::device::{Device, World};
use serde_json::{Value, json};

use crate::scenario::{C, campaign, child, two};

crate::scenario::scenarios! {
    everywhere:
        children_written_before_their_campaign_ride_along;
    calm:
        one_denied_document_in_a_full_batch_parks_itself_alone,
        a_parked_edit_goes_out_on_request_once_the_cause_is_gone,
        a_parked_edit_goes_out_by_itself_after_joining,
        a_parked_edit_goes_out_with_a_further_edit,
        children_wait_for_a_campaign_that_is_refused,
        a_document_that_came_in_as_nonsense_parks_an_edit_until_it_is_mended;
}

/// A campaign of zed's, in which gm has no business.
async fn foreign(world: &World) {
    let document = json!({ "name": "Zed's", "rev": 0, "ownerUid": "zed", "memberUids": ["zed"] });
    assert_eq!(
        world
            .console()
            .set("campaigns/zeds", &document)
            .await
            .status,
        200
    );
}

fn foreign_entity() -> Value {
    json!({ "name": "Spy", "kind": "npc", "campaignId": "zeds" })
}

async fn gm_joins(world: &World) {
    let changes = json!({ "memberUids": ["zed", "gm"], "rev": 1 });
    world.console_edit("campaigns/zeds", changes, true).await;
}

async fn assert_parked(device: &Device, id: &str, reason: &str) {
    let outbox = device.outbox().await;
    assert_eq!(outbox.len(), 1, "{outbox:?}");
    assert_eq!(
        (&outbox[0]["id"], &outbox[0]["state"]),
        (&json!(id), &json!("parked"))
    );
    let error = outbox[0]["error"].as_str().expect("a reason");
    assert!(error.contains(reason), "{error}");
}

async fn one_denied_document_in_a_full_batch_parks_itself_alone(world: World) {
    foreign(&world).await;
    let (a, b) = two(&world, &[]).await;
    for n in 0..24 {
        if n == 11 {
            a.put("entities", "spy", foreign_entity()).await;
        }
        a.put(
            "entities",
            &format!("e{n:02}"),
            child(json!({ "name": "Guard", "kind": "npc" })),
        )
        .await;
    }
    let report = a.sync_well().await;
    assert_eq!(
        (&report["pushed"], &report["parked"]),
        (&json!(24), &json!(1)),
        "{report}"
    );
    assert_parked(&a, "spy", "denied").await;
    assert_eq!(
        a.value("entities", "spy", "/name").await,
        "Spy",
        "it stays visible here"
    );
    b.sync_well().await;
    assert_eq!(b.ids("entities").await.len(), 24);
    // It doesn't go out on and on.
    let commits = a.proxy.count(":commit");
    let report = a.sync_well().await;
    assert_eq!(
        (&report["pushed"], &report["parked"]),
        (&json!(0), &json!(1)),
        "{report}"
    );
    assert_eq!(a.proxy.count(":commit"), commits);
    // And blocks nothing.
    a.patch("entities", "e00", &[("set", "name", json!("Captain"))])
        .await;
    assert_eq!(a.sync_well().await["pushed"], 1);
}

async fn a_parked_edit_goes_out_on_request_once_the_cause_is_gone(world: World) {
    let pia = world.device("pia", "pia").await;
    let (a, b) = two(
        &world,
        &[(
            "scenes",
            "s1",
            json!({ "title": "Gate", "visibility": "players" }),
        )],
    )
    .await;
    pia.sync_well().await;
    pia.patch(
        "scenes",
        "s1",
        &[
            ("set", "title", json!("Pia's Gate")),
            ("inc", "props.seen", json!(1)),
        ],
    )
    .await;
    pia.sync_well().await;
    assert_parked(&pia, "s1", "denied").await;
    assert_eq!(pia.value("scenes", "s1", "/title").await, "Pia's Gate");
    // Somebody else's edit comes in beneath it.
    b.patch(
        "scenes",
        "s1",
        &[
            ("set", "summary", json!("Shut.")),
            ("inc", "props.seen", json!(2)),
        ],
    )
    .await;
    b.sync_well().await;
    pia.sync_well().await;
    assert_parked(&pia, "s1", "denied").await;
    assert_eq!(pia.value("scenes", "s1", "/summary").await, "Shut.");
    // Asked for again while the cause remains, it is parked again.
    assert_eq!(pia.retry().await, 1);
    pia.sync_well().await;
    assert_parked(&pia, "s1", "denied").await;
    a.sync_well().await;
    a.patch("campaigns", C, &[("set", "roles.pia", json!("dm"))])
        .await;
    a.sync_well().await;
    assert_eq!(pia.retry().await, 1);
    pia.sync_well().await;
    world.settle(&[&pia, &a, &b]).await;
    let scene = b.get("scenes", "s1").await.expect("it is there");
    assert_eq!(
        (&scene["title"], &scene["props"]["seen"]),
        (&json!("Pia's Gate"), &json!(3))
    );
}

async fn a_parked_edit_goes_out_by_itself_after_joining(world: World) {
    foreign(&world).await;
    let (a, b) = two(&world, &[]).await;
    a.put("entities", "spy", foreign_entity()).await;
    a.sync_well().await;
    assert_parked(&a, "spy", "denied").await;
    gm_joins(&world).await;
    a.sync_well().await;
    world.settle(&[&a, &b]).await;
    assert_eq!(b.value("entities", "spy", "/name").await, "Spy");
}

async fn a_parked_edit_goes_out_with_a_further_edit(world: World) {
    foreign(&world).await;
    let (a, b) = two(&world, &[]).await;
    a.put("entities", "spy", foreign_entity()).await;
    a.patch("entities", "spy", &[("inc", "props.gold", json!(2))])
        .await;
    a.sync_well().await;
    assert_eq!(a.outbox().await.len(), 2);
    gm_joins(&world).await;
    a.patch("entities", "spy", &[("inc", "props.gold", json!(3))])
        .await;
    let report = a.sync_well().await;
    assert_eq!(report["parked"], 0, "{report}");
    world.settle(&[&a, &b]).await;
    assert_eq!(b.value("entities", "spy", "/props/gold").await, 5);
}

async fn children_written_before_their_campaign_ride_along(world: World) {
    let (a, b) = two(&world, &[]).await;
    let scene = |n: u32| json!({ "title": format!("Scene {n}"), "campaignId": "late" });
    // More than one commit takes.
    for n in 0..25 {
        a.put("scenes", &format!("s{n:02}"), scene(n)).await;
    }
    a.put("campaigns", "late", campaign("Late")).await;
    let report = a.sync_well().await;
    assert_eq!(report["parked"], 0, "{report}");
    world.settle(&[&a, &b]).await;
    assert_eq!(b.ids("scenes").await.len(), 25);
}

async fn children_wait_for_a_campaign_that_is_refused(world: World) {
    let (a, b) = two(&world, &[]).await;
    // Nobody makes a campaign for somebody else.
    let document = json!({ "name": "Hers", "ownerUid": "dee", "memberUids": ["dee", "gm"] });
    a.put("campaigns", "hers", document).await;
    a.put(
        "scenes",
        "s1",
        json!({ "title": "Gate", "campaignId": "hers" }),
    )
    .await;
    let report = a.sync_well().await;
    assert_eq!(
        (&report["parked"], &report["waiting"]),
        (&json!(1), &json!(1)),
        "{report}"
    );
    let states: Vec<Value> = a
        .outbox()
        .await
        .iter()
        .map(|row| row["state"].clone())
        .collect();
    assert_eq!(
        states,
        ["parked", "pending"],
        "the scene is not parked for that"
    );
    a.patch("campaigns", "hers", &[("set", "ownerUid", json!("gm"))])
        .await;
    let report = a.sync_well().await;
    assert_eq!(
        (&report["parked"], &report["waiting"]),
        (&json!(0), &json!(0)),
        "{report}"
    );
    world.settle(&[&a, &b]).await;
    assert_eq!(b.ids("scenes").await, ["s1"]);
}

async fn a_document_that_came_in_as_nonsense_parks_an_edit_until_it_is_mended(world: World) {
    let (a, b) = two(
        &world,
        &[(
            "scenes",
            "s1",
            json!({ "title": "Gate", "status": "draft" }),
        )],
    )
    .await;
    world
        .console_edit("scenes/s1", json!({ "title": 7, "rev": 1 }), true)
        .await;
    a.patch("scenes", "s1", &[("set", "status", json!("ready"))])
        .await;
    a.sync_well().await;
    assert_parked(&a, "s1", "invalid").await;
    let report = b.sync_well().await;
    assert_eq!(report["quarantined"], 1, "{report}");
    assert_eq!(
        b.value("scenes", "s1", "/title").await,
        "Gate",
        "the last sound version stays"
    );
    world
        .console_edit("scenes/s1", json!({ "title": "Ash Gate", "rev": 2 }), true)
        .await;
    a.sync_well().await;
    assert_eq!(a.value("scenes", "s1", "/title").await, "Ash Gate");
    a.retry().await;
    world.settle(&[&a, &b]).await;
    let scene = b.get("scenes", "s1").await.expect("it is there");
    assert_eq!(
        (&scene["title"], &scene["status"]),
        (&json!("Ash Gate"), &json!("ready"))
    );
}
