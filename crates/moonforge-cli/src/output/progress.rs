//! How a command that may take long shows that it goes on.

use std::future::Future;
use std::io::{self, IsTerminal, Read, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use moonforge::SystemClock;
use moonforge::ports::Clock;

/// How often a plain line says that it goes on.
const EVERY: Duration = Duration::from_secs(5);

/// A bar or a spinner on a terminal, plain lines on stderr without one, nothing for scripts.
pub(crate) enum Progress {
    Quiet,
    Bar(ProgressBar),
    Lines(Lines),
}

/// What is done, and when it was last said that it goes on.
pub(crate) struct Lines {
    what: &'static str,
    clock: SystemClock,
    next: Duration,
}

impl Progress {
    /// Begins to show `what` is done, over `length` bytes where that is known.
    pub(crate) fn begin(what: &'static str, length: Option<u64>, json: bool) -> Self {
        if json {
            return Self::Quiet;
        }
        if !io::stderr().is_terminal() {
            say(what, "started");
            let clock = SystemClock::new();
            return Self::Lines(Lines {
                what,
                clock,
                next: EVERY,
            });
        }
        let bar = match length {
            Some(length) => {
                let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {msg}");
                let bar = ProgressBar::new(length);
                style
                    .map(|style| bar.clone().with_style(style))
                    .unwrap_or(bar)
            }
            None => ProgressBar::new_spinner(),
        };
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(120));
        Self::Bar(bar)
    }

    /// The source; what is read from it moves the bar.
    pub(crate) fn over(&self, source: Box<dyn Read>) -> Box<dyn Read> {
        match self {
            Self::Bar(bar) => Box::new(bar.wrap_read(source)),
            Self::Quiet | Self::Lines(_) => source,
        }
    }

    /// So many lines are read.
    pub(crate) fn at(&mut self, lines: u64) {
        if let Self::Lines(plain) = self
            && plain.is_due(plain.clock.monotonic())
        {
            say(plain.what, &format!("{lines} lines so far"));
        }
    }

    /// Waits for `run`, and says now and then how long that takes.
    pub(crate) async fn during<F: Future>(&self, run: F) -> F::Output {
        let goes_on = async {
            match self {
                Self::Lines(plain) => loop {
                    plain.clock.sleep(EVERY).await;
                    let so_far = plain.clock.monotonic().as_secs();
                    say(plain.what, &format!("{so_far} s so far"));
                },
                Self::Quiet | Self::Bar(_) => std::future::pending::<()>().await,
            }
        };
        tokio::select! {
            done = run => done,
            () = goes_on => unreachable!("it goes on for good"),
        }
    }

    /// It is over.
    pub(crate) fn end(self, how: &str) {
        match self {
            Self::Quiet => {}
            Self::Bar(bar) => bar.finish_and_clear(),
            Self::Lines(plain) => say(plain.what, how),
        }
    }
}

impl Lines {
    fn is_due(&mut self, now: Duration) -> bool {
        let due = now >= self.next;
        if due {
            self.next = now + EVERY;
        }
        due
    }
}

fn say(what: &str, text: &str) {
    // Who can't read it doesn't need it.
    let _ = writeln!(io::stderr().lock(), "{what}: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_line_is_due_every_few_seconds() {
        let mut lines = Lines {
            what: "test",
            clock: SystemClock::new(),
            next: EVERY,
        };
        let seconds = [0, 4, 5, 6, 9, 10, 30, 31, 36];
        let due = seconds.map(|s| lines.is_due(Duration::from_secs(s)));
        let expected = [false, false, true, false, false, true, true, false, true];
        assert_eq!(due, expected);
    }

    #[tokio::test]
    async fn what_is_waited_for_comes_through() {
        let progress = Progress::begin("test", None, true);
        let answer = progress.during(async {
            tokio::task::yield_now().await;
            7
        });
        assert_eq!(answer.await, 7);
    }
}
