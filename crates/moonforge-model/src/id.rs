//! Names of documents: ids, collections, and the pair of both.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest id or field name that Firestore takes, in bytes.
pub const MAX_NAME_BYTES: usize = 1500;

/// Why a text can't be a document id or a collection's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// The text has no characters.
    #[error("an id can't be empty")]
    Empty,
    /// More than [`MAX_NAME_BYTES`] bytes.
    #[error("an id can have at most 1500 bytes, this one has {0}")]
    TooLong(usize),
    /// `/` separates ids in a path.
    #[error("an id can't contain `/`: {0}")]
    Slash(String),
    /// `.`, `..` and `__name__` are reserved by Firestore.
    #[error("`{0}` is reserved by Firestore")]
    Reserved(String),
    /// NUL and other control characters.
    #[error("an id can't contain control characters")]
    Control,
}

fn check_name(text: &str) -> Result<(), InvalidName> {
    if text.is_empty() {
        return Err(InvalidName::Empty);
    }
    if text.len() > MAX_NAME_BYTES {
        return Err(InvalidName::TooLong(text.len()));
    }
    if text.contains('/') {
        return Err(InvalidName::Slash(text.to_owned()));
    }
    if text == "." || text == ".." || is_dunder(text) {
        return Err(InvalidName::Reserved(text.to_owned()));
    }
    if text.chars().any(char::is_control) {
        return Err(InvalidName::Control);
    }
    Ok(())
}

/// Whether a name has the form `__x__`, which Firestore keeps for itself.
pub(crate) fn is_dunder(text: &str) -> bool {
    text.len() >= 4 && text.starts_with("__") && text.ends_with("__")
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks and takes a text.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
                let text = text.into();
                check_name(&text)?;
                Ok(Self(text.into_boxed_str()))
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.into()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name_type! {
    /// A document's id: any id that Firestore takes, a UUIDv7 where Moonforge makes it.
    ///
    /// ```
    /// use moonforge_model::DocId;
    /// assert!(DocId::new("goblin-17").is_ok());
    /// assert!(DocId::new("a/b").is_err());
    /// ```
    DocId
}

name_type! {
    /// A collection's name, such as `scenes`.
    Collection
}

/// One document's place: a collection and an id in it. Prints as `scenes/abc`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DocRef {
    /// The collection.
    pub collection: Collection,
    /// The id in it.
    pub id: DocId,
}

impl DocRef {
    /// The document `id` of `collection`.
    pub fn new(collection: Collection, id: DocId) -> Self {
        Self { collection, id }
    }

    /// Checks and takes both names.
    pub fn parse(collection: &str, id: &str) -> Result<Self, InvalidName> {
        Ok(Self {
            collection: Collection::new(collection)?,
            id: DocId::new(id)?,
        })
    }
}

impl fmt::Display for DocRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.collection, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_what_firestore_takes() {
        for good in [
            "a",
            "é",
            "Ash Road",
            "x~y",
            "a.b",
            "___",
            "`",
            &"x".repeat(1500),
        ] {
            assert!(DocId::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "__x__",
            "____",
            "a\0b",
            &"x".repeat(1501),
        ] {
            assert!(DocId::new(bad).is_err(), "{bad}");
        }
    }
}
