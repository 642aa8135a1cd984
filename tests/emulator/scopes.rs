//! Devices that hold a part of what their account may see, as users under the rules.

use moonforge_e2e::device::{Device, World};
use serde_json::{Value, json};

use crate::scenario::campaign;

crate::scenario::scenarios! {
    everywhere:
        a_scope_holds_its_campaign_alone_and_lets_it_go;
    calm:
        scopes_pick_campaigns_by_what_they_are,
        a_player_in_a_scope_sees_what_players_may,
        what_was_opened_is_fetched_as_far_as_rules_allow,
        a_campaign_that_is_closed_is_none_of_a_scope;
}

/// The gm's campaigns `keep` and `moor`, and dee's own `isle`, with scenes for players and for the gm each.
async fn three_campaigns(world: &World) -> Device {
    let gm = world.device("gm", "gm").await;
    let dee = world.device("dee", "dee").await;
    let isle = json!({"name": "Isle", "ownerUid": "dee", "memberUids": ["dee", "gm"]});
    for (owner, id, document) in [
        (&gm, "keep", campaign("Keep")),
        (&gm, "moor", campaign("Moor")),
        (&dee, "isle", isle),
    ] {
        owner.put("campaigns", id, document).await;
        for visibility in ["gm", "players"] {
            let scene = json!({"title": "t", "campaignId": id, "visibility": visibility});
            owner
                .put("scenes", &format!("{id}-{visibility}"), scene)
                .await;
        }
        owner.sync_well().await;
    }
    gm
}

fn reads(report: &Value) -> u64 {
    report["billed"]["reads"].as_u64().expect("a number")
}

async fn a_scope_holds_its_campaign_alone_and_lets_it_go(world: World) {
    let gm = three_campaigns(&world).await;
    let dee = world.device("dee", "scoped").await;
    dee.join("k:campaignId=keep").await;
    let report = dee.sync_well().await;
    assert_eq!(report["pulled"], 3, "{report}");
    assert_eq!(dee.ids("scenes").await, ["keep-gm", "keep-players"]);
    assert_eq!(dee.ids("campaigns").await, ["keep"]);
    dee.join("m:campaignId=moor").await;
    dee.sync_well().await;
    assert_eq!(dee.ids("campaigns").await, ["keep", "moor"]);
    // Its edits are sent after it was left, and then it is gone, here alone.
    dee.patch("scenes", "moor-gm", &[("set", "title", json!("mine"))])
        .await;
    assert_eq!(dee.leave("m:campaignId=moor").await, 2);
    assert_eq!(
        dee.ids("scenes").await,
        ["keep-gm", "keep-players", "moor-gm"]
    );
    for _ in 0..5 {
        dee.sync_well().await;
        if dee.outbox().await.is_empty() {
            break;
        }
    }
    assert_eq!(dee.ids("scenes").await, ["keep-gm", "keep-players"]);
    gm.sync_well().await;
    assert_eq!(gm.value("scenes", "moor-gm", "/title").await, "mine");
    dee.join("m:campaignId=moor").await;
    dee.sync_well().await;
    assert_eq!(dee.value("scenes", "moor-gm", "/title").await, "mine");
    assert_eq!(dee.ids("scenes").await.len(), 4);
}

async fn scopes_pick_campaigns_by_what_they_are(world: World) {
    three_campaigns(&world).await;
    let dee = world.device("dee", "some").await;
    let by_name = dee.sync_scope("k:id=keep").await;
    assert_eq!(by_name["pulled"], 3);
    let all = world.device("dee", "all").await;
    let all = all.sync_well().await;
    assert_eq!(all["pulled"], 9);
    // The other two campaigns are not read, nor is what is in them.
    assert!(reads(&by_name) < reads(&all), "{by_name} {all}");
    assert_eq!(dee.sync_scope("own:ownerUid=dee").await["pulled"], 3);
    assert_eq!(dee.ids("campaigns").await, ["isle", "keep"]);
    // Two lists in one question are more than Firestore takes.
    assert_eq!(dee.sync_scope("pias:memberUids=pia").await["pulled"], 3);
    assert_eq!(dee.ids("campaigns").await, ["isle", "keep", "moor"]);
}

async fn a_player_in_a_scope_sees_what_players_may(world: World) {
    let gm = three_campaigns(&world).await;
    let pia = world.device("pia", "pia").await;
    pia.join("k:campaignId=keep").await;
    pia.sync_well().await;
    assert_eq!(pia.ids("scenes").await, ["keep-players"]);
    gm.patch("campaigns", "keep", &[("set", "roles.pia", json!("dm"))])
        .await;
    gm.sync_well().await;
    pia.sync_well().await;
    assert_eq!(pia.ids("scenes").await, ["keep-gm", "keep-players"]);
    gm.patch(
        "campaigns",
        "keep",
        &[("set", "roles.pia", json!("viewer"))],
    )
    .await;
    gm.sync_well().await;
    pia.sync_well().await;
    assert_eq!(pia.ids("scenes").await, ["keep-players"]);
}

async fn what_was_opened_is_fetched_as_far_as_rules_allow(world: World) {
    three_campaigns(&world).await;
    let pia = world.device("pia", "pia").await;
    pia.join("accessed").await;
    for id in ["keep-players", "keep-gm", "isle-players", "nowhere"] {
        assert_eq!(pia.get("scenes", id).await, None);
    }
    let report = pia.sync_well().await;
    assert_eq!(
        (&report["pulled"], &report["parked"]),
        (&json!(2), &json!(0))
    );
    assert_eq!(pia.ids("scenes").await, ["keep-players"]);
    assert_eq!(pia.ids("campaigns").await, ["keep"]);
    // What is closed or missing isn't asked for again at once.
    assert_eq!(reads(&pia.sync_well().await), 2);
}

async fn a_campaign_that_is_closed_is_none_of_a_scope(world: World) {
    let gm = three_campaigns(&world).await;
    let pia = world.device("pia", "pia").await;
    for form in ["i:campaignId=isle", "n:campaignId=nowhere"] {
        let report = pia.sync_scope(form).await;
        assert_eq!(
            (&report["pulled"], &report["parked"]),
            (&json!(0), &json!(0))
        );
    }
    pia.join("k:campaignId=keep").await;
    pia.sync_well().await;
    gm.patch(
        "campaigns",
        "keep",
        &[("remove", "memberUids", json!("pia"))],
    )
    .await;
    gm.sync_well().await;
    pia.sync_well().await;
    assert_eq!(pia.ids("scenes").await, [""; 0]);
    assert_eq!(pia.ids("campaigns").await, [""; 0]);
}
