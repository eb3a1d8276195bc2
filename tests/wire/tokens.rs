//! Tokens: from where they are good, until when, and what they stand for.

use crate::reports::assert_signed;
use crate::support::{ALICE, ALICE_TEST, BOB, Connection, Receiver, Reply, Request, Server};
use chappe::channels::route::Routes;
use chappe::net::address::{TrustedProxies, parse_range};
use chappe::store::NewToken;
use chappe_core::{Mode, TokenId};
use ipnet::IpNet;
use serde_json::json;
use std::time::{Duration, Instant};

const NOW: i64 = 1_789_894_598;
const PHONE: &str = "+79123456719";

fn ranges(list: &[&str]) -> Vec<IpNet> {
    list.iter().map(|range| parse_range(range).unwrap()).collect()
}

/// A server behind these proxies. The tests themselves call from 127.0.0.1.
async fn behind(proxies: &[&str]) -> Server {
    let proxies = TrustedProxies(ranges(proxies));
    Server::start(|setup| {
        setup.serve();
        setup.settings.trusted_proxies = proxies;
        setup.clock_at(NOW);
    })
    .await
}

/// Limits Alice's token, effective at once.
async fn allow(server: &Server, list: &[&str]) {
    let token = server.token(ALICE).await.id;
    server.store().await.allow_token(token, &ranges(list)).await.unwrap();
    server.app.tokens.refresh(server.reader()).await.unwrap();
}

fn get_balance(token: &str) -> Request {
    Request::get("/getBalance").bearer(token)
}

#[tokio::test]
async fn an_allow_list_holds_addresses_and_ranges() {
    let server = behind(&["127.0.0.1"]).await;
    for (list, address, passes) in [
        (&[][..], "203.0.113.9", true),
        (&["192.0.2.7"], "192.0.2.7", true),
        (&["192.0.2.7"], "192.0.2.8", false),
        (&["192.0.2.7"], "::ffff:192.0.2.7", true),
        (&["192.0.2.7"], "192.0.2.7:61234", true),
        (&["192.0.2.0/24"], "192.0.2.255", true),
        (&["192.0.2.0/24"], "192.0.3.0", false),
        (&["192.0.2.77/24"], "192.0.2.1", true),
        (&["2001:db8::7"], "2001:db8::7", true),
        (&["2001:db8::7"], "2001:0db8:0:0::0007", true),
        (&["2001:db8::7"], "2001:db8::8", false),
        (&["2001:db8::/32"], "2001:db8:ffff::1", true),
        (&["2001:db8::/32"], "[2001:db8:ffff::1]:443", true),
        (&["2001:db8::/32"], "2001:db9::1", false),
        (&["2001:db8::/32"], "192.0.2.7", false),
        (&["198.51.100.1", "192.0.2.0/28", "2001:db8::/64"], "192.0.2.15", true),
        (&["198.51.100.1", "192.0.2.0/28", "2001:db8::/64"], "192.0.2.16", false),
        (&["0.0.0.0/0"], "203.0.113.9", true),
        (&["0.0.0.0/0"], "2001:db8::1", false),
        (&["::/0"], "203.0.113.9", false),
    ] {
        allow(&server, list).await;
        let answer = server.call(&get_balance(ALICE).header("x-forwarded-for", address)).await;
        let expected = if passes { "" } else { "IP_NOT_ALLOWED" };
        assert_eq!(answer.verdict(), (200, expected.to_owned()), "{list:?} {address}");
    }
}

/// Who speaks for whom: the list of proxies, the header's lines, and the address that has to come out.
#[tokio::test]
async fn forwarding_headers_are_believed_from_listed_proxies_alone() {
    let chain = &["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"][..];
    for (proxies, lines, client) in [
        (&[][..], &["192.0.2.7"][..], "127.0.0.1"),
        (&["10.0.0.0/8"], &["192.0.2.7"], "127.0.0.1"),
        (&["127.0.0.1"], &[], "127.0.0.1"),
        (&["127.0.0.1"], &["192.0.2.7"], "192.0.2.7"),
        (&["127.0.0.0/8"], &["192.0.2.7"], "192.0.2.7"),
        (&["127.0.0.1"], &["6.6.6.6, 192.0.2.7"], "192.0.2.7"),
        (&["127.0.0.1"], &["6.6.6.6", "192.0.2.7"], "192.0.2.7"),
        (&["127.0.0.1"], &["192.0.2.7, 10.0.0.1"], "10.0.0.1"),
        (chain, &["6.6.6.6, 192.0.2.7, 10.0.0.1"], "192.0.2.7"),
        (chain, &["6.6.6.6, 192.0.2.7", "10.0.0.1,10.9.9.9", " 2001:db8::5 "], "192.0.2.7"),
        (chain, &["192.0.2.7, unknown, 10.0.0.1"], "10.0.0.1"),
        (chain, &["192.0.2.7, , 10.0.0.1"], "10.0.0.1"),
        (chain, &["192.0.2.7,"], "127.0.0.1"),
        (chain, &["\"192.0.2.7\""], "127.0.0.1"),
        (chain, &["0300.0.2.7"], "127.0.0.1"),
        (chain, &["10.0.0.1, 10.0.0.2"], "10.0.0.1"),
    ] {
        let server = behind(proxies).await;
        let mut request = get_balance(ALICE);
        for line in lines {
            request = request.header("X-Forwarded-For", line);
        }
        // What no proxy of ours is said to write.
        for name in ["x-real-ip", "forwarded", "x-client-ip", "true-client-ip", "cf-connecting-ip"] {
            request = request.header(name, if name == "forwarded" { "for=6.6.6.6" } else { "6.6.6.6" });
        }
        server.call(&request).await.result();
        let uses = server.app.tokens.take_uses();
        assert_eq!(uses.last().unwrap().from.to_string(), client, "{proxies:?} {lines:?}");
        allow(&server, &[client]).await;
        server.call(&request).await.result();
        allow(&server, &["6.6.6.6"]).await;
        assert_eq!(server.call(&request).await.error(), "IP_NOT_ALLOWED", "{proxies:?} {lines:?}");
    }
}

/// Without TLS of its own, a server is spoken to through its proxy or not at all.
#[tokio::test]
async fn whoever_comes_past_the_proxy_is_refused() {
    for (proxies, passes) in [(&[][..], false), (&["10.0.0.0/8"], false), (&["127.0.0.1"], true)] {
        let proxies = TrustedProxies(ranges(proxies));
        let server = Server::start(|setup| {
            setup.serve();
            setup.settings.proxies_only = true;
            setup.settings.trusted_proxies = proxies;
        })
        .await;
        let send = json!({"phone_number": PHONE, "code": "1234"});
        for request in [
            get_balance(ALICE),
            get_balance(ALICE).header("x-forwarded-for", "10.0.0.1"),
            Request::post("/sendVerificationMessage").bearer(ALICE).json(&send),
        ] {
            let expected = if passes { (200, "") } else { (403, "PROXY_REQUIRED") };
            assert_eq!(server.call(&request).await.verdict(), (expected.0, expected.1.to_owned()));
        }
        assert_eq!(
            server.call(&Request::get("/healthz")).await.status,
            200,
            "what watches it comes directly"
        );
        assert_eq!(server.balance().await.to_string(), if passes { "99.99" } else { "100" });
    }
}

#[tokio::test]
async fn the_sandbox_is_behind_the_proxy_too() {
    let server = Server::start(|setup| {
        setup.serve();
        setup.settings.proxies_only = true;
    })
    .await;
    let list = server.call(&Request::get("/sandbox/messages").bearer(ALICE_TEST)).await;
    assert_eq!(list.verdict(), (403, "PROXY_REQUIRED".to_owned()));
}

/// Calls again and again until the answer is this one, which has to be within a second.
async fn within_a_second(connection: &mut Connection, token: &str, expected: &str) {
    let start = Instant::now();
    loop {
        let asked = start.elapsed();
        let answer = connection.exchange(&get_balance(token)).await;
        if answer.error() == expected {
            return;
        }
        assert!(asked < Duration::from_secs(1), "{token} is still {:?}", answer.error());
    }
}

/// The command line writes into the database while the server runs.
#[tokio::test]
async fn changes_take_effect_within_a_second() {
    let server = behind(&[]).await;
    let (mut store, now) = (server.store().await, server.app.clock.now());
    let mut connection = server.connect().await;
    let old = server.token(ALICE).await;
    within_a_second(&mut connection, "fresh", "ACCESS_TOKEN_INVALID").await;

    let fresh =
        NewToken { account: old.account, name: "fresh", text: "fresh", expires_at: None, allowed: &[] };
    let fresh = store.create_token(&fresh, now).await.unwrap();
    within_a_second(&mut connection, "fresh", "").await;

    store.allow_token(fresh, &ranges(&["192.0.2.7"])).await.unwrap();
    within_a_second(&mut connection, "fresh", "IP_NOT_ALLOWED").await;
    store.allow_token(fresh, &ranges(&["127.0.0.1"])).await.unwrap();
    within_a_second(&mut connection, "fresh", "").await;

    store.end_token(old.id, now, now).await.unwrap();
    within_a_second(&mut connection, ALICE, "ACCESS_TOKEN_INVALID").await;
    connection.exchange(&get_balance("fresh")).await.result();
    connection.exchange(&get_balance(BOB)).await.result();

    // It is over for good, and for every method.
    store.end_token(old.id, now + Duration::from_secs(3600), now).await.unwrap();
    store.end_token(fresh, now, now).await.unwrap();
    within_a_second(&mut connection, "fresh", "ACCESS_TOKEN_INVALID").await;
    for method in ["checkSendAbility", "sendVerificationMessage", "checkVerificationStatus"] {
        let answer = server.api(method, json!({"phone_number": PHONE, "code": "1234"})).await;
        assert_eq!(answer.error(), "ACCESS_TOKEN_INVALID", "{method}");
    }
}

#[tokio::test]
async fn a_token_ends_at_its_moment() {
    let server = behind(&[]).await;
    let (mut store, now) = (server.store().await, server.app.clock.now());
    let account = server.token(ALICE).await.account;
    let expires_at = Some(now + Duration::from_secs(60));
    let token = NewToken { account, name: "short", text: "short", expires_at, allowed: &[] };
    store.create_token(&token, now).await.unwrap();
    server.app.tokens.refresh(server.reader()).await.unwrap();
    server.advance(Duration::from_micros(59_999_999));
    server.call(&get_balance("short")).await.result();
    server.advance(Duration::from_micros(1));
    assert_eq!(server.call(&get_balance("short")).await.error(), "ACCESS_TOKEN_INVALID");
    server.call(&get_balance(ALICE)).await.result();
}

/// Replaces Alice's token as `chappe token rotate` does.
async fn rotate(server: &Server, overlap: Duration) -> TokenId {
    let (mut store, now) = (server.store().await, server.app.clock.now());
    let old = server.token(ALICE).await;
    let new = NewToken {
        account: old.account,
        name: &old.name,
        text: "rotated-token-of-alice",
        expires_at: old.expires_at,
        allowed: &old.allowed,
    };
    let new = store.create_token(&new, now).await.unwrap();
    store.end_token(old.id, now + overlap, now).await.unwrap();
    server.app.tokens.refresh(server.reader()).await.unwrap();
    new
}

#[tokio::test]
async fn a_rotated_token_overlaps_with_the_new_one() {
    let server = behind(&[]).await;
    let before = server.send(json!({"phone_number": PHONE, "code": "1234"})).await;
    rotate(&server, Duration::from_secs(3600)).await;
    let new = "rotated-token-of-alice";
    let mut connection = server.connect().await;
    for token in [ALICE, new] {
        connection.exchange(&get_balance(token)).await.result();
    }
    // They are one account's: each knows what the other sent.
    let status = server.api_as(new, "checkVerificationStatus", json!({"request_id": before})).await.result();
    assert_eq!(status["request_id"], before.as_str());
    server.advance(Duration::from_secs(3599));
    connection.exchange(&get_balance(ALICE)).await.result();
    server.advance(Duration::from_secs(1));
    assert_eq!(connection.exchange(&get_balance(ALICE)).await.error(), "ACCESS_TOKEN_INVALID");
    connection.exchange(&get_balance(new)).await.result();
}

/// Receivers know the token that sent; that it has been replaced since changes nothing about its reports.
#[tokio::test]
async fn a_report_is_signed_with_the_token_that_sent() {
    let server = Server::start(|setup| setup.clock_at(NOW)).await;
    let fails_once = |n| Reply::Status(if n == 0 { "500 Internal Server Error" } else { "200 OK" });
    let mut receiver = Receiver::start(fails_once).await;
    let send = json!({"phone_number": "+9996640001", "code": "1234", "callback_url": receiver.url()});
    let old = server.send_until(send.clone(), "accepted").await;
    rotate(&server, Duration::ZERO).await;
    assert_eq!(server.call(&get_balance(ALICE)).await.error(), "ACCESS_TOKEN_INVALID");
    server.advance(Duration::from_secs(10));
    assert_signed(ALICE, &receiver.next().await, &format!("{old}-1"), NOW + 10);
    server.report(&old, 1, |report| report.attempts == 1).await;

    // Also when the attempt comes long after, beside reports of the new token.
    server.advance(Duration::from_secs(6));
    assert_signed(ALICE, &receiver.next().await, &format!("{old}-1"), NOW + 16);
    let new = server.api_as("rotated-token-of-alice", "sendVerificationMessage", send).await.result();
    let new = new["request_id"].as_str().unwrap();
    server.until(new, "accepted").await;
    server.advance(Duration::from_secs(10));
    assert_signed("rotated-token-of-alice", &receiver.next().await, &format!("{new}-1"), NOW + 26);
}

/// The token that sends signs, not the one that asked before.
#[tokio::test]
async fn of_two_tokens_the_one_that_sent_signs() {
    let server = Server::start(|setup| setup.clock_at(NOW)).await;
    let mut receiver = Receiver::replying(Reply::Status("200 OK")).await;
    let checked = server.api("checkSendAbility", json!({"phone_number": "+9996600001"})).await.result();
    rotate(&server, Duration::ZERO).await;
    let send = json!({
        "phone_number": "+9996600001", "code": "1234", "callback_url": receiver.url(),
        "request_id": checked["request_id"],
    });
    server.api_as("rotated-token-of-alice", "sendVerificationMessage", send).await.result();
    let id = format!("{}-1", checked["request_id"].as_str().unwrap());
    assert_signed("rotated-token-of-alice", &receiver.next().await, &id, NOW);
}

#[tokio::test]
async fn a_test_token_sends_to_the_sandbox_for_play_money() {
    let server = Server::start(|setup| {
        setup.serve();
        setup.settings.routes = Routes::none();
    })
    .await;
    let send = json!({"phone_number": PHONE, "code": "1234"});
    assert_eq!(
        server.api("sendVerificationMessage", send.clone()).await.error(),
        "PHONE_NUMBER_NOT_AVAILABLE"
    );
    let sent = server.api_as(ALICE_TEST, "sendVerificationMessage", send).await.result();
    assert_eq!(sent["remaining_balance"], json!(99.99));
    assert_eq!(server.account("alice", Mode::Test).await.balance.to_string(), "99.99");
    assert_eq!(server.account("alice", Mode::Live).await.balance.to_string(), "100");
    server.until(sent["request_id"].as_str().unwrap(), "delivered").await;
    let latest = Request::get("/sandbox/messages/latest").bearer(ALICE_TEST);
    assert_eq!(server.call(&latest).await.json()["code"], "1234");
    let status = json!({"request_id": sent["request_id"]});
    assert_eq!(server.api("checkVerificationStatus", status).await.error(), "REQUEST_ID_INVALID");
}
