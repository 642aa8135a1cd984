//! `sync`.

use moonforge::{Moonforge, SyncOptions, SyncReport, SyncScope};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Outcome, Paint, Progress, Text, printable};

/// Unreachable or still failing; everything is kept.
pub(super) const KEPT: u8 = 3;
/// A person should look.
pub(super) const LOOK: u8 = 4;

pub(super) async fn sync(
    forge: &Moonforge,
    scope: Option<SyncScope>,
    json: bool,
) -> Result<Outcome, Failure> {
    let options = SyncOptions {
        scope,
        ..SyncOptions::default()
    };
    let progress = Progress::begin("sync", None, json);
    let report = progress.during(forge.sync_with(&options)).await;
    progress.end("ended");
    let report = report?;
    let mut outcome = Outcome::new(as_json(&report), summary(&report));
    outcome.exit = exit(&report);
    if let Some(why) = &report.stopped {
        outcome
            .text
            .push(Text::Line(Paint::Warn.on(&printable(why))));
    }
    if report.parked > 0 {
        let parked = format!(
            "{} documents are parked: see `moonforge outbox ls`",
            report.parked
        );
        outcome.text.push(Text::Line(Paint::Warn.on(&parked)));
    }
    if report.conflicts > 0 {
        let journaled = format!(
            "{} edits met others and were journaled: see `moonforge conflicts ls`",
            report.conflicts
        );
        outcome.text.push(Text::Line(Paint::Warn.on(&journaled)));
    }
    if report.quarantined > 0 {
        let unreadable = format!(
            "{} documents of the cloud can't be read: see `moonforge doctor`",
            report.quarantined
        );
        outcome.text.push(Text::Line(Paint::Warn.on(&unreadable)));
    }
    Ok(outcome)
}

fn exit(report: &SyncReport) -> u8 {
    if report.parked > 0 || report.conflicts > 0 || report.unauthenticated {
        LOOK
    } else if report.offline || report.stopped.is_some() || report.waiting > 0 {
        KEPT
    } else {
        0
    }
}

fn as_json(report: &SyncReport) -> Value {
    serde_json::to_value(report).unwrap_or_else(|_| json!({}))
}

fn summary(report: &SyncReport) -> String {
    let billed = Paint::Faint.on(&format!(
        "({} reads and {} writes billed, {} ms)",
        report.billed.reads, report.billed.writes, report.elapsed_ms
    ));
    let state = match state(report) {
        IN_STEP => Paint::Good.on(IN_STEP),
        other => Paint::Warn.on(other),
    };
    format!(
        "{state} · {} sent · {} received · {} merged · {} waiting {billed}",
        report.pushed, report.pulled, report.merged, report.waiting
    )
}

const IN_STEP: &str = "in step";

/// What matters most about the run.
fn state(report: &SyncReport) -> &'static str {
    if report.offline {
        "offline"
    } else if report.unauthenticated {
        "sign-in is needed"
    } else if report.waiting > 0 || report.stopped.is_some() {
        "not done"
    } else if report.parked > 0 {
        "in step but for what is parked"
    } else if report.quarantined > 0 {
        "in step but for what can't be read"
    } else if report.conflicts > 0 {
        "in step, with edits journaled"
    } else {
        IN_STEP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_step_is_where_nothing_is_left_to_a_person_or_a_later_run() {
        let report = SyncReport::default;
        assert_eq!(state(&report()), IN_STEP);
        for (report, words) in [
            (
                SyncReport {
                    parked: 1,
                    ..report()
                },
                "parked",
            ),
            (
                SyncReport {
                    conflicts: 1,
                    ..report()
                },
                "journaled",
            ),
            (
                SyncReport {
                    quarantined: 1,
                    ..report()
                },
                "can't be read",
            ),
            (
                SyncReport {
                    waiting: 1,
                    parked: 1,
                    ..report()
                },
                "not done",
            ),
            (
                SyncReport {
                    unauthenticated: true,
                    ..report()
                },
                "sign-in",
            ),
            (
                SyncReport {
                    offline: true,
                    parked: 1,
                    ..report()
                },
                "offline",
            ),
        ] {
            let said = state(&report);
            assert!(
                said.contains(words) && said != IN_STEP,
                "{said}: {report:?}"
            );
        }
    }
}
