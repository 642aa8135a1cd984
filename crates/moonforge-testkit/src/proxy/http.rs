//! Just enough of HTTP/1.1 to take a message in whole and hand it on.

use std::io::{Error, ErrorKind, Result};

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// A request or an answer, its body without transfer coding.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// The request line or status line.
    pub(super) start: String,
    /// Without those that tell how the body travels.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Message {
    /// An answer of our own.
    pub(super) fn answer(status: u16, headers: &[(String, String)], body: &str) -> Self {
        Self {
            start: format!("HTTP/1.1 {status} Fault"),
            headers: headers.to_vec(),
            body: body.as_bytes().to_vec(),
        }
    }

    /// The status of an answer.
    pub(super) fn status(&self) -> Option<u16> {
        self.start.split(' ').nth(1)?.parse().ok()
    }

    /// The method and path of a request.
    pub(super) fn target(&self) -> (&str, &str) {
        let mut words = self.start.split(' ');
        (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        )
    }

    /// All before the body, which is said to have `length` bytes.
    pub(super) fn head(&self, length: usize, connection: &str) -> Vec<u8> {
        let mut head = format!("{}\r\n", self.start);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {length}\r\nConnection: {connection}\r\n\r\n");
        head.into_bytes()
    }

    /// Reads a request; `None` where the connection ends before one begins.
    pub(super) async fn read_request(
        reader: &mut (impl AsyncBufRead + Unpin),
    ) -> Result<Option<Self>> {
        Self::read(reader, false).await
    }

    /// Reads an answer.
    pub(super) async fn read_answer(reader: &mut (impl AsyncBufRead + Unpin)) -> Result<Self> {
        Self::read(reader, true)
            .await?
            .ok_or_else(|| ErrorKind::UnexpectedEof.into())
    }

    async fn read(
        reader: &mut (impl AsyncBufRead + Unpin),
        to_the_end: bool,
    ) -> Result<Option<Self>> {
        let start = read_line(reader).await?;
        if start.is_empty() {
            return Ok(None);
        }
        let mut headers = Vec::new();
        let (mut length, mut chunked) = (None, false);
        loop {
            let line = read_line(reader).await?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            let (name, value) = (name.trim(), value.trim());
            match name.to_ascii_lowercase().as_str() {
                "content-length" => {
                    length = Some(value.parse().map_err(|_| bad("Content-Length"))?)
                }
                "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
                "connection" | "keep-alive" => {}
                _ => headers.push((name.to_owned(), value.to_owned())),
            }
        }
        let mut body = Vec::new();
        match length {
            _ if chunked => read_chunks(reader, &mut body).await?,
            Some(length) => read_exactly(reader, length, &mut body).await?,
            None if to_the_end => drop(reader.read_to_end(&mut body).await?),
            None => {}
        }
        Ok(Some(Self {
            start,
            headers,
            body,
        }))
    }
}

/// A line without its end; empty at the end of the connection.
async fn read_line(reader: &mut (impl AsyncBufRead + Unpin)) -> Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line).await?;
    line.truncate(line.trim_end().len());
    Ok(line)
}

async fn read_exactly(
    reader: &mut (impl AsyncBufRead + Unpin),
    length: usize,
    body: &mut Vec<u8>,
) -> Result<()> {
    let got = reader.take(length as u64).read_to_end(body).await?;
    if got < length {
        Err(ErrorKind::UnexpectedEof.into())
    } else {
        Ok(())
    }
}

async fn read_chunks(reader: &mut (impl AsyncBufRead + Unpin), body: &mut Vec<u8>) -> Result<()> {
    loop {
        let line = read_line(reader).await?;
        let size = line.split(';').next().unwrap_or_default();
        match usize::from_str_radix(size, 16).map_err(|_| bad("chunk"))? {
            0 => break,
            size => read_exactly(reader, size, body).await?,
        }
        read_line(reader).await?;
    }
    // Trailers, of which nobody here has any, end with an empty line.
    while !read_line(reader).await?.is_empty() {}
    Ok(())
}

fn bad(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("not a {what}"))
}
