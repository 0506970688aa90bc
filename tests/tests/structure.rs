//! The structure of the sources: imports point one way, and files and folders stay small.
//!
//! A room is a file or folder directly under a crate's `src`. [`ROOMS`] lists each crate's rooms from the top of the
//! import order to its bottom; a room may import the rooms below it and nothing else of its crate. Unit tests
//! (`*_tests.rs`, `mod tests`) may import anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A crate's folder, and its rooms from top to bottom.
const ROOMS: &[(&str, &[&str])] = &[
    (
        "filter/core/src",
        &[
            "engine",
            "reply",
            "policy",
            "decide",
            "ledger",
            "answer",
            "body",
            "request",
            "wire",
            "config",
            "counters",
            "prices",
            "money",
            "usage",
            "one_line",
            "pattern",
            "text_enum",
        ],
    ),
    ("harness/src", &["api", "vm", "hostcalls", "guest", "proxy", "control", "abi"]),
    (
        "trainer/src",
        &[
            "cli",
            "experiments",
            "evaluation",
            "training",
            "artifact",
            "learner",
            "hbr",
            "bounds",
            "baselines",
            "population",
            "text_head",
            "network",
            "ingest",
            "error",
        ],
    ),
    (
        "trainer/sessions/src",
        &[
            "environment",
            "deploy",
            "books",
            "guard",
            "simulator",
            "prompts",
            "models",
            "session",
            "files",
            "compression",
            "terminal",
            "error",
        ],
    ),
];

/// The crates' sources.
const CRATES: [&str; 8] = [
    "filter/core/src",
    "filter/plugin/src",
    "trainer/src",
    "trainer/sessions/src",
    "harness/src",
    "harness/command/src",
    "envoy/src",
    "tests/src",
];

/// Most source files in one folder below a `src`, unit tests not counted.
const MAX_FILES_IN_FOLDER: usize = 13;
/// Most lines of one source file.
const MAX_LINES_OF_FILE: usize = 400;

#[test]
fn imports_point_down_the_order_of_rooms() {
    let mut faults = Vec::new();
    for (folder, order) in ROOMS {
        let root = repository().join(folder);
        for file in sources(&root).into_iter().filter(|file| !is_test(file)) {
            let text = fs::read_to_string(&file).unwrap();
            faults.extend(
                upward_imports(room_of(&root, &file).as_deref(), &text, order)
                    .map(|fault| format!("{}: {fault}", file.strip_prefix(repository()).unwrap().display())),
            );
        }
    }
    assert!(faults.is_empty(), "{} imports point upwards:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn files_do_not_import_each_other_in_a_circle() {
    for folder in CRATES {
        let root = repository().join(folder);
        let production = sources(&root).into_iter().filter(|file| !is_test(file));
        let module = |file: PathBuf| {
            let path = file.strip_prefix(&root).unwrap().with_extension("");
            let mut module: Vec<_> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            module.pop_if(|name| name == "mod");
            (module, production_code(&fs::read_to_string(&file).unwrap()))
        };
        assert_eq!(circles(&production.map(module).collect()), [""; 0], "{folder}");
    }
}

#[test]
fn a_circle_of_files_is_found() {
    let files = |files: &[(&str, &str)]| {
        let module = |name: &str| name.split("::").map(str::to_owned).collect();
        files.iter().map(|(name, code)| (module(name), (*code).to_owned())).collect()
    };
    let apart = [
        ("a", "use crate::b::{self, c::D};"),
        ("b", "use crate::x;"),
        ("b::c", "use super::Error;"),
        ("x", ""),
    ];
    assert_eq!(circles(&files(&apart)), [""; 0]);
    let two = [
        ("a", "use crate::b::c::*;"),
        ("b::c", "use crate::{x::Y as Z, a::B};"),
        ("x", ""),
        ("top", "use crate::a;"),
    ];
    assert_eq!(circles(&files(&two)), ["a", "b::c"]);
    assert_eq!(circles(&files(&[("b::c", "use super::d;"), ("b::d", "use super::c::E;")])), ["b::c", "b::d"]);
}

#[test]
fn every_listed_room_exists() {
    for (folder, order) in ROOMS {
        let root = repository().join(folder);
        for room in *order {
            let exists = root.join(room).is_dir() || root.join(format!("{room}.rs")).is_file();
            assert!(exists, "{folder} has no room {room}");
        }
        let listed: BTreeSet<_> = order.iter().collect();
        assert_eq!(listed.len(), order.len(), "{folder}: a room is listed twice");
    }
}

#[test]
fn folders_and_files_stay_small() {
    let mut per_folder: BTreeMap<PathBuf, usize> = BTreeMap::new();
    let mut faults = Vec::new();
    for file in ["filter", "trainer", "harness", "envoy", "tests"]
        .map(|top| repository().join(top))
        .iter()
        .flat_map(|top| sources(top))
    {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        if lines > MAX_LINES_OF_FILE {
            faults.push(format!("{}: {lines} lines", file.display()));
        }
        let in_src = file.components().any(|part| part.as_os_str() == "src");
        if in_src && !is_test(&file) {
            *per_folder.entry(file.parent().unwrap().to_owned()).or_default() += 1;
        }
    }
    let crowded = per_folder.into_iter().filter(|(_, files)| *files > MAX_FILES_IN_FOLDER);
    faults.extend(crowded.map(|(folder, files)| format!("{}: {files} files", folder.display())));
    assert!(
        faults.is_empty(),
        "over {MAX_LINES_OF_FILE} lines or {MAX_FILES_IN_FOLDER} files:\n{}",
        faults.join("\n")
    );
}

#[test]
fn an_upward_import_is_found_in_every_spelling() {
    let order = ["top", "middle", "ground"];
    let found = |text: &str| upward_imports(Some("middle"), text, &order).count();
    for upward in [
        "use crate::top::Thing;",
        "pub(crate) use crate::top;",
        "use crate::{ground::A, top::{B, C}};",
        "use crate::{\n    ground::A,\n    top::B,\n};",
        "fn f() -> crate::top::Thing { todo() }",
        "use crate::unlisted::Thing;",
        "use super::super::top::Thing;",
    ] {
        assert_eq!(found(upward), 1, "{upward}");
    }
    for fine in [
        "use crate::ground::Thing;",
        "use crate::middle::Thing;",
        "use crate::Error;",
        "use super::Thing;",
        "//! See [`crate::top`].",
        "/// See [`crate::top::Thing`].",
        "#[cfg(test)]\nmod tests {\n    use crate::top::Thing;\n}",
    ] {
        assert_eq!(found(fine), 0, "{fine}");
    }
}

/// What a file of `room` imports against the order, one line each. A crate's root (`room` is `None`) may import all.
fn upward_imports<'a>(
    room: Option<&'a str>,
    text: &str,
    order: &'a [&'a str],
) -> impl Iterator<Item = String> + use<'a> {
    let rank = |room: &str| order.iter().position(|listed| *listed == room);
    let code = production_code(text);
    let mut faults = Vec::new();
    if let Some(room) = room {
        if code.contains("super::super::") {
            faults.push("names a room by `super::super::`; write `crate::`".to_owned());
        }
        for imported in imported_rooms(&code) {
            match (rank(room), rank(&imported)) {
                (None, _) => faults.push(format!("room `{room}` is not listed")),
                (_, None) => faults.push(format!("imports `{imported}`, which is not listed")),
                (Some(own), Some(other)) if other < own => {
                    faults.push(format!("`{room}` imports `{imported}`, which is above it"));
                }
                _ => {}
            }
        }
    }
    faults.into_iter()
}

/// The first modules of the paths that follow `crate::`. What the crate's root defines or re-exports is written with a
/// capital letter or is a macro, and belongs to no room.
fn imported_rooms(code: &str) -> BTreeSet<String> {
    let rooms = paths_after("crate::", code).into_iter().filter_map(|path| path.into_iter().next());
    rooms.filter(|name| name.starts_with(|letter: char| letter.is_ascii_lowercase())).collect()
}

/// The paths that follow `start`, those in braces one by one.
fn paths_after(start: &str, code: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for (at, _) in code.match_indices(start) {
        read_paths(&mut &code[at + start.len()..], &[], &mut paths);
    }
    paths
}

/// Reads `a`, `a::b` or `a::{b, c::d}` below `parent`, and leaves what follows.
fn read_paths(text: &mut &str, parent: &[String], paths: &mut Vec<Vec<String>>) {
    *text = text.trim_start();
    if let Some(group) = text.strip_prefix('{') {
        *text = group;
        loop {
            read_paths(text, parent, paths);
            // What is left of an element: `as other`, `*`.
            *text = text.trim_start_matches(|letter| letter != ',' && letter != '}');
            match text.strip_prefix(',') {
                Some(next) => *text = next,
                None => {
                    *text = text.strip_prefix('}').unwrap_or(text);
                    return;
                }
            }
        }
    }
    let length = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(length);
    *text = rest;
    if name.is_empty() {
        return;
    }
    let path = [parent, &[name.to_owned()]].concat();
    match rest.strip_prefix("::") {
        Some(below) => {
            *text = below;
            let found = paths.len();
            read_paths(text, &path, paths);
            // `a::*` imports `a`.
            if paths.len() == found {
                paths.push(path);
            }
        }
        None => paths.push(path),
    }
}

/// The files of a crate that import each other in a circle, or stand between two circles, by their modules. A module and
/// its own parent do not count.
fn circles(files: &BTreeMap<Vec<String>, String>) -> Vec<String> {
    let file_of =
        |path: &[String]| (1..=path.len()).rev().find_map(|length| files.get_key_value(&path[..length]));
    let imports = |module: &Vec<String>, code: &str| -> BTreeSet<Vec<String>> {
        let parent = &module[..module.len().saturating_sub(1)];
        let siblings = paths_after("super::", code).into_iter().map(|path| [parent, &path].concat());
        let all = paths_after("crate::", code).into_iter().chain(siblings);
        let files = all.filter_map(|path| Some(file_of(&path)?.0.clone()));
        files.filter(|file| file != module && file[..] != *parent).collect()
    };
    let mut left: BTreeMap<_, _> =
        files.iter().map(|(module, code)| (module.clone(), imports(module, code))).collect();
    loop {
        let imported: BTreeSet<_> = left.values().flatten().cloned().collect();
        let open = |(module, imports): (&Vec<String>, &BTreeSet<Vec<String>>)| {
            (!imported.contains(module) || !imports.iter().any(|file| left.contains_key(file)))
                .then(|| module.clone())
        };
        let open: Vec<_> = left.iter().filter_map(open).collect();
        if open.is_empty() {
            return left.into_keys().map(|module| module.join("::")).collect();
        }
        left.retain(|module, _| !open.contains(module));
    }
}

/// The text without comments and without what follows the first `#[cfg(test)]` that opens a module of tests.
fn production_code(text: &str) -> String {
    let code =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    match code.find("#[cfg(test)]\nmod ") {
        Some(tests) => code[..tests].to_owned(),
        None => code,
    }
}

fn is_test(file: &Path) -> bool {
    let name = file.file_stem().unwrap().to_string_lossy();
    name.ends_with("_tests") || name == "tests"
}

/// `None` for the crate's root.
fn room_of(root: &Path, file: &Path) -> Option<String> {
    let first =
        file.strip_prefix(root).unwrap().components().next()?.as_os_str().to_string_lossy().into_owned();
    let room = first.trim_end_matches(".rs");
    (room != "lib" && room != "main").then(|| room.to_owned())
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
