//! JSON from the command line, files and stdin.

use std::io::Read;

use serde_json::Value;

use crate::failure::Failure;

/// The deepest nesting that is read; what a document may have is much less.
const MAX_DEPTH: usize = 100;

/// A document given as JSON, `@FILE` or `-` for stdin.
pub(crate) fn document(argument: &str) -> Result<Value, Failure> {
    let bytes = match (argument, argument.strip_prefix('@')) {
        ("-", _) => {
            let mut bytes = Vec::new();
            let read = std::io::stdin().lock().read_to_end(&mut bytes);
            read.map_err(|e| Failure::io("stdin can't be read", &e))?;
            bytes
        }
        (_, Some(path)) => {
            std::fs::read(path).map_err(|e| Failure::io(&format!("{path} can't be read"), &e))?
        }
        (json, None) => json.as_bytes().to_vec(),
    };
    let value = parse(text(&bytes)?)?;
    if value.is_object() {
        Ok(value)
    } else {
        let message = format!("a document is a JSON object, this is {}", kind(&value));
        Err(Failure::new("not_a_document", message))
    }
}

/// Bytes as text.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Failure> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| Failure::new("invalid_json", format!("the JSON is not UTF-8 text: {e}")))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Any JSON value, as exactly as it was written: a number that would be rounded is refused.
pub(crate) fn parse(text: &str) -> Result<Value, Failure> {
    check_depth_and_integers(text)?;
    serde_json::from_str(text)
        .map_err(|e| Failure::new("invalid_json", format!("the JSON is invalid: {e}")))
}

/// What serde_json would pass over (integers of more than 64 bits become doubles) or call by another name (depth).
fn check_depth_and_integers(text: &str) -> Result<(), Failure> {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at),
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    let message = format!("the JSON is nested more than {MAX_DEPTH} levels deep");
                    return Err(Failure::new("too_deep", message));
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'-' | b'0'..=b'9' => {
                let is_number =
                    |b: &u8| matches!(b, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
                let end = at + bytes[at..].iter().take_while(|b| is_number(b)).count();
                let number = &text[at..end];
                let whole = !number.contains(['.', 'e', 'E']);
                if whole && number.len() > 18 && number.parse::<i64>().is_err() {
                    let message = format!("the number {number} doesn't fit in 64 bits");
                    return Err(Failure::new("number_out_of_range", message));
                }
                at = end - 1;
            }
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// Where the string that begins at `at` ends: at its closing quote, or where the text does.
fn end_of_string(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while let Some(&byte) = bytes.get(end) {
        match byte {
            b'"' => break,
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
    end
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
    fn a_number_that_would_be_rounded_is_refused() {
        for fits in [
            "9223372036854775807",
            "-9223372036854775808",
            "1e300",
            "123456789012345678901.5",
        ] {
            assert!(parse(fits).is_ok(), "{fits}");
        }
        for over in [
            "9223372036854775808",
            "[1, -9223372036854775809]",
            "{\"a\":100000000000000000000}",
        ] {
            assert_eq!(
                parse(over).unwrap_err().code,
                "number_out_of_range",
                "{over}"
            );
        }
        assert!(parse(r#"{"a":"\"100000000000000000000","100000000000000000000":1}"#).is_ok());
    }

    #[test]
    fn cut_json_is_invalid_and_no_panic() {
        for cut in ["", "{", "\"", "\"\\", "[1,", "-", "{\"a\":", "\"ü"] {
            assert_eq!(parse(cut).unwrap_err().code, "invalid_json", "{cut}");
        }
    }

    #[test]
    fn a_separator_in_backticks_does_not_split() {
        let split = |t| split_outside_backticks(t, &["="]);
        assert_eq!(split("`a=b`=1"), Some(("`a=b`", "=", "1")));
        assert_eq!(split(r"`a\`=`=x=1"), Some((r"`a\`=`", "=", "x=1")));
        assert_eq!(split("`a=b"), None);
    }
}
