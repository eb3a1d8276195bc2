//! `token`, on a running server: what is changed beside it takes effect within a second.

use crate::Operator;
use crate::gateway::{Gateway, Home, TOKEN};
use crate::http::Connection;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A change of a token takes effect within this time.
const EFFECT_WITHIN: Duration = Duration::from_secs(1);

/// A running server, and its operator beside it.
fn running() -> (Operator, Gateway) {
    let home = Home::new();
    let gateway = Gateway::start(home.dev("100"));
    (Operator { home, variables: Vec::new() }, gateway)
}

/// What the server says to a token: `ok`, or the error's name.
fn said_to(gateway: &Gateway, token: &str) -> String {
    let mut connection = Connection::open(gateway.address(), token).unwrap();
    let reply = connection.call("getBalance", &json!({})).unwrap();
    reply.error().unwrap_or_else(|| "ok".to_owned())
}

/// Waits until the server says `expected` to a token, no longer than it may take.
#[track_caller]
pub(crate) fn soon(gateway: &Gateway, token: &str, expected: &str) {
    let since = Instant::now();
    loop {
        let said = said_to(gateway, token);
        if said == expected {
            return;
        }
        assert!(
            since.elapsed() < EFFECT_WITHIN,
            "still {said} instead of {expected} after {:?}",
            since.elapsed()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A token's text and number, as a command shows them.
fn shown(token: &Value) -> (String, i64) {
    (token["token"].as_str().unwrap().to_owned(), token["id"].as_i64().unwrap())
}

#[test]
fn a_new_token_is_good_and_a_revoked_one_is_not() {
    let (operator, gateway) = running();
    let (text, id) = shown(&operator.json("token create dev --name shop"));
    assert!(text.starts_with("chappe_live_") && text.len() == 44, "{text}");
    soon(&gateway, &text, "ok");
    let ended = operator.json(&format!("token revoke {id}"));
    assert!(ended["good"] == false && ended["revoked_at"].is_i64(), "{ended}");
    soon(&gateway, &text, "ACCESS_TOKEN_INVALID");
    assert_eq!(said_to(&gateway, TOKEN), "ok", "another token is not touched");
    // Revoked once and for all, and at its first moment.
    let again = operator.json(&format!("token revoke {id}"));
    assert_eq!(again["revoked_at"], ended["revoked_at"]);

    let (text, _) = shown(&operator.json("token create dev --test"));
    assert!(text.starts_with("chappe_test_"), "{text}");
    soon(&gateway, &text, "ok");
}

#[test]
fn a_token_ends_when_its_time_is_over() {
    let (operator, gateway) = running();
    let (text, _) = shown(&operator.json("token create dev --expires-in 2s"));
    let created = Instant::now();
    soon(&gateway, &text, "ok");
    std::thread::sleep(Duration::from_secs(2).saturating_sub(created.elapsed()));
    soon(&gateway, &text, "ACCESS_TOKEN_INVALID");
}

#[test]
fn a_rotated_token_lives_on_for_its_overlap() {
    let (operator, gateway) = running();
    let (first, id) = shown(&operator.json("token create dev --name shop --allow 127.0.0.0/8"));
    let rotated = operator.json(&format!("token rotate {id} --overlap 1h"));
    let (second, id) = shown(&rotated);
    assert_eq!((&rotated["name"], &rotated["allowed"]), (&json!("shop"), &json!(["127.0.0.0/8"])));
    soon(&gateway, &second, "ok");
    assert_eq!(said_to(&gateway, &first), "ok", "the old one overlaps");
    let (third, _) = shown(&operator.json(&format!("token rotate {id}")));
    soon(&gateway, &third, "ok");
    soon(&gateway, &second, "ACCESS_TOKEN_INVALID");
    operator.table(&[
        ("token rotate 99", 1, "there is no token 99; `chappe token list` shows them"),
        ("token rotate 3 --overlap 1y", 2, "give a number and s, m, h or d, such as 24h"),
        ("token rotate 3 --overlap -1h", 2, "--help"),
    ]);
    operator.table(&[("token rotate 3", 1, "token 3 has ended already; create a new one")]);
}

#[test]
fn a_token_is_held_to_its_addresses() {
    let (operator, gateway) = running();
    let (text, id) = shown(&operator.json("token create dev --allow 192.0.2.0/24 --allow 2001:db8::1"));
    soon(&gateway, &text, "IP_NOT_ALLOWED");
    let allowed = operator.json(&format!("token allow {id} 127.0.0.1 198.51.100.0/24"))["allowed"].take();
    assert_eq!(allowed, json!(["127.0.0.1/32", "198.51.100.0/24"]));
    soon(&gateway, &text, "ok");
    operator.json(&format!("token allow {id} 198.51.100.0/24"));
    soon(&gateway, &text, "IP_NOT_ALLOWED");
    operator.json(&format!("token allow {id}"));
    soon(&gateway, &text, "ok");
    operator.table(&[
        ("token allow 1 nonsense", 2, "give an address or a CIDR range"),
        ("token allow 99", 1, "there is no token 99"),
        ("token create dev --allow 1.2.3.4/33", 2, "give an address or a CIDR range"),
        ("token create nobody", 1, "there is no customer named \"nobody\""),
    ]);
}

#[test]
fn lists_hide_tokens_unless_asked() {
    let (operator, gateway) = running();
    let (text, _) = shown(&operator.json("token create dev --name shop"));
    let hidden = operator.run("token list");
    assert!(!hidden.stdout.contains(&text) && !hidden.stdout.contains(TOKEN), "{}", hidden.stdout);
    let tail: String = text.chars().skip(40).collect();
    operator.table(&[
        ("token list", 0, "ID  CUSTOMER  MODE  NAME  STATE"),
        ("token list dev", 0, "shop"),
        ("token list --show", 0, TOKEN),
        ("token list nobody", 1, "there is no customer named \"nobody\""),
    ]);
    let list = operator.json("token list dev");
    assert_eq!(list[1]["token"], format!("…{tail}"));
    assert_eq!(operator.json("token list --show")[1]["token"], text);
    // When a token was last used is noted every few seconds, and when the server stops.
    assert_eq!(said_to(&gateway, TOKEN), "ok");
    assert_eq!(gateway.stop().code, Some(0));
    let used = operator.json("token list")[0].take();
    assert_eq!(used["last_used_from"], "127.0.0.1");
    assert!(used["last_used_at"].is_i64());
}
