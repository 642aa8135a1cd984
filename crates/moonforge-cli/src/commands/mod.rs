//! One family of commands a file.

mod care;
pub(crate) mod conflicts;
mod documents;
mod export;
mod import;
mod list;
mod outbox;
mod scopes;
mod status;
mod sync;
pub(crate) mod tree;
mod watch;

use std::path::Path;
use std::time::Duration;

use moonforge::{Cadence, Moonforge, SecretString};

use crate::args::{Cli, Command, ConflictsCommand, OutboxCommand, ScopesCommand};
use crate::cloud::cloud;
use crate::failure::Failure;
use crate::output::Outcome;

/// Runs what was typed.
pub(crate) async fn run(cli: Cli) -> Result<Outcome, Failure> {
    if let Command::Demo = &cli.command {
        return crate::demo::run().await;
    }
    if let Command::Migrate { dry_run: true } = &cli.command {
        return care::plan(&cli.db).await;
    }
    let forge = match (open(&cli).await, &cli.command) {
        // A database that its damage keeps from being opened is what the doctor is for.
        (Err(refused), Command::Doctor { .. }) if refused.code == "corrupt" => {
            return care::examine(&cli.db, refused).await;
        }
        (opened, _) => opened?,
    };
    let result = Box::pin(dispatch(&forge, cli)).await;
    forge.close().await;
    result
}

async fn open(cli: &Cli) -> Result<Moonforge, Failure> {
    let token = variable("MOONFORGE_TOKEN")?.map(SecretString::from);
    variable("FIRESTORE_EMULATOR_HOST")?;
    let beside = cli.db.parent().unwrap_or(Path::new(""));
    let cloud = cloud(cli.cloud.as_deref(), beside.join("moonforge-cloud"), token)?;
    let builder = Moonforge::builder(&cli.db).cloud(cloud);
    // Somebody who watches writes from another window, and wants to see it go.
    let cadence = Cadence {
        look_for_others: Duration::from_secs(1),
        ..Cadence::default()
    };
    let builder = builder.cadence(cadence);
    // Whoever only looks doesn't mean a database that isn't there yet: the path is mistyped.
    let builder = match &cli.command {
        Command::Put { .. }
        | Command::Import { .. }
        | Command::Sync { .. }
        | Command::Scopes(ScopesCommand::Join { .. }) => builder,
        _ => builder.existing(),
    };
    Ok(builder.open().await?)
}

/// A variable of the environment that is to go into a request's header, without the space around it. What can't go there is
/// refused: passed over, it would leave the call to another account, or to production.
fn variable(name: &str) -> Result<Option<String>, Failure> {
    let Some(value) = std::env::var_os(name) else {
        return Ok(None);
    };
    let value = value.to_str().map(str::trim);
    match value {
        Some("") => Ok(None),
        Some(value) if value.bytes().all(|b| b.is_ascii_graphic()) => Ok(Some(value.to_owned())),
        _ => Err(Failure::usage(format!(
            "{name} holds what can't be sent: a space, a control character, or one that is not ASCII"
        ))),
    }
}

async fn dispatch(forge: &Moonforge, cli: Cli) -> Result<Outcome, Failure> {
    match cli.command {
        // `run` plays it without opening a database.
        Command::Demo => crate::demo::run().await,
        Command::Put {
            collection,
            document,
            id,
        } => documents::put(forge, &collection, &document, id).await,
        Command::Patch {
            collection,
            id,
            edits,
        } => documents::patch(forge, &collection, &id, edits).await,
        Command::Get { collection, id } => documents::get(forge, &collection, &id).await,
        Command::Rm { collection, id } => documents::rm(forge, &collection, &id).await,
        Command::Restore { collection, id } => documents::restore(forge, &collection, &id).await,
        Command::Ls {
            collection,
            filters,
            order,
            limit,
            after,
            deleted,
        } => {
            let mut query = forge.documents(&collection)?.query();
            query.filters = list::filters(&filters)?;
            query.order = list::order(&order)?;
            (query.limit, query.after, query.deleted) = (limit, after, deleted);
            list::ls(forge, &query).await
        }
        Command::Tree { campaign } => tree::tree(forge, campaign.as_deref()).await,
        Command::Import { file, collection } => {
            import::import(forge, &file, collection.as_deref(), cli.json).await
        }
        Command::Export { collection } => export::export(forge, collection.as_deref()).await,
        Command::Sync { watch: true, .. } => watch::watch(forge, cli.json).await,
        Command::Sync { scope, .. } => sync::sync(forge, scope, cli.json).await,
        Command::Scopes(ScopesCommand::Ls) => scopes::ls(forge).await,
        Command::Scopes(ScopesCommand::Join { scope }) => scopes::join(forge, &scope).await,
        Command::Scopes(ScopesCommand::Leave { scope }) => scopes::leave(forge, &scope).await,
        Command::Status => status::status(forge).await,
        Command::Outbox(OutboxCommand::Ls) => outbox::ls(forge).await,
        Command::Outbox(OutboxCommand::Retry { seq }) => outbox::retry(forge, seq).await,
        Command::Outbox(OutboxCommand::Discard { seq }) => outbox::discard(forge, seq).await,
        Command::Conflicts(ConflictsCommand::Ls { all }) => conflicts::ls(forge, all).await,
        Command::Conflicts(ConflictsCommand::Show { id }) => conflicts::show(forge, id).await,
        Command::Conflicts(ConflictsCommand::Resolve { id, choice }) => {
            conflicts::resolve(forge, id, choice).await
        }
        Command::Conflicts(ConflictsCommand::Undo { id }) => conflicts::undo(forge, id).await,
        Command::Doctor { repair } => care::doctor(forge, repair).await,
        Command::Backup { path } => care::backup(forge, &path).await,
        Command::Migrate { .. } => care::migrate(forge, &cli.db).await,
    }
}
