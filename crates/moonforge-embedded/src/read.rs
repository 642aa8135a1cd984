//! Reads and queries, each on one snapshot.

use futures_util::TryStreamExt;
use moonforge_model::{DocId, DocRef, Timestamp};
use moonforge_ports::{
    BatchGet, Filter, RemoteDocument, RemoteError, RemoteErrorKind, RemoteQuery,
};
use sqlx::{Sqlite, SqliteConnection, SqlitePool, Transaction};

use crate::commit::parse;
use crate::error::{refuse, remote_error};

/// Reads documents by name.
pub(crate) async fn batch_get(
    pool: &SqlitePool,
    docs: &[DocRef],
    now: Timestamp,
) -> Result<BatchGet, RemoteError> {
    let (mut tx, read_time) = snapshot(pool, now).await.map_err(remote_error)?;
    let mut answer = BatchGet {
        found: Vec::new(),
        missing: Vec::new(),
        read_time,
    };
    let distinct: std::collections::BTreeSet<_> = docs.iter().collect();
    for doc in distinct {
        let row: Option<(String, i64)> = sqlx::query_as(
            "SELECT fields, update_time FROM documents WHERE collection = ? AND id = ?",
        )
        .bind(doc.collection.as_str())
        .bind(doc.id.as_str())
        .fetch_optional(&mut *tx)
        .await
        .map_err(remote_error)?;
        match row {
            Some((text, at)) => answer.found.push(RemoteDocument {
                doc: doc.clone(),
                fields: parse(doc, &text)?,
                update_time: Timestamp::from_micros(at),
            }),
            None => answer.missing.push(doc.clone()),
        }
    }
    Ok(answer)
}

/// Calls `each` with every document that a query matches, in its order, until it has had enough and says false. The
/// answer is the time at which all this was true.
pub(crate) async fn scan(
    pool: &SqlitePool,
    query: &RemoteQuery,
    now: Timestamp,
    mut each: impl FnMut(RemoteDocument) -> bool + Send,
) -> Result<Timestamp, RemoteError> {
    if let Some(message) = query.contradiction() {
        return Err(refuse(RemoteErrorKind::InvalidArgument, message));
    }
    let (mut tx, read_time) = snapshot(pool, now).await.map_err(remote_error)?;
    let connection: &mut SqliteConnection = &mut tx;
    let (after_time, after_id) = match &query.after {
        Some((at, id)) => (at.map_or(i64::MIN, Timestamp::as_micros), id.as_str()),
        None => (i64::MIN, ""),
    };
    let campaigns = campaigns(query);
    let mut rows = if query.is_by_updated_at() {
        sqlx::query_as::<_, (String, String, i64)>(
            "SELECT id, fields, update_time FROM documents \
             WHERE collection = ?1 AND updated_at BETWEEN ?2 AND ?3 \
             AND (updated_at, id) > (?4, ?5) \
             AND (?6 IS NULL OR campaign_id IN (SELECT value FROM json_each(?6))) \
             ORDER BY updated_at, id",
        )
        .bind(query.collection.as_str())
        .bind(
            query
                .since
                .map_or(i64::MIN, Timestamp::as_micros)
                .max(after_time),
        )
        .bind(query.until.map_or(i64::MAX, Timestamp::as_micros))
        .bind(after_time)
        .bind(after_id)
        .bind(campaigns)
        .fetch(connection)
    } else {
        sqlx::query_as(
            "SELECT id, fields, update_time FROM documents WHERE collection = ?1 AND id > ?2 \
             AND (?3 IS NULL OR campaign_id IN (SELECT value FROM json_each(?3))) ORDER BY id",
        )
        .bind(query.collection.as_str())
        .bind(after_id)
        .bind(campaigns)
        .fetch(connection)
    };
    while let Some((id, text, at)) = rows.try_next().await.map_err(remote_error)? {
        let id = DocId::new(id).map_err(|error| {
            let message = format!("an id in the local cloud is damaged: {error}");
            refuse(RemoteErrorKind::Internal, message).with_source(error)
        })?;
        let doc = DocRef::new(query.collection.clone(), id);
        let fields = parse(&doc, &text)?;
        let update_time = Timestamp::from_micros(at);
        if query.filters.iter().all(|filter| filter.holds(&fields))
            && !each(RemoteDocument {
                doc,
                fields,
                update_time,
            })
        {
            break;
        }
    }
    Ok(read_time)
}

/// The campaigns that a query's filters name, as a JSON list: SQLite leaves out the others, so that they needn't be
/// parsed.
fn campaigns(query: &RemoteQuery) -> Option<String> {
    query.filters.iter().find_map(|filter| match filter {
        Filter::Equals(path, value) if path.segments() == ["campaignId"] => {
            serde_json::to_string(&[value]).ok()
        }
        Filter::In(path, values) if path.segments() == ["campaignId"] => {
            serde_json::to_string(values).ok()
        }
        _ => None,
    })
}

/// A transaction that sees one state of the cloud, and a time by which that state was true: not before anything in it,
/// and before every version to come, for it is noted first that this time was given.
async fn snapshot(
    pool: &SqlitePool,
    now: Timestamp,
) -> Result<(Transaction<'static, Sqlite>, Timestamp), sqlx::Error> {
    sqlx::query("UPDATE cloud SET last_time = ?1 WHERE last_time < ?1")
        .bind(now.as_micros())
        .execute(pool)
        .await?;
    let mut tx = pool.begin().await?;
    let last: i64 = sqlx::query_scalar("SELECT last_time FROM cloud")
        .fetch_one(&mut *tx)
        .await?;
    Ok((tx, Timestamp::from_micros(last)))
}
