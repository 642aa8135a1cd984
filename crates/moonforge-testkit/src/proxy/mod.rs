//! An HTTP/1.1 proxy on the loopback that stands before an emulator and misbehaves when told to.
//!
//! It takes each request in whole before it does anything, so that what became of it is certain: never sent on, carried out
//! and its answer lost, carried out late. Faults are pushed one by one and used up.

mod fault;
mod http;
mod serve;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::io::Result;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use fault::{Fault, Matcher, Reply};
use http::Message;

/// A fault, and which requests it strikes.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Which requests.
    pub when: Matcher,
    /// What happens to them.
    pub fault: Fault,
}

/// A request that came by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// `POST`.
    pub method: String,
    /// `/v1/projects/…/documents:commit`.
    pub path: String,
    /// The other side's status; `None` where it wasn't asked, or didn't answer (yet).
    pub upstream: Option<u16>,
    /// The status that the client was told; `None` where the connection closed without one.
    pub told: Option<u16>,
}

type Edit = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is to happen to a request.
struct Arrival {
    /// Its place among those seen.
    number: usize,
    before: Option<Edit>,
    after: Option<Edit>,
    fault: Option<Fault>,
}

/// A running proxy. It ends when this value is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    /// `None` while nobody listens.
    listening: Mutex<Option<JoinHandle<()>>>,
    /// Keeps the port meanwhile.
    _place: TcpSocket,
}

struct Shared {
    upstream: String,
    state: Mutex<State>,
    /// How many requests are under way, late ones included.
    busy: watch::Sender<usize>,
    /// Whether connections are taken and kept.
    open: watch::Sender<bool>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("upstream", &self.upstream)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    edits: Vec<(Matcher, Edit)>,
    afters: Vec<(Matcher, Edit)>,
    seen: Vec<Seen>,
}

impl FaultProxy {
    /// Listens on a free port of the loopback, for `upstream` (`127.0.0.1:8080`).
    ///
    /// # Panics
    /// When there is no free port, or no Tokio runtime.
    pub async fn start(upstream: impl Into<String>) -> Self {
        let place = socket(([127, 0, 0, 1], 0).into()).expect("a free port");
        let addr = place.local_addr().expect("a bound socket has an address");
        let proxy = Self {
            addr,
            shared: Arc::new(Shared {
                upstream: upstream.into(),
                state: Mutex::default(),
                busy: watch::Sender::new(0),
                open: watch::Sender::new(false),
            }),
            listening: Mutex::default(),
            _place: place,
        };
        proxy.up().await;
        proxy
    }

    /// Nobody listens any more: connections that are there end after the answer that they wait for, new ones are refused.
    ///
    /// # Panics
    /// When a thread panicked in this proxy.
    pub async fn down(&self) {
        self.shared.open.send_replace(false);
        let listening = self.listening().take();
        if let Some(listening) = listening {
            listening.abort();
            // The port is free when the task is gone; that it was cancelled is what was asked for.
            let _ = listening.await;
        }
    }

    /// Listens again after [`FaultProxy::down`], at the same address.
    ///
    /// # Panics
    /// When it can't.
    pub async fn up(&self) {
        self.down().await;
        let listener = socket(self.addr).and_then(|socket| socket.listen(1024));
        let listener = listener.expect("the port was kept");
        self.shared.open.send_replace(true);
        let task = tokio::spawn(accept(listener, Arc::clone(&self.shared)));
        *self.listening() = Some(task);
    }

    fn listening(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.listening.lock().expect("no panic while held")
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Adds a rule. Of all that would strike a request, the first pushed does; rules after it don't count that request.
    pub fn push(&self, rule: Rule) {
        self.shared.state().rules.push(rule);
    }

    /// Adds a rule of these two parts.
    pub fn fail(&self, when: Matcher, fault: Fault) {
        self.push(Rule { when, fault });
    }

    /// Runs `edit` while the first request that `when` matches is held, before anything else happens to it.
    pub fn before_forward(&self, when: Matcher, edit: impl Future<Output = ()> + Send + 'static) {
        self.shared.state().edits.push((when, Box::pin(edit)));
    }

    /// Runs `edit` when the first request that `when` matches was carried out (or befell whatever fault strikes it), before
    /// its answer leaves.
    pub fn before_answer(&self, when: Matcher, edit: impl Future<Output = ()> + Send + 'static) {
        self.shared.state().afters.push((when, Box::pin(edit)));
    }

    /// Takes away all rules and edits that are left.
    pub fn heal(&self) {
        let mut state = self.shared.state();
        state.rules.clear();
        state.edits.clear();
        state.afters.clear();
    }

    /// How many rules and edits still wait for a request.
    pub fn armed(&self) -> usize {
        let state = self.shared.state();
        let rules = state.rules.iter().filter(|rule| !rule.when.is_spent());
        rules.count() + state.edits.len() + state.afters.len()
    }

    /// The requests so far, in the order in which they came.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.state().seen.clone()
    }

    /// How many requests came whose path ends with `suffix`.
    pub fn count(&self, suffix: &str) -> usize {
        self.shared
            .state()
            .seen
            .iter()
            .filter(|seen| seen.path.ends_with(suffix))
            .count()
    }

    /// Returns when no request is under way, late ones included.
    pub async fn settled(&self) {
        let mut busy = self.shared.busy.subscribe();
        // The sender lives as long as `self`.
        let _ = busy.wait_for(|count| *count == 0).await;
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        if let Some(listening) = self.listening().take() {
            listening.abort();
        }
    }
}

/// A socket at this address, which may be another's too as long as only one of them listens.
fn socket(addr: SocketAddr) -> Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    #[cfg(unix)]
    socket.set_reuseport(true)?;
    socket.bind(addr)?;
    Ok(socket)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // A connection that breaks, on either side, is what this proxy is about.
            let _ = serve::serve(&shared, client).await;
        });
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while held")
    }

    /// Notes a request, and finds what is to happen to it.
    fn arrive(&self, request: &Message) -> Arrival {
        let (method, path) = request.target();
        let state = &mut *self.state();
        let seen = Seen {
            method: method.to_owned(),
            path: path.to_owned(),
            upstream: None,
            told: None,
        };
        state.seen.push(seen);
        let due = |edits: &mut Vec<(Matcher, Edit)>| {
            let strikes = |(when, _): &mut (Matcher, Edit)| when.strikes(path, &request.body);
            let index = edits.iter_mut().position(strikes)?;
            Some(edits.remove(index).1)
        };
        let (before, after) = (due(&mut state.edits), due(&mut state.afters));
        let rule = state
            .rules
            .iter_mut()
            .position(|rule| rule.when.strikes(path, &request.body));
        Arrival {
            number: state.seen.len() - 1,
            before,
            after,
            fault: rule.map(|index| state.rules[index].fault.clone()),
        }
    }

    async fn forward(&self, number: usize, request: &Message) -> Result<Message> {
        let mut upstream = TcpStream::connect(&self.upstream).await?;
        upstream
            .write_all(&request.head(request.body.len(), "close"))
            .await?;
        upstream.write_all(&request.body).await?;
        let answer = Message::read_answer(&mut BufReader::new(upstream)).await?;
        self.state().seen[number].upstream = answer.status();
        Ok(answer)
    }
}
