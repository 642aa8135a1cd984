//! The one error type.

use std::error::Error as StdError;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use moonforge_embedded::OpenError;
use moonforge_model::{
    DocRef, DocumentError, InvalidName, InvalidPath, InvalidTimestamp, NoRoom, PatchError,
    RegistryError, SyncScope, ValidationError,
};
use moonforge_ports::RemoteError;
use moonforge_store::StoreError;
use moonforge_sync::SyncError;

use crate::read::Fallback;

/// Why a call failed. Whatever it was to change is as it was before.
///
/// It prints as a sentence that can be shown to a person; [`Error::code`] is stable, for programs; `source()` leads to the
/// cause.
pub struct Error(Box<Kind>);

#[derive(Debug)]
pub(crate) enum Kind {
    /// The local store.
    Store(StoreError),
    /// The local store belongs to another: that, in words for a person.
    AccountMismatch { message: String, source: StoreError },
    /// There is no such file, and none was to be made.
    NoDatabase(PathBuf),
    /// A cloud's project or database can't be called so.
    CloudName(&'static str, String),
    /// A path to a field.
    Path(InvalidPath),
    /// A time.
    Time(InvalidTimestamp),
    /// A place among siblings.
    Order(NoRoom),
    /// The collections that were registered.
    Registry(RegistryError),
    /// The embedded cloud's directory.
    Embedded(OpenError),
    /// The cloud can't be set up.
    Remote(RemoteError),
    /// The cloud refused what every sync asks for.
    Refused(SyncError),
    /// A value is no JSON object.
    NotADocument,
    /// A document and the type that it was asked for as don't fit each other.
    WrongForm(DocumentError),
    /// The cloud was to be asked, and can't be.
    Unreachable(Fallback),
    /// A new document isn't in the scope that it is to be made in.
    OutsideScope(DocRef, SyncScope),
    /// What others were told too.
    Shared(Arc<Error>),
}

impl Error {
    /// A stable code, such as `not_found`, `deleted`, `unknown_collection`, `wrong_type`.
    pub fn code(&self) -> &'static str {
        match &*self.0 {
            Kind::Store(e) | Kind::AccountMismatch { source: e, .. } => e.code(),
            Kind::NoDatabase(_) => "no_database",
            Kind::CloudName(..) => "invalid_cloud",
            Kind::Path(_) => "invalid_path",
            Kind::Time(_) => "invalid_value",
            Kind::Order(_) => "no_room",
            Kind::Registry(RegistryError::Policy(..)) => "invalid_policy",
            Kind::Registry(RegistryError::Unknown(_)) => "unknown_collection",
            Kind::Registry(_) => "invalid_collection",
            Kind::Embedded(OpenError::NotACloud { .. }) => "not_a_cloud",
            Kind::Embedded(OpenError::Newer { .. }) => "newer_version",
            Kind::Embedded(_) => "cloud_unusable",
            Kind::Remote(_) | Kind::Refused(_) => "cloud_refused",
            Kind::NotADocument => "not_a_document",
            Kind::WrongForm(_) => "wrong_form",
            Kind::Unreachable(why) => why.code,
            Kind::OutsideScope(..) => "outside_scope",
            Kind::Shared(e) => e.code(),
        }
    }

    /// Whether the document, row or entry isn't there.
    pub fn is_not_found(&self) -> bool {
        self.code() == "not_found"
    }

    /// Whether the document is a tombstone.
    pub fn is_deleted(&self) -> bool {
        self.code() == "deleted"
    }

    /// Whether what was given can't be stored as it is; another value could.
    pub fn is_invalid(&self) -> bool {
        matches!(
            self.kind(),
            Kind::Store(StoreError::Invalid(_) | StoreError::Patch(_) | StoreError::Name(_))
                | Kind::Path(_)
                | Kind::Time(_)
                | Kind::NotADocument
        )
    }

    fn kind(&self) -> &Kind {
        match &*self.0 {
            Kind::Shared(error) => error.kind(),
            kind => kind,
        }
    }

    /// Whether the cloud can't be asked now, and may be later: no network, no sign-in, or it is slow or keeps failing.
    pub fn is_unreachable(&self) -> bool {
        matches!(self.kind(), Kind::Unreachable(_))
    }

    /// Whether the cloud is what failed, not the database here.
    pub(crate) fn is_of_the_cloud(&self) -> bool {
        let kind = self.kind();
        matches!(
            kind,
            Kind::Remote(_) | Kind::Refused(_) | Kind::Embedded(_) | Kind::Unreachable(_)
        )
    }

    /// Whether the database belongs to another account or cloud.
    pub fn is_account_mismatch(&self) -> bool {
        self.code() == "account_mismatch"
    }

    /// Whether trying again a little later may help: another process was in the way.
    pub fn is_busy(&self) -> bool {
        matches!(self.code(), "busy" | "sync_busy")
    }

    /// Whether no space is left on the disk.
    pub fn is_disk_full(&self) -> bool {
        self.code() == "disk_full"
    }

    /// Whether the file can't be used: absent, damaged, of a newer version, or something else.
    pub fn is_unusable_file(&self) -> bool {
        matches!(
            self.code(),
            "no_database"
                | "newer_version"
                | "not_a_database"
                | "not_a_cloud"
                | "cannot_open"
                | "corrupt"
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::Store(e) => e.fmt(f),
            Kind::AccountMismatch { message, .. } => f.write_str(message),
            Kind::NoDatabase(path) => write!(f, "there is no database {}", path.display()),
            Kind::CloudName(what, id) => write!(f, "`{id}` is no id of a {what} at Firestore"),
            Kind::Path(e) => e.fmt(f),
            Kind::Time(e) => e.fmt(f),
            Kind::Order(e) => e.fmt(f),
            Kind::Registry(e) => e.fmt(f),
            Kind::Embedded(e) => e.fmt(f),
            Kind::Remote(e) => write!(f, "the cloud can't be used: {}", e.message),
            Kind::Refused(e) => e.fmt(f),
            Kind::NotADocument => f.write_str("a document is a JSON object"),
            Kind::WrongForm(e) => e.fmt(f),
            Kind::Unreachable(why) => f.write_str(&why.message),
            Kind::OutsideScope(doc, scope) => {
                write!(f, "{doc} would not be in the scope `{scope}`")
            }
            Kind::Shared(e) => e.fmt(f),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Error").field(&self.0).finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &*self.0 {
            Kind::Store(e) | Kind::AccountMismatch { source: e, .. } => Some(e),
            Kind::Path(e) => Some(e),
            Kind::Time(e) => Some(e),
            Kind::Order(e) => Some(e),
            Kind::Registry(e) => Some(e),
            Kind::Embedded(e) => Some(e),
            Kind::Remote(e) => Some(e),
            Kind::Refused(e) => e.source(),
            Kind::WrongForm(e) => Some(e),
            Kind::Shared(e) => e.source(),
            Kind::NoDatabase(_)
            | Kind::CloudName(..)
            | Kind::NotADocument
            | Kind::Unreachable(_)
            | Kind::OutsideScope(..) => None,
        }
    }
}

impl From<Kind> for Error {
    fn from(kind: Kind) -> Self {
        Self(Box::new(kind))
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Kind::Store(error).into()
    }
}

impl From<PatchError> for Error {
    fn from(error: PatchError) -> Self {
        Kind::Store(error.into()).into()
    }
}

impl From<InvalidName> for Error {
    fn from(error: InvalidName) -> Self {
        Kind::Store(error.into()).into()
    }
}

impl From<InvalidPath> for Error {
    fn from(error: InvalidPath) -> Self {
        Kind::Path(error).into()
    }
}

impl From<InvalidTimestamp> for Error {
    fn from(error: InvalidTimestamp) -> Self {
        Kind::Time(error).into()
    }
}

impl From<NoRoom> for Error {
    fn from(error: NoRoom) -> Self {
        Kind::Order(error).into()
    }
}

impl From<ValidationError> for Error {
    fn from(error: ValidationError) -> Self {
        Kind::Store(error.into()).into()
    }
}

impl From<RegistryError> for Error {
    fn from(error: RegistryError) -> Self {
        Kind::Registry(error).into()
    }
}

impl From<DocumentError> for Error {
    fn from(error: DocumentError) -> Self {
        Kind::WrongForm(error).into()
    }
}

impl From<SyncError> for Error {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Store(e) => Kind::Store(e).into(),
            error @ SyncError::Remote(_) => Kind::Refused(error).into(),
        }
    }
}
