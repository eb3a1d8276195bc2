//! Sender channels of a customer. Each is on both of its accounts, so that a test is like the real thing.

use super::people::MembershipRow;
use crate::store::columns::parsed;
use crate::store::statement::{Change, Columns, Row, Statement};
use crate::store::{Reader, StoreError};
use chappe_core::text::Username;
use chappe_core::{AccountId, Time};

/// How many channels a customer may register.
pub const SENDERS_MAX: i64 = 20;

/// A sender channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderRow {
    /// Its username.
    pub username: Username,
    /// Whether the operator lets it send to everybody.
    pub verified: bool,
    /// When its owner proved that it is theirs.
    pub proven_at: Option<Time>,
    /// When it was registered.
    pub created_at: Time,
}

impl Reader {
    /// The sender channels of an account, by name.
    pub async fn senders(&self, account: AccountId) -> Result<Vec<SenderRow>, StoreError> {
        let find = Statement::new(
            "SELECT username, verified, proven_at, created_at FROM sender WHERE account_id = $1 ORDER BY username",
        );
        let sender = |row: Row| {
            let mut columns = Columns::of(row);
            Ok(SenderRow {
                username: parsed("username", Username::parse(&columns.text()?))?,
                verified: columns.flag()?,
                proven_at: columns.optional_time()?,
                created_at: columns.time()?,
            })
        };
        self.rows(&find.with(account.0)).await?.into_iter().map(sender).collect()
    }
}

/// Registers a channel, of which nothing is known yet. Nothing is done if it is registered, or as many as may be are.
pub fn register(customer: &MembershipRow, username: &Username, now: Time) -> Change {
    let put = "INSERT INTO sender (account_id, username, verified, created_at)
               SELECT id, CAST($2 AS TEXT), 0, CAST($3 AS BIGINT) FROM account
               WHERE id = $1 AND (SELECT count(*) FROM sender WHERE account_id = $1) < $4
               ON CONFLICT (account_id, username) DO NOTHING";
    let put = |account: AccountId| {
        Statement::new(put).with(account.0).with(username.as_str()).with(now).with(SENDERS_MAX)
    };
    // What the command line did to one account alone does not stand in the way of the other.
    Change::default().must(put(customer.live)).and(put(customer.test))
}

/// Notes that a channel's owner proved that it is theirs.
pub fn prove(customer: &MembershipRow, username: &Username, now: Time) -> Change {
    let update = "UPDATE sender SET proven_at = $4 WHERE account_id IN ($1, $2) AND username = $3 AND proven_at IS NULL";
    Change::default().must(of_both(update, customer, username).with(now))
}

/// Takes a channel away.
pub fn remove(customer: &MembershipRow, username: &Username) -> Change {
    let delete = "DELETE FROM sender WHERE account_id IN ($1, $2) AND username = $3";
    Change::default().must(of_both(delete, customer, username))
}

fn of_both(text: &str, customer: &MembershipRow, username: &Username) -> Statement {
    Statement::new(text).with(customer.live.0).with(customer.test.0).with(username.as_str())
}
