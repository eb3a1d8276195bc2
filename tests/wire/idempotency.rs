//! Idempotency keys: the first answer again, to the byte, and one charge however often a call comes.

use crate::support::{ALICE, ALICE_TEST, Answer, BOB, Request, Server};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

const PHONE: &str = "+79123456719";

async fn start() -> Server {
    Server::start(|setup| setup.clock_at(1_789_894_598)).await
}

fn call(token: &str, method: &str, key: &str, parameters: &Value) -> Request {
    Request::post(&format!("/{method}")).bearer(token).header("Idempotency-Key", key).json(parameters)
}

fn send(key: &str, parameters: &Value) -> Request {
    call(ALICE, "sendVerificationMessage", key, parameters)
}

/// Everything but the date.
fn bytes(answer: &Answer) -> String {
    let head: Vec<&str> = answer.head.lines().filter(|line| !line.starts_with("date")).collect();
    format!("{}{}", head.join("\n"), answer.text())
}

#[tokio::test]
async fn the_first_answer_comes_again_whatever_happened_since() {
    let server = start().await;
    let full = json!({
        "phone_number": "+9996610001", "code_length": 6, "ttl": 60, "payload": "é\"\u{1}",
        "callback_url": "https://example.invalid/",
    });
    let checked = server.api("checkSendAbility", json!({"phone_number": PHONE})).await.result();
    let with_request = json!({"phone_number": PHONE, "code": "1234", "request_id": checked["request_id"]});
    let own = json!({"phone_number": crate::support::OWN, "code": "1234"});
    let rows = [
        ("sendVerificationMessage", "a", full),
        ("sendVerificationMessage", "b", with_request),
        ("sendVerificationMessage", "c", own),
        ("checkSendAbility", "d", json!({"phone_number": PHONE})),
    ];
    let mut first = Vec::new();
    for (method, key, parameters) in &rows {
        let answer = server.call(&call(ALICE, method, key, parameters)).await;
        answer.result();
        first.push(bytes(&answer));
    }
    // Delivered, read, verified, spent, and a day but a second later.
    let request = first[1].split('"').find(|text| text.len() == 15 && text.parse::<u64>().is_ok()).unwrap();
    server.api("checkVerificationStatus", json!({"request_id": request, "code": "1234"})).await.result();
    server.api("revokeVerificationMessage", json!({"request_id": request})).await.result();
    server.set_balance(ALICE, "0").await;
    server.advance(Duration::from_secs(86_399));
    for ((method, key, parameters), first) in rows.iter().zip(&first) {
        let again = server.call(&call(ALICE, method, key, parameters)).await;
        assert_eq!(bytes(&again), *first, "{method}");
    }
    assert_eq!(server.balance().await.to_string(), "0");

    // A day later the key is new.
    server.set_balance(ALICE, "1").await;
    server.advance(Duration::from_secs(1));
    let (method, key, parameters) = &rows[3];
    let anew = server.call(&call(ALICE, method, key, parameters)).await;
    assert_ne!(bytes(&anew), first[3]);
    assert_eq!(anew.result()["remaining_balance"], json!(0.99));
}

#[tokio::test]
async fn a_key_stands_for_one_call() {
    let server = start().await;
    let base = json!({"phone_number": PHONE, "code": "1234", "ttl": 60});
    let first = server.call(&send("k", &base)).await;
    first.result();
    let balance = server.balance().await;
    for (name, value) in [
        ("phone_number", json!("79123456719")),
        ("phone_number", json!("+79123456720")),
        ("code", json!("1235")),
        ("code", json!(null)),
        ("ttl", json!(61)),
        ("ttl", json!(null)),
        ("payload", json!("x")),
        ("callback_url", json!("https://example.invalid/")),
        ("code_length", json!(6)),
    ] {
        let mut other = base.clone();
        other[name] = value;
        // What cannot be sent at all may be told first.
        let answer = server.call(&send("k", &other)).await.error();
        let refused = ["IDEMPOTENCY_KEY_REUSED", "CODE_LENGTH_REQUIRED"].contains(&answer.as_str());
        assert!(refused, "{name}: {answer}");
    }
    let check = call(ALICE, "checkSendAbility", "k", &json!({"phone_number": PHONE}));
    assert_eq!(server.call(&check).await.error(), "IDEMPOTENCY_KEY_REUSED");

    // The same said in another way is the same: where it stands, what is ignored, and how the method is spelt.
    let target = "//SENDVERIFICATIONMESSAGE?x=1&phone_number=%2B79123456719&ttl=60";
    let same = Request::post(target).form(format!("code=1234&payload=&access_token={ALICE}"));
    assert_eq!(bytes(&server.call(&same.header("idempotency-key", "k")).await), bytes(&first));
    assert_eq!(server.balance().await, balance);

    // A key in another case, another account, or for a method that changes nothing by repetition: no relation.
    for request in [
        send("K", &base),
        call(BOB, "sendVerificationMessage", "k", &base),
        call(ALICE_TEST, "sendVerificationMessage", "k", &base),
    ] {
        let other = server.call(&request).await;
        assert_ne!(other.result()["request_id"], first.result()["request_id"]);
    }
    for method in ["getBalance", "checkVerificationStatus", "revokeVerificationMessage"] {
        let request = call(ALICE, method, "k", &json!({"request_id": first.result()["request_id"]}));
        server.call(&request).await.result();
    }
}

#[tokio::test]
async fn a_refusal_is_not_remembered() {
    let server = start().await;
    let parameters = json!({"phone_number": PHONE, "code": "1234"});
    server.set_balance(ALICE, "0").await;
    assert_eq!(server.call(&send("k", &parameters)).await.error(), "BALANCE_NOT_ENOUGH");
    server.set_balance(ALICE, "1").await;
    let first = server.call(&send("k", &parameters)).await;
    assert_eq!(first.result()["remaining_balance"], json!(0.99));
    assert_eq!(bytes(&server.call(&send("k", &parameters)).await), bytes(&first));
}

#[tokio::test]
async fn keys_are_bounded() {
    let server = start().await;
    let parameters = json!({"phone_number": "+9996600001", "code": "1234"});
    for (key, good) in [
        ("k".to_owned(), true),
        ("6f1c1f0e-7a0b-4b9c-9f57-0d3c9a1e2b44".to_owned(), true),
        ("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~".to_owned(), true),
        ("k".repeat(255), true),
        ("k".repeat(256), false),
        (String::new(), false),
        ("ключ".to_owned(), false),
        ("a\tb".to_owned(), false),
    ] {
        let before = server.balance().await;
        let error = server.call(&send(&key, &parameters)).await.error();
        assert_eq!(error, if good { "" } else { "IDEMPOTENCY_KEY_INVALID" }, "{key:?}");
        assert_eq!(server.balance().await != before, good, "{key:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_at_once_are_one() {
    let server = start().await;
    let parameters = json!({"phone_number": PHONE, "code_length": 6, "payload": "p"});
    for (round, method) in ["sendVerificationMessage", "checkSendAbility"].into_iter().enumerate() {
        let request = call(ALICE, method, method, &parameters);
        let answers = server.at_once(&vec![request; 50]).await;
        answers[0].result();
        let different: BTreeSet<String> = answers.iter().map(bytes).collect();
        assert_eq!(different.len(), 1, "{different:#?}");
        assert_eq!(server.balance().await.to_string(), ["99.99", "99.98"][round]);
    }
    // One message came out of it.
    let list = server.call(&Request::get("/sandbox/messages")).await.json();
    assert_eq!(list.as_array().unwrap().len(), 1);

    // And of fifty that differ, one.
    let mixed: Vec<Request> =
        (0..50).map(|n| send("mixed", &json!({"phone_number": PHONE, "code": 1000 + n}))).collect();
    let answers = server.at_once(&mixed).await;
    let done = answers.iter().filter(|answer| answer.error().is_empty()).count();
    let reused = answers.iter().filter(|answer| answer.error() == "IDEMPOTENCY_KEY_REUSED").count();
    assert_eq!((done, reused), (1, 49));
    assert_eq!(server.balance().await.to_string(), "99.97");
}

#[tokio::test]
async fn keys_survive_a_restart() {
    let server = start().await;
    let parameters = json!({"phone_number": PHONE, "code_length": 6});
    let first = server.call(&send("k", &parameters)).await;
    first.result();
    let mut setup = crate::support::Setup::dev();
    setup.clock = server.app.clock.clone();
    let server = server.stop().serve(setup).await;
    assert_eq!(bytes(&server.call(&send("k", &parameters)).await), bytes(&first));
    assert_eq!(server.balance().await.to_string(), "99.99");
}

#[tokio::test]
async fn two_keys_that_differ_are_a_conflict() {
    let server = start().await;
    let parameters = json!({"phone_number": PHONE, "code": "1234"});
    let differing = send("a", &parameters).header("Idempotency-Key", "b");
    assert_eq!(server.call(&differing).await.error(), "PARAMETER_CONFLICT");
    assert_eq!(server.balance().await.to_string(), "100", "nothing was sent");
    let twice = send("a", &parameters).header("Idempotency-Key", "a");
    let first = server.call(&twice).await.result();
    assert_eq!(server.call(&send("a", &parameters)).await.result(), first);
}
