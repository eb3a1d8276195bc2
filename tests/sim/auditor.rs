//! The auditor: told what was handed in and what was heard, never how it was decided, it says whether that can be right.
//!
//! Where an answer got lost, or a crash came between a call and its answer, a client cannot know whether the call was
//! done. So the auditor holds every past that is possible; whatever is seen later rules some of them out. It complains
//! when none is left.

use crate::books::{Books, Claimed, Errand, Said};
use crate::call::Call;
use crate::cast::ACCOUNTS;
use crate::operation::Standing;
use crate::wire;
use chappe::engine::Failure;
use chappe_core::book::Job;
use chappe_core::text::ChannelName;
use chappe_core::{ChannelEvent, Delivery, Outcome, ReportId, RequestId, Time};
use std::collections::BTreeSet;
use std::fmt;

/// What cannot be right.
#[derive(Clone, Debug)]
pub(crate) struct Complaint(pub(crate) String);

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Something that was handed in to the engine.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    Call(Call),
    Credit { who: usize, micros: i64, reference: Option<u8> },
    Hear { now: Time, request: RequestId, hop: u8, channel: ChannelName, events: Vec<ChannelEvent> },
    Look { now: Time, request: RequestId, may_expire: bool },
    Claim { now: Time, report: ReportId },
    Conclude { now: Time, report: ReportId, acknowledged: bool },
}

/// What was heard of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Heard {
    Nothing,
    Said(Said),
    /// An HTTP status and a body.
    Wire(u16, String),
    /// A report to be sent, if there was one.
    Claim(Option<Claimed>),
}

/// One of the inputs of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) input: Input,
    pub(crate) heard: Heard,
    /// The client went away before it was answered.
    pub(crate) hung_up: bool,
}

/// What is known of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was carried out, as everything must be that nothing was done to.
    Done,
    /// Its commit was made to fail.
    Failed,
    /// The process died over it.
    Unknown,
}

/// A channel, and what it calls a message.
pub(crate) type Named = (ChannelName, String);
pub(crate) type Row = (ChannelName, Option<Delivery>);

/// What can be seen of everything at a moment.
#[derive(Debug)]
pub(crate) struct Sight {
    pub(crate) now: Time,
    /// Requests as the account with this place in the cast sees them.
    pub(crate) views: Vec<(RequestId, usize, Said)>,
    /// The same requests as the rows have them, past whatever the server holds in memory: the channel whose turn it is,
    /// and the delivery status.
    pub(crate) rows: Vec<(RequestId, Option<Row>)>,
    /// Each account's balance, and how often it changed.
    pub(crate) purses: [(i64, i64); ACCOUNTS],
    /// Which hop of which message is known by a name.
    pub(crate) names: Vec<(Named, Option<(RequestId, u8)>)>,
    /// When a worker must next look at a request.
    pub(crate) next_due: Option<Time>,
}

/// See the top of this module.
#[derive(Debug)]
pub(crate) struct Auditor {
    /// Never empty.
    possible: Vec<Books>,
}

impl Auditor {
    pub(crate) fn new() -> Auditor {
        Auditor { possible: vec![Books::new()] }
    }

    /// The books as they probably are.
    pub(crate) fn books(&self) -> &Books {
        &self.possible[0]
    }

    /// How many pasts are possible.
    pub(crate) fn pasts(&self) -> usize {
        self.possible.len()
    }

    /// Every request that there may be, and whose it is.
    pub(crate) fn requests(&self) -> BTreeSet<(RequestId, usize)> {
        let requests = self.possible.iter().flat_map(|books| &books.requests);
        requests.map(|(id, request)| (*id, request.who)).collect()
    }

    /// The channel of a hop of a message, where there is one.
    pub(crate) fn channel(&self, id: RequestId, hop: u8) -> Option<ChannelName> {
        let request = self.possible.iter().find_map(|books| books.requests.get(&id))?;
        Some(request.letter.as_ref()?.hops.get(usize::from(hop))?.channel.clone())
    }

    /// One batch. `errands` is what workers were told to do after it, where that is known.
    pub(crate) fn batch(
        &mut self,
        entries: &[Entry],
        fate: Fate,
        errands: &[Errand],
    ) -> Result<(), Complaint> {
        let mut possible = Vec::new();
        let mut complaint = None;
        let mut consider = |past: Result<Books, String>| match past {
            Ok(books) => possible.push(books),
            Err(reason) => complaint = complaint.take().or(Some(reason)),
        };
        for books in &self.possible {
            let errands = (fate == Fate::Done).then_some(errands);
            if fate != Fate::Failed {
                consider(done(books, entries, errands, |_| true));
                if entries.iter().any(|entry| entry.hung_up) {
                    consider(done(books, entries, errands, |entry| !entry.hung_up));
                }
            }
            if fate != Fate::Done {
                consider(not_done(books, entries));
            }
        }
        self.replace(possible, complaint)
    }

    /// The server starts again after a crash.
    pub(crate) fn restart(&mut self, now: Time) {
        self.possible.iter_mut().for_each(|books| books.restart(now));
    }

    /// Compares everything that can be seen with what must be.
    pub(crate) fn look(&mut self, sight: &Sight) -> Result<(), Complaint> {
        self.keep(|books| as_seen(books, sight))?;
        self.possible.iter_mut().for_each(|books| books.tidy(sight.now));
        let mut distinct: Vec<Books> = Vec::new();
        for books in self.possible.drain(..) {
            if !distinct.contains(&books) {
                distinct.push(books);
            }
        }
        self.possible = distinct;
        Ok(())
    }

    /// The due worker finds these requests due.
    pub(crate) fn due(&mut self, now: Time, found: &[RequestId]) -> Result<(), Complaint> {
        let found: BTreeSet<RequestId> = found.iter().copied().collect();
        self.keep(|books| {
            let due = books.due(now);
            if due == found { Ok(()) } else { Err(format!("due are {due:?}, found were {found:?}")) }
        })
    }

    /// The report worker finds these reports due.
    pub(crate) fn reports_due(&mut self, now: Time, found: &[ReportId]) -> Result<(), Complaint> {
        self.keep(|books| {
            let mut found: BTreeSet<ReportId> = found.iter().copied().collect();
            for (report, (from, to)) in books.reports_waiting() {
                match found.remove(&report) {
                    true if now < from => {
                        return Err(format!("{report:?} is sent before its time: {from:?}"));
                    }
                    false if now >= to => {
                        return Err(format!("{report:?} is due since {to:?} and was forgotten"));
                    }
                    true | false => {}
                }
            }
            let Some(report) = found.first() else { return Ok(()) };
            Err(format!("{report:?} is sent, but is settled, not made, or not the first of its request"))
        })
    }

    /// A number subscribes, or does no more.
    pub(crate) fn subscribe(&mut self, phone: &'static str, standing: Standing) {
        self.possible.iter_mut().for_each(|books| books.subscribe(phone, standing));
    }

    /// What is old is forgotten.
    pub(crate) fn purge(&mut self, now: Time) {
        self.possible.iter_mut().for_each(|books| books.purge(now));
    }

    /// Every name that a channel may have given.
    pub(crate) fn names(&self) -> BTreeSet<Named> {
        self.possible.iter().flat_map(|books| books.names.keys().cloned()).collect()
    }

    /// A worker is told to ask a channel about this message, or for it.
    pub(crate) fn asked(&mut self, job: &Job) -> Result<(), Complaint> {
        self.keep(|books| {
            let letter = books.requests.get(&job.request).and_then(|request| request.letter.as_ref());
            let letter = letter.ok_or("a channel is asked for a message that nobody sent")?;
            if job.reference.as_ref().is_some_and(|name| !letter.is_called(job.hop.into(), name)) {
                return Err(format!("{} is asked for as {:?}", job.request, job.reference));
            }
            Ok(())
        })
    }

    /// A worker is told to hand this message to its channel.
    pub(crate) fn handed(&mut self, job: &Job) -> Result<(), Complaint> {
        self.keep(|books| {
            let letter = books.requests.get(&job.request).and_then(|request| request.letter.as_ref());
            let letter = letter.ok_or("a message is handed over that nobody sent")?;
            if letter.hop == usize::from(job.hop) && letter.is(Delivery::Sent) && job.until != letter.until()
            {
                return Err(format!("{} has until {:?}, not {:?}", job.request, letter.until(), job.until));
            }
            if letter.hops.get(usize::from(job.hop)).map(|hop| &hop.channel) != Some(&job.channel) {
                return Err(format!("hop {} is not {}", job.hop, job.channel));
            }
            match job.code {
                None => Err(format!("{} is handed to {} without its code", job.request, job.channel)),
                Some(code) if letter.code.as_ref().is_some_and(|sent| sent != code.expose()) => {
                    Err(format!("{} is handed over with another code", job.request))
                }
                Some(_) => Ok(()),
            }
        })
    }

    /// Messages whose code only the phone knows.
    pub(crate) fn unseen_codes(&self) -> Vec<RequestId> {
        let letters =
            self.books().requests.iter().filter_map(|(id, request)| Some((*id, request.letter.as_ref()?)));
        letters.filter(|(_, letter)| letter.code.is_none()).map(|(id, _)| id).collect()
    }

    /// The phone shows this code.
    pub(crate) fn see_code(&mut self, request: RequestId, code: &str) {
        for books in &mut self.possible {
            let letter = books.requests.get_mut(&request).and_then(|request| request.letter.as_mut());
            if let Some(letter) = letter {
                letter.code = Some(code.to_owned());
            }
        }
    }

    /// Everything was done that there was to do: nothing may be open any more that has an end.
    pub(crate) fn end(&mut self) -> Result<(), Complaint> {
        self.keep(|books| {
            let unfinished =
                books.requests.iter().filter_map(|(id, request)| Some((id, request.unfinished()?)));
            unfinished.map(|(id, reason)| Err(format!("{id}: {reason}"))).next().unwrap_or(Ok(()))
        })
    }

    fn keep(&mut self, judge: impl Fn(&Books) -> Result<(), String>) -> Result<(), Complaint> {
        let mut complaint = None;
        let mut possible = std::mem::take(&mut self.possible);
        possible.retain(|books| match judge(books) {
            Ok(()) => true,
            Err(reason) => {
                complaint = complaint.take().or(Some(reason));
                false
            }
        });
        self.replace(possible, complaint)
    }

    fn replace(&mut self, possible: Vec<Books>, complaint: Option<String>) -> Result<(), Complaint> {
        self.possible = possible;
        if self.possible.is_empty() { Err(Complaint(complaint.unwrap_or_default())) } else { Ok(()) }
    }
}

/// The books after a batch of which those entries were done that `was_done` says.
fn done(
    books: &Books,
    entries: &[Entry],
    errands: Option<&[Errand]>,
    was_done: impl Fn(&Entry) -> bool,
) -> Result<Books, String> {
    let mut books = books.clone();
    for entry in entries.iter().filter(|entry| was_done(entry)) {
        let expected = book(&mut books, &entry.input);
        compare(&entry.input, &expected, &entry.heard)?;
    }
    let mut expected = std::mem::take(&mut books.errands);
    if let Some(errands) = errands {
        let mut told = errands.to_vec();
        expected.sort_unstable();
        told.sort_unstable();
        if expected != told {
            return Err(format!("workers must be told to {expected:?}, and were told to {told:?}"));
        }
    }
    Ok(books)
}

/// The books after a batch that came to nothing: nothing but that was said of it.
fn not_done(books: &Books, entries: &[Entry]) -> Result<Books, String> {
    for Entry { input, heard, .. } in entries {
        let expected = match input {
            Input::Claim { .. } => Heard::Claim(None),
            _ => Heard::Said(Err(Failure::Internal)),
        };
        compare(input, &expected, heard)?;
    }
    Ok(books.clone())
}

/// Books an input, and says what must be heard of it.
fn book(books: &mut Books, input: &Input) -> Heard {
    match input {
        Input::Call(call) => return Heard::Said(books.call(call)),
        Input::Credit { who, micros, reference } => {
            return Heard::Said(books.credit(*who, *micros, *reference));
        }
        Input::Claim { now, report } => return Heard::Claim(books.claim(*report, *now)),
        Input::Hear { now, request, hop, channel, events } => {
            books.hear(*request, *hop, channel, events, *now)
        }
        Input::Look { now, request, may_expire } => books.look(*request, *may_expire, *now),
        Input::Conclude { now, report, acknowledged } => books.conclude(*report, *acknowledged, *now),
    }
    Heard::Said(Ok(Outcome::Done))
}

fn compare(input: &Input, expected: &Heard, heard: &Heard) -> Result<(), String> {
    let right = match (expected, heard) {
        (_, Heard::Nothing) => true,
        (Heard::Said(said), Heard::Wire(status, body)) => {
            let (expected_status, expected_body) = wire::answer(said);
            (expected_status, &expected_body) == (*status, body)
        }
        _ => expected == heard,
    };
    if right {
        return Ok(());
    }
    let expected = match (expected, heard) {
        (Heard::Said(said), Heard::Wire(..)) => format!("{:?}", wire::answer(said)),
        _ => format!("{expected:?}"),
    };
    Err(format!("{input:?}\n  must come to {expected}\n  and came to  {heard:?}"))
}

fn as_seen(books: &Books, sight: &Sight) -> Result<(), String> {
    for (id, who, seen) in &sight.views {
        let request = books.requests.get(id).filter(|request| request.who == *who);
        let expected = match request {
            Some(_) => Ok(Outcome::Request(Box::new(books.view(*id, sight.now)))),
            None => Err(Failure::Rejected(chappe_core::Rejection::RequestIdInvalid)),
        };
        if *seen != expected {
            return Err(format!("request {id} must be {expected:?}\n  and is {seen:?}"));
        }
    }
    for (id, seen) in &sight.rows {
        let expected = books.requests.get(id).map(|request| (request.channel(), request.delivery()));
        if *seen != expected {
            return Err(format!("the row of {id} must say {expected:?}, and says {seen:?}"));
        }
    }
    for (who, (purse, seen)) in books.purses.iter().zip(sight.purses).enumerate() {
        if (purse.balance, purse.moves) != seen {
            return Err(format!("account {who} must have {purse:?}, and has {seen:?} (balance, transfers)"));
        }
    }
    for (name, seen) in &sight.names {
        let expected = books.names.get(name).map(|(request, hop, _)| (*request, *hop));
        if *seen != expected {
            return Err(format!("{name:?} must mean {expected:?}, and means {seen:?}"));
        }
    }
    let next_due = books.due_moments().map(|(_, at)| at).min();
    if next_due != sight.next_due {
        return Err(format!("the next request is due at {next_due:?}, stored is {:?}", sight.next_due));
    }
    Ok(())
}
