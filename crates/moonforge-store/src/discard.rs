//! Giving edits up, and taking them back: the journal holds what they would have written.

use moonforge_model::{
    Conflict, ConflictContext, ConflictReason, DocRef, EDITED_ALL, FieldPath, Fields, Folded,
    LostSide, PatchOp, Row, RowOp, Timestamp, set_at, value_at,
};
use serde_json::Value;
use sqlx::Row as _;

use crate::edit::{EditTime, Written, is_gone};
use crate::error::StoreError;
use crate::open::Store;
use crate::operations::is_call;
use crate::state::{Base, DocState, OutboxRow};
use crate::tx::WriteTx;

/// The field of an entry that holds a whole document. No path prints like that.
pub(crate) const WHOLE: &str = EDITED_ALL;

impl Store {
    /// Gives up the edit `n`, which goes to the conflict journal, with an entry for each field. One that is at the remote
    /// perhaps, and not parked, can't be given up. Says how many edits went.
    ///
    /// Without its creation a document that isn't at the remote has no ground to stand on: all its edits go, and one entry
    /// holds the document, so that taking it makes the document again. An edit that can't be read is journaled as its
    /// text.
    ///
    /// An operation that was begun can be given up as long as nobody syncs: then it isn't being carried out.
    pub async fn discard(&self, n: u64, now: Timestamp) -> Result<u64, StoreError> {
        let begun: Option<String> = sqlx::query_scalar(
            "SELECT collection FROM outbox_ops WHERE n = ?1 AND operation = 'call' AND sent = 1",
        )
        .bind(n as i64)
        .fetch_optional(&self.inner.readers)
        .await?;
        let _idle = match begun {
            Some(_) => Some(self.lock_for_sync().map_err(|error| match error {
                StoreError::SyncBusy => StoreError::InFlight(n),
                error => error,
            })?),
            None => None,
        };
        self.write(move |tx| Box::pin(async move { tx.discard(n, now).await }))
            .await
    }
}

impl WriteTx {
    async fn discard(&mut self, n: u64, now: Timestamp) -> Result<u64, StoreError> {
        let row = sqlx::query(
            "SELECT collection, doc_id, operation, payload, sent <> 0 AND state <> 'parked' AS in_flight
             FROM outbox_ops WHERE n = ?1",
        )
        .bind(n as i64)
        .fetch_optional(self.conn())
        .await?
        .ok_or(StoreError::NoSuch { what: "row", id: n })?;
        let (collection, id): (String, String) =
            (row.try_get("collection")?, row.try_get("doc_id")?);
        let payload: String = row.try_get("payload")?;
        let operation: String = row.try_get("operation")?;
        if is_call(&operation, &collection) {
            return self.discard_call(n, (&collection, &id), payload, now).await;
        }
        let doc = DocRef::parse(&collection, &id).ok();
        if let Some(doc) = &doc {
            self.know(&doc.collection);
            if serde_json::from_str::<RowOp>(&payload).is_ok() {
                let mut state = self.load(doc).await?;
                return self.give_up(&mut state, |row| row.row.n == n, now).await;
            }
        }
        if row.try_get("in_flight")? {
            return Err(StoreError::InFlight(n));
        }
        let creates = operation == "create";
        let entry = discarded(operation, None, Some(payload.into()), Vec::new());
        self.journal_as(&collection, &id, &entry, now).await?;
        let rest = match &doc {
            Some(doc) => Some(self.load_without(doc, n).await),
            None => None,
        };
        sqlx::query("DELETE FROM outbox_ops WHERE n = ?1")
            .bind(n as i64)
            .execute(self.conn())
            .await?;
        match rest {
            Some(Ok(mut state)) if creates && !has_ground(&state) => {
                Ok(1 + self.give_up(&mut state, |_| true, now).await?)
            }
            Some(Ok(mut state)) => {
                self.save(&mut state).await?;
                Ok(1)
            }
            // Another of its edits can't be read either.
            Some(Err(StoreError::Corrupt(_))) => Ok(1),
            Some(Err(error)) => Err(error),
            None => {
                sqlx::query(
                    "DELETE FROM local_metas WHERE collection = ?1 AND doc_id = ?2 AND NOT EXISTS (
                         SELECT 1 FROM outbox_ops WHERE collection = ?1 AND doc_id = ?2)",
                )
                .bind(collection)
                .bind(id)
                .execute(self.conn())
                .await?;
                Ok(1)
            }
        }
    }

    /// Takes rows out of their document's state, enters them in the journal and saves the state. Says how many went.
    pub(crate) async fn give_up(
        &mut self,
        state: &mut DocState,
        which: impl Fn(&OutboxRow) -> bool,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let before = state.clone();
        let creates = |row: &OutboxRow| which(row) && matches!(row.row.op, RowOp::Create { .. });
        let all = !has_ground(state) && state.rows.iter().any(creates);
        let (gone, kept) = before
            .rows
            .iter()
            .cloned()
            .partition::<Vec<_>, _>(|row| all || which(row));
        let in_flight = |row: &&OutboxRow| row.row.sent && row.row.parked.is_none();
        if let Some(row) = gone.iter().find(in_flight) {
            return Err(StoreError::InFlight(row.row.n));
        }
        state.rows = kept;
        let entries = if all {
            before
                .view()
                .map(|view| whole(view.fields))
                .into_iter()
                .collect()
        } else {
            each(&before, state, &gone)
        };
        for entry in entries {
            self.journal(&state.doc, &entry, now).await?;
        }
        self.save(state).await?;
        Ok(gone.len() as u64)
    }

    /// Makes the document of an entry that holds a whole one, or brings it into what was made in its place.
    pub(crate) async fn bring_back(
        &mut self,
        doc: &DocRef,
        ops: Vec<PatchOp>,
        at: EditTime,
    ) -> Result<Written, StoreError> {
        let mut fields = Fields::new();
        for op in ops {
            if let PatchOp::Set { path, value } = op {
                set_at(&mut fields, &path, value);
            }
        }
        let mut state = self.load(doc).await?;
        if is_gone(&state) {
            self.queue(&mut state, RowOp::Create { fields }, at).await?;
            return Ok(Written {
                rev: state.rev(),
                dirty: true,
                changed: true,
            });
        }
        self.put(doc, fields, None, at).await
    }
}

/// Whether there is anything but its edits that the document consists of.
fn has_ground(state: &DocState) -> bool {
    match &state.base {
        Base::Known(_) => true,
        Base::Unknown { shown } => !shown.is_empty(),
        Base::Absent { .. } => false,
    }
}

/// The entries of rows that are in the state `before` and not in the one `after`.
fn each(before: &DocState, after: &DocState, gone: &[OutboxRow]) -> Vec<Conflict> {
    let after = after.view();
    let mut found = Vec::new();
    for row in gone {
        // What its author saw, once he had written it.
        let mut then = before.clone();
        then.rows.retain(|r| r.row.n <= row.row.n);
        let entries = entries(&row.row, then.view().as_ref(), after.as_ref());
        found.extend(entries.into_iter().map(|entry| Conflict {
            context: ConflictContext {
                lost_at: Some(row.row.edited_at),
                ..ConflictContext::default()
            },
            ..entry
        }));
    }
    found
}

fn entries(row: &Row, then: Option<&Folded>, now: Option<&Folded>) -> Vec<Conflict> {
    let at = |folded: Option<&Folded>, path: &FieldPath| {
        folded.and_then(|f| value_at(&f.fields, path)).cloned()
    };
    let deleted = |folded: Option<&Folded>| {
        let deletion = folded.and_then(|f| f.deleted.as_ref());
        deletion.map(|d| Value::String(d.at.to_string()))
    };
    match &row.op {
        RowOp::Patch { ops } => {
            let entry = |op: &PatchOp| {
                let lost = match op {
                    PatchOp::Set { value, .. } => Some(value.clone()),
                    PatchOp::Unset { .. } => None,
                    _ => at(then, op.path()),
                };
                let kept = at(now, op.path());
                discarded(op.path().to_string(), kept, lost, vec![op.clone()])
            };
            ops.iter().map(entry).collect()
        }
        // Over what was there before, as far as it differs.
        RowOp::Create { fields } => fields
            .iter()
            .filter_map(|(name, value)| {
                let path = FieldPath::field(name);
                let kept = at(now, &path);
                let differs = kept.as_ref() != Some(value);
                differs.then(|| {
                    let value = value.clone();
                    let set = PatchOp::Set {
                        path: path.clone(),
                        value: value.clone(),
                    };
                    discarded(path.to_string(), kept, Some(value), vec![set])
                })
            })
            .collect(),
        RowOp::Delete { .. } | RowOp::Restore { .. } => {
            let field = "deletedAt".to_owned();
            vec![discarded(field, deleted(now), deleted(then), Vec::new())]
        }
    }
}

fn whole(fields: Fields) -> Conflict {
    let set = |(name, value): (&String, &Value)| PatchOp::Set {
        path: FieldPath::field(name),
        value: value.clone(),
    };
    let bring_back = fields.iter().map(set).collect();
    discarded(
        WHOLE.to_owned(),
        None,
        Some(Value::Object(fields)),
        bring_back,
    )
}

fn discarded(
    field: String,
    kept: Option<Value>,
    lost: Option<Value>,
    bring_back: Vec<PatchOp>,
) -> Conflict {
    Conflict {
        field,
        kept: kept.unwrap_or_default(),
        lost: lost.unwrap_or_default(),
        lost_side: LostSide::Local,
        reason: ConflictReason::Discarded,
        bring_back,
        context: ConflictContext::default(),
    }
}
