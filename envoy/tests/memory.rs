//! What open streams cost a real Envoy with the filter's module, and that the shipped configuration bounds it. Without an
//! Envoy or the module (`make envoy wasm`) each test prints that it was skipped, and passes.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use seqroute_envoy::gateway::{Gateway, Listener};
use seqroute_envoy::launcher::EnvoyBinary;
use serde_json::{Value, json};

const LISTENER: &str = "llm";
const HEADER_BYTES: usize = 15_000;
/// Less than the filter peeks at, so that it holds all of it.
const BODY_BYTES: usize = 60_000;
/// Streams that Envoy allows on one HTTP/2 connection.
const STREAMS_PER_CONNECTION: usize = 100;
/// Types and a flag of HTTP/2 frames, and the largest payload that every peer takes.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
const MAX_FRAME: usize = 16_384;

/// How clients connect.
#[derive(Clone, Copy, Debug)]
enum Protocol {
    Http1,
    Http2,
}

/// Begins `streams` requests with large headers and the first part of a body, in which the filter finds no model. Dropping
/// the connections ends them.
fn begin(address: SocketAddr, protocol: Protocol, streams: usize) -> Vec<TcpStream> {
    let filler = "a".repeat(HEADER_BYTES / 5);
    let mut body = r#"{"messages":[{"role":"user","content":""#.to_owned();
    body.extend(std::iter::repeat_n("a ", (BODY_BYTES - body.len()) / 2));
    let request = |number: usize| {
        let session = format!("held-{number}");
        let mut headers =
            vec![("content-type".to_owned(), "application/json"), ("x-session-id".to_owned(), &*session)];
        headers.extend((0..5).map(|index| (format!("x-filler-{index}"), &*filler)));
        match protocol {
            Protocol::Http1 => http1_request(&headers, body.as_bytes()),
            Protocol::Http2 => http2_request(number % STREAMS_PER_CONNECTION, &headers, body.as_bytes()),
        }
    };
    let mut connections: Vec<TcpStream> = Vec::new();
    for number in 0..streams {
        let new = matches!(protocol, Protocol::Http1) || number % STREAMS_PER_CONNECTION == 0;
        if new {
            let mut connection = TcpStream::connect(address).unwrap();
            connection.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
            if matches!(protocol, Protocol::Http2) {
                connection.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
                connection.write_all(&frame(SETTINGS, 0, 0, b"")).unwrap();
            }
            connections.push(connection);
        }
        // Envoy closes connections under pressure.
        let _ = connections.last_mut().unwrap().write_all(&request(number));
    }
    connections
}

fn http1_request(headers: &[(String, &str)], body: &[u8]) -> Vec<u8> {
    let mut request = "POST /v1/chat/completions HTTP/1.1\r\nhost: llm\r\n".to_owned();
    headers.iter().for_each(|(name, value)| request.push_str(&format!("{name}: {value}\r\n")));
    request.push_str(&format!("content-length: {}\r\n\r\n", 2 * body.len()));
    [request.as_bytes(), body].concat()
}

/// A request in the frames of RFC 9113, with headers that are not compressed (RFC 7541, 6.2.2).
fn http2_request(index: usize, headers: &[(String, &str)], body: &[u8]) -> Vec<u8> {
    let pseudo =
        [(":method", "POST"), (":path", "/v1/chat/completions"), (":scheme", "http"), (":authority", "llm")];
    let mut block = Vec::new();
    let headers = headers.iter().map(|(name, value)| (&**name, *value));
    for (name, value) in pseudo.into_iter().chain(headers) {
        block.push(0);
        for text in [name, value] {
            push_length(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    let stream = u32::try_from(2 * index + 1).unwrap();
    let pieces = block.chunks(MAX_FRAME).count();
    let mut frames = Vec::new();
    for (piece, bytes) in block.chunks(MAX_FRAME).enumerate() {
        let kind = if piece == 0 { HEADERS } else { CONTINUATION };
        frames.extend(frame(kind, if piece + 1 == pieces { END_HEADERS } else { 0 }, stream, bytes));
    }
    body.chunks(MAX_FRAME).for_each(|bytes| frames.extend(frame(DATA, 0, stream, bytes)));
    frames
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A length with a prefix of seven bits (RFC 7541, 5.1).
fn push_length(block: &mut Vec<u8>, length: usize) {
    let Some(mut rest) = length.checked_sub(127) else { return block.push(u8::try_from(length).unwrap()) };
    block.push(127);
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// Where `make wasm` puts the module, or `$SEQROUTE_WASM`.
fn module() -> Option<PathBuf> {
    let built = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/wasm32-wasip1/wasm/seqroute_filter.wasm");
    let path = std::env::var_os("SEQROUTE_WASM").map_or_else(|| PathBuf::from(built), PathBuf::from);
    path.is_file().then_some(path)
}

async fn start() -> Option<Gateway> {
    let Some(module) = module().filter(|_| EnvoyBinary::locate().is_ok()) else {
        eprintln!("skipped: no Envoy or no module; run `make envoy wasm`");
        return None;
    };
    let mut listener = Listener::shipped(LISTENER, &json!("best_affordable"), &[]).unwrap();
    listener.settings["ledger"]["buckets"] = json!(65_536);
    Some(Gateway::start(&module, 2, &[listener]).await.unwrap())
}

/// Bytes of the heap in use, which Envoy counts itself.
async fn heap(gateway: &Gateway) -> u64 {
    let page: Value = serde_json::from_str(&gateway.envoy.admin_get("/memory").await.unwrap()).unwrap();
    page["allocated"].as_str().unwrap().parse().unwrap()
}

/// Resident bytes of the process: now, or the most so far.
fn resident(gateway: &Gateway, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.envoy.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_matches([':', ' ', '\t']).trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// [`begin`] on a thread of its own: the model servers run on this one.
async fn open(gateway: &Gateway, protocol: Protocol, streams: usize) -> Vec<TcpStream> {
    let address = gateway.address(LISTENER);
    tokio::task::spawn_blocking(move || begin(address, protocol, streams)).await.unwrap()
}

/// Waits until this many streams of the listener are open.
async fn wait_open(gateway: &Gateway, streams: u64) {
    let stat = format!("http.{LISTENER}.downstream_rq_active");
    gateway.envoy.wait_for_stat(&stat, |open| open == streams, Duration::from_secs(60)).await.unwrap();
}

#[tokio::test]
async fn an_open_stream_costs_what_it_holds_and_gives_it_back() {
    const STREAMS: usize = 500;
    let Some(gateway) = start().await else { return };
    for protocol in [Protocol::Http2, Protocol::Http1] {
        let (heap_before, resident_before) = (heap(&gateway).await, resident(&gateway, "VmRSS"));
        let held = open(&gateway, protocol, STREAMS).await;
        wait_open(&gateway, STREAMS as u64).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let of_one = |after: u64, before: u64| after.saturating_sub(before) / STREAMS as u64 / 1000;
        let in_heap = of_one(heap(&gateway).await, heap_before);
        let resident = of_one(resident(&gateway, "VmRSS"), resident_before);
        println!(
            "{protocol:?}: {in_heap} KB of heap and {resident} KB resident for each of {STREAMS} streams"
        );
        assert!((40..180).contains(&in_heap), "{in_heap}");
        drop(held);
        wait_open(&gateway, 0).await;
        let kept = of_one(heap(&gateway).await, heap_before);
        assert!(kept < 10, "{kept} KB of each stream are not given back");
    }
}

#[tokio::test]
#[ignore = "takes some GB of memory and a minute"]
async fn a_crowd_of_open_streams_stays_below_the_heap_limit_and_is_refused() {
    const STREAMS: usize = 20_000;
    let Some(gateway) = start().await else { return };
    let held = open(&gateway, Protocol::Http2, STREAMS).await;
    let refused = format!("http.{LISTENER}.downstream_rq_overload_close");
    gateway.envoy.wait_for_stat(&refused, |count| count > 0, Duration::from_secs(240)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let most = resident(&gateway, "VmHWM");
    let open = format!("http.{LISTENER}.downstream_rq_active");
    let stats = gateway.envoy.stats(&format!("^({open}|{refused})$")).await.unwrap();
    let (open, refused) = (stats[&open], stats[&refused]);
    println!("{open} streams open, {refused} refused, at most {} MB resident", most / 1_000_000);
    assert!(most < 1_500_000_000, "{most}");
    drop(held);
    wait_open(&gateway, 0).await;
    let chat = gateway.chat(LISTENER, r#"{"model":"auto","messages":[]}"#).header("x-session-id", "honest");
    assert_eq!(gateway.send(chat).await.unwrap().0, 200);
}
