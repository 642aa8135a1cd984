//! The story of two devices that write offline, meet and agree: played with the real engine, the real store and the embedded
//! cloud, in a folder that is gone afterwards. Every figure that is told was read from a database or from a sync's report.

mod device;
mod network;
mod story;

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use futures_util::poll;
use moonforge::SystemClock;
use moonforge::ports::Clock;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Outcome, Paint, Table, Text, short};

use device::Device;
use story::{Played, Step, Subject};

/// Most characters in a cell of the table.
const WIDTH: usize = 32;

/// The exit code of what a person stopped, as shells have it.
const STOPPED: u8 = 130;

/// Plays the story.
pub(crate) async fn run() -> Result<Outcome, Failure> {
    let mut stopped = pin!(tokio::signal::ctrl_c());
    // Asked once, it listens: from here on nothing ends the program before the folder is gone.
    let _ = poll!(stopped.as_mut());
    let scratch = tempfile::Builder::new().prefix("moonforge-demo-").tempdir();
    let scratch = scratch.map_err(|e| Failure::io("a scratch folder can't be made", &e))?;
    tokio::select! {
        played = Box::pin(tell(scratch.path())) => played,
        Ok(()) = stopped => {
            remove(scratch.path()).await;
            let message = "the demo was stopped; its scratch folder is gone";
            Err(Failure { exit: STOPPED, ..Failure::new("interrupted", message) })
        }
    }
}

async fn tell(scratch: &Path) -> Result<Outcome, Failure> {
    let laptop = Device::open("laptop", scratch).await?;
    let tablet = Device::open("tablet", scratch).await?;
    let played = Box::pin(story::play(&laptop, &tablet)).await;
    laptop.forge.close().await;
    tablet.forge.close().await;
    let played = played?;
    Ok(Outcome {
        json: json(&played),
        text: text(&played),
        exit: u8::from(!played.verdict.converged()),
    })
}

/// Takes the folder away, in which a database may still end what it had begun.
async fn remove(scratch: &Path) {
    for _ in 0..100 {
        if std::fs::remove_dir_all(scratch).is_ok() || !scratch.exists() {
            return;
        }
        SystemClock::new().sleep(Duration::from_millis(20)).await;
    }
}

fn json(played: &Played) -> Value {
    let steps: Vec<Value> = played
        .steps
        .iter()
        .map(|step| {
            json!({"step": step.title, "facts": step.facts, "device": step.device, "report": step.report})
        })
        .collect();
    let subjects: Vec<Value> = played
        .subjects
        .iter()
        .map(|s| {
            json!({
                "what": s.what,
                "before": s.before,
                "laptop": s.laptop,
                "tablet": s.tablet,
                "now": s.now,
                "journaled": s.items,
            })
        })
        .collect();
    let verdict = &played.verdict;
    json!({
        "converged": verdict.converged(),
        "same_documents": verdict.same_documents,
        "documents": verdict.documents,
        "pending": verdict.pending,
        "writes_of_another_sync": verdict.idle_writes,
        "hit_points_add_up": verdict.hit_points_add_up,
        "answers_lost": verdict.answers_lost,
        "steps": steps,
        "edits": subjects,
    })
}

fn text(played: &Played) -> Vec<Text> {
    let mut text = vec![Text::Line(format!(
        "{}\n{}",
        Paint::Strong.on("Two devices, no network, one campaign"),
        Paint::Faint.on(
            "A game master's laptop and tablet, each with its own database; the cloud is a folder."
        ),
    ))];
    for (n, Step { title, facts, .. }) in played.steps.iter().enumerate() {
        text.push(Text::Line(format!(
            "\n{}. {}",
            n + 1,
            Paint::Strong.on(title)
        )));
        text.extend(facts.iter().map(|fact| Text::Line(format!("   {fact}"))));
    }
    let row = |s: &Subject| {
        let journaled: Vec<String> = s
            .journaled
            .iter()
            .map(|e| short(&e.conflict.lost, WIDTH))
            .collect();
        vec![
            s.what.to_owned(),
            short(&s.before, WIDTH),
            s.laptop.clone(),
            s.tablet.clone(),
            short(&s.now, WIDTH),
            journaled.join(", "),
        ]
    };
    text.push(Text::Line(format!(
        "\n{}",
        Paint::Strong.on("What both have now")
    )));
    text.push(Text::Line(played.tree.clone()));
    text.push(Text::Line(format!(
        "\n{}",
        Paint::Strong.on("What was kept, and what went to the journal")
    )));
    text.push(Text::Table(Table {
        header: vec![
            "what",
            "before",
            "laptop",
            "tablet",
            "now, on both",
            "in the journal",
        ],
        rows: played.subjects.iter().map(row).collect(),
        empty: "",
    }));
    let verdict = &played.verdict;
    let line = if verdict.converged() {
        Paint::Good.on(&format!(
            "Converged: both show the same {} documents, nothing waits, and another sync writes nothing.",
            verdict.documents
        ))
    } else {
        Paint::Bad.on(&format!("Not converged: {verdict:?}"))
    };
    text.push(Text::Line(format!("\n{line}")));
    text
}
