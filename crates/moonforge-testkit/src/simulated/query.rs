//! Queries over the simulated database.

use moonforge_model::{Fields, Timestamp};
use moonforge_ports::{Aggregate, RemoteDocument, RemoteError, RemoteErrorKind, RemoteQuery};

use super::database::{Database, error};
use super::rules;

/// A document with its `updatedAt`, where the order has it.
type Row<'a> = (Option<Timestamp>, &'a RemoteDocument);

impl Database {
    /// The documents that a query matches, in its order, and the time at which this was true.
    pub fn query(
        &mut self,
        uid: Option<&str>,
        query: &RemoteQuery,
        now: Timestamp,
    ) -> Result<(Vec<RemoteDocument>, Timestamp), RemoteError> {
        let mut rows = self.matching(uid, query)?;
        if let Some((at, id)) = &query.after {
            rows.retain(|(t, d)| (*t, d.doc.id.as_str()) > (*at, id.as_str()));
        }
        let documents = rows
            .into_iter()
            .take(query.limit.map_or(usize::MAX, |n| n as usize))
            .map(|(_, document)| RemoteDocument {
                doc: document.doc.clone(),
                fields: query.project(document.fields.clone()),
                update_time: document.update_time,
            })
            .collect();
        Ok((documents, self.read_time(now)))
    }

    /// COUNT and SUM(rev) of a query.
    pub fn aggregate(
        &mut self,
        uid: Option<&str>,
        query: &RemoteQuery,
        now: Timestamp,
    ) -> Result<Aggregate, RemoteError> {
        let whole = RemoteQuery {
            after: None,
            select: None,
            limit: None,
            ..query.clone()
        };
        let rows = self.matching(uid, &whole)?;
        let revs = rows
            .iter()
            .filter_map(|(_, d)| d.fields.get("rev")?.as_i64());
        let sum_rev = revs.fold(0, i64::saturating_add);
        let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        Ok(Aggregate {
            count,
            sum_rev,
            read_time: self.read_time(now),
        })
    }

    /// What the filters and the span match, sorted.
    fn matching(
        &self,
        uid: Option<&str>,
        query: &RemoteQuery,
    ) -> Result<Vec<Row<'_>>, RemoteError> {
        if let Some(message) = query.contradiction() {
            return Err(error(RemoteErrorKind::InvalidArgument, message));
        }
        if let Some(uid) = uid {
            rules::check_list(self, uid, query)?;
        }
        let by_time = query.is_by_updated_at();
        let mut rows: Vec<Row<'_>> = self
            .documents
            .values()
            .filter(|d| d.doc.collection == query.collection)
            .filter(|d| query.filters.iter().all(|filter| filter.holds(&d.fields)))
            .map(|d| (if by_time { updated_at(&d.fields) } else { None }, d))
            .filter(|(at, _)| !by_time || in_span(*at, query))
            .collect();
        // Names are compared by their bytes, which is what `str` does; the map has them in that order already.
        rows.sort_by_key(|(at, _)| *at);
        Ok(rows)
    }
}

fn updated_at(fields: &Fields) -> Option<Timestamp> {
    fields.get("updatedAt")?.as_str()?.parse().ok()
}

fn in_span(at: Option<Timestamp>, query: &RemoteQuery) -> bool {
    at.is_some_and(|at| {
        query.since.is_none_or(|since| at >= since) && query.until.is_none_or(|until| at <= until)
    })
}
