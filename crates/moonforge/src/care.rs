//! Looking after a database: checking, mending, copying, bringing it to the newest format.

use std::path::Path;

use moonforge_store::{Finding, MigrationReport, Store};
use tracing::Instrument;

use crate::builder::check_path;
use crate::error::Error;
use crate::forge::Moonforge;

impl Moonforge {
    /// Looks at the whole database for what should not be, on past what is damaged. Changes nothing.
    ///
    /// # Errors
    /// Those of the local store.
    pub async fn doctor(&self) -> Result<Vec<Finding>, Error> {
        let span = tracing::info_span!("moonforge.doctor");
        Ok(Box::pin(self.store().doctor()).instrument(span).await?)
    }

    /// What SQLite itself says of a file that [`Builder::open`](crate::Builder::open) refuses as `corrupt`. Changes nothing.
    ///
    /// # Errors
    /// `cannot_open`, `not_a_database`, `busy`.
    pub async fn examine(path: impl AsRef<Path>) -> Result<Vec<Finding>, Error> {
        Ok(Box::pin(Store::examine(path)).await?)
    }

    /// Looks, and mends what can be mended without losing anything: those findings are `repaired`.
    ///
    /// # Errors
    /// Those of the local store.
    pub async fn repair(&self) -> Result<Vec<Finding>, Error> {
        let span = tracing::info_span!("moonforge.repair");
        let run = async {
            let findings = self.store().doctor().await?;
            self.store().repair(findings).await
        };
        Ok(Box::pin(run).instrument(span).await?)
    }

    /// Copies the database, as it is at one moment, to the new file `path`, and says how many bytes that has. The copy may be
    /// used beside the original, as a device of its own.
    ///
    /// # Errors
    /// `cannot_open` where the file is there already or can't be written, `disk_full`, and those of the local store.
    pub async fn backup(&self, path: impl AsRef<Path>) -> Result<u64, Error> {
        let span = tracing::info_span!("moonforge.backup");
        Ok(Box::pin(self.store().backup(path)).instrument(span).await?)
    }

    /// What opening this database did to bring it from an older format; `None` where it had the newest.
    pub fn migrated(&self) -> Option<&MigrationReport> {
        self.store().migrated()
    }

    /// What opening the database at `path` would do to bring it to the newest format. Changes nothing.
    ///
    /// # Errors
    /// `no_database`, and those of [`Builder::open`](crate::Builder::open).
    pub async fn plan_migration(path: impl AsRef<Path>) -> Result<MigrationReport, Error> {
        check_path(path.as_ref(), true)?;
        Ok(Box::pin(Store::plan_migration(path)).await?)
    }
}
