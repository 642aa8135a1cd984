//! An HTTP/1.1 proxy on the loopback that stands before an emulator and misbehaves when told to.
//!
//! It takes each request in whole before it does anything, so that what became of it is certain: never sent on, carried out
//! and its answer lost, carried out late. Faults are pushed one by one and used up.

mod fault;
mod http;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::io::Result;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

pub use fault::{Fault, Matcher, Reply};
use http::Message;

const PAGE: &str = "<!doctype html><html><title>Welcome</title><body>Please sign in.</body></html>";

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

/// A running proxy. It ends when this value is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    listening: AbortHandle,
}

struct Shared {
    upstream: String,
    state: Mutex<State>,
    /// How many requests are under way, late ones included.
    busy: watch::Sender<usize>,
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
    seen: Vec<Seen>,
}

impl FaultProxy {
    /// Listens on a free port of the loopback, for `upstream` (`127.0.0.1:8080`).
    ///
    /// # Panics
    /// When there is no free port, or no Tokio runtime.
    pub async fn start(upstream: impl Into<String>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free port");
        let addr = listener
            .local_addr()
            .expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            upstream: upstream.into(),
            state: Mutex::default(),
            busy: watch::Sender::new(0),
        });
        let serving = Arc::clone(&shared);
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                tokio::spawn(async move {
                    // A connection that breaks, on either side, is what this proxy is about.
                    let _ = serve(&shared, client).await;
                });
            }
        });
        Self {
            addr,
            shared,
            listening: listening.abort_handle(),
        }
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

    /// Takes away all rules and edits that are left.
    pub fn heal(&self) {
        let mut state = self.shared.state();
        state.rules.clear();
        state.edits.clear();
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
        self.listening.abort();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while held")
    }

    /// Notes a request, and finds what is to happen to it.
    fn arrive(&self, request: &Message) -> (usize, Option<Edit>, Option<Fault>) {
        let (method, path) = request.target();
        let state = &mut *self.state();
        let seen = Seen {
            method: method.to_owned(),
            path: path.to_owned(),
            upstream: None,
            told: None,
        };
        state.seen.push(seen);
        let edit = state
            .edits
            .iter_mut()
            .position(|(when, _)| when.strikes(path, &request.body));
        let edit = edit.map(|index| state.edits.remove(index).1);
        let rule = state
            .rules
            .iter_mut()
            .position(|rule| rule.when.strikes(path, &request.body));
        let fault = rule.map(|index| state.rules[index].fault.clone());
        (state.seen.len() - 1, edit, fault)
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

/// Counts a request as under way for as long as it lives.
struct Busy(Arc<Shared>);

impl Busy {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.busy.send_modify(|count| *count += 1);
        Self(Arc::clone(shared))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.send_modify(|count| *count -= 1);
    }
}

async fn serve(shared: &Arc<Shared>, client: TcpStream) -> Result<()> {
    let (reader, mut writer) = client.into_split();
    let mut reader = BufReader::new(reader);
    while let Some(request) = Message::read_request(&mut reader).await? {
        let busy = Busy::new(shared);
        let (number, edit, fault) = shared.arrive(&request);
        if let Some(edit) = edit {
            edit.await;
        }
        let Some((answer, body)) = outcome(shared, number, request, fault, busy).await? else {
            return Ok(());
        };
        shared.state().seen[number].told = answer.status();
        writer
            .write_all(&answer.head(body.length, "keep-alive"))
            .await?;
        writer.write_all(&answer.body[..body.first]).await?;
        match body.then {
            Then::GoOn => {}
            Then::Close => return Ok(()),
            Then::Pause(span) => {
                pause(span).await;
                writer.write_all(&answer.body[body.first..]).await?;
            }
        }
    }
    Ok(())
}

/// How an answer's body is sent.
struct Body {
    /// What its headers say of its length.
    length: usize,
    /// How many bytes are sent at once.
    first: usize,
    then: Then,
}

enum Then {
    GoOn,
    Close,
    Pause(Duration),
}

/// What the client is answered, and how; `None` where its connection closes.
async fn outcome(
    shared: &Arc<Shared>,
    number: usize,
    request: Message,
    fault: Option<Fault>,
    busy: Busy,
) -> Result<Option<(Message, Body)>> {
    let reply = |r: Reply| Message::answer(r.code, &r.headers, &r.body);
    let mut answer = match &fault {
        Some(Fault::Drop) => return Ok(None),
        Some(Fault::DeliverLate(span)) => {
            let (shared, span) = (Arc::clone(shared), *span);
            tokio::spawn(async move {
                pause(span).await;
                // Nobody waits for the answer; that it came is in `seen`.
                let _ = shared.forward(number, &request).await;
                drop(busy);
            });
            return Ok(None);
        }
        Some(Fault::Status(r)) => reply(r.clone()),
        Some(Fault::Html) => {
            let headers = [("Content-Type".to_owned(), "text/html".to_owned())];
            Message::answer(200, &headers, PAGE)
        }
        _ => shared.forward(number, &request).await?,
    };
    let whole = |answer: &Message| Body {
        length: answer.body.len(),
        first: answer.body.len(),
        then: Then::GoOn,
    };
    let mut body = whole(&answer);
    match fault {
        Some(Fault::LoseAnswer) => return Ok(None),
        Some(Fault::StatusAfter(r)) => {
            answer = reply(r);
            body = whole(&answer);
        }
        Some(Fault::Stall(span)) => pause(span).await,
        Some(Fault::StallBody(bytes, span)) => {
            body.first = bytes.min(body.length);
            body.then = Then::Pause(span);
        }
        Some(Fault::Cut(bytes)) => {
            body.first = bytes.min(body.length);
            body.then = Then::Close;
        }
        Some(Fault::Truncate(bytes)) => {
            answer.body.truncate(bytes);
            body = whole(&answer);
        }
        Some(Fault::ErrorElementAtEnd(r)) => {
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            if let Some(elements) = text.trim_end().strip_suffix(']') {
                answer.body = format!("{elements},{}]", r.body).into_bytes();
                body = whole(&answer);
            }
        }
        _ => {}
    }
    Ok(Some((answer, body)))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test's fault lasts in real time"
)]
async fn pause(span: Duration) {
    tokio::time::sleep(span).await;
}
