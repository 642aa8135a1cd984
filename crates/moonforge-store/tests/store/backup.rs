//! Copies of a file.

use std::path::Path;

use moonforge_store::{Incarnations, Store};
use serde_json::json;

use crate::support::*;

async fn incarnations(store: &Store) -> Incarnations {
    let work = store.write(|tx| Box::pin(async move { tx.incarnations().await }));
    work.await.unwrap()
}

#[tokio::test]
async fn a_backup_holds_everything_and_is_a_device_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("m.db")).await;
    let c = doc("campaigns", "c");
    put(&store, &c, json!({"name": "Ember"}), 1).await;
    put(&store, &c, json!({"name": "Cinder"}), 2).await;
    let original = incarnations(&store).await;
    let target = dir.path().join("copy.db");
    let bytes = store.backup(&target).await.unwrap();
    assert_eq!(bytes, std::fs::metadata(&target).unwrap().len());
    let rows = store.outbox().await.unwrap();

    let copy = open(&target).await;
    assert_eq!(
        copy.outbox().await.unwrap(),
        rows,
        "rows keep their incarnation and number"
    );
    assert_eq!(content(&copy, &c).await["name"], "Cinder");
    let its_own = incarnations(&copy).await;
    assert_ne!(its_own.current, original.current);
    assert_eq!(its_own.closed[&original.current], rows[1].row.row.n);
    put(&copy, &c, json!({"name": "Smoke"}), 3).await;
    let new = copy.outbox().await.unwrap().pop().unwrap();
    assert_eq!(new.row.row.incarnation, its_own.current);
    assert_eq!(
        incarnations(&store).await,
        original,
        "the original goes on as it was"
    );
    assert_eq!(copy.doctor().await.unwrap(), []);

    // Opened again, it is the file that it was.
    copy.close().await;
    let again = open(&target).await;
    let reached = new.row.row.n;
    let now = Incarnations { reached, ..its_own };
    assert_eq!(incarnations(&again).await, now);
}

#[tokio::test]
async fn a_backup_put_in_the_originals_place_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (file, kept) = (dir.path().join("m.db"), dir.path().join("kept.db"));
    let store = open(&file).await;
    put(&store, &doc("campaigns", "c"), json!({"name": "Ember"}), 1).await;
    let before = incarnations(&store).await;
    store.backup(&kept).await.unwrap();
    store.close().await;
    // Written over the original, so that even the inode is the same.
    std::fs::write(&file, std::fs::read(&kept).unwrap()).unwrap();
    let restored = open(&file).await;
    let after = incarnations(&restored).await;
    assert_ne!(after.current, before.current);
    assert!(after.closed.contains_key(&before.current));
}

#[tokio::test]
async fn a_file_copied_by_hand_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (file, copied) = (dir.path().join("m.db"), dir.path().join("copied.db"));
    let store = open(&file).await;
    let before = incarnations(&store).await;
    store.close().await;
    std::fs::copy(&file, &copied).unwrap();
    let copy = open(&copied).await;
    assert_ne!(incarnations(&copy).await.current, before.current);
    let store = open(&file).await;
    assert_eq!(incarnations(&store).await, before);
    // Moved, it is the same file.
    store.close().await;
    let moved = dir.path().join("moved.db");
    std::fs::rename(&file, &moved).unwrap();
    assert_eq!(incarnations(&open(&moved).await).await, before);
}

#[tokio::test]
async fn a_backup_takes_nobodys_place_and_leaves_no_half() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("m.db")).await;
    let taken = dir.path().join("taken.txt");
    std::fs::write(&taken, "a letter").unwrap();
    assert_eq!(code(store.backup(&taken).await), "cannot_open");
    assert_eq!(std::fs::read(&taken).unwrap(), b"a letter");
    assert_eq!(
        code(store.backup(dir.path().join("no/such/folder.db")).await),
        "cannot_open"
    );
    store.backup(dir.path().join("good.db")).await.unwrap();
    let mut names: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| !n.starts_with("m.db"))
        .collect();
    names.sort();
    assert_eq!(names, ["good.db", "taken.txt"]);
    #[cfg(unix)]
    {
        let meta = std::fs::metadata(dir.path().join("good.db")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&meta.permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[tokio::test]
async fn a_store_in_memory_can_be_kept_as_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = memory().await;
    small_campaign(&store).await;
    let target = dir.path().join("kept.db");
    store.backup(&target).await.unwrap();
    let kept = open(&target).await;
    assert_eq!(kept.outbox().await.unwrap(), store.outbox().await.unwrap());
}

/// Names beside the database that tell of a copy under way.
fn parts(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap();
    names
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| n.contains(".part"))
        .collect()
}

#[tokio::test]
async fn a_backup_keeps_off_files_of_others_beside_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("m.db")).await;
    let target = dir.path().join("copy.db");
    let other = dir.path().join("copy.db.part");
    std::fs::write(&other, "a letter").unwrap();
    store.backup(&target).await.unwrap();
    assert_eq!(std::fs::read(&other).unwrap(), b"a letter");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&target).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_that_leads_nowhere_takes_the_place_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("m.db")).await;
    let target = dir.path().join("copy.db");
    std::os::unix::fs::symlink("/nowhere/at/all", &target).unwrap();
    assert_eq!(code(store.backup(&target).await), "cannot_open");
    assert!(target.is_symlink());
}

#[tokio::test]
async fn of_backups_to_one_place_the_first_takes_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("m.db")).await;
    small_campaign(&store).await;
    let target = dir.path().join("copy.db");
    let all = (0..5).map(|_| store.backup(&target));
    let done = futures_util::future::join_all(all).await;
    let (made, refused): (Vec<_>, Vec<_>) = done.into_iter().partition(Result::is_ok);
    assert_eq!((made.len(), refused.len()), (1, 4), "{refused:?}");
    assert!(refused.into_iter().all(|r| code(r) == "cannot_open"));
    assert_eq!(parts(dir.path()), [""; 0]);
    let copy = open(&target).await;
    assert_eq!(copy.doctor().await.unwrap(), []);
    assert_eq!(copy.outbox().await.unwrap(), store.outbox().await.unwrap());
}

#[tokio::test]
async fn a_log_left_of_another_database_is_in_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("m.db")).await;
    for left in ["-wal", "-shm", "-journal"] {
        let target = dir.path().join("copy.db");
        let left = dir.path().join(format!("copy.db{left}"));
        std::fs::write(&left, "of another").unwrap();
        let refused = store.backup(&target).await.unwrap_err();
        assert_eq!(refused.code(), "cannot_open");
        let name = left.file_name().unwrap().to_str().unwrap();
        assert!(refused.to_string().contains(name), "{refused}");
        assert!(!target.exists());
        std::fs::remove_file(left).unwrap();
    }
}

#[tokio::test]
async fn a_backup_that_nobody_waits_for_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("m.db")).await;
    small_campaign(&store).await;
    let target = dir.path().join("copy.db");
    {
        let mut copying = std::pin::pin!(store.backup(&target));
        while parts(dir.path()).is_empty() {
            assert!(futures_util::poll!(&mut copying).is_pending());
            tokio::task::spawn_blocking(|| ()).await.unwrap();
        }
    }
    // In this time the copy would have been made.
    store.backup(&dir.path().join("second.db")).await.unwrap();
    for _ in 0..1000 {
        store.doctor().await.unwrap();
        if parts(dir.path()).is_empty() {
            break;
        }
    }
    assert_eq!(parts(dir.path()), [""; 0]);
    assert!(!target.exists());
}
