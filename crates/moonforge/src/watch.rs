//! Streams of what is there now.

use std::time::Duration;

use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, future, stream};
use moonforge_store::{Page, QuerySpec, StoredDoc};

use crate::documents::Documents;
use crate::error::Error;
use crate::forge::Moonforge;

/// What is there now, then each time it has become something else. Ends only when dropped; after an error it goes on.
pub type Watch<T> = BoxStream<'static, Result<T, Error>>;

/// How often a watcher looks whether another process wrote: SQLite gives no notice of that.
const LOOK_FOR_OTHERS: Duration = Duration::from_secs(1);

impl Documents {
    /// The document as it is, then each time it has become another; `None` while there is none or it is deleted. One who is
    /// slow gets the newest state, not each between. Never shows what was rolled back, and shows what other processes wrote
    /// about a second later.
    ///
    /// # Errors
    /// `invalid_id`; items are errors of the local store, after which the stream goes on.
    pub fn watch(&self, id: impl AsRef<str>) -> Result<Watch<Option<StoredDoc>>, Error> {
        let doc = self.doc(id)?;
        let stream = self.forge().store().watch_doc(doc);
        let live = |doc: Option<StoredDoc>| doc.filter(|doc| doc.deleted.is_none());
        let stream = stream.map(move |doc| doc.map(live).map_err(Error::from));
        Ok(with_other_processes(self.forge().clone(), stream).boxed())
    }

    /// The list as it is, then each time it has become another; otherwise as [`Documents::watch`].
    pub fn watch_query(&self, query: QuerySpec) -> Watch<Page> {
        let stream = self.forge().store().watch_query(query);
        let stream = stream.map(|page| page.map_err(Error::from));
        with_other_processes(self.forge().clone(), stream).boxed()
    }

    /// All live documents, by id, then each time something about them has changed.
    pub fn watch_all(&self) -> Watch<Vec<StoredDoc>> {
        let pages = self.watch_query(self.query());
        pages.map(|page| Ok(page?.items)).boxed()
    }
}

/// The stream, and beside it a look now and then whether another process wrote, of which the store then tells it.
pub(crate) fn with_other_processes<S: Stream + Send>(
    forge: Moonforge,
    watched: S,
) -> impl Stream<Item = S::Item> + Send + use<S>
where
    S::Item: Send,
{
    let looks = stream::unfold(forge, async |forge| {
        // No other process has a database in memory.
        if forge.path().is_none() {
            future::pending::<()>().await;
        }
        forge.clock().sleep(LOOK_FOR_OTHERS).await;
        if let Err(error) = forge.store().poll_other_processes().await {
            tracing::debug!(%error, "can't look for other processes' writes");
        }
        Some((None, forge))
    });
    let both = stream::select(watched.map(Some), looks);
    both.filter_map(future::ready)
}
