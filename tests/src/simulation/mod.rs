//! A seeded simulation: several devices, one simulated Firestore, and everything that can go wrong between them.
//!
//! One seed is one history. While a device's sync stands at a port call, at the server or before its answer, the driver lets
//! others act in between: a person edits, another device syncs, a late request arrives, the process is killed and started
//! again on the same file. All times, ids and faults are drawn from the seed. At the end the faults stop, everything is
//! synced until nothing moves, and the invariants are checked.

mod actions;
mod agreement;
mod background;
mod calm;
mod consoles;
mod cores;
mod deeds;
mod device;
mod faults;
mod forms;
mod invariants;
mod limits;
mod oracle;
mod overwrites;
mod profile;
mod script;
mod shrink;
mod trace;
mod upheavals;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub use cores::on_all_cores;
pub use profile::Profile;
pub use script::Script;
pub use shrink::shrink;
pub use trace::Outcome;

/// An invariant that broke.
#[derive(Debug)]
pub struct Broken {
    /// The sentence that it broke with.
    pub words: String,
    /// What the history had come to by then.
    pub outcome: Outcome,
}

/// Steps of a history of engines that run by themselves.
const BACKGROUND_STEPS: u32 = 30;

/// Plays a history of engines that run by themselves; otherwise as [`play`].
pub fn play_background(seed: u64) -> Result<Outcome, Box<Broken>> {
    alone(|trace| background::run(seed, BACKGROUND_STEPS, trace))
}

/// Plays a history on a runtime of its own. Every panic in it is an invariant that broke, and goes through the panic hook too.
pub fn play(script: &Script) -> Result<Outcome, Box<Broken>> {
    alone(|trace| world::run(script.clone(), trace))
}

fn alone<F: Future<Output = ()>>(
    history: impl FnOnce(Arc<trace::Trace>) -> F,
) -> Result<Outcome, Box<Broken>> {
    let trace = Arc::new(trace::Trace::default());
    let played = catch_unwind(AssertUnwindSafe(|| {
        // Without the driver for sockets: waking up costs less.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        runtime.block_on(history(trace.clone()));
    }));
    let outcome = trace.outcome();
    match played {
        Ok(()) => Ok(outcome),
        Err(panic) => {
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(|w| (*w).to_owned()));
            let words = words.unwrap_or_default();
            Err(Box::new(Broken { words, outcome }))
        }
    }
}
