//! Reconcile: finds what no cursor shows, such as hard deletes, withdrawn visibility, and what other clients wrote
//! without `updatedAt`.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use moonforge_model::{DocId, DocRef, Guard, ParkReason, Timestamp};
use moonforge_ports::{QueryEvent, RemoteError, RemoteErrorKind, RemoteQuery};

use crate::apply::{Incoming, Seen};
use crate::pull::Group;
use crate::run::{Failure, Run};

const DAY: Duration = Duration::from_secs(24 * 3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
/// Documents read by name in one request.
const NAMES_A_READ: usize = 100;

impl Run<'_> {
    /// Compares everything held of a group with the remote where that is due: by figures daily, by names weekly, or where
    /// the figures differ.
    pub(crate) async fn reconcile(&self, group: &mut Group) -> Result<(), Failure> {
        let now = self.door.now;
        let due = |last: Option<Timestamp>, span: Duration| {
            last.is_none_or(|last| now.since(last) >= span || last > now)
        };
        // A group that was never read was listed whole just now, or is empty.
        let listing = self.options.reconcile || due(group.checkpoint.listed_at.or(Some(now)), WEEK);
        if !listing && !due(group.checkpoint.reconciled_at, DAY) {
            return Ok(());
        }
        let held = self
            .store
            .held(
                &group.collection,
                group.only(),
                &group.of_document,
                None,
                None,
            )
            .await?;
        let has_rev = self.store.config(&group.collection)?.guard == Guard::Rev;
        let agrees = !listing
            && (has_rev || held.count == 0)
            && self.aggregate_is(&group.query(), held.figures()).await?.0;
        if !agrees {
            self.reconcile_by_name(group).await?;
            group.checkpoint.listed_at = Some(now);
        }
        group.checkpoint.reconciled_at = Some(now);
        group.checkpoint.listed_at.get_or_insert(now);
        self.keep(group).await?;
        Ok(())
    }

    async fn reconcile_by_name(&self, group: &Group) -> Result<(), Failure> {
        let mut tries = 0;
        let (mut names, read_time) = loop {
            tries += 1;
            match self.list_names(group).await {
                Ok(found) => break found,
                Err(error) => self.after_failure(error, tries).await?,
            }
        };
        let held = self
            .store
            .held_names(&group.collection, group.only(), &group.of_document)
            .await?;
        let mut gone = Vec::new();
        for (id, update_time) in held {
            match names.remove(&id) {
                Some(time) if time == update_time => {}
                Some(time) => {
                    names.insert(id, time);
                }
                None => gone.push(id),
            }
        }
        let changed: Vec<DocRef> = names
            .into_keys()
            .filter_map(|id| Some(DocRef::new(group.collection.clone(), DocId::new(id).ok()?)))
            .collect();
        for some in changed.chunks(NAMES_A_READ) {
            for (_, look) in self.look_each(some).await? {
                // One that may no longer be read is as good as gone, and the next listing will say so.
                if let Ok(look) = look {
                    self.apply(vec![look]).await?;
                }
            }
        }
        for id in gone {
            let Ok(id) = DocId::new(id) else { continue };
            let doc = DocRef::new(group.collection.clone(), id);
            // Out of sight isn't deleted: before an edit is given up for that, the document is asked for by name. So is one
            // that may have left a scope.
            let dirty = self.store.is_dirty(&doc).await?;
            if dirty || !group.of_document.is_empty() {
                let mut closed = false;
                for (doc, look) in self.look_each(std::slice::from_ref(&doc)).await? {
                    match look {
                        Ok(look) => drop(self.apply(vec![look]).await?),
                        Err(error) if dirty => self.park(&doc, ParkReason::Denied, &error).await?,
                        Err(_) => closed = true,
                    }
                }
                if !closed {
                    continue;
                }
            }
            let look = Incoming {
                doc,
                seen: Seen::Absent,
                read_time,
            };
            self.apply(vec![look]).await?;
        }
        Ok(())
    }

    async fn list_names(
        &self,
        group: &Group,
    ) -> Result<(BTreeMap<String, Timestamp>, Timestamp), RemoteError> {
        let query = RemoteQuery {
            select: Some(Vec::new()),
            ..group.query()
        };
        let mut stream = self.remote.query(&query).await?;
        let mut names = BTreeMap::new();
        while let Some(event) = self.remote.whereabouts().away(stream.next()).await {
            match event? {
                QueryEvent::Document(d) => {
                    names.insert(d.doc.id.to_string(), d.update_time);
                }
                QueryEvent::Done { read_time } => return Ok((names, read_time)),
            }
        }
        Err(RemoteError::new(
            RemoteErrorKind::NoAnswer,
            "the answer ended early",
        ))
    }
}
