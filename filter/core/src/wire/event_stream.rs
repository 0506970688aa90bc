//! Splits an Amazon event stream (`application/vnd.amazon.eventstream`) into the payloads of its messages.
//!
//! A message is: total length and header length (big-endian u32), their CRC, the headers, the payload, a CRC of it
//! all (Smithy specification, "Amazon Event Stream"). The checksums are not verified: TLS protects the bytes, and only
//! counts are read from them. Lengths that contradict each other end the reading.

/// Bytes before the headers: two lengths and their checksum.
const PRELUDE_BYTES: u32 = 12;
/// The checksum after the payload.
const TRAILER_BYTES: u32 = 4;
/// The specification allows 16 MiB of payload and 128 KiB of headers.
const MAX_MESSAGE_BYTES: u32 = (16 << 20) + (128 << 10) + 16;

/// Receives the messages of a stream.
pub trait MessageVisitor {
    /// A piece of a message's payload.
    fn payload(&mut self, piece: &[u8]);

    /// The message ends.
    fn end_message(&mut self);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Prelude,
    Headers,
    Payload,
    Trailer,
    /// The lengths made no sense.
    Broken,
}

/// The splitter. Feed it chunks in order.
#[derive(Clone, Debug)]
pub struct EventStreamReader {
    part: Part,
    /// Bytes of this part still to come.
    left: u32,
    /// The last bytes of the prelude, from its first ones.
    lengths: u64,
    payload_bytes: u32,
}

impl Default for EventStreamReader {
    fn default() -> Self {
        EventStreamReader { part: Part::Prelude, left: PRELUDE_BYTES, lengths: 0, payload_bytes: 0 }
    }
}

impl EventStreamReader {
    /// Reads the next bytes.
    pub fn feed(&mut self, chunk: &[u8], visitor: &mut impl MessageVisitor) {
        let mut rest = chunk;
        while !rest.is_empty() && self.part != Part::Broken {
            let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
            let (piece, after) = rest.split_at_checked(take).unwrap_or((rest, &[]));
            match self.part {
                Part::Prelude => self.in_prelude(piece),
                Part::Payload if !piece.is_empty() => visitor.payload(piece),
                _ => {}
            }
            self.left = self.left.saturating_sub(u32::try_from(take).unwrap_or(u32::MAX));
            rest = after;
            while self.left == 0 && self.part != Part::Broken {
                self.next_part(visitor);
            }
        }
    }

    fn in_prelude(&mut self, piece: &[u8]) {
        let seen = PRELUDE_BYTES.saturating_sub(self.left);
        let lengths = usize::try_from(8u32.saturating_sub(seen)).unwrap_or(0);
        for byte in piece.iter().take(lengths) {
            self.lengths = self.lengths.wrapping_shl(8) | u64::from(*byte);
        }
    }

    fn next_part(&mut self, visitor: &mut impl MessageVisitor) {
        (self.part, self.left) = match self.part {
            Part::Prelude => {
                let [a, b, c, d, e, f, g, h] = std::mem::take(&mut self.lengths).to_be_bytes();
                let (total, headers) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
                let frame = PRELUDE_BYTES.saturating_add(TRAILER_BYTES);
                match total.checked_sub(frame).and_then(|inside| inside.checked_sub(headers)) {
                    Some(payload) if total <= MAX_MESSAGE_BYTES => {
                        self.payload_bytes = payload;
                        (Part::Headers, headers)
                    }
                    _ => (Part::Broken, 0),
                }
            }
            Part::Headers => (Part::Payload, self.payload_bytes),
            Part::Payload => (Part::Trailer, TRAILER_BYTES),
            Part::Trailer => {
                visitor.end_message();
                (Part::Prelude, PRELUDE_BYTES)
            }
            Part::Broken => (Part::Broken, 0),
        };
    }
}

/// A message of this payload, with no headers and checksums of 0, for tests.
#[cfg(test)]
pub fn message(payload: &str) -> Vec<u8> {
    let headers = b"\x0b:event-type\x07\x00\x08metadata";
    let total = 16 + headers.len() + payload.len();
    let mut bytes = u32::try_from(total).unwrap().to_be_bytes().to_vec();
    bytes.extend(u32::try_from(headers.len()).unwrap().to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(headers);
    bytes.extend(payload.bytes());
    bytes.extend([0; 4]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Default)]
    struct Payloads(Vec<String>, Vec<u8>);

    impl MessageVisitor for Payloads {
        fn payload(&mut self, piece: &[u8]) {
            self.1.extend_from_slice(piece);
        }

        fn end_message(&mut self) {
            let payload = std::mem::take(&mut self.1);
            self.0.push(String::from_utf8_lossy(&payload).into_owned());
        }
    }

    fn payloads(chunks: &[&[u8]]) -> Vec<String> {
        let (mut reader, mut found) = (EventStreamReader::default(), Payloads::default());
        chunks.iter().for_each(|chunk| reader.feed(chunk, &mut found));
        found.0
    }

    #[test]
    fn lengths_that_contradict_each_other_end_the_reading() {
        let good = message("x");
        for bad in [[0u8; 12], [0xFF; 12], [0, 0, 0, 20, 0, 0, 0, 9, 0, 0, 0, 0]] {
            assert_eq!(payloads(&[&good, &bad, &good]), ["x"]);
        }
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_messages(
            texts in proptest::collection::vec("[a-zé]{0,9}", 0..4), size in 1usize..40,
        ) {
            let stream: Vec<u8> = texts.iter().flat_map(|text| message(text)).collect();
            let chunks: Vec<&[u8]> = stream.chunks(size).collect();
            prop_assert_eq!(payloads(&chunks), texts);
        }
    }
}
