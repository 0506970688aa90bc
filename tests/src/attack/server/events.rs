//! Framing of streams: server-sent events, and Amazon's binary event stream.

use flate2::Crc;
use serde_json::Value;

/// One server-sent event.
#[must_use]
pub fn server_sent(name: Option<&str>, data: &Value) -> Vec<u8> {
    let name = name.map(|name| format!("event: {name}\n")).unwrap_or_default();
    format!("{name}data: {data}\n\n").into_bytes()
}

/// One message of `application/vnd.amazon.eventstream`: lengths, checksum, headers, payload, checksum.
#[must_use]
pub fn event_stream_message(event: &str, payload: &Value) -> Vec<u8> {
    let mut headers = Vec::new();
    for (name, value) in
        [(":event-type", event), (":content-type", "application/json"), (":message-type", "event")]
    {
        headers.push(name.len() as u8);
        headers.extend(name.as_bytes());
        headers.push(7);
        headers.extend((value.len() as u16).to_be_bytes());
        headers.extend(value.as_bytes());
    }
    let payload = payload.to_string();
    let total = 12 + headers.len() + payload.len() + 4;
    let mut message = Vec::with_capacity(total);
    message.extend((total as u32).to_be_bytes());
    message.extend((headers.len() as u32).to_be_bytes());
    message.extend(checksum(&message));
    message.extend(headers);
    message.extend(payload.as_bytes());
    message.extend(checksum(&message));
    message
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_how_long_it_is() {
        let message = event_stream_message("metadata", &serde_json::json!({"usage": {"inputTokens": 1}}));
        assert_eq!(message[..4], (message.len() as u32).to_be_bytes());
        assert_eq!(message[8..12], checksum(&message[..8]));
    }
}
