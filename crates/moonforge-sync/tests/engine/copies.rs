//! Files that were copied.

use moonforge_model::ConflictReason;
use serde_json::json;

use crate::support::{Cloud, doc, set};

/// An older copy of a file is put back in place, so that nothing tells it from the one that wrote on.
#[tokio::test]
async fn an_edit_made_on_a_file_that_was_put_back_is_not_taken_for_one_of_its_past() {
    let cloud = Cloud::new();
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("a.db"), folder.path().join("copy.db"));
    let (one, two) = (doc("scenes", "one"), doc("scenes", "two"));
    let a = cloud.device_at(None, "a", &path).await;
    for scene in [&one, &two] {
        a.put(scene, json!({"title": "t", "campaignId": "c"})).await;
    }
    a.sync().await;
    a.store.close().await;
    std::fs::copy(&path, &copy).unwrap();
    let a = cloud.device_at(None, "a2", &path).await;
    for n in 0..3 {
        a.patch(&one, vec![set("summary", n.to_string())]).await;
    }
    a.sync().await;
    for n in 0..6 {
        a.patch(&two, vec![set("status", n.to_string())]).await;
    }
    a.sync().await;
    a.store.close().await;
    std::fs::copy(&copy, &path).unwrap();
    let a = cloud.device_at(None, "a3", &path).await;
    a.patch(&one, vec![set("title", "kept")]).await;
    a.patch(&two, vec![set("title", "kept")]).await;
    a.patch(
        &two,
        vec![moonforge_model::PatchOp::increment(
            "gold".parse().unwrap(),
            5,
        )],
    )
    .await;
    // The first document tells that this is a copy, the second that the file went on beyond it.
    a.sync().await;
    a.sync().await;
    assert_eq!(cloud.there(&two, "title"), Some(json!("kept")));
    let doubtful = a.store.conflicts(true).await.unwrap();
    assert!(
        cloud.there(&two, "gold") == Some(json!(5))
            || doubtful
                .iter()
                .any(|e| e.conflict.reason == ConflictReason::MayHaveBeenApplied),
        "the increment is neither there nor in the journal"
    );
}
