//! What workers, pages and people read.

use super::rows::{self, damaged, parsed};
use super::{Reader, StoreError};
use crate::store::records::{AccountRow, BookingRow, Busy, DueReport, RequestRow, TokenRow};
use crate::vault::{Purpose, Vault};
use chappe_core::text::{ChannelName, Username};
use chappe_core::{AccountId, Delivery, Mode, Money, ReportId, RequestId, Time, TokenId};
use rusqlite::{Connection, Row, params};
use zeroize::Zeroizing;

impl Reader {
    /// See [`super::super::Reader::due_requests`].
    pub fn due_requests(&self, now: Time, limit: usize) -> Result<Vec<RequestId>, StoreError> {
        let connection = self.connection();
        let mut find = connection
            .prepare_cached("SELECT id FROM request WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2")?;
        let mut found = find.query(params![now.micros(), limit])?;
        let mut due = Vec::new();
        while let Some(row) = found.next()? {
            due.push(parsed("request id", RequestId::from_number(row.get(0)?))?);
        }
        Ok(due)
    }

    /// See [`super::super::Reader::next_due_request`].
    pub fn next_due_request(&self) -> Result<Option<Time>, StoreError> {
        let find = "SELECT min(due_at) FROM request WHERE due_at IS NOT NULL";
        let next: Option<i64> = self.connection().prepare_cached(find)?.query_row([], |row| row.get(0))?;
        Ok(next.map(Time::from_micros))
    }

    /// See [`super::super::Reader::due_reports`].
    pub fn due_reports(&self, now: Time, busy: &Busy, limit: usize) -> Result<Vec<DueReport>, StoreError> {
        let connection = self.connection();
        let mut find = connection.prepare_cached(
            "SELECT request_id, seq, account_id, receiver FROM report AS due
             WHERE state = 'pending' AND due_at <= ?1
               AND receiver NOT IN (SELECT value FROM json_each(?2))
               AND account_id NOT IN (SELECT value FROM json_each(?3))
               AND NOT EXISTS (SELECT 1 FROM report AS earlier WHERE earlier.request_id = due.request_id
                               AND earlier.seq < due.seq AND earlier.state = 'pending')
             ORDER BY due_at LIMIT ?4",
        )?;
        let receivers = serde_json::to_string(&busy.receivers).map_err(damaged)?;
        let accounts = serde_json::to_string(&busy.accounts).map_err(damaged)?;
        let mut found = find.query(params![now.micros(), receivers, accounts, limit])?;
        let mut due = Vec::new();
        while let Some(row) = found.next()? {
            let request = parsed("request id", RequestId::from_number(row.get(0)?))?;
            let id = ReportId { request, seq: row.get(1)? };
            due.push(DueReport { id, account: AccountId(row.get(2)?), receiver: row.get(3)? });
        }
        Ok(due)
    }

    /// See [`super::super::Reader::next_due_report`].
    pub fn next_due_report(&self, now: Time) -> Result<Option<Time>, StoreError> {
        let find = "SELECT min(due_at) FROM report WHERE state = 'pending' AND due_at > ?1";
        let next: Option<i64> =
            self.connection().prepare_cached(find)?.query_row([now.micros()], |row| row.get(0))?;
        Ok(next.map(Time::from_micros))
    }

    /// See [`super::super::Reader::tokens_version`].
    pub fn tokens_version(&self) -> Result<i64, StoreError> {
        let find =
            "SELECT coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'tokens_version'), 0)";
        Ok(self.connection().prepare_cached(find)?.query_row([], |row| row.get(0))?)
    }

    /// See [`super::super::Reader::tokens`].
    pub fn tokens(&self, account: Option<AccountId>) -> Result<Vec<TokenRow>, StoreError> {
        let connection = self.connection();
        let mut find = connection.prepare_cached(
            "SELECT token.id, token.account_id, account.mode, token.name, token.sealed, token.digest, token.allowed,
                 token.created_at, token.expires_at, token.revoked_at, token.last_used_at, token.last_used_from
             FROM token JOIN account ON account.id = token.account_id
             WHERE ?1 IS NULL OR token.account_id = ?1 ORDER BY token.id",
        )?;
        let mut found = find.query([account.map(|account| account.0)])?;
        let mut tokens = Vec::new();
        while let Some(row) = found.next()? {
            // One damaged row must not keep the others from being read: a revocation would go unnoticed.
            match token(&self.vault, row) {
                Ok(token) => tokens.push(token),
                Err(error) => tracing::error!(%error, "a token cannot be read, and is refused"),
            }
        }
        Ok(tokens)
    }

    /// See [`super::super::Reader::accounts`].
    pub fn accounts(&self, customer: Option<&str>) -> Result<Vec<AccountRow>, StoreError> {
        let connection = self.connection();
        let mut find = connection.prepare_cached(
            "SELECT account.id, customer.name, account.mode, account.balance, account.transfers,
                 account.own_number_sealed, account.single_use, account.created_at
             FROM account JOIN customer ON customer.id = account.customer_id
             WHERE ?1 IS NULL OR customer.name = ?1 ORDER BY account.id",
        )?;
        let mut found = find.query([customer])?;
        let mut accounts = Vec::new();
        while let Some(row) = found.next()? {
            accounts.push(account(&connection, &self.vault, row)?);
        }
        Ok(accounts)
    }

    /// See [`super::super::Reader::booking`].
    pub fn booking(&self, reference: &str) -> Result<Option<BookingRow>, StoreError> {
        let connection = self.connection();
        let mut find = connection.prepare_cached(
            "SELECT transfer.account_id, customer.name, account.mode,
                 CASE WHEN transfer.credit = transfer.account_id THEN transfer.amount ELSE -transfer.amount END
             FROM transfer JOIN account ON account.id = transfer.account_id
                 JOIN customer ON customer.id = account.customer_id
             WHERE transfer.reference = ?1",
        )?;
        let mut found = find.query([reference])?;
        let Some(row) = found.next()? else { return Ok(None) };
        Ok(Some(BookingRow {
            account: AccountId(row.get(0)?),
            customer: row.get(1)?,
            mode: parsed("mode", Mode::parse(rows::text(row, 2)?))?,
            amount: Money::from_micros(row.get(3)?),
        }))
    }

    /// See [`super::super::Reader::request`].
    pub fn request(&self, request: RequestId) -> Result<Option<RequestRow>, StoreError> {
        let connection = self.connection();
        let mut find = connection.prepare_cached(
            "SELECT account_id, channel, delivery, timeline, code_expires_at FROM request WHERE id = ?1",
        )?;
        let mut found = find.query([request.number()])?;
        let Some(row) = found.next()? else { return Ok(None) };
        Ok(Some(RequestRow {
            account: AccountId(row.get(0)?),
            channel: parsed("channel", ChannelName::parse(rows::text(row, 1)?))?,
            delivery: rows::optional_text(row, 2)?.and_then(Delivery::parse),
            timeline: row.get(3)?,
            code_expires_at: row.get::<_, Option<i64>>(4)?.map(Time::from_micros),
        }))
    }
}

fn token(vault: &Vault, row: &Row<'_>) -> Result<TokenRow, StoreError> {
    let id: i64 = row.get(0)?;
    let sealed = row.get_ref(4)?.as_blob().map_err(damaged)?;
    let plain = vault.open(Purpose::Token, id, sealed).map_err(damaged)?;
    let text = String::from_utf8(plain.to_vec()).map(Zeroizing::new).map_err(damaged)?;
    let allowed = rows::text(row, 6)?;
    let allowed = allowed.split(',').filter(|range| !range.is_empty());
    let time = |column| row.get::<_, Option<i64>>(column).map(|micros| micros.map(Time::from_micros));
    let last_used_at = time(10)?;
    let last_used_from: Option<String> = row.get(11)?;
    Ok(TokenRow {
        id: TokenId(id),
        account: AccountId(row.get(1)?),
        mode: parsed("mode", Mode::parse(rows::text(row, 2)?))?,
        name: row.get(3)?,
        text,
        digest: row.get(5)?,
        allowed: allowed.map(|range| range.parse().map_err(damaged)).collect::<Result<_, _>>()?,
        created_at: Time::from_micros(row.get(7)?),
        expires_at: time(8)?,
        revoked_at: time(9)?,
        last_used: last_used_at.zip(last_used_from),
    })
}

fn account(connection: &Connection, vault: &Vault, row: &Row<'_>) -> Result<AccountRow, StoreError> {
    let id: i64 = row.get(0)?;
    let mut find = connection
        .prepare_cached("SELECT username, verified FROM sender WHERE account_id = ?1 ORDER BY username")?;
    let mut found = find.query([id])?;
    let mut senders = Vec::new();
    while let Some(sender) = found.next()? {
        let username = parsed("sender", Username::parse(rows::text(sender, 0)?))?;
        senders.push((username, sender.get(1)?));
    }
    Ok(AccountRow {
        id: AccountId(id),
        customer: row.get(1)?,
        mode: parsed("mode", Mode::parse(rows::text(row, 2)?))?,
        balance: Money::from_micros(row.get(3)?),
        transfers: row.get(4)?,
        own_number: match row.get_ref(5)?.as_blob_or_null().map_err(damaged)? {
            Some(sealed) => Some(rows::open_phone(vault, Purpose::OwnNumber, id, sealed)?),
            None => None,
        },
        single_use: row.get(6)?,
        created_at: Time::from_micros(row.get(7)?),
        senders,
    })
}
