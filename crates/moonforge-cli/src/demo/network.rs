//! A network that can be away, and that can lose an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use moonforge::DocRef;
use moonforge::ports::{
    Aggregate, BatchGet, CommitAnswer, QueryStream, RemoteError, RemoteErrorKind, RemoteQuery,
    RemoteStore, RemoteWrite, Usage,
};

/// What happens to one device's requests.
#[derive(Debug, Default)]
pub(super) struct Switch {
    pub(super) away: AtomicBool,
    pub(super) lose_next_answer: AtomicBool,
    pub(super) answers_lost: AtomicU64,
}

/// The way from one device to the cloud.
pub(super) struct Network {
    pub(super) cloud: Arc<dyn RemoteStore>,
    pub(super) switch: Arc<Switch>,
}

impl Network {
    fn leave(&self) -> Result<(), RemoteError> {
        if self.switch.away.load(Ordering::Relaxed) {
            let error = RemoteError::new(RemoteErrorKind::NeverSent, "there is no network");
            return Err(error);
        }
        Ok(())
    }
}

#[async_trait]
impl RemoteStore for Network {
    async fn commit(&self, writes: &[RemoteWrite]) -> Result<CommitAnswer, RemoteError> {
        self.leave()?;
        let answer = self.cloud.commit(writes).await?;
        if self.switch.lose_next_answer.swap(false, Ordering::Relaxed) {
            self.switch.answers_lost.fetch_add(1, Ordering::Relaxed);
            let error = RemoteError::new(RemoteErrorKind::NoAnswer, "the connection was cut");
            return Err(error);
        }
        Ok(answer)
    }

    async fn batch_get(&self, docs: &[DocRef]) -> Result<BatchGet, RemoteError> {
        self.leave()?;
        self.cloud.batch_get(docs).await
    }

    async fn query(&self, query: &RemoteQuery) -> Result<QueryStream<'_>, RemoteError> {
        self.leave()?;
        self.cloud.query(query).await
    }

    async fn aggregate(&self, query: &RemoteQuery) -> Result<Aggregate, RemoteError> {
        self.leave()?;
        self.cloud.aggregate(query).await
    }

    async fn refresh_credentials(&self) -> Result<(), RemoteError> {
        self.cloud.refresh_credentials().await
    }

    async fn probe(&self) -> Result<(), RemoteError> {
        self.leave()?;
        self.cloud.probe().await
    }

    fn usage(&self) -> Usage {
        self.cloud.usage()
    }

    fn name(&self) -> String {
        self.cloud.name()
    }

    fn uid(&self) -> Option<String> {
        self.cloud.uid()
    }
}
