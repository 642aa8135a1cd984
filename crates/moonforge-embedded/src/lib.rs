//! Moonforge's embedded cloud: a remote store in one directory, without a server.
//!
//! It is where several databases on one machine (or on one shared folder that a person carries about) meet, it is the
//! command line's default remote, and it is what tests use as a fast remote. Several processes may use one at once.
//!
//! It holds writes to what Firestore and `firebase/firestore.rules` hold them to where data is at stake: preconditions,
//! atomic commits, `rev`, `writers` and `campaignId`; nothing is deleted for good. It knows no membership: whoever may read
//! the directory may read everything in it, and a uid only says who owns what is made.
//!
//! The directory has `cloud.db`, an SQLite database, and `cloud.lock`, which is held while that is being made. Blobs will
//! have a folder beside them.

mod commit;
mod embedded;
mod error;
mod open;
mod read;
mod rules;

pub use embedded::Embedded;
pub use error::OpenError;
