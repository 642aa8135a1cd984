//! The echo of one's own writes: after a push the fast cursor stands before everything that was just sent, and a listing
//! would bring all of it back. Where COUNT and SUM(rev) show that nothing else is there, the cursor passes it unread.

use moonforge_model::{Guard, Timestamp};
use moonforge_ports::RemoteQuery;

use crate::pull::{Group, HORIZON, SHORT};
use crate::run::{Failure, Run};

impl Run<'_> {
    /// Moves the fast cursor over what this run wrote, where the remote has nothing behind it that isn't known here. Says
    /// when that was so; `None` where it has to be listed.
    ///
    /// The span has no end, so documents only come into it, and revs only rise: as many as are known, with the same sum, are
    /// the same documents in the same versions. What appears later, below the cursor, the settled cursor's check finds, as
    /// after a listing.
    pub(crate) async fn pass_echo(&self, group: &mut Group) -> Result<Option<Timestamp>, Failure> {
        let config = self.store.config(&group.collection)?;
        // Where a filter looks at what can change, documents leave the span too.
        if group.restricted || !group.of_document.is_empty() {
            return Ok(None);
        }
        if config.guard != Guard::Rev || self.pushed_in(&group.collection) <= SHORT {
            return Ok(None);
        }
        let fast = group.checkpoint.fast.as_ref().map(|cursor| cursor.at);
        let query = RemoteQuery {
            since: Some(fast.unwrap_or(Timestamp::MIN)),
            ..group.query()
        };
        let (only, fields) = (group.only(), &group.of_document);
        let held = self
            .store
            .held(&group.collection, only, fields, query.since, None)
            .await?;
        if held.count <= SHORT {
            return Ok(None);
        }
        let (agrees, read_time) = self.aggregate_is(&query, held.figures()).await?;
        if !agrees {
            return Ok(None);
        }
        let until = Some(read_time.saturating_add(HORIZON));
        let last = self
            .store
            .last_held(&group.collection, group.only(), &group.of_document, until)
            .await?;
        if last > group.checkpoint.fast {
            group.checkpoint.fast = last;
            self.keep(group).await?;
        }
        self.learn_time(read_time).await?;
        Ok(Some(read_time))
    }
}
