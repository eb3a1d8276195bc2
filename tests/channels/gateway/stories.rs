//! The whole life of messages that go through an upstream which is asked, not listened to.

use super::double::{Double, Play};
use super::upstream::Upstream;
use super::{has, server, until_lines, wait_for};
use serde_json::json;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn sent_delivered_read_and_verified() {
    let upstream = Upstream::start("100").await;
    let server = server(&upstream.base_url(), &["upstream"], json!({})).await;
    // This one's phone is off for ten seconds, by the upstream's clock.
    let message = json!({ "phone_number": "+9996640001", "code": "4711", "ttl": 300 });
    let request = server.send_until(message, "accepted").await;
    let there = upstream.message().await;
    assert_eq!(there["code"], "4711");
    assert_eq!(there["delivery_status"], "sent");
    let expires_in = there["expires_at"].as_i64().unwrap() - there["sent_at"].as_i64().unwrap();
    assert_eq!(expires_in, 300, "the upstream gives up when we do");
    let known = upstream.api("checkVerificationStatus", json!({ "request_id": there["request_id"] })).await;
    assert_eq!(known["payload"], format!("{request}-0"), "statuses name the hop");

    upstream.advance(10).await;
    wait_for(&server, &request, "delivered", 3 * SECOND).await;
    assert_eq!(server.status(&request).await["delivery_status"]["status"], "delivered");
    upstream.happen("read").await;
    wait_for(&server, &request, "read", 10 * SECOND).await;
    let judged =
        server.api("checkVerificationStatus", json!({ "request_id": request, "code": "4711" })).await;
    assert_eq!(judged.result()["verification_status"]["status"], "code_valid");
    assert_eq!(server.balance().await.to_string(), "99.99");
    assert_eq!(upstream.balance().await, "99.99");
}

#[tokio::test]
async fn what_arrives_at_once_is_found_delivered() {
    let upstream = Upstream::start("100").await;
    let server = server(&upstream.base_url(), &["upstream"], json!({})).await;
    let request =
        server.send_until(json!({ "phone_number": "+391234567890", "code": "4711" }), "accepted").await;
    wait_for(&server, &request, "delivered", 3 * SECOND).await;
    assert_eq!(upstream.message().await["code"], "4711");
}

#[tokio::test]
async fn a_delivered_message_is_asked_about_seldom_and_said_to_be_so_once() {
    let upstream = Upstream::start("100").await;
    let double = Double::always(Play::Pass(upstream.address())).await;
    let server = server(&double.base_url(), &["upstream"], json!({})).await;
    let message = json!({ "phone_number": "+391234567890", "code": "4711", "ttl": 3600 });
    let request = server.send_until(message, "accepted").await;
    server.advance(3 * SECOND);
    server.until(&request, "delivered").await;
    for question in 1..4 {
        server.advance(29 * SECOND);
        assert_eq!(double.calls("checkVerificationStatus").len(), question);
        server.advance(SECOND);
        double.call("checkVerificationStatus", question).await;
    }
    upstream.happen("read").await;
    wait_for(&server, &request, "read", 30 * SECOND).await;
    let lines = server.timeline(&request).await;
    assert!(!lines.iter().any(|line| line.starts_with("late_confirmation")), "{lines:#?}");
}

#[tokio::test]
async fn revoked_here_is_revoked_there() {
    let upstream = Upstream::start("100").await;
    let server = server(&upstream.base_url(), &["upstream"], json!({})).await;
    let message = json!({ "phone_number": "+9996630001", "code": "4711", "ttl": 300 });
    let request = server.send_until(message, "accepted").await;
    server.api("revokeVerificationMessage", json!({ "request_id": request })).await.result();
    server.until(&request, "withdrawn").await;
    assert_eq!(upstream.message().await["delivery_status"], "revoked");
    assert_eq!(server.balance().await.to_string(), "99.99", "what was revoked is not refunded");
}

#[tokio::test]
async fn what_was_delivered_there_meanwhile_is_not_said_to_be_withdrawn() {
    let upstream = Upstream::start("100").await;
    let server = server(&upstream.base_url(), &["upstream"], json!({})).await;
    let message = json!({ "phone_number": "+9996630001", "code": "4711", "ttl": 300 });
    let request = server.send_until(message, "accepted").await;
    upstream.happen("delivered").await;
    server.api("revokeVerificationMessage", json!({ "request_id": request })).await.result();
    server.until(&request, "failed").await;
    let lines = server.timeline(&request).await;
    has(&lines, "late_confirmation upstream");
    has(&lines, "failed upstream it had been delivered already");
    assert_eq!(server.status(&request).await["delivery_status"]["status"], "revoked");
}

#[tokio::test]
async fn expired_here_is_left_to_expire_there_so_that_both_refund() {
    let upstream = Upstream::start("100").await;
    let server = server(&upstream.base_url(), &["upstream"], json!({})).await;
    let message = json!({ "phone_number": "+9996630001", "code": "4711", "ttl": 60 });
    let request = server.send_until(message, "accepted").await;
    server.advance(60 * SECOND);
    server.until(&request, "refunded").await;
    assert_eq!(server.balance().await.to_string(), "100");
    // The upstream's clock is behind: what were revoked now would not be refunded.
    server.advance(3 * SECOND);
    assert_eq!(upstream.message().await["delivery_status"], "sent");
    upstream.advance(60).await;
    wait_for(&server, &request, "withdrawn", 3 * SECOND).await;
    assert_eq!(upstream.message().await["delivery_status"], "expired");
    assert_eq!(upstream.balance().await, "100");
}

#[tokio::test]
async fn an_upstream_that_finds_no_end_is_told_to() {
    let upstream = Upstream::start("100").await;
    let server = server(&upstream.base_url(), &["upstream"], json!({})).await;
    let message = json!({ "phone_number": "+9996630001", "code": "4711", "ttl": 60 });
    let request = server.send_until(message, "accepted").await;
    server.advance(60 * SECOND);
    server.until(&request, "refunded").await;
    wait_for(&server, &request, "withdrawn", 3 * SECOND).await;
    assert_eq!(upstream.message().await["delivery_status"], "revoked");
}

/// An errand has the time for two calls. The upstream had a minute to find the end by itself.
#[tokio::test]
async fn what_is_long_overdue_is_taken_back_without_another_question() {
    let upstream = Upstream::start("100").await;
    let double = Double::always(Play::Pass(upstream.address())).await;
    let server = server(&double.base_url(), &["upstream"], json!({})).await;
    let message = json!({ "phone_number": "+9996630001", "code": "4711", "ttl": 60 });
    let request = server.send_until(message, "accepted").await;
    server.advance(120 * SECOND);
    server.until(&request, "withdrawn").await;
    let calls: Vec<_> = double.calls("").into_iter().map(|call| call.method).collect();
    assert_eq!(calls, ["sendVerificationMessage", "revokeVerificationMessage", "checkVerificationStatus"]);
    assert_eq!(upstream.message().await["delivery_status"], "revoked");
}

#[tokio::test]
async fn expired_there_first_is_expired_and_refunded_here() {
    let upstream = Upstream::start("100").await;
    let server = server(&upstream.base_url(), &["upstream"], json!({})).await;
    // Without a ttl, only the upstream's end is one.
    let request =
        server.send_until(json!({ "phone_number": "+9996630001", "code": "4711" }), "accepted").await;
    upstream.advance(600).await;
    wait_for(&server, &request, "refunded", 3 * SECOND).await;
    has(
        &server.timeline(&request).await,
        "failed upstream it expired at the upstream, which gave the fee back",
    );
    assert_eq!(server.status(&request).await["delivery_status"]["status"], "expired");
    assert_eq!(server.balance().await.to_string(), "100");
    assert_eq!(upstream.balance().await, "100");
}

#[tokio::test]
async fn what_it_says_has_failed_goes_to_the_next_hop() {
    let upstream = Upstream::start("100").await;
    let server = server(&upstream.base_url(), &["upstream", "other"], json!({})).await;
    let message = json!({ "phone_number": "+9996630001", "code": "4711" });
    let request = server.send_until(message, "accepted").await;
    upstream.happen("failed").await;
    wait_for(&server, &request, "delivered", 3 * SECOND).await;
    has(&server.timeline(&request).await, "delivered other");
    assert_eq!(server.balance().await.to_string(), "99.99");
    assert_eq!(upstream.balance().await, "100");
}

#[tokio::test]
async fn an_upstream_has_no_longer_than_its_hop() {
    let upstream = Upstream::start("100").await;
    let server = server(&upstream.base_url(), &["upstream:40", "other"], json!({})).await;
    let message = json!({ "phone_number": "+9996630001", "code": "4711", "ttl": 300 });
    let request = server.send_until(message, "accepted").await;
    let there = upstream.message().await;
    let expires_in = there["expires_at"].as_i64().unwrap() - there["sent_at"].as_i64().unwrap();
    assert_eq!(expires_in, 40);
    server.advance(40 * SECOND);
    server.until(&request, "delivered").await;
    has(&server.timeline(&request).await, "unconfirmed upstream");
    assert_eq!(server.balance().await.to_string(), "99.99");
}

#[tokio::test]
async fn a_hop_without_the_time_that_an_upstream_needs_is_passed_over() {
    let upstream = Upstream::start("100").await;
    let server = server(&upstream.base_url(), &["upstream:29", "other"], json!({})).await;
    let request =
        server.send_until(json!({ "phone_number": "+391234567890", "code": "4711" }), "delivered").await;
    has(&server.timeline(&request).await, "failed upstream too little time left");
    assert!(upstream.messages().await.is_empty());
}

#[tokio::test]
async fn an_unreachable_number_goes_to_the_next_hop_or_is_refunded() {
    let upstream = Upstream::start("100").await;
    let message = json!({ "phone_number": "+9996620001", "code": "4711" });
    for (hops, end) in [(&["upstream", "other"][..], "delivered other"), (&["upstream"][..], "refunded 0.01")]
    {
        let server = server(&upstream.base_url(), hops, json!({})).await;
        let request = server.send_until(message.clone(), end.split(' ').next().unwrap()).await;
        let lines = server.timeline(&request).await;
        has(&lines, "failed upstream the upstream cannot reach the number");
        has(&lines, end);
    }
    assert_eq!(upstream.balance().await, "100");
}

#[tokio::test]
async fn patience_that_is_asked_for_is_had_as_long_as_it_helps() {
    let upstream = Upstream::start("100").await;
    let server = server(&upstream.base_url(), &["upstream"], json!({})).await;
    // It asks for five seconds, each time.
    let message = json!({ "phone_number": "+9996650001", "code": "4711", "ttl": 60 });
    let request = server.send_until(message, "postponed").await;
    // At 0 s, 5 s, … 25 s there is time for another try.
    for tries in 1..=6 {
        until_lines(&server, &request, "postponed upstream the upstream asks for 5 s of patience", tries)
            .await;
        server.advance(5 * SECOND);
    }
    server.until(&request, "refunded").await;
    let lines = server.timeline(&request).await;
    has(&lines, "failed upstream the upstream asks for 5 s of patience, which is longer than there is");
}

#[tokio::test]
async fn without_money_there_the_next_hop_has_its_turn_and_a_last_hop_waits() {
    let upstream = Upstream::start("0.01").await;
    let first = server(&upstream.base_url(), &["upstream", "other"], json!({})).await;
    let message = json!({ "phone_number": "+391234567890", "code": "4711" });
    first.send_until(message.clone(), "accepted").await;
    let request = first.send_until(message.clone(), "delivered").await;
    let lines = first.timeline(&request).await;
    has(&lines, "failed upstream the account at the upstream has no money left");
    has(&lines, "delivered other");

    let last = server(&upstream.base_url(), &["upstream"], json!({})).await;
    let request = last.send_until(message, "postponed").await;
    has(&last.timeline(&request).await, "postponed upstream the account at the upstream has no money left");
    upstream.operate("credit dev 1");
    wait_for(&last, &request, "delivered", 10 * SECOND).await;
    assert_eq!(last.balance().await.to_string(), "99.99");
}

#[tokio::test]
async fn a_token_that_is_no_good_says_so_to_the_operator() {
    let upstream = Upstream::start("100").await;
    let server =
        server(&upstream.base_url(), &["upstream", "other"], json!({ "token": "wrong-token" })).await;
    let request =
        server.send_until(json!({ "phone_number": "+391234567890", "code": "4711" }), "delivered").await;
    let lines = server.timeline(&request).await;
    has(&lines, "failed upstream the upstream does not know the token");
    assert!(!lines.join("\n").contains("wrong-token"));
}

#[tokio::test]
async fn senders_are_passed_on_where_the_operator_wants_that() {
    let upstream = Upstream::start("100").await;
    upstream.operate("sender add dev shop_of_alice --verified");
    upstream.operate("sender add dev the_house --verified");
    let message =
        json!({ "phone_number": "+391234567890", "code": "4711", "sender_username": "shop_of_alice" });
    for (more, sender) in [
        (json!({ "sender_username": "the_house", "pass_sender": true }), "shop_of_alice"),
        (json!({ "sender_username": "@The_House" }), "the_house"),
    ] {
        let server = server(&upstream.base_url(), &["upstream"], more).await;
        let alice = server.account("alice", chappe_core::Mode::Live).await.id;
        let shop = chappe_core::text::Username::parse("shop_of_alice").unwrap();
        server.store().await.put_sender(alice, &shop, true, server.app.clock.now()).await.unwrap();
        server.send_until(message.clone(), "accepted").await;
        assert_eq!(upstream.messages().await[0]["sender_username"], sender);
    }
}

#[tokio::test]
async fn an_upstream_that_is_down_is_done_without_or_waited_for() {
    let mut upstream = Upstream::start("100").await;
    let first = server(&upstream.base_url(), &["upstream", "other"], json!({})).await;
    let last = server(&upstream.base_url(), &["upstream"], json!({})).await;
    upstream.kill();
    let message = json!({ "phone_number": "+391234567890", "code": "4711" });
    let request = first.send_until(message.clone(), "delivered").await;
    has(&first.timeline(&request).await, "failed upstream the upstream cannot be reached");
    let request = last.send_until(message, "postponed").await;
    upstream.start_again().await;
    wait_for(&last, &request, "delivered", SECOND).await;
    assert_eq!(upstream.messages().await.len(), 1);
}

#[tokio::test]
async fn an_upstream_that_restarts_in_the_middle_tells_what_became_of_its_messages() {
    let mut upstream = Upstream::start("100").await;
    let server = server(&upstream.base_url(), &["upstream"], json!({})).await;
    let message = json!({ "phone_number": "+9996630001", "code": "4711", "ttl": 3600 });
    let request = server.send_until(message, "accepted").await;
    upstream.kill();
    wait_for(&server, &request, "postponed", 3 * SECOND).await;
    has(&server.timeline(&request).await, "postponed upstream the upstream cannot be reached");
    upstream.start_again().await;
    upstream.happen("delivered").await;
    wait_for(&server, &request, "delivered", 3 * SECOND).await;
    assert_eq!(upstream.messages().await.len(), 1);
}
