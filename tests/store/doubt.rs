//! Connections that are lost, and above all at a commit: what is answered must be what stands in the database.

use crate::house::{House, START, WINDOW, credit, run, vault};
use crate::proxy::{Cut, Proxy};
use chappe::store::{Store, StoreError};
use chappe_core::{Book, Command, Keys, Money, Outcome, Rejection, decide};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A store that reaches the database of the house by a wire that can be cut.
async fn wired(house: &House) -> (Proxy, Store) {
    let database = house.database();
    let proxy = Proxy::to(database.port).await;
    let url = format!("{}?sslmode=disable", database.url_by(proxy.port));
    let mut store = Store::open_postgres(&url, vault()).await.unwrap();
    store.start_serving(START, WINDOW).await.unwrap();
    assert_eq!(store.lane(), 1, "the second server");
    (proxy, store)
}

type Credited = (Result<Result<Outcome, Rejection>, StoreError>, u32);

/// One credit, and how often it was decided.
async fn credit_once(store: &mut Store, house: &House) -> Credited {
    credit_while(store, house, || ()).await
}

/// One credit, with something that happens while it is decided.
async fn credit_while(store: &mut Store, house: &House, happens: impl Fn()) -> Credited {
    let command = credit(house.people.alice, house.now, 5, None);
    let mut keys = Keys::default();
    command.add_keys(&mut keys);
    let mut decided = 0;
    let judge = |book: &mut Book| {
        decided += 1;
        happens();
        decide(&house.rules, book, &command)
    };
    let result = store.transact(&keys, judge).await.map(|(answer, _)| answer);
    (result, decided)
}

#[tokio::test]
async fn a_commit_that_never_reached_the_server_is_done_again() {
    let mut house = House::postgres().await;
    let (proxy, mut store) = wired(&house).await;
    for cut in [Cut::Before, Cut::Hanging] {
        let before = house.balance(house.people.alice).await;
        proxy.cut(cut);
        let (answer, decided) = credit_once(&mut store, &house).await;
        assert!(proxy.was_cut());
        assert!(matches!(answer, Ok(Ok(Outcome::Credited(_)))), "{cut:?}: {answer:?}");
        assert_eq!(decided, 2, "{cut:?}");
        assert_eq!(house.balance(house.people.alice).await, before + 5, "{cut:?}");
    }
    house.audit().await;
}

/// Others wait for its locks, and the database lets go of them before their patience ends.
#[tokio::test]
async fn a_server_that_is_cut_off_in_a_batch_holds_others_up_for_a_moment_only() {
    let mut house = House::postgres().await;
    let (proxy, mut store) = wired(&house).await;
    proxy.cut(Cut::Hanging);
    let was_cut = async {
        while !proxy.was_cut() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    // It comes to nothing more, not even to ending what it has begun.
    tokio::select! {
        biased;
        () = was_cut => {}
        _ = credit_once(&mut store, &house) => panic!("the wire was not cut"),
    }
    let begun = std::time::Instant::now();
    house.credit(house.people.alice, 7, None).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(6), "it took {:?}", begun.elapsed());
    assert_eq!(house.balance(house.people.alice).await, 1_000_007);
    house.audit().await;
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_not_done_again() {
    let mut house = House::postgres().await;
    let (proxy, mut store) = wired(&house).await;
    proxy.cut(Cut::After);
    let (answer, decided) = credit_once(&mut store, &house).await;
    assert!(proxy.was_cut());
    assert!(matches!(answer, Ok(Ok(Outcome::Credited(_)))), "{answer:?}");
    assert_eq!(decided, 1);
    assert_eq!(house.balance(house.people.alice).await, 1_000_005);
    // And the next batch is counted on from there.
    let (answer, _) = credit_once(&mut store, &house).await;
    answer.unwrap().unwrap();
    assert_eq!(house.balance(house.people.alice).await, 1_000_010);
    house.audit().await;
}

/// The writes and the commit are still on their way when the new connection is there, and the old one cannot be ended:
/// it is waited for.
#[tokio::test]
async fn a_commit_that_comes_late_is_not_done_again() {
    let mut house = House::postgres().await;
    let database = house.database().clone();
    let role = format!("plain_{}", database.name);
    database
        .run(&format!(
            "CREATE ROLE {role} LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role};
             REVOKE EXECUTE ON FUNCTION pg_terminate_backend FROM PUBLIC"
        ))
        .await;
    let proxy = Proxy::to(database.port).await;
    let url = format!("postgres://{role}@127.0.0.1:{}/{}?sslmode=disable", proxy.port, database.name);
    let mut store = Store::open_postgres(&url, vault()).await.unwrap();
    store.start_serving(START, WINDOW).await.unwrap();
    let once = AtomicBool::new(true);
    let hold = || {
        if once.swap(false, Ordering::Relaxed) {
            proxy.cut(Cut::Late);
        }
    };
    let ((answer, decided), ()) = tokio::join!(credit_while(&mut store, &house, hold), async {
        database.until_somebody_waits(|| false).await;
        proxy.let_through();
    });
    assert!(matches!(answer, Ok(Ok(Outcome::Credited(_)))), "{answer:?}");
    assert_eq!(decided, 1);
    assert_eq!(house.balance(house.people.alice).await, 1_000_005);
    house.audit().await;
}

#[tokio::test]
async fn what_cannot_be_found_out_is_not_answered_as_done() {
    let mut house = House::postgres().await;
    let (proxy, mut store) = wired(&house).await;
    let Store::Postgres(writer) = &mut store else { unreachable!() };
    writer.set_patience(Duration::from_millis(300));
    proxy.cut(Cut::AfterForGood);
    let (answer, _) = credit_once(&mut store, &house).await;
    assert!(matches!(answer, Err(StoreError::InDoubt)), "{answer:?}");
    let (answer, decided) = credit_once(&mut store, &house).await;
    assert!(matches!(answer, Err(StoreError::Unreachable(_))), "{answer:?}");
    assert_eq!(decided, 0);
    proxy.open();
    let (answer, _) = credit_once(&mut store, &house).await;
    answer.unwrap().unwrap();
    assert_eq!(house.balance(house.people.alice).await, 1_000_010, "the first and the last");
    house.audit().await;
}

#[tokio::test]
async fn beside_no_lane_nothing_can_be_found_out() {
    let mut house = House::postgres().await;
    let database = house.database();
    let proxy = Proxy::to(database.port).await;
    let url = format!("{}?sslmode=disable", database.url_by(proxy.port));
    let mut store = Store::open_postgres(&url, vault()).await.unwrap();
    proxy.cut(Cut::After);
    let (answer, decided) = credit_once(&mut store, &house).await;
    assert!(matches!(answer, Err(StoreError::InDoubt)), "{answer:?}");
    assert_eq!((decided, house.balance(house.people.alice).await), (1, 1_000_005));
}

#[tokio::test]
async fn a_connection_that_was_ended_is_made_anew() {
    let mut house = House::postgres().await;
    let end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let alice = house.people.alice;
    for round in 1..4 {
        house.database().run(end).await;
        house.credit(alice, 1, None).await.unwrap();
        house.database().run(end).await;
        assert_eq!(house.account("alice").await.balance.micros(), 1_000_000 + round, "readers, too");
        house.database().run(end).await;
        house.store.set_single_use(alice.account, true).await.unwrap();
    }
    house.audit().await;
}

/// Callers wait behind such work: a database that takes everything in and answers nothing must not hold them up.
#[tokio::test]
async fn work_that_is_no_batch_gives_up_a_database_that_says_nothing() {
    let house = House::postgres().await;
    let (proxy, mut store) = wired(&house).await;
    let alice = house.people.alice;
    proxy.cut(Cut::Silent);
    for longest in [12, 6] {
        let begun = std::time::Instant::now();
        let refused = store.set_single_use(alice.account, true).await;
        assert!(matches!(refused, Err(StoreError::Unreachable(_))), "{refused:?}");
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(longest), "it took {took:?}, and the one before had failed, too");
    }
    proxy.open();
    store.set_single_use(alice.account, true).await.unwrap();
    assert!(credit_once(&mut store, &house).await.0.is_ok());
    house.audit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_was_ended_while_a_batch_was_decided_does_it_once() {
    let mut house = House::postgres().await;
    let database = house.database().clone();
    let command = credit(house.people.alice, house.now, 5, None);
    let mut keys = Keys::default();
    command.add_keys(&mut keys);
    let (rules, mut decided) = (house.rules.clone(), 0);
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let judge = |book: &mut Book| {
        decided += 1;
        if decided == 1 {
            let run = database.run(end);
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(run));
        }
        decide(&rules, book, &command)
    };
    let (answer, _) = house.store.transact(&keys, judge).await.unwrap();
    assert!(matches!(answer, Ok(Outcome::Credited(_))));
    assert_eq!(decided, 2);
    assert_eq!(house.balance(house.people.alice).await, 1_000_005);
    house.audit().await;
}

/// A statement that fails takes the whole batch with it, and the next one finds everything in order.
#[tokio::test]
async fn a_batch_that_the_database_refuses_leaves_nothing() {
    let mut house = House::postgres().await;
    let (alice, bob) = (house.people.alice, house.people.bob);
    house.database().run("ALTER TABLE transfer ADD CONSTRAINT no_thirteen CHECK (amount <> 13)").await;
    let commands: Vec<Command> = [5, 13]
        .into_iter()
        .zip([bob, alice])
        .map(|(micros, who)| credit(who, house.now, micros, None))
        .collect();
    let refused = run(&mut house.store, &house.rules, &commands).await;
    assert!(matches!(refused, Err(StoreError::Other(_))), "{refused:?}");
    assert_eq!((house.balance(alice).await, house.balance(bob).await), (1_000_000, 1_000_000));
    house.credit(alice, 5, None).await.unwrap();
    house.audit().await;
}

/// What a batch that only reads has found is told at once; that its end got lost is for the next one to notice.
#[tokio::test]
async fn a_batch_that_only_reads_waits_for_no_end() {
    let mut house = House::postgres().await;
    let (proxy, mut store) = wired(&house).await;
    proxy.cut(Cut::Rollback);
    let ask = [Command::Balance { caller: house.people.alice }];
    let asked = tokio::time::timeout(Duration::from_secs(2), run(&mut store, &house.rules, &ask)).await;
    assert_eq!(asked.unwrap().unwrap().0, [Ok(Outcome::Balance(Money::from_micros(1_000_000)))]);
    let (answer, _) = credit_once(&mut store, &house).await;
    assert!(proxy.was_cut());
    assert!(matches!(answer, Ok(Ok(Outcome::Credited(_)))), "{answer:?}");
    assert_eq!(house.balance(house.people.alice).await, 1_000_005);

    // Where nothing is lost, its locks are gone without another word of it.
    for _ in 0..20 {
        run(&mut store, &house.rules, &ask).await.unwrap();
        let credited = house.credit(house.people.alice, 1, None);
        tokio::time::timeout(Duration::from_secs(2), credited).await.unwrap().unwrap();
    }
    house.audit().await;
}
