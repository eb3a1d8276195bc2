//! What moved an account's balance. Its transfers are numbered without gaps, so a page of them begins at a number.

use super::people::CustomerId;
use crate::store::columns::parsed;
use crate::store::statement::{Columns, Row, Statement};
use crate::store::{Reader, StoreError};
use chappe_core::ledger::Kind;
use chappe_core::{AccountId, Money, RequestId, Time};
use std::time::Duration;

/// By how much the clocks of servers may differ at most, so that transfers stand in another order than their times.
const SKEW_MAX: Duration = Duration::from_secs(3600);

/// A movement of an account's money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovementRow {
    /// Its number among those of the account.
    pub seq: i64,
    /// Why.
    pub kind: Kind,
    /// The request whose fee it is, or was.
    pub request: Option<RequestId>,
    /// What made it happen only once.
    pub reference: Option<String>,
    /// Why, in words.
    pub reason: String,
    /// How much; below zero, it was taken away.
    pub amount: Money,
    /// The balance after it.
    pub balance: Money,
    /// When.
    pub at: Time,
}

/// Which movements are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MovementFilter {
    /// Those of this kind.
    pub kind: Option<Kind>,
    /// Those from this moment on.
    pub from: Option<Time>,
    /// Those before this one.
    pub to: Option<Time>,
}

/// From where on a list of movements goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// With those before this number, the latest first.
    Before(i64),
    /// With those after this number, the oldest first.
    After(i64),
}

/// What moved in a time, as sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turnover {
    /// Fees charged for requests of those days.
    pub charged: Money,
    /// Of them given back.
    pub refunded: Money,
}

/// A customer whose balance is below what it wants to be warned at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LowBalance {
    /// The customer.
    pub customer: CustomerId,
    /// Its name.
    pub name: String,
    /// What its live account has.
    pub balance: Money,
    /// Where it wants to be warned.
    pub below: Money,
}

/// What finds movements of a kind of which there are few, in the words of the index that holds them alone: the kind stands
/// in the text, so that a database sees at once whether it does.
fn rare(kind: Kind) -> Option<String> {
    (kind != Kind::Charge).then(|| format!("kind = '{}' AND kind <> 'charge'", kind.as_str()))
}

/// The columns that [`movement`] reads, in its order.
const MOVEMENT: &str = "seq, kind, request_id, reference, reason, debit, amount, balance_after, at";

fn movement(account: AccountId, row: Row) -> Result<MovementRow, StoreError> {
    let mut columns = Columns::of(row);
    let seq = columns.number()?;
    let kind = parsed("kind", Kind::parse(&columns.text()?))?;
    let request = columns.optional_number()?;
    let request = request.map(|number| parsed("request id", RequestId::from_number(number))).transpose()?;
    let (reference, reason) = (columns.optional_text()?, columns.optional_text()?.unwrap_or_default());
    let paid = columns.number()? == account.0;
    let amount = columns.number()?;
    Ok(MovementRow {
        seq,
        kind,
        request,
        reference,
        reason,
        amount: Money::from_micros(if paid { -amount } else { amount }),
        balance: columns.money()?,
        at: columns.time()?,
    })
}

impl Reader {
    /// Movements of an account from one side of a number on.
    pub async fn movements(
        &self,
        account: AccountId,
        filter: &MovementFilter,
        side: Side,
        limit: i64,
    ) -> Result<Vec<MovementRow>, StoreError> {
        let MovementFilter { kind, from, to } = *filter;
        let first = match from {
            Some(from) => self.first_movement(account, from - SKEW_MAX).await?,
            None => 0,
        };
        let last = match to {
            Some(to) => self.first_movement(account, to + SKEW_MAX).await?,
            None => i64::MAX,
        };
        let (first, last, order) = match side {
            Side::Before(seq) => (first, last.min(seq), "DESC"),
            Side::After(seq) => (first.max(seq.saturating_add(1)), last, "ASC"),
        };
        let find = match kind.and_then(rare) {
            // First their numbers alone, which an index of what is rare holds: SQLite takes it only if it holds all that
            // is asked for.
            Some(rare) => format!(
                "SELECT {MOVEMENT} FROM (SELECT seq AS found FROM transfer
                                         WHERE account_id = $1 AND seq >= $2 AND seq < $3 AND at >= $4 AND at < $5 AND {rare}
                                         ORDER BY seq {order} LIMIT $6) AS rare
                 JOIN transfer ON account_id = $1 AND seq = found ORDER BY seq {order}"
            ),
            None => {
                let (of_account, before) = self.keyed("seq", order);
                let of_kind = if kind.is_some() { " AND kind = 'charge'" } else { "" };
                format!(
                    "SELECT {MOVEMENT} FROM transfer WHERE {of_account} AND at >= $4 AND at < $5{of_kind}
                     ORDER BY {before}seq {order} LIMIT $6"
                )
            }
        };
        let find = Statement::new(find)
            .with(account.0)
            .with(first)
            .with(last)
            .with(from.map_or(i64::MIN, Time::micros))
            .with(to.map_or(i64::MAX, Time::micros))
            .with(limit);
        self.rows(&find).await?.into_iter().map(|row| movement(account, row)).collect()
    }

    /// The number of the first movement from a moment on, by halving: their times go up with their numbers.
    async fn first_movement(&self, account: AccountId, from: Time) -> Result<i64, StoreError> {
        let find = Statement::new(
            "WITH RECURSIVE half (low, high) AS (
                 SELECT CAST(1 AS bigint), transfers + 1 FROM account WHERE id = $1
                 UNION ALL
                 SELECT CASE WHEN later.at < $2 THEN later.seq + 1 ELSE half.low END,
                        CASE WHEN later.at < $2 THEN half.high ELSE later.seq END
                 FROM half JOIN transfer AS later ON later.account_id = $1 AND later.seq = (half.low + half.high) / 2
                 WHERE half.low < half.high)
             SELECT low FROM half WHERE low >= high",
        );
        let found = self.rows(&find.with(account.0).with(from)).await?.pop();
        found.map_or(Ok(0), |row| Columns::of(row).number())
    }

    /// What was charged and given back for requests of these days and since, by the day's rows.
    pub async fn turnover(&self, account: AccountId, since_day: i32) -> Result<Turnover, StoreError> {
        let find = Statement::new(
            "SELECT CAST(coalesce(sum(charged), 0) AS bigint), CAST(coalesce(sum(refunded), 0) AS bigint) FROM day
             WHERE account_id = $1 AND day >= $2",
        );
        let found = self.rows(&find.with(account.0).with(i64::from(since_day))).await?.pop();
        let Some(row) = found else { return Ok(Turnover::default()) };
        let mut columns = Columns::of(row);
        Ok(Turnover { charged: columns.money()?, refunded: columns.money()? })
    }

    /// What was paid in since a moment.
    pub async fn deposits(&self, account: AccountId, since: Time) -> Result<Money, StoreError> {
        let find = Statement::new(
            "SELECT CAST(coalesce(sum(amount), 0) AS bigint)
             FROM (SELECT seq AS found FROM transfer
                   WHERE account_id = $1 AND kind = 'deposit' AND kind <> 'charge' AND at >= $2) AS rare
             JOIN transfer ON account_id = $1 AND seq = found",
        );
        let found = self.rows(&find.with(account.0).with(since)).await?.pop();
        found.map_or(Ok(Money::ZERO), |row| Columns::of(row).money())
    }

    /// The customers whose balance is below what they want to be warned at.
    pub async fn low_balances(&self) -> Result<Vec<LowBalance>, StoreError> {
        let find = Statement::new(
            "SELECT customer.id, customer.name, account.balance, customer.low_balance FROM customer
             JOIN account ON account.customer_id = customer.id AND account.mode = 'live'
             WHERE customer.low_balance IS NOT NULL AND account.balance < customer.low_balance ORDER BY customer.id",
        );
        let low = |row: Row| {
            let mut columns = Columns::of(row);
            Ok(LowBalance {
                customer: CustomerId(columns.number()?),
                name: columns.text()?,
                balance: columns.money()?,
                below: columns.money()?,
            })
        };
        self.rows(&find).await?.into_iter().map(low).collect()
    }
}
