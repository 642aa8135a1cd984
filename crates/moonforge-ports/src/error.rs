//! How a remote can fail.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// What became of a request, as far as the sender can know. The outcome table of the protocol rests on these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RemoteErrorKind {
    /// It never left: connection refused, no such host, no network, no token to send it with.
    NeverSent,
    /// It may have left, and no whole HTTP answer came: cut, reset, timed out, an answer that isn't the protocol's
    /// (a captive portal's page).
    NoAnswer,
    /// 409 ABORTED.
    Aborted,
    /// 429 RESOURCE_EXHAUSTED: a rate, or (over 1 MB) a size.
    ResourceExhausted,
    /// 499 CANCELLED.
    Cancelled,
    /// 500 INTERNAL, UNKNOWN or DATA_LOSS.
    Internal,
    /// 503 UNAVAILABLE.
    Unavailable,
    /// 504 DEADLINE_EXCEEDED.
    DeadlineExceeded,
    /// 401 UNAUTHENTICATED, or a token that the sign-in service refused for good.
    Unauthenticated,
    /// 403 PERMISSION_DENIED: denied, or (Firestore checks rules before preconditions) a stale write.
    PermissionDenied,
    /// 400 FAILED_PRECONDITION.
    FailedPrecondition,
    /// 404 NOT_FOUND.
    NotFound,
    /// 409 ALREADY_EXISTS.
    AlreadyExists,
    /// 400 INVALID_ARGUMENT and other requests that can never pass as they are.
    InvalidArgument,
    /// 413: the request or the document is too large.
    TooLarge,
}

/// A failed request to a remote.
#[derive(Debug)]
pub struct RemoteError {
    /// What became of it.
    pub kind: RemoteErrorKind,
    /// What the remote said, for a log; never decided on.
    pub message: String,
    /// How long the remote asks to wait.
    pub retry_after: Option<Duration>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl RemoteError {
    /// An error of `kind` with the remote's own words.
    pub fn new(kind: RemoteErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_after: None,
            source: None,
        }
    }

    /// Keeps what caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Keeps how long the remote asks to wait.
    #[must_use]
    pub fn with_retry_after(mut self, span: Option<Duration>) -> Self {
        self.retry_after = span;
        self
    }

    /// Whether no HTTP answer came at all.
    pub fn is_connection(&self) -> bool {
        matches!(
            self.kind,
            RemoteErrorKind::NeverSent | RemoteErrorKind::NoAnswer
        )
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.message)
    }
}

impl Error for RemoteError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|s| &**s as _)
    }
}
