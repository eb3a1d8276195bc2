//! The auditor's book of one message: the dates of what happened to it, from which every status is read off when it is
//! asked for. Where the rules change a state, this looks at the past.

use crate::call::{Call, caller};
use crate::cast::{ATTEMPTS_MAX, CODE_LIFE, GRACE, LEASE, RECALL};
use crate::operation::Wish;
use chappe_core::Hop;
use chappe_core::{ChannelEvent, Delivery, Time, TokenId, Verification};
use std::collections::BTreeSet;
use std::time::Duration;

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Letter {
    pub(crate) sent: Time,
    pub(crate) ttl: Option<Duration>,
    pub(crate) callback: Option<&'static str>,
    pub(crate) payload: Option<&'static str>,
    /// `None` as long as the gateway drew it and nobody has looked at the phone.
    pub(crate) code: Option<String>,
    /// The token that sent it.
    pub(crate) token: TokenId,
    pub(crate) hops: Vec<Hop>,
    pub(crate) hop: usize,
    /// When that hop got its turn, as long as the turn will end by itself.
    turn: Option<Time>,
    pub(crate) holder: Holder,
    /// The hops that may deliver it though they are done with, or nobody knows what they have.
    hopes: BTreeSet<usize>,
    /// What that hop's channel calls it.
    pub(crate) name: Option<String>,
    /// What channels have ever called it, by hop.
    names: BTreeSet<(usize, String)>,
    delivered: Option<Time>,
    read: Option<Time>,
    given_up: Option<Time>,
    withdrawn: Option<Time>,
    /// When its code was made worthless, if it was.
    voided: Option<Time>,
    proved: Option<Time>,
    /// Whether its code was wiped.
    forgotten: bool,
    verdicts: Vec<(Verification, Time)>,
}

/// Who has a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Holder {
    /// A worker may take it from this moment on.
    Queue(Time),
    /// A worker has it until this moment.
    Worker(Time),
    /// A channel has it, and is asked again at this moment.
    Channel(Option<Time>),
    /// Its channel is asked to give it back, at this moment again.
    Recall(Time),
    /// Perhaps a channel has it.
    Unknown,
    Nobody,
}

/// What hearing of a message, or looking at it, leads to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Consequence {
    None,
    /// It must be handed to the current hop.
    HandOver,
    /// Its channel must be asked.
    Ask,
    /// It must be taken back from this hop's channel.
    TakeBack(usize),
    /// It will not arrive: the fee goes back.
    GiveUp,
    /// Its delivery status changed.
    Tell,
}

impl Letter {
    pub(crate) fn new(call: &Call, wish: &Wish, hops: Vec<Hop>) -> Letter {
        let sent = call.now;
        Letter {
            sent,
            ttl: wish.ttl_s.map(|secs| Duration::from_secs(secs.into())),
            callback: wish.callback,
            payload: wish.payload,
            code: wish.code(call.way).map(str::to_owned),
            token: caller(call.who, call.token).token,
            hops,
            hop: 0,
            turn: Some(sent),
            holder: Holder::Worker(sent + LEASE),
            hopes: BTreeSet::new(),
            name: None,
            names: BTreeSet::new(),
            delivered: None,
            read: None,
            given_up: None,
            withdrawn: None,
            voided: None,
            proved: None,
            forgotten: false,
            verdicts: Vec::new(),
        }
    }

    pub(crate) fn status(&self) -> (Delivery, Time) {
        let dates = [
            (Delivery::Revoked, self.withdrawn),
            (Delivery::Expired, self.given_up),
            (Delivery::Read, self.read),
            (Delivery::Delivered, self.delivered),
        ];
        let reached = dates.into_iter().find_map(|(status, at)| Some((status, at?)));
        reached.unwrap_or((Delivery::Sent, self.sent))
    }

    pub(crate) fn is(&self, status: Delivery) -> bool {
        self.status().0 == status
    }

    /// When the code stops working: ten minutes from its arrival or, as long as that is not heard of, its sending.
    fn code_end(&self) -> Time {
        let end = self.delivered.or(self.read).unwrap_or(self.sent) + CODE_LIFE;
        self.voided.map_or(end, |voided| voided.min(end))
    }

    /// When its delivery is given up.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let untaken = matches!(self.holder, Holder::Queue(_) | Holder::Worker(_));
        match self.ttl {
            _ if !self.is(Delivery::Sent) => None,
            Some(ttl) => Some(self.sent + ttl),
            // Nobody could use it after its code has died; but a channel that has it may deliver it at any time.
            None => untaken.then(|| self.code_end()),
        }
    }

    /// When somebody must look at it.
    pub(crate) fn due(&self) -> Option<Time> {
        let turn = match self.holder {
            Holder::Queue(at) | Holder::Worker(at) | Holder::Recall(at) => Some(at),
            Holder::Channel(ask) => ask,
            Holder::Unknown | Holder::Nobody => None,
        };
        [turn, self.turn_end(), self.deadline()].into_iter().flatten().min()
    }

    /// When the current hop has had its turn, if another is to have one then.
    fn turn_end(&self) -> Option<Time> {
        let end = self.turn? + self.hops[self.hop].wait?;
        (self.is(Delivery::Sent) && self.hop + 1 < self.hops.len()).then_some(end)
    }

    /// Whether the channel of this hop has called it so.
    pub(crate) fn is_called(&self, hop: usize, name: &str) -> bool {
        self.names.contains(&(hop, name.to_owned()))
    }

    /// Until when its channel may deliver it.
    pub(crate) fn until(&self) -> Time {
        self.turn_end().map_or(self.use_end(), |end| end.min(self.use_end()))
    }

    /// Until when somebody could use it.
    fn use_end(&self) -> Time {
        self.ttl.map_or(self.code_end(), |ttl| self.sent + ttl)
    }

    /// What a caller sees of its code.
    pub(crate) fn verification(&self, now: Time) -> Option<(Verification, Time)> {
        match self.proved {
            Some(proved) => Some((Verification::Valid, proved)),
            None if now >= self.code_end() => Some((Verification::Expired, self.code_end())),
            None => self.verdicts.last().copied(),
        }
    }

    /// Judges a code. `locked`: no more may be tried at its number.
    pub(crate) fn judge(
        &mut self,
        code: &str,
        locked: bool,
        single_use: bool,
        now: Time,
    ) -> (Verification, Time) {
        let wrong = self.verdicts.iter().filter(|(verdict, _)| *verdict == Verification::Invalid).count();
        if now >= self.code_end() {
            return (Verification::Expired, self.code_end());
        }
        if locked || wrong >= ATTEMPTS_MAX {
            if self.verdicts.last().map(|last| last.0) != Some(Verification::MaxAttemptsExceeded) {
                self.verdicts.push((Verification::MaxAttemptsExceeded, now));
            }
            return self.verdicts.last().copied().unwrap_or((Verification::MaxAttemptsExceeded, now));
        }
        if self.code.as_deref() != Some(code) {
            self.verdicts.push((Verification::Invalid, now));
            return (Verification::Invalid, now);
        }
        match self.proved {
            Some(proved) if single_use && now > proved + GRACE => (Verification::Expired, now),
            Some(proved) => (Verification::Valid, proved),
            None => {
                self.proved = Some(now);
                self.verdicts.push((Verification::Valid, now));
                (Verification::Valid, now)
            }
        }
    }

    /// The caller withdraws it.
    pub(crate) fn withdraw(&mut self, now: Time) -> Consequence {
        let (open, alive) = (self.is(Delivery::Sent), now < self.code_end());
        let arrived = self.is(Delivery::Delivered) || self.is(Delivery::Read);
        self.void(now);
        if open {
            self.withdrawn = Some(now);
            self.holder = Holder::Nobody;
        }
        if open || (arrived && alive) { self.recall(now) } else { Consequence::None }
    }

    /// Its channel is asked to give it back, if it has a name for it. The sandbox is the phone: it shows what became of
    /// a message.
    pub(crate) fn recall(&mut self, now: Time) -> Consequence {
        if self.name.is_none() || self.hops[self.hop].channel.is_sandbox() {
            return Consequence::None;
        }
        self.holder = Holder::Recall(now + LEASE);
        Consequence::TakeBack(self.hop)
    }

    /// It did not arrive, and will not.
    pub(crate) fn give_up(&mut self, now: Time) {
        // A code that was right before dies with its message all the same, unlike one that is withdrawn.
        self.voided.get_or_insert(now);
        self.given_up = Some(now);
        self.holder = Holder::Nobody;
    }

    /// A hop of its route says something.
    pub(crate) fn hear(&mut self, hop: usize, event: &ChannelEvent, now: Time) -> Consequence {
        if hop >= self.hops.len() {
            return Consequence::None;
        }
        let open = self.is(Delivery::Sent);
        let over = self.is(Delivery::Expired) || self.is(Delivery::Revoked);
        let current = hop == self.hop;
        let falls_back = current && open && hop + 1 < self.hops.len() && self.is_of_use(now);
        let untaken = matches!(self.holder, Holder::Queue(_) | Holder::Worker(_));
        if let ChannelEvent::Accepted { reference: Some(name), .. } = event {
            self.names.insert((hop, name.clone()));
        }
        if matches!(event, ChannelEvent::Accepted { .. }) && hop < self.hop {
            self.hopes.insert(hop);
        }
        let hoped = matches!(event, ChannelEvent::Failed { .. }) && self.hopes.remove(&hop);
        let recalled = current && matches!(self.holder, Holder::Recall(_));
        match event {
            ChannelEvent::Accepted { reference, .. } if over && !current => {
                let named = reference.is_some() && !self.hops[hop].channel.is_sandbox();
                return if named { Consequence::TakeBack(hop) } else { Consequence::None };
            }
            ChannelEvent::Accepted { reference, poll_at } if current => {
                self.name = reference.clone().or(self.name.take());
                if over {
                    return self.recall(now);
                }
                if !recalled {
                    self.holder = Holder::Channel(*poll_at);
                }
                if open {
                    self.forget();
                }
            }
            ChannelEvent::Unavailable { .. } if falls_back && untaken => return self.next_hop(now),
            ChannelEvent::Busy { after }
            | ChannelEvent::Postponed { after, .. }
            | ChannelEvent::Unavailable { after, .. }
                if current =>
            {
                self.holder = match self.holder {
                    Holder::Channel(_) => Holder::Channel(Some(now + *after)),
                    Holder::Recall(_) => Holder::Recall(now + *after),
                    _ if open && self.is_of_use(now) => Holder::Queue(now + *after),
                    holder => holder,
                }
            }
            ChannelEvent::Withdrawn | ChannelEvent::Failed { .. } if recalled => self.holder = Holder::Nobody,
            ChannelEvent::Uncertain { .. } if current && open => self.lose_sight(),
            ChannelEvent::Failed { .. } if falls_back => return self.next_hop(now),
            ChannelEvent::Failed { .. } if current && open => {
                // Nothing is where it could be taken back from.
                self.name = None;
                if self.hopes.is_empty() {
                    return Consequence::GiveUp;
                }
                // Another hop may have it on the phone before long.
                (self.holder, self.turn) = (Holder::Unknown, None);
                self.forgotten |= !self.hops[self.hop].channel.is_sandbox();
            }
            ChannelEvent::Failed { .. }
                if open && hoped && self.hopes.is_empty() && self.holder == Holder::Unknown =>
            {
                return Consequence::GiveUp;
            }
            ChannelEvent::Delivered if open => return self.arrive(hop, false, now),
            ChannelEvent::Read if open || self.is(Delivery::Delivered) => {
                return self.arrive(hop, true, now);
            }
            _ => {}
        }
        Consequence::None
    }

    /// Its code is wiped once no channel will be given it any more. The sandbox keeps it: it is the phone.
    fn forget(&mut self) {
        self.forgotten |= self.hop + 1 == self.hops.len() && !self.hops[self.hop].channel.is_sandbox();
    }

    /// Nobody can say whether the current hop has it.
    fn lose_sight(&mut self) {
        self.holder = Holder::Unknown;
        self.hopes.insert(self.hop);
        self.forget();
    }

    /// Whether it makes sense to hand it over once more: its code is still held here, and somebody could use it.
    fn is_of_use(&self, now: Time) -> bool {
        !self.forgotten && now < self.use_end()
    }

    fn next_hop(&mut self, now: Time) -> Consequence {
        (self.hop, self.turn, self.name) = (self.hop + 1, Some(now), None);
        self.hand_over(now)
    }

    fn arrive(&mut self, hop: usize, read: bool, now: Time) -> Consequence {
        // What is to be given back is asked back from whom it was asked before.
        if !matches!(self.holder, Holder::Recall(_)) {
            if read || hop != self.hop || !matches!(self.holder, Holder::Channel(_)) {
                self.holder = Holder::Nobody;
            }
            if hop != self.hop {
                (self.hop, self.name) = (hop, None);
            }
        }
        let date = if read { &mut self.read } else { &mut self.delivered };
        *date = Some(now);
        Consequence::Tell
    }

    /// Somebody looks at it because its moment has come.
    pub(crate) fn look(&mut self, may_expire: bool, now: Time) -> Consequence {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            return if may_expire { Consequence::GiveUp } else { Consequence::None };
        }
        if may_expire && self.turn_end().is_some_and(|end| end <= now) {
            if self.is_of_use(now) {
                if !matches!(self.holder, Holder::Queue(_)) {
                    self.hopes.insert(self.hop);
                }
                return self.next_hop(now);
            }
            self.turn = None;
            return Consequence::None;
        }
        match self.holder {
            Holder::Recall(again) if again <= now => {
                if now > self.sent + RECALL {
                    self.holder = Holder::Nobody;
                    return Consequence::None;
                }
                self.recall(now)
            }
            Holder::Queue(from) if from <= now => self.hand_over(now),
            Holder::Worker(until) if until <= now => {
                // Only the sandbox does no harm when it is told twice.
                if self.hops[self.hop].channel.is_sandbox() {
                    return self.hand_over(now);
                }
                self.lose_sight();
                Consequence::None
            }
            Holder::Channel(Some(ask)) if ask <= now => {
                self.holder = Holder::Channel(Some(now + LEASE));
                Consequence::Ask
            }
            _ => Consequence::None,
        }
    }

    fn hand_over(&mut self, now: Time) -> Consequence {
        self.holder = Holder::Worker(now + LEASE);
        Consequence::HandOver
    }

    /// The server starts: whichever worker had it is gone.
    pub(crate) fn restart(&mut self, now: Time) {
        if let Holder::Worker(until) = &mut self.holder {
            *until = now.min(*until);
        }
    }

    fn void(&mut self, now: Time) {
        if self.proved.is_none() {
            self.voided = Some(self.voided.map_or(now, |voided| voided.min(now)));
        }
    }
}
