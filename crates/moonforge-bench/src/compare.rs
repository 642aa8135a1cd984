//! A workload beside its floor: alternating rounds, each in a process of its own, on one emulator.

use std::ffi::OsString;
use std::process::Command;

use moonforge_testkit::emulator::Emulator;
use serde_json::Value;

use crate::args::{Args, Workload};
use crate::cloud::Failed;
use crate::measure::rounded;

/// Measures both in turn, and says how they compare: a row of the table in `docs/performance.md`.
pub(crate) fn pair(args: &Args, rounds: usize) -> Result<String, Failed> {
    let emulator = match args.workload.needs_cloud() {
        true => Some(Emulator::find_or_start()?),
        false => None,
    };
    let host = emulator.as_ref().map(Emulator::host);
    // The emulator's compiler warms up with the first requests: what they take is nobody's merit.
    if emulator.is_some() {
        for floor in [true, false] {
            once(args, floor, host)?;
        }
    }
    let (mut floors, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..rounds.max(1) {
        floors.push(once(args, true, host)?);
        ours.push(once(args, false, host)?);
    }
    Ok(row(args, &floors, &ours))
}

/// One measurement in a process of its own.
fn once(args: &Args, floor: bool, host: Option<&str>) -> Result<Value, Failed> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(args.workload.name()).arg(args.n.to_string());
    let options: [(&str, OsString); 3] = [
        ("--durability", args.durability.name().to_lowercase().into()),
        ("--concurrency", args.concurrency.to_string().into()),
        ("--as", args.credential.name().into()),
    ];
    for (option, value) in options {
        command.arg(option).arg(value);
    }
    if floor {
        command.arg("--floor");
    }
    if let Some(host) = host {
        command.env("FIRESTORE_EMULATOR_HOST", host);
    }
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    eprint!("{}", String::from_utf8_lossy(&output.stdout));
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn row(args: &Args, floors: &[Value], ours: &[Value]) -> String {
    let speeds = |lines: &[Value]| -> Vec<f64> {
        lines
            .iter()
            .filter_map(|l| l["ops_per_s"].as_f64())
            .collect()
    };
    let (floor, our) = (speeds(floors), speeds(ours));
    let ratios: Vec<f64> = our
        .iter()
        .zip(&floor)
        .map(|(our, floor)| our / floor)
        .collect();
    let last = ours.last().unwrap_or(&Value::Null);
    let reads = &last["billed"]["reads"];
    let reads = match &last["billed"]["settling_reads"] {
        Value::Null => reads.to_string(),
        settling => format!("{reads}, settling {settling}"),
    };
    let peak = |lines: &[Value]| {
        let peaks = lines.iter().filter_map(|l| l["peak_rss_mb"].as_f64());
        rounded(peaks.fold(0.0, f64::max))
    };
    let who = match args.workload {
        Workload::W2 | Workload::W3 | Workload::W4 => args.credential.name(),
        Workload::W1 | Workload::W1g | Workload::W5 => args.durability.name(),
    };
    format!(
        "| {} {who} | {} | {} | {} | **{}** | {} ms | {reads} | {} / {} MiB |",
        args.workload.name().to_uppercase(),
        args.n,
        spread(&floor),
        spread(&our),
        spread(&ratios),
        last["p99_ms"],
        peak(ours),
        peak(floors),
    )
}

/// Median, and in brackets the least and the most.
fn spread(values: &[f64]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |index: usize| sorted.get(index).copied().map_or(0.0, rounded);
    format!(
        "{} ({}–{})",
        at(sorted.len() / 2),
        at(0),
        at(sorted.len().saturating_sub(1))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_median_with_its_extremes() {
        assert_eq!(spread(&[3.0, 1.0, 9.0]), "3 (1–9)");
    }
}
