//! Processes that sync are killed with SIGKILL, at a request or at any moment, while edits go on. Nothing is lost, nothing
//! is doubled.

use std::time::{Duration, Instant};

use moonforge_e2e::device::{Form, Running, Weather, World};
use moonforge_testkit::proxy::{Fault, Matcher};

use super::ledger::Story;
use super::variable;

/// How long a process that is to be killed at a request may go on without making it.
const LONGEST: Duration = Duration::from_secs(1);

/// When a process dies.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// At any time of the run.
    Any(Duration),
    /// When a request came, which is never sent on.
    Before,
    /// When a request came, which is carried out after the process is gone.
    Meanwhile,
    /// When a request was carried out, before its answer.
    After,
}

#[expect(clippy::disallowed_methods, reason = "processes take real time")]
async fn pause(span: Duration) {
    tokio::time::sleep(span).await;
}

#[expect(clippy::disallowed_methods, reason = "processes take real time")]
fn now() -> Instant {
    Instant::now()
}

/// Starts a sync at the first device and kills it at such a moment; false where it came to its end before.
pub(crate) async fn killed_sync(story: &mut Story, watch: bool, edits_meanwhile: bool) -> bool {
    let proxy = story.hands[0].device.proxy.clone();
    let random = &story.random;
    let moment = match random.below(4) {
        0 => Moment::Any(Duration::from_millis(random.below(250))),
        1 => Moment::Before,
        2 => Moment::Meanwhile,
        _ => Moment::After,
    };
    // Most of the time it is a commit: there is most to lose.
    let when = match random.below(4) {
        0 => Matcher::any().skip(random.below(14) as u32),
        1 => Matcher::path(":commit").skip(1),
        _ => Matcher::path(":commit"),
    };
    let running = story.start_sync(0, watch);
    let struck = running.clone();
    let kill = async move {
        struck.kill();
    };
    match moment {
        Moment::Any(_) => {}
        Moment::Before => {
            proxy.before_forward(when.clone(), kill);
            proxy.fail(when, Fault::Drop);
        }
        Moment::Meanwhile => proxy.before_forward(when, kill),
        Moment::After => proxy.before_answer(when, kill),
    }
    if edits_meanwhile {
        story.edit(0).await;
    }
    let longest = match moment {
        Moment::Any(span) => span,
        _ => LONGEST,
    };
    let killed =
        end(&running, longest).await || proxy.armed() == 0 && !matches!(moment, Moment::Any(_));
    proxy.heal();
    proxy.settled().await;
    killed
}

/// Waits until it is gone, and kills it where that takes too long. Says whether it was killed here.
async fn end(running: &Running, longest: Duration) -> bool {
    let began = now();
    while running.goes_on() {
        if began.elapsed() >= longest {
            return running.kill();
        }
        pause(Duration::from_millis(5)).await;
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn syncing_processes_that_are_killed_lose_and_double_nothing() {
    let Some(world) = World::new("kills", Form::CommandLine, Weather::Calm).await else {
        return;
    };
    let wanted = variable("REAL_KILLS", 12);
    let began = now();
    let mut story = Story::begin(world, 2, variable("REAL_FIRST_SEED", 1)).await;
    let (mut kills, mut ended, mut watched) = (0, 0, 0);
    while kills < wanted {
        story.edit(0).await;
        let watch = story.random.one_in(3);
        let meanwhile = story.random.one_in(2);
        match killed_sync(&mut story, watch, meanwhile).await {
            true => (kills, watched) = (kills + 1, watched + u64::from(watch)),
            false => ended += 1,
        }
        assert!(
            ended <= wanted * 2 + 10,
            "only {kills} of {} were killed",
            kills + ended
        );
        if story.random.one_in(5) {
            story.edit(1).await;
            story.hands[1].device.sync_well().await;
        }
    }
    assert!(
        wanted < 10 || (watched > 0 && watched < kills),
        "both forms are killed"
    );
    story.end().await;
    let spent = began.elapsed().as_secs();
    println!(
        "{kills} syncing processes killed ({watched} of `sync --watch`), {ended} ended before, {} edits, {spent} s",
        story.edits()
    );
}
