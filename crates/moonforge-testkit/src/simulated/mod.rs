//! A Firestore in memory that behaves as the real one was measured to, and obeys a driver.
//!
//! It has no socket, no thread and no time of its own, so a run that is driven by a seed can be replayed. Three parts:
//!
//! - [`Database`] is the semantics, synchronous: preconditions, masks, server times, atomic commits, the rules of
//!   `firebase/firestore.rules` for requests with a uid, and rules before preconditions, so that a stale write is
//!   `PERMISSION_DENIED`.
//! - [`SimulatedFirestore`] holds a database and a server's clock. Each device has a [`SimulatedRemote`] of its own from
//!   [`SimulatedFirestore::connect`].
//! - A request passes three [`Moment`]s, at each of which a [`Gate`] can hold it while others go on, and suffers the
//!   [`Fault`] that a [`FaultPlan`] chose for it.
//!
//! `updatedAt` is REQUEST_TIME, taken when a request arrives, while the document appears when it is applied. A gate that
//! holds a commit at [`Moment::Arrived`], or [`Fault::LateVisible`], therefore makes what Firestore does to cursors: a
//! document that appears below one.

mod database;
mod faults;
mod membership;
mod query;
mod remote;
mod roles;
mod rules;
mod server;
mod turn;

pub use database::{Applied, Database, Limits};
pub use faults::{Call, CallKind, Fault, FaultPlan, Gate, GatePoint, Moment};
pub use remote::SimulatedRemote;
pub use server::SimulatedFirestore;

#[cfg(test)]
mod tests;
