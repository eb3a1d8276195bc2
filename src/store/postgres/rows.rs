//! Between rows and values: one function a table, each way.

pub(super) use crate::store::columns::{damaged, last_attempt, open_phone, parsed};
use crate::store::columns::{open_code, progress, route};
use crate::store::records::StoreError;
use crate::vault::{Purpose, Vault};
use chappe_core::account::Account;
use chappe_core::phone::Country;
use chappe_core::report::{Report, State};
use chappe_core::request::Message;
use chappe_core::text::{Payload, Username};
use chappe_core::{
    AccountId, CodeMac, Delivery, Mode, Money, ReportId, Request, RequestId, Time, TokenId, Ttl, Verification,
};
use std::sync::Arc;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

/// A column's value. That it is of another type is damage: migrations alone make columns.
pub(super) fn get<'row, T: FromSql<'row>>(row: &'row Row, column: usize) -> Result<T, StoreError> {
    row.try_get(column).map_err(damaged)
}

/// A flag, 0 or 1.
pub(super) fn flag(row: &Row, column: usize) -> Result<bool, StoreError> {
    Ok(get::<i16>(row, column)? != 0)
}

/// A small number, wider in its column than in memory.
fn small<T: TryFrom<i32>>(what: &str, number: i32) -> Result<T, StoreError> {
    parsed(what, T::try_from(number).ok())
}

pub(super) fn time(row: &Row, column: usize) -> Result<Time, StoreError> {
    get(row, column).map(Time::from_micros)
}

pub(super) fn optional_time(row: &Row, column: usize) -> Result<Option<Time>, StoreError> {
    Ok(get::<Option<i64>>(row, column)?.map(Time::from_micros))
}

pub(super) fn request_id(row: &Row, column: usize) -> Result<RequestId, StoreError> {
    parsed("request id", RequestId::from_number(get(row, column)?))
}

/// The columns that [`request`] reads, in its order.
pub(super) const REQUEST: &str = "id, account_id, token_id, phone_sealed, country, created_at, cost, refunded, \
     ability_checked, route, reports, events, sender, payload, callback_url, ttl_s, code_mac, code_sealed, sent_at, \
     delivery, delivery_at, code_expires_at, verified_at, last_check, last_check_at, attempts, hop, progress, \
     progress_at, channel_reference, hop_until, open_hops";

pub(super) fn request(vault: &Vault, row: &Row) -> Result<Request, StoreError> {
    let id = request_id(row, 0)?;
    let number = id.number();
    let message = match optional_time(row, 18)? {
        Some(sent_at) => Some(message(vault, number, sent_at, row)?),
        None => None,
    };
    Ok(Request {
        id,
        account: AccountId(get(row, 1)?),
        token: TokenId(get(row, 2)?),
        phone: open_phone(vault, Purpose::Phone, number, get(row, 3)?)?,
        country: parsed("country", Country::parse(get(row, 4)?))?,
        created_at: time(row, 5)?,
        cost: Money::from_micros(get(row, 6)?),
        refunded: flag(row, 7)?,
        ability_checked: flag(row, 8)?,
        route: route(get(row, 9)?)?,
        message,
        reports: small("number of reports", get::<i16>(row, 10)?.into())?,
        events_stored: small("number of events", get(row, 11)?)?,
        fresh_events: Vec::new(),
    })
}

fn message(vault: &Vault, number: i64, sent_at: Time, row: &Row) -> Result<Message, StoreError> {
    let text = |column| get::<Option<&str>>(row, column);
    let code_mac: &[u8] = get(row, 16)?;
    let last_check = match text(23)? {
        Some(name) => Some((parsed("verification status", Verification::parse(name))?, time(row, 24)?)),
        None => None,
    };
    let ttl = get::<Option<i32>>(row, 15)?;
    Ok(Message {
        sender: text(12)?.map(|name| parsed("sender", Username::parse(name))).transpose()?,
        payload: text(13)?.map(|text| parsed("payload", Payload::parse(text))).transpose()?,
        callback_url: text(14)?.map(Arc::from),
        ttl: ttl.map(|secs| parsed("ttl", u16::try_from(secs).ok().and_then(Ttl::from_secs))).transpose()?,
        code_mac: CodeMac(parsed("code digest", code_mac.try_into().ok())?),
        code: get::<Option<&[u8]>>(row, 17)?.map(|sealed| open_code(vault, number, sealed)).transpose()?,
        sent_at,
        delivery: parsed("delivery status", Delivery::parse(get(row, 19)?))?,
        delivery_at: time(row, 20)?,
        code_expires_at: time(row, 21)?,
        verified_at: optional_time(row, 22)?,
        last_check,
        attempts: small("number of attempts", get::<i16>(row, 25)?.into())?,
        hop: small("hop", get::<i16>(row, 26)?.into())?,
        progress: progress(get(row, 27)?, optional_time(row, 28)?)?,
        channel_reference: get(row, 29)?,
        hop_until: optional_time(row, 30)?,
        open_hops: small("open hops", get::<i16>(row, 31)?.into())?,
    })
}

/// The columns that [`report`] reads, in its order.
pub(super) const REPORT: &str = "request_id, seq, account_id, token_id, delivery, delivery_at, verification, \
     verification_at, refunded, state, attempts, due_at, leased, last_result, last_at, last_ms";

pub(super) fn report(row: &Row) -> Result<Report, StoreError> {
    let verification = match get::<Option<&str>>(row, 6)? {
        Some(name) => Some((parsed("verification status", Verification::parse(name))?, time(row, 7)?)),
        None => None,
    };
    Ok(Report {
        id: ReportId { request: request_id(row, 0)?, seq: small("report", get::<i16>(row, 1)?.into())? },
        account: AccountId(get(row, 2)?),
        token: TokenId(get(row, 3)?),
        delivery: (parsed("delivery status", Delivery::parse(get(row, 4)?))?, time(row, 5)?),
        verification,
        refunded: flag(row, 8)?,
        state: parsed("report state", State::parse(get(row, 9)?))?,
        attempts: small("number of attempts", get::<i16>(row, 10)?.into())?,
        due_at: time(row, 11)?,
        leased: flag(row, 12)?,
        last_result: get(row, 13)?,
        last_attempt: last_attempt(get(row, 14)?, get(row, 15)?)?,
    })
}

/// The columns that [`account`] reads, in its order.
pub(super) const ACCOUNT: &str =
    "id, mode, balance, transfers, own_number_sealed, single_use, rate_spent_until";

pub(super) fn account(vault: &Vault, row: &Row) -> Result<Account, StoreError> {
    let id: i64 = get(row, 0)?;
    let own_number: Option<&[u8]> = get(row, 4)?;
    Ok(Account {
        id: AccountId(id),
        mode: parsed("mode", Mode::parse(get(row, 1)?))?,
        balance: Money::from_micros(get(row, 2)?),
        transfers: get(row, 3)?,
        own_number: own_number.map(|sealed| open_phone(vault, Purpose::OwnNumber, id, sealed)).transpose()?,
        single_use: flag(row, 5)?,
        rate_spent_until: time(row, 6)?,
    })
}
