//! The rules over the working set: one command after the other, in memory.
//!
//! A command that is refused leaves the book as it was, but for the account's rate: asking too often counts also when
//! the answer is no.

use crate::account::Account;
use crate::book::{Book, Job, Remembered, Work};
use crate::command::{
    Caller, ChannelEvent, CheckSendAbility, Command, Entered, Idempotency, MessageParams, Outcome, Reach,
    Rejection, ReportJob, Route, SendVerificationMessage, View,
};
use crate::ids::{AccountId, ReportId, RequestId};
use crate::ledger::{self, Cause, Kind};
use crate::limits::{Limit, Rate, Window};
use crate::money::Money;
use crate::phone::{Magic, Phone};
use crate::planted::{self, Bug};
use crate::price::Prices;
use crate::report::{Report, State};
use crate::request::{Delivery, JudgeRules, Message, Progress, Request, Verification};
use crate::time::Time;
use crate::timeline::What;
use std::time::Duration;

/// What the operator may set of the rules.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What messages cost.
    pub prices: Prices,
    /// How many messages a number gets, over all accounts.
    pub sends_per_phone: Limit,
    /// How many wrong codes are taken for the requests of one number, per account.
    pub failures_per_phone: Limit,
    /// How many wrong codes are taken for one request.
    pub attempts_max: u8,
    /// How fast an account may ask for messages; `None` for as fast as it likes.
    pub account_rate: Option<Rate>,
    /// How long a code is good for, from its delivery or, while that is not confirmed, from its sending.
    pub code_life: Duration,
    /// How long a worker may take over one hand-over, question or report before it is taken for dead.
    pub lease: Duration,
    /// How long an idempotency key is remembered.
    pub idempotency_life: Duration,
}

/// Judges one command and changes the book accordingly.
pub fn decide(rules: &Rules, book: &mut Book, command: Command) -> Result<Outcome, Rejection> {
    match command {
        Command::CheckSendAbility(check) => check_send_ability(rules, book, check),
        Command::Send(send) => send_message(rules, book, send),
        Command::CheckStatus { caller, now, request, entered } => {
            check_status(rules, book, caller, now, request, entered)
        }
        Command::Revoke { caller, now, request } => revoke(book, caller, now, request),
        Command::Balance { caller } => Ok(Outcome::Balance(account(book, caller)?.balance)),
        Command::Channel { now, request, hop, events } => {
            events.into_iter().for_each(|event| hear(rules, book, now, request, hop, event));
            Ok(Outcome::Done)
        }
        Command::Due { now, request, may_expire } => Ok(due(rules, book, now, request, may_expire)),
        Command::ClaimReport { now, report } => Ok(claim_report(rules, book, now, report)),
        Command::ConcludeReport { now, report, attempt, jitter_permille } => {
            if let Some(report) = book.change_report(report) {
                report.conclude(attempt, jitter_permille, now);
            }
            Ok(Outcome::Done)
        }
        Command::Credit { now, account, kind, amount, reference, reason } => {
            credit(book, now, account, kind, amount, reference, reason)
        }
    }
}

fn check_send_ability(rules: &Rules, book: &mut Book, check: CheckSendAbility) -> Result<Outcome, Rejection> {
    let CheckSendAbility { caller, now, new_id, phone, country, route, idempotency } = check;
    if let Some(remembered) = recall(rules, book, caller, idempotency, now)? {
        return Ok(request_outcome(remembered_view(&remembered, phone, None)));
    }
    take_rate(rules, book, caller, phone, &route, now)?;
    let cost = affordable(rules, account(book, caller)?, phone)?;
    reachable(&route)?;

    let mut request = Request {
        id: new_id,
        account: caller.account,
        token: caller.token,
        phone,
        country,
        created_at: now,
        cost,
        refunded: false,
        ability_checked: true,
        route: route.hops,
        message: None,
        reports: 0,
        events_stored: 0,
        fresh_events: Vec::new(),
    };
    request.log(now, What::Checked);
    charge(book, &mut request, now)?;
    let remaining_balance = account(book, caller)?.balance;
    let view = View { remaining_balance: Some(remaining_balance), ..view(&request, now) };
    remember(book, caller, idempotency, &view, None, now);
    book.add_request(request);
    Ok(request_outcome(view))
}

fn send_message(rules: &Rules, book: &mut Book, send: SendVerificationMessage) -> Result<Outcome, Rejection> {
    let SendVerificationMessage { caller, now, prior, new_id, phone, country, route, message, idempotency } =
        send;
    if let Some(remembered) = recall(rules, book, caller, idempotency, now)? {
        let payload = message.ok().and_then(|params| params.payload);
        return Ok(request_outcome(View {
            payload,
            ..remembered_view(&remembered, phone, remembered.sent_at)
        }));
    }
    let prior = prior.map(|prior| checked_before(book, caller, prior, phone)).transpose()?;
    let params = message?;
    sender_allowed(book, caller, phone, &params)?;
    take_rate(rules, book, caller, phone, &route, now)?;
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
    reachable(&route)?;

    let id = prior.unwrap_or(new_id);
    let mut request = match book.requests.get(&id) {
        Some(request) => request.clone(),
        None => Request {
            id,
            account: caller.account,
            token: caller.token,
            phone,
            country,
            created_at: now,
            cost,
            refunded: false,
            ability_checked: false,
            route: route.hops.clone(),
            message: None,
            reports: 0,
            events_stored: 0,
            fresh_events: Vec::new(),
        },
    };
    if prior.is_none() {
        charge(book, &mut request, now)?;
    }
    // The token that sends is the one whose digest signs the reports.
    request.token = caller.token;
    request.route = route.hops;
    let payload = params.payload.clone();
    request.message = Some(new_message(rules, params, now));
    request.log(now, What::Sent(request.channel().clone()));
    lease(rules, book, &mut request, now);
    if limited {
        book.change_sends(caller.mode, phone).record(rules.sends_per_phone, now);
    }
    let remaining_balance = account(book, caller)?.balance;
    let view = View { remaining_balance: Some(remaining_balance), payload, ..view(&request, now) };
    remember(book, caller, idempotency, &view, Some(now), now);
    book.add_request(request);
    Ok(request_outcome(view))
}

fn check_status(
    rules: &Rules,
    book: &mut Book,
    caller: Caller,
    now: Time,
    id: RequestId,
    entered: Option<Entered>,
) -> Result<Outcome, Rejection> {
    let request = own_request(book, caller, id)?;
    if book.is_new(id) {
        // Made in this very batch: nobody was told its id yet, so it was guessed. Nor are its number's failures loaded.
        return Err(Rejection::RequestIdInvalid);
    }
    let Some(entered) = entered else { return Ok(request_outcome(view(request, now))) };
    let single_use = account(book, caller)?.single_use;

    let Some(message) = &request.message else {
        // Nothing was sent under this id, so no code can be right; nothing is guessed at either.
        let verification = Some((Verification::Invalid, now));
        return Ok(request_outcome(View {
            verification,
            code_entered: Some(entered.text),
            ..view(request, now)
        }));
    };
    let magic = request.phone.magic();
    let failures = book.failures.get(&(caller.account, request.phone));
    let too_many = magic.is_none()
        && failures.is_some_and(|window| window.check(rules.failures_per_phone, now).is_err());
    let locked = magic == Some(Magic::Locked) || too_many;
    let judge_rules = JudgeRules { attempts_max: rules.attempts_max, locked, single_use };
    let verdict = message.judge(entered.mac, judge_rules, now);
    record_verdict(rules, book, id, verdict, now);

    let request = own_request(book, caller, id)?;
    let view = View { verification: Some(verdict), code_entered: Some(entered.text), ..view(request, now) };
    Ok(request_outcome(view))
}

/// Writes a verdict down, as far as it says anything new.
fn record_verdict(
    rules: &Rules,
    book: &mut Book,
    id: RequestId,
    (verdict, _): (Verification, Time),
    now: Time,
) {
    let Some(message) = book.requests.get(&id).and_then(|request| request.message.as_ref()) else { return };
    let last = message.last_check.map(|(verdict, _)| verdict);
    let news = match verdict {
        Verification::Valid => message.verified_at.is_none(),
        Verification::Invalid => !(planted::is(Bug::UncountedAttempt) && message.verified_at.is_some()),
        Verification::MaxAttemptsExceeded => last != Some(verdict),
        // The end of a code's life is a moment, not an event: whoever asks later computes it.
        Verification::Expired => false,
    };
    if !news {
        return;
    }
    let Some(request) = book.change_request(id) else { return };
    let Some(message) = &mut request.message else { return };
    message.last_check = Some((verdict, now));
    let what = match verdict {
        Verification::Valid => {
            message.verified_at = Some(now);
            What::Verified
        }
        Verification::Invalid => {
            message.attempts = message.attempts.saturating_add(1);
            What::WrongCode(message.attempts)
        }
        Verification::MaxAttemptsExceeded | Verification::Expired => What::AttemptsExceeded,
    };
    let (account, phone) = (request.account, request.phone);
    request.log(now, what);
    if verdict == Verification::Invalid && phone.magic().is_none() {
        book.change_failures(account, phone).record(rules.failures_per_phone, now);
    }
}

fn revoke(book: &mut Book, caller: Caller, now: Time, id: RequestId) -> Result<Outcome, Rejection> {
    own_request(book, caller, id)?;
    let Some(request) = book.change_request(id) else { return Ok(Outcome::Revoked) };
    let job = job(request);
    let Some(message) = &mut request.message else { return Ok(Outcome::Revoked) };
    let code_lived = now < message.code_expires_at;
    let withdrawn = message.revoke(now);
    if withdrawn || code_lived {
        request.log(now, What::Revoked);
    }
    if withdrawn {
        wipe_code(request);
        if !planted::is(Bug::SilentRevocation) {
            report(book, id, now);
        }
    }
    book.work.extend(job.map(Work::Withdraw));
    Ok(Outcome::Revoked)
}

/// Applies one thing that a channel says.
fn hear(rules: &Rules, book: &mut Book, now: Time, id: RequestId, hop: u8, event: ChannelEvent) {
    let Some(request) = book.change_request(id) else { return };
    let Some(channel) = request.route.get(usize::from(hop)).cloned() else { return };
    let Some(message) = &mut request.message else { return };
    let turn = hop == message.hop && message.delivery == Delivery::Sent;
    match event {
        ChannelEvent::Accepted { reference, poll_at } => {
            if matches!(message.delivery, Delivery::Expired | Delivery::Revoked) {
                // It was withdrawn while the channel was taking it over: take it back, from whichever hop has it.
                let job = job(request).map(|job| Job { hop, channel, reference, ..job });
                book.work.extend(job.map(Work::Withdraw));
            } else if hop == message.hop {
                let known = matches!(message.progress, Progress::Accepted(_));
                message.progress = Progress::Accepted(poll_at);
                message.channel_reference = reference.or(message.channel_reference.take());
                if turn && !known {
                    request.log(now, What::Accepted(channel));
                    wipe_code(request);
                }
            }
        }
        ChannelEvent::Postponed { after, reason } => {
            if turn {
                // What the channel has is not handed over again: it wants to be asked later.
                message.progress = match message.progress {
                    Progress::Accepted(_) => Progress::Accepted(Some(now + after)),
                    _ => Progress::Queued(now + after),
                };
                request.log(now, What::Postponed(channel, reason));
            }
        }
        ChannelEvent::Uncertain { reason } => {
            if turn {
                message.progress = Progress::Uncertain;
                wipe_code(request);
            }
            request.log(now, What::Uncertain(channel, reason));
        }
        ChannelEvent::Failed { reason } => {
            request.log(now, What::Failed(channel, reason));
            if turn || planted::is(Bug::RefundAfterDelivery) {
                fall_back(rules, book, id, now);
            }
        }
        ChannelEvent::Delivered | ChannelEvent::Read => {
            let read = event == ChannelEvent::Read;
            if message.confirm(read, rules.code_life, now) {
                // A message that was read has nothing more to tell; one that another hop delivered is not handed on.
                if read || hop != message.hop || !matches!(message.progress, Progress::Accepted(_)) {
                    message.progress = Progress::Ended;
                }
                request.log(now, if read { What::Read(channel) } else { What::Delivered(channel) });
                wipe_code(request);
                report(book, id, now);
            } else {
                request.log(now, What::LateConfirmation(channel));
            }
        }
    }
}

/// The current hop has failed for good: the next one has its turn, or the message is given up and refunded.
fn fall_back(rules: &Rules, book: &mut Book, id: RequestId, now: Time) {
    let Some(mut request) = book.requests.get(&id).cloned() else { return };
    if !request.has_next_hop() {
        return expire(book, id, now);
    }
    if let Some(message) = &mut request.message {
        message.hop += 1;
        message.channel_reference = None;
    }
    request.log(now, What::Fallback(request.channel().clone()));
    lease(rules, book, &mut request, now);
    book.add_request(request);
}

/// The message did not and will not arrive: its status, the refund and the report, together.
fn expire(book: &mut Book, id: RequestId, now: Time) {
    let Some(request) = book.change_request(id) else { return };
    let job = job(request);
    if !request.message.as_mut().is_some_and(|message| message.expire(now)) {
        return;
    }
    request.log(now, What::Expired);
    wipe_code(request);
    refund(book, id, now);
    report(book, id, now);
    book.work.extend(job.map(Work::Withdraw));
}

fn due(rules: &Rules, book: &mut Book, now: Time, id: RequestId, may_expire: bool) -> Outcome {
    let Some(message) = book.requests.get(&id).and_then(|request| request.message.as_ref()) else {
        return Outcome::Done;
    };
    if message.expires_at().is_some_and(|at| at <= now) {
        if may_expire {
            expire(book, id, now);
        }
        return Outcome::Done;
    }
    let Some(mut request) = book.requests.get(&id).cloned() else { return Outcome::Done };
    let channel = request.channel().clone();
    let Some(message) = &mut request.message else { return Outcome::Done };
    match message.progress {
        Progress::Queued(at) if at <= now => lease(rules, book, &mut request, now),
        // Whoever held the lease is gone, and may have handed the message over just before. The sandbox does no harm
        // when it is told twice; for a real phone it stays at one.
        Progress::Leased(until) if until <= now && channel.is_sandbox() => {
            lease(rules, book, &mut request, now)
        }
        Progress::Leased(until) if until <= now => {
            message.progress = Progress::Uncertain;
            request.log(now, What::Uncertain(channel, "the hand-over was interrupted".to_owned()));
            wipe_code(&mut request);
        }
        Progress::Accepted(Some(at)) if at <= now => {
            message.progress = Progress::Accepted(Some(now + rules.lease));
            book.work.extend(job(&request).map(Work::Poll));
        }
        Progress::Queued(_)
        | Progress::Leased(_)
        | Progress::Accepted(_)
        | Progress::Uncertain
        | Progress::Ended => {
            return Outcome::Done;
        }
    }
    book.add_request(request);
    Outcome::Done
}

/// Gives the message to the worker beside this engine, or lets it wait for one.
fn lease(rules: &Rules, book: &mut Book, request: &mut Request, now: Time) {
    let job = job(request);
    let Some(message) = &mut request.message else { return };
    if book.lease_room == 0 {
        message.progress = Progress::Queued(now);
        return;
    }
    book.lease_room -= 1;
    message.progress = Progress::Leased(now + rules.lease);
    book.work.extend(job.map(Work::Deliver));
}

fn job(request: &Request) -> Option<Job> {
    let message = request.message.as_ref()?;
    Some(Job {
        request: request.id,
        hop: message.hop,
        channel: request.channel().clone(),
        phone: request.phone,
        code: message.code,
        sent_at: message.sent_at,
        reference: message.channel_reference.clone(),
    })
}

/// Forgets a code that no channel will be asked to deliver any more. The sandbox keeps it: it is the phone.
fn wipe_code(request: &mut Request) {
    let more_hops = request.has_next_hop();
    let sandbox = request.channel().is_sandbox();
    let Some(message) = &mut request.message else { return };
    let may_be_needed = message.delivery == Delivery::Sent && more_hops;
    if !sandbox && !may_be_needed {
        message.code = None;
    }
}

fn claim_report(rules: &Rules, book: &mut Book, now: Time, id: ReportId) -> Outcome {
    let due =
        book.reports.get(&id).is_some_and(|report| report.state == State::Pending && report.due_at <= now);
    let open = |report: &Report| report.state == State::Pending;
    let first = !id.earlier().and_then(|id| book.reports.get(&id)).is_some_and(open);
    if !due || !first {
        return Outcome::Done;
    }
    let Some(request) = book.requests.get(&id.request) else { return Outcome::Done };
    let Some(message) = &request.message else { return Outcome::Done };
    let Some(callback_url) = message.callback_url.clone() else { return Outcome::Done };
    let payload = message.payload.clone();
    let view = view(request, now);
    let Some(report) = book.change_report(id) else { return Outcome::Done };
    report.lease(now, rules.lease);
    let view = View {
        refunded: report.refunded,
        delivery: Some(report.delivery),
        verification: report.verification,
        payload,
        ..view
    };
    Outcome::Report(Box::new(ReportJob { report: report.clone(), callback_url, view }))
}

/// Makes a report of the request's delivery status, if its caller wants reports.
fn report(book: &mut Book, id: RequestId, now: Time) {
    let Some(request) = book.change_request(id) else { return };
    let Some(message) = request.message.as_ref().filter(|message| message.callback_url.is_some()) else {
        return;
    };
    request.reports = request.reports.saturating_add(1);
    let report = Report {
        id: ReportId { request: id, seq: request.reports },
        account: request.account,
        token: request.token,
        delivery: (message.delivery, message.delivery_at),
        verification: message.verification(now),
        refunded: request.refunded,
        state: State::Pending,
        attempts: 0,
        due_at: now,
        leased: false,
        last_result: None,
    };
    book.add_report(report);
}

fn charge(book: &mut Book, request: &mut Request, now: Time) -> Result<(), Rejection> {
    if request.cost.is_positive() {
        let cause = Cause::Request(request.id);
        let account = book.change_account(request.account).ok_or(Rejection::AccessTokenInvalid)?;
        let transfer = ledger::debit(account, Kind::Charge, request.cost, cause, now)?;
        book.add_transfer(transfer);
        request.log(now, What::Charged(request.cost));
    }
    Ok(())
}

fn refund(book: &mut Book, id: RequestId, now: Time) {
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

fn credit(
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

fn account(book: &Book, caller: Caller) -> Result<&Account, Rejection> {
    book.accounts.get(&caller.account).ok_or(Rejection::AccessTokenInvalid)
}

/// Another account's request is answered exactly as one that never was.
fn own_request(book: &Book, caller: Caller, id: RequestId) -> Result<&Request, Rejection> {
    let request = book.requests.get(&id).filter(|request| request.account == caller.account);
    request.ok_or(Rejection::RequestIdInvalid)
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

/// The fee of a message to this number, if the account can pay it: nothing for the owner's own number.
fn affordable(rules: &Rules, account: &Account, phone: Phone) -> Result<Money, Rejection> {
    let free = account.own_number == Some(phone);
    let price = if free { Money::ZERO } else { rules.prices.price(phone) };
    let slack = if planted::is(Bug::OverdrawnByOne) { price } else { Money::ZERO };
    let funds = account.balance.checked_add(slack).unwrap_or(account.balance);
    if funds < price { Err(Rejection::BalanceNotEnough) } else { Ok(price) }
}

fn reachable(route: &Route) -> Result<(), Rejection> {
    if route.reach == Reach::No { Err(Rejection::PhoneNumberNotAvailable) } else { Ok(()) }
}

fn recall(
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

fn remember(
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

fn remembered_view(remembered: &Remembered, phone: Phone, sent_at: Option<Time>) -> View {
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

fn new_message(rules: &Rules, params: MessageParams, now: Time) -> Message {
    Message {
        sender: params.sender,
        payload: params.payload,
        callback_url: params.callback_url,
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
        progress: Progress::Queued(now),
        channel_reference: None,
    }
}

/// The request as its caller may see it at `now`.
pub fn view(request: &Request, now: Time) -> View {
    let message = request.message.as_ref();
    View {
        request: request.id,
        phone: request.phone,
        cost: request.cost,
        refunded: request.refunded,
        remaining_balance: None,
        delivery: message.map(|message| (message.delivery, message.delivery_at)),
        verification: message.and_then(|message| message.verification(now)),
        code_entered: None,
        payload: message.and_then(|message| message.payload.clone()),
    }
}

fn request_outcome(view: View) -> Outcome {
    Outcome::Request(Box::new(view))
}
