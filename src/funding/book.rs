//! Booking what providers say of payments. Whatever is said twice is booked once: every movement has a reference of its
//! own, and the payment's row is changed after the movement, so that a crash in between is made good by the next time it
//! is said.

use crate::app::App;
use crate::engine::{Chore, Failure};
use crate::store::console::audit_log::Entry;
use crate::store::console::payments::{self, Collector, PaymentRow, PaymentState};
use crate::store::{Change, StoreError};
use chappe_core::ledger::Kind;
use chappe_core::{Command, Money, Outcome, Rejection};

/// How often a refund is looked at anew because another server was first, or the last one did not come to its end.
const ROUNDS_MAX: usize = 8;

/// What came of what a provider said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Booked {
    /// It is booked, now or before.
    Done,
    /// No payment of ours is called so.
    Unknown,
    /// Something else was paid than was asked for: nothing was booked, and the log says so.
    Mismatch,
    /// It is about something that has not happened yet: to be told again.
    Early,
}

/// Why nothing could be booked. It is to be told again.
#[derive(Debug, thiserror::Error)]
pub enum NotBooked {
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine does not take it.
    #[error(transparent)]
    Engine(#[from] Failure),
}

/// Something that was paid.
#[derive(Clone, Copy, Debug)]
pub struct Receipt<'a> {
    /// Who collected it.
    pub collector: Collector,
    /// What we call the payment.
    pub payment: &'a str,
    /// What the collector calls it.
    pub charge: &'a str,
    /// How much was paid, in which currency.
    pub price: &'a str,
    /// Who paid, as the collector knows them.
    pub payer: &'a str,
}

/// Whether a payment may still be paid, at this price.
pub async fn is_payable(
    app: &App,
    collector: Collector,
    payment: &str,
    price: &str,
) -> Result<bool, NotBooked> {
    let found = app.pages.payment(payment).await?;
    Ok(found.is_some_and(|row| {
        let young = app.clock.now().since(row.created_at) <= super::LINK_LIFE;
        row.collector == collector && row.state == PaymentState::Open && row.price == price && young
    }))
}

/// Books what was paid.
pub async fn paid(app: &App, receipt: &Receipt<'_>) -> Result<Booked, NotBooked> {
    let Receipt { collector, payment, charge, price, payer } = *receipt;
    let Some(row) = app.pages.payment(payment).await?.filter(|row| row.collector == collector) else {
        tracing::warn!(
            collector = collector.as_str(),
            charge,
            "somebody paid for nothing that is known here"
        );
        return Ok(Booked::Unknown);
    };
    if row.price != price {
        tracing::error!(
            payment,
            charge,
            asked = row.price,
            paid = price,
            "a payment is not what was asked for"
        );
        let detail = format!("{price} instead of {} ({charge}): nothing was booked", row.price);
        note(app, &row, Change::default(), "payment.mismatch", detail).await?;
        return Ok(Booked::Mismatch);
    }
    let row = twice(app, row, charge).await?;
    let command = Command::Credit {
        now: app.clock.now(),
        account: row.account,
        kind: Kind::Deposit,
        amount: row.amount,
        reference: Some(format!("{}:{charge}", collector.as_str())),
        reason: format!("paid through {}", called(collector)),
    };
    carry_out(app, command).await?.map_err(Failure::Rejected)?;
    let detail = format!("{} for {} ({charge})", row.amount, super::shown(price));
    note(app, &row, payments::pay(&row.id, charge, payer, app.clock.now()), "payment.paid", detail).await?;
    Ok(Booked::Done)
}

/// Two people may be asked to pay for one link at the same moment. What the second one paid is a payment of its own.
async fn twice(app: &App, row: PaymentRow, charge: &str) -> Result<PaymentRow, NotBooked> {
    let first = row.charge.as_deref().is_none_or(|first| first == charge);
    if first {
        return Ok(row);
    }
    let another = PaymentRow {
        id: format!("{}-{charge}", row.id),
        state: PaymentState::Open,
        charge: None,
        payer: String::new(),
        refunded: Money::ZERO,
        ..row
    };
    app.engine.chore(Chore::Change(payments::begin(&another))).await?;
    Ok(another)
}

/// Notes that nothing will come of a payment.
pub async fn failed(app: &App, payment: &str) -> Result<Booked, NotBooked> {
    let Some(row) = app.pages.payment(payment).await? else { return Ok(Booked::Unknown) };
    let change = payments::fail(&row.id, app.clock.now());
    note(app, &row, change, "payment.fail", super::shown(&row.price)).await?;
    Ok(Booked::Done)
}

/// Takes from the account what has gone back to the payer: `units` of the price altogether.
pub async fn gone_back(app: &App, payment: &str, units: i64) -> Result<Booked, NotBooked> {
    for _ in 0..ROUNDS_MAX {
        let Some(row) = app.pages.payment(payment).await? else { return Ok(Booked::Unknown) };
        if !matches!(row.state, PaymentState::Paid | PaymentState::Refunded) {
            return Ok(Booked::Early);
        }
        let target = share(&row, units);
        let Some(due) = target.checked_sub(row.refunded).filter(|due| due.is_positive()) else {
            return Ok(Booked::Done);
        };
        // Whoever sees the same state takes the same step, which is booked once.
        let reference = format!("{}:refund:{}:{}", row.collector.as_str(), row.id, row.refunded.micros());
        let taken = match take(app, &row, due, &reference).await? {
            Taken::Now(taken) => taken,
            Taken::Before(taken) => {
                let to = row.refunded.checked_add(taken).unwrap_or(target).min(row.amount);
                let change = payments::give_back(&row.id, row.refunded, to, app.clock.now());
                note(app, &row, change, "payment.refund", taken.to_string()).await?;
                continue;
            }
        };
        let missing = due.checked_sub(taken).unwrap_or(Money::ZERO);
        let mut detail = format!("{taken} of {}", row.amount);
        if missing.is_positive() {
            tracing::error!(payment, %missing, "money went back to a payer that the account has spent already");
            detail = format!("{detail}; {missing} was spent already");
        }
        let change = payments::give_back(&row.id, row.refunded, target, app.clock.now());
        note(app, &row, change, "payment.refund", detail).await?;
    }
    Err(Failure::Overloaded.into())
}

/// Takes from the account what it got for a payment that the collector calls so, all of which has gone back.
pub async fn all_gone_back(app: &App, collector: Collector, charge: &str) -> Result<Booked, NotBooked> {
    match app.pages.payment_of(collector, charge).await? {
        Some(row) => gone_back(app, &row.id, i64::MAX).await,
        None => Ok(Booked::Unknown),
    }
}

/// What was taken from an account.
enum Taken {
    /// So much, by this call.
    Now(Money),
    /// So much, by an earlier one.
    Before(Money),
}

/// Takes what is due, or as much of it as there is.
async fn take(app: &App, row: &PaymentRow, due: Money, reference: &str) -> Result<Taken, NotBooked> {
    let mut amount = due;
    for _ in 0..ROUNDS_MAX {
        let command = Command::Credit {
            now: app.clock.now(),
            account: row.account,
            kind: Kind::Adjustment,
            amount: Money::from_micros(-amount.micros()),
            reference: Some(reference.to_owned()),
            reason: format!("refunded by {}", called(row.collector)),
        };
        match carry_out(app, command).await? {
            Ok(Outcome::AlreadyCredited) => {
                let booked = app.pages.booking(reference).await?.map_or(0, |booked| booked.amount.micros());
                return Ok(Taken::Before(Money::from_micros(-booked)));
            }
            Ok(_) => return Ok(Taken::Now(amount)),
            Err(Rejection::BalanceNotEnough) => {
                amount = app.pages.balance(row.account).await?.min(due);
                if !amount.is_positive() {
                    return Ok(Taken::Now(Money::ZERO));
                }
            }
            Err(rejection) => return Err(Failure::Rejected(rejection).into()),
        }
    }
    Err(Failure::Overloaded.into())
}

/// Which part of the amount belongs to so much of the price.
fn share(row: &PaymentRow, units: i64) -> Money {
    let price = row.price.split(' ').next().and_then(|units| units.parse::<i64>().ok()).unwrap_or(0);
    if units >= price {
        return row.amount;
    }
    let part = i128::from(row.amount.micros()) * i128::from(units.max(0)) / i128::from(price.max(1));
    Money::from_micros(i64::try_from(part).unwrap_or(0)).min(row.amount)
}

/// Whom the audit log names.
fn called(collector: Collector) -> &'static str {
    match collector {
        Collector::Stripe => "Stripe",
        Collector::Stars => "Telegram Stars",
    }
}

async fn carry_out(app: &App, command: Command) -> Result<Result<Outcome, Rejection>, NotBooked> {
    let judged = app.engine.apply(vec![command]).await?.pop();
    Ok(judged.ok_or(Failure::Internal)?)
}

/// Changes a payment's row, and notes why.
async fn note(
    app: &App,
    row: &PaymentRow,
    change: Change,
    action: &str,
    detail: String,
) -> Result<(), NotBooked> {
    let entry = Entry {
        at: app.clock.now(),
        customer: app.pages.customer_of(row.account).await?,
        person: None,
        who: called(row.collector).to_owned(),
        action: action.to_owned(),
        detail,
        address: String::new(),
    };
    app.engine.chore(Chore::Change(change.noted(&entry))).await?;
    app.tell_pages(row.account);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chappe_core::{AccountId, Time};

    #[test]
    fn what_went_back_is_that_part_of_what_was_booked() {
        let row = PaymentRow {
            id: "p".to_owned(),
            collector: Collector::Stripe,
            account: AccountId(100),
            amount: Money::from_micros(10_000_000),
            price: "1250 eur".to_owned(),
            link: String::new(),
            state: PaymentState::Paid,
            charge: None,
            payer: String::new(),
            refunded: Money::ZERO,
            created_at: Time::from_secs(0),
        };
        for (units, micros) in
            [(0, 0), (-5, 0), (1, 8_000), (625, 5_000_000), (1_249, 9_992_000), (1_250, 10_000_000)]
        {
            assert_eq!(share(&row, units).micros(), micros, "{units}");
        }
        assert_eq!(share(&row, i64::MAX), row.amount);
        assert_eq!(share(&PaymentRow { price: "odd".to_owned(), ..row.clone() }, 1), row.amount);
    }
}
