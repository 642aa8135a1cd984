//! What is played: a seed, and how much of what it would bring about is left out.

use std::collections::BTreeSet;
use std::fmt;

use super::profile::Profile;

/// Steps of a history.
const STEPS: u32 = 40;
/// More devices than this are never made.
const DEVICES: u64 = 4;

/// One history: everything else follows from this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Decides everything.
    pub seed: u64,
    /// How many steps there are until all calms down.
    pub steps: u32,
    /// The most devices of the first account.
    pub devices: u64,
    /// What doesn't happen although it is drawn: faults, kills and upheavals, by the names that the report counts them under.
    pub without: BTreeSet<String>,
}

impl Script {
    /// The whole history of a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            steps: STEPS,
            devices: DEVICES,
            without: BTreeSet::new(),
        }
    }

    /// The same, less what `SIMULATE_STEPS`, `SIMULATE_DEVICES` and `SIMULATE_WITHOUT` (names, with commas between) leave out.
    pub fn from_env(seed: u64) -> Self {
        let text = |name: &str| std::env::var(name).ok();
        let number = |name: &str| text(name).and_then(|v| v.parse::<u32>().ok());
        let mut script = Self::new(seed);
        script.steps = number("SIMULATE_STEPS").unwrap_or(script.steps);
        script.devices = number("SIMULATE_DEVICES").map_or(script.devices, u64::from);
        let without = text("SIMULATE_WITHOUT").unwrap_or_default();
        let without = without.split(',').map(str::trim).filter(|w| !w.is_empty());
        script.without = without.map(str::to_owned).collect();
        script
    }

    /// What happens often in it.
    pub fn profile(&self) -> Profile {
        Profile::ALL[(self.seed % Profile::ALL.len() as u64) as usize]
    }
}

/// The command that plays it.
impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = Self::new(self.seed);
        write!(f, "SIMULATE_FIRST_SEED={} SIMULATE_SEEDS=1", self.seed)?;
        if self.steps != whole.steps {
            write!(f, " SIMULATE_STEPS={}", self.steps)?;
        }
        if self.devices != whole.devices {
            write!(f, " SIMULATE_DEVICES={}", self.devices)?;
        }
        if !self.without.is_empty() {
            let without: Vec<&str> = self.without.iter().map(String::as_str).collect();
            write!(f, " SIMULATE_WITHOUT='{}'", without.join(","))?;
        }
        f.write_str(" cargo test -p moonforge-e2e --test simulation random")
    }
}
