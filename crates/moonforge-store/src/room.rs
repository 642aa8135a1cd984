//! How many rows may wait in the outbox: first a warning, then no more edits are taken. Nothing that waits is ever dropped.
//!
//! Triggers keep the number of rows, so nobody counts them; and one look at it allows for a share of what is left, so that
//! most writes don't even look. Each process has an allowance of its own; they shrink as the limit comes near.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use crate::error::StoreError;
use crate::open::Store;
use crate::tx::WriteTx;

/// How many rows may wait in the outbox, parked ones included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxLimits {
    /// From here on the log and the status warn.
    pub warn_at: u64,
    /// From here on edits by people are refused, as [`StoreError::OutboxFull`]. What a sync has to write isn't.
    pub refuse_at: u64,
}

impl Default for OutboxLimits {
    fn default() -> Self {
        Self {
            warn_at: 10_000,
            refuse_at: 100_000,
        }
    }
}

/// How much room the outbox has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Room {
    /// Enough.
    #[default]
    Plenty,
    /// More waits than it should.
    Tight,
    /// No more edits are taken.
    Full,
}

impl Room {
    /// A stable name: `plenty`, `tight`, `full`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plenty => "plenty",
            Self::Tight => "tight",
            Self::Full => "full",
        }
    }
}

impl OutboxLimits {
    /// The room that is left with so many rows.
    pub fn room(self, rows: u64) -> Room {
        if rows >= self.refuse_at {
            Room::Full
        } else if rows >= self.warn_at {
            Room::Tight
        } else {
            Room::Plenty
        }
    }
}

/// A share of each look's room is used up without looking again.
const SHARE: u64 = 4;

/// What this process may still queue without a look.
#[derive(Debug)]
pub(crate) struct Allowance {
    limits: OutboxLimits,
    left: AtomicI64,
    warned: AtomicBool,
}

impl Allowance {
    pub(crate) fn new(limits: OutboxLimits) -> Self {
        Self {
            limits,
            left: AtomicI64::new(0),
            warned: AtomicBool::new(false),
        }
    }

    fn use_one(&self) -> bool {
        let less = |left: i64| (left > 0).then(|| left - 1);
        let used = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        used.is_ok()
    }

    /// Looks at the number of rows on behalf of one that is to be queued.
    fn look(&self, rows: u64) -> Result<(), StoreError> {
        let OutboxLimits { warn_at, refuse_at } = self.limits;
        match self.limits.room(rows) {
            Room::Plenty => self.warned.store(false, Ordering::Relaxed),
            Room::Tight | Room::Full => {
                if !self.warned.swap(true, Ordering::Relaxed) {
                    tracing::warn!(rows, warn_at, refuse_at, "many edits wait to be sent");
                }
            }
        }
        if rows >= refuse_at {
            return Err(StoreError::OutboxFull {
                rows,
                limit: refuse_at,
            });
        }
        let next = if rows < warn_at {
            warn_at.min(refuse_at)
        } else {
            refuse_at
        };
        // One of them is the row at hand.
        let share = (next - rows - 1) / SHARE;
        self.left
            .store(i64::try_from(share).unwrap_or(i64::MAX), Ordering::Relaxed);
        Ok(())
    }
}

impl Store {
    /// How much room the outbox has, and how many rows.
    pub async fn outbox_room(&self) -> Result<(Room, u64), StoreError> {
        let rows: i64 = sqlx::query_scalar("SELECT rows FROM outbox_size")
            .fetch_one(&self.inner.readers)
            .await?;
        let rows = u64::try_from(rows).unwrap_or(0);
        Ok((self.inner.room.limits.room(rows), rows))
    }

    /// Sets the number of rows right where somebody changed the file without its triggers.
    pub(crate) async fn recount(&self) -> Result<(), StoreError> {
        let right = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM outbox_size WHERE rows = (SELECT count(*) FROM outbox_ops))",
        );
        match right
            .fetch_one(&self.inner.readers)
            .await
            .map_err(StoreError::from)
        {
            Ok(false) => {}
            // A damaged file opens all the same: `doctor` names what is wrong.
            Ok(true) | Err(StoreError::Corrupt(_)) => return Ok(()),
            Err(error) => return Err(error),
        }
        self.write(|tx| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT OR REPLACE INTO outbox_size (one, rows) SELECT 1, count(*) FROM outbox_ops",
                )
                .execute(tx.conn())
                .await?;
                Ok(())
            })
        })
        .await
    }
}

impl WriteTx {
    /// Makes sure that one more row may be queued. Before anything else is written: a refusal leaves nothing behind.
    pub(crate) async fn take_room(&mut self) -> Result<(), StoreError> {
        if self.room().use_one() {
            return Ok(());
        }
        let rows: i64 = sqlx::query_scalar("SELECT rows FROM outbox_size")
            .fetch_one(self.conn())
            .await?;
        self.room().look(u64::try_from(rows).unwrap_or(0))
    }
}
