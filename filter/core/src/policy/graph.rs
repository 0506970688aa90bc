//! The subset of NNEF that a policy may use.
//!
//! | operation | as |
//! |---|---|
//! | `external`, `variable` | literal shapes of rank 2, each dimension at most 4096 |
//! | `sub`, `div`, `mul`, `add` | element-wise, for normalisation |
//! | `linear` | `x·Wᵀ + b` with W `[out, in]`, b `[1, out]` |
//! | `relu` | activation |
//!
//! The text must be flat NNEF 1.0 without extensions or fragments. Checked here, before the engine: a module built
//! for this subset never meets another operation, and a hostile graph costs no more than a small one.

use tract_nnef::ast::parse::parse_document;
use tract_nnef::ast::{Assignment, Invocation, LValue, RValue};

use crate::policy::archive::{Archive, DAT_HEADER_BYTES, GRAPH};
use crate::policy::error::PolicyError;

/// Largest graph text.
pub const MAX_GRAPH_BYTES: usize = 16 * 1024;
/// Largest dimension of a tensor.
pub const MAX_DIMENSION: u64 = 4096;
/// Operations besides `external` and `variable`.
pub const OPERATIONS: [&str; 6] = ["sub", "div", "mul", "add", "linear", "relu"];

/// Brackets the parser may have open at once; flat NNEF needs three.
const MAX_NESTING: usize = 4;

/// Checks graph and tensors of an archive.
///
/// # Errors
/// [`PolicyError`] that names the statement or the file.
pub fn check(archive: &Archive) -> Result<(), PolicyError> {
    let text = archive.file(GRAPH)?;
    if text.len() > MAX_GRAPH_BYTES {
        let found = text.len();
        return Err(PolicyError::Graph(format!(
            "{GRAPH}: found {found} bytes, expected at most {MAX_GRAPH_BYTES}"
        )));
    }
    let text =
        std::str::from_utf8(text).map_err(|_| PolicyError::Graph(format!("{GRAPH}: not UTF-8 text")))?;
    if let Some(sign) = stray_sign(text) {
        return Err(PolicyError::Graph(format!("{GRAPH}: found `{sign}`, which flat NNEF does not need")));
    }
    if nesting(text) > MAX_NESTING {
        return Err(PolicyError::Graph(format!("{GRAPH}: brackets nest deeper than {MAX_NESTING}")));
    }
    let document = parse_document(text).map_err(|error| PolicyError::Graph(format!("{GRAPH}: {error:#}")))?;
    if !document.extension.is_empty() || !document.fragments.is_empty() {
        return Err(PolicyError::Graph(format!(
            "{GRAPH}: found extensions or fragments, expected flat NNEF"
        )));
    }
    for statement in &document.graph_def.body {
        check_statement(statement, archive)?;
    }
    archive.tensors().try_for_each(|(path, bytes)| check_tensor(path, bytes).map(|_| ()))
}

fn check_statement(statement: &Assignment, archive: &Archive) -> Result<(), PolicyError> {
    let error = |text: String| Err(PolicyError::Graph(format!("{GRAPH}: {text}")));
    // The engine takes the first name of a tuple without asking whether there is one.
    let LValue::Identifier(_) = &statement.left else {
        return error(format!("found `{:?}` before `=`, expected one name", statement.left));
    };
    let RValue::Invocation(invocation) = &statement.right else {
        return error(format!("found `{:?}`, expected an operation", statement.left));
    };
    let name = invocation.id.0.as_str();
    match name {
        "external" => shape(invocation).map(|_| ()),
        "variable" => {
            let declared = shape(invocation)?;
            let label = match argument(invocation, "label") {
                Some(RValue::Literal(tract_nnef::ast::Literal::String(label))) => label,
                _ => return error("a `variable` without a label".to_owned()),
            };
            let path = format!("{label}.dat");
            let stored = check_tensor(&path, archive.file(&path)?)?;
            if stored == declared {
                return Ok(());
            }
            error(format!("variable `{label}`: found the shape {declared:?}, the file has {stored:?}"))
        }
        _ if OPERATIONS.contains(&name) => {
            let nested =
                invocation.arguments.iter().any(|argument| !matches!(argument.rvalue, RValue::Identifier(_)));
            if nested {
                error(format!("`{name}`: found an argument that is not a plain name"))
            } else {
                Ok(())
            }
        }
        _ => error(format!(
            "found the operation `{name}`, expected one of external, variable, {}",
            OPERATIONS.join(", ")
        )),
    }
}

fn argument<'a>(invocation: &'a Invocation, name: &str) -> Option<&'a RValue> {
    let named = |argument: &&tract_nnef::ast::Argument| argument.id.as_ref().is_some_and(|id| id.0 == name);
    invocation.arguments.iter().find(named).map(|argument| &argument.rvalue)
}

fn shape(invocation: &Invocation) -> Result<[u64; 2], PolicyError> {
    use tract_nnef::ast::Literal;
    let error = || {
        let expected = format!("a literal shape of rank 2 with dimensions of 1 to {MAX_DIMENSION}");
        PolicyError::Graph(format!("{GRAPH}: `{}`: expected {expected}", invocation.id.0))
    };
    let dimension = |value: &RValue| match value {
        RValue::Literal(Literal::Numeric(digits)) => digits.parse().ok(),
        _ => None,
    };
    let items: Option<Vec<u64>> = match argument(invocation, "shape") {
        Some(RValue::Array(items)) => items.iter().map(dimension).collect(),
        Some(RValue::Literal(Literal::Array(items))) => {
            items.iter().map(|item| dimension(&RValue::Literal(item.clone()))).collect()
        }
        _ => None,
    };
    let shape: [u64; 2] = items.and_then(|items| items.try_into().ok()).ok_or_else(error)?;
    if shape.iter().all(|dimension| (1..=MAX_DIMENSION).contains(dimension)) {
        Ok(shape)
    } else {
        Err(error())
    }
}

/// Checks a tensor file: header, shape, length, finite values. Returns its shape.
fn check_tensor(path: &str, bytes: &[u8]) -> Result<[u64; 2], PolicyError> {
    let error = |text: &str| PolicyError::Tensor(format!("`{path}`: {text}"));
    let (header, data) =
        bytes.split_at_checked(DAT_HEADER_BYTES).ok_or_else(|| error("shorter than its header"))?;
    let word = |at: usize| {
        let bytes = header.get(at..).and_then(|rest| rest.first_chunk::<4>());
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    };
    if header.get(..4) != Some(&[0x4e, 0xef, 1, 0]) || word(8) != 2 || word(44) != 32 || word(48) != 0 {
        return Err(error("expected a NNEF 1.0 tensor of rank 2 and 32-bit floats"));
    }
    let shape = [u64::from(word(12)), u64::from(word(16))];
    let [rows, columns] = shape;
    let bytes_needed = rows.saturating_mul(columns).saturating_mul(4);
    if rows > MAX_DIMENSION || columns > MAX_DIMENSION || data.len() as u64 != bytes_needed {
        return Err(error(&format!("found {} bytes of data for the shape {shape:?}", data.len())));
    }
    if u64::from(word(4)) != bytes_needed {
        return Err(error("the header's data length is not that of its shape"));
    }
    let (values, _) = data.as_chunks::<4>();
    if values.iter().any(|value| !f32::from_le_bytes(*value).is_finite()) {
        return Err(error("found a weight that is not finite"));
    }
    Ok(shape)
}

/// The first character that the subset does not use, such as an operator. The engine's parser takes time that doubles
/// with each character of a chain such as `- - - x`.
fn stray_sign(text: &str) -> Option<char> {
    let (mut quote, mut is_comment, mut signs) = (None, false, text.chars().peekable());
    while let Some(sign) = signs.next() {
        match (quote, sign) {
            _ if is_comment => is_comment = sign != '\n',
            (Some(open), _) if sign == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(sign),
            (None, '#') => is_comment = true,
            (None, '-') if signs.next_if_eq(&'>').is_some() => {}
            (None, '_' | '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>' | '=' | ',' | ';' | ':' | '.') => {}
            (None, _) if sign.is_ascii_alphanumeric() || sign.is_ascii_whitespace() => {}
            (None, _) => return Some(sign),
        }
    }
    None
}

fn nesting(text: &str) -> usize {
    let (mut open, mut deepest) = (0usize, 0usize);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' | b'<' => open = open.saturating_add(1),
            b')' | b']' | b'}' | b'>' => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest
}
