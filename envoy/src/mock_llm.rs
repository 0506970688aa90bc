//! A mock model server with honest token usage and every upstream fault that a gateway must handle.
//!
//! It speaks the OpenAI chat completions API at `POST /v1/chat/completions`, as JSON and as server-sent
//! events. The answer is a pure function of the request, except for its id and time, so a test can state
//! what it must cost. Headers of the request direct it:
//!
//! | request header | effect | default |
//! |---|---|---|
//! | `x-mock-prompt-tokens` | `usage.prompt_tokens` | body bytes / 4, rounded up |
//! | `x-mock-output-tokens` | length of the answer, at most the request's cap | 16..=400, by a hash |
//! | `x-mock-output-tokens-<model>` | length of this model's answer, before `x-mock-output-tokens` | |
//! | `x-mock-cached-tokens` | `usage.prompt_tokens_details.cached_tokens`, at most the prompt | 0 |
//! | `x-mock-delay-ms` | pause before the first byte | 0 |
//! | `x-mock-chunk-delay-ms` | pause between server-sent events | 0 |
//! | `x-mock-fault` | see [`Fault`] | none |
//! | `x-mock-script` | the exact bytes of the answer, on any path: see [`PrescribedAnswer`] | |
//!
//! The request's cap is `max_completion_tokens`, else `max_tokens`.
//!
//! Response headers: `x-mock-model` (this server), `x-mock-received-model` (what the request asked for),
//! `x-mock-received-bytes` (length of the request body).
//!
//! Invariants: usage is what a correct provider would report; [`Totals`] counts the tokens of an answer only once
//! it was sent to its end; [`MockLlm::received`] shows the bytes as they arrived. A server
//! stops, with all of its connections, when its [`MockLlm`] is dropped.

mod answer;
mod connection;
mod directions;
mod prescribed;
mod received;
mod script;

pub use directions::Fault;
pub use prescribed::{KEY_HEADER, PrescribedAnswer, SCRIPT_HEADER, Step, script_header};
pub use received::{ReceivedRequest, Totals};

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use answer::Answer;
use connection::{Connection, CuttableListener};
use directions::Directions;
use prescribed::Stage;
use received::Log;

/// Longest request body: a bound on memory, far above what tests send.
const MAX_BODY_BYTES: usize = 256 << 20;

/// A running mock model server.
#[derive(Debug)]
pub struct MockLlm {
    address: SocketAddr,
    server: Arc<Server>,
    /// `None` only during drop.
    runtime: Option<Runtime>,
}

#[derive(Debug)]
struct Server {
    model: String,
    log: Log,
    stage: Stage,
}

impl MockLlm {
    /// Starts a server for `model` on a thread of its own; port 0 lets the system choose. Needs no async
    /// runtime around it.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub fn start(model: impl Into<String>, address: SocketAddr) -> anyhow::Result<MockLlm> {
        let model = model.into();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(format!("mock-{model}"))
            .enable_all()
            .build()
            .context("cannot start a runtime")?;
        let listener =
            std::net::TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let server = Arc::new(Server { model, log: Log::default(), stage: Stage::default() });
        let service = Router::new()
            .fallback(handle)
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            .with_state(Arc::clone(&server))
            .into_make_service_with_connect_info::<Connection>();
        let listener = {
            let _context = runtime.enter();
            CuttableListener::new(tokio::net::TcpListener::from_std(listener)?)
        };
        runtime.spawn(async move { axum::serve(listener, service).await });
        Ok(MockLlm { address, server, runtime: Some(runtime) })
    }

    /// Address at which it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The model it plays.
    pub fn model(&self) -> &str {
        &self.server.model
    }

    /// The most recent requests, oldest first: at most 4096 of them and 64 MiB of bodies.
    pub fn received(&self) -> Vec<ReceivedRequest> {
        self.server.log.received()
    }

    /// Releases the prescribed answers that wait for `key`.
    pub fn release(&self, key: &str) {
        self.server.stage.release(key);
    }

    /// Forgets the requests received so far. The totals stay.
    pub fn clear_received(&self) {
        self.server.log.clear_received();
    }

    /// Counts since the start.
    pub fn totals(&self) -> Totals {
        self.server.log.totals()
    }
}

impl Drop for MockLlm {
    fn drop(&mut self) {
        // Waiting would be forbidden inside an async caller, and there is nothing to wait for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn handle(
    State(server): State<Arc<Server>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    server.log.record(&method, &uri, &headers, &body);
    match server.stage.script(&headers) {
        Ok(Some(answer)) => return server.stage.play(answer, connection).await,
        Ok(None) => {}
        Err(message) => return refusal(StatusCode::BAD_REQUEST, &message),
    }
    let mut response = match (method.as_str(), uri.path()) {
        ("POST", "/v1/chat/completions") => complete(&server, connection, &headers, &body).await,
        ("GET", "/v1/models") => {
            let model = json!({"id": server.model, "object": "model", "created": 0, "owned_by": "mock"});
            json_response(StatusCode::OK, &json!({"object": "list", "data": [model]}))
        }
        (method, path) => refusal(StatusCode::NOT_FOUND, &format!("Unknown request URL: {method} {path}.")),
    };
    if let Ok(model) = HeaderValue::from_str(&server.model) {
        response.headers_mut().insert("x-mock-model", model);
    }
    response.headers_mut().insert("x-mock-received-bytes", body.len().into());
    response
}

async fn complete(
    server: &Arc<Server>,
    connection: Connection,
    headers: &HeaderMap,
    body: &Bytes,
) -> Response {
    let directions = match Directions::from_headers(headers, &server.model) {
        Ok(directions) => directions,
        Err(message) => return refusal(StatusCode::BAD_REQUEST, &message),
    };
    let request: Value = match serde_json::from_slice(body) {
        Ok(request) => request,
        Err(error) => {
            return refusal(StatusCode::BAD_REQUEST, &format!("The body is not JSON: {error}."));
        }
    };
    let Some(model) = request["model"].as_str() else {
        return refusal(StatusCode::BAD_REQUEST, "You must provide a model parameter.");
    };
    if directions.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(directions.delay_ms)).await;
    }
    if directions.fault.is_some() {
        server.log.count(|totals| totals.faults += 1);
    }
    let mut response = match directions.fault {
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::ResetBeforeHeaders) => {
            connection.cut();
            // The client never receives this: the connection is reset before the first byte.
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        Some(Fault::Status500) => refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The server had an error while processing your request.",
        ),
        Some(Fault::Status429) => {
            let mut response = refusal(StatusCode::TOO_MANY_REQUESTS, "Rate limit reached.");
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
        _ => answer(server, connection, &directions, &Answer::new(&request, body, &directions)),
    };
    if let Ok(model) = HeaderValue::from_str(model) {
        response.headers_mut().insert("x-mock-received-model", model);
    }
    response
}

fn answer(
    server: &Arc<Server>,
    connection: Connection,
    directions: &Directions,
    answer: &Answer,
) -> Response {
    let script = script::write(answer, directions);
    let (content_type, length) = (script.content_type, script.content_length);
    let log = Arc::clone(server);
    let (prompt_tokens, completion_tokens) = (answer.prompt_tokens, answer.completion_tokens);
    let sent = move || {
        log.log.count(|totals| {
            totals.answers += 1;
            totals.prompt_tokens += prompt_tokens;
            totals.completion_tokens += completion_tokens;
        });
    };
    let mut response = Response::new(Body::from_stream(script::play(script, connection, sent)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    if directions.fault == Some(Fault::Gzip) {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// An error in the format of the OpenAI API.
fn refusal(status: StatusCode, message: &str) -> Response {
    let kind = match status {
        StatusCode::TOO_MANY_REQUESTS => "requests",
        status if status.is_server_error() => "server_error",
        _ => "invalid_request_error",
    };
    json_response(status, &json!({"error": {"message": message, "type": kind, "param": null, "code": null}}))
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
