//! The gate before a channel: how many messages it is handed at once and how fast, and whether it is in order at all.
//!
//! A channel that keeps failing is left alone for a while (a circuit breaker): messages that have another hop take that,
//! the others wait. After the while a single message tries it again.

use chappe_core::Time;
use chappe_core::text::ChannelName;
use serde::Deserialize;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The most messages that a channel may be handed at the same time.
pub const CONCURRENCY_MAX: u32 = 1_000;
/// So many faults one after the other close the gate.
const FAULTS_MAX: u32 = 5;
/// For how long it is closed at first; each further fault doubles that.
const CLOSED_FIRST: Duration = Duration::from_secs(5);
/// The longest that it is closed.
const CLOSED_MAX: Duration = Duration::from_secs(300);
/// How long others wait while one message tries whether the channel is in order again.
const TRIAL_WAIT: Duration = Duration::from_secs(1);
/// How long a hand-over is taken to last before the first was measured.
const FIRST_GUESS: Duration = Duration::from_millis(100);

/// How much a channel is given at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pace {
    /// How many messages are handed over at the same time.
    pub concurrency: NonZeroU32,
    /// How many messages are handed over in a second; `None` for as many as it takes.
    pub per_second: Option<NonZeroU32>,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { concurrency: NonZeroU32::MIN.saturating_add(31), per_second: None }
    }
}

impl Pace {
    /// How long after a message the next one may be handed over.
    fn interval(self) -> Duration {
        self.per_second.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate.get())
    }
}

/// The gate of one channel.
#[derive(Debug)]
pub struct Gate {
    channel: ChannelName,
    pace: Pace,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// How many messages the channel has in its hands.
    inside: u32,
    /// How long a hand-over lasts, lately.
    lasts: Duration,
    /// When the next message may go in.
    next_at: Time,
    /// When the next message that is sent away may come again.
    promised: Time,
    /// How many faults there were since the last thing that went well.
    faults: u32,
    closed: Option<Closed>,
    /// The last fault, whatever went well since.
    last_fault: Option<(Time, String)>,
    /// When the channel last did what it is there for.
    last_well: Option<Time>,
}

/// How a channel does, as far as this server knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// How many messages it has in its hands.
    pub inside: u32,
    /// Until when it is left alone, and why.
    pub closed: Option<(Time, String)>,
    /// The last fault since the server began, and when.
    pub last_fault: Option<(Time, String)>,
    /// When it last did what it is there for.
    pub last_well: Option<Time>,
}

#[derive(Clone, Debug)]
struct Closed {
    until: Time,
    reason: String,
}

/// Whether a message may go to its channel now.
#[derive(Debug)]
pub enum Admission {
    /// It may. The pass is held while the channel has it in its hands.
    Go(Pass),
    /// The channel has its hands full: again after this.
    Later(Duration),
    /// The channel is out of order.
    Unwell {
        /// Again after this.
        after: Duration,
        /// What is wrong with it.
        reason: String,
    },
}

/// Leave to hand over one message.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Gate>,
    since: Time,
    done: bool,
}

impl Gate {
    /// An open gate before this channel.
    pub fn new(channel: ChannelName, pace: Pace) -> Arc<Gate> {
        let state = State {
            inside: 0,
            lasts: FIRST_GUESS,
            next_at: Time::from_micros(0),
            promised: Time::from_micros(0),
            faults: 0,
            closed: None,
            last_fault: None,
            last_well: None,
        };
        Arc::new(Gate { channel, pace, state: Mutex::new(state) })
    }

    /// Asks for leave to hand over one message.
    pub fn admit(self: &Arc<Gate>, now: Time) -> Admission {
        let mut state = self.state();
        if let Some(Closed { until, reason }) = state.closed.clone() {
            // Once the time is over, a single message tries.
            if now < until || state.inside > 0 {
                let after = until.since(now).max(TRIAL_WAIT);
                return Admission::Unwell { after, reason };
            }
        }
        let full = state.inside >= self.pace.concurrency.get();
        if full || now < state.next_at {
            return Admission::Later(state.promise(self.pace, now));
        }
        state.inside += 1;
        state.next_at = now + self.pace.interval();
        Admission::Go(Pass { gate: self.clone(), since: now, done: false })
    }

    /// How the channel does.
    pub fn health(&self, now: Time) -> Health {
        let state = self.state();
        let closed = state.closed.as_ref().filter(|closed| now < closed.until);
        Health {
            inside: state.inside,
            closed: closed.map(|closed| (closed.until, closed.reason.clone())),
            last_fault: state.last_fault.clone(),
            last_well: state.last_well,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Sends a message away, each to a time of its own, as far apart as the channel can take them.
    fn promise(&mut self, pace: Pace, now: Time) -> Duration {
        let by_hands = self.lasts / pace.concurrency.get();
        let apart = pace.interval().max(by_hands).max(Duration::from_micros(100));
        self.promised = self.promised.max(self.next_at).max(now) + apart;
        self.promised.since(now)
    }
}

impl Pass {
    /// The channel did what it is there for, whatever it said of the message.
    pub fn well(mut self, now: Time) {
        let was_closed = self.leave(now, |state| {
            state.faults = 0;
            state.last_well = Some(now);
            state.closed.take().is_some()
        });
        if was_closed {
            tracing::info!(channel = %self.gate.channel, "the channel is in order again");
        }
    }

    /// The channel failed, and wants to be left alone for `pause` at least. Returns for how long it is.
    pub fn unwell(mut self, now: Time, pause: Duration, reason: &str) -> Duration {
        self.leave(now, |state| {
            state.faults = state.faults.saturating_add(1);
            let doublings = state.faults.checked_sub(FAULTS_MAX);
            let longer = doublings.map_or(Duration::ZERO, |times| CLOSED_FIRST * (1 << times.min(6)));
            let closed_for = pause.max(longer.min(CLOSED_MAX));
            let until = state.closed.as_ref().map_or(now, |closed| closed.until).max(now + closed_for);
            state.closed = Some(Closed { until, reason: reason.to_owned() });
            state.last_fault = Some((now, reason.to_owned()));
            closed_for
        })
    }

    fn leave<T>(&mut self, now: Time, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.gate.state();
        state.inside = state.inside.saturating_sub(1);
        state.lasts = (state.lasts * 7 + now.since(self.since)) / 8;
        self.done = true;
        change(&mut state)
    }
}

/// A hand-over that came to nothing, because its task ended, still leaves its place.
impl Drop for Pass {
    fn drop(&mut self) {
        if !self.done {
            let mut state = self.gate.state();
            state.inside = state.inside.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_secs(1_000) + Duration::from_millis(millis)
    }

    fn gate(concurrency: u32, per_second: Option<u32>) -> Arc<Gate> {
        let per_second = per_second.and_then(NonZeroU32::new);
        Gate::new(
            ChannelName::sandbox(),
            Pace { concurrency: NonZeroU32::new(concurrency).unwrap(), per_second },
        )
    }

    fn pass(gate: &Arc<Gate>, now: Time) -> Pass {
        match gate.admit(now) {
            Admission::Go(pass) => pass,
            other => panic!("not let in: {other:?}"),
        }
    }

    fn later(gate: &Arc<Gate>, now: Time) -> Duration {
        match gate.admit(now) {
            Admission::Later(after) => after,
            other => panic!("not sent away: {other:?}"),
        }
    }

    fn unwell(gate: &Arc<Gate>, now: Time) -> (Duration, String) {
        match gate.admit(now) {
            Admission::Unwell { after, reason } => (after, reason),
            other => panic!("not out of order: {other:?}"),
        }
    }

    #[test]
    fn only_so_many_are_inside_at_once() {
        let gate = gate(2, None);
        let (one, two) = (pass(&gate, at(0)), pass(&gate, at(0)));
        let (first, second) = (later(&gate, at(0)), later(&gate, at(0)));
        assert!(first < second, "each is sent to a time of its own");
        one.well(at(10));
        let three = pass(&gate, at(10));
        later(&gate, at(10));
        drop(two);
        pass(&gate, at(11)).well(at(11));
        three.well(at(12));
    }

    #[test]
    fn only_so_many_go_in_within_a_second() {
        let gate = gate(100, Some(10));
        let mut passes = Vec::new();
        let mut sent_away = 0;
        for millis in 0..1_000 {
            match gate.admit(at(millis)) {
                Admission::Go(pass) => passes.push(pass),
                Admission::Later(_) => sent_away += 1,
                Admission::Unwell { .. } => panic!("it is in order"),
            }
        }
        assert_eq!((passes.len(), sent_away), (10, 990));
    }

    #[test]
    fn whoever_is_sent_away_comes_as_fast_as_the_channel_can_take() {
        let gate = gate(100, Some(10));
        let _first = pass(&gate, at(0));
        let sent_away: Vec<_> = (0..50).map(|_| later(&gate, at(0))).collect();
        assert_eq!(sent_away.last(), Some(&Duration::from_millis(5_100)));
    }

    #[test]
    fn faults_in_a_row_close_it_for_longer_each_time() {
        let gate = gate(10, None);
        let second = Duration::from_secs(1);
        for fault in 0..4 {
            assert_eq!(pass(&gate, at(fault * 1_000)).unwell(at(fault * 1_000), second, "refused"), second);
        }
        assert_eq!(pass(&gate, at(4_000)).unwell(at(4_000), second, "refused"), Duration::from_secs(5));
        assert_eq!(unwell(&gate, at(4_500)), (Duration::from_millis(4_500), "refused".to_owned()));
        assert_eq!(pass(&gate, at(9_000)).unwell(at(9_000), second, "refused"), Duration::from_secs(10));
        // One tries, the others wait for what comes of it.
        let trial = pass(&gate, at(19_000));
        unwell(&gate, at(19_000));
        trial.well(at(19_100));
        pass(&gate, at(19_100)).unwell(at(19_100), second, "once more");
        assert_eq!(unwell(&gate, at(19_100)).0, second, "the count began anew");
    }

    #[test]
    fn the_last_fault_is_remembered_when_all_is_well_again() {
        let gate = gate(10, None);
        let fresh = Health { inside: 0, closed: None, last_fault: None, last_well: None };
        assert_eq!(gate.health(at(0)), fresh);
        pass(&gate, at(0)).unwell(at(0), Duration::from_secs(1), "refused");
        let fault = Some((at(0), "refused".to_owned()));
        let closed = Some((at(1_000), "refused".to_owned()));
        assert_eq!(gate.health(at(500)), Health { closed, last_fault: fault.clone(), ..fresh.clone() });
        let trial = pass(&gate, at(1_000));
        assert_eq!(gate.health(at(1_000)), Health { inside: 1, last_fault: fault.clone(), ..fresh.clone() });
        trial.well(at(1_100));
        let last_well = Some(at(1_100));
        assert_eq!(gate.health(at(1_100)), Health { last_fault: fault, last_well, ..fresh });
    }

    #[test]
    fn a_channel_that_asks_for_a_pause_gets_it() {
        let gate = gate(10, None);
        pass(&gate, at(0)).unwell(at(0), Duration::from_secs(30), "too many requests");
        assert_eq!(unwell(&gate, at(0)).0, Duration::from_secs(30));
        pass(&gate, at(30_000)).well(at(30_000));
    }
}
