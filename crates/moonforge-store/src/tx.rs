//! The one write path: a transaction in a task of its own, acknowledged after its commit.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use moonforge_model::{
    Collection, CollectionConfig, ConflictResolver, DocRef, Registry, SyncScope,
};
use sqlx::{Sqlite, SqliteConnection, Transaction};

use crate::error::StoreError;
use crate::identity::Incarnations;
use crate::open::{IdSource, Inner, Store};
use crate::room::Allowance;
use crate::state::DocState;
use crate::table::{Table, Tables};
use crate::watch::Change;

/// Called around each write transaction, so that a test can stop or "kill" the process there.
#[async_trait]
pub trait TransactionProbe: Send + Sync {
    /// Before the commit. An error rolls back.
    async fn before_commit(&self) -> Result<(), StoreError>;

    /// After the commit, before it is acknowledged.
    async fn after_commit(&self) -> Result<(), StoreError>;
}

/// A write transaction.
pub struct WriteTx {
    pub(crate) tx: Transaction<'static, Sqlite>,
    inner: Arc<Inner>,
    pub(crate) changed: Vec<DocRef>,
    /// States that were read ahead.
    pub(crate) ahead: HashMap<DocRef, DocState>,
    /// Tables of collections that aren't registered.
    strangers: HashMap<Collection, Table>,
    /// Whether the quarantine is empty, once asked for.
    pub(crate) nothing_quarantined: Option<bool>,
    /// The copies of this file, once asked for.
    pub(crate) incarnations: Option<Incarnations>,
    /// Whether the journal changed.
    pub(crate) journaled: bool,
    /// The scopes that this device joined, once asked for.
    pub(crate) scopes: Option<Arc<Vec<SyncScope>>>,
}

impl WriteTx {
    pub(crate) fn conn(&mut self) -> &mut SqliteConnection {
        &mut self.tx
    }

    pub(crate) fn room(&self) -> &Allowance {
        &self.inner.room
    }

    pub(crate) fn tables(&self) -> &Tables {
        &self.inner.tables
    }

    pub(crate) fn table(&self, collection: &Collection) -> Result<&Table, StoreError> {
        let unknown = || StoreError::UnknownCollection(collection.to_string());
        let known = self.tables().get(collection);
        known
            .or_else(|| self.strangers.get(collection))
            .ok_or_else(unknown)
    }

    /// Lets this transaction load and save documents of a collection also where it isn't registered.
    pub(crate) fn know(&mut self, collection: &Collection) {
        if self.tables().get(collection).is_none() {
            let config = CollectionConfig::new(collection.clone(), []);
            let table = Table::new(&self.inner.registry, &config);
            self.strangers.insert(collection.clone(), table);
        }
    }

    /// The registered collections.
    pub fn registry(&self) -> Arc<Registry> {
        self.inner.registry.clone()
    }

    /// What is known of a collection.
    pub fn config(&self, collection: &Collection) -> Result<CollectionConfig, StoreError> {
        let unknown = || StoreError::UnknownCollection(collection.to_string());
        self.inner
            .registry
            .get(collection.as_str())
            .cloned()
            .ok_or_else(unknown)
    }

    /// The app's say in conflicts.
    pub fn resolver(&self) -> Option<Arc<dyn ConflictResolver>> {
        self.inner.resolver.clone()
    }

    /// A new random id.
    pub fn new_id(&self) -> String {
        (self.inner.new_id)()
    }
}

impl Store {
    /// Runs `work` in one write transaction and returns once its commit is durable.
    ///
    /// The transaction runs to its end even when the returned future is dropped: a caller who stops waiting leaves a whole
    /// write or none, never half of one. `work` must not await anything but the transaction.
    pub async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut WriteTx) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    {
        let inner = self.inner.clone();
        let task = tokio::spawn(async move {
            let tx = inner.writer.begin_with("BEGIN IMMEDIATE").await?;
            let mut tx = WriteTx {
                tx,
                inner: inner.clone(),
                changed: Vec::new(),
                ahead: HashMap::new(),
                strangers: HashMap::new(),
                incarnations: None,
                nothing_quarantined: None,
                journaled: false,
                scopes: None,
            };
            let value = work(&mut tx).await?;
            if let Some(probe) = &inner.probe {
                probe.before_commit().await?;
            }
            let changed = std::mem::take(&mut tx.changed);
            let journaled = tx.journaled;
            tx.tx.commit().await?;
            if journaled {
                inner.journaled.send_replace(());
            }
            if !changed.is_empty() {
                // No receiver is no error: nobody watches.
                let _ = inner.changes.send(Change::Documents(changed.into()));
            }
            if let Some(probe) = &inner.probe {
                probe.after_commit().await?;
            }
            Ok(value)
        });
        match task.await {
            Ok(result) => result,
            Err(join) if join.is_panic() => std::panic::resume_unwind(join.into_panic()),
            Err(_) => Err(StoreError::Interrupted),
        }
    }

    pub(crate) fn table(&self, collection: &Collection) -> Result<&Table, StoreError> {
        let unknown = || StoreError::UnknownCollection(collection.to_string());
        self.inner.tables.get(collection).ok_or_else(unknown)
    }

    /// What is known of a collection.
    pub fn config(&self, collection: &Collection) -> Result<&CollectionConfig, StoreError> {
        let unknown = || StoreError::UnknownCollection(collection.to_string());
        self.inner
            .registry
            .get(collection.as_str())
            .ok_or_else(unknown)
    }

    /// Makes ids as the store does.
    pub fn id_source(&self) -> IdSource {
        self.inner.new_id.clone()
    }
}
