//! A seeded simulation: several devices, one simulated Firestore, and everything that can go wrong between them.
//!
//! One seed is one history. While a device's sync stands at a port call, at the server or before its answer, the driver lets
//! others act in between: a person edits, another device syncs, a late request arrives, the process is killed and started
//! again on the same file. All times, ids and faults are drawn from the seed. At the end the faults stop, everything is
//! synced until nothing moves, and the invariants are checked.

mod actions;
mod agreement;
mod device;
mod oracle;
mod upheavals;
mod world;

pub use world::{Outcome, Profile, run_seed};
