//! How a command fails.

use std::error::Error;

use serde_json::{Map, Value};

/// The exit code of a command that failed.
const FAILED: u8 = 1;
/// The exit code of a call that makes no sense.
pub(crate) const USAGE: u8 = 2;

/// Why a command failed: a stable code for scripts, and a sentence for a person.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) exit: u8,
    /// What had been done before, for scripts.
    pub(crate) report: Map<String, Value>,
}

impl Failure {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            exit: FAILED,
            report: Map::new(),
        }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            exit: USAGE,
            ..Self::new("usage", message)
        }
    }

    /// Something outside the database can't be read or written.
    pub(crate) fn io(what: &str, error: &std::io::Error) -> Self {
        Self::new("io", format!("{what}: {error}"))
    }
}

impl From<moonforge::Error> for Failure {
    fn from(error: moonforge::Error) -> Self {
        let mut message = error.to_string();
        // Of what has no sentence of its own the causes say what happened.
        if error.code() == "database" {
            let mut next = error.source();
            while let Some(cause) = next {
                let said = cause.to_string();
                // A layer that adds no words of its own repeats those below.
                if !message.ends_with(&said) {
                    message = format!("{message}: {said}");
                }
                next = cause.source();
            }
        }
        Self::new(error.code(), message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_without_a_sentence_of_its_own_tells_its_causes() {
        let cause = std::io::Error::other("(code: 778) disk I/O error");
        let error = moonforge::Error::from(moonforge::StoreError::Sqlite(Box::new(cause)));
        let failure = Failure::from(error);
        assert_eq!(failure.code, "database");
        let message = "the database failed: (code: 778) disk I/O error";
        assert_eq!(failure.message, message);
    }
}
