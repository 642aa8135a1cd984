//! `export`.

use futures_util::StreamExt;
use moonforge::Moonforge;

use crate::failure::Failure;
use crate::output::{self, Outcome};

pub(super) async fn export(
    forge: &Moonforge,
    collection: Option<&str>,
) -> Result<Outcome, Failure> {
    let mut lines = output::Lines::new();
    let mut documents = std::pin::pin!(forge.export(collection)?);
    while let Some(document) = documents.next().await {
        if !lines.line(&document?)? {
            return Ok(Outcome::streamed());
        }
    }
    lines.end()?;
    Ok(Outcome::streamed())
}
