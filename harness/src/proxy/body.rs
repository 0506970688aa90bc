//! The body buffer a callback sees, under Envoy's rules.
//!
//! While the plugin lets chunks pass, a callback sees one chunk. After it returned Pause, chunks accumulate and every
//! later callback sees all of them, until it returns Continue. The buffer can be read in full and written at its ends:
//! Envoy refuses a write that starts inside.

use crate::abi::status::Status;

/// One direction's body as the plugin sees it.
#[derive(Debug, Default)]
pub(crate) struct Body {
    data: Vec<u8>,
    /// The last callback asked to keep the data.
    buffering: bool,
    /// A callback is running on this body.
    in_callback: bool,
}

impl Body {
    /// Adds a chunk for the next callback and returns how many bytes it will see.
    pub(crate) fn begin(&mut self, chunk: &[u8]) -> usize {
        if !self.buffering {
            self.data.clear();
        }
        self.data.extend_from_slice(chunk);
        self.in_callback = true;
        self.data.len()
    }

    /// Ends the callback and keeps the data; returns how many bytes are buffered.
    pub(crate) fn keep(&mut self) -> usize {
        self.in_callback = false;
        self.buffering = true;
        self.data.len()
    }

    /// Ends the callback, or the pause, and returns the bytes to forward.
    pub(crate) fn release(&mut self) -> Vec<u8> {
        self.in_callback = false;
        self.buffering = false;
        std::mem::take(&mut self.data)
    }

    /// How many bytes would be buffered if `more` bytes arrived now.
    pub(crate) fn buffered_with(&self, more: usize) -> usize {
        if self.buffering { self.data.len().saturating_add(more) } else { 0 }
    }

    /// Whether a callback is running on this body.
    pub(crate) fn in_callback(&self) -> bool {
        self.in_callback
    }

    fn open(&self) -> bool {
        self.in_callback || self.buffering
    }

    /// The bytes the plugin can see now; none outside of a callback or pause.
    pub(crate) fn visible(&self) -> &[u8] {
        if self.open() { &self.data } else { &[] }
    }

    /// Replaces the first `length` bytes (`start` 0) or appends (`start` at or past the end).
    pub(crate) fn write(&mut self, start: usize, length: usize, value: &[u8]) -> Result<(), Status> {
        if !self.open() {
            return Err(Status::BadArgument);
        }
        if start == 0 {
            let replaced = length.min(self.data.len());
            self.data.splice(..replaced, value.iter().copied());
        } else if start >= self.data.len() {
            self.data.extend_from_slice(value);
        } else {
            return Err(Status::BadArgument);
        }
        Ok(())
    }
}

/// The window of `length` bytes from `start`, cut at the end of `data`.
pub(crate) fn window(data: &[u8], start: u32, length: u32) -> &[u8] {
    // Added in 64 bits, as in cpp-host, so that `start + u32::MAX` reads to the end instead of
    // overflowing.
    let end = (u64::from(start) + u64::from(length)).min(data.len() as u64) as usize;
    data.get(start as usize..end).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(chunk: &[u8]) -> Body {
        let mut body = Body::default();
        body.begin(chunk);
        body
    }

    #[test]
    fn a_passing_body_shows_one_chunk_at_a_time() {
        let mut body = body(b"one");
        assert_eq!(body.release(), b"one");
        assert_eq!(body.begin(b"three"), 5);
        assert_eq!(body.visible(), b"three");
    }

    #[test]
    fn a_paused_body_is_cumulative_until_released() {
        let mut body = body(b"one");
        body.keep();
        assert_eq!(body.visible(), b"one");
        assert_eq!(body.begin(b"two"), 6);
        assert_eq!(body.release(), b"onetwo");
        assert_eq!(body.begin(b"x"), 1);
    }

    #[test]
    fn writes_at_the_front_replace_and_zero_length_prepends() {
        let mut all = body(b"abcdef");
        all.write(0, 6, b"XY").unwrap();
        assert_eq!(all.visible(), b"XY");
        all.write(0, usize::MAX, b"Z").unwrap();
        assert_eq!(all.visible(), b"Z");
        let mut prefix = body(b"abcdef");
        prefix.write(0, 2, b"12345").unwrap();
        assert_eq!(prefix.visible(), b"12345cdef");
        prefix.write(0, 0, b">").unwrap();
        assert_eq!(prefix.visible(), b">12345cdef");
    }

    #[test]
    fn writes_past_the_end_append_and_writes_inside_are_refused() {
        let mut body = body(b"abc");
        body.write(3, 0, b"d").unwrap();
        body.write(usize::MAX, 0, b"e").unwrap();
        assert_eq!(body.visible(), b"abcde");
        assert_eq!(body.write(2, 1, b"!"), Err(Status::BadArgument));
        assert_eq!(body.visible(), b"abcde");
    }

    #[test]
    fn without_a_body_reads_are_empty_and_writes_are_refused() {
        let mut body = body(b"abc");
        body.release();
        assert_eq!(body.visible(), b"");
        assert_eq!(body.write(0, 0, b"x"), Err(Status::BadArgument));
    }

    #[test]
    fn reading_stops_at_the_end() {
        assert_eq!(window(b"abcdef", 2, 2), b"cd");
        assert_eq!(window(b"abcdef", 4, u32::MAX), b"ef");
        assert_eq!(window(b"abcdef", 9, 1), b"");
        assert_eq!(window(b"abcdef", 6, 0), b"");
    }
}
