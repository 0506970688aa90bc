//! The bytes of a request.

/// How a body is framed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// `content-length`.
    #[default]
    Length,
    /// Chunks of this size, without a length.
    Chunked(usize),
    /// As the headers of the request say, which may be anything.
    Own,
}

/// A request. Headers are sent as they are, duplicates too.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Its framing.
    pub framing: Framing,
}

impl Request {
    /// A POST of JSON.
    #[must_use]
    pub fn post(target: impl Into<String>, body: impl Into<Vec<u8>>) -> Request {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Request {
            method: "POST".to_owned(),
            target: target.into(),
            headers,
            body: body.into(),
            ..Request::default()
        }
    }

    /// A request without a body.
    #[must_use]
    pub fn bare(method: &str, target: impl Into<String>) -> Request {
        Request {
            method: method.to_owned(),
            target: target.into(),
            framing: Framing::Own,
            ..Request::default()
        }
    }

    /// With one header more.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Request {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// With this framing.
    #[must_use]
    pub fn framed(mut self, framing: Framing) -> Request {
        self.framing = framing;
        self
    }

    /// What goes over the wire.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\nhost: gateway\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend(format!("{name}: {value}\r\n").as_bytes());
        }
        match self.framing {
            Framing::Length => {
                bytes.extend(format!("content-length: {}\r\n\r\n", self.body.len()).as_bytes())
            }
            Framing::Own => bytes.extend(b"\r\n"),
            Framing::Chunked(_) => bytes.extend(b"transfer-encoding: chunked\r\n\r\n"),
        }
        if let Framing::Chunked(size) = self.framing {
            for chunk in self.body.chunks(size.max(1)) {
                bytes.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
        } else {
            bytes.extend(&self.body);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framings_differ_on_the_wire() {
        let request = Request::post("/x", "{}");
        let text = |request: &Request| String::from_utf8(request.bytes()).unwrap();
        assert!(text(&request).ends_with("content-length: 2\r\n\r\n{}"));
        assert!(
            text(&request.clone().framed(Framing::Chunked(1))).ends_with("1\r\n{\r\n1\r\n}\r\n0\r\n\r\n")
        );
        assert_eq!(text(&Request::bare("GET", "/y")), "GET /y HTTP/1.1\r\nhost: gateway\r\n\r\n");
    }
}
