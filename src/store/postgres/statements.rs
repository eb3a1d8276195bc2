//! The statements of batches: prepared once per connection, all over arrays, so that their number does not grow with the
//! batch.

use super::{node, rows};
use std::fmt::Write;
use tokio_postgres::{Client, Error, Statement};

/// The statements of a batch.
#[derive(Debug)]
pub(super) struct Statements {
    pub(super) load: Load,
    pub(super) save: Save,
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Statements, Error> {
        let (load, save) = tokio::try_join!(Load::prepare(client), Save::prepare(client))?;
        Ok(Statements { load, save })
    }
}

/// What loads and locks rows.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) lane: Statement,
    pub(super) accounts: Statement,
    pub(super) requests: Statement,
    pub(super) failures: Statement,
    pub(super) senders: Statement,
    pub(super) remembered: Statement,
    pub(super) reports: Statement,
    pub(super) references: Statement,
    pub(super) subscribers: Statement,
    pub(super) windows: Statement,
}

impl Load {
    pub(super) async fn prepare(client: &Client) -> Result<Load, Error> {
        let requests = format!("SELECT {} FROM request WHERE id = ANY($1::bigint[])", rows::REQUEST);
        let reports = format!(
            "SELECT {} FROM report
             WHERE (request_id, seq) IN (SELECT * FROM unnest($1::bigint[], $2::smallint[]))",
            rows::REPORT
        );
        // The ids are gathered first: an OR would read every account. FOR NO KEY UPDATE leaves a new token its look at
        // the account that it belongs to.
        let accounts = format!(
            "SELECT {} FROM account WHERE id = ANY (ARRAY(
                 SELECT unnest($1::bigint[]) UNION SELECT account_id FROM request WHERE id = ANY($2::bigint[])))
             ORDER BY id FOR NO KEY UPDATE",
            rows::ACCOUNT
        );
        let (
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
        ) = tokio::try_join!(
            client.prepare("SELECT holder FROM node WHERE lane = ANY($1::smallint[]) FOR NO KEY UPDATE"),
            client.prepare(&accounts),
            client.prepare(&requests),
            client.prepare(
                "SELECT account_id, phone_key, moments FROM phone_failure
                 WHERE (account_id, phone_key) IN
                     (SELECT account_id, phone_key FROM request WHERE id = ANY($1::bigint[]))"
            ),
            client.prepare(
                "SELECT account_id, username, verified FROM sender
                 WHERE (account_id, username) IN (SELECT * FROM unnest($1::bigint[], $2::text[]))"
            ),
            client.prepare(
                "SELECT account_id, key, body, request_id, cost, remaining_balance, sent_at, at FROM idempotency
                 WHERE (account_id, key) IN (SELECT * FROM unnest($1::bigint[], $2::bytea[]))"
            ),
            client.prepare(&reports),
            client.prepare("SELECT reference FROM transfer WHERE reference = ANY($1::text[])"),
            client.prepare(
                "SELECT channel, phone_key FROM subscriber
                 WHERE (channel, phone_key) IN (SELECT * FROM unnest($1::text[], $2::bigint[])) AND blocked = 0"
            ),
            client.prepare(
                "SELECT number_key, moments FROM phone_window WHERE number_key = ANY($1::bigint[])
                 ORDER BY number_key FOR UPDATE"
            ),
        )?;
        Ok(Load {
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
        })
    }
}

/// The columns of a table with their types.
type Columns = &'static [(&'static str, &'static str)];

const REQUEST: Columns = &[
    ("id", "bigint"),
    ("account_id", "bigint"),
    ("phone_key", "bigint"),
    ("phone_sealed", "bytea"),
    ("country", "text"),
    ("created_at", "bigint"),
    ("cost", "bigint"),
    ("ability_checked", "smallint"),
    ("token_id", "bigint"),
    ("refunded", "smallint"),
    ("route", "text"),
    ("channel", "text"),
    ("reports", "smallint"),
    ("events", "integer"),
    ("timeline", "text"),
    ("sender", "text"),
    ("payload", "text"),
    ("callback_url", "text"),
    ("ttl_s", "integer"),
    ("code_mac", "bytea"),
    ("code_sealed", "bytea"),
    ("sent_at", "bigint"),
    ("delivery", "text"),
    ("delivery_at", "bigint"),
    ("code_expires_at", "bigint"),
    ("verified_at", "bigint"),
    ("last_check", "text"),
    ("last_check_at", "bigint"),
    ("attempts", "smallint"),
    ("hop", "smallint"),
    ("progress", "text"),
    ("progress_at", "bigint"),
    ("channel_reference", "text"),
    ("due_at", "bigint"),
    ("hop_until", "bigint"),
    ("open_hops", "smallint"),
];
/// How many columns of a request, after its id, never change.
const REQUEST_FIXED: usize = 8;

const TRANSFER: Columns = &[
    ("account_id", "bigint"),
    ("seq", "bigint"),
    ("debit", "bigint"),
    ("credit", "bigint"),
    ("amount", "bigint"),
    ("kind", "text"),
    ("request_id", "bigint"),
    ("reference", "text"),
    ("reason", "text"),
    ("balance_after", "bigint"),
    ("at", "bigint"),
];

const REPORT: Columns = &[
    ("request_id", "bigint"),
    ("seq", "smallint"),
    ("account_id", "bigint"),
    ("token_id", "bigint"),
    ("receiver", "text"),
    ("delivery", "text"),
    ("delivery_at", "bigint"),
    ("verification", "text"),
    ("verification_at", "bigint"),
    ("refunded", "smallint"),
    ("state", "text"),
    ("attempts", "smallint"),
    ("due_at", "bigint"),
    ("leased", "smallint"),
    ("last_result", "text"),
];
const REPORT_CHANGE: Columns = &[
    ("request_id", "bigint"),
    ("seq", "smallint"),
    ("state", "text"),
    ("attempts", "smallint"),
    ("due_at", "bigint"),
    ("leased", "smallint"),
    ("last_result", "text"),
    ("last_at", "bigint"),
    ("last_ms", "bigint"),
];

const IDEMPOTENCY: Columns = &[
    ("account_id", "bigint"),
    ("key", "bytea"),
    ("body", "bytea"),
    ("request_id", "bigint"),
    ("cost", "bigint"),
    ("remaining_balance", "bigint"),
    ("sent_at", "bigint"),
    ("at", "bigint"),
];

const CHANNEL_REFERENCE: Columns = &[
    ("channel", "text"),
    ("reference", "text"),
    ("request_id", "bigint"),
    ("hop", "smallint"),
    ("at", "bigint"),
];

const FAILURE: Columns =
    &[("account_id", "bigint"), ("phone_key", "bigint"), ("moments", "text"), ("last_at", "bigint")];

const WINDOW: Columns = &[("number_key", "bigint"), ("moments", "text"), ("last_at", "bigint")];

const DAY: Columns = &[
    ("account_id", "bigint"),
    ("day", "integer"),
    ("country", "text"),
    ("channel", "text"),
    ("checked", "bigint"),
    ("sent", "bigint"),
    ("delivered", "bigint"),
    ("read", "bigint"),
    ("expired", "bigint"),
    ("revoked", "bigint"),
    ("verified", "bigint"),
    ("charged", "bigint"),
    ("refunded", "bigint"),
];

/// What saves them.
#[derive(Debug)]
pub(super) struct Save {
    pub(super) insert_requests: Statement,
    pub(super) update_requests: Statement,
    pub(super) update_accounts: Statement,
    pub(super) insert_transfers: Statement,
    pub(super) insert_windows: Statement,
    pub(super) update_windows: Statement,
    pub(super) put_failures: Statement,
    pub(super) put_remembered: Statement,
    pub(super) insert_reports: Statement,
    pub(super) update_reports: Statement,
    pub(super) put_channel_references: Statement,
    pub(super) add_days: Statement,
    pub(super) mark: Statement,
}

impl Save {
    pub(super) async fn prepare(client: &Client) -> Result<Save, Error> {
        let changing = REQUEST.iter().skip(REQUEST_FIXED).copied();
        let changing: Vec<_> = REQUEST.iter().take(1).copied().chain(changing).collect();
        let sets = changing.iter().skip(1).map(|(name, _)| match *name {
            "events" => "events = request.events + new.events".to_owned(),
            "timeline" => "timeline = request.timeline || new.timeline".to_owned(),
            name => format!("{name} = new.{name}"),
        });
        let update_requests = update("request", &["id"], &changing, sets);
        let accounts = [
            ("id", "bigint"),
            ("balance", "bigint"),
            ("transfers", "bigint"),
            ("rate_spent_until", "bigint"),
        ];
        let replace = |columns: &[(&str, &str)], keys: usize| -> String {
            let sets = columns.iter().skip(keys).map(|(name, _)| format!("{name} = excluded.{name}"));
            format!(
                " ON CONFLICT ({}) DO UPDATE SET {}",
                names(columns.get(..keys).unwrap_or(&[])),
                join(sets)
            )
        };
        let add = DAY.iter().skip(4).map(|(name, _)| format!("{name} = day.{name} + excluded.{name}"));
        let add_days = insert("day", DAY)
            + " ON CONFLICT (account_id, day, country, channel) DO UPDATE SET "
            + &join(add);
        let put_failures = insert("phone_failure", FAILURE) + &replace(FAILURE, 2);
        let put_channel_references =
            insert("channel_reference", CHANNEL_REFERENCE) + &replace(CHANNEL_REFERENCE, 2);
        let put_remembered = insert("idempotency", IDEMPOTENCY) + &replace(IDEMPOTENCY, 2);
        let (insert_requests, insert_transfers) = (insert("request", REQUEST), insert("transfer", TRANSFER));
        let (insert_windows, insert_reports) = (insert("phone_window", WINDOW), insert("report", REPORT));
        let update_accounts = update("account", &["id"], &accounts, plainly(&accounts, 1));
        let update_windows = update("phone_window", &["number_key"], WINDOW, plainly(WINDOW, 1));
        let update_reports =
            update("report", &["request_id", "seq"], REPORT_CHANGE, plainly(REPORT_CHANGE, 2));
        // All on the wire at once.
        let (
            insert_requests,
            update_requests,
            update_accounts,
            insert_transfers,
            insert_windows,
            update_windows,
        ) = tokio::try_join!(
            client.prepare(&insert_requests),
            client.prepare(&update_requests),
            client.prepare(&update_accounts),
            client.prepare(&insert_transfers),
            client.prepare(&insert_windows),
            client.prepare(&update_windows),
        )?;
        let (
            put_failures,
            put_remembered,
            insert_reports,
            update_reports,
            put_channel_references,
            add_days,
            mark,
        ) = tokio::try_join!(
            client.prepare(&put_failures),
            client.prepare(&put_remembered),
            client.prepare(&insert_reports),
            client.prepare(&update_reports),
            client.prepare(&put_channel_references),
            client.prepare(&add_days),
            client.prepare(node::MARK),
        )?;
        Ok(Save {
            insert_requests,
            update_requests,
            update_accounts,
            insert_transfers,
            insert_windows,
            update_windows,
            put_failures,
            put_remembered,
            insert_reports,
            update_reports,
            put_channel_references,
            add_days,
            mark,
        })
    }
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

fn names(columns: &[(&str, &str)]) -> String {
    join(columns.iter().map(|(name, _)| (*name).to_owned()))
}

/// `unnest` over one array per column.
fn arrays(columns: &[(&str, &str)]) -> String {
    let mut text = "unnest(".to_owned();
    for (at, (_, kind)) in columns.iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{comma}${}::{kind}[]", at + 1);
    }
    text + ")"
}

fn insert(table: &str, columns: &[(&str, &str)]) -> String {
    format!("INSERT INTO {table} ({}) SELECT * FROM {}", names(columns), arrays(columns))
}

fn plainly(columns: &[(&'static str, &'static str)], keys: usize) -> impl Iterator<Item = String> {
    columns.iter().skip(keys).map(|(name, _)| format!("{name} = new.{name}"))
}

fn update(
    table: &str,
    keys: &[&str],
    columns: &[(&str, &str)],
    sets: impl Iterator<Item = String>,
) -> String {
    let same = keys.iter().map(|key| format!("{table}.{key} = new.{key}")).collect::<Vec<_>>().join(" AND ");
    let (sets, arrays, names) = (join(sets), arrays(columns), names(columns));
    format!("UPDATE {table} SET {sets} FROM {arrays} AS new ({names}) WHERE {same}")
}
