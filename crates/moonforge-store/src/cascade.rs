//! Deleting with all that hangs below, and undoing it.

use std::collections::HashSet;

use moonforge_model::{Collection, DocId, DocRef, RowOp, children_of};

use crate::edit::{EditTime, is_gone};
use crate::error::StoreError;
use crate::open::Store;
use crate::state::Base;
use crate::tx::WriteTx;

impl Store {
    /// Makes the document and its live descendants tombstones, in one transaction under one delete id. Says how many.
    pub async fn delete(&self, doc: DocRef, at: EditTime) -> Result<u64, StoreError> {
        self.write(move |tx| Box::pin(async move { tx.delete(doc, at).await }))
            .await
    }

    /// Undoes the delete that made this tombstone, for all documents that fell with it. Says how many.
    pub async fn restore(&self, doc: DocRef, at: EditTime) -> Result<u64, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let Some(view) = tx.load(&doc).await?.view() else {
                    return Err(StoreError::NotFound(doc));
                };
                let Some(deletion) = view.deleted else {
                    return Ok(0);
                };
                let fallen = match deletion.id() {
                    "" => vec![doc],
                    id => tx.fallen_with(id).await?,
                };
                let mut affected = 0;
                for doc in fallen {
                    let mut state = tx.load(&doc).await?;
                    let op = match (&state.base, is_gone(&state)) {
                        (
                            Base::Absent {
                                remains: Some((fields, _)),
                                ..
                            },
                            true,
                        ) => RowOp::Create {
                            fields: fields.clone(),
                        },
                        _ => RowOp::Restore {
                            delete_id: deletion.id().to_owned(),
                        },
                    };
                    tx.queue(&mut state, op, at).await?;
                    affected += 1;
                }
                Ok(affected)
            })
        })
        .await
    }
}

impl WriteTx {
    pub(crate) async fn delete(&mut self, doc: DocRef, at: EditTime) -> Result<u64, StoreError> {
        let state = self.load(&doc).await?;
        match state.view() {
            None => return Err(StoreError::NotFound(doc)),
            Some(view) if view.deleted.is_some() => return Err(StoreError::Deleted(doc)),
            Some(_) => {}
        }
        let delete_id = self.new_id();
        let mut affected = 0;
        for doc in self.with_descendants(doc).await? {
            let mut state = self.load(&doc).await?;
            // Tombstones already there keep theirs.
            if state.view().is_some_and(|view| view.deleted.is_none()) {
                let op = RowOp::Delete {
                    delete_id: delete_id.clone(),
                };
                self.queue(&mut state, op, at).await?;
                affected += 1;
            }
        }
        Ok(affected)
    }

    /// The document and everything below it, parents first, each once.
    pub(crate) async fn with_descendants(
        &mut self,
        doc: DocRef,
    ) -> Result<Vec<DocRef>, StoreError> {
        let registry = self.registry();
        let mut seen = HashSet::from([doc.clone()]);
        let mut found = vec![doc];
        let mut next = 0;
        while let Some(parent) = found.get(next).cloned() {
            next += 1;
            for (collection, field) in children_of(&registry, &parent.collection) {
                for id in self
                    .ids_where(&collection, &field, parent.id.as_str())
                    .await?
                {
                    let child = DocRef::new(collection.clone(), id);
                    if seen.insert(child.clone()) {
                        found.push(child);
                    }
                }
            }
        }
        Ok(found)
    }

    async fn ids_where(
        &mut self,
        collection: &Collection,
        field: &str,
        value: &str,
    ) -> Result<Vec<DocId>, StoreError> {
        let table = self.table(collection)?;
        let condition = match field {
            "campaignId" => "campaign_id = ?2",
            "adventureId" if table.name == "chapters" => "adventure_id = ?2",
            "chapterId" if table.name == "scenes" => "chapter_id = ?2",
            _ => "json_extract(body, '$.' || json_quote(?1)) = ?2",
        };
        let sql = format!(
            "SELECT id FROM {} WHERE {} AND ?1 IS NOT NULL AND {condition} AND deleted_at IS NULL ORDER BY id",
            table.name, table.only
        );
        let ids: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(field)
            .bind(value)
            .fetch_all(self.conn())
            .await?;
        ids.into_iter().map(|id| Ok(DocId::new(id)?)).collect()
    }

    async fn fallen_with(&mut self, delete_id: &str) -> Result<Vec<DocRef>, StoreError> {
        let mut found = Vec::new();
        for config in self.registry().iter() {
            let table = self.table(&config.name)?;
            let sql = format!(
                "SELECT id FROM {} WHERE {} AND delete_id = ?1 AND deleted_at IS NOT NULL ORDER BY id",
                table.name, table.only
            );
            let ids: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
                .bind(delete_id)
                .fetch_all(self.conn())
                .await?;
            for id in ids {
                found.push(DocRef::new(config.name.clone(), DocId::new(id)?));
            }
        }
        Ok(found)
    }
}
