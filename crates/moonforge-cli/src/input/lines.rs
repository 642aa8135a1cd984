//! Lines of a file that nobody vouches for.

use std::io::{self, BufRead, Read};

use super::MAX_BYTES;

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line, with its end where it has one.
    Text,
    /// A line of more than [`MAX_BYTES`], which was passed over.
    TooLong,
    /// There are no more.
    End,
}

/// Reads the next line into `line`, which is empty unless that is [`Line::Text`].
pub(crate) fn next_line(source: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Line> {
    line.clear();
    let mut most = source.by_ref().take(MAX_BYTES as u64 + 1);
    if most.read_until(b'\n', line)? == 0 {
        return Ok(Line::End);
    }
    if line.len() <= MAX_BYTES || line.ends_with(b"\n") {
        return Ok(Line::Text);
    }
    source.skip_until(b'\n')?;
    line.clear();
    Ok(Line::TooLong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_up_to_the_limit_and_passed_over_beyond() {
        let (fits, over) = ("x".repeat(MAX_BYTES), "y".repeat(MAX_BYTES + 1));
        let text = format!("a\n\n{fits}\n{over}\nb\r\n{over}z\n{fits}");
        let mut source = io::BufReader::new(text.as_bytes());
        let mut line = Vec::new();
        let mut read = Vec::new();
        loop {
            match next_line(&mut source, &mut line).unwrap() {
                Line::End => break,
                what => read.push((what, line.len())),
            }
        }
        let expected = [
            (Line::Text, 2),
            (Line::Text, 1),
            (Line::Text, MAX_BYTES + 1),
            (Line::TooLong, 0),
            (Line::Text, 3),
            (Line::TooLong, 0),
            (Line::Text, MAX_BYTES),
        ];
        assert_eq!(read, expected);
    }
}
