//! The real mode: the program as processes that are killed, real files, Google's emulator behind the fault proxy. What
//! people do, what goes wrong and when a process dies is drawn from a seed; how the processes' and the network's own time
//! falls is not.
//!
//! `REAL_KILLS` says how often a syncing process is killed (12), `REAL_SEEDS` how many random histories are played (2),
//! `REAL_FIRST_SEED` where both begin (1).

mod history;
mod kills;
mod ledger;

/// A variable's number.
pub(crate) fn variable(name: &str, default: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(default)
}
