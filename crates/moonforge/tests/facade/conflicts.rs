//! An app's policies and resolver, and the journal as a UI uses it.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use moonforge::{
    Builder, Contested, Embedded, Entity, EntityKind, FieldPolicy, JournalEntry, Moonforge,
    Resolution, ResolvedBy, Verdict, Watch, set,
};
use serde_json::json;

/// Nothing here takes longer; a stream that stays silent must fail its test, not hang it.
const SOON: Duration = Duration::from_secs(20);

async fn next(stream: &mut Watch<Vec<JournalEntry>>) -> Vec<JournalEntry> {
    let item = tokio::time::timeout(SOON, stream.next()).await;
    let item = item
        .expect("the stream says something")
        .expect("and goes on");
    item.expect("the store can be read")
}

/// Two devices of one app; the second's name of the entity met the first's.
async fn met(app: impl Fn(Builder) -> Builder) -> (Moonforge, Moonforge, moonforge::EntityId) {
    let cloud = Embedded::in_memory();
    let open = || app(Moonforge::memory_builder().cloud(cloud.clone())).open();
    let (one, other) = (open().await.unwrap(), open().await.unwrap());
    let entity = Entity::new(one.new_id(), one.new_id(), EntityKind::Npc, "Mira");
    let id = entity.id.clone();
    one.entities().upsert(entity).await.unwrap();
    one.sync_now().await.unwrap();
    other.sync_now().await.unwrap();
    let rename = |name: &'static str| [set("name", name)];
    one.entities()
        .patch(&id, None, rename("Anna"))
        .await
        .unwrap();
    other
        .entities()
        .patch(&id, None, rename("Ben"))
        .await
        .unwrap();
    one.sync_now().await.unwrap();
    other.sync_now().await.unwrap();
    (one, other, id)
}

async fn name(forge: &Moonforge, id: &moonforge::EntityId) -> String {
    forge
        .entities()
        .get(id)
        .await
        .unwrap()
        .unwrap()
        .name
        .clone()
}

#[tokio::test]
async fn a_conflict_is_shown_settled_taken_back_and_watched() {
    let (one, other, id) = met(|b| b.policy("entities", "name", FieldPolicy::Manual)).await;
    assert_eq!(
        (name(&one, &id).await, name(&other, &id).await),
        ("Anna".into(), "Anna".into())
    );
    let conflicts = other.conflicts();
    let mut live = conflicts.watch();
    let entry = next(&mut live).await.remove(0);
    assert_eq!(
        (&entry.conflict.kept, &entry.conflict.lost),
        (&json!("Anna"), &json!("Ben"))
    );
    assert_eq!(
        conflicts.of("entities", &id).await.unwrap(),
        std::slice::from_ref(&entry)
    );
    assert_eq!(conflicts.of("entities", "else").await.unwrap(), []);
    assert_eq!(
        conflicts.of("guilds", "x").await.unwrap_err().code(),
        "unknown_collection"
    );
    let mut statuses = other.watch_status();
    let mut open = async || {
        let status = tokio::time::timeout(SOON, statuses.next()).await.unwrap();
        status.unwrap().unwrap().conflicts.open
    };
    assert_eq!(open().await, 1);
    conflicts
        .resolve(entry.conflict_id, Resolution::Keep)
        .await
        .unwrap();
    assert_eq!(
        open().await,
        0,
        "a status bar hears of it, though no document changed"
    );
    conflicts.undo(entry.conflict_id).await.unwrap();
    assert_eq!(open().await, 1);
    let sentence = other.status().await.unwrap().sentence();
    assert!(
        sentence.ends_with("1 conflict can be looked at."),
        "{sentence}"
    );
    let counts = conflicts.counts().await.unwrap();
    assert_eq!((counts.open, counts.undecided, counts.settled), (1, 1, 0));

    conflicts
        .resolve(entry.conflict_id, Resolution::Value(json!("Anna Ben")))
        .await
        .unwrap();
    assert_eq!(next(&mut live).await, []);
    other.sync_now().await.unwrap();
    one.sync_now().await.unwrap();
    assert_eq!(name(&one, &id).await, "Anna Ben");
    assert!(live.next().now_or_never().is_none());

    let undone = conflicts.undo(entry.conflict_id).await.unwrap();
    assert_eq!(
        (undone.restored, undone.left),
        (vec!["name".to_owned()], vec![])
    );
    assert_eq!(next(&mut live).await, std::slice::from_ref(&entry));
    assert_eq!(name(&other, &id).await, "Anna");
    let again = conflicts.undo(entry.conflict_id).await.unwrap_err();
    assert_eq!(again.code(), "not_settled");
}

#[tokio::test]
async fn an_apps_resolver_decides_for_both() {
    let longest = |asked: &Contested<'_>| {
        let both =
            [asked.ours, asked.theirs].map(|v| v.and_then(|v| v.as_str()).unwrap_or_default());
        Verdict::Custom(json!(format!(
            "{} or {}",
            both[0].min(both[1]),
            both[0].max(both[1])
        )))
    };
    let (one, other, id) = met(|b| b.resolver(longest)).await;
    one.sync_now().await.unwrap();
    for forge in [&one, &other] {
        assert_eq!(name(forge, &id).await, "Anna or Ben");
        assert_eq!(forge.conflicts().list().await.unwrap(), []);
        assert_eq!(forge.status().await.unwrap().pending, 0);
    }
    let told = other.conflicts().list_all().await.unwrap();
    assert_eq!(told.len(), 2, "both sides can be looked up");
    assert!(
        told.iter()
            .all(|e| e.resolved_by == Some(ResolvedBy::Resolver))
    );
}

#[tokio::test]
async fn what_another_process_settles_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let open = || Moonforge::builder(path.clone()).open();
    // Two openings of one file are to each other as two processes are.
    let (one, other) = (open().await.unwrap(), open().await.unwrap());
    let entity = Entity::new(one.new_id(), one.new_id(), EntityKind::Npc, "Mira");
    one.entities().upsert(entity).await.unwrap();
    let mut live = one.conflicts().watch();
    assert_eq!(next(&mut live).await, []);
    let seq = one.outbox().list().await.unwrap()[0].row.row.n;
    other.outbox().discard(seq).await.unwrap();
    let entry = next(&mut live).await.remove(0);
    other
        .conflicts()
        .resolve(entry.conflict_id, Resolution::Take)
        .await
        .unwrap();
    assert_eq!(next(&mut live).await, []);
}

#[tokio::test]
async fn a_policy_that_makes_no_sense_is_refused_at_opening() {
    for (collection, path, policy, code) in [
        ("entities", "name", FieldPolicy::Counter, "invalid_policy"),
        (
            "entities",
            "campaignId",
            FieldPolicy::LocalWins,
            "invalid_policy",
        ),
        ("entities", "..", FieldPolicy::LocalWins, "invalid_policy"),
        (
            "guilds",
            "name",
            FieldPolicy::LocalWins,
            "unknown_collection",
        ),
    ] {
        let opened = Moonforge::memory_builder()
            .policy(collection, path, policy)
            .open()
            .await;
        assert_eq!(opened.unwrap_err().code(), code, "{path}");
    }
    let all = Moonforge::memory_builder().policy_for_all("scenes", FieldPolicy::Set);
    assert_eq!(all.open().await.unwrap_err().code(), "invalid_policy");
    let sound = Moonforge::memory_builder()
        .policy_for_all("scenes", FieldPolicy::RemoteWins)
        .policy(
            "encounters",
            "combatants.`*`.currentHp",
            FieldPolicy::Counter,
        );
    assert!(sound.open().await.is_ok());
}
