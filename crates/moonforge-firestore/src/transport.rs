//! Requests over HTTP, and what can become of them on the way.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use moonforge_ports::{RemoteError, RemoteErrorKind as Kind, TokenError, TokenProvider};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Request, Response, redirect, retry};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tracing::debug;

use crate::config::{Endpoint, FirestoreConfig, Timeouts};
use crate::elements::Splitter;
use crate::failure;
use crate::wire::Element;

/// What stands as it is in a segment of a URL's path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'(')
    .remove(b')');

/// Most of an error's body that is read.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// Most of an answer that is held at once: a whole body, or one element of a stream.
const MAX_BYTES: usize = 16 << 20;

/// How many bytes of a request a slow uplink takes in a second.
const UPLINK: usize = 16 * 1024;

/// How long to wait for the end of a body whose JSON is whole, which only lets the connection be used again.
const END_OF_BODY: Duration = Duration::from_millis(200);

/// One database's HTTP client.
pub(crate) struct Transport {
    client: Client,
    /// `https://…/v1/projects/P/databases/D/documents`
    url: String,
    /// `https://…`
    origin: String,
    timeouts: Timeouts,
    tokens: Arc<dyn TokenProvider>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Transport {
    pub(crate) fn new(
        config: &FirestoreConfig,
        tokens: Arc<dyn TokenProvider>,
    ) -> Result<Self, RemoteError> {
        // An app that chose a provider of its own keeps it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = Client::builder()
            .user_agent(concat!("moonforge/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(config.timeouts.connect)
            // Repeating and following are for the engine, which knows what was decided.
            .retry(retry::never())
            .redirect(redirect::Policy::none());
        let builder = match config.endpoint {
            // A connection that broke without a word is noticed before a request has waited for all of its time.
            Endpoint::Production => builder
                .https_only(true)
                .http2_keep_alive_interval(Duration::from_secs(15))
                .http2_keep_alive_timeout(Duration::from_secs(10)),
            Endpoint::Emulator(_) => builder.no_proxy().http1_only(),
        };
        let client = builder.build().map_err(|error| {
            RemoteError::new(Kind::NeverSent, "the HTTP client can't be set up").with_source(error)
        })?;
        let segment = |text| utf8_percent_encode(text, SEGMENT);
        let url = format!(
            "{}/v1/projects/{}/databases/{}/documents",
            config.endpoint.origin(),
            segment(&config.project),
            segment(&config.database),
        );
        Ok(Self {
            client,
            url,
            origin: config.endpoint.origin().to_string(),
            timeouts: config.timeouts,
            tokens,
        })
    }

    /// Who signs the requests.
    pub(crate) fn tokens(&self) -> &dyn TokenProvider {
        &*self.tokens
    }

    /// Asks for nothing, without a token: any answer shows that the way is open.
    pub(crate) async fn probe(&self) -> Result<(), RemoteError> {
        let asked = self.client.head(&self.origin).send();
        match timeout(patience(self.timeouts, 0), asked).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(lost(error)),
            Err(_) => Err(RemoteError::new(Kind::NoAnswer, "no answer in time")),
        }
    }

    /// Calls a method of the documents (`commit`, `runQuery`, …). `Ok` when the answer's status is 200.
    pub(crate) async fn call<B: Serialize + Sync>(
        &self,
        method: &'static str,
        body: &B,
    ) -> Result<Answer, RemoteError> {
        let body = serde_json::to_vec(body).map_err(|error| {
            RemoteError::new(Kind::InvalidArgument, "the request isn't JSON").with_source(error)
        })?;
        let sent = body.len();
        let (request, signed) = self.request(method, body).await?;
        let patience = patience(self.timeouts, sent);
        let response = match timeout(patience, self.client.execute(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(lost(error)),
            Err(_) => return Err(silent("no answer", patience)),
        };
        let status = response.status();
        debug!(method, sent, status = status.as_u16(), "firestore answered");
        let mut answer = Answer {
            response,
            idle: self.timeouts.idle,
            signed,
        };
        if status.is_success() {
            return Ok(answer);
        }
        let headers = answer.response.headers().clone();
        // An error whose body is cut can still be told by its status.
        let mut body = Vec::new();
        while let Ok(Some(piece)) = answer.chunk().await
            && body.len() < MAX_ERROR_BYTES
        {
            body.extend_from_slice(&piece);
        }
        Err(judged(
            failure::of_answer(status, &headers, &body),
            answer.signed,
        ))
    }

    /// A request, and whether it is signed.
    async fn request(&self, method: &str, body: Vec<u8>) -> Result<(Request, bool), RemoteError> {
        self.check_account()?;
        let mut request = self
            .client
            .post(format!("{}:{method}", self.url))
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        let token = self.tokens.token().await.map_err(no_token)?;
        let signed = token.is_some();
        if let Some(token) = token {
            let bearer = format!("Bearer {}", token.expose_secret());
            let mut bearer = HeaderValue::try_from(bearer).map_err(|_| {
                RemoteError::new(
                    Kind::Unauthenticated,
                    "the token has characters that no header can carry",
                )
            })?;
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
        }
        let request = request.build().map_err(|error| {
            let message = format!("{} is no address", self.url);
            RemoteError::new(Kind::InvalidArgument, message).with_source(error)
        })?;
        Ok((request, signed))
    }

    /// Asks for another token.
    pub(crate) async fn refresh(&self) -> Result<(), RemoteError> {
        self.check_account()?;
        if let Ok(None) = self.tokens.token().await {
            return Err(unsigned());
        }
        self.tokens.refresh().await.map_err(no_token)
    }

    /// Whether the account can stand in a document: as a key, where a leading `$` has another meaning on either side, the
    /// rules would look for its role and its edits in vain.
    pub(crate) fn check_uid(&self) -> Result<(), String> {
        match self.tokens.identity().uid {
            Some(uid) if uid.starts_with('$') => Err(format!(
                "the uid `{uid}` begins with `$`, which no account of Moonforge's can"
            )),
            _ => Ok(()),
        }
    }

    /// The same at a request, when somebody else may have signed in: that it is unfit is no reason to park any edit.
    fn check_account(&self) -> Result<(), RemoteError> {
        let sign_in = |message| RemoteError::new(Kind::Unauthenticated, message);
        self.check_uid().map_err(sign_in)
    }
}

/// How long to wait for an answer's headers. Connecting has a timeout of its own, which says more: it comes first.
fn patience(timeouts: Timeouts, bytes: usize) -> Duration {
    let upload = Duration::from_secs((bytes / UPLINK) as u64);
    let answer = timeouts.connect.saturating_add(timeouts.headers);
    answer.saturating_add(upload)
}

/// A denial of what nobody signed is no word on what somebody may do.
fn judged(error: RemoteError, signed: bool) -> RemoteError {
    if signed || error.kind != Kind::PermissionDenied {
        return error;
    }
    unsigned().with_source(error)
}

fn unsigned() -> RemoteError {
    let message = "no sign-in was given, and nobody in particular may do this";
    RemoteError::new(Kind::Unauthenticated, message)
}

/// Refuses to hold more than [`MAX_BYTES`].
fn check_size(bytes: usize) -> Result<(), RemoteError> {
    if bytes <= MAX_BYTES {
        return Ok(());
    }
    let message = format!("the answer holds more than {MAX_BYTES} bytes in one piece");
    Err(RemoteError::new(Kind::NoAnswer, message))
}

/// An answer whose status was 200, and whose body is still to come.
#[derive(Debug)]
pub(crate) struct Answer {
    response: Response,
    idle: Duration,
    signed: bool,
}

impl Answer {
    async fn chunk(&mut self) -> Result<Option<Bytes>, RemoteError> {
        match timeout(self.idle, self.response.chunk()).await {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(error)) => Err(lost(error)),
            Err(_) => Err(silent("the answer stopped", self.idle)),
        }
    }

    /// The whole body, as one JSON value.
    pub(crate) async fn json<T: DeserializeOwned>(mut self) -> Result<T, RemoteError> {
        let mut body = Vec::new();
        while let Some(piece) = self.chunk().await? {
            check_size(body.len() + piece.len())?;
            body.extend_from_slice(&piece);
        }
        serde_json::from_slice(&body)
            .map_err(|error| failure::not_the_protocols("HTTP 200", &body).with_source(error))
    }

    /// The body as an array whose elements come one by one.
    pub(crate) fn elements(self) -> Elements {
        Elements {
            answer: self,
            splitter: Splitter::default(),
        }
    }
}

/// The elements of a streamed answer.
#[derive(Debug)]
pub(crate) struct Elements {
    answer: Answer,
    splitter: Splitter,
}

impl Elements {
    /// The next element, or `None` after the last when the answer is whole. Not to be called again after an error.
    pub(crate) async fn next(&mut self) -> Result<Option<Element>, RemoteError> {
        loop {
            let element = self.splitter.next();
            let element =
                element.map_err(|other| failure::not_the_protocols("HTTP 200", &other.0))?;
            if let Some(text) = element {
                let element = read_element(text);
                return element
                    .map(Some)
                    .map_err(|error| judged(error, self.answer.signed));
            }
            if self.splitter.is_whole() {
                let _ = timeout(END_OF_BODY, self.answer.response.chunk()).await;
                return Ok(None);
            }
            match self.answer.chunk().await? {
                Some(piece) => {
                    check_size(self.splitter.held() + piece.len())?;
                    self.splitter.push(&piece);
                }
                None => {
                    return Err(RemoteError::new(
                        Kind::NoAnswer,
                        "the answer ended before its end",
                    ));
                }
            }
        }
    }
}

fn read_element(text: &[u8]) -> Result<Element, RemoteError> {
    let element: Element = serde_json::from_slice(text)
        .map_err(|error| failure::not_the_protocols("HTTP 200", text).with_source(error))?;
    match element.error {
        Some(error) => Err(failure::of_body(error)),
        None => Ok(element),
    }
}

/// What became of a request that got no (whole) answer.
fn lost(error: reqwest::Error) -> RemoteError {
    let error = error.without_url();
    let (kind, what) = if error.is_connect() {
        (Kind::NeverSent, "no connection")
    } else if error.is_builder() {
        (Kind::InvalidArgument, "the request can't be sent")
    } else {
        (
            Kind::NoAnswer,
            "the connection broke before the answer was here",
        )
    };
    let mut cause: &dyn Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let message = format!("{what}: {cause}");
    RemoteError::new(kind, message).with_source(error)
}

fn silent(what: &str, span: Duration) -> RemoteError {
    RemoteError::new(Kind::NoAnswer, format!("{what} for {span:?}"))
}

/// What a request that has no token to go with comes to.
pub(crate) fn no_token(error: TokenError) -> RemoteError {
    let kind = match error {
        TokenError::Unreachable(_) => Kind::NeverSent,
        TokenError::SignInNeeded(_) => Kind::Unauthenticated,
    };
    RemoteError::new(kind, error.to_string()).with_source(error)
}
