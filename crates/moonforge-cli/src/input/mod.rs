//! JSON from the command line, files and stdin.

mod json;
mod lines;

use std::io::Read;

use serde_json::Value;

use crate::failure::Failure;
pub(crate) use json::parse;
pub(crate) use lines::{Line, next_line};

/// The most that is read as one document, in bytes. What a document may have at most, 1 MiB, is six times that as JSON
/// where each character stands as `\u0001`.
pub(crate) const MAX_BYTES: usize = 8 << 20;

/// More than [`MAX_BYTES`] of something.
pub(crate) fn too_long(what: &str) -> Failure {
    let message = format!("{what} is longer than {} MiB", MAX_BYTES >> 20);
    Failure::new("too_large", message)
}

/// A document given as JSON, `@FILE` or `-` for stdin.
pub(crate) fn document(argument: &str) -> Result<Value, Failure> {
    let value = value(argument)?;
    if value.is_object() {
        Ok(value)
    } else {
        let message = format!("a document is a JSON object, this is {}", kind(&value));
        Err(Failure::new("not_a_document", message))
    }
}

/// A value given as JSON, `@FILE` or `-` for stdin.
pub(crate) fn value(argument: &str) -> Result<Value, Failure> {
    let bytes = match (argument, argument.strip_prefix('@')) {
        ("-", _) => whole("stdin", std::io::stdin().lock())?,
        (_, Some(path)) => {
            let file = std::fs::File::open(path);
            whole(path, file.map_err(|e| unreadable(path, &e))?)?
        }
        (json, None) => json.as_bytes().to_vec(),
    };
    parse(text(&bytes)?)
}

fn whole(name: &str, source: impl Read) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let mut source = source.take(MAX_BYTES as u64 + 1);
    let read = source.read_to_end(&mut bytes);
    read.map_err(|e| unreadable(name, &e))?;
    match bytes.len() > MAX_BYTES {
        true => Err(too_long(name)),
        false => Ok(bytes),
    }
}

fn unreadable(name: &str, error: &std::io::Error) -> Failure {
    Failure::io(&format!("{name} can't be read"), error)
}

/// Bytes as text.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Failure> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| Failure::new("invalid_json", format!("the JSON is not UTF-8 text: {e}")))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Splits at the first of the separators that stands outside backticks; of those that begin at one place the first given.
pub(crate) fn split_outside_backticks<'t>(
    text: &'t str,
    separators: &[&'static str],
) -> Option<(&'t str, &'static str, &'t str)> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '`' => quoted = !quoted,
            _ if quoted => {}
            _ => {
                let rest = &text[at..];
                if let Some(found) = separators.iter().find(|s| rest.starts_with(**s)) {
                    return Some((&text[..at], found, &rest[found.len()..]));
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_separator_in_backticks_does_not_split() {
        let split = |t| split_outside_backticks(t, &["="]);
        assert_eq!(split("`a=b`=1"), Some(("`a=b`", "=", "1")));
        assert_eq!(split(r"`a\`=`=x=1"), Some((r"`a\`=`", "=", "x=1")));
        assert_eq!(split("`a=b"), None);
    }
}
