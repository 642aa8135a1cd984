//! Applying a commit in one transaction.

use std::collections::BTreeSet;

use moonforge_model::{DocRef, Fields, Timestamp, canonical_fields};
use moonforge_ports::{
    CommitAnswer, Precondition, RemoteError, RemoteErrorKind, RemoteWrite, WriteResult,
    check_document,
};
use serde_json::Value;
use sqlx::{SqliteConnection, SqlitePool};

use crate::error::{refuse, remote_error};
use crate::rules;

/// A document's newest version.
struct Version {
    fields: Fields,
    update_time: Timestamp,
}

/// Applies all writes or none. The transaction holds the cloud's write lock from its first statement, so what it checks
/// is what it changes, whichever process the others are in.
pub(crate) async fn commit(
    pool: &SqlitePool,
    writes: &[RemoteWrite],
    now: Timestamp,
) -> Result<CommitAnswer, RemoteError> {
    check_shape(writes)?;
    let mut tx = pool
        .begin_with("BEGIN IMMEDIATE")
        .await
        .map_err(remote_error)?;
    let commit_time = next_time(&mut tx, now).await.map_err(remote_error)?;
    // REQUEST_TIME has a precision of milliseconds in Firestore, and so here. It comes from the cloud's time, not from this
    // process's clock: what a clock that is behind would write as `updatedAt` is below the cursors of others.
    let request_time = Timestamp::from_millis(commit_time.as_micros().div_euclid(1000));
    let mut results = Vec::with_capacity(writes.len());
    for write in writes {
        let update_time = apply(&mut tx, write, request_time, commit_time).await?;
        let server_times = vec![request_time; write.server_time.len()];
        results.push(WriteResult {
            update_time,
            server_times,
        });
    }
    tx.commit().await.map_err(remote_error)?;
    Ok(CommitAnswer {
        results,
        commit_time,
    })
}

fn check_shape(writes: &[RemoteWrite]) -> Result<(), RemoteError> {
    let mut seen = BTreeSet::new();
    for write in writes {
        if let Some(message) = write.conflicting_paths() {
            return Err(refuse(RemoteErrorKind::InvalidArgument, message));
        }
        if !seen.insert(&write.doc) {
            let message = format!("{} is written twice in one commit", write.doc);
            return Err(refuse(RemoteErrorKind::InvalidArgument, message));
        }
    }
    Ok(())
}

/// A time later than every version and every answer of this cloud so far, also where the clock went back.
async fn next_time(
    connection: &mut SqliteConnection,
    now: Timestamp,
) -> Result<Timestamp, sqlx::Error> {
    sqlx::query_scalar("UPDATE cloud SET last_time = max(last_time + 1, ?) RETURNING last_time")
        .bind(now.as_micros())
        .fetch_one(connection)
        .await
        .map(Timestamp::from_micros)
}

async fn apply(
    connection: &mut SqliteConnection,
    write: &RemoteWrite,
    request_time: Timestamp,
    commit_time: Timestamp,
) -> Result<Timestamp, RemoteError> {
    let old = load(connection, &write.doc).await?;
    check_precondition(write, old.as_ref().map(|old| old.update_time))?;
    let old_fields = old.as_ref().map(|old| &old.fields);
    let fields = canonical_fields(write.apply(old_fields, request_time));
    check_document(&write.doc, &fields)?;
    rules::check(&write.doc, old_fields, &fields)?;
    match old {
        // A write without effect makes no version.
        Some(old) if old.fields == fields => Ok(old.update_time),
        _ => {
            store(connection, &write.doc, &fields, commit_time).await?;
            Ok(commit_time)
        }
    }
}

fn check_precondition(write: &RemoteWrite, there: Option<Timestamp>) -> Result<(), RemoteError> {
    let doc = &write.doc;
    match (write.precondition, there) {
        (Precondition::MustNotExist, Some(_)) => Err(refuse(
            RemoteErrorKind::AlreadyExists,
            format!("{doc} is there already"),
        )),
        (Precondition::MustExist, None) => Err(refuse(
            RemoteErrorKind::NotFound,
            format!("{doc} is not there"),
        )),
        (Precondition::UpdateTime(expected), there) if there != Some(expected) => {
            let found = there.map_or_else(|| "absent".to_owned(), |at| at.to_string());
            let message = format!("{doc} is {found}, not the version {expected}");
            Err(refuse(RemoteErrorKind::FailedPrecondition, message))
        }
        _ => Ok(()),
    }
}

async fn load(
    connection: &mut SqliteConnection,
    doc: &DocRef,
) -> Result<Option<Version>, RemoteError> {
    let row: Option<(String, i64)> =
        sqlx::query_as("SELECT fields, update_time FROM documents WHERE collection = ? AND id = ?")
            .bind(doc.collection.as_str())
            .bind(doc.id.as_str())
            .fetch_optional(connection)
            .await
            .map_err(remote_error)?;
    row.map(|(text, at)| {
        Ok(Version {
            fields: parse(doc, &text)?,
            update_time: Timestamp::from_micros(at),
        })
    })
    .transpose()
}

/// The fields as they were stored. Anything else in their place is damage, which no write may paper over.
pub(crate) fn parse(doc: &DocRef, text: &str) -> Result<Fields, RemoteError> {
    serde_json::from_str(text).map_err(|error| {
        let message = format!("{doc} is damaged in the local cloud: {error}");
        refuse(RemoteErrorKind::Internal, message).with_source(error)
    })
}

async fn store(
    connection: &mut SqliteConnection,
    doc: &DocRef,
    fields: &Fields,
    commit_time: Timestamp,
) -> Result<(), RemoteError> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let updated_at = text("updatedAt").and_then(|text| text.parse::<Timestamp>().ok());
    let json = serde_json::to_string(fields).map_err(|error| {
        refuse(RemoteErrorKind::InvalidArgument, format!("{doc}: {error}")).with_source(error)
    })?;
    sqlx::query(
        "INSERT INTO documents (collection, id, update_time, updated_at, campaign_id, fields) \
         VALUES (?, ?, ?, ?, ?, ?) \
         ON CONFLICT (collection, id) DO UPDATE SET update_time = excluded.update_time, \
         updated_at = excluded.updated_at, campaign_id = excluded.campaign_id, \
         fields = excluded.fields",
    )
    .bind(doc.collection.as_str())
    .bind(doc.id.as_str())
    .bind(commit_time.as_micros())
    .bind(updated_at.map(Timestamp::as_micros))
    .bind(text("campaignId"))
    .bind(json)
    .execute(connection)
    .await
    .map_err(remote_error)?;
    Ok(())
}
