//! Notices of what changed, after the commit, and streams of what is there now.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, Stream};
use moonforge_model::{Collection, DocRef};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::error::StoreError;
use crate::open::Store;
use crate::query::{Page, QuerySpec};
use crate::read::StoredDoc;

/// What a commit changed.
#[derive(Clone, Debug)]
pub enum Change {
    /// These documents.
    Documents(Arc<[DocRef]>),
    /// Something: another process wrote.
    Unknown,
}

impl Store {
    /// Notices from now on. One who is slow is told that notices were missed, and looks at everything again.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.inner.changes.subscribe()
    }

    /// The document as it is, then each time it has become another, `None` where there is none. One who is slow gets the
    /// newest state, not each between. Ends only when dropped; an error is an item, and the next change is tried again.
    pub fn watch_doc(
        &self,
        doc: DocRef,
    ) -> impl Stream<Item = Result<Option<StoredDoc>, StoreError>> + Send + use<> {
        let above = self.above(&doc.collection);
        let watched = doc.clone();
        let matters = move |d: &DocRef| *d == watched || above.contains(&d.collection);
        let look = move |store: Store| -> BoxFuture<'static, _> {
            let doc = doc.clone();
            Box::pin(async move { store.get(&doc).await })
        };
        self.watch(matters, look)
    }

    /// The page as it is, then each time it has become another; otherwise as [`Store::watch_doc`].
    pub fn watch_query(
        &self,
        spec: QuerySpec,
    ) -> impl Stream<Item = Result<Page, StoreError>> + Send + use<> {
        let above = self.above(&spec.collection);
        let own = spec.collection.clone();
        let matters = move |d: &DocRef| d.collection == own || above.contains(&d.collection);
        let look = move |store: Store| -> BoxFuture<'static, _> {
            let spec = spec.clone();
            Box::pin(async move { store.list(&spec).await })
        };
        self.watch(matters, look)
    }

    /// Tells watchers that another process, or another store on this file, wrote since the last call. Says whether one did.
    /// The store has no clock: whoever has one calls this now and then.
    pub async fn poll_other_processes(&self) -> Result<bool, StoreError> {
        // On the one connection that writes here, the number moves with the commits of others alone.
        let now: i64 = sqlx::query_scalar("PRAGMA data_version")
            .fetch_one(&self.inner.writer)
            .await?;
        let moved = self.inner.data_version.swap(now, Ordering::Relaxed) != now;
        if moved {
            // No receiver is no error: nobody watches.
            let _ = self.inner.changes.send(Change::Unknown);
            self.inner.journaled.send_replace(());
        }
        Ok(moved)
    }

    /// The collections whose tombstones hide documents of this one.
    fn above(&self, collection: &Collection) -> HashSet<Collection> {
        let mut above = HashSet::new();
        let mut next = Some(collection.clone());
        while let Some(config) = next.take().and_then(|c| self.registry().get(c.as_str())) {
            if config.in_campaign {
                above.extend(Collection::new("campaigns"));
            }
            let parent = config.parent.as_ref().map(|p| p.collection.clone());
            next = parent.filter(|p| above.insert(p.clone()));
        }
        above
    }

    fn watch<T, M, L>(
        &self,
        matters: M,
        look: L,
    ) -> impl Stream<Item = Result<T, StoreError>> + Send + use<T, M, L>
    where
        T: Clone + PartialEq + Send + 'static,
        M: Fn(&DocRef) -> bool + Send + 'static,
        L: Fn(Store) -> BoxFuture<'static, Result<T, StoreError>> + Send + 'static,
    {
        struct Watch<T, M, L> {
            store: Store,
            // Taken before the first look, so that nothing falls between.
            changes: broadcast::Receiver<Change>,
            last: Option<T>,
            due: bool,
            matters: M,
            look: L,
        }
        let start = Watch {
            store: self.clone(),
            changes: self.changes(),
            last: None,
            due: true,
            matters,
            look,
        };
        stream::unfold(start, async |mut watch| {
            loop {
                while !watch.due {
                    watch.due = match watch.changes.recv().await {
                        Ok(change) => change.matters(&watch.matters),
                        Err(RecvError::Lagged(_)) => true,
                        Err(RecvError::Closed) => return None,
                    };
                }
                // Many changes, one look.
                while !matches!(
                    watch.changes.try_recv(),
                    Err(TryRecvError::Empty | TryRecvError::Closed)
                ) {}
                watch.due = false;
                // In a task of its own, so that a watcher who stops polling halfway doesn't keep a connection.
                let looked = tokio::spawn((watch.look)(watch.store.clone())).await;
                let item = match looked.unwrap_or(Err(StoreError::Interrupted)) {
                    Ok(now) if watch.last.as_ref() == Some(&now) => continue,
                    Ok(now) => {
                        watch.last = Some(now.clone());
                        Ok(now)
                    }
                    Err(error) => Err(error),
                };
                return Some((item, watch));
            }
        })
    }
}

impl Change {
    fn matters(&self, wanted: impl Fn(&DocRef) -> bool) -> bool {
        match self {
            Self::Documents(docs) => docs.iter().any(wanted),
            Self::Unknown => true,
        }
    }
}
