//! What befalls calls of the server, and how often.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use moonforge_model::{DocRef, Timestamp};
use moonforge_ports::{Clock, RemoteErrorKind};
use moonforge_testkit::simulated::{Call, CallKind, Fault, GatePoint, Moment};

use super::device::Device;
use super::profile::Profile;
use super::world::World;

/// A `Retry-After`.
pub(crate) struct Quiet {
    until: Timestamp,
    /// The call that gets this answer.
    number: u64,
    /// The answer is there.
    begun: bool,
}

/// What lasts for longer than one call.
#[derive(Default)]
pub(crate) struct Weather {
    /// Until when the server is overwhelmed, and what it says then.
    storm: Option<(Timestamp, RemoteErrorKind)>,
    /// Devices whose tokens have expired.
    expired: BTreeSet<String>,
}

impl World {
    /// The server is overwhelmed for up to a minute.
    pub(crate) fn storm(&self) {
        let span = Duration::from_secs(1 + self.rng.below(60));
        let (name, kind) = match self.rng.one_in(2) {
            true => ("storm of 429", RemoteErrorKind::ResourceExhausted),
            false => ("storm of 503", RemoteErrorKind::Unavailable),
        };
        if self.happens(name) {
            let until = self.clock.now().saturating_add(span);
            self.weather.lock().expect("no panic while held").storm = Some((until, kind));
        }
    }

    /// A device's token expires: it has to get another.
    pub(crate) fn expire(&self, device: &Device) {
        if self.happens("token expired") {
            let mut weather = self.weather.lock().expect("no panic while held");
            weather.expired.insert(device.name.clone());
        }
    }

    /// The server refuses a document, or lets one pass again.
    pub(crate) fn refuse(&self) {
        let mut refused = self.refused.lock().expect("no panic while held");
        if self.rng.one_in(3) {
            let relents = self.rng.below(refused.len().max(1) as u64) as usize;
            if let Some(doc) = refused.keys().nth(relents).cloned()
                && self.happens("rules relent")
            {
                refused.remove(&doc);
            }
            return;
        }
        let (campaigns, entities) = self.profile.breadth();
        let (campaign, entity) = (self.rng.below(campaigns), self.rng.below(entities));
        let name = format!("c{campaign}-e{entity}");
        let doc = DocRef::parse("entities", &name).expect("a sound name");
        let (kind, error) = match self.rng.below(4) {
            0 | 1 => ("refused as invalid", RemoteErrorKind::InvalidArgument),
            2 => ("refused as too large", RemoteErrorKind::TooLarge),
            _ => ("refused by rules", RemoteErrorKind::PermissionDenied),
        };
        if self.happens(kind) {
            self.log(format!("{doc}: {kind} from now on"));
            self.in_trouble(&doc);
            refused.insert(doc, error);
        }
    }

    /// A document of which something may be parked for a reason.
    pub(crate) fn in_trouble(&self, doc: &DocRef) {
        let mut trouble = self.trouble.lock().expect("no panic while held");
        trouble.insert(doc.clone());
    }

    pub(crate) fn is_trouble(&self, doc: &DocRef) -> bool {
        let trouble = self.trouble.lock().expect("no panic while held");
        trouble.contains(doc)
    }

    /// The sky clears.
    pub(crate) fn relent(&self) {
        *self.weather.lock().expect("no panic while held") = Weather::default();
        self.refused.lock().expect("no panic while held").clear();
        self.mend();
    }

    /// What befalls a call.
    pub(crate) fn fault(&self, call: &Call) -> Fault {
        if self.calm.load(Ordering::Relaxed) {
            return Fault::None;
        }
        if let Some(fault) = self.lasting_fault(call) {
            return fault;
        }
        if !self.rng.one_in(self.profile.calls_a_fault()) {
            return Fault::None;
        }
        let fault = self.draw_fault(call);
        if !self.happens(kind_of(&fault)) {
            return Fault::None;
        }
        if fault == Fault::NeverSent {
            let devices = self.device_list();
            for device in devices.iter().filter(|d| d.name == call.device) {
                let mut unsent = device.unsent.lock().expect("no panic while held");
                unsent.insert(call.number);
            }
        }
        if let Fault::Status(_, wait) = fault {
            self.tell_to_wait(call, wait);
        }
        fault
    }

    /// What befalls it for a reason that lasts.
    fn lasting_fault(&self, call: &Call) -> Option<Fault> {
        let mut weather = self.weather.lock().expect("no panic while held");
        if weather.expired.contains(&call.device) {
            if call.kind == CallKind::Refresh && !self.rng.one_in(4) {
                weather.expired.remove(&call.device);
                return None;
            }
            return Some(Fault::Status(RemoteErrorKind::Unauthenticated, None));
        }
        if let Some((until, kind)) = weather.storm
            && self.clock.now() < until
            && !self.rng.one_in(4)
        {
            drop(weather);
            let said = kind == RemoteErrorKind::ResourceExhausted && self.rng.one_in(2);
            let wait = said.then(|| Duration::from_secs(self.rng.below(20)));
            self.tell_to_wait(call, wait);
            return Some(Fault::Status(kind, wait));
        }
        let refused = self.refused.lock().expect("no panic while held");
        let refusal = call.docs.iter().find_map(|doc| refused.get(doc));
        let refusal = refusal.filter(|_| call.kind == CallKind::Commit);
        refusal.map(|kind| Fault::Status(*kind, None))
    }

    /// Tells a device to wait.
    fn tell_to_wait(&self, call: &Call, wait: Option<Duration>) {
        let Some(wait) = wait else { return };
        let until = self.clock.now().saturating_add(wait);
        let mut quiet = self.quiet.lock().expect("no panic while held");
        let (number, begun) = (call.number, false);
        let told = Quiet {
            until,
            number,
            begun,
        };
        quiet.insert(call.device.clone(), told);
    }

    fn draw_fault(&self, call: &Call) -> Fault {
        let commit = call.kind == CallKind::Commit;
        match (self.profile, commit) {
            (Profile::LostAnswers, true) => return Fault::LostAnswer,
            (Profile::SlowCommits, true) => return Fault::LateVisible,
            (Profile::Limits, true) if self.rng.one_in(2) => {
                return Fault::Status(RemoteErrorKind::ResourceExhausted, None);
            }
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
