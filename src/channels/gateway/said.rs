//! What an upstream's answers mean for a message.

use super::{TTL_MIN_S, failed};
use crate::channels::Errand;
use chappe_client::wire::RequestStatus;
use chappe_client::{DeliveryState, Error, Refusal};
use chappe_core::ChannelEvent;
use chappe_core::book::Job;
use std::time::Duration;

/// When to try again what a person has to see to first: money, a token, an address.
const UNTIL_MENDED: Duration = Duration::from_secs(30);
/// When to try again what may mend itself.
const SOON: Duration = Duration::from_secs(2);
/// The longest name of a refusal that goes into a timeline, in characters.
const NAME_MAX_CHARS: usize = 64;

/// How far the upstream has got with a message; nothing while it is under way.
pub(super) fn of_status(status: &RequestStatus) -> Vec<ChannelEvent> {
    let Some(delivery) = &status.delivery_status else { return Vec::new() };
    match delivery.status {
        DeliveryState::Delivered => vec![ChannelEvent::Delivered],
        DeliveryState::Read => vec![ChannelEvent::Read],
        DeliveryState::Expired if status.is_refunded => {
            vec![failed("it expired at the upstream, which gave the fee back")]
        }
        DeliveryState::Expired => vec![failed("it expired at the upstream")],
        DeliveryState::Revoked => vec![failed("it was revoked at the upstream")],
        // What a later version may call it is no end that we know of.
        _ => Vec::new(),
    }
}

/// Whether the upstream may still deliver a message.
pub(super) fn is_under_way(status: &RequestStatus) -> bool {
    of_status(status).is_empty()
}

/// What came of taking a message back that now stands like this.
pub(super) fn of_withdrawn(status: &RequestStatus) -> Vec<ChannelEvent> {
    match of_status(status).pop() {
        Some(arrived @ (ChannelEvent::Delivered | ChannelEvent::Read)) => {
            vec![arrived, failed("it had been delivered already")]
        }
        _ => vec![ChannelEvent::Withdrawn],
    }
}

/// What is said of a message that the upstream did not take, or did not say that it took.
pub(super) fn of_refused_message(error: &Error, job: &Job) -> ChannelEvent {
    if let Some(fault) = of_fault(error) {
        return fault;
    }
    match error {
        Error::Refused(Refusal::FloodWait { seconds }) => {
            let left_s = job.until.since(job.asked_at).as_secs();
            let reason = format!("the upstream asks for {seconds} s of patience");
            match seconds.checked_add(TTL_MIN_S) {
                Some(needed_s) if needed_s <= left_s => {
                    ChannelEvent::Postponed { after: Duration::from_secs((*seconds).max(1)), reason }
                }
                _ => ChannelEvent::Failed { reason: format!("{reason}, which is longer than there is") },
            }
        }
        Error::Refused(Refusal::PhoneNumberNotAvailable) => failed("the upstream cannot reach the number"),
        Error::Refused(Refusal::PhoneNumberInvalid) => failed("to the upstream this is no phone number"),
        Error::Refused(Refusal::IdempotencyKeyReused) => ChannelEvent::Uncertain {
            reason: "the upstream was given this message before, and did not say what it calls it".to_owned(),
        },
        Error::Refused(refusal) if !error.may_have_taken_effect() => {
            ChannelEvent::Failed { reason: format!("the upstream refuses it: {}", name(refusal)) }
        }
        Error::Timeout => uncertain("the upstream did not answer in time"),
        Error::Transport(_) => uncertain("the connection to the upstream broke before an answer came"),
        Error::Http { status, .. } => {
            ChannelEvent::Uncertain { reason: format!("the upstream answered with HTTP status {status}") }
        }
        // Among them INTERNAL, and answers that cannot be read.
        _ => uncertain("the upstream's answer does not say whether it took the message"),
    }
}

/// What is said if the upstream cannot say what became of a message, or cannot be told to take it back. It is asked
/// again, but for one that it does not know.
pub(super) fn of_failed_question(errand: Errand, error: &Error) -> ChannelEvent {
    const FORGOTTEN: &str = "the upstream does not know the message any more";
    match error {
        Error::Refused(Refusal::FloodWait { seconds }) => {
            ChannelEvent::Busy { after: Duration::from_secs((*seconds).clamp(1, 60)) }
        }
        Error::Refused(Refusal::RequestIdInvalid) if errand == Errand::Withdraw => failed(FORGOTTEN),
        Error::Refused(Refusal::RequestIdInvalid) => uncertain(FORGOTTEN),
        Error::Refused(refusal) if of_fault(error).is_none() => unavailable(
            UNTIL_MENDED,
            format!("the upstream does not say what became of the message: {}", name(refusal)),
        ),
        error => of_fault(error).unwrap_or_else(|| unavailable(SOON, format!("the upstream: {error}"))),
    }
}

/// What an error says of the upstream, for a person.
pub(super) fn reason(error: &Error) -> String {
    match of_fault(error) {
        Some(ChannelEvent::Unavailable { reason, .. }) => reason,
        _ => format!("the upstream: {error}"),
    }
}

/// What is wrong with the upstream as a whole, if that is what an error says, and says for certain that it did nothing.
fn of_fault(error: &Error) -> Option<ChannelEvent> {
    let (after, reason) = match error {
        Error::Refused(Refusal::BalanceNotEnough) => {
            (UNTIL_MENDED, "the account at the upstream has no money left")
        }
        Error::Refused(Refusal::AccessTokenInvalid | Refusal::AccessTokenRequired) => {
            (UNTIL_MENDED, "the upstream does not know the token: it was mistyped, revoked or has expired")
        }
        Error::Refused(Refusal::IpNotAllowed) => {
            (UNTIL_MENDED, "the upstream does not take the token from this server's address")
        }
        Error::Refused(Refusal::ProxyRequired) => {
            (UNTIL_MENDED, "the upstream wants to be called through its proxy: base_url goes past it")
        }
        Error::Refused(Refusal::CallbackUrlInvalid) => (
            UNTIL_MENDED,
            "the upstream cannot call back below public_url: mend it, or set callbacks = false",
        ),
        Error::Refused(Refusal::UnknownMethod | Refusal::MethodNotAllowed) => {
            (UNTIL_MENDED, "base_url leads to no Gateway API")
        }
        Error::Refused(Refusal::Overloaded | Refusal::BodyTimeout) => {
            (SOON, "the upstream has too much to do")
        }
        Error::Connect(_) => (SOON, "the upstream cannot be reached"),
        Error::Http { status: 429, .. } => {
            (SOON, "the upstream answers with HTTP status 429: too many calls")
        }
        Error::Http { status, .. } if *status < 500 => {
            return Some(unavailable(
                UNTIL_MENDED,
                format!(
                    "the upstream answers with HTTP status {status}: base_url may lead to no Gateway API"
                ),
            ));
        }
        _ => return None,
    };
    Some(unavailable(after, reason.to_owned()))
}

/// A refusal's name. One that is not known is another's text: no more than a name's worth of it is kept.
fn name(refusal: &Refusal) -> String {
    let printable = |char: &char| char.is_ascii_uppercase() || char.is_ascii_digit() || *char == '_';
    refusal.name().chars().filter(printable).take(NAME_MAX_CHARS).collect()
}

fn uncertain(reason: &str) -> ChannelEvent {
    ChannelEvent::Uncertain { reason: reason.to_owned() }
}

fn unavailable(after: Duration, reason: String) -> ChannelEvent {
    ChannelEvent::Unavailable { after, reason }
}
