//! Each planted mistake is found by the simulation within 200 seeds.
//!
//! `MUTANT=strict-cursor` tries that one alone; `SIMULATE_FIRST_SEED` and `SIMULATE_SEEDS` say where to begin and how many
//! seeds to play.

use std::panic::{set_hook, take_hook};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use moonforge_e2e::simulation::{Script, on_all_cores, play, play_background};
use moonforge_model::mutant::{Mutant, plant};

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(default)
}

/// The first seed that breaks an invariant, and the sentence that it breaks with.
fn hunt(mutant: Mutant, seeds: std::ops::Range<u64>) -> Option<(u64, String)> {
    let first = AtomicU64::new(u64::MAX);
    let found = on_all_cores(seeds, |seed| {
        if first.load(Ordering::Relaxed) < seed {
            return None;
        }
        // A sleep that nobody ends is found where engines run by themselves.
        let played = match mutant {
            Mutant::LostWakeup => play_background(seed),
            _ => play(&Script::new(seed)),
        };
        let broken = played.err();
        if broken.is_some() {
            first.fetch_min(seed, Ordering::Relaxed);
        }
        Some(broken.map(|broken| {
            let line = broken.words.lines().next().unwrap_or_default();
            line.chars().take(90).collect()
        }))
    });
    found
        .into_iter()
        .find_map(|(seed, line)| Some((seed, line?)))
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
        let found = hunt(mutant, seeds.clone());
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
