//! Which requests a fault strikes, and what it does to them.

use std::time::Duration;

use serde_json::json;

/// Requests: by the end of their path, by a text in their body, and by their number among those.
#[derive(Clone, Debug)]
pub struct Matcher {
    suffix: String,
    text: String,
    skip: u32,
    times: u32,
}

impl Matcher {
    /// The first request of any kind.
    pub fn any() -> Self {
        Self::path("")
    }

    /// The first request whose path ends so: `:commit`, `:batchGet`, `:runQuery`.
    pub fn path(suffix: impl Into<String>) -> Self {
        Self {
            suffix: suffix.into(),
            text: String::new(),
            skip: 0,
            times: 1,
        }
    }

    /// Of these, only those whose body has `text` in it, such as a document's name.
    #[must_use]
    pub fn containing(self, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..self
        }
    }

    /// Leaves the first `count` of them alone.
    #[must_use]
    pub fn skip(self, count: u32) -> Self {
        Self {
            skip: count,
            ..self
        }
    }

    /// Strikes `count` of them instead of one.
    #[must_use]
    pub fn times(self, count: u32) -> Self {
        Self {
            times: count,
            ..self
        }
    }

    /// Strikes all of them.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(u32::MAX)
    }

    /// Whether it strikes no request any more.
    pub(super) fn is_spent(&self) -> bool {
        self.times == 0
    }

    /// Whether this request is struck. Counts it if it is one of the matcher's.
    pub(super) fn strikes(&mut self, path: &str, body: &[u8]) -> bool {
        if self.times == 0 || !path.ends_with(&self.suffix) || !contains(body, self.text.as_bytes())
        {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.times -= 1;
        true
    }
}

fn contains(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|window| window == text)
}

/// What goes wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The connection closes; nothing reaches the other side.
    Drop,
    /// The connection is reset; nothing reaches the other side.
    Reset,
    /// The request is carried out, and once more; the second answer is told. So do boxes on the way that repeat what took
    /// long.
    Twice,
    /// The request is carried out; the connection closes in place of the answer.
    LoseAnswer,
    /// The connection closes, and the request is carried out this much later.
    DeliverLate(Duration),
    /// This answer in place of carrying the request out.
    Status(Reply),
    /// The request is carried out, and this is answered.
    StatusAfter(Reply),
    /// The request is carried out; the answer comes this much later.
    Stall(Duration),
    /// The answer's headers and so many bytes of its body come; the rest comes after the pause.
    StallBody(usize, Duration),
    /// The answer's headers come, and its body in pieces of so many bytes with this pause between them.
    Trickle(usize, Duration),
    /// So many bytes of the answer's status line and headers come; then the connection closes.
    CutHead(usize),
    /// The answer's headers and so many bytes of its body come; then the connection closes.
    Cut(usize),
    /// The answer's body ends after so many bytes, and HTTP says that this was all.
    Truncate(usize),
    /// A streamed answer has this error as its last element.
    ErrorElementAtEnd(Reply),
    /// A sign-in page, as hotels have them, in place of carrying the request out.
    Html,
}

/// An answer that isn't the server's.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub code: u16,
    /// Beside those that say how the body travels.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Reply {
    /// Firestore's error `status` (`UNAVAILABLE`) with its HTTP code.
    pub fn error(code: u16, status: &str) -> Self {
        let body =
            json!({"error": {"code": code, "message": "made up by a test", "status": status}});
        Self {
            code,
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            body: body.to_string(),
        }
    }

    /// The same in the array in which production's streaming methods wrap it.
    #[must_use]
    pub fn in_array(self) -> Self {
        Self {
            body: format!("[{}]", self.body),
            ..self
        }
    }

    /// HTTP 200 with a body that isn't Firestore's.
    pub fn garbage(body: &str) -> Self {
        Self {
            code: 200,
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            body: body.to_owned(),
        }
    }

    /// With a header more.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}
