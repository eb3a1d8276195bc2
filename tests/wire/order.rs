//! The order of judgement: of any two faults in one call, the earlier one is told, whatever the call looks like; and
//! every name of the contract can be reached.

use crate::support::{ALICE, BOB, BOB_TEST, Request, Server};
use chappe::channels::route::Routes;
use chappe_core::text::Username;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const PHONE: &str = "+79123456719";
const CROWDED: &str = "+79123456777";
/// The names that a call can be refused with, by the contract.
const NAMES: &str = "UNKNOWN_METHOD PARAMETER_CONFLICT ACCESS_TOKEN_REQUIRED ACCESS_TOKEN_INVALID IP_NOT_ALLOWED \
                     IDEMPOTENCY_KEY_INVALID IDEMPOTENCY_KEY_REUSED PHONE_NUMBER_INVALID REQUEST_ID_INVALID \
                     PHONE_NUMBER_MISMATCH MESSAGE_ALREADY_SENT CODE_INVALID CODE_LENGTH_REQUIRED CODE_LENGTH_INVALID \
                     TTL_INVALID CALLBACK_URL_INVALID PAYLOAD_INVALID SENDER_USERNAME_INVALID SENDER_NOT_OWNED \
                     SENDER_NOT_VERIFIED FLOOD_WAIT_5 FLOOD_WAIT_600 BALANCE_NOT_ENOUGH PHONE_NUMBER_NOT_AVAILABLE";

/// A call that would be fine, taken apart.
struct Draft {
    target: String,
    token: Option<&'static str>,
    idempotency_key: Option<&'static str>,
    parameters: Map<String, Value>,
}

impl Draft {
    fn new() -> Draft {
        let Value::Object(parameters) = json!({"phone_number": PHONE, "code": "1234"}) else {
            unreachable!()
        };
        Draft {
            target: "/sendVerificationMessage".to_owned(),
            token: Some(ALICE),
            idempotency_key: None,
            parameters,
        }
    }

    fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.parameters.insert(name.to_owned(), value.into());
    }

    fn request(&self) -> Request {
        let mut request = Request::post(&self.target).json(Value::Object(self.parameters.clone()));
        if let Some(token) = self.token {
            request = request.bearer(token);
        }
        if let Some(key) = self.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        request
    }
}

/// Something wrong with a call.
struct Fault {
    name: &'static str,
    /// Its place in the order. Faults of one place exclude each other.
    place: u8,
    /// The part of the call that it spoils: two faults cannot spoil the same one.
    part: &'static str,
    spoil: Box<dyn Fn(&mut Draft)>,
}

fn fault(place: u8, name: &'static str, part: &'static str, spoil: impl Fn(&mut Draft) + 'static) -> Fault {
    Fault { name, place, part, spoil: Box::new(spoil) }
}

/// What has to be there for the faults to be possible.
struct Scene {
    server: Server,
    checked_for_other: String,
    used: String,
}

async fn scene() -> Scene {
    let server = Server::start(|setup| {
        setup.clock_at(1_789_894_598);
        setup.workers = false;
    })
    .await;
    let mut store = server.store().await;
    let now = server.app.clock.now();
    let stranger = server.token(BOB).await.id;
    store.allow_token(stranger, &["192.0.2.0/24".parse().unwrap()]).await.unwrap();
    let poor = server.token(BOB_TEST).await.account;
    for account in [server.token(ALICE).await.account, poor] {
        store.put_sender(account, &Username::parse("unverified").unwrap(), false, now).await.unwrap();
    }
    server.app.tokens.refresh(server.reader()).await.unwrap();

    let checked = server.api("checkSendAbility", json!({"phone_number": "+79123456700"})).await.result();
    let used = server.send(json!({"phone_number": PHONE, "code": "1234"})).await;
    let mut known = Draft { idempotency_key: Some("used-before"), ..Draft::new() };
    known.set("code", "8765");
    server.call(&known.request()).await.result();
    for _ in 0..5 {
        server.send(json!({"phone_number": CROWDED, "code": "1234"})).await;
    }
    server.set_balance(BOB_TEST, "0").await;
    let id = checked["request_id"].as_str().unwrap().to_owned();
    Scene { server, checked_for_other: id, used }
}

fn faults(scene: &Scene) -> Vec<Fault> {
    let (mismatched, used) = (scene.checked_for_other.clone(), scene.used.clone());
    vec![
        fault(0, "UNKNOWN_METHOD", "method", |draft| draft.target = "/sendVerificationMessages".to_owned()),
        fault(1, "PARAMETER_CONFLICT", "query", |draft| draft.target += "?access_token=a&access_token=b"),
        fault(2, "ACCESS_TOKEN_REQUIRED", "token", |draft| draft.token = None),
        fault(2, "ACCESS_TOKEN_INVALID", "token", |draft| draft.token = Some("unknown")),
        fault(3, "IP_NOT_ALLOWED", "token", |draft| draft.token = Some(BOB)),
        fault(4, "IDEMPOTENCY_KEY_INVALID", "key", |draft| draft.idempotency_key = Some("")),
        fault(5, "PHONE_NUMBER_INVALID", "phone", |draft| draft.set("phone_number", "12345")),
        fault(6, "IDEMPOTENCY_KEY_REUSED", "key", |draft| draft.idempotency_key = Some("used-before")),
        fault(7, "REQUEST_ID_INVALID", "id", |draft| draft.set("request_id", "999999999999999")),
        fault(7, "PHONE_NUMBER_MISMATCH", "id", move |draft| draft.set("request_id", mismatched.clone())),
        fault(7, "MESSAGE_ALREADY_SENT", "id", move |draft| draft.set("request_id", used.clone())),
        fault(8, "CODE_INVALID", "code", |draft| draft.set("code", "12a4")),
        fault(8, "CODE_LENGTH_REQUIRED", "code", |draft| draft.set("code", "")),
        fault(8, "CODE_LENGTH_INVALID", "code", |draft| {
            draft.set("code", Value::Null);
            draft.set("code_length", 9);
        }),
        fault(9, "TTL_INVALID", "ttl", |draft| draft.set("ttl", 29)),
        fault(10, "CALLBACK_URL_INVALID", "callback", |draft| draft.set("callback_url", "http://10.0.0.1/")),
        fault(11, "PAYLOAD_INVALID", "payload", |draft| draft.set("payload", "p".repeat(129))),
        fault(12, "SENDER_USERNAME_INVALID", "sender", |draft| draft.set("sender_username", "a b")),
        fault(12, "SENDER_NOT_OWNED", "sender", |draft| draft.set("sender_username", "nobodys")),
        fault(12, "SENDER_NOT_VERIFIED", "sender", |draft| draft.set("sender_username", "@Unverified")),
        fault(13, "FLOOD_WAIT_600", "phone", |draft| draft.set("phone_number", CROWDED)),
        fault(13, "FLOOD_WAIT_5", "phone", |draft| draft.set("phone_number", "+9996650001")),
        fault(14, "BALANCE_NOT_ENOUGH", "token", |draft| draft.token = Some(BOB_TEST)),
        fault(15, "PHONE_NUMBER_NOT_AVAILABLE", "phone", |draft| {
            draft.set("phone_number", "+9996620001");
        }),
    ]
}

/// Pairs that cannot be in one call, or whose order is open.
fn excluded(earlier: &Fault, later: &Fault) -> bool {
    // What Alice's live account has done, the poor account has not; and messages of test accounts are counted apart.
    let alices =
        ["PHONE_NUMBER_MISMATCH", "MESSAGE_ALREADY_SENT", "IDEMPOTENCY_KEY_REUSED", "FLOOD_WAIT_600"];
    // Another number is a mismatch, which comes before "sent already".
    let other_phone = earlier.name == "MESSAGE_ALREADY_SENT" && later.part == "phone";
    // A call that was different *and* cannot be read may be told either.
    let unreadable = earlier.name == "IDEMPOTENCY_KEY_REUSED" && later.place < 13;
    earlier.part == later.part
        || earlier.place == later.place
        || other_phone
        || unreadable
        || (later.part == "token" && alices.contains(&earlier.name))
}

#[tokio::test]
async fn of_two_faults_the_earlier_is_told() {
    let mut setting = scene().await;
    let before = setting.server.balance().await;
    let faults = faults(&setting);
    let server = &mut setting.server;
    let mut connection = server.connect().await;
    let mut pairs = 0;
    for earlier in &faults {
        for later in &faults {
            let alone = earlier.name == later.name;
            if !alone && (earlier.place > later.place || excluded(earlier, later)) {
                continue;
            }
            let mut draft = Draft::new();
            (later.spoil)(&mut draft);
            (earlier.spoil)(&mut draft);
            let answer = connection.exchange(&draft.request()).await;
            let expected = (200, earlier.name.to_owned());
            assert_eq!(answer.verdict(), expected, "{} and {}", earlier.name, later.name);
            pairs += 1;
        }
    }
    assert!(pairs > 180, "{pairs} pairs");
    assert_eq!(server.balance().await, before, "refusals are free");

    let reached: BTreeSet<&str> = faults.iter().map(|fault| fault.name).collect();
    assert_eq!(reached, NAMES.split_whitespace().collect());
}

/// The same over the methods that take a request id.
#[tokio::test]
async fn methods_on_a_request_judge_in_order() {
    let Scene { server, used, .. } = scene().await;
    for method in ["checkVerificationStatus", "revokeVerificationMessage"] {
        let target = format!("/{method}");
        for (expected, request) in [
            ("PARAMETER_CONFLICT", Request::post(&target).json(r#"{"request_id":"1","request_id":"2"}"#)),
            ("ACCESS_TOKEN_REQUIRED", Request::post(&target)),
            ("ACCESS_TOKEN_INVALID", Request::post(&target).bearer("unknown")),
            ("IP_NOT_ALLOWED", Request::post(&target).bearer(BOB)),
            ("REQUEST_ID_REQUIRED", Request::post(&target).bearer(ALICE).json(r#"{"code":"\u0000"}"#)),
            ("REQUEST_ID_REQUIRED", Request::post(&target).bearer(ALICE).json(r#"{"request_id":""}"#)),
            ("REQUEST_ID_INVALID", Request::post(&target).bearer(ALICE).json(r#"{"request_id":"1"}"#)),
            ("REQUEST_ID_INVALID", Request::post(&target).bearer(BOB_TEST).json(json!({"request_id": used}))),
        ] {
            assert_eq!(server.call(&request).await.verdict(), (200, expected.to_owned()), "{request:?}");
        }
    }
}

/// "No money" is told before "unreachable", so that it says nothing about a number; too fast is told before both.
#[tokio::test]
async fn limits_then_balance_then_reachability_without_a_channel() {
    let server = Server::start(|setup| {
        setup.clock_at(1_789_894_598);
        setup.settings.routes = Routes::none();
        setup.settings.rules.account_rate = Some(chappe_core::limits::Rate { per_second: 1, burst: 2 });
        setup.balance = "0.01";
    })
    .await;
    let own = json!({"phone_number": "+79123456788"});
    let check = json!({"phone_number": PHONE});
    assert_eq!(server.api("checkSendAbility", check.clone()).await.error(), "PHONE_NUMBER_NOT_AVAILABLE");
    assert_eq!(server.api("checkSendAbility", own).await.error(), "PHONE_NUMBER_NOT_AVAILABLE");
    assert_eq!(server.api("checkSendAbility", check.clone()).await.error(), "FLOOD_WAIT_1");
    assert_eq!(server.balance().await.to_string(), "0.01");
    // A test account goes to the sandbox all the same, and has its own rate.
    server.api_as(BOB_TEST, "checkSendAbility", check.clone()).await.result();
    assert_eq!(server.api_as(BOB_TEST, "checkSendAbility", check).await.error(), "BALANCE_NOT_ENOUGH");
}
