//! Moonforge over Firestore's REST API v1: the port `RemoteStore` for Google's Firestore and its emulator.
//!
//! Architecture invariants: this crate doesn't retry, doesn't sync and keeps no state but a count of what was billed. It
//! decides on an error's `status`, never on its text. It reads the environment in [`Endpoint::from_env`] only.

mod codec;
mod config;
mod elements;
mod failure;
mod jwt;
mod request;
mod store;
mod transport;
mod wire;

pub use config::{DEFAULT_DATABASE, Endpoint, FirestoreConfig, Timeouts};
pub use jwt::subject;
pub use store::Firestore;
