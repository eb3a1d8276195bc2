//! Idempotency keys: the answer that a key stands for is given again, and nothing is done twice.

use super::Rules;
use crate::book::{Book, Remembered};
use crate::command::{Caller, Idempotency, Rejection, View};
use crate::phone::Phone;
use crate::planted::{self, Bug};
use crate::request::Delivery;
use crate::time::Time;

pub(super) fn recall(
    rules: &Rules,
    book: &Book,
    caller: Caller,
    idempotency: Option<Idempotency>,
    now: Time,
) -> Result<Option<Remembered>, Rejection> {
    let Some(Idempotency { key, body }) = idempotency else { return Ok(None) };
    let remembered = book.idempotency.get(&(caller.account, key));
    match remembered.filter(|remembered| now < remembered.at + rules.idempotency_life) {
        Some(remembered) if remembered.body != body => Err(Rejection::IdempotencyKeyReused),
        Some(_) if planted::is(Bug::ChargedTwice) => Ok(None),
        Some(remembered) => Ok(Some(*remembered)),
        None => Ok(None),
    }
}

pub(super) fn remember(
    book: &mut Book,
    caller: Caller,
    idempotency: Option<Idempotency>,
    view: &View,
    sent_at: Option<Time>,
    at: Time,
) {
    let (Some(Idempotency { key, body }), Some(remaining_balance)) = (idempotency, view.remaining_balance)
    else {
        return;
    };
    let remembered =
        Remembered { body, request: view.request, cost: view.cost, remaining_balance, sent_at, at };
    book.add_remembered(caller.account, key, remembered);
}

pub(super) fn remembered_view(remembered: &Remembered, phone: Phone, sent_at: Option<Time>) -> View {
    View {
        request: remembered.request,
        phone,
        cost: remembered.cost,
        refunded: false,
        remaining_balance: Some(remembered.remaining_balance),
        delivery: sent_at.map(|sent_at| (Delivery::Sent, sent_at)),
        verification: None,
        code_entered: None,
        payload: None,
    }
}
