//! The workloads through Moonforge.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use moonforge::ports::{
    Aggregate, BatchGet, CommitAnswer, QueryStream, RemoteError, RemoteQuery, RemoteStore,
    RemoteWrite, Usage,
};
use moonforge::{DocRef, Moonforge, SyncOptions, SyncReport};

use crate::cloud::{Failed, Place};
use crate::local::{Durability, Scratch};
use crate::measure::{Measured, Stopwatch};
use crate::sample::{CAMPAIGN, campaign, doc, scene, scene_change, scene_id};

/// What each commit took.
type Commits = Arc<Mutex<Vec<Duration>>>;

/// Takes the time of commits.
struct Timed {
    inner: Arc<dyn RemoteStore>,
    watch: Stopwatch,
    commits: Commits,
}

#[async_trait]
impl RemoteStore for Timed {
    async fn commit(&self, writes: &[RemoteWrite]) -> Result<CommitAnswer, RemoteError> {
        let sent = self.watch.now();
        let answer = self.inner.commit(writes).await;
        let took = self.watch.now() - sent;
        let mut commits = self.commits.lock().expect("no panic while held");
        commits.push(took);
        answer
    }

    async fn batch_get(&self, docs: &[DocRef]) -> Result<BatchGet, RemoteError> {
        self.inner.batch_get(docs).await
    }

    async fn query(&self, query: &RemoteQuery) -> Result<QueryStream<'_>, RemoteError> {
        self.inner.query(query).await
    }

    async fn aggregate(&self, query: &RemoteQuery) -> Result<Aggregate, RemoteError> {
        self.inner.aggregate(query).await
    }

    async fn refresh_credentials(&self) -> Result<(), RemoteError> {
        self.inner.refresh_credentials().await
    }

    fn usage(&self) -> Usage {
        self.inner.usage()
    }

    fn name(&self) -> String {
        self.inner.name()
    }

    fn uid(&self) -> Option<String> {
        self.inner.uid()
    }
}

async fn open(
    place: &Place,
    durability: Durability,
    scratch: &Scratch,
) -> Result<(Moonforge, Commits), Failed> {
    let commits = Commits::default();
    let timed = commits.clone();
    let cloud = place.cloud(move |inner| {
        Arc::new(Timed {
            inner,
            watch: Stopwatch::default(),
            commits: timed.clone(),
        })
    });
    let builder = Moonforge::builder(scratch.file("ours.db"))
        .durability(durability.into())
        .cloud(cloud);
    Ok((builder.open().await?, commits))
}

/// A sync that came to its end and left nothing behind.
async fn whole_sync(forge: &Moonforge, options: &SyncOptions) -> Result<SyncReport, Failed> {
    let report = forge.sync_with(options).await?;
    if let Some(why) = report.stopped {
        return Err(why.into());
    }
    if report.waiting + report.parked > 0 {
        return Err(format!(
            "{} documents wait, {} are parked",
            report.waiting, report.parked
        )
        .into());
    }
    Ok(report)
}

/// W2: `n` queued creations, until a whole sync has sent them and has found nothing else.
pub(crate) async fn push(
    place: &Place,
    n: usize,
    durability: Durability,
    scratch: &Scratch,
) -> Result<Measured, Failed> {
    let (forge, commits) = open(place, durability, scratch).await?;
    let campaign = (doc("campaigns", CAMPAIGN), campaign());
    for result in forge.put_many(vec![campaign]).await? {
        result?;
    }
    for start in (0..n).step_by(500) {
        let scenes = (start..n.min(start + 500)).map(|i| (doc("scenes", &scene_id(i)), scene(i)));
        for result in forge.put_many(scenes.collect()).await? {
            result?;
        }
    }
    let watch = Stopwatch::default();
    let started = watch.now();
    let report = whole_sync(&forge, &SyncOptions::default()).await?;
    let elapsed = watch.now() - started;
    if report.pushed != n as u64 + 1 {
        return Err(format!("{} of {} documents were sent", report.pushed, n + 1).into());
    }
    forge.close().await;
    let steps = std::mem::take(&mut *commits.lock().expect("no panic while held"));
    Ok(Measured {
        ops: n,
        elapsed,
        steps,
        billed: report.billed,
        settling_reads: None,
    })
}

/// W3: `n` documents into an empty database.
pub(crate) async fn pull(
    place: &Place,
    n: usize,
    durability: Durability,
    scratch: &Scratch,
) -> Result<Measured, Failed> {
    place.seed(n).await?;
    let (forge, _) = open(place, durability, scratch).await?;
    let watch = Stopwatch::default();
    let started = watch.now();
    let report = whole_sync(&forge, &SyncOptions::default()).await?;
    let elapsed = watch.now() - started;
    if report.pulled != n as u64 + 1 {
        return Err(format!("{} of {} documents came", report.pulled, n + 1).into());
    }
    forge.close().await;
    Ok(Measured {
        ops: n,
        elapsed,
        steps: vec![elapsed],
        billed: report.billed,
        settling_reads: None,
    })
}

/// W4: again and again 10 of `n` change, and a sync finds them. Then one in which a check of the settled cursor is due.
pub(crate) async fn poll(
    place: &Place,
    n: usize,
    rounds: usize,
    durability: Durability,
    scratch: &Scratch,
) -> Result<Measured, Failed> {
    place.seed(n).await?;
    let (forge, _) = open(place, durability, scratch).await?;
    // Nothing writes beside this, so nothing is late: what a real run finds after L may be asked for at once.
    let settling = SyncOptions {
        late_visibility: Duration::ZERO,
        ..SyncOptions::default()
    };
    for _ in 0..2 {
        whole_sync(&forge, &settling).await?;
    }
    let watch = Stopwatch::default();
    let mut measured = Measured::default();
    for round in 0..rounds {
        change(place, n, round).await?;
        let started = watch.now();
        let report = whole_sync(&forge, &SyncOptions::default()).await?;
        let step = watch.now() - started;
        found(&report, n)?;
        measured.elapsed += step;
        measured.steps.push(step);
        measured.billed.reads = measured.billed.reads.max(report.billed.reads);
    }
    whole_sync(&forge, &settling).await?;
    change(place, n, rounds).await?;
    let report = whole_sync(&forge, &settling).await?;
    found(&report, n)?;
    measured.settling_reads = Some(report.billed.reads);
    measured.ops = rounds;
    forge.close().await;
    Ok(measured)
}

async fn change(place: &Place, n: usize, round: usize) -> Result<(), Failed> {
    let changes = crate::changed(n).map(|i| scene_change(&place.project, i, round as u64 + 1));
    place.prepare(changes.collect()).await
}

fn found(report: &SyncReport, n: usize) -> Result<(), Failed> {
    match usize::try_from(report.pulled) {
        Ok(pulled) if pulled == crate::CHANGED.min(n) => Ok(()),
        _ => Err(format!("{} changed documents came", report.pulled).into()),
    }
}
