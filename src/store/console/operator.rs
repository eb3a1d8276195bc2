//! What those who run the gateway see of all customers.

use super::people::CustomerId;
use crate::store::statement::{Columns, Row, Statement};
use crate::store::{Reader, StoreError};
use chappe_core::{AccountId, Money, Time};

/// How many messages that wait are counted at most.
const WAITING_MAX: i64 = 10_000;

/// A customer, in a list of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerLine {
    /// Its id.
    pub id: CustomerId,
    /// Its name.
    pub name: String,
    /// Its city, as it says.
    pub city: String,
    /// Its country, as it says.
    pub country: String,
    /// What its live account has.
    pub balance: Money,
    /// Below which balance its people are warned.
    pub low_balance: Option<Money>,
    /// How many live messages were sent on the days asked for.
    pub sent: i64,
    /// Of them verified.
    pub verified: i64,
    /// When a live token was last used.
    pub seen_at: Option<Time>,
}

/// What all customers together come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HouseTotals {
    /// How many customers there are.
    pub customers: i64,
    /// What their live accounts have together.
    pub balance: Money,
    /// How many live messages were sent on the days asked for.
    pub sent: i64,
    /// What they were charged, less what was given back.
    pub earned: Money,
}

/// A sender channel of a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderLine {
    /// The customer.
    pub customer: CustomerId,
    /// Its name.
    pub name: String,
    /// The channel's username.
    pub username: String,
    /// Whether it is verified.
    pub verified: bool,
    /// When its owner proved that it is theirs.
    pub proven_at: Option<Time>,
    /// When it was registered.
    pub created_at: Time,
}

/// What a channel made of its messages on the days asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelSums {
    /// The channel.
    pub channel: String,
    /// How many messages it has, or had.
    pub sent: i64,
    /// Of them delivered.
    pub delivered: i64,
}

impl Reader {
    /// Customers, the newest first: those whose name holds `text`, or all. `before` is the id of the last one of the page
    /// before this one.
    pub async fn customers(
        &self,
        text: &str,
        before: Option<CustomerId>,
        since_day: i32,
        limit: i64,
    ) -> Result<Vec<CustomerLine>, StoreError> {
        let find = "SELECT customer.id, name, city, country, balance, low_balance,
                 CAST(coalesce((SELECT sum(sent) FROM day WHERE account_id = account.id AND day >= $3), 0) AS bigint),
                 CAST(coalesce((SELECT sum(verified) FROM day WHERE account_id = account.id AND day >= $3), 0) AS bigint),
                 (SELECT max(last_used_at) FROM token WHERE account_id = account.id)
             FROM customer JOIN account ON account.customer_id = customer.id AND account.mode = 'live'
             WHERE customer.id < $1 AND lower(name) LIKE lower($2) ESCAPE '!' ORDER BY customer.id DESC LIMIT $4";
        let find = Statement::new(find)
            .with(before.map_or(i64::MAX, |before| before.0))
            .with(pattern(text))
            .with(i64::from(since_day))
            .with(limit);
        self.rows(&find).await?.into_iter().map(customer_line).collect()
    }

    /// What all customers together come to.
    pub async fn house_totals(&self, since_day: i32) -> Result<HouseTotals, StoreError> {
        let find = Statement::new(
            "SELECT (SELECT count(*) FROM account WHERE mode = 'live' AND customer_id IS NOT NULL),
                 (SELECT CAST(coalesce(sum(balance), 0) AS bigint) FROM account
                  WHERE mode = 'live' AND customer_id IS NOT NULL),
                 CAST(coalesce(sum(sent), 0) AS bigint), CAST(coalesce(sum(charged - refunded), 0) AS bigint)
             FROM account JOIN day ON day.account_id = account.id AND day.day >= $1
             WHERE account.mode = 'live' AND customer_id IS NOT NULL",
        );
        let Some(row) = self.rows(&find.with(i64::from(since_day))).await?.pop() else {
            return Ok(HouseTotals::default());
        };
        let mut columns = Columns::of(row);
        Ok(HouseTotals {
            customers: columns.number()?,
            balance: columns.money()?,
            sent: columns.number()?,
            earned: columns.money()?,
        })
    }

    /// The live account of a customer and its test twin.
    pub async fn accounts_of(
        &self,
        customer: CustomerId,
    ) -> Result<Option<(AccountId, AccountId)>, StoreError> {
        let find = Statement::new(
            "SELECT live.id, twin.id FROM account AS live
             JOIN account AS twin ON twin.customer_id = live.customer_id AND twin.mode = 'test'
             WHERE live.customer_id = $1 AND live.mode = 'live'",
        );
        let accounts = |row: Row| {
            let mut columns = Columns::of(row);
            Ok((AccountId(columns.number()?), AccountId(columns.number()?)))
        };
        self.rows(&find.with(customer.0)).await?.pop().map(accounts).transpose()
    }

    /// The senders of all live accounts or of one customer's, those that wait for a word first.
    pub async fn sender_lines(
        &self,
        customer: Option<CustomerId>,
        limit: i64,
    ) -> Result<Vec<SenderLine>, StoreError> {
        let find = Statement::new(
            "SELECT customer.id, customer.name, sender.username, sender.verified, sender.proven_at, sender.created_at
             FROM sender JOIN account ON account.id = sender.account_id AND account.mode = 'live'
             JOIN customer ON customer.id = account.customer_id
             WHERE customer.id >= $1 AND customer.id <= $2
             ORDER BY sender.verified, sender.created_at, sender.username LIMIT $3",
        );
        let (first, last) = customer.map_or((0, i64::MAX), |customer| (customer.0, customer.0));
        let line = |row: Row| {
            let mut columns = Columns::of(row);
            Ok(SenderLine {
                customer: CustomerId(columns.number()?),
                name: columns.text()?,
                username: columns.text()?,
                verified: columns.flag()?,
                proven_at: columns.optional_time()?,
                created_at: columns.time()?,
            })
        };
        self.rows(&find.with(first).with(last).with(limit)).await?.into_iter().map(line).collect()
    }

    /// What each channel made of live messages since a day.
    pub async fn channel_sums(&self, since_day: i32) -> Result<Vec<ChannelSums>, StoreError> {
        let find = Statement::new(
            "SELECT channel, CAST(sum(sent) AS bigint), CAST(sum(delivered) AS bigint)
             FROM account JOIN day ON day.account_id = account.id AND day.day >= $1
             WHERE account.mode = 'live' GROUP BY channel ORDER BY channel",
        );
        let sums = |row: Row| {
            let mut columns = Columns::of(row);
            Ok(ChannelSums {
                channel: columns.text()?,
                sent: columns.number()?,
                delivered: columns.number()?,
            })
        };
        self.rows(&find.with(i64::from(since_day))).await?.into_iter().map(sums).collect()
    }

    /// How many messages of each channel wait for their hand-over, of the longest due ones.
    pub async fn waiting(&self, now: Time) -> Result<Vec<(String, i64)>, StoreError> {
        let find = Statement::new(
            "SELECT channel, count(*) FROM (SELECT channel FROM request WHERE due_at <= $1 AND progress = 'queued'
                                            ORDER BY due_at LIMIT $2) AS due GROUP BY channel ORDER BY channel",
        );
        let line = |row: Row| {
            let mut columns = Columns::of(row);
            Ok((columns.text()?, columns.number()?))
        };
        self.rows(&find.with(now).with(WAITING_MAX)).await?.into_iter().map(line).collect()
    }
}

fn customer_line(row: Row) -> Result<CustomerLine, StoreError> {
    let mut columns = Columns::of(row);
    Ok(CustomerLine {
        id: CustomerId(columns.number()?),
        name: columns.text()?,
        city: columns.text()?,
        country: columns.text()?,
        balance: columns.money()?,
        low_balance: columns.optional_number()?.map(Money::from_micros),
        sent: columns.number()?,
        verified: columns.number()?,
        seen_at: columns.optional_time()?,
    })
}

/// What LIKE finds a text with, wherever it stands.
fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for char in text.chars() {
        if matches!(char, '!' | '%' | '_') {
            pattern.push('!');
        }
        pattern.push(char);
    }
    pattern.push('%');
    pattern
}
