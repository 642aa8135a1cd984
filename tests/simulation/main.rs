//! Random histories against the invariants of the design.
//!
//! `SIMULATE_SEEDS` says how many seeds (100 by default), `SIMULATE_FIRST_SEED` where to begin. A seed that fails is made
//! smaller, and printed as the command that plays what is left of it; `SIMULATE_TRACE=1` prints its trace.

use std::time::{Duration, Instant};

use moonforge_e2e::simulation::{Outcome, Script, on_all_cores, play, play_background, shrink};

#[cfg(feature = "simulation")]
mod coverage;

/// Of so many seeds that fail, each is made smaller.
const SHRUNK: usize = 3;

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(default)
}

/// Plays seeds on all cores: the sum of what they came to, and those that failed, with their sentences.
fn play_all(seeds: std::ops::Range<u64>) -> (Outcome, Vec<(Script, String)>) {
    let (mut sum, mut failed) = (Outcome::default(), Vec::new());
    let played = on_all_cores(seeds, |seed| {
        let script = Script::from_env(seed);
        let mut played = play(&script).map_err(|broken| (script, broken.words));
        if let Ok(outcome) = &mut played {
            outcome.trace.clear();
        }
        Some(played)
    });
    for (_, played) in played {
        match played {
            Ok(outcome) => sum.add(&outcome),
            Err(broken) => failed.push(broken),
        }
    }
    (sum, failed)
}

/// A sentence without names and numbers, of which a smaller history has others.
fn gist(words: &str) -> Vec<&str> {
    let plain = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase());
    words.split(' ').filter(plain).collect()
}

/// The smallest history that still fails, and its sentence.
fn smallest(script: Script, words: &str) -> (Script, String) {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let small = shrink(script, |script| {
        let broken = play(script)
            .err()
            .filter(|broken| gist(&broken.words) == gist(words))?;
        Some(broken.outcome.happened.into_keys().collect())
    });
    let words = play(&small).err().map(|broken| broken.words);
    std::panic::set_hook(hook);
    (small, words.unwrap_or_default())
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "how fast seeds are played is real time"
)]
fn random_histories_keep_the_invariants() {
    let first = variable("SIMULATE_FIRST_SEED", 1);
    let seeds = variable("SIMULATE_SEEDS", 100);
    let began = Instant::now();
    let (sum, failed) = play_all(first..first + seeds);
    report(seeds, began.elapsed(), &sum);
    for (script, words) in failed.iter().take(SHRUNK) {
        eprintln!("seed {} fails: {words}", script.seed);
        let (small, words) = smallest(script.clone(), words);
        eprintln!("  {} steps of it fail too: {words}", small.steps);
        eprintln!("  again: {small}");
    }
    for (script, words) in failed.iter().skip(SHRUNK) {
        eprintln!("seed {} fails: {words}\n  again: {script}", script.seed);
    }
    #[cfg(feature = "simulation")]
    coverage::check(seeds);
    assert!(failed.is_empty(), "{} of {seeds} seeds fail", failed.len());
}

fn report(seeds: u64, took: Duration, sum: &Outcome) {
    let minutes = took.as_secs_f64() / 60.0;
    println!(
        "{seeds} seeds, {:.0} a minute: {} steps, {} edits, {} syncs, {} transactions",
        seeds as f64 / minutes,
        sum.steps,
        sum.edits,
        sum.syncs,
        sum.transactions
    );
    let happened = sum.happened.iter().map(|(kind, n)| format!("{kind} {n}"));
    let happened: Vec<_> = happened.collect();
    println!("what happened: {}", happened.join(", "));
}

#[test]
fn a_seed_gives_the_same_trace_each_time() {
    let trace = |seed| match play(&Script::new(seed)) {
        Ok(outcome) => (outcome.trace, String::new()),
        Err(broken) => (broken.outcome.trace, broken.words),
    };
    let first = variable("SIMULATE_FIRST_SEED", 1);
    // One of each profile at least. Several at once, so that they disturb each other as far as they can.
    let seeds = (variable("SIMULATE_SEEDS", 100) / 100).max(11);
    on_all_cores(first..first + seeds, |seed| {
        let (once, again) = (trace(seed), trace(seed));
        let mut lines = once.0.iter().zip(&again.0);
        let differs = lines.find(|(one, other)| one != other);
        assert!(
            once == again,
            "seed {seed} isn't the same twice: {differs:?}"
        );
        Some(())
    });
}

#[test]
fn engines_that_run_by_themselves_keep_their_promises() {
    let first = variable("SIMULATE_FIRST_SEED", 1);
    // Each is as long as several of the others.
    let seeds = variable("SIMULATE_SEEDS", 100).div_ceil(10).min(50);
    let played = on_all_cores(first..first + seeds, |seed| Some(play_background(seed)));
    let broken = |(seed, played): (u64, Result<Outcome, _>)| match played {
        Ok(_) => None,
        Err::<_, Box<moonforge_e2e::simulation::Broken>>(broken) => Some((seed, broken.words)),
    };
    let failed: Vec<_> = played.into_iter().filter_map(broken).collect();
    assert!(
        failed.is_empty(),
        "{} of {seeds} fail: {failed:#?}",
        failed.len()
    );
}
