//! Workloads that measure Moonforge, and the floor under each: the same work without it.
//!
//! `moonforge-bench WORKLOAD N` prints one line of JSON; `--pair ROUNDS` pairs a workload with its floor in alternating
//! rounds. The only place of this workspace for rusqlite: what a floor is made of.

mod args;
mod cloud;
mod compare;
mod elements;
mod floor;
mod local;
mod measure;
mod ours;
mod sample;

use std::process::ExitCode;

use clap::Parser;
use serde_json::{Value, json};

use args::{Args, Workload};
use cloud::{Failed, Place};
use local::{A_GROUP, Scratch};
use measure::Measured;

/// Documents that change before each poll of W4.
const CHANGED: usize = 10;
/// Polls of W4.
const POLLS: usize = 20;

/// Which scenes change before each poll.
fn changed(n: usize) -> impl Iterator<Item = usize> {
    (0..CHANGED.min(n)).map(move |i| i * (n / CHANGED.min(n)))
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.pair {
        Some(rounds) => compare::pair(&args, rounds),
        None => alone(&args),
    };
    match done {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("moonforge-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn alone(args: &Args) -> Result<String, Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let measured = runtime.block_on(Box::pin(measure(args)))?;
    let mut line = json!({ "workload": args.workload.name(), "n": args.n });
    if let (Some(line), Value::Object(figures)) = (line.as_object_mut(), measured.line()) {
        line.extend(figures);
        line.insert("floor".into(), args.floor.into());
        if args.workload.needs_cloud() {
            line.insert("as".into(), args.credential.name().into());
        }
    }
    Ok(line.to_string())
}

async fn measure(args: &Args) -> Result<Measured, Failed> {
    let scratch = Scratch::new()?;
    let (n, durability) = (args.n, args.durability);
    match (args.workload, args.floor) {
        (Workload::W1, false) => return local::write(n, 1, durability, &scratch).await,
        (Workload::W1, true) => return local::write_floor(n, 1, durability, &scratch),
        (Workload::W1g, false) => return local::write(n, A_GROUP, durability, &scratch).await,
        (Workload::W1g, true) => return local::write_floor(n, A_GROUP, durability, &scratch),
        (Workload::W5, false) => return local::read(n, &scratch).await,
        (Workload::W5, true) => return local::read_floor(n, &scratch),
        (Workload::W2 | Workload::W3 | Workload::W4, _) => {}
    }
    let place = Place::open(args.credential).await?;
    match (args.workload, args.floor) {
        (Workload::W2, false) => ours::push(&place, n, durability, &scratch).await,
        (Workload::W2, true) => floor::push(&place, n, args.batch, args.concurrency.max(1)).await,
        (Workload::W3, false) => ours::pull(&place, n, durability, &scratch).await,
        (Workload::W3, true) => floor::pull(&place, n, durability, &scratch).await,
        (_, false) => ours::poll(&place, n, POLLS, durability, &scratch).await,
        (_, true) => floor::poll(&place, n, POLLS, durability, &scratch).await,
    }
}
