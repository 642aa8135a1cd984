//! A state that changes while somebody looks.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::reading;
use crate::failure::Failure;
use crate::output::printable;

/// One line that is rewritten on a terminal, a line a change without one, JSON Lines for scripts.
pub(crate) enum Live {
    Line(ProgressBar),
    Plain,
    Json,
}

impl Live {
    pub(crate) fn begin(json: bool) -> Self {
        if json {
            return Self::Json;
        }
        if !io::stdout().is_terminal() {
            return Self::Plain;
        }
        let bar = ProgressBar::new_spinner();
        let style = ProgressStyle::with_template("{spinner} {msg}  (Ctrl-C ends)");
        let bar = style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self::Line(bar)
    }

    /// Shows the state; `false` once nobody reads any more.
    pub(crate) fn show(&self, sentence: &str, json: &Value) -> Result<bool, Failure> {
        let mut out = io::stdout().lock();
        let written = match self {
            Self::Line(bar) => {
                bar.set_message(printable(sentence));
                return Ok(true);
            }
            Self::Plain => writeln!(out, "{}", printable(sentence)),
            Self::Json => writeln!(out, "{json}"),
        };
        reading(written.and_then(|()| out.flush()))
    }

    /// It is over.
    pub(crate) fn end(&self) {
        if let Self::Line(bar) = self {
            bar.finish_and_clear();
        }
    }
}
