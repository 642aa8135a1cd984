//! `sync`.

use moonforge::{Moonforge, SyncReport};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{self, Outcome, Paint, Text};

/// Unreachable or still failing; everything is kept.
const KEPT: u8 = 3;
/// A person should look.
const LOOK: u8 = 4;

pub(super) async fn sync(forge: &Moonforge) -> Result<Outcome, Failure> {
    let spinner = output::spinner("exchanging what changed");
    let report = forge.sync_now().await;
    spinner.finish_and_clear();
    let report = report?;
    let mut outcome = Outcome::new(json(&report), summary(&report));
    outcome.exit = exit(&report);
    if let Some(why) = &report.stopped {
        outcome.text.push(Text::Line(Paint::Warn.on(why)));
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

fn json(report: &SyncReport) -> Value {
    serde_json::to_value(report).unwrap_or_else(|_| json!({}))
}

fn summary(report: &SyncReport) -> String {
    let billed = Paint::Faint.on(&format!(
        "({} reads and {} writes billed, {} ms)",
        report.billed.reads, report.billed.writes, report.elapsed_ms
    ));
    let state = if report.offline {
        Paint::Warn.on("offline")
    } else if report.unauthenticated {
        Paint::Warn.on("sign-in is needed")
    } else if report.waiting > 0 || report.stopped.is_some() {
        Paint::Warn.on("not done")
    } else {
        Paint::Good.on("in step")
    };
    format!(
        "{state} · {} sent · {} received · {} merged · {} waiting {billed}",
        report.pushed, report.pulled, report.merged, report.waiting
    )
}
