//! Typed and untyped repositories.

use futures_util::StreamExt;
use moonforge::{
    Campaign, Collection, CollectionConfig, Comparison, DocId, Document, Embedded, Encounter,
    Error, Field, FieldKind, FieldPath, Fields, Health, Moonforge, Scene, Where, array_remove,
    array_union, increment, set, unset,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

async fn with_a_scene() -> (Moonforge, Scene) {
    let forge = Moonforge::in_memory().await.unwrap();
    let campaign = Campaign::new(forge.new_id(), "The Ember Keep");
    let mut scene = Scene::new(
        forge.new_id(),
        campaign.id.clone(),
        forge.new_id(),
        "The gate",
    );
    scene.summary = Some("Two guards.".to_owned());
    forge.campaigns().upsert(campaign).await.unwrap();
    forge.scenes().upsert(scene.clone()).await.unwrap();
    (forge, scene)
}

#[tokio::test]
async fn an_edited_document_writes_what_its_author_changed_and_nothing_else() {
    let (forge, scene) = with_a_scene().await;
    let mut mine = forge.scenes().get(&scene.id).await.unwrap().unwrap();
    let mut theirs = forge.scenes().get(&scene.id).await.unwrap().unwrap();
    theirs.status = Some("played".to_owned());
    theirs.summary = None;
    forge.scenes().upsert(theirs).await.unwrap();
    mine.title = "Ash".to_owned();
    assert!(forge.scenes().upsert(mine).await.unwrap().changed);
    let now = forge.scenes().get(&scene.id).await.unwrap().unwrap();
    assert_eq!(
        (now.title.as_str(), now.status.as_deref()),
        ("Ash", Some("played"))
    );
    assert_eq!(now.summary, None);
}

#[tokio::test]
async fn a_document_that_was_not_edited_writes_nothing() {
    let (forge, scene) = with_a_scene().await;
    // In a form that reading normalises.
    let fields =
        json!({"createdAt": "2026-11-21T19:30:00.000+01:00", "entityIds": [], "status": null});
    forge
        .documents("scenes")
        .unwrap()
        .put(&scene.id, fields)
        .await
        .unwrap();
    let rows = forge.outbox().list().await.unwrap().len();
    let read = forge.scenes().get(&scene.id).await.unwrap().unwrap();
    assert!(!forge.scenes().upsert(read).await.unwrap().changed);
    assert_eq!(forge.outbox().list().await.unwrap().len(), rows);
}

#[tokio::test]
async fn a_plain_value_unsets_nothing() {
    let (forge, scene) = with_a_scene().await;
    let mut plain = scene.clone();
    plain.summary = None;
    plain.title = "Ash".to_owned();
    forge.scenes().upsert(plain).await.unwrap();
    let now = forge.scenes().get(&scene.id).await.unwrap().unwrap();
    assert_eq!(
        (now.title.as_str(), now.summary.as_deref()),
        ("Ash", Some("Two guards."))
    );
}

#[tokio::test]
async fn fields_that_this_version_does_not_know_survive_a_typed_edit() {
    let (forge, scene) = with_a_scene().await;
    let newer = json!({"weather": {"rain": [1, 2.5]}, "mood": "grim"});
    forge
        .documents("scenes")
        .unwrap()
        .put(&scene.id, newer.clone())
        .await
        .unwrap();
    let mut read = forge.scenes().get(&scene.id).await.unwrap().unwrap();
    read.title = "Ash".to_owned();
    read.extra.insert("mood".to_owned(), "calm".into());
    forge.scenes().upsert(read).await.unwrap();
    let now = forge.scenes().get(&scene.id).await.unwrap().unwrap();
    assert_eq!(
        (&now.extra["weather"], &now.extra["mood"]),
        (&newer["weather"], &json!("calm"))
    );
}

#[tokio::test]
async fn edits_of_single_fields_do_what_their_names_say() {
    let (forge, scene) = with_a_scene().await;
    let encounter = Encounter::new(forge.new_id(), scene.campaign_id.unwrap(), "Ambush");
    let id = encounter.id.clone();
    forge.encounters().upsert(encounter).await.unwrap();
    let edits = [
        set("combatants.k1.currentHp", 7),
        set("round", 1),
        increment("props.torches", -1),
        array_union("tags", ["a", "b"]),
    ];
    forge.encounters().patch(&id, None, edits).await.unwrap();
    let edits = [
        increment("combatants.k1.currentHp", -3),
        increment("props.torches", 0.5),
        unset("round"),
        array_remove("tags", ["a"]),
    ];
    forge.encounters().patch(&id, 0, edits).await.unwrap();
    let now = forge.encounters().get(&id).await.unwrap().unwrap();
    assert_eq!(now.combatants["k1"].current_hp, Some(4));
    assert_eq!(now.round, None);
    assert_eq!(
        (&now.extra["props"], &now.extra["tags"]),
        (&json!({"torches": -0.5}), &json!(["b"]))
    );
}

#[tokio::test]
async fn edits_that_make_no_sense_are_errors_and_no_panic() {
    let (forge, scene) = with_a_scene().await;
    let scenes = forge.documents("scenes").unwrap();
    for (edit, code) in [
        (set("a..b", 1), "invalid_path"),
        (increment("title", 1), "not_a_number"),
        (increment("n", "1"), "not_a_number"),
        (increment("n", f64::NAN), "not_a_number"),
        (array_union("title", [1]), "not_a_list"),
        (set("rev", 1), "reserved_field"),
        (set("title", 7), "wrong_type"),
    ] {
        let error = scenes.patch(&scene.id, None, [edit]).await.unwrap_err();
        assert_eq!(error.code(), code);
        assert!(error.is_invalid(), "{error:?}");
    }
    assert_eq!(
        scenes.put("x", json!([])).await.unwrap_err().code(),
        "not_a_document"
    );
    assert_eq!(scenes.get("a/b").await.unwrap_err().code(), "invalid_id");
    assert_eq!(
        forge.documents("dragons").unwrap_err().code(),
        "unknown_collection"
    );
}

#[tokio::test]
async fn a_deleted_document_is_gone_until_it_is_restored() {
    let (forge, scene) = with_a_scene().await;
    let mut read = forge.scenes().get(&scene.id).await.unwrap().unwrap();
    assert_eq!(forge.scenes().delete(&scene.id).await.unwrap(), 1);
    assert!(forge.scenes().get(&scene.id).await.unwrap().is_none());
    let tombstone = forge.scenes().get_any(&scene.id).await.unwrap().unwrap();
    assert!(tombstone.stored().deleted.is_some());
    assert!(
        forge
            .scenes()
            .upsert(scene.clone())
            .await
            .unwrap_err()
            .is_deleted()
    );
    read.title = "Ash".to_owned();
    assert!(forge.scenes().upsert(read).await.unwrap_err().is_deleted());
    assert_eq!(forge.scenes().restore(&scene.id).await.unwrap(), 1);
    assert!(forge.scenes().get(&scene.id).await.unwrap().is_some());
    assert!(
        forge
            .scenes()
            .delete("nowhere")
            .await
            .unwrap_err()
            .is_not_found()
    );
}

#[tokio::test]
async fn a_list_is_narrowed_ordered_and_paged() {
    let forge = Moonforge::in_memory().await.unwrap();
    let campaign = Campaign::new(forge.new_id(), "x");
    for title in ["c", "a", "b", "d"] {
        let scene = Scene::new(forge.new_id(), campaign.id.clone(), forge.new_id(), title);
        forge.scenes().upsert(scene).await.unwrap();
    }
    let mut query = forge.scenes().query();
    query.filters.push(Where {
        path: FieldPath::field("title"),
        op: Comparison::Lt,
        value: "d".into(),
    });
    query
        .order
        .push((FieldPath::field("title"), moonforge::Direction::Desc));
    query.limit = Some(2);
    let titles = |page: &moonforge::DocPage<Scene>| -> Vec<String> {
        page.items.iter().map(|scene| scene.title.clone()).collect()
    };
    let first = forge.scenes().list(&query).await.unwrap();
    assert_eq!(titles(&first), ["c", "b"]);
    query.after = first.next;
    let second = forge.scenes().list(&query).await.unwrap();
    assert_eq!((titles(&second), second.next), (vec!["a".to_owned()], None));
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Faction {
    id: DocId,
    campaign_id: String,
    #[serde(default)]
    name: String,
    #[serde(flatten)]
    extra: Fields,
}

impl Document for Faction {
    const COLLECTION: &'static str = "factions";

    fn id(&self) -> &DocId {
        &self.id
    }
}

fn factions() -> CollectionConfig {
    let name = Collection::new("factions").unwrap();
    CollectionConfig::new(name, [Field::required("name", FieldKind::String)])
}

#[tokio::test]
async fn a_collection_of_an_app_has_a_repository_and_syncs() {
    let cloud = Embedded::in_memory();
    let open = || {
        Moonforge::memory_builder()
            .cloud(cloud.clone())
            .register(factions())
            .open()
    };
    let (one, other) = (open().await.unwrap(), open().await.unwrap());
    let campaign = Campaign::new(one.new_id(), "x");
    let faction = Faction {
        id: one.new_id(),
        campaign_id: campaign.id.to_string(),
        name: "Ashen Hand".to_owned(),
        extra: Fields::new(),
    };
    let id = faction.id.clone();
    one.campaigns().upsert(campaign).await.unwrap();
    one.repository::<Faction>()
        .unwrap()
        .upsert(faction)
        .await
        .unwrap();
    assert_eq!(one.sync_now().await.unwrap().pushed, 2);
    assert_eq!(other.sync_now().await.unwrap().pulled, 2);
    let there = other.repository::<Faction>().unwrap();
    let mut faction = there.get(&id).await.unwrap().unwrap();
    assert_eq!((faction.name.as_str(), faction.rev()), ("Ashen Hand", 0));
    faction.name = "Ashen Fist".to_owned();
    there.upsert(faction).await.unwrap();
    other.sync_now().await.unwrap();
    one.sync_now().await.unwrap();
    let faction = one
        .repository::<Faction>()
        .unwrap()
        .get(&id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((faction.name.as_str(), faction.rev()), ("Ashen Fist", 1));
}

#[tokio::test]
async fn a_collection_that_was_not_registered_is_unknown() {
    let forge = Moonforge::in_memory().await.unwrap();
    let error = forge.repository::<Faction>().unwrap_err();
    assert_eq!(error.code(), "unknown_collection");
    let twice = Moonforge::memory_builder()
        .register(factions())
        .register(factions());
    assert_eq!(twice.open().await.unwrap_err().code(), "invalid_collection");
}

#[tokio::test]
async fn what_is_not_of_its_type_is_an_error_that_names_it() {
    let forge = Moonforge::memory_builder()
        .register(factions())
        .open()
        .await
        .unwrap();
    // As far as the collection's description goes, this is sound; the app's type wants more.
    let document = json!({"campaignId": "k", "name": "x"});
    let documents = forge.documents("factions").unwrap();
    documents.put("f", document).await.unwrap();
    #[derive(Debug, Serialize, Deserialize)]
    struct Strict {
        id: DocId,
        leader: String,
    }
    impl Document for Strict {
        const COLLECTION: &'static str = "factions";
        fn id(&self) -> &DocId {
            &self.id
        }
    }
    let error = forge
        .repository::<Strict>()
        .unwrap()
        .get("f")
        .await
        .unwrap_err();
    assert_eq!(error.code(), "wrong_form");
    assert!(error.to_string().contains("factions/f"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
    // In a list it doesn't hide the others.
    let sound = json!({"campaignId": "k", "name": "x", "leader": "Mira"});
    documents.put("g", sound).await.unwrap();
    let strict = forge.repository::<Strict>().unwrap();
    let list = strict.list(&strict.query()).await.unwrap();
    let leaders: Vec<_> = list.items.iter().map(|f| f.leader.as_str()).collect();
    assert_eq!(leaders, ["Mira"]);
    assert_eq!(
        list.unreadable,
        [documents.get("f").await.unwrap().unwrap().doc]
    );
    let all = strict.watch_all().next().await.unwrap().unwrap();
    assert_eq!(all.len(), 1);
    let found = strict.watch_query(strict.query()).next().await.unwrap();
    assert_eq!(found.unwrap().unreadable, list.unreadable);
}

#[test]
fn what_an_app_parses_and_checks_goes_with_the_question_mark() {
    fn parse(time: &str, id: &str, path: &str) -> Result<(), Error> {
        time.parse::<moonforge::Timestamp>()?;
        moonforge::DocRef::parse("scenes", id)?;
        path.parse::<FieldPath>()?;
        Ok(())
    }
    let time = "2026-11-21T18:30:00Z";
    parse(time, "s", "a.b").unwrap();
    for (time, id, path, code) in [
        ("yesterday", "s", "a", "invalid_value"),
        (time, "a/b", "a", "invalid_id"),
        (time, "s", "a..b", "invalid_path"),
    ] {
        let error = parse(time, id, path).unwrap_err();
        assert_eq!((error.code(), error.is_invalid()), (code, true));
    }
    let key = moonforge::OrderKey::between(None, None).unwrap();
    let none = || Ok::<_, Error>(moonforge::OrderKey::between(Some(&key), Some(&key))?);
    assert_eq!(none().unwrap_err().code(), "no_room");
}

#[tokio::test]
async fn a_row_of_the_outbox_can_be_named_by_its_type() {
    let (forge, scene) = with_a_scene().await;
    fn newest(rows: &[moonforge::OutboxEntry]) -> &moonforge::Row {
        let last: &moonforge::OutboxRow = &rows.last().unwrap().row;
        &last.row
    }
    let rows = forge.outbox().list().await.unwrap();
    assert_eq!(rows.last().unwrap().doc.id.as_str(), scene.id.as_str());
    assert_eq!(newest(&rows).op.name(), "create");
}

#[tokio::test]
async fn many_documents_are_written_together_and_a_refused_one_spares_the_others() {
    let forge = Moonforge::in_memory().await.unwrap();
    let doc = |id: &str| moonforge::DocRef::parse("campaigns", id).unwrap();
    let results: Vec<Result<_, Error>> = forge
        .put_many(vec![
            (doc("a"), json!({"name": "a"})),
            (doc("b"), json!([])),
            (doc("c"), json!({"name": 7})),
            (doc("d"), json!({"name": "d"})),
            (doc("a"), json!({"name": "a"})),
        ])
        .await
        .unwrap();
    let outcomes: Vec<_> = results
        .iter()
        .map(|r| r.as_ref().map(|w| w.changed).map_err(Error::code))
        .collect();
    let expected = [
        Ok(true),
        Err("not_a_document"),
        Err("wrong_type"),
        Ok(true),
        Ok(false),
    ];
    assert_eq!(outcomes, expected);
}

#[tokio::test]
async fn status_counts_what_waits() {
    let (forge, _) = with_a_scene().await;
    let status = forge.status().await.unwrap();
    assert_eq!(
        (status.health, status.pending, status.parked),
        (Health::Ok, 2, 0)
    );
    assert!(status.oldest_pending_age_s.is_some());
    forge.sync_now().await.unwrap();
    let status = forge.status().await.unwrap();
    assert_eq!((status.pending, status.oldest_pending_age_s), (0, None));
    assert!(status.last_synced_at.is_some());
    assert!(forge.doctor().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_conflict_is_settled_once() {
    use moonforge::Resolution::{Keep, Take};
    let (forge, scene) = with_a_scene().await;
    forge.sync_now().await.unwrap();
    let edits = [increment("props.torches", 2)];
    forge.scenes().patch(&scene.id, None, edits).await.unwrap();
    let row = forge.outbox().list().await.unwrap()[0].row.row.n;
    assert_eq!(forge.outbox().discard(row).await.unwrap(), 1);
    let entry = forge.conflicts().list().await.unwrap().remove(0);
    let id = entry.conflict_id;
    assert!(forge.conflicts().can_take(&entry).await.unwrap());
    // While the document is deleted there is nothing to write to, and the entry stays open.
    forge.scenes().delete(&scene.id).await.unwrap();
    let error = forge.conflicts().resolve(id, Take).await.unwrap_err();
    assert!(error.is_deleted());
    assert!(!forge.conflicts().can_take(&entry).await.unwrap());
    assert_eq!(forge.conflicts().list().await.unwrap().len(), 1);
    forge.scenes().restore(&scene.id).await.unwrap();
    forge.conflicts().resolve(id, Take).await.unwrap();
    for again in [Take, Keep] {
        let error = forge.conflicts().resolve(id, again).await.unwrap_err();
        assert_eq!(error.code(), "already_settled");
    }
    let now = forge.scenes().get(&scene.id).await.unwrap().unwrap();
    assert_eq!(now.extra["props"]["torches"], 2);
}
