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
            "money",
            "usage",
            "one_line",
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

/// The lower-case names that follow `crate::`, braces included: modules. What the crate's root defines or re-exports
/// is written with a capital letter or is a macro, and belongs to no room.
fn imported_rooms(code: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => rooms.extend(heads_of_group(group).filter(|name| is_module(name))),
            None => rooms.extend(Some(head(rest)).filter(|name| is_module(name))),
        }
    }
    rooms
}

fn is_module(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_ascii_lowercase())
}

fn head(path: &str) -> String {
    path.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

/// The first names of `a::b, c::{d, e}, f}` up to the brace that closes the group.
fn heads_of_group(group: &str) -> impl Iterator<Item = String> {
    let (mut heads, mut depth, mut start) = (Vec::new(), 0, Some(0));
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = Some(at + 1),
            letter if !letter.is_whitespace() => {
                heads.extend(start.take().map(|_| head(&group[at..])));
            }
            _ => {}
        }
    }
    heads.into_iter()
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
