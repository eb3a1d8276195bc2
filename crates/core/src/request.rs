//! The life of a request: delivery, verification, and how far a channel has got with it.
//!
//! ```text
//! delivery       (none) ── send ──▶ sent ──▶ delivered ──▶ read
//!                                    ├──▶ expired   (ttl over, or no channel can: refunded)
//!                                    └──▶ revoked   (by the caller: not refunded)
//! verification   (none) ──▶ code_invalid* ──▶ code_valid | code_max_attempts_exceeded | expired
//! ```
//!
//! Delivered, read, expired and revoked are never left again, except delivered for read. Whatever a channel says after
//! that is written into the timeline and changes nothing.

use crate::code::{Code, CodeMac};
use crate::ids::{AccountId, RequestId, TokenId};
use crate::money::Money;
use crate::phone::{Country, Phone};
use crate::planted::{self, Bug};
use crate::route::Hop;
use crate::text::{ChannelName, Payload, Username};
use crate::time::Time;
use crate::timeline::{Event, What};
use crate::ttl::Ttl;
use std::sync::Arc;
use std::time::Duration;

/// Where a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Delivery {
    /// On its way.
    Sent,
    /// On the phone.
    Delivered,
    /// Opened.
    Read,
    /// Not delivered in time; refunded.
    Expired,
    /// Withdrawn by the caller before it was delivered.
    Revoked,
}

impl Delivery {
    /// Every status.
    pub const ALL: [Delivery; 5] =
        [Delivery::Sent, Delivery::Delivered, Delivery::Read, Delivery::Expired, Delivery::Revoked];

    /// The name on the wire and in rows.
    pub fn as_str(self) -> &'static str {
        match self {
            Delivery::Sent => "sent",
            Delivery::Delivered => "delivered",
            Delivery::Read => "read",
            Delivery::Expired => "expired",
            Delivery::Revoked => "revoked",
        }
    }

    /// The status with this name.
    pub fn parse(text: &str) -> Option<Delivery> {
        Delivery::ALL.into_iter().find(|delivery| delivery.as_str() == text)
    }
}

/// What is known of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verification {
    /// The right code was entered.
    Valid,
    /// The last code entered was wrong.
    Invalid,
    /// Too many wrong codes: no further one is judged.
    MaxAttemptsExceeded,
    /// The code is too old, or was withdrawn.
    Expired,
}

impl Verification {
    /// Every status.
    pub const ALL: [Verification; 4] = [
        Verification::Valid,
        Verification::Invalid,
        Verification::MaxAttemptsExceeded,
        Verification::Expired,
    ];

    /// The name on the wire and in rows.
    pub fn as_str(self) -> &'static str {
        match self {
            Verification::Valid => "code_valid",
            Verification::Invalid => "code_invalid",
            Verification::MaxAttemptsExceeded => "code_max_attempts_exceeded",
            Verification::Expired => "expired",
        }
    }

    /// The status with this name.
    pub fn parse(text: &str) -> Option<Verification> {
        Verification::ALL.into_iter().find(|verification| verification.as_str() == text)
    }
}

/// How far the current hop has got with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// To be handed to the hop's channel at this moment or after.
    Queued(Time),
    /// A worker is handing it over; if it is not heard of by this moment, it has died.
    Leased(Time),
    /// The channel has it. It is asked again at the given moment, if it wants to be.
    Accepted(Option<Time>),
    /// Nobody can say whether the channel has it: never handed over again by itself.
    Uncertain,
    /// The channel is to take it back, and is asked to, again at this moment if nothing is heard of it.
    Withdrawing(Time),
    /// Nothing more is to be done with it.
    Ended,
}

/// A message and its code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The channel username that it is sent from, if the caller named one.
    pub sender: Option<Username>,
    /// What the caller wants back.
    pub payload: Option<Payload>,
    /// Where reports go.
    pub callback_url: Option<Arc<str>>,
    /// How long delivery may take.
    pub ttl: Option<Ttl>,
    /// What entered codes are compared with.
    pub code_mac: CodeMac,
    /// The code itself, as long as a channel may still have to be given it.
    pub code: Option<Code>,
    /// When it was accepted from the caller.
    pub sent_at: Time,
    /// Where it is, and since when.
    pub delivery: Delivery,
    /// When `delivery` last changed.
    pub delivery_at: Time,
    /// When the code stops working.
    pub code_expires_at: Time,
    /// When the right code was first entered.
    pub verified_at: Option<Time>,
    /// The last verdict over an entered code, and when.
    pub last_check: Option<(Verification, Time)>,
    /// How many wrong codes were entered.
    pub attempts: u8,
    /// Which hop of the route has its turn, from 0.
    pub hop: u8,
    /// When the next hop gets its turn, unless delivery is confirmed before.
    pub hop_until: Option<Time>,
    /// How far that hop has got.
    pub progress: Progress,
    /// The hops that may still deliver it, though they are done with or nobody can say what they have: one bit each, the
    /// lowest for the first. None once it is no longer on its way.
    pub open_hops: u8,
    /// What the channel calls the message.
    pub channel_reference: Option<String>,
}

/// One request id: a question whether a number can be reached, a message, or first one and then the other. It costs
/// one fee at most, ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its id.
    pub id: RequestId,
    /// Whose it is.
    pub account: AccountId,
    /// The token that made it.
    pub token: TokenId,
    /// The number.
    pub phone: Phone,
    /// The number's country, for statistics.
    pub country: Country,
    /// When it was made.
    pub created_at: Time,
    /// The fee, as charged; zero if it was free.
    pub cost: Money,
    /// Whether the fee was given back.
    pub refunded: bool,
    /// Whether it began with checkSendAbility.
    pub ability_checked: bool,
    /// The hops to try, in order; never empty.
    pub route: Arc<[Hop]>,
    /// The message, once one was sent.
    pub message: Option<Message>,
    /// How many reports it has made.
    pub reports: u8,
    /// How many events its timeline already holds.
    pub events_stored: u16,
    /// Events that happened since it was loaded.
    pub fresh_events: Vec<Event>,
}

/// How long a right code may be repeated when the account wants codes to be good for one use.
const SINGLE_USE_GRACE: Duration = Duration::from_secs(30);

/// The most events that a timeline keeps. What comes after is not written down: a caller who checks a thousand wrong
/// codes shall not make a row of a megabyte.
pub const TIMELINE_MAX: u16 = 100;

impl Request {
    /// Writes into the timeline.
    pub fn log(&mut self, at: Time, what: What) {
        // The talk of channels leaves room for what it comes to.
        let talk = matches!(
            what,
            What::Postponed(..)
                | What::Accepted(_)
                | What::Unconfirmed(_)
                | What::Failed(..)
                | What::Uncertain(..)
                | What::LateConfirmation(_)
                | What::Withdrawn(_)
        );
        let most = if talk { TIMELINE_MAX - 20 } else { TIMELINE_MAX };
        if usize::from(self.events_stored) + self.fresh_events.len() < most.into() {
            self.fresh_events.push(Event { at, what });
        }
    }

    /// Notes that its fresh events were saved.
    pub fn mark_saved(&mut self) {
        self.events_stored += self.fresh_events.len() as u16;
        self.fresh_events.clear();
    }

    /// The channel whose turn it is, or that delivered the message.
    pub fn channel(&self) -> &ChannelName {
        &self.hop().channel
    }

    /// The hop whose turn it is.
    pub fn hop(&self) -> &Hop {
        let hop = self.message.as_ref().map_or(0, |message| usize::from(message.hop));
        let last = self.route.len().saturating_sub(1);
        #[allow(clippy::indexing_slicing)] // A route is never empty: Rules and rows see to it.
        &self.route[hop.min(last)]
    }

    /// Gives the current hop its turn, from now.
    pub fn start_hop(&mut self, now: Time) {
        let wait = self.hop().wait.filter(|_| self.has_next_hop());
        if let Some(message) = &mut self.message {
            message.hop_until = wait.map(|wait| now + wait);
        }
    }

    /// Whether another hop comes after the current one, and somebody could use what it delivers.
    pub fn may_fall_back(&self, now: Time) -> bool {
        self.has_next_hop() && self.message.as_ref().is_some_and(|message| message.is_of_use(now))
    }

    /// Whether another hop comes after the current one.
    pub fn has_next_hop(&self) -> bool {
        self.message.as_ref().is_some_and(|message| usize::from(message.hop) + 1 < self.route.len())
    }
}

impl Message {
    /// When the delivery expires, if nothing else happens: by its ttl; without one, an accepted message has no end,
    /// and one that no channel has taken ends with its code, since nobody could use it after.
    pub fn expires_at(&self) -> Option<Time> {
        let undelivered = self.delivery == Delivery::Sent;
        let untaken = matches!(self.progress, Progress::Queued(_) | Progress::Leased(_));
        match self.ttl {
            _ if !undelivered => None,
            Some(ttl) => Some(self.sent_at + ttl.duration()),
            None if untaken => Some(self.code_expires_at),
            None => None,
        }
    }

    /// Whether it makes sense to hand the message over once more: its code is still at hand, and somebody could use it.
    pub fn is_of_use(&self, now: Time) -> bool {
        self.code.is_some() && now < self.useful_until()
    }

    /// Until when somebody could use what the current hop delivers.
    pub fn hand_over_until(&self) -> Time {
        self.hop_until.map_or(self.useful_until(), |until| until.min(self.useful_until()))
    }

    fn useful_until(&self) -> Time {
        self.ttl.map_or(self.code_expires_at, |ttl| self.sent_at + ttl.duration())
    }

    /// When a worker must next look at the message.
    pub fn due_at(&self) -> Option<Time> {
        let turn = match self.progress {
            Progress::Queued(at) | Progress::Leased(at) | Progress::Withdrawing(at) => Some(at),
            Progress::Accepted(poll_at) => poll_at,
            Progress::Uncertain | Progress::Ended => None,
        };
        let next_hop_at = self.hop_until.filter(|_| self.delivery == Delivery::Sent);
        [turn, next_hop_at, self.expires_at()].into_iter().flatten().min()
    }

    /// The verification status at `now`, and since when; `None` as long as no code was entered and the code lives.
    pub fn verification(&self, now: Time) -> Option<(Verification, Time)> {
        match self.verified_at {
            Some(verified_at) => Some((Verification::Valid, verified_at)),
            None if now >= self.code_expires_at => Some((Verification::Expired, self.code_expires_at)),
            None => self.last_check,
        }
    }

    /// Judges an entered code. `locked` says that no attempt may be taken at all; `attempts_max` bounds the wrong ones.
    /// The verdict's time is that of the first right code for a right one.
    pub fn judge(&self, entered: CodeMac, rules: JudgeRules, now: Time) -> (Verification, Time) {
        let right = entered == self.code_mac;
        let used_up = rules.single_use
            && self.verified_at.is_some_and(|verified_at| now.since(verified_at) > SINGLE_USE_GRACE);
        if now >= self.code_expires_at {
            (Verification::Expired, self.code_expires_at)
        } else if rules.locked || self.attempts >= rules.attempts_max {
            let since = self.last_check.filter(|(verdict, _)| *verdict == Verification::MaxAttemptsExceeded);
            (Verification::MaxAttemptsExceeded, since.map_or(now, |(_, since)| since))
        } else if right && used_up {
            (Verification::Expired, now)
        } else if right {
            (Verification::Valid, self.verified_at.unwrap_or(now))
        } else {
            (Verification::Invalid, now)
        }
    }

    /// Notes that a hop may still deliver the message after its turn, or whatever becomes of its turn.
    pub fn open_hop(&mut self, hop: u8) {
        if self.delivery == Delivery::Sent {
            self.open_hops |= bit(hop);
        }
    }

    /// Notes that a hop will not deliver the message. Returns whether it might have.
    pub fn close_hop(&mut self, hop: u8) -> bool {
        let was_open = self.open_hops & bit(hop) != 0;
        self.open_hops &= !bit(hop);
        was_open
    }

    /// Its channel is to be asked again at `at`. Returns whether there is anything to ask.
    pub fn put_off(&mut self, at: Time, now: Time) -> bool {
        let of_use = self.delivery == Delivery::Sent && self.is_of_use(now);
        let progress = match self.progress {
            Progress::Queued(_) | Progress::Leased(_) | Progress::Uncertain if of_use => Progress::Queued(at),
            // What the channel has is not handed over again: it wants to be asked later.
            Progress::Accepted(_) => Progress::Accepted(Some(at)),
            Progress::Withdrawing(_) => Progress::Withdrawing(at),
            Progress::Queued(_) | Progress::Leased(_) | Progress::Uncertain | Progress::Ended => {
                return false;
            }
        };
        self.progress = progress;
        true
    }

    /// A channel says that the message is on the phone, or was opened there. Returns whether that changed anything.
    /// The code lives on for `code_life` from its delivery.
    pub fn confirm(&mut self, read: bool, code_life: Duration, now: Time) -> bool {
        let reached = if read { Delivery::Read } else { Delivery::Delivered };
        let first = self.delivery == Delivery::Sent
            || (planted::is(Bug::DeliveredAfterRefund) && self.delivery == Delivery::Expired);
        let opened = self.delivery == Delivery::Delivered && read;
        if !first && !opened {
            return false;
        }
        if first {
            self.code_expires_at = now + code_life;
        }
        self.open_hops = 0;
        self.delivery = reached;
        self.delivery_at = now;
        true
    }

    /// The message did not and will not arrive. Returns whether that changed anything.
    pub fn expire(&mut self, now: Time) -> bool {
        let open = self.delivery == Delivery::Sent
            || (planted::is(Bug::RefundAfterDelivery) && self.delivery == Delivery::Delivered);
        open && {
            self.end(Delivery::Expired, now);
            true
        }
    }

    /// Whether there is nothing left to withdraw: the delivery came to its end without arriving, or the message arrived
    /// and its code is dead.
    pub fn is_over(&self, now: Time) -> bool {
        match self.delivery {
            Delivery::Sent => false,
            Delivery::Delivered | Delivery::Read => now >= self.code_expires_at,
            Delivery::Expired | Delivery::Revoked => true,
        }
    }

    /// The caller withdraws the message. Returns whether its delivery status changed; the code stops working either way.
    pub fn revoke(&mut self, now: Time) -> bool {
        let open = self.delivery == Delivery::Sent
            || (planted::is(Bug::RevokedAfterDelivery) && self.delivery == Delivery::Delivered);
        if open {
            self.end(Delivery::Revoked, now);
        } else if self.verified_at.is_none() && !planted::is(Bug::CodeOutlivesRevocation) {
            self.code_expires_at = self.code_expires_at.min(now);
        }
        open
    }

    fn end(&mut self, delivery: Delivery, now: Time) {
        self.delivery = delivery;
        self.delivery_at = now;
        self.progress = Progress::Ended;
        self.hop_until = None;
        self.open_hops = 0;
        // A revoked code that was right before stays right for its life; none outlives an expired delivery.
        if self.verified_at.is_none() || delivery == Delivery::Expired {
            self.code_expires_at = self.code_expires_at.min(now);
        }
    }
}

/// The bit of a hop; none for one that no route has.
fn bit(hop: u8) -> u8 {
    1_u8.checked_shl(hop.into()).unwrap_or(0)
}

/// What judging a code depends on beside the message.
#[derive(Clone, Copy, Debug)]
pub struct JudgeRules {
    /// How many wrong codes are taken for one request.
    pub attempts_max: u8,
    /// No code is judged: too many wrong ones for this number, or a magic number that asks for it.
    pub locked: bool,
    /// A right code is good for one use.
    pub single_use: bool,
}
