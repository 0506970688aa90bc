//! Cases that are known to be wrong, and why. A case that is right must not stand here.

/// What is known of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The case's session.
    pub session: &'static str,
    /// What is wrong.
    pub what: &'static str,
}

const BODY: &str = "the body of a compressed error is lost where usage is hidden";
const LIMIT: &str = "a limit is added that is above the model's largest (no such setting)";
const THREAD: &str = "`thread` is sent on, though its beta is not: the provider refuses it, in words that the library cannot act on";
const CACHE: &str = "the second turn goes to the other model, whose cache is cold";
const PATHS: &str = "paths of `/v1/` are not among the shipped ones (404)";

/// All of them.
pub const FINDINGS: &[Finding] = &[
    Finding { session: "py-openai:chat:no-limit-but-less-money", what: LIMIT },
    Finding {
        session: "py-openai:chat:store-and-metadata",
        what: "`store` becomes false, and `metadata` stays, which is refused without it",
    },
    Finding { session: "py-openai:chat:error-400:stream", what: BODY },
    Finding { session: "py-anthropic:messages:tool-runner-with-a-thread", what: THREAD },
    Finding { session: "py-anthropic:messages:cached-prompt", what: CACHE },
    Finding { session: "py-anthropic:messages:cached-prompt:stream", what: CACHE },
    Finding { session: "py-anthropic:messages:cached-conversation", what: CACHE },
    Finding {
        session: "py-anthropic:messages:prompt-cached-for-an-hour",
        what: "writes for an hour are charged as writes for minutes",
    },
    Finding { session: "js-openai:chat:error-400:stream", what: BODY },
    Finding { session: "js-anthropic-ai:messages:tool-runner-with-a-thread", what: THREAD },
    Finding { session: "js-anthropic-ai:messages:cached-prompt", what: CACHE },
    Finding { session: "py-google-genai:generate:version-of-its-own", what: PATHS },
    Finding { session: "py-google-genai:generate:version-of-its-own:stream", what: PATHS },
    Finding { session: "py-google-genai:generate:no-limit-but-less-money", what: LIMIT },
    Finding { session: "py-google-genai:generate:cached-prompt", what: CACHE },
];

/// What is known of a session.
#[must_use]
pub fn of(session: &str) -> Option<&'static str> {
    FINDINGS.iter().find(|finding| finding.session == session).map(|finding| finding.what)
}
