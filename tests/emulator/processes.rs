//! Two processes on one file: one syncs in the background, both write.

use std::sync::Arc;
use std::time::Duration;

use moonforge::{Cadence, Phase, SystemClock};
use moonforge_e2e::device::{CommandLine, Device, Form, Library, Weather, World};
use moonforge_testkit::proxy::Matcher;
use serde_json::{Value, json};

use crate::scenario::{C, campaign, child};

/// How often each process adds to the chest.
const EDITS: i64 = 12;

/// For what comes by itself within seconds.
const LONG: Duration = Duration::from_secs(60);

async fn world(name: &str) -> Option<(World, Device, Arc<CommandLine>)> {
    let world = World::new(name, Form::CommandLine, Weather::Calm).await?;
    let project = &world.project;
    let made = world.device_with("gm", "a", |path, proxy| {
        CommandLine::new(project, "gm", path, proxy)
    });
    let (device, line) = made.await;
    device.put("campaigns", C, campaign("The Ember Keep")).await;
    let chest = json!({ "name": "Chest", "kind": "item", "props": { "gold": 0 } });
    device.put("entities", "e1", child(chest)).await;
    Some((world, device, line))
}

/// Another process's opening of the device's file, which looks for others' writes all the time.
async fn opened(world: &World, device: &Device) -> (Device, Arc<Library>) {
    let (project, path) = (&world.project, device.path().to_owned());
    let cadence = Cadence {
        look_for_others: Duration::from_millis(200),
        ..Cadence::default()
    };
    let made = world.device_with("gm", "beside", |_, proxy| {
        Library::new(project, "gm", &path, proxy)
            .clock(Arc::new(SystemClock::new()))
            .cadence(cadence)
    });
    made.await
}

async fn write(device: &Device, name: &str) {
    for n in 0..EDITS {
        let edit = [
            ("inc", "props.gold", json!(1)),
            ("add", "tags", json!(format!("{name}{n}"))),
        ];
        device.patch("entities", "e1", &edit).await;
        let scene = json!({ "title": format!("{name} {n}") });
        device
            .put("scenes", &format!("{name}{n}"), child(scene))
            .await;
    }
}

/// Both wrote, everything is in the cloud once.
async fn check(world: &World, device: &Device) {
    let other = world.device("gm", "other").await;
    world.settle(&[device, &other]).await;
    let chest = other.get("entities", "e1").await.expect("a chest");
    assert_eq!(chest["props"]["gold"], 2 * EDITS, "{chest}");
    assert_eq!(
        chest["tags"].as_array().map(Vec::len),
        Some(2 * EDITS as usize),
        "{chest}"
    );
    assert_eq!(other.ids("scenes").await.len(), 2 * EDITS as usize);
    for device in [device, &other] {
        assert_eq!(device.conflicts().await, [] as [Value; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_syncs_and_a_command_line_write_one_file() {
    let Some((world, device, _)) = world("app-and-line").await else {
        return;
    };
    let (app, library) = opened(&world, &device).await;
    let forge = library.open().await;
    forge.start();
    tokio::join!(write(&app, "app"), write(&device, "line"));
    let mut status = forge.watch_sync_status();
    let rest = status.wait_for(|s| s.phase == Phase::Idle && s.pending == 0 && s.runs_done > 0);
    let rest = tokio::time::timeout(LONG, rest).await;
    drop(
        rest.expect("everything goes out by itself")
            .expect("it lives"),
    );
    assert_eq!(device.outbox().await, [] as [Value; 0]);
    forge.stop().await;
    check(&world, &device).await;
    app.person.quit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watching_process_sends_what_others_write_and_a_second_sync_is_busy() {
    let Some((world, device, line)) = world("watch-and-line").await else {
        return;
    };
    // While a request of the one that watches is under way, it is its turn.
    let second = CommandLine::new(&world.project, "gm", device.path(), device.proxy.addr());
    let (told, heard) = tokio::sync::oneshot::channel();
    let meanwhile = async move {
        // Nobody hears it where the test failed before.
        let _ = told.send(second.call(&["sync"]).await);
    };
    device
        .proxy
        .before_forward(Matcher::path(":commit"), meanwhile);
    let watching = line.start(&["sync", "--watch"]);
    let (beside, _) = opened(&world, &device).await;
    tokio::join!(write(&beside, "beside"), write(&device, "line"));
    let (refused, code) = tokio::time::timeout(LONG, heard)
        .await
        .expect("a commit came")
        .expect("it was answered");
    assert_eq!(
        (&refused["error"]["code"], code),
        (&json!("sync_busy"), Some(1)),
        "{refused}"
    );
    assert!(watching.goes_on());
    let gone = async { while !device.outbox().await.is_empty() {} };
    let gone = tokio::time::timeout(LONG, gone).await;
    gone.expect("everything goes out by itself");
    assert!(watching.kill());
    beside.person.quit().await;
    check(&world, &device).await;
}
