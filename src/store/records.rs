//! What readers give: plain data, opened and parsed.

use chappe_core::text::{ChannelName, Username};
use chappe_core::{AccountId, Code, Delivery, Mode, Money, Phone, ReportId, RequestId, Time, TokenId};
use ipnet::IpNet;
use std::net::IpAddr;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process serves this database.
    #[error("{0} is in use by another chappe server; stop it first, or give this one another data directory")]
    InUse(PathBuf),
    /// The database was made for `chappe dev`, and is to be served, or the other way round.
    #[error("this database belongs to `chappe {0}`; give another one")]
    MadeFor(String),
    /// The database belongs to another key.
    #[error("the master key does not belong to this database; give the key that it was created with")]
    WrongKey,
    /// The database was written by a newer version.
    #[error("the database is at version {found}, this program knows {known}; use a newer chappe")]
    TooNew {
        /// The version of the database.
        found: usize,
        /// The version of this program.
        known: usize,
    },
    /// The database was written by an older version.
    #[error(
        "the database is at version {found}, this program reads {known}; `chappe migrate`, or a start of the server, \
         brings it up to date"
    )]
    TooOld {
        /// The version of the database.
        found: usize,
        /// The version of this program.
        known: usize,
    },
    /// A copy into the database was begun, and not finished.
    #[error(
        "a copy into this database was begun and is not complete; run the same `chappe copy` again to finish it, or \
         give an empty database"
    )]
    HalfCopied,
    /// What was asked for is not done, and why.
    #[error("{0}")]
    NotDone(String),
    /// It is about one of two databases.
    #[error("{side}: {error}")]
    Of {
        /// Which one.
        side: &'static str,
        /// What about it.
        error: Box<StoreError>,
    },
    /// Something that was named does not exist.
    #[error("{0}")]
    NotFound(String),
    /// Something that was to be created exists already.
    #[error("{0}")]
    Exists(String),
    /// A row holds what no version of this program writes.
    #[error("a row cannot be read: {0}")]
    Damaged(String),
    /// Another process is writing and did not finish in time.
    #[error("the database is busy: another process is writing to it")]
    Busy,
    /// There is no room to write on this machine.
    #[error("the disk is full")]
    Full,
    /// A file could not be read or written.
    #[error("{what}: {source}")]
    File {
        /// What was tried, and on which file.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The disk failed under the database. What it holds is known only after it was opened anew.
    #[error("the disk failed under the database: {0}")]
    Disk(String),
    /// The URL of the database is none.
    #[error("the database URL cannot be used: {0}")]
    Address(String),
    /// The server of the database cannot be reached, or the connection was lost. Nothing was done.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// The server of the database does not want us, or cannot do.
    #[error("the database cannot be used: {0}")]
    Refused(String),
    /// The connection was lost at a commit, and whether it took place could not be found out.
    #[error("the connection to the database was lost at a commit: whether it took place is not known")]
    InDoubt,
    /// Every lane is held.
    #[error(
        "as many servers as there can be use this database already; stop one, or wait ten seconds if one of them has \
         crashed"
    )]
    NoLane,
    /// Another server has taken this one's place.
    #[error(
        "this server could not reach the database for so long that another has taken its place (lane {0}); start it \
         again"
    )]
    LaneLost(u8),
    /// Anything else that the database says.
    #[error("database: {0}")]
    Other(String),
}

impl StoreError {
    /// Whether nothing more may be written before the database was opened anew.
    pub fn is_fatal(&self) -> bool {
        matches!(
            self,
            StoreError::Disk(_) | StoreError::WrongKey | StoreError::InUse(_) | StoreError::LaneLost(_)
        )
    }

    /// Whether the database did not answer, so that whoever comes next may not get through either.
    pub fn is_away(&self) -> bool {
        matches!(self, StoreError::Unreachable(_) | StoreError::InDoubt)
    }
}

impl StoreError {
    /// Says which database it is about, where the error is about reaching one.
    pub(super) fn at(self, place: &str) -> StoreError {
        match self {
            StoreError::Unreachable(why) => StoreError::Unreachable(format!("{place}: {why}")),
            StoreError::Refused(why) => StoreError::Refused(format!("{place}: {why}")),
            error => error,
        }
    }

    /// Says which of two databases it is about.
    pub(super) fn of(self, side: &'static str) -> StoreError {
        StoreError::Of { side, error: Box::new(self) }
    }
}

/// From which version to which a database was brought, or is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// The version that was found; 0 if there was nothing of ours.
    pub from: usize,
    /// The version of this program.
    pub to: usize,
}

impl Migration {
    /// Whether there is anything between the two.
    pub fn is_due(self) -> bool {
        self.from != self.to
    }

    /// From `found` to this program's version; refuses what is newer.
    pub(super) fn from(found: usize, known: usize) -> Result<Migration, StoreError> {
        if found > known {
            Err(StoreError::TooNew { found, known })
        } else {
            Ok(Migration { from: found, to: known })
        }
    }
}

/// How far long work has got.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// What is being done.
    pub doing: &'a str,
    /// To what: a table, a check.
    pub to: &'a str,
    /// How much of it is done.
    pub done: u64,
    /// How much there is to do; 0 where it is not known.
    pub total: u64,
}

impl<'a> Progress<'a> {
    /// A step of which it is not known how far it is.
    pub(super) fn step(doing: &'a str, to: &'a str) -> Progress<'a> {
        Progress { doing, to, done: 0, total: 0 }
    }
}

/// What a backup came to.
#[derive(Clone, Copy, Debug)]
pub struct BackedUp {
    /// How large the copy is.
    pub bytes: u64,
    /// How many checks it passed.
    pub checks: usize,
}

/// A customer's account, for people.
#[derive(Clone, Debug)]
pub struct AccountRow {
    /// Its id.
    pub id: AccountId,
    /// The customer's name.
    pub customer: String,
    /// Live or test.
    pub mode: Mode,
    /// What it can spend.
    pub balance: Money,
    /// How many transfers it has had.
    pub transfers: i64,
    /// The owner's own number.
    pub own_number: Option<Phone>,
    /// Whether a right code is good for one use only.
    pub single_use: bool,
    /// When it was created.
    pub created_at: Time,
    /// Its sender channels, and whether they are verified.
    pub senders: Vec<(Username, bool)>,
}

/// Money that was booked for a reference.
#[derive(Clone, Debug)]
pub struct BookingRow {
    /// The account.
    pub account: AccountId,
    /// Its customer's name.
    pub customer: String,
    /// Live or test.
    pub mode: Mode,
    /// How much; below zero, it was taken away.
    pub amount: Money,
}

/// A token, with its text.
#[derive(Clone, Debug)]
pub struct TokenRow {
    /// Its id.
    pub id: TokenId,
    /// Whose it is.
    pub account: AccountId,
    /// The mode of that account.
    pub mode: Mode,
    /// What people call it.
    pub name: String,
    /// The text.
    pub text: Zeroizing<String>,
    /// The digest that it is looked up by.
    pub digest: [u8; 32],
    /// From where it may be used; empty: from anywhere.
    pub allowed: Vec<IpNet>,
    /// When it was created.
    pub created_at: Time,
    /// When it ends by itself.
    pub expires_at: Option<Time>,
    /// When it was revoked.
    pub revoked_at: Option<Time>,
    /// When it was last used, and from where.
    pub last_used: Option<(Time, String)>,
}

impl TokenRow {
    /// Whether it is good at `now`.
    pub fn is_good(&self, now: Time) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }
}

/// A token to be created.
#[derive(Debug)]
pub struct NewToken<'a> {
    /// Whose it will be.
    pub account: AccountId,
    /// What people call it.
    pub name: &'a str,
    /// The text.
    pub text: &'a str,
    /// When it ends by itself.
    pub expires_at: Option<Time>,
    /// From where it may be used; empty: from anywhere.
    pub allowed: &'a [IpNet],
}

/// The last use of a token.
#[derive(Clone, Copy, Debug)]
pub struct TokenUse {
    /// The token.
    pub token: TokenId,
    /// When.
    pub at: Time,
    /// From where.
    pub from: IpAddr,
}

/// A message in the sandbox's inbox.
#[derive(Clone, Debug)]
pub struct SandboxRow {
    /// The request.
    pub request: RequestId,
    /// Whose it is.
    pub account: AccountId,
    /// The number.
    pub phone: Phone,
    /// The code.
    pub code: Code,
    /// The sender channel.
    pub sender: Option<Username>,
    /// Where the message is.
    pub delivery: Delivery,
    /// Which hop of its route has it.
    pub hop: u8,
    /// When it was sent.
    pub sent_at: Time,
    /// When its delivery expires.
    pub expires_at: Option<Time>,
}

/// A request with its timeline.
#[derive(Clone, Debug)]
pub struct RequestRow {
    /// Whose it is.
    pub account: AccountId,
    /// The channel whose turn it is.
    pub channel: ChannelName,
    /// Where the message is.
    pub delivery: Option<Delivery>,
    /// When the code of the message stops working.
    pub code_expires_at: Option<Time>,
    /// A line each: microseconds, name, detail.
    pub timeline: String,
}

/// Somebody who can be reached through a channel that serves subscribers alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriberRow {
    /// The channel.
    pub channel: ChannelName,
    /// The number.
    pub phone: Phone,
    /// The chat that it belongs to.
    pub chat_id: i64,
    /// The language as the channel says it, such as `pt-br`; empty if it does not.
    pub language: String,
    /// Whether the channel was told to leave them alone, without a word to us.
    pub blocked: bool,
    /// When they subscribed.
    pub created_at: Time,
}

/// From before which moments a purge forgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PurgeBefore {
    /// Idempotency keys.
    pub keys: Time,
    /// Wrong codes.
    pub failures: Time,
    /// Codes in the sandbox, by when they were sent.
    pub codes: Time,
    /// What channels call messages.
    pub references: Time,
}

/// A report that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueReport {
    /// Which one.
    pub id: ReportId,
    /// Whose it is.
    pub account: AccountId,
    /// Scheme, host and port of where it goes.
    pub receiver: String,
}

/// Whose reports are to be left alone for now.
#[derive(Clone, Debug, Default)]
pub struct Busy {
    /// Receivers that have all the attempts they may have.
    pub receivers: Vec<String>,
    /// Accounts that have all the attempts they may have.
    pub accounts: Vec<i64>,
}

/// An invariant that does not hold, and where.
#[derive(Clone, Debug)]
pub struct AuditFinding {
    /// The invariant.
    pub check: &'static str,
    /// Where it does not hold.
    pub detail: String,
}
