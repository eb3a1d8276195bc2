//! Saving what a batch changed.

use super::load::{Shape, Stored};
use super::rows;
use crate::store::columns::{fresh_lines, last_attempt_columns, receiver, sealed_code, window_column};
use crate::store::records::StoreError;
use crate::vault::{Purpose, Vault};
use chappe_core::ledger::Cause;
use chappe_core::report::Report;
use chappe_core::request::Message;
use chappe_core::{Book, Request, Time};
use rusqlite::{Connection, Statement, params};

pub(super) fn save(
    connection: &Connection,
    vault: &Vault,
    stored: &Stored,
    book: &Book,
) -> Result<(), StoreError> {
    save_requests(connection, vault, stored, book)?;
    save_money(connection, book)?;
    save_windows(connection, vault, book)?;
    save_reports(connection, book)?;
    save_channel_references(connection, book)?;
    save_statistics(connection, book)
}

fn save_requests(
    connection: &Connection,
    vault: &Vault,
    stored: &Stored,
    book: &Book,
) -> Result<(), StoreError> {
    let mut insert = connection.prepare_cached(INSERT_REQUEST)?;
    let mut update = connection.prepare_cached(UPDATE_REQUEST)?;
    for (request, new) in book.changed_requests() {
        if new {
            insert_request(&mut insert, vault, stored, request)?;
            continue;
        }
        // What was sent, and through which hop, changes seldom; where the message stands changes with every event.
        if stored.shapes.get(&request.id) != Some(&Shape::of(request)) {
            update_shape(connection, vault, request)?;
        }
        update_request(&mut update, request)?;
    }
    Ok(())
}

const INSERT_REQUEST: &str = "INSERT INTO request
    (id, account_id, token_id, phone_key, phone_sealed, country, created_at, cost, refunded, ability_checked, route,
     channel, reports, events, timeline, sender, payload, callback_url, ttl_s, code_mac, code_sealed, sent_at, delivery,
     delivery_at, code_expires_at, verified_at, last_check, last_check_at, attempts, hop, progress, progress_at,
     channel_reference, due_at, hop_until, open_hops)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23,
        ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36)";

const UPDATE_REQUEST: &str = "UPDATE request SET refunded = ?2, reports = ?3, events = events + ?4,
        timeline = timeline || ?5, delivery = ?6, delivery_at = ?7, code_expires_at = ?8, verified_at = ?9,
        last_check = ?10, last_check_at = ?11, attempts = ?12, progress = ?13, progress_at = ?14,
        channel_reference = ?15, due_at = ?16
    WHERE id = ?1";

fn insert_request(
    insert: &mut Statement<'_>,
    vault: &Vault,
    stored: &Stored,
    request: &Request,
) -> Result<(), StoreError> {
    let number = request.id.number();
    let message = request.message.as_ref();
    let last_check = message.and_then(|message| message.last_check);
    let progress = message.map(|message| rows::progress_columns(message.progress));
    insert.execute(params![
        number,
        request.account.0,
        request.token.0,
        stored.phone_key(vault, request.phone),
        rows::seal_phone(vault, Purpose::Phone, number, request.phone),
        request.country.as_str(),
        request.created_at.micros(),
        request.cost.micros(),
        request.refunded,
        request.ability_checked,
        rows::route_column(&request.route),
        request.channel().as_str(),
        request.reports,
        request.fresh_events.len(),
        fresh_lines(request),
        message.and_then(|message| message.sender.as_ref()).map(|sender| sender.as_str()),
        message.and_then(|message| message.payload.as_ref()).map(|payload| payload.as_str()),
        message.and_then(|message| message.callback_url.as_deref()),
        message.and_then(|message| message.ttl).map(|ttl| ttl.secs()),
        message.map(|message| message.code_mac.0),
        message.and_then(|message| sealed_code(vault, number, message)),
        message.map(|message| message.sent_at.micros()),
        message.map(|message| message.delivery.as_str()),
        message.map(|message| message.delivery_at.micros()),
        message.map(|message| message.code_expires_at.micros()),
        message.and_then(|message| message.verified_at).map(Time::micros),
        last_check.map(|(verdict, _)| verdict.as_str()),
        last_check.map(|(_, at)| at.micros()),
        message.map_or(0, |message| message.attempts),
        message.map_or(0, |message| message.hop),
        progress.map(|(name, _)| name),
        progress.and_then(|(_, at)| at),
        message.and_then(|message| message.channel_reference.as_deref()),
        message.and_then(Message::due_at).map(Time::micros),
        message.and_then(|message| message.hop_until).map(Time::micros),
        message.map_or(0, |message| message.open_hops),
    ])?;
    Ok(())
}

fn update_request(update: &mut Statement<'_>, request: &Request) -> Result<(), StoreError> {
    // Only a request with a message ever changes.
    let Some(message) = &request.message else { return Ok(()) };
    let (progress, progress_at) = rows::progress_columns(message.progress);
    update.execute(params![
        request.id.number(),
        request.refunded,
        request.reports,
        request.fresh_events.len(),
        fresh_lines(request),
        message.delivery.as_str(),
        message.delivery_at.micros(),
        message.code_expires_at.micros(),
        message.verified_at.map(Time::micros),
        message.last_check.map(|(verdict, _)| verdict.as_str()),
        message.last_check.map(|(_, at)| at.micros()),
        message.attempts,
        progress,
        progress_at,
        message.channel_reference,
        message.due_at().map(Time::micros),
    ])?;
    Ok(())
}

fn update_shape(connection: &Connection, vault: &Vault, request: &Request) -> Result<(), StoreError> {
    let Some(message) = &request.message else { return Ok(()) };
    let number = request.id.number();
    let mut update = connection.prepare_cached(
        "UPDATE request SET token_id = ?2, route = ?3, channel = ?4, hop = ?5, sender = ?6, payload = ?7,
             callback_url = ?8, ttl_s = ?9, code_mac = ?10, code_sealed = ?11, sent_at = ?12, delivery = ?13,
             hop_until = ?14, open_hops = ?15
         WHERE id = ?1",
    )?;
    update.execute(params![
        number,
        request.token.0,
        rows::route_column(&request.route),
        request.channel().as_str(),
        message.hop,
        message.sender.as_ref().map(|sender| sender.as_str()),
        message.payload.as_ref().map(|payload| payload.as_str()),
        message.callback_url.as_deref(),
        message.ttl.map(|ttl| ttl.secs()),
        message.code_mac.0,
        sealed_code(vault, number, message),
        message.sent_at.micros(),
        message.delivery.as_str(),
        message.hop_until.map(Time::micros),
        message.open_hops,
    ])?;
    Ok(())
}

fn save_money(connection: &Connection, book: &Book) -> Result<(), StoreError> {
    let mut update = connection.prepare_cached(
        "UPDATE account SET balance = ?2, transfers = ?3, rate_spent_until = ?4 WHERE id = ?1",
    )?;
    for account in book.changed_accounts() {
        let columns = params![
            account.id.0,
            account.balance.micros(),
            account.transfers,
            account.rate_spent_until.micros()
        ];
        update.execute(columns)?;
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO transfer
             (account_id, seq, debit, credit, amount, kind, request_id, reference, reason, balance_after, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    for transfer in book.transfers() {
        let (request, reference, reason) = match &transfer.cause {
            Cause::Request(id) => (Some(id.number()), None, None),
            Cause::External { reference, reason } => (None, reference.as_deref(), Some(reason.as_str())),
        };
        insert.execute(params![
            transfer.account.0,
            transfer.seq,
            transfer.debit.0,
            transfer.credit.0,
            transfer.amount.micros(),
            transfer.kind.as_str(),
            request,
            reference,
            reason,
            transfer.balance_after.micros(),
            transfer.at.micros(),
        ])?;
    }
    for ((account, key), remembered) in book.new_remembered() {
        let mut insert = connection.prepare_cached(
            "INSERT OR REPLACE INTO idempotency
                 (account_id, key, body, request_id, cost, remaining_balance, sent_at, at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        insert.execute(params![
            account.0,
            key,
            remembered.body,
            remembered.request.number(),
            remembered.cost.micros(),
            remembered.remaining_balance.micros(),
            remembered.sent_at.map(Time::micros),
            remembered.at.micros(),
        ])?;
    }
    Ok(())
}

fn save_windows(connection: &Connection, vault: &Vault, book: &Book) -> Result<(), StoreError> {
    for ((account, phone), window) in book.changed_failures() {
        let mut insert = connection.prepare_cached(
            "INSERT OR REPLACE INTO phone_failure (account_id, phone_key, moments, last_at) VALUES (?1, ?2, ?3, ?4)",
        )?;
        let last_at = window.moments().last().map_or(0, |moment| moment.micros());
        insert.execute(params![account.0, vault.phone_key(phone), window_column(window), last_at])?;
    }
    Ok(())
}

fn save_reports(connection: &Connection, book: &Book) -> Result<(), StoreError> {
    for (report, new) in book.changed_reports() {
        if new {
            insert_report(connection, book, report)?;
        } else {
            let mut update = connection.prepare_cached(
                "UPDATE report SET state = ?3, attempts = ?4, due_at = ?5, leased = ?6, last_result = ?7,
                     last_at = ?8, last_ms = ?9
                 WHERE request_id = ?1 AND seq = ?2",
            )?;
            let (last_at, last_ms) = last_attempt_columns(report);
            update.execute(params![
                report.id.request.number(),
                report.id.seq,
                report.state.as_str(),
                report.attempts,
                report.due_at.micros(),
                report.leased,
                report.last_result,
                last_at,
                last_ms,
            ])?;
        }
    }
    Ok(())
}

fn insert_report(connection: &Connection, book: &Book, report: &Report) -> Result<(), StoreError> {
    let request = book.request(report.id.request);
    let message = request.and_then(|request| request.message.as_ref());
    let url = message.and_then(|message| message.callback_url.as_deref()).unwrap_or("");
    let mut insert = connection.prepare_cached(
        "INSERT INTO report (request_id, seq, account_id, token_id, receiver, delivery, delivery_at, verification,
             verification_at, refunded, state, attempts, due_at, leased)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?;
    insert.execute(params![
        report.id.request.number(),
        report.id.seq,
        report.account.0,
        report.token.0,
        receiver(url),
        report.delivery.0.as_str(),
        report.delivery.1.micros(),
        report.verification.map(|(status, _)| status.as_str()),
        report.verification.map(|(_, at)| at.micros()),
        report.refunded,
        report.state.as_str(),
        report.attempts,
        report.due_at.micros(),
        report.leased,
    ])?;
    Ok(())
}

fn save_channel_references(connection: &Connection, book: &Book) -> Result<(), StoreError> {
    for named in book.channel_references() {
        // A provider may give a name out again after a while: it then means the newer message.
        let mut put = connection.prepare_cached(
            "INSERT OR REPLACE INTO channel_reference (channel, reference, request_id, hop, at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        put.execute(params![
            named.channel.as_str(),
            named.reference,
            named.request.number(),
            named.hop,
            named.at.micros(),
        ])?;
    }
    Ok(())
}

fn save_statistics(connection: &Connection, book: &Book) -> Result<(), StoreError> {
    let mut add = connection.prepare_cached(
        "INSERT INTO day (account_id, day, country, channel,
             checked, sent, delivered, read, expired, revoked, verified, charged, refunded)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
         ON CONFLICT DO UPDATE SET
             checked = checked + excluded.checked, sent = sent + excluded.sent,
             delivered = delivered + excluded.delivered, read = read + excluded.read,
             expired = expired + excluded.expired, revoked = revoked + excluded.revoked,
             verified = verified + excluded.verified, charged = charged + excluded.charged,
             refunded = refunded + excluded.refunded",
    )?;
    for (key, counters) in book.statistics() {
        let [checked, sent, delivered, read, expired, revoked, verified, charged, refunded] =
            counters.columns();
        add.execute(params![
            key.account.0,
            key.day,
            key.country.as_str(),
            key.channel.as_str(),
            checked,
            sent,
            delivered,
            read,
            expired,
            revoked,
            verified,
            charged,
            refunded,
        ])?;
    }
    Ok(())
}
