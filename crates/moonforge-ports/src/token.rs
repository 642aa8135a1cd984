//! Who a request is made for.

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};

/// Whom a token names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user's id (`sub`), or `None` for an administrator's token.
    pub uid: Option<String>,
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The sign-in service can't be reached; try again later.
    #[error("the sign-in service can't be reached: {0}")]
    Unreachable(String),
    /// The person has to sign in again.
    #[error("sign-in is needed: {0}")]
    SignInNeeded(String),
}

/// Gives the bearer token that a request carries.
#[async_trait]
pub trait TokenProvider: Send + Sync + 'static {
    /// The token to send now; `None` for a remote that takes none.
    async fn token(&self) -> Result<Option<SecretString>, TokenError>;

    /// Called once after a 401: get another token, or say why there is none.
    async fn refresh(&self) -> Result<(), TokenError>;

    /// Whom the token names, as far as this side can tell.
    fn identity(&self) -> Identity;
}

/// A token that never changes: an emulator's user, a CI identity.
#[derive(Clone, Debug)]
pub struct StaticToken {
    token: Option<SecretString>,
    uid: Option<String>,
}

impl StaticToken {
    /// Sends `token`, which names `uid`.
    pub fn new(token: SecretString, uid: Option<String>) -> Self {
        Self {
            token: Some(token),
            uid,
        }
    }

    /// Sends no token.
    pub fn none() -> Self {
        Self {
            token: None,
            uid: None,
        }
    }
}

#[async_trait]
impl TokenProvider for StaticToken {
    async fn token(&self) -> Result<Option<SecretString>, TokenError> {
        Ok(self
            .token
            .as_ref()
            .map(|t| SecretString::from(t.expose_secret().to_owned())))
    }

    async fn refresh(&self) -> Result<(), TokenError> {
        Err(TokenError::SignInNeeded(
            "the given token was refused and can't be renewed".into(),
        ))
    }

    fn identity(&self) -> Identity {
        Identity {
            uid: self.uid.clone(),
        }
    }
}
