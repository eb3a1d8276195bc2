//! Are you sure? The page before whatever cannot be undone, or should not happen by a slip.

use super::shell::Shell;
use askama::Template;

/// Asks whether something is really meant.
#[derive(Template)]
#[template(path = "confirm.html")]
pub(super) struct ConfirmPage {
    pub(super) shell: Shell,
    pub(super) title: String,
    pub(super) text: String,
    /// What follows from it.
    pub(super) points: Vec<Point>,
    /// What `back` is called.
    pub(super) crumb: String,
    /// Where one comes from, and goes back to.
    pub(super) back: String,
    /// Where the form goes.
    pub(super) action: String,
    /// What goes with it.
    pub(super) hidden: Vec<Hidden>,
    /// What the button says.
    pub(super) submit: &'static str,
    pub(super) danger: bool,
}

/// A consequence.
pub(super) struct Point {
    pub(super) text: String,
}

/// A field that nobody sees.
pub(super) struct Hidden {
    pub(super) name: &'static str,
    pub(super) value: String,
}
