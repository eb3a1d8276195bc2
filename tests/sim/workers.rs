//! The part of the world that comes after an answer: the delivery worker, channels that speak up by themselves, the due
//! worker, the report worker and its receivers; and the end of a life, when everything is done that there is to do.

use crate::auditor::{Complaint, Heard, Input};
use crate::books::Claimed;
use crate::operation::{Dice, Handling, Name, News, name};
use crate::world::{Checked, World, nth_back, read};
use chappe::engine::Failure;
use chappe::store::Busy;
use chappe::work::{deliver, due, report, upkeep};
use chappe_core::command::ReportJob;
use chappe_core::report::Attempt;
use chappe_core::text::ChannelName;
use chappe_core::{ChannelEvent, Command, Outcome, ReportId, RequestId, Time, Work};
use std::time::Duration;

/// More than there ever are.
const MANY: usize = 1_000;
/// The most rounds that a life may take to come to rest.
const ROUNDS_MAX: usize = 60;
/// Longer than any pause between attempts at a report.
const LONG: Duration = Duration::from_secs(15 * 3600);

impl World<'_> {
    /// The delivery worker takes some of its work, in no order.
    pub(crate) fn work(&mut self, take: usize, handling: Handling, dice: u64) -> Checked {
        let mut dice = Dice::new(dice);
        let mut taken = Vec::new();
        for _ in 0..take.min(self.desk.len()) {
            let at = dice.below(self.desk.len());
            taken.push(self.desk.swap_remove(at));
        }
        if handling == Handling::Dropped {
            return Ok(());
        }
        if handling == Handling::Doubled {
            taken.extend(taken.clone());
        }
        let mut commands = Vec::new();
        for item in &taken {
            commands.extend(self.carry_out(item, |item| script(item, &mut dice)));
        }
        self.tell(commands)
    }

    /// The sandbox is the real one; other channels say what the script says.
    fn carry_out(&self, item: &Work, script: impl FnOnce(&Work) -> Vec<News>) -> Vec<Command> {
        let (Work::Deliver(job) | Work::Poll(job) | Work::Withdraw(job)) = item;
        if job.channel.is_sandbox() {
            return deliver::carry_out(&self.house.app, std::slice::from_ref(item));
        }
        let events = events(&script(item), (job.request, job.hop), self.now());
        let (request, hop, channel) = (job.request, job.hop, job.channel.clone());
        vec![Command::Channel { now: self.now(), request, hop, channel, events }]
    }

    pub(crate) fn news(&mut self, back: usize, hop: u8, news: &[News]) -> Checked {
        let requests: Vec<_> = self.auditor.requests().into_iter().collect();
        let Some((request, _)) = nth_back(&requests, back) else { return Ok(()) };
        let (now, request) = (self.now(), *request);
        let events = events(news, (request, hop), now);
        // Who says it of a message that was only just ordered is not heard, unless that goes to the sandbox.
        let channel = self.auditor.channel(request, hop).unwrap_or_else(ChannelName::sandbox);
        self.tell(vec![Command::Channel { now, request, hop, channel, events }])
    }

    /// Hands in what channels say.
    fn tell(&mut self, commands: Vec<Command>) -> Checked {
        let heard = |command: &Command| match command {
            Command::Channel { now, request, hop, channel, events } => {
                let (channel, events) = (channel.clone(), events.clone());
                Input::Hear { now: *now, request: *request, hop: *hop, channel, events }
            }
            _ => panic!("a channel says nothing else"),
        };
        if commands.is_empty() { Ok(()) } else { self.apply(commands.iter().map(heard).collect(), commands) }
    }

    /// The due worker makes its round; where the clock is not trusted, nothing may expire.
    pub(crate) fn due(&mut self, may_expire: bool) -> Checked {
        // What is due is read before what waits is carried out, so let nothing wait.
        self.commit()?;
        let (app, now) = (self.house.app.clone(), self.now());
        let due = read(app.reader.due_requests(now, MANY))?;
        self.auditor.due(now, &due)?;
        if due.is_empty() {
            return Ok(());
        }
        let inputs = due.iter().map(|request| Input::Look { now, request: *request, may_expire }).collect();
        if may_expire {
            let count = due.len();
            return self.hand_in(inputs, async move {
                let round = due::round(&app).await.map_err(|_| Failure::Internal);
                let heard = Heard::Said(round.map(|found| {
                    assert_eq!(found, count, "the round finds what was found before");
                    Outcome::Done
                }));
                vec![heard; count]
            });
        }
        // The manual clock is always trusted: what the round would do otherwise is done for it.
        let look = |request| Command::Due { now, request, may_expire };
        self.apply(inputs, due.into_iter().map(look).collect())
    }

    /// The report worker makes its round.
    pub(crate) fn reports(&mut self, dice: u64, twice: bool) -> Checked {
        let mut dice = Dice::new(dice);
        let mut concluded = Vec::new();
        for report in self.claim(twice)? {
            match dice.below(10) {
                ..5 => concluded.push((report, Attempt::Acknowledged)),
                5 | 6 => concluded.push((report, Attempt::Failed("500".to_owned()))),
                7 => concluded.push((report, Attempt::Failed("no answer within 10 s".to_owned()))),
                _ => self.abroad.push(report),
            }
        }
        // The slowest receiver holds up what is written down.
        self.pass(Duration::from_millis(dice.pick(&[5, 200, 10_000])));
        self.conclude(concluded)
    }

    /// Takes what is due of reports for one attempt each.
    fn claim(&mut self, twice: bool) -> Result<Vec<ReportId>, Complaint> {
        self.commit()?;
        let (app, now) = (self.house.app.clone(), self.now());
        let due = read(report::due(&app, now, &Busy::default(), MANY))?;
        let mut due: Vec<ReportId> = due.into_iter().map(|due| due.id).collect();
        self.auditor.reports_due(now, &due)?;
        if due.is_empty() {
            return Ok(due);
        }
        if twice {
            due.extend(due.clone());
        }
        let inputs = due.iter().map(|report| Input::Claim { now, report: *report }).collect();
        self.hand_in(inputs, async move {
            let jobs = report::lease(&app, now, due).await;
            jobs.iter().map(|job| Heard::Claim(job.as_ref().map(claimed))).collect()
        })?;
        let entries = self.commit()?;
        let taken = entries.into_iter().filter_map(|entry| match (entry.input, entry.heard) {
            (Input::Claim { report, .. }, Heard::Claim(Some(_))) => Some(report),
            _ => None,
        });
        Ok(taken.collect())
    }

    fn conclude(&mut self, concluded: Vec<(ReportId, Attempt)>) -> Checked {
        if concluded.is_empty() {
            return Ok(());
        }
        let (app, now) = (self.house.app.clone(), self.now());
        let input = |(report, attempt): &(ReportId, Attempt)| Input::Conclude {
            now,
            report: *report,
            acknowledged: *attempt == Attempt::Acknowledged,
        };
        let inputs: Vec<Input> = concluded.iter().map(input).collect();
        let count = inputs.len();
        self.hand_in(inputs, async move {
            let concluded = concluded.into_iter().map(|(report, attempt)| (report, attempt, Duration::ZERO));
            report::conclude(&app, concluded.collect()).await;
            vec![Heard::Nothing; count]
        })
    }

    /// An attempt that nobody waited for any more comes to something.
    pub(crate) fn conclude_late(&mut self, dice: u64) -> Checked {
        if self.abroad.is_empty() {
            return Ok(());
        }
        let mut dice = Dice::new(dice);
        let at = dice.below(self.abroad.len());
        let report = self.abroad.swap_remove(at);
        let attempt =
            if dice.percent(50) { Attempt::Acknowledged } else { Attempt::Failed("late".to_owned()) };
        self.conclude(vec![(report, attempt)])
    }

    /// Does everything that there is to do, however long it takes. Half of the receivers never answer 200.
    pub(crate) fn settle(&mut self) -> Checked {
        self.commit()?;
        for round in 0..ROUNDS_MAX {
            let mut commands = Vec::new();
            for item in std::mem::take(&mut self.desk) {
                // Every other message to a real phone is taken and never arrives, and never given back.
                let accepted = News::Accepted { name: Name::Own, ask_after_s: None };
                commands.extend(self.carry_out(&item, |item| match item {
                    Work::Deliver(job) if !is_even(job.request) => vec![accepted],
                    Work::Deliver(_) | Work::Poll(_) => vec![accepted, News::Delivered],
                    Work::Withdraw(job) if !is_even(job.request) => vec![],
                    Work::Withdraw(_) => vec![News::Withdrawn],
                }));
            }
            self.tell(commands)?;
            self.due(true)?;
            let claimed = self.claim(false)?;
            let outcome = |report: ReportId| {
                let deaf = is_even(report.request);
                let attempt = if deaf { Attempt::Failed("503".to_owned()) } else { Attempt::Acknowledged };
                (report, attempt)
            };
            self.conclude(claimed.into_iter().map(outcome).collect())?;
            self.commit()?;
            let reader = &self.house.app.reader;
            let requests = read(reader.next_due_request())?;
            let reports = read(reader.due_reports(far(), &Busy::default(), MANY))?;
            if self.desk.is_empty() && requests.is_none() && reports.is_empty() {
                return self.end();
            }
            self.pass(if round < 4 { Duration::from_secs(31) } else { LONG });
        }
        Err(Complaint(format!("there is still something to do after {ROUNDS_MAX} rounds")))
    }

    /// The last checks of a life.
    fn end(&mut self) -> Checked {
        self.auditor.end()?;
        self.audit()?;
        // A day later, no code may be left anywhere.
        self.pass(Duration::from_secs(25 * 3600));
        let app = self.house.app.clone();
        self.house.drive(upkeep::purge(&app));
        self.auditor.purge(self.now());
        let left = read(app.reader.sandbox_messages(None, None, MANY))?;
        if let Some(message) = left.first() {
            return Err(Complaint(format!("the phone still shows the code of {}", message.request)));
        }
        self.look()?;
        self.audit()
    }
}

fn is_even(request: RequestId) -> bool {
    (request.number() / 8) % 2 == 0
}

/// What a scripted channel says of a message, or when it is asked about one or for it.
fn script(item: &Work, dice: &mut Dice) -> Vec<News> {
    use News::{Accepted, Busy, Delivered, Failed, Postponed, Read, Unavailable, Uncertain, Withdrawn};
    let accepted = Accepted { name: name(dice), ask_after_s: None };
    let later = Accepted { name: name(dice), ask_after_s: Some(10) };
    let (busy, unavailable) = (Busy { secs: 1 }, Unavailable { secs: 5 });
    let scripts: &[&[News]] = match item {
        Work::Poll(_) => {
            &[&[accepted, Delivered], &[Read], &[later], &[Failed], &[], &[busy], &[unavailable]]
        }
        Work::Withdraw(_) => {
            &[&[Withdrawn], &[Withdrawn], &[Failed], &[], &[busy], &[unavailable], &[Postponed { secs: 20 }]]
        }
        Work::Deliver(_) => &[
            &[accepted],
            &[accepted, Delivered],
            &[later],
            &[later, Delivered],
            &[Delivered],
            &[Read, Delivered],
            &[Failed],
            &[Failed],
            &[Uncertain],
            &[Postponed { secs: 20 }],
            &[busy],
            &[unavailable],
            &[],
        ],
    };
    dice.pick(scripts).to_vec()
}

/// What a channel says of a message.
fn events(news: &[News], (request, hop): (RequestId, u8), now: Time) -> Vec<ChannelEvent> {
    let reason = || "scripted".to_owned();
    let called = |name: &Name| match name {
        Name::None => None,
        Name::Own => Some(format!("{request}.{hop}")),
        Name::Used => Some("used".to_owned()),
    };
    let event = |news: &News| match news {
        News::Accepted { name, ask_after_s } => ChannelEvent::Accepted {
            reference: called(name),
            poll_at: ask_after_s.map(|secs| now + Duration::from_secs(secs)),
        },
        News::Postponed { secs } => {
            ChannelEvent::Postponed { after: Duration::from_secs(*secs), reason: reason() }
        }
        News::Busy { secs } => ChannelEvent::Busy { after: Duration::from_secs(*secs) },
        News::Unavailable { secs } => {
            ChannelEvent::Unavailable { after: Duration::from_secs(*secs), reason: reason() }
        }
        News::Withdrawn => ChannelEvent::Withdrawn,
        News::Failed => ChannelEvent::Failed { reason: reason() },
        News::Uncertain => ChannelEvent::Uncertain { reason: reason() },
        News::Delivered => ChannelEvent::Delivered,
        News::Read => ChannelEvent::Read,
    };
    news.iter().map(event).collect()
}

fn claimed(job: &ReportJob) -> Claimed {
    Claimed {
        body: String::from_utf8(report::body(job)).unwrap(),
        url: job.callback_url.to_string(),
        token: job.report.token,
        attempts: job.report.attempts,
    }
}

/// After everything.
fn far() -> Time {
    Time::from_secs(9_000_000_000)
}
