//! A history that fails, made smaller for as long as it still does.

use std::collections::BTreeSet;

use super::script::Script;

/// How often a smaller history is tried.
const TRIES: u32 = 150;

/// The smallest history found that still fails, where `fails` says whether one does, and what happened in it.
pub fn shrink(script: Script, fails: impl Fn(&Script) -> Option<BTreeSet<&'static str>>) -> Script {
    let mut tries = 0;
    let mut fails = |script: &Script| {
        tries += 1;
        (tries <= TRIES).then(|| fails(script)).flatten()
    };
    let mut best = script;
    let mut seen = fails(&best).unwrap_or_default();
    let mut take = |best: &mut Script, seen: &mut BTreeSet<&'static str>, smaller: Script| {
        let failed = fails(&smaller);
        let shrunk = failed.is_some();
        if let Some(happened) = failed {
            (*best, *seen) = (smaller, happened);
        }
        shrunk
    };
    // Fewer steps first: what comes before them stays as it was.
    let shorten =
        |best: &mut Script, seen: &mut _, take: &mut dyn FnMut(&mut _, &mut _, _) -> bool| {
            let mut cut = best.steps / 2;
            while cut > 0 {
                let steps = best.steps.saturating_sub(cut);
                let smaller = Script {
                    steps,
                    ..best.clone()
                };
                if best.steps == 0 || !take(best, seen, smaller) {
                    cut /= 2;
                }
            }
        };
    shorten(&mut best, &mut seen, &mut take);
    for devices in 1..best.devices {
        let smaller = Script {
            devices,
            ..best.clone()
        };
        if take(&mut best, &mut seen, smaller) {
            break;
        }
    }
    for kind in seen.clone() {
        let mut smaller = best.clone();
        smaller.without.insert(kind.to_owned());
        take(&mut best, &mut seen, smaller);
    }
    shorten(&mut best, &mut seen, &mut take);
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_it_takes_is_left() {
        let fails = |script: &Script| {
            let happened = ["kill", "429", "answer lost"];
            let left = happened
                .into_iter()
                .filter(|kind| !script.without.contains(*kind));
            let left: BTreeSet<_> = left.collect();
            (script.steps >= 7 && script.devices >= 2 && left.contains("kill")).then_some(left)
        };
        let small = shrink(Script::new(5), fails);
        assert_eq!((small.steps, small.devices), (7, 2));
        assert_eq!(
            small.without,
            ["429", "answer lost"].map(str::to_owned).into()
        );
    }

    #[test]
    fn a_history_is_told_as_the_command_that_plays_it() {
        let script = Script {
            steps: 3,
            without: ["kill".to_owned()].into(),
            ..Script::new(9)
        };
        assert_eq!(
            script.to_string(),
            "SIMULATE_FIRST_SEED=9 SIMULATE_SEEDS=1 SIMULATE_STEPS=3 SIMULATE_WITHOUT='kill' \
             cargo test -p moonforge-e2e --test simulation random"
        );
    }
}
