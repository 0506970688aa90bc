//! The halves of streams and connections.

/// The half of a stream that `proxy_continue_stream` and `proxy_close_stream` name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamType {
    /// The HTTP request.
    Request,
    /// The HTTP response.
    Response,
    /// The downstream TCP connection.
    Downstream,
    /// The upstream TCP connection.
    Upstream,
}

impl StreamType {
    pub(crate) fn from_abi(number: u32) -> Option<Self> {
        use StreamType::*;
        [Request, Response, Downstream, Upstream].into_iter().find(|kind| *kind as u32 == number)
    }
}
