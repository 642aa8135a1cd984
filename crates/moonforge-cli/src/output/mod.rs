//! The one place that prints. A reader who closes the pipe has read enough: that is no failure.

mod live;
mod progress;
mod text;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::failure::{Failure, USAGE};
pub(crate) use live::Live;
pub(crate) use progress::Progress;
pub(crate) use text::{Paint, Table, Text, printable, short};

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
        let mut error = failure.report.clone();
        error.insert("code".to_owned(), failure.code.into());
        error.insert("message".to_owned(), failure.message.as_str().into());
        let error = json!({ "error": error });
        writeln!(io::stdout().lock(), "{error}")
    } else {
        let word = Paint::Bad.on_stderr("error");
        writeln!(
            io::stderr().lock(),
            "{word}: {} [{}]",
            printable(&failure.message),
            failure.code
        )
    };
    finish(printed, failure.exit)
}

/// Whether stderr is a terminal that may be given colours.
pub(crate) fn colours_on_stderr() -> bool {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    wanted && io::stderr().is_terminal()
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
