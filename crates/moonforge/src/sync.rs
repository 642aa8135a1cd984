//! Keeping the database in step with its cloud.

use moonforge_model::Timestamp;
use moonforge_ports::RemoteError;
use moonforge_store::StoreError;
use moonforge_sync::{Job, Observe, SyncEngine, SyncError, SyncOptions, SyncReport};
use tokio::sync::Mutex;
use tracing::Instrument;

use crate::error::{Error, Kind};
use crate::forge::Moonforge;

/// The store's note of when a sync last came to its end.
const LAST_SYNC: &str = "last_sync";
/// The store's note of where the cloud was at the last sync, where that is a folder.
const CLOUD_PLACE: &str = "cloud_place";

/// Whose turn it is to sync, and with what: made by the first whose cloud could be reached.
pub(crate) type Syncing = Mutex<Option<SyncEngine>>;

impl Moonforge {
    /// Sends what was written here, fetches what was written elsewhere, and sends what merging the two left.
    ///
    /// Calls at the same time, of clones too, wait for each other: each makes a run of its own.
    ///
    /// A cloud that can't be reached, or that wants a sign-in, is no error: the report says so, and everything that was
    /// written stays queued.
    ///
    /// # Errors
    /// `account_mismatch` where the database belongs to another account or cloud, `sync_busy` where another process syncs
    /// it, `cloud_refused`, `not_a_cloud`, `newer_version`, and those of the local store.
    pub async fn sync_now(&self) -> Result<SyncReport, Error> {
        self.sync_with(&SyncOptions::default()).await
    }

    /// [`Moonforge::sync_now`] with other bounds.
    ///
    /// # Errors
    /// As `sync_now`.
    pub async fn sync_with(&self, options: &SyncOptions) -> Result<SyncReport, Error> {
        let report = self.run_job(&Job::Everything, options, &|_| {}).await?;
        // One that was limited to a scope leaves the background engine's work to it.
        if options.scope.is_none() {
            self.inner().coordinator.done_elsewhere(&report);
        }
        Ok(report)
    }

    /// Does one job of the engine's, whoever asked for it.
    pub(crate) async fn run_job(
        &self,
        job: &Job,
        options: &SyncOptions,
        observe: Observe<'_>,
    ) -> Result<SyncReport, Error> {
        let span = tracing::info_span!("moonforge.sync", job = job.name());
        let run = async {
            let mut turn = self.inner().syncing.lock().await;
            let engine = match self.engine(&mut turn).await? {
                Ok(engine) => engine,
                Err(unreachable) => return self.offline(unreachable).await,
            };
            let report = match engine.run_observed(job, options, observe).await {
                Err(SyncError::Store(StoreError::AccountMismatch { owner, other })) => {
                    return Err(self.mismatch(owner, other).await?);
                }
                report => report?,
            };
            if report.stopped.is_none() && *job == Job::Everything {
                let now = self.clock().now().to_string();
                self.store().set_note(LAST_SYNC, now).await?;
                self.note_place().await?;
            }
            Ok(report)
        };
        Box::pin(run).instrument(span).await
    }

    /// Whether the cloud can be reached; where that can't be told, yes.
    pub(crate) async fn is_reachable(&self) -> bool {
        let mut turn = self.inner().syncing.lock().await;
        match self.engine(&mut turn).await {
            Ok(Ok(engine)) => engine.probe().await.is_ok(),
            Ok(Err(_)) => false,
            Err(_) => true,
        }
    }

    /// The engine, connected the first time that the cloud is there.
    async fn engine<'t>(
        &self,
        turn: &'t mut Option<SyncEngine>,
    ) -> Result<Result<&'t SyncEngine, RemoteError>, Error> {
        match turn {
            Some(engine) => Ok(Ok(engine)),
            none => match self.connect().await? {
                Ok(engine) => Ok(Ok(none.insert(engine))),
                Err(unreachable) => Ok(Err(unreachable)),
            },
        }
    }

    async fn connect(&self) -> Result<Result<SyncEngine, RemoteError>, Error> {
        let inner = self.inner();
        // Whoever has a cloud already finds it, or it is away: a new one in its place would be another.
        let make = self.store().owner().await?.is_none();
        let remote = inner
            .cloud
            .connect(inner.clock.clone(), &*inner.random, make)
            .await?;
        Ok(remote.map(|remote| {
            SyncEngine::new(
                inner.store.clone(),
                remote,
                inner.clock.clone(),
                inner.random.clone(),
            )
            .with_executors(inner.executors.clone())
        }))
    }

    /// Keeps where the cloud is, to name it should another come instead.
    async fn note_place(&self) -> Result<(), Error> {
        if let Some(place) = self.inner().cloud.place()
            && self.store().note(CLOUD_PLACE).await?.as_ref() != Some(&place)
        {
            self.store().set_note(CLOUD_PLACE, place).await?;
        }
        Ok(())
    }

    async fn mismatch(&self, owner: String, other: String) -> Result<Error, Error> {
        let noted = self.store().note(CLOUD_PLACE).await?;
        let present = self.inner().cloud.place();
        let message = mismatch(&owner, &other, noted.as_deref(), present.as_deref());
        let source = StoreError::AccountMismatch { owner, other };
        Ok(Kind::AccountMismatch { message, source }.into())
    }

    /// When a sync last came to its end, by this device's clock.
    pub(crate) async fn last_sync(&self) -> Result<Option<Timestamp>, Error> {
        let note = self.store().note(LAST_SYNC).await?;
        Ok(note.and_then(|at| at.parse().ok()))
    }

    /// The report of a run that didn't come as far as a request.
    async fn offline(&self, why: RemoteError) -> Result<SyncReport, Error> {
        let counts = self.store().parked_and_waiting().await?;
        self.store().note_reach(None, counts.waiting).await?;
        tracing::info!(error = %why, "the cloud can't be reached");
        Ok(SyncReport {
            offline: true,
            parked: counts.parked,
            waiting: counts.waiting,
            stopped: Some(format!(
                "the cloud can't be reached ({}); everything written here is kept and goes out next time",
                why.message
            )),
            ..SyncReport::default()
        })
    }
}

/// Two owners that differ, in words: an owner is `CLOUD`, or `UID at CLOUD`. A cloud in a folder has a random name, which
/// says nothing to anybody: it is called by where it was at the last sync, and where this one is.
fn mismatch(owner: &str, other: &str, noted: Option<&str>, present: Option<&str>) -> String {
    let apart = |owner: &str| match owner.rsplit_once(" at ") {
        Some((uid, cloud)) => (Some(uid.to_owned()), cloud.to_owned()),
        None => (None, owner.to_owned()),
    };
    let ((uid, cloud), (other_uid, other_cloud)) = (apart(owner), apart(other));
    let folder = |cloud: &str| cloud.starts_with("local:");
    let differ = if cloud == other_cloud {
        match (uid, other_uid) {
            (Some(uid), Some(other)) => format!("belongs to {uid}, not to {other}"),
            (Some(uid), None) => format!("belongs to {uid}, and no such account is signed in"),
            (None, Some(other)) => format!("was synced without an account, not as {other}"),
            (None, None) => "belongs to another".to_owned(),
        }
    } else {
        let mine = match noted {
            _ if !folder(&cloud) => cloud,
            Some(noted) if Some(noted) == present => {
                format!("the cloud that was in {noted} before")
            }
            Some(noted) => format!("the cloud in {noted}"),
            None => "another cloud folder".to_owned(),
        };
        let other = match present {
            _ if !folder(&other_cloud) => other_cloud,
            Some(present) => format!("the one in {present}"),
            None => "this one".to_owned(),
        };
        format!("belongs to {mine}, not to {other}")
    };
    format!("the database {differ}; use another database here")
}

#[cfg(test)]
mod tests {
    use super::mismatch;

    #[test]
    fn what_differs_is_named_and_random_names_are_not() {
        let (a, b) = ("local:aaaa", "local:bbbb");
        for (owner, other, noted, present, words) in [
            (
                a,
                b,
                Some("/a"),
                Some("/b"),
                "belongs to the cloud in /a, not to the one in /b",
            ),
            (
                a,
                b,
                Some("/a"),
                Some("/a"),
                "the cloud that was in /a before, not to the one in /a",
            ),
            (
                a,
                b,
                None,
                Some("/b"),
                "belongs to another cloud folder, not to the one in /b",
            ),
            (
                a,
                b,
                None,
                None,
                "belongs to another cloud folder, not to this one",
            ),
            (
                a,
                "firestore://p/(default)",
                Some("/a"),
                None,
                "in /a, not to firestore://p/(default)",
            ),
            (
                "anna at local:aaaa",
                "ben at local:aaaa",
                Some("/a"),
                Some("/a"),
                "belongs to anna, not to ben",
            ),
            (
                "anna at local:aaaa",
                a,
                Some("/a"),
                Some("/a"),
                "belongs to anna, and no such account",
            ),
            (
                a,
                "anna at local:aaaa",
                Some("/a"),
                Some("/a"),
                "without an account, not as anna",
            ),
        ] {
            let message = mismatch(owner, other, noted, present);
            assert!(message.contains(words), "{message}");
            assert!(
                !message.contains("aaaa") && !message.contains("bbbb"),
                "{message}"
            );
        }
    }
}
