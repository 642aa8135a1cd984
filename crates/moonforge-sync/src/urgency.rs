//! What goes first: by priority, and the longer something has waited the more it counts.

use std::time::Duration;

use moonforge_model::{Priority, Timestamp};

/// After so long, what waits rises by one class.
const RISES_EVERY: Duration = Duration::from_secs(60);

/// A place in the queue; the smaller goes first.
///
/// What has waited for a minute counts as the next higher class, after two as the one above that: a low edit is among the
/// critical ones after three minutes, and first of them by its number. So nothing waits for ever, however much of higher
/// classes comes in. Where the clock says that it was queued in the future it has jumped, and nobody knows how long that
/// was: it is taken for long.
pub(crate) fn urgency(
    priority: Priority,
    queued_at: Timestamp,
    n: u64,
    now: Timestamp,
) -> (u64, u64) {
    let risen = if queued_at > now {
        u64::MAX
    } else {
        now.since(queued_at).as_secs() / RISES_EVERY.as_secs()
    };
    (class_of(priority).saturating_sub(risen), n)
}

/// How many classes there are.
pub(crate) const CLASSES: u64 = 4;

/// The class of what was queued just now.
fn class_of(priority: Priority) -> u64 {
    match priority {
        Priority::Critical => 0,
        Priority::High => 1,
        Priority::Medium => 2,
        Priority::Low => 3,
    }
}

/// When what is in a class at `now`, by [`urgency`], was queued: spans with both their ends. They are for reading a class at
/// a time.
pub(crate) fn queued_in_class(
    priority: Priority,
    class: u64,
    now: Timestamp,
) -> Vec<(Timestamp, Timestamp)> {
    let fresh = class_of(priority);
    let Some(risen) = fresh.checked_sub(class) else {
        return Vec::new();
    };
    let (first, last) = (
        Timestamp::from_micros(i64::MIN),
        Timestamp::from_micros(i64::MAX),
    );
    let before = |steps: u64| {
        let span = RISES_EVERY.as_micros() as i64 * i64::try_from(steps).unwrap_or(0);
        now.as_micros().saturating_sub(span)
    };
    let youngest = Timestamp::from_micros(before(risen));
    if class > 0 {
        let older = before(risen + 1).saturating_add(1);
        vec![(Timestamp::from_micros(older), youngest)]
    } else if fresh == 0 {
        vec![(first, last)]
    } else {
        let future = Timestamp::from_micros(now.as_micros().saturating_add(1));
        vec![(first, youngest), (future, last)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSES_IN_ORDER: [Priority; 4] = [
        Priority::Critical,
        Priority::High,
        Priority::Medium,
        Priority::Low,
    ];

    fn second(n: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + n * 1000)
    }

    #[test]
    fn fresh_ones_go_by_class_and_within_one_by_age() {
        let mut queue: Vec<(Priority, u64)> = vec![];
        for (n, class) in CLASSES_IN_ORDER
            .iter()
            .rev()
            .chain(&CLASSES_IN_ORDER)
            .enumerate()
        {
            queue.push((*class, n as u64));
        }
        queue.sort_by_key(|(class, n)| urgency(*class, second(0), *n, second(59)));
        let numbers: Vec<u64> = queue.iter().map(|(_, n)| *n).collect();
        assert_eq!(numbers, [3, 4, 2, 5, 1, 6, 0, 7]);
    }

    #[test]
    fn each_minute_of_waiting_is_a_class() {
        let class = |seconds| urgency(Priority::Low, second(0), 1, second(seconds)).0;
        assert_eq!(
            [0, 59, 60, 119, 120, 180, 900].map(class),
            [3, 3, 2, 2, 1, 0, 0]
        );
    }

    #[test]
    fn each_moment_is_in_the_spans_of_one_class_and_that_is_its_own() {
        let now = second(1_000_000);
        let edges = [
            0, 1, 59, 60, 61, 119, 120, 121, 179, 180, 181, 90_000, -1, -70,
        ];
        let moments = edges
            .iter()
            .flat_map(|ago| [-1, 0, 1].map(|by| now.as_micros() - ago * 1_000_000 + by));
        for at in moments.map(Timestamp::from_micros) {
            for priority in CLASSES_IN_ORDER {
                let within = |class: &u64| {
                    let spans = queued_in_class(priority, *class, now);
                    spans
                        .iter()
                        .filter(|(from, to)| *from <= at && at <= *to)
                        .count()
                        == 1
                };
                let found: Vec<u64> = (0..CLASSES).filter(within).collect();
                assert_eq!(
                    found,
                    [urgency(priority, at, 1, now).0],
                    "{priority:?} {at}"
                );
            }
        }
    }

    #[test]
    fn a_low_one_is_not_starved_by_critical_ones_that_keep_coming() {
        // One critical edit a second, and room for one a second.
        let mut waiting = vec![(Priority::Low, second(0), 0)];
        let mut sent_at = None;
        for now in 0..400 {
            waiting.push((Priority::Critical, second(now), now.unsigned_abs() + 1));
            waiting.sort_by_key(|(class, at, n)| urgency(*class, *at, *n, second(now)));
            if waiting.remove(0).2 == 0 {
                sent_at = Some(now);
                break;
            }
        }
        assert_eq!(sent_at, Some(180));
    }

    #[test]
    fn a_clock_that_jumps_starves_nothing() {
        let year = 365 * 24 * 3600;
        for now in [second(year), second(-year)] {
            let (class, _) = urgency(Priority::Low, second(0), 1, now);
            assert_eq!(class, 0);
        }
    }
}
