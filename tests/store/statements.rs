//! Every statement that the sources hold is executed by the scenarios that run on both databases: whoever adds one without
//! a test on both is told so here.

use crate::house::{House, Place};
use crate::postgres::{cluster, database};
use crate::{admin, channels, lives, migrations, money, people, reads, requests, settings, statistics};
use std::collections::BTreeSet;
use std::sync::Mutex;

/// What each database does in its own way, and where it is tested instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("audit.rs", "the checks are a list that every audit goes through"),
    ("backup.rs", "tests/cli/backup.rs"),
    ("bell.rs", "tests/cli/postgres.rs"),
    ("connect.rs", "tests/store/opening.rs"),
    ("copy.rs", "tests/cli/copy.rs"),
    ("lead.rs", "tests/channels/telegram/servers.rs"),
    ("migrate.rs", "tests/store/opening.rs, tests/cli/migrate.rs"),
    ("node.rs", "tests/store/nodes.rs, tests/store/doubt.rs"),
];

/// Fewer than this, and the sources were not understood.
const STATEMENTS_MIN: usize = 40;

async fn every_scenario(house: impl AsyncFn() -> House) {
    admin::all(&house).await;
    channels::all(&house).await;
    lives::all(&house).await;
    migrations::all(&house).await;
    money::all(&house).await;
    people::all(&house).await;
    reads::all(&house).await;
    requests::all(&house).await;
    settings::all(&house).await;
    statistics::all(&house).await;
}

#[tokio::test]
async fn every_statement_for_sqlite_is_executed() {
    use chappe::store::sqlite::executed;
    executed::record();
    every_scenario(House::sqlite).await;
    let executed = executed::recorded().iter().map(|text| plain(text)).collect();
    assert_all(&written(&["sqlite", "console"]), &executed);
}

#[tokio::test]
async fn every_statement_for_postgresql_is_executed() {
    let names = Mutex::new(BTreeSet::new());
    every_scenario(async || {
        let database = database().await;
        // Without parameters: they would be most of the log.
        for setting in ["log_statement = 'all'", "log_min_messages = debug2", "log_parameter_max_length = 0"]
        {
            database.run(&format!("ALTER DATABASE {} SET {setting}", database.name)).await;
        }
        names.lock().unwrap().insert(database.name.clone());
        House::furnish(Place::Postgres(database)).await
    })
    .await;
    let (mut prepared, mut executed) = (BTreeSet::new(), BTreeSet::new());
    for Entry { database, kind, text } in entries(&cluster().log()) {
        if names.lock().unwrap().contains(&database) {
            // The same twice: what came back with its name, and what was said without one.
            let text = plain(text.split_once(": ").map_or("", |(_, text)| text));
            match kind {
                Kind::Prepared => prepared.insert(text),
                Kind::Executed => executed.insert(text),
            };
        }
    }
    assert_all(&written(&["postgres", "console"]), &executed);
    // What is put together from lists of columns can be told apart only once it is whole.
    let idle: Vec<_> = prepared.difference(&executed).collect();
    assert!(prepared.len() > STATEMENTS_MIN && idle.is_empty(), "prepared and never executed: {idle:#?}");
}

/// Every pattern must be that of a statement which was executed.
fn assert_all(written: &[(String, String)], executed: &BTreeSet<String>) {
    assert!(written.len() >= STATEMENTS_MIN, "only {} statements were found: {written:#?}", written.len());
    let was_executed = |pattern: &str| executed.iter().any(|text| fits(pattern, text));
    let missing: Vec<_> = written.iter().filter(|(_, pattern)| !was_executed(pattern)).collect();
    assert!(missing.is_empty(), "no scenario that runs on both databases executes {missing:#?}");
}

/// The statements in the sources of these rooms of the store, with the file of each. `{…}` stands for what is put in.
pub(crate) fn written(rooms: &[&str]) -> Vec<(String, String)> {
    let folders = rooms.iter().map(|room| format!("{}/src/store/{room}", env!("CARGO_MANIFEST_DIR")));
    let mut found = Vec::new();
    for entry in folders.flat_map(|folder| std::fs::read_dir(folder).unwrap()) {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.ends_with(".rs") || ELSEWHERE.iter().any(|(elsewhere, _)| *elsewhere == name) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let tests = text.find("#[cfg(test)]").unwrap_or(text.len());
        let code: String = text[..tests]
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .map(|line| format!("{line}\n"))
            .collect();
        let statements =
            literals(&code).into_iter().map(|text| plain(&text)).filter(|text| is_statement(text));
        found.extend(statements.map(|text| (name.clone(), text)));
    }
    found
}

fn is_statement(text: &str) -> bool {
    ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "].iter().any(|verb| text.starts_with(verb))
}

/// The texts in quotes.
fn literals(code: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), code.chars());
    while let Some(next) = rest.next() {
        match next {
            // A character may be a quote.
            '\'' if rest.as_str().starts_with("\"'") => rest = rest.as_str()[2..].chars(),
            '"' => {
                let mut text = String::new();
                while let Some(next) = rest.next().filter(|next| *next != '"') {
                    match next {
                        '\\' => match rest.next() {
                            // A line that goes on.
                            Some('\n') | None => {}
                            Some(escaped) => text.push(escaped),
                        },
                        other => text.push(other),
                    }
                }
                found.push(text);
            }
            _ => {}
        }
    }
    found
}

/// A statement without the white space that is there for its readers.
pub(crate) fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a text is what a pattern makes, whatever is put in.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('{').enumerate().map(|(at, part)| match at {
        0 => part,
        _ => part.split_once('}').map_or(part, |(_, after)| after),
    });
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        last = Some(part);
    }
    rest.is_empty() || last.is_some_and(|last| last.is_empty() || rest.ends_with(last))
}

/// What the server's log tells of one statement.
struct Entry {
    database: String,
    kind: Kind,
    /// The name that it was given, and then itself.
    text: String,
}

enum Kind {
    Prepared,
    Executed,
}

/// The entries of a log that are about statements. Each begins a line with `MOMENT [PROCESS] DATABASE LEVEL:`, and goes on
/// in lines that begin with a tab.
fn entries(log: &str) -> Vec<Entry> {
    let mut found: Vec<Entry> = Vec::new();
    let mut goes_on = false;
    for line in log.lines() {
        if let Some(more) = line.strip_prefix('\t') {
            if goes_on && let Some(entry) = found.last_mut() {
                entry.text.push('\n');
                entry.text.push_str(more);
            }
            continue;
        }
        let entry =
            line.split_once("] ").and_then(|(_, line)| line.split_once(' ')).and_then(|(database, line)| {
                let (kind, text) = [("LOG:  execute ", Kind::Executed), ("DEBUG:  parse ", Kind::Prepared)]
                    .into_iter()
                    .find_map(|(words, kind)| Some((kind, line.strip_prefix(words)?)))?;
                Some(Entry { database: database.to_owned(), kind, text: text.to_owned() })
            });
        goes_on = entry.is_some();
        found.extend(entry);
    }
    found
}
