//! The rules over the working set: one command after the other, in memory.
//!
//! A command that is refused leaves the book as it was, but for the account's rate: asking too often counts also when
//! the answer is no.

mod deliver;
mod idempotency;
mod money;
mod report;
mod send;
mod verify;

use crate::account::Account;
use crate::book::Book;
use crate::command::{Caller, Command, Outcome, Rejection, View};
use crate::ids::RequestId;
use crate::limits::{Limit, Rate};
use crate::price::Prices;
use crate::request::Request;
use crate::time::Time;
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
pub fn decide(rules: &Rules, book: &mut Book, command: &Command) -> Result<Outcome, Rejection> {
    match command {
        Command::CheckSendAbility(check) => send::check_send_ability(rules, book, check),
        Command::Send(send) => send::send_message(rules, book, send),
        Command::CheckStatus { caller, now, request, entered } => {
            verify::check_status(rules, book, *caller, *now, *request, entered.as_ref())
        }
        Command::Revoke { caller, now, request } => verify::revoke(rules, book, *caller, *now, *request),
        Command::Balance { caller } => Ok(Outcome::Balance(account(book, *caller)?.balance)),
        Command::Channel { now, request, hop, channel, events } => {
            if deliver::is_hop_of(book, *request, *hop, channel) {
                events.iter().for_each(|event| deliver::hear(rules, book, *now, *request, *hop, event));
            }
            Ok(Outcome::Done)
        }
        Command::Due { now, request, may_expire } => {
            Ok(deliver::due(rules, book, *now, *request, *may_expire))
        }
        Command::ClaimReport { now, report } => Ok(report::claim(rules, book, *now, *report)),
        Command::ConcludeReport { now, report, attempt, took, jitter_permille } => {
            if let Some(report) = book.change_report(*report) {
                report.conclude(attempt.clone(), *took, *jitter_permille, *now);
            }
            Ok(Outcome::Done)
        }
        Command::ResendReport { now, account, report } => report::resend(book, *now, *account, *report),
        Command::Credit { now, account, kind, amount, reference, reason } => {
            money::credit(book, *now, *account, *kind, *amount, reference.clone(), reason.clone())
        }
    }
}

fn account(book: &Book, caller: Caller) -> Result<&Account, Rejection> {
    book.accounts.get(&caller.account).ok_or(Rejection::AccessTokenInvalid)
}

/// Another account's request is answered exactly as one that never was.
fn own_request(book: &Book, caller: Caller, id: RequestId) -> Result<&Request, Rejection> {
    let request = book.requests.get(&id).filter(|request| request.account == caller.account);
    request.ok_or(Rejection::RequestIdInvalid)
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
