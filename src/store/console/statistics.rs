//! What pages sum up: the rows of [`chappe_core::statistics`], by day, by country and by channel.

use crate::store::statement::{Columns, Row, Statement};
use crate::store::{Reader, StoreError};
use chappe_core::statistics::Counters;
use chappe_core::{AccountId, Money};

/// What an account's requests add up to. All three sums are of one moment, so that they agree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// By day, counted from 1970-01-01 in UTC, the earliest first; days on which nothing happened are left out.
    pub days: Vec<(i32, Counters)>,
    /// By country, the most sent first.
    pub countries: Vec<(String, Counters)>,
    /// By channel, the most sent first.
    pub channels: Vec<(String, Counters)>,
}

/// The sums of the counters, in the order of [`Counters::columns`].
const SUMS: &str = "CAST(sum(checked) AS bigint), CAST(sum(sent) AS bigint), CAST(sum(delivered) AS bigint), \
                    CAST(sum(read) AS bigint), CAST(sum(expired) AS bigint), CAST(sum(revoked) AS bigint), \
                    CAST(sum(verified) AS bigint), CAST(sum(charged) AS bigint), CAST(sum(refunded) AS bigint)";

/// Reads what an account's requests add up to: of each day from `since` to `to`, and of each country and channel from `from`
/// to `to`. All days are included.
pub fn sums(account: AccountId, since: i32, from: i32, to: i32) -> Statement {
    let find = format!(
        "SELECT 0, day, '', {SUMS} FROM day WHERE account_id = $1 AND day >= $2 AND day <= $4 GROUP BY day
         UNION ALL
         SELECT 1, 0, country, {SUMS} FROM day WHERE account_id = $1 AND day >= $3 AND day <= $4 GROUP BY country
         UNION ALL
         SELECT 2, 0, channel, {SUMS} FROM day WHERE account_id = $1 AND day >= $3 AND day <= $4 GROUP BY channel"
    );
    Statement::new(find).with(account.0).with(i64::from(since)).with(i64::from(from)).with(i64::from(to))
}

impl Reader {
    /// What an account's requests add up to: see [`sums`].
    pub async fn sums(&self, account: AccountId, since: i32, from: i32, to: i32) -> Result<Sums, StoreError> {
        let mut found = Sums::default();
        for row in self.rows(&sums(account, since, from, to)).await? {
            let mut columns = Columns::of(row);
            let (kind, day, name) = (columns.number()?, columns.number()?, columns.text()?);
            let counters = counters(&mut columns)?;
            match kind {
                0 => found.days.push((i32::try_from(day).unwrap_or(i32::MAX), counters)),
                1 => found.countries.push((name, counters)),
                _ => found.channels.push((name, counters)),
            }
        }
        found.days.sort_by_key(|(day, _)| *day);
        for part in [&mut found.countries, &mut found.channels] {
            part.sort_by(|one, other| other.1.sent.cmp(&one.1.sent).then_with(|| one.0.cmp(&other.0)));
        }
        Ok(found)
    }

    /// Whether an account has ever asked for anything.
    pub async fn has_statistics(&self, account: AccountId) -> Result<bool, StoreError> {
        let find = Statement::new("SELECT account_id FROM day WHERE account_id = $1 LIMIT 1").with(account.0);
        let found: Vec<Row> = self.rows(&find).await?;
        Ok(!found.is_empty())
    }
}

fn counters(columns: &mut Columns) -> Result<Counters, StoreError> {
    Ok(Counters {
        checked: columns.number()?,
        sent: columns.number()?,
        delivered: columns.number()?,
        read: columns.number()?,
        expired: columns.number()?,
        revoked: columns.number()?,
        verified: columns.number()?,
        charged: Money::from_micros(columns.number()?),
        refunded: Money::from_micros(columns.number()?),
    })
}
