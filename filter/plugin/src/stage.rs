//! How far a request is on its way through the filter.

use seqroute_core::reply::local_reply::LocalReply;
use seqroute_core::request::head::RequestHead;

/// The stage of a request.
pub enum Stage {
    /// Nothing was seen of it.
    New,
    /// Its body is read while its headers are held.
    Reading(Box<RequestHead>),
    /// The body goes to the chosen model, its name rewritten.
    Routed,
    /// The body goes to the chosen model as it is.
    RoutedUnread,
    /// Refused; the reply waits for the body's end.
    Refusing(LocalReply),
    /// Refused.
    Refused,
    /// Reset on its way: no upstream had it whole.
    Reset,
    /// It passes untouched.
    Passing,
}
