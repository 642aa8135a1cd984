//! Reads that say how fresh they are, and make themselves as fresh as is asked.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use moonforge_model::{Document, SyncScope, Timestamp};
use moonforge_store::{Page, QuerySpec};
use moonforge_sync::{SyncOptions, SyncReport};

use crate::documents::Documents;
use crate::error::{Error, Kind};
use crate::forge::Moonforge;
use crate::refresh::Errand;
use crate::typed::{DocPage, Repository};

/// Where a read may get its answer from. Whatever the policy, the answer itself is read from the local database, and what
/// was written here is in it, sent or not.
///
/// | | cloud there | cloud slow | cloud away, or sign-in needed |
/// |---|---|---|---|
/// | `RemoteFirst` | synced, then answered | answered locally after the deadline, saying so; the sync goes on | answered locally, saying so |
/// | `LocalFirst` | answered at once; a sync goes on in the background | the same | the same |
/// | `OfflineOnly` | answered at once; the cloud is not asked | the same | the same |
/// | `OnlineOnly` | synced, then answered | the error `timed_out` after the deadline; the sync is ended | the error `offline`, `unauthenticated` or `cloud_failing` |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CachePolicy {
    /// The cloud, and where it can't be asked in time what is here.
    RemoteFirst,
    /// What is here, and the cloud in the background.
    #[default]
    LocalFirst,
    /// What is here; nothing is asked of the network.
    OfflineOnly,
    /// The cloud, or an error.
    OnlineOnly,
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// What was here already.
    Local,
    /// The cloud was asked for it.
    Remote,
}

/// Why the cloud wasn't asked, or didn't answer in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// Stable, for programs: `offline`, `unauthenticated`, `timed_out`, `cloud_failing`, `cloud_refused`, `sync_busy`, …
    pub code: &'static str,
    /// A sentence for a person.
    pub message: String,
}

/// How fresh an answer is.
#[derive(Clone, Debug, PartialEq)]
pub struct Freshness {
    /// Where it came from.
    pub source: Source,
    /// When what it was asked of was last in step with the cloud, by this device's clock; `None` where that never was, or
    /// isn't known of so small a part.
    pub synced_at: Option<Timestamp>,
    /// How long ago that is.
    pub age: Option<Duration>,
    /// Why it is local, where the cloud was to be asked.
    pub fallback: Option<Fallback>,
    /// Whether a sync goes on in the background, whose news a watch shows.
    pub refreshing: bool,
    /// What the sync did that was made for it.
    pub report: Option<SyncReport>,
}

/// An answer, and how fresh it is.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    /// The answer.
    pub page: T,
    /// How fresh it is.
    pub freshness: Freshness,
}

impl Documents {
    /// The documents of a scope, which needn't be joined: all live ones, by id. See [`CachePolicy`].
    ///
    /// # Errors
    /// `invalid_scope`; `not_joined` where this device joined others and the cloud is to be asked; `account_mismatch`; those of
    /// the local store; with [`CachePolicy::OnlineOnly`] also why the cloud can't be asked ([`Error::is_unreachable`]), and
    /// then nothing has changed here. (What came before an answer was cut is kept.)
    pub async fn read(
        &self,
        scope: &SyncScope,
        policy: CachePolicy,
    ) -> Result<Answer<Page>, Error> {
        let query = self.query().within(scope.clone());
        self.read_query(&query, policy).await
    }

    /// One page of a list, within the query's scope, or of everything that this device holds. Otherwise as
    /// [`Documents::read`].
    ///
    /// # Errors
    /// As [`Documents::read`], and `invalid_cursor`.
    pub async fn read_query(
        &self,
        query: &QuerySpec,
        policy: CachePolicy,
    ) -> Result<Answer<Page>, Error> {
        let freshness = self.forge().freshen(query.scope.as_ref(), policy).await?;
        let page = self.list(query).await?;
        Ok(Answer { page, freshness })
    }
}

impl<T: Document + Send + 'static> Repository<T> {
    /// The documents of a scope, which needn't be joined: all live ones, by id. See [`CachePolicy`].
    ///
    /// # Errors
    /// As [`Documents::read`].
    pub async fn read(
        &self,
        scope: &SyncScope,
        policy: CachePolicy,
    ) -> Result<Answer<DocPage<T>>, Error> {
        let query = self.query().within(scope.clone());
        self.read_query(&query, policy).await
    }

    /// One page of a list, within the query's scope, or of everything that this device holds.
    ///
    /// # Errors
    /// As [`Documents::read`], and `invalid_cursor`.
    pub async fn read_query(
        &self,
        query: &QuerySpec,
        policy: CachePolicy,
    ) -> Result<Answer<DocPage<T>>, Error> {
        let forge = self.documents().forge();
        let freshness = forge.freshen(query.scope.as_ref(), policy).await?;
        let page = self.list(query).await?;
        Ok(Answer { page, freshness })
    }
}

impl Moonforge {
    /// Brings a scope, or everything, as far into step as the policy asks.
    pub(crate) async fn freshen(
        &self,
        scope: Option<&SyncScope>,
        policy: CachePolicy,
    ) -> Result<Freshness, Error> {
        if let Some(scope) = scope {
            scope
                .check(self.registry())
                .map_err(moonforge_store::StoreError::from)?;
        }
        let mut freshness = Freshness {
            source: Source::Local,
            synced_at: None,
            age: None,
            fallback: None,
            refreshing: false,
            report: None,
        };
        match policy {
            CachePolicy::OfflineOnly => {}
            CachePolicy::LocalFirst => {
                self.check_joined(scope).await?;
                drop(self.refresh(Errand::Sync(scope.cloned())));
                freshness.refreshing = true;
            }
            CachePolicy::RemoteFirst => {
                self.check_joined(scope).await?;
                let refreshed = self.refresh(Errand::Sync(scope.cloned()));
                match self.in_time(refreshed).await {
                    Some(Ok(report)) => freshness.asked(report),
                    Some(Err(error)) => freshness.fallback = Some(fallback(error)?),
                    None => {
                        freshness.fallback = Some(self.too_slow());
                        freshness.refreshing = true;
                    }
                }
            }
            CachePolicy::OnlineOnly => {
                self.check_joined(scope).await?;
                let options = SyncOptions {
                    scope: scope.cloned(),
                    pull_first: true,
                    ..SyncOptions::default()
                };
                let Some(report) = self.in_time(Box::pin(self.sync_with(&options))).await else {
                    return Err(Kind::Unreachable(self.too_slow()).into());
                };
                freshness.asked(report?);
                if let Some(why) = freshness.fallback {
                    return Err(Kind::Unreachable(why).into());
                }
            }
        }
        freshness.synced_at = self.synced_at(scope).await?;
        let now = self.clock().now();
        freshness.age = freshness.synced_at.map(|at| now.since(at));
        Ok(freshness)
    }

    /// When a scope, or everything that this device holds, was last in step.
    async fn synced_at(&self, scope: Option<&SyncScope>) -> Result<Option<Timestamp>, Error> {
        let joined = self.store().scopes().await?;
        if scope.is_none() && !joined.is_empty() {
            // As old as the oldest part of it; not at all where a part never was.
            let parts: Option<Vec<_>> = joined.into_iter().map(|part| part.synced_at).collect();
            return Ok(parts.and_then(|parts| parts.into_iter().min()));
        }
        Ok(self.store().synced_at(scope).await?)
    }

    /// A scope that isn't among the joined ones can't be fetched: what came wouldn't be kept.
    pub(crate) async fn check_joined(&self, scope: Option<&SyncScope>) -> Result<(), Error> {
        let Some(scope) = scope else { return Ok(()) };
        let joined = self.store().joined_scopes().await?;
        let fits = match joined.is_empty() {
            true => !scope.is_accessed(),
            false => joined.contains(scope),
        };
        if fits {
            return Ok(());
        }
        Err(moonforge_store::StoreError::NotJoined(scope.to_string()).into())
    }

    /// What `work` comes to, unless the deadline of reads passes first.
    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let deadline = self.clock().sleep(self.inner().read_deadline);
        match select(pin!(work), deadline).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        }
    }

    fn too_slow(&self) -> Fallback {
        let seconds = self.inner().read_deadline.as_secs_f64();
        Fallback {
            code: "timed_out",
            message: format!("the cloud didn't answer within {seconds} s"),
        }
    }
}

impl Freshness {
    /// Notes what a sync came to.
    fn asked(&mut self, report: SyncReport) {
        let code = match &report {
            report if report.offline => "offline",
            report if report.unauthenticated => "unauthenticated",
            _ => "cloud_failing",
        };
        match &report.stopped {
            None => self.source = Source::Remote,
            Some(why) => {
                self.fallback = Some(Fallback {
                    code,
                    message: why.clone(),
                });
            }
        }
        self.report = Some(report);
    }
}

/// An error of the cloud as the reason of a local answer; one of the local database stays an error, and so does an account
/// that isn't the database's.
fn fallback(error: Error) -> Result<Fallback, Error> {
    if error.is_of_the_cloud() || error.code() == "sync_busy" {
        return Ok(Fallback {
            code: error.code(),
            message: error.to_string(),
        });
    }
    Err(error)
}
