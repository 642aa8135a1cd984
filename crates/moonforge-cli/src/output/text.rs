//! What people read.

use std::io::{self, Write};

use comfy_table::{ContentArrangement, LineStyle, TableStyle};
use owo_colors::{OwoColorize, Stream};
use serde_json::Value;

/// A piece of what people read.
#[derive(Debug)]
pub(crate) enum Text {
    /// Sentences.
    Line(String),
    /// A JSON value, laid out.
    Json(Value),
    /// Rows and columns.
    Table(Table),
}

impl From<String> for Text {
    fn from(line: String) -> Self {
        Self::Line(line)
    }
}

impl From<&str> for Text {
    fn from(line: &str) -> Self {
        Self::Line(line.to_owned())
    }
}

impl From<Table> for Text {
    fn from(table: Table) -> Self {
        Self::Table(table)
    }
}

impl Text {
    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Line(line) => writeln!(out, "{line}"),
            Self::Json(value) => writeln!(out, "{}", escaped(&format!("{value:#}"))),
            Self::Table(table) => table.write(out),
        }
    }
}

/// Rows and columns, or a sentence where there are none.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) header: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
    pub(crate) empty: &'static str,
}

/// A line below the header and no other.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::new('─', '─', '─', '─'));

impl Table {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.rows.is_empty() {
            return writeln!(out, "{}", self.empty);
        }
        let mut table = comfy_table::Table::new();
        table
            .load_style(STYLE)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_header(&self.header);
        for row in &self.rows {
            // Control characters in other people's texts must not reach the terminal.
            table.add_row(row.iter().map(|cell| printable(cell)));
        }
        writeln!(out, "{}", table.trim_fmt())
    }
}

/// What a colour means.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Paint {
    Good,
    Warn,
    Bad,
    Faint,
    Strong,
}

impl Paint {
    /// The text in this colour where stdout shows colours.
    pub(crate) fn on(self, text: &str) -> String {
        self.paint(text, Stream::Stdout)
    }

    /// The text in this colour where stderr shows colours.
    pub(crate) fn on_stderr(self, text: &str) -> String {
        self.paint(text, Stream::Stderr)
    }

    fn paint(self, text: &str, stream: Stream) -> String {
        match self {
            Self::Good => text.if_supports_color(stream, |t| t.green()).to_string(),
            Self::Warn => text.if_supports_color(stream, |t| t.yellow()).to_string(),
            Self::Bad => text.if_supports_color(stream, |t| t.red()).to_string(),
            Self::Faint => text.if_supports_color(stream, |t| t.dimmed()).to_string(),
            Self::Strong => text.if_supports_color(stream, |t| t.bold()).to_string(),
        }
    }
}

/// A text without control characters, which could tamper with a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\n' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// JSON in which no control character is left but the ends of lines: those above ASCII are allowed in it as they are.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\n' => text.push(c),
            c if c.is_control() => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => text.push(c),
        }
    }
    text
}

/// A JSON value in one line of at most `most` characters.
pub(crate) fn short(value: &Value, most: usize) -> String {
    let text = match value {
        Value::String(text) => text.replace('\n', " ⏎ "),
        Value::Null => "—".to_owned(),
        other => other.to_string(),
    };
    let text = printable(&text);
    if text.chars().count() <= most {
        return text;
    }
    text.chars()
        .take(most.saturating_sub(1))
        .chain(['…'])
        .collect()
}
