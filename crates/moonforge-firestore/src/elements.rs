//! The elements of a JSON array, one by one, while it is still arriving.

use std::mem;

/// Finds where each element of a top-level array of objects ends, so that one at a time can be parsed and the rest needn't
/// be held. It counts brackets outside of strings and checks no more than that: the parser sees each element anyway.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were looked at.
    scanned: usize,
    /// Where in it the element that is being looked at begins.
    start: usize,
    state: State,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Before,
    Between,
    Inside,
    After,
}

/// The text isn't an array of objects. Holds what was there in its place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotAnArray(pub(crate) Vec<u8>);

impl Splitter {
    /// Takes more of the text.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let done = if self.state == State::Inside {
            self.start
        } else {
            self.scanned
        };
        self.buffer.drain(..done);
        self.scanned -= done;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next element that is here whole, as JSON text.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, NotAnArray> {
        while let Some(&byte) = self.buffer.get(self.scanned) {
            self.scanned += 1;
            match (self.state, byte) {
                (State::Inside, _) => {
                    if self.closes(byte) {
                        self.state = State::Between;
                        return Ok(Some(&self.buffer[self.start..self.scanned]));
                    }
                    continue;
                }
                (_, b' ' | b'\t' | b'\r' | b'\n') => {}
                (State::Before, b'[') => self.state = State::Between,
                (State::Between, b',') => {}
                (State::Between, b']') => self.state = State::After,
                (State::Between, b'{') => {
                    self.state = State::Inside;
                    self.depth = 1;
                    self.start = self.scanned - 1;
                }
                _ => return Err(NotAnArray(self.buffer.split_off(self.scanned - 1))),
            }
        }
        Ok(None)
    }

    /// How many bytes of an element whose end isn't here yet are held.
    pub(crate) fn held(&self) -> usize {
        match self.state {
            State::Inside => self.buffer.len() - self.start,
            State::Before | State::Between | State::After => 0,
        }
    }

    /// Whether the array's end was seen.
    pub(crate) fn is_whole(&self) -> bool {
        self.state == State::After
    }

    /// Whether `byte` ends the element that is being looked at.
    fn closes(&mut self, byte: u8) -> bool {
        if mem::take(&mut self.escaped) {
            return false;
        }
        match byte {
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            b'{' | b'[' if !self.in_string => self.depth += 1,
            b'}' | b']' if !self.in_string => self.depth -= 1,
            _ => {}
        }
        self.depth == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// All elements of a text that comes in pieces of `size` bytes, and whether the array was closed.
    fn split(text: &str, size: usize) -> Result<(Vec<Value>, bool), NotAnArray> {
        let mut splitter = Splitter::default();
        let mut elements = Vec::new();
        for piece in text.as_bytes().chunks(size) {
            splitter.push(piece);
            while let Some(element) = splitter.next()? {
                elements.push(serde_json::from_slice(element).unwrap());
            }
        }
        Ok((elements, splitter.is_whole()))
    }

    #[test]
    fn brackets_in_strings_end_nothing() {
        let array = json!([{"a": "}]\\\"{["}, {}, {"b": [{"c": "\\"}, [[]]]}]);
        for size in 1..9 {
            for text in [
                array.to_string(),
                serde_json::to_string_pretty(&array).unwrap(),
            ] {
                let (elements, whole) = split(&text, size).unwrap();
                assert_eq!((Value::from(elements), whole), (array.clone(), true));
            }
        }
        assert_eq!(split(" [ ] \n", 1), Ok((vec![], true)));
    }

    #[test]
    fn an_array_that_was_cut_is_not_whole() {
        let text = json!([{"a": 1}, {"b": "]"}]).to_string();
        for cut in 0..text.len() {
            let (elements, whole) = split(&text[..cut], 3).unwrap();
            assert!(elements.len() <= 2 && !whole, "{cut}");
        }
    }

    #[test]
    fn what_is_no_array_of_objects_is_refused() {
        for text in ["<html>", "{}", "[1]", "[\"x\"]", "[{}] x", "\u{feff}[]"] {
            assert!(split(text, 2).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_objects_come_out_as_they_went_in(
            texts in prop::collection::vec((any::<String>(), any::<String>()), 0..6),
            size in 1usize..40,
        ) {
            let array = Value::Array(texts.iter().map(|(k, v)| json!({k: {"x": [v, {"[": k}]}})).collect());
            let (elements, whole) = split(&array.to_string(), size).unwrap();
            prop_assert!(whole);
            prop_assert_eq!(Value::from(elements), array);
        }
    }
}
