//! What the tests share.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moonforge_model::{
    Collection, DocRef, Envelope, FieldPath, Fields, Registry, Timestamp, Version,
};
use moonforge_store::{
    Base, Durability, EditTime, QuerySpec, Store, StoreError, StoreOptions, TransactionProbe,
};
use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

/// The second `n` of the tests' time.
pub(crate) fn second(n: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + n * 1000)
}

pub(crate) fn at(n: i64) -> EditTime {
    EditTime::at(second(n))
}

pub(crate) fn doc(collection: &str, id: &str) -> DocRef {
    DocRef::parse(collection, id).unwrap()
}

pub(crate) fn named(collection: &str) -> Collection {
    Collection::new(collection).unwrap()
}

pub(crate) fn path(text: &str) -> FieldPath {
    text.parse().unwrap()
}

pub(crate) fn fields(value: Value) -> Fields {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

pub(crate) fn options() -> StoreOptions {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let new_id = || {
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        format!("{:08x}{n:024x}", std::process::id())
    };
    let mut options = StoreOptions::new(Arc::new(new_id), second(0));
    // What a power cut would do isn't asked here, and the disk is slow.
    options.durability = Durability::Normal;
    options
}

pub(crate) fn options_with(registry: Registry) -> StoreOptions {
    StoreOptions {
        registry: Arc::new(registry),
        ..options()
    }
}

pub(crate) fn options_probed(probe: Arc<dyn TransactionProbe>) -> StoreOptions {
    StoreOptions {
        probe: Some(probe),
        ..options()
    }
}

pub(crate) async fn memory() -> Store {
    Store::in_memory(options()).await.unwrap()
}

pub(crate) async fn open(path: &Path) -> Store {
    Store::open(path, options()).await.unwrap()
}

/// A connection of the test's own, for damage and for looking.
pub(crate) async fn raw(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true);
    options.connect().await.unwrap()
}

/// Runs statements on a file over a connection of the test's own.
pub(crate) async fn run(path: &Path, sql: &str) {
    let mut conn = raw(path).await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
        .execute(&mut conn)
        .await
        .unwrap();
    conn.close().await.unwrap();
}

pub(crate) async fn number(path: &Path, sql: &str) -> i64 {
    let mut conn = raw(path).await;
    let n = sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned()))
        .fetch_one(&mut conn)
        .await
        .unwrap();
    conn.close().await.unwrap();
    n
}

/// Puts a document with its second of editing.
pub(crate) async fn put(store: &Store, doc: &DocRef, value: Value, n: i64) {
    store.put(doc.clone(), fields(value), at(n)).await.unwrap();
}

pub(crate) async fn content(store: &Store, doc: &DocRef) -> Value {
    Value::Object(store.get(doc).await.unwrap().unwrap().fields)
}

/// Makes the document what the remote holds, with all its edits settled, as the engine does.
pub(crate) async fn synced(store: &Store, doc: &DocRef, value: Value, rev: i64, updated: i64) {
    let doc = doc.clone();
    let version = Version {
        fields: fields(value),
        envelope: Envelope {
            update_time: second(updated),
            rev: Some(rev),
            updated_at: Some(second(updated)),
            deleted: None,
            edited: Default::default(),
            writers: Default::default(),
        },
    };
    let work = store.write(move |tx| {
        Box::pin(async move {
            let mut state = tx.load(&doc).await?;
            state.base = Base::Known(version);
            state.rows.clear();
            state.last_synced_at = Some(second(updated));
            tx.save(&mut state).await
        })
    });
    work.await.unwrap();
}

pub(crate) async fn ids(store: &Store, spec: &QuerySpec) -> Vec<String> {
    let page = store.list(spec).await.unwrap();
    page.items.iter().map(|d| d.doc.id.to_string()).collect()
}

pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, StoreError>) -> &'static str {
    result.unwrap_err().code()
}

/// A campaign `c` with the adventure `a`, the chapter `ch` in it, and the scenes `s1` and `s2` in that.
pub(crate) async fn small_campaign(store: &Store) {
    use serde_json::json;
    put(store, &doc("campaigns", "c"), json!({"name": "Ember"}), 1).await;
    let adventure = json!({"campaignId": "c", "name": "Road", "order": "a"});
    put(store, &doc("adventures", "a"), adventure, 1).await;
    let chapter = json!({"campaignId": "c", "adventureId": "a", "name": "One", "order": "a"});
    put(store, &doc("chapters", "ch"), chapter, 1).await;
    for (id, order) in [("s1", "b"), ("s2", "a")] {
        let scene = json!({"campaignId": "c", "chapterId": "ch", "title": id, "order": order});
        put(store, &doc("scenes", id), scene, 1).await;
    }
}
