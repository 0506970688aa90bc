//! Requests and answers made from the seeds of the fuzz targets.

use std::path::Path;

use anyhow::{Context, Result};
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use seqroute_harness::{HeaderMap, cuts};

use super::mutate::mutate;

/// Seeds begin with two bytes that choose a variant; here they are left out.
const CHOICE_BYTES: usize = 2;

/// The texts that traffic is made from.
pub struct Texts {
    bodies: Vec<Vec<u8>>,
    answers: Vec<Vec<u8>>,
    heads: Vec<Vec<u8>>,
    paths: Vec<Vec<u8>>,
}

/// A message with its body in pieces.
#[derive(Debug)]
pub struct Message {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body in pieces. None: the message ends with its headers.
    pub pieces: Vec<Vec<u8>>,
    /// Whether trailers follow.
    pub has_trailers: bool,
}

impl Texts {
    /// Reads the seeds.
    ///
    /// # Errors
    /// When a folder of them cannot be read.
    pub fn read() -> Result<Texts> {
        let seeds = |target: &str, skip: usize| -> Result<Vec<Vec<u8>>> {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../filter/fuzz/seeds").join(target);
            let files = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
            let mut paths = files.map(|file| Ok(file?.path())).collect::<Result<Vec<_>>>()?;
            // A folder has no fixed order, and equal seeds must give equal runs.
            paths.sort();
            paths.iter().map(|path| Ok(std::fs::read(path)?.split_off(skip))).collect()
        };
        Ok(Texts {
            bodies: seeds("request_body", CHOICE_BYTES)?,
            answers: seeds("answer", CHOICE_BYTES)?,
            heads: seeds("request_head", 0)?,
            paths: seeds("api_path", 0)?,
        })
    }

    /// A random request.
    pub fn request(&self, random: &mut impl Rng) -> Message {
        let body = pick(random, &self.bodies);
        let body = mutate(random, body, 4);
        let mut headers = HeaderMap::default();
        let method: &[u8] = if random.random_bool(0.98) { b"POST" } else { b"GET" };
        headers.add(":method", method);
        let path = if random.random_bool(0.7) {
            b"/v1/chat/completions".to_vec()
        } else {
            let path = pick(random, &self.paths);
            mutate(random, path, 1)
        };
        headers.add(":path", path);
        headers.add(":authority", "llm");
        headers.add("x-seqroute-cluster", "small");
        headers.add("x-session-id", format!("session-{}", random.random_range(0..2_000)));
        if random.random_bool(0.3) {
            let head = pick(random, &self.heads);
            for line in mutate(random, head, 3).split(|byte| *byte == b'\n') {
                let (name, value) =
                    line.split_at(line.iter().position(|byte| *byte == b':').unwrap_or(line.len()));
                if !name.is_empty() {
                    headers.add(name, value.get(1..).unwrap_or_default());
                }
            }
        }
        let announced = match random.random_range(0..10) {
            0 => None,
            1 => Some(random.random::<u64>()),
            _ => Some(body.len() as u64),
        };
        if let Some(length) = announced {
            headers.add("content-length", length.to_string());
        }
        Message { headers, pieces: cut(random, &body), has_trailers: random.random_bool(0.05) }
    }

    /// A random answer.
    pub fn answer(&self, random: &mut impl Rng) -> Message {
        let body = pick(random, &self.answers);
        let body = mutate(random, body, 4);
        let mut headers = HeaderMap::default();
        let statuses =
            ["200", "200", "200", "200", "201", "302", "400", "429", "500", "503", "", "abc", "99999"];
        headers.add(":status", statuses.choose(random).copied().unwrap_or_default());
        let types = [
            "application/json",
            "text/event-stream; charset=utf-8",
            "application/vnd.amazon.eventstream",
            "text/html",
            "",
        ];
        headers.add("content-type", types.choose(random).copied().unwrap_or_default());
        if random.random_bool(0.05) {
            headers.add("content-encoding", "gzip");
        }
        Message { headers, pieces: cut(random, &body), has_trailers: random.random_bool(0.05) }
    }
}

fn pick<'a>(random: &mut impl Rng, texts: &'a [Vec<u8>]) -> &'a [u8] {
    texts.choose(random).map_or(&[], Vec::as_slice)
}

/// A body in one piece, or in several of random sizes.
fn cut(random: &mut impl Rng, body: &[u8]) -> Vec<Vec<u8>> {
    let longest = *[usize::MAX, usize::MAX, 400, 60, 3].choose(random).unwrap_or(&1);
    cuts::random_pieces(body, longest, random.random()).into_iter().map(<[u8]>::to_vec).collect()
}
