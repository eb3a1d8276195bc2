//! Upstreams that fail in the middle: what is certain is acted upon, and what is not is said to be so.

use super::double::{Double, Play};
use super::upstream::Upstream;
use super::{START, has, route, server, settings, wait_for};
use crate::support::Setup;
use serde_json::json;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn refusal(name: &str) -> Play {
    Play::Answer("200 OK", json!({ "ok": false, "error": name }).to_string())
}

/// What an upstream says to a message, and what the timeline says to that. `failed` means that the next hop delivers,
/// `uncertain` that none may be asked.
#[tokio::test]
async fn every_answer_is_taken_for_what_it_says_and_no_more() {
    let huge = format!("\"{}\"", "x".repeat(100_000));
    for (play, said) in [
        (refusal("PHONE_NUMBER_NOT_AVAILABLE"), "failed upstream the upstream cannot reach the number"),
        (refusal("PHONE_NUMBER_INVALID"), "failed upstream to the upstream this is no phone number"),
        (refusal("FLOOD_WAIT_9999"), "failed upstream the upstream asks for 9999 s of patience"),
        (refusal("FLOOD_WAIT_18446744073709551615"), "failed upstream the upstream asks for"),
        (refusal("BALANCE_NOT_ENOUGH"), "failed upstream the account at the upstream has no money left"),
        (refusal("ACCESS_TOKEN_INVALID"), "failed upstream the upstream does not know the token"),
        (refusal("IP_NOT_ALLOWED"), "failed upstream the upstream does not take the token from"),
        (refusal("CALLBACK_URL_INVALID"), "failed upstream the upstream cannot call back below public_url"),
        (refusal("OVERLOADED"), "failed upstream the upstream has too much to do"),
        (refusal("SENDER_NOT_OWNED"), "failed upstream the upstream refuses it: SENDER_NOT_OWNED"),
        (refusal("SOMETHING_NEW_17"), "failed upstream the upstream refuses it: SOMETHING_NEW_17"),
        (refusal("line\nbreak <b>"), "failed upstream the upstream refuses it: "),
        (refusal("UNKNOWN_METHOD"), "failed upstream base_url leads to no Gateway API"),
        (refusal("IDEMPOTENCY_KEY_REUSED"), "uncertain upstream the upstream was given this message before"),
        (refusal("INTERNAL"), "uncertain upstream the upstream's answer does not say"),
        (
            Play::Answer("404 Not Found", String::new()),
            "failed upstream the upstream answers with HTTP status 404",
        ),
        (
            Play::Answer("301 Moved", String::new()),
            "failed upstream the upstream answers with HTTP status 301",
        ),
        (
            Play::Answer("429 Too Many Requests", String::new()),
            "failed upstream the upstream answers with HTTP status 429",
        ),
        (
            Play::Answer("500 Oops", String::new()),
            "uncertain upstream the upstream answered with HTTP status 500",
        ),
        (
            Play::Answer("503 Later", "<html>".to_owned()),
            "uncertain upstream the upstream answered with HTTP",
        ),
        (
            Play::Answer("200 OK", "{\"ok\":true}".to_owned()),
            "uncertain upstream the upstream's answer does not say",
        ),
        (Play::Answer("200 OK", huge), "uncertain upstream the upstream's answer does not say"),
        (Play::Raw("\0\u{1}garbage\r\n\r\n"), "uncertain upstream the connection to the upstream broke"),
        (
            Play::Raw("HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{\"ok\""),
            "uncertain upstream the connection",
        ),
        (Play::Cut, "uncertain upstream the connection to the upstream broke"),
    ] {
        let double = Double::always(play).await;
        let server = server(&double.base_url(), &["upstream", "other"], json!({})).await;
        let end = if said.starts_with("failed") { "delivered" } else { "uncertain" };
        let request =
            server.send_until(json!({ "phone_number": "+391234567890", "code": "4711" }), end).await;
        has(&server.timeline(&request).await, said);
        assert_eq!(double.calls("sendVerificationMessage").len(), 1, "{said}");
    }
}

#[tokio::test]
async fn an_upstream_that_says_nothing_leaves_the_message_uncertain() {
    let double = Double::always(Play::Hang).await;
    let server = server(&double.base_url(), &["upstream"], json!({ "timeout_s": 1 })).await;
    let message = json!({ "phone_number": "+391234567890", "code": "4711", "ttl": 60 });
    let request = server.send_until(message, "uncertain").await;
    has(&server.timeline(&request).await, "uncertain upstream the upstream did not answer in time");
    // Nobody is asked to take it twice, and its end is that of its ttl.
    server.advance(60 * SECOND);
    server.until(&request, "refunded").await;
    assert_eq!(double.calls("sendVerificationMessage").len(), 1);
}

#[tokio::test]
async fn a_lost_answer_is_not_asked_for_twice_where_that_would_be_a_second_message() {
    let upstream = Upstream::start("100").await;
    let double = Double::always(Play::LoseAnswer(upstream.address())).await;
    let server = server(&double.base_url(), &["upstream"], json!({})).await;
    server.send_until(json!({ "phone_number": "+391234567890", "code": "4711" }), "uncertain").await;
    assert_eq!(upstream.messages().await.len(), 1);
    assert_eq!(upstream.balance().await, "99.99");
}

/// Three answers get lost; the fourth attempt finds the message where the first put it.
#[tokio::test]
async fn a_lost_answer_is_asked_for_again_where_the_key_makes_that_safe() {
    let upstream = Upstream::start("100").await;
    let to = upstream.address();
    let double = Double::playing(move |count, _| match count {
        0..3 => Play::LoseAnswer(to),
        _ => Play::Pass(to),
    })
    .await;
    let server = server(&double.base_url(), &["upstream"], json!({ "idempotent": true })).await;
    let message = json!({ "phone_number": "+391234567890", "code": "4711" });
    let request = server.send_until(message, "accepted").await;
    let attempts = double.calls("sendVerificationMessage");
    assert_eq!(attempts.len(), 4);
    assert!(attempts.iter().all(|attempt| attempt.body == attempts[0].body), "{attempts:#?}");
    assert!(attempts[0].head.contains(&format!("idempotency-key: {request}-0-")), "{}", attempts[0].head);
    assert_eq!(upstream.messages().await.len(), 1);
    assert_eq!(upstream.balance().await, "99.99");
    wait_for(&server, &request, "delivered", 3 * SECOND).await;
}

/// That nobody is there now says nothing about who was there before.
#[tokio::test]
async fn a_refusal_after_a_lost_answer_is_no_answer_to_what_was_lost() {
    let upstream = Upstream::start("100").await;
    let to = upstream.address();
    let double = Double::playing(move |count, _| match count {
        0 => Play::LoseAnswer(to),
        1 => refusal("OVERLOADED"),
        2 => refusal("ACCESS_TOKEN_INVALID"),
        3 => refusal("FLOOD_WAIT_1"),
        _ => Play::Pass(to),
    })
    .await;
    let server = server(&double.base_url(), &["upstream", "other"], json!({ "idempotent": true })).await;
    let message = json!({ "phone_number": "+391234567890", "code": "4711" });
    let request = server.send_until(message, "accepted").await;
    wait_for(&server, &request, "delivered", 3 * SECOND).await;
    has(&server.timeline(&request).await, "delivered upstream");
    assert_eq!(upstream.messages().await.len(), 1);
}

/// The message was handed over, and the server is gone before it has heard so.
#[tokio::test]
async fn a_crash_between_the_hand_over_and_its_record_sends_nothing_twice() {
    let upstream = Upstream::start("100").await;
    let mut double = Double::always(Play::KeepAnswer(upstream.address())).await;
    let through = |base_url: &str, seconds| {
        let mut setup = Setup::dev();
        setup.clock_at(seconds);
        route(&mut setup, &["upstream"], settings(base_url, json!({ "idempotent": true })));
        setup
    };
    let first = crate::support::Server::start(|setup| *setup = through(&double.base_url(), START)).await;
    let message = json!({ "phone_number": "+391234567890", "code": "4711", "ttl": 120 });
    let request = first.send(message).await;
    double.until_passed().await;
    let home = first.stop();

    // A lease that lapses says that whoever held it is gone.
    let second = home.serve(through(&upstream.base_url(), START + 31)).await;
    second.until(&request, "uncertain").await;
    has(&second.timeline(&request).await, "uncertain upstream the hand-over was interrupted");
    second.advance(120 * SECOND);
    second.until(&request, "refunded").await;
    assert_eq!(upstream.messages().await.len(), 1, "once, and never again");
    assert_eq!(upstream.balance().await, "99.99");
    assert_eq!(second.balance().await.to_string(), "100");
}

#[tokio::test]
async fn questions_that_are_not_answered_are_asked_again() {
    let upstream = Upstream::start("100").await;
    let to = upstream.address();
    let double = Double::playing(move |_, call| match call.method.as_str() {
        "sendVerificationMessage" => Play::Pass(to),
        _ => Play::Answer("200 OK", "{}".to_owned()),
    })
    .await;
    let server = server(&double.base_url(), &["upstream"], json!({})).await;
    let message = json!({ "phone_number": "+391234567890", "code": "4711" });
    let request = server.send_until(message, "accepted").await;
    wait_for(&server, &request, "postponed", 3 * SECOND).await;
    has(
        &server.timeline(&request).await,
        "postponed upstream the upstream: the answer is not one of the Gateway",
    );
    assert_eq!(upstream.messages().await.len(), 1);
}

#[tokio::test]
async fn a_message_that_the_upstream_has_forgotten_is_uncertain_and_not_asked_for_again() {
    let upstream = Upstream::start("100").await;
    let to = upstream.address();
    let double = Double::playing(move |_, call| match call.method.as_str() {
        "sendVerificationMessage" => Play::Pass(to),
        _ => refusal("REQUEST_ID_INVALID"),
    })
    .await;
    let server = server(&double.base_url(), &["upstream"], json!({})).await;
    let message = json!({ "phone_number": "+391234567890", "code": "4711", "ttl": 60 });
    let request = server.send_until(message, "accepted").await;
    wait_for(&server, &request, "uncertain", 3 * SECOND).await;
    server.advance(60 * SECOND);
    server.until(&request, "failed").await;
    has(&server.timeline(&request).await, "failed upstream the upstream does not know the message any more");
    assert_eq!(double.calls("sendVerificationMessage").len(), 1);
}
