//! Who sees what, and what becomes of a device's documents when that changes.

use moonforge::SyncOptions;
use moonforge_e2e::device::{Device, World};
use serde_json::{Value, json};

use crate::scenario::{C, campaign, two};

crate::scenario::scenarios! {
    everywhere:
        a_player_holds_what_players_see_and_a_dm_everything,
        a_player_writes_his_own_character;
    calm:
        a_player_writes_the_log_and_nothing_else_of_a_session,
        who_is_removed_keeps_unsent_edits_alone_and_gets_all_back_on_return,
        who_leaves_gives_the_documents_back,
        a_dm_lets_in_a_player_whom_the_owner_lets_in_too,
        withdrawn_visibility_takes_the_document_from_players,
        a_second_account_is_refused_the_file;
}

fn world_of_two_levels() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        (
            "scenes",
            "open",
            json!({ "title": "Market", "visibility": "players" }),
        ),
        (
            "scenes",
            "closed",
            json!({ "title": "Crypt", "visibility": "gm" }),
        ),
        ("scenes", "unsaid", json!({ "title": "Vault" })),
        (
            "secrets",
            "scenes~open",
            json!({ "target": "scenes/open", "info": "A thief waits.\n" }),
        ),
        (
            "entities",
            "pias",
            json!({ "name": "Rook", "kind": "npc", "visibility": "players", "playerUids": ["pia"] }),
        ),
        (
            "sessions",
            "n1",
            json!({ "number": 1, "title": "One", "visibility": "players", "log": "start\n" }),
        ),
    ]
}

async fn set_role(gm: &Device, role: &str) {
    gm.patch("campaigns", C, &[("set", "roles.pia", json!(role))])
        .await;
    gm.sync_well().await;
}

async fn a_player_holds_what_players_see_and_a_dm_everything(world: World) {
    let (gm, _) = two(&world, &world_of_two_levels()).await;
    let pia = world.device("pia", "pia").await;
    pia.sync_well().await;
    assert_eq!(pia.ids("scenes").await, ["open"]);
    assert_eq!(pia.ids("secrets").await, [] as [&str; 0]);
    set_role(&gm, "dm").await;
    pia.sync_well().await;
    pia.sync_well().await;
    assert_eq!(pia.ids("scenes").await, ["closed", "open", "unsaid"]);
    assert_eq!(pia.ids("secrets").await, ["scenes~open"]);
    pia.patch("scenes", "closed", &[("set", "title", json!("Old Crypt"))])
        .await;
    world.settle(&[&pia, &gm]).await;
    set_role(&gm, "viewer").await;
    pia.sync_well().await;
    assert_eq!(
        pia.ids("scenes").await,
        ["open"],
        "what the role closes goes"
    );
    assert_eq!(pia.ids("secrets").await, [] as [&str; 0]);
    assert_eq!(gm.value("scenes", "closed", "/title").await, "Old Crypt");
    world.settle(&[&pia, &gm]).await;
}

async fn a_player_writes_his_own_character(world: World) {
    let (gm, _) = two(&world, &world_of_two_levels()).await;
    let pia = world.device("pia", "pia").await;
    pia.sync_well().await;
    pia.patch(
        "entities",
        "pias",
        &[
            ("inc", "props.gold", json!(3)),
            ("set", "name", json!("Raven")),
        ],
    )
    .await;
    gm.patch("entities", "pias", &[("inc", "props.gold", json!(4))])
        .await;
    gm.sync_well().await;
    world.settle(&[&pia, &gm]).await;
    let rook = gm.get("entities", "pias").await.expect("it is there");
    assert_eq!(
        (&rook["name"], &rook["props"]["gold"]),
        (&json!("Raven"), &json!(7))
    );
}

async fn a_player_writes_the_log_and_nothing_else_of_a_session(world: World) {
    let (gm, _) = two(&world, &world_of_two_levels()).await;
    let pia = world.device("pia", "pia").await;
    pia.sync_well().await;
    pia.patch(
        "sessions",
        "n1",
        &[("set", "log", json!("start\npia came\n"))],
    )
    .await;
    gm.patch(
        "sessions",
        "n1",
        &[("set", "log", json!("gm came\nstart\n"))],
    )
    .await;
    gm.sync_well().await;
    world.settle(&[&pia, &gm]).await;
    assert_eq!(
        gm.value("sessions", "n1", "/log").await,
        "gm came\nstart\npia came\n"
    );
    pia.patch("sessions", "n1", &[("set", "title", json!("Hers"))])
        .await;
    let report = pia.sync_well().await;
    assert_eq!(report["parked"], 1, "{report}");
    gm.sync_well().await;
    assert_eq!(gm.value("sessions", "n1", "/title").await, "One");
}

async fn remove_dee(gm: &Device) {
    gm.patch("campaigns", C, &[("remove", "memberUids", json!("dee"))])
        .await;
    gm.sync_well().await;
}

async fn who_is_removed_keeps_unsent_edits_alone_and_gets_all_back_on_return(world: World) {
    let (gm, _) = two(&world, &world_of_two_levels()).await;
    gm.put("campaigns", "other", campaign("Other")).await;
    gm.put(
        "scenes",
        "o1",
        json!({ "title": "Elsewhere", "campaignId": "other" }),
    )
    .await;
    gm.sync_well().await;
    let dee = world.device("dee", "dee").await;
    dee.sync_well().await;
    assert_eq!(dee.ids("scenes").await.len(), 4);
    dee.patch(
        "scenes",
        "open",
        &[
            ("set", "title", json!("Dee's Market")),
            ("inc", "props.n", json!(1)),
        ],
    )
    .await;
    dee.put(
        "scenes",
        "dees",
        json!({ "title": "Dee's Own", "campaignId": C }),
    )
    .await;
    remove_dee(&gm).await;
    dee.sync_well().await;
    assert_eq!(dee.ids("campaigns").await, ["other"]);
    assert_eq!(
        dee.ids("scenes").await,
        ["dees", "o1", "open"],
        "clean ones go, what is unsent stays"
    );
    assert_eq!(dee.ids("secrets").await, [] as [&str; 0]);
    let outbox = dee.outbox().await;
    assert_eq!(
        (outbox.len(), &outbox[0]["state"], &outbox[1]["state"]),
        (2, &json!("parked"), &json!("parked")),
        "{outbox:?}"
    );
    assert_eq!(dee.value("scenes", "open", "/title").await, "Dee's Market");
    // More of the same denies again, loses nothing, and the other campaign goes on.
    dee.patch("scenes", "open", &[("inc", "props.n", json!(1))])
        .await;
    dee.patch("scenes", "o1", &[("set", "title", json!("Far Away"))])
        .await;
    let report = dee.sync_well().await;
    assert_eq!(
        (&report["parked"], &report["pushed"]),
        (&json!(2), &json!(1)),
        "{report}"
    );
    gm.patch("campaigns", C, &[("add", "memberUids", json!("dee"))])
        .await;
    gm.patch("scenes", "closed", &[("set", "title", json!("Old Crypt"))])
        .await;
    gm.sync_well().await;
    world.settle(&[&dee, &gm]).await;
    assert_eq!(dee.ids("scenes").await.len(), 5);
    assert_eq!(dee.value("scenes", "closed", "/title").await, "Old Crypt");
    assert_eq!(gm.value("scenes", "open", "/title").await, "Dee's Market");
    assert_eq!(gm.value("scenes", "open", "/props/n").await, 2);
    assert_eq!(gm.value("scenes", "dees", "/title").await, "Dee's Own");
}

async fn who_leaves_gives_the_documents_back(world: World) {
    let (gm, _) = two(&world, &world_of_two_levels()).await;
    let pia = world.device("pia", "pia").await;
    pia.sync_well().await;
    pia.patch(
        "campaigns",
        C,
        &[
            ("remove", "memberUids", json!("pia")),
            ("unset", "roles.pia", json!(null)),
        ],
    )
    .await;
    let report = pia.sync_well().await;
    assert_eq!(report["parked"], 0, "{report}");
    pia.sync_well().await;
    for collection in ["campaigns", "scenes", "entities", "sessions"] {
        assert_eq!(pia.ids(collection).await, [] as [&str; 0], "{collection}");
    }
    gm.sync_well().await;
    assert_eq!(
        gm.value("campaigns", C, "/memberUids").await,
        json!(["gm", "dee"])
    );
}

async fn a_dm_lets_in_a_player_whom_the_owner_lets_in_too(world: World) {
    let (gm, _) = two(&world, &world_of_two_levels()).await;
    let dee = world.device("dee", "dee").await;
    dee.sync_well().await;
    let odd = "m.a-x";
    for (device, others) in [(&dee, ["ada", odd]), (&gm, ["max", odd])] {
        for uid in others {
            let role = format!("roles.`{uid}`");
            let edits = [
                ("add", "memberUids", json!(uid)),
                ("set", role.as_str(), json!("player")),
            ];
            device.patch("campaigns", C, &edits).await;
        }
    }
    gm.sync_well().await;
    let report = dee.sync_well().await;
    assert_eq!(
        (&report["parked"], &report["pushed"]),
        (&json!(0), &json!(1)),
        "{report}"
    );
    world.settle(&[&gm, &dee]).await;
    assert_eq!(
        gm.value("campaigns", C, "/roles").await,
        json!({ "pia": "player", "max": "player", "ada": "player", odd: "player" })
    );
    // He also shows one out again.
    let out = [
        ("remove", "memberUids", json!("ada")),
        ("unset", "roles.ada", json!(null)),
    ];
    dee.patch("campaigns", C, &out).await;
    assert_eq!(dee.sync_well().await["parked"], 0);
}

async fn withdrawn_visibility_takes_the_document_from_players(world: World) {
    let (gm, _) = two(&world, &world_of_two_levels()).await;
    let options = SyncOptions {
        reconcile: true,
        ..SyncOptions::default()
    };
    let pia = world.library("pia", "pia", options).await;
    pia.sync_well().await;
    assert_eq!(pia.ids("scenes").await, ["open"]);
    gm.patch("scenes", "open", &[("set", "visibility", json!("gm"))])
        .await;
    gm.patch(
        "scenes",
        "closed",
        &[("set", "visibility", json!("players"))],
    )
    .await;
    gm.sync_well().await;
    pia.sync_well().await;
    assert_eq!(pia.ids("scenes").await, ["closed"]);
}

async fn a_second_account_is_refused_the_file(world: World) {
    let (gm, b) = two(&world, &world_of_two_levels()).await;
    gm.patch("scenes", "open", &[("set", "title", json!("Fair"))])
        .await;
    gm.person.quit().await;
    let dee = world.device_on("dee", gm.path()).await;
    let refused = dee.person.sync().await;
    assert_eq!(refused["error"]["code"], "account_mismatch", "{refused}");
    assert_eq!(dee.proxy.seen(), [], "nothing was sent in her name");
    dee.person.quit().await;
    let remote = world.remote("scenes/open").await.expect("it is there");
    assert_eq!(remote["title"], "Market");
    world.settle(&[&gm, &b]).await;
    assert_eq!(b.value("scenes", "open", "/title").await, "Fair");
}
