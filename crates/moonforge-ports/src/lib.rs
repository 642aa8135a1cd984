//! What the outside world implements for Moonforge.
//!
//! Each port is a small trait; adapters (`moonforge-firestore`, `moonforge-embedded`, the testkit's simulated Firestore)
//! implement it, and the engine knows nothing else of them. Errors carry their retry class, decided once, in the adapter.

mod clock;
mod connectivity;
mod error;
mod executor;
mod limits;
mod query;
mod remote;
mod token;
mod write;

pub use clock::{Clock, Random, RandomExt};
pub use connectivity::{AlwaysGood, Connectivity, Network};
pub use error::{RemoteError, RemoteErrorKind};
pub use executor::{Executed, Executor, Operation};
pub use limits::{MAX_DOCUMENT_BYTES, check_document, document_size};
pub use remote::{
    Aggregate, BatchGet, CommitAnswer, Filter, Precondition, QueryEvent, QueryStream,
    RemoteDocument, RemoteQuery, RemoteStore, RemoteWrite, Usage, WriteResult,
};
pub use token::{Identity, StaticToken, TokenError, TokenProvider};
