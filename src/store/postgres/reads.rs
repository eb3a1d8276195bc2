//! What workers, pages and people read.

use super::error::{Nature, nature};
use super::rows::{damaged, flag, get, open_phone, optional_time, parsed, request_id, time};
use super::{Reader, StoreError};
use crate::store::columns::allowed;
use crate::store::records::{AccountRow, BookingRow, Busy, DueReport, RequestRow, TokenRow};
use crate::vault::{Purpose, Vault};
use chappe_core::text::{ChannelName, Username};
use chappe_core::{AccountId, Delivery, Mode, Money, ReportId, RequestId, Time, TokenId};
use std::collections::BTreeMap;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};
use zeroize::Zeroizing;

/// How long a server leaves what is due to the server in whose lane the request was made. Each sees to its own at once,
/// and to what the others leave undone after that; so they do not all reach for the same rows at the same moment. What
/// keeps them from working on one row twice is the lease, not this.
const COURTESY_MICROS: i64 = 2_000_000;

/// Every lane with the time that is left to it: none to one's own, $1; all are, where that is NULL.
const LANES: &str =
    "(SELECT lane, CASE WHEN lane = coalesce($1::bigint, lane) THEN 0 ELSE $2::bigint END AS courtesy
     FROM generate_series(0::bigint, 7) AS lane) AS lanes";

/// `limit` as the database takes it.
fn bound(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

impl Reader {
    pub(super) async fn query(
        &self,
        text: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StoreError> {
        match ask(&self.connection().await?, text, parameters).await {
            // A read may be done twice: nobody needs to hear that a connection was lost while there is another.
            Err(error) if nature(&error) == Nature::Lost => {
                Ok(ask(&self.connection().await?, text, parameters).await?)
            }
            result => Ok(result?),
        }
    }

    /// The lane of this server; `None` beside no server, where every lane is one's own.
    fn lane(&self) -> Option<i64> {
        self.lane.get().map(|(number, _)| i64::from(*number))
    }

    /// See [`super::super::Reader::due_requests`].
    pub async fn due_requests(&self, now: Time, limit: usize) -> Result<Vec<RequestId>, StoreError> {
        let find = format!(
            "SELECT due.id FROM {LANES} CROSS JOIN LATERAL
                 (SELECT id, due_at FROM request WHERE id % 8 = lane AND due_at <= $3 - courtesy
                  ORDER BY due_at LIMIT $4) AS due
             ORDER BY due.due_at, due.id LIMIT $4"
        );
        let found =
            self.query(&find, &[&self.lane(), &COURTESY_MICROS, &now.micros(), &bound(limit)]).await?;
        found.iter().map(|row| request_id(row, 0)).collect()
    }

    /// See [`super::super::Reader::next_due_request`].
    pub async fn next_due_request(&self) -> Result<Option<Time>, StoreError> {
        let find = format!(
            "SELECT min(courtesy +
                 (SELECT min(due_at) FROM request WHERE id % 8 = lane AND due_at IS NOT NULL))
             FROM {LANES}"
        );
        let found = self.query(&find, &[&self.lane(), &COURTESY_MICROS]).await?;
        found.first().map_or(Ok(None), |row| optional_time(row, 0))
    }

    /// See [`super::super::Reader::due_reports`].
    pub async fn due_reports(
        &self,
        now: Time,
        busy: &Busy,
        limit: usize,
    ) -> Result<Vec<DueReport>, StoreError> {
        let find = format!(
            "SELECT due.request_id, due.seq, due.account_id, due.receiver FROM {LANES} CROSS JOIN LATERAL
                 (SELECT request_id, seq, account_id, receiver, due_at FROM report AS this
                  WHERE request_id % 8 = lane AND state = 'pending' AND due_at <= $3 - courtesy
                    AND receiver <> ALL ($5::text[]) AND account_id <> ALL ($6::bigint[])
                    AND NOT EXISTS (SELECT 1 FROM report AS earlier WHERE earlier.request_id = this.request_id
                                    AND earlier.seq < this.seq AND earlier.state = 'pending')
                  ORDER BY due_at LIMIT $4) AS due
             ORDER BY due.due_at, due.request_id, due.seq LIMIT $4"
        );
        let now = now.micros();
        let parameters: [&(dyn ToSql + Sync); 6] =
            [&self.lane(), &COURTESY_MICROS, &now, &bound(limit), &busy.receivers, &busy.accounts];
        let found = self.query(&find, &parameters).await?;
        let due = |row: &Row| {
            let seq = parsed("report", u8::try_from(get::<i16>(row, 1)?).ok())?;
            let id = ReportId { request: request_id(row, 0)?, seq };
            Ok(DueReport { id, account: AccountId(get(row, 2)?), receiver: get(row, 3)? })
        };
        found.iter().map(due).collect()
    }

    /// See [`super::super::Reader::next_due_report`].
    pub async fn next_due_report(&self, now: Time) -> Result<Option<Time>, StoreError> {
        let find = format!(
            "SELECT min(courtesy +
                 (SELECT min(due_at) FROM report
                  WHERE request_id % 8 = lane AND state = 'pending' AND due_at > $3 - courtesy))
             FROM {LANES}"
        );
        let found = self.query(&find, &[&self.lane(), &COURTESY_MICROS, &now.micros()]).await?;
        found.first().map_or(Ok(None), |row| optional_time(row, 0))
    }

    /// See [`super::super::Reader::tokens_version`].
    pub async fn tokens_version(&self) -> Result<i64, StoreError> {
        let find = "SELECT value::bigint FROM meta WHERE name = 'tokens_version'";
        let found = self.query(find, &[]).await?;
        found.first().map_or(Ok(0), |row| get(row, 0))
    }

    /// See [`super::super::Reader::tokens`].
    pub async fn tokens(&self, account: Option<AccountId>) -> Result<Vec<TokenRow>, StoreError> {
        let find =
            "SELECT token.id, token.account_id, account.mode, token.name, token.sealed, token.digest, token.allowed,
                 token.created_at, token.expires_at, token.revoked_at, token.last_used_at, token.last_used_from
             FROM token JOIN account ON account.id = token.account_id
             WHERE $1::bigint IS NULL OR token.account_id = $1 ORDER BY token.id";
        let found = self.query(find, &[&account.map(|account| account.0)]).await?;
        let mut tokens = Vec::new();
        for row in &found {
            // One damaged row must not keep the others from being read: a revocation would go unnoticed.
            match token(&self.vault, row) {
                Ok(token) => tokens.push(token),
                Err(error) => tracing::error!(%error, "a token cannot be read, and is refused"),
            }
        }
        Ok(tokens)
    }

    /// See [`super::super::Reader::accounts`].
    pub async fn accounts(&self, customer: Option<&str>) -> Result<Vec<AccountRow>, StoreError> {
        let find = "SELECT account.id, customer.name, account.mode, account.balance, account.transfers,
                        account.own_number_sealed, account.single_use, account.created_at
                    FROM account JOIN customer ON customer.id = account.customer_id
                    WHERE $1::text IS NULL OR customer.name = $1 ORDER BY account.id";
        let found = self.query(find, &[&customer]).await?;
        let ids = found.iter().map(|row| get(row, 0)).collect::<Result<Vec<i64>, _>>()?;
        let find = "SELECT account_id, username, verified FROM sender WHERE account_id = ANY($1)
                    ORDER BY account_id, username";
        let mut senders: BTreeMap<i64, Vec<(Username, bool)>> = BTreeMap::new();
        for row in &self.query(find, &[&ids]).await? {
            let username = parsed("sender", Username::parse(get(row, 1)?))?;
            senders.entry(get(row, 0)?).or_default().push((username, flag(row, 2)?));
        }
        found.iter().map(|row| account(&self.vault, row, &mut senders)).collect()
    }

    /// See [`super::super::Reader::booking`].
    pub async fn booking(&self, reference: &str) -> Result<Option<BookingRow>, StoreError> {
        let find = "SELECT transfer.account_id, customer.name, account.mode,
                        CASE WHEN transfer.credit = transfer.account_id THEN transfer.amount ELSE -transfer.amount END
                    FROM transfer JOIN account ON account.id = transfer.account_id
                        JOIN customer ON customer.id = account.customer_id
                    WHERE transfer.reference = $1";
        let found = self.query(find, &[&reference]).await?;
        let Some(row) = found.first() else { return Ok(None) };
        Ok(Some(BookingRow {
            account: AccountId(get(row, 0)?),
            customer: get(row, 1)?,
            mode: parsed("mode", Mode::parse(get(row, 2)?))?,
            amount: Money::from_micros(get(row, 3)?),
        }))
    }

    /// See [`super::super::Reader::request`].
    pub async fn request(&self, request: RequestId) -> Result<Option<RequestRow>, StoreError> {
        let find =
            "SELECT account_id, channel, delivery, timeline, code_expires_at FROM request WHERE id = $1";
        let found = self.query(find, &[&request.number()]).await?;
        let Some(row) = found.first() else { return Ok(None) };
        Ok(Some(RequestRow {
            account: AccountId(get(row, 0)?),
            channel: parsed("channel", ChannelName::parse(get(row, 1)?))?,
            delivery: get::<Option<&str>>(row, 2)?.and_then(Delivery::parse),
            timeline: get(row, 3)?,
            code_expires_at: get::<Option<i64>>(row, 4)?.map(Time::from_micros),
        }))
    }
}

async fn ask(
    connection: &deadpool_postgres::Client,
    text: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, Error> {
    let statement = connection.prepare_cached(text).await?;
    connection.query(&statement, parameters).await
}

fn token(vault: &Vault, row: &Row) -> Result<TokenRow, StoreError> {
    let id: i64 = get(row, 0)?;
    let plain = vault.open(Purpose::Token, id, get(row, 4)?).map_err(damaged)?;
    let text = String::from_utf8(plain.to_vec()).map(Zeroizing::new).map_err(damaged)?;
    let digest: &[u8] = get(row, 5)?;
    Ok(TokenRow {
        id: TokenId(id),
        account: AccountId(get(row, 1)?),
        mode: parsed("mode", Mode::parse(get(row, 2)?))?,
        name: get(row, 3)?,
        text,
        digest: parsed("digest", digest.try_into().ok())?,
        allowed: allowed(get(row, 6)?)?,
        created_at: time(row, 7)?,
        expires_at: optional_time(row, 8)?,
        revoked_at: optional_time(row, 9)?,
        last_used: optional_time(row, 10)?.zip(get(row, 11)?),
    })
}

fn account(
    vault: &Vault,
    row: &Row,
    senders: &mut BTreeMap<i64, Vec<(Username, bool)>>,
) -> Result<AccountRow, StoreError> {
    let id: i64 = get(row, 0)?;
    let own_number: Option<&[u8]> = get(row, 5)?;
    Ok(AccountRow {
        id: AccountId(id),
        customer: get(row, 1)?,
        mode: parsed("mode", Mode::parse(get(row, 2)?))?,
        balance: Money::from_micros(get(row, 3)?),
        transfers: get(row, 4)?,
        own_number: own_number.map(|sealed| open_phone(vault, Purpose::OwnNumber, id, sealed)).transpose()?,
        single_use: flag(row, 6)?,
        created_at: time(row, 7)?,
        senders: senders.remove(&id).unwrap_or_default(),
    })
}
