//! The bill: what the remote charged, and for what.

use std::ops::AddAssign;
use std::time::Duration;

use moonforge_model::Timestamp;
use moonforge_ports::{Filter, RemoteQuery};
use serde::{Deserialize, Serialize};

/// What was billed, by cause. A request that finds nothing costs one read all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bill {
    /// Looks at beacons.
    pub beacons: u64,
    /// Looks for news that found none.
    pub polls: u64,
    /// Documents that came as news.
    pub pages: u64,
    /// Listings of the account's campaigns.
    pub listings: u64,
    /// Checks for what came late.
    pub settling: u64,
    /// Documents read by name: after a write that failed, or where nothing was known.
    pub rereads: u64,
    /// Comparisons of everything held here with the remote.
    pub reconcile: u64,
    /// Documents written.
    pub writes: u64,
    /// Beacons written.
    pub beacon_writes: u64,
}

impl Bill {
    /// All reads.
    pub fn reads(&self) -> u64 {
        self.beacons
            + self.polls
            + self.pages
            + self.listings
            + self.settling
            + self.rereads
            + self.reconcile
    }
}

impl AddAssign for Bill {
    fn add_assign(&mut self, more: Self) {
        self.beacons += more.beacons;
        self.polls += more.polls;
        self.pages += more.pages;
        self.listings += more.listings;
        self.settling += more.settling;
        self.rereads += more.rereads;
        self.reconcile += more.reconcile;
        self.writes += more.writes;
        self.beacon_writes += more.beacon_writes;
    }
}

/// Why a query is asked. Its form tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Beacons,
    News,
    Listing,
    Settling,
    Reconcile,
}

impl Cause {
    pub(crate) fn of(query: &RemoteQuery) -> Self {
        let listing = |filter: &Filter| matches!(filter, Filter::Contains(..));
        if query.collection.as_str() == "beacons" {
            Self::Beacons
        } else if query.select.is_some() {
            Self::Reconcile
        } else if query.until.is_some() {
            Self::Settling
        } else if query.filters.iter().any(listing) {
            Self::Listing
        } else {
            Self::News
        }
    }

    /// Adds what a query cost that gave so many documents.
    pub(crate) fn add(self, bill: &mut Bill, documents: u64) {
        let reads = documents.max(1);
        match self {
            Self::Beacons => bill.beacons += reads,
            Self::Listing => bill.listings += reads,
            Self::Settling => bill.settling += reads,
            Self::Reconcile => bill.reconcile += reads,
            Self::News if documents == 0 => bill.polls += 1,
            Self::News => bill.pages += documents,
        }
    }

    /// Adds what COUNT and SUM over so many documents cost: each one read a thousand.
    pub(crate) fn add_aggregate(query: &RemoteQuery, bill: &mut Bill, count: i64) {
        let reads = 2 * count.unsigned_abs().div_ceil(1000).max(1);
        match query.until {
            Some(_) => bill.settling += reads,
            None => bill.reconcile += reads,
        }
    }
}

/// The bill of one day, by this device's clock and UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayBill {
    /// `2026-11-21`.
    pub day: String,
    /// What was billed on it.
    #[serde(flatten)]
    pub bill: Bill,
}

impl DayBill {
    /// What a note says; nothing where it is of another day.
    pub(crate) fn read(note: Option<&str>, now: Timestamp) -> Self {
        let day = day(now);
        note.and_then(|note| serde_json::from_str::<Self>(note).ok())
            .filter(|known| known.day == day)
            .unwrap_or(Self {
                day,
                bill: Bill::default(),
            })
    }

    pub(crate) fn note(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// How long until the next day begins.
pub(crate) fn left_of_day(now: Timestamp) -> Duration {
    let left = DAY_MICROS - now.as_micros().rem_euclid(DAY_MICROS);
    Duration::from_micros(left.unsigned_abs())
}

const DAY_MICROS: i64 = 24 * 3600 * 1_000_000;

fn day(now: Timestamp) -> String {
    now.to_string().chars().take(10).collect()
}

/// Where the store keeps the day's bill.
pub(crate) const NOTE: &str = "bill";
/// A bill that grew by less is kept in memory for a while: an idle poll is no reason to write to the disk.
pub(crate) const KEEP_AT: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use moonforge_model::{Collection, FieldPath};

    #[test]
    fn a_querys_form_tells_what_it_is_for() {
        let scenes = RemoteQuery::all(Collection::new("scenes").unwrap());
        let beacons = RemoteQuery::all(Collection::new("beacons").unwrap());
        let until = RemoteQuery {
            until: Some(Timestamp::EPOCH),
            ..scenes.clone()
        };
        let names = RemoteQuery {
            select: Some(Vec::new()),
            ..scenes.clone()
        };
        let member = Filter::Contains(FieldPath::field("memberUids"), "gm".into());
        let listing = RemoteQuery {
            filters: vec![member],
            ..scenes.clone()
        };
        let causes = [&scenes, &beacons, &until, &names, &listing].map(Cause::of);
        use Cause::{Beacons, Listing, News, Reconcile, Settling};
        assert_eq!(causes, [News, Beacons, Settling, Reconcile, Listing]);
    }

    #[test]
    fn what_finds_nothing_costs_a_read() {
        let mut bill = Bill::default();
        for cause in [Cause::News, Cause::Beacons, Cause::Settling] {
            cause.add(&mut bill, 0);
            cause.add(&mut bill, 3);
        }
        assert_eq!((bill.polls, bill.pages), (1, 3));
        assert_eq!((bill.beacons, bill.settling), (4, 4));
        assert_eq!(bill.reads(), 12);
    }

    #[test]
    fn a_new_day_begins_a_new_bill() {
        let noon: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let mut today = DayBill::read(None, noon);
        today.bill.polls = 7;
        let note = today.note();
        assert_eq!(DayBill::read(Some(&note), noon), today);
        assert_eq!(left_of_day(noon), Duration::from_secs(12 * 3600));
        let tomorrow = noon.saturating_add(left_of_day(noon));
        let fresh = DayBill::read(Some(&note), tomorrow);
        assert_eq!((fresh.day.as_str(), fresh.bill.polls), ("2026-11-22", 0));
        assert_eq!(DayBill::read(Some("rubbish"), noon).bill, Bill::default());
    }
}
