//! Several pieces of work at once in one task: while one waits for the remote, another goes on.
//!
//! A lane is *away* while it waits for the remote, and *home* otherwise. At most one lane is home, and while one is, no other
//! is polled: what happens here (reading, deciding, the door) happens one at a time, and only requests overlap. So nothing
//! between two requests has to fear the other lanes, and what a run does depends on the order of answers alone.
//!
//! The HTTP client goes on receiving in tasks of its own, so a lane that is away loses nothing by that.
//!
//! A lane is polled when what it waits for woke it, and only then: not because another lane was woken, nor because of a late
//! call from what it waited for before (a database's thread may call twice).

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::future::BoxFuture;
use futures_util::task::AtomicWaker;

/// Where a lane says that it is away: each poll of a wait for the remote that isn't over leaves that word.
#[derive(Debug, Default)]
pub(crate) struct Whereabouts {
    away: AtomicBool,
}

impl Whereabouts {
    /// Waits for something outside; the other lanes go on meanwhile.
    pub(crate) async fn away<F: Future>(&self, wait: F) -> F::Output {
        let mut wait = std::pin::pin!(wait);
        poll_fn(|cx| {
            let polled = wait.as_mut().poll(cx);
            self.away.store(polled.is_pending(), Ordering::Relaxed);
            polled
        })
        .await
    }

    /// Lets all lanes that are home come so far as this one, before what comes next leaves.
    pub(crate) async fn line_up(&self) {
        let mut lined_up = false;
        self.away(poll_fn(|cx| {
            if std::mem::replace(&mut lined_up, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }))
        .await;
    }
}

struct Lane<'l, T> {
    work: BoxFuture<'l, T>,
    away: bool,
    /// What the last poll left with those that the lane waits for.
    call: Arc<Call>,
}

impl<T> Lane<'_, T> {
    /// Whether it is to be polled.
    fn is_called(&self) -> bool {
        self.call.came.load(Ordering::Acquire)
    }
}

/// Says that a lane is to be polled. Each poll leaves a new one; those before it are heard no more.
struct Call {
    came: AtomicBool,
    task: Arc<AtomicWaker>,
}

impl Call {
    fn new(task: &Arc<AtomicWaker>, came: bool) -> Arc<Self> {
        Arc::new(Self {
            came: AtomicBool::new(came),
            task: task.clone(),
        })
    }
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.came.store(true, Ordering::Release);
        self.task.wake();
    }
}

/// Pieces of work under way.
pub(crate) struct Lanes<'l, T> {
    whereabouts: &'l Whereabouts,
    lanes: Vec<Lane<'l, T>>,
    /// Whose turn it is of those that are away.
    turn: usize,
    /// The task that polls the lanes.
    task: Arc<AtomicWaker>,
}

impl<'l, T> Lanes<'l, T> {
    pub(crate) fn new(whereabouts: &'l Whereabouts) -> Self {
        Self {
            whereabouts,
            lanes: Vec::new(),
            turn: 0,
            task: Arc::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Adds a piece of work, which begins at the next [`Lanes::next`].
    pub(crate) fn push(&mut self, work: impl Future<Output = T> + Send + 'l) {
        self.lanes.push(Lane {
            work: Box::pin(work),
            away: false,
            call: Call::new(&self.task, true),
        });
    }

    /// What the first to end comes to; `None` where there is none.
    pub(crate) async fn next(&mut self) -> Option<T> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        if self.lanes.is_empty() {
            return Poll::Ready(None);
        }
        self.task.register(cx.waker());
        // Whoever is home first.
        while let Some(index) = self.lanes.iter().position(|lane| !lane.away) {
            if !self.lanes[index].is_called() {
                return Poll::Pending;
            }
            match self.poll_lane(index) {
                Poll::Ready(done) => return Poll::Ready(Some(done)),
                Poll::Pending if self.lanes[index].away => {}
                Poll::Pending => return Poll::Pending,
            }
        }
        // Then one of those that are away, in turn. Who polls this looks around before the next, while nobody is home.
        let lanes = self.lanes.len();
        let in_turn = (0..lanes).map(|step| (self.turn + step) % lanes);
        let Some(index) = in_turn.into_iter().find(|at| self.lanes[*at].is_called()) else {
            return Poll::Pending;
        };
        self.turn = (index + 1) % lanes;
        if let Poll::Ready(done) = self.poll_lane(index) {
            self.turn = index;
            return Poll::Ready(Some(done));
        }
        if self.lanes.iter().any(Lane::is_called) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn poll_lane(&mut self, index: usize) -> Poll<T> {
        let lane = &mut self.lanes[index];
        lane.call = Call::new(&self.task, false);
        let waker = Waker::from(lane.call.clone());
        self.whereabouts.away.store(false, Ordering::Relaxed);
        let polled = Pin::as_mut(&mut lane.work).poll(&mut Context::from_waker(&waker));
        lane.away = self.whereabouts.away.load(Ordering::Relaxed);
        if polled.is_ready() {
            drop(self.lanes.remove(index));
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicUsize;

    /// Pending so many times.
    async fn pauses(count: usize) {
        let mut left = count;
        poll_fn(|cx| {
            if left == 0 {
                return Poll::Ready(());
            }
            left -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    #[tokio::test]
    async fn requests_overlap_and_what_is_done_here_never_does() {
        let whereabouts = Whereabouts::default();
        let (home, most_away, out) = (
            AtomicUsize::new(0),
            AtomicUsize::new(0),
            AtomicUsize::new(0),
        );
        let log = Mutex::new(Vec::new());
        let mut lanes = Lanes::new(&whereabouts);
        for n in 0..5_usize {
            let (home, most_away, out) = (&home, &most_away, &out);
            let (log, whereabouts) = (&log, &whereabouts);
            lanes.push(async move {
                for _ in 0..3 {
                    assert_eq!(home.fetch_add(1, Ordering::Relaxed), 0);
                    pauses(n % 3).await;
                    home.fetch_sub(1, Ordering::Relaxed);
                    whereabouts.line_up().await;
                    most_away.fetch_max(out.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                    whereabouts.away(pauses(4 - n)).await;
                    out.fetch_sub(1, Ordering::Relaxed);
                }
                log.lock().unwrap().push(n);
                n
            });
        }
        let mut ended = Vec::new();
        while let Some(n) = lanes.next().await {
            ended.push(n);
        }
        assert_eq!(ended, *log.lock().unwrap());
        assert_eq!((ended.len(), lanes.len()), (5, 0));
        assert!(most_away.load(Ordering::Relaxed) > 2);
    }

    #[tokio::test]
    async fn nothing_leaves_while_somebody_is_home() {
        let whereabouts = Whereabouts::default();
        let log = Mutex::new(Vec::new());
        let mut lanes = Lanes::new(&whereabouts);
        for n in 0..3 {
            let (log, whereabouts) = (&log, &whereabouts);
            lanes.push(async move {
                pauses(n).await;
                log.lock().unwrap().push(format!("{n} is ready"));
                whereabouts.line_up().await;
                log.lock().unwrap().push(format!("{n} leaves"));
            });
        }
        while lanes.next().await.is_some() {}
        let expected = [
            "0 is ready",
            "1 is ready",
            "2 is ready",
            "0 leaves",
            "1 leaves",
            "2 leaves",
        ];
        assert_eq!(*log.lock().unwrap(), expected);
    }

    #[tokio::test]
    async fn a_lane_is_polled_only_when_what_it_waits_for_now_asks_for_it() {
        let whereabouts = Whereabouts::default();
        let polls = AtomicUsize::new(0);
        let wakers = Mutex::new(Vec::<Waker>::new());
        let mut lanes = Lanes::new(&whereabouts);
        let (polls_ref, wakers_ref, whereabouts_ref) = (&polls, &wakers, &whereabouts);
        lanes.push(async move {
            let kept = poll_fn(|cx| {
                wakers_ref.lock().unwrap().push(cx.waker().clone());
                match polls_ref.fetch_add(1, Ordering::Relaxed) {
                    2 => Poll::Ready(()),
                    _ => Poll::Pending,
                }
            });
            whereabouts_ref.away(kept).await;
        });
        lanes.push(whereabouts.away(pauses(5)));
        // The other lane needs six polls, this one only the first.
        assert!(lanes.next().await.is_some());
        assert_eq!(polls.load(Ordering::Relaxed), 1);
        let waker = |n: usize| wakers.lock().unwrap()[n].clone();
        waker(0).wake();
        assert!(futures_util::poll!(Box::pin(lanes.next())).is_pending());
        assert_eq!(polls.load(Ordering::Relaxed), 2);
        // It waits with another waker by now.
        waker(0).wake();
        assert!(futures_util::poll!(Box::pin(lanes.next())).is_pending());
        assert_eq!(polls.load(Ordering::Relaxed), 2);
        waker(1).wake();
        assert!(lanes.next().await.is_some());
    }

    #[tokio::test]
    async fn of_lanes_that_are_called_together_one_is_polled_and_the_task_is_called_for_the_next() {
        struct Task(AtomicUsize);
        impl Wake for Task {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let whereabouts = Whereabouts::default();
        let polls = AtomicUsize::new(0);
        let wakers = Mutex::new(Vec::<Waker>::new());
        let mut lanes = Lanes::<()>::new(&whereabouts);
        for _ in 0..2 {
            lanes.push(whereabouts.away(poll_fn(|cx| {
                polls.fetch_add(1, Ordering::Relaxed);
                wakers.lock().unwrap().push(cx.waker().clone());
                Poll::Pending
            })));
        }
        let task = Arc::new(Task(AtomicUsize::new(0)));
        let waker = Waker::from(task.clone());
        let mut cx = Context::from_waker(&waker);
        // They begin at home, one after the other.
        assert!(lanes.poll_next(&mut cx).is_pending());
        assert_eq!(polls.load(Ordering::Relaxed), 2);
        for waker in wakers.lock().unwrap().drain(..) {
            waker.wake();
        }
        let calls = task.0.load(Ordering::Relaxed);
        assert!(lanes.poll_next(&mut cx).is_pending());
        assert_eq!(polls.load(Ordering::Relaxed), 3);
        assert_eq!(task.0.load(Ordering::Relaxed), calls + 1);
        assert!(lanes.poll_next(&mut cx).is_pending());
        assert_eq!(polls.load(Ordering::Relaxed), 4);
        assert_eq!(task.0.load(Ordering::Relaxed), calls + 1);
    }
}
