//! Who closed a TCP connection.

/// The peer that closed a connection, as `proxy_on_downstream_connection_close` gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedBy {
    /// The proxy.
    Proxy = 1,
    /// The client.
    Client = 2,
}
