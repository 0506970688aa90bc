//! The answer of a gateway, as far as the client reads it.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

const READ_BYTES: usize = 64 << 10;

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The status; 0 where the client left before there was one.
    pub status: u16,
    /// `x-seqroute-reason`.
    pub reason: String,
    /// The client left before the end.
    pub left: bool,
    /// The gateway closes the connection after it.
    pub closes: bool,
    /// The gateway has chosen a model for it.
    pub routed: bool,
}

impl Reply {
    /// It was answered.
    #[must_use]
    pub fn is_served(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// It was refused before any model was chosen.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.status >= 400 && !self.routed
    }
}

enum Body {
    Length(usize),
    Chunked,
    UntilClosed,
}

/// How much of an answer is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Its head.
    Head,
    /// The first bytes of its body.
    FirstWords,
    /// All.
    Whole,
}

/// Reads one answer.
pub async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    extent: Extent,
) -> io::Result<Reply> {
    buffer.clear();
    let (mut reply, body, head_bytes) = loop {
        if fill(stream, buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(head) = parse(buffer)? {
            break head;
        }
    };
    buffer.drain(..head_bytes);
    loop {
        let whole = match body {
            _ if extent == Extent::Head => true,
            Body::Length(length) => buffer.len() >= length,
            Body::Chunked => buffer.ends_with(b"0\r\n\r\n"),
            Body::UntilClosed => false,
        };
        if whole || extent == Extent::FirstWords && !buffer.is_empty() {
            reply.left = !whole;
            break;
        }
        if fill(stream, buffer).await? == 0 {
            reply.closes = true;
            reply.left = !matches!(body, Body::UntilClosed);
            break;
        }
    }
    Ok(reply)
}

async fn fill(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> io::Result<usize> {
    buffer.reserve(READ_BYTES);
    stream.read_buf(buffer).await
}

fn parse(buffer: &[u8]) -> io::Result<Option<(Reply, Body, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 128];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(buffer).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let httparse::Status::Complete(mut head_bytes) = parsed else { return Ok(None) };
    let status = response.code.unwrap_or_default();
    if status == 100 {
        let Some((reply, body, bytes)) = parse(&buffer[head_bytes..])? else { return Ok(None) };
        head_bytes += bytes;
        return Ok(Some((reply, body, head_bytes)));
    }
    let header = |name: &str| {
        let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| String::from_utf8_lossy(header.value).into_owned())
    };
    let body = if header("transfer-encoding").is_some() {
        Body::Chunked
    } else {
        let length = header("content-length").and_then(|length| length.parse().ok());
        length.map_or(
            if matches!(status, 204 | 304) { Body::Length(0) } else { Body::UntilClosed },
            Body::Length,
        )
    };
    let reply = Reply {
        status,
        reason: header("x-seqroute-reason").unwrap_or_default(),
        closes: header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")),
        routed: header("x-seqroute-model").is_some(),
        ..Reply::default()
    };
    Ok(Some((reply, body, head_bytes)))
}
