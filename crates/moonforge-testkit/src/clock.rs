//! A clock that only moves when it is told to.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use moonforge_model::Timestamp;
use moonforge_ports::Clock;
use tokio::sync::Notify;

#[derive(Debug)]
struct State {
    now: Timestamp,
    elapsed: Duration,
}

/// A clock under the test's control. A `sleep` returns when the clock was moved far enough, or at once where the clock
/// was made with [`ManualClock::leaping`], which moves itself.
#[derive(Debug)]
pub struct ManualClock {
    state: Mutex<State>,
    moved: Notify,
    leaps: bool,
}

impl ManualClock {
    /// A clock that stands at `now` until it is moved.
    pub fn new(now: Timestamp) -> Self {
        Self {
            state: Mutex::new(State {
                now,
                elapsed: Duration::ZERO,
            }),
            moved: Notify::new(),
            leaps: false,
        }
    }

    /// A clock whose `sleep` moves it on and returns.
    pub fn leaping(now: Timestamp) -> Self {
        Self {
            leaps: true,
            ..Self::new(now)
        }
    }

    /// Moves wall clock and monotonic time on.
    pub fn advance(&self, span: Duration) {
        let mut state = self.state.lock().expect("no panic while held");
        state.now = state.now.saturating_add(span);
        state.elapsed += span;
        drop(state);
        self.moved.notify_waiters();
    }

    /// Sets the wall clock alone, as a person or NTP does.
    pub fn set_wall(&self, now: Timestamp) {
        self.state.lock().expect("no panic while held").now = now;
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.state.lock().expect("no panic while held").now
    }

    fn monotonic(&self) -> Duration {
        self.state.lock().expect("no panic while held").elapsed
    }

    async fn sleep(&self, span: Duration) {
        if self.leaps {
            self.advance(span);
            return;
        }
        let until = self.monotonic() + span;
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if self.monotonic() >= until {
                return;
            }
            moved.await;
        }
    }
}
