//! Whose turn it is, of the requests that one device has under way at once.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use futures_util::lock::{Mutex, MutexGuard};

use super::faults::Call;

/// Lets one request at a time through a moment, so that what a gate does there isn't mixed with what it does for another. The
/// order is as good as random, and the same in each run.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Held through a moment. Whoever asks first after it was let go has it: none is kept for one that doesn't go on.
    held: Mutex<()>,
    /// Requests that wait for their turn.
    waiting: AtomicU64,
    /// Turns so far.
    taken: AtomicU64,
}

/// Counts a request that waits, as long as it does.
struct Waiting<'a>(&'a AtomicU64);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a AtomicU64) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Turn {
    /// Waits for a request's turn, which it has until the guard is dropped.
    pub(super) async fn take(&self, call: &Call) -> MutexGuard<'_, ()> {
        let mut given_way = 0;
        let _waiting = Waiting::new(&self.waiting);
        // Those that were sent with it come so far too.
        give_way().await;
        loop {
            let turn = self.held.lock().await;
            let alone = self.waiting.load(Ordering::Relaxed) == 1;
            if alone || given_way == 2 || self.toss(call) {
                self.taken.fetch_add(1, Ordering::Relaxed);
                return turn;
            }
            drop(turn);
            given_way += 1;
            give_way().await;
        }
    }

    /// A coin whose sides depend on what happened so far.
    fn toss(&self, call: &Call) -> bool {
        let taken = self.taken.load(Ordering::Relaxed);
        let mixed = (call.number ^ taken.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 63 == 0
    }
}

/// Lets others go first.
async fn give_way() {
    let mut gave = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut gave, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
