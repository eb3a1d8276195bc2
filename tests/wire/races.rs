//! Calls that come at once: money, attempts and messages are counted exactly, and too many calls are told so.

use crate::support::{ALICE, ALICE_TEST, Answer, BOB, BOB_TEST, Request, Server, must};
use chappe_core::RequestId;
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::mpsc;

fn call(method: &str, parameters: Value) -> Request {
    Request::post(&format!("/{method}")).bearer(ALICE).json(parameters)
}

fn send(phone: impl ToString) -> Request {
    call("sendVerificationMessage", json!({"phone_number": phone.to_string(), "code": "1234"}))
}

/// How often each answer came: the error's name, or for a success the verification status or `ok`.
async fn counted(server: &Server, requests: &[Request]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for answer in server.at_once(requests).await {
        assert_eq!(answer.status, 200);
        let name = match answer.error() {
            error if !error.is_empty() => error,
            _ => answer.result()["verification_status"]["status"].as_str().unwrap_or("ok").to_owned(),
        };
        *counts.entry(name).or_default() += 1;
    }
    counts
}

fn counts<const N: usize>(pairs: [(&str, usize); N]) -> BTreeMap<String, usize> {
    pairs.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

/// How often an event stands in a request's timeline.
async fn happened(server: &Server, request: &str, event: &str) -> usize {
    let row = server.reader().request(RequestId::parse(request).unwrap()).await.unwrap().unwrap();
    row.timeline.lines().filter(|line| line.split(' ').nth(1) == Some(event)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_five_hundred_sends_with_funds_for_ten_ten_are_done() {
    let server = Server::start(|_| {}).await;
    server.set_balance(ALICE, "0.1").await;
    let requests: Vec<Request> = (0..500u64)
        .map(|n| match n % 2 {
            0 => send(79_120_000_000 + n),
            _ => call("checkSendAbility", json!({"phone_number": 79_120_000_000 + n})),
        })
        .collect();
    let answers = server.at_once(&requests).await;
    let done: Vec<Value> =
        answers.iter().filter(|answer| answer.error().is_empty()).map(|answer| answer.result()).collect();
    let refused = answers.iter().filter(|answer| answer.error() == "BALANCE_NOT_ENOUGH").count();
    assert_eq!((done.len(), refused), (10, 490));
    let left: BTreeSet<String> = done.iter().map(|result| result["remaining_balance"].to_string()).collect();
    let expected = ["0", "0.01", "0.02", "0.03", "0.04", "0.05", "0.06", "0.07", "0.08", "0.09"];
    assert_eq!(left.into_iter().collect::<Vec<_>>(), expected, "each tells what it left");
    let ids: BTreeSet<String> = done.iter().map(|result| result["request_id"].to_string()).collect();
    assert_eq!(ids.len(), 10);
    assert_eq!(server.balance().await.to_string(), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_five_hundred_sends_to_one_number_five_are_done() {
    let server = Server::start(|setup| setup.clock_at(1_789_894_598)).await;
    let found = counted(&server, &vec![send("+79123456719"); 500]).await;
    assert_eq!(found, counts([("ok", 5), ("FLOOD_WAIT_600", 495)]));
    assert_eq!(server.balance().await.to_string(), "99.95");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_sends_with_one_request_id_one_is_done() {
    let server = Server::start(|_| {}).await;
    let phone = "+9996600001";
    let checked = server.api("checkSendAbility", json!({"phone_number": phone})).await.result();
    let send = json!({"phone_number": phone, "code": "1234", "request_id": checked["request_id"]});
    let found = counted(&server, &vec![call("sendVerificationMessage", send); 100]).await;
    assert_eq!(found, counts([("ok", 1), ("MESSAGE_ALREADY_SENT", 99)]));
    assert_eq!(server.balance().await.to_string(), "99.99");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_guesses_five_are_judged() {
    let server = Server::start(|_| {}).await;
    let request = server.send(json!({"phone_number": "+79123456719", "code": "1234"})).await;
    // The right one is not among the first five, and must not be found by trying them all.
    let guess = |n: usize| json!({"request_id": request, "code": format!("{:04}", (n + 2_000) % 10_000)});
    let guesses: Vec<Request> = (0..1_000).map(|n| call("checkVerificationStatus", guess(n))).collect();
    let found = counted(&server, &guesses).await;
    assert_eq!(found, counts([("code_invalid", 5), ("code_max_attempts_exceeded", 995)]));
    assert_eq!(happened(&server, &request, "wrong_code").await, 5);
    assert_eq!(happened(&server, &request, "attempts_exceeded").await, 1);
    let right = json!({"request_id": request, "code": "1234"});
    let status = server.api("checkVerificationStatus", right).await.result();
    assert_eq!(status["verification_status"]["status"], "code_max_attempts_exceeded");
}

/// A number's requests together take fifteen wrong codes an hour, however the guesses are spread.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_guesses_over_five_requests_fifteen_are_judged() {
    let server = Server::start(|_| {}).await;
    let mut requests = Vec::new();
    for _ in 0..5 {
        requests.push(server.send(json!({"phone_number": "+79123456719", "code": "1234"})).await);
    }
    let guesses: Vec<Request> = (0..1_000)
        .map(|n| call("checkVerificationStatus", json!({"request_id": requests[n % 5], "code": 2_000 + n})))
        .collect();
    let found = counted(&server, &guesses).await;
    assert_eq!(found, counts([("code_invalid", 15), ("code_max_attempts_exceeded", 985)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_right_codes_are_one_verification() {
    let server = Server::start(|_| {}).await;
    let request =
        server.send_until(json!({"phone_number": "+79123456719", "code": "1234"}), "delivered").await;
    let right = call("checkVerificationStatus", json!({"request_id": request, "code": "1234"}));
    let answers = server.at_once(&vec![right; 100]).await;
    let verdicts: BTreeSet<String> =
        answers.iter().map(|answer| answer.result()["verification_status"].to_string()).collect();
    assert_eq!(verdicts.len(), 1, "one moment: {verdicts:?}");
    assert!(verdicts.first().unwrap().contains("code_valid"));
    assert_eq!(happened(&server, &request, "verified").await, 1);
}

/// Whoever wins: a verified code stays so for everybody, a revoked one is dead for everybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_verified_or_revoked_and_not_both() {
    let server = Server::start(|_| {}).await;
    for round in 0..10 {
        let request = server.send(json!({"phone_number": "+9996600001", "code": "1234"})).await;
        let right = call("checkVerificationStatus", json!({"request_id": request, "code": "1234"}));
        let mut all = vec![right; 20];
        all.insert(round * 2, call("revokeVerificationMessage", json!({"request_id": request})));
        let found = counted(&server, &all).await;
        let (valid, expired) = (found.get("code_valid"), found.get("expired"));
        assert!([(Some(&20), None), (None, Some(&20))].contains(&(valid, expired)), "{found:?}");
        assert_eq!(happened(&server, &request, "verified").await, usize::from(valid.is_some()));
    }
}

/// Each of two hundred messages is delivered or expires: a charge or a refund, never both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivered_against_expired() {
    let server = Server::start(|setup| setup.clock_at(1_789_894_598)).await;
    let send =
        call("sendVerificationMessage", json!({"phone_number": "+9996630001", "code": "1234", "ttl": 60}));
    let sent = server.at_once(&vec![send; 200]).await;
    let ids: Vec<String> =
        sent.iter().map(|answer| answer.result()["request_id"].as_str().unwrap().to_owned()).collect();
    let mut all: Vec<Request> =
        ids.iter().map(|id| Request::post(&format!("/sandbox/messages/{id}/delivered"))).collect();
    all.insert(60, Request::post("/sandbox/clock").json(json!({"advance_s": 60})));
    server.at_once(&all).await;
    // What was in the worker's hands when the clock had done its rounds.
    server.call(&Request::post("/sandbox/clock").json(json!({"advance_s": 0}))).await;
    let mut delivered = 0;
    for id in &ids {
        let status = server.api("checkVerificationStatus", json!({"request_id": id})).await.result();
        let refunded = status.get("is_refunded").is_some();
        match status["delivery_status"]["status"].as_str() {
            Some("delivered") => delivered += 1,
            other => assert_eq!(other, Some("expired")),
        }
        assert_eq!(refunded, status["delivery_status"]["status"] == "expired", "{status}");
    }
    let spent = server.app.settings.rules.prices.price(chappe_core::Phone::parse("9996630001").unwrap());
    let expected = 100_000_000 - spent.micros() * delivered;
    assert_eq!(server.balance().await.micros(), expected);
}

fn send_as(token: &str, phone: u64) -> Request {
    let send = json!({"phone_number": phone, "code": "1234"});
    Request::post("/sendVerificationMessage").bearer(token).json(send)
}

/// Calls that are under way: each on a connection of its own, their answers as they come.
async fn begin(
    server: &Server,
    requests: impl IntoIterator<Item = Request>,
) -> mpsc::UnboundedReceiver<Answer> {
    let (told, answers) = mpsc::unbounded_channel();
    for request in requests {
        let (told, mut connection) = (told.clone(), server.connect().await);
        tokio::spawn(async move { told.send(connection.exchange(&request).await) });
    }
    answers
}

/// A server whose engine stands still until it is released.
async fn standing_still(queue_max: usize) -> Server {
    Server::start(|setup| {
        setup.settings.queue_max = queue_max;
        setup.engine = false;
        setup.workers = false;
    })
    .await
}

/// More callers than the queue holds: who finds no room is told at once and charged nothing, who waits is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overloaded_server_says_so() {
    let tokens = [ALICE, BOB, ALICE_TEST, BOB_TEST];
    for room in [1, 3] {
        let mut server = standing_still(room).await;
        let calls = (0..60).map(|n| send_as(tokens[n % 4], 79_120_000_000 + n as u64));
        let mut answers = begin(&server, calls).await;
        let mut overloaded = 0;
        for _ in 0..60 - room {
            let answer = must("a refusal", answers.recv()).await.unwrap();
            assert_eq!(answer.header("content-type"), Some("application/json"));
            match answer.verdict() {
                (503, name) if name == "OVERLOADED" => overloaded += 1,
                // An account that waits already is told so.
                verdict => assert_eq!(verdict, (200, "FLOOD_WAIT_1".to_owned())),
            }
        }
        assert!(overloaded >= 4 - room);
        // What needs no engine goes on.
        assert_eq!(server.call(&Request::get("/readyz")).await.status, 200);
        assert_eq!(server.call(&Request::post("/getMe").bearer(ALICE)).await.error(), "UNKNOWN_METHOD");
        assert_eq!(total(&server).await, 400_000_000, "nothing was done yet");
        server.release();
        for _ in 0..room {
            must("an answer", answers.recv()).await.unwrap().result();
        }
        assert_eq!(total(&server).await, 400_000_000 - 10_000 * i64::try_from(room).unwrap());
        server.call(&send("+79123456719")).await.result();
    }
}

/// What all accounts have.
async fn total(server: &Server) -> i64 {
    let accounts = server.reader().accounts(None).await.unwrap();
    accounts.iter().map(|account| account.balance.micros()).sum()
}

/// One account with any number of calls leaves room for the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_account_fills_the_queue() {
    let mut server = standing_still(8).await;
    let mut alices = begin(&server, (0..60).map(|n| send_as(ALICE, 79_120_000_000 + n))).await;
    for _ in 0..58 {
        let answer = must("a refusal", alices.recv()).await.unwrap();
        assert_eq!(answer.verdict(), (200, "FLOOD_WAIT_1".to_owned()));
    }
    // Two of hers wait, so six of the eight places are free.
    let mut bobs = begin(&server, (0..2).map(|n| send_as(BOB, 79_120_000_100 + n))).await;
    server.release();
    for answers in [&mut alices, &mut bobs] {
        for _ in 0..2 {
            must("an answer", answers.recv()).await.unwrap().result();
        }
    }
    // Who is done makes room again.
    server.call(&send_as(ALICE, 79_120_000_200)).await.result();
}

/// A database that another process holds on to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_database_delays_and_loses_nothing() {
    let server = Server::start(|setup| setup.settings.queue_max = 12).await;
    let lock = server.lock_database().await;
    let mut answers = begin(&server, (0..40).map(|n| send_as(ALICE, 79_120_000_000 + n))).await;
    let first = must("a refusal", answers.recv()).await.unwrap();
    assert_eq!(first.verdict(), (200, "FLOOD_WAIT_1".to_owned()));
    drop(lock);
    let (mut done, mut refused) = (0, 1);
    for _ in 1..40 {
        let answer = must("an answer", answers.recv()).await.unwrap();
        if answer.error().is_empty() {
            done += 1
        } else {
            refused += 1
        }
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(done + refused, 40);
    assert!(done >= 3, "who found a place was served: {done}");
    assert_eq!(server.balance().await.micros(), 100_000_000 - 10_000 * done);
}

#[tokio::test]
async fn without_an_engine_nothing_hangs() {
    let mut server = Server::start(|setup| setup.engine = false).await;
    server.abandon_engine();
    let answers =
        join_all((0..10).map(async |n| server.call(&send_as(ALICE, 79_120_000_000 + n)).await)).await;
    assert!(answers.iter().all(|answer| answer.verdict() == (503, "OVERLOADED".to_owned())));
    let ready = server.call(&Request::get("/readyz")).await;
    assert_eq!((ready.status, ready.text()), (503, "stopping\n"));
    assert_eq!(server.call(&Request::get("/healthz")).await.status, 200);
    assert_eq!(server.balance().await.to_string(), "100");
}
