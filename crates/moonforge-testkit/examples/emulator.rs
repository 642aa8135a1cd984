//! Keeps one Firestore emulator for a whole test run: prints its address, ends when stdin closes.
//!
//! ```sh
//! mkfifo hold && cargo run -p moonforge-testkit --example emulator <hold >address & exec 9>hold
//! ```

use std::io::{Read, Write};
use std::process::ExitCode;

use moonforge_testkit::emulator::Emulator;

fn main() -> ExitCode {
    let emulator = match Emulator::find_or_start() {
        Ok(emulator) => emulator,
        Err(error) => {
            eprintln!("no Firestore emulator: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("FIRESTORE_EMULATOR_HOST={}", emulator.host());
    let _ = std::io::stdout().flush();
    // Whatever the reason, an end of stdin means that nobody needs it any more.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    ExitCode::SUCCESS
}
