//! An open database.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use moonforge_model::{Collection, DocId, Registry};
use moonforge_ports::{Clock, Random};
use moonforge_store::{EditTime, Store};
use moonforge_sync::{Coordinator, Executors, Parts};

use crate::background::{Background, Connector};
use crate::builder::Builder;
use crate::cloud::Cloud;
use crate::conflicts::Conflicts;
use crate::documents::Documents;
use crate::error::Error;
use crate::outbox::Outbox;
use crate::refresh::Refreshes;
use crate::sync::Syncing;

/// An open database and the cloud that it is kept in step with.
///
/// Every write is on the disk when its call returns, with or without a network; [`Moonforge::sync_now`] exchanges what
/// changed. Cheap to clone; clones are the same database.
#[derive(Clone)]
pub struct Moonforge {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) cloud: Cloud,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) syncing: Syncing,
    pub(crate) executors: Executors,
    pub(crate) coordinator: Coordinator,
    pub(crate) refreshes: Refreshes,
    /// How long a read waits for the cloud.
    pub(crate) read_deadline: Duration,
}

impl std::fmt::Debug for Moonforge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Moonforge")
            .field("store", &self.inner.store)
            .field("cloud", &self.inner.cloud)
            .finish_non_exhaustive()
    }
}

impl Moonforge {
    /// Begins to open the database at `path`.
    pub fn builder(path: impl Into<PathBuf>) -> Builder {
        Builder::new(Some(path.into()))
    }

    /// Begins to open a database in memory, for tests. Its cloud is in memory too, unless another is named.
    pub fn memory_builder() -> Builder {
        Builder::new(None)
    }

    /// Opens a database in memory with a cloud in memory, for tests of an app.
    ///
    /// # Errors
    /// None is to be expected.
    pub async fn in_memory() -> Result<Self, Error> {
        Self::memory_builder().open().await
    }

    pub(crate) fn new(
        store: Store,
        cloud: Cloud,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        background: Background,
        read_deadline: Duration,
    ) -> Self {
        let made = |inner: &Weak<Inner>| {
            let parts = Parts {
                store: store.clone(),
                runner: Arc::new(Connector(inner.clone())),
                clock: clock.clone(),
                random: random.clone(),
                connectivity: background.connectivity,
                cadence: background.cadence,
                options: background.options,
            };
            Inner {
                coordinator: Coordinator::new(parts),
                store,
                cloud,
                clock,
                random,
                syncing: Syncing::default(),
                refreshes: Refreshes::default(),
                read_deadline,
                executors: background.executors,
            }
        };
        Self {
            inner: Arc::new_cyclic(made),
        }
    }

    /// The database behind a weak handle, if anybody still has it.
    pub(crate) fn upgrade(inner: &Weak<Inner>) -> Option<Self> {
        Some(Self {
            inner: inner.upgrade()?,
        })
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.inner.clock
    }

    /// The present moment for an edit: by this device's clock, and by the cloud's as far as known.
    pub(crate) async fn edit_time(&self) -> Result<EditTime, Error> {
        let local = self.clock().now();
        let server = local.offset_micros(self.store().clock_offset().await?);
        Ok(EditTime { local, server })
    }

    /// A new document's id: a UUIDv7, so that ids made later sort later.
    pub fn new_id(&self) -> DocId {
        let millis = self.clock().now().as_micros().div_euclid(1000);
        let mut random = [0; 10];
        self.inner.random.fill(&mut random);
        let id =
            uuid::Builder::from_unix_timestamp_millis(u64::try_from(millis).unwrap_or(0), &random);
        DocId::new(id.into_uuid().to_string()).expect("a UUID is a valid id")
    }

    /// Whom requests to the cloud are made for, as far as this side can tell.
    pub fn uid(&self) -> Option<String> {
        self.inner.cloud.uid()
    }

    /// The file, unless the database is in memory.
    pub fn path(&self) -> Option<&Path> {
        self.store().path()
    }

    /// The registered collections.
    pub fn registry(&self) -> &Registry {
        self.store().registry()
    }

    /// The name of a registered collection.
    ///
    /// # Errors
    /// `unknown_collection`.
    pub fn collection(&self, name: &str) -> Result<Collection, Error> {
        let found = self.registry().get(name).map(|config| config.name.clone());
        found.ok_or_else(|| moonforge_store::StoreError::UnknownCollection(name.to_owned()).into())
    }

    /// The documents of a collection, as JSON.
    ///
    /// # Errors
    /// `unknown_collection`.
    pub fn documents(&self, collection: &str) -> Result<Documents, Error> {
        Ok(Documents::new(self.clone(), self.collection(collection)?))
    }

    /// What waits to be sent.
    pub fn outbox(&self) -> Outbox {
        Outbox::new(self.clone())
    }

    /// The journal of what a merge could not keep.
    pub fn conflicts(&self) -> Conflicts {
        Conflicts::new(self.clone())
    }

    /// Ends the background work and all connections to the database; waits for writes under way. Calls after this fail.
    pub async fn close(&self) {
        self.stop().await;
        self.store().close().await;
    }
}
