//! JSON that is taken as it stands, or not at all.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::output::short;

/// The deepest nesting that is read; what a document may have is much less.
const MAX_DEPTH: usize = 100;

/// Any JSON value, as exactly as it was written: a number that would be rounded is refused, and so is a key that stands
/// twice in one object.
pub(crate) fn parse(text: &str) -> Result<Value, Failure> {
    check_depth_and_integers(text)?;
    serde_json::from_str::<Exact>(text)
        .map(|exact| exact.0)
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

/// A value none of whose objects has a key twice: of those serde_json would keep the last.
struct Exact(Value);

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ExactVisitor).map(Self)
    }
}

struct ExactVisitor;

impl<'de> Visitor<'de> for ExactVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Exact(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            if map.contains_key(&key) {
                let key = short(&Value::String(key), 100);
                return Err(A::Error::custom(format!("the key `{key}` stands twice")));
            }
            let Exact(value) = members.next_value()?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
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
    fn a_value_is_what_serde_json_makes_of_it() {
        for text in [
            "null",
            "[true, false, [], {}]",
            "[0, -0, -0.0, 1.0, 1e3, 18446744073709551615e0, -9223372036854775808, 0.1]",
            r#"{"b": "\u00e9\ud83d\ude00\n", "": 1, "a": {"a": 1}}"#,
        ] {
            let expected: Value = serde_json::from_str(text).unwrap();
            assert_eq!(parse(text).unwrap().to_string(), expected.to_string());
        }
        let failure = parse("{\n\"a\": 1,\n\"a\": 1}").unwrap_err();
        assert!(
            failure.message.contains("`a` stands twice at line 3"),
            "{}",
            failure.message
        );
    }
}
