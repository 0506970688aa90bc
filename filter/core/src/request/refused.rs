//! Why calls are not served that look like those of a provider: behind the operator's key, each of them may cost money that
//! nobody counts, or show what others have stored. `filter/README.md` has the whole table of calls.

/// Parts of paths in lower case, and why a call whose path has one is refused; the first that fits.
const REASONS: &[(&str, &str)] = &[
    ("/batches", "a batch is paid for when nobody waits for its answers"),
    (":batchgeneratecontent", "a batch is paid for when nobody waits for its answers"),
    ("/embeddings", "embeddings are not in the price table"),
    ("embedcontent", "embeddings are not in the price table"),
    ("/rerank", "it is not in the price table"),
    ("/moderations", "it is not in the price table"),
    ("/images", "images are billed by the piece, not by tokens"),
    ("/videos", "films are billed by their length, not by tokens"),
    ("/audio", "sound is billed by its length, not by tokens"),
    (":predict", "images, films and sound are billed by the piece, not by tokens"),
    ("/realtime", "a live connection reports what it costs when it is too late"),
    ("/live", "a live connection reports what it costs when it is too late"),
    ("/responses/", "stored responses are everybody's who knows their id"),
    ("/conversations", "stored conversations are everybody's who knows their id"),
    ("/chat/completions/", "stored answers are everybody's who knows their id"),
    ("/files", "stored files are everybody's who knows their id"),
    ("/uploads", "stored files are everybody's who knows their id"),
    ("/vector_stores", "stored files are everybody's who knows their id"),
    ("/cachedcontents", "stored prompts are everybody's who knows their id, and are billed by the hour"),
    ("/containers", "containers are billed by the hour"),
    ("/assistants", "its answers are billed apart from the request"),
    ("/threads", "its answers are billed apart from the request"),
    ("/fine_tuning", "training is not billed by the answer"),
    ("/evals", "its answers are billed apart from the request"),
    ("/invoke", "the form of its body depends on the model; use `converse`"),
    (":rawpredict", "the form of its body depends on the model; use `generateContent`"),
    (":streamrawpredict", "the form of its body depends on the model; use `generateContent`"),
    ("/v1/complete", "one request may ask for many answers; use `/v1/chat/completions` or `/v1/messages`"),
    ("/completions", "one request may ask for many answers; use `/v1/chat/completions`"),
    ("/api/chat", "it is a call of one server; use `/v1/chat/completions`"),
    ("/api/generate", "it is a call of one server; use `/v1/chat/completions`"),
    ("/generate", "it is a call of one server; use `/v1/chat/completions`"),
    ("/completion", "it is a call of one server; use `/v1/chat/completions`"),
    ("/infill", "it is a call of one server; use `/v1/chat/completions`"),
];
/// Parts of paths of calls that are served, which therefore say nothing by themselves.
const SERVED: &[&str] = &["/chat/completions", "/responses", "/messages", "generatecontent", "/converse"];

/// Why a call is refused that is neither counted nor free.
#[must_use]
pub fn why_refused(path: &[u8]) -> &'static str {
    let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
    let path = String::from_utf8_lossy(path).to_ascii_lowercase();
    let served = SERVED.iter().find(|part| path.ends_with(*part));
    let mut reasons = REASONS.iter().filter(|(part, _)| !served.is_some_and(|served| served.contains(part)));
    let found = reasons.find(|(part, _)| path.contains(part)).map(|(_, reason)| *reason);
    found.unwrap_or(if served.is_some() {
        "its path, or its method, is none of those that are configured"
    } else {
        "it is none of those that are counted or free"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_of_the_call_cannot_be_counted() {
        let cases = [
            ("/v1/embeddings", "price table"),
            ("/v1/messages/batches?beta=true", "batch"),
            ("/v1beta/models/g:batchEmbedContents", "embeddings"),
            ("/v1/responses/resp_1", "stored"),
            ("/v1/completions", "many answers"),
            ("/model/m/invoke-with-response-stream", "converse"),
            ("/openai/deployments/x/images/generations", "by the piece"),
            ("/v9/chat/completions", "configured"),
            ("/favicon.ico", "none of those"),
        ];
        for (path, expected) in cases {
            let reason = why_refused(path.as_bytes());
            assert!(reason.contains(expected), "{path}: {reason}");
        }
    }
}
