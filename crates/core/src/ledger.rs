//! The ledger: every movement of money, as one append-only row that names both of its sides.

use crate::account::{Account, Mode};
use crate::command::Rejection;
use crate::ids::{AccountId, RequestId};
use crate::money::Money;
use crate::planted::{self, Bug};
use crate::time::Time;

/// Why money moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The fee of a request: from the account to the house.
    Charge,
    /// The fee of a request whose message did not arrive in time: from the house back to the account.
    Refund,
    /// Money paid in: from outside to the account.
    Deposit,
    /// A correction by the operator, in either direction.
    Adjustment,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 4] = [Kind::Charge, Kind::Refund, Kind::Deposit, Kind::Adjustment];

    /// The kind with this name.
    pub fn parse(text: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// The name in rows and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Charge => "charge",
            Kind::Refund => "refund",
            Kind::Deposit => "deposit",
            Kind::Adjustment => "adjustment",
        }
    }
}

/// The house's own sides of the ledger, apart for real and for play money. They hold no running balance: it would be a
/// row that every command of every account fights over, and the sum of the transfers says the same.
pub fn house(kind: Kind, mode: Mode) -> AccountId {
    AccountId(match (kind, mode) {
        (Kind::Charge | Kind::Refund, Mode::Live) => 1,
        (Kind::Deposit | Kind::Adjustment, Mode::Live) => 2,
        (Kind::Charge | Kind::Refund, Mode::Test) => 3,
        (Kind::Deposit | Kind::Adjustment, Mode::Test) => 4,
    })
}

/// What a transfer was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A request's fee or its refund. `(request, kind)` is unique: a second charge or refund cannot exist.
    Request(RequestId),
    /// A payment or an operator's decision. The reference, where there is one, is unique.
    External {
        /// The payment provider's or the operator's own reference.
        reference: Option<String>,
        /// The reason, in words.
        reason: String,
    },
}

/// One movement of money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The customer's account that it touches.
    pub account: AccountId,
    /// Its number among that account's transfers, counted from 1 without gaps.
    pub seq: i64,
    /// The account that pays.
    pub debit: AccountId,
    /// The account that receives.
    pub credit: AccountId,
    /// How much, above zero.
    pub amount: Money,
    /// Why.
    pub kind: Kind,
    /// What for.
    pub cause: Cause,
    /// The customer's balance after it.
    pub balance_after: Money,
    /// When.
    pub at: Time,
}

/// Takes `amount` from the account. Nothing changes if it cannot be afforded.
pub fn debit(
    account: &mut Account,
    kind: Kind,
    amount: Money,
    cause: Cause,
    at: Time,
) -> Result<Transfer, Rejection> {
    let floor =
        if planted::is(Bug::OverdrawnByOne) { Money::from_micros(-amount.micros()) } else { Money::ZERO };
    let balance = account.balance.checked_sub(amount).filter(|balance| *balance >= floor);
    let balance = balance.ok_or(Rejection::BalanceNotEnough)?;
    let (debit, credit) = (account.id, house(kind, account.mode));
    Ok(book(account, Transfer { debit, credit, ..transfer(account.id, kind, amount, cause, balance, at) }))
}

/// Gives `amount` to the account.
pub fn credit(
    account: &mut Account,
    kind: Kind,
    amount: Money,
    cause: Cause,
    at: Time,
) -> Result<Transfer, Rejection> {
    // Nobody pays in more than half of what a number holds, so that a refund always finds room.
    let most = Money::from_micros(if kind == Kind::Refund { i64::MAX } else { i64::MAX / 2 });
    let balance = account.balance.checked_add(amount).filter(|balance| *balance <= most);
    let balance = balance.ok_or(Rejection::AmountInvalid)?;
    let (debit, credit) = (house(kind, account.mode), account.id);
    Ok(book(account, Transfer { debit, credit, ..transfer(account.id, kind, amount, cause, balance, at) }))
}

fn transfer(
    account: AccountId,
    kind: Kind,
    amount: Money,
    cause: Cause,
    balance_after: Money,
    at: Time,
) -> Transfer {
    Transfer { account, seq: 0, debit: account, credit: account, amount, kind, cause, balance_after, at }
}

fn book(account: &mut Account, transfer: Transfer) -> Transfer {
    account.transfers += 1;
    account.balance = transfer.balance_after;
    Transfer { seq: account.transfers, ..transfer }
}
