//! More input than was reserved for.

mod chunked;
mod compressed;
mod dense_text;
mod learned_ratio;
mod references;

use super::Kind;

pub const KINDS: &[Kind] =
    &[learned_ratio::KIND, references::KIND, chunked::KIND, compressed::KIND, dense_text::KIND];
