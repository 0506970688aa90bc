//! Reads and rewrites the body of an LLM request as it streams to the upstream.
//!
//! One pass finds the facts and the places to change; the bytes of those places change, everything else passes as
//! the client sent it, never parsed and written again. All duplicates of a member are treated alike, so that no
//! receiver can pick another model or a longer answer than was reserved.
//!
//! **Length.** The content-length must match the rewritten body, and it is sent before the whole body was read. So it
//! is raised by the most that an honest body can still grow, and the rest of that room is filled with spaces after the
//! closing brace (RFC 8259 allows them). A body that needs more room is treated as request smuggling.

use std::sync::Arc;

use crate::body::edits::{Changes, Edit, Edits, ServedBy};
use crate::body::facts::{BodyFacts, FactsReader};
use crate::body::input::{InputMeter, ReadInput};
use crate::body::marks::Marks;
use crate::body::members::{Members, look_alike};
use crate::body::wants::WantsReader;
use crate::request::api::Api;
use crate::request::call::Call;
use crate::wire::json::{JsonReader, Kind, Progress, Visitor};
use crate::wire::key::Key;

/// Scans a request body and changes it.
#[derive(Clone, Debug)]
pub struct RequestBody {
    api: Api,
    json: JsonReader,
    visitors: Visitors,
    edits: Option<Edits>,
    asks_for_usage: bool,
    /// It may be limited, and asked not to be kept.
    takes_limits: bool,
    /// Bytes by which the pieces to come must make the body longer; `None` where its length was not declared.
    room_bytes: Option<i64>,
}

impl Default for RequestBody {
    fn default() -> Self {
        RequestBody::new(Api::default())
    }
}

impl RequestBody {
    /// A body for `api`, whose members mean what they do without any setting.
    #[must_use]
    pub fn new(api: Api) -> RequestBody {
        RequestBody::with_members(api, Members::built_in())
    }

    /// A body for `api`.
    #[must_use]
    pub fn with_members(api: Api, members: Arc<Members>) -> RequestBody {
        let visitors = Visitors {
            facts: FactsReader::new(api, members.clone()),
            marks: Marks::new(api, members.allows_stored_state),
            input: InputMeter::default(),
            wants: WantsReader::default(),
            members,
            is_array: false,
            has_ttl: false,
            facts_want: false,
            wants_want: false,
            input_wants: false,
        };
        RequestBody {
            api,
            json: JsonReader::default(),
            visitors,
            edits: None,
            asks_for_usage: false,
            takes_limits: true,
            room_bytes: None,
        }
    }

    /// A body for a call.
    #[must_use]
    pub fn of_call(call: &Call, members: Arc<Members>) -> RequestBody {
        let mut body = RequestBody::with_members(call.api, members);
        if call.compacts {
            body.takes_limits = false;
            body.visitors.marks.add_nothing();
        }
        body
    }

    /// Reads the next bytes.
    pub fn scan(&mut self, chunk: &[u8]) {
        self.json.feed(chunk, &mut self.visitors);
    }

    /// How many bytes were read.
    #[must_use]
    pub fn scanned_bytes(&self) -> u64 {
        self.json.offset()
    }

    /// The length of the body without white space behind it; `None` before its end was read.
    #[must_use]
    pub fn end(&self) -> Option<u64> {
        self.visitors.marks.end_of_body
    }

    /// Whether the body is a whole JSON object yet.
    #[must_use]
    pub fn progress(&self) -> Progress {
        if self.visitors.marks.overflowed || self.visitors.is_array {
            return Progress::Invalid;
        }
        self.json.progress()
    }

    /// What the body says so far.
    #[must_use]
    pub fn facts(&self) -> BodyFacts {
        self.visitors.facts.facts(self.read_input(), self.visitors.wants.wants())
    }

    /// How much input the body is, as far as it was read.
    #[must_use]
    pub fn read_input(&self) -> ReadInput {
        ReadInput {
            size: self.visitors.input.size(),
            bytes: self.scanned_bytes(),
            complete: self.progress() == Progress::Complete,
            has_tools: self.visitors.facts.has_tools(),
            has_ttl: self.visitors.has_ttl,
            is_blind: false,
        }
    }

    /// The body asks for something that a request may not have; where it was decided on already, it must be reset.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.visitors.facts.forbidden().is_some()
    }

    /// Sets the changes, before the first piece is sent. `output_cap_tokens` is the limit of all answers together, in place
    /// of the client's own as far as that was read; more answers than were read by now are not allowed.
    pub fn decide(&mut self, served_by: &ServedBy<'_>, output_cap_tokens: Option<u64>) {
        let answers = self.visitors.facts.answers();
        // Without a cap the client's own limit was reserved for, and none that follows may exceed it.
        let limit = output_cap_tokens.or(self.visitors.facts.max_output_tokens());
        let limit = limit.and_then(|cap| cap.checked_div(answers)).filter(|_| self.takes_limits);
        let most = served_by.max_output_tokens.filter(|_| self.takes_limits);
        let changes = Changes {
            model: Some(served_by.name.to_owned()),
            max_output_tokens: limit.into_iter().chain(most).min(),
            adds_limit: limit.is_some(),
            limit_member: served_by.limit_member,
            max_answers: Some(answers),
            include_usage: served_by.stream_usage,
        };
        self.edits = Some(Edits::new(self.api, changes));
    }

    /// The bytes to forward in place of `chunk`, or `None` to forward them as they are.
    ///
    /// `chunk` must be the last bytes given to [`scan`](Self::scan), all of them for the first piece. A value that
    /// spans pieces is held back, and sent or replaced with the piece in which it ends.
    #[must_use]
    pub fn rewrite(&mut self, chunk: &[u8]) -> Option<Vec<u8>> {
        let edits = self.edits.as_ref()?;
        let (marks, stream) = (&self.visitors.marks, self.visitors.facts.stream());
        let scanned = self.json.offset();
        let base = scanned.saturating_sub(chunk.len() as u64);
        let mut cuts: Vec<(u64, u64, String)> = Vec::new();
        for mark in marks.found().iter().filter(|mark| edits.concern(mark.target)) {
            match (mark.end, mark.end.map(|_| edits.edit(mark, marks, stream))) {
                (Some(end), Some(Edit::Put(text))) => cuts.push((mark.start, end, text)),
                (Some(end), _) if mark.start < base => {
                    let held = mark.text.as_deref().unwrap_or_default();
                    cuts.push((mark.start, end, String::from_utf8_lossy(held).into_owned()));
                }
                (Some(_), _) => {}
                (None, _) => cuts.push((mark.start, scanned, String::new())),
            }
            self.asks_for_usage |= mark.end.is_some() && edits.asks_for_usage(mark, marks, stream);
        }
        self.visitors.marks.forget_finished();
        let mut out = Vec::new();
        let mut from = base;
        for (start, end, text) in &cuts {
            out.extend_from_slice(slice(chunk, base, from, *start));
            out.extend_from_slice(text.as_bytes());
            from = *end;
        }
        let is_changed = !cuts.is_empty();
        if is_changed {
            out.extend_from_slice(slice(chunk, base, from, scanned));
        }
        self.fill_room(chunk, is_changed.then_some(out))
    }

    /// Fixes the body's length when its first piece of `held_bytes` was rewritten to `sent_bytes`, and returns it.
    pub fn fix_length(&mut self, content_length: u64, held_bytes: usize, sent_bytes: usize) -> u64 {
        let Some(edits) = &self.edits else { return content_length };
        let marks = &self.visitors.marks;
        let growth = edits.most_growth(marks, self.visitors.facts.stream());
        let open = marks.found().iter().find(|mark| mark.end.is_none() && edits.concern(mark.target));
        let kept_back = open.map_or(0, |mark| self.json.offset().saturating_sub(mark.start));
        let room = growth.saturating_add(kept_back);
        self.room_bytes = Some(i64::try_from(room).unwrap_or(i64::MAX));
        let sent = content_length.saturating_add(sent_bytes as u64).saturating_sub(held_bytes as u64);
        sent.saturating_add(room)
    }

    /// The changes need more room than the declared length leaves.
    #[must_use]
    pub fn overran(&self) -> bool {
        self.room_bytes.is_some_and(|room| room < 0)
    }

    /// Keeps account of the room, and fills the rest of it once the body is complete.
    fn fill_room(&mut self, chunk: &[u8], new: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let Some(room) = self.room_bytes else { return new };
        let size = |bytes: &[u8]| i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        let growth = new.as_ref().map_or(0, |new| size(new).saturating_sub(size(chunk)));
        let room = room.saturating_sub(growth);
        self.room_bytes = Some(room);
        let spaces = usize::try_from(room).unwrap_or(0);
        if spaces == 0 || self.json.progress() != Progress::Complete {
            return new;
        }
        self.room_bytes = Some(0);
        let mut out = new.unwrap_or_else(|| chunk.to_vec());
        out.resize(out.len().saturating_add(spaces), b' ');
        Some(out)
    }

    /// The upstream was made to report usage that the client did not ask for.
    #[must_use]
    pub fn asks_for_usage(&self) -> bool {
        self.asks_for_usage
    }
}

#[derive(Clone, Debug)]
struct Visitors {
    facts: FactsReader,
    marks: Marks,
    input: InputMeter,
    wants: WantsReader,
    members: Arc<Members>,
    is_array: bool,
    has_ttl: bool,
    /// Who wants the text of the value being read: facts and marks, the reader of wants, and the meter of the input.
    facts_want: bool,
    wants_want: bool,
    input_wants: bool,
}

impl Visitor for Visitors {
    fn begin(&mut self, path: &[Key], kind: Kind, offset: u64) -> bool {
        self.is_array |= path.is_empty() && kind == Kind::Array;
        self.facts_want = self.facts.begin(path, kind, offset);
        self.facts_want |= self.marks.begin(path, kind, offset);
        self.wants_want = self.wants.begin(path, kind, offset);
        self.input_wants = self.input.begin(path, kind);
        self.input_wants | self.facts_want | self.wants_want
    }

    fn text(&mut self, path: &[Key], piece: &[u8]) {
        if self.facts_want {
            self.facts.text(path, piece);
            self.marks.text(path, piece);
        }
        if self.wants_want {
            self.wants.text(path, piece);
        }
        if self.input_wants {
            self.input.text(path, piece);
        }
    }

    fn end(&mut self, path: &[Key], kind: Kind, end: u64, is_empty: bool) {
        self.facts.end(path, kind, end, is_empty);
        self.marks.end(path, kind, end, is_empty);
        self.wants.end(path, kind, end, is_empty);
        self.input.end(path, kind);
    }

    fn name(&mut self, path: &[Key], name: &[u8]) -> Key {
        self.has_ttl |= name.eq_ignore_ascii_case(b"ttl");
        match self.members.key(path, name) {
            Key::Other => {
                let alike = look_alike(path, name);
                if alike != Key::Other {
                    self.input.doubt();
                }
                alike
            }
            known => known,
        }
    }

    fn outside(&mut self, bytes: &[u8]) {
        self.input.outside(bytes);
    }
}

/// The part of `chunk` (which begins at `base`) between two absolute offsets.
fn slice(chunk: &[u8], base: u64, from: u64, to: u64) -> &[u8] {
    let index =
        |offset: u64| usize::try_from(offset.saturating_sub(base)).unwrap_or(usize::MAX).min(chunk.len());
    chunk.get(index(from)..index(to)).unwrap_or_default()
}

#[cfg(test)]
#[path = "limits_tests.rs"]
mod limits_tests;
#[cfg(test)]
#[path = "rewrite_tests.rs"]
mod tests;
