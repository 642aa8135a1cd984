//! The one place that prints. A reader who closes the pipe has read enough: that is no failure.

mod text;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::failure::{Failure, USAGE};
pub(crate) use text::{Paint, Table, Text, short};

/// What a command came to: for scripts, and for people.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) json: Value,
    pub(crate) text: Vec<Text>,
    pub(crate) exit: u8,
}

impl Outcome {
    /// A command that did what it was to do.
    pub(crate) fn new(json: Value, text: impl Into<Text>) -> Self {
        Self {
            json,
            text: vec![text.into()],
            exit: 0,
        }
    }

    /// One whose output was streamed already.
    pub(crate) fn streamed() -> Self {
        Self {
            json: Value::Null,
            text: Vec::new(),
            exit: 0,
        }
    }

    /// Prints it in one of its forms and says with which code to exit.
    pub(crate) fn print(&self, as_json: bool) -> ExitCode {
        let mut out = io::BufWriter::new(io::stdout().lock());
        let printed = if as_json {
            match &self.json {
                Value::Null => Ok(()),
                json => writeln!(out, "{json}"),
            }
        } else {
            self.text.iter().try_for_each(|text| text.write(&mut out))
        };
        finish(printed.and_then(|()| out.flush()), self.exit)
    }
}

/// Prints why a command failed: for scripts on stdout, for people on stderr.
pub(crate) fn failure(failure: &Failure, as_json: bool) -> ExitCode {
    let printed = if as_json {
        let error = json!({"error": {"code": failure.code, "message": failure.message}});
        writeln!(io::stdout().lock(), "{error}")
    } else {
        let word = Paint::Bad.on_stderr("error");
        writeln!(
            io::stderr().lock(),
            "{word}: {} [{}]",
            failure.message,
            failure.code
        )
    };
    finish(printed, failure.exit)
}

/// Prints help, the version, or why the call makes no sense.
pub(crate) fn usage(error: &clap::Error, as_json: bool) -> ExitCode {
    if as_json && error.use_stderr() {
        let text = error.render().to_string();
        let message = text
            .split("\n\nUsage:")
            .next()
            .unwrap_or_default()
            .trim()
            .trim_start_matches("error: ");
        return failure(&Failure::usage(message), true);
    }
    let exit = if error.use_stderr() { USAGE } else { 0 };
    finish(error.print(), exit)
}

fn finish(printed: io::Result<()>, exit: u8) -> ExitCode {
    match printed {
        Ok(()) => ExitCode::from(exit),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(exit),
        // Where stdout can't be written, stderr may still be.
        Err(error) => {
            let _ = writeln!(
                io::stderr().lock(),
                "error: the output can't be written: {error}"
            );
            ExitCode::FAILURE
        }
    }
}

/// JSON Lines that are printed as they come.
pub(crate) struct Lines(io::BufWriter<io::Stdout>);

impl Lines {
    pub(crate) fn new() -> Self {
        Self(io::BufWriter::with_capacity(64 * 1024, io::stdout()))
    }

    /// Prints a line; `false` once nobody reads any more.
    pub(crate) fn line(&mut self, value: &Value) -> Result<bool, Failure> {
        reading(writeln!(self.0, "{value}"))
    }

    /// Prints what is left.
    pub(crate) fn end(mut self) -> Result<(), Failure> {
        reading(self.0.flush()).map(|_| ())
    }
}

fn reading(written: io::Result<()>) -> Result<bool, Failure> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::io("the output can't be written", &error)),
    }
}

/// A bar on a terminal, over `length` bytes where that is known; nothing elsewhere.
pub(crate) fn bar(length: Option<u64>) -> indicatif::ProgressBar {
    if !io::stderr().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    match length {
        Some(length) => {
            let bar = indicatif::ProgressBar::new(length);
            let style =
                indicatif::ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {msg}");
            style
                .map(|style| bar.clone().with_style(style))
                .unwrap_or(bar)
        }
        None => indicatif::ProgressBar::new_spinner(),
    }
}

/// A spinner on a terminal that says what is going on; nothing elsewhere.
pub(crate) fn spinner(message: &'static str) -> indicatif::ProgressBar {
    let bar = bar(None);
    if !bar.is_hidden() {
        bar.set_message(message);
        bar.enable_steady_tick(std::time::Duration::from_millis(120));
    }
    bar
}
