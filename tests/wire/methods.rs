//! What the methods do, and every way of calling them.

use crate::support::{ALICE, ALICE_TEST, BOB, OWN, Request, Server, Setup};
use chappe_core::text::Username;
use serde_json::{Value, json};
use std::time::Duration;

const PHONE: &str = "+79123456719";

fn server() -> impl Future<Output = Server> {
    Server::start(|setup| {
        setup.clock_at(1_789_894_598);
        setup.workers = false;
    })
}

#[tokio::test]
async fn parameters_come_from_query_form_and_json() {
    let server = server().await;
    let expected = json!(["79123456719", "sent", "a b"]);
    let form = "application/x-www-form-urlencoded";
    let whole_query = "phone_number=%2B79123456719&code=1234&payload=a+b";
    let whole_json = r#"{"phone_number":"+79123456719","code":"1234","payload":"a b"}"#;
    for (method, query, content_type, body) in [
        ("GET", whole_query, None, ""),
        ("POST", whole_query, None, ""),
        ("POST", "", Some(form), whole_query),
        ("POST", "", None, whole_query),
        ("POST", "", Some("text/plain"), whole_query),
        ("POST", "", Some("application/json"), whole_json),
        ("POST", "", Some("Application/JSON; charset=utf-8"), whole_json),
        ("POST", "", Some("application/vnd.api+json"), whole_json),
        // `curl -d '{…}'` says that it is a form.
        ("POST", "", Some(form), whole_json),
        ("POST", "", None, whole_json),
        ("GET", "", Some("application/json"), whole_json),
        (
            "POST",
            "",
            Some("application/json"),
            "\n {\"phone_number\":\"79123456719\",\"code\":1234,\"payload\":\"a b\"} \r\n",
        ),
        (
            "POST",
            "",
            Some("application/json"),
            r#"{"phone_number":79123456719,"code":"1234","payload":"a b","ttl":null,"callback_url":""}"#,
        ),
        (
            "POST",
            "",
            Some("application/json"),
            r#"{"payload":"a b","phone\u005fnumber":"+79123456719","code":"\u0031234"}"#,
        ),
        ("POST", "code=1234", Some("application/json"), r#"{"phone_number":"+79123456719","payload":"a b"}"#),
        ("POST", "code=1234&payload=a%20b", Some(form), "phone_number=%2B79123456719&code=1234"),
        ("GET", "phone_number=+79123456719&code=1234&&payload=a%20b&ttl=&nonsense&x=%00&=", None, ""),
        (
            "POST",
            "",
            Some("application/json"),
            r#"{"phone_number":"+79123456719","code":"1234","payload":"a b","x":{"y":[null]},"code_length":99}"#,
        ),
    ] {
        server.set_balance(ALICE, "0.01").await;
        let mut request =
            Request::new(method, &format!("/sendVerificationMessage?{query}")).bearer(ALICE).body(body);
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let result = server.call(&request).await.result();
        let seen = json!([result["phone_number"], result["delivery_status"]["status"], result["payload"]]);
        assert_eq!((&seen, &result["remaining_balance"]), (&expected, &json!(0)), "{request:?}");
        let check = json!({"request_id": result["request_id"], "code": "1234"});
        let status = server.api("checkVerificationStatus", check).await.result();
        assert_eq!(status["verification_status"]["status"], "code_valid", "{request:?}");
        // Not five a number.
        server.app.clock.advance(Duration::from_secs(200));
    }
}

#[tokio::test]
async fn names_of_methods_match_in_any_case_and_with_more_slashes() {
    let server = server().await;
    let mut connection = server.connect().await;
    for (target, found) in [
        ("/getBalance", true),
        ("/GETBALANCE", true),
        ("/getbalance", true),
        ("//getBalance", true),
        ("///gEtBaLaNcE", true),
        ("/getBalance/", true),
        ("/getBalance?", true),
        ("http://chappe.example/getBalance", true),
        ("/", false),
        ("/getBalances", false),
        ("/get%42alance", false),
        ("/getBalance;x=1", false),
        ("/v1/getBalance", false),
        ("/getBalance/x", false),
        ("/getBalance%20", false),
        ("/./getBalance", false),
    ] {
        let answer = connection.exchange(&Request::get(target).bearer(ALICE)).await;
        assert_eq!(answer.error(), if found { "" } else { "UNKNOWN_METHOD" }, "{target}");
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some("application/json")),
            "{target}"
        );
    }
}

#[tokio::test]
async fn the_token_is_found_wherever_it_stands() {
    let server = server().await;
    let base = || Request::post("/getBalance");
    let token = |text: &str| Request::post(&format!("/getBalance?access_token={text}"));
    let bearer = format!("Bearer {ALICE}");
    for (expected, request) in [
        ("", base().header("Authorization", &bearer)),
        ("", base().header("authorization", &bearer)),
        ("", base().header("AUTHORIZATION", &bearer)),
        ("", base().header("aUtHoRiZaTiOn", format!("bEARER   {ALICE}  "))),
        ("", token(ALICE)),
        ("", base().form(format!("access_token={ALICE}"))),
        ("", base().json(json!({"access_token": ALICE}))),
        ("", base().json(json!({"access_token": ALICE})).bearer(ALICE)),
        ("", token(ALICE).form(format!("access_token={ALICE}")).bearer(ALICE)),
        // Another scheme is no token of ours: some clients are behind a proxy that wants one.
        ("", token(ALICE).header("authorization", "Basic Zm9vOmJhcg==")),
        ("ACCESS_TOKEN_REQUIRED", base()),
        ("ACCESS_TOKEN_REQUIRED", token("")),
        ("ACCESS_TOKEN_REQUIRED", base().json(json!({"access_token": null}))),
        ("ACCESS_TOKEN_REQUIRED", base().header("authorization", "Bearer")),
        ("ACCESS_TOKEN_REQUIRED", base().header("authorization", "Bearer   ")),
        ("ACCESS_TOKEN_REQUIRED", base().header("authorization", ALICE)),
        ("ACCESS_TOKEN_REQUIRED", base().header("authorization", format!("Token {ALICE}"))),
        ("ACCESS_TOKEN_REQUIRED", base().header("cookie", format!("access_token={ALICE}"))),
        ("ACCESS_TOKEN_INVALID", base().bearer("x")),
        ("ACCESS_TOKEN_INVALID", base().bearer(&ALICE.to_uppercase())),
        ("ACCESS_TOKEN_INVALID", base().bearer(&format!("{ALICE} x"))),
        ("ACCESS_TOKEN_INVALID", base().bearer(&format!("\"{ALICE}\""))),
        ("ACCESS_TOKEN_INVALID", base().bearer(&ALICE[..ALICE.len() - 1])),
        ("ACCESS_TOKEN_INVALID", token(&format!("{ALICE}%00"))),
        ("ACCESS_TOKEN_INVALID", token(&format!("+{ALICE}"))),
        ("ACCESS_TOKEN_INVALID", base().json(json!({"access_token": [ALICE]}))),
        ("ACCESS_TOKEN_INVALID", base().json(json!({"access_token": 0}))),
        ("", base().bearer(ALICE).header("authorization", format!("bearer  {ALICE}"))),
        ("PARAMETER_CONFLICT", base().bearer(ALICE).bearer(BOB)),
        ("PARAMETER_CONFLICT", base().bearer("x").bearer(ALICE)),
        ("PARAMETER_CONFLICT", base().bearer(ALICE).header("authorization", "Basic Zm9vOmJhcg==")),
        ("PARAMETER_CONFLICT", base().header("authorization", "Basic Zm9vOmJhcg==").bearer(ALICE)),
        ("PARAMETER_CONFLICT", token(ALICE).bearer(BOB)),
        ("PARAMETER_CONFLICT", token(ALICE).json(json!({"access_token": BOB}))),
        ("PARAMETER_CONFLICT", base().json(json!({"access_token": "x"})).bearer(ALICE)),
    ] {
        assert_eq!(server.call(&request).await.verdict(), (200, expected.to_owned()), "{request:?}");
    }
}

#[tokio::test]
async fn one_fee_a_request_id() {
    let server = server().await;
    let check = json!({"phone_number": PHONE});
    let checked = server.api("checkSendAbility", check.clone()).await.result();
    assert_eq!((&checked["request_cost"], &checked["remaining_balance"]), (&json!(0.01), &json!(99.99)));
    assert_eq!(checked.get("delivery_status"), None);

    let send = json!({"phone_number": PHONE, "code": "1234", "request_id": checked["request_id"]});
    let refused = json!({"phone_number": PHONE, "code": "123", "request_id": checked["request_id"]});
    assert_eq!(server.api("sendVerificationMessage", refused).await.error(), "CODE_INVALID");
    let sent = server.api("sendVerificationMessage", send.clone()).await.result();
    assert_eq!(sent["request_id"], checked["request_id"]);
    assert_eq!((&sent["request_cost"], &sent["remaining_balance"]), (&json!(0.01), &json!(99.99)));
    assert_eq!(server.api("sendVerificationMessage", send).await.error(), "MESSAGE_ALREADY_SENT");
    assert_eq!(server.balance().await.to_string(), "99.99");

    // A message without a question before it costs the same, and its id serves no second one either.
    let direct = json!({"phone_number": PHONE, "code": "1234"});
    let direct = server.api("sendVerificationMessage", direct).await.result();
    let again = json!({"phone_number": PHONE, "code": "1234", "request_id": direct["request_id"]});
    assert_eq!(server.api("sendVerificationMessage", again).await.error(), "MESSAGE_ALREADY_SENT");
    // Every question costs, whether or not a message follows.
    server.api("checkSendAbility", check).await.result();
    assert_eq!(server.balance().await.to_string(), "99.97");
    assert_eq!(server.api("getBalance", json!({})).await.result(), json!({"balance": 99.97}));
}

#[tokio::test]
async fn ones_own_number_is_free() {
    let server = server().await;
    server.set_balance(ALICE, "0").await;
    let own = json!({"phone_number": OWN, "code": "1234"});
    let sent = server.api("sendVerificationMessage", own.clone()).await.result();
    assert_eq!((&sent["request_cost"], &sent["remaining_balance"]), (&json!(0), &json!(0)));
    let checked = server.api("checkSendAbility", json!({"phone_number": OWN})).await.result();
    assert_eq!((&checked["request_cost"], &checked["remaining_balance"]), (&json!(0), &json!(0)));
    let other = json!({"phone_number": PHONE, "code": "1234"});
    assert_eq!(server.api("sendVerificationMessage", other).await.error(), "BALANCE_NOT_ENOUGH");
    // It is Alice's own, and nobody else's.
    let bobs = server.api_as(BOB, "sendVerificationMessage", own).await.result();
    assert_eq!(bobs["request_cost"], json!(0.01));
}

#[tokio::test]
async fn another_accounts_request_answers_as_an_unknown_one() {
    let server = server().await;
    let request = server.send(json!({"phone_number": PHONE, "code": "1234"})).await;
    let checked = server.api("checkSendAbility", json!({"phone_number": PHONE})).await.result();
    let before = server.balance().await;
    for foreign in [request.as_str(), checked["request_id"].as_str().unwrap()] {
        for token in [BOB, ALICE_TEST] {
            for (method, mut parameters) in [
                ("checkVerificationStatus", json!({})),
                ("checkVerificationStatus", json!({"code": "1234"})),
                ("revokeVerificationMessage", json!({})),
                ("sendVerificationMessage", json!({"phone_number": PHONE, "code": "1234"})),
                ("sendVerificationMessage", json!({"phone_number": PHONE})),
            ] {
                parameters["request_id"] = json!(foreign);
                let of_foreign = server.api_as(token, method, parameters.clone()).await;
                parameters["request_id"] = json!("999999999999999");
                let of_unknown = server.api_as(token, method, parameters).await;
                let undated = |head: &str| -> Vec<String> {
                    head.lines().filter(|line| !line.starts_with("date")).map(str::to_owned).collect()
                };
                assert_eq!(of_foreign.error(), "REQUEST_ID_INVALID");
                assert_eq!(of_foreign.body, of_unknown.body);
                assert_eq!(undated(&of_foreign.head), undated(&of_unknown.head));
            }
        }
    }
    // Nothing of it touched Alice's request.
    let status = server.api("checkVerificationStatus", json!({"request_id": request})).await.result();
    assert_eq!(status["delivery_status"]["status"], "sent");
    assert_eq!(status.get("verification_status"), None);
    assert_eq!(server.balance().await, before);
}

#[tokio::test]
async fn senders_are_owned_and_verified() {
    let server = server().await;
    let (alice, bob) = (server.token(ALICE).await.account, server.token(BOB).await.account);
    let (mut store, now) = (server.store().await, server.app.clock.now());
    let name = |text| Username::parse(text).unwrap();
    store.put_sender(alice, &name("Verified_1"), true, now).await.unwrap();
    store.put_sender(alice, &name("unverified"), false, now).await.unwrap();
    store.put_sender(bob, &name("bobs_channel"), true, now).await.unwrap();
    for (sender, phone, expected) in [
        ("verified_1", PHONE, ""),
        ("@VERIFIED_1", PHONE, ""),
        ("", PHONE, ""),
        ("unverified", PHONE, "SENDER_NOT_VERIFIED"),
        ("unverified", OWN, ""),
        ("bobs_channel", PHONE, "SENDER_NOT_OWNED"),
        ("bobs_channel", OWN, "SENDER_NOT_OWNED"),
        ("nobodys", PHONE, "SENDER_NOT_OWNED"),
        ("four", PHONE, "SENDER_USERNAME_INVALID"),
        ("1digit", PHONE, "SENDER_USERNAME_INVALID"),
        ("@@verified_1", PHONE, "SENDER_USERNAME_INVALID"),
        ("verified-1", PHONE, "SENDER_USERNAME_INVALID"),
        ("' OR 1=1 --", PHONE, "SENDER_USERNAME_INVALID"),
    ] {
        let send = json!({"phone_number": phone, "code": "1234", "sender_username": sender});
        assert_eq!(server.api("sendVerificationMessage", send).await.error(), expected, "{sender} {phone}");
    }
    // A change counts from the next call on.
    store.put_sender(alice, &name("unverified"), true, now).await.unwrap();
    store.remove_sender(alice, &name("verified_1")).await.unwrap();
    for (sender, expected) in [("unverified", ""), ("verified_1", "SENDER_NOT_OWNED")] {
        let send = json!({"phone_number": "+79123456700", "code": "1234", "sender_username": sender});
        assert_eq!(server.api("sendVerificationMessage", send).await.error(), expected, "{sender}");
    }
}

#[tokio::test]
async fn codes_are_judged_as_they_were_typed() {
    let server = server().await;
    let request = server.send(json!({"phone_number": PHONE, "code": "0042"})).await;
    let before = server.balance().await;
    let judge = async |code: Value| {
        let check = json!({"request_id": request, "code": code});
        server.api("checkVerificationStatus", check).await.result()["verification_status"].clone()
    };
    for (code, echoed) in [
        (json!("42"), "42"),
        (json!(42), "42"),
        (json!("00042"), "00042"),
        (json!("٠٠٤٢"), "٠٠٤٢"),
        (json!(" 0042"), " 0042"),
    ] {
        let verdict = judge(code).await;
        assert_eq!((&verdict["status"], &verdict["code_entered"]), (&json!("code_invalid"), &json!(echoed)));
    }
    let verdict = judge(json!("0042")).await;
    assert_eq!(
        verdict["status"], "code_max_attempts_exceeded",
        "five were wrong, so the right one is too late"
    );
    assert_eq!(server.balance().await, before, "checks are free");

    let request = server.send(json!({"phone_number": PHONE, "code": "0042"})).await;
    let judge = async |code: &str| {
        let check = json!({"request_id": request, "code": code});
        server.api("checkVerificationStatus", check).await.result()
    };
    assert_eq!(judge("").await.get("verification_status"), None, "an empty code is none");
    for _ in 0..2 {
        assert_eq!(judge("0042").await["verification_status"]["status"], "code_valid");
    }
    assert_eq!(judge("0043").await["verification_status"]["status"], "code_invalid");
    let status = server.api("checkVerificationStatus", json!({"request_id": request})).await.result();
    assert_eq!(status["verification_status"]["status"], "code_valid", "a later wrong code undoes nothing");
    assert_eq!(status["verification_status"].get("code_entered"), None);
}

#[tokio::test]
async fn a_drawn_code_has_the_length_that_was_asked_for() {
    let server = server().await;
    for length in 4..=8usize {
        let phone = format!("+7912345670{length}");
        for value in [json!(length), json!(length.to_string())] {
            let request = server.send(json!({"phone_number": phone, "code_length": value})).await;
            let latest =
                server.call(&Request::get(&format!("/sandbox/messages/latest?phone_number={phone}"))).await;
            let code = latest.json()["code"].as_str().unwrap().to_owned();
            assert!(code.len() == length && code.bytes().all(|byte| byte.is_ascii_digit()), "{code}");
            let check = json!({"request_id": request, "code": code});
            let status = server.api("checkVerificationStatus", check).await.result();
            assert_eq!(status["verification_status"]["status"], "code_valid");
        }
    }
}

#[tokio::test]
async fn a_revoked_code_is_dead_and_not_refunded() {
    let server = server().await;
    let revoke = async |request: &str| {
        let answer = server.api("revokeVerificationMessage", json!({"request_id": request})).await;
        assert_eq!(answer.text(), r#"{"ok":true,"result":true}"#);
    };
    let judge = async |request: &str| {
        let check = json!({"request_id": request, "code": "1234"});
        server.api("checkVerificationStatus", check).await.result()["verification_status"]["status"].clone()
    };
    let send = json!({"phone_number": PHONE, "code": "1234", "ttl": 60});
    let request = server.send(send.clone()).await;
    revoke(&request).await;
    revoke(&request).await;
    assert_eq!(judge(&request).await, "expired");
    assert_eq!(server.balance().await.to_string(), "99.99");
    server.call(&Request::post("/sandbox/clock").json(json!({"advance_s": 61}))).await;
    assert_eq!(server.balance().await.to_string(), "99.99", "a revoked message does not expire");

    let request = server.send(send).await;
    assert_eq!(judge(&request).await, "code_valid");
    revoke(&request).await;
    assert_eq!(judge(&request).await, "code_valid", "what was verified stays so");

    let checked = server.api("checkSendAbility", json!({"phone_number": PHONE})).await.result();
    revoke(checked["request_id"].as_str().unwrap()).await;
    assert_eq!(
        judge(checked["request_id"].as_str().unwrap()).await,
        "code_invalid",
        "there is no right code"
    );
}

#[tokio::test]
async fn a_number_gets_five_messages_in_ten_minutes_from_everybody_together() {
    let server = server().await;
    let send = json!({"phone_number": PHONE, "code": "1234"});
    let checked = server.api("checkSendAbility", json!({"phone_number": PHONE})).await.result();
    for token in [ALICE, BOB, ALICE, BOB, ALICE] {
        server.api_as(token, "sendVerificationMessage", send.clone()).await.result();
        server.app.clock.advance(Duration::from_secs(1));
    }
    let before = server.balance().await;
    assert_eq!(server.api("sendVerificationMessage", send.clone()).await.error(), "FLOOD_WAIT_595");
    assert_eq!(server.api_as(BOB, "sendVerificationMessage", send.clone()).await.error(), "FLOOD_WAIT_595");
    // Having paid already is no way around.
    let mut paid = send.clone();
    paid["request_id"] = checked["request_id"].clone();
    assert_eq!(server.api("sendVerificationMessage", paid.clone()).await.error(), "FLOOD_WAIT_595");
    // Play messages are counted apart.
    server.api_as(ALICE_TEST, "sendVerificationMessage", send).await.result();
    assert_eq!(server.balance().await, before);
    server.app.clock.advance(Duration::from_secs(595));
    server.api("sendVerificationMessage", paid).await.result();
}

/// Set from the command line while the server runs: half a minute's grace, and then a code was used.
#[tokio::test]
async fn a_code_for_one_use_is_used_up() {
    let server = server().await;
    let account = server.token(ALICE).await.account;
    let judge = async |request: &str, code: &str| {
        let check = json!({"request_id": request, "code": code});
        server.api("checkVerificationStatus", check).await.result()["verification_status"]["status"].clone()
    };
    let earlier = server.send(json!({"phone_number": PHONE, "code": "1234"})).await;
    assert_eq!(judge(&earlier, "1234").await, "code_valid");
    server.store().await.set_single_use(account, true).await.unwrap();
    let request = server.send(json!({"phone_number": PHONE, "code": "1234"})).await;
    assert_eq!(judge(&request, "1234").await, "code_valid");
    server.app.clock.advance(Duration::from_secs(30));
    assert_eq!(judge(&request, "1234").await, "code_valid");
    server.app.clock.advance(Duration::from_micros(1));
    for request in [&request, &earlier] {
        assert_eq!(judge(request, "1234").await, "expired");
        assert_eq!(judge(request, "4321").await, "code_invalid");
        let status = server.api("checkVerificationStatus", json!({"request_id": request})).await.result();
        assert_eq!(status["verification_status"]["status"], "code_valid", "it was verified, once");
    }
    server.store().await.set_single_use(account, false).await.unwrap();
    assert_eq!(judge(&request, "1234").await, "code_valid");
}

/// What was counted stays counted, and what was spent stays spent.
#[tokio::test]
async fn limits_survive_a_restart() {
    let server = server().await;
    let mut requests = Vec::new();
    for _ in 0..5 {
        requests.push(server.send(json!({"phone_number": PHONE, "code": "1234"})).await);
    }
    let check = |request: &str, code: &str| json!({"request_id": request, "code": code});
    for _ in 0..5 {
        server.api("checkVerificationStatus", check(&requests[0], "4321")).await.result();
    }
    let mut setup = Setup::dev();
    setup.clock = server.app.clock.clone();
    let server = server.stop().serve(setup).await;
    let sixth = json!({"phone_number": PHONE, "code": "1234"});
    assert_eq!(server.api("sendVerificationMessage", sixth).await.error(), "FLOOD_WAIT_600");
    for (request, expected) in [(&requests[0], "code_max_attempts_exceeded"), (&requests[1], "code_valid")] {
        let status = server.api("checkVerificationStatus", check(request, "1234")).await.result();
        assert_eq!(status["verification_status"]["status"], expected);
    }
    assert_eq!(server.balance().await.to_string(), "99.95");
    let next = server.send(json!({"phone_number": "+79123456720", "code": "1234"})).await;
    assert!(requests.iter().all(|earlier| *earlier < next), "ids go on rising");
}
