//! Accounts: who sends, with which money.

use crate::ids::AccountId;
use crate::money::Money;
use crate::phone::Phone;
use crate::time::Time;

/// Whether an account's money is real. Every customer has a live account and a test twin with play money, whose
/// messages never leave the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Real messages, real money.
    Live,
    /// The sandbox, play money.
    Test,
}

impl Mode {
    /// The name in rows and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Live => "live",
            Mode::Test => "test",
        }
    }

    /// The mode with this name.
    pub fn parse(text: &str) -> Option<Mode> {
        [Mode::Live, Mode::Test].into_iter().find(|mode| mode.as_str() == text)
    }
}

/// The state of an account that commands read and change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Live or test.
    pub mode: Mode,
    /// What it can spend. Never below zero.
    pub balance: Money,
    /// How many transfers it has had: the next one is the one after.
    pub transfers: i64,
    /// The owner's own number, to which messages are free.
    pub own_number: Option<Phone>,
    /// Whether a right code is good for one use only (with half a minute's grace for clients that check twice).
    pub single_use: bool,
    /// The state of the account's rate limit; see [`crate::limits::Rate`].
    pub rate_spent_until: Time,
}
