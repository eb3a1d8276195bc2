//! The house rules that can be tested: which room may name what, and how large a file may grow.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

use chappe_client::Refusal;
use std::fs;
use std::path::{Path, PathBuf};

/// The most lines of a source file.
const LINES_MAX: usize = 600;

/// In these rooms, these words may not stand in code: the room, the words, and why.
const FORBIDDEN: &[(&str, &[&str], &str)] = &[
    (
        "crates/core/src",
        &["tokio", "axum", "rusqlite", "SystemTime", "Instant", "getrandom", "async ", "std::env", "std::fs"],
        "the rules know no clock, no randomness, no database and no async",
    ),
    (
        "crates/smpp/src",
        &[
            "chappe_core",
            "SystemTime",
            "std::time::Instant",
            "rand::",
            "RandomState",
            "spawn(",
            "std::env",
            "std::fs",
        ],
        "the session knows nothing of Chappe; its caller has the clock, the chance and the task",
    ),
    (
        "src/store",
        &["crate::engine", "crate::api", "crate::work", "crate::channels"],
        "the store is below the engine",
    ),
    ("src/channels", &["crate::store", "crate::engine", "crate::api"], "a channel never sees the database"),
    ("src/api", &["crate::console", "rusqlite"], "the API and the pages do not know each other"),
    ("src/console", &["crate::api", "rusqlite"], "the pages and the API do not know each other"),
    (
        "src/oidc",
        &["crate::app", "crate::store", "crate::engine", "crate::console"],
        "who says who a person is need not know what becomes of that",
    ),
    (
        "src/engine",
        &["rusqlite", "crate::api", "crate::console", "crate::channels"],
        "the engine is below its callers",
    ),
    ("src/work", &["rusqlite", "crate::api", "crate::console"], "workers speak to the engine"),
];

/// These words may stand in these files alone.
const ONLY_IN: &[(&[&str], &[&str], &str)] = &[
    (&["SystemTime", "clock_gettime", "getrandom::"], &["src/env.rs"], "time and entropy have one door"),
    (&["std::env::var"], &["src/config.rs"], "the environment is read in one place"),
    (
        &["tokio::spawn", "thread::spawn", "thread::Builder", ".spawn("],
        &["src/work/", "src/engine/", "src/channels/", "src/cli/server.rs", "src/store/postgres/connect.rs"],
        "whoever starts a task must also end it",
    ),
    (&["rusqlite"], &["src/store/sqlite/"], "SQLite stays behind the seam"),
    (&["tokio_postgres", "deadpool_postgres"], &["src/store/postgres/"], "PostgreSQL stays behind the seam"),
];

fn sources(root: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from(root)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(&path);
                files.push((name.display().to_string(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!files.is_empty(), "{root} has no sources");
    files
}

/// The lines of a file that are code outside its tests, with their numbers.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let tests = text.find("#[cfg(test)]").unwrap_or(text.len());
    let lines = text[..tests].lines().enumerate().map(|(at, line)| (at + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn root(folder: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).display().to_string()
}

fn complain(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_room_keeps_to_its_calls() {
    let mut faults = Vec::new();
    for (room, words, why) in FORBIDDEN {
        for (name, text) in sources(&root(room)) {
            for (line, found) in code(&text) {
                for word in words.iter().filter(|word| found.contains(**word)) {
                    faults.push(format!("{name}:{line}: {word:?}: {why}"));
                }
            }
        }
    }
    complain(&faults);
}

#[test]
fn every_door_is_the_only_one() {
    let mut faults = Vec::new();
    for (words, doors, why) in ONLY_IN {
        for (name, text) in sources(&root("src")) {
            if doors.iter().any(|door| name.starts_with(door)) {
                continue;
            }
            for (line, found) in code(&text) {
                for word in words.iter().filter(|word| found.contains(**word)) {
                    faults.push(format!("{name}:{line}: {word:?}: {why}"));
                }
            }
        }
    }
    complain(&faults);
}

#[test]
fn no_file_is_too_long_to_be_read() {
    let folders = ["src", "crates", "tests", "benches"];
    let files = folders.iter().flat_map(|folder| sources(&root(folder)));
    let long = files.filter(|(_, text)| text.lines().count() > LINES_MAX);
    complain(&long.map(|(name, text)| format!("{name}: {} lines", text.lines().count())).collect::<Vec<_>>());
}

#[test]
fn money_is_never_a_float() {
    let rooms = ["crates/core/src", "src"];
    let mut faults = Vec::new();
    for (name, text) in rooms.iter().flat_map(|room| sources(&root(room))) {
        for (line, found) in code(&text).filter(|(_, line)| line.contains("f64") || line.contains("f32")) {
            faults.push(format!("{name}:{line}: {found}"));
        }
    }
    complain(&faults);
}

/// The names of errors that a call can be answered with, as the sources spell them.
fn error_names() -> Vec<String> {
    let mut names = Vec::new();
    for file in ["crates/core/src/command.rs", "src/api/answer.rs"] {
        let text = fs::read_to_string(root(file)).unwrap();
        let quoted = text.split('"').skip(1).step_by(2);
        let name = |word: &&str| {
            word.len() > 5 && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
        };
        // Only the operator's commands can meet this one.
        names.extend(quoted.filter(name).filter(|name| *name != "AMOUNT_INVALID").map(str::to_owned));
    }
    assert!(names.len() > 30, "only these names were found: {names:?}");
    names
}

#[test]
fn every_error_of_the_api_is_documented() {
    let read = |file: &str| fs::read_to_string(root(file)).unwrap();
    let (openapi, reference) = (read("src/openapi.json"), read("docs/api.md"));
    for name in error_names() {
        assert!(openapi.contains(&name), "{name} is not in the OpenAPI document");
        assert!(reference.contains(&name), "{name} is not in docs/api.md");
    }
}

#[test]
fn every_error_of_the_api_is_known_to_the_client() {
    let is_unknown = |name: &String| matches!(Refusal::parse(name), Refusal::Other(_));
    let unknown: Vec<String> = error_names().into_iter().filter(is_unknown).collect();
    assert!(unknown.is_empty(), "chappe-client does not know {unknown:?}");
}

#[test]
fn every_setting_is_explained_where_it_is_set() {
    let defaults = fs::read_to_string(root("chappe.default.toml")).unwrap();
    let mut explained = false;
    for line in defaults.lines() {
        let setting = line.contains(" = ") && !line.starts_with('#');
        assert!(!setting || explained, "no comment stands above {line:?}");
        explained = line.starts_with('#') || (setting && explained);
    }
}
