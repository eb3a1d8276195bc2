//! Statements that every database takes as they are, for whatever is asked by people and not by callers: one text, one
//! reading of its rows, and the same tests over both databases. What the engine does for each call is written apart for
//! each database, since there every microsecond counts.
//!
//! Values are `$1`, `$2` and so on. Sums are `CAST(… AS bigint)`, since PostgreSQL makes another type of them.

use super::records::StoreError;
use chappe_core::{Money, Time};
use serde::{Deserialize, Serialize};

/// What stands in one column of one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cell {
    /// Nothing.
    Null,
    /// A number of any width; flags are 0 and 1.
    Number(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// A row, in the order of its columns.
pub type Row = Vec<Cell>;

/// A statement with its values.
#[derive(Clone, Debug)]
pub struct Statement {
    pub(super) text: String,
    pub(super) values: Vec<Cell>,
}

/// A step of a [`Change`].
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) statement: Statement,
    /// Whether it must touch a row, or nothing of the change is done.
    pub(super) required: bool,
}

/// Statements that are carried out together, or not at all.
#[derive(Clone, Debug, Default)]
pub struct Change {
    pub(super) steps: Vec<Step>,
}

impl Statement {
    /// A statement whose values are added with [`Statement::with`].
    pub fn new(text: impl Into<String>) -> Statement {
        Statement { text: text.into(), values: Vec::new() }
    }

    /// What the database would do, instead of the statement: `how` is its word for that, such as `EXPLAIN`.
    #[cfg(feature = "simulation")]
    pub fn explained(&self, how: &str) -> Statement {
        Statement { text: format!("{how} {}", self.text), values: self.values.clone() }
    }

    /// The statement without its values.
    #[cfg(feature = "simulation")]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What stands for `$1`, `$2` and so on.
    #[cfg(feature = "simulation")]
    pub fn values(&self) -> &[Cell] {
        &self.values
    }

    /// The value of the next `$n`.
    pub fn with(mut self, value: impl Into<Cell>) -> Statement {
        self.values.push(value.into());
        self
    }
}

impl Change {
    /// Does this as well.
    pub fn and(mut self, statement: Statement) -> Change {
        self.steps.push(Step { statement, required: false });
        self
    }

    /// Does all of another change as well.
    pub fn with(mut self, other: Change) -> Change {
        self.steps.extend(other.steps);
        self
    }

    /// Does this as well; if it touches no row, nothing of the change is done.
    pub fn must(mut self, statement: Statement) -> Change {
        self.steps.push(Step { statement, required: true });
        self
    }
}

/// Reads the columns of a row from left to right.
#[derive(Debug)]
pub struct Columns(std::vec::IntoIter<Cell>);

impl Columns {
    /// From the first column on.
    pub fn of(row: Row) -> Columns {
        Columns(row.into_iter())
    }

    /// The next column, whatever it holds.
    fn next(&mut self) -> Result<Cell, StoreError> {
        self.0.next().ok_or_else(|| StoreError::Damaged("a row is too short".to_owned()))
    }

    /// A number, or nothing.
    pub fn optional_number(&mut self) -> Result<Option<i64>, StoreError> {
        match self.next()? {
            Cell::Null => Ok(None),
            Cell::Number(number) => Ok(Some(number)),
            other => Err(unexpected(&other)),
        }
    }

    /// A number.
    pub fn number(&mut self) -> Result<i64, StoreError> {
        self.optional_number()?.ok_or_else(|| unexpected(&Cell::Null))
    }

    /// A flag.
    pub fn flag(&mut self) -> Result<bool, StoreError> {
        Ok(self.number()? != 0)
    }

    /// A moment.
    pub fn time(&mut self) -> Result<Time, StoreError> {
        self.number().map(Time::from_micros)
    }

    /// A moment, or nothing.
    pub fn optional_time(&mut self) -> Result<Option<Time>, StoreError> {
        Ok(self.optional_number()?.map(Time::from_micros))
    }

    /// An amount of money.
    pub fn money(&mut self) -> Result<Money, StoreError> {
        self.number().map(Money::from_micros)
    }

    /// A text, or nothing.
    pub fn optional_text(&mut self) -> Result<Option<String>, StoreError> {
        match self.next()? {
            Cell::Null => Ok(None),
            Cell::Text(text) => Ok(Some(text)),
            other => Err(unexpected(&other)),
        }
    }

    /// A text.
    pub fn text(&mut self) -> Result<String, StoreError> {
        self.optional_text()?.ok_or_else(|| unexpected(&Cell::Null))
    }

    /// Bytes.
    pub fn bytes(&mut self) -> Result<Vec<u8>, StoreError> {
        match self.next()? {
            Cell::Bytes(bytes) => Ok(bytes),
            other => Err(unexpected(&other)),
        }
    }
}

fn unexpected(cell: &Cell) -> StoreError {
    let held = match cell {
        Cell::Null => "nothing",
        Cell::Number(_) => "a number",
        Cell::Text(_) => "a text",
        Cell::Bytes(_) => "bytes",
    };
    StoreError::Damaged(format!("a column holds {held} where something else belongs"))
}

impl From<i64> for Cell {
    fn from(number: i64) -> Cell {
        Cell::Number(number)
    }
}

impl From<bool> for Cell {
    fn from(flag: bool) -> Cell {
        Cell::Number(i64::from(flag))
    }
}

impl From<Time> for Cell {
    fn from(time: Time) -> Cell {
        Cell::Number(time.micros())
    }
}

impl From<Money> for Cell {
    fn from(money: Money) -> Cell {
        Cell::Number(money.micros())
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::Text(text)
    }
}

impl From<Vec<u8>> for Cell {
    fn from(bytes: Vec<u8>) -> Cell {
        Cell::Bytes(bytes)
    }
}

impl From<[u8; 32]> for Cell {
    fn from(digest: [u8; 32]) -> Cell {
        Cell::Bytes(digest.to_vec())
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Cell {
        value.map_or(Cell::Null, Into::into)
    }
}
