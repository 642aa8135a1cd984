//! Devices and processes that are at it at the same time.

use moonforge_e2e::device::{Device, World};
use moonforge_testkit::proxy::Matcher;
use serde_json::{Value, json};

use crate::scenario::{child, two};

crate::scenario::scenarios! {
    everywhere:
        devices_that_sync_at_once_converge;
    calm:
        an_edit_made_while_a_newer_version_is_fetched_is_merged,
        an_edit_made_while_a_document_is_read_by_name_is_merged,
        a_document_deleted_here_while_its_edit_is_under_way_stays_deleted,
        of_two_runs_on_one_file_the_second_is_refused,
        large_documents_go_out_in_several_commits;
}

fn chest() -> (&'static str, &'static str, Value) {
    let gold =
        json!({ "name": "Chest", "kind": "item", "summary": "Oak.\n", "props": { "gold": 0 } });
    ("entities", "e1", gold)
}

async fn inc(device: &Device, by: i64) {
    let edit = [("inc", "props.gold", json!(by))];
    device.patch("entities", "e1", &edit).await;
}

/// Runs `edits` by this person while the next request of this kind is under way.
fn meanwhile(device: &Device, method: &str, edits: Vec<(&'static str, &'static str, Value)>) {
    let person = device.person.clone();
    let body = if method == ":runQuery" {
        "entities"
    } else {
        ""
    };
    let when = Matcher::path(method).containing(body);
    device.proxy.before_forward(when, async move {
        let answer = person.patch("entities", "e1", &edits).await;
        assert!(answer.get("error").is_none(), "{answer}");
    });
}

async fn devices_that_sync_at_once_converge(world: World) {
    let (a, b) = two(&world, &[chest()]).await;
    let c = world.device("dee", "c").await;
    c.sync_well().await;
    let devices = [&a, &b, &c];
    for round in 0..3 {
        for (number, device) in (0..).zip(devices) {
            inc(device, 1).await;
            let id = format!("s{round}{number}");
            device
                .put("scenes", &id, child(json!({ "title": id })))
                .await;
            let edit = [("set", "name", json!(format!("Chest {round} of {number}")))];
            device.patch("entities", "e1", &edit).await;
        }
        // A document that is contended too often waits for the next run.
        let reports: [Value; 3] = tokio::join!(a.sync(), b.sync(), c.sync()).into();
        for report in reports {
            assert_eq!(report["parked"], 0, "{report}");
        }
    }
    world.settle(&devices).await;
    assert_eq!(b.value("entities", "e1", "/props/gold").await, 9);
    assert_eq!(c.value("entities", "e1", "/name").await, "Chest 2 of 2");
    assert_eq!(a.ids("scenes").await.len(), 9);
}

/// b wrote; a edits in the midst of `method`.
async fn edit_amid(world: World, method: &str) {
    let (a, b) = two(&world, &[chest()]).await;
    inc(&b, 10).await;
    b.patch("entities", "e1", &[("set", "name", json!("Coffer"))])
        .await;
    b.sync_well().await;
    if method == ":batchGet" {
        // A stale write, which makes a look.
        inc(&a, 1).await;
    }
    let edits = vec![
        ("inc", "props.gold", json!(100)),
        ("set", "name", json!("Trunk")),
    ];
    meanwhile(&a, method, edits);
    a.sync_well().await;
    world.settle(&[&a, &b]).await;
    let gold = if method == ":batchGet" { 111 } else { 110 };
    assert_eq!(b.value("entities", "e1", "/props/gold").await, gold);
    assert_eq!(b.value("entities", "e1", "/name").await, "Trunk");
    let journal = a.conflicts().await;
    assert_eq!(journal.len(), 1, "{journal:?}");
    assert_eq!(journal[0]["lost"], "Coffer", "it was overwritten unseen");
}

async fn an_edit_made_while_a_newer_version_is_fetched_is_merged(world: World) {
    edit_amid(world, ":runQuery").await;
}

async fn an_edit_made_while_a_document_is_read_by_name_is_merged(world: World) {
    edit_amid(world, ":batchGet").await;
}

async fn a_document_deleted_here_while_its_edit_is_under_way_stays_deleted(world: World) {
    let (a, b) = two(&world, &[chest()]).await;
    inc(&a, 5).await;
    let person = a.person.clone();
    a.proxy
        .before_forward(Matcher::path(":commit"), async move {
            let answer = person.rm("entities", "e1").await;
            assert_eq!(answer["affected"], 1, "{answer}");
        });
    a.sync_well().await;
    world.settle(&[&a, &b]).await;
    assert_eq!(b.get("entities", "e1").await, None);
    assert_eq!(b.restore("entities", "e1").await, 1);
    world.settle(&[&b, &a]).await;
    assert_eq!(a.value("entities", "e1", "/props/gold").await, 5);
}

async fn of_two_runs_on_one_file_the_second_is_refused(world: World) {
    let (a, b) = two(&world, &[chest()]).await;
    inc(&a, 5).await;
    // As another process has it: calls on one open database would wait for each other.
    let again = world.device_on(&a.uid, a.path()).await;
    a.proxy
        .before_forward(Matcher::path(":commit"), async move {
            let refused = again.person.sync().await;
            assert_eq!(refused["error"]["code"], "sync_busy", "{refused}");
        });
    assert_eq!(a.sync_well().await["pushed"], 1);
    world.settle(&[&a, &b]).await;
    assert_eq!(b.value("entities", "e1", "/props/gold").await, 5);
}

async fn large_documents_go_out_in_several_commits(world: World) {
    let (a, b) = two(&world, &[]).await;
    let line = "The fog comes in over the marsh, and with it the bells.\n";
    // 12 of 450 KB: more than a request may hold.
    for n in 0..12 {
        let scene = json!({ "title": format!("Scene {n}"), "content": line.repeat(8000) });
        a.put("scenes", &format!("s{n}"), child(scene)).await;
    }
    let report = a.sync_well().await;
    assert_eq!(
        (&report["pushed"], &report["parked"]),
        (&json!(12), &json!(0)),
        "{report}"
    );
    let edit = [(
        "set",
        "content",
        json!(format!("First.\n{}", line.repeat(1000))),
    )];
    a.patch("scenes", "s3", &edit).await;
    b.sync_well().await;
    b.patch("scenes", "s4", &[("set", "title", json!("Marsh"))])
        .await;
    world.settle(&[&a, &b]).await;
    let content = b.value("scenes", "s3", "/content").await;
    assert!(
        content
            .as_str()
            .is_some_and(|text| text.starts_with("First.\nThe fog"))
    );
    assert_eq!(b.ids("scenes").await.len(), 12);
}
