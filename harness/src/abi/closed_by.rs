//! Who closed a TCP connection.

/// Who closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedBy {
    /// The proxy.
    Proxy = 1,
    /// The client.
    Client = 2,
}
