//! Loading the rows of a batch.

use super::cache::RecentRequests;
use super::recent::RecentSends;
use super::rows;
use crate::store::columns::window;
use crate::store::records::StoreError;
use crate::vault::Vault;
use chappe_core::book::{Remembered, Sender};
use chappe_core::{AccountId, Book, Keys, Money, Phone, Request, RequestId, Time};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::{BTreeMap, BTreeSet};

/// What saving must know of the rows as they were loaded.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// The requests, by what seldom changes of them.
    pub(super) shapes: BTreeMap<RequestId, Shape>,
    /// The digests of the numbers that are sent to.
    phone_keys: BTreeMap<Phone, i64>,
}

impl Stored {
    /// The digest that a number is looked up by.
    pub(super) fn phone_key(&self, vault: &Vault, phone: Phone) -> i64 {
        self.phone_keys.get(&phone).copied().unwrap_or_else(|| vault.phone_key(phone))
    }
}

/// What seldom changes of a request: whether something was sent, through which hop, and whether its code is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    hop: Option<u8>,
    hop_until: Option<Time>,
    open_hops: u8,
    with_code: bool,
}

impl Shape {
    pub(super) fn of(request: &Request) -> Shape {
        let message = request.message.as_ref();
        let with_code = message.is_some_and(|message| message.code.is_some());
        Shape {
            hop: message.map(|message| message.hop),
            hop_until: message.and_then(|message| message.hop_until),
            open_hops: message.map_or(0, |message| message.open_hops),
            with_code,
        }
    }
}

pub(super) fn load(
    connection: &Connection,
    vault: &Vault,
    recent: &RecentSends,
    cache: &mut RecentRequests,
    keys: &Keys,
    book: &mut Book,
) -> Result<Stored, StoreError> {
    let mut stored = Stored::default();
    let mut accounts = keys.accounts.clone();
    for id in &keys.requests {
        let request = match cache.take(*id) {
            Some(request) => Some(request),
            None => find_request(connection, vault, *id)?,
        };
        if let Some(request) = request {
            accounts.insert(request.account);
            stored.shapes.insert(*id, Shape::of(&request));
            book.put_request(request);
        }
    }
    let mut find =
        connection.prepare_cached(&format!("SELECT {} FROM account WHERE id = ?1", rows::ACCOUNT))?;
    for id in &accounts {
        let mut found = find.query([id.0])?;
        if let Some(row) = found.next()? {
            book.put_account(rows::account(vault, row)?);
        }
    }
    for (mode, phone) in &keys.sends {
        let phone_key = vault.phone_key(*phone);
        stored.phone_keys.insert(*phone, phone_key);
        if let Some(window) = recent.window(phone_key, *mode) {
            book.put_sends(*mode, *phone, window);
        }
    }
    load_attempts(connection, vault, keys, book)?;
    load_senders(connection, keys, book)?;
    load_remembered(connection, keys, book)?;
    load_reports(connection, keys, book)?;
    load_subscribers(connection, vault, keys, book)?;
    for reference in &keys.references {
        let find = "SELECT 1 FROM transfer WHERE reference = ?1";
        if connection.query_row(find, [reference], |_| Ok(())).optional()?.is_some() {
            book.put_reference(reference.clone());
        }
    }
    Ok(stored)
}

/// Whether numbers have subscribed to channels.
fn load_subscribers(
    connection: &Connection,
    vault: &Vault,
    keys: &Keys,
    book: &mut Book,
) -> Result<(), StoreError> {
    for (channel, phone) in &keys.subscribers {
        let mut find = connection.prepare_cached(
            "SELECT 1 FROM subscriber WHERE channel = ?1 AND phone_key = ?2 AND blocked = 0",
        )?;
        if find.exists(params![channel.as_str(), vault.phone_key(*phone)])? {
            book.put_subscriber(channel.clone(), *phone);
        }
    }
    Ok(())
}

fn find_request(
    connection: &Connection,
    vault: &Vault,
    id: RequestId,
) -> Result<Option<Request>, StoreError> {
    let mut find =
        connection.prepare_cached(&format!("SELECT {} FROM request WHERE id = ?1", rows::REQUEST))?;
    let mut found = find.query([id.number()])?;
    found.next()?.map(|row| rows::request(vault, row)).transpose()
}

/// The recent wrong codes for the numbers of the requests at which codes are guessed.
fn load_attempts(
    connection: &Connection,
    vault: &Vault,
    keys: &Keys,
    book: &mut Book,
) -> Result<(), StoreError> {
    let numbers: BTreeSet<_> = keys
        .attempts
        .iter()
        .filter_map(|id| book.request(*id))
        .map(|request| (request.account, request.phone))
        .collect();
    if numbers.is_empty() {
        return Ok(());
    }
    let mut find = connection
        .prepare_cached("SELECT moments FROM phone_failure WHERE account_id = ?1 AND phone_key = ?2")?;
    for (account, phone) in numbers {
        let mut found = find.query(params![account.0, vault.phone_key(phone)])?;
        if let Some(row) = found.next()? {
            book.put_failures(account, phone, window(rows::text(row, 0)?)?);
        }
    }
    Ok(())
}

fn load_senders(connection: &Connection, keys: &Keys, book: &mut Book) -> Result<(), StoreError> {
    for (account, username) in &keys.senders {
        let find = "SELECT verified FROM sender WHERE account_id = ?1 AND username = ?2";
        let mut find = connection.prepare_cached(find)?;
        let found = find.query_row(params![account.0, username.as_str()], |row| row.get(0)).optional()?;
        if let Some(verified) = found {
            book.put_sender(*account, username.clone(), Sender { verified });
        }
    }
    Ok(())
}

fn load_remembered(connection: &Connection, keys: &Keys, book: &mut Book) -> Result<(), StoreError> {
    for (account, key) in &keys.idempotency {
        let mut find = connection.prepare_cached(
            "SELECT body, request_id, cost, remaining_balance, sent_at, at FROM idempotency
             WHERE account_id = ?1 AND key = ?2",
        )?;
        let mut found = find.query(params![account.0, key])?;
        if let Some(row) = found.next()? {
            let remembered = Remembered {
                body: row.get(0)?,
                request: rows::parsed("request id", RequestId::from_number(row.get(1)?))?,
                cost: Money::from_micros(row.get(2)?),
                remaining_balance: Money::from_micros(row.get(3)?),
                sent_at: row.get::<_, Option<i64>>(4)?.map(Time::from_micros),
                at: Time::from_micros(row.get(5)?),
            };
            book.put_remembered(AccountId(account.0), *key, remembered);
        }
    }
    Ok(())
}

fn load_reports(connection: &Connection, keys: &Keys, book: &mut Book) -> Result<(), StoreError> {
    for id in &keys.reports {
        let find = format!("SELECT {} FROM report WHERE request_id = ?1 AND seq = ?2", rows::REPORT);
        let mut find = connection.prepare_cached(&find)?;
        let mut found = find.query(params![id.request.number(), id.seq])?;
        if let Some(row) = found.next()? {
            book.put_report(rows::report(row)?);
        }
    }
    Ok(())
}
