//! What pages ask of the database, so that a test can look at how it is answered. Never part of a release.

use super::statement::Statement;
use std::cell::RefCell;

/// A statement that was carried out, with its values.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The statement.
    pub statement: Statement,
    /// How many steps SQLite's machine took for it: some for each row that it goes through.
    pub steps: i64,
}

thread_local! {
    /// `None` until somebody wants to know. A test that runs on one thread hears of nobody else's statements.
    static ASKED: RefCell<Option<Vec<Asked>>> = const { RefCell::new(None) };
}

/// Records what is asked on this thread from now on.
pub fn record() {
    ASKED.with_borrow_mut(|asked| *asked = Some(Vec::new()));
}

/// What was asked since [`record`], or since this was called last.
pub fn recorded() -> Vec<Asked> {
    ASKED.with_borrow_mut(|asked| asked.as_mut().map(std::mem::take).unwrap_or_default())
}

pub(super) fn note(statement: &Statement, steps: i64) {
    ASKED.with_borrow_mut(|asked| {
        if let Some(asked) = asked {
            asked.push(Asked { statement: statement.clone(), steps });
        }
    });
}
