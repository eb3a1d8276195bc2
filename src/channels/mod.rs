//! Channels: how a code reaches a person. A channel never sees the database: it is handed a message, and says what
//! became of it.

pub mod sandbox;

use chappe_core::book::Job;
use chappe_core::command::{Reach, Route};
use chappe_core::text::ChannelName;
use chappe_core::{ChannelEvent, Mode, Phone, Time};
use std::sync::Arc;

/// The channels there are, and which numbers go through which.
#[derive(Clone, Debug)]
pub struct Channels {
    /// Where live messages go. Test messages always go to the sandbox.
    live: Live,
}

/// Where live messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Live {
    /// To the sandbox: for development and staging.
    Sandbox,
    /// Nowhere: no channel that reaches real people is set up, so every number is unreachable.
    None,
}

impl Channels {
    /// The channels of this configuration.
    pub fn new(live: Live) -> Channels {
        Channels { live }
    }

    /// Which channels a message to `phone` would go through. Asks nobody.
    pub fn route(&self, mode: Mode, phone: Phone) -> Route {
        match (mode, self.live) {
            (Mode::Test, _) | (Mode::Live, Live::Sandbox) => sandbox::route(phone),
            (Mode::Live, Live::None) => Route { hops: Arc::from([ChannelName::sandbox()]), reach: Reach::No },
        }
    }

    /// What a channel inside the house, which is the sandbox, says to a message: it depends on the message alone, and
    /// nothing outside is touched. `None` for a channel with a wire, which only the delivery worker may use.
    pub fn inside(job: &Job) -> Option<Vec<ChannelEvent>> {
        job.channel.is_sandbox().then(|| sandbox::deliver(job, job.asked_at))
    }

    /// Hands a message to its channel.
    pub fn deliver(&self, job: &Job, now: Time) -> Vec<ChannelEvent> {
        sandbox::deliver(job, now)
    }

    /// Asks a channel what became of a message.
    pub fn poll(&self, job: &Job) -> Vec<ChannelEvent> {
        sandbox::poll(job)
    }
}
