//! The recorded answers, and how they are written down.
//!
//! The contents are made up, the shapes are those of the source that each names. No script makes the files, so add to them by hand. A `# ` line
//! before the first answer is a comment. An answer begins with a line `=== name`, then come lines `field: value`, an empty
//! line, and the body up to the next answer, without its last line end.
//!
//! | field | value |
//! |---|---|
//! | `source` | the provider's reference, or the report that shows the shape |
//! | `api` | `chat`, `responses`, `anthropic`, `gemini` or `bedrock` |
//! | `usage` | the right usage: `input`, `cached`, `written`, `long` (of `written`), `output`, `reasoning`, those that are not 0 |
//! | `charge` | nano-USD at 3,000 input, 300 cached, 3,750 written, 6,000 written for an hour, 15,000 output per token; `reserved` where no usage can be believed; `nothing` for what is refunded |
//! | `why` | the sum behind `charge` (not read) |
//! | `cut` | `yes`: the client left after these bytes |
//! | `answers` | how many were asked for at once |
//! | `status` | of the answer, if it is not 200 |
//! | `tiered` | `yes`: above 200,000 input tokens twice the input prices, and 22,500 for output |
//! | `lines` | `crlf` or `cr`: how lines of the body end; `messages`: each line is the payload of an Amazon event stream's message |

use std::fs;
use std::path::Path;

use seqroute_core::request::api::Api;
use seqroute_core::usage::Usage;

/// What an answer must cost.
#[derive(Clone, Copy, Debug)]
pub enum Charge {
    /// So many nano-USD, by its usage.
    Usage(u64),
    /// All that was reserved.
    Reserved,
    /// Nothing: it is refunded.
    Nothing,
}

/// A recorded answer.
#[derive(Clone, Debug)]
pub struct Shape {
    pub file: String,
    pub name: String,
    pub source: String,
    pub api: Api,
    pub usage: Option<Usage>,
    pub charge: Charge,
    pub is_whole: bool,
    pub answers: u64,
    pub status: u32,
    pub is_tiered: bool,
    pub body: Vec<u8>,
}

/// All recorded answers.
pub fn shapes() -> Vec<Shape> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/usage");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    let shapes = paths.iter().flat_map(|path| {
        let file = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(path).unwrap();
        let entries: Vec<String> = format!("\n{text}").split("\n=== ").skip(1).map(str::to_owned).collect();
        entries.into_iter().map(move |entry| shape(&file, &entry)).collect::<Vec<_>>()
    });
    shapes.collect()
}

fn shape(file: &str, entry: &str) -> Shape {
    let (head, body) = entry.split_once("\n\n").unwrap_or_else(|| panic!("{file}: {entry}"));
    let (name, fields) = head.split_once('\n').unwrap_or_else(|| panic!("{file}: {head}"));
    let field = |wanted: &str| {
        fields
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| value)
    };
    let known = ["source", "api", "usage", "charge", "why", "cut", "answers", "status", "tiered", "lines"];
    for line in fields.lines() {
        assert!(known.iter().any(|name| line.starts_with(&format!("{name}: "))), "{file}, {name}: {line}");
    }
    let number =
        |value: &str| value.replace(',', "").parse::<u64>().unwrap_or_else(|_| panic!("{name}: {value}"));
    Shape {
        file: file.to_owned(),
        name: name.to_owned(),
        source: field("source").unwrap_or_default().to_owned(),
        api: match field("api") {
            Some("chat") => Api::OpenAiChat,
            Some("responses") => Api::OpenAiResponses,
            Some("anthropic") => Api::AnthropicMessages,
            Some("gemini") => Api::GeminiGenerate,
            Some("bedrock") => Api::BedrockConverse,
            other => panic!("{name}: {other:?}"),
        },
        usage: field("usage").map(|text| usage(name, text)),
        charge: match field("charge") {
            Some("reserved") => Charge::Reserved,
            Some("nothing") => Charge::Nothing,
            Some(value) => Charge::Usage(number(value)),
            None => panic!("{name}: no charge"),
        },
        is_whole: field("cut").is_none(),
        answers: field("answers").map_or(1, number),
        status: field("status").map_or(200, |status| status.parse().unwrap()),
        is_tiered: field("tiered").is_some(),
        body: body_in(body, field("lines")),
    }
}

fn usage(name: &str, text: &str) -> Usage {
    let mut usage = Usage::default();
    for part in text.split(", ") {
        let (count, tokens) = part.split_once(' ').unwrap_or_else(|| panic!("{name}: {part}"));
        let place = match count {
            "input" => &mut usage.input_tokens,
            "cached" => &mut usage.cached_input_tokens,
            "written" => &mut usage.cache_write_tokens,
            "long" => &mut usage.long_cache_write_tokens,
            "output" => &mut usage.output_tokens,
            "reasoning" => &mut usage.reasoning_tokens,
            other => panic!("{name}: {other}"),
        };
        *place = tokens.parse().unwrap_or_else(|_| panic!("{name}: {part}"));
    }
    usage
}

fn body_in(body: &str, lines: Option<&str>) -> Vec<u8> {
    match lines {
        None => body.as_bytes().to_vec(),
        Some("crlf") => body.replace('\n', "\r\n").into_bytes(),
        Some("cr") => body.replace('\n', "\r").into_bytes(),
        Some("messages") => body.lines().flat_map(message).collect(),
        Some(other) => panic!("{other}"),
    }
}

/// A message of an Amazon event stream, with checksums of 0.
fn message(payload: &str) -> Vec<u8> {
    let header = b"\x0d:content-type\x07\x00\x10application/json";
    let length = |bytes: usize| u32::try_from(bytes).unwrap().to_be_bytes();
    let mut bytes = length(16 + header.len() + payload.len()).to_vec();
    bytes.extend(length(header.len()));
    bytes.extend([0; 4]);
    bytes.extend(header);
    bytes.extend(payload.bytes());
    bytes.extend([0; 4]);
    bytes
}
