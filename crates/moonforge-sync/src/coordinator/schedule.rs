//! When to do what: a pure state machine over monotonic time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use moonforge_model::Collection;
use moonforge_ports::{Network, Random, RandomExt};

use crate::job::Job;

/// How the background engine paces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cadence {
    /// How long to wait after an edit for the next one, as of somebody typing.
    pub debounce: Duration,
    /// How long an edit waits at most while others follow it.
    pub longest_debounce: Duration,
    /// How often to look for news while something moves.
    pub poll: Duration,
    /// How often when nothing has moved for long: the interval doubles up to this.
    pub longest_poll: Duration,
    /// How often at least where the network is metered.
    pub metered_poll: Duration,
    /// How long after something moved the interval stays short.
    pub lively: Duration,
    /// The ceiling of the first wait after a failure; it doubles with each.
    pub backoff: Duration,
    /// The highest ceiling.
    pub longest_backoff: Duration,
    /// How often to try again where only a person can help: a sign-in, a database that isn't there.
    pub blocked: Duration,
    /// How often to look whether another process wrote to the file.
    pub look_for_others: Duration,
    /// How many reads a day may cost. Once half of them are gone, looks for news grow as rare as the rest of the day
    /// demands, an hour apart at the most; what people wrote goes out as ever, and what they ask for is done.
    pub daily_reads: Option<u64>,
}

impl Default for Cadence {
    fn default() -> Self {
        Self {
            debounce: Duration::from_secs(1),
            longest_debounce: Duration::from_secs(5),
            poll: Duration::from_secs(5),
            longest_poll: Duration::from_secs(300),
            metered_poll: Duration::from_secs(30),
            lively: Duration::from_secs(120),
            backoff: Duration::from_secs(1),
            longest_backoff: Duration::from_secs(60),
            blocked: Duration::from_secs(300),
            look_for_others: Duration::from_secs(30),
            daily_reads: None,
        }
    }
}

impl Cadence {
    /// Full jitter: how long to wait after so many failures in a row.
    pub(crate) fn wait(&self, failures: u32, random: &dyn Random) -> Duration {
        let doubled = self
            .backoff
            .saturating_mul(1 << failures.saturating_sub(1).min(16));
        doubled.min(self.longest_backoff).mul_f64(random.unit())
    }
}

/// What an attempt came to, as far as the schedule cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It ended well; whether anything moved.
    Done { moved: bool },
    /// It may pass by itself. The remote may have said how long to wait.
    Failed { retry_after: Option<Duration> },
    /// It needs a person.
    Blocked,
    /// It can't pass before somebody asks anew.
    Halted,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// This, now.
    Now(Job),
    /// Nothing before this moment.
    At(Duration),
    /// Nothing until something happens.
    Never,
}

/// The state.
#[derive(Debug)]
pub(crate) struct Schedule {
    cadence: Cadence,
    intervals: Vec<(Collection, Duration)>,
    /// When each collection was last asked for.
    asked: BTreeMap<Collection, Duration>,
    /// Everything is wanted: at the start, and after each failure to get it.
    everything: bool,
    /// A look for news is wanted now, at these collections too.
    wanted: Option<BTreeSet<Collection>>,
    /// The first and the last edit that wait.
    edits: Option<(Duration, Duration)>,
    polled: Duration,
    poll_every: Duration,
    lively_until: Duration,
    /// When an owed check falls due.
    check: Option<Duration>,
    /// When an operation may be tried again.
    operation: Option<Duration>,
    failures: u32,
    /// Backoff: a person's wish overrides it.
    retry_at: Option<Duration>,
    /// What the remote asked for: nothing overrides it.
    quiet_until: Option<Duration>,
    halted: bool,
    paused: bool,
    network: Network,
    /// No look for news more often than this: what the budget allows.
    floor: Duration,
}

impl Schedule {
    pub(crate) fn new(
        cadence: Cadence,
        intervals: Vec<(Collection, Duration)>,
        network: Network,
    ) -> Self {
        Self {
            poll_every: cadence.poll,
            cadence,
            intervals,
            asked: BTreeMap::new(),
            everything: true,
            wanted: None,
            edits: None,
            polled: Duration::ZERO,
            lively_until: Duration::ZERO,
            check: None,
            operation: None,
            failures: 0,
            retry_at: None,
            quiet_until: None,
            halted: false,
            paused: false,
            network,
            floor: Duration::ZERO,
        }
    }

    /// What is to be done at `now`.
    pub(crate) fn due(&self, now: Duration) -> Due {
        if self.paused || self.halted || self.network == Network::None {
            return Due::Never;
        }
        let held = self.retry_at.max(self.quiet_until).unwrap_or_default();
        let at = |moment: Duration| moment.max(held);
        if self.everything || self.wanted.is_some() {
            return match at(now) {
                moment if moment > now => Due::At(moment),
                _ if self.everything => Due::Now(Job::Everything),
                _ => Due::Now(self.poll(now)),
            };
        }
        let edits = self.edits.map(|(first, last)| {
            let quiet = last + self.cadence.debounce;
            quiet.min(first + self.cadence.longest_debounce)
        });
        let push = edits.into_iter().chain(self.operation).min().map(at);
        let look = at(self.next_look());
        if look <= now {
            return Due::Now(self.poll(now));
        }
        match push {
            Some(push) if push <= now => Due::Now(Job::Push),
            Some(push) => Due::At(push.min(look)),
            None => Due::At(look),
        }
    }

    fn next_look(&self) -> Duration {
        let poll = self.polled + self.interval();
        let interval = |(collection, every): &(Collection, Duration)| {
            self.asked.get(collection).map_or(poll, |at| *at + *every)
        };
        let soonest = self.intervals.iter().map(interval).chain(self.check).min();
        let soonest = soonest.map_or(poll, |at| at.min(poll));
        soonest.max(self.polled + self.floor)
    }

    fn interval(&self) -> Duration {
        let every = self.poll_every.max(self.floor);
        match self.network {
            Network::Metered => every.max(self.cadence.metered_poll),
            Network::None | Network::Good => every,
        }
    }

    fn poll(&self, now: Duration) -> Job {
        let over = |(collection, every): &(Collection, Duration)| {
            let asked = self.asked.get(collection);
            asked
                .is_none_or(|at| *at + *every <= now)
                .then(|| collection.clone())
        };
        let mut due: BTreeSet<_> = self.intervals.iter().filter_map(over).collect();
        due.extend(self.wanted.iter().flatten().cloned());
        Job::Poll { due }
    }

    /// A job begins: what it takes up isn't waited for any more.
    pub(crate) fn begin(&mut self, job: &Job) {
        (self.edits, self.operation) = (None, None);
        match job {
            Job::Everything => (self.everything, self.wanted) = (false, None),
            Job::Poll { .. } => self.wanted = None,
            Job::Push => {}
        }
    }

    /// A job ended.
    pub(crate) fn end(&mut self, job: &Job, verdict: Verdict, now: Duration, random: &dyn Random) {
        match verdict {
            Verdict::Done { moved } => {
                (self.failures, self.retry_at, self.quiet_until) = (0, None, None);
                match job {
                    Job::Everything => {
                        let all = self.intervals.iter().map(|(c, _)| (c.clone(), now));
                        self.asked = all.collect();
                    }
                    Job::Poll { due } => self.asked.extend(due.iter().map(|c| (c.clone(), now))),
                    Job::Push => {}
                }
                if *job != Job::Push {
                    self.polled = now;
                    self.stretch(now);
                }
                if moved {
                    self.enliven(now);
                }
            }
            Verdict::Failed { retry_after } => {
                self.failures = self.failures.saturating_add(1);
                self.retry_at = Some(now + self.cadence.wait(self.failures, random));
                self.quiet_until = retry_after.map(|span| now + span);
                self.again(job, now);
            }
            Verdict::Blocked => {
                self.failures = self.failures.saturating_add(1);
                self.retry_at = Some(now + self.cadence.blocked);
                self.again(job, now);
            }
            Verdict::Halted => {
                self.halted = true;
                self.again(job, now);
            }
        }
    }

    /// What failed is wanted again.
    fn again(&mut self, job: &Job, now: Duration) {
        match job {
            Job::Everything => self.everything = true,
            Job::Poll { due } => self.wanted.get_or_insert_default().extend(due.clone()),
            Job::Push => {
                let (first, last) = self.edits.unwrap_or((now, now));
                self.edits = Some((first.min(now), last));
            }
        }
    }

    /// A job was left before its end.
    pub(crate) fn interrupted(&mut self, job: &Job, now: Duration) {
        self.again(job, now);
    }

    /// Nothing is tried before this moment.
    pub(crate) fn hold(&mut self, until: Duration) {
        self.quiet_until = Some(until);
    }

    fn stretch(&mut self, now: Duration) {
        if now >= self.lively_until {
            self.poll_every = (self.poll_every * 2).min(self.cadence.longest_poll);
        }
    }

    fn enliven(&mut self, now: Duration) {
        self.poll_every = self.cadence.poll;
        self.lively_until = now + self.cadence.lively;
    }

    /// Something was written here.
    pub(crate) fn edited(&mut self, now: Duration) {
        let (first, _) = self.edits.unwrap_or((now, now));
        self.edits = Some((first, now));
        self.enliven(now);
    }

    /// Somebody wants news now, of these collections in any case. Backoff doesn't hold that up, a `Retry-After` does.
    pub(crate) fn trigger(&mut self, now: Duration, collections: BTreeSet<Collection>) {
        self.wanted.get_or_insert_default().extend(collections);
        (self.retry_at, self.halted) = (None, false);
        self.enliven(now);
    }

    /// When an owed check falls due.
    pub(crate) fn owe(&mut self, check: Option<Duration>) {
        self.check = check;
    }

    /// When an operation that failed may be tried again.
    pub(crate) fn try_operation(&mut self, at: Option<Duration>) {
        self.operation = at;
    }

    /// A full run by somebody else came to its end.
    pub(crate) fn done_elsewhere(&mut self, now: Duration, moved: bool, random: &dyn Random) {
        (self.everything, self.wanted, self.halted) = (false, None, false);
        self.end(&Job::Everything, Verdict::Done { moved }, now, random);
    }

    pub(crate) fn set_paused(&mut self, paused: bool, now: Duration) {
        if self.paused && !paused {
            // Who comes back wants to see what happened meanwhile.
            self.trigger(now, BTreeSet::new());
        }
        self.paused = paused;
    }

    pub(crate) fn set_network(&mut self, network: Network, now: Duration) {
        if self.network == Network::None && network != Network::None {
            self.trigger(now, BTreeSet::new());
        }
        self.network = network;
    }

    /// Makes what is left of the budget last for what is left of the day.
    pub(crate) fn budget(&mut self, used: u64, left_of_day: Duration) {
        const RAREST: Duration = Duration::from_secs(3600);
        self.floor = match self.cadence.daily_reads {
            Some(budget) if used * 2 > budget => {
                // Each collection is asked for at its interval whatever beacons say.
                let due = |(_, every): &(Collection, Duration)| {
                    left_of_day.as_secs() / every.as_secs().max(1)
                };
                let reserved: u64 = self.intervals.iter().map(due).sum();
                let left = budget.saturating_sub(used + reserved);
                let left = u32::try_from(left).unwrap_or(u32::MAX);
                left_of_day.checked_div(left).unwrap_or(RAREST).min(RAREST)
            }
            _ => Duration::ZERO,
        };
    }

    /// How often in a row it failed.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// When the remote, or backoff, lets the next attempt be made, where that is later than `now`.
    pub(crate) fn held_until(&self, now: Duration) -> Option<Duration> {
        self.retry_at
            .max(self.quiet_until)
            .filter(|until| *until > now)
    }
}
