//! Writes: preconditions, masks, server times, atomicity.

use moonforge_ports::{Precondition, RemoteErrorKind, RemoteStore, RemoteWrite};
use serde_json::json;

use super::{apply, body, change, commit, create, doc, fields, is_stale, path, read, refused};

/// A create passes once; a second one of the same id is refused and changes nothing.
pub async fn a_create_needs_absence(store: &dyn RemoteStore) {
    let doc = doc("creates", "one");
    let version = apply(store, create(doc.clone(), json!({"a": 1}))).await;
    let kind = refused(store, &[create(doc.clone(), json!({"a": 2}))]).await;
    assert_eq!(kind, RemoteErrorKind::AlreadyExists);
    let there = read(store, &doc).await.expect("it was created");
    assert_eq!(
        (there.update_time, &there.fields["a"]),
        (version, &json!(1))
    );

    let missing = RemoteWrite {
        precondition: Precondition::MustExist,
        ..create(super::doc("creates", "absent"), json!({"a": 1}))
    };
    assert_eq!(
        refused(store, std::slice::from_ref(&missing)).await,
        RemoteErrorKind::NotFound
    );
    assert!(read(store, &missing.doc).await.is_none());
    let existing = RemoteWrite {
        doc: doc.clone(),
        ..missing
    };
    apply(store, existing).await;
}

/// A write passes on the version it was built from, and on no other.
pub async fn a_write_needs_its_version(store: &dyn RemoteStore) {
    let doc = doc("versions", "one");
    let first = apply(store, create(doc.clone(), json!({"a": 1}))).await;
    let second = apply(store, change(doc.clone(), first, json!({"a": 2}), &["a"])).await;
    assert!(second > first, "{second} is not after {first}");
    let stale = [change(doc.clone(), first, json!({"a": 3}), &["a"])];
    assert_eq!(
        refused(store, &stale).await,
        RemoteErrorKind::FailedPrecondition
    );
    assert_eq!(body(store, &doc).await, json!({"a": 2}));

    let absent = super::doc("versions", "absent");
    let kind = refused(
        store,
        &[change(absent.clone(), first, json!({"a": 3}), &["a"])],
    )
    .await;
    assert!(is_stale(kind), "{kind:?}");
    assert!(read(store, &absent).await.is_none());
}

/// What a mask names is set or, where it has no value, deleted; nothing else moves.
pub async fn a_mask_changes_only_what_it_names(store: &dyn RemoteStore) {
    let doc = doc("masks", "one");
    let old =
        json!({"kept": 1, "gone": 2, "map": {"in": 1, "out": 2}, "text": "t", "list": [1, 2]});
    let version = apply(store, create(doc.clone(), old)).await;
    let given = json!({"map": {"in": 5, "ignored": 9}, "text": {"deep": {"er": true}}, "list": [3],
                       "unmasked": 1});
    let mask = [
        "gone",
        "map.in",
        "map.out",
        "text.deep.er",
        "list",
        "never.there",
    ];
    let version = apply(store, change(doc.clone(), version, given, &mask)).await;
    assert_eq!(
        body(store, &doc).await,
        json!({"kept": 1, "map": {"in": 5}, "text": {"deep": {"er": true}}, "list": [3]})
    );

    // An empty mask isn't the same as none: nothing but the server's time is set.
    apply(store, change(doc.clone(), version, json!({"kept": 7}), &[])).await;
    assert_eq!(body(store, &doc).await["kept"], json!(1));

    // A mask on what isn't there makes it.
    let made = super::doc("masks", "made");
    let write = RemoteWrite {
        precondition: Precondition::None,
        ..change(
            made.clone(),
            version,
            json!({"a": {"b": 1}, "c": 2}),
            &["a.b"],
        )
    };
    apply(store, write).await;
    assert_eq!(body(store, &made).await, json!({"a": {"b": 1}}));
}

/// Names with dots, blanks, quotes, backticks and other scripts are names like any other.
pub async fn masks_name_odd_fields(store: &dyn RemoteStore) {
    let doc = doc("odd_names", "one");
    let odd = json!({"a.b": 1, "with blank": 2, "tick`": 3, "back\\slash": 4, "Ünï": 5, "7": 6,
                     "a": {"b": 7, "x.y": 8, "-": 9}});
    let version = apply(store, create(doc.clone(), odd)).await;
    let given = json!({"a.b": 10, "tick`": 30, "Ünï": 50, "a": {"x.y": 80}});
    let mask = [
        "`a.b`",
        "`with blank`",
        r"`tick\``",
        "`Ünï`",
        "a.`x.y`",
        "a.`-`",
        "`7`",
    ];
    apply(store, change(doc.clone(), version, given, &mask)).await;
    assert_eq!(
        body(store, &doc).await,
        json!({"a.b": 10, "tick`": 30, "back\\slash": 4, "Ünï": 50, "a": {"b": 7, "x.y": 80}})
    );
}

/// Without a mask the document is what was sent and no more.
pub async fn a_replacement_leaves_nothing_over(store: &dyn RemoteStore) {
    let doc = doc("replacements", "one");
    let version = apply(store, create(doc.clone(), json!({"a": 1, "m": {"x": 1}}))).await;
    let whole = RemoteWrite {
        mask: None,
        ..change(doc.clone(), version, json!({"m": {"y": 2}}), &[])
    };
    apply(store, whole).await;
    assert_eq!(body(store, &doc).await, json!({"m": {"y": 2}}));
}

/// Server times are set, also inside a map, and the answer says what they are.
pub async fn server_times_are_answered(store: &dyn RemoteStore) {
    let doc = doc("times", "one");
    let write = RemoteWrite {
        server_time: vec![path("updatedAt"), path("touched.scenes")],
        ..create(doc.clone(), json!({"touched": {"kept": 1}}))
    };
    let answer = commit(store, vec![write]).await;
    let result = &answer.results[0];
    let there = read(store, &doc).await.expect("it was created");
    assert_eq!(there.update_time, result.update_time);
    assert!(answer.commit_time >= result.update_time);
    let [updated_at, touched] = result.server_times[..] else {
        panic!("two times: {:?}", result.server_times)
    };
    assert_eq!(updated_at, touched, "one request has one time");
    assert!(updated_at <= result.update_time);
    assert_eq!(there.fields["updatedAt"], json!(updated_at));
    assert_eq!(
        there.fields["touched"],
        json!({"kept": 1, "scenes": {"$timestamp": touched.to_string()}})
    );

    // A transform without any other change is a write as well.
    let version = result.update_time;
    let beacon = RemoteWrite {
        server_time: vec![path("touched.sessions")],
        ..change(doc.clone(), version, json!({}), &[])
    };
    assert!(apply(store, beacon).await > version);
    let there = read(store, &doc).await.expect("it is still there");
    assert_eq!(there.fields["updatedAt"], json!(updated_at));
    assert_eq!(there.fields["touched"]["kept"], json!(1));
    assert!(there.fields["touched"]["sessions"]["$timestamp"].is_string());
}

/// One refused write keeps all others of its commit from being applied.
pub async fn a_commit_applies_all_or_nothing(store: &dyn RemoteStore) {
    let old = doc("atoms", "old");
    let version = apply(store, create(old.clone(), json!({"a": 1}))).await;
    let news: Vec<_> = (0..5).map(|i| doc("atoms", &format!("new{i}"))).collect();
    let mut writes: Vec<_> = news
        .iter()
        .map(|d| create(d.clone(), json!({"a": 1})))
        .collect();
    writes.push(change(old.clone(), version, json!({"a": 2}), &["a"]));
    writes.push(change(
        doc("atoms", "absent"),
        version,
        json!({"a": 2}),
        &["a"],
    ));
    let kind = refused(store, &writes).await;
    assert!(is_stale(kind), "{kind:?}");
    let all: Vec<_> = news.iter().chain([&old]).cloned().collect();
    let there = store.batch_get(&all).await.expect("a read");
    assert_eq!(there.found.len(), 1);
    assert_eq!(
        (there.found[0].update_time, &there.found[0].fields["a"]),
        (version, &json!(1))
    );

    writes.pop();
    let answer = commit(store, writes).await;
    assert!(
        answer
            .results
            .iter()
            .all(|r| r.update_time == answer.results[0].update_time)
    );
    assert_eq!(store.batch_get(&all).await.expect("a read").found.len(), 6);
    assert_eq!(body(store, &old).await, json!({"a": 2}));
}

/// Two guarded writes of one document in a commit never both pass.
pub async fn one_write_a_document(store: &dyn RemoteStore) {
    let doc = doc("twice", "one");
    let version = apply(store, create(doc.clone(), json!({"a": 1}))).await;
    let twice = [
        change(doc.clone(), version, json!({"a": 2}), &["a"]),
        change(doc.clone(), version, json!({"b": 3}), &["b"]),
    ];
    if store.commit(&twice).await.is_err() {
        assert_eq!(body(store, &doc).await, json!({"a": 1}));
    } else {
        // A store may take both as one step: then both are there, none is lost.
        assert_eq!(body(store, &doc).await, json!({"a": 2, "b": 3}));
    }
}

/// A write that changes nothing keeps the version.
pub async fn a_write_without_effect_is_no_version(store: &dyn RemoteStore) {
    let doc = doc("echoes", "one");
    let version = apply(
        store,
        create(doc.clone(), json!({"a": 1, "m": {"x": [1, 2]}})),
    )
    .await;
    let same = RemoteWrite {
        server_time: Vec::new(),
        ..change(
            doc.clone(),
            version,
            json!({"a": 1, "m": {"x": [1, 2]}}),
            &["a", "m.x", "absent"],
        )
    };
    assert_eq!(apply(store, same.clone()).await, version);
    assert_eq!(
        read(store, &doc).await.expect("it is there").update_time,
        version
    );
    // So the same guard still holds.
    let other = RemoteWrite {
        fields: fields(json!({"a": 2, "m": {"x": [1, 2]}})),
        ..same
    };
    assert!(apply(store, other).await > version);
}

/// Versions rise from commit to commit, whatever they write.
pub async fn update_times_rise(store: &dyn RemoteStore) {
    let mut last = apply(store, create(doc("rises", "d"), json!({"n": 0}))).await;
    let mut version = last;
    for n in 1..20 {
        let other = apply(
            store,
            create(doc("rises", &format!("other{n}")), json!({"n": n})),
        )
        .await;
        assert!(other > last, "{other} is not after {last}");
        version = apply(
            store,
            change(doc("rises", "d"), version, json!({"n": n}), &["n"]),
        )
        .await;
        assert!(version > other, "{version} is not after {other}");
        last = version;
    }
}

/// A document over 1 MiB is refused for what it is, and takes its commit with it; one just below is stored.
pub async fn a_document_has_a_size(store: &dyn RemoteStore) {
    let text = |bytes| json!({"content": "x".repeat(bytes)});
    let (large, small) = (doc("sizes", "large"), doc("sizes", "small"));
    let both = [
        create(small.clone(), json!({})),
        create(large.clone(), text((1 << 20) + 1)),
    ];
    let kind = refused(store, &both).await;
    let sizes = [RemoteErrorKind::InvalidArgument, RemoteErrorKind::TooLarge];
    assert!(sizes.contains(&kind), "{kind:?}");
    assert!(read(store, &large).await.is_none() && read(store, &small).await.is_none());
    apply(store, create(large, text(1_040_000))).await;
}

/// `rev` is 0 at creation and one more at each write, an integer, and never forgotten.
pub async fn revisions_rise_by_one(store: &dyn RemoteStore) {
    let doc = doc("scenes", "rev");
    let bad = [create(doc.clone(), json!({"rev": 1, "campaignId": "c"}))];
    assert!(is_stale(refused(store, &bad).await));
    let version = apply(
        store,
        create(doc.clone(), json!({"rev": 0, "campaignId": "c"})),
    )
    .await;
    for rev in [
        json!(0),
        json!(2),
        json!(-1),
        json!(1.0),
        json!("1"),
        json!(null),
    ] {
        let write = change(
            doc.clone(),
            version,
            json!({"rev": rev, "a": 1}),
            &["rev", "a"],
        );
        let kind = refused(store, &[write]).await;
        assert_eq!(kind, RemoteErrorKind::PermissionDenied, "rev {rev}");
    }
    let forgotten = change(doc.clone(), version, json!({"a": 1}), &["rev", "a"]);
    assert!(is_stale(refused(store, &[forgotten]).await));
    let left_alone = change(doc.clone(), version, json!({"a": 1}), &["a"]);
    assert!(is_stale(refused(store, &[left_alone]).await));
    let right = change(
        doc.clone(),
        version,
        json!({"rev": 1, "a": 1}),
        &["rev", "a"],
    );
    apply(store, right).await;
    assert_eq!(
        body(store, &doc).await,
        json!({"rev": 1, "a": 1, "campaignId": "c"})
    );
}
