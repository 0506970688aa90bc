//! Which functions an expression may call, and with how many arguments: an expression that calls another is refused when
//! it is made, as in Envoy.

use cel::common::ast::{CallExpr, EntryExpr, Expr};
use cel::common::types::{CelBool, CelString};
use cel::{Env, Program};

/// A function of the language without extensions.
struct Function {
    name: &'static str,
    /// Numbers of arguments it takes.
    arguments: &'static [usize],
    /// Numbers of arguments, the value before the dot among them, when it is called like a method.
    as_method: &'static [usize],
}

const fn function(name: &'static str, arguments: &'static [usize], as_method: &'static [usize]) -> Function {
    Function { name, arguments, as_method }
}

const FUNCTIONS: [Function; 25] = [
    function("bool", &[1], &[]),
    function("bytes", &[1], &[]),
    function("contains", &[2], &[2]),
    function("double", &[1], &[]),
    function("duration", &[1], &[]),
    function("dyn", &[1], &[]),
    function("endsWith", &[2], &[2]),
    function("getDate", &[], &[1, 2]),
    function("getDayOfMonth", &[], &[1, 2]),
    function("getDayOfWeek", &[], &[1, 2]),
    function("getDayOfYear", &[], &[1, 2]),
    function("getFullYear", &[], &[1, 2]),
    function("getHours", &[], &[1, 2]),
    function("getMilliseconds", &[], &[1, 2]),
    function("getMinutes", &[], &[1, 2]),
    function("getMonth", &[], &[1, 2]),
    function("getSeconds", &[], &[1, 2]),
    function("int", &[1], &[]),
    function("matches", &[2], &[2]),
    function("size", &[1], &[1]),
    function("startsWith", &[2], &[2]),
    function("string", &[1], &[]),
    function("timestamp", &[1], &[]),
    function("type", &[1], &[]),
    function("uint", &[1], &[]),
];

/// Whether every function that is called is one of these.
pub(crate) fn are_known(program: &Program) -> bool {
    all_calls(&program.expression().expr, &|call| {
        // Operators are functions too; their names are no identifiers.
        if !call.func_name.starts_with(|first: char| first.is_ascii_alphabetic()) {
            return true;
        }
        let found = FUNCTIONS.iter().find(|function| function.name == call.func_name);
        found.is_some_and(|function| match call.target {
            Some(_) => function.as_method.contains(&(call.args.len() + 1)),
            None => function.arguments.contains(&call.args.len()),
        })
    })
}

/// Whether `holds` for every call in an expression.
fn all_calls(expression: &Expr, holds: &impl Fn(&CallExpr) -> bool) -> bool {
    let all = |expression: &Expr| all_calls(expression, holds);
    let entry = |entry: &EntryExpr| match entry {
        EntryExpr::StructField(field) => all(&field.value.expr),
        EntryExpr::MapEntry(entry) => all(&entry.key.expr) && all(&entry.value.expr),
    };
    match expression {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => true,
        Expr::Call(call) => {
            holds(call)
                && call.target.iter().all(|target| all(&target.expr))
                && call.args.iter().all(|argument| all(&argument.expr))
        }
        Expr::Comprehension(over) => {
            [&over.iter_range, &over.accu_init, &over.loop_cond, &over.loop_step, &over.result]
                .into_iter()
                .all(|part| all(&part.expr))
        }
        Expr::List(list) => list.elements.iter().all(|element| all(&element.expr)),
        Expr::Map(map) => map.entries.iter().all(|found| entry(&found.expr)),
        Expr::Select(select) => all(&select.operand.expr),
        Expr::Struct(made) => made.entries.iter().all(|found| entry(&found.expr)),
    }
}

/// The language without its optional values, which Envoy does not have, and with three methods that Envoy has as
/// functions too.
pub(crate) fn language() -> Env {
    let mut language = Env::stdlib().with_optional_support(false);
    let added = [
        cel::add_overload!(language, fn contains: (CelString, CelString) -> CelBool, id = "contains"),
        cel::add_overload!(language, fn starts_with: (CelString, CelString) -> CelBool, id = "startsWith"),
        cel::add_overload!(language, fn ends_with: (CelString, CelString) -> CelBool, id = "endsWith"),
    ];
    assert!(added.iter().all(Result::is_ok), "{added:?}");
    language
}

fn contains(text: &CelString<'_>, part: &CelString<'_>) -> CelBool {
    text.inner().contains(part.inner()).into()
}

fn starts_with(text: &CelString<'_>, part: &CelString<'_>) -> CelBool {
    text.inner().starts_with(part.inner()).into()
}

fn ends_with(text: &CelString<'_>, part: &CelString<'_>) -> CelBool {
    text.inner().ends_with(part.inner()).into()
}
