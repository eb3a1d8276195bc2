//! Golden files: every sample of the contract, request and answer, byte for byte.
//!
//! A file in `golden/` holds what is sent, a line `=== answer`, and what comes back. Only the `date` header is masked,
//! and in reports the receiver's port and our version. `BLESS=1` writes the files anew; look at what changed before you
//! commit it.

use crate::support::{ALICE, BOB, OWN, Receiver, Reply, Request, Server, Setup};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// The moments and numbers of the live samples.
const SENT_AT: i64 = 1_789_894_598;
const OWN_SENT_AT: i64 = 1_789_713_189;
const REVOKED_AT: i64 = 1_733_663_990;
const PHONE: &str = "+79123456719";
const PAYLOAD: &str = "probe 1.7";

/// A server whose clock stands, and where nothing happens to a message by itself.
async fn start(at: i64) -> Server {
    start_with(at, |_| {}).await
}

async fn start_with(at: i64, tweak: impl FnOnce(&mut Setup)) -> Server {
    Server::start(|setup| {
        setup.clock_at(at);
        setup.workers = false;
        tweak(setup);
    })
    .await
}

/// Compares with the golden file, or writes it.
fn golden(name: &str, text: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/wire/golden/{name}.txt"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, text).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_else(|_| panic!("no golden file {name}.txt"));
    assert!(text == expected, "{name}.txt differs.\n--- expected\n{expected}\n--- found\n{text}");
}

/// Bytes of HTTP as a text file shows them. Every line of a head must end with CR LF.
fn shown(head: &str, body: &[u8]) -> String {
    let lines = head.strip_suffix("\r\n\r\n").expect("a head that ends");
    assert!(lines.split("\r\n").all(|line| !line.contains(['\r', '\n'])), "a line without its CR LF");
    let masked = |line: &str| match line.split_once(": ") {
        Some(("date", _)) => "date: (now)".to_owned(),
        Some(("user-agent", agent)) if agent.starts_with("chappe/") => {
            "user-agent: chappe/(version)".to_owned()
        }
        Some(("host", host)) if host.starts_with("127.0.0.1:") => "host: 127.0.0.1:(port)".to_owned(),
        _ => line.to_owned(),
    };
    let lines: Vec<String> = lines.split("\r\n").map(masked).collect();
    format!("{}\n\n{}\n", lines.join("\n"), std::str::from_utf8(body).unwrap())
}

/// Makes a call, holds it against its golden file, and returns the result, or null for a refusal.
async fn exchange(server: &Server, name: &str, request: Request) -> Value {
    let bytes = request.bytes();
    let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let (head, body) = bytes.split_at(head_end);
    let asked = shown(std::str::from_utf8(head).unwrap(), body);
    let answer = server.call(&request).await;
    golden(name, &format!("{asked}=== answer\n{}", shown(&answer.head, &answer.body)));
    answer.json()["result"].take()
}

fn call(method: &str, parameters: Value) -> Request {
    Request::post(&format!("/{method}")).bearer(ALICE).json(parameters)
}

fn id(result: &Value) -> String {
    result["request_id"].as_str().unwrap().to_owned()
}

/// Sends a message with the code 1234; its request id.
async fn sent(server: &Server) -> String {
    server.send(json!({"phone_number": PHONE, "code": "1234", "payload": PAYLOAD})).await
}

/// Lets something happen to a message, as the sandbox's page does.
async fn happens(server: &Server, request: &str, event: &str) {
    let answer = server.call(&Request::post(&format!("/sandbox/messages/{request}/{event}"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn check_send_and_status() {
    let server = start(SENT_AT).await;
    let checked =
        exchange(&server, "check_other_number", call("checkSendAbility", json!({"phone_number": PHONE})))
            .await;
    let send = json!({
        "phone_number": PHONE, "request_id": id(&checked), "code_length": 6, "ttl": 60, "payload": PAYLOAD
    });
    exchange(&server, "send_with_request_id", call("sendVerificationMessage", send)).await;
    let status = json!({"request_id": id(&checked)});
    exchange(&server, "status_without_code", call("checkVerificationStatus", status)).await;
}

#[tokio::test]
async fn check_unreachable() {
    let server = start(SENT_AT).await;
    let check = call("checkSendAbility", json!({"phone_number": "+9996620001"}));
    exchange(&server, "check_unreachable", check).await;
}

#[tokio::test]
async fn status_after_revoke_of_a_delivered_message() {
    let server = start(SENT_AT).await;
    let request = sent(&server).await;
    happens(&server, &request, "delivered").await;
    exchange(&server, "revoke", call("revokeVerificationMessage", json!({"request_id": request}))).await;
    let status = call("checkVerificationStatus", json!({"request_id": request}));
    exchange(&server, "status_after_revoke_of_delivered", status).await;
}

#[tokio::test]
async fn status_after_revoke_of_a_message_on_its_way() {
    let server = start(SENT_AT).await;
    let request = sent(&server).await;
    server.api("revokeVerificationMessage", json!({"request_id": request})).await.result();
    let status = call("checkVerificationStatus", json!({"request_id": request}));
    exchange(&server, "status_after_revoke_of_sent", status).await;
}

#[tokio::test]
async fn send_to_ones_own_number() {
    let server = start(OWN_SENT_AT).await;
    let send = json!({"phone_number": OWN, "code_length": "6", "payload": PAYLOAD});
    exchange(&server, "send_own_number", call("sendVerificationMessage", send)).await;
}

#[tokio::test]
async fn send_with_a_query_string_and_a_form() {
    let server = start(SENT_AT).await;
    let target =
        format!("//SENDVERIFICATIONMESSAGE?access_token={ALICE}&phone_number=%2B79123456719&code=0012");
    exchange(&server, "send_get", Request::get(&target)).await;
    let form =
        "access_token=live-token-of-bob&phone_number=79123456719&code_length=4&payload=a+%C3%A9%26%22%5C";
    exchange(&server, "send_form", Request::post("/sendVerificationMessage").form(form)).await;
}

#[tokio::test]
async fn verdicts_over_codes() {
    let server = start(SENT_AT).await;
    let check = |request: &str, code: &str| {
        call("checkVerificationStatus", json!({"request_id": request, "code": code}))
    };
    let request = sent(&server).await;
    happens(&server, &request, "read").await;
    server.advance(Duration::from_secs(7));
    exchange(&server, "code_invalid", check(&request, "4321")).await;
    server.advance(Duration::from_secs(7));
    exchange(&server, "code_valid", check(&request, "1234")).await;
    server.advance(Duration::from_secs(7));
    exchange(&server, "code_valid_again", check(&request, "1234")).await;
    let status = call("checkVerificationStatus", json!({"request_id": request}));
    exchange(&server, "status_of_verified", status).await;

    let request = sent(&server).await;
    for _ in 0..5 {
        server.call(&check(&request, "4321")).await.result();
    }
    exchange(&server, "code_max_attempts_exceeded", check(&request, "1234")).await;

    let request = sent(&server).await;
    server.advance(Duration::from_secs(600));
    exchange(&server, "code_expired", check(&request, "1234")).await;
}

#[tokio::test]
async fn an_expired_delivery_is_refunded() {
    let server = start(SENT_AT).await;
    let request = server.send(json!({"phone_number": PHONE, "code": "1234", "ttl": 60})).await;
    let moved = server.call(&Request::post("/sandbox/clock").json(json!({"advance_s": 60}))).await;
    assert_eq!(moved.text(), format!("{{\"now\":{}}}", SENT_AT + 60));
    let status = call("checkVerificationStatus", json!({"request_id": request}));
    exchange(&server, "status_of_refunded", status).await;
    exchange(&server, "get_balance", call("getBalance", json!({}))).await;
}

#[tokio::test]
async fn refusals() {
    let server = start_with(SENT_AT, |setup| setup.balance = "0.01").await;
    for (name, request) in [
        ("error_access_token_required", Request::post("/getBalance")),
        ("error_access_token_invalid", Request::post("/getBalance").bearer("AAAA")),
        ("error_unknown_method", Request::post("/getMe").bearer(ALICE)),
        ("error_phone_number_invalid", call("sendVerificationMessage", json!({"phone_number": "1234"}))),
        ("error_method_not_allowed", Request::new("DELETE", "/getBalance").bearer(ALICE)),
        ("error_body_invalid", Request::post("/getBalance").bearer(ALICE).json("{")),
    ] {
        assert_eq!(exchange(&server, name, request).await, Value::Null);
    }
    let send = json!({"phone_number": PHONE, "code_length": 6});
    server.api("sendVerificationMessage", send.clone()).await.result();
    exchange(&server, "error_balance_not_enough", call("sendVerificationMessage", send)).await;
    let foreign = server.api_as(BOB, "checkSendAbility", json!({"phone_number": PHONE})).await.result();
    let status = call("checkVerificationStatus", json!({"request_id": id(&foreign)}));
    exchange(&server, "error_request_id_invalid", status).await;
}

/// The live report of a revocation: the code's life had ended a second before.
#[tokio::test]
async fn report_of_a_revocation() {
    let mut receiver = Receiver::replying(Reply::Status("200 OK")).await;
    let sent_at = REVOKED_AT - 601;
    let server = Server::start(|setup| setup.clock_at(sent_at)).await;
    // A magic number that is never delivered to, and Alice's own.
    let phone = "9996630026";
    let (mut store, account) = (server.store().await, server.token(ALICE).await.account);
    store.set_own_number(account, chappe_core::Phone::parse(phone)).await.unwrap();
    let send = json!({"phone_number": phone, "code": "1234", "callback_url": receiver.url()});
    let request = server.send_until(send, "accepted").await;
    server.advance(Duration::from_secs(601));
    server.api("revokeVerificationMessage", json!({"request_id": request})).await.result();
    let report = receiver.next().await;
    golden("report_revoked", &shown(&report.head, &report.body));
}
