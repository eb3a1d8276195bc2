//! What channels say, and where that leaves a message.

use super::{Gate, START};
use chappe_core::request::Progress;
use chappe_core::{ChannelEvent, RequestId, Time};
use std::time::Duration;

/// A channel has taken a message over, is to be asked for it so many seconds after [`START`], and calls it so.
pub(crate) fn accepted(reference: Option<&str>, poll_at: Option<u64>) -> ChannelEvent {
    let poll_at = poll_at.map(|secs| START + Duration::from_secs(secs));
    ChannelEvent::Accepted { reference: reference.map(str::to_owned), poll_at }
}

pub(crate) fn busy(secs: u64) -> ChannelEvent {
    ChannelEvent::Busy { after: Duration::from_secs(secs) }
}

pub(crate) fn postponed(secs: u64) -> ChannelEvent {
    ChannelEvent::Postponed { after: Duration::from_secs(secs), reason: "throttled".to_owned() }
}

pub(crate) fn unavailable(secs: u64) -> ChannelEvent {
    ChannelEvent::Unavailable { after: Duration::from_secs(secs), reason: "503".to_owned() }
}

pub(crate) fn uncertain() -> ChannelEvent {
    ChannelEvent::Uncertain { reason: "connection lost".to_owned() }
}

pub(crate) fn failed() -> ChannelEvent {
    ChannelEvent::Failed { reason: "no such subscriber".to_owned() }
}

/// When a worker must next look at a message, in seconds after sending.
pub(crate) fn due_at(gate: &Gate, id: RequestId) -> Option<u64> {
    let message = gate.store.requests[&id].message.as_ref().unwrap();
    message.due_at().map(|at| at.since(START).as_secs())
}

/// How far the current hop has got; moments are seconds after sending.
pub(crate) fn progress(gate: &Gate, id: RequestId) -> String {
    let secs = |at: Time| at.since(START).as_secs();
    match gate.store.requests[&id].message.as_ref().unwrap().progress {
        Progress::Queued(at) => format!("queued {}", secs(at)),
        Progress::Leased(at) => format!("leased {}", secs(at)),
        Progress::Accepted(None) => "accepted".to_owned(),
        Progress::Accepted(Some(at)) => format!("accepted {}", secs(at)),
        Progress::Withdrawing(at) => format!("withdrawing {}", secs(at)),
        Progress::Uncertain => "uncertain".to_owned(),
        Progress::Ended => "ended".to_owned(),
    }
}
