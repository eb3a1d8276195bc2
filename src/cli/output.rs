//! Tables and JSON.

use crate::store::Progress;
use chappe_core::Time;
use serde_json::Value;
use std::time::{Duration, Instant};

/// How often work that is under way says how far it is.
const TICK: Duration = Duration::from_millis(500);

/// Says on standard error how far long work has got: each step as it begins and ends, and now and then between.
pub(super) struct Ticker {
    silent: bool,
    step: String,
    told: Option<Instant>,
}

impl Ticker {
    /// One that says nothing if `silent`.
    pub(super) fn new(silent: bool) -> Ticker {
        Ticker { silent, step: String::new(), told: None }
    }

    pub(super) fn tell(&mut self, progress: Progress<'_>) {
        let Progress { doing, to, done, total } = progress;
        let step = format!("{doing}: {to}");
        let lately = self.told.is_some_and(|told| told.elapsed() < TICK);
        if self.silent || (lately && self.step == step && done != total) {
            return;
        }
        match (done * 100).checked_div(total) {
            Some(percent) => eprintln!("{step}: {done} of {total} ({percent} %)"),
            None => eprintln!("{step}"),
        }
        (self.step, self.told) = (step, Some(Instant::now()));
    }
}

/// Prints rows under headings, in columns as wide as they need to be.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(headings.get(column).map(|heading| heading.len())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        println!("{}", padded.join("  ").trim_end());
    };
    line(&mut headings.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
}

/// Prints a value as JSON.
pub(super) fn json(value: &Value) {
    println!("{value:#}");
}

/// A moment as people read it, in UTC.
pub(super) fn moment(time: Time) -> String {
    let shown = jiff::Timestamp::from_second(time.secs());
    shown.map_or_else(|_| time.secs().to_string(), |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}
