//! Moving money: fees, refunds, and what comes from outside.

use crate::book::Book;
use crate::command::{Outcome, Rejection};
use crate::ids::{AccountId, RequestId};
use crate::ledger::{self, Cause, Kind};
use crate::money::Money;
use crate::request::Request;
use crate::time::Time;
use crate::timeline::What;

pub(super) fn charge(book: &mut Book, request: &mut Request, now: Time) -> Result<(), Rejection> {
    if request.cost.is_positive() {
        let cause = Cause::Request(request.id);
        let account = book.change_account(request.account).ok_or(Rejection::AccessTokenInvalid)?;
        let transfer = ledger::debit(account, Kind::Charge, request.cost, cause, now)?;
        book.add_transfer(transfer);
        request.log(now, What::Charged(request.cost));
    }
    Ok(())
}

pub(super) fn refund(book: &mut Book, id: RequestId, now: Time) {
    let Some(request) =
        book.requests.get(&id).filter(|request| !request.refunded && request.cost.is_positive())
    else {
        return;
    };
    let (account, cost) = (request.account, request.cost);
    let Some(account) = book.change_account(account) else { return };
    // Cannot overflow: the ledger keeps room for refunds.
    let Ok(transfer) = ledger::credit(account, Kind::Refund, cost, Cause::Request(id), now) else { return };
    book.add_transfer(transfer);
    if let Some(request) = book.change_request(id) {
        request.refunded = true;
        request.log(now, What::Refunded(cost));
    }
}

pub(super) fn credit(
    book: &mut Book,
    now: Time,
    id: AccountId,
    kind: Kind,
    amount: Money,
    reference: Option<String>,
    reason: String,
) -> Result<Outcome, Rejection> {
    if reference.as_ref().is_some_and(|reference| book.references.contains(reference)) {
        return Ok(Outcome::AlreadyCredited);
    }
    if amount == Money::ZERO {
        return Err(Rejection::AmountInvalid);
    }
    let cause = Cause::External { reference: reference.clone(), reason };
    let account = book.change_account(id).ok_or(Rejection::AccessTokenInvalid)?;
    let transfer = match Money::ZERO.checked_sub(amount) {
        None => return Err(Rejection::AmountInvalid),
        Some(positive) if positive.is_positive() => ledger::debit(account, kind, positive, cause, now)?,
        Some(_) => ledger::credit(account, kind, amount, cause, now)?,
    };
    let balance = transfer.balance_after;
    book.add_transfer(transfer);
    book.references.extend(reference);
    Ok(Outcome::Credited(balance))
}
