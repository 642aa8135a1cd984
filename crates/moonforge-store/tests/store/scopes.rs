//! Scopes: what a device holds, what it lets go, and what it still claims to have read.

use moonforge_model::{CollectionConfig, DocRef, Field, FieldKind, Registry, SyncScope};
use moonforge_store::{Checkpoint, Cursor, QuerySpec, ScopeChange, Store, SyncedScopes, claim};
use serde_json::json;

use crate::support::*;

fn scope(text: &str) -> SyncScope {
    text.parse().unwrap()
}

async fn join(store: &Store, text: &str) -> ScopeChange {
    store.join_scope(scope(text), second(50)).await.unwrap()
}

async fn leave(store: &Store, text: &str) -> ScopeChange {
    store.leave_scope(scope(text)).await.unwrap()
}

async fn is_here(store: &Store, doc: &DocRef) -> bool {
    store.get(doc).await.unwrap().is_some()
}

async fn here(store: &Store) -> Vec<String> {
    let mut found = Vec::new();
    for config in store.registry().iter() {
        let all = QuerySpec {
            deleted: true,
            ..QuerySpec::all(config.name.clone())
        };
        let page = store.list(&all).await.unwrap();
        found.extend(page.items.iter().map(|d| d.doc.to_string()));
    }
    found
}

/// Two campaigns with a scene each, as the remote has them.
async fn two_campaigns(store: &Store) {
    for (c, owner) in [("a", "ann"), ("b", "ben")] {
        let campaign = json!({"name": c, "ownerUid": owner, "memberUids": [owner, "eve"]});
        synced(store, &doc("campaigns", c), campaign, 0, 1).await;
        let scene = json!({"title": "t", "campaignId": c});
        synced(store, &doc("scenes", &format!("s{c}")), scene, 0, 2).await;
    }
}

fn read_to(n: i64, generation: i64) -> Checkpoint {
    Checkpoint {
        fast: Some(Cursor {
            at: second(n),
            id: "x".into(),
        }),
        settled: Some(second(n)),
        generation,
        ..Checkpoint::default()
    }
}

async fn checkpoint(store: &Store, of: &str) {
    let generation = store.scope_generation().await.unwrap();
    keep(store, of, read_to(9, generation)).await;
}

async fn keep(store: &Store, of: &str, checkpoint: Checkpoint) {
    let of = of.to_owned();
    let keep = store.write(move |tx| {
        Box::pin(async move { tx.save_checkpoint(&named("scenes"), &of, &checkpoint).await })
    });
    keep.await.unwrap();
}

async fn is_read(store: &Store, of: &str) -> bool {
    let found = store.checkpoint(&named("scenes"), of).await.unwrap();
    found.fast.is_some()
}

#[tokio::test]
async fn the_first_scope_limits_the_device_and_another_one_adds_to_it() {
    let store = memory().await;
    two_campaigns(&store).await;
    let change = join(&store, "mine:campaignId=a").await;
    assert_eq!((change.changed, change.removed), (true, 2));
    assert_eq!(here(&store).await, ["campaigns/a", "scenes/sa"]);
    let again = join(&store, "mine:campaignId=a").await;
    assert_eq!(again, ScopeChange::default());
    assert_eq!(join(&store, "other:campaignId=b").await.removed, 0);
    // What comes is kept now.
    two_campaigns(&store).await;
    assert_eq!(here(&store).await.len(), 4);
    let joined = store.scopes().await.unwrap();
    let shown: Vec<_> = joined
        .iter()
        .map(|j| (j.scope.to_string(), j.documents, j.dirty))
        .collect();
    let expected = [("mine:campaignId=a", 2, 0), ("other:campaignId=b", 2, 0)];
    assert_eq!(shown, expected.map(|(s, n, d)| (s.to_owned(), n, d)));
}

#[tokio::test]
async fn what_no_scope_holds_is_not_kept_when_it_comes() {
    let store = memory().await;
    join(&store, "mine:campaignId=a").await;
    two_campaigns(&store).await;
    assert_eq!(here(&store).await, ["campaigns/a", "scenes/sa"]);
}

#[tokio::test]
async fn leaving_takes_what_no_other_scope_holds() {
    let store = memory().await;
    join(&store, "mine:campaignId=a").await;
    join(&store, "everyones:memberUids=eve").await;
    two_campaigns(&store).await;
    assert_eq!(here(&store).await.len(), 4);
    assert_eq!(leave(&store, "mine:campaignId=a").await.removed, 0);
    join(&store, "mine:campaignId=a").await;
    let change = leave(&store, "everyones:memberUids=eve").await;
    assert_eq!(change.removed, 2);
    assert_eq!(here(&store).await, ["campaigns/a", "scenes/sa"]);
    assert_eq!(leave(&store, "mine:campaignId=a").await.removed, 2);
    assert_eq!(
        leave(&store, "mine:campaignId=a").await,
        ScopeChange::default()
    );
    assert_eq!(here(&store).await, [""; 0]);
    // From now on everything is kept again.
    two_campaigns(&store).await;
    assert_eq!(here(&store).await.len(), 4);
}

#[tokio::test]
async fn what_has_edits_stays_until_they_are_sent() {
    let store = memory().await;
    two_campaigns(&store).await;
    let scene = doc("scenes", "sb");
    put(&store, &scene, json!({"title": "mine"}), 5).await;
    let change = join(&store, "mine:campaignId=a").await;
    assert_eq!((change.removed, change.waiting), (1, 1));
    assert_eq!(content(&store, &scene).await["title"], "mine");
    let sent = json!({"title": "mine", "campaignId": "b"});
    synced(&store, &scene, sent, 1, 6).await;
    assert!(!is_here(&store, &scene).await);
    // One that was made here and is in no scope goes the same way; nothing of it is left.
    let new = doc("scenes", "new");
    put(&store, &new, json!({"title": "n", "campaignId": "b"}), 7).await;
    assert!(is_here(&store, &new).await);
    synced(&store, &new, json!({"title": "n", "campaignId": "b"}), 0, 8).await;
    assert!(!is_here(&store, &new).await);
    assert_eq!(store.doctor().await.unwrap(), []);
}

#[tokio::test]
async fn what_is_nowhere_else_is_never_let_go() {
    let store = memory().await;
    two_campaigns(&store).await;
    // Removed at the remote while edited here: what is left is a tombstone that only this device has.
    let scene = doc("scenes", "sb");
    let remains = scene.clone();
    let work = store.write(move |tx| {
        Box::pin(async move {
            let mut state = tx.load(&remains).await?;
            let fields = state.view().unwrap().fields;
            let deletion = moonforge_model::Deletion {
                at: second(4),
                delete_id: Some("d".into()),
                purge_at: None,
            };
            state.base = moonforge_store::Base::Absent {
                as_of: Some(second(4)),
                remains: Some((fields, deletion)),
            };
            tx.save(&mut state).await
        })
    });
    work.await.unwrap();
    join(&store, "mine:campaignId=a").await;
    assert!(is_here(&store, &scene).await);
    leave(&store, "mine:campaignId=a").await;
    assert!(is_here(&store, &scene).await);
}

#[tokio::test]
async fn a_checkpoint_never_claims_what_was_let_go() {
    let store = memory().await;
    two_campaigns(&store).await;
    for of in ["a", "b", "*"] {
        checkpoint(&store, of).await;
    }
    let before = store.scope_generation().await.unwrap();
    join(&store, "mine:campaignId=a").await;
    assert!(is_read(&store, "a").await);
    assert!(!is_read(&store, "b").await && !is_read(&store, "*").await);
    // A run that began before doesn't claim it either.
    keep(&store, "b", read_to(9, before)).await;
    assert!(!is_read(&store, "b").await);
    checkpoint(&store, "b").await;
    assert!(is_read(&store, "b").await);
}

fn with_clues() -> Registry {
    let mut registry = Registry::builtin();
    let guild = Field::new("guildId", FieldKind::String);
    let tags = Field::new("tags", FieldKind::StringList);
    let clues = CollectionConfig::new(named("clues"), [guild, tags]);
    registry
        .register(clues.with_scope_keys(["guildId", "tags"]))
        .unwrap();
    registry
}

#[tokio::test]
async fn an_apps_own_key_narrows_its_collection_down() {
    let store = Store::in_memory(options_with(with_clues())).await.unwrap();
    join(&store, "g:guildId=red").await;
    join(&store, "t:tags=odd,campaignId=c").await;
    let clue = |id: &str| doc("clues", id);
    let clues = [
        ("c1", json!({"campaignId": "c", "guildId": "red"})),
        ("c2", json!({"campaignId": "c", "guildId": "blue"})),
        ("c3", json!({"campaignId": "c", "tags": ["x", "odd"]})),
        ("c4", json!({"campaignId": "d", "tags": ["odd"]})),
        (
            "c5",
            json!({"campaignId": "c", "guildId": ["red"], "tags": "odd"}),
        ),
    ];
    for (id, value) in clues {
        synced(&store, &clue(id), value, 0, 1).await;
    }
    assert_eq!(here(&store).await, ["clues/c1", "clues/c3"]);
    let red = QuerySpec::all(named("clues")).within(scope("any:guildId=red"));
    assert_eq!(ids(&store, &red).await, ["c1"]);
    let none = QuerySpec::all(named("scenes")).within(scope("any:guildId=red"));
    assert_eq!(ids(&store, &none).await, [""; 0]);
    // One that stops matching goes when that comes from the remote, not before.
    put(&store, &clue("c1"), json!({"guildId": "blue"}), 5).await;
    assert!(is_here(&store, &clue("c1")).await);
    let blue = json!({"campaignId": "c", "guildId": "blue"});
    synced(&store, &clue("c1"), blue, 1, 6).await;
    assert_eq!(here(&store).await, ["clues/c3"]);
}

#[tokio::test]
async fn only_claims_of_what_went_are_given_up() {
    let store = Store::in_memory(options_with(with_clues())).await.unwrap();
    let reach = |text: &str| {
        let config = store.registry().get("clues").unwrap().clone();
        scope(text).reach(store.registry(), &config).unwrap()
    };
    join(&store, "g:guildId=red").await;
    join(&store, "c:campaignId=c,guildId=blue").await;
    let red = json!({"campaignId": "c", "guildId": "red"});
    synced(&store, &doc("clues", "c1"), red, 0, 1).await;
    let (red, blue) = (
        claim("c", &reach("g:guildId=red").of_document),
        claim("c", &reach("g:guildId=blue").of_document),
    );
    let generation = store.scope_generation().await.unwrap();
    for of in [
        red.clone(),
        blue.clone(),
        claim("d", &reach("g:guildId=red").of_document),
    ] {
        let keep = store.write(move |tx| {
            Box::pin(async move {
                let read = read_to(9, generation);
                tx.save_checkpoint(&named("clues"), &of, &read).await
            })
        });
        keep.await.unwrap();
    }
    assert_eq!(leave(&store, "g:guildId=red").await.removed, 1);
    let read = async |of: &str| {
        let found = store.checkpoint(&named("clues"), of).await.unwrap();
        found.fast.is_some()
    };
    assert!(!read(&red).await && read(&blue).await);
}

#[tokio::test]
async fn a_campaign_that_changes_hands_takes_what_is_in_it_along() {
    let store = memory().await;
    join(&store, "anns:ownerUid=ann").await;
    two_campaigns(&store).await;
    assert_eq!(here(&store).await, ["campaigns/a", "scenes/sa"]);
    let before = store.scope_generation().await.unwrap();
    let sold = json!({"name": "a", "ownerUid": "ben", "memberUids": ["ben"]});
    synced(&store, &doc("campaigns", "a"), sold, 1, 5).await;
    assert_eq!(here(&store).await, [""; 0]);
    assert!(store.scope_generation().await.unwrap() > before);
}

#[tokio::test]
async fn what_is_opened_is_held_with_what_it_links_to() {
    let store = memory().await;
    two_campaigns(&store).await;
    let scene = |entities| json!({"title": "t", "campaignId": "a", "entityIds": entities});
    let entity = json!({"name": "e", "kind": "npc", "campaignId": "a"});
    for id in ["e1", "e2"] {
        synced(&store, &doc("entities", id), entity.clone(), 0, 1).await;
    }
    synced(&store, &doc("scenes", "sa"), scene(["e1"]), 1, 3).await;
    assert_eq!(join(&store, "accessed").await.removed, 6);
    let now = second(60);
    // Opened before it is here: to be fetched, then what it links to.
    store.mark_opened(&doc("scenes", "sa"), now).await.unwrap();
    let wanted = async || {
        let docs = store.accessed_documents(None, now).await.unwrap();
        docs.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(wanted().await, ["scenes/sa"]);
    synced(&store, &doc("scenes", "sa"), scene(["e1"]), 1, 3).await;
    store.relink_accessed().await.unwrap();
    let all = ["campaigns/a", "entities/e1", "scenes/sa"];
    assert_eq!(wanted().await, all);
    for id in ["e1", "e2"] {
        synced(&store, &doc("entities", id), entity.clone(), 0, 1).await;
    }
    two_campaigns(&store).await;
    synced(&store, &doc("scenes", "sa"), scene(["e2"]), 2, 4).await;
    let mut held = here(&store).await;
    held.sort();
    assert_eq!(held, all);
    // What nothing opened links to any more goes.
    store.relink_accessed().await.unwrap();
    assert_eq!(here(&store).await, ["campaigns/a", "scenes/sa"]);
    let opened = QuerySpec::all(named("scenes")).within(SyncScope::accessed());
    assert_eq!(ids(&store, &opened).await, ["sa"]);
}

#[tokio::test]
async fn what_was_not_there_is_asked_for_again_a_day_later() {
    let store = memory().await;
    join(&store, "accessed").await;
    let scene = doc("scenes", "s");
    store.mark_opened(&scene, second(0)).await.unwrap();
    store.note_missing(scene.clone(), second(0)).await.unwrap();
    let day = 24 * 3600;
    for (at, asked) in [(0, 0), (day - 1, 0), (day, 1), (-1, 1)] {
        let found = store.accessed_documents(None, second(at)).await.unwrap();
        assert_eq!(found.len(), asked, "{at}");
    }
}

#[tokio::test]
async fn what_was_opened_within_a_campaign_is_nothing_of_another() {
    let store = memory().await;
    two_campaigns(&store).await;
    join(&store, "all:memberUids=eve").await;
    join(&store, "accessed:campaignId=a").await;
    for id in ["sa", "sb"] {
        store
            .mark_opened(&doc("scenes", id), second(60))
            .await
            .unwrap();
    }
    leave(&store, "all:memberUids=eve").await;
    assert_eq!(here(&store).await, ["campaigns/a", "scenes/sa"]);
}

#[tokio::test]
async fn what_lacks_the_key_is_not_opened_within_it() {
    let store = Store::in_memory(options_with(with_clues())).await.unwrap();
    join(&store, "c:campaignId=c").await;
    join(&store, "accessed:guildId=red").await;
    for (id, value) in [
        ("red", json!({"campaignId": "c", "guildId": "red"})),
        ("none", json!({"campaignId": "c"})),
    ] {
        synced(&store, &doc("clues", id), value, 0, 1).await;
        let opened = doc("clues", id);
        store.mark_opened(&opened, second(60)).await.unwrap();
    }
    leave(&store, "c:campaignId=c").await;
    assert_eq!(here(&store).await, ["clues/red"]);
    let wanted = store.accessed_documents(None, second(60)).await.unwrap();
    assert_eq!(wanted, [doc("campaigns", "c"), doc("clues", "red")]);
}

#[tokio::test]
async fn what_cannot_be_read_goes_with_its_scope_and_is_read_again_with_it() {
    let store = memory().await;
    let homeless = moonforge_store::Quarantined {
        doc: doc("scenes", "homeless"),
        update_time: second(1),
        raw: fields(json!({"title": "t", "campaignId": 7})),
        error: "campaignId is no text".into(),
    };
    let aside =
        store.write(move |tx| Box::pin(async move { tx.quarantine(&homeless, second(1)).await }));
    aside.await.unwrap();
    for of in ["a", "b"] {
        checkpoint(&store, of).await;
        let odd = moonforge_store::Quarantined {
            doc: doc("scenes", &format!("odd-{of}")),
            update_time: second(1),
            raw: fields(json!({"title": 7, "campaignId": of})),
            error: "title is no text".into(),
        };
        let aside =
            store.write(move |tx| Box::pin(async move { tx.quarantine(&odd, second(1)).await }));
        aside.await.unwrap();
    }
    join(&store, "mine:campaignId=a").await;
    assert_eq!(store.status().await.unwrap().quarantined, 2);
    assert!(is_read(&store, "a").await && !is_read(&store, "b").await);
}

#[tokio::test]
async fn how_fresh_a_scope_is_is_forgotten_with_what_it_was_of() {
    let store = memory().await;
    let (a, b) = (scope("a:campaignId=a"), scope("b:campaignId=b"));
    let at = async |scope: Option<&SyncScope>| store.synced_at(scope).await.unwrap();
    let set = async |what, generation| {
        let set = store.set_synced(what, generation, second(60));
        set.await.unwrap();
    };
    set(SyncedScopes::One(a.clone()), 0).await;
    assert_eq!(
        (at(Some(&a)).await, at(Some(&b)).await),
        (Some(second(60)), None)
    );
    set(SyncedScopes::All, 0).await;
    assert_eq!(at(Some(&b)).await, Some(second(60)));
    join(&store, "a:campaignId=a").await;
    assert_eq!(
        (at(Some(&a)).await, at(Some(&b)).await),
        (Some(second(60)), None)
    );
    leave(&store, "a:campaignId=a").await;
    assert_eq!((at(Some(&a)).await, at(None).await), (None, None));
    // A run that began before doesn't say that all is here.
    set(SyncedScopes::All, 0).await;
    assert_eq!(at(None).await, None);
}

#[tokio::test]
async fn a_scope_that_nothing_answers_is_refused() {
    let store = memory().await;
    let join = store.join_scope(scope("x:colour=red"), second(1)).await;
    assert_eq!(code(join), "invalid_scope");
}
