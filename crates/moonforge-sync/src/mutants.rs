//! What the engine does when a mistake is planted and a line in its place doesn't say it. Tests alone plant any.

use moonforge_model::mutant::{Mutant, planted};
use moonforge_model::{DocRef, PatchOp, Row, RowOp, Version, apply};
use moonforge_store::{DocState, PendingDoc, Store, StoreError, WriteTx};

use crate::settle::Settlement;

/// Forgets what waits to be sent of a document.
pub(crate) async fn drop_rows(tx: &mut WriteTx, doc: &DocRef) -> Result<(), StoreError> {
    let mut state = tx.load(doc).await?;
    state.rows.clear();
    tx.save(&mut state).await
}

/// Documents with rows behind a parked one.
pub(crate) async fn past_parked(store: &Store) -> Result<Vec<PendingDoc>, StoreError> {
    let outbox = store.outbox().await?;
    let parked = |doc: &DocRef| {
        outbox
            .iter()
            .any(|e| e.doc == *doc && e.row.row.parked.is_some())
    };
    let mut docs: Vec<PendingDoc> = Vec::new();
    for entry in outbox
        .iter()
        .filter(|e| e.row.row.parked.is_none() && parked(&e.doc))
    {
        if !docs.iter().any(|d| d.doc == entry.doc) {
            docs.push(PendingDoc {
                doc: entry.doc.clone(),
                campaign: store.campaign_of(&entry.doc).await?,
                oldest: entry.row.row.n,
            });
        }
    }
    Ok(docs)
}

/// Forgets what waits to be sent of a campaign.
pub(crate) async fn wipe(store: &Store, campaign: &str) -> Result<(), StoreError> {
    for pending in store.outbox().await? {
        let doc = pending.doc;
        if store.campaign_of(&doc).await?.as_deref() == Some(campaign) {
            store
                .write(move |tx| Box::pin(async move { drop_rows(tx, &doc).await }))
                .await?;
        }
    }
    Ok(())
}

/// Whether the rows of a document come to nothing.
pub(crate) fn comes_to_nothing(state: &DocState) -> bool {
    let view = state.view();
    state.version().is_some_and(|base| {
        view.is_some_and(|v| v.fields == base.fields && v.deleted == base.envelope.deleted)
    })
}

/// Settles anew, by what the document looks like.
pub(crate) fn settle_by_content(settlement: &mut Settlement, version: &Version, rows: &[Row]) {
    if planted(Mutant::SettleByContent) {
        let there = |op: &PatchOp| {
            let mut fields = version.fields.clone();
            !matches!(op, PatchOp::Increment { .. })
                && apply(&mut fields, op).is_ok()
                && fields == version.fields
        };
        let covered = rows.iter().filter(|row| match &row.op {
            RowOp::Patch { ops } => ops.iter().all(there),
            RowOp::Create { fields } => version.fields == *fields,
            RowOp::Delete { .. } | RowOp::Restore { .. } => false,
        });
        settlement.covered = covered.map(|row| row.n).collect();
        settlement.undecidable.clear();
    }
}

/// Whether a row that is in the document stays in the outbox all the same.
pub(crate) fn applied_again(row: &Row, others: bool) -> bool {
    let increment = |op: &PatchOp| matches!(op, PatchOp::Increment { .. });
    planted(Mutant::IncrementsAgain)
        && others
        && matches!(&row.op, RowOp::Patch { ops } if ops.iter().any(increment))
}
