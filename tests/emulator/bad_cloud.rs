//! Clouds and clocks that aren't as they should be: a clear state and a sentence, everything kept, no busy loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use moonforge::ports::Clock;
use moonforge::{Endpoint, Firestore, Moonforge, Phase, SystemClock, Timestamp, fixed_token};
use moonforge_e2e::device::{CommandLine, Device, Form, HurriedClock, Library, Weather, World};
use moonforge_testkit::proxy::{Fault, Matcher, Reply};
use serde_json::{Value, json};

use crate::scenario::{C, campaign, child, two};

/// How long the background engine is watched for a busy loop, and how many requests it may make in that time: two tries an
/// attempt, and first waits of up to 1, 2, 4 s. One that spins makes thousands.
const WATCHED: Duration = Duration::from_secs(3);
const MOST_REQUESTS: usize = 40;

const DENIED: &str = "rules_version = '2';
service cloud.firestore {
  match /databases/{database}/documents {
    match /{document=**} { allow read, write: if false; }
  }
}
";

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Nobody,
    Page,
    Failing,
    NoProject,
    Token,
    Rules,
}

/// What people and programs are told.
struct Told {
    /// Of `sync`.
    exit: i32,
    phase: Phase,
    code: &'static str,
    words: &'static str,
}

impl Wrong {
    async fn befall(self, world: &World, device: &Device) {
        let always = |fault| device.proxy.fail(Matcher::any().always(), fault);
        match self {
            Self::Nobody => device.proxy.down().await,
            Self::Page => always(Fault::Html),
            Self::Failing => always(Fault::Status(Reply::error(503, "UNAVAILABLE"))),
            Self::NoProject => always(Fault::Status(Reply::error(404, "NOT_FOUND"))),
            Self::Token => always(Fault::Status(Reply::error(401, "UNAUTHENTICATED"))),
            Self::Rules => world.project.load_rules(DENIED).await,
        }
    }

    async fn pass(self, world: &World, device: &Device) {
        match self {
            Self::Nobody => device.proxy.up().await,
            Self::Rules => world.project.load_our_rules().await,
            _ => device.go_online(),
        }
    }
}

async fn requests(device: &Device) -> usize {
    #[expect(clippy::disallowed_methods, reason = "a busy loop shows in real time")]
    tokio::time::sleep(WATCHED).await;
    device.proxy.seen().len()
}

async fn edited(device: &Device) {
    device.put("campaigns", C, campaign("The Ember Keep")).await;
    let chest = json!({ "name": "Chest", "kind": "item", "props": { "gold": 3 } });
    device.put("entities", "e1", child(chest)).await;
}

fn library(world: &World, path: &std::path::Path, proxy: std::net::SocketAddr) -> Library {
    Library::new(&world.project, "gm", path, proxy).clock(Arc::new(SystemClock::new()))
}

/// The background engine's state once an attempt came to nothing.
async fn troubled(forge: &Moonforge) -> moonforge::SyncStatus {
    forge.start();
    let mut status = forge.watch_sync_status();
    let failed = status.wait_for(|s| s.runs_failed > 0 && s.phase != Phase::Syncing);
    let failed = tokio::time::timeout(Duration::from_secs(60), failed).await;
    let found = failed.expect("it fails").expect("it lives");
    found.clone()
}

async fn told(name: &str, wrong: Wrong, told: Told) {
    let Some(world) = World::new(name, Form::CommandLine, Weather::Calm).await else {
        return;
    };
    let project = &world.project;
    let made = world.device_with("gm", "line", |path, proxy| {
        CommandLine::new(project, "gm", path, proxy)
    });
    let (device, line) = made.await;
    let (app, used) = world
        .device_with("gm", "app", |path, proxy| library(&world, path, proxy))
        .await;
    edited(&device).await;
    edited(&app).await;
    for device in [&device, &app] {
        wrong.befall(&world, device).await;
    }
    // At the command line.
    let (answer, code) = line.call(&["sync"]).await;
    assert_eq!(code, Some(told.exit), "{answer}");
    let said = answer["stopped"]
        .as_str()
        .or(answer["error"]["message"].as_str());
    assert!(said.unwrap_or_default().contains(told.words), "{answer}");
    assert_eq!(device.outbox().await.len(), 2, "{wrong:?}");
    // In the background.
    let forge = used.open().await;
    let status = troubled(&forge).await;
    let trouble = status.trouble.clone().expect("it says why");
    assert_eq!(
        (status.phase, trouble.code),
        (told.phase, told.code),
        "{trouble:?}"
    );
    assert!(trouble.message.contains(told.words), "{trouble:?}");
    assert!(status.sentence().len() > 10, "{}", status.sentence());
    let came = requests(&app).await;
    assert!(came <= MOST_REQUESTS, "{wrong:?}: {came} requests");
    let tried = forge.sync_status().runs_failed;
    assert!(
        tried <= MOST_REQUESTS as u64 / 2,
        "{wrong:?}: tried {tried} times"
    );
    assert_eq!(app.outbox().await.len(), 2, "{wrong:?}");
    forge.stop().await;
    // It passes, and everything goes out.
    for device in [&device, &app] {
        wrong.pass(&world, device).await;
        device.retry().await;
    }
    world.settle(&[&device, &app]).await;
    let gold = app.value("entities", "e1", "/props/gold").await;
    assert_eq!(gold, 3);
    app.person.quit().await;
}

macro_rules! told {
    ($($name:ident: $wrong:ident => $exit:literal, $phase:ident, $code:literal, $words:literal;)+) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let expected = Told { exit: $exit, phase: Phase::$phase, code: $code, words: $words };
            Box::pin(told(stringify!($name), Wrong::$wrong, expected)).await;
        })+
    };
}

told! {
    no_cloud_is_offline: Nobody => 3, Offline, "offline", "the cloud can't be reached";
    a_sign_in_page_is_offline_and_is_named: Page => 3, Offline, "offline", "sign-in page";
    a_cloud_that_fails_is_tried_again: Failing => 3, Failing, "cloud_failing", "the cloud kept failing";
    a_project_that_is_not_there_is_refused: NoProject => 1, Blocked, "cloud_refused", "no such project or database";
    a_token_that_is_refused_asks_for_a_sign_in: Token => 4, SignInNeeded, "unauthenticated", "sign-in is needed";
    rules_that_deny_all_are_told: Rules => 1, Blocked, "cloud_refused", "the cloud doesn't let this account read";
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_accounts_file_is_refused_before_any_request() {
    let Some(world) = World::new("account", Form::CommandLine, Weather::Calm).await else {
        return;
    };
    let first = world.device("gm", "a").await;
    edited(&first).await;
    first.sync_well().await;
    first
        .patch("entities", "e1", &[("inc", "props.gold", json!(1))])
        .await;
    let path = first.path().to_owned();
    let project = &world.project;
    let made = world.device_with("mallory", "m", |_, proxy| {
        CommandLine::new(project, "mallory", &path, proxy)
    });
    let (device, line) = made.await;
    let (answer, code) = line.call(&["sync"]).await;
    assert_eq!(
        (&answer["error"]["code"], code),
        (&json!("account_mismatch"), Some(1)),
        "{answer}"
    );
    let words = answer["error"]["message"].as_str().unwrap_or_default();
    assert!(words.contains("belongs to gm, not to mallory"), "{words}");
    let made = world.device_with("mallory", "l", |_, proxy| {
        Library::new(project, "mallory", &path, proxy).clock(Arc::new(SystemClock::new()))
    });
    let (app, used) = made.await;
    let forge = used.open().await;
    let status = troubled(&forge).await;
    let code = status.trouble.clone().map(|trouble| trouble.code);
    assert_eq!(
        (status.phase, code),
        (Phase::Blocked, Some("account_mismatch"))
    );
    assert!(
        status.sentence().contains("belongs to gm"),
        "{}",
        status.sentence()
    );
    assert_eq!(requests(&app).await, 0);
    assert_eq!(
        forge.sync_status().runs_failed,
        1,
        "asking again can't help"
    );
    app.person.quit().await;
    assert_eq!(device.proxy.seen(), []);
    assert_eq!(first.outbox().await.len(), 1);
    world.settle(&[&first]).await;
    assert_eq!(first.value("entities", "e1", "/props/gold").await, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_whose_name_cannot_be_is_refused_at_once() {
    let Some(world) = World::new("bad-name", Form::CommandLine, Weather::Calm).await else {
        return;
    };
    let device = world.device("gm", "a").await;
    edited(&device).await;
    let project = &world.project;
    let made = world.device_with("gm", "b", |_, proxy| {
        CommandLine::new(project, "gm", device.path(), proxy).cloud("firestore://my project")
    });
    let (again, line) = made.await;
    let (answer, code) = line.call(&["sync"]).await;
    assert_eq!(
        (&answer["error"]["code"], code),
        (&json!("usage"), Some(2)),
        "{answer}"
    );
    let words = answer["error"]["message"].as_str().unwrap_or_default();
    assert!(
        words.contains("`my project` is no id of a project"),
        "{words}"
    );
    let endpoint = Endpoint::Emulator(again.proxy.addr().to_string());
    let cloud =
        Firestore::new("my/project", fixed_token("owner".to_owned().into())).endpoint(endpoint);
    let refused = Moonforge::builder(device.path()).cloud(cloud).open().await;
    assert_eq!(
        refused.err().map(|error| error.code()),
        Some("invalid_cloud")
    );
    assert_eq!(again.proxy.seen(), []);
    assert_eq!(device.outbox().await.len(), 2, "everything is kept");
    world.settle(&[&device]).await;
}

/// The device's clock, wrong by as much as is said, and by another amount later. Waiting takes a tenth of its time.
#[derive(Default)]
struct WrongClock {
    right: HurriedClock,
    off_micros: AtomicI64,
}

#[async_trait]
impl Clock for WrongClock {
    fn now(&self) -> Timestamp {
        self.right
            .now()
            .offset_micros(self.off_micros.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        self.right.monotonic()
    }

    async fn sleep(&self, span: Duration) {
        self.right.sleep(span).await;
    }
}

/// What was written by a clock that is wrong, before and after it was set right, goes out at once, counts once, and wins or
/// loses by the cloud's time once that is known.
async fn a_wrong_clock(name: &str, off: impl Fn(Timestamp) -> i64) {
    let Some(world) = World::new(name, Form::Library, Weather::Calm).await else {
        return;
    };
    let chest = json!({ "name": "Chest", "kind": "item", "props": { "gold": 0 } });
    let (right, second) = two(&world, &[("entities", "e1", chest)]).await;
    let clock = Arc::new(WrongClock::default());
    clock.off_micros.store(off(clock.now()), Ordering::SeqCst);
    let made = world.device_with("gm", "wrong", |path, proxy| {
        Library::new(&world.project, "gm", path, proxy).clock(clock.clone())
    });
    let (wrong, used) = made.await;
    // Made by the wrong clock alone: nothing is known of the cloud's time.
    wrong
        .put("scenes", "s1", child(json!({ "title": "Early" })))
        .await;
    wrong.sync_well().await;
    let rename = |name: &'static str| {
        [
            ("set", "name", json!(name)),
            ("inc", "props.gold", json!(1)),
        ]
    };
    // Who writes later wins, whatever his clock says: first the right one, then the wrong one.
    right.patch("entities", "e1", &rename("Coffer")).await;
    right.sync_well().await;
    wrong.patch("entities", "e1", &rename("Trunk")).await;
    world.settle(&[&wrong, &right]).await;
    assert_eq!(right.value("entities", "e1", "/name").await, "Trunk");
    wrong.patch("entities", "e1", &rename("Box")).await;
    right.patch("entities", "e1", &rename("Crate")).await;
    world.settle(&[&wrong, &right]).await;
    assert_eq!(wrong.value("entities", "e1", "/name").await, "Crate");
    // In the background, and set right while it goes on.
    let forge = used.open().await;
    forge.start();
    let in_step = async |edits: &[moonforge_e2e::device::Edit<'_>]| {
        wrong.patch("entities", "e1", edits).await;
        let mut status = forge.watch_sync_status();
        let rest = async {
            while !wrong.outbox().await.is_empty() {
                status.changed().await.expect("it lives");
            }
        };
        let rest = tokio::time::timeout(Duration::from_secs(60), rest).await;
        rest.expect("it goes out by itself");
    };
    in_step(&rename("Chest of 1")).await;
    clock.off_micros.store(0, Ordering::SeqCst);
    in_step(&rename("Chest of 2")).await;
    forge.stop().await;
    world.settle(&[&wrong, &right, &second]).await;
    assert_eq!(second.value("entities", "e1", "/name").await, "Chest of 2");
    assert_eq!(second.value("entities", "e1", "/props/gold").await, 6);
    assert_eq!(second.ids("scenes").await, ["s1"]);
    let lost: Vec<Value> = right
        .conflicts()
        .await
        .iter()
        .chain(&wrong.conflicts().await)
        .map(|c| c["lost"].clone())
        .collect();
    assert!(
        lost.iter()
            .all(|value| *value == "Coffer" || *value == "Box"),
        "{lost:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_in_1970_loses_and_holds_up_nothing() {
    a_wrong_clock("clock-1970", |now| -now.as_micros() + 60_000_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_a_year_ahead_loses_and_holds_up_nothing() {
    a_wrong_clock("clock-ahead", |_| 365 * 86_400 * 1_000_000).await;
}
