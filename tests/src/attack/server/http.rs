//! HTTP/1.1 as a model server reads and writes it, byte by byte, so that an answer can be anything.

use std::io::{self, Read};

use flate2::read::GzDecoder;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::flavour::Flavour;
use crate::attack::marker::Marker;

const MAX_HEAD_BYTES: usize = 128 << 10;
const MAX_BODY_BYTES: usize = 64 << 20;
const READ_BYTES: usize = 64 << 10;

/// A request as it arrived.
#[derive(Debug, Default)]
pub struct Received {
    /// The method.
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// Names in lower case, in their order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, its chunks joined.
    pub body: Vec<u8>,
}

impl Received {
    /// The path without its query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The marker in its path, its headers or its body.
    #[must_use]
    pub fn marker(&self) -> Option<Marker> {
        let in_headers = || self.headers.iter().find_map(|(_, value)| Marker::find(value));
        let in_inflated_body = || Marker::find(&self.decoded_body(Flavour::Express));
        let found = Marker::find(self.target.as_bytes()).or_else(in_headers);
        found.or_else(|| Marker::find(&self.body)).or_else(in_inflated_body)
    }

    /// The method that the server obeys: Google's APIs take another one from a header.
    #[must_use]
    pub fn effective_method(&self, flavour: Flavour) -> String {
        let other = self.header("x-http-method-override").filter(|_| flavour == Flavour::Gemini);
        other.map_or_else(|| self.method.clone(), |method| String::from_utf8_lossy(method).into_owned())
    }

    /// The body as the server reads it: Express inflates what is compressed.
    #[must_use]
    pub fn decoded_body(&self, flavour: Flavour) -> Vec<u8> {
        let is_gzip =
            self.header("content-encoding").is_some_and(|value| value.eq_ignore_ascii_case(b"gzip"));
        let mut body = Vec::new();
        let inflated = flavour == Flavour::Express
            && is_gzip
            && GzDecoder::new(self.body.as_slice())
                .take(MAX_BODY_BYTES as u64)
                .read_to_end(&mut body)
                .is_ok();
        if inflated { body } else { self.body.clone() }
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_slice())
    }
}

/// One connection of a gateway.
pub struct Incoming {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Incoming {
    /// A connection that was accepted.
    #[must_use]
    pub fn new(stream: TcpStream) -> Incoming {
        let _ = stream.set_nodelay(true);
        Incoming { stream, buffer: Vec::new() }
    }

    /// The next request; `None` when the gateway has closed the connection.
    ///
    /// # Errors
    /// When the connection breaks, or what comes is not HTTP.
    pub async fn request(&mut self) -> io::Result<Option<Received>> {
        let (mut received, head_bytes) = loop {
            if let Some(parsed) = parse_head(&self.buffer)? {
                break parsed;
            }
            if self.buffer.len() > MAX_HEAD_BYTES {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if self.fill().await? == 0 {
                return Ok(None);
            }
        };
        self.buffer.drain(..head_bytes);
        let chunked = received.header("transfer-encoding").is_some();
        let length = received.header("content-length").and_then(|text| std::str::from_utf8(text).ok());
        received.body = match length.and_then(|text| text.trim().parse::<usize>().ok()) {
            _ if chunked => self.chunks().await?,
            Some(length) if length <= MAX_BODY_BYTES => self.take(length).await?,
            Some(_) => return Err(io::ErrorKind::InvalidData.into()),
            None => Vec::new(),
        };
        Ok(Some(received))
    }

    /// Sends bytes at once.
    ///
    /// # Errors
    /// When the gateway has gone.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Waits until the gateway closes the connection.
    pub async fn closed(&mut self) {
        let mut byte = [0];
        loop {
            match self.stream.peek(&mut byte).await {
                Ok(0) | Err(_) => return,
                // An early next request; it waits its turn.
                Ok(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        }
    }

    /// Ends the connection as a crashed process does.
    pub fn reset(self) {
        let _ = self.stream.set_zero_linger();
    }

    async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.reserve(READ_BYTES);
        self.stream.read_buf(&mut self.buffer).await
    }

    async fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            if self.fill().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                let line = self.take(end + 1).await?;
                return Ok(String::from_utf8_lossy(&line).trim().to_owned());
            }
            if self.buffer.len() > MAX_HEAD_BYTES || self.fill().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = self.line().await?;
            let size = size.split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(size.trim(), 16).map_err(|_| io::ErrorKind::InvalidData)?;
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(body);
            }
            if body.len() + size > MAX_BODY_BYTES {
                return Err(io::ErrorKind::InvalidData.into());
            }
            body.extend(self.take(size).await?);
            self.line().await?;
        }
    }
}

fn parse_head(buffer: &[u8]) -> io::Result<Option<(Received, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 256];
    let mut request = httparse::Request::new(&mut headers);
    let status = request.parse(buffer).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let httparse::Status::Complete(bytes) = status else { return Ok(None) };
    let headers =
        request.headers.iter().map(|header| (header.name.to_ascii_lowercase(), header.value.to_vec()));
    let received = Received {
        headers: headers.collect(),
        method: request.method.unwrap_or_default().to_owned(),
        target: request.path.unwrap_or_default().to_owned(),
        body: Vec::new(),
    };
    Ok(Some((received, bytes)))
}
