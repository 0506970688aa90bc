//! What a test holds: a host, its VMs and plugins, and the streams and connections through them.

pub(crate) mod exchange;
pub(crate) mod host;
pub(crate) mod plugin;
pub(crate) mod step;
pub(crate) mod stream;
pub(crate) mod tcp_connection;
pub(crate) mod upstreams;
pub(crate) mod vm;
