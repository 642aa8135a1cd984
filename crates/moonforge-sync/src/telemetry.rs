//! What can be measured from outside, through the `metrics` facade: an app that installs a recorder gets these, others pay
//! nothing. Names are stable; no label has content, ids or tokens in it.

use metrics::{counter, gauge, histogram};
use moonforge_store::OutboxCounts;

use crate::engine::SyncError;
use crate::job::Job;
use crate::report::SyncReport;

/// A run came to its end, or couldn't be made.
pub(crate) fn ran(job: &Job, result: &Result<SyncReport, SyncError>) {
    let outcome = match result {
        Ok(report) if report.offline => "offline",
        Ok(report) if report.unauthenticated => "sign_in_needed",
        Ok(report) if report.stopped.is_some() => "failing",
        Ok(_) => "done",
        Err(error) => error.code(),
    };
    counter!("moonforge_runs_total", "job" => job.name(), "outcome" => outcome).increment(1);
    let Ok(report) = result else {
        return;
    };
    let seconds = report.elapsed_ms as f64 / 1000.0;
    histogram!("moonforge_run_seconds", "job" => job.name()).record(seconds);
    counter!("moonforge_documents_sent_total").increment(report.pushed);
    counter!("moonforge_documents_received_total").increment(report.pulled);
    counter!("moonforge_documents_merged_total").increment(report.merged);
    counter!("moonforge_documents_quarantined_total").increment(report.quarantined);
    counter!("moonforge_conflicts_total").increment(report.conflicts);
    counter!("moonforge_billed_total", "kind" => "reads").increment(report.billed.reads);
    counter!("moonforge_billed_total", "kind" => "writes").increment(report.billed.writes);
    counter!("moonforge_billed_total", "kind" => "deletes").increment(report.billed.deletes);
    gauge!("moonforge_documents_parked").set(report.parked as f64);
    gauge!("moonforge_documents_waiting").set(report.waiting as f64);
}

/// The outbox was counted.
pub(crate) fn counted(counts: &OutboxCounts) {
    gauge!("moonforge_outbox_rows", "state" => "pending").set(counts.pending as f64);
    gauge!("moonforge_outbox_rows", "state" => "parked").set(counts.parked as f64);
}
