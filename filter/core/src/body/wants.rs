//! What a request asks of its model's abilities, so that it goes only to a model that has them.
//!
//! | ability | where it is asked for |
//! |---|---|
//! | images, documents, sound, films | parts of messages, by their type, their member, or their MIME type |
//! | tools | any tool that is offered |
//! | thinking | `thinking.type`, `reasoning_config.type`; Gemini `thinkingConfig.thinkingBudget` |
//! | effort | `reasoning_effort`, `reasoning.effort`, `output_config.effort`; Gemini `thinkingConfig.thinkingLevel` |
//! | structured output | `response_format`, `text.format`, `output_config.format`; Gemini `responseMimeType`, `responseSchema` |
//! | usage of a stream | `stream_options` |
//! | the newer limit of a chat | `max_completion_tokens` |
//!
//! Nothing here bounds a bill: a word that is not known, or that stands behind the decision, is left to the server to refuse.

use crate::body::members::{is_in_part, strip_additional};
use crate::config::{Effort, Structure, Thinking};
use crate::wire::json::{Kind, Visitor};
use crate::wire::key::Key;
use crate::wire::slot::Slot;

/// Longest word that is kept; a MIME type may be longer, but not its beginning.
const MAX_WORD_BYTES: usize = 80;
const JSON: &[u8] = b"application/json";

/// What a request asks for, as far as it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// A message has an image.
    pub images: bool,
    /// A message has a document.
    pub files: bool,
    /// A message has sound.
    pub audio: bool,
    /// A message has a film.
    pub video: bool,
    /// It offers tools.
    pub tools: bool,
    /// How the model is to think, where that is said.
    pub thinking: Option<Thinking>,
    /// Tokens that it may think at most.
    pub thinking_tokens: Option<u64>,
    /// The effort, where it is said.
    pub effort: Option<Effort>,
    /// The form of the answer, where it is said.
    pub structure: Option<Structure>,
    /// It has `stream_options`.
    pub stream_options: bool,
    /// It has `max_completion_tokens`.
    pub max_completion_tokens: bool,
}

/// Reads what a request asks for. Of several values for one thing the last counts, as it does for most servers.
#[derive(Clone, Debug)]
pub struct WantsReader {
    wants: Wants,
    word: Slot,
    number: Slot,
}

impl Default for WantsReader {
    fn default() -> Self {
        WantsReader {
            wants: Wants::default(),
            word: Slot::new(Kind::String, MAX_WORD_BYTES),
            number: Slot::new(Kind::Scalar, MAX_WORD_BYTES),
        }
    }
}

/// What a value says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    PartType,
    MimeType,
    Thinking,
    ThinkingBudget,
    Effort,
    Structure,
    AnswerMimeType,
}

fn meaning(path: &[Key]) -> Option<Meaning> {
    let path = strip_additional(path);
    match path {
        [Key::Messages | Key::Input | Key::Contents | Key::System, ..] => meaning_in_part(path),
        [Key::Thinking | Key::ReasoningConfig, Key::Type] => Some(Meaning::Thinking),
        [Key::GenerationConfig, Key::ThinkingConfig, Key::ThinkingBudget] => Some(Meaning::ThinkingBudget),
        [Key::ReasoningEffort]
        | [Key::Reasoning | Key::OutputConfig, Key::Effort]
        | [Key::GenerationConfig, Key::ThinkingConfig, Key::ThinkingLevel] => Some(Meaning::Effort),
        [Key::ResponseFormat | Key::OutputFormat, Key::Type]
        | [Key::Text | Key::OutputConfig, Key::Format, Key::Type] => Some(Meaning::Structure),
        [Key::GenerationConfig, Key::ResponseMimeType] => Some(Meaning::AnswerMimeType),
        _ => None,
    }
}

fn meaning_in_part(path: &[Key]) -> Option<Meaning> {
    match path {
        [holder @ .., Key::Type] if holder.last() == Some(&Key::Item) && is_in_part(holder) => {
            Some(Meaning::PartType)
        }
        [holder @ .., Key::InlineData | Key::FileData, Key::MimeType] if is_in_part(holder) => {
            Some(Meaning::MimeType)
        }
        _ => None,
    }
}

impl WantsReader {
    /// What was read so far, tools and the budget of thinking aside.
    #[must_use]
    pub fn wants(&self) -> Wants {
        self.wants
    }

    fn begin_part(&mut self, path: &[Key]) {
        let [_, Key::Item, .., last] = path else { return };
        let wanted = match last {
            Key::Image | Key::ImageUrl => &mut self.wants.images,
            Key::Document | Key::File => &mut self.wants.files,
            Key::Audio | Key::InputAudio | Key::AudioUrl => &mut self.wants.audio,
            Key::Video | Key::VideoUrl => &mut self.wants.video,
            _ => return,
        };
        *wanted |= path.split_last().is_some_and(|(_, holder)| is_in_part(holder));
    }

    fn take_word(&mut self, meaning: Meaning) {
        self.word.end();
        let Some(word) = self.word.get() else { return };
        let wants = &mut self.wants;
        match meaning {
            Meaning::PartType => match word {
                b"image" | b"image_url" | b"input_image" => wants.images = true,
                b"document" | b"file" | b"input_file" => wants.files = true,
                b"input_audio" | b"audio_url" => wants.audio = true,
                b"video_url" | b"input_video" => wants.video = true,
                _ => {}
            },
            Meaning::MimeType => match word.split(|byte| *byte == b'/').next() {
                Some(b"image") => wants.images = true,
                Some(b"audio") => wants.audio = true,
                Some(b"video") => wants.video = true,
                // Any model takes text.
                Some(b"text") => {}
                _ => wants.files = true,
            },
            Meaning::Thinking => {
                wants.thinking = Thinking::ALL.into_iter().find(|kind| kind.as_str().as_bytes() == word);
            }
            Meaning::Effort => {
                let is = |effort: &Effort| word.eq_ignore_ascii_case(effort.as_str().as_bytes());
                wants.effort = Effort::ALL.into_iter().find(is);
            }
            Meaning::Structure => {
                wants.structure = Structure::ALL.into_iter().find(|form| form.as_str().as_bytes() == word);
            }
            Meaning::AnswerMimeType if word == JSON => {
                wants.structure = wants.structure.or(Some(Structure::JsonObject));
            }
            Meaning::AnswerMimeType | Meaning::ThinkingBudget => {}
        }
    }

    fn take_number(&mut self) {
        self.number.end();
        let Some(number) = self.number.get() else { return };
        self.wants.thinking = Some(match number {
            b"null" => return,
            b"0" => Thinking::Disabled,
            [b'-', ..] => Thinking::Adaptive,
            _ => Thinking::Enabled,
        });
    }
}

impl Visitor for WantsReader {
    fn begin(&mut self, path: &[Key], kind: Kind, _offset: u64) -> bool {
        match path {
            [Key::Messages | Key::Input | Key::Contents | Key::System, ..] if kind != Kind::Scalar => {
                self.begin_part(path);
            }
            [Key::StreamOptions] => self.wants.stream_options |= kind == Kind::Object,
            [Key::MaxCompletionTokens] => self.wants.max_completion_tokens = true,
            [Key::GenerationConfig, Key::ResponseSchema] if kind != Kind::Scalar => {
                self.wants.structure = Some(Structure::JsonSchema);
            }
            _ => {}
        }
        match meaning(path) {
            Some(Meaning::ThinkingBudget) => self.number.begin(kind),
            Some(_) => self.word.begin(kind),
            None => false,
        }
    }

    fn text(&mut self, path: &[Key], piece: &[u8]) {
        match meaning(path) {
            Some(Meaning::ThinkingBudget) => self.number.push(piece),
            Some(_) => self.word.push(piece),
            None => {}
        }
    }

    fn end(&mut self, path: &[Key], _kind: Kind, _end: u64, _is_empty: bool) {
        match meaning(path) {
            Some(Meaning::ThinkingBudget) => self.take_number(),
            Some(meaning) => self.take_word(meaning),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::rewrite::RequestBody;
    use crate::request::api::Api;
    use serde_json::{Value, json};

    fn wants(api: Api, body: &Value) -> Wants {
        let mut reader = RequestBody::new(api);
        reader.scan(body.to_string().as_bytes());
        reader.facts().wants
    }

    #[test]
    fn parts_are_told_apart_in_every_api() {
        let chat =
            |part: Value| wants(Api::OpenAiChat, &json!({"messages": [{"role": "user", "content": [part]}]}));
        let of_images = Wants { images: true, ..Wants::default() };
        let of_files = Wants { files: true, ..Wants::default() };
        let of_audio = Wants { audio: true, ..Wants::default() };
        let of_video = Wants { video: true, ..Wants::default() };
        assert_eq!(chat(json!({"type": "image_url", "image_url": {"url": "u"}})), of_images);
        assert_eq!(chat(json!({"type": "file", "file": {"file_id": "f"}})), of_files);
        assert_eq!(chat(json!({"type": "input_audio", "input_audio": {"data": "d"}})), of_audio);
        assert_eq!(chat(json!({"type": "video_url", "video_url": {"url": "u"}})), of_video);
        assert_eq!(chat(json!({"type": "text", "text": "image"})), Wants::default());
        let input = |part: Value| wants(Api::OpenAiResponses, &json!({"input": [{"content": [part]}]}));
        assert_eq!(input(json!({"type": "input_image", "file_id": "f"})), of_images);
        assert_eq!(input(json!({"type": "input_file", "file_url": "u"})), of_files);
        let messages =
            |part: Value| wants(Api::AnthropicMessages, &json!({"messages": [{"content": [part]}]}));
        assert_eq!(messages(json!({"type": "document", "source": {"type": "file"}})), of_files);
        let result = json!({"type": "tool_result", "content": [{"type": "image", "source": {}}]});
        assert_eq!(messages(result), of_images);
        let tool_use = json!({"type": "tool_use", "input": {"image": {}, "type": "image"}});
        assert_eq!(messages(tool_use), Wants::default(), "arguments are free");
        let contents = |part: Value| wants(Api::GeminiGenerate, &json!({"contents": [{"parts": [part]}]}));
        assert_eq!(contents(json!({"inlineData": {"data": "", "mimeType": "image/png"}})), of_images);
        assert_eq!(contents(json!({"fileData": {"mimeType": "audio/mp3", "fileUri": "u"}})), of_audio);
        assert_eq!(contents(json!({"file_data": {"mime_type": "application/pdf"}})), of_files);
        let bedrock = |part: Value| wants(Api::BedrockConverse, &json!({"messages": [{"content": [part]}]}));
        assert_eq!(bedrock(json!({"image": {"source": {"bytes": ""}}})), of_images);
        assert_eq!(bedrock(json!({"toolResult": {"content": [{"document": {}}]}})), of_files);
    }

    #[test]
    fn thinking_and_effort_are_read_where_each_api_has_them() {
        let read = |api, body| {
            let wants = wants(api, &body);
            (wants.thinking, wants.effort)
        };
        let anthropic = json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}});
        assert_eq!(
            read(Api::AnthropicMessages, anthropic.clone()),
            (Some(Thinking::Adaptive), Some(Effort::High))
        );
        let bedrock = json!({"additionalModelRequestFields": anthropic});
        assert_eq!(read(Api::BedrockConverse, bedrock), (Some(Thinking::Adaptive), Some(Effort::High)));
        let chat = json!({"reasoning_effort": "xhigh"});
        assert_eq!(read(Api::OpenAiChat, chat), (None, Some(Effort::Xhigh)));
        let responses = json!({"reasoning": {"effort": "none", "summary": "auto"}});
        assert_eq!(read(Api::OpenAiResponses, responses), (None, Some(Effort::None)));
        let gemini = |config: Value| {
            read(Api::GeminiGenerate, json!({"generationConfig": {"thinkingConfig": config}}))
        };
        assert_eq!(gemini(json!({"thinkingBudget": 0})), (Some(Thinking::Disabled), None));
        assert_eq!(gemini(json!({"thinkingBudget": -1})), (Some(Thinking::Adaptive), None));
        assert_eq!(gemini(json!({"thinking_budget": 512})), (Some(Thinking::Enabled), None));
        assert_eq!(gemini(json!({"thinkingLevel": "LOW"})), (None, Some(Effort::Low)));
        assert_eq!(read(Api::OpenAiChat, json!({"reasoning_effort": "utmost"})), (None, None));
    }

    #[test]
    fn the_form_of_an_answer_is_read_where_each_api_has_it() {
        let read = |api, body| wants(api, &body).structure;
        let (object, schema) = (Some(Structure::JsonObject), Some(Structure::JsonSchema));
        assert_eq!(read(Api::OpenAiChat, json!({"response_format": {"type": "json_object"}})), object);
        assert_eq!(read(Api::OpenAiChat, json!({"response_format": {"type": "text"}})), None);
        assert_eq!(read(Api::OpenAiResponses, json!({"text": {"format": {"type": "json_schema"}}})), schema);
        assert_eq!(
            read(Api::AnthropicMessages, json!({"output_config": {"format": {"type": "json_schema"}}})),
            schema
        );
        let gemini = |config: Value| read(Api::GeminiGenerate, json!({ "generationConfig": config }));
        assert_eq!(gemini(json!({"responseMimeType": "application/json"})), object);
        assert_eq!(gemini(json!({"responseSchema": {}, "responseMimeType": "application/json"})), schema);
        assert_eq!(gemini(json!({"responseMimeType": "text/plain"})), None);
    }

    #[test]
    fn tools_budgets_and_stream_options_are_seen() {
        let body = json!({"tools": [{"type": "custom"}], "thinking": {"type": "enabled", "budget_tokens": 9},
            "stream_options": {"include_usage": true}, "max_completion_tokens": null});
        let expected = Wants {
            tools: true,
            thinking: Some(Thinking::Enabled),
            thinking_tokens: Some(9),
            stream_options: true,
            max_completion_tokens: true,
            ..Wants::default()
        };
        assert_eq!(wants(Api::AnthropicMessages, &body), expected);
    }
}
