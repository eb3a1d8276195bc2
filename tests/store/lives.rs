//! Random lives: every command and every refusal, in batches, on the database and on the reference side by side. Each
//! answer, and all that is read at the end, must be the same.

use crate::house::{House, channel, fresh_id, on_every_database, run, stored, subscriber};
use crate::reference::{self, CODE, MAGIC, OTHER, PHONE, WRONG, mac, phone, to};
use chappe::store::Busy;
use chappe_core::account::Account;
use chappe_core::book::Sender;
use chappe_core::command::{Caller, Entered, Idempotency};
use chappe_core::report::{Attempt, State};
use chappe_core::route::Reach;
use chappe_core::text::Username;
use chappe_core::{ChannelEvent, Command, Mode, Money, Outcome, Rejection, ReportId, RequestId, Time};
use std::collections::BTreeSet;
use std::time::Duration;

on_every_database! { a_life_goes_as_in_the_reference }

/// How many lives are lived, and how many batches each has.
const LIVES: u64 = 6;
const BATCHES: usize = 120;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

async fn a_life_goes_as_in_the_reference(mut house: House) {
    let mut met = BTreeSet::new();
    // Lives of one house follow each other, so that later ones find what earlier ones left.
    let mut twin = furnish_reference(&mut house).await;
    for seed in 1..=LIVES {
        live(&mut house, &mut twin, &mut Seeded(seed), &mut met).await;
    }
    let all = [
        "ACCESS_TOKEN_INVALID",
        "IDEMPOTENCY_KEY_REUSED",
        "REQUEST_ID_INVALID",
        "PHONE_NUMBER_MISMATCH",
        "MESSAGE_ALREADY_SENT",
        "SENDER_NOT_OWNED",
        "SENDER_NOT_VERIFIED",
        "FLOOD_WAIT",
        "BALANCE_NOT_ENOUGH",
        "PHONE_NUMBER_NOT_AVAILABLE",
        "AMOUNT_INVALID",
        "CODE_INVALID",
        "credited",
        "already credited",
        "report",
        "revoked",
        "balance",
        "request",
    ];
    let missing: Vec<_> = all.into_iter().filter(|name| !met.contains(*name)).collect();
    assert!(missing.is_empty(), "never met: {missing:?}");
}

/// The reference with the accounts and senders of the house.
async fn furnish_reference(house: &mut House) -> reference::Store {
    house.rules.account_rate = Some(chappe_core::limits::Rate { per_second: 1, burst: 6 });
    let mut twin = reference::Store::new(house.rules.clone());
    let alice = house.people.alice.account;
    house.store.set_own_number(alice, Some(phone(reference::OWN))).await.unwrap();
    house.store.set_single_use(house.people.bob.account, true).await.unwrap();
    for (name, verified) in [("verified", true), ("unverified", false)] {
        let name = Username::parse(name).unwrap();
        house.store.put_sender(alice, &name, verified, house.now).await.unwrap();
        twin.senders.insert((alice, name), Sender { verified });
    }
    for row in house.reader.accounts(None).await.unwrap() {
        let account = Account {
            id: row.id,
            mode: row.mode,
            balance: Money::ZERO,
            transfers: 0,
            own_number: row.own_number,
            single_use: row.single_use,
            rate_spent_until: Time::from_micros(0),
        };
        twin.accounts.insert(row.id, account);
    }
    for caller in [house.people.alice, house.people.twin, house.people.bob] {
        twin.run(crate::house::credit(caller, house.now, 1_000_000, None)).unwrap();
    }
    twin
}

async fn live(
    house: &mut House,
    twin: &mut reference::Store,
    seeded: &mut Seeded,
    met: &mut BTreeSet<String>,
) {
    for _ in 0..BATCHES {
        let millis = seeded.of(&[1, 300, 999, 5_000, 30_000, 30_001, 60_000, 599_999, 600_000, 3_600_000]);
        house.now = house.now + Duration::from_millis(millis);
        let commands: Vec<_> = (0..=seeded.below(12)).map(|_| command(house, twin, seeded)).collect();
        let expected = twin.run_batch(commands.clone());
        let (answers, news) = run(&mut house.store, &house.rules, &commands).await.unwrap();
        for ((command, answer), expected) in commands.iter().zip(&answers).zip(&expected) {
            assert_eq!(answer, expected, "{command:?}");
            met.insert(name(answer));
        }
        assert_eq!(news.work, twin.work, "what is to be done outside");
        if seeded.one_in(4) {
            subscribe(house, twin, seeded).await;
        }
    }
    everything_is_alike(house, twin).await;
}

/// Somebody subscribes to a channel, blocks it, or goes.
async fn subscribe(house: &mut House, twin: &mut reference::Store, seeded: &mut Seeded) {
    let (bot, number) = (channel("bot"), phone(seeded.of(&[PHONE, OTHER])));
    let chat_id = number.number() as i64;
    if seeded.one_in(2) {
        house.store.put_subscriber(&subscriber("bot", number, chat_id)).await.unwrap();
        twin.subscribers.insert((bot, number));
    } else {
        let known = twin.subscribers.remove(&(bot.clone(), number));
        if seeded.one_in(2) {
            assert_eq!(house.store.block_subscriber(&bot, chat_id).await.unwrap(), known);
        } else {
            // Whoever has blocked it is still there.
            let removed = house.store.remove_subscriber(&bot, chat_id).await.unwrap();
            assert!(removed || !known);
        }
    }
}

fn name(answer: &Result<Outcome, Rejection>) -> String {
    match answer {
        Err(Rejection::FloodWait(_)) => "FLOOD_WAIT".to_owned(),
        Err(rejection) => rejection.name().into_owned(),
        Ok(Outcome::Request(_)) => "request".to_owned(),
        Ok(Outcome::Revoked) => "revoked".to_owned(),
        Ok(Outcome::Balance(_)) => "balance".to_owned(),
        Ok(Outcome::Report(_)) => "report".to_owned(),
        Ok(Outcome::Credited(_)) => "credited".to_owned(),
        Ok(Outcome::AlreadyCredited) => "already credited".to_owned(),
        Ok(Outcome::Done) => "done".to_owned(),
    }
}

fn command(house: &House, twin: &reference::Store, seeded: &mut Seeded) -> Command {
    let (now, people) = (house.now, house.people);
    let nobody = Caller { account: chappe_core::AccountId(77), ..people.alice };
    let caller = match seeded.below(40) {
        0 => nobody,
        1..20 => people.alice,
        20..30 => people.twin,
        _ => people.bob,
    };
    let request = some_request(twin, seeded);
    let report = ReportId { request, seq: 1 + seeded.below(2) as u8 };
    match seeded.below(100) {
        0..9 => order(house, request, seeded).check_command(caller, now, fresh_id()),
        9..38 => order(house, request, seeded).send_command(caller, now, fresh_id()),
        38..56 => {
            let code = seeded.of(&[None, Some(CODE), Some(WRONG), Some(WRONG)]);
            let entered = code.map(|code| Entered { text: code.into(), mac: mac(request, code) });
            Command::CheckStatus { caller, now, request, entered }
        }
        56..60 => Command::Revoke { caller, now, request },
        60..63 => Command::Balance { caller },
        63..76 => {
            let hop = seeded.of(&[0, 0, 0, 1]);
            let found = twin.requests.get(&request).and_then(|request| request.route.get(usize::from(hop)));
            let found = found.filter(|_| !seeded.one_in(10)).map(|hop| hop.channel.clone());
            let channel = found.unwrap_or_else(|| crate::house::channel("imposter"));
            Command::Channel { now, request, hop, channel, events: events(now, seeded) }
        }
        76..85 => Command::Due { now, request, may_expire: !seeded.one_in(5) },
        85..90 => Command::ClaimReport { now, report },
        90..92 => Command::ResendReport { now, account: caller.account, report },
        92..96 => {
            let attempt = if seeded.one_in(2) {
                Attempt::Acknowledged
            } else {
                Attempt::Failed("503 \0 unavailable".replace('\0', "-"))
            };
            let took = Duration::from_millis(seeded.below(10_000) as u64);
            let jitter_permille = seeded.below(200) as u16;
            Command::ConcludeReport { now, report, attempt, took, jitter_permille }
        }
        _ => {
            let micros = seeded.of(&[0, 1, 50_000, 200_000, -1, -10_000, -300_000]);
            let reference =
                (micros > 0 && seeded.one_in(2)).then(|| seeded.of(&["one", "two", "three", "four"]));
            crate::house::credit(caller, now, micros, reference)
        }
    }
}

/// Mostly one of the latest.
fn some_request(twin: &reference::Store, seeded: &mut Seeded) -> RequestId {
    let back = if seeded.one_in(6) { seeded.below(60) } else { seeded.below(6) };
    let unknown = RequestId::parse("123456789012345").unwrap();
    twin.requests.keys().rev().nth(back).copied().unwrap_or(unknown)
}

fn order(house: &House, request: RequestId, seeded: &mut Seeded) -> reference::Order<'static> {
    let key = seeded
        .one_in(5)
        .then(|| Idempotency { key: [1 + seeded.below(3) as u8; 32], body: [1 + seeded.below(2) as u8; 32] });
    let number = seeded.of(&[PHONE, PHONE, OTHER, reference::OWN, MAGIC]);
    reference::Order {
        under: seeded.one_in(3).then_some(request),
        ttl: seeded.of(&[None, Some(30), Some(60), Some(3600)]),
        callback: seeded.one_in(2),
        payload: seeded.of(&[None, Some("päylöad \u{1F600} 'quoted', {braced} \\")]),
        sender: seeded.of(&[None, None, None, Some("verified"), Some("unverified"), Some("another_one")]),
        hops: seeded.of(&[
            &["sms"] as &[&str],
            &["sandbox"],
            &["sms", "mail"],
            &["mail:30", "sandbox"],
            &["sms:60", "mail:1", "voice"],
            &["bot:30", "sms"],
            &["bot"],
        ]),
        subscribers_only: &["bot"],
        reach: seeded.of(&[Reach::Yes, Reach::Yes, Reach::Yes, Reach::Yes, Reach::No, Reach::Wait(5)]),
        key,
        fault: (seeded.one_in(25) && house.now.micros() > 0).then_some(Rejection::CodeInvalid),
        ..to(number)
    }
}

fn events(now: Time, seeded: &mut Seeded) -> Vec<ChannelEvent> {
    let after = Duration::from_secs(seeded.of(&[1, 5, 60]));
    let event = |seeded: &mut Seeded| match seeded.below(11) {
        0..3 => ChannelEvent::Accepted {
            reference: (!seeded.one_in(3)).then(|| format!("channel's own, {}", seeded.below(20))),
            poll_at: seeded.one_in(2).then(|| now + Duration::from_secs(10)),
        },
        3 => ChannelEvent::Postponed { after, reason: "busy\nline".to_owned() },
        4 => ChannelEvent::Busy { after },
        5 => ChannelEvent::Unavailable { after, reason: "503".to_owned() },
        6 => ChannelEvent::Withdrawn,
        7 => ChannelEvent::Failed { reason: "no such subscriber".to_owned() },
        8 => ChannelEvent::Uncertain { reason: "no answer".to_owned() },
        9 => ChannelEvent::Delivered,
        _ => ChannelEvent::Read,
    };
    (0..=seeded.below(3)).map(|_| event(seeded)).collect()
}

async fn everything_is_alike(house: &House, twin: &reference::Store) {
    house.audit().await;
    // Not what this process remembers, but what the rows say.
    let mut other = house.place.open().await;
    for (id, request) in &twin.requests {
        assert_eq!(stored(&mut other, *id).await.as_ref(), Some(request));
        let row = house.reader.request(*id).await.unwrap().unwrap();
        assert_eq!(row.account, request.account);
        assert_eq!(row.channel, *request.channel());
        assert_eq!(row.delivery, request.message.as_ref().map(|message| message.delivery));
        let timeline: String = twin.timelines[id].iter().map(|event| format!("{event}\n")).collect();
        assert_eq!(row.timeline, timeline);
    }
    for ((channel, name), named) in &twin.channel_references {
        let found = house.reader.message_of(channel, name).await.unwrap();
        assert_eq!(found, Some((named.request, named.hop)), "{channel} {name}");
    }
    let due_at = |id: &RequestId| twin.requests[id].message.as_ref().and_then(|message| message.due_at());
    let mut due: Vec<_> =
        twin.requests.keys().filter(|id| due_at(id).is_some_and(|at| at <= house.now)).copied().collect();
    let mut found = house.reader.due_requests(house.now, 100_000).await.unwrap();
    due.sort_by_key(|id| (due_at(id), *id));
    found.sort_by_key(|id| (due_at(id), *id));
    assert_eq!(found, due);
    let next = twin.requests.keys().filter_map(due_at).min();
    assert_eq!(house.reader.next_due_request().await.unwrap(), next);

    let open = |id: &ReportId| twin.reports.get(id).is_some_and(|report| report.state == State::Pending);
    let reports: BTreeSet<_> = twin
        .reports
        .values()
        .filter(|report| open(&report.id) && report.due_at <= house.now)
        .filter(|report| !(1..report.id.seq).any(|seq| open(&ReportId { seq, ..report.id })))
        .map(|report| report.id)
        .collect();
    let found = house.reader.due_reports(house.now, &Busy::default(), 100_000).await.unwrap();
    assert_eq!(found.iter().map(|due| due.id).collect::<BTreeSet<_>>(), reports);
    assert!(found.iter().all(|due| due.receiver == "https://example.com"));

    for row in house.reader.accounts(None).await.unwrap() {
        let account = &twin.accounts[&row.id];
        assert_eq!((row.balance, row.transfers), (account.balance, account.transfers));
    }
    let in_sandbox: BTreeSet<_> = twin
        .requests
        .values()
        .filter(|request| request.channel().is_sandbox())
        .filter(|request| request.message.as_ref().is_some_and(|message| message.code.is_some()))
        .map(|request| request.id)
        .collect();
    let shown = house.reader.sandbox_messages(None, None, 100_000).await.unwrap();
    assert!(shown.is_sorted_by_key(|message| std::cmp::Reverse(message.request)), "newest first");
    assert_eq!(shown.iter().map(|message| message.request).collect::<BTreeSet<_>>(), in_sandbox);
    for message in &shown {
        let request = &twin.requests[&message.request];
        let sent = request.message.as_ref().unwrap();
        assert_eq!((message.account, message.phone), (request.account, request.phone));
        assert_eq!((Some(message.code), message.sent_at), (sent.code, sent.sent_at));
        assert_eq!((message.delivery, message.hop), (sent.delivery, sent.hop));
        assert_eq!(message.sender, sent.sender);
        let one = house.reader.sandbox_message(message.request).await.unwrap().unwrap();
        assert_eq!(one.request, message.request);
    }
    assert!(house.reader.account("alice", Mode::Live).await.is_ok());
}
