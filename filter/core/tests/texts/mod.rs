//! Conversations and answers of any length, for the count of allocations and for the benchmarks in `filter/bench`.

/// One message of [`chat`].
pub const MESSAGE: &str = r#"{"role":"user","content":"What is the \"mass\" of an electron, please?"}"#;
/// One event of [`stream`].
pub const EVENT: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a few words\"}}],\"usage\":null}\n\n";

/// A chat of this many messages.
pub fn chat(messages: usize) -> String {
    let messages = vec![MESSAGE; messages].join(",");
    format!(r#"{{"model":"auto","max_tokens":100,"stream":true,"messages":[{messages}]}}"#)
}

/// A stream of this many events, and one with 20 tokens of output.
pub fn stream(events: usize) -> String {
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":90,\"completion_tokens\":20}}\n\n";
    EVENT.repeat(events) + usage
}
