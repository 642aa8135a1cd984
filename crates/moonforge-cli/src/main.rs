//! The command line of Moonforge: thin, over the facade. It prints in `output` only.

mod args;
mod cloud;
mod commands;
mod demo;
mod edits;
mod failure;
mod input;
mod output;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::args::Cli;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return output::usage(&error, asks_for_json()),
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(output::colours_on_stderr())
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let json = cli.json;
    let result = match runtime {
        Ok(runtime) => runtime.block_on(Box::pin(commands::run(cli))),
        Err(error) => Err(failure::Failure::io("the program can't start", &error)),
    };
    match result {
        Ok(outcome) => outcome.print(json),
        Err(failure) => output::failure(&failure, json),
    }
}

/// Whether `--json` stands in a command line that could not be understood.
fn asks_for_json() -> bool {
    std::env::args_os()
        .take_while(|arg| arg != "--")
        .any(|arg| arg == "--json")
}
