//! A query's answer while it arrives: an array of objects, cut where each of them ends.

/// Holds what has arrived of an array and wasn't taken yet.
#[derive(Debug, Default)]
pub(crate) struct Elements {
    text: Vec<u8>,
    scanned: usize,
    start: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Elements {
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        let done = if self.depth > 0 {
            self.start
        } else {
            self.scanned
        };
        self.text.drain(..done);
        self.scanned -= done;
        self.start = 0;
        self.text.extend_from_slice(chunk);
    }

    /// The next object that is here whole.
    pub(crate) fn next(&mut self) -> Option<&[u8]> {
        while let Some(&byte) = self.text.get(self.scanned) {
            self.scanned += 1;
            if std::mem::take(&mut self.escaped) {
                continue;
            }
            match byte {
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                b'{' if !self.in_string => {
                    if self.depth == 0 {
                        self.start = self.scanned - 1;
                    }
                    self.depth += 1;
                }
                b'}' if !self.in_string => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(&self.text[self.start..self.scanned]);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_come_out_whole_however_they_arrive() {
        let text = r#"[{"a":"}\"{","b":{"c":1}}, {}]"#;
        for size in 1..text.len() {
            let (mut elements, mut found) = (Elements::default(), Vec::new());
            for piece in text.as_bytes().chunks(size) {
                elements.push(piece);
                while let Some(element) = elements.next() {
                    found.push(String::from_utf8_lossy(element).into_owned());
                }
            }
            assert_eq!(found, [r#"{"a":"}\"{","b":{"c":1}}"#, "{}"], "{size}");
        }
    }
}
