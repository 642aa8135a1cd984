//! One device's connection to the simulated server.

use std::sync::Mutex;

use async_trait::async_trait;
use futures_util::stream;
use moonforge_model::{DocRef, Timestamp};
use moonforge_ports::{
    Aggregate, BatchGet, CommitAnswer, QueryEvent, QueryStream, RemoteError, RemoteErrorKind,
    RemoteQuery, RemoteStore, RemoteWrite, Usage,
};

use super::database::{Database, error};
use super::faults::{Call, CallKind, Fault, Moment};
use super::server::{SimulatedFirestore, Underway};
use super::turn::Turn;

/// A [`RemoteStore`] that talks to a [`SimulatedFirestore`], with its faults and gates.
#[derive(Debug)]
pub struct SimulatedRemote {
    server: SimulatedFirestore,
    uid: Option<String>,
    device: String,
    state: Mutex<State>,
    turn: Turn,
}

#[derive(Debug, Default)]
struct State {
    calls: u64,
    usage: Usage,
}

fn no_answer<T>() -> Result<T, RemoteError> {
    Err(error(RemoteErrorKind::NoAnswer, "the connection was cut"))
}

/// Keeps a commit that has arrived from being undone by a sender that goes away.
struct Arrived<'a> {
    server: &'a SimulatedFirestore,
    underway: Option<Underway>,
}

impl Drop for Arrived<'_> {
    fn drop(&mut self) {
        if let Some(underway) = self.underway.take() {
            self.server.add_late(underway);
        }
    }
}

impl SimulatedRemote {
    pub(super) fn new(server: SimulatedFirestore, uid: Option<String>, device: &str) -> Self {
        Self {
            server,
            uid,
            device: device.to_owned(),
            state: Mutex::default(),
            turn: Turn::default(),
        }
    }

    fn call(&self, kind: CallKind, docs: Vec<DocRef>, collection: Option<String>) -> Call {
        let mut state = self.state.lock().expect("no panic while held");
        let number = state.calls;
        state.calls += 1;
        let (device, uid) = (self.device.clone(), self.uid.clone());
        Call {
            device,
            uid,
            kind,
            number,
            docs,
            collection,
        }
    }

    fn bill(&self, reads: usize, writes: usize) {
        let mut state = self.state.lock().expect("no panic while held");
        state.usage.reads += reads as u64;
        state.usage.writes += writes as u64;
    }

    /// Takes a call through a moment, when it is its turn.
    async fn pass(&self, call: &Call, moment: Moment) {
        let _turn = self.turn.take(call).await;
        self.server.pass(call, moment).await;
    }

    /// Takes a call through its moments and its fault. The second of the answer is the fault of a query's stream.
    async fn exchange<T: Send>(
        &self,
        call: Call,
        writes: &[RemoteWrite],
        run: impl FnOnce(&mut Database, Timestamp, Timestamp) -> Result<T, RemoteError> + Send,
    ) -> Result<(T, Fault), RemoteError> {
        let server = &self.server;
        server.begins(&call);
        let turn = self.turn.take(&call).await;
        let fault = server.fault(&call);
        server.pass(&call, Moment::Sending).await;
        drop(turn);
        let underway = |request_time| Underway {
            uid: self.uid.clone(),
            writes: writes.to_vec(),
            request_time,
        };
        let lost = match fault {
            Fault::NeverSent => {
                return Err(error(RemoteErrorKind::NeverSent, "connection refused"));
            }
            Fault::LostRequest => true,
            Fault::Late | Fault::LateVisible => {
                let arrived = (fault == Fault::LateVisible).then(|| server.request_time());
                if call.kind == CallKind::Commit {
                    server.add_late(underway(arrived));
                }
                true
            }
            _ => false,
        };
        if lost {
            self.pass(&call, Moment::Answering).await;
            return no_answer();
        }
        if let Fault::Status(kind, retry_after) = fault {
            self.pass(&call, Moment::Answering).await;
            return Err(error(kind, format!("{kind:?}, as planned")).with_retry_after(retry_after));
        }
        let request_time = server.request_time();
        let mut arrived = Arrived {
            server,
            underway: (call.kind == CallKind::Commit).then(|| underway(Some(request_time))),
        };
        self.pass(&call, Moment::Arrived).await;
        if let Fault::Slow(span) = fault {
            server.clock().sleep(span).await;
        }
        arrived.underway = None;
        drop(arrived);
        let now = server.now();
        let result = server.database(|database| run(database, request_time, now));
        self.pass(&call, Moment::Answering).await;
        match fault {
            Fault::LostAnswer => no_answer(),
            Fault::CutStream(_) | Fault::EndStream(_) if call.kind != CallKind::Query => {
                no_answer()
            }
            _ => Ok((result?, fault)),
        }
    }
}

#[async_trait]
impl RemoteStore for SimulatedRemote {
    async fn commit(&self, writes: &[RemoteWrite]) -> Result<CommitAnswer, RemoteError> {
        let docs = writes.iter().map(|w| w.doc.clone()).collect();
        let call = self.call(CallKind::Commit, docs, None);
        let uid = self.uid.as_deref();
        let (answer, _) = self
            .exchange(call, writes, |database, at, now| {
                database.commit(uid, writes, at, now)
            })
            .await?;
        self.bill(0, writes.len());
        Ok(answer)
    }

    async fn batch_get(&self, docs: &[DocRef]) -> Result<BatchGet, RemoteError> {
        let call = self.call(CallKind::BatchGet, docs.to_vec(), None);
        let uid = self.uid.as_deref();
        let (answer, _) = self
            .exchange(call, &[], |database, _, now| database.get(uid, docs, now))
            .await?;
        self.bill(answer.found.len() + answer.missing.len(), 0);
        Ok(answer)
    }

    async fn query(&self, query: &RemoteQuery) -> Result<QueryStream<'_>, RemoteError> {
        let call = self.call(
            CallKind::Query,
            Vec::new(),
            Some(query.collection.to_string()),
        );
        let uid = self.uid.as_deref();
        let ((documents, read_time), fault) = self
            .exchange(call, &[], |database, _, now| {
                database.query(uid, query, now)
            })
            .await?;
        let end = match fault {
            Fault::CutStream(_) => Some(no_answer()),
            Fault::EndStream(_) => None,
            _ => Some(Ok(QueryEvent::Done { read_time })),
        };
        let count = match fault {
            Fault::CutStream(n) | Fault::EndStream(n) => n.min(documents.len()),
            _ => documents.len(),
        };
        self.bill(count.max(1), 0);
        let events = documents
            .into_iter()
            .take(count)
            .map(|d| Ok(QueryEvent::Document(d)));
        Ok(Box::pin(stream::iter(events.chain(end))))
    }

    async fn aggregate(&self, query: &RemoteQuery) -> Result<Aggregate, RemoteError> {
        let call = self.call(
            CallKind::Aggregate,
            Vec::new(),
            Some(query.collection.to_string()),
        );
        let uid = self.uid.as_deref();
        let (answer, _) = self
            .exchange(call, &[], |database, _, now| {
                database.aggregate(uid, query, now)
            })
            .await?;
        // COUNT and SUM are two requests to the real one.
        let thousands = usize::try_from(answer.count).unwrap_or(0).div_ceil(1000);
        self.bill(2 * thousands.max(1), 0);
        Ok(answer)
    }

    async fn refresh_credentials(&self) -> Result<(), RemoteError> {
        let call = self.call(CallKind::Refresh, Vec::new(), None);
        self.exchange(call, &[], |_, _, _| Ok(())).await.map(|_| ())
    }

    async fn probe(&self) -> Result<(), RemoteError> {
        let call = self.call(CallKind::Probe, Vec::new(), None);
        match self.exchange(call, &[], |_, _, _| Ok(())).await {
            // Whoever is answered at all has reached it.
            Err(error) if error.is_connection() => Err(error),
            _ => Ok(()),
        }
    }

    fn usage(&self) -> Usage {
        self.state.lock().expect("no panic while held").usage
    }

    fn name(&self) -> String {
        self.server.name().to_owned()
    }

    fn uid(&self) -> Option<String> {
        self.uid.clone()
    }
}
