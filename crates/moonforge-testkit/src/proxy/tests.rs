use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const LATE: Duration = Duration::from_millis(200);
const ANSWER: &str = "[{\"a\":1}\n,{\"b\":2}]";

/// A server that counts its requests, keeps their bodies, and answers [`ANSWER`] in chunks.
#[derive(Clone, Default)]
struct Responder {
    count: Arc<AtomicUsize>,
    last: Arc<Mutex<String>>,
}

impl Responder {
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let this = self.clone();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut text = Vec::new();
                while !text.ends_with(b"END") && socket.read_buf(&mut text).await.unwrap() > 0 {}
                *this.last.lock().unwrap() = String::from_utf8(text).unwrap();
                this.count.fetch_add(1, Ordering::SeqCst);
                let (a, b) = ANSWER.split_at(5);
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nX-Kept: yes\r\nTransfer-Encoding: chunked\r\n\r\n\
                     5\r\n{a}\r\n{:x};x=y\r\n{b}\r\n0\r\n\r\n",
                    b.len()
                );
                // The connection stays open: its end is no sign of the answer's end.
                socket.write_all(answer.as_bytes()).await.unwrap();
                tokio::spawn(async move { socket.read_buf(&mut Vec::new()).await });
            }
        });
        host
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

struct Bench {
    server: Responder,
    proxy: FaultProxy,
    client: Client,
}

impl Bench {
    async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = Responder::default();
        let proxy = FaultProxy::start(server.start().await).await;
        let client = Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .build()
            .unwrap();
        Self {
            server,
            proxy,
            client,
        }
    }

    /// Status and body, or `None` where there was no whole answer.
    async fn post(&self, path: &str) -> Option<(u16, String)> {
        let url = format!("http://{}/v1/x:{path}", self.proxy.addr());
        let answer = self
            .client
            .post(url)
            .body(format!("{path} END"))
            .send()
            .await
            .ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.text().await.ok()?))
    }

    async fn with(&self, fault: Fault) -> Option<(u16, String)> {
        self.proxy.fail(Matcher::any(), fault);
        self.post("commit").await
    }
}

fn whole() -> Option<(u16, String)> {
    Some((200, ANSWER.to_owned()))
}

#[tokio::test]
async fn without_rules_it_hands_everything_on() {
    let bench = Bench::new().await;
    for _ in 0..3 {
        assert_eq!(bench.post("commit").await, whole());
    }
    let request = bench.server.last.lock().unwrap().clone();
    assert!(
        request.starts_with("POST /v1/x:commit HTTP/1.1\r\n")
            && request.ends_with("\r\n\r\ncommit END")
    );
    let seen = &bench.proxy.seen()[2];
    assert_eq!(
        (seen.method.as_str(), seen.path.as_str()),
        ("POST", "/v1/x:commit")
    );
    assert_eq!((seen.upstream, seen.told), (Some(200), Some(200)));
    assert_eq!((bench.proxy.count(":commit"), bench.server.count()), (3, 3));
}

#[tokio::test]
async fn a_dropped_request_never_arrives_and_a_lost_answer_did() {
    let bench = Bench::new().await;
    assert_eq!(bench.with(Fault::Drop).await, None);
    assert_eq!(bench.server.count(), 0);
    assert_eq!(bench.with(Fault::LoseAnswer).await, None);
    assert_eq!(bench.server.count(), 1);
    let outcomes: Vec<_> = bench
        .proxy
        .seen()
        .iter()
        .map(|seen| (seen.upstream, seen.told))
        .collect();
    assert_eq!(outcomes, [(None, None), (Some(200), None)]);
    assert_eq!(bench.post("commit").await, whole());
}

#[tokio::test]
async fn a_late_request_arrives_after_its_connection_closed() {
    let bench = Bench::new().await;
    assert_eq!(bench.with(Fault::DeliverLate(LATE)).await, None);
    assert_eq!(bench.server.count(), 0);
    bench.proxy.settled().await;
    assert_eq!(bench.server.count(), 1);
    assert_eq!(bench.proxy.seen()[0].upstream, Some(200));
}

#[tokio::test]
async fn a_status_comes_in_place_of_the_request_or_after_it() {
    let bench = Bench::new().await;
    let reply = Reply::error(503, "UNAVAILABLE").header("Retry-After", "7");
    let told = bench.with(Fault::Status(reply.clone())).await;
    assert_eq!(told, Some((503, reply.body.clone())));
    assert_eq!(bench.server.count(), 0);
    let told = bench
        .with(Fault::StatusAfter(reply.clone().in_array()))
        .await;
    assert_eq!(told, Some((503, format!("[{}]", reply.body))));
    assert_eq!(bench.server.count(), 1);
    let (status, page) = bench.with(Fault::Html).await.unwrap();
    assert!(status == 200 && page.starts_with("<!doctype html>"));
    assert_eq!(bench.server.count(), 1);
}

#[tokio::test]
async fn an_answer_is_held_cut_shortened_or_given_an_error_at_its_end() {
    let bench = Bench::new().await;
    let held = tokio::time::timeout(LATE / 2, bench.with(Fault::Stall(LATE))).await;
    assert!(held.is_err());
    assert_eq!(bench.with(Fault::StallBody(4, LATE)).await, whole());
    assert_eq!(bench.with(Fault::Cut(4)).await, None);
    assert_eq!(
        bench.with(Fault::Truncate(4)).await,
        Some((200, ANSWER[..4].to_owned()))
    );
    let reply = Reply::error(500, "INTERNAL");
    let (_, text) = bench
        .with(Fault::ErrorElementAtEnd(reply.clone()))
        .await
        .unwrap();
    assert_eq!(text, format!("[{{\"a\":1}}\n,{{\"b\":2}},{}]", reply.body));
}

#[tokio::test]
async fn an_answer_is_cut_in_its_head_or_trickles() {
    let bench = Bench::new().await;
    assert_eq!(bench.with(Fault::CutHead(20)).await, None);
    assert_eq!(bench.server.count(), 1);
    let trickle = Fault::Trickle(5, Duration::from_millis(5));
    assert_eq!(bench.with(trickle).await, whole());
}

#[tokio::test]
async fn a_reset_request_never_arrives_and_one_delivered_twice_does_so() {
    let bench = Bench::new().await;
    assert_eq!(bench.with(Fault::Reset).await, None);
    assert_eq!(bench.server.count(), 0);
    assert_eq!(bench.with(Fault::Twice).await, whole());
    assert_eq!(bench.server.count(), 2);
    assert_eq!(bench.proxy.count("commit"), 2, "the client sent each once");
}

#[tokio::test]
async fn nobody_listens_while_it_is_down() {
    let bench = Bench::new().await;
    assert_eq!(bench.post("commit").await, whole());
    bench.proxy.down().await;
    let refused = bench.client.post(format!("http://{}/", bench.proxy.addr()));
    assert!(refused.send().await.unwrap_err().is_connect());
    bench.proxy.up().await;
    assert_eq!(bench.post("commit").await, whole());
    assert_eq!(bench.server.count(), 2);
}

#[tokio::test]
async fn what_comes_before_an_answer_finds_the_request_carried_out() {
    let bench = Bench::new().await;
    let server = bench.server.clone();
    let found = Arc::new(AtomicUsize::new(0));
    let noted = Arc::clone(&found);
    let note = async move { noted.store(server.count(), Ordering::SeqCst) };
    bench.proxy.before_answer(Matcher::any().skip(1), note);
    assert_eq!(bench.post("get").await, whole());
    assert_eq!(bench.with(Fault::LoseAnswer).await, None);
    assert_eq!(found.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_rule_strikes_the_requests_that_it_names() {
    let bench = Bench::new().await;
    bench
        .proxy
        .fail(Matcher::path(":commit").skip(1).times(2), Fault::Drop);
    bench
        .proxy
        .fail(Matcher::any().containing("get END").always(), Fault::Drop);
    let mut told = Vec::new();
    for path in [
        "commit", "query", "commit", "get", "commit", "get", "commit",
    ] {
        told.push(bench.post(path).await.is_some());
    }
    assert_eq!(told, [true, true, false, false, false, false, true]);
    assert_eq!(bench.proxy.armed(), 1, "one is used up");
    bench.proxy.heal();
    assert_eq!(bench.post("get").await, whole());
}

#[tokio::test]
async fn an_edit_runs_once_while_its_request_is_held() {
    let bench = Bench::new().await;
    let server = bench.server.clone();
    let before = Arc::new(AtomicUsize::new(usize::MAX));
    let noted = Arc::clone(&before);
    bench
        .proxy
        .before_forward(Matcher::path(":commit"), async move {
            noted.store(server.count(), Ordering::SeqCst);
        });
    assert_eq!(bench.post("get").await, whole());
    assert_eq!(before.load(Ordering::SeqCst), usize::MAX);
    assert_eq!(bench.with(Fault::LoseAnswer).await, None);
    assert_eq!(
        (before.load(Ordering::SeqCst), bench.server.count()),
        (1, 2)
    );
    assert_eq!(bench.post("commit").await, whole());
    assert_eq!(before.load(Ordering::SeqCst), 1);
}
