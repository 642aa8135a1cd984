//! Which decisions of the engine a simulation has reached, and how often.
//!
//! Without the feature `simulation` nothing is counted.

/// Counts that a decision was made. Its name is put together only where it is counted.
#[cfg(not(feature = "simulation"))]
#[inline(always)]
pub fn reached(_: impl FnOnce() -> String) {}

#[cfg(feature = "simulation")]
mod counting {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    static REACHED: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

    /// Counts that a decision was made.
    pub fn reached(name: impl FnOnce() -> String) {
        let mut counts = REACHED.lock().expect("nothing panics while it counts");
        *counts.entry(name()).or_default() += 1;
    }

    /// What was reached so far in this process.
    pub fn counts() -> BTreeMap<String, u64> {
        REACHED
            .lock()
            .expect("nothing panics while it counts")
            .clone()
    }
}

#[cfg(feature = "simulation")]
pub use counting::{counts, reached};
