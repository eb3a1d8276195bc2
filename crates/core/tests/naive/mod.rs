//! The rules once more, as naively as can be: what was said and done is kept as dates in lists, and every status is
//! read off them when it is asked for. It shares the values with the crate (ids, names of statuses, the answer's form)
//! but no rule: where the crate changes a state, this one looks at the past.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support::{CODE, HOUR, LOCKED, MAGIC, OWN, PRICE, START};
use chappe_core::command::{Outcome, Rejection, View};
use chappe_core::text::Payload;
use chappe_core::{Delivery, Money, Phone, RequestId, Time, Verification};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) type Said = Result<Outcome, Rejection>;
/// Microseconds since the start.
pub(crate) type Moment = i64;

const SECOND: Moment = 1_000_000;
const LEASE: Moment = 30 * SECOND;
const LIFE: Moment = 600 * SECOND;

/// A message or a check, as it is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) send: bool,
    pub(crate) who: usize,
    pub(crate) phone: &'static str,
    pub(crate) under: Option<RequestId>,
    pub(crate) ttl_s: Option<u16>,
    pub(crate) callback: bool,
    /// Channels with their waits, such as `bot:30`.
    pub(crate) hops: &'static [&'static str],
    pub(crate) reach: chappe_core::route::Reach,
    pub(crate) key: Option<(u8, u8)>,
}

/// What a channel says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum News {
    /// `name`: the channel calls it the so-manieth.
    Accepted {
        name: Option<u8>,
        ask_after_s: Option<u8>,
    },
    Busy {
        secs: u8,
    },
    Postponed {
        secs: u8,
    },
    Unavailable {
        secs: u8,
    },
    Failed,
    Uncertain,
    Delivered,
    Read,
    Withdrawn,
}

/// Who has the message.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Holder {
    Queue(Moment),
    Worker(Moment),
    Channel(Option<Moment>),
    /// Its channel is asked to give it back, at this moment again.
    Recall(Moment),
    Nobody,
}

#[derive(Clone, Debug)]
pub(crate) struct Letter {
    sent: Moment,
    ttl_s: Option<u16>,
    callback: bool,
    hops: Vec<&'static str>,
    pub(crate) hop: usize,
    /// When that hop got its turn, as long as that will end by itself.
    turn: Option<Moment>,
    holder: Holder,
    /// The hops that may deliver it though they are done with, or nobody knows what they have.
    hopes: BTreeSet<usize>,
    /// What that hop's channel calls it.
    name: Option<u8>,
    delivered: Option<Moment>,
    read: Option<Moment>,
    given_up: Option<Moment>,
    withdrawn: Option<Moment>,
    /// When its code was made worthless, if it was.
    voided: Option<Moment>,
    proved: Option<Moment>,
    told: Vec<(Verification, Moment)>,
    pub(crate) reports: Vec<Report>,
}

/// A delivery status, since when, and what was known of the code at that moment.
pub(crate) type Report = (Delivery, Moment, Option<(Verification, Moment)>);

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) id: RequestId,
    pub(crate) who: usize,
    phone: &'static str,
    pub(crate) price: i64,
    pub(crate) letter: Option<Letter>,
}

#[derive(Default)]
pub(crate) struct Naive {
    pub(crate) now: Moment,
    pub(crate) purses: [i64; 3],
    pub(crate) requests: Vec<Request>,
    /// Whether a worker is free.
    pub(crate) room: bool,
    /// What is to be done, in order.
    pub(crate) work: Vec<Errand>,
    /// The numbers that have subscribed to [`FOR_SUBSCRIBERS`].
    pub(crate) subscribed: BTreeSet<&'static str>,
    /// Which hop of which message a channel has given a name last.
    pub(crate) names: BTreeMap<(&'static str, u8), (RequestId, usize)>,
    texts: Vec<(bool, &'static str, Moment)>,
    misses: Vec<(usize, &'static str, Moment)>,
    answers: BTreeMap<(usize, u8), (u8, Moment, View)>,
    references: BTreeSet<u8>,
}

/// What is to be done, of which message, and by which hop.
pub(crate) type Errand = (&'static str, RequestId, usize);

/// The channel that reaches nobody but who has subscribed.
pub(crate) const FOR_SUBSCRIBERS: &str = "bot";
/// How long messages are asked back.
const RECALL: Moment = 48 * HOUR as i64 * SECOND;

/// The third account is the first one's test twin; the second wants codes to be good for one use.
pub(crate) const TWIN_AT: usize = 2;
pub(crate) const SINGLE_USE: usize = 1;

impl Naive {
    fn find(&self, id: RequestId) -> Option<usize> {
        self.requests.iter().position(|request| request.id == id)
    }

    fn own(&self, who: usize, id: RequestId) -> Result<usize, Rejection> {
        self.find(id).filter(|at| self.requests[*at].who == who).ok_or(Rejection::RequestIdInvalid)
    }

    pub(crate) fn ask(&mut self, wish: &Wish, new_id: RequestId) -> Said {
        use chappe_core::route::Reach;
        let now = self.now;
        if let Some((key, body)) = wish.key
            && let Some((first_body, at, view)) = self.answers.get(&(wish.who, key))
            && now < at + 24 * HOUR as i64 * SECOND
        {
            let same = body == *first_body;
            return if same { Ok(answer(view.clone())) } else { Err(Rejection::IdempotencyKeyReused) };
        }
        let prior = wish.under.map(|id| self.own(wish.who, id)).transpose()?;
        if let Some(prior) = prior.map(|at| &self.requests[at]) {
            if prior.phone != wish.phone {
                return Err(Rejection::PhoneNumberMismatch);
            }
            if prior.letter.is_some() {
                return Err(Rejection::MessageAlreadySent);
            }
        }
        if let Reach::Wait(secs) = wish.reach {
            return Err(Rejection::FloodWait(secs));
        }
        let test = wish.who == TWIN_AT;
        if wish.send && !is_magic(wish.phone) {
            let mine = self.texts.iter().filter(|(mode, phone, _)| (*mode, *phone) == (test, wish.phone));
            let latest: Vec<_> = mine.map(|(.., at)| *at).rev().take(5).collect();
            let free = latest.get(4).map_or(now, |fifth| fifth + 600 * SECOND);
            if free > now {
                return Err(Rejection::FloodWait(((free - now) as u64).div_ceil(SECOND as u64)));
            }
        }
        let price = if (wish.who, wish.phone) == (0, OWN) { 0 } else { PRICE };
        if prior.is_none() && self.purses[wish.who] < price {
            return Err(Rejection::BalanceNotEnough);
        }
        let reaches =
            |hop: &&'static str| channel(hop) != FOR_SUBSCRIBERS || self.subscribed.contains(wish.phone);
        let hops: Vec<_> = wish.hops.iter().copied().filter(|hop| reaches(hop)).collect();
        if wish.reach == Reach::No || hops.is_empty() {
            return Err(Rejection::PhoneNumberNotAvailable);
        }

        let at = prior.unwrap_or_else(|| {
            self.purses[wish.who] -= price;
            let request = Request { id: new_id, who: wish.who, phone: wish.phone, price, letter: None };
            self.requests.push(request);
            self.requests.len() - 1
        });
        if wish.send {
            self.requests[at].letter = Some(Letter::new(now, wish.ttl_s, wish.callback, hops));
            self.hand_over(at);
            if !is_magic(wish.phone) {
                self.texts.push((test, wish.phone, now));
            }
        }
        let left = Some(Money::from_micros(self.purses[wish.who]));
        let view = View { remaining_balance: left, ..self.look(at) };
        if let Some((key, body)) = wish.key {
            self.answers.insert((wish.who, key), (body, now, view.clone()));
        }
        Ok(answer(view))
    }

    pub(crate) fn status(&mut self, who: usize, id: RequestId, code: Option<&'static str>) -> Said {
        let at = self.own(who, id)?;
        let verdict = code.map(|code| self.judge(at, code));
        let view = self.look(at);
        let verification = verdict.or(view.verification.map(|(verdict, at)| (verdict, since_start(at))));
        let verification = verification.map(|(verdict, at)| (verdict, date(at)));
        Ok(answer(View { verification, code_entered: code.map(Into::into), ..view }))
    }

    fn judge(&mut self, at: usize, code: &'static str) -> (Verification, Moment) {
        let now = self.now;
        let Request { who, phone, letter, .. } = &mut self.requests[at];
        let Some(letter) = letter else { return (Verification::Invalid, now) };
        if now >= letter.code_end() {
            return (Verification::Expired, letter.code_end());
        }
        let recent = |(missed, number, when): &&(usize, &str, Moment)| {
            (*missed, *number) == (*who, *phone) && *when > now - HOUR as i64 * SECOND
        };
        let locked = *phone == LOCKED || self.misses.iter().filter(recent).count() >= 10;
        if locked || letter.wrong_codes() >= 5 {
            if letter.told.last().map(|told| told.0) != Some(Verification::MaxAttemptsExceeded) {
                letter.told.push((Verification::MaxAttemptsExceeded, now));
            }
            return *letter.told.last().unwrap();
        }
        if code != CODE {
            letter.told.push((Verification::Invalid, now));
            if !is_magic(phone) {
                self.misses.push((*who, phone, now));
            }
            return (Verification::Invalid, now);
        }
        let first = *letter.proved.get_or_insert(now);
        if *who == SINGLE_USE && now > first + 30 * SECOND {
            return (Verification::Expired, now);
        }
        (Verification::Valid, first)
    }

    pub(crate) fn revoke(&mut self, who: usize, id: RequestId) -> Said {
        let at = self.own(who, id)?;
        let now = self.now;
        if let Some(letter) = &mut self.requests[at].letter {
            let arrived = matches!(letter.status().0, Delivery::Delivered | Delivery::Read);
            let (open, alive) = (letter.status().0 == Delivery::Sent, now < letter.code_end());
            letter.void(now);
            if open {
                letter.withdrawn = Some(now);
                letter.holder = Holder::Nobody;
                letter.report(now);
            }
            if open || (arrived && alive) {
                self.recall(at);
            }
        }
        Ok(Outcome::Revoked)
    }

    pub(crate) fn hear(&mut self, id: RequestId, hop: usize, news: &[News]) -> Said {
        if let Some(at) = self.find(id) {
            news.iter().for_each(|news| self.hear_one(at, hop, *news));
        }
        Ok(Outcome::Done)
    }

    /// The channel of a hop, if there is one.
    pub(crate) fn channel(&self, id: RequestId, hop: usize) -> &'static str {
        let letter = self.find(id).and_then(|at| self.requests[at].letter.as_ref());
        letter.and_then(|letter| letter.hops.get(hop)).map_or("nobody", |hop| channel(hop))
    }

    fn hear_one(&mut self, at: usize, hop: usize, news: News) {
        let (now, id) = (self.now, self.requests[at].id);
        let Some(letter) = self.requests[at].letter.as_mut() else { return };
        if hop >= letter.hops.len() {
            return;
        }
        let after = |secs: u8| now + i64::from(secs) * SECOND;
        let (status, current) = (letter.status().0, hop == letter.hop);
        let open = status == Delivery::Sent;
        let falls_back = current && open && hop + 1 < letter.hops.len() && letter.is_of_use(now);
        let untaken = matches!(letter.holder, Holder::Queue(_) | Holder::Worker(_));
        let called = channel(letter.hops[hop]);
        let last_hope = news == News::Failed && letter.hopes.remove(&hop) && letter.hopes.is_empty();
        match news {
            News::Accepted { name, ask_after_s } => {
                if let (Some(name), false) = (name, called == "sandbox") {
                    self.names.insert((called, name), (id, hop));
                }
                if current {
                    letter.name = name.or(letter.name);
                } else if hop < letter.hop {
                    letter.hopes.insert(hop);
                }
                if matches!(status, Delivery::Expired | Delivery::Revoked) {
                    if current {
                        self.recall(at);
                    } else if name.is_some() && called != "sandbox" {
                        self.work.push(("withdraw", id, hop));
                    }
                } else if current && !matches!(letter.holder, Holder::Recall(_)) {
                    letter.holder = Holder::Channel(ask_after_s.map(after));
                }
            }
            News::Unavailable { .. } if falls_back && untaken => self.next_hop(at),
            News::Busy { secs } | News::Postponed { secs } | News::Unavailable { secs } if current => {
                match letter.holder {
                    Holder::Recall(_) => letter.holder = Holder::Recall(after(secs)),
                    Holder::Channel(_) => letter.holder = Holder::Channel(Some(after(secs))),
                    _ if open && letter.is_of_use(now) => letter.holder = Holder::Queue(after(secs)),
                    _ => {}
                }
            }
            News::Withdrawn | News::Failed if current && matches!(letter.holder, Holder::Recall(_)) => {
                letter.holder = Holder::Nobody;
            }
            News::Uncertain if current && open => letter.lose_sight(),
            News::Failed if falls_back => self.next_hop(at),
            News::Failed if current && open => {
                (letter.name, letter.turn, letter.holder) = (None, None, Holder::Nobody);
                if letter.hopes.is_empty() {
                    self.give_up(at);
                }
            }
            News::Failed if open && last_hope && letter.holder == Holder::Nobody => self.give_up(at),
            News::Delivered if open => letter.arrive(hop, false, now),
            News::Read if open || status == Delivery::Delivered => letter.arrive(hop, true, now),
            _ => {}
        }
    }

    pub(crate) fn due(&mut self, id: RequestId, may_expire: bool) -> Said {
        let now = self.now;
        let Some(at) = self.find(id) else { return Ok(Outcome::Done) };
        let Some(letter) = self.requests[at].letter.as_mut() else { return Ok(Outcome::Done) };
        let (status, holder) = (letter.status().0, letter.holder);
        if status == Delivery::Sent && letter.deadline().is_some_and(|deadline| deadline <= now) {
            if may_expire {
                self.give_up(at);
            }
            return Ok(Outcome::Done);
        }
        if may_expire && letter.turn_end().is_some_and(|end| end <= now) {
            if letter.is_of_use(now) {
                if !matches!(holder, Holder::Queue(_)) {
                    letter.hopes.insert(letter.hop);
                }
                self.next_hop(at);
            } else {
                letter.turn = None;
            }
            return Ok(Outcome::Done);
        }
        match holder {
            Holder::Recall(again) if again <= now => {
                if now > letter.sent + RECALL {
                    letter.holder = Holder::Nobody;
                } else {
                    self.recall(at);
                }
            }
            Holder::Queue(from) if from <= now && self.room => self.hand_over(at),
            Holder::Worker(until) if until <= now && channel(letter.hops[letter.hop]) == "sandbox" => {
                self.hand_over(at)
            }
            Holder::Worker(until) if until <= now => letter.lose_sight(),
            Holder::Channel(Some(ask)) if ask <= now => {
                letter.holder = Holder::Channel(Some(now + LEASE));
                self.work.push(("poll", id, letter.hop));
            }
            _ => {}
        }
        Ok(Outcome::Done)
    }

    pub(crate) fn money(&mut self, who: usize, micros: i64, reference: Option<u8>) -> Said {
        if reference.is_some_and(|reference| self.references.contains(&reference)) {
            return Ok(Outcome::AlreadyCredited);
        }
        match self.purses[who] + micros {
            _ if micros == 0 => Err(Rejection::AmountInvalid),
            ..0 => Err(Rejection::BalanceNotEnough),
            left => {
                self.references.extend(reference);
                self.purses[who] = left;
                Ok(Outcome::Credited(Money::from_micros(left)))
            }
        }
    }

    fn hand_over(&mut self, at: usize) {
        let (now, id) = (self.now, self.requests[at].id);
        let letter = self.requests[at].letter.as_mut().unwrap();
        letter.holder = if self.room { Holder::Worker(now + LEASE) } else { Holder::Queue(now) };
        self.work.extend(self.room.then_some(("deliver", id, letter.hop)));
    }

    fn next_hop(&mut self, at: usize) {
        let now = self.now;
        let letter = self.requests[at].letter.as_mut().unwrap();
        (letter.hop, letter.turn, letter.name) = (letter.hop + 1, Some(now), None);
        self.hand_over(at);
    }

    fn recall(&mut self, at: usize) {
        let (now, id) = (self.now, self.requests[at].id);
        let letter = self.requests[at].letter.as_mut().unwrap();
        if letter.name.is_some() && channel(letter.hops[letter.hop]) != "sandbox" {
            letter.holder = Holder::Recall(now + LEASE);
            self.work.push(("withdraw", id, letter.hop));
        }
    }

    fn give_up(&mut self, at: usize) {
        let Request { who, price, letter, .. } = &mut self.requests[at];
        let letter = letter.as_mut().unwrap();
        letter.given_up = Some(self.now);
        letter.voided.get_or_insert(self.now);
        letter.holder = Holder::Nobody;
        letter.report(self.now);
        self.purses[*who] += *price;
        self.recall(at);
    }

    /// The request as its caller sees it now.
    pub(crate) fn look(&self, at: usize) -> View {
        let request = &self.requests[at];
        let letter = request.letter.as_ref();
        View {
            request: request.id,
            phone: Phone::parse(request.phone).unwrap(),
            cost: Money::from_micros(request.price),
            refunded: request.refunded(),
            remaining_balance: None,
            delivery: letter.map(Letter::status).map(|(status, at)| (status, date(at))),
            verification: letter
                .and_then(|letter| letter.verification(self.now))
                .map(|(verdict, at)| (verdict, date(at))),
            code_entered: None,
            payload: letter.map(|_| Payload::parse("mine").unwrap()),
        }
    }
}

impl Request {
    pub(crate) fn refunded(&self) -> bool {
        self.price > 0 && self.letter.as_ref().is_some_and(|letter| letter.given_up.is_some())
    }
}

impl Letter {
    fn new(sent: Moment, ttl_s: Option<u16>, callback: bool, hops: Vec<&'static str>) -> Letter {
        let (holder, told, reports) = (Holder::Nobody, Vec::new(), Vec::new());
        let (delivered, read, given_up, withdrawn, voided, proved) = (None, None, None, None, None, None);
        Letter {
            sent,
            ttl_s,
            callback,
            hops,
            hop: 0,
            turn: Some(sent),
            holder,
            hopes: BTreeSet::new(),
            name: None,
            delivered,
            read,
            given_up,
            withdrawn,
            voided,
            proved,
            told,
            reports,
        }
    }

    fn status(&self) -> (Delivery, Moment) {
        let dates = [
            (Delivery::Revoked, self.withdrawn),
            (Delivery::Expired, self.given_up),
            (Delivery::Read, self.read),
            (Delivery::Delivered, self.delivered),
        ];
        let reached = dates.into_iter().find_map(|(status, at)| Some((status, at?)));
        reached.unwrap_or((Delivery::Sent, self.sent))
    }

    fn code_end(&self) -> Moment {
        let life = self.delivered.or(self.read).unwrap_or(self.sent) + LIFE;
        self.voided.map_or(life, |voided| voided.min(life))
    }

    /// Whether it can be handed over once more: somebody could use the code, and it is not wiped yet.
    fn is_of_use(&self, now: Moment) -> bool {
        let last = self.hop + 1 == self.hops.len() && channel(self.hops[self.hop]) != "sandbox";
        let wiped = last && matches!(self.holder, Holder::Nobody | Holder::Channel(_));
        let end = self.ttl_s.map_or(self.code_end(), |secs| self.sent + i64::from(secs) * SECOND);
        !wiped && now < end
    }

    fn deadline(&self) -> Option<Moment> {
        if self.status().0 != Delivery::Sent {
            return None;
        }
        let untaken = matches!(self.holder, Holder::Queue(_) | Holder::Worker(_));
        let ttl = self.ttl_s.map(|secs| self.sent + i64::from(secs) * SECOND);
        ttl.or(untaken.then(|| self.code_end()))
    }

    /// When the current hop has had its turn, if another is to have one then.
    fn turn_end(&self) -> Option<Moment> {
        let (turn, wait_s) = (self.turn?, self.hops[self.hop].split_once(':')?.1);
        let waited_for = self.status().0 == Delivery::Sent && self.hop + 1 < self.hops.len();
        waited_for.then(|| turn + wait_s.parse::<Moment>().unwrap() * SECOND)
    }

    /// When somebody must look at it.
    pub(crate) fn due(&self) -> Option<Moment> {
        let turn = match self.holder {
            Holder::Queue(at) | Holder::Worker(at) | Holder::Recall(at) => Some(at),
            Holder::Channel(ask) => ask,
            Holder::Nobody => None,
        };
        [turn, self.turn_end(), self.deadline()].into_iter().flatten().min()
    }

    fn verification(&self, now: Moment) -> Option<(Verification, Moment)> {
        let proved = self.proved.map(|at| (Verification::Valid, at));
        let over = (now >= self.code_end()).then(|| (Verification::Expired, self.code_end()));
        proved.or(over).or(self.told.last().copied())
    }

    pub(crate) fn wrong_codes(&self) -> usize {
        self.told.iter().filter(|told| told.0 == Verification::Invalid).count()
    }

    fn lose_sight(&mut self) {
        self.hopes.insert(self.hop);
        self.holder = Holder::Nobody;
    }

    fn void(&mut self, now: Moment) {
        if self.proved.is_none() {
            self.voided.get_or_insert(now);
        }
    }

    fn arrive(&mut self, hop: usize, read: bool, now: Moment) {
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
        self.report(now);
    }

    fn report(&mut self, now: Moment) {
        if self.callback {
            let (status, at) = self.status();
            self.reports.push((status, at, self.verification(now)));
        }
    }
}

/// The channel of a hop.
fn channel(hop: &'static str) -> &'static str {
    hop.split(':').next().unwrap()
}

fn is_magic(phone: &str) -> bool {
    [LOCKED, MAGIC].contains(&phone)
}

fn answer(view: View) -> Outcome {
    Outcome::Request(Box::new(view))
}

pub(crate) fn date(moment: Moment) -> Time {
    Time::from_micros(START.micros() + moment)
}

fn since_start(time: Time) -> Moment {
    time.micros() - START.micros()
}
