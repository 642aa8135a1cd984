//! Copies of a database file: what the original and the copy both hold counts once.

use std::path::Path;

use moonforge_e2e::device::{Device, World};
use moonforge_testkit::proxy::{Fault, Matcher};
use serde_json::{Value, json};

use crate::scenario::two;

crate::scenario::scenarios! {
    everywhere:
        a_backup_restored_elsewhere_repeats_nothing,
        an_old_backup_put_back_repeats_nothing,
        a_backup_is_a_device_of_its_own;
    calm:
        a_backup_made_while_an_answer_was_lost_repeats_nothing;
}

fn chest() -> (&'static str, &'static str, Value) {
    (
        "entities",
        "e1",
        json!({ "name": "Chest", "kind": "item", "props": { "gold": 10 } }),
    )
}

/// A copy as a file manager makes it while the app is closed.
async fn copy(device: &Device, to: &Path) {
    device.person.quit().await;
    for ending in ["", "-wal"] {
        let named = |path: &Path| format!("{}{ending}", path.display());
        if Path::new(&named(device.path())).exists() {
            std::fs::copy(named(device.path()), named(to)).expect("the copy fits");
        }
    }
}

async fn inc(device: &Device, by: i64) {
    device
        .patch("entities", "e1", &[("inc", "props.gold", json!(by))])
        .await;
}

async fn a_backup_restored_elsewhere_repeats_nothing(world: World) {
    let (a, b) = two(&world, &[chest()]).await;
    inc(&a, 1).await;
    inc(&a, 2).await;
    let place = world.file("copy");
    copy(&a, &place).await;
    let copied = world.device_on("gm", &place).await;
    // Both go on by themselves, and both hold the first two edits.
    inc(&a, 10).await;
    inc(&copied, 100).await;
    copied.sync_well().await;
    a.sync_well().await;
    world.settle(&[&a, &copied, &b]).await;
    assert_eq!(b.value("entities", "e1", "/props/gold").await, 123);
}

async fn an_old_backup_put_back_repeats_nothing(world: World) {
    let (a, b) = two(&world, &[chest()]).await;
    inc(&a, 1).await;
    let place = world.file("backup");
    copy(&a, &place).await;
    inc(&a, 2).await;
    a.sync_well().await;
    inc(&a, 4).await;
    a.sync_well().await;
    // Lost with the old machine: nothing. The backup has the first edit still to send.
    a.person.quit().await;
    let restored = world.device_on("gm", &place).await;
    inc(&restored, 8).await;
    restored.sync_well().await;
    world.settle(&[&restored, &b]).await;
    assert_eq!(b.value("entities", "e1", "/props/gold").await, 25);
    assert_eq!(restored.conflicts().await, [] as [Value; 0]);
}

async fn a_backup_made_while_an_answer_was_lost_repeats_nothing(world: World) {
    let (a, b) = two(&world, &[chest()]).await;
    inc(&a, 1).await;
    a.proxy.fail(Matcher::path(":commit"), Fault::LoseAnswer);
    a.proxy.fail(Matcher::any().always(), Fault::Drop);
    let report = a.sync().await;
    assert_eq!(report["offline"], true, "{report}");
    let place = world.file("copy");
    copy(&a, &place).await;
    let copied = world.device_on("gm", &place).await;
    inc(&copied, 100).await;
    copied.sync_well().await;
    a.go_online();
    inc(&a, 10).await;
    a.sync_well().await;
    world.settle(&[&a, &copied, &b]).await;
    assert_eq!(b.value("entities", "e1", "/props/gold").await, 121);
    for device in [&a, &copied] {
        assert_eq!(device.conflicts().await, [] as [Value; 0]);
    }
}

async fn a_backup_is_a_device_of_its_own(world: World) {
    let (a, b) = two(&world, &[chest()]).await;
    inc(&a, 1).await;
    let place = world.file("backup");
    a.backup(&place).await;
    inc(&a, 10).await;
    a.sync_well().await;
    let backup = world.device_on("gm", &place).await;
    assert_eq!(backup.value("entities", "e1", "/props/gold").await, 11);
    inc(&backup, 100).await;
    backup.sync_well().await;
    world.settle(&[&a, &backup, &b]).await;
    assert_eq!(b.value("entities", "e1", "/props/gold").await, 121);
}
