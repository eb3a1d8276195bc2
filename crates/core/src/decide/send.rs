//! Asking whether a number can be reached, and sending: who may, and what it costs.

use super::idempotency::{recall, remember, remembered_view};
use super::{Rules, account, deliver, money, own_request, request_outcome, view};
use crate::account::Account;
use crate::book::Book;
use crate::command::{
    Caller, CheckSendAbility, MessageParams, Outcome, Rejection, SendVerificationMessage, View,
};
use crate::ids::{AccountId, RequestId};
use crate::limits::{Limit, Window};
use crate::money::Money;
use crate::phone::{Country, Phone};
use crate::planted::{self, Bug};
use crate::request::{Delivery, Message, Progress, Request};
use crate::route::{Hop, Reach, Route};
use crate::text::ChannelName;
use crate::time::Time;
use crate::timeline::What;
use std::sync::Arc;

pub(super) fn check_send_ability(
    rules: &Rules,
    book: &mut Book,
    check: &CheckSendAbility,
) -> Result<Outcome, Rejection> {
    let CheckSendAbility { caller, now, new_id, phone, country, ref route, idempotency } = *check;
    if let Some(remembered) = recall(rules, book, caller, idempotency, now)? {
        return Ok(request_outcome(remembered_view(&remembered, phone, None)));
    }
    take_rate(rules, book, caller, phone, route, now)?;
    let cost = affordable(rules, account(book, caller)?, phone)?;
    let Reachable { hops, .. } = reachable(book, route, phone)?;

    let request = new_request(new_id, caller, (phone, country), cost, hops, now);
    let mut request = Request { ability_checked: true, ..request };
    request.log(now, What::Checked);
    money::charge(book, &mut request, now)?;
    let remaining_balance = account(book, caller)?.balance;
    let view = View { remaining_balance: Some(remaining_balance), ..view(&request, now) };
    remember(book, caller, idempotency, &view, None, now);
    book.add_request(request);
    Ok(request_outcome(view))
}

pub(super) fn send_message(
    rules: &Rules,
    book: &mut Book,
    send: &SendVerificationMessage,
) -> Result<Outcome, Rejection> {
    let SendVerificationMessage {
        caller,
        now,
        prior,
        new_id,
        phone,
        country,
        ref route,
        ref message,
        idempotency,
    } = *send;
    if let Some(remembered) = recall(rules, book, caller, idempotency, now)? {
        let payload = message.as_ref().ok().and_then(|params| params.payload.clone());
        return Ok(request_outcome(View {
            payload,
            ..remembered_view(&remembered, phone, remembered.sent_at)
        }));
    }
    let prior = prior.map(|prior| checked_before(book, caller, prior, phone)).transpose()?;
    let params = message.as_ref().map_err(|rejection| *rejection)?;
    sender_allowed(book, caller, phone, params)?;
    take_rate(rules, book, caller, phone, route, now)?;
    let limited = phone.magic().is_none();
    if limited {
        let max = rules.sends_per_phone.max + usize::from(planted::is(Bug::SixthMessage));
        let limit = Limit { max, ..rules.sends_per_phone };
        let none = Window::default();
        let window = book.sends.get(&(caller.mode, phone)).unwrap_or(&none);
        window.check(limit, now).map_err(Rejection::FloodWait)?;
    }
    let cost = match prior {
        Some(_) => Money::ZERO,
        None => affordable(rules, account(book, caller)?, phone)?,
    };
    let Reachable { hops, skipped } = reachable(book, route, phone)?;

    let id = prior.unwrap_or(new_id);
    let mut request = match book.requests.get(&id) {
        Some(request) => request.clone(),
        None => new_request(id, caller, (phone, country), cost, hops.clone(), now),
    };
    if prior.is_none() {
        money::charge(book, &mut request, now)?;
    }
    // The token that sends is the one whose digest signs the reports.
    request.token = caller.token;
    request.route = hops;
    let payload = params.payload.clone();
    request.message = Some(new_message(rules, params, now));
    request.start_hop(now);
    request.log(now, What::Sent(request.channel().clone()));
    for channel in skipped {
        request.log(now, What::Skipped(channel, NO_SUBSCRIBER.to_owned()));
    }
    deliver::lease(rules, book, &mut request, now);
    if limited {
        book.change_sends(caller.mode, phone).record(rules.sends_per_phone, now);
    }
    let remaining_balance = account(book, caller)?.balance;
    let view = View { remaining_balance: Some(remaining_balance), payload, ..view(&request, now) };
    remember(book, caller, idempotency, &view, Some(now), now);
    book.add_request(request);
    Ok(request_outcome(view))
}

fn checked_before(book: &Book, caller: Caller, id: RequestId, phone: Phone) -> Result<RequestId, Rejection> {
    let request = own_request(book, caller, id)?;
    if request.phone != phone {
        return Err(Rejection::PhoneNumberMismatch);
    }
    if request.message.is_some() && !planted::is(Bug::SentTwice) {
        return Err(Rejection::MessageAlreadySent);
    }
    Ok(id)
}

fn sender_allowed(
    book: &Book,
    caller: Caller,
    phone: Phone,
    params: &MessageParams,
) -> Result<(), Rejection> {
    let Some(username) = &params.sender else { return Ok(()) };
    let sender = book.senders.get(&(caller.account, username.clone())).ok_or(Rejection::SenderNotOwned)?;
    let own_number = account(book, caller)?.own_number == Some(phone);
    if sender.verified || own_number { Ok(()) } else { Err(Rejection::SenderNotVerified) }
}

fn take_rate(
    rules: &Rules,
    book: &mut Book,
    caller: Caller,
    phone: Phone,
    route: &Route,
    now: Time,
) -> Result<(), Rejection> {
    account(book, caller)?;
    if let (Some(rate), None) = (rules.account_rate, phone.magic())
        && let Some(account) = book.change_account(caller.account)
    {
        account.rate_spent_until = rate.take(account.rate_spent_until, now).map_err(Rejection::FloodWait)?;
    }
    match route.reach {
        Reach::Wait(seconds) => Err(Rejection::FloodWait(seconds)),
        Reach::Yes | Reach::No => Ok(()),
    }
}

/// The fee of a message to this number, if the account can pay it: nothing for the owner's own number, nor for the
/// house's own messages.
fn affordable(rules: &Rules, account: &Account, phone: Phone) -> Result<Money, Rejection> {
    let free = account.own_number == Some(phone) || account.id == AccountId::HOUSE;
    let price = if free { Money::ZERO } else { rules.prices.price(phone) };
    let slack = if planted::is(Bug::OverdrawnByOne) { price } else { Money::ZERO };
    let funds = account.balance.checked_add(slack).unwrap_or(account.balance);
    if funds < price { Err(Rejection::BalanceNotEnough) } else { Ok(price) }
}

/// Why a channel that serves subscribers alone was left out.
const NO_SUBSCRIBER: &str = "the number has not subscribed";

/// What of a route can reach a number.
struct Reachable {
    hops: Arc<[Hop]>,
    skipped: Vec<ChannelName>,
}

fn reachable(book: &Book, route: &Route, phone: Phone) -> Result<Reachable, Rejection> {
    if route.reach == Reach::No {
        return Err(Rejection::PhoneNumberNotAvailable);
    }
    if route.subscribers_only.is_empty() {
        return Ok(Reachable { hops: route.hops.clone(), skipped: Vec::new() });
    }
    let reaches = |hop: &&Hop| {
        let may_reach = !route.is_subscribers_only(&hop.channel) || planted::is(Bug::SentToStrangers);
        may_reach || book.subscribers.contains(&(hop.channel.clone(), phone))
    };
    let (hops, skipped): (Vec<_>, Vec<_>) = route.hops.iter().partition(reaches);
    if hops.is_empty() {
        return Err(Rejection::PhoneNumberNotAvailable);
    }
    Ok(Reachable {
        hops: hops.into_iter().cloned().collect(),
        skipped: skipped.into_iter().map(|hop| hop.channel.clone()).collect(),
    })
}

fn new_request(
    id: RequestId,
    caller: Caller,
    (phone, country): (Phone, Country),
    cost: Money,
    route: Arc<[Hop]>,
    created_at: Time,
) -> Request {
    Request {
        id,
        account: caller.account,
        token: caller.token,
        phone,
        country,
        created_at,
        cost,
        refunded: false,
        ability_checked: false,
        route,
        message: None,
        reports: 0,
        events_stored: 0,
        fresh_events: Vec::new(),
    }
}

fn new_message(rules: &Rules, params: &MessageParams, now: Time) -> Message {
    Message {
        sender: params.sender.clone(),
        payload: params.payload.clone(),
        callback_url: params.callback_url.clone(),
        ttl: params.ttl,
        code_mac: params.code_mac,
        code: Some(params.code),
        sent_at: now,
        delivery: Delivery::Sent,
        delivery_at: now,
        code_expires_at: now + rules.code_life,
        verified_at: None,
        last_check: None,
        attempts: 0,
        hop: 0,
        hop_until: None,
        progress: Progress::Queued(now),
        open_hops: 0,
        channel_reference: None,
    }
}
