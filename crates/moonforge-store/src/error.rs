//! How the store can fail.

use moonforge_model::{DocRef, InvalidName, InvalidScope, PatchError, ValidationError};

/// A failed call to the store. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The document isn't there.
    #[error("there is no document {0}")]
    NotFound(DocRef),
    /// The document is here already.
    #[error("there is a document {0} already")]
    Exists(DocRef),
    /// The document is a tombstone; restore it first.
    #[error("{0} is deleted; restore it before writing to it")]
    Deleted(DocRef),
    /// The collection isn't registered.
    #[error("there is no collection `{0}`")]
    UnknownCollection(String),
    /// The content can't be stored.
    #[error(transparent)]
    Invalid(#[from] ValidationError),
    /// The patch can't be applied.
    #[error(transparent)]
    Patch(#[from] PatchError),
    /// A name can't be an id or a collection's name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// No scope, or one that no collection answers.
    #[error(transparent)]
    Scope(#[from] InvalidScope),
    /// The scope isn't among those that this device holds.
    #[error("this device doesn't hold the scope `{0}`; join it first")]
    NotJoined(String),
    /// A cursor that no list of this collection gave.
    #[error("the cursor is not one that this list gave")]
    BadCursor,
    /// No row of the outbox, or entry of the journal, has this number.
    #[error("there is no {what} {id}")]
    NoSuch {
        /// What was looked for.
        what: &'static str,
        /// Its number.
        id: u64,
    },
    /// The edit may have reached the remote, so it can't be given up before that is known.
    #[error("the edit {0} may have reached the remote already; sync, then look again")]
    InFlight(u64),
    /// So many edits wait to be sent that no more are taken.
    #[error(
        "the outbox is full: {rows} edits wait to be sent, and {limit} is the limit; sync, or discard what can't be sent, \
         and write again"
    )]
    OutboxFull {
        /// How many wait.
        rows: u64,
        /// How many may.
        limit: u64,
    },
    /// An operation's payload is longer than can be queued.
    #[error("the operation has {0} bytes; it can have at most 1 MiB")]
    OperationTooLarge(usize),
    /// A person settled the conflict before.
    #[error("conflict {0} is settled already")]
    AlreadySettled(u64),
    /// The conflict holds no edit that could be written again.
    #[error("conflict {0} holds no edit that could be written again; keep it as it is")]
    NothingToBringBack(u64),
    /// Nobody settled the conflict, so there is nothing to take back.
    #[error("conflict {0} is open; there is no resolution to take back")]
    NotSettled(u64),
    /// The conflict isn't about the value of one field.
    #[error(
        "conflict {0} isn't about one value, or the value isn't of its kind; keep it, or take what was lost"
    )]
    NotAField(u64),
    /// The file was written by a newer version of Moonforge.
    #[error("the database was written by a newer version of Moonforge; update the app to open it")]
    NewerVersion,
    /// The file is something else.
    #[error("the file is not a Moonforge database: {0}")]
    NotADatabase(String),
    /// The folder or file can't be opened or written.
    #[error("the database can't be opened: {0}")]
    CannotOpen(String),
    /// The file belongs to another account or remote.
    #[error("the database belongs to {owner}, not to {other}")]
    AccountMismatch {
        /// Whom it belongs to.
        owner: String,
        /// Who asked.
        other: String,
    },
    /// Another process syncs the file.
    #[error("another process is syncing this database")]
    SyncBusy,
    /// No space is left.
    #[error("the disk is full; free some space and try again")]
    DiskFull,
    /// Another process kept the file locked for too long.
    #[error("the database is busy; try again")]
    Busy,
    /// SQLite found the file damaged, or a row of ours doesn't decode.
    #[error("the database is damaged: {0}; `doctor` can look at it")]
    Corrupt(String),
    /// The write was interrupted by a test.
    #[error("interrupted")]
    Interrupted,
    /// Anything else that SQLite said.
    #[error("the database failed")]
    Sqlite(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl StoreError {
    /// A stable code for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) | Self::NoSuch { .. } => "not_found",
            Self::Exists(_) => "already_exists",
            Self::Deleted(_) => "deleted",
            Self::UnknownCollection(_) => "unknown_collection",
            Self::Invalid(e) => e.code(),
            Self::Patch(e) => e.code(),
            Self::Name(_) => "invalid_id",
            Self::Scope(_) => "invalid_scope",
            Self::NotJoined(_) => "not_joined",
            Self::BadCursor => "invalid_cursor",
            Self::InFlight(_) => "in_flight",
            Self::OutboxFull { .. } => "outbox_full",
            Self::OperationTooLarge(_) => "too_large",
            Self::AlreadySettled(_) => "already_settled",
            Self::NothingToBringBack(_) => "nothing_to_bring_back",
            Self::NotSettled(_) => "not_settled",
            Self::NotAField(_) => "not_a_field",
            Self::NewerVersion => "newer_version",
            Self::NotADatabase(_) => "not_a_database",
            Self::CannotOpen(_) => "cannot_open",
            Self::AccountMismatch { .. } => "account_mismatch",
            Self::SyncBusy => "sync_busy",
            Self::DiskFull => "disk_full",
            Self::Busy => "busy",
            Self::Corrupt(_) => "corrupt",
            Self::Interrupted => "interrupted",
            Self::Sqlite(_) => "database",
        }
    }

    /// Whether a document was refused for what it is or where it should go: nothing was written for it, and others fare no
    /// worse.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Invalid(_)
                | Self::Patch(_)
                | Self::Exists(_)
                | Self::Deleted(_)
                | Self::Name(_)
                | Self::UnknownCollection(_)
                | Self::OutboxFull { .. }
        )
    }

    pub(crate) fn corrupt(what: impl std::fmt::Display) -> Self {
        Self::Corrupt(what.to_string())
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let code = error
            .as_database_error()
            .and_then(|e| e.code())
            .and_then(|code| code.parse::<u32>().ok());
        // The low byte is SQLite's primary result code.
        match code.map(|c| c & 0xff) {
            Some(5 | 6) => Self::Busy,
            Some(13) => Self::DiskFull,
            Some(11) => Self::Corrupt(error.to_string()),
            Some(26) => Self::NotADatabase(error.to_string()),
            Some(8 | 14) => Self::CannotOpen(error.to_string()),
            _ => match error {
                sqlx::Error::PoolTimedOut => Self::Busy,
                sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                    Self::Corrupt(error.to_string())
                }
                other => Self::Sqlite(Box::new(other)),
            },
        }
    }
}
