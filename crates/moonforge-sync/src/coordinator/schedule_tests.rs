//! The schedule by itself: what is due when.

use std::collections::BTreeSet;
use std::time::Duration;

use moonforge_model::Collection;
use moonforge_ports::Network;
use moonforge_testkit::random::SeededRandom;

use super::schedule::{Cadence, Due, Schedule, Verdict};
use crate::job::Job;

const DONE: Verdict = Verdict::Done { moved: false };
const FAILED: Verdict = Verdict::Failed { retry_after: None };

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn scenes() -> Collection {
    Collection::new("scenes").unwrap()
}

fn poll(due: &[Collection]) -> Job {
    Job::Poll {
        due: due.iter().cloned().collect(),
    }
}

/// A schedule of one collection that is asked for every 1,000 s.
fn fresh() -> Schedule {
    let intervals = vec![(scenes(), s(1000))];
    Schedule::new(Cadence::default(), intervals, Network::Good)
}

fn end(schedule: &mut Schedule, job: &Job, verdict: Verdict, now: Duration) {
    schedule.begin(job);
    schedule.end(job, verdict, now, &SeededRandom::new(1));
}

/// One that has asked for everything at 0.
fn started() -> Schedule {
    let mut schedule = fresh();
    end(&mut schedule, &Job::Everything, DONE, s(0));
    schedule
}

#[test]
fn it_begins_with_everything() {
    assert_eq!(fresh().due(s(0)), Due::Now(Job::Everything));
    assert_eq!(started().due(s(0)), Due::At(s(10)));
}

#[test]
fn somebody_who_types_is_waited_for_but_not_for_long() {
    let mut schedule = started();
    schedule.edited(s(1));
    assert_eq!(schedule.due(s(1)), Due::At(s(2)));
    for second in 2..5 {
        schedule.edited(s(second));
    }
    assert_eq!(schedule.due(s(4)), Due::At(s(5)));
    let mut typing = started();
    for tenth in 10..80 {
        typing.edited(Duration::from_millis(tenth * 100));
    }
    // The look at 5 s is due first, and sends what waits too.
    assert_eq!(typing.due(s(5)), Due::Now(poll(&[])));
    end(&mut typing, &poll(&[]), DONE, Duration::from_millis(5100));
    assert_eq!(typing.due(s(6)), Due::At(Duration::from_millis(10_100)));
}

#[test]
fn looks_grow_rare_while_nothing_moves_and_frequent_when_something_does() {
    let mut schedule = started();
    let mut now = s(0);
    let mut gaps = Vec::new();
    for _ in 0..7 {
        let Due::At(next) = schedule.due(now) else {
            panic!("nothing is due at {now:?}");
        };
        gaps.push((next - now).as_secs());
        now = next;
        let Due::Now(job) = schedule.due(now) else {
            panic!("nothing is due at {now:?}");
        };
        end(&mut schedule, &job, DONE, now);
    }
    assert_eq!(gaps, [10, 20, 40, 80, 160, 300, 300]);
    schedule.edited(now);
    end(
        &mut schedule,
        &Job::Push,
        Verdict::Done { moved: true },
        now,
    );
    let Due::At(next) = schedule.due(now) else {
        panic!("a look is planned");
    };
    assert_eq!(next, now + s(5));
}

#[test]
fn a_collection_is_asked_for_at_its_interval_whatever_beacons_say() {
    let mut schedule = started();
    let mut asked = Vec::new();
    let mut now = s(0);
    while now < s(3000) {
        match schedule.due(now) {
            Due::At(next) => now = next,
            Due::Now(job) => {
                if job == poll(&[scenes()]) {
                    asked.push(now.as_secs());
                }
                end(&mut schedule, &job, DONE, now);
            }
            Due::Never => panic!("it goes on"),
        }
    }
    assert_eq!(asked, [1000, 2000, 3000][..asked.len()]);
    assert!(asked.len() >= 2);
}

#[test]
fn failures_are_followed_by_longer_waits_and_never_by_the_end() {
    let mut schedule = fresh();
    let mut now = s(0);
    let mut longest = Duration::ZERO;
    for tries in 0..40 {
        assert_eq!(schedule.due(now), Due::Now(Job::Everything), "try {tries}");
        end(&mut schedule, &Job::Everything, FAILED, now);
        let wait = match schedule.due(now) {
            Due::At(next) => next - now,
            due => panic!("{due:?} right after a failure"),
        };
        let ceiling = s(1 << tries.min(6)).min(s(60));
        assert!(wait <= ceiling, "{wait:?} after {tries} failures");
        longest = longest.max(wait);
        now += wait;
    }
    assert!(longest > s(30), "{longest:?}");
    assert_eq!(schedule.failures(), 40);
}

#[test]
fn a_retry_after_is_kept_also_when_a_person_cant_wait() {
    let mut schedule = fresh();
    let asked = Verdict::Failed {
        retry_after: Some(s(120)),
    };
    end(&mut schedule, &Job::Everything, asked, s(0));
    schedule.trigger(s(1), BTreeSet::new());
    assert_eq!(schedule.due(s(1)), Due::At(s(120)));
    let mut plain = fresh();
    end(&mut plain, &Job::Everything, FAILED, s(0));
    plain.trigger(s(0), BTreeSet::new());
    assert_eq!(plain.due(s(0)), Due::Now(Job::Everything));
}

#[test]
fn what_was_wanted_and_failed_is_wanted_still() {
    let mut schedule = started();
    schedule.trigger(s(1), BTreeSet::from([scenes()]));
    end(&mut schedule, &poll(&[scenes()]), FAILED, s(1));
    assert_eq!(schedule.due(s(90)), Due::Now(poll(&[scenes()])));
    let mut pushing = started();
    pushing.edited(s(1));
    end(&mut pushing, &Job::Push, FAILED, s(2));
    let Due::At(again) = pushing.due(s(2)) else {
        panic!("it waits");
    };
    assert_eq!(pushing.due(again), Due::Now(Job::Push));
}

#[test]
fn without_a_network_nothing_is_tried_and_its_return_is_a_reason_to_look() {
    let mut schedule = started();
    schedule.set_network(Network::None, s(1));
    schedule.edited(s(2));
    assert_eq!(schedule.due(s(5000)), Due::Never);
    schedule.set_network(Network::Metered, s(5000));
    assert!(matches!(schedule.due(s(5000)), Due::Now(Job::Poll { .. })));
    let looked = poll(&[scenes()]);
    end(&mut schedule, &looked, DONE, s(5000));
    assert_eq!(schedule.due(s(5000)), Due::At(s(5030)), "metered");
}

#[test]
fn a_rest_is_a_rest_and_its_end_is_a_reason_to_look() {
    let mut schedule = started();
    schedule.set_paused(true, s(1));
    schedule.trigger(s(1), BTreeSet::new());
    assert_eq!(schedule.due(s(9999)), Due::Never);
    schedule.set_paused(false, s(9999));
    assert!(matches!(schedule.due(s(9999)), Due::Now(_)));
}

#[test]
fn one_who_has_to_sign_in_is_asked_rarely_and_another_account_never() {
    let mut schedule = started();
    schedule.trigger(s(1), BTreeSet::new());
    end(&mut schedule, &poll(&[]), Verdict::Blocked, s(1));
    assert_eq!(schedule.due(s(1)), Due::At(s(301)));
    schedule.trigger(s(2), BTreeSet::new());
    assert!(
        matches!(schedule.due(s(2)), Due::Now(_)),
        "after the sign-in"
    );
    end(&mut schedule, &poll(&[]), Verdict::Halted, s(2));
    assert_eq!(schedule.due(s(99_999)), Due::Never);
    schedule.trigger(s(99_999), BTreeSet::new());
    assert!(matches!(schedule.due(s(99_999)), Due::Now(_)));
}

#[test]
fn an_owed_check_is_a_reason_to_look() {
    let mut schedule = started();
    schedule.owe(Some(s(7)));
    assert_eq!(schedule.due(s(1)), Due::At(s(7)));
}

#[test]
fn an_operation_that_failed_is_tried_when_its_time_has_come_and_not_before_backoff_ends() {
    let mut schedule = started();
    schedule.try_operation(Some(s(4)));
    assert_eq!(schedule.due(s(1)), Due::At(s(4)));
    assert_eq!(schedule.due(s(4)), Due::Now(Job::Push));
    schedule.begin(&Job::Push);
    schedule.end(&Job::Push, DONE, s(4), &SeededRandom::new(1));
    assert_eq!(schedule.due(s(4)), Due::At(s(10)));
    schedule.try_operation(Some(s(5)));
    schedule.hold(s(8));
    assert_eq!(schedule.due(s(6)), Due::At(s(8)));
}

#[test]
fn a_budget_that_runs_low_makes_looks_rare_and_holds_up_no_edit() {
    let cadence = Cadence {
        daily_reads: Some(1000),
        ..Cadence::default()
    };
    let mut schedule = Schedule::new(cadence, Vec::new(), Network::Good);
    end(&mut schedule, &Job::Everything, DONE, s(0));
    let half = s(12 * 3600);
    schedule.budget(400, half);
    assert_eq!(schedule.due(s(0)), Due::At(s(10)));
    schedule.budget(900, half);
    assert_eq!(
        schedule.due(s(0)),
        Due::At(s(432)),
        "100 reads for 12 hours"
    );
    schedule.budget(5000, half);
    assert_eq!(schedule.due(s(0)), Due::At(s(3600)));
    schedule.edited(s(1));
    assert_eq!(schedule.due(s(1)), Due::At(s(2)));
}
