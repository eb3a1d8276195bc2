//! Loading and locking the rows of a batch: one round trip.
//!
//! The locks are taken in one order by every node: its own lane, accounts by their ids, windows by their keys. Whoever
//! writes to a row of an account holds the account's lock, so nothing else of it needs one; only the windows of numbers
//! are shared between accounts.

use super::rows::{self, get, parsed};
use super::statements::Load;
use crate::store::columns::{window, window_key};
use crate::store::records::StoreError;
use crate::vault::Vault;
use chappe_core::book::{Remembered, Sender};
use chappe_core::text::Username;
use chappe_core::{AccountId, Book, Keys, Mode, Money, Phone};
use std::collections::{BTreeMap, BTreeSet};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row, Statement};

/// What saving must know of the rows as they were loaded.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// The windows of numbers that have a row.
    pub(super) windows: BTreeSet<i64>,
}

/// What a batch begins with.
pub(super) struct Loaded {
    pub(super) book: Book,
    pub(super) stored: Stored,
    /// Who holds this node's lane.
    pub(super) holder: Option<String>,
}

/// Why nothing was loaded.
pub(super) enum Failed {
    Database(Error),
    Store(StoreError),
}

/// Begins a transaction, and loads and locks what `keys` name. Each statement sees what was committed before it began,
/// so what belongs to an account is as it stands under the account's lock.
pub(super) async fn load(
    client: &Client,
    statements: &Load,
    vault: &Vault,
    lane: Option<u8>,
    keys: &Keys,
) -> Result<Loaded, Failed> {
    let lanes: Vec<i16> = lane.into_iter().map(i16::from).collect();
    let accounts: Vec<i64> = keys.accounts.iter().map(|id| id.0).collect();
    let requests: Vec<i64> = keys.requests.iter().map(|id| id.number()).collect();
    let attempts: Vec<i64> = keys.attempts.iter().map(|id| id.number()).collect();
    let report_requests: Vec<i64> = keys.reports.iter().map(|id| id.request.number()).collect();
    let report_seqs: Vec<i16> = keys.reports.iter().map(|id| id.seq.into()).collect();
    let owners: Vec<i64> = requests.iter().chain(&report_requests).copied().collect();
    let sender_accounts: Vec<i64> = keys.senders.iter().map(|(account, _)| account.0).collect();
    let sender_names: Vec<&str> = keys.senders.iter().map(|(_, name)| name.as_str()).collect();
    let remembered_accounts: Vec<i64> = keys.idempotency.iter().map(|(account, _)| account.0).collect();
    let remembered_keys: Vec<&[u8]> = keys.idempotency.iter().map(|(_, key)| key.as_slice()).collect();
    let references: Vec<&str> = keys.references.iter().map(String::as_str).collect();
    let numbers: BTreeMap<i64, (Mode, Phone)> = keys
        .sends
        .iter()
        .map(|(mode, phone)| (window_key(vault.phone_key(*phone), *mode), (*mode, *phone)))
        .collect();
    let subscriber_channels: Vec<&str> =
        keys.subscribers.iter().map(|(channel, _)| channel.as_str()).collect();
    let subscriber_keys: Vec<i64> =
        keys.subscribers.iter().map(|(_, phone)| vault.phone_key(*phone)).collect();
    let windows: Vec<i64> = numbers.keys().copied().collect();

    // All at once on the wire, carried out one after the other.
    let (
        begun,
        lane,
        accounts,
        requests,
        failures,
        senders,
        remembered,
        reports,
        references,
        subscribers,
        windows,
    ) = tokio::join!(
        biased;
        client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"),
        all(client, &statements.lane, [&lanes], lanes.len()),
        all(client, &statements.accounts, [&accounts, &owners], accounts.len() + owners.len()),
        all(client, &statements.requests, [&requests], requests.len()),
        all(client, &statements.failures, [&attempts], attempts.len()),
        all(client, &statements.senders, [&sender_accounts, &sender_names], sender_names.len()),
        all(client, &statements.remembered, [&remembered_accounts, &remembered_keys], remembered_keys.len()),
        all(client, &statements.reports, [&report_requests, &report_seqs], report_seqs.len()),
        all(client, &statements.references, [&references], references.len()),
        all(client, &statements.subscribers, [&subscriber_channels, &subscriber_keys], subscriber_keys.len()),
        all(client, &statements.windows, [&windows], windows.len()),
    );
    // In their order: the first that failed says why, the later ones only that something did.
    begun.map_err(Failed::Database)?;
    let tables =
        [lane, accounts, requests, failures, senders, remembered, reports, references, subscribers, windows];
    let tables = tables.into_iter().collect::<Result<Vec<_>, _>>().map_err(Failed::Database)?;
    book(vault, keys, &numbers, &tables).map_err(Failed::Store)
}

/// A statement over arrays, left out when there is nothing to ask for.
async fn all<const ARRAYS: usize>(
    client: &Client,
    statement: &Statement,
    arrays: [&(dyn ToSql + Sync); ARRAYS],
    length: usize,
) -> Result<Vec<Row>, Error> {
    if length == 0 { Ok(Vec::new()) } else { client.query(statement, &arrays).await }
}

fn book(
    vault: &Vault,
    keys: &Keys,
    numbers: &BTreeMap<i64, (Mode, Phone)>,
    tables: &[Vec<Row>],
) -> Result<Loaded, StoreError> {
    let [lane, accounts, requests, failures, senders, remembered, reports, references, subscribers, windows] =
        tables
    else {
        return Err(StoreError::Other("a table was not read".to_owned()));
    };
    let mut book = Book::default();
    let mut stored = Stored::default();
    let mut locked = BTreeSet::new();
    for row in accounts {
        let account = rows::account(vault, row)?;
        locked.insert(account.id);
        book.put_account(account);
    }
    // A request that was committed after its account was looked for is not locked. Nobody can have been told its id by
    // then, so for this batch it is not there yet.
    for row in requests {
        if locked.contains(&AccountId(get(row, 1)?)) {
            book.put_request(rows::request(vault, row)?);
        }
    }
    let guessed: BTreeMap<(i64, i64), Phone> = keys
        .attempts
        .iter()
        .filter_map(|id| book.request(*id))
        .map(|request| ((request.account.0, vault.phone_key(request.phone)), request.phone))
        .collect();
    for row in failures {
        let (account, phone_key) = (get(row, 0)?, get(row, 1)?);
        if let Some(phone) = guessed.get(&(account, phone_key)) {
            book.put_failures(AccountId(account), *phone, window(get(row, 2)?)?);
        }
    }
    for row in senders {
        let username = parsed("sender", Username::parse(get(row, 1)?))?;
        book.put_sender(AccountId(get(row, 0)?), username, Sender { verified: rows::flag(row, 2)? });
    }
    for row in remembered {
        let digest = |column| parsed("digest", get::<&[u8]>(row, column)?.try_into().ok());
        let answer = Remembered {
            body: digest(2)?,
            request: rows::request_id(row, 3)?,
            cost: Money::from_micros(get(row, 4)?),
            remaining_balance: Money::from_micros(get(row, 5)?),
            sent_at: rows::optional_time(row, 6)?,
            at: rows::time(row, 7)?,
        };
        book.put_remembered(AccountId(get(row, 0)?), digest(1)?, answer);
    }
    for row in reports {
        if locked.contains(&AccountId(get(row, 2)?)) {
            book.put_report(rows::report(row)?);
        }
    }
    for row in references {
        book.put_reference(get(row, 0)?);
    }
    put_subscribers(vault, keys, subscribers, &mut book)?;
    for row in windows {
        let key: i64 = get(row, 0)?;
        if let Some((mode, phone)) = numbers.get(&key) {
            stored.windows.insert(key);
            book.put_sends(*mode, *phone, window(get(row, 1)?)?);
        }
    }
    let holder = lane.first().map(|row| get::<Option<String>>(row, 0)).transpose()?.flatten();
    Ok(Loaded { book, stored, holder })
}

fn put_subscribers(vault: &Vault, keys: &Keys, rows: &[Row], book: &mut Book) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let asked: BTreeMap<(&str, i64), _> =
        keys.subscribers.iter().map(|asked| ((asked.0.as_str(), vault.phone_key(asked.1)), asked)).collect();
    for row in rows {
        if let Some((channel, phone)) = asked.get(&(get(row, 0)?, get(row, 1)?)) {
            book.put_subscriber(channel.clone(), *phone);
        }
    }
    Ok(())
}
