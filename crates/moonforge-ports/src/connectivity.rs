//! What the operating system says about the network.

use async_trait::async_trait;

/// How good the network is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Network {
    /// There is none: nothing is tried until this changes, but for what a person asks for.
    None,
    /// It costs money: what people wrote is sent, and looking for news is rarer.
    Metered,
    /// Nothing holds back.
    #[default]
    Good,
}

impl Network {
    /// A stable name, for logs and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Metered => "metered",
            Self::Good => "good",
        }
    }
}

/// The operating system's signal. An app without one needs none: the engine finds out by itself that the remote can't be
/// reached, and when it can be again.
#[async_trait]
pub trait Connectivity: Send + Sync + 'static {
    /// How it is now.
    fn network(&self) -> Network;

    /// Returns once it isn't `seen` any more; never where it can't change.
    async fn changed(&self, seen: Network);
}

/// No signal: the network is taken to be good.
#[derive(Clone, Copy, Debug, Default)]
pub struct AlwaysGood;

#[async_trait]
impl Connectivity for AlwaysGood {
    fn network(&self) -> Network {
        Network::Good
    }

    async fn changed(&self, _seen: Network) {
        std::future::pending().await
    }
}
