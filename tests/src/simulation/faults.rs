//! What befalls calls of the server, and how often.

use std::sync::atomic::Ordering;
use std::time::Duration;

use moonforge_model::Timestamp;
use moonforge_ports::{Clock, RemoteErrorKind};
use moonforge_testkit::simulated::{Call, CallKind, Fault, GatePoint, Moment};

use super::world::{Profile, World};

/// A `Retry-After`.
pub(crate) struct Quiet {
    until: Timestamp,
    /// The call that gets this answer.
    number: u64,
    /// The answer is there.
    begun: bool,
}

impl World {
    /// What befalls a call.
    pub(crate) fn fault(&self, call: &Call) -> Fault {
        if self.calm.load(Ordering::Relaxed) {
            return Fault::None;
        }
        let chance = match self.profile {
            Profile::LostAnswers => 3,
            Profile::Mixed
            | Profile::SlowCommits
            | Profile::Copies
            | Profile::Consoles
            | Profile::PutBack
            | Profile::Erasers
            | Profile::Members
            | Profile::Crowded => 6,
        };
        if !self.rng.one_in(chance) {
            return Fault::None;
        }
        let fault = self.draw_fault(call);
        let mut outcome = self.outcome.lock().expect("no panic while held");
        *outcome.faults.entry(kind_of(&fault)).or_default() += 1;
        fault
    }

    fn draw_fault(&self, call: &Call) -> Fault {
        let commit = call.kind == CallKind::Commit;
        match (self.profile, commit) {
            (Profile::LostAnswers, true) => return Fault::LostAnswer,
            (Profile::SlowCommits, true) => return Fault::LateVisible,
            _ => {}
        }
        match self.rng.below(12) {
            0 => Fault::NeverSent,
            1 => Fault::LostRequest,
            2 | 3 => Fault::LostAnswer,
            4 => Fault::Late,
            5 => Fault::LateVisible,
            6 => Fault::Status(RemoteErrorKind::Unavailable, None),
            7 => {
                let wait = Duration::from_secs(self.rng.below(20));
                let until = self.clock.now().saturating_add(wait);
                let mut quiet = self.quiet.lock().expect("no panic while held");
                let (number, begun) = (call.number, false);
                let told = Quiet {
                    until,
                    number,
                    begun,
                };
                quiet.insert(call.device.clone(), told);
                Fault::Status(RemoteErrorKind::ResourceExhausted, Some(wait))
            }
            8 => Fault::Status(RemoteErrorKind::Aborted, None),
            9 => Fault::CutStream(self.rng.below(4) as usize),
            10 => Fault::EndStream(self.rng.below(4) as usize),
            _ => Fault::Status(RemoteErrorKind::Unauthenticated, None),
        }
    }

    /// A `Retry-After` is waited for: when a call is made none that was answered may be running.
    pub(crate) fn check_quiet(&self, call: &Call) {
        let quiet = self.quiet.lock().expect("no panic while held");
        if let Some(quiet) = quiet.get(&call.device) {
            let (now, until) = (self.clock.now(), quiet.until);
            assert!(
                !quiet.begun || now >= until,
                "{} asks at {now}, and was told to wait until {until}",
                call.device
            );
        }
    }

    /// A device has an answer, which may tell it to wait.
    pub(crate) fn note_quiet(&self, point: &GatePoint) {
        let mut quiet = self.quiet.lock().expect("no panic while held");
        if let (Moment::Answering, Some(quiet)) = (point.moment, quiet.get_mut(&point.call.device))
        {
            quiet.begun |= quiet.number == point.call.number;
        }
    }
}

fn kind_of(fault: &Fault) -> &'static str {
    match fault {
        Fault::None => "none",
        Fault::NeverSent => "never sent",
        Fault::LostRequest => "request lost",
        Fault::LostAnswer => "answer lost",
        Fault::Late => "request late",
        Fault::LateVisible => "visible late",
        Fault::Slow(_) => "slow",
        Fault::Status(RemoteErrorKind::Unauthenticated, _) => "401",
        Fault::Status(RemoteErrorKind::Aborted, _) => "409",
        Fault::Status(RemoteErrorKind::ResourceExhausted, _) => "429",
        Fault::Status(_, _) => "503",
        Fault::CutStream(_) => "answer cut",
        Fault::EndStream(_) => "error at the end",
    }
}
