//! One connection: takes its requests, has them carried out or not, and answers or not.

use std::io::Result;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::fault::{Fault, Reply};
use super::http::Message;
use super::{Arrival, Shared};

const PAGE: &str = "<!doctype html><html><title>Welcome</title><body>Please sign in.</body></html>";

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

pub(super) async fn serve(shared: &Arc<Shared>, client: TcpStream) -> Result<()> {
    let (reader, mut writer) = client.into_split();
    let mut reader = BufReader::new(reader);
    let mut open = shared.open.subscribe();
    loop {
        let request = tokio::select! {
            biased;
            // The sender lives as long as `shared`.
            _ = open.wait_for(|open| !open) => return Ok(()),
            request = Message::read_request(&mut reader) => request?,
        };
        let Some(request) = request else {
            return Ok(());
        };
        let busy = Busy::new(shared);
        let Arrival {
            number,
            before,
            after,
            fault,
        } = shared.arrive(&request);
        if let Some(before) = before {
            before.await;
        }
        let resets = matches!(fault, Some(Fault::Reset));
        let outcome = outcome(shared, number, request, fault, busy).await;
        if let Some(after) = after {
            after.await;
        }
        let Some((answer, body)) = outcome? else {
            if resets {
                writer.as_ref().set_zero_linger()?;
            }
            return Ok(());
        };
        let connection = if *shared.open.borrow() {
            "keep-alive"
        } else {
            "close"
        };
        let head = answer.head(body.length, connection);
        if let Then::CutHead(bytes) = body.then {
            return writer.write_all(&head[..bytes.min(head.len())]).await;
        }
        shared.state().seen[number].told = answer.status();
        writer.write_all(&head).await?;
        writer.write_all(&answer.body[..body.first]).await?;
        match body.then {
            Then::GoOn => {}
            Then::Close | Then::CutHead(_) => return Ok(()),
            Then::Pause(span) => {
                pause(span).await;
                writer.write_all(&answer.body[body.first..]).await?;
            }
            Then::Trickle(span) => {
                for piece in answer.body[body.first..].chunks(body.first.max(1)) {
                    pause(span).await;
                    writer.write_all(piece).await?;
                }
            }
        }
    }
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
    /// So many bytes of the head are all that comes.
    CutHead(usize),
    Pause(Duration),
    /// The rest comes in pieces as long as the first, each after this pause.
    Trickle(Duration),
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
        Some(Fault::Drop | Fault::Reset) => return Ok(None),
        Some(Fault::Twice) => {
            shared.forward(number, &request).await?;
            shared.forward(number, &request).await?
        }
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
        Some(Fault::Trickle(bytes, span)) => {
            body.first = bytes.min(body.length);
            body.then = Then::Trickle(span);
        }
        Some(Fault::CutHead(bytes)) => body.then = Then::CutHead(bytes),
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
