//! `check`, `send`, `verify`, `revoke` and `balance` against a running server; `request` and `audit` beside it.

use crate::Operator;
use crate::gateway::{Gateway, Home, TOKEN};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A running server, and somebody who calls it.
fn running() -> (Operator, Gateway) {
    let home = Home::new();
    let gateway = Gateway::start(home.dev("100"));
    let base_url = gateway.base_url().to_owned();
    let variables = vec![("CHAPPE_BASE_URL", base_url), ("CHAPPE_TOKEN", TOKEN.to_owned())];
    (Operator { home, variables }, gateway)
}

fn id(status: &Value) -> String {
    status["request_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_code_is_sent_and_verified() {
    let (caller, _gateway) = running();
    let sent = caller.json("send +391234567890 --code 123456 --ttl 60 --payload order-7");
    let id = id(&sent);
    assert_eq!(sent["request_cost"].to_string(), "0.01");
    assert_eq!(sent["remaining_balance"].to_string(), "99.99");
    assert_eq!((&sent["delivery_status"]["status"], &sent["payload"]), (&json!("sent"), &json!("order-7")));

    for (code, exit, verdict) in
        [("654321", 1, "code_invalid"), ("123456", 0, "code_valid"), ("123456", 0, "code_valid")]
    {
        let ended = caller.run(&format!("verify {id} {code}"));
        assert_eq!(ended.code, Some(exit), "{ended:?}");
        assert!(ended.stdout.contains(&format!("code          {verdict}\n")), "{}", ended.stdout);
        let ended = caller.run(&format!("verify {id} {code} --json"));
        assert_eq!(ended.code, Some(exit), "{ended:?}");
        let status: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(status["verification_status"]["status"], verdict);
        assert_eq!(status["verification_status"]["code_entered"], code);
    }
    let state = caller.run(&format!("verify {id}"));
    assert_eq!(state.code, Some(0), "{state:?}");
    for line in ["phone number  +391234567890\n", "cost          0.01\n", "payload       order-7\n"] {
        assert!(state.stdout.contains(line), "{}", state.stdout);
    }
}

/// A script that passes on what a person typed may pass on nothing: that proves nothing, whatever was proven before.
#[test]
fn an_empty_code_is_never_right() {
    let (caller, _gateway) = running();
    let id = id(&caller.json("send +391234567890 --code 123456"));
    assert_eq!(caller.run(&format!("verify {id} 123456")).code, Some(0));
    let mut command = caller.home.command(["verify", &id, ""]);
    command.envs(caller.variables.iter().cloned());
    let ended = crate::gateway::finish(command);
    assert_ne!(ended.code, Some(0), "an empty code passed for the right one: {ended:?}");
}

#[test]
fn a_check_is_paid_and_its_send_is_free() {
    let (caller, _gateway) = running();
    let checked = caller.json("check +391234567890");
    let id = id(&checked);
    assert_eq!(checked["remaining_balance"].to_string(), "99.99");
    let sent = caller.json(&format!("send +391234567890 --request-id {id}"));
    assert_eq!(
        (&sent["request_id"], sent["remaining_balance"].to_string()),
        (&json!(id), "99.99".to_owned())
    );
    let again = caller.run(&format!("send +391234567890 --request-id {id}"));
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("MESSAGE_ALREADY_SENT"), "{again:?}");
    caller.table(&[
        ("check +391234567891", 0, "balance       99.98\n"),
        ("balance", 0, "99.98\n"),
        ("check +9996620001", 1, "PHONE_NUMBER_NOT_AVAILABLE"),
        ("check 12", 1, "PHONE_NUMBER_INVALID"),
        ("send +9996650001", 1, "FLOOD_WAIT_5"),
        ("send +391234567890 --code 12", 1, "CODE_INVALID"),
        ("send +391234567890 --code-length 9", 1, "CODE_LENGTH_INVALID"),
        ("send +391234567890 --code 1234 --code-length 4", 2, "cannot be used with"),
        ("send +391234567890 --ttl 29", 1, "TTL_INVALID"),
        ("send +391234567890 --callback-url ftp://127.0.0.1/", 1, "CALLBACK_URL_INVALID"),
        ("send +391234567890 --sender not_mine", 1, "SENDER_NOT_OWNED"),
        ("send +391234567890 --request-id 123456789012345", 1, "REQUEST_ID_INVALID"),
        ("verify 12 1234", 1, "REQUEST_ID_INVALID"),
        ("revoke 12", 1, "REQUEST_ID_INVALID"),
        ("balance", 0, "99.98\n"),
    ]);
    assert_eq!(caller.json("balance"), json!({ "balance": "99.98" }));
}

#[test]
fn a_repeated_send_with_a_key_is_one_message() {
    let (caller, _gateway) = running();
    let line = "send +391234567890 --code 123456 --idempotency-key order-7";
    assert_eq!(caller.json(line), caller.json(line));
    caller.table(&[
        ("balance", 0, "99.99\n"),
        ("send +391234567890 --code 1234 --idempotency-key order-7", 1, "IDEMPOTENCY_KEY_REUSED"),
        ("send +391234567890 --code-length 4 --idempotency-key order-8", 0, "balance       99.98\n"),
    ]);
}

#[test]
fn a_withdrawn_code_is_dead() {
    let (caller, _gateway) = running();
    let id = id(&caller.json("send +9996630001 --code 123456 --ttl 30"));
    let withdrawn = caller.run(&format!("revoke {id}"));
    assert_eq!((withdrawn.code, withdrawn.stdout.as_str()), (Some(0), "the withdrawal was received\n"));
    assert_eq!(caller.json(&format!("revoke {id}")), true);
    let late = caller.run(&format!("verify {id} 123456"));
    assert_eq!(late.code, Some(1));
    assert!(late.stdout.contains("delivery      revoked\ncode          expired\n"), "{}", late.stdout);
}

#[test]
fn a_caller_without_the_means_is_told_so() {
    let (mut caller, gateway) = running();
    caller.table(&[
        ("balance --token wrong", 1, "ACCESS_TOKEN_INVALID"),
        ("balance --base-url nonsense", 1, "the base URL cannot be used: it is no URL"),
        ("balance --base-url http://gateway.example", 1, "it must be https"),
    ]);
    let base_url = gateway.base_url().to_owned();
    gateway.stop();
    caller.table(&[("balance", 1, "no connection to the gateway")]);
    caller.variables = vec![("CHAPPE_BASE_URL", base_url)];
    caller.table(&[("balance", 1, "no API token: give --token or set CHAPPE_TOKEN")]);
}

#[test]
fn a_request_tells_what_happened_to_it() {
    let (caller, _gateway) = running();
    let id = id(&caller.json("send +391234567890 --code 123456"));
    // Its delivery comes by itself, and soon.
    let begun = Instant::now();
    while caller.json(&format!("verify {id}"))["delivery_status"]["status"] != "delivered" {
        assert!(begun.elapsed() < Duration::from_secs(5), "not delivered");
    }
    caller.run(&format!("verify {id} 000000"));
    caller.run(&format!("verify {id} 123456"));
    caller.run(&format!("revoke {id}"));
    let told = caller.json(&format!("request {id}"));
    let events: Vec<_> =
        told["timeline"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["charged", "sent", "accepted", "delivered", "wrong_code", "verified", "revoked"]);
    assert_eq!((&told["request_id"], &told["channel"]), (&json!(id), &json!("sandbox")));
    let table = caller.run(&format!("request {id}"));
    assert!(table.stdout.starts_with("WHEN  ") && table.stdout.lines().count() == 8, "{}", table.stdout);
    // It is for people who look for a mistake: neither the code nor the number is in it.
    for secret in ["123456", "391234567890"] {
        assert!(!table.stdout.replace(&id, "").contains(secret), "{}", table.stdout);
    }
    caller.table(&[
        ("request 12", 1, "\"12\" is no request id: it has 15 digits"),
        ("request 123456789012345", 1, "there is no request with this id"),
    ]);
}

#[test]
fn an_audit_finds_what_is_broken() {
    let (caller, gateway) = running();
    caller.json("send +391234567890");
    let clean = caller.run("audit");
    let checks = clean.stderr.lines().filter(|line| line.starts_with("checking: ")).count();
    assert_eq!((clean.code, clean.stdout), (Some(0), format!("{checks} checks, all invariants hold\n")));
    assert_eq!(caller.json("audit"), json!({ "checks": checks, "findings": [] }));
    assert_eq!(gateway.stop().code, Some(0));

    let connection = rusqlite::Connection::open(caller.home.data().join("chappe.db")).unwrap();
    connection.execute("UPDATE account SET balance = balance + 1 WHERE id = 100", []).unwrap();
    drop(connection);
    let broken = caller.run("audit");
    assert_eq!(broken.code, Some(1), "{broken:?}");
    assert!(
        broken.stdout.contains("BROKEN: a balance is the sum of its transfers: account 100"),
        "{broken:?}"
    );
    let broken = caller.run("audit --json");
    assert_eq!(broken.code, Some(1), "{broken:?}");
    let findings: Value = serde_json::from_str(&broken.stdout).unwrap();
    assert_eq!(findings["findings"][0]["check"], "a balance is the sum of its transfers");
}
