//! Random histories: two devices at the command line edit and sync, processes are killed, requests go wrong.

use std::time::Duration;

use moonforge_e2e::device::{Form, Weather, World};
use moonforge_testkit::proxy::{Fault, Matcher, Reply};
use moonforge_testkit::random::SeededRandom;

use super::kills::killed_sync;
use super::ledger::Story;
use super::variable;

/// How many things happen in a history.
const STEPS: u32 = 30;

fn fault(random: &SeededRandom) -> Fault {
    let unavailable = Reply::error(503, "UNAVAILABLE");
    match random.below(12) {
        0 => Fault::Drop,
        1 => Fault::Reset,
        2 | 3 => Fault::LoseAnswer,
        4 => Fault::DeliverLate(Duration::from_millis(random.below(1500))),
        5 => Fault::Twice,
        6 => Fault::CutHead(random.below(60) as usize),
        7 => Fault::Cut(random.below(200) as usize),
        8 => Fault::Status(unavailable),
        9 => Fault::StatusAfter(unavailable),
        10 => Fault::Status(Reply::error(409, "ABORTED")),
        _ => Fault::Html,
    }
}

fn request(random: &SeededRandom) -> Matcher {
    let skip = random.below(3) as u32;
    match random.below(4) {
        0 => Matcher::any().skip(skip * 4),
        1 => Matcher::path(":runQuery").skip(skip),
        2 => Matcher::path(":batchGet"),
        _ => Matcher::path(":commit").skip(skip / 2),
    }
}

async fn play(seed: u64) -> bool {
    let name = format!("history-{seed}");
    let Some(world) = World::new(&name, Form::CommandLine, Weather::Calm).await else {
        return false;
    };
    let mut story = Story::begin(world, 2, seed).await;
    for _ in 0..STEPS {
        let who = usize::from(story.random.one_in(3));
        match story.random.below(10) {
            0..=4 => story.edit(who).await,
            5 | 6 => {
                let (when, fault) = (request(&story.random), fault(&story.random));
                story.hands[who].device.proxy.fail(when, fault);
            }
            7 => {
                killed_sync(&mut story, false, false).await;
            }
            _ => drop(story.hands[who].device.sync().await),
        }
    }
    story.end().await;
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_histories_of_real_processes_converge() {
    let first = variable("REAL_FIRST_SEED", 1);
    for seed in first..first + variable("REAL_SEEDS", 2) {
        println!("REAL_FIRST_SEED={seed} REAL_SEEDS=1");
        if !Box::pin(play(seed)).await {
            return;
        }
    }
}
