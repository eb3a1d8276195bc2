//! Between rows and values: one function a table, each way.

pub(super) use crate::store::columns::{
    damaged, last_attempt, open_phone, parsed, progress_columns, route_column, seal_phone,
};
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
use rusqlite::Row;
use std::sync::Arc;

/// 1 for test, 0 for live.
pub(super) fn mode_bit(mode: Mode) -> u64 {
    match mode {
        Mode::Live => 0,
        Mode::Test => 1,
    }
}

/// The columns that [`request`] reads, in its order.
pub(super) const REQUEST: &str = "id, account_id, token_id, phone_sealed, country, created_at, cost, refunded, \
     ability_checked, route, reports, events, sender, payload, callback_url, ttl_s, code_mac, code_sealed, sent_at, \
     delivery, delivery_at, code_expires_at, verified_at, last_check, last_check_at, attempts, hop, progress, \
     progress_at, channel_reference, hop_until, open_hops";

pub(super) fn request(vault: &Vault, row: &Row<'_>) -> Result<Request, StoreError> {
    let number: i64 = row.get(0)?;
    let id = parsed("request id", RequestId::from_number(number))?;
    let message = match row.get::<_, Option<i64>>(18)? {
        Some(sent_at) => Some(message(vault, number, Time::from_micros(sent_at), row)?),
        None => None,
    };
    Ok(Request {
        id,
        account: AccountId(row.get(1)?),
        token: TokenId(row.get(2)?),
        phone: open_phone(vault, Purpose::Phone, number, row.get_ref(3)?.as_blob().map_err(damaged)?)?,
        country: parsed("country", Country::parse(text(row, 4)?))?,
        created_at: Time::from_micros(row.get(5)?),
        cost: Money::from_micros(row.get(6)?),
        refunded: row.get(7)?,
        ability_checked: row.get(8)?,
        route: route(text(row, 9)?)?,
        message,
        reports: row.get(10)?,
        events_stored: row.get(11)?,
        fresh_events: Vec::new(),
    })
}

fn message(vault: &Vault, number: i64, sent_at: Time, row: &Row<'_>) -> Result<Message, StoreError> {
    let code_mac: Vec<u8> = row.get(16)?;
    let last_check = match optional_text(row, 23)? {
        Some(name) => {
            let verdict = parsed("verification status", Verification::parse(name))?;
            Some((verdict, Time::from_micros(row.get(24)?)))
        }
        None => None,
    };
    let progress_at = row.get::<_, Option<i64>>(28)?.map(Time::from_micros);
    Ok(Message {
        sender: optional_text(row, 12)?.map(|name| parsed("sender", Username::parse(name))).transpose()?,
        payload: optional_text(row, 13)?.map(|text| parsed("payload", Payload::parse(text))).transpose()?,
        callback_url: optional_text(row, 14)?.map(Arc::from),
        ttl: row.get::<_, Option<u16>>(15)?.map(|secs| parsed("ttl", Ttl::from_secs(secs))).transpose()?,
        code_mac: CodeMac(parsed("code digest", code_mac.try_into().ok())?),
        code: match row.get_ref(17)?.as_blob_or_null().map_err(damaged)? {
            Some(sealed) => Some(open_code(vault, number, sealed)?),
            None => None,
        },
        sent_at,
        delivery: parsed("delivery status", Delivery::parse(text(row, 19)?))?,
        delivery_at: Time::from_micros(row.get(20)?),
        code_expires_at: Time::from_micros(row.get(21)?),
        verified_at: row.get::<_, Option<i64>>(22)?.map(Time::from_micros),
        last_check,
        attempts: row.get(25)?,
        hop: row.get(26)?,
        progress: progress(text(row, 27)?, progress_at)?,
        channel_reference: row.get(29)?,
        hop_until: row.get::<_, Option<i64>>(30)?.map(Time::from_micros),
        open_hops: row.get(31)?,
    })
}

/// The columns that [`report`] reads, in its order.
pub(super) const REPORT: &str = "request_id, seq, account_id, token_id, delivery, delivery_at, verification, \
     verification_at, refunded, state, attempts, due_at, leased, last_result, last_at, last_ms";

pub(super) fn report(row: &Row<'_>) -> Result<Report, StoreError> {
    let verification = match optional_text(row, 6)? {
        Some(name) => {
            let status = parsed("verification status", Verification::parse(name))?;
            Some((status, Time::from_micros(row.get(7)?)))
        }
        None => None,
    };
    Ok(Report {
        id: ReportId {
            request: parsed("request id", RequestId::from_number(row.get(0)?))?,
            seq: row.get(1)?,
        },
        account: AccountId(row.get(2)?),
        token: TokenId(row.get(3)?),
        delivery: (
            parsed("delivery status", Delivery::parse(text(row, 4)?))?,
            Time::from_micros(row.get(5)?),
        ),
        verification,
        refunded: row.get(8)?,
        state: parsed("report state", State::parse(text(row, 9)?))?,
        attempts: row.get(10)?,
        due_at: Time::from_micros(row.get(11)?),
        leased: row.get(12)?,
        last_result: row.get(13)?,
        last_attempt: last_attempt(row.get(14)?, row.get(15)?)?,
    })
}

/// The columns that [`account`] reads, in its order.
pub(super) const ACCOUNT: &str =
    "id, mode, balance, transfers, own_number_sealed, single_use, rate_spent_until";

pub(super) fn account(vault: &Vault, row: &Row<'_>) -> Result<Account, StoreError> {
    let id: i64 = row.get(0)?;
    Ok(Account {
        id: AccountId(id),
        mode: parsed("mode", Mode::parse(text(row, 1)?))?,
        balance: Money::from_micros(row.get(2)?),
        transfers: row.get(3)?,
        own_number: match row.get_ref(4)?.as_blob_or_null().map_err(damaged)? {
            Some(sealed) => Some(open_phone(vault, Purpose::OwnNumber, id, sealed)?),
            None => None,
        },
        single_use: row.get(5)?,
        rate_spent_until: Time::from_micros(row.get(6)?),
    })
}

pub(super) fn text<'row>(row: &'row Row<'_>, column: usize) -> Result<&'row str, StoreError> {
    row.get_ref(column)?.as_str().map_err(damaged)
}

pub(super) fn optional_text<'row>(
    row: &'row Row<'_>,
    column: usize,
) -> Result<Option<&'row str>, StoreError> {
    row.get_ref(column)?.as_str_or_null().map_err(damaged)
}
