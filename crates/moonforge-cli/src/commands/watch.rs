//! `sync --watch`: the background engine, shown as it goes, until somebody ends it.

use std::time::Duration;

use moonforge::{Moonforge, Phase, SyncStatus};
use serde_json::{Value, json};

use crate::commands::sync::{KEPT, LOOK};
use crate::failure::Failure;
use crate::output::{Live, Outcome};

/// How long what waits may take to leave when somebody ends it.
const LAST_SENDING: Duration = Duration::from_secs(3);

pub(super) async fn watch(forge: &Moonforge, json: bool) -> Result<Outcome, Failure> {
    let live = Live::begin(json);
    let mut statuses = forge.watch_sync_status();
    forge.start();
    let mut shown = None;
    let ended = ended();
    tokio::pin!(ended);
    loop {
        let status = statuses.borrow_and_update().clone();
        if status.phase != Phase::Stopped {
            let what = seen(&status);
            if shown.as_ref() != Some(&what) {
                if !live.show(&status.sentence(), &what)? {
                    break;
                }
                shown = Some(what);
            }
            // Nothing that comes later changes whose database it is.
            if let Some(trouble) = &status.trouble
                && trouble.code == "account_mismatch"
            {
                live.end();
                forge.stop().await;
                return Err(Failure::new(trouble.code, trouble.message.clone()));
            }
        }
        tokio::select! {
            changed = statuses.changed() => {
                if changed.is_err() {
                    break;
                }
            }
            () = &mut ended => break,
        }
    }
    let before = forge.sync_status();
    let reachable = before.phase != Phase::Offline && before.pending > 0;
    match reachable {
        // What was typed a moment ago may leave yet.
        true => drop(forge.drain_and_stop(LAST_SENDING).await),
        false => forge.stop().await,
    }
    live.end();
    last(forge, &before).await
}

/// What people and scripts are shown of a status: not the seconds until the next look, which always change.
fn seen(status: &SyncStatus) -> Value {
    json!({
        "phase": status.phase,
        "sentence": status.sentence(),
        "pending": status.pending,
        "parked": status.parked,
        "failures": status.failures,
        "trouble": status.trouble,
        "progress": status.progress,
    })
}

async fn last(forge: &Moonforge, before: &SyncStatus) -> Result<Outcome, Failure> {
    let counts = forge.outbox().counts().await?;
    let (pending, parked) = (counts.pending, counts.parked);
    let wait = match pending {
        1 => "1 edit waits here".to_owned(),
        pending => format!("{pending} edits wait here"),
    };
    let kept = match (pending, parked) {
        (0, 0) => "everything was sent".to_owned(),
        (_, 0) => format!("{wait} for the next time"),
        (_, parked) => format!("{wait} for the next time, {parked} parked"),
    };
    let json = json!({
        "phase": "stopped",
        "sentence": format!("Sync is off; {kept}."),
        "pending": pending,
        "parked": parked,
        "runs_done": before.runs_done,
        "runs_failed": before.runs_failed,
        "billed": before.billed,
    });
    let mut outcome = Outcome::new(json, format!("ended: {kept}"));
    outcome.exit = match (pending, parked, before.phase) {
        (_, 1.., _) | (_, _, Phase::SignInNeeded) => LOOK,
        (1.., _, _) => KEPT,
        _ => 0,
    };
    Ok(outcome)
}

/// Returns when somebody ends the program: Ctrl-C, or what a service manager sends.
async fn ended() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    let terminated = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminated) => {
                terminated.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        _ = interrupted => {}
        () = terminated => {}
    }
}
