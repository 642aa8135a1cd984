//! Scopes: how they are written, and what they hold.

use crate::id::{Collection, DocId};
use crate::registry::Registry;
use crate::schema::{CollectionConfig, Field, FieldKind};
use crate::scope::*;
use serde_json::{Value, json};

fn scope(text: &str) -> SyncScope {
    text.parse().unwrap()
}

fn registry() -> Registry {
    let mut registry = Registry::builtin();
    let named = |name| Collection::new(name).unwrap();
    let guild = || Field::new("guildId", FieldKind::String);
    let tags = Field::new("tags", FieldKind::StringList);
    let clues = CollectionConfig::new(named("clues"), [guild(), tags.clone()])
        .with_scope_keys(["guildId", "tags"]);
    registry.register(clues).unwrap();
    let records = CollectionConfig::new(named("records"), [tags]);
    let records = CollectionConfig {
        in_campaign: false,
        ..records.with_scope_keys(["userId", "guildId", "tags"])
    };
    registry.register(records).unwrap();
    registry
}

fn reached(text: &str) -> Vec<String> {
    let registry = registry();
    registry
        .iter()
        .filter(|c| scope(text).reach(&registry, c).is_some())
        .map(|c| c.name.to_string())
        .collect()
}

#[test]
fn a_scope_is_the_text_that_it_is_written_as() {
    for text in [
        "campaign:campaignId=keep",
        "mine:memberUids=u1",
        "two:campaignId=a,guildId=b",
        r"odd:guildId=a\,b\\c",
        "accessed",
        "accessed:campaignId=keep",
    ] {
        assert_eq!(scope(text).to_string(), text);
    }
    assert_eq!(
        scope("two:guildId=b,id=a"),
        scope("two:campaignId=a,guildId=b")
    );
    assert_eq!(scope(r"odd:guildId=a\,b").keys()["guildId"], "a,b");
    let id = DocId::new("keep").unwrap();
    assert_eq!(SyncScope::campaign(&id), scope("campaign:campaignId=keep"));
}

#[test]
fn what_is_no_scope_is_refused() {
    for text in [
        "",
        "x",
        "x:",
        "x:a",
        ":a=b",
        "*:a=b",
        "x:=b",
        "x:a=",
        "x:a=b,",
        "x:a=b,a=c",
        "x:id=a,campaignId=b",
        "x:campaignId=a/b",
        "x:a.b=c",
        "x\n:a=b",
    ] {
        assert!(text.parse::<SyncScope>().is_err(), "{text}");
    }
    let long = format!("{}:a=b", "x".repeat(101));
    assert!(long.parse::<SyncScope>().is_err());
}

#[test]
fn a_campaign_is_in_its_scope_with_everything_in_it() {
    let reached = reached("c:campaignId=k");
    assert_eq!(reached.len(), 10);
    assert!(reached.contains(&"secrets".into()) && !reached.contains(&"records".into()));
    let registry = registry();
    let scenes = registry.get("scenes").unwrap();
    let mine = scope("m:memberUids=u").reach(&registry, scenes).unwrap();
    assert_eq!((mine.campaign, mine.of_document), (None, vec![]));
    assert!(mine.of_campaign[0].in_list);
}

#[test]
fn a_collection_that_does_not_know_a_key_is_not_in_the_scope() {
    assert_eq!(reached("g:guildId=g"), ["campaigns", "clues", "records"]);
    assert_eq!(reached("g:guildId=g,campaignId=k"), ["campaigns", "clues"]);
    assert_eq!(reached("u:userId=u"), ["records"]);
    assert_eq!(reached("accessed").len(), 11);
}

#[test]
fn a_new_document_is_filled_with_what_the_keys_say() {
    let registry = registry();
    let fill = |text: &str, collection: &str, fields: Value| {
        let config = registry.get(collection).unwrap();
        let mut fields = fields.as_object().unwrap().clone();
        let id = DocId::new("k").unwrap();
        let inside = scope(text).fill(&registry, config, &id, &mut fields);
        inside.then_some(Value::Object(fields))
    };
    let both = "x:campaignId=k,guildId=g";
    assert_eq!(
        fill(both, "clues", json!({})),
        Some(json!({"campaignId": "k", "guildId": "g"}))
    );
    assert_eq!(fill(both, "clues", json!({"guildId": "h"})), None);
    assert_eq!(fill(both, "scenes", json!({})), None);
    assert_eq!(
        fill("x:campaignId=k", "campaigns", json!({})),
        Some(json!({}))
    );
    assert_eq!(fill("x:campaignId=j", "campaigns", json!({})), None);
    let members = json!({"memberUids": ["u"]});
    assert_eq!(
        fill("x:memberUids=u", "campaigns", json!({})),
        Some(members)
    );
    let others = json!({"memberUids": ["v"]});
    assert_eq!(fill("x:memberUids=u", "campaigns", others), None);
    // Whose campaign it is stands elsewhere.
    assert_eq!(fill("x:ownerUid=u", "scenes", json!({})), Some(json!({})));
}

#[test]
fn a_scope_that_nothing_answers_is_refused() {
    let registry = registry();
    let check = |text: &str| scope(text).check(&registry);
    assert_eq!(check("g:guildId=g"), Ok(()));
    assert_eq!(
        check("x:colour=red"),
        Err(InvalidScope::Unknown("colour".into()))
    );
    assert!(check("x:userId=u,campaignId=k").is_err());
    assert_eq!(check("x:tags=a,memberUids=u"), Ok(()));
}
