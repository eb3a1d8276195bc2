//! What the tests of the rules share: a gateway in memory, and tables to hold against it.

// Every test file is a crate of its own and uses its own part of this.
#![allow(dead_code, unused_imports)]
// Helpers of tests may say what they expect, as tests may.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod events;
mod gate;
mod store;

pub(crate) use events::{accepted, busy, due_at, failed, postponed, progress, unavailable, uncertain};
pub(crate) use gate::{
    ALICE, BOB, CODE, Gate, HOUR, LOCKED, MAGIC, OTHER, OWN, Order, PHONE, PRICE, START, TWIN, WRONG, mac,
    phone, rules, to,
};
pub(crate) use store::Store;

/// The rows of a table of text: cells parted by `|`, without the heading.
pub(crate) fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = table.lines().filter(|line| !line.trim().is_empty()).skip(1);
    lines.map(|line| line.split('|').map(str::trim).collect())
}

/// Several words as one cell; `-` for none.
pub(crate) fn cell<T: ToString>(words: impl IntoIterator<Item = T>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| word.to_string()).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(" ") }
}
