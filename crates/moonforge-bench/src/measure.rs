//! What a workload came to, and the one line that says so.

use std::time::Duration;

use moonforge::SystemClock;
use moonforge::ports::{Clock, Usage};
use serde_json::{Value, json};

/// Takes the time of steps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stopwatch(SystemClock);

impl Stopwatch {
    pub(crate) fn now(&self) -> Duration {
        self.0.monotonic()
    }
}

/// What a workload came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// How much was done: documents, writes, reads or polls.
    pub(crate) ops: usize,
    /// In what time, without what came before and after.
    pub(crate) elapsed: Duration,
    /// What each step took: a request, a write, a read or a poll.
    pub(crate) steps: Vec<Duration>,
    /// What the remote would have billed.
    pub(crate) billed: Usage,
    /// Reads of a poll in which a check of the settled cursor was due.
    pub(crate) settling_reads: Option<u64>,
}

impl Measured {
    /// The line, but for what the command line says of it.
    pub(crate) fn line(mut self) -> Value {
        self.steps.sort_unstable();
        let mut billed = json!({
            "reads": self.billed.reads,
            "writes": self.billed.writes,
            "deletes": self.billed.deletes,
        });
        if let Some(reads) = self.settling_reads {
            billed["settling_reads"] = reads.into();
        }
        json!({
            "ops_per_s": rounded(self.ops as f64 / self.elapsed.as_secs_f64()),
            "p50_ms": percentile(&self.steps, 50),
            "p99_ms": percentile(&self.steps, 99),
            "peak_rss_mb": peak_rss_mb(),
            "billed": billed,
        })
    }
}

/// The step that so many of a hundred don't exceed, in ms.
fn percentile(sorted: &[Duration], percent: usize) -> Option<f64> {
    let index = (sorted.len() * percent).div_ceil(100).checked_sub(1)?;
    Some(rounded(sorted.get(index)?.as_secs_f64() * 1000.0))
}

/// To four digits that count.
pub(crate) fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let digits = 3 - value.abs().log10().floor() as i32;
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

/// The most memory that this process ever held, in MiB; `None` where the system doesn't say.
fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(rounded(kib / 1024.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_steps_in_order() {
        let steps: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&steps, 50), Some(100.0));
        assert_eq!(percentile(&steps, 99), Some(198.0));
        assert_eq!(percentile(&steps[..1], 99), Some(1.0));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn figures_keep_four_digits() {
        assert_eq!(rounded(12_345.678), 12_350.0);
        assert_eq!(rounded(0.012_345_6), 0.012_35);
        assert_eq!(rounded(0.0), 0.0);
    }
}
