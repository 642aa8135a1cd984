//! What an answer that says "no" means. Decided on `status`, never on the message.

use std::time::Duration;

use moonforge_ports::{RemoteError, RemoteErrorKind as Kind};
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use serde::Deserialize;
use serde_json::Value;
use time::PrimitiveDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// The error in Google's APIs' answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ErrorBody {
    code: u16,
    message: String,
    status: String,
    details: Vec<Value>,
}

/// `{"error": …}`, as the emulator and single-answer methods send it, or `[{"error": …}]`, as production's streaming
/// methods do.
#[derive(Deserialize)]
#[serde(untagged)]
enum Envelope {
    One { error: ErrorBody },
    Many([Element; 1]),
}

#[derive(Deserialize)]
struct Element {
    error: ErrorBody,
}

/// The error of an answer whose HTTP status isn't 200.
pub(crate) fn of_answer(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> RemoteError {
    let told = match serde_json::from_slice(body) {
        Ok(Envelope::One { error } | Envelope::Many([Element { error }])) => Some(error),
        Err(_) => None,
    };
    let error = match told {
        _ if status == StatusCode::PAYLOAD_TOO_LARGE => {
            let message = told.map_or_else(|| "the request is too large".to_owned(), |e| e.message);
            RemoteError::new(Kind::TooLarge, message)
        }
        Some(error) => of_body(ErrorBody {
            code: status.as_u16(),
            ..error
        }),
        // Google's front ends, and proxies before them, send these without the protocol's body. Other statuses without
        // it don't come from Firestore at all.
        None => match status.as_u16() {
            429 => RemoteError::new(Kind::ResourceExhausted, format!("HTTP {status}")),
            499 => RemoteError::new(Kind::Cancelled, format!("HTTP {status}")),
            500 => RemoteError::new(Kind::Internal, format!("HTTP {status}")),
            502 | 503 => RemoteError::new(Kind::Unavailable, format!("HTTP {status}")),
            504 => RemoteError::new(Kind::DeadlineExceeded, format!("HTTP {status}")),
            _ => not_the_protocols(&format!("HTTP {status}"), body),
        },
    };
    let wait = error.retry_after.max(retry_after(headers));
    error.with_retry_after(wait)
}

/// The error inside a streamed answer.
pub(crate) fn of_body(error: ErrorBody) -> RemoteError {
    let kind = kind_of(&error.status).unwrap_or(match error.code {
        401 => Kind::Unauthenticated,
        403 => Kind::PermissionDenied,
        404 => Kind::NotFound,
        // Undecided is the safe reading of a 409 that doesn't say which.
        409 => Kind::Aborted,
        413 => Kind::TooLarge,
        429 => Kind::ResourceExhausted,
        499 => Kind::Cancelled,
        502 | 503 => Kind::Unavailable,
        504 => Kind::DeadlineExceeded,
        400..=499 => Kind::InvalidArgument,
        _ => Kind::Internal,
    });
    let wait = retry_info(&error.details);
    let message = match error.message.is_empty() {
        true => format!("HTTP {} {}", error.code, error.status),
        false => error.message,
    };
    RemoteError::new(kind, message).with_retry_after(wait)
}

/// The error for what came in place of Firestore's JSON: a captive portal's page, another server's answer.
pub(crate) fn not_the_protocols(what: &str, body: &[u8]) -> RemoteError {
    let start = body.trim_ascii_start();
    let shape = match start.first() {
        None => "an empty body",
        Some(b'<') => "a web page; is there a sign-in page between this device and the network?",
        Some(_) => "something that isn't Firestore's JSON",
    };
    RemoteError::new(
        Kind::NoAnswer,
        format!("the answer isn't Firestore's: {what} with {shape}"),
    )
}

fn kind_of(status: &str) -> Option<Kind> {
    Some(match status {
        "ABORTED" => Kind::Aborted,
        "RESOURCE_EXHAUSTED" => Kind::ResourceExhausted,
        "CANCELLED" => Kind::Cancelled,
        "INTERNAL" | "UNKNOWN" | "DATA_LOSS" => Kind::Internal,
        "UNAVAILABLE" => Kind::Unavailable,
        "DEADLINE_EXCEEDED" => Kind::DeadlineExceeded,
        "UNAUTHENTICATED" => Kind::Unauthenticated,
        "PERMISSION_DENIED" => Kind::PermissionDenied,
        "FAILED_PRECONDITION" => Kind::FailedPrecondition,
        "NOT_FOUND" => Kind::NotFound,
        "ALREADY_EXISTS" => Kind::AlreadyExists,
        "INVALID_ARGUMENT" | "OUT_OF_RANGE" | "UNIMPLEMENTED" => Kind::InvalidArgument,
        _ => return None,
    })
}

/// `RetryInfo` among an error's details: `{"retryDelay": "3.5s"}`.
fn retry_info(details: &[Value]) -> Option<Duration> {
    let delay = details
        .iter()
        .find_map(|detail| detail.get("retryDelay")?.as_str())?;
    let seconds: f64 = delay.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// `Retry-After` in seconds, or as a date, which is measured from the answer's own `Date`: no clock of ours is needed.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let span = http_date(headers, RETRY_AFTER)? - http_date(headers, DATE)?;
            Some(Duration::try_from(span).unwrap_or_default())
        }
    }
}

fn http_date(headers: &HeaderMap, name: HeaderName) -> Option<PrimitiveDateTime> {
    const FORM: &[BorrowedFormatItem<'_>] = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    PrimitiveDateTime::parse(headers.get(name)?.to_str().ok()?.trim(), FORM).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(code: u16, headers: &[(&'static str, &str)], body: &str) -> RemoteError {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        of_answer(
            StatusCode::from_u16(code).unwrap(),
            &headers.collect(),
            body.as_bytes(),
        )
    }

    #[test]
    fn both_shapes_of_errors_are_read_by_their_status() {
        for (code, status, kind) in [
            (409, "ABORTED", Kind::Aborted),
            (409, "ALREADY_EXISTS", Kind::AlreadyExists),
            (429, "RESOURCE_EXHAUSTED", Kind::ResourceExhausted),
            (499, "CANCELLED", Kind::Cancelled),
            (500, "INTERNAL", Kind::Internal),
            (500, "UNKNOWN", Kind::Internal),
            (500, "DATA_LOSS", Kind::Internal),
            (503, "UNAVAILABLE", Kind::Unavailable),
            (504, "DEADLINE_EXCEEDED", Kind::DeadlineExceeded),
            (401, "UNAUTHENTICATED", Kind::Unauthenticated),
            (403, "PERMISSION_DENIED", Kind::PermissionDenied),
            (400, "FAILED_PRECONDITION", Kind::FailedPrecondition),
            (400, "INVALID_ARGUMENT", Kind::InvalidArgument),
            (400, "OUT_OF_RANGE", Kind::InvalidArgument),
            (501, "UNIMPLEMENTED", Kind::InvalidArgument),
            (404, "NOT_FOUND", Kind::NotFound),
        ] {
            let body = json!({"error": {"code": code, "message": "because", "status": status}});
            for body in [body.to_string(), json!([body]).to_string()] {
                let error = answer(code, &[], &body);
                assert_eq!(
                    (error.kind, error.message.as_str()),
                    (kind, "because"),
                    "{body}"
                );
            }
        }
    }

    #[test]
    fn without_a_known_status_the_code_decides() {
        for (code, kind) in [
            (400, Kind::InvalidArgument),
            (401, Kind::Unauthenticated),
            (403, Kind::PermissionDenied),
            (404, Kind::NotFound),
            (409, Kind::Aborted),
            (418, Kind::InvalidArgument),
            (429, Kind::ResourceExhausted),
            (500, Kind::Internal),
            (503, Kind::Unavailable),
        ] {
            let body = json!({"error": {"code": code, "status": "NEW_KIND"}}).to_string();
            assert_eq!(answer(code, &[], &body).kind, kind, "{code}");
        }
    }

    #[test]
    fn a_page_in_place_of_the_protocol_is_no_answer() {
        let page = "<!doctype html><title>Welcome to our network</title>";
        for code in [302, 401, 403, 404, 511] {
            let error = answer(code, &[], page);
            assert_eq!(error.kind, Kind::NoAnswer, "{code}");
            assert!(error.message.contains("web page"), "{error}");
        }
        for (code, kind) in [
            (413, Kind::TooLarge),
            (429, Kind::ResourceExhausted),
            (502, Kind::Unavailable),
            (503, Kind::Unavailable),
            (504, Kind::DeadlineExceeded),
        ] {
            assert_eq!(answer(code, &[], page).kind, kind, "{code}");
        }
    }

    #[test]
    fn the_remote_says_how_long_to_wait() {
        let wait =
            |headers: &[(&'static str, &str)], body: &str| answer(429, headers, body).retry_after;
        assert_eq!(
            wait(&[("retry-after", "7")], ""),
            Some(Duration::from_secs(7))
        );
        let date = ("date", "Wed, 21 Oct 2026 07:28:00 GMT");
        let later = ("retry-after", "Wed, 21 Oct 2026 07:29:30 GMT");
        assert_eq!(wait(&[date, later], ""), Some(Duration::from_secs(90)));
        let past = ("retry-after", "Wed, 21 Oct 2026 07:20:00 GMT");
        assert_eq!(wait(&[date, past], ""), Some(Duration::ZERO));
        assert_eq!(wait(&[later], ""), None);
        assert_eq!(wait(&[("retry-after", "soon")], ""), None);
        let body = json!({"error": {"status": "RESOURCE_EXHAUSTED", "details": [
            {"@type": "type.googleapis.com/google.rpc.Help"},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3.5s"},
        ]}});
        assert_eq!(
            wait(&[], &body.to_string()),
            Some(Duration::from_millis(3500))
        );
        assert_eq!(
            wait(&[("retry-after", "7")], &body.to_string()),
            Some(Duration::from_secs(7))
        );
        assert_eq!(wait(&[], ""), None);
    }
}
