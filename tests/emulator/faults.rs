//! The fault table: each kind of HTTP fault at each kind of operation, by the real engine, and what came of it.
//!
//! Each cell is a user with a campaign of his own. The fault strikes the first request that matches, and none after it. Then
//! everything is in the cloud exactly once: numbers that were added to are the sharpest sign, and `rev`.
//!
//! `docs/faults.md` holds the table as this test measures it; `WRITE_FAULT_TABLE=1` writes it there.

mod cell;
mod kinds;

use futures_util::StreamExt;
use moonforge_e2e::device::{Form, Weather, World};

use cell::{Cell, Operation, Took};
use kinds::{Kind, kinds};

/// How many cells go on at a time: most of a cell is waiting.
const AT_ONCE: usize = 8;

/// How often a cell is played whose way differs from the document's, as it does where a slow machine adds a timeout of its
/// own. What has to hold is checked each time.
const PLAYS: u32 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_at_each_operation_applies_everything_exactly_once() {
    let world = World::new("fault-table", Form::Library, Weather::Calm).await;
    let Some(world) = world else { return };
    let written = std::fs::read_to_string(document()).unwrap_or_default();
    let known: Vec<&str> = written.lines().filter(|l| l.starts_with('|')).collect();
    let mut rows = vec![head()];
    rows.push(format!("|---|{}", "---|".repeat(Operation::ALL.len())));
    let kinds = kinds();
    let mut usual: Vec<usize> = Vec::new();
    // The row without a fault comes first: the others are told by how they differ from it.
    for chunk in [&kinds[..1], &kinds[1..]] {
        let (world, known, usual_ways) = (&world, &known, &usual);
        let cells = chunk.iter().flat_map(|kind| {
            let row = known
                .iter()
                .find(|row| row.starts_with(&format!("| {} |", kind.words)));
            let row = row.copied().unwrap_or_default();
            let ways: Vec<&str> = row.split('|').map(str::trim).skip(2).collect();
            let known = move |column: usize| ways.get(column).copied().unwrap_or_default();
            (0..Operation::ALL.len()).map(move |column| (kind, column, known(column)))
        });
        let cells: Vec<_> = cells.collect();
        let played: Vec<(Took, String)> = futures_util::stream::iter(cells)
            .map(|(kind, column, known)| async move {
                let usual = usual_ways.get(column).copied();
                Box::pin(play(world, kind, column, usual, known)).await
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        for (kind, ways) in chunk.iter().zip(played.chunks(Operation::ALL.len())) {
            let words: Vec<&str> = ways.iter().map(|(_, way)| way.as_str()).collect();
            rows.push(format!("| {} | {} |", kind.words, words.join(" | ")));
        }
        if usual.is_empty() {
            usual = played.iter().map(|(took, _)| took.requests).collect();
        }
    }
    let table = rows.join("\n");
    println!("{table}");
    if std::env::var("WRITE_FAULT_TABLE").is_ok() {
        write(&written, &known, &table);
    } else {
        assert_eq!(
            known.join("\n"),
            table,
            "docs/faults.md isn't what was measured: WRITE_FAULT_TABLE=1 writes it"
        );
    }
}

fn head() -> String {
    let operations = Operation::ALL.map(Operation::words);
    format!("| fault | {} |", operations.join(" | "))
}

/// Plays a cell; once more where its way isn't the one that is known.
async fn play(
    world: &World,
    kind: &Kind,
    column: usize,
    usual: Option<usize>,
    known: &str,
) -> (Took, String) {
    let operation = Operation::ALL[column];
    let mut turn = 0;
    loop {
        turn += 1;
        let words = kind.words.replace(|c: char| !c.is_ascii_alphanumeric(), "");
        let cell = Cell {
            world,
            kind,
            operation,
            name: format!("{words}-{operation:?}-{turn}").to_lowercase(),
        };
        let took = Box::pin(cell.play()).await;
        let way = way(took, usual);
        if way == known || known.is_empty() || turn == PLAYS {
            return (took, way);
        }
    }
}

/// A cell's text.
fn way(took: Took, usual: Option<usize>) -> String {
    match (took.runs, usual) {
        (1, None) => took.requests.to_string(),
        (1, Some(usual)) => match took.requests as i64 - usual as i64 {
            0 => "0".to_owned(),
            more => format!("{more:+}"),
        },
        (2, _) => "next run".to_owned(),
        (runs, _) => format!("{runs} runs"),
    }
}

fn document() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/faults.md")
}

fn write(written: &str, known: &[&str], table: &str) {
    let old = known.join("\n");
    let new = match old.is_empty() {
        true => format!("{written}\n{table}\n"),
        false => written.replace(&old, table),
    };
    std::fs::write(document(), new).expect("docs/faults.md");
}
