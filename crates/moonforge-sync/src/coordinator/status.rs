//! How the background engine is, as one value that a UI can bind to.

use std::time::Duration;

use moonforge_model::Timestamp;
use moonforge_ports::{Network, Usage};
use serde::Serialize;

use crate::bill::Bill;

/// What the background engine is doing, or waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It was not started, or was stopped.
    #[default]
    Stopped,
    /// All is exchanged; it waits for an edit or for the next look.
    Idle,
    /// It exchanges edits and news right now.
    Syncing,
    /// The cloud can't be reached; it looks for the way back by itself.
    Offline,
    /// The cloud fails, or asks to wait; it tries again by itself.
    Failing,
    /// A person has to sign in.
    SignInNeeded,
    /// Something that only a person can change: another account's database, a database that isn't there.
    Blocked,
    /// Another process exchanges for this database; it waits for its turn.
    Elsewhere,
    /// Told to rest.
    Paused,
}

/// A run that goes on: what it did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Documents to send when it began.
    pub to_send: u64,
    /// Documents sent.
    pub sent: u64,
    /// Documents that changed here.
    pub fetched: u64,
}

/// Why the last attempt came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// A stable code: `offline`, `unauthenticated`, `cloud_failing`, or that of an error.
    pub code: &'static str,
    /// What happened, in words for a person.
    pub message: String,
}

/// How the background engine is. Everything here is as of the moment that it was made.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SyncStatus {
    /// What it is doing.
    pub phase: Phase,
    /// The run that goes on.
    pub progress: Option<Progress>,
    /// What the operating system says about the network.
    #[serde(serialize_with = "network")]
    pub network: Network,
    /// Edits on their way, sent ones included.
    pub pending: u64,
    /// Edits that wait for a person.
    pub parked: u64,
    /// When the oldest edit on its way was made, by this device's clock.
    pub oldest_pending_at: Option<Timestamp>,
    /// When a run last came to its end, by this device's clock.
    pub last_synced_at: Option<Timestamp>,
    /// How long until the next look, as of this snapshot; `None` while nothing is planned.
    #[serde(rename = "next_sync_in_s", serialize_with = "seconds")]
    pub next_sync_in: Option<Duration>,
    /// Failed attempts since the last that ended well.
    pub failures: u32,
    /// Attempts since the start that ended well.
    pub runs_done: u64,
    /// Attempts since the start that did not.
    pub runs_failed: u64,
    /// Why the last attempt came to nothing.
    pub trouble: Option<Trouble>,
    /// What the remote billed since the start.
    pub billed: Usage,
    /// The same by cause, as far as answers came.
    pub bill: Bill,
    /// How often the engine woke up since the start.
    pub wake_ups: u64,
}

/// After so many failures in a row somebody should look.
pub(crate) const MAX_RETRIES: u32 = 5;

fn network<S: serde::Serializer>(network: &Network, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(network.name())
}

fn seconds<S: serde::Serializer>(span: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    match span {
        Some(span) => to.serialize_f64(span.as_secs_f64()),
        None => to.serialize_none(),
    }
}

impl SyncStatus {
    /// The share of attempts since the start that ended well, 0 to 1; `None` before the first.
    pub fn success_rate(&self) -> Option<f64> {
        let all = self.runs_done + self.runs_failed;
        (all > 0).then(|| self.runs_done as f64 / all as f64)
    }

    /// Whether a person should look: edits are parked, sign-in is needed, or it fails again and again.
    pub fn needs_attention(&self) -> bool {
        self.parked > 0
            || matches!(self.phase, Phase::SignInNeeded | Phase::Blocked)
            || (self.phase == Phase::Failing && self.failures >= MAX_RETRIES)
    }

    /// All of it as one sentence, fit for a status line and for a screen reader.
    pub fn sentence(&self) -> String {
        let edits = |n: u64| match n {
            1 => "1 edit".to_owned(),
            n => format!("{n} edits"),
        };
        let documents = |n: u64| match n {
            1 => "1 document".to_owned(),
            n => format!("{n} documents"),
        };
        let waiting = match self.pending {
            0 => String::new(),
            n => format!(
                " {} {} here and will be sent.",
                edits(n),
                if n == 1 { "is kept" } else { "are kept" }
            ),
        };
        let state = match self.phase {
            Phase::Stopped => format!("Sync is off.{waiting}"),
            Phase::Paused => format!("Sync is paused.{waiting}"),
            Phase::Syncing => match self.progress {
                Some(Progress { to_send, sent, .. }) if to_send > sent => {
                    format!("Syncing: {sent} of {} sent.", documents(to_send))
                }
                Some(Progress { fetched, .. }) if fetched > 0 => {
                    format!("Syncing: {} received.", documents(fetched))
                }
                _ => "Syncing.".to_owned(),
            },
            Phase::Idle if self.pending == 0 => "Everything is in sync.".to_owned(),
            Phase::Idle => format!("{} on the way.", edits(self.pending)),
            Phase::Elsewhere => format!("Another program syncs this database.{waiting}"),
            Phase::Offline => format!("The cloud can't be reached.{waiting}"),
            Phase::Failing => format!("The cloud has trouble; trying again.{waiting}"),
            Phase::SignInNeeded => format!("Please sign in.{waiting}"),
            Phase::Blocked => match &self.trouble {
                Some(trouble) => format!("Sync can't go on: {}.{waiting}", trouble.message),
                None => format!("Sync can't go on.{waiting}"),
            },
        };
        match self.parked {
            0 => state,
            n => format!(
                "{state} {} for you to decide.",
                match n {
                    1 => "1 edit waits".to_owned(),
                    n => format!("{n} edits wait"),
                }
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_says_what_is_kept_and_what_waits() {
        let mut status = SyncStatus::default();
        assert_eq!(status.sentence(), "Sync is off.");
        (status.phase, status.pending) = (Phase::Offline, 1);
        let offline = "The cloud can't be reached. 1 edit is kept here and will be sent.";
        assert_eq!(status.sentence(), offline);
        (status.phase, status.pending, status.parked) = (Phase::Idle, 0, 2);
        assert_eq!(
            status.sentence(),
            "Everything is in sync. 2 edits wait for you to decide."
        );
        status.phase = Phase::Syncing;
        status.parked = 0;
        status.progress = Some(Progress {
            to_send: 5,
            sent: 2,
            fetched: 0,
        });
        assert_eq!(status.sentence(), "Syncing: 2 of 5 documents sent.");
        status.phase = Phase::Blocked;
        status.trouble = Some(Trouble {
            code: "account_mismatch",
            message: "the database belongs to anna".into(),
        });
        assert_eq!(
            status.sentence(),
            "Sync can't go on: the database belongs to anna."
        );
    }

    #[test]
    fn attention_is_for_what_doesnt_pass_by_itself() {
        let mut status = SyncStatus {
            phase: Phase::Offline,
            pending: 9,
            failures: 40,
            ..SyncStatus::default()
        };
        assert!(
            !status.needs_attention(),
            "a table without Wi-Fi is no trouble"
        );
        status.phase = Phase::Failing;
        assert!(status.needs_attention());
        status.failures = 4;
        assert!(!status.needs_attention());
        status.parked = 1;
        assert!(status.needs_attention());
    }

    #[test]
    fn the_success_rate_is_of_attempts() {
        let mut status = SyncStatus::default();
        assert_eq!(status.success_rate(), None);
        (status.runs_done, status.runs_failed) = (3, 1);
        assert_eq!(status.success_rate(), Some(0.75));
    }
}
