//! Strict model servers: they refuse what the providers refuse, sign thinking, cache prompts, and keep their own bill.
//!
//! One server stands for one model of one provider. What it takes is in `rules`, how it answers in `answers`; between them
//! is a `turn::Turn`, which all APIs share.

mod answers;
mod bill;
mod cache;
mod refusal;
mod reply;
mod rules;
mod schema;
mod signature;
mod tokens;
mod turn;

pub use bill::{Account, Bill, Used};

use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use axum::{Router, routing::any};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

use super::models::{MODELS, Model, Provider};
use answers::{Answer, Material};
use cache::Cache;
use refusal::{Refusal, invalid, not_found};
use turn::Turn;

/// Between the events of a stream, so that they arrive one by one.
const PAUSE: Duration = Duration::from_millis(1);
/// What a client's key contains. A key that reaches a provider has been leaked by the gateway.
pub const CLIENT_KEY: &str = "key-of-the-client";

/// Versions of Anthropic's API; the client libraries of today send the last one.
const VERSIONS: [&str; 2] = ["2023-06-01", "2026-10-21"];

/// The server of one model.
struct Server {
    model: &'static Model,
    bill: Arc<Bill>,
    cache: Cache,
    answers: AtomicU64,
}

/// A call that a server knows.
enum Call {
    Chat,
    Responses,
    Messages,
    CountTokens,
    Generate { stream: bool },
    Models,
}

/// Starts a server on the current runtime; it ends with the runtime.
///
/// # Errors
/// When no port is free.
pub async fn start(model: &'static Model, bill: Arc<Bill>) -> std::io::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = Arc::new(Server { model, bill, cache: Cache::default(), answers: AtomicU64::new(1) });
    let router = Router::new().fallback(any(serve)).with_state(server);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

async fn serve(
    State(server): State<Arc<Server>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let text = String::from_utf8_lossy(&body);
    let case = turn::case(&text).unwrap_or("no case").to_owned();
    let zipped = headers.get(header::ACCEPT_ENCODING).is_some_and(|value| value == "gzip");
    match server.answer(&method, &uri, &headers, &body, &case) {
        Ok(Answer::Json(value)) => document(StatusCode::OK, &value, zipped),
        Ok(Answer::Events(events)) => {
            let events = stream::iter(events).then(|event| async move {
                tokio::time::sleep(PAUSE).await;
                Ok::<_, Infallible>(event)
            });
            let mut response = Response::new(Body::from_stream(events));
            let kind = header::HeaderValue::from_static("text/event-stream; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        Err(refusal) => {
            server.bill.refuse(&case, &refusal.message);
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
            document(status, &answers::error(server.model.provider, &refusal), zipped)
        }
    }
}

/// One JSON document, compressed where the gateway takes that.
fn document(status: StatusCode, value: &Value, zipped: bool) -> Response<Body> {
    let mut bytes = value.to_string().into_bytes();
    if zipped {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&bytes).expect("memory takes everything");
        bytes = encoder.finish().expect("memory takes everything");
    }
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    if zipped {
        headers.insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
    }
    response
}

impl Server {
    fn answer(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &[u8],
        case: &str,
    ) -> Result<Answer, Refusal> {
        let unknown = || not_found(format!("Invalid URL ({method} {})", uri.path()), "unknown_url");
        let leaked = headers.values().any(|value| {
            value.as_bytes().windows(CLIENT_KEY.len()).any(|part| part == CLIENT_KEY.as_bytes())
        });
        if leaked || uri.query().is_some_and(|query| query.contains(CLIENT_KEY)) {
            return Err(Refusal { status: 401, ..invalid("the key of a client has reached the provider") });
        }
        let call = self.call(method, uri.path()).ok_or_else(unknown)?;
        if matches!(call, Call::Models) {
            return Ok(Answer::Json(self.list_of_models()));
        }
        if case == "no case" {
            return Err(invalid("the prompt names no case"));
        }
        self.headers(headers)?;
        let body: Value = serde_json::from_slice(body)
            .map_err(|_| invalid("We could not parse the JSON body of your request."))?;
        let turn = match call {
            Call::Chat => rules::chat::read(self.model, body)?,
            Call::Responses => rules::responses::read(self.model, body)?,
            Call::Messages => rules::messages::read(self.model, body, false)?,
            Call::CountTokens => rules::messages::read(self.model, body, true)?,
            Call::Generate { stream } => {
                let sse = uri.query().is_some_and(|query| query.contains("alt=sse"));
                if stream && !sse {
                    return Err(invalid("these servers stream events only: alt=sse"));
                }
                rules::generate::read(self.model, body, stream)?
            }
            Call::Models => unreachable!("answered above"),
        };
        if matches!(call, Call::CountTokens) {
            let input = self.input(&turn);
            return Ok(Answer::Json(json!({"input_tokens": input})));
        }
        if let Some((status, times)) = turn.failure()
            && self.bill.attempt(&format!("{case} {}", turn.prompt)) < times
        {
            return Err(Refusal {
                status,
                ..invalid("The server had an error while processing your request.")
            });
        }
        self.bill_and_answer(&call, &turn, case)
    }

    fn input(&self, turn: &Turn) -> u64 {
        turn.blocks.iter().map(|block| block.tokens).sum::<u64>() + turn.frame
    }

    fn bill_and_answer(&self, call: &Call, turn: &Turn, case: &str) -> Result<Answer, Refusal> {
        let room = self.model.context.saturating_sub(self.input(turn));
        if room == 0 {
            return Err(Refusal { code: Some("context_length_exceeded"), ..invalid("prompt is too long") });
        }
        let reply = reply::answer(turn, room.min(self.model.most_output));
        let used = self.cache.divide(case, self.model, &turn.blocks, turn.frame);
        let used = Used { output: reply.output, thinking: reply.thinking_tokens, ..used };
        self.bill.charge(case, self.model, used);
        let number = self.answers.fetch_add(1, Ordering::Relaxed);
        let material = Material { model: self.model, turn, reply: &reply, used, number };
        Ok(match call {
            Call::Chat => answers::chat::answer(material),
            Call::Responses => answers::responses::answer(material),
            Call::Messages => answers::messages::answer(material),
            _ => answers::generate::answer(material),
        })
    }

    fn call(&self, method: &Method, path: &str) -> Option<Call> {
        if method == Method::GET {
            return (path == "/v1/models" || path == "/v1beta/models").then_some(Call::Models);
        }
        if method != Method::POST {
            return None;
        }
        match self.model.provider {
            Provider::OpenAi => match path {
                "/v1/chat/completions" => Some(Call::Chat),
                "/v1/responses" => Some(Call::Responses),
                _ => None,
            },
            Provider::Anthropic => match path {
                "/v1/messages" => Some(Call::Messages),
                "/v1/messages/count_tokens" => Some(Call::CountTokens),
                _ => None,
            },
            Provider::Google => {
                let rest = ["/v1beta/models/", "/v1/models/"].iter().find_map(|at| path.strip_prefix(at))?;
                match rest.strip_prefix(self.model.name)? {
                    ":generateContent" => Some(Call::Generate { stream: false }),
                    ":streamGenerateContent" => Some(Call::Generate { stream: true }),
                    _ => None,
                }
            }
        }
    }

    fn headers(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let is_json = headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        if !is_json {
            return Err(Refusal { status: 415, ..invalid("Unsupported content type.") });
        }
        // platform.claude.com/docs/en/api/versioning
        let version = headers.get("anthropic-version").and_then(|value| value.to_str().ok());
        if self.model.provider == Provider::Anthropic && !version.is_some_and(|one| VERSIONS.contains(&one)) {
            return Err(invalid(format!("anthropic-version: {version:?} is not a valid version")));
        }
        Ok(())
    }

    fn list_of_models(&self) -> Value {
        let own = MODELS.iter().filter(|model| model.provider == self.model.provider);
        match self.model.provider {
            Provider::OpenAi => {
                let model = |model: &Model| json!({"id": model.name, "object": "model", "created": 1, "owned_by": "o"});
                json!({"object": "list", "data": own.map(model).collect::<Vec<_>>()})
            }
            Provider::Anthropic => {
                let model = |model: &Model| {
                    json!({
                        "type": "model", "id": model.name, "display_name": model.name,
                        "created_at": "2026-01-01T00:00:00Z",
                    })
                };
                let data: Vec<Value> = own.map(model).collect();
                let (first, last) = (data[0]["id"].clone(), data[data.len() - 1]["id"].clone());
                json!({"data": data, "has_more": false, "first_id": first, "last_id": last})
            }
            Provider::Google => {
                let model = |model: &Model| json!({"name": format!("models/{}", model.name), "version": "1"});
                json!({"models": own.map(model).collect::<Vec<_>>()})
            }
        }
    }
}
