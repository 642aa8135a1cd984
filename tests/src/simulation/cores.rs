//! Seeds on all cores, each on one core alone.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Does `work` for each seed, on all cores, in rising order, until it says to stop. What it gives is sorted by seed.
pub fn on_all_cores<T: Send>(
    seeds: std::ops::Range<u64>,
    work: impl Fn(u64) -> Option<T> + Sync,
) -> Vec<(u64, T)> {
    let next = AtomicU64::new(seeds.start);
    let done = Mutex::new(Vec::new());
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for core in 0..cores {
            let (next, done, work, end) = (&next, &done, &work, seeds.end);
            scope.spawn(move || {
                stay_on(core);
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let Some(result) = work(seed) else { return };
                    let mut done = done.lock().expect("no panic while held");
                    done.push((seed, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no panic while held");
    done.sort_by_key(|(seed, _)| *seed);
    done
}

/// Keeps this thread, and those that it starts, on one core. A database has a thread of its own that the driver waits for at
/// each statement; from one core to another such a hand-over costs twice as much.
#[cfg(target_os = "linux")]
fn stay_on(number: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let Ok(allowed) = sched_getaffinity(None) else {
        return;
    };
    let cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
    if let Some(core) = cores.into_iter().nth(number) {
        let mut one = CpuSet::new();
        one.set(core);
        // Where that isn't allowed, it is only slower.
        let _ = sched_setaffinity(None, &one);
    }
}

#[cfg(not(target_os = "linux"))]
fn stay_on(_: usize) {}
