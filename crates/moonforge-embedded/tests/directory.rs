//! One directory: opened again, moved, shared by processes and connections, and refused where it is no cloud.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use moonforge_embedded::{Embedded, OpenError};
use moonforge_model::Timestamp;
use moonforge_ports::{RemoteErrorKind, RemoteQuery, RemoteStore, Usage};
use moonforge_testkit::clock::ManualClock;
use moonforge_testkit::conformance::{change, collect, create, doc};
use moonforge_testkit::random::SeededRandom;
use serde_json::json;
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

const NOW: i64 = 1_700_000_000_000_000;

async fn open_at(dir: &Path, micros: i64) -> Result<Embedded, OpenError> {
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(micros)));
    Embedded::open(dir, clock, &SeededRandom::new(micros.unsigned_abs())).await
}

async fn open(dir: &Path) -> Embedded {
    open_at(dir, NOW).await.unwrap()
}

/// Adds one to the counter, however often others come first; how often that was.
async fn increment(cloud: &Embedded) -> u32 {
    let counter = doc("counters", "c");
    let mut lost = 0;
    loop {
        let there = cloud
            .batch_get(std::slice::from_ref(&counter))
            .await
            .unwrap()
            .found
            .pop();
        let write = match there {
            None => create(counter.clone(), json!({"rev": 0, "n": 1})),
            Some(there) => {
                let number = |name: &str| there.fields[name].as_i64().unwrap() + 1;
                let value = json!({"rev": number("rev"), "n": number("n")});
                change(counter.clone(), there.update_time, value, &["rev", "n"])
            }
        };
        match cloud.commit(&[write]).await {
            Ok(_) => return lost,
            Err(error) => assert!(
                matches!(
                    error.kind,
                    RemoteErrorKind::FailedPrecondition | RemoteErrorKind::AlreadyExists
                ),
                "{error}"
            ),
        }
        lost += 1;
    }
}

async fn counted(cloud: &Embedded) -> (i64, i64) {
    let there = cloud
        .batch_get(&[doc("counters", "c")])
        .await
        .unwrap()
        .found
        .pop()
        .unwrap();
    (
        there.fields["n"].as_i64().unwrap(),
        there.fields["rev"].as_i64().unwrap(),
    )
}

#[tokio::test]
async fn what_was_written_is_there_after_reopening_and_moving() {
    let root = tempfile::tempdir().unwrap();
    let (old, new) = (root.path().join("deep/old"), root.path().join("new"));
    std::fs::create_dir(root.path().join("deep")).unwrap();
    let cloud = open(&old).await;
    let name = cloud.name();
    let answer = cloud
        .commit(&[create(doc("scenes", "s"), json!({"rev": 0}))])
        .await
        .unwrap();
    cloud.close().await;
    std::fs::rename(&old, &new).unwrap();
    // The clock of the second process is behind: versions and read times go on rising all the same.
    let cloud = open_at(&new, NOW - 60_000_000).await.unwrap();
    assert_eq!(cloud.name(), name);
    assert!(name.starts_with("local:") && name.len() > 30, "{name}");
    let got = cloud.batch_get(&[doc("scenes", "s")]).await.unwrap();
    assert_eq!(got.found[0].update_time, answer.results[0].update_time);
    assert!(got.read_time >= answer.commit_time);
    let later = cloud
        .commit(&[create(doc("scenes", "t"), json!({}))])
        .await
        .unwrap();
    assert!(later.commit_time > got.read_time);
    assert_ne!(
        open_at(&root.path().join("other"), 7).await.unwrap().name(),
        name
    );
}

/// The parent starts eight of these at once on a directory that isn't there; each is this very test, told to be a child.
/// `updatedAt` is what other devices' cursors go by: a write below them would never be read.
#[tokio::test]
async fn updated_at_never_goes_back_whose_clock_ever_does() {
    let dir = tempfile::tempdir().unwrap();
    let hour = 3_600_000_000;
    let ahead = open_at(dir.path(), NOW + hour).await.unwrap();
    let behind = open_at(dir.path(), NOW).await.unwrap();
    let mut times = Vec::new();
    for (n, cloud) in [&ahead, &behind, &ahead, &behind].into_iter().enumerate() {
        let write = create(doc("scenes", &format!("s{n}")), json!({"rev": 0}));
        let answer = cloud.commit(&[write]).await.unwrap();
        let at = answer.results[0].server_times[0];
        assert!(at <= answer.commit_time, "{at} {}", answer.commit_time);
        assert_eq!(at.as_micros() % 1000, 0, "{at}");
        times.push(at);
    }
    assert!(times.is_sorted(), "{times:?}");
    let since = RemoteQuery {
        since: Some(times[0]),
        ..RemoteQuery::all("scenes".parse().unwrap())
    };
    assert_eq!(collect(&behind, &since).await.unwrap().0.len(), 4);
}

#[tokio::test]
async fn processes_share_one_directory() {
    const CHILD: &str = "MOONFORGE_EMBEDDED_CHILD";
    const PROCESSES: i64 = 8;
    const EACH: i64 = 10;
    if let Ok(child) = std::env::var(CHILD) {
        let (number, dir) = child.split_once(':').unwrap();
        let skew = number.parse::<i64>().unwrap() * 1_000_000;
        let cloud = open_at(Path::new(dir), NOW - skew).await.unwrap();
        for _ in 0..EACH {
            increment(&cloud).await;
        }
        let seen = create(doc("seen", number), json!({"name": cloud.name()}));
        cloud.commit(&[seen]).await.unwrap();
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("cloud");
    let children: Vec<_> = (0..PROCESSES)
        .map(|number| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "processes_share_one_directory"])
                .env(CHILD, format!("{number}:{}", dir.display()))
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
    let cloud = open(&dir).await;
    assert_eq!(
        counted(&cloud).await,
        (PROCESSES * EACH, PROCESSES * EACH - 1)
    );
    let (seen, _) = collect(&cloud, &RemoteQuery::all(doc("seen", "x").collection))
        .await
        .unwrap();
    assert_eq!(seen.len(), 8);
    assert!(
        seen.iter().all(|d| d.fields["name"] == json!(cloud.name())),
        "one cloud was made"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_lose_no_update_of_each_other() {
    let root = tempfile::tempdir().unwrap();
    let (one, two) = (open(root.path()).await, open(root.path()).await);
    let tasks: Vec<_> = [one.clone(), one.clone(), two.clone(), two]
        .into_iter()
        .map(|cloud| {
            tokio::spawn(async move {
                for _ in 0..10 {
                    increment(&cloud).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(counted(&one).await, (40, 39));
}

#[tokio::test]
async fn a_commit_whose_caller_goes_away_is_whole() {
    let root = tempfile::tempdir().unwrap();
    let cloud = open(root.path()).await;
    let writes: Vec<_> = (0..50)
        .map(|i| create(doc("scenes", &format!("s{i}")), json!({"rev": 0})))
        .collect();
    let mut commit = Box::pin(cloud.commit(&writes));
    assert!(futures_util::poll!(&mut commit).is_pending());
    drop(commit);
    // The next write waits for it, and so sees all of it or nothing.
    cloud
        .commit(&[create(doc("scenes", "z"), json!({}))])
        .await
        .unwrap();
    let all = RemoteQuery::all(doc("scenes", "x").collection);
    let count = collect(&cloud, &all).await.unwrap().0.len();
    assert!(count == 51 || count == 1, "{count} of 51");
}

#[tokio::test]
async fn what_would_lose_data_is_denied() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(NOW)));
    let cloud = Embedded::in_memory(clock, &SeededRandom::new(1))
        .await
        .unwrap();
    let scene = doc("scenes", "s");
    let value = json!({"rev": 0, "campaignId": "c", "writers": {"u": {"i": {"n": 1, "op": "a"}}}});
    let answer = cloud.commit(&[create(scene.clone(), value)]).await.unwrap();
    let version = answer.results[0].update_time;
    for (value, mask) in [
        (json!({"rev": 1, "campaignId": "d"}), ["rev", "campaignId"]),
        (json!({"rev": 1}), ["rev", "writers"]),
        (json!({"rev": 1}), ["rev", "writers.u.i"]),
        (json!({"rev": 2}), ["rev", "title"]),
    ] {
        let denied = cloud
            .commit(&[change(scene.clone(), version, value, &mask)])
            .await;
        assert_eq!(
            denied.unwrap_err().kind,
            RemoteErrorKind::PermissionDenied,
            "{mask:?}"
        );
    }
    let tombstone = json!({"rev": 1, "deletedAt": "2026-11-21T18:30:00Z"});
    cloud
        .commit(&[change(scene, version, tombstone, &["rev", "deletedAt"])])
        .await
        .unwrap();
    assert_eq!(
        cloud.usage(),
        Usage {
            reads: 0,
            writes: 2,
            deletes: 0
        }
    );
}

#[tokio::test]
async fn what_is_no_cloud_is_refused_and_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    std::fs::write(&file, "text").unwrap();
    for dir in [file.clone(), file.join("below")] {
        let error = open_at(&dir, NOW).await.unwrap_err();
        assert!(matches!(error, OpenError::Directory { .. }), "{error}");
    }

    let text = root.path().join("text");
    std::fs::create_dir(&text).unwrap();
    let content = "this is a text, and no database at all\n".repeat(100);
    std::fs::write(text.join("cloud.db"), &content).unwrap();
    let error = open_at(&text, NOW).await.unwrap_err();
    assert!(matches!(error, OpenError::NotACloud { .. }), "{error}");
    assert_eq!(
        std::fs::read_to_string(text.join("cloud.db")).unwrap(),
        content
    );

    let other = root.path().join("other");
    std::fs::create_dir(&other).unwrap();
    sql(&other, "CREATE TABLE mine (x); INSERT INTO mine VALUES (1)").await;
    let error = open_at(&other, NOW).await.unwrap_err();
    assert!(matches!(error, OpenError::NotACloud { .. }), "{error}");
    sql(&other, "UPDATE mine SET x = 2").await;

    let newer = root.path().join("newer");
    open(&newer).await.close().await;
    sql(&newer, "PRAGMA user_version = 2").await;
    let error = open_at(&newer, NOW).await.unwrap_err();
    assert!(
        matches!(error, OpenError::Newer { found: 2, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_missing_folder_above_the_cloud_is_not_made() {
    let root = tempfile::tempdir().unwrap();
    // A stick that isn't plugged in.
    let error = open_at(&root.path().join("stick/cloud"), NOW)
        .await
        .unwrap_err();
    assert!(matches!(error, OpenError::Missing { .. }), "{error}");
    assert!(error.to_string().contains("stick/cloud"), "{error}");
    assert!(!root.path().join("stick").exists());
}

#[tokio::test]
async fn a_cloud_that_has_to_be_there_is_not_made() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("cloud");
    let existing = async || {
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(NOW)));
        Embedded::open_existing(&dir, clock).await
    };
    let missing = async || match existing().await {
        Err(OpenError::Missing { path }) => path == dir,
        _ => false,
    };
    assert!(missing().await && !dir.exists());
    // Where a stick is plugged in there is often an empty folder without it.
    std::fs::create_dir(&dir).unwrap();
    assert!(missing().await);
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
    // A cloud whose making was cut short holds nothing either.
    std::fs::write(dir.join("cloud.db"), "").unwrap();
    assert!(missing().await);
    assert_eq!(std::fs::read(dir.join("cloud.db")).unwrap(), b"");
    let name = open(&dir).await.name();
    assert_eq!(existing().await.unwrap().name(), name);
}

async fn sql(dir: &Path, sql: &'static str) {
    let options = SqliteConnectOptions::new()
        .filename(dir.join("cloud.db"))
        .create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn damage_is_told_and_not_written_over() {
    let root = tempfile::tempdir().unwrap();
    let cloud = open(root.path()).await;
    let scene = doc("scenes", "s");
    let answer = cloud
        .commit(&[create(scene.clone(), json!({"rev": 0}))])
        .await
        .unwrap();
    sql(root.path(), "UPDATE documents SET fields = '{\"rev\": 0'").await;
    let read = cloud.batch_get(std::slice::from_ref(&scene)).await;
    assert_eq!(read.unwrap_err().kind, RemoteErrorKind::Internal);
    let version = answer.results[0].update_time;
    let write = change(scene, version, json!({"rev": 1}), &["rev"]);
    assert_eq!(
        cloud.commit(&[write]).await.unwrap_err().kind,
        RemoteErrorKind::Internal
    );
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_look_inside() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("cloud");
    let cloud = open(&dir).await;
    cloud
        .commit(&[create(doc("scenes", "s"), json!({}))])
        .await
        .unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    let files: Vec<_> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{file:?}");
    }
}
