//! The sandbox: the built-in phone. It needs no state of its own, for what it holds is the request rows: a message is
//! on the phone as long as its row keeps the code.
//!
//! Magic numbers make it behave as real channels do on bad days. Everything they cause comes as the same events that a
//! real channel would send.

use chappe_core::book::Job;
use chappe_core::route::{Reach, Route};
use chappe_core::text::ChannelName;
use chappe_core::{ChannelEvent, Hop, Magic, Phone, Time};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// The magic numbers and what they do, for people.
pub const MAGIC: [(&str, &str); 10] = [
    ("+99966 0 0001", "delivered at once"),
    ("+99966 1 0001", "delivered, and read a second later"),
    ("+99966 2 0001", "unreachable: PHONE_NUMBER_NOT_AVAILABLE"),
    ("+99966 3 0001", "accepted, never delivered: expires at its ttl and is refunded"),
    ("+99966 4 0001", "delivered after 10 seconds"),
    ("+99966 5 0001", "FLOOD_WAIT_5"),
    ("+99966 6 0001", "the first hop fails, the next delivers"),
    ("+99966 7 0001", "every code check answers code_max_attempts_exceeded"),
    ("+99966 8 0001", "delivery events come doubled and out of order"),
    ("+99966 9 0001", "accepted, with an uncertain outcome"),
];

const READ_AFTER: Duration = Duration::from_secs(1);
const LATE_BY: Duration = Duration::from_secs(10);

static ONE_HOP: LazyLock<Arc<[Hop]>> = LazyLock::new(|| [ChannelName::sandbox().into()].into());
static TWO_HOPS: LazyLock<Arc<[Hop]>> =
    LazyLock::new(|| [ChannelName::sandbox().into(), ChannelName::sandbox().into()].into());
static NO_CHANNELS: LazyLock<Arc<[ChannelName]>> = LazyLock::new(Arc::default);

/// The sandbox as the only hop of a route.
pub fn hop() -> Arc<[Hop]> {
    Arc::clone(&ONE_HOP)
}

/// The route of a number within the sandbox.
pub fn route(phone: Phone) -> Route {
    let magic = phone.magic();
    let reach = match magic {
        Some(Magic::Unreachable) => Reach::No,
        Some(Magic::Flood) => Reach::Wait(5),
        _ => Reach::Yes,
    };
    // Only where the first hop is to fail is there a second one: elsewhere a failure is the end.
    let hops = if magic == Some(Magic::Fallback) { &TWO_HOPS } else { &ONE_HOP };
    Route { hops: Arc::clone(hops), subscribers_only: Arc::clone(&NO_CHANNELS), reach }
}

/// What happens when a message is handed to the phone.
pub fn deliver(job: &Job, now: Time) -> Vec<ChannelEvent> {
    use ChannelEvent::{Delivered, Read};
    match job.phone.magic() {
        None | Some(Magic::Delivered | Magic::Unreachable | Magic::Flood | Magic::Locked) => {
            vec![accepted(None), Delivered]
        }
        Some(Magic::Read) => vec![accepted(Some(now + READ_AFTER)), Delivered],
        Some(Magic::Undelivered) => vec![accepted(None)],
        Some(Magic::Late) => vec![accepted(Some(now + LATE_BY))],
        Some(Magic::Fallback) if job.hop == 0 => {
            vec![ChannelEvent::Failed { reason: "this magic number fails on its first hop".to_owned() }]
        }
        Some(Magic::Fallback) => vec![accepted(None), Delivered],
        Some(Magic::Unordered) => vec![Read, Delivered, accepted(None), Read, Delivered],
        Some(Magic::Uncertain) => {
            let reason = "this magic number hides its outcome".to_owned();
            vec![accepted(None), ChannelEvent::Uncertain { reason }]
        }
    }
}

/// What the phone says when it is asked again.
pub fn poll(job: &Job) -> Vec<ChannelEvent> {
    let news =
        if job.phone.magic() == Some(Magic::Read) { ChannelEvent::Read } else { ChannelEvent::Delivered };
    vec![accepted(None), news]
}

/// The text as the phone shows it.
pub fn text(code: &str) -> String {
    format!("{code} is your verification code. Do not share it with anyone.")
}

fn accepted(poll_at: Option<Time>) -> ChannelEvent {
    ChannelEvent::Accepted { reference: None, poll_at }
}

/// Keeps [`MAGIC`] honest about the numbers it names.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_magic_number_is_explained_in_its_place() {
        let ways: Vec<_> = MAGIC
            .iter()
            .map(|(number, _)| Phone::parse(&number.replace(' ', "")).unwrap().magic().unwrap())
            .collect();
        assert_eq!(ways.first(), Some(&Magic::Delivered));
        assert_eq!(ways.last(), Some(&Magic::Uncertain));
        assert!(ways.windows(2).all(|pair| pair[0] != pair[1]));
        assert_eq!(
            route(Phone::parse("+9996660001").unwrap()).hops.len(),
            2,
            "only here is there a hop to fall back to"
        );
    }
}
