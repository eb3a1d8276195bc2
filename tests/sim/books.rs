//! The auditor's own books: what must be true if what was done was done in this order.
//!
//! They share the rules' values (ids, names of statuses, the form of an answer) and none of their decisions.

use crate::call::{Ask, Call, hops};
use crate::cast::{self, ACCOUNTS, ANNA, BERT, FUNDS, OWN, PAUSES_S, PRICE, PRICE_44};
use crate::letter::{Consequence, Holder, Letter};
use crate::operation::{Script, Standing, Way, Wish};
use crate::wire;
use chappe::engine::Failure;
use chappe_core::route::{Hop, Reach};
use chappe_core::text::{ChannelName, Payload};
use chappe_core::{
    ChannelEvent, Delivery, Mode, Money, Outcome, Rejection, ReportId, RequestId, Time, TokenId,
    Verification, View,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(crate) type Said = Result<Outcome, Failure>;

/// One possible past.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Books {
    pub(crate) purses: [Purse; ACCOUNTS],
    pub(crate) requests: BTreeMap<RequestId, Request>,
    /// Every message to an ordinary number.
    texts: Vec<(Mode, &'static str, Time)>,
    /// Every wrong code for an ordinary number, by account.
    misses: Vec<(usize, &'static str, Time)>,
    /// What idempotency keys were first used for, when, and what was answered.
    answers: BTreeMap<(usize, String), (Ask, Time, View)>,
    references: BTreeSet<u8>,
    /// Who has subscribed to [`cast::FOR_SUBSCRIBERS`].
    subscribed: BTreeSet<&'static str>,
    /// Which hop of which message a channel has given a name last, and when.
    pub(crate) names: BTreeMap<(ChannelName, String), (RequestId, u8, Time)>,
    /// What workers must have been told to do since this was last emptied.
    pub(crate) errands: Vec<Errand>,
}

/// An account's money.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Purse {
    pub(crate) balance: i64,
    /// How often it changed.
    pub(crate) moves: i64,
    /// When the account may ask at full burst again.
    full_at: Time,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) who: usize,
    pub(crate) phone: &'static str,
    pub(crate) checked: bool,
    /// Where a message would have gone when it was asked about.
    hops: Vec<Hop>,
    price: i64,
    refunded: bool,
    pub(crate) letter: Option<Letter>,
    pub(crate) reports: Vec<Report>,
}

/// A report, and what every attempt at it must be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Report {
    body: String,
    url: &'static str,
    token: TokenId,
    pub(crate) attempts: u8,
    /// How it ended.
    pub(crate) settled: Option<Settled>,
    /// The next attempt is due at a moment between these two, drawn at random; both included.
    due: (Time, Time),
    leased: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Settled {
    Acknowledged,
    Lost,
}

/// A report as a worker was given it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Claimed {
    pub(crate) body: String,
    pub(crate) url: String,
    /// The token that signs it.
    pub(crate) token: TokenId,
    pub(crate) attempts: u8,
}

/// Something that a worker is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Errand {
    Deliver(RequestId, usize),
    Poll(RequestId, usize),
    TakeBack(RequestId, usize),
}

/// Calls.
impl Books {
    pub(crate) fn new() -> Books {
        let purse = Purse { balance: FUNDS, moves: 1, full_at: cast::START };
        Books {
            purses: [purse; ACCOUNTS],
            requests: BTreeMap::new(),
            texts: Vec::new(),
            misses: Vec::new(),
            answers: BTreeMap::new(),
            references: BTreeSet::new(),
            subscribed: BTreeSet::new(),
            names: BTreeMap::new(),
            errands: Vec::new(),
        }
    }

    pub(crate) fn call(&mut self, call: &Call) -> Said {
        let Call { who, now, ask, .. } = call;
        match ask {
            Ask::Check { phone, script, .. } => self.ask(call, phone, None, *script),
            Ask::Send { phone, prior, wish, script, .. } => {
                self.ask(call, phone, Some((*prior, wish)), *script)
            }
            Ask::Status { request, code } => self.status(*who, *request, code.as_deref(), *now),
            Ask::Revoke { request } => self.revoke(*who, *request, *now),
            Ask::Balance => Ok(Outcome::Balance(Money::from_micros(self.purses[*who].balance))),
        }
    }

    fn ask(
        &mut self,
        call: &Call,
        phone: &'static str,
        send: Option<(Option<RequestId>, &Wish)>,
        script: Option<Script>,
    ) -> Said {
        let Call { who, now, ask, .. } = call;
        let key = ask.key().map(|key| (*who, key.to_owned()));
        if let Some((first, at, view)) = key.as_ref().and_then(|key| self.answers.get(key))
            && *now < *at + cast::KEY_LIFE
        {
            return if first == ask { answer(view.clone()) } else { refuse(Rejection::IdempotencyKeyReused) };
        }
        let prior = send.and_then(|(prior, _)| prior);
        if let Some(prior) = prior {
            let request = self.own(*who, prior)?;
            if request.phone != phone {
                return refuse(Rejection::PhoneNumberMismatch);
            }
            if request.letter.is_some() {
                return refuse(Rejection::MessageAlreadySent);
            }
        }
        if let Some((_, wish)) = send {
            may_send_as(*who, phone, wish.sender)?;
        }
        let (hops, reach) = route(phone, script);
        self.slow_down(*who, phone, reach, send.is_some(), *now)?;
        let price = price(*who, phone);
        if prior.is_none() && self.purses[*who].balance < price {
            return refuse(Rejection::BalanceNotEnough);
        }
        let hops = self.reachable(hops, phone);
        if reach == Reach::No || hops.is_empty() {
            return refuse(Rejection::PhoneNumberNotAvailable);
        }

        let id = prior.unwrap_or(call.new_id);
        if prior.is_none() {
            self.pay(*who, -price);
            let request = Request {
                who: *who,
                phone,
                checked: send.is_none(),
                hops: hops.clone(),
                price,
                refunded: false,
                letter: None,
                reports: Vec::new(),
            };
            self.requests.insert(id, request);
        }
        if let Some((_, wish)) = send {
            self.write(id, call, phone, wish, hops);
        }
        let left = Some(Money::from_micros(self.purses[*who].balance));
        let view = View { remaining_balance: left, ..self.view(id, *now) };
        if let Some(key) = key {
            self.answers.insert(key, (ask.clone(), *now, view.clone()));
        }
        answer(view)
    }

    /// The hops that are for everybody, or for subscribers if this is one.
    fn reachable(&self, mut hops: Vec<Hop>, phone: &str) -> Vec<Hop> {
        hops.retain(|hop| hop.channel.as_str() != cast::FOR_SUBSCRIBERS || self.subscribed.contains(phone));
        hops
    }

    pub(crate) fn subscribe(&mut self, phone: &'static str, standing: Standing) {
        if standing == Standing::Subscribed {
            self.subscribed.insert(phone);
        } else {
            self.subscribed.remove(phone);
        }
    }

    fn write(&mut self, id: RequestId, call: &Call, phone: &'static str, wish: &Wish, hops: Vec<Hop>) {
        self.errands.push(Errand::Deliver(id, 0));
        if !is_magic(phone) {
            self.texts.push((cast::mode(call.who), phone, call.now));
        }
        if let Some(request) = self.requests.get_mut(&id) {
            request.letter = Some(Letter::new(call, wish, hops));
        }
    }

    /// Whether the account, the channels or the number have had enough for now.
    fn slow_down(
        &mut self,
        who: usize,
        phone: &'static str,
        reach: Reach,
        send: bool,
        now: Time,
    ) -> Result<(), Failure> {
        let wait = |free: Time| Failure::Rejected(Rejection::FloodWait(whole_seconds(free.since(now))));
        if !is_magic(phone) {
            // Asking costs its share of the rate also when the answer is no for another reason.
            let full_at = self.purses[who].full_at.max(now) + cast::RATE_INTERVAL;
            let burst = cast::RATE_INTERVAL * cast::RATE_BURST;
            if full_at > now + burst {
                return Err(wait(full_at - burst));
            }
            self.purses[who].full_at = full_at;
        }
        if let Reach::Wait(secs) = reach {
            return Err(Failure::Rejected(Rejection::FloodWait(secs)));
        }
        let to_it = |(mode, number, _): &&(Mode, &str, Time)| (*mode, *number) == (cast::mode(who), phone);
        let mut latest = self.texts.iter().filter(to_it).map(|(.., at)| *at).rev();
        match latest.nth(cast::SENDS_MAX - 1).map(|at| at + cast::SENDS_WITHIN) {
            Some(free) if send && free > now => Err(wait(free)),
            _ => Ok(()),
        }
    }

    fn status(&mut self, who: usize, id: RequestId, code: Option<&str>, now: Time) -> Said {
        self.own(who, id)?;
        let verdict = code.map(|code| self.judge(id, code, now));
        let view = self.view(id, now);
        let code_entered = code.map(Into::into);
        answer(View { verification: verdict.or(view.verification), code_entered, ..view })
    }

    fn judge(&mut self, id: RequestId, code: &str, now: Time) -> (Verification, Time) {
        let Some(request) = self.requests.get_mut(&id) else { return (Verification::Invalid, now) };
        let Request { who, phone, letter: Some(letter), .. } = request else {
            return (Verification::Invalid, now);
        };
        let missed = |(account, number, at): &&(usize, &str, Time)| {
            (*account, *number) == (*who, *phone) && *at + cast::FAILURES_WITHIN > now
        };
        let used_up = self.misses.iter().filter(missed).count() >= cast::FAILURES_MAX;
        let verdict = letter.judge(code, used_up || magic(phone) == Some('7'), *who == BERT, now);
        if verdict.0 == Verification::Invalid && !is_magic(phone) {
            self.misses.push((*who, phone, now));
        }
        verdict
    }

    fn revoke(&mut self, who: usize, id: RequestId, now: Time) -> Said {
        self.own(who, id)?;
        let letter = self.requests.get_mut(&id).and_then(|request| request.letter.as_mut());
        let Some(letter) = letter else { return Ok(Outcome::Revoked) };
        let open = letter.is(Delivery::Sent);
        let consequence = letter.withdraw(now);
        self.follow(id, consequence, now);
        if open {
            self.follow(id, Consequence::Tell, now);
        }
        Ok(Outcome::Revoked)
    }

    /// Another account's request is as one that never was.
    fn own(&self, who: usize, id: RequestId) -> Result<&Request, Failure> {
        let request = self.requests.get(&id).filter(|request| request.who == who);
        request.ok_or(Failure::Rejected(Rejection::RequestIdInvalid))
    }

    /// The request as its caller sees it.
    pub(crate) fn view(&self, id: RequestId, now: Time) -> View {
        let request = &self.requests[&id];
        let letter = request.letter.as_ref();
        View {
            request: id,
            phone: cast::phone(request.phone),
            cost: Money::from_micros(request.price),
            refunded: request.refunded,
            remaining_balance: None,
            delivery: letter.map(Letter::status),
            verification: letter.and_then(|letter| letter.verification(now)),
            code_entered: None,
            payload: letter.and_then(|letter| letter.payload).map(|text| Payload::parse(text).unwrap()),
        }
    }
}

/// Money, channels and moments.
impl Books {
    pub(crate) fn credit(&mut self, who: usize, micros: i64, reference: Option<u8>) -> Said {
        if reference.is_some_and(|reference| self.references.contains(&reference)) {
            return Ok(Outcome::AlreadyCredited);
        }
        match self.purses[who].balance + micros {
            _ if micros == 0 => refuse(Rejection::AmountInvalid),
            ..0 => refuse(Rejection::BalanceNotEnough),
            left => {
                self.references.extend(reference);
                self.pay(who, micros);
                Ok(Outcome::Credited(Money::from_micros(left)))
            }
        }
    }

    fn pay(&mut self, who: usize, micros: i64) {
        self.purses[who].balance += micros;
        self.purses[who].moves += i64::from(micros != 0);
    }

    pub(crate) fn hear(
        &mut self,
        id: RequestId,
        hop: u8,
        channel: &ChannelName,
        events: &[ChannelEvent],
        now: Time,
    ) {
        let letter = self.requests.get(&id).and_then(|request| request.letter.as_ref());
        let spoken_of = letter.and_then(|letter| letter.hops.get(usize::from(hop)));
        if spoken_of.is_none_or(|hop| hop.channel != *channel) {
            return;
        }
        for event in events {
            self.note_name(id, hop, event, now);
            let letter = self.requests.get_mut(&id).and_then(|request| request.letter.as_mut());
            if let Some(consequence) = letter.map(|letter| letter.hear(hop.into(), event, now)) {
                self.follow(id, consequence, now);
            }
        }
    }

    /// A channel that is no sandbox gives a message a name: from then on it means this one.
    fn note_name(&mut self, id: RequestId, hop: u8, event: &ChannelEvent, now: Time) {
        let letter = self.requests.get(&id).and_then(|request| request.letter.as_ref());
        let channel = letter.and_then(|letter| letter.hops.get(usize::from(hop))).map(|hop| &hop.channel);
        if let (ChannelEvent::Accepted { reference: Some(name), .. }, Some(channel)) = (event, channel)
            && !channel.is_sandbox()
        {
            self.names.insert((channel.clone(), name.clone()), (id, hop, now));
        }
    }

    pub(crate) fn purge(&mut self, now: Time) {
        self.names.retain(|_, (.., at)| *at >= now - cast::NAME_LIFE);
    }

    pub(crate) fn look(&mut self, id: RequestId, may_expire: bool, now: Time) {
        let letter = self.requests.get_mut(&id).and_then(|request| request.letter.as_mut());
        if let Some(consequence) = letter.map(|letter| letter.look(may_expire, now)) {
            self.follow(id, consequence, now);
        }
    }

    fn follow(&mut self, id: RequestId, consequence: Consequence, now: Time) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        let Request { who, price, refunded, letter: Some(letter), .. } = request else { return };
        match consequence {
            Consequence::None => {}
            Consequence::HandOver => self.errands.push(Errand::Deliver(id, letter.hop)),
            Consequence::Ask => self.errands.push(Errand::Poll(id, letter.hop)),
            Consequence::TakeBack(hop) => self.errands.push(Errand::TakeBack(id, hop)),
            Consequence::GiveUp => {
                letter.give_up(now);
                let recall = letter.recall(now);
                *refunded = *price > 0;
                let (who, price) = (*who, *price);
                self.pay(who, price);
                self.follow(id, recall, now);
                self.follow(id, Consequence::Tell, now);
            }
            Consequence::Tell => {
                let Some(url) = letter.callback else { return };
                let token = letter.token;
                let body = wire::status(&self.view(id, now));
                let report =
                    Report { body, url, token, attempts: 0, settled: None, due: (now, now), leased: false };
                self.requests.entry(id).and_modify(|request| request.reports.push(report));
            }
        }
    }

    /// The server starts after a crash: whoever was at work is gone.
    pub(crate) fn restart(&mut self, now: Time) {
        self.errands.clear();
        for request in self.requests.values_mut() {
            if let Some(letter) = &mut request.letter {
                letter.restart(now);
            }
            for report in request.reports.iter_mut().filter(|report| report.leased) {
                (report.leased, report.due) = (false, (now, now));
            }
        }
    }

    /// Requests that somebody must look at now.
    pub(crate) fn due(&self, now: Time) -> BTreeSet<RequestId> {
        self.due_moments().filter(|(_, at)| *at <= now).map(|(id, _)| id).collect()
    }

    pub(crate) fn due_moments(&self) -> impl Iterator<Item = (RequestId, Time)> {
        self.requests.iter().filter_map(|(id, request)| Some((*id, request.letter.as_ref()?.due()?)))
    }

    /// Forgets what can no longer matter, so that pasts which have come to the same look the same.
    pub(crate) fn tidy(&mut self, now: Time) {
        for purse in self.purses.iter_mut().filter(|purse| purse.full_at <= now) {
            purse.full_at = cast::START;
        }
    }
}

/// Reports.
impl Books {
    /// The report that is next for each request, and when it is due.
    pub(crate) fn reports_waiting(&self) -> impl Iterator<Item = (ReportId, (Time, Time))> {
        self.requests.iter().filter_map(|(id, request)| {
            let at = request.reports.iter().position(|report| report.settled.is_none())?;
            Some((ReportId { request: *id, seq: at as u8 + 1 }, request.reports[at].due))
        })
    }

    pub(crate) fn claim(&mut self, id: ReportId, now: Time) -> Option<Claimed> {
        let report = self.report(id).filter(|report| report.settled.is_none() && report.due.0 <= now)?;
        (report.leased, report.due) = (true, (now + cast::LEASE, now + cast::LEASE));
        Some(Claimed {
            body: report.body.clone(),
            url: report.url.to_owned(),
            token: report.token,
            attempts: report.attempts,
        })
    }

    pub(crate) fn conclude(&mut self, id: ReportId, acknowledged: bool, now: Time) {
        let Some(report) = self.report(id).filter(|report| report.settled.is_none()) else { return };
        report.leased = false;
        match PAUSES_S.get(usize::from(report.attempts)) {
            _ if acknowledged => report.settled = Some(Settled::Acknowledged),
            None => report.settled = Some(Settled::Lost),
            Some(secs) => {
                let pause = Duration::from_secs(*secs);
                report.due = (now + pause, now + pause * 6 / 5);
            }
        }
        report.attempts += 1;
    }

    fn report(&mut self, id: ReportId) -> Option<&mut Report> {
        self.requests.get_mut(&id.request)?.reports.get_mut(usize::from(id.seq).checked_sub(1)?)
    }
}

impl Request {
    /// The channel whose turn it is.
    pub(crate) fn channel(&self) -> ChannelName {
        let (hops, hop) = match &self.letter {
            Some(letter) => (&letter.hops, letter.hop),
            None => (&self.hops, 0),
        };
        hops[hop].channel.clone()
    }

    pub(crate) fn delivery(&self) -> Option<Delivery> {
        self.letter.as_ref().map(|letter| letter.status().0)
    }

    /// What is wrong with it once nothing more is to happen, if anything is.
    pub(crate) fn unfinished(&self) -> Option<&'static str> {
        let open = self.letter.as_ref().is_some_and(|letter| {
            let recalled = matches!(letter.holder, Holder::Recall(_));
            recalled || (letter.is(Delivery::Sent) && letter.due().is_some())
        });
        let lost_early = |report: &Report| report.settled == Some(Settled::Lost) && report.attempts != 11;
        if open {
            Some("its message is still waited for")
        } else if self.reports.iter().any(|report| report.settled.is_none()) {
            Some("one of its reports is still to be sent")
        } else if self.reports.iter().any(lost_early) {
            Some("one of its reports was lost, but not after 11 attempts")
        } else if self.refunded
            != (self.price > 0 && self.letter.as_ref().is_some_and(|letter| letter.is(Delivery::Expired)))
        {
            Some("it was refunded without having expired, or has expired without a refund")
        } else {
            None
        }
    }
}

fn may_send_as(who: usize, phone: &str, sender: Option<&str>) -> Result<(), Failure> {
    let own = (who, phone) == (ANNA, OWN);
    match sender {
        None => Ok(()),
        Some(cast::VERIFIED_SENDER) if cast::mode(who) == Mode::Live => Ok(()),
        Some(cast::UNVERIFIED_SENDER) if cast::mode(who) == Mode::Live && own => Ok(()),
        Some(cast::UNVERIFIED_SENDER) if cast::mode(who) == Mode::Live => {
            Err(Failure::Rejected(Rejection::SenderNotVerified))
        }
        Some(_) => Err(Failure::Rejected(Rejection::SenderNotOwned)),
    }
}

fn price(who: usize, phone: &str) -> i64 {
    match phone {
        OWN if who == ANNA => 0,
        _ if phone.starts_with("44") => PRICE_44,
        _ => PRICE,
    }
}

/// The digit that says what a magic number does.
fn magic(phone: &str) -> Option<char> {
    phone.strip_prefix("99966").filter(|rest| rest.len() == 5).and_then(|rest| rest.chars().next())
}

pub(crate) fn is_magic(phone: &str) -> bool {
    magic(phone).is_some()
}

/// Where a message to this number goes: as its script says, otherwise to the sandbox.
fn route(phone: &str, script: Option<Script>) -> (Vec<Hop>, Reach) {
    match (script, magic(phone)) {
        (Some(Script { hops: names, reach }), _) => (hops(names), reach),
        (None, Some('2')) => (hops(&["sandbox"]), Reach::No),
        (None, Some('5')) => (hops(&["sandbox"]), Reach::Wait(5)),
        (None, Some('6')) => (hops(&["sandbox", "sandbox"]), Reach::Yes),
        (None, _) => (hops(&["sandbox"]), Reach::Yes),
    }
}

fn whole_seconds(wait: Duration) -> u64 {
    wait.as_micros().div_ceil(1_000_000) as u64
}

fn answer(view: View) -> Said {
    Ok(Outcome::Request(Box::new(view)))
}

fn refuse<T>(rejection: Rejection) -> Result<T, Failure> {
    Err(Failure::Rejected(rejection))
}

/// For calls that go in as commands, all of a client's keys are apart from those that go over the wire: the digests of
/// what was said are not the same.
pub(crate) fn key(way: Way, key: u8) -> String {
    match way {
        Way::Wire => format!("wire-{key}"),
        Way::Command => format!("command-{key}"),
    }
}
