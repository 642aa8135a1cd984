//! What this device holds.

use moonforge_model::SyncScope;
use moonforge_store::{Joined, ScopeChange};
use moonforge_sync::Phase;

use crate::error::Error;
use crate::forge::Moonforge;

impl Moonforge {
    /// Holds a scope from now on, beside those that were joined before; the next sync fetches it. The first one limits this
    /// device to what its scopes hold: everything else goes at once, but for what has edits that aren't sent yet, which goes
    /// when they are. Nothing is removed anywhere else. Needs no network.
    ///
    /// Without a scope a device holds all campaigns of its account.
    ///
    /// ```
    /// use moonforge::{Moonforge, SyncScope};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), moonforge::Error> {
    /// # let forge = Moonforge::in_memory().await?;
    /// # let keep = forge.new_id();
    /// let campaign = SyncScope::campaign(&keep);
    /// forge.join(&campaign).await?;
    /// assert_eq!(forge.scopes().await?.len(), 1);
    /// forge.leave(&campaign).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `invalid_scope` where no collection knows all of its keys, and those of the local store.
    pub async fn join(&self, scope: &SyncScope) -> Result<ScopeChange, Error> {
        let now = self.clock().now();
        let change = self.store().join_scope(scope.clone(), now).await?;
        // The background engine would come to most of it within minutes only.
        if change.changed && self.sync_status().phase != Phase::Stopped {
            let all = self.registry().iter().map(|config| config.name.clone());
            self.inner().coordinator.trigger_collections(all);
        }
        Ok(change)
    }

    /// Holds a scope no longer. What no other scope holds goes at once, but for what has edits that aren't sent yet, which
    /// goes when they are. After the last one this device holds everything again, which the next sync fetches. Nothing is
    /// removed anywhere else. Needs no network.
    ///
    /// # Errors
    /// Those of the local store. A scope that wasn't joined is none.
    pub async fn leave(&self, scope: &SyncScope) -> Result<ScopeChange, Error> {
        Ok(self.store().leave_scope(scope.clone()).await?)
    }

    /// The scopes that this device joined; none: it holds everything.
    ///
    /// # Errors
    /// Those of the local store.
    pub async fn scopes(&self) -> Result<Vec<Joined>, Error> {
        Ok(self.store().scopes().await?)
    }
}
