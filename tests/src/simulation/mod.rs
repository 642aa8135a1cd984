//! A seeded simulation: several devices, one simulated Firestore, and everything that can go wrong between them.
//!
//! One seed is one history. While a device's sync stands at a port call, at the server or before its answer, the driver lets
//! others act in between: a person edits, another device syncs, a late request arrives, the process is killed and started
//! again on the same file. All times, ids and faults are drawn from the seed. At the end the faults stop, everything is
//! synced until nothing moves, and the invariants are checked.

mod actions;
mod agreement;
mod device;
mod faults;
mod oracle;
mod overwrites;
mod upheavals;
mod world;

pub use world::{Outcome, Profile, run_seed};

/// What seeds are played as, in turn.
pub const PROFILES: [Profile; 9] = [
    Profile::Mixed,
    Profile::LostAnswers,
    Profile::SlowCommits,
    Profile::Copies,
    Profile::Consoles,
    Profile::PutBack,
    Profile::Erasers,
    Profile::Members,
    Profile::Crowded,
];

/// Steps of a history.
const STEPS: u32 = 40;

/// Plays a seed on a runtime of its own, in its profile. Panics with a sentence where an invariant breaks.
pub fn play(seed: u64) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let profile = PROFILES[(seed % PROFILES.len() as u64) as usize];
    runtime.block_on(run_seed(seed, profile, STEPS))
}
