//! Each planted mistake is found by the simulation within 200 seeds.
//!
//! `MUTANT=strict-cursor` tries that one alone; `SIMULATE_FIRST_SEED` and `SIMULATE_SEEDS` say where to begin and how many
//! seeds to play.

use std::panic::{catch_unwind, set_hook, take_hook};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use moonforge_e2e::simulation::play;
use moonforge_model::mutant::{Mutant, plant};

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(default)
}

/// The first seed that breaks an invariant, and the sentence that it breaks with.
fn hunt(seeds: std::ops::Range<u64>) -> Option<(u64, String)> {
    let next = AtomicU64::new(seeds.start);
    let found: Mutex<Option<(u64, String)>> = Mutex::new(None);
    let best = || found.lock().expect("no panic while held").clone();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || best().is_some_and(|(first, _)| first < seed) {
                        return;
                    }
                    let Err(panic) = catch_unwind(|| play(seed)) else {
                        continue;
                    };
                    let words = panic
                        .downcast_ref::<String>()
                        .map(String::as_str)
                        .or_else(|| panic.downcast_ref::<&str>().copied());
                    let line = words.and_then(|w| w.lines().next()).unwrap_or_default();
                    let mut found = found.lock().expect("no panic while held");
                    if found.as_ref().is_none_or(|(first, _)| seed < *first) {
                        *found = Some((seed, line.chars().take(90).collect()));
                    }
                }
            });
        }
    });
    best()
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "how long a hunt takes is real time"
)]
fn the_simulation_finds_each_planted_mistake() {
    let only = std::env::var("MUTANT").ok();
    let first = variable("SIMULATE_FIRST_SEED", 1);
    let seeds = first..first + variable("SIMULATE_SEEDS", 200);
    let mutants: Vec<Mutant> = Mutant::ALL
        .iter()
        .copied()
        .filter(|m| only.as_deref().is_none_or(|name| name == m.name()))
        .collect();
    assert!(!mutants.is_empty(), "there is no mutant {only:?}");
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let mut survivors = Vec::new();
    println!("| mutant | seed | s | what broke |\n|---|---|---|---|");
    for mutant in mutants {
        plant(Some(mutant));
        let began = Instant::now();
        let found = hunt(seeds.clone());
        plant(None);
        let (name, took) = (mutant.name(), began.elapsed().as_secs_f32());
        match found {
            Some((seed, line)) => println!("| {name} | {seed} | {took:.1} | {line} |"),
            None => {
                println!("| {name} | none of {seeds:?} | {took:.1} | |");
                survivors.push(name);
            }
        }
    }
    set_hook(hook);
    assert_eq!(survivors, [] as [&str; 0], "these mistakes go unnoticed");
}
