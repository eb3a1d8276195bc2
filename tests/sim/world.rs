//! The world around one gateway: clients, channels, receivers, the operator, time and bad luck. It does what the
//! operations say to the real server, and tells the auditor what it handed in and what it heard.

use crate::auditor::{Auditor, Complaint, Entry, Fate, Heard, Input, Sight};
use crate::books::{self, Errand, is_magic};
use crate::call::{Ask, Call, DRAWN_LENGTH, caller};
use crate::cast::{self, ACCOUNTS, TOKENS};
use crate::house::{Answer, House, poll, ready};
use crate::operation::{Guess, Operation, Plan, Script, Standing, Way};
use crate::trace::Trace;
use chappe::engine::Chore;
use chappe::env::Clock;
use chappe::store::{StoreError, SubscriberRow};
use chappe::work::upkeep;
use chappe_core::ledger::Kind;
use chappe_core::text::ChannelName;
use chappe_core::{Command, Mode, Money, ReportId, RequestId, Time, Work};
use std::future::Future;
use std::mem;
use std::task::Poll;
use std::time::Duration;

/// How many steps lie between two runs of the store's own audit.
const AUDIT_EVERY: usize = 40;
/// A batch takes two jobs of workers; a third would be left for the next one.
const WORKER_JOBS: usize = 2;
/// An id that is never drawn.
const NOBODYS: i64 = 999_999_999_999_999;

/// See the top of this module.
pub(crate) struct World<'t> {
    pub(crate) house: House,
    pub(crate) clock: Clock,
    pub(crate) auditor: Auditor,
    pub(crate) trace: &'t mut Trace,
    seed: u64,
    /// What was handed in and not yet carried out: callers' and workers'.
    callers: Vec<Waiting>,
    workers: Vec<Waiting>,
    /// What the delivery worker was given and has not done.
    pub(crate) desk: Vec<Work>,
    /// Attempts at reports of which nothing was heard again.
    pub(crate) abroad: Vec<ReportId>,
    /// What clients said with an idempotency key.
    keyed: Vec<(usize, Way, Ask)>,
    steps: usize,
}

struct Waiting {
    inputs: Vec<Input>,
    answer: Answer,
    /// What was answered at once.
    heard: Option<Vec<Heard>>,
    hung_up: bool,
}

pub(crate) type Checked = Result<(), Complaint>;

impl<'t> World<'t> {
    pub(crate) fn new(seed: u64, trace: &'t mut Trace) -> World<'t> {
        let clock = Clock::manual(cast::START);
        World {
            house: House::found(&clock, seed),
            clock,
            auditor: Auditor::new(),
            trace,
            seed,
            callers: Vec::new(),
            workers: Vec::new(),
            desk: Vec::new(),
            abroad: Vec::new(),
            keyed: Vec::new(),
            steps: 0,
        }
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.clock.advance(time);
    }

    /// Does what the operation says, and checks what came of it unless that is to wait for company.
    pub(crate) fn perform(&mut self, operation: &Operation, held: bool) -> Checked {
        self.steps += 1;
        let since_start = self.now().since(cast::START);
        let holding = if held { " …" } else { "" };
        self.trace.line(format!("{:>4} {since_start:?} {operation:?}{holding}", self.steps));
        match operation {
            Operation::Pass { millis } => self.pass(Duration::from_millis(*millis)),
            Operation::Call { plan, way, times, hangs_up } => {
                for _ in 0..*times {
                    let Some((who, way, ask)) = self.say(plan, *way) else { break };
                    if ask.key().is_some() {
                        self.keyed.push((who, way, ask.clone()));
                    }
                    self.call(who, way, ask, *hangs_up);
                }
            }
            Operation::Again { back, hangs_up } => {
                if let Some((who, way, ask)) = nth_back(&self.keyed, *back).cloned() {
                    self.call(who, way, ask, *hangs_up);
                }
            }
            Operation::Credit { who, micros, reference, times } => {
                (0..*times).for_each(|_| self.credit(*who, *micros, *reference));
            }
            Operation::Work { take, handling, dice } => self.work(*take, *handling, *dice)?,
            Operation::News { back, hop, news } => self.news(*back, *hop, news)?,
            Operation::Subscribe { phone, standing } => self.subscribe(phone, *standing)?,
            Operation::Due { may_expire } => self.due(*may_expire)?,
            Operation::Reports { dice, twice } => self.reports(*dice, *twice)?,
            Operation::LateConclusion { dice } => self.conclude_late(*dice)?,
            Operation::FailCommit => self.house.fail_next_commit(),
            Operation::Crash { committed } => self.crash(*committed)?,
            Operation::Purge => self.purge()?,
        }
        if !held {
            self.commit()?;
            if self.steps.is_multiple_of(AUDIT_EVERY) {
                self.audit()?;
            }
        }
        Ok(())
    }

    /// Who says what, if there is a request to say it of.
    fn say(&mut self, plan: &Plan, way: Way) -> Option<(usize, Way, Ask)> {
        let books = self.auditor.books();
        let newest: Vec<_> = books.requests.iter().collect();
        let whose = |who: usize, stranger: bool| if stranger { (who + 1) % ACCOUNTS } else { who };
        // Scripted channels are for real phones; the rest goes where the wire would send it.
        let script = |who, phone: &str, script: &Script| {
            let real = way == Way::Command && cast::mode(who) == Mode::Live && !is_magic(phone);
            real.then_some(*script)
        };
        let key = |key: &Option<u8>| key.map(|key| books::key(way, key));
        let (who, ask) = match plan {
            Plan::Check { who, phone, key: used, script: wanted } => {
                (*who, Ask::Check { phone, key: key(used), script: script(*who, phone, wanted) })
            }
            Plan::Send { who, phone, prior, wish, key: used, script: wanted } => {
                let prior = prior.as_ref().and_then(|prior| {
                    let among = newest.iter().filter(|(_, request)| request.checked || !prior.checked);
                    Some((*nth_back(&among.collect::<Vec<_>>(), prior.back)?, prior.faithful))
                });
                let (who, phone) = match prior {
                    Some(((_, request), true)) => (request.who, request.phone),
                    _ => (*who, *phone),
                };
                let prior = prior.map(|((id, _), _)| **id);
                let script = script(who, phone, wanted);
                (who, Ask::Send { phone, prior, wish: wish.clone(), key: key(used), script })
            }
            Plan::Status { back, stranger, guess } => {
                let Some((id, request)) = nth_back(&newest, *back) else {
                    return Some((0, way, Ask::Status { request: nobodys(), code: None }));
                };
                let code = request.letter.as_ref().and_then(|letter| letter.code.as_deref());
                (whose(request.who, *stranger), Ask::Status { request: **id, code: enter(code, *guess) })
            }
            Plan::Revoke { back, stranger } => {
                let (id, request) = nth_back(&newest, *back)?;
                (whose(request.who, *stranger), Ask::Revoke { request: **id })
            }
            Plan::Balance { who } => (*who, Ask::Balance),
        };
        Some((who, way, ask))
    }

    fn call(&mut self, who: usize, way: Way, ask: Ask, hung_up: bool) {
        let now = self.now();
        // The router draws an id by itself: the one after the one that is drawn here.
        let drawn = self.house.app.next_request_id(now);
        let new_id = match way {
            Way::Wire => RequestId::next(now, 0, Some(drawn)),
            Way::Command => drawn,
        };
        let token = self.steps % TOKENS;
        let call = Call { who, token, now, new_id, way, ask };
        let answer = self.house.hand_in(&call);
        let waiting = waiting(vec![Input::Call(call)], answer, hung_up);
        self.callers.push(waiting);
    }

    fn credit(&mut self, who: usize, micros: i64, reference: Option<u8>) {
        let command = Command::Credit {
            now: self.now(),
            account: caller(who, 0).account,
            kind: if micros < 0 { Kind::Adjustment } else { Kind::Deposit },
            amount: Money::from_micros(micros),
            reference: reference.map(|reference| format!("payment {reference}")),
            reason: "as agreed".to_owned(),
        };
        let app = self.house.app.clone();
        let answer = Box::pin(async move { vec![Heard::Said(app.engine.submit(command).await)] });
        self.callers.push(waiting(vec![Input::Credit { who, micros, reference }], answer, false));
    }

    /// Hands in what a worker has to say.
    pub(crate) fn hand_in(
        &mut self,
        inputs: Vec<Input>,
        answer: impl Future<Output = Vec<Heard>> + 'static,
    ) -> Checked {
        if self.workers.len() == WORKER_JOBS {
            self.commit()?;
        }
        self.workers.push(waiting(inputs, Box::pin(answer), false));
        Ok(())
    }

    /// Hands in commands of a worker.
    pub(crate) fn apply(&mut self, inputs: Vec<Input>, commands: Vec<Command>) -> Checked {
        let app = self.house.app.clone();
        let count = commands.len();
        self.hand_in(inputs, async move {
            match app.engine.apply(commands).await {
                Ok(judged) => judged.into_iter().map(|said| Heard::Said(said.map_err(Into::into))).collect(),
                Err(failure) => vec![Heard::Said(Err(failure)); count],
            }
        })
    }

    /// Lets the engine carry out what waits, in one batch, and checks every answer.
    pub(crate) fn commit(&mut self) -> Result<Vec<Entry>, Complaint> {
        let mut waiting: Vec<Waiting> = mem::take(&mut self.callers);
        waiting.append(&mut self.workers);
        // Whoever hangs up does so before the engine works, when it matters most.
        for gone in waiting.iter_mut().filter(|waiting| waiting.hung_up) {
            gone.answer = Box::pin(std::future::pending());
        }
        if waiting.is_empty() {
            return Ok(Vec::new());
        }
        let was_to_fail = self.house.will_fail();
        self.house.step().map_err(Complaint)?;
        let fate = if was_to_fail && !self.house.will_fail() { Fate::Failed } else { Fate::Done };
        let mut entries = Vec::new();
        for waiting in waiting {
            entries.extend(waiting.end()?);
        }
        let work = self.house.take_work();
        let errands: Vec<Errand> = work.iter().map(errand).collect();
        if fate == Fate::Failed {
            self.trace.line("     the commit failed".to_owned());
        }
        for Entry { input, heard, hung_up } in &entries {
            let heard = if *hung_up { "(hung up)".to_owned() } else { format!("{heard:?}") };
            self.trace.line(format!("     {input:?}\n       -> {heard}"));
        }
        if !errands.is_empty() {
            self.trace.line(format!("     to do: {errands:?}"));
        }
        self.auditor.batch(&entries, fate, &errands)?;
        self.tell_doubt();
        for item in &work {
            match item {
                Work::Deliver(job) => self.auditor.handed(job)?,
                Work::Poll(job) | Work::Withdraw(job) => self.auditor.asked(job)?,
            }
        }
        self.desk.extend(work);
        if self.house.step().map_err(Complaint)? {
            return Err(Complaint("the engine left something for a second batch".to_owned()));
        }
        self.look()?;
        Ok(entries)
    }

    /// The process dies, over what waits if anything does, and starts again.
    fn crash(&mut self, committed: bool) -> Checked {
        if committed {
            self.house.step().map_err(Complaint)?;
        }
        let waiting = mem::take(&mut self.callers).into_iter().chain(mem::take(&mut self.workers));
        let entries: Vec<Entry> = waiting.flat_map(Waiting::lost).collect();
        for Entry { input, .. } in &entries {
            self.trace.line(format!("     {input:?}\n       -> (crashed)"));
        }
        self.auditor.batch(&entries, Fate::Unknown, &[])?;
        self.tell_doubt();
        self.desk.clear();
        self.abroad.clear();
        let seed = self.seed.wrapping_add(self.steps as u64);
        self.house.crash(&self.clock, seed);
        self.auditor.restart(self.now());
        self.look()?;
        self.audit()
    }

    fn tell_doubt(&mut self) {
        let pasts = self.auditor.pasts();
        if pasts > 1 {
            self.trace.line(format!("     {pasts} pasts are possible"));
        }
    }

    /// Somebody subscribes to a channel, blocks it, or goes.
    fn subscribe(&mut self, phone: &'static str, standing: Standing) -> Checked {
        self.commit()?;
        let channel = ChannelName::parse(cast::FOR_SUBSCRIBERS).unwrap();
        // Everybody has one chat.
        let chat_id: i64 = phone.parse().unwrap();
        let chore = match standing {
            Standing::Subscribed => Chore::PutSubscriber(Box::new(SubscriberRow {
                channel,
                phone: cast::phone(phone),
                chat_id,
                language: "en".to_owned(),
                blocked: false,
                created_at: self.now(),
            })),
            Standing::Blocked => Chore::BlockSubscriber(channel, chat_id),
            Standing::Gone => Chore::RemoveSubscriber(channel, chat_id),
        };
        let app = self.house.app.clone();
        self.house.drive(app.engine.chore(chore)).map_err(|failure| Complaint(failure.to_string()))?;
        self.auditor.subscribe(phone, standing);
        Ok(())
    }

    fn purge(&mut self) -> Checked {
        self.commit()?;
        let app = self.house.app.clone();
        self.house.drive(upkeep::purge(&app));
        self.auditor.purge(self.now());
        self.look()
    }

    /// Looks at everything that can be seen from outside.
    pub(crate) fn look(&mut self) -> Checked {
        let now = self.now();
        let requests: Vec<_> = self.auditor.requests().into_iter().collect();
        let ask = |(request, who): &(RequestId, usize)| Command::CheckStatus {
            caller: caller(*who, 0),
            now,
            request: *request,
            entered: None,
        };
        let app = self.house.app.clone();
        let seen = self.house.drive(app.engine.apply(requests.iter().map(ask).collect()));
        let seen = seen.map_err(|failure| Complaint(format!("nothing can be seen: {failure}")))?;
        let views = requests.iter().zip(seen);
        let views = views.map(|((id, who), said)| (*id, *who, said.map_err(Into::into))).collect();
        let mut rows = Vec::new();
        for (id, _) in &requests {
            let row = read(app.reader.request(*id))?;
            rows.push((*id, row.map(|row| (row.channel, row.delivery))));
        }
        let accounts = read(app.reader.accounts(None))?;
        let mut purses = [(0, 0); ACCOUNTS];
        for (purse, account) in purses.iter_mut().zip(accounts) {
            *purse = (account.balance.micros(), account.transfers);
        }
        let mut names = Vec::new();
        for (channel, name) in self.auditor.names() {
            let known = read(app.reader.message_of(&channel, &name))?;
            names.push(((channel, name), known));
        }
        let next_due = read(app.reader.next_due_request())?;
        self.auditor.look(&Sight { now, views, rows, purses, names, next_due })?;
        for id in self.auditor.unseen_codes() {
            let shown = read(app.reader.sandbox_message(id))?;
            let code = shown.map(|message| message.code.expose().to_owned()).unwrap_or_default();
            if code.len() != DRAWN_LENGTH {
                return Err(Complaint(format!("the phone shows {code:?} as the code of {id}")));
            }
            self.auditor.see_code(id, &code);
        }
        Ok(())
    }

    /// Runs the store's own audit.
    pub(crate) fn audit(&mut self) -> Checked {
        let findings = read(self.house.app.reader.audit(|_| {}))?;
        match findings.first() {
            Some(finding) => {
                Err(Complaint(format!("the store finds: {}: {}", finding.check, finding.detail)))
            }
            None => Ok(()),
        }
    }
}

impl Waiting {
    /// What was heard, now that the engine has worked.
    fn end(mut self) -> Result<Vec<Entry>, Complaint> {
        let heard = match self.heard.take() {
            _ if self.hung_up => vec![Heard::Nothing; self.inputs.len()],
            Some(heard) => heard,
            None => match poll(self.answer.as_mut()) {
                Poll::Ready(heard) => heard,
                Poll::Pending => return Err(Complaint(format!("no answer: {:?}", self.inputs))),
            },
        };
        if heard.len() != self.inputs.len() {
            return Err(Complaint(format!("{} answers to {:?}", heard.len(), self.inputs)));
        }
        let entries = self.inputs.into_iter().zip(heard);
        Ok(entries.map(|(input, heard)| Entry { input, heard, hung_up: self.hung_up }).collect())
    }

    /// Nobody will ever hear.
    fn lost(self) -> impl Iterator<Item = Entry> {
        self.inputs.into_iter().map(|input| Entry { input, heard: Heard::Nothing, hung_up: false })
    }
}

/// Lets something be handed in to the engine.
fn waiting(inputs: Vec<Input>, mut answer: Answer, hung_up: bool) -> Waiting {
    let heard = match poll(answer.as_mut()) {
        Poll::Ready(heard) => Some(heard),
        Poll::Pending => None,
    };
    Waiting { inputs, answer, heard, hung_up }
}

/// What a reader of the store says.
pub(crate) fn read<T>(reading: impl Future<Output = Result<T, StoreError>>) -> Result<T, Complaint> {
    ready(reading).map_err(|error| Complaint(error.to_string()))
}

fn errand(work: &Work) -> Errand {
    match work {
        Work::Deliver(job) => Errand::Deliver(job.request, job.hop.into()),
        Work::Poll(job) => Errand::Poll(job.request, job.hop.into()),
        Work::Withdraw(job) => Errand::TakeBack(job.request, job.hop.into()),
    }
}

/// The code that somebody enters who means to be right, or not.
fn enter(code: Option<&str>, guess: Guess) -> Option<String> {
    let code = code.unwrap_or("1111");
    match guess {
        Guess::None => None,
        Guess::Right => Some(code.to_owned()),
        Guess::Wrong => {
            let last = if code.ends_with('0') { '1' } else { '0' };
            Some(format!("{}{last}", &code[..code.len() - 1]))
        }
        Guess::WrongLength => Some(format!("{code}0")),
    }
}

pub(crate) fn nth_back<T>(of: &[T], back: usize) -> Option<&T> {
    of.len().checked_sub(back % of.len().max(1) + 1).map(|at| &of[at])
}

fn nobodys() -> RequestId {
    RequestId::from_number(NOBODYS).unwrap()
}
