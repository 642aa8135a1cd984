//! The port `RemoteStore` over Firestore's REST API.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures_util::future::try_join;
use futures_util::stream;
use moonforge_model::{DocRef, Timestamp};
use moonforge_ports::{
    Aggregate, BatchGet, CommitAnswer, MAX_DOCUMENT_BYTES, QueryEvent, QueryStream, RemoteError,
    RemoteErrorKind as Kind, RemoteQuery, RemoteStore, RemoteWrite, TokenProvider, Usage,
    WriteResult, document_size,
};
use serde_json::Value;
use tracing::{Instrument, debug, debug_span, warn};

use crate::config::{Endpoint, FirestoreConfig};
use crate::request;
use crate::transport::{Elements, Transport};
use crate::wire::{self, Names};

/// One Firestore database, over HTTP.
///
/// Requests are sent once: what to do with a failure is the engine's. Each carries the token that the provider gives at
/// that moment; no token stands in a log or in this type's `Debug`.
///
/// ```
/// use std::sync::Arc;
/// use moonforge_firestore::{Endpoint, Firestore, FirestoreConfig};
/// use moonforge_ports::{RemoteStore, StaticToken};
///
/// let config = FirestoreConfig::new("demo-world").endpoint(Endpoint::from_env());
/// let firestore = Firestore::new(config, Arc::new(StaticToken::none())).unwrap();
/// assert!(firestore.name().ends_with("://demo-world/(default)"));
/// ```
pub struct Firestore {
    transport: Transport,
    names: Names,
    name: String,
    reads: AtomicU64,
    writes: AtomicU64,
}

impl fmt::Debug for Firestore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Firestore")
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}

impl Firestore {
    /// Prepares requests to the database; sends none.
    ///
    /// # Errors
    /// [`Kind::InvalidArgument`] where the project or the database has no name or one with a `/`, or where the account's uid
    /// begins with `$`; [`Kind::NeverSent`] where TLS can't be set up.
    pub fn new(
        config: FirestoreConfig,
        tokens: Arc<dyn TokenProvider>,
    ) -> Result<Self, RemoteError> {
        for (what, id) in [("project", &config.project), ("database", &config.database)] {
            if id.is_empty() || id.contains(|c: char| c == '/' || c.is_control()) {
                let message = format!("`{id}` is no id of a {what}");
                return Err(RemoteError::new(Kind::InvalidArgument, message));
            }
        }
        let transport = Transport::new(&config, tokens)?;
        let unfit = |message| RemoteError::new(Kind::InvalidArgument, message);
        transport.check_uid().map_err(unfit)?;
        Ok(Self {
            transport,
            names: Names::new(&config.project, &config.database),
            name: name(&config),
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
        })
    }

    fn bill_reads(&self, reads: u64) {
        self.reads.fetch_add(reads, Ordering::Relaxed);
    }

    async fn commit_inner(&self, writes: &[RemoteWrite]) -> Result<CommitAnswer, RemoteError> {
        let body = request::commit(&self.names, writes)?;
        let answer = self
            .transport
            .call("commit", &body)
            .await
            .map_err(|mut error| {
                // Firestore calls it an invalid argument, in words alone.
                if error.kind == Kind::InvalidArgument && writes.iter().any(is_too_large) {
                    error.kind = Kind::TooLarge;
                }
                error
            })?;
        let answer: wire::CommitResponse = answer.json().await?;
        self.writes
            .fetch_add(writes.len() as u64, Ordering::Relaxed);
        let results: Vec<_> = answer.write_results.into_iter().map(to_result).collect();
        let expected = writes.iter().map(|write| write.server_time.len());
        if !expected.eq(results.iter().map(|result| result.server_times.len())) {
            return Err(unreadable("results are missing in the commit's answer"));
        }
        Ok(CommitAnswer {
            results,
            commit_time: answer.commit_time,
        })
    }

    async fn batch_get_inner(&self, docs: &[DocRef]) -> Result<BatchGet, RemoteError> {
        let body = request::batch_get(&self.names, docs)?;
        let mut elements = self.transport.call("batchGet", &body).await?.elements();
        let mut wanted: HashSet<&DocRef> = docs.iter().collect();
        let (mut found, mut missing, mut read_time) = (Vec::new(), Vec::new(), None);
        while let Some(element) = elements.next().await? {
            read_time = earliest(read_time, element.read_time);
            let billed = element.found.is_some() || element.missing.is_some();
            self.bill_reads(billed.into());
            if let Some(document) = element.found
                && let Some(document) = document.into_remote(&self.names)?
            {
                wanted.remove(&document.doc);
                found.push(document);
            }
            if let Some(name) = element.missing
                && let Some(doc) = self.names.parse(&name)?
            {
                wanted.remove(&doc);
                missing.push(doc);
            }
        }
        match (wanted.iter().next(), read_time) {
            (Some(doc), _) => Err(unreadable(&format!("the answer says nothing of {doc}"))),
            (None, None) => Err(unreadable("the answer has no readTime")),
            (None, Some(read_time)) => Ok(BatchGet {
                found,
                missing,
                read_time,
            }),
        }
    }

    /// Two requests: in one, Firestore counts only the documents that have the field which is summed.
    async fn aggregate_inner(&self, query: &RemoteQuery) -> Result<Aggregate, RemoteError> {
        let count = self.aggregate_one(request::count(query)?);
        let sum = self.aggregate_one(request::sum_of_rev(query)?);
        let ((count, counted_at), (sum_rev, summed_at)) = try_join(count, sum).await?;
        // Of the sum's entries it isn't known how many there were: at most one a document.
        self.bill_reads(2 * u64::try_from(count).unwrap_or(0).div_ceil(1000).max(1));
        Ok(Aggregate {
            count,
            sum_rev,
            read_time: counted_at.min(summed_at),
        })
    }

    async fn aggregate_one(&self, body: Value) -> Result<(i64, Timestamp), RemoteError> {
        let mut elements = self
            .transport
            .call("runAggregationQuery", &body)
            .await?
            .elements();
        let (mut figure, mut read_time) = (None, None);
        while let Some(element) = elements.next().await? {
            read_time = earliest(read_time, element.read_time);
            figure = figure.or(element
                .result
                .and_then(|result| result.integer(request::FIGURE)));
        }
        figure
            .zip(read_time)
            .ok_or_else(|| unreadable("the answer has no figure"))
    }
}

#[async_trait]
impl RemoteStore for Firestore {
    async fn commit(&self, writes: &[RemoteWrite]) -> Result<CommitAnswer, RemoteError> {
        let span = debug_span!("firestore.commit", writes = writes.len());
        logged(self.commit_inner(writes)).instrument(span).await
    }

    async fn batch_get(&self, docs: &[DocRef]) -> Result<BatchGet, RemoteError> {
        let span = debug_span!("firestore.batch_get", documents = docs.len());
        logged(self.batch_get_inner(docs)).instrument(span).await
    }

    async fn query(&self, query: &RemoteQuery) -> Result<QueryStream<'_>, RemoteError> {
        let span = debug_span!("firestore.query", collection = %query.collection);
        let body = request::run_query(&self.names, query)?;
        let call = self.transport.call("runQuery", &body);
        let elements = logged(call).instrument(span.clone()).await?.elements();
        let rows = Rows {
            store: self,
            elements,
            read_time: None,
            documents: 0,
        };
        Ok(Box::pin(stream::unfold(Some(rows), move |rows| {
            async move {
                let mut rows = rows?;
                let event = logged(rows.next()).await;
                let goes_on = matches!(event, Ok(QueryEvent::Document(_)));
                Some((event, goes_on.then_some(rows)))
            }
            .instrument(span.clone())
        })))
    }

    async fn aggregate(&self, query: &RemoteQuery) -> Result<Aggregate, RemoteError> {
        let span = debug_span!("firestore.aggregate", collection = %query.collection);
        logged(self.aggregate_inner(query)).instrument(span).await
    }

    async fn refresh_credentials(&self) -> Result<(), RemoteError> {
        self.transport.refresh().await
    }

    async fn probe(&self) -> Result<(), RemoteError> {
        let span = debug_span!("firestore.probe");
        logged(self.transport.probe()).instrument(span).await
    }

    fn usage(&self) -> Usage {
        Usage {
            reads: self.reads.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
            // Deletes are tombstones, which are writes.
            deletes: 0,
        }
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn uid(&self) -> Option<String> {
        self.transport.tokens().identity().uid
    }
}

/// What a file is bound to. An emulator's project is another cloud than production's of that name.
fn name(config: &FirestoreConfig) -> String {
    let scheme = match config.endpoint {
        Endpoint::Production => "firestore",
        // Without its port, which is another one at every start.
        Endpoint::Emulator(_) => "firestore-emulator",
    };
    format!("{scheme}://{}/{}", config.project, config.database)
}

/// A query's answer while it arrives.
struct Rows<'a> {
    store: &'a Firestore,
    elements: Elements,
    read_time: Option<Timestamp>,
    documents: u64,
}

impl Rows<'_> {
    async fn next(&mut self) -> Result<QueryEvent, RemoteError> {
        while let Some(element) = self.elements.next().await? {
            self.read_time = earliest(self.read_time, element.read_time);
            let Some(document) = element.document else {
                continue;
            };
            self.documents += 1;
            self.store.bill_reads(1);
            let name = document.name.clone();
            match document.into_remote(&self.store.names)? {
                Some(document) => return Ok(QueryEvent::Document(document)),
                // It can't be held here, and must not keep the others out.
                None => warn!(name, "left out: a document whose id can't be held here"),
            }
        }
        if self.documents == 0 {
            self.store.bill_reads(1);
        }
        debug!(documents = self.documents, "the answer is whole");
        let read_time = self
            .read_time
            .ok_or_else(|| unreadable("the answer has no readTime"))?;
        Ok(QueryEvent::Done { read_time })
    }
}

fn is_too_large(write: &RemoteWrite) -> bool {
    document_size(&write.doc, &write.fields) > MAX_DOCUMENT_BYTES
}

fn to_result(result: wire::WriteResult) -> WriteResult {
    let times = result
        .transform_results
        .into_iter()
        .map(|r| r.timestamp_value);
    WriteResult {
        update_time: result.update_time,
        server_times: times.collect(),
    }
}

fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    a.into_iter().chain(b).min()
}

/// The answer is JSON, but leaves out what it must have.
fn unreadable(message: &str) -> RemoteError {
    RemoteError::new(Kind::NoAnswer, message)
}

async fn logged<T>(
    request: impl Future<Output = Result<T, RemoteError>>,
) -> Result<T, RemoteError> {
    request
        .await
        .inspect_err(|error| debug!(kind = ?error.kind, "firestore request failed"))
}
