//! Places among siblings: keys between which there is always room, so that a move is one write.
//!
//! A key's text is an integer part, whose first letter says how many digits it has (`a0` … `az`, `b00` …, and downwards
//! `Zz` … `Z0`, `Yzz` …), and a fraction without a trailing `0`, all in the digits `0-9A-Za-z`, which sort as bytes. So an
//! append raises the integer part, and the key of the millionth is five characters long. Other web clients use the same
//! form (the scheme is known as fractional indexing). Texts of any other form are taken too.
//!
//! Older data has plain numbers for `order`. They sort before all texts, as they do in SQLite and in Firestore, and a
//! place beside or between them is a number again: a list of them never needs rewriting for one move.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::number::as_json;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A place among siblings.
///
/// ```
/// use moonforge_model::OrderKey;
/// let first = OrderKey::between(None, None)?;
/// let last = OrderKey::between(Some(&first), None)?;
/// let middle = OrderKey::between(Some(&first), Some(&last))?;
/// assert!(first < middle && middle < last);
/// # Ok::<(), moonforge_model::NoRoom>(())
/// ```
#[derive(Clone, Debug)]
pub struct OrderKey(Key);

#[derive(Clone, Debug)]
enum Key {
    Number(f64),
    Text(String),
}

/// No key fits between the two: they are equal or in the wrong order, or numbers with nothing between them. Whoever meets
/// this moves one of the two first, or lays out the whole list anew with [`OrderKey::spread`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no place between `{after}` and `{before}`")]
pub struct NoRoom {
    /// The key that the new one should follow.
    pub after: String,
    /// The key that the new one should precede.
    pub before: String,
}

impl OrderKey {
    /// What a document's `order` says; `None` where that is no text and no number.
    pub fn from_json(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::text(text.clone())),
            Value::Number(number) => number.as_f64().map(|n| Self(Key::Number(n))),
            _ => None,
        }
    }

    fn text(text: String) -> Self {
        Self(Key::Text(text))
    }

    /// As it is stored.
    pub fn to_json(&self) -> Value {
        match &self.0 {
            Key::Text(text) => Value::from(text.as_str()),
            Key::Number(number) => as_json(*number),
        }
    }

    /// A key strictly between two; `None` stands for the list's end on that side.
    ///
    /// Two devices that insert at one place get the same key there; their documents then sort by id.
    pub fn between(after: Option<&Self>, before: Option<&Self>) -> Result<Self, NoRoom> {
        let key = match (after.map(|k| &k.0), before.map(|k| &k.0)) {
            (None, None) => Some(Key::Text("a0".to_owned())),
            (Some(Key::Text(a)), None) => Some(Key::Text(above(a))),
            (None, Some(Key::Text(b))) => below(b).map(Key::Text),
            (Some(Key::Text(a)), Some(Key::Text(b))) if a < b => middle(a, b).map(Key::Text),
            (Some(Key::Number(a)), None | Some(Key::Text(_))) => next_number(*a),
            (None, Some(Key::Number(b))) => next_number(-*b).map(negated),
            (Some(Key::Number(a)), Some(Key::Number(b))) => middle_number(*a, *b),
            (Some(Key::Text(_)), Some(_)) => None,
        };
        let said = |key: Option<&Self>| key.map_or_else(String::new, Self::to_string);
        key.map(Self).ok_or_else(|| NoRoom {
            after: said(after),
            before: said(before),
        })
    }

    /// The keys of a list of `count` that is laid out anew: as short as can be, in order.
    pub fn spread(count: usize) -> Vec<Self> {
        let keys = std::iter::successors(Some("a0".to_owned()), |key| Some(above(key)));
        keys.take(count).map(Self::text).collect()
    }
}

fn next_number(after: f64) -> Option<Key> {
    let next = after.floor() + 1.0;
    (next > after).then_some(Key::Number(next))
}

fn negated(key: Key) -> Key {
    match key {
        Key::Number(number) => Key::Number(-number),
        text => text,
    }
}

/// An integer where one fits, for the sake of clients that know nothing else.
fn middle_number(after: f64, before: f64) -> Option<Key> {
    let middle = after + (before - after) / 2.0;
    [middle.floor(), middle.ceil(), middle]
        .into_iter()
        .find(|m| after < *m && *m < before)
        .map(Key::Number)
}

/// How many digits follow the integer part's first letter.
fn digits_after(first: u8) -> Option<usize> {
    match first {
        b'a'..=b'z' => Some(usize::from(first - b'a') + 1),
        b'A'..=b'Z' => Some(usize::from(b'Z' - first) + 1),
        _ => None,
    }
}

/// Integer part and fraction of a key in our form.
fn parse(text: &str) -> Option<(&str, &str)> {
    let sound = text.bytes().all(|b| b.is_ascii_alphanumeric());
    let end = digits_after(*text.as_bytes().first()?)? + 1;
    (sound && text.len() >= end && !(text.len() > end && text.ends_with('0')))
        .then(|| text.split_at(end))
}

fn digit(byte: u8) -> Option<usize> {
    DIGITS.iter().position(|d| *d == byte)
}

/// The next integer part, `None` after the very last.
fn incremented(integer: &str) -> Option<String> {
    let mut bytes = integer.as_bytes().to_vec();
    for place in (1..bytes.len()).rev() {
        let value = digit(bytes[place])?;
        if value + 1 < DIGITS.len() {
            bytes[place] = DIGITS[value + 1];
            return String::from_utf8(bytes).ok();
        }
        bytes[place] = b'0';
    }
    let first = match bytes[0] {
        b'z' => return None,
        b'Z' => b'a',
        other => other + 1,
    };
    Some(filled(first, '0'))
}

/// The integer part before, `None` before the very first.
fn decremented(integer: &str) -> Option<String> {
    let mut bytes = integer.as_bytes().to_vec();
    for place in (1..bytes.len()).rev() {
        let value = digit(bytes[place])?;
        if value > 0 {
            bytes[place] = DIGITS[value - 1];
            return String::from_utf8(bytes).ok();
        }
        bytes[place] = b'z';
    }
    let first = match bytes[0] {
        b'A' => return None,
        b'a' => b'Z',
        other => other - 1,
    };
    Some(filled(first, 'z'))
}

fn filled(first: u8, with: char) -> String {
    let count = digits_after(first).unwrap_or_default();
    std::iter::once(char::from(first))
        .chain(std::iter::repeat_n(with, count))
        .collect()
}

/// A key after `text`.
fn above(text: &str) -> String {
    match parse(text) {
        Some((integer, fraction)) => incremented(integer)
            .unwrap_or_else(|| format!("{integer}{}", fraction_between(fraction, None))),
        // Of another form: the nearest integer part beyond its first letter, so that further ones stay short.
        None => (b'A'..=b'Z')
            .chain(b'a'..=b'z')
            .map(|first| filled(first, '0'))
            .find(|key| key.as_str() > text)
            .unwrap_or_else(|| format!("{text}V")),
    }
}

/// A key before `text`.
fn below(text: &str) -> Option<String> {
    match parse(text) {
        Some((integer, fraction)) => match decremented(integer) {
            Some(_) if !fraction.is_empty() => Some(integer.to_owned()),
            Some(integer) => Some(integer),
            None => middle_of_any("", text),
        },
        None => middle_of_any("", text),
    }
}

/// A key between two texts, the first the lesser.
fn middle(a: &str, b: &str) -> Option<String> {
    let (Some((a_integer, a_fraction)), Some((b_integer, b_fraction))) = (parse(a), parse(b))
    else {
        return middle_of_any(a, b);
    };
    if a_integer == b_integer {
        let fraction = fraction_between(a_fraction, Some(b_fraction));
        return Some(format!("{a_integer}{fraction}"));
    }
    match incremented(a_integer) {
        Some(next) if next.as_str() < b => Some(next),
        _ => Some(format!("{a_integer}{}", fraction_between(a_fraction, None))),
    }
}

/// The fraction half way between two without a trailing `0`, `a < b`; `None` stands for 1.
fn fraction_between(a: &str, b: Option<&str>) -> String {
    let mut out = String::new();
    let (a, mut b) = (a.as_bytes(), b.map(str::as_bytes));
    for place in 0.. {
        let low = a.get(place).copied().and_then(digit).unwrap_or(0);
        let high = match b {
            Some(b) => b.get(place).copied().and_then(digit).unwrap_or(0),
            None => DIGITS.len(),
        };
        if high > low + 1 {
            out.push(char::from(DIGITS[(low + high).div_ceil(2)]));
            break;
        }
        out.push(char::from(DIGITS[low]));
        if high > low {
            // What follows is below b whatever it is.
            b = None;
        }
    }
    out
}

/// A text between two of any form, the first the lesser: it may end in any character.
fn middle_of_any(a: &str, b: &str) -> Option<String> {
    let shared: usize = a
        .chars()
        .zip(b.chars())
        .take_while(|(x, y)| x == y)
        .map(|(x, _)| x.len_utf8())
        .sum();
    let (prefix, a_rest, b_rest) = (&b[..shared], &a[shared..], &b[shared..]);
    let high = b_rest.chars().next()?;
    let low = a_rest.chars().next();
    let between: Vec<char> = (DIGITS[1..].iter().copied().map(char::from))
        .filter(|d| *d < high && low.is_none_or(|low| low < *d))
        .collect();
    if let Some(digit) = between.get(between.len() / 2) {
        return Some(format!("{prefix}{digit}"));
    }
    if low.is_some() {
        // Anything that begins as `a` does is below `b`.
        return Some(format!("{a}V"));
    }
    if b_rest.len() > high.len_utf8() {
        return Some(format!("{prefix}{high}"));
    }
    // `b` is `a` and one character, no greater than the least digit but one.
    let lower = char::from_u32(u32::from(high).checked_sub(1)?)?;
    (lower > ' ').then(|| format!("{prefix}{lower}V"))
}

impl PartialEq for OrderKey {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for OrderKey {}

impl PartialOrd for OrderKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OrderKey {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            // JSON has no NaN; adding zero makes one of the two zeros.
            (Key::Number(a), Key::Number(b)) => (a + 0.0).total_cmp(&(b + 0.0)),
            (Key::Text(a), Key::Text(b)) => a.cmp(b),
            (Key::Number(_), Key::Text(_)) => Ordering::Less,
            (Key::Text(_), Key::Number(_)) => Ordering::Greater,
        }
    }
}

impl fmt::Display for OrderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Key::Number(number) => write!(f, "{number}"),
            Key::Text(text) => f.write_str(text),
        }
    }
}

impl Serialize for OrderKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for OrderKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(&Value::deserialize(deserializer)?)
            .ok_or_else(|| serde::de::Error::custom("a place is a text or a number"))
    }
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
