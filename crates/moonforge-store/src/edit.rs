//! What a person writes: each call is one transaction that changes the document and queues the edit.

use moonforge_model::mutant::{Mutant, planted};
use moonforge_model::{
    CollectionConfig, DocRef, Fields, PatchOp, Row, RowOp, Timestamp, apply, as_intents,
    as_text_edit, canonical_fields, canonical_op, check_patch, diff_present, validate,
    validate_edit, value_at, without_reserved,
};
use serde_json::Value;

use crate::error::StoreError;
use crate::open::Store;
use crate::overwrite::{Seen, edits, everything, fitted, unseen};
use crate::resolve::as_shown;
use crate::state::{Base, DocState};
use crate::tx::WriteTx;

/// What a write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The last synced rev; 0 for a creation.
    pub rev: i64,
    /// Whether the document has edits on their way.
    pub dirty: bool,
    /// Whether this write changed anything.
    pub changed: bool,
}

/// When an edit is made: by the device's clock, and by the remote's as far as known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EditTime {
    /// The device's clock: when the row was queued.
    pub local: Timestamp,
    /// The same moment in the remote's time: what edits are compared by.
    pub server: Timestamp,
}

impl EditTime {
    /// A device whose clock agrees with the remote's.
    pub fn at(now: Timestamp) -> Self {
        Self {
            local: now,
            server: now,
        }
    }
}

impl Store {
    /// Brings what is present in `fields` into the document, which is made where there is none. Absence unsets nothing.
    pub async fn put(
        &self,
        doc: DocRef,
        fields: Fields,
        at: EditTime,
    ) -> Result<Written, StoreError> {
        self.put_as(doc, fields, None, at).await
    }

    /// [`Store::put`] by `author`, to whom a campaign that this makes belongs where it names no owner.
    pub async fn put_as(
        &self,
        doc: DocRef,
        fields: Fields,
        author: Option<String>,
        at: EditTime,
    ) -> Result<Written, StoreError> {
        self.write(move |tx| {
            Box::pin(async move { tx.put(&doc, fields, author.as_deref(), at).await })
        })
        .await
    }

    /// [`Store::put_as`] of a document that isn't here yet: else the error is [`StoreError::Exists`], or
    /// [`StoreError::Deleted`].
    pub async fn create_as(
        &self,
        doc: DocRef,
        fields: Fields,
        author: Option<String>,
        at: EditTime,
    ) -> Result<Written, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                if let Some(there) = tx.load(&doc).await?.view()
                    && there.deleted.is_none()
                {
                    return Err(StoreError::Exists(doc));
                }
                tx.put(&doc, fields, author.as_deref(), at).await
            })
        })
        .await
    }

    /// [`Store::put`] of a document that is here: else the error is [`StoreError::NotFound`].
    pub async fn update(
        &self,
        doc: DocRef,
        fields: Fields,
        at: EditTime,
    ) -> Result<Written, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                if tx.load(&doc).await?.view().is_none() {
                    return Err(StoreError::NotFound(doc));
                }
                tx.put(&doc, fields, None, at).await
            })
        })
        .await
    }

    /// [`Store::put`] for many documents in one transaction; a document that is refused for what it is spares the others.
    /// Any other error ends the whole, and nothing is written.
    pub async fn put_many(
        &self,
        docs: Vec<(DocRef, Fields)>,
        at: EditTime,
    ) -> Result<Vec<Result<Written, StoreError>>, StoreError> {
        self.put_many_as(docs, None, at).await
    }

    /// [`Store::put_as`] for many documents in one transaction, as [`Store::put_many`].
    pub async fn put_many_as(
        &self,
        docs: Vec<(DocRef, Fields)>,
        author: Option<String>,
        at: EditTime,
    ) -> Result<Vec<Result<Written, StoreError>>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let mut results = Vec::with_capacity(docs.len());
                for (doc, fields) in docs {
                    // `put` checks everything before it writes, so a refusal leaves nothing behind.
                    match tx.put(&doc, fields, author.as_deref(), at).await {
                        Err(error) if !error.is_refusal() => return Err(error),
                        result => results.push(result),
                    }
                }
                Ok(results)
            })
        })
        .await
    }

    /// Writes what its author changed between `snapshot` and `new`, and nothing else. A map of which nothing is left may be
    /// missing in `new`: what others added to it stays.
    ///
    /// What was changed since the snapshot and is replaced by this goes to the conflict journal. An edit inside an entry of
    /// a keyed map that was removed since brings the whole entry back.
    pub async fn upsert(
        &self,
        doc: DocRef,
        snapshot: Fields,
        new: Fields,
        at: EditTime,
    ) -> Result<Written, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let config = tx.config(&doc.collection)?;
                let read = canonical_fields(without_reserved(snapshot));
                let mut left = canonical_fields(without_reserved(new));
                let ops = match planted(Mutant::UpsertWhole) {
                    true => everything(&left),
                    false => edits(&config, &read, &mut left),
                };
                tx.edit(&doc, Seen::Snapshot { read, left }, ops, at).await
            })
        })
        .await
    }

    /// Applies a patch. With a `base_rev` older than what is known, a set over a value that its author may not have seen is
    /// journaled. Documents without revs (sessions) are at 0 for ever, so that no `base_rev` of them is old: there an upsert
    /// from a snapshot tells what its author hasn't seen.
    pub async fn patch(
        &self,
        doc: DocRef,
        base_rev: Option<i64>,
        ops: Vec<PatchOp>,
        at: EditTime,
    ) -> Result<Written, StoreError> {
        self.write(move |tx| Box::pin(async move { tx.patch(&doc, base_rev, ops, at).await }))
            .await
    }
}

impl WriteTx {
    pub(crate) async fn put(
        &mut self,
        doc: &DocRef,
        fields: Fields,
        author: Option<&str>,
        at: EditTime,
    ) -> Result<Written, StoreError> {
        let config = self.config(&doc.collection)?;
        let mut fields = canonical_fields(without_reserved(fields));
        let mut state = self.load(doc).await?;
        let op = match state.view() {
            Some(view) if view.deleted.is_some() => return Err(StoreError::Deleted(doc.clone())),
            Some(view) => {
                let ops = diff_present(&config, &view.fields, &fields);
                let ops = as_intents(&config, &view.fields, ops);
                let mut after = view.fields.clone();
                apply_all(&config, &mut after, &ops)?;
                validate_edit(&config, &view.fields, &after)?;
                if ops.is_empty() {
                    return Ok(written(&state, false));
                }
                RowOp::Patch { ops }
            }
            None => {
                let created = || at.server.to_string().into();
                fields.entry("createdAt").or_insert_with(created);
                if let Some(author) = author
                    && doc.collection.as_str() == "campaigns"
                {
                    name_owner(&mut fields, author);
                }
                validate(&config, &fields)?;
                RowOp::Create { fields }
            }
        };
        self.queue(&mut state, op, at).await?;
        Ok(written(&state, true))
    }

    pub(crate) async fn patch(
        &mut self,
        doc: &DocRef,
        base_rev: Option<i64>,
        ops: Vec<PatchOp>,
        at: EditTime,
    ) -> Result<Written, StoreError> {
        check_patch(&ops)?;
        let seen = base_rev.map_or(Seen::Present, Seen::Rev);
        let ops = ops.into_iter().map(canonical_op).collect();
        self.edit(doc, seen, ops, at).await
    }

    pub(crate) async fn edit(
        &mut self,
        doc: &DocRef,
        seen: Seen,
        ops: Vec<PatchOp>,
        at: EditTime,
    ) -> Result<Written, StoreError> {
        let config = self.config(&doc.collection)?;
        let mut state = self.load(doc).await?;
        let Some(view) = state.view() else {
            return Err(StoreError::NotFound(doc.clone()));
        };
        if view.deleted.is_some() {
            return Err(StoreError::Deleted(doc.clone()));
        }
        let now = view.fields;
        let seen = match seen {
            Seen::Rev(rev) if rev >= state.rev() => Seen::Present,
            seen => seen,
        };
        let ops = fitted(&config, &seen, &now, ops);
        let ops = match &seen {
            Seen::Snapshot { read, .. } => as_intents(&config, read, ops),
            Seen::Shown { path, value } => {
                as_intents(&config, &as_shown(&now, path, value.as_ref()), ops)
            }
            Seen::Present | Seen::Rev(_) => as_intents(&config, &now, ops),
        };
        let as_text = |op: &PatchOp| as_text_edit(&config, &now, op.clone());
        let merged: Vec<PatchOp> = ops.iter().map(as_text).collect();
        let mut after = now.clone();
        apply_all(&config, &mut after, &merged)?;
        validate_edit(&config, &now, &after)?;
        if merged.is_empty() {
            return Ok(written(&state, false));
        }
        // Of the edits as they were given: a text that replaces another reads as an edit of what is there.
        let synced = state.version().map(|v| &v.fields);
        for mut entry in unseen(&seen, &ops, &now, &after, synced) {
            entry.context.kept_at = Some(at.server);
            self.journal(doc, &entry, at.local).await?;
        }
        let op = RowOp::Patch { ops: merged };
        self.queue(&mut state, op, at).await?;
        Ok(written(&state, true))
    }

    /// Queues an edit and saves the state. An edit of a document whose rows were parked sends them all again.
    pub(crate) async fn queue(
        &mut self,
        state: &mut DocState,
        op: RowOp,
        at: EditTime,
    ) -> Result<(), StoreError> {
        self.take_room().await?;
        let incarnation = self.incarnation().await?;
        let waking = !planted(Mutant::ParkedSettledByLater);
        for row in state.rows.iter_mut().filter(|_| waking) {
            row.row.parked = None;
            row.error = None;
        }
        // Nobody edits what he has not seen: an edit is later than the version that it was made on.
        let seen = state.version().and_then(|v| v.envelope.updated_at);
        let row = Row {
            n: 0,
            incarnation,
            op_id: self.new_id(),
            edited_at: seen.map_or(at.server, |seen| at.server.max(seen)),
            op,
            sent: false,
            parked: None,
        };
        state.push_row(row, at.local);
        self.save(state).await
    }

    async fn incarnation(&mut self) -> Result<String, StoreError> {
        crate::identity::get(self.conn(), "incarnation")
            .await?
            .ok_or_else(|| StoreError::corrupt("the file has no incarnation"))
    }
}

/// Rules let nobody make a campaign but its owner, who stands among the members.
fn name_owner(fields: &mut Fields, author: &str) {
    if fields.get("ownerUid").is_some_and(|owner| !owner.is_null()) {
        return;
    }
    fields.insert("ownerUid".to_owned(), author.into());
    let members = fields.entry("memberUids").or_insert(Value::Null);
    if members.is_null() {
        *members = Value::Array(Vec::new());
    }
    // A list of another type is refused by the validation that follows.
    if let Value::Array(members) = members
        && !members.iter().any(|member| member.as_str() == Some(author))
    {
        members.push(author.into());
    }
}

fn apply_all(
    config: &CollectionConfig,
    fields: &mut Fields,
    ops: &[PatchOp],
) -> Result<(), StoreError> {
    let immutable = ["campaignId"];
    for op in ops {
        let before = value_at(fields, op.path()).cloned();
        apply(fields, op)?;
        if config.in_campaign
            && immutable.contains(&op.path().root())
            && before.is_some_and(|b| value_at(fields, op.path()) != Some(&b))
        {
            return Err(StoreError::Patch(moonforge_model::PatchError::Reserved(
                op.path().clone(),
            )));
        }
    }
    Ok(())
}

fn written(state: &DocState, changed: bool) -> Written {
    Written {
        rev: state.rev(),
        dirty: !state.rows.is_empty(),
        changed,
    }
}

/// Whether anything is known of the document at the remote, so that a restore has to create it anew.
pub(crate) fn is_gone(state: &DocState) -> bool {
    matches!(
        state.base,
        Base::Absent {
            remains: Some(_),
            ..
        }
    ) && state.rows.is_empty()
}
