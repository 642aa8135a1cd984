//! Pull: what changed at the remote, by a fast cursor; and what a fast cursor can miss, by a settled one behind it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join;
use moonforge_model::mutant::{Mutant, planted};
use moonforge_model::{Collection, FieldMatch, FieldPath, Timestamp};
use moonforge_ports::{
    Filter, QueryEvent, QueryStream, RemoteDocument, RemoteError, RemoteErrorKind, RemoteQuery,
    document_size,
};
use moonforge_store::{Checkpoint, Cursor, StoreError, claim};

use crate::apply::{Applied, apply_remote};
use crate::run::{Failure, Run, Stop};

/// Most documents applied in one local transaction.
const SLICE: usize = 500;
/// Once a slice holds so much, by Firestore's measure, it is applied: what waits stays small in memory.
const SLICE_BYTES: usize = 4 << 20;
/// A span that holds so few is listed rather than counted.
pub(crate) const SHORT: u64 = 5;
/// How far ahead of what is taken for the remote's clock a time may be.
pub(crate) const HORIZON: Duration = Duration::from_secs(120);
/// The campaign that stands for all, where campaigns don't matter.
pub(crate) const EVERY: &str = "*";

/// Campaigns whose documents of one collection are asked for together: they were read equally far, and the same filter
/// shows what the user may see.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) collection: Collection,
    /// Campaign ids, or [`EVERY`] alone.
    pub(crate) campaigns: Vec<String>,
    /// Only what players may see.
    pub(crate) restricted: bool,
    /// What a scope asks of the documents themselves.
    pub(crate) of_document: Vec<FieldMatch>,
    pub(crate) checkpoint: Checkpoint,
}

impl Group {
    /// The campaigns to ask for; `None` for all.
    pub(crate) fn only(&self) -> Option<&[String]> {
        (self.campaigns != [EVERY]).then_some(&self.campaigns)
    }

    /// The query for all of it, without bounds.
    pub(crate) fn query(&self) -> RemoteQuery {
        let mut filters = Vec::new();
        if let Some(campaigns) = self.only() {
            let path = FieldPath::field("campaignId");
            filters.push(match campaigns {
                [one] => Filter::Equals(path, one.clone()),
                many => Filter::In(path, many.to_vec()),
            });
        }
        if self.restricted {
            filters.push(Filter::Equals(
                FieldPath::field("visibility"),
                "players".into(),
            ));
        }
        filters.extend(self.of_document.iter().map(crate::scoped::filter));
        RemoteQuery {
            filters,
            ..RemoteQuery::all(self.collection.clone())
        }
    }

    /// What the checkpoint of one of its campaigns is kept under.
    pub(crate) fn claim(&self, campaign: &str) -> String {
        claim(campaign, &self.of_document)
    }

    /// One group a campaign.
    pub(crate) fn split(&self) -> Vec<Group> {
        let one = |c: &String| Group {
            campaigns: vec![c.clone()],
            ..self.clone()
        };
        self.campaigns.iter().map(one).collect()
    }
}

impl Run<'_> {
    /// Reads what is new in a group, then checks what the cursor may have missed. Keeps the checkpoint, and says when this
    /// was so by the remote's clock.
    pub(crate) async fn pull(&self, group: &mut Group) -> Result<Timestamp, Failure> {
        let read_time = self.pull_fast(group).await?;
        if !planted(Mutant::StrictCursor) {
            self.pull_settled(group, read_time).await?;
        }
        Ok(read_time)
    }

    /// Makes the check that a group owes, if its time has come, and doesn't look at what is new.
    pub(crate) async fn check_owed(&self, group: &mut Group) -> Result<(), Failure> {
        let now = self.remote_now().await?;
        let checked = self.pull_settled(group, now).await;
        if let Err(Failure::Answer(_)) = checked {
            // The next look at what is new owes it again, and is denied too if this goes on.
            group.checkpoint.owed = None;
            self.keep(group).await?;
        }
        checked
    }

    /// Moves groups that are read to their end, and owe nothing, to one and the same place, so that their campaigns share
    /// a query from the next run on. Nothing of them can lie before the furthest of their cursors, once L has passed since.
    pub(crate) async fn gather(&self, pulled: Vec<(Group, Timestamp)>) -> Result<(), StoreError> {
        let at_rest = |g: &Group| {
            g.checkpoint.owed.is_none()
                && g.checkpoint.settled == g.checkpoint.fast.as_ref().map(|c| c.at)
        };
        let mut sets: BTreeMap<(Collection, bool, String), Vec<Group>> = BTreeMap::new();
        let late = self.options.late_visibility;
        let oldest = pulled.iter().map(|(_, read_time)| *read_time).min();
        for (group, _) in pulled.into_iter().filter(|(g, _)| g.only().is_some()) {
            let settled = group.checkpoint.settled.map(|at| at.saturating_add(late));
            if at_rest(&group) && settled <= oldest {
                let asked = group.claim(EVERY);
                let key = (group.collection.clone(), group.restricted, asked);
                sets.entry(key).or_default().push(group);
            }
        }
        for set in sets.into_values().filter(|set| set.len() > 1) {
            let of =
                |f: fn(&Checkpoint) -> Option<Timestamp>| set.iter().map(move |g| f(&g.checkpoint));
            let common = Checkpoint {
                fast: set.iter().filter_map(|g| g.checkpoint.fast.clone()).max(),
                settled: of(|c| c.settled).max().flatten(),
                reconciled_at: of(|c| c.reconciled_at).min().flatten(),
                listed_at: of(|c| c.listed_at).min().flatten(),
                generation: set[0].checkpoint.generation,
                ..Checkpoint::default()
            };
            for mut group in set {
                if group.checkpoint != common {
                    group.checkpoint = common.clone();
                    self.keep(&group).await?;
                }
            }
        }
        Ok(())
    }

    async fn pull_fast(&self, group: &mut Group) -> Result<Timestamp, Failure> {
        if let Some(read_time) = self.pass_echo(group).await? {
            return Ok(read_time);
        }
        let mut tries = 0;
        loop {
            tries += 1;
            let fast = group.checkpoint.fast.clone();
            let query = RemoteQuery {
                // A bound of its type keeps out what is no timestamp: a text would sort behind all of them for ever.
                since: Some(fast.as_ref().map_or(Timestamp::MIN, |c| c.at)),
                after: fast.map(|c| (Some(c.at), c.id)),
                by_updated_at: true,
                ..group.query()
            };
            let before = group.checkpoint.fast.clone();
            match self.read_pages(&query, Some(group)).await {
                Ok(read_time) => {
                    self.learn_time(read_time).await?;
                    return Ok(read_time);
                }
                Err(PageError::Store(error)) => return Err(error.into()),
                Err(PageError::Remote(error)) => {
                    // What came before the cut was kept, so that is progress.
                    if group.checkpoint.fast != before {
                        tries = 1;
                    }
                    self.after_failure(error, tries).await?;
                }
            }
        }
    }

    /// Freezes the fast cursor's place, and once nothing late can appear before it any more, checks the span up to it.
    async fn pull_settled(&self, group: &mut Group, read_time: Timestamp) -> Result<(), Failure> {
        let Some(fast) = group.checkpoint.fast.as_ref().map(|c| c.at) else {
            return Ok(());
        };
        if group.checkpoint.owed.is_none() && group.checkpoint.settled != Some(fast) {
            group.checkpoint.owed = Some(fast);
            group.checkpoint.owed_since = Some(read_time);
            self.keep(group).await?;
        }
        let Some(owed) = group.checkpoint.owed else {
            return Ok(());
        };
        if read_time < owed.saturating_add(self.options.late_visibility) {
            return Ok(());
        }
        if planted(Mutant::CursorBeforePage) {
            let settled = group.checkpoint.settled.replace(owed);
            self.keep(group).await?;
            group.checkpoint.settled = settled;
        }
        // The device's clock may have been wrong about the remote's: the answer's own time counts.
        let read_time = self.check_span(group, owed).await?;
        if read_time < owed.saturating_add(self.options.late_visibility) {
            return Ok(());
        }
        group.checkpoint.settled = Some(owed);
        group.checkpoint.owed = (fast != owed).then_some(fast);
        group.checkpoint.owed_since = group.checkpoint.owed.map(|_| read_time);
        self.keep(group).await?;
        Ok(())
    }

    /// Compares COUNT and SUM(rev) of `(settled, until]` with what is held, and lists the span where they differ.
    /// Says when the answer was true.
    async fn check_span(&self, group: &mut Group, until: Timestamp) -> Result<Timestamp, Failure> {
        let query = RemoteQuery {
            since: group.checkpoint.settled,
            until: Some(until),
            ..group.query()
        };
        let held = self
            .store
            .held(
                &group.collection,
                group.only(),
                &group.of_document,
                query.since,
                query.until,
            )
            .await?;
        let has_rev = self.store.config(&group.collection)?.guard == moonforge_model::Guard::Rev;
        if has_rev && held.count > SHORT {
            let (agrees, read_time) = self.aggregate_is(&query, held.figures()).await?;
            if agrees {
                return Ok(read_time);
            }
        }
        let mut tries = 0;
        loop {
            tries += 1;
            match self.read_pages(&query, None).await {
                Ok(read_time) => return Ok(read_time),
                Err(PageError::Store(error)) => return Err(error.into()),
                Err(PageError::Remote(error)) => self.after_failure(error, tries).await?,
            }
        }
    }

    /// Whether the remote's COUNT and SUM(rev) are these, and when that was so.
    pub(crate) async fn aggregate_is(
        &self,
        query: &RemoteQuery,
        held: (i64, i64),
    ) -> Result<(bool, Timestamp), Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.remote.aggregate(query).await {
                Ok(found) => return Ok(((found.count, found.sum_rev) == held, found.read_time)),
                Err(error) => self.after_failure(error, tries).await?,
            }
        }
    }

    /// Reads a query's answer and passes it through the door, slice by slice. With a group, its fast cursor moves along in
    /// the same transactions.
    async fn read_pages(
        &self,
        query: &RemoteQuery,
        mut cursor_of: Option<&mut Group>,
    ) -> Result<Timestamp, PageError> {
        // Every version in the answer is read at its end at the latest; for merging, the device's idea of the remote's
        // time bounds how late an edit can count.
        let so_far = self.clock_offset().await?;
        let read_time = self.clock.now().offset_micros(so_far);
        let mut stream = self.remote.query(query).await?;
        // What was read is written while more is read and decoded, one slice each.
        let mut read = Slice::default();
        loop {
            let write = std::mem::take(&mut read);
            let (more, written) = join(
                self.read_slice(&mut stream),
                self.apply_slice(write.documents, read_time, cursor_of.as_deref_mut()),
            )
            .await;
            written?;
            read = more;
            let Some(end) = read.end.take() else {
                continue;
            };
            self.apply_slice(read.documents, read_time, cursor_of)
                .await?;
            return Ok(end?);
        }
    }

    async fn read_slice(&self, stream: &mut QueryStream<'_>) -> Slice {
        let (mut slice, mut bytes) = (Slice::default(), 0);
        while slice.documents.len() < SLICE && bytes < SLICE_BYTES {
            match self.remote.whereabouts().away(stream.next()).await {
                Some(Ok(QueryEvent::Document(document))) => {
                    bytes += document_size(&document.doc, &document.fields);
                    slice.documents.push(document);
                }
                Some(Ok(QueryEvent::Done { read_time })) => slice.end = Some(Ok(read_time)),
                Some(Err(error)) => slice.end = Some(Err(error)),
                None => {
                    let cut = "the answer ended early";
                    slice.end = Some(Err(RemoteError::new(RemoteErrorKind::NoAnswer, cut)));
                }
            }
            if slice.end.is_some() {
                break;
            }
        }
        slice
    }

    async fn apply_slice(
        &self,
        slice: Vec<RemoteDocument>,
        read_time: Timestamp,
        cursor_of: Option<&mut Group>,
    ) -> Result<(), StoreError> {
        if slice.is_empty() {
            return Ok(());
        }
        // A time that the remote's clock hasn't reached yet was made up by somebody. The cursor stays before it, or it would
        // pass what is written until then.
        let horizon = read_time.saturating_add(HORIZON);
        let cursor = slice.iter().rev().find_map(|document| {
            let at: Timestamp = document.fields.get("updatedAt")?.as_str()?.parse().ok()?;
            (at <= horizon).then(|| Cursor {
                at,
                id: document.doc.id.to_string(),
            })
        });
        let moved = cursor_of.zip(cursor).map(|(group, cursor)| {
            group.checkpoint.fast = Some(cursor);
            group.clone()
        });
        if let Some(group) = moved.as_ref().filter(|_| planted(Mutant::CursorBeforePage)) {
            self.keep(group).await?;
        }
        let looks: Vec<_> = slice
            .into_iter()
            .map(|d| self.incoming(d, read_time))
            .collect();
        let docs: Vec<_> = looks.iter().map(|l| l.doc.clone()).collect();
        let door = self.door.clone();
        let applied: Vec<Applied> = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    tx.load_ahead(looks.iter().map(|l| &l.doc)).await?;
                    let mut applied = Vec::with_capacity(looks.len());
                    for look in looks {
                        applied.push(apply_remote(tx, &door, look).await?);
                    }
                    if let Some(group) = moved {
                        for campaign in &group.campaigns {
                            tx.save_checkpoint(
                                &group.collection,
                                &group.claim(campaign),
                                &group.checkpoint,
                            )
                            .await?;
                        }
                    }
                    Ok(applied)
                })
            })
            .await?;
        self.count(docs, &applied).await?;
        Ok(())
    }

    /// Keeps a group's checkpoint.
    pub(crate) async fn keep(&self, group: &Group) -> Result<(), StoreError> {
        let group = group.clone();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    for campaign in &group.campaigns {
                        tx.save_checkpoint(
                            &group.collection,
                            &group.claim(campaign),
                            &group.checkpoint,
                        )
                        .await?;
                    }
                    Ok(())
                })
            })
            .await
    }
}

/// Some of a query's answer.
#[derive(Default)]
struct Slice {
    documents: Vec<RemoteDocument>,
    /// How the answer ended, where it did.
    end: Option<Result<Timestamp, RemoteError>>,
}

enum PageError {
    Remote(RemoteError),
    Store(StoreError),
}

impl From<RemoteError> for PageError {
    fn from(error: RemoteError) -> Self {
        Self::Remote(error)
    }
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Stop> for PageError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Store(error) => Self::Store(error),
            Stop::Offline(e) | Stop::SignIn(e) | Stop::GaveUp(e) | Stop::Refused(e) => {
                Self::Remote(e)
            }
        }
    }
}
