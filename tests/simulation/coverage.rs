//! What histories have to reach in the engine, or they prove nothing about it.

use moonforge_model::coverage::counts;

/// Each row of the outcome table, each outcome of a merge, each reason to park.
const WANTED: &[&str] = &[];

/// From so many seeds on, all of it has to be reached.
const ENOUGH: u64 = 2_000;

pub(crate) fn check(seeds: u64) {
    let counts = counts();
    for (name, count) in &counts {
        println!("{count:>9}  {name}");
    }
    let missed: Vec<_> = WANTED
        .iter()
        .filter(|w| !counts.contains_key(**w))
        .collect();
    println!("not reached: {missed:?}");
    assert!(
        seeds < ENOUGH || missed.is_empty(),
        "not reached: {missed:?}"
    );
}
