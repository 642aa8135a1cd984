//! What goes wrong with a request.

use std::time::Duration;

use moonforge_testkit::proxy::{Fault, Reply};

/// Longer than a device of the table waits for an answer, or for the next piece of one.
const FOR_GOOD: Duration = Duration::from_secs(16);

/// A kind of fault.
pub(crate) struct Kind {
    /// As the table says it.
    pub(crate) words: &'static str,
    pub(crate) what: What,
}

pub(crate) enum What {
    /// The proxy does this to the request.
    Strikes(Fault),
    /// Nobody listens when the request is to leave; only the next run finds somebody.
    Refused,
    /// All is well: what the others are compared with.
    Nothing,
}

/// All kinds, "none" first, then in the order of what becomes of the request.
pub(crate) fn kinds() -> Vec<Kind> {
    let strikes = |words, fault| Kind {
        words,
        what: What::Strikes(fault),
    };
    let status = |words, code, status| strikes(words, Fault::Status(Reply::error(code, status)));
    let later = |words, code, status| {
        let reply = Reply::error(code, status).header("Retry-After", "1");
        strikes(words, Fault::Status(reply))
    };
    let redirect = Reply {
        code: 302,
        headers: vec![("Location".to_owned(), "http://127.0.0.1:9/".to_owned())],
        body: String::new(),
    };
    vec![
        Kind {
            words: "none: requests",
            what: What::Nothing,
        },
        Kind {
            words: "connection refused",
            what: What::Refused,
        },
        strikes("connection reset", Fault::Reset),
        strikes("cut before the request was sent on", Fault::Drop),
        strikes("carried out, cut without an answer", Fault::LoseAnswer),
        strikes(
            "cut, and carried out after the next try",
            Fault::DeliverLate(Duration::from_millis(400)),
        ),
        strikes("carried out twice, the second answer told", Fault::Twice),
        strikes(
            "carried out, cut in the answer's headers",
            Fault::CutHead(25),
        ),
        strikes("carried out, cut in the answer's body", Fault::Cut(40)),
        strikes(
            "carried out, the answer's body shortened",
            Fault::Truncate(40),
        ),
        strikes("carried out, no answer in time", Fault::Stall(FOR_GOOD)),
        strikes(
            "carried out, the answer stops midway",
            Fault::StallBody(30, FOR_GOOD),
        ),
        strikes(
            "the answer trickles",
            Fault::Trickle(200, Duration::from_millis(5)),
        ),
        later("429 with `Retry-After`", 429, "RESOURCE_EXHAUSTED"),
        status("429 without", 429, "RESOURCE_EXHAUSTED"),
        status("500", 500, "INTERNAL"),
        later("503 with `Retry-After`", 503, "UNAVAILABLE"),
        strikes(
            "carried out, 503 told",
            Fault::StatusAfter(Reply::error(503, "UNAVAILABLE")),
        ),
        strikes(
            "carried out, 504 told",
            Fault::StatusAfter(Reply::error(504, "DEADLINE_EXCEEDED")),
        ),
        status("409 `ABORTED`", 409, "ABORTED"),
        status("401, and the token can be renewed", 401, "UNAUTHENTICATED"),
        strikes("200 with a sign-in page", Fault::Html),
        strikes("302 to elsewhere", Fault::Status(redirect)),
        strikes(
            "200 with broken JSON",
            Fault::Status(Reply::garbage("[{\"found\":")),
        ),
        strikes(
            "200 with another server's JSON",
            Fault::Status(Reply::garbage("{\"ok\":true}")),
        ),
        strikes("200 with an empty body", Fault::Status(Reply::garbage(""))),
        strikes(
            "carried out, 200 with an empty body",
            Fault::StatusAfter(Reply::garbage("")),
        ),
    ]
}
