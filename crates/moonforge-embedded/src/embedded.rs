//! The port, over a cloud's connections.

use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::stream;
use moonforge_model::DocRef;
use moonforge_ports::{
    Aggregate, BatchGet, Clock, CommitAnswer, QueryEvent, QueryStream, Random, RemoteError,
    RemoteErrorKind, RemoteQuery, RemoteStore, RemoteWrite, Usage,
};

use crate::error::{OpenError, refuse};
use crate::open::{self, Pools};
use crate::{commit, read};

/// A cloud in one directory, or in memory. Clones are the same cloud, and count their usage together.
///
/// ```
/// # use std::sync::Arc;
/// # use moonforge_embedded::Embedded;
/// # use moonforge_ports::{RemoteQuery, RemoteStore};
/// # use moonforge_testkit::{clock::ManualClock, random::SeededRandom};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let clock = Arc::new(ManualClock::new("2026-11-21T18:30:00Z".parse()?));
/// # let random = SeededRandom::new(1);
/// let cloud = Embedded::in_memory(clock, &random).await?.with_uid(Some("gm".to_owned()));
/// assert_eq!(cloud.uid().as_deref(), Some("gm"));
/// let scenes = RemoteQuery::all("scenes".parse()?);
/// assert_eq!(cloud.aggregate(&scenes).await?.count, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Embedded {
    pools: Pools,
    clock: Arc<dyn Clock>,
    uid: Option<String>,
    usage: Arc<Mutex<Usage>>,
}

impl Embedded {
    /// Opens the cloud in `dir`, which is made where there is none. `random` gives a new cloud its id.
    ///
    /// The folder above `dir` has to be there: where it isn't, a disk may be missing, and a new cloud in its place would
    /// be another one.
    ///
    /// # Errors
    /// [`OpenError::Missing`] where that folder isn't there, and the others as they say.
    pub async fn open(
        dir: impl AsRef<Path>,
        clock: Arc<dyn Clock>,
        random: &dyn Random,
    ) -> Result<Self, OpenError> {
        Ok(Self::new(
            open::directory(dir.as_ref(), Some(random)).await?,
            clock,
        ))
    }

    /// Opens the cloud in `dir` and makes none: for whoever was in step with one there before.
    ///
    /// # Errors
    /// [`OpenError::Missing`] where there is none, and the others as they say.
    pub async fn open_existing(
        dir: impl AsRef<Path>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        Ok(Self::new(open::directory(dir.as_ref(), None).await?, clock))
    }

    /// A cloud that goes with its last clone.
    pub async fn in_memory(clock: Arc<dyn Clock>, random: &dyn Random) -> Result<Self, OpenError> {
        Ok(Self::new(open::in_memory(random).await?, clock))
    }

    fn new(pools: Pools, clock: Arc<dyn Clock>) -> Self {
        Self {
            pools,
            clock,
            uid: None,
            usage: Arc::default(),
        }
    }

    /// The same cloud, used by `uid`. Nothing is kept from anyone: a uid only says who owns what is made.
    #[must_use]
    pub fn with_uid(self, uid: Option<String>) -> Self {
        Self { uid, ..self }
    }

    /// Closes this process's connections, after which every request fails. Without it they go with the last clone.
    pub async fn close(&self) {
        self.pools.readers.close().await;
        self.pools.writer.close().await;
    }

    fn bill(&self, reads: usize, writes: usize) {
        let mut usage = self.usage.lock().expect("no panic while held");
        usage.reads += reads as u64;
        usage.writes += writes as u64;
    }
}

#[async_trait]
impl RemoteStore for Embedded {
    async fn commit(&self, writes: &[RemoteWrite]) -> Result<CommitAnswer, RemoteError> {
        // A task of its own: what was begun ends as a whole, also where the caller goes away.
        let (pool, writes, now) = (self.pools.writer.clone(), writes.to_vec(), self.clock.now());
        let count = writes.len();
        let task = tokio::spawn(async move { commit::commit(&pool, &writes, now).await });
        let answer = task.await.map_err(|error| {
            refuse(RemoteErrorKind::Internal, "the commit's task failed").with_source(error)
        })??;
        self.bill(0, count);
        Ok(answer)
    }

    async fn batch_get(&self, docs: &[DocRef]) -> Result<BatchGet, RemoteError> {
        let answer = read::batch_get(&self.pools.readers, docs, self.clock.now()).await?;
        self.bill(answer.found.len() + answer.missing.len(), 0);
        Ok(answer)
    }

    async fn query(&self, query: &RemoteQuery) -> Result<QueryStream<'_>, RemoteError> {
        let mut left = query.limit.map_or(usize::MAX, |limit| limit as usize);
        let mut events = Vec::new();
        let take = |mut document: moonforge_ports::RemoteDocument| {
            if left > 0 {
                document.fields = query.project(document.fields);
                events.push(Ok(QueryEvent::Document(document)));
                left -= 1;
            }
            left > 0
        };
        let read_time = read::scan(&self.pools.readers, query, self.clock.now(), take).await?;
        self.bill(events.len().max(1), 0);
        events.push(Ok(QueryEvent::Done { read_time }));
        Ok(Box::pin(stream::iter(events)))
    }

    async fn aggregate(&self, query: &RemoteQuery) -> Result<Aggregate, RemoteError> {
        let whole = RemoteQuery {
            after: None,
            select: None,
            limit: None,
            ..query.clone()
        };
        let (mut count, mut sum_rev) = (0_i64, 0_i64);
        let add = |document: moonforge_ports::RemoteDocument| {
            let rev = document
                .fields
                .get("rev")
                .and_then(serde_json::Value::as_i64);
            count += 1;
            sum_rev = sum_rev.saturating_add(rev.unwrap_or(0));
            true
        };
        let read_time = read::scan(&self.pools.readers, &whole, self.clock.now(), add).await?;
        self.bill(usize::try_from(count).unwrap_or(0).div_ceil(1000).max(1), 0);
        Ok(Aggregate {
            count,
            sum_rev,
            read_time,
        })
    }

    async fn refresh_credentials(&self) -> Result<(), RemoteError> {
        // There is no token that could run out, so no 401 that would lead here.
        Ok(())
    }

    fn usage(&self) -> Usage {
        *self.usage.lock().expect("no panic while held")
    }

    fn name(&self) -> String {
        format!("local:{}", self.pools.id)
    }

    fn uid(&self) -> Option<String> {
        self.uid.clone()
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded")
            .field("name", &self.name())
            .field("uid", &self.uid)
            .finish_non_exhaustive()
    }
}
