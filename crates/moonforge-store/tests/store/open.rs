//! Opening: fresh files, several at once, and files that are something else.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use moonforge_store::{Store, StoreError};
use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn sqlite_is_new_enough() {
    let dir = tempfile::tempdir().unwrap();
    let mut conn = raw(&dir.path().join("m.db")).await;
    let version: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    let parts: Vec<u32> = version.split('.').map(|p| p.parse().unwrap()).collect();
    assert!(
        parts >= vec![3, 51, 3],
        "{version} has a defect in its write-ahead log"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_at_once_make_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.db");
    let tasks = (0..8).map(|i| {
        let file = file.clone();
        tokio::spawn(async move {
            let store = open(&file).await;
            put(
                &store,
                &doc("campaigns", &format!("c{i}")),
                json!({"name": "A"}),
                1,
            )
            .await;
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let store = open(&file).await;
    assert_eq!(store.outbox_counts().await.unwrap().pending, 8);
    assert_eq!(store.doctor().await.unwrap(), []);
}

/// What each process of the next test does; by itself it writes to a file of its own.
#[tokio::test]
async fn a_process_opens_and_writes() {
    let own = tempfile::tempdir().unwrap();
    let file = std::env::var_os("MOONFORGE_TEST_FILE").map(PathBuf::from);
    let store = open(&file.unwrap_or_else(|| own.path().join("m.db"))).await;
    for i in 0..5 {
        let id = format!("p{}-{i}", std::process::id());
        put(&store, &doc("campaigns", &id), json!({"name": "A"}), 1).await;
        assert!(store.is_dirty(&doc("campaigns", &id)).await.unwrap());
    }
}

#[tokio::test]
async fn processes_share_a_fresh_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.db");
    let this = std::env::current_exe().unwrap();
    let children: Vec<_> = (0..6)
        .map(|_| {
            Command::new(&this)
                .args(["--exact", "open::a_process_opens_and_writes", "--quiet"])
                .env("MOONFORGE_TEST_FILE", &file)
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let store = open(&file).await;
    assert_eq!(store.outbox_counts().await.unwrap().pending, 30);
    assert_eq!(store.doctor().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_write_one_file_without_waiting_in_vain() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.db");
    let stores = [open(&file).await, open(&file).await];
    let tasks: Vec<_> = stores
        .iter()
        .cloned()
        .enumerate()
        .map(|(who, store)| {
            tokio::spawn(async move {
                for i in 0..60 {
                    let shared = json!({"name": "A", "roles": {format!("u{who}-{i}"): "dm"}});
                    put(&store, &doc("campaigns", "shared"), shared, i).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let both = content(&stores[0], &doc("campaigns", "shared")).await;
    assert_eq!(both["roles"].as_object().unwrap().len(), 120);
    let numbers: Vec<_> = stores[1]
        .outbox()
        .await
        .unwrap()
        .iter()
        .map(|r| r.row.row.n)
        .collect();
    assert!(numbers.len() == 120 && numbers.is_sorted());
}

async fn refuses(file: &Path, expected: &str) {
    let before = std::fs::read(file).unwrap();
    let error = Store::open(file, options()).await.unwrap_err();
    assert_eq!(error.code(), expected, "{error}");
    assert!(
        std::fs::read(file).unwrap() == before,
        "{expected}: the file was touched"
    );
    let planned = Store::plan_migration(file).await;
    assert_eq!(code(planned), expected);
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused_and_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.db");
    open(&file).await.close().await;
    run(&file, "PRAGMA user_version = 3").await;
    refuses(&file, "newer_version").await;
    run(
        &file,
        "PRAGMA user_version = 2; INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (99, 'from the future', TRUE, x'00', 0)",
    )
    .await;
    let error = Store::open(&file, options()).await.unwrap_err();
    assert!(matches!(error, StoreError::NewerVersion), "{error}");
}

#[tokio::test]
async fn what_is_no_database_of_ours_is_refused_and_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("letter.txt");
    std::fs::write(&text, "Dear players, ".repeat(500)).unwrap();
    refuses(&text, "not_a_database").await;
    let foreign = dir.path().join("photos.db");
    run(
        &foreign,
        "CREATE TABLE photos (id); INSERT INTO photos VALUES (1)",
    )
    .await;
    refuses(&foreign, "not_a_database").await;
    let marked = dir.path().join("marked.db");
    run(&marked, "PRAGMA application_id = 7; PRAGMA user_version = 1; CREATE TABLE campaigns (id); CREATE TABLE outbox_ops (id)").await;
    refuses(&marked, "not_a_database").await;
}

#[tokio::test]
async fn a_migration_that_is_not_the_one_that_made_the_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.db");
    open(&file).await.close().await;
    run(
        &file,
        "UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 2",
    )
    .await;
    assert_eq!(code(Store::open(&file, options()).await), "corrupt");
}

#[tokio::test]
async fn a_file_whose_making_was_cut_short_opens() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty.db");
    std::fs::write(&empty, "").unwrap();
    open(&empty).await;
    let marked = dir.path().join("marked.db");
    run(&marked, &format!("PRAGMA application_id = {}", 0x4d6f_6f6e)).await;
    open(&marked).await;
    // Between two migrations.
    let half = dir.path().join("half.db");
    open(&half).await.close().await;
    let mut undo = String::from(
        "PRAGMA foreign_keys = OFF; PRAGMA user_version = 0; DELETE FROM _sqlx_migrations WHERE version > 1;",
    );
    let mut conn = raw(&half).await;
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name <> '_sqlx_migrations'")
            .fetch_all(&mut conn)
            .await
            .unwrap();
    for table in tables {
        undo.push_str(&format!("DROP TABLE {table};"));
    }
    undo.push_str(include_str!("../../../../migrations/0001_v1.sql"));
    run(&half, &undo).await;
    assert_eq!(open(&half).await.doctor().await.unwrap(), []);
}

#[tokio::test]
async fn a_path_that_leads_nowhere_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a file");
    std::fs::write(&file, "").unwrap();
    for path in [
        dir.path().join("no/folder/m.db"),
        dir.path().to_owned(),
        file.join("m.db"),
    ] {
        assert_eq!(
            code(Store::open(&path, options()).await),
            "cannot_open",
            "{}",
            path.display()
        );
    }
    assert!(
        !dir.path().join("no").exists(),
        "no folder is made for a wrong path"
    );
}

/// Nobody can make files there, not even root.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_folder_that_cannot_be_written_says_so() {
    let refused = Store::open("/sys/moonforge.db", options()).await;
    assert_eq!(code(refused), "cannot_open");
    let store = memory().await;
    assert_eq!(code(store.backup("/sys/copy.db").await), "cannot_open");
}

#[cfg(unix)]
#[tokio::test]
async fn only_its_owner_can_read_a_new_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.db");
    let store = open(&file).await;
    put(&store, &doc("campaigns", "c"), json!({"name": "A"}), 1).await;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", entry.path().display());
    }
}

#[tokio::test]
async fn one_process_at_a_time_syncs_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.db");
    let (a, b) = (open(&file).await, open(&file).await);
    let lock = a.lock_for_sync().unwrap();
    assert_eq!(code(b.lock_for_sync()), "sync_busy");
    drop(lock);
    b.lock_for_sync().unwrap();
}

#[tokio::test]
async fn what_names_no_ordinary_file_is_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    let mut names = vec![
        PathBuf::new(),
        ":memory:".into(),
        "file:m.db".into(),
        "file:m.db?mode=memory".into(),
        dir.path().to_owned(),
    ];
    if cfg!(unix) {
        let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        names.push(pipe);
    }
    let files = |at: &Path| std::fs::read_dir(at).unwrap().count();
    let before = (files(dir.path()), files(Path::new(".")));
    let store = memory().await;
    for name in names {
        for refused in [
            code(Store::open(&name, options()).await),
            code(Store::plan_migration(&name).await),
            code(store.backup(&name).await),
        ] {
            assert_eq!(refused, "cannot_open", "{}", name.display());
        }
    }
    assert_eq!((files(dir.path()), files(Path::new("."))), before);
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_to_a_file_is_that_file() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().canonicalize().unwrap().join("m.db");
    let (early, late) = (dir.path().join("early.db"), dir.path().join("late.db"));
    symlink("m.db", &early).unwrap();
    let a = open(&early).await;
    symlink(&file, &late).unwrap();
    let stores = [a, open(&late).await, open(&file).await];
    for store in &stores {
        assert_eq!(store.path(), Some(&*file));
        let lock = store.lock_for_sync().unwrap();
        for other in &stores {
            assert_eq!(code(other.lock_for_sync()), "sync_busy");
        }
        drop(lock);
    }
}

/// The process that changes its folder is one of its own.
#[tokio::test]
async fn a_relative_path_is_the_same_file_wherever_the_process_goes() {
    if std::env::var_os("MOONFORGE_TEST_MOVES").is_some() {
        let store = open(Path::new("m.db")).await;
        std::env::set_current_dir("/").unwrap();
        // More readers than were connected before.
        let c = doc("campaigns", "c");
        let reads = futures_util::future::join_all((0..8).map(|_| store.get(&c))).await;
        assert!(reads.into_iter().all(|r| r.unwrap().is_none()));
        put(&store, &c, json!({"name": "A"}), 1).await;
        store.lock_for_sync().unwrap();
        store.backup("/proc/none.db").await.unwrap_err();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let test = "open::a_relative_path_is_the_same_file_wherever_the_process_goes";
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--quiet"])
        .env("MOONFORGE_TEST_MOVES", "1")
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    let store = open(&dir.path().join("m.db")).await;
    assert!(store.is_dirty(&doc("campaigns", "c")).await.unwrap());
    assert!(dir.path().join("m.db.sync.lock").exists());
}

#[tokio::test]
async fn a_lock_that_nobody_gives_back_is_waited_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.db");
    let lock = std::fs::File::create(dir.path().join("m.db.lock")).unwrap();
    lock.lock().unwrap();
    let mut impatient = options();
    impatient.busy_timeout = Duration::from_millis(100);
    let most = Duration::from_secs(5);
    let opened = tokio::time::timeout(most, Store::open(&file, impatient.clone()));
    assert_eq!(code(opened.await.unwrap()), "busy");
    lock.unlock().unwrap();
    Store::open(&file, impatient).await.unwrap();
}

#[tokio::test]
async fn a_store_in_memory_is_synced_by_one_at_a_time() {
    let store = memory().await;
    let lock = store.lock_for_sync().unwrap();
    assert_eq!(code(store.clone().lock_for_sync()), "sync_busy");
    memory().await.lock_for_sync().unwrap();
    drop(lock);
    store.lock_for_sync().unwrap();
}
