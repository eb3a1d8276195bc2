//! Two servers that want the same at the same moment. Both have loaded before either saves: the moment at which
//! something could go wrong is made sure of, not waited for.

use crate::house::{Batch, House, START, WINDOW, credit, fresh_id};
use crate::reference::{CODE, OTHER, Order, PHONE, WRONG, mac, to};
use chappe::store::Store;
use chappe_core::command::{Caller, Entered, Idempotency};
use chappe_core::report::Attempt;
use chappe_core::{Book, Command, Keys, Outcome, Rejection, ReportId, Rules, Verification, decide};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// Two stores over one database.
async fn pair(house: &House) -> (Store, Store) {
    let mut stores = Vec::new();
    for _ in 0..2 {
        let mut store = house.place.open().await;
        store.start_serving(START, WINDOW).await.unwrap();
        stores.push(store);
    }
    (stores.remove(0), stores.remove(0))
}

/// Carries out each command in a batch of its own; both are loaded before either decides. Says how often they were
/// decided in all.
async fn collide(
    (one, two): (&mut Store, &mut Store),
    rules: &Rules,
    first: Command,
    second: Command,
) -> (Batch, Batch, u32) {
    let both_loaded = Barrier::new(2);
    let decided = AtomicU32::new(0);
    let batch = |command: Command| {
        let (both_loaded, decided) = (&both_loaded, &decided);
        let mut keys = Keys::default();
        command.add_keys(&mut keys);
        let mut fresh = true;
        let judge = move |book: &mut Book| {
            if std::mem::take(&mut fresh) {
                tokio::task::block_in_place(|| both_loaded.wait());
            }
            decided.fetch_add(1, Ordering::Relaxed);
            vec![decide(rules, book, &command)]
        };
        (keys, judge)
    };
    let (first_keys, first) = batch(first);
    let (second_keys, second) = batch(second);
    // On threads of their own: each may block the other.
    let (first, second) = std::thread::scope(|scope| {
        let handle = tokio::runtime::Handle::current();
        let other = handle.clone();
        let first = scope.spawn(move || handle.block_on(one.transact(&first_keys, first)));
        let second = scope.spawn(move || other.block_on(two.transact(&second_keys, second)));
        tokio::task::block_in_place(|| (first.join().unwrap(), second.join().unwrap()))
    });
    (first, second, decided.into_inner())
}

fn answer(batch: Batch) -> Result<Outcome, Rejection> {
    batch.unwrap().0.remove(0)
}

fn send(house: &House, caller: Caller, order: &Order<'_>) -> Command {
    order.send_command(caller, house.now, fresh_id())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_payment_is_booked_once() {
    let house = House::postgres().await;
    let (mut one, mut two) = pair(&house).await;
    let pay = |caller| credit(caller, house.now, 5, Some("invoice"));
    let (alice, bob) = (pay(house.people.alice), pay(house.people.bob));
    let (first, second, decided) = collide((&mut one, &mut two), &house.rules, alice, bob).await;
    let answers = [answer(first), answer(second)];
    let booked = answers.iter().filter(|answer| matches!(answer, Ok(Outcome::Credited(_)))).count();
    assert_eq!(booked, 1, "{answers:?}");
    assert!(answers.contains(&Ok(Outcome::AlreadyCredited)), "{answers:?}");
    assert_eq!(decided, 3, "the later one was decided again");
    house.audit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_first_messages_to_a_number_are_both_counted() {
    let house = House::postgres().await;
    let (mut one, mut two) = pair(&house).await;
    let (alice, bob) =
        (send(&house, house.people.alice, &to(PHONE)), send(&house, house.people.bob, &to(PHONE)));
    let (first, second, decided) = collide((&mut one, &mut two), &house.rules, alice, bob).await;
    assert!(answer(first).is_ok() && answer(second).is_ok());
    assert_eq!(decided, 3, "the later one was decided again");
    let moments = "SELECT cardinality(string_to_array(moments, ','))::bigint FROM phone_window";
    assert_eq!(house.database().number(moments).await, 2);
    house.audit().await;
}

/// Accounts and windows that both want, in opposite order of need: one waits for the other, and both get through.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_contention_every_limit_and_every_balance_holds() {
    const EACH: usize = 40;
    let mut house = House::postgres().await;
    let (mut one, mut two) = pair(&house).await;
    let (alice, bob, twin) = (house.people.alice, house.people.bob, house.people.twin);
    // Enough for 30 messages, for 40 that are wanted of each.
    for caller in [alice, bob] {
        house.credit(caller, -700_000, None).await.unwrap();
    }
    let numbers: Vec<String> = (0..16).map(|number| format!("+4479111234{number:02}")).collect();
    let batches = |callers: [Caller; 3], backwards: bool| -> Vec<Vec<Command>> {
        let mut batches: Vec<Vec<Command>> = (0..EACH)
            .map(|round| {
                let number = &numbers[round % numbers.len()];
                callers.iter().map(|caller| send(&house, *caller, &to(number))).collect()
            })
            .collect();
        if backwards {
            batches.reverse();
        }
        batches
    };
    let (mine, theirs) = (batches([alice, bob, twin], false), batches([twin, bob, alice], true));
    let rules = &house.rules;
    let work = |store: &mut Store, batches: Vec<Vec<Command>>| {
        let mut sent = 0;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for batch in batches {
            let (answers, _) = runtime.block_on(crate::house::run(store, rules, &batch)).unwrap();
            sent += answers.iter().filter(|answer| answer.is_ok()).count();
        }
        sent
    };
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| work(&mut one, mine));
        let second = scope.spawn(|| work(&mut two, theirs));
        tokio::task::block_in_place(|| (first.join().unwrap(), second.join().unwrap()))
    });
    // 16 numbers take five live messages each, more than can be paid for; play messages are counted apart.
    let live = "SELECT count(*) FROM request JOIN account ON account.id = account_id WHERE mode = 'live'";
    assert_eq!(house.database().number(live).await, 60, "what 30 and 30 fees pay for");
    let most =
        "SELECT max(sent) FROM (SELECT count(*) AS sent FROM request JOIN account ON account.id = account_id
                GROUP BY phone_key, mode) AS numbers";
    assert!(house.database().number(most).await <= 5);
    assert_eq!(house.database().number("SELECT count(*) FROM request").await, (first + second) as i64);
    for caller in [alice, bob] {
        assert_eq!(house.balance(caller).await, 0);
    }
    house.audit().await;
}

/// Another transaction that locks two accounts in the wrong order: the server ends one of both, and the batch is done.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_deadlock_is_survived() {
    let mut house = House::postgres().await;
    let (alice, bob) = (house.people.alice, house.people.bob);
    let database = house.database().clone();
    let rival = database.client().await;
    let lock = |caller: Caller| format!("SELECT FROM account WHERE id = {} FOR UPDATE", caller.account.0);
    rival.batch_execute("SET deadlock_timeout = '10s'; BEGIN").await.unwrap();
    rival.batch_execute(&lock(bob)).await.unwrap();
    let commands = [credit(alice, house.now, 5, None), credit(bob, house.now, 5, None)];
    let (batch, rival_done) = tokio::join!(async { house.batch(&commands).await }, async {
        // Once the batch waits for Bob, having locked Alice.
        database.until_somebody_waits(|| false).await;
        let locked = rival.batch_execute(&lock(alice)).await;
        let _ = rival.batch_execute("ROLLBACK").await;
        locked
    });
    assert!(batch.iter().all(Result::is_ok), "{batch:?}");
    assert!(rival_done.is_ok(), "the batch was ended, and begun anew: {rival_done:?}");
    house.audit().await;
}

/// Lets `second` come while `first` is being decided: it gets as far as the locks let it.
async fn overtake(house: &House, first: Command, second: Command) -> (Answer, Answer) {
    let (mut one, mut two) = pair(house).await;
    let (rules, database) = (&house.rules, house.database());
    let done = &AtomicBool::new(false);
    let late = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let batch = runtime.block_on(crate::house::run(&mut two, rules, std::slice::from_ref(&second)));
        done.store(true, Ordering::Release);
        answer(batch)
    };
    std::thread::scope(|scope| {
        let mut late = Some(late);
        let mut running = None;
        let mut keys = Keys::default();
        first.add_keys(&mut keys);
        let judge = |book: &mut Book| {
            if let Some(late) = late.take() {
                running = Some(scope.spawn(late));
                let wait = database.until_somebody_waits(|| done.load(Ordering::Acquire));
                tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(wait));
            }
            book.lease_room = 8;
            vec![decide(rules, book, &first)]
        };
        let batch = one.transact(&keys, judge);
        let early = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(batch));
        (answer(early), running.unwrap().join().unwrap())
    })
}

type Answer = Result<Outcome, Rejection>;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_message_to_a_number_is_sent_once() {
    let mut house = House::postgres().await;
    let (alice, bob) = (house.people.alice, house.people.bob);
    for _ in 0..4 {
        house.send(alice, &to(PHONE)).await.unwrap();
    }
    let (first, second) = (send(&house, alice, &to(PHONE)), send(&house, bob, &to(PHONE)));
    let (first, second) = overtake(&house, first, second).await;
    assert!(first.is_ok(), "{first:?}");
    assert_eq!(second, Err(Rejection::FloodWait(600)));
    house.audit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_money_is_spent_once() {
    let mut house = House::postgres().await;
    let alice = house.people.alice;
    house.credit(alice, 10_000 - 1_000_000, None).await.unwrap();
    let (first, second) = (send(&house, alice, &to(PHONE)), send(&house, alice, &to(OTHER)));
    let (first, second) = overtake(&house, first, second).await;
    assert!(first.is_ok(), "{first:?}");
    assert_eq!(second, Err(Rejection::BalanceNotEnough));
    house.audit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_key_makes_one_message() {
    let mut house = House::postgres().await;
    let alice = house.people.alice;
    let order = Order { key: Some(Idempotency { key: [1; 32], body: [2; 32] }), ..to(PHONE) };
    let (first, second) = (send(&house, alice, &order), send(&house, alice, &order));
    let (first, second) = overtake(&house, first, second).await;
    assert_eq!(first.unwrap(), second.unwrap(), "the very same answer");
    assert_eq!(house.balance(alice).await, 990_000);
    house.audit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_request_is_sent_once() {
    let mut house = House::postgres().await;
    let alice = house.people.alice;
    let check = to(PHONE).check_command(alice, house.now, fresh_id());
    let Ok(Outcome::Request(checked)) = house.command(check).await else { panic!("it was refused") };
    let order = Order { under: Some(checked.request), ..to(PHONE) };
    let (first, second) = (send(&house, alice, &order), send(&house, alice, &order));
    let (first, second) = overtake(&house, first, second).await;
    assert!(first.is_ok(), "{first:?}");
    assert_eq!(second, Err(Rejection::MessageAlreadySent));
    house.audit().await;
}

/// Every wrong code counts, also the one at another server; and the right one after too many is not told.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_guess_goes_uncounted() {
    let mut house = House::postgres().await;
    let alice = house.people.alice;
    let request = house.send(alice, &to(PHONE)).await.unwrap().request;
    for _ in 0..4 {
        house.enter(alice, request, WRONG).await.unwrap();
    }
    let enter = |code: &str| {
        let entered = Some(Entered { text: code.into(), mac: mac(request, code) });
        Command::CheckStatus { caller: alice, now: house.now, request, entered }
    };
    let (first, second) = overtake(&house, enter(WRONG), enter(CODE)).await;
    let verdict = |answer: Answer| match answer {
        Ok(Outcome::Request(view)) => view.verification.map(|(verdict, _)| verdict),
        other => panic!("{other:?}"),
    };
    assert_eq!(verdict(first), Some(Verification::Invalid));
    assert_eq!(verdict(second), Some(Verification::MaxAttemptsExceeded));
    house.audit().await;
}

/// A report that is due, of a message of Alice's.
async fn due_report(house: &mut House) -> ReportId {
    let order = Order { callback: true, ..to(OTHER) };
    let request = house.send(house.people.alice, &order).await.unwrap().request;
    let events = vec![chappe_core::ChannelEvent::Delivered];
    house
        .command(Command::Channel {
            now: house.now,
            request,
            hop: 0,
            channel: crate::house::channel("sms"),
            events,
        })
        .await
        .unwrap();
    ReportId { request, seq: 1 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_report_is_claimed_by_one_server() {
    let mut house = House::postgres().await;
    let claim = Command::ClaimReport { now: house.now, report: due_report(&mut house).await };
    let (first, second) = overtake(&house, claim.clone(), claim).await;
    assert!(matches!(first, Ok(Outcome::Report(_))), "{first:?}");
    assert_eq!(second, Ok(Outcome::Done));
}

/// A concluded report is named alone: its account is found by its request, and locked.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_attempt_at_a_report_is_counted() {
    let mut house = House::postgres().await;
    let report = due_report(&mut house).await;
    let attempt = Attempt::Failed("503".to_owned());
    let conclude =
        Command::ConcludeReport { now: house.now, report, attempt, took: Duration::ZERO, jitter_permille: 0 };
    let (first, second) = overtake(&house, conclude.clone(), conclude).await;
    assert_eq!((first, second), (Ok(Outcome::Done), Ok(Outcome::Done)));
    assert_eq!(house.database().number("SELECT attempts::bigint FROM report").await, 2);
}
