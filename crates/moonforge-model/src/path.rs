//! Paths to fields inside a document.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::{MAX_NAME_BYTES, is_dunder};

/// Deepest nesting that Firestore takes.
pub const MAX_DEPTH: usize = 20;

/// A path to a field: `title`, `props.gold`, ``props.`odd name` ``.
///
/// Segments that match `[A-Za-z_][A-Za-z_0-9]*` are written bare, all others in backticks with `` \` `` and `\\` escaped:
/// the form of Firestore's field masks. (Unquoted, a field named `a.b` would silently address `b` inside `a`.)
///
/// ```
/// use moonforge_model::FieldPath;
/// let path: FieldPath = "props.`a.b`".parse().unwrap();
/// assert_eq!(path.segments(), ["props", "a.b"]);
/// assert_eq!(path.to_string(), "props.`a.b`");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(Vec<String>);

/// Why a text or a list of names can't be a field path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    /// A segment between two dots, or the whole, is empty.
    #[error("a field name can't be empty")]
    Empty,
    /// A backtick is missing, or stands where a dot was expected.
    #[error("unbalanced backticks in the path `{0}`")]
    Backticks(String),
    /// A bare segment holds what needs backticks.
    #[error("the name `{0}` needs backticks around it")]
    NeedsBackticks(String),
    /// `__x__` is reserved by Firestore.
    #[error("the field name `{0}` is reserved by Firestore")]
    Reserved(String),
    /// A name of more than 1,500 bytes.
    #[error("a field name can have at most 1500 bytes")]
    TooLong,
    /// More than 20 segments.
    #[error("a path can go at most {MAX_DEPTH} levels deep")]
    TooDeep,
}

impl FieldPath {
    /// A path of the given names, outermost first.
    pub fn new<S: Into<String>>(
        segments: impl IntoIterator<Item = S>,
    ) -> Result<Self, InvalidPath> {
        let segments: Vec<String> = segments.into_iter().map(Into::into).collect();
        if segments.is_empty() {
            return Err(InvalidPath::Empty);
        }
        if segments.len() > MAX_DEPTH {
            return Err(InvalidPath::TooDeep);
        }
        segments.iter().try_for_each(|s| check_field_name(s))?;
        Ok(Self(segments))
    }

    /// A path of one segment that is known to be a plain name.
    pub fn field(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }

    /// The names, outermost first; never empty.
    pub fn segments(&self) -> &[String] {
        &self.0
    }

    /// The outermost name.
    pub fn root(&self) -> &str {
        &self.0[0]
    }

    /// This path and one name more.
    pub fn child(&self, name: &str) -> Self {
        let mut segments = self.0.clone();
        segments.push(name.to_owned());
        Self(segments)
    }

    /// The path without its last name, if anything is left.
    pub fn parent(&self) -> Option<Self> {
        (self.0.len() > 1).then(|| Self(self.0[..self.0.len() - 1].to_vec()))
    }

    /// Whether `other` is this path or lies below it.
    pub fn covers(&self, other: &FieldPath) -> bool {
        other.0.starts_with(&self.0)
    }

    /// Whether one of the two covers the other.
    pub fn overlaps(&self, other: &FieldPath) -> bool {
        self.covers(other) || other.covers(self)
    }
}

/// Whether a name can stand in a document: not empty, not `__x__`, not too long.
pub(crate) fn check_field_name(name: &str) -> Result<(), InvalidPath> {
    if name.is_empty() {
        Err(InvalidPath::Empty)
    } else if is_dunder(name) {
        Err(InvalidPath::Reserved(name.to_owned()))
    } else if name.len() > MAX_NAME_BYTES {
        Err(InvalidPath::TooLong)
    } else {
        Ok(())
    }
}

fn is_bare(segment: &str) -> bool {
    let mut chars = segment.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            if is_bare(segment) {
                f.write_str(segment)?;
            } else {
                write!(f, "`{}`", segment.replace('\\', "\\\\").replace('`', "\\`"))?;
            }
        }
        Ok(())
    }
}

impl FromStr for FieldPath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        let mut segments = Vec::new();
        let mut chars = text.chars().peekable();
        loop {
            let mut segment = String::new();
            if chars.peek() == Some(&'`') {
                chars.next();
                loop {
                    match chars.next() {
                        Some('`') => break,
                        Some('\\') => segment.push(
                            chars
                                .next()
                                .ok_or_else(|| InvalidPath::Backticks(text.to_owned()))?,
                        ),
                        Some(c) => segment.push(c),
                        None => return Err(InvalidPath::Backticks(text.to_owned())),
                    }
                }
            } else {
                while let Some(&c) = chars.peek() {
                    if c == '.' {
                        break;
                    }
                    segment.push(c);
                    chars.next();
                }
                // A bare name may hold letters of any script and dashes, which people type; only what would be
                // ambiguous in a path is refused.
                if segment.contains(['`', '\\']) {
                    return Err(InvalidPath::NeedsBackticks(segment));
                }
            }
            segments.push(segment);
            match chars.next() {
                None => return Self::new(segments),
                Some('.') => {}
                Some(_) => return Err(InvalidPath::Backticks(text.to_owned())),
            }
        }
    }
}

impl Serialize for FieldPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FieldPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn odd_names_are_quoted() {
        let path = FieldPath::new(["props", "a.b", "`\\"]).unwrap();
        assert_eq!(path.to_string(), r"props.`a.b`.`\`\\`");
    }

    #[test]
    fn bad_paths_are_refused() {
        for bad in [
            "", ".", "a.", ".a", "a..b", "`a", "`a`b", "a`b", "__name__", "``",
        ] {
            assert!(bad.parse::<FieldPath>().is_err(), "{bad}");
        }
    }

    #[test]
    fn covering_is_by_whole_names() {
        let p = |t: &str| t.parse::<FieldPath>().unwrap();
        assert!(p("a").covers(&p("a.b")) && p("a").covers(&p("a")));
        assert!(!p("a").covers(&p("ab")) && !p("a.b").covers(&p("a")));
    }

    proptest! {
        #[test]
        fn text_form_names_the_same_path(segments in prop::collection::vec("\\PC{1,8}", 1..5)) {
            if let Ok(path) = FieldPath::new(segments) {
                prop_assert_eq!(path.to_string().parse::<FieldPath>().unwrap(), path);
            }
        }
    }
}
