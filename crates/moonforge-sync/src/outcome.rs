//! The outcome table of a commit: one total match, and a test for each of its rows.

use moonforge_model::ParkReason;
use moonforge_ports::{RemoteError, RemoteErrorKind};

/// What the remote answered to a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// 200.
    Applied,
    /// It never left.
    NeverLeft,
    /// It may be applied, now or later: cut, timeout, 409 ABORTED, 429, 499, 500, 503, 504.
    Undecided,
    /// 429 on a body over 1 MB: too much at once, rather than too often.
    TooMuchAtOnce,
    /// 401.
    Unauthenticated,
    /// 403, FAILED_PRECONDITION, 404, ALREADY_EXISTS: what a stale write looks like, and a denied one too.
    StaleOrDenied,
    /// 400 INVALID_ARGUMENT.
    Invalid,
    /// 413.
    TooLarge,
}

/// What a look at the document showed, after an answer that needs one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Look {
    /// None was made.
    None,
    /// A version newer than the failed write's own precondition (or its absence, where it named a version).
    Newer,
    /// A newer version that its model can't be read from.
    Unreadable,
    /// What the write was built on.
    Unchanged,
    /// The look itself was denied.
    Denied,
}

/// How many documents were in the failed commit, and whether this one failed alone before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Company {
    /// Several.
    Batch,
    /// One, unchanged for the first time in this run.
    Alone,
    /// One, and it was unchanged before in this run.
    AloneAgain,
}

/// What becomes of the marks that this attempt made. Earlier ones only the door takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Marks {
    /// They stay: it may be applied.
    Stay,
    /// They go: it was not applied and never will be.
    Go,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Next {
    /// The answer is a look: through the door.
    Door,
    /// Wait as backoff and `Retry-After` say, then send again.
    Backoff,
    /// The same documents in smaller commits.
    Halve,
    /// A fresh token, once; then wait for the person to sign in.
    Refresh,
    /// Look at the documents.
    Look,
    /// The look went through the door; send what is left.
    Again,
    /// Split, to find the one that fails.
    Bisect,
    /// Keep it for a person.
    Park(ParkReason),
}

/// The table.
pub fn outcome(answer: Answer, look: Look, company: Company) -> (Next, Marks) {
    use Company::{Alone, AloneAgain, Batch};
    match (answer, look, company) {
        (
            Answer::Applied,
            Look::None | Look::Newer | Look::Unreadable | Look::Unchanged | Look::Denied,
            Batch | Alone | AloneAgain,
        ) => (Next::Door, Marks::Stay),
        (
            Answer::NeverLeft,
            Look::None | Look::Newer | Look::Unreadable | Look::Unchanged | Look::Denied,
            Batch | Alone | AloneAgain,
        ) => (Next::Backoff, Marks::Go),
        (
            Answer::Undecided,
            Look::None | Look::Newer | Look::Unreadable | Look::Unchanged | Look::Denied,
            Batch | Alone | AloneAgain,
        ) => (Next::Backoff, Marks::Stay),
        (
            Answer::TooMuchAtOnce,
            Look::None | Look::Newer | Look::Unreadable | Look::Unchanged | Look::Denied,
            Batch,
        ) => (Next::Halve, Marks::Stay),
        (
            Answer::TooMuchAtOnce,
            Look::None | Look::Newer | Look::Unreadable | Look::Unchanged | Look::Denied,
            Alone | AloneAgain,
        ) => (Next::Backoff, Marks::Stay),
        (
            Answer::Unauthenticated,
            Look::None | Look::Newer | Look::Unreadable | Look::Unchanged | Look::Denied,
            Batch | Alone | AloneAgain,
        ) => (Next::Refresh, Marks::Go),
        (Answer::StaleOrDenied, Look::None, Batch | Alone | AloneAgain) => (Next::Look, Marks::Go),
        (Answer::StaleOrDenied, Look::Newer, Batch | Alone | AloneAgain) => {
            (Next::Again, Marks::Go)
        }
        (Answer::StaleOrDenied, Look::Unreadable, Batch | Alone | AloneAgain) => {
            (Next::Park(ParkReason::Invalid), Marks::Go)
        }
        (Answer::StaleOrDenied, Look::Unchanged, Batch) => (Next::Bisect, Marks::Go),
        (Answer::StaleOrDenied, Look::Unchanged, Alone) => (Next::Again, Marks::Go),
        (Answer::StaleOrDenied, Look::Unchanged, AloneAgain) => {
            (Next::Park(ParkReason::Denied), Marks::Go)
        }
        (Answer::StaleOrDenied, Look::Denied, Batch) => (Next::Bisect, Marks::Go),
        (Answer::StaleOrDenied, Look::Denied, Alone | AloneAgain) => {
            (Next::Park(ParkReason::Denied), Marks::Go)
        }
        (
            Answer::Invalid | Answer::TooLarge,
            Look::None | Look::Newer | Look::Unreadable | Look::Unchanged | Look::Denied,
            Batch,
        ) => (Next::Bisect, Marks::Go),
        (
            Answer::Invalid,
            Look::None | Look::Newer | Look::Unreadable | Look::Unchanged | Look::Denied,
            Alone | AloneAgain,
        ) => (Next::Park(ParkReason::Invalid), Marks::Go),
        (
            Answer::TooLarge,
            Look::None | Look::Newer | Look::Unreadable | Look::Unchanged | Look::Denied,
            Alone | AloneAgain,
        ) => (Next::Park(ParkReason::TooLarge), Marks::Go),
    }
}

/// A body of more than this is "too much at once" when the remote answers 429.
const MUCH: usize = 1_000_000;

/// Which row of the table a failure is in.
pub(crate) fn answer_of(error: &RemoteError, bytes: usize) -> Answer {
    match error.kind {
        RemoteErrorKind::NeverSent => Answer::NeverLeft,
        RemoteErrorKind::ResourceExhausted if bytes > MUCH => Answer::TooMuchAtOnce,
        RemoteErrorKind::NoAnswer
        | RemoteErrorKind::Aborted
        | RemoteErrorKind::ResourceExhausted
        | RemoteErrorKind::Cancelled
        | RemoteErrorKind::Internal
        | RemoteErrorKind::Unavailable
        | RemoteErrorKind::DeadlineExceeded => Answer::Undecided,
        RemoteErrorKind::Unauthenticated => Answer::Unauthenticated,
        RemoteErrorKind::PermissionDenied
        | RemoteErrorKind::FailedPrecondition
        | RemoteErrorKind::NotFound
        | RemoteErrorKind::AlreadyExists => Answer::StaleOrDenied,
        RemoteErrorKind::InvalidArgument => Answer::Invalid,
        RemoteErrorKind::TooLarge => Answer::TooLarge,
    }
}
