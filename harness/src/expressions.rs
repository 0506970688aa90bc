//! Expressions of the Common Expression Language over properties: what `expr_create` and its like work on.
//!
//! The language is crate `cel`'s. What is Envoy's here: which names there are, that an unknown function is an error
//! when the expression is made, and how a value becomes bytes. A token is used up by an expression that parses and is
//! refused later, as in Envoy.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

use cel::common::types::{CelBool, CelBytes, CelInt, CelString, CelUInt};
use cel::common::value::Val;
use cel::{Context, Env, Program, Value};

use crate::abi::Status;
use crate::cel_fields::Fields;
use crate::cel_functions;
use crate::cel_headers::Headers;
use crate::cel_values::to_bytes;
use crate::headers::HeaderMap;

/// Properties that are objects, there for every stream and connection, whatever they hold.
const OBJECTS: [&str; 8] =
    ["connection", "destination", "filter_state", "request", "response", "source", "upstream", "xds"];

/// Properties that are signed numbers, as Envoy types them; other numbers are in [`UNSIGNED`] and [`BOOLEANS`], and all
/// others are text.
const SIGNED: [&str; 12] = [
    "destination.port",
    "listener_direction",
    "request.size",
    "request.total_size",
    "response.code",
    "response.flags",
    "response.grpc_status",
    "response.size",
    "response.total_size",
    "source.port",
    "upstream.port",
    "upstream.request_attempt_count",
];
const UNSIGNED: [&str; 2] = ["connection.id", "connection_id"];
const BOOLEANS: [&str; 1] = ["connection.mtls"];

static LANGUAGE: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(cel_functions::language()));

/// Properties by their segments.
pub(crate) type Facts = BTreeMap<Vec<Vec<u8>>, Vec<u8>>;

/// What an expression can see.
#[derive(Default)]
pub(crate) struct Surroundings {
    /// Whether there is a stream or a connection.
    pub(crate) has_member: bool,
    pub(crate) properties: Facts,
    pub(crate) request_headers: Option<HeaderMap>,
    pub(crate) response_headers: Option<HeaderMap>,
    /// What the plugin wrote, by its path.
    pub(crate) filter_state: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Which of it is text, as `declare_property` says; the rest is bytes, whatever they are.
    pub(crate) texts: BTreeSet<Vec<u8>>,
    /// Envoy's own filter state objects.
    pub(crate) envoy_filter_state: BTreeMap<String, Vec<u8>>,
}

/// The longest expression that is taken. Parsing and evaluating recurse once per operator, so that a longer one could
/// use up the stack of the test that runs it.
const EXPRESSION_BYTES: usize = 4096;

/// The expressions of one plugin.
#[derive(Default)]
pub(crate) struct Expressions {
    next_token: u32,
    programs: HashMap<u32, Program>,
}

impl Expressions {
    /// Takes an expression; its token.
    pub(crate) fn create(&mut self, text: &[u8]) -> Result<u32, Status> {
        if text.len() > EXPRESSION_BYTES {
            return Err(Status::BadArgument);
        }
        let text = std::str::from_utf8(text).map_err(|_| Status::BadArgument)?;
        let program = LANGUAGE.compile(text).map_err(|_| Status::BadArgument)?;
        let token = self.next_token;
        self.next_token = self.next_token.wrapping_add(1);
        if !cel_functions::are_known(&program) {
            return Err(Status::BadArgument);
        }
        self.programs.insert(token, program);
        Ok(token)
    }

    /// The value of an expression, as Envoy serialises it.
    pub(crate) fn evaluate(&self, token: u32, surroundings: Surroundings) -> Result<Vec<u8>, Status> {
        let program = self.programs.get(&token).ok_or(Status::NotFound)?;
        let mut context = Context::with_env(Arc::clone(&LANGUAGE));
        for (name, value) in surroundings.into_variables() {
            context.add_variable_as_val(name, value);
        }
        let value =
            Value::resolve_val(program.expression(), &context).map_err(|_| Status::InternalFailure)?;
        to_bytes(value.as_ref())
    }

    /// Forgets an expression, if there is one.
    pub(crate) fn delete(&mut self, token: u32) {
        self.programs.remove(&token);
    }
}

impl Surroundings {
    fn into_variables(self) -> BTreeMap<String, Box<dyn Val>> {
        let mut variables = BTreeMap::<String, Box<dyn Val>>::new();
        let mut objects = BTreeMap::<String, Fields>::new();
        for name in OBJECTS.into_iter().filter(|_| self.has_member) {
            objects.insert(name.to_owned(), Fields::default());
        }
        let filter_state = objects.entry("filter_state".to_owned()).or_default();
        for (path, value) in self.filter_state {
            let value: Box<dyn Val> = match self.texts.contains(&path) {
                true => Box::new(CelString::from(text(&value))),
                false => Box::new(CelBytes::from(value)),
            };
            filter_state.0.insert(format!("wasm.{}", text(&path)), value.clone());
            variables.insert(text(&path), value);
        }
        for (name, value) in self.envoy_filter_state {
            filter_state.0.insert(name, Box::new(CelBytes::from(value)));
        }
        branches(self.properties, "", &mut variables, &mut objects);
        for (name, headers) in [("request", self.request_headers), ("response", self.response_headers)] {
            if let (Some(headers), Some(object)) = (headers, objects.get_mut(name)) {
                object.0.insert("headers".to_owned(), Box::new(Headers::from(&headers)));
            }
        }
        if !self.has_member {
            objects.retain(|_, object| !object.0.is_empty());
        }
        variables.extend(objects.into_iter().map(|(name, object)| (name, Box::new(object) as Box<dyn Val>)));
        variables
    }
}

/// Turns paths into values and nested objects; `above` is the path to these, with a dot behind it.
fn branches(
    facts: Facts,
    above: &str,
    values: &mut BTreeMap<String, Box<dyn Val>>,
    objects: &mut BTreeMap<String, Fields>,
) {
    let mut inner = BTreeMap::<String, Facts>::new();
    for (path, value) in facts {
        let Some((first, rest)) = path.split_first() else {
            continue;
        };
        let name = text(first);
        if rest.is_empty() {
            let typed = typed(&format!("{above}{name}"), value);
            values.insert(name, typed);
        } else {
            inner.entry(name).or_default().insert(rest.to_vec(), value);
        }
    }
    for (name, facts) in inner {
        let object = objects.entry(name.clone()).or_default();
        let mut nested = BTreeMap::new();
        branches(facts, &format!("{above}{name}."), &mut object.0, &mut nested);
        object.0.extend(nested.into_iter().map(|(name, object)| (name, Box::new(object) as Box<dyn Val>)));
    }
}

/// A property with the type that Envoy gives it.
fn typed(path: &str, value: Vec<u8>) -> Box<dyn Val> {
    let number = value.as_slice().try_into().map(u64::from_le_bytes);
    match number {
        Ok(number) if SIGNED.contains(&path) => Box::new(CelInt::from(number.cast_signed())),
        Ok(number) if UNSIGNED.contains(&path) => Box::new(CelUInt::from(number)),
        _ if BOOLEANS.contains(&path) => Box::new(CelBool::from(value.iter().any(|byte| *byte != 0))),
        _ => match String::from_utf8(value) {
            Ok(text) => Box::new(CelString::from(text)),
            Err(error) => Box::new(CelBytes::from(error.into_bytes())),
        },
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(segments: &[&str]) -> Vec<Vec<u8>> {
        segments.iter().map(|segment| segment.as_bytes().to_vec()).collect()
    }

    fn evaluated(text: &str) -> Result<Vec<u8>, Status> {
        let properties = [
            (path(&["connection", "id"]), 7u64.to_le_bytes().to_vec()),
            (path(&["response", "code"]), 429i64.to_le_bytes().to_vec()),
            (path(&["connection", "mtls"]), vec![1]),
            (path(&["metadata", "filter_metadata", "envoy.lb", "stage"]), b"canary".to_vec()),
            (path(&["request", "path"]), b"/a".to_vec()),
            (path(&["route_name"]), b"\xff".to_vec()),
        ];
        let surroundings = Surroundings {
            has_member: true,
            properties: properties.into(),
            request_headers: Some(HeaderMap::from(&[("x-a", "1"), ("x-a", "2")])),
            response_headers: None,
            filter_state: [(b"mine".to_vec(), b"text".to_vec()), (b"said".to_vec(), b"text".to_vec())].into(),
            texts: [b"said".to_vec()].into(),
            envoy_filter_state: BTreeMap::new(),
        };
        let mut expressions = Expressions::default();
        let token = expressions.create(text.as_bytes())?;
        expressions.evaluate(token, surroundings)
    }

    #[test]
    fn a_property_that_a_test_sets_has_the_type_it_has_in_envoy() {
        for expression in [
            "connection.id == 7u && connection.mtls",
            "response.code == 429 && response.code / 100 == 4",
            "metadata.filter_metadata['envoy.lb'].stage == 'canary'",
            "request.path == '/a' && request.headers['X-A'] == '1,2'",
            "route_name == b'\\377' && mine == b'text'",
            "said == 'text' && filter_state['wasm.said'] == said && 'wasm.mine' in filter_state",
            "!has(upstream.address) && !has(response.flags)",
        ] {
            assert_eq!(evaluated(expression), Ok(vec![1]), "{expression}");
        }
    }

    #[test]
    fn each_kind_of_mistake_has_its_status() {
        for (expression, status) in [
            ("1 +", Status::BadArgument),
            ("nothing(1)", Status::BadArgument),
            ("size('a', 'b')", Status::BadArgument),
            ("nothing", Status::InternalFailure),
            ("1 / 0", Status::InternalFailure),
            ("request", Status::SerializationFailure),
            ("[null]", Status::SerializationFailure),
        ] {
            assert_eq!(evaluated(expression), Err(status), "{expression}");
        }
    }

    #[test]
    fn a_token_is_used_up_by_what_parses() {
        let mut expressions = Expressions::default();
        assert_eq!(expressions.create(b"1"), Ok(0));
        assert_eq!(expressions.create(b"1 +"), Err(Status::BadArgument));
        assert_eq!(expressions.create(b"nothing(1)"), Err(Status::BadArgument));
        assert_eq!(expressions.create(b"2"), Ok(2));
        expressions.delete(2);
        assert_eq!(expressions.evaluate(2, Surroundings::default()), Err(Status::NotFound));
    }
}
