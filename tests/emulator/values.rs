//! Values and names that make trouble on the way.

use moonforge_e2e::device::{Device, World};
use moonforge_testkit::emulator::fields;
use serde_json::{Value, json};

use crate::scenario::{C, two};

crate::scenario::scenarios! {
    everywhere:
        odd_names_nested_lists_and_unknown_fields_make_the_trip;
    calm:
        what_json_lacks_stays_as_it_is_beside_an_edit,
        a_name_that_looks_like_a_tag_is_the_same_on_both_devices,
        what_came_and_went_leaves_the_same_map_on_both_devices;
}

fn odd() -> Value {
    json!({
        "name": "Wyrm", "kind": "monster",
        "statblock": { "source": "own", "data": {
            "grid": [[1, 2], [3, [4, []]], []], "cr": "1/2", "deep": [{ "a": [[null, true]] }],
        } },
        "props": {
            "odd name": 1, "a.b": { "c d": 2 }, "back`tick": 3, "back\\slash": 4, "$dollar": 5,
            "$timestamp": "no time", "ünïcødé": 6, "日本": { "龍": "🐉" }, "1st": 7, "": null, "-": 8,
            "$array": [[1]], "$$": {},
        },
        "futureField": { "of": ["a", { "newer": "version" }], "since": 2.5 },
        "big": 9_007_199_254_740_993_i64, "small": -0.25, "whole": 6.0, "none": null,
    })
}

async fn odd_names_nested_lists_and_unknown_fields_make_the_trip(world: World) {
    let mut wyrm = odd();
    wyrm["props"].as_object_mut().expect("a map").remove("");
    let (a, b) = two(&world, &[("entities", "Wyrm of Größe ~1", wyrm.clone())]).await;
    let id = "Wyrm of Größe ~1";
    let same = |shown: &Value, wanted: &Value| {
        for (name, value) in wanted.as_object().expect("a map") {
            assert_eq!(&shown[name], value, "{name}");
        }
    };
    same(&b.get("entities", id).await.expect("it is there"), &wyrm);
    b.patch(
        "entities",
        id,
        &[
            ("set", "props.`a.b`.`c d`", json!(20)),
            ("inc", "props.`odd name`", json!(1)),
            ("unset", "props.`back\\`tick`", json!(null)),
            ("set", "props.`日本`.`龍`", json!([["🐉"]])),
            ("inc", "props.`$dollar`", json!(1)),
        ],
    )
    .await;
    a.patch(
        "entities",
        id,
        &[
            ("set", "props.`back\\\\slash`", json!(40)),
            ("inc", "props.`odd name`", json!(1)),
            ("set", "statblock.data.grid", json!([[9], [[8]]])),
            ("inc", "futureField.since", json!(1)),
        ],
    )
    .await;
    a.sync_well().await;
    b.sync_well().await;
    world.settle(&[&a, &b]).await;
    let props = wyrm["props"].as_object_mut().expect("a map");
    props.remove("back`tick");
    for (name, value) in [
        ("a.b", json!({ "c d": 20 })),
        ("odd name", json!(3)),
        ("$dollar", json!(6)),
    ] {
        props.insert(name.into(), value);
    }
    props.insert("日本".into(), json!({ "龍": [["🐉"]] }));
    props.insert("back\\slash".into(), json!(40));
    wyrm["statblock"]["data"]["grid"] = json!([[9], [[8]]]);
    wyrm["futureField"]["since"] = json!(3.5);
    same(&a.get("entities", id).await.expect("it is there"), &wyrm);
    let remote = world
        .remote(&format!("entities/{}", urlencoded(id)))
        .await
        .expect("it is there");
    assert_eq!(remote["props"]["a.b"], json!({ "c d": 20 }));
    assert_eq!(
        remote["statblock"]["data"]["grid"],
        json!([{ "$array": [9] }, { "$array": [{ "$array": [8] }] }])
    );
}

fn urlencoded(id: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'~';
    id.bytes()
        .map(|b| {
            if plain(b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

async fn raw(world: &World, path: &str) -> Value {
    world.console().get(path).await.body["fields"].clone()
}

async fn edit(device: &Device) {
    device
        .patch(
            "entities",
            "e1",
            &[
                ("inc", "props.gold", json!(1)),
                ("set", "name", json!("New")),
            ],
        )
        .await;
}

async fn what_json_lacks_stays_as_it_is_beside_an_edit(world: World) {
    let (a, b) = two(&world, &[]).await;
    let mut document = fields(&json!({
        "name": "Old", "kind": "item", "campaignId": C, "rev": 0, "updatedAt": { "$timestamp": "2026-02-03T04:05:06Z" },
    }));
    document["props"] = json!({ "mapValue": { "fields": {
        "gold": { "integerValue": "1" }, "when": { "timestampValue": "2026-01-02T03:04:05.123456Z" },
        "where": { "geoPointValue": { "latitude": 1.5, "longitude": -2.25 } },
        "what": { "bytesValue": "AAEC/w==" }, "not": { "doubleValue": "NaN" }, "half": { "doubleValue": 0.5 },
        "which": { "referenceValue": world.project.name("entities/e2") }, "nothing": { "nullValue": null },
        "list": { "arrayValue": { "values": [{ "timestampValue": "2026-01-02T03:04:05Z" }, { "doubleValue": 2.0 }] } },
        "vector": { "mapValue": { "fields": {
            "__type__": { "stringValue": "__vector__" },
            "value": { "arrayValue": { "values": [{ "doubleValue": 0.5 }, { "doubleValue": -1.0 }] } },
        } } },
    } } });
    let name = world.project.name("entities/e1");
    let write = json!({ "update": { "name": name, "fields": document } });
    world.console_commit(&[write]).await;
    let before = raw(&world, "entities/e1").await;
    a.sync_well().await;
    edit(&a).await;
    a.sync_well().await;
    b.sync_well().await;
    edit(&b).await;
    // A whole list, read here and written back with one more.
    let mut list = b.value("entities", "e1", "/props/list").await;
    list.as_array_mut().expect("a list").push(json!("more"));
    b.patch("entities", "e1", &[("set", "props.list", list)])
        .await;
    b.sync_well().await;
    world.settle(&[&a, &b]).await;
    let after = raw(&world, "entities/e1").await;
    let props = |document: &Value| document["props"]["mapValue"]["fields"].clone();
    let (before, mut after) = (props(&before), props(&after));
    assert_eq!(after["gold"], json!({ "integerValue": "3" }));
    after["gold"] = before["gold"].clone();
    let more = after["list"]["arrayValue"]["values"]
        .as_array_mut()
        .expect("a list")
        .pop();
    assert_eq!(more, Some(json!({ "stringValue": "more" })));
    assert_eq!(after, before);
}

async fn a_name_that_looks_like_a_tag_is_the_same_on_both_devices(world: World) {
    let item = json!({ "name": "Rune", "kind": "item", "props": { "a": { "mood": 1 }, "b": {} } });
    let (a, b) = two(&world, &[("entities", "e1", item)]).await;
    let rounds = [
        ("set", "props.a.`$bytes`", json!("AAAA")),
        ("unset", "props.a.mood", json!(null)),
        ("set", "props.b.`$$bytes`", json!("AAAA")),
        ("set", "props.b.more", json!(2)),
        ("unset", "props.b.more", json!(null)),
    ];
    for (number, round) in rounds.into_iter().enumerate() {
        let (writer, reader) = if number % 2 == 0 { (&a, &b) } else { (&b, &a) };
        let edit = std::slice::from_ref(&round);
        writer.patch("entities", "e1", edit).await;
        writer.sync_well().await;
        reader.sync_well().await;
        let props = writer.value("entities", "e1", "/props").await;
        assert_eq!(
            props,
            reader.value("entities", "e1", "/props").await,
            "{round:?}"
        );
    }
}

async fn what_came_and_went_leaves_the_same_map_on_both_devices(world: World) {
    let item = json!({ "name": "Rune", "kind": "item" });
    let (a, b) = two(&world, &[("entities", "e1", item)]).await;
    for (set, unset) in [
        ("props.a.deep.gold", "props.a.deep.gold"),
        ("props.b.gold", "props.b"),
    ] {
        a.patch("entities", "e1", &[("set", set, json!(1))]).await;
        a.patch("entities", "e1", &[("unset", unset, json!(null))])
            .await;
        a.sync_well().await;
        b.sync_well().await;
        let props = a.value("entities", "e1", "/props").await;
        assert_eq!(props, b.value("entities", "e1", "/props").await, "{set}");
        assert_eq!(props["a"], json!({ "deep": {} }));
    }
}
