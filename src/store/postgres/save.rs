//! Saving what a batch changed, and its commit: one round trip. Each kind of change is one statement over arrays, its
//! rows in the order of their keys, so that two nodes never wait for each other.

use super::load::Stored;
use super::statements::Save;
use crate::store::columns::{
    fresh_lines, last_at, last_attempt_columns, progress_columns, receiver, route_column, seal_phone,
    sealed_code, window_column, window_key,
};
use crate::vault::{Purpose, Vault};
use chappe_core::ledger::{Cause, Transfer};
use chappe_core::report::Report;
use chappe_core::request::Message;
use chappe_core::{Book, Request, Time};
use std::cell::Cell;
use std::collections::BTreeMap;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Statement};

/// What came of a save.
pub(super) struct Saved {
    /// The first statement that failed, if one did.
    pub(super) failed: Option<Error>,
    /// How the transaction was ended: by its commit, or, where a statement could not even be sent, by a rollback.
    pub(super) ended: Result<(), Error>,
}

/// Saves and commits. `mark` is the lane that the batch is counted in, and its number there.
pub(super) async fn save(
    client: &Client,
    statements: &Save,
    vault: &Vault,
    stored: &Stored,
    book: &Book,
    mark: Option<(u8, i64)>,
) -> Saved {
    let writes = Writes { client, statements, vault, book, failed: Cell::new(false) };
    let (new_requests, old_requests) = split(book.changed_requests());
    let (new_reports, old_reports) = split(book.changed_reports());
    let results = tokio::join!(
        biased;
        writes.watch(writes.insert_requests(&new_requests)),
        writes.watch(writes.update_requests(&old_requests)),
        writes.watch(writes.update_accounts()),
        writes.watch(writes.insert_transfers()),
        writes.watch(writes.windows(stored, false)),
        writes.watch(writes.windows(stored, true)),
        writes.watch(writes.put_failures()),
        writes.watch(writes.put_remembered()),
        writes.watch(writes.insert_reports(&new_reports)),
        writes.watch(writes.update_reports(&old_reports)),
        writes.watch(writes.put_channel_references()),
        writes.watch(writes.add_days()),
        writes.watch(writes.mark(mark)),
        writes.end(),
    );
    let (a, b, c, d, e, f, g, h, i, j, k, l, m, ended) = results;
    // In their order: the first that failed says why, the later ones only that something did.
    let failed = [a, b, c, d, e, f, g, h, i, j, k, l, m].into_iter().find_map(Result::err);
    Saved { failed, ended }
}

fn split<'rows, R>(changed: impl Iterator<Item = (&'rows R, bool)>) -> (Vec<&'rows R>, Vec<&'rows R>) {
    let (new, old): (Vec<_>, Vec<_>) = changed.partition(|(_, new)| *new);
    let plain = |rows: Vec<(&'rows R, bool)>| rows.into_iter().map(|(row, _)| row).collect();
    (plain(new), plain(old))
}

/// One column of many rows.
fn column<R, T>(rows: &[R], of: impl Fn(&R) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

/// A text from outside. PostgreSQL takes no NUL in a text, and would refuse the whole batch for one.
fn clean(text: &str) -> String {
    text.replace('\0', " ")
}

struct Writes<'batch> {
    client: &'batch Client,
    statements: &'batch Save,
    vault: &'batch Vault,
    book: &'batch Book,
    /// Whether a statement has failed. One that cannot even be sent fails before the commit is sent.
    failed: Cell<bool>,
}

impl Writes<'_> {
    async fn watch(&self, write: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
        let result = write.await;
        self.failed.set(self.failed.get() || result.is_err());
        result
    }

    /// Ends the transaction. The server turns the commit of a transaction that has failed into a rollback.
    async fn end(&self) -> Result<(), Error> {
        self.client.batch_execute(if self.failed.get() { "ROLLBACK" } else { "COMMIT" }).await
    }

    async fn execute(&self, statement: &Statement, arrays: &[&(dyn ToSql + Sync)]) -> Result<(), Error> {
        self.client.execute(statement, arrays).await.map(|_| ())
    }

    async fn insert_requests(&self, rows: &[&Request]) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let ids = column(rows, |request| request.id.number());
        let accounts = column(rows, |request| request.account.0);
        let phone_keys = column(rows, |request| self.vault.phone_key(request.phone));
        let phones = column(rows, |request| {
            seal_phone(self.vault, Purpose::Phone, request.id.number(), request.phone)
        });
        let countries = column(rows, |request| request.country.as_str().to_owned());
        let created = column(rows, |request| request.created_at.micros());
        let costs = column(rows, |request| request.cost.micros());
        let checked = column(rows, |request| i16::from(request.ability_checked));
        let changing = Changing::of(self.vault, rows);
        let mut arrays: Vec<&(dyn ToSql + Sync)> =
            vec![&ids, &accounts, &phone_keys, &phones, &countries, &created, &costs, &checked];
        arrays.extend(changing.arrays());
        self.execute(&self.statements.insert_requests, &arrays).await
    }

    async fn update_requests(&self, rows: &[&Request]) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let ids = column(rows, |request| request.id.number());
        let changing = Changing::of(self.vault, rows);
        let mut arrays: Vec<&(dyn ToSql + Sync)> = vec![&ids];
        arrays.extend(changing.arrays());
        self.execute(&self.statements.update_requests, &arrays).await
    }

    async fn update_accounts(&self) -> Result<(), Error> {
        let rows: Vec<_> = self.book.changed_accounts().collect();
        if rows.is_empty() {
            return Ok(());
        }
        let ids = column(&rows, |account| account.id.0);
        let balances = column(&rows, |account| account.balance.micros());
        let transfers = column(&rows, |account| account.transfers);
        let rates = column(&rows, |account| account.rate_spent_until.micros());
        self.execute(&self.statements.update_accounts, &[&ids, &balances, &transfers, &rates]).await
    }

    async fn insert_transfers(&self) -> Result<(), Error> {
        let mut rows: Vec<&Transfer> = self.book.transfers().iter().collect();
        if rows.is_empty() {
            return Ok(());
        }
        // By reference first: it is the one key that accounts share.
        rows.sort_by_key(|transfer| (reference(transfer), transfer.account, transfer.seq));
        let accounts = column(&rows, |transfer| transfer.account.0);
        let seqs = column(&rows, |transfer| transfer.seq);
        let debits = column(&rows, |transfer| transfer.debit.0);
        let credits = column(&rows, |transfer| transfer.credit.0);
        let amounts = column(&rows, |transfer| transfer.amount.micros());
        let kinds = column(&rows, |transfer| transfer.kind.as_str());
        let requests = column(&rows, |transfer| match &transfer.cause {
            Cause::Request(id) => Some(id.number()),
            Cause::External { .. } => None,
        });
        let references = column(&rows, |transfer| reference(transfer));
        let reasons = column(&rows, |transfer| match &transfer.cause {
            Cause::Request(_) => None,
            Cause::External { reason, .. } => Some(clean(reason)),
        });
        let balances = column(&rows, |transfer| transfer.balance_after.micros());
        let moments = column(&rows, |transfer| transfer.at.micros());
        let arrays: [&(dyn ToSql + Sync); 11] = [
            &accounts,
            &seqs,
            &debits,
            &credits,
            &amounts,
            &kinds,
            &requests,
            &references,
            &reasons,
            &balances,
            &moments,
        ];
        self.execute(&self.statements.insert_transfers, &arrays).await
    }

    /// The windows of numbers: those that were there, or those that are new.
    async fn windows(&self, stored: &Stored, there: bool) -> Result<(), Error> {
        let key = |(mode, phone)| window_key(self.vault.phone_key(phone), mode);
        let changed = self.book.changed_sends().map(|(number, window)| (key(number), window));
        let mut rows: Vec<_> = changed.filter(|(key, _)| stored.windows.contains(key) == there).collect();
        if rows.is_empty() {
            return Ok(());
        }
        rows.sort_by_key(|(key, _)| *key);
        let keys = column(&rows, |(key, _)| *key);
        let moments = column(&rows, |(_, window)| window_column(window));
        let last = column(&rows, |(_, window)| last_at(window));
        let statement = if there { &self.statements.update_windows } else { &self.statements.insert_windows };
        self.execute(statement, &[&keys, &moments, &last]).await
    }

    async fn put_failures(&self) -> Result<(), Error> {
        let changed = self.book.changed_failures();
        let mut rows: Vec<_> = changed
            .map(|((account, phone), window)| (account.0, self.vault.phone_key(phone), window))
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        rows.sort_by_key(|(account, phone_key, _)| (*account, *phone_key));
        let accounts = column(&rows, |(account, _, _)| *account);
        let phone_keys = column(&rows, |(_, phone_key, _)| *phone_key);
        let moments = column(&rows, |(_, _, window)| window_column(window));
        let last = column(&rows, |(_, _, window)| last_at(window));
        self.execute(&self.statements.put_failures, &[&accounts, &phone_keys, &moments, &last]).await
    }

    async fn put_remembered(&self) -> Result<(), Error> {
        let rows: Vec<_> = self.book.new_remembered().collect();
        if rows.is_empty() {
            return Ok(());
        }
        let accounts = column(&rows, |((account, _), _)| account.0);
        let keys = column(&rows, |((_, key), _)| key.as_slice().to_vec());
        let bodies = column(&rows, |(_, answer)| answer.body.as_slice());
        let requests = column(&rows, |(_, answer)| answer.request.number());
        let costs = column(&rows, |(_, answer)| answer.cost.micros());
        let balances = column(&rows, |(_, answer)| answer.remaining_balance.micros());
        let sent = column(&rows, |(_, answer)| answer.sent_at.map(Time::micros));
        let moments = column(&rows, |(_, answer)| answer.at.micros());
        let arrays: [&(dyn ToSql + Sync); 8] =
            [&accounts, &keys, &bodies, &requests, &costs, &balances, &sent, &moments];
        self.execute(&self.statements.put_remembered, &arrays).await
    }

    async fn insert_reports(&self, rows: &[&Report]) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let requests = column(rows, |report| report.id.request.number());
        let seqs = column(rows, |report| i16::from(report.id.seq));
        let accounts = column(rows, |report| report.account.0);
        let tokens = column(rows, |report| report.token.0);
        let receivers = column(rows, |report| {
            let request = self.book.request(report.id.request);
            let message = request.and_then(|request| request.message.as_ref());
            receiver(message.and_then(|message| message.callback_url.as_deref()).unwrap_or(""))
        });
        let deliveries = column(rows, |report| report.delivery.0.as_str());
        let delivered = column(rows, |report| report.delivery.1.micros());
        let verifications = column(rows, |report| report.verification.map(|(status, _)| status.as_str()));
        let verified = column(rows, |report| report.verification.map(|(_, at)| at.micros()));
        let refunded = column(rows, |report| i16::from(report.refunded));
        let states = column(rows, |report| report.state.as_str());
        let attempts = column(rows, |report| i16::from(report.attempts));
        let due = column(rows, |report| report.due_at.micros());
        let leased = column(rows, |report| i16::from(report.leased));
        let last_results = column(rows, |report| report.last_result.as_deref().map(clean));
        let arrays: [&(dyn ToSql + Sync); 15] = [
            &requests,
            &seqs,
            &accounts,
            &tokens,
            &receivers,
            &deliveries,
            &delivered,
            &verifications,
            &verified,
            &refunded,
            &states,
            &attempts,
            &due,
            &leased,
            &last_results,
        ];
        self.execute(&self.statements.insert_reports, &arrays).await
    }

    async fn update_reports(&self, rows: &[&Report]) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let requests = column(rows, |report| report.id.request.number());
        let seqs = column(rows, |report| i16::from(report.id.seq));
        let states = column(rows, |report| report.state.as_str());
        let attempts = column(rows, |report| i16::from(report.attempts));
        let due = column(rows, |report| report.due_at.micros());
        let leased = column(rows, |report| i16::from(report.leased));
        let last_results = column(rows, |report| report.last_result.as_deref().map(clean));
        let last_at = column(rows, |report| last_attempt_columns(report).0);
        let last_ms = column(rows, |report| last_attempt_columns(report).1);
        let arrays: [&(dyn ToSql + Sync); 9] =
            [&requests, &seqs, &states, &attempts, &due, &leased, &last_results, &last_at, &last_ms];
        self.execute(&self.statements.update_reports, &arrays).await
    }

    async fn put_channel_references(&self) -> Result<(), Error> {
        // One statement cannot put a name twice; whoever comes last in the batch has it.
        let named: BTreeMap<_, _> = self
            .book
            .channel_references()
            .iter()
            .map(|named| ((named.channel.as_str(), clean(&named.reference)), named))
            .collect();
        if named.is_empty() {
            return Ok(());
        }
        let channels: Vec<&str> = named.keys().map(|(channel, _)| *channel).collect();
        let references: Vec<&str> = named.keys().map(|(_, reference)| reference.as_str()).collect();
        let requests: Vec<i64> = named.values().map(|named| named.request.number()).collect();
        let hops: Vec<i16> = named.values().map(|named| named.hop.into()).collect();
        let moments: Vec<i64> = named.values().map(|named| named.at.micros()).collect();
        let arrays: [&(dyn ToSql + Sync); 5] = [&channels, &references, &requests, &hops, &moments];
        self.execute(&self.statements.put_channel_references, &arrays).await
    }

    async fn add_days(&self) -> Result<(), Error> {
        let rows: Vec<_> = self.book.statistics().into_iter().collect();
        if rows.is_empty() {
            return Ok(());
        }
        let accounts = column(&rows, |(key, _)| key.account.0);
        let days = column(&rows, |(key, _)| key.day);
        let countries = column(&rows, |(key, _)| key.country.as_str().to_owned());
        let channels = column(&rows, |(key, _)| key.channel.as_str().to_owned());
        let counters: [Vec<i64>; 9] = std::array::from_fn(|at| {
            column(&rows, |(_, counters)| counters.columns().get(at).copied().unwrap_or_default())
        });
        let mut arrays: Vec<&(dyn ToSql + Sync)> = vec![&accounts, &days, &countries, &channels];
        arrays.extend(counters.iter().map(|column| column as &(dyn ToSql + Sync)));
        self.execute(&self.statements.add_days, &arrays).await
    }

    async fn mark(&self, mark: Option<(u8, i64)>) -> Result<(), Error> {
        let Some((lane, mark)) = mark else { return Ok(()) };
        self.execute(&self.statements.mark, &[&i16::from(lane), &mark]).await
    }
}

fn reference(transfer: &Transfer) -> Option<&str> {
    match &transfer.cause {
        Cause::Request(_) => None,
        Cause::External { reference, .. } => reference.as_deref(),
    }
}

/// The columns of requests that change, by column.
struct Changing<'rows> {
    token_id: Vec<i64>,
    refunded: Vec<i16>,
    route: Vec<String>,
    channel: Vec<&'rows str>,
    reports: Vec<i16>,
    events: Vec<i32>,
    timeline: Vec<String>,
    sender: Vec<Option<&'rows str>>,
    payload: Vec<Option<&'rows str>>,
    callback_url: Vec<Option<&'rows str>>,
    ttl_s: Vec<Option<i32>>,
    code_mac: Vec<Option<&'rows [u8]>>,
    code_sealed: Vec<Option<Vec<u8>>>,
    sent_at: Vec<Option<i64>>,
    delivery: Vec<Option<&'static str>>,
    delivery_at: Vec<Option<i64>>,
    code_expires_at: Vec<Option<i64>>,
    verified_at: Vec<Option<i64>>,
    last_check: Vec<Option<&'static str>>,
    last_check_at: Vec<Option<i64>>,
    attempts: Vec<i16>,
    hop: Vec<i16>,
    progress: Vec<Option<&'static str>>,
    progress_at: Vec<Option<i64>>,
    channel_reference: Vec<Option<String>>,
    due_at: Vec<Option<i64>>,
    hop_until: Vec<Option<i64>>,
    open_hops: Vec<i16>,
}

impl<'rows> Changing<'rows> {
    fn of(vault: &Vault, rows: &[&'rows Request]) -> Changing<'rows> {
        /// One column of the messages, where there is one.
        fn of_message<'rows, T>(
            rows: &[&'rows Request],
            of: impl Fn(&'rows Message) -> Option<T>,
        ) -> Vec<Option<T>> {
            rows.iter().map(|request| request.message.as_ref().and_then(&of)).collect()
        }
        let number = |of: &dyn Fn(&Message) -> u8| {
            column(rows, |request| request.message.as_ref().map_or(0, of).into())
        };
        Changing {
            token_id: column(rows, |request| request.token.0),
            refunded: column(rows, |request| request.refunded.into()),
            route: column(rows, |request| route_column(&request.route)),
            channel: column(rows, |request| request.channel().as_str()),
            reports: column(rows, |request| request.reports.into()),
            events: column(rows, |request| request.fresh_events.len() as i32),
            timeline: column(rows, |request| fresh_lines(request)),
            sender: of_message(rows, |message| message.sender.as_ref().map(|sender| sender.as_str())),
            payload: of_message(rows, |message| message.payload.as_ref().map(|payload| payload.as_str())),
            callback_url: of_message(rows, |message| message.callback_url.as_deref()),
            ttl_s: of_message(rows, |message| message.ttl.map(|ttl| ttl.secs().into())),
            code_mac: of_message(rows, |message| Some(message.code_mac.0.as_slice())),
            code_sealed: column(rows, |request| {
                sealed_code(vault, request.id.number(), request.message.as_ref()?)
            }),
            sent_at: of_message(rows, |message| Some(message.sent_at.micros())),
            delivery: of_message(rows, |message| Some(message.delivery.as_str())),
            delivery_at: of_message(rows, |message| Some(message.delivery_at.micros())),
            code_expires_at: of_message(rows, |message| Some(message.code_expires_at.micros())),
            verified_at: of_message(rows, |message| message.verified_at.map(Time::micros)),
            last_check: of_message(rows, |message| message.last_check.map(|(verdict, _)| verdict.as_str())),
            last_check_at: of_message(rows, |message| message.last_check.map(|(_, at)| at.micros())),
            attempts: number(&|message| message.attempts),
            hop: number(&|message| message.hop),
            progress: of_message(rows, |message| Some(progress_columns(message.progress).0)),
            progress_at: of_message(rows, |message| progress_columns(message.progress).1),
            channel_reference: of_message(rows, |message| message.channel_reference.as_deref().map(clean)),
            due_at: of_message(rows, |message| message.due_at().map(Time::micros)),
            hop_until: of_message(rows, |message| message.hop_until.map(Time::micros)),
            open_hops: number(&|message| message.open_hops),
        }
    }

    /// In the order of the statement's columns.
    fn arrays(&self) -> [&(dyn ToSql + Sync); 28] {
        [
            &self.token_id,
            &self.refunded,
            &self.route,
            &self.channel,
            &self.reports,
            &self.events,
            &self.timeline,
            &self.sender,
            &self.payload,
            &self.callback_url,
            &self.ttl_s,
            &self.code_mac,
            &self.code_sealed,
            &self.sent_at,
            &self.delivery,
            &self.delivery_at,
            &self.code_expires_at,
            &self.verified_at,
            &self.last_check,
            &self.last_check_at,
            &self.attempts,
            &self.hop,
            &self.progress,
            &self.progress_at,
            &self.channel_reference,
            &self.due_at,
            &self.hop_until,
            &self.open_hops,
        ]
    }
}
