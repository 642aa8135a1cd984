//! Which database, where, and how long to wait for it.

use std::time::Duration;

/// The database that Firestore makes first in a project.
pub const DEFAULT_DATABASE: &str = "(default)";

/// Which database to talk to, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirestoreConfig {
    /// The Google Cloud project's id.
    pub project: String,
    /// The database's id in it; [`DEFAULT_DATABASE`] unless the project has several.
    pub database: String,
    /// Where it answers.
    pub endpoint: Endpoint,
    /// How long to wait.
    pub timeouts: Timeouts,
}

impl FirestoreConfig {
    /// The default database of `project`, in production, with the default timeouts.
    pub fn new(project: impl Into<String>) -> Self {
        Self {
            project: project.into(),
            database: DEFAULT_DATABASE.to_owned(),
            endpoint: Endpoint::Production,
            timeouts: Timeouts::default(),
        }
    }

    /// Another database of the project.
    #[must_use]
    pub fn database(mut self, id: impl Into<String>) -> Self {
        self.database = id.into();
        self
    }

    /// Another place.
    #[must_use]
    pub fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = endpoint;
        self
    }

    /// Other timeouts.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }
}

/// Where Firestore answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Endpoint {
    /// `https://firestore.googleapis.com`, over HTTP/2 where it can be had, through the HTTP proxy that the environment's
    /// variables (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`) name; a proxy set elsewhere in the system isn't seen.
    #[default]
    Production,
    /// An emulator's `host:port`, in clear text over HTTP/1.1 (its HTTP/2 takes gRPC only), never through a proxy.
    Emulator(String),
}

impl Endpoint {
    /// What the value of `FIRESTORE_EMULATOR_HOST` says: an emulator where it is set and not empty, else production. A scheme
    /// in front of the host is left out, as Google's own clients do.
    ///
    /// ```
    /// use moonforge_firestore::Endpoint;
    /// let emulator = Endpoint::Emulator("127.0.0.1:8080".into());
    /// assert_eq!(Endpoint::from_emulator_host(Some("127.0.0.1:8080")), emulator);
    /// assert_eq!(Endpoint::from_emulator_host(Some("http://127.0.0.1:8080/")), emulator);
    /// assert_eq!(Endpoint::from_emulator_host(None), Endpoint::Production);
    /// ```
    pub fn from_emulator_host(value: Option<&str>) -> Self {
        let host = value.unwrap_or_default().trim();
        let host = host
            .split_once("://")
            .map_or(host, |(_, rest)| rest)
            .trim_end_matches('/');
        match host {
            "" => Self::Production,
            host => Self::Emulator(host.to_owned()),
        }
    }

    /// What this process's `FIRESTORE_EMULATOR_HOST` says. The only place where this crate reads the environment itself.
    pub fn from_env() -> Self {
        Self::from_emulator_host(std::env::var("FIRESTORE_EMULATOR_HOST").ok().as_deref())
    }

    pub(crate) fn origin(&self) -> String {
        match self {
            Self::Production => "https://firestore.googleapis.com".to_owned(),
            Self::Emulator(host) => format!("http://{host}"),
        }
    }
}

/// How long each stage of a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until there is a connection, TLS included. Nothing was sent when it runs out.
    pub connect: Duration,
    /// From there until the answer's headers are here, beside the time that the request takes to leave (a second for each
    /// 16 KiB). Firestore itself gives up after 60 s.
    pub headers: Duration,
    /// Between two pieces of the answer's body.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            headers: Duration::from_secs(65),
            idle: Duration::from_secs(30),
        }
    }
}
