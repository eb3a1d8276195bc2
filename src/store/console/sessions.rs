//! Sessions, and log-ins that were begun. What a browser holds is found by its keyed digest, so the database has nothing
//! that could be put into a browser.

use super::people::{CustomerId, PersonId, PersonRow, person};
use crate::store::columns::{open_phone, parsed, seal_phone};
use crate::store::statement::{Change, Columns, Row, Statement};
use crate::store::{Reader, StoreError};
use crate::vault::{Purpose, Vault};
use chappe_core::{Mode, Phone, RequestId, Time};
use std::time::Duration;

/// A session that nobody used for so long is over.
pub const IDLE_MAX: Duration = Duration::from_secs(12 * 3600);
/// A session is over after so long, used or not.
pub const SESSION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long the code of a log-in can be typed.
pub const LOGIN_LIFE: Duration = Duration::from_secs(10 * 60);
/// How many codes are taken for one log-in.
pub const ATTEMPTS_MAX: i64 = 5;

/// A browser in which somebody is logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// What pages call it.
    pub id: i64,
    /// Who.
    pub person: PersonRow,
    /// Whose pages are shown.
    pub customer: Option<CustomerId>,
    /// Of which of its accounts.
    pub mode: Mode,
    /// Since when.
    pub created_at: Time,
    /// When it last asked for something, to the minute.
    pub seen_at: Time,
    /// When the person last proved who they are.
    pub confirmed_at: Time,
    /// From where it was begun.
    pub address: String,
    /// What the browser calls itself.
    pub agent: String,
}

/// A session to be opened.
#[derive(Clone, Debug)]
pub struct NewSession<'a> {
    /// The digest of what the browser will hold.
    pub digest: [u8; 32],
    /// What pages will call it: drawn, and not guessable from another.
    pub id: i64,
    /// Who.
    pub person: PersonId,
    /// Whose pages are shown.
    pub customer: Option<CustomerId>,
    /// Of which of its accounts.
    pub mode: Mode,
    /// When.
    pub now: Time,
    /// From where.
    pub address: &'a str,
    /// What the browser calls itself.
    pub agent: &'a str,
}

/// A log-in that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginRow {
    /// The number that was typed.
    pub phone: Phone,
    /// The request that carries the code, if there is one at all; `None` for one that needs no code.
    pub request: Option<RequestId>,
    /// When.
    pub created_at: Time,
}

/// The columns that [`session`] reads, in its order.
const SESSION: &str = "session.id, person.id, person.phone_key, person.phone_sealed, person.name, person.operator, \
                       person.created_at, session.customer_id, session.mode, session.created_at, session.seen_at, \
                       session.confirmed_at, session.address, session.agent";

fn session(vault: &Vault, row: Row) -> Result<SessionRow, StoreError> {
    let mut columns = Columns::of(row);
    Ok(SessionRow {
        id: columns.number()?,
        person: person(vault, &mut columns)?,
        customer: columns.optional_number()?.map(CustomerId),
        mode: parsed("mode", Mode::parse(&columns.text()?))?,
        created_at: columns.time()?,
        seen_at: columns.time()?,
        confirmed_at: columns.time()?,
        address: columns.text()?,
        agent: columns.text()?,
    })
}

impl Reader {
    /// The session of this digest.
    pub async fn session(&self, digest: [u8; 32]) -> Result<Option<SessionRow>, StoreError> {
        let find = format!(
            "SELECT {SESSION} FROM session JOIN person ON person.id = session.person_id WHERE session.digest = $1"
        );
        let found = self.rows(&Statement::new(find).with(digest)).await?.pop();
        found.map(|row| session(self.vault(), row)).transpose()
    }

    /// Somebody's sessions that were seen since a moment, the latest first, a hundred at most.
    pub async fn sessions(&self, person: PersonId, since: Time) -> Result<Vec<SessionRow>, StoreError> {
        let find = format!(
            "SELECT {SESSION} FROM session JOIN person ON person.id = session.person_id
             WHERE session.person_id = $1 AND session.seen_at >= $2 ORDER BY session.seen_at DESC, session.id LIMIT 100"
        );
        let found = self.rows(&Statement::new(find).with(person.0).with(since)).await?;
        found.into_iter().map(|row| session(self.vault(), row)).collect()
    }

    /// The log-in of this digest.
    pub async fn login(&self, digest: [u8; 32]) -> Result<Option<LoginRow>, StoreError> {
        let find = Statement::new(
            "SELECT phone_key, phone_sealed, request_id, created_at FROM login WHERE digest = $1",
        );
        let login = |row: Row| {
            let mut columns = Columns::of(row);
            let phone_key = columns.number()?;
            let phone = open_phone(self.vault(), Purpose::Person, phone_key, &columns.bytes()?)?;
            let request = columns.optional_number()?;
            let request = request.map(|number| parsed("request id", RequestId::from_number(number)));
            Ok(LoginRow { phone, request: request.transpose()?, created_at: columns.time()? })
        };
        self.rows(&find.with(digest)).await?.pop().map(login).transpose()
    }

    /// How many log-ins were begun from an address since a moment.
    pub async fn logins_from(&self, address: &str, since: Time) -> Result<i64, StoreError> {
        let find = "SELECT count(*) FROM login WHERE address = $1 AND created_at >= $2";
        let found = self.rows(&Statement::new(find).with(address).with(since)).await?.pop();
        found.map_or(Ok(0), |row| Columns::of(row).number())
    }
}

/// Notes that a log-in was begun.
pub fn begin(
    vault: &Vault,
    digest: [u8; 32],
    phone: Phone,
    request: Option<RequestId>,
    now: Time,
    address: &str,
) -> Change {
    let put = "INSERT INTO login (digest, phone_key, phone_sealed, request_id, attempts, created_at, address)
               VALUES ($1, $2, $3, $4, 0, $5, $6)";
    let phone_key = vault.phone_key(phone);
    let put = Statement::new(put)
        .with(digest)
        .with(phone_key)
        .with(seal_phone(vault, Purpose::Person, phone_key, phone))
        .with(request.map(RequestId::number))
        .with(now)
        .with(address);
    Change::default().and(put)
}

/// Changes nothing, in as long as a change takes.
pub fn idle(digest: [u8; 32]) -> Change {
    let update = "UPDATE login SET attempts = attempts WHERE digest = $1";
    Change::default().and(Statement::new(update).with(digest))
}

/// Counts an attempt at a log-in, if it has any left.
pub fn attempt(digest: [u8; 32]) -> Change {
    let update = "UPDATE login SET attempts = attempts + 1 WHERE digest = $1 AND attempts < $2";
    Change::default().must(Statement::new(update).with(digest).with(ATTEMPTS_MAX))
}

/// Ends a log-in. Nothing is done if it is gone: it is good for one session.
pub fn end(login: [u8; 32]) -> Change {
    Change::default().must(Statement::new("DELETE FROM login WHERE digest = $1").with(login))
}

/// Opens a session.
pub fn open(new: &NewSession<'_>) -> Change {
    let put = "INSERT INTO session (digest, id, person_id, customer_id, mode, created_at, seen_at, confirmed_at, address, agent)
               VALUES ($1, $2, $3, $4, $5, $6, $6, $6, $7, $8)";
    let put = Statement::new(put)
        .with(new.digest)
        .with(new.id)
        .with(new.person.0)
        .with(new.customer.map(|customer| customer.0))
        .with(new.mode.as_str())
        .with(new.now)
        .with(new.address)
        .with(new.agent);
    Change::default().and(put)
}

/// Notes that a session asked for something.
pub fn touch(digest: [u8; 32], now: Time) -> Change {
    let update = "UPDATE session SET seen_at = $2 WHERE digest = $1";
    Change::default().and(Statement::new(update).with(digest).with(now))
}

/// Shows another customer's pages in a session, or those of its other account.
pub fn turn(digest: [u8; 32], customer: CustomerId, mode: Mode) -> Change {
    let update = "UPDATE session SET customer_id = $2, mode = $3 WHERE digest = $1";
    Change::default().must(Statement::new(update).with(digest).with(customer.0).with(mode.as_str()))
}

/// Ends a session.
pub fn close(digest: [u8; 32]) -> Change {
    Change::default().and(Statement::new("DELETE FROM session WHERE digest = $1").with(digest))
}

/// Ends one of somebody's sessions, as pages call it.
pub fn close_one(person: PersonId, id: i64) -> Change {
    let delete = "DELETE FROM session WHERE person_id = $1 AND id = $2";
    Change::default().must(Statement::new(delete).with(person.0).with(id))
}

/// Ends all sessions of somebody but one.
pub fn close_others(person: PersonId, but: i64) -> Change {
    let delete = "DELETE FROM session WHERE person_id = $1 AND id <> $2";
    Change::default().and(Statement::new(delete).with(person.0).with(but))
}

/// Forgets sessions that were not seen since a moment or are older than another, and log-ins that were begun before a
/// third.
pub fn forget(seen_before: Time, created_before: Time, begun_before: Time) -> Change {
    let sessions = "DELETE FROM session WHERE seen_at < $1 OR created_at < $2";
    let logins = "DELETE FROM login WHERE created_at < $1";
    Change::default()
        .and(Statement::new(sessions).with(seen_before).with(created_before))
        .and(Statement::new(logins).with(begun_before))
}
