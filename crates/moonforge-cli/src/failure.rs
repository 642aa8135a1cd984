//! How a command fails.

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
}

impl Failure {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            exit: FAILED,
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
        Self::new(error.code(), error.to_string())
    }
}
