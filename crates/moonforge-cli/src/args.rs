//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use moonforge::SyncScope;

use crate::edits::EditArgs;

const EXAMPLES: &str = "\
Examples:
  moonforge demo                                             two devices, offline, meet and agree
  moonforge put campaigns '{\"name\":\"The Ember Keep\"}'        make a campaign; the answer has its id
  moonforge patch encounters ID --inc combatants.k1.currentHp=-5
  moonforge ls scenes --where 'campaignId=\"ID\"' --order title
  moonforge sync --cloud local:/media/stick/cloud
  moonforge sync --cloud firestore://my-project
  moonforge scopes join keep:campaignId=ID                   hold one campaign on this device
  moonforge export | moonforge --db copy.db import -

Exit codes: 0 done, 1 failed, 2 wrong usage. Of `sync` also:
  3  the cloud can't be reached or keeps failing; everything is kept
  4  something is parked, was journaled in this run, or sign-in is needed

Environment: MOONFORGE_DB, MOONFORGE_CLOUD, MOONFORGE_TOKEN (a bearer token), FIRESTORE_EMULATOR_HOST, NO_COLOR, RUST_LOG.";

/// Campaigns that work offline and sync when they can.
#[derive(Debug, Parser)]
#[command(name = "moonforge", version, after_help = EXAMPLES, max_term_width = 120, infer_subcommands = false)]
pub(crate) struct Cli {
    /// Print one JSON document on stdout; logs go to stderr
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// The database; put, import, sync and scopes join make it where there is none
    #[arg(
        long,
        global = true,
        env = "MOONFORGE_DB",
        default_value = "moonforge.db",
        value_name = "PATH"
    )]
    pub(crate) db: PathBuf,

    /// The cloud: local:DIR, or firestore://PROJECT[/DATABASE]?bucket=NAME [default: local:moonforge-cloud beside the
    /// database]
    #[arg(
        long,
        global = true,
        env = "MOONFORGE_CLOUD",
        value_name = "URL",
        hide_env_values = true
    )]
    pub(crate) cloud: Option<String>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Tell the story of two devices that write offline, meet and agree
    Demo,
    /// Write the fields given into a document, which is made where there is none
    #[command(after_help = "\
Examples:
  moonforge put campaigns '{\"name\":\"The Ember Keep\"}'
  moonforge put scenes @scene.json --id ash-road
  moonforge get scenes ash-road | moonforge put scenes - --id ash-road-2

Only the fields given change, maps are merged at every depth, and nothing is ever unset.")]
    Put {
        /// Such as campaigns, scenes, entities
        collection: String,
        /// JSON, @FILE, or - for stdin
        document: String,
        /// The document's id; otherwise the document's own `id`, or a new one
        #[arg(long)]
        id: Option<String>,
    },
    /// Edit single fields of a document
    #[command(after_help = "\
Examples:
  moonforge patch scenes ID --set 'title=\"Ash\"' --unset summary
  moonforge patch encounters ID --inc combatants.k1.currentHp=-5
  moonforge patch entities ID --add 'tags=\"undead\"' --set 'props.`odd name`=[1,2]'

--add and --remove may be repeated for one list. PATH is dotted; a name with other than letters, digits and _ stands in backticks.")]
    Patch {
        /// The collection
        collection: String,
        /// The document's id
        id: String,
        #[command(flatten)]
        edits: EditArgs,
    },
    /// Print a document
    Get {
        /// The collection
        collection: String,
        /// The document's id
        id: String,
    },
    /// List documents
    #[command(after_help = "\
Examples:
  moonforge ls scenes --where 'campaignId=\"ID\"' --order -updatedAt --limit 20
  moonforge ls sessions --where 'number>=3'

A condition is FIELD=JSON; <, <=, > and >= work too. The answer's `next` is the next page's --after.")]
    Ls {
        /// The collection
        collection: String,
        /// Only documents for which FIELD=JSON holds; may be given several times
        #[arg(long = "where", value_name = "FIELD=JSON")]
        filters: Vec<String>,
        /// By which field; -FIELD for the greatest first
        #[arg(long, value_name = "FIELD", allow_hyphen_values = true)]
        order: Vec<String>,
        /// At most so many
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        limit: Option<u32>,
        /// Go on behind this `next` of the page before
        #[arg(long, value_name = "CURSOR")]
        after: Option<String>,
        /// Tombstones too
        #[arg(long)]
        deleted: bool,
    },
    /// Show a campaign's adventures, chapters and scenes
    Tree {
        /// The campaign's id; all campaigns without it
        campaign: Option<String>,
    },
    /// Delete a document with all that hangs below it; `restore` undoes it
    Rm {
        /// The collection
        collection: String,
        /// The document's id
        id: String,
    },
    /// Undo the delete that took a document away, for all that fell with it
    Restore {
        /// The collection
        collection: String,
        /// The document's id
        id: String,
    },
    /// Write many documents from JSON Lines
    #[command(after_help = "\
Each line is {\"collection\":…,\"id\":…,…document}. Lines that change nothing are skipped; lines that can't be written
are reported with their numbers, the others are written. A field of the document's own that is called collection goes by
$collection.")]
    Import {
        /// A file, or - for stdin
        file: String,
        /// The collection of lines that don't name one
        #[arg(long)]
        collection: Option<String>,
    },
    /// Print all documents as JSON Lines
    Export {
        /// Only this collection
        #[arg(long)]
        collection: Option<String>,
    },
    /// Exchange what changed with the cloud
    Sync {
        /// Go on in the background until Ctrl-C, and show how it is
        #[arg(long)]
        watch: bool,
        /// Fetch this scope alone, such as campaign:campaignId=ID; everything written here is sent all the same
        #[arg(long, value_name = "NAME:KEY=VALUE", conflicts_with = "watch")]
        scope: Option<SyncScope>,
    },
    /// Say what this device holds instead of everything
    #[command(
        subcommand,
        after_help = "\
A scope is NAME:KEY=VALUE[,KEY=VALUE…]. The name is for you, the keys pick what is held:
  keep:campaignId=ID       one campaign with everything in it
  mine:ownerUid=UID        the campaigns that UID owns; memberUids and ruleset work too
  accessed                 what `get` opens on this device from now on, and what that links to
Scopes may overlap. Without one, everything is held. What goes from this device stays in the cloud."
    )]
    Scopes(ScopesCommand),
    /// Show how things stand
    Status,
    /// Look at what waits to be sent
    #[command(subcommand)]
    Outbox(OutboxCommand),
    /// Look at what a merge could not keep, and settle it
    #[command(subcommand)]
    Conflicts(ConflictsCommand),
    /// Check the database
    Doctor {
        /// Mend what can be mended without losing anything
        #[arg(long)]
        repair: bool,
    },
    /// Write a copy of the database to a new file
    Backup {
        /// The new file
        path: PathBuf,
    },
    /// Bring a database of an older version to the newest format, as opening it does too
    Migrate {
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScopesCommand {
    /// List the scopes that this device joined
    Ls,
    /// Hold a scope; the first one lets go of everything else that is sent
    Join {
        /// NAME:KEY=VALUE
        scope: SyncScope,
    },
    /// Hold a scope no longer; what no other scope holds goes, once it is sent
    Leave {
        /// As in `scopes ls`
        scope: SyncScope,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum OutboxCommand {
    /// List the edits that aren't in the cloud yet
    Ls,
    /// Let parked edits go out again
    Retry {
        /// One edit (its document's others go with it); all without it
        seq: Option<u64>,
    },
    /// Give an edit up; it goes to the conflict journal
    Discard {
        /// The edit's number in `outbox ls`
        seq: u64,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConflictsCommand {
    /// List what nobody settled yet
    Ls {
        /// Settled ones too
        #[arg(long)]
        all: bool,
    },
    /// Show one entry whole
    Show {
        /// Its `conflict_id`
        id: u64,
    },
    /// Settle an entry
    #[command(after_help = "\
Examples:
  moonforge conflicts resolve 7 keep
  moonforge conflicts resolve 7 --take
  moonforge conflicts resolve 7 --value '\"Ash and Ember\"'

--value is the value of the whole field, also of a text of which the entry shows some lines. What the place became since
is journaled before it is replaced. `conflicts undo` takes a resolution back.")]
    Resolve {
        /// Its `conflict_id`
        id: u64,
        #[command(flatten)]
        choice: Choice,
    },
    /// Take a resolution back: the entry is open again, and what nobody edited since is as before
    Undo {
        /// Its `conflict_id`
        id: u64,
    },
}

/// One of its ways.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Choice {
    /// `keep` what was kept, or `take` what was lost, as a new edit
    pub(crate) choice: Option<Word>,
    /// The same as `keep`
    #[arg(long)]
    pub(crate) keep: bool,
    /// The same as `take`
    #[arg(long)]
    pub(crate) take: bool,
    /// Write this instead, as a new edit: JSON, @FILE, or - for stdin
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    pub(crate) value: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Word {
    Keep,
    Take,
}
