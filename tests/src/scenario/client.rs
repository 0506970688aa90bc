//! An HTTP/1.1 client that sends exactly what a scenario describes: in pieces, with bytes that are not UTF-8, leaving
//! midway. An HTTP library would normalise such requests, so the bytes are written here.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::request::Request;

/// Pause between pieces, so that they arrive separately.
const SEPARATION: Duration = Duration::from_millis(25);
/// Longest wait for the next byte of an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a client got.
#[derive(Clone, Debug, Default)]
pub struct Got {
    /// The status; 0 when there was none.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// Whether the answer is complete.
    pub complete: bool,
}

/// A connection with one request on it.
pub struct Client {
    connection: TcpStream,
}

impl Client {
    /// Connects and sends the whole request.
    ///
    /// # Errors
    /// When the connection is refused. An error while sending is ignored: the answer may have come before the end.
    pub async fn send(address: SocketAddr, request: &Request, extra: &[(&str, String)]) -> Result<Client> {
        let mut connection = TcpStream::connect(address).await.context("connect")?;
        connection.set_nodelay(true)?;
        let mut head =
            format!("{} {} HTTP/1.1\r\nhost: llm\r\nconnection: close\r\n", request.method, request.path)
                .into_bytes();
        let mut header = |name: &str, value: &[u8]| {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value);
            head.extend_from_slice(b"\r\n");
        };
        for (name, value) in &request.headers {
            header(name, value);
        }
        for (name, value) in extra {
            header(name, value.as_bytes());
        }
        match (request.chunked, request.pieces.is_empty()) {
            (true, _) => header("transfer-encoding", b"chunked"),
            (false, false) => header("content-length", request.body_len().to_string().as_bytes()),
            (false, true) => {}
        }
        head.extend_from_slice(b"\r\n");
        let mut sent = connection.write_all(&head).await;
        for (number, piece) in request.pieces.iter().enumerate() {
            if number > 0 {
                tokio::time::sleep(SEPARATION).await;
            }
            let framed = match request.chunked {
                true => [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat(),
                false => piece.clone(),
            };
            sent = sent.and(connection.write_all(&framed).await);
        }
        if request.chunked {
            sent = sent.and(connection.write_all(b"0\r\n\r\n").await);
        }
        sent.ok();
        Ok(Client { connection })
    }

    /// Reads the answer to its end, or until `enough` bytes of its body are there.
    ///
    /// # Errors
    /// When the answer is not HTTP, or no byte of it arrives for 20 s.
    pub async fn answer(mut self, enough: Option<usize>) -> Result<Got> {
        let mut raw = Vec::new();
        loop {
            let got = parse(&raw, false)?;
            if got.complete || enough.is_some_and(|enough| got.status > 0 && got.body.len() >= enough) {
                return Ok(got);
            }
            let read = tokio::time::timeout(PATIENCE, self.connection.read_buf(&mut raw)).await;
            match read.context("no byte of the answer arrived for 20 s")? {
                Ok(0) => return parse(&raw, true),
                Ok(_) => {}
                Err(_) => return parse(&raw, false),
            }
        }
    }
}

/// The part of an answer that `raw` holds; `ended`: the connection was closed cleanly after it.
fn parse(raw: &[u8], ended: bool) -> Result<Got> {
    let mut slots = [httparse::EMPTY_HEADER; 100];
    let mut response = httparse::Response::new(&mut slots);
    let head = match response.parse(raw).context("the answer is not HTTP")? {
        httparse::Status::Complete(head) => head,
        httparse::Status::Partial => return Ok(Got::default()),
    };
    let status = response.code.unwrap_or(0);
    if (100..200).contains(&status) {
        return parse(&raw[head..], ended);
    }
    let value = |name: &str| {
        response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|found| found.value)
    };
    let rest = &raw[head..];
    let (body, complete) = if value("transfer-encoding").is_some() {
        chunks(rest)?
    } else if let Some(length) = value("content-length") {
        let length: usize = std::str::from_utf8(length)?.parse()?;
        (rest.get(..length).unwrap_or(rest).to_vec(), rest.len() >= length)
    } else {
        (rest.to_vec(), ended)
    };
    let headers = response.headers.iter();
    let headers = headers.map(|header| (header.name.as_bytes().to_vec(), header.value.to_vec())).collect();
    Ok(Got { status, headers, body, complete })
}

/// The body in HTTP/1.1 chunks, and whether the last chunk has arrived.
fn chunks(mut rest: &[u8]) -> Result<(Vec<u8>, bool)> {
    let mut body = Vec::new();
    loop {
        match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete((_, 0))) => return Ok((body, true)),
            Ok(httparse::Status::Complete((start, size))) => {
                let size = usize::try_from(size)?;
                let available = rest.get(start..).unwrap_or_default();
                body.extend_from_slice(&available[..size.min(available.len())]);
                match available.get(size + 2..) {
                    Some(next) => rest = next,
                    None => return Ok((body, false)),
                }
            }
            Ok(httparse::Status::Partial) => return Ok((body, false)),
            Err(error) => bail!("a chunk of the answer: {error:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_at_its_end_and_not_before() {
        let with_length = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
        let in_chunks = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n";
        for whole in [&with_length[..], &in_chunks[..]] {
            let got = parse(whole, false).unwrap();
            assert_eq!((got.status, got.body.as_slice(), got.complete), (200, &b"hi"[..], true));
            assert!(!parse(&whole[..whole.len() - 6], false).unwrap().complete);
        }
    }
}
