//! Random lives of a gateway, against a naive model that keeps books of its own.
//!
//! Commands come in batches over one book, as they do from an engine under load. `PROPTEST_CASES` raises the number of
//! lives.

#![allow(clippy::unwrap_used, clippy::panic)]

mod naive;
mod support;

use chappe_core::command::{Entered, Idempotency, Outcome};
use chappe_core::ledger::Kind;
use chappe_core::route::Reach;
use chappe_core::text::ChannelName;
use chappe_core::{ChannelEvent, Command, Delivery, Money, RequestId, Work, decide::view};
use naive::{Errand, FOR_SUBSCRIBERS, Naive, News, SINGLE_USE, TWIN_AT, Wish, date};
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeMap;
use std::time::Duration;
use support::{ALICE, BOB, CODE, Gate, LOCKED, MAGIC, OWN, Order, PHONE, PRICE, TWIN, WRONG, mac, to};

const ROUTES: &[&[&str]] = &[
    &["sms"],
    &["sandbox"],
    &["sms", "mail"],
    &["mail:30", "sandbox"],
    &["sms:60", "mail:1", "voice"],
    &["bot:30", "sms"],
    &["sms:60", "bot"],
    &["bot"],
];
/// Enough for the limit of a number, and soon spent.
const FUNDS: i64 = 10 * PRICE;
/// More than a batch can hand over.
const ROOM: usize = 1000;
const CALLERS: [chappe_core::command::Caller; 3] = [ALICE, BOB, TWIN];

/// One thing that happens. A request is picked by how many were made after it, so that most of what happens concerns
/// the latest ones.
#[derive(Clone, Debug)]
enum Action {
    Wait {
        millis: u32,
    },
    Ask {
        wish: Wish,
        under: Option<usize>,
        times: usize,
    },
    /// The last call that had a key, once more.
    AskAgain,
    Enter {
        back: usize,
        stranger: bool,
        code: Option<&'static str>,
        times: usize,
    },
    Revoke {
        back: usize,
        stranger: bool,
    },
    Hear {
        back: usize,
        hop: usize,
        /// Another channel than the hop's says so.
        imposter: bool,
        news: Vec<News>,
    },
    Due {
        back: usize,
        may_expire: bool,
    },
    Money {
        who: usize,
        micros: i64,
        reference: Option<u8>,
    },
    Room {
        room: bool,
    },
    /// A number subscribes, or does no more.
    Subscribe {
        phone: &'static str,
        on: bool,
    },
}

fn action() -> impl Strategy<Value = Action> {
    // Around every limit there is: leases, ttls, the grace of single use, windows, a code's life, a day.
    let millis = select(
        &[
            1,
            500,
            999,
            1_000,
            5_000,
            10_000,
            29_999,
            30_000,
            30_001,
            60_000,
            299_000,
            300_000,
            599_999,
            600_000,
            3_600_000,
            86_400_000,
            172_800_000,
        ][..],
    );
    let back = || prop_oneof![6 => 0..3usize, 1 => 0..20usize];
    let rarely = || prop::bool::weighted(0.1);
    prop_oneof![
        6 => millis.prop_map(|millis| Action::Wait { millis }),
        8 => (wish(), prop::option::weighted(0.4, back()), select(&[1, 1, 1, 1, 1, 1, 1, 1, 3, 6][..]))
            .prop_map(|(wish, under, times)| Action::Ask { wish, under, times }),
        1 => Just(Action::AskAgain),
        6 => (back(), rarely(), select(&[None, Some(CODE), Some(WRONG)][..]), select(&[1, 1, 1, 3, 5, 6][..]))
            .prop_map(|(back, stranger, code, times)| Action::Enter { back, stranger, code, times }),
        2 => (back(), rarely()).prop_map(|(back, stranger)| Action::Revoke { back, stranger }),
        8 => (back(), select(&[0, 0, 0, 1, 1, 2][..]), rarely(), prop::collection::vec(news(), 1..4))
            .prop_map(|(back, hop, imposter, news)| Action::Hear { back, hop, imposter, news }),
        8 => (back(), prop::bool::weighted(0.8))
            .prop_map(|(back, may_expire)| Action::Due { back, may_expire }),
        2 => (0..3usize, select(&[0, 1, PRICE, 3 * PRICE, -1, -PRICE, -3 * PRICE][..]), 0..12u8)
            .prop_map(|(who, micros, reference)| {
                let reference = (micros > 0 && reference < 6).then_some(reference);
                Action::Money { who, micros, reference }
            }),
        1 => prop::bool::weighted(0.7).prop_map(|room| Action::Room { room }),
        1 => (select(&[OWN, PHONE][..]), any::<bool>())
            .prop_map(|(phone, on)| Action::Subscribe { phone, on }),
    ]
}

fn wish() -> impl Strategy<Value = Wish> {
    let phone = select(&[OWN, PHONE, PHONE, PHONE, MAGIC, LOCKED][..]);
    let hops = select(ROUTES);
    let reach = prop_oneof![12 => Just(Reach::Yes), 1 => Just(Reach::No), 1 => Just(Reach::Wait(5))];
    let key = prop::option::weighted(0.2, (0..3u8, 0..2u8));
    let ttl_s = select(&[None, Some(30), Some(60), Some(3600)][..]);
    (prop::bool::weighted(0.7), 0..3usize, phone, hops, reach, key, ttl_s, any::<bool>()).prop_map(
        |(send, who, phone, hops, reach, key, ttl_s, callback)| {
            // A check has no parameters but the number; a digest never repeats over different methods.
            let key = key.map(|(key, body)| (key, body + 2 * u8::from(send)));
            Wish { send, who, phone, under: None, ttl_s, callback, hops, reach, key }
        },
    )
}

fn news() -> impl Strategy<Value = News> {
    prop_oneof![
        4 => (prop::option::of(0..4u8), prop::option::of(select(&[1u8, 10, 60][..])))
            .prop_map(|(name, ask_after_s)| News::Accepted { name, ask_after_s }),
        1 => select(&[1u8, 10, 60][..]).prop_map(|secs| News::Busy { secs }),
        1 => select(&[1u8, 10, 60][..]).prop_map(|secs| News::Postponed { secs }),
        1 => select(&[1u8, 10, 60][..]).prop_map(|secs| News::Unavailable { secs }),
        1 => Just(News::Withdrawn),
        2 => Just(News::Failed),
        1 => Just(News::Uncertain),
        3 => Just(News::Delivered),
        2 => Just(News::Read),
    ]
}

/// The gateway and the model side by side, and the batch that gathers for both.
struct Pair {
    gate: Gate,
    model: Naive,
    last_keyed: Option<Wish>,
    /// How many requests earlier batches have made.
    known: usize,
    commands: Vec<Command>,
    expected: Vec<naive::Said>,
}

impl Pair {
    fn new() -> Pair {
        let mut gate = Gate::new();
        gate.store.accounts.get_mut(&CALLERS[SINGLE_USE].account).unwrap().single_use = true;
        let mut model = Naive::default();
        (model.room, gate.store.lease_room) = (true, ROOM);
        for (who, caller) in CALLERS.iter().enumerate() {
            gate.set_balance(*caller, FUNDS);
            model.purses[who] = FUNDS;
        }
        Pair { gate, model, last_keyed: None, known: 0, commands: Vec::new(), expected: Vec::new() }
    }

    /// A request that someone outside can know of: its id is told when its batch is durable, not before.
    fn pick(&self, back: usize) -> Option<(RequestId, usize)> {
        let made = &self.model.requests[..self.known];
        let picked = made.get(made.len().checked_sub(back % made.len().max(1) + 1)?)?;
        Some((picked.id, picked.who))
    }

    /// Adds the action to the batch, and what the model says to it.
    fn add(&mut self, action: &Action) {
        let now = self.gate.now;
        let whose = |who: usize, stranger: bool| if stranger { (who + 1) % 3 } else { who };
        match action {
            Action::Wait { millis } => {
                // A batch is of one moment or of several; either way the clock only goes forward here.
                self.gate.now = now + Duration::from_millis(u64::from(*millis));
                self.model.now += i64::from(*millis) * 1000;
            }
            Action::Room { room } => {
                // How many messages are taken is the book's: it changes between batches alone.
                self.flush();
                self.gate.store.lease_room = if *room { ROOM } else { 0 };
                self.model.room = *room;
            }
            Action::Subscribe { phone, on } => {
                // Also a row that a book has loaded before the batch.
                self.flush();
                let subscriber = (ChannelName::parse(FOR_SUBSCRIBERS).unwrap(), support::phone(phone));
                if *on {
                    self.gate.store.subscribers.insert(subscriber);
                    self.model.subscribed.insert(phone);
                } else {
                    self.gate.store.subscribers.remove(&subscriber);
                    self.model.subscribed.remove(phone);
                }
            }
            Action::Ask { wish, under, times } => {
                let prior = under.filter(|_| wish.send).and_then(|back| self.pick(back));
                let mut wish = Wish { under: prior.map(|(id, _)| id), ..wish.clone() };
                if let Some((_, owner)) = prior.filter(|_| wish.who != TWIN_AT) {
                    wish.who = owner;
                }
                (0..*times).for_each(|_| self.ask(wish.clone()));
            }
            Action::AskAgain => {
                if let Some(wish) = self.last_keyed.clone() {
                    self.ask(wish);
                }
            }
            Action::Enter { back, stranger, code, times } => {
                let Some((request, owner)) = self.pick(*back) else { return };
                let who = whose(owner, *stranger);
                for _ in 0..*times {
                    let entered = code.map(|code| Entered { text: code.into(), mac: mac(request, code) });
                    self.commands.push(Command::CheckStatus { caller: CALLERS[who], now, request, entered });
                    self.expected.push(self.model.status(who, request, *code));
                }
            }
            Action::Revoke { back, stranger } => {
                let Some((request, owner)) = self.pick(*back) else { return };
                let who = whose(owner, *stranger);
                self.commands.push(Command::Revoke { caller: CALLERS[who], now, request });
                self.expected.push(self.model.revoke(who, request));
            }
            Action::Hear { back, hop, imposter, news } => {
                let Some((request, _)) = self.pick(*back) else { return };
                let events = news.iter().map(|news| self.event(*news)).collect();
                let channel = if *imposter { "imposter" } else { self.model.channel(request, *hop) };
                let channel = ChannelName::parse(channel).unwrap();
                self.commands.push(Command::Channel { now, request, hop: *hop as u8, channel, events });
                self.expected.push(match imposter {
                    true => Ok(Outcome::Done),
                    false => self.model.hear(request, *hop, news),
                });
            }
            Action::Due { back, may_expire } => {
                let Some((request, _)) = self.pick(*back) else { return };
                self.commands.push(Command::Due { now, request, may_expire: *may_expire });
                self.expected.push(self.model.due(request, *may_expire));
            }
            Action::Money { who, micros, reference } => {
                self.commands.push(Command::Credit {
                    now,
                    account: CALLERS[*who].account,
                    kind: Kind::Adjustment,
                    amount: Money::from_micros(*micros),
                    reference: reference.map(|reference| format!("pay_{reference}")),
                    reason: "test".to_owned(),
                });
                self.expected.push(self.model.money(*who, *micros, *reference));
            }
        }
    }

    fn ask(&mut self, wish: Wish) {
        let new_id = self.gate.new_id();
        let idempotency = |(key, body)| Idempotency { key: [key; 32], body: [body; 32] };
        let order = Order {
            under: wish.under,
            ttl: wish.ttl_s,
            callback: wish.callback,
            payload: Some("mine"),
            hops: wish.hops,
            subscribers_only: &[FOR_SUBSCRIBERS],
            reach: wish.reach,
            key: wish.key.map(idempotency),
            ..to(wish.phone)
        };
        let caller = CALLERS[wish.who];
        let mut expected = self.model.ask(&wish, new_id);
        if let Ok(chappe_core::command::Outcome::Request(view)) = &mut expected {
            // A replay gives back the number and the payload that came with it: they are part of what its digest
            // stands for, which is more than the two digests of this test say.
            view.phone = support::phone(wish.phone);
            view.payload = view.payload.clone().filter(|_| wish.send);
        }
        self.commands.push(if wish.send {
            order.send_command(caller, self.gate.now, new_id)
        } else {
            order.check_command(caller, self.gate.now, new_id)
        });
        self.expected.push(expected);
        if wish.key.is_some() {
            self.last_keyed = Some(wish);
        }
    }

    fn event(&self, news: News) -> ChannelEvent {
        let reason = String::new();
        match news {
            News::Accepted { name, ask_after_s } => ChannelEvent::Accepted {
                reference: name.map(|name| name.to_string()),
                poll_at: ask_after_s.map(|secs| self.gate.now + Duration::from_secs(secs.into())),
            },
            News::Postponed { secs } => {
                ChannelEvent::Postponed { after: Duration::from_secs(secs.into()), reason }
            }
            News::Busy { secs } => ChannelEvent::Busy { after: Duration::from_secs(secs.into()) },
            News::Unavailable { secs } => {
                ChannelEvent::Unavailable { after: Duration::from_secs(secs.into()), reason }
            }
            News::Withdrawn => ChannelEvent::Withdrawn,
            News::Failed => ChannelEvent::Failed { reason },
            News::Uncertain => ChannelEvent::Uncertain { reason },
            News::Delivered => ChannelEvent::Delivered,
            News::Read => ChannelEvent::Read,
        }
    }

    /// Runs the batch and compares everything.
    fn flush(&mut self) {
        let commands = std::mem::take(&mut self.commands);
        let expected = std::mem::take(&mut self.expected);
        let said: Vec<_> = commands.iter().map(|command| format!("{command:?}")).collect();
        let answers = self.gate.store.run_batch(commands);
        for ((said, answer), expected) in said.iter().zip(answers).zip(expected) {
            assert_eq!(answer, expected, "{said}");
        }
        let work: Vec<_> = self.gate.store.work.iter().map(asked_for).collect();
        assert_eq!(work, std::mem::take(&mut self.model.work));
        self.known = self.model.requests.len();
        self.compare();
    }

    fn compare(&self) {
        let (store, model) = (&self.gate.store, &self.model);
        for (caller, purse) in CALLERS.iter().zip(model.purses) {
            assert_eq!(store.accounts[&caller.account].balance.micros(), purse);
        }
        assert_eq!(store.requests.len(), model.requests.len());
        for (at, expected) in model.requests.iter().enumerate() {
            let request = &store.requests[&expected.id];
            assert_eq!(view(request, self.gate.now), model.look(at));
            self.check_money(expected);
            let Some(letter) = &expected.letter else { continue };
            let message = request.message.as_ref().unwrap();
            assert_eq!(usize::from(message.hop), letter.hop, "{request:?}");
            assert_eq!(message.due_at(), letter.due().map(date), "{request:?}");
            let attempts = request.message.as_ref().map(|message| message.attempts);
            assert_eq!(attempts, Some(letter.wrong_codes() as u8));
            assert!(letter.wrong_codes() <= 5, "attempts are bounded");
            let reports = store.reports_of(expected.id).into_iter();
            let reports: Vec<_> = reports.map(|row| (row.delivery, row.verification, row.refunded)).collect();
            let mut told = Vec::new();
            for (status, at, verification) in &letter.reports {
                let verification = verification.map(|(verdict, at)| (verdict, date(at)));
                let refunded = *status == Delivery::Expired && expected.refunded();
                told.push(((*status, date(*at)), verification, refunded));
            }
            assert_eq!(reports, told);
        }
        assert_eq!(store.days, store.recount(), "statistics are a recount");
        let names = store.channel_references.values();
        let named: BTreeMap<_, _> = names
            .map(|named| {
                ((named.channel.as_str(), named.reference.clone()), (named.request, named.hop.into()))
            })
            .collect();
        let names = model.names.iter();
        let expected = names.map(|((channel, name), about)| ((*channel, name.to_string()), *about)).collect();
        assert_eq!(named, expected);
    }

    /// Charged iff it cost something; refunded iff it was charged and its delivery expired: whatever the model says.
    fn check_money(&self, expected: &naive::Request) {
        let request = &self.gate.store.requests[&expected.id];
        let expired = request.message.as_ref().is_some_and(|message| message.delivery == Delivery::Expired);
        let (charged, refunded) = self.gate.store.moved(expected.id);
        assert_eq!((charged, refunded), (request.cost.is_positive(), charged && expired));
        assert_eq!(request.refunded, refunded);
    }
}

fn asked_for(work: &Work) -> Errand {
    match work {
        Work::Deliver(job) => ("deliver", job.request, job.hop.into()),
        Work::Poll(job) => ("poll", job.request, job.hop.into()),
        Work::Withdraw(job) => ("withdraw", job.request, job.hop.into()),
    }
}

/// Lives through the actions, with some of them in one batch.
fn live(actions: &[(Action, bool)]) {
    let mut pair = Pair::new();
    for (action, ends_batch) in actions {
        pair.add(action);
        if *ends_batch {
            pair.flush();
        }
    }
    pair.flush();
}

/// A few seconds' worth of lives, or as many more as the environment asks for.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { cases: default.cases.max(4000), failure_persistence: None, ..default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_rules_agree_with_a_naive_model(
        actions in prop::collection::vec((action(), prop::bool::weighted(0.6)), 1..120),
    ) {
        live(&actions);
    }
}
