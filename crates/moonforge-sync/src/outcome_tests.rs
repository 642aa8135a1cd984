//! One test a row of the outcome table.

use moonforge_model::ParkReason;
use moonforge_ports::{RemoteError, RemoteErrorKind};

use crate::outcome::{Answer, Company, Look, Marks, Next, answer_of, outcome};

const LOOKS: [Look; 5] = [
    Look::None,
    Look::Newer,
    Look::Unreadable,
    Look::Unchanged,
    Look::Denied,
];
const COMPANIES: [Company; 3] = [Company::Batch, Company::Alone, Company::AloneAgain];

/// The same, whatever a look showed and however many there were.
fn always(answer: Answer, wanted: (Next, Marks)) {
    for look in LOOKS {
        for company in COMPANIES {
            assert_eq!(
                outcome(answer, look, company),
                wanted,
                "{answer:?} {look:?} {company:?}"
            );
        }
    }
}

#[test]
fn an_applied_commit_goes_through_the_door() {
    always(Answer::Applied, (Next::Door, Marks::Stay));
}

#[test]
fn what_never_left_waits_and_loses_its_mark() {
    always(Answer::NeverLeft, (Next::Backoff, Marks::Go));
}

#[test]
fn what_may_be_applied_waits_and_keeps_its_mark() {
    always(Answer::Undecided, (Next::Backoff, Marks::Stay));
}

#[test]
fn a_missing_sign_in_asks_for_a_fresh_token() {
    always(Answer::Unauthenticated, (Next::Refresh, Marks::Go));
}

#[test]
fn too_much_at_once_is_halved_and_alone_it_waits() {
    for look in LOOKS {
        let next = |company| outcome(Answer::TooMuchAtOnce, look, company);
        assert_eq!(next(Company::Batch), (Next::Halve, Marks::Stay));
        assert_eq!(next(Company::Alone), (Next::Backoff, Marks::Stay));
        assert_eq!(next(Company::AloneAgain), (Next::Backoff, Marks::Stay));
    }
}

#[test]
fn a_stale_or_denied_write_is_looked_at() {
    for company in COMPANIES {
        assert_eq!(
            outcome(Answer::StaleOrDenied, Look::None, company),
            (Next::Look, Marks::Go)
        );
    }
}

#[test]
fn a_newer_version_is_met_and_the_rest_sent_again() {
    for company in COMPANIES {
        assert_eq!(
            outcome(Answer::StaleOrDenied, Look::Newer, company),
            (Next::Again, Marks::Go)
        );
    }
}

#[test]
fn a_newer_version_that_cannot_be_read_parks_the_edit() {
    for company in COMPANIES {
        let wanted = (Next::Park(ParkReason::Invalid), Marks::Go);
        assert_eq!(
            outcome(Answer::StaleOrDenied, Look::Unreadable, company),
            wanted
        );
    }
}

#[test]
fn an_unchanged_document_in_a_batch_is_searched_for() {
    let next = outcome(Answer::StaleOrDenied, Look::Unchanged, Company::Batch);
    assert_eq!(next, (Next::Bisect, Marks::Go));
}

#[test]
fn an_unchanged_document_alone_has_a_second_try_and_is_then_parked() {
    let next = |company| outcome(Answer::StaleOrDenied, Look::Unchanged, company);
    assert_eq!(next(Company::Alone), (Next::Again, Marks::Go));
    assert_eq!(
        next(Company::AloneAgain),
        (Next::Park(ParkReason::Denied), Marks::Go)
    );
}

#[test]
fn a_denied_look_in_a_batch_is_searched_for_and_alone_it_parks() {
    let next = |company| outcome(Answer::StaleOrDenied, Look::Denied, company);
    assert_eq!(next(Company::Batch), (Next::Bisect, Marks::Go));
    assert_eq!(
        next(Company::Alone),
        (Next::Park(ParkReason::Denied), Marks::Go)
    );
    assert_eq!(
        next(Company::AloneAgain),
        (Next::Park(ParkReason::Denied), Marks::Go)
    );
}

#[test]
fn what_the_remote_cannot_take_is_searched_for_and_parked() {
    for look in LOOKS {
        for (answer, reason) in [
            (Answer::Invalid, ParkReason::Invalid),
            (Answer::TooLarge, ParkReason::TooLarge),
        ] {
            assert_eq!(
                outcome(answer, look, Company::Batch),
                (Next::Bisect, Marks::Go)
            );
            for company in [Company::Alone, Company::AloneAgain] {
                assert_eq!(
                    outcome(answer, look, company),
                    (Next::Park(reason), Marks::Go)
                );
            }
        }
    }
}

#[test]
fn each_kind_of_error_has_its_row() {
    use RemoteErrorKind as Kind;
    for (kind, bytes, answer) in [
        (Kind::NeverSent, 1, Answer::NeverLeft),
        (Kind::NoAnswer, 1, Answer::Undecided),
        (Kind::Aborted, 1, Answer::Undecided),
        (Kind::ResourceExhausted, 1, Answer::Undecided),
        (Kind::ResourceExhausted, 2_000_000, Answer::TooMuchAtOnce),
        (Kind::Cancelled, 1, Answer::Undecided),
        (Kind::Internal, 1, Answer::Undecided),
        (Kind::Unavailable, 1, Answer::Undecided),
        (Kind::DeadlineExceeded, 1, Answer::Undecided),
        (Kind::Unauthenticated, 1, Answer::Unauthenticated),
        (Kind::PermissionDenied, 1, Answer::StaleOrDenied),
        (Kind::FailedPrecondition, 1, Answer::StaleOrDenied),
        (Kind::NotFound, 1, Answer::StaleOrDenied),
        (Kind::AlreadyExists, 1, Answer::StaleOrDenied),
        (Kind::InvalidArgument, 1, Answer::Invalid),
        (Kind::TooLarge, 1, Answer::TooLarge),
    ] {
        assert_eq!(
            answer_of(&RemoteError::new(kind, ""), bytes),
            answer,
            "{kind:?}"
        );
    }
}
