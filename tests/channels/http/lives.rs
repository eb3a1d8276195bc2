//! What becomes of messages: delivered, rejected, lost on the way.

use super::double::{PUBLIC_URL, Provider, Reply, Taken, accepted, channel, hanging_up};
use crate::support::{Answer, Request, Server, Setup, Vacancy};
use chappe::channels::ChannelSettings;
use chappe::channels::route::{Line, Routes};
use chappe_core::text::ChannelName;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

const NOW: i64 = 1_789_894_598;
pub(crate) const PHONE: &str = "+393331234567";

/// A server whose messages take this route through these channels.
pub(crate) fn route<const N: usize>(
    hops: &[&str],
    channels: [(&str, ChannelSettings); N],
) -> impl FnOnce(&mut Setup) + use<N> {
    let line = Line::parse(hops).unwrap();
    let channels = channels.map(|(name, settings)| (ChannelName::parse(name).unwrap(), settings));
    move |setup| {
        setup.clock_at(NOW);
        setup.settings.public_url = Some(PUBLIC_URL.to_owned());
        setup.settings.routes = Routes::all(line);
        setup.settings.channels = channels.into();
    }
}

/// What a caller asks for.
pub(crate) fn order(ttl_s: u64) -> Value {
    json!({"phone_number": PHONE, "code_length": 6, "ttl": ttl_s})
}

/// What a provider says at an address that it was given.
pub(crate) async fn tell(server: &Server, path: &str, what: Value) -> Answer {
    server.call(&Request::post(path).json(what)).await
}

#[tokio::test]
async fn a_code_is_taken_delivered_and_verified() {
    let mut provider = Provider::accepting().await;
    let server = Server::start(route(&["sms"], [("sms", provider.channel(json!({})))])).await;
    let request = server.send(order(60)).await;
    let message = provider.next().await;
    let (json, code) = (message.json(), message.code());
    assert_eq!(message.target, "/messages");
    assert_eq!(message.headers["content-type"], "application/json");
    assert_eq!((&json["to"], &json["from"], &json["ttl"]), (&PHONE.into(), &"Example".into(), &60.into()));
    assert_eq!(json["id"], format!("{request}-0"));
    assert_eq!(
        json["text"],
        format!("Il tuo codice di verifica è {code}. Valido per 10 min. Non condividerlo.")
    );
    server.until(&request, "accepted").await;
    assert_eq!(server.delivery(&request).await, "sent");
    let answer = tell(&server, &message.callback(), json!({"id": "m-0", "status": "delivered"})).await;
    assert_eq!((answer.status, answer.text()), (200, "OK\n"));
    assert_eq!(server.delivery(&request).await, "delivered");
    let check = json!({"request_id": request, "code": code});
    let verified = server.api("checkVerificationStatus", check).await.result();
    assert_eq!(verified["verification_status"]["status"], "code_valid");
}

#[tokio::test]
async fn what_was_read_is_told() {
    let mut provider = Provider::accepting().await;
    let server = Server::start(route(&["sms"], [("sms", provider.channel(json!({})))])).await;
    let request = server.send(order(60)).await;
    let callback = provider.next().await.callback();
    for (status, then) in [("queued", "sent"), ("read", "read"), ("delivered", "read"), ("failed", "read")] {
        assert_eq!(tell(&server, &callback, json!({"status": status})).await.status, 200);
        assert_eq!(server.delivery(&request).await, then, "after {status}");
    }
    assert_eq!(server.balance().await.to_string(), "99.99");
}

#[tokio::test]
async fn a_revoked_message_stays_revoked_whatever_comes_after() {
    let mut provider = Provider::accepting().await;
    let server = Server::start(route(&["sms"], [("sms", provider.channel(json!({})))])).await;
    let request = server.send_until(order(60), "accepted").await;
    let callback = provider.next().await.callback();
    server.api("revokeVerificationMessage", json!({"request_id": request})).await.result();
    server.until(&request, "failed").await;
    let said = "failed sms what the provider has cannot be taken back";
    assert!(server.timeline(&request).await.contains(&said.to_owned()));
    assert_eq!(tell(&server, &callback, json!({"status": "delivered"})).await.status, 200);
    assert_eq!(server.delivery(&request).await, "revoked");
    assert!(server.timeline(&request).await.contains(&"late_confirmation sms".to_owned()));
    assert_eq!(server.balance().await.to_string(), "99.99", "a withdrawal is not refunded");
}

#[tokio::test]
async fn what_nobody_confirms_expires_and_is_refunded() {
    let mut provider = Provider::accepting().await;
    let server = Server::start(route(&["sms"], [("sms", provider.channel(json!({})))])).await;
    let request = server.send_until(order(30), "accepted").await;
    let callback = provider.next().await.callback();
    server.advance(Duration::from_secs(30));
    server.until(&request, "refunded").await;
    for status in ["delivered", "read", "failed", "delivered"] {
        assert_eq!(tell(&server, &callback, json!({"status": status})).await.status, 200);
        assert_eq!(server.delivery(&request).await, "expired");
    }
    assert_eq!(server.balance().await.to_string(), "100");
    assert_eq!(provider.waiting(), 0, "sent once");
}

#[tokio::test]
async fn a_rejection_gives_the_next_hop_its_turn_and_says_why() {
    let refusal = |_: usize, taken: &Taken| {
        let words = format!("{PHONE} is not a mobile number, {} was not sent", taken.code());
        Reply::Json(422, json!({"error": words}), None)
    };
    let (first, mut second) = (Provider::replying(refusal).await, Provider::accepting().await);
    let channels = [("a", first.channel(json!({}))), ("b", second.channel(json!({})))];
    let server = Server::start(route(&["a:30", "b"], channels)).await;
    let request = server.send_until(order(60), "accepted").await;
    let said = "failed a it answered 422: +39*******567 is not a mobile number, … was not sent";
    assert!(
        server.timeline(&request).await.contains(&said.to_owned()),
        "{:?}",
        server.timeline(&request).await
    );
    let message = second.next().await;
    assert_eq!(message.json()["id"], format!("{request}-1"));
    tell(&server, &message.callback(), json!({"status": "delivered"})).await;
    assert_eq!(server.delivery(&request).await, "delivered");
    assert_eq!(server.balance().await.to_string(), "99.99");
}

#[tokio::test]
async fn what_every_provider_refuses_is_refunded_at_once() {
    let provider = Provider::replying(|_, _| Reply::Json(400, json!("bad"), None)).await;
    let server = Server::start(route(&["sms"], [("sms", provider.channel(json!({})))])).await;
    let request = server.send_until(order(60), "refunded").await;
    assert_eq!(server.delivery(&request).await, "expired");
    assert!(server.timeline(&request).await.contains(&"failed sms it answered 400".to_owned()));
}

#[tokio::test]
async fn a_reported_failure_gives_the_next_hop_its_turn() {
    let (mut first, mut second) = (Provider::accepting().await, Provider::accepting().await);
    let channels = [("a", first.channel(json!({}))), ("b", second.channel(json!({})))];
    let server = Server::start(route(&["a:60", "b"], channels)).await;
    let request = server.send_until(order(300), "accepted").await;
    let callback = first.next().await.callback();
    let failed = json!({"status": "failed", "error": "absent subscriber 393331234567"});
    tell(&server, &callback, failed.clone()).await;
    let told = "failed a the provider reports: failed, absent subscriber …";
    assert!(
        server.timeline(&request).await.contains(&told.to_owned()),
        "{:?}",
        server.timeline(&request).await
    );
    let message = second.next().await;
    // Told twice, it changes nothing more.
    tell(&server, &callback, failed).await;
    tell(&server, &message.callback(), json!({"status": "delivered"})).await;
    assert_eq!(server.delivery(&request).await, "delivered");
    assert_eq!((first.waiting(), second.waiting()), (0, 0));
}

#[tokio::test]
async fn a_provider_that_throttles_is_given_its_pause() {
    let throttled = |at: usize, _: &Taken| match at {
        0 => Reply::Json(429, json!({}), Some(("retry-after", "7".to_owned()))),
        _ => accepted(at),
    };
    let mut provider = Provider::replying(throttled).await;
    let server = Server::start(route(&["sms"], [("sms", provider.channel(json!({})))])).await;
    let request = server.send_until(order(60), "postponed").await;
    provider.next().await;
    server.advance(Duration::from_secs(6));
    assert_eq!(provider.waiting(), 0);
    server.advance(Duration::from_secs(1));
    server.until(&request, "accepted").await;
    assert_eq!(provider.next().await.json()["ttl"], 53, "what is left of it");
}

#[tokio::test]
async fn a_fault_after_the_request_is_uncertain_and_the_message_is_not_sent_again() {
    for status in [500, 502, 503, 504] {
        let mut provider = Provider::replying(move |_, _| Reply::Json(status, json!({}), None)).await;
        let server = Server::start(route(&["sms"], [("sms", provider.channel(json!({})))])).await;
        let request = server.send_until(order(60), "uncertain").await;
        let callback = provider.next().await.callback();
        server.advance(Duration::from_secs(59));
        assert_eq!(server.delivery(&request).await, "sent");
        // It had taken it after all.
        tell(&server, &callback, json!({"status": "delivered"})).await;
        assert_eq!(server.delivery(&request).await, "delivered");
        assert_eq!(provider.waiting(), 0);
    }
}

#[tokio::test]
async fn a_provider_whose_faults_take_nothing_is_tried_again() {
    let fault = |at: usize, _: &Taken| if at == 0 { Reply::Json(500, json!({}), None) } else { accepted(at) };
    let provider = Provider::replying(fault).await;
    let server =
        Server::start(route(&["sms"], [("sms", provider.channel(json!({"on_5xx": "retry"})))])).await;
    let request = server.send_until(order(60), "postponed").await;
    server.advance(Duration::from_secs(5));
    server.until(&request, "accepted").await;
}

#[tokio::test]
async fn wrong_credentials_are_the_channels_fault_and_no_messages() {
    let (first, mut second) =
        (Provider::replying(|_, _| Reply::Json(401, json!({}), None)).await, Provider::accepting().await);
    let channels = [("a", first.channel(json!({}))), ("b", second.channel(json!({})))];
    let server = Server::start(route(&["a:30", "b"], channels)).await;
    let request = server.send_until(order(60), "accepted").await;
    assert!(server.timeline(&request).await.contains(&"failed a it answered 401".to_owned()));
    second.next().await;
}

#[tokio::test]
async fn a_provider_that_comes_back_gets_what_waited_for_it() {
    let vacancy = Vacancy::new();
    let address = vacancy.address();
    let server = Server::start(route(&["sms"], [("sms", channel(address, json!({})))])).await;
    let request = server.send_until(order(60), "postponed").await;
    let timeline = server.timeline(&request).await;
    assert!(
        timeline.iter().any(|line| line.starts_with("postponed sms it cannot be reached:")),
        "{timeline:?}"
    );
    let mut provider = Provider::at(vacancy.move_in(), |at, _| accepted(at));
    server.advance(Duration::from_secs(5));
    let callback = provider.next().await.callback();
    server.until(&request, "accepted").await;
    // It restarts, and tells of the message afterwards.
    drop(provider);
    tell(&server, &callback, json!({"status": "delivered"})).await;
    assert_eq!(server.delivery(&request).await, "delivered");
}

#[tokio::test]
async fn a_provider_that_hangs_up_may_have_the_message_and_never_gets_it_again() {
    let (address, mut read) = hanging_up().await;
    let mut second = Provider::accepting().await;
    let channels = [("a", channel(address, json!({}))), ("b", second.channel(json!({})))];
    let server = Server::start(route(&["a:30", "b"], channels)).await;
    let request = server.send_until(order(300), "uncertain").await;
    assert!(crate::support::must("the request", read.recv()).await.unwrap().contains(&request));
    let timeline = server.timeline(&request).await;
    assert!(timeline.iter().any(|line| line.starts_with("uncertain a it did not answer:")), "{timeline:?}");
    // The other hop gets its turn once the time of this one is over.
    server.advance(Duration::from_secs(30));
    let message = second.next().await;
    tell(&server, &message.callback(), json!({"status": "delivered"})).await;
    assert_eq!(server.delivery(&request).await, "delivered");
    assert!(read.is_empty(), "asked once");
}

#[tokio::test]
async fn a_crash_between_handing_over_and_writing_down_sends_nothing_twice() {
    let held = Arc::new(Notify::new());
    let hold = held.clone();
    let mut provider = Provider::replying(move |_, _| Reply::Held(hold.clone())).await;
    let settings = provider.channel(json!({}));
    let server = Server::start(route(&["sms"], [("sms", settings.clone())])).await;
    let request = server.send(order(60)).await;
    let callback = provider.next().await.callback();
    let home = server.stop();
    let mut setup = Setup::dev();
    route(&["sms"], [("sms", settings)])(&mut setup);
    let server = home.serve(setup).await;
    // Whoever held the lease is gone: at once where one server serves the database, when it lapses elsewhere.
    server.advance(Duration::from_secs(31));
    server.until(&request, "uncertain").await;
    assert!(
        server.timeline(&request).await.contains(&"uncertain sms the hand-over was interrupted".to_owned())
    );
    assert_eq!(server.delivery(&request).await, "sent");
    server.advance(Duration::from_secs(20));
    assert_eq!(provider.waiting(), 0, "it is not sent again");
    // The address that the provider was given outlives the crash.
    tell(&server, &callback, json!({"status": "delivered"})).await;
    assert_eq!(server.delivery(&request).await, "delivered");
    assert_eq!(server.balance().await.to_string(), "99.99");
}

#[tokio::test]
async fn a_receipt_that_overtakes_the_acceptance_counts() {
    let held = Arc::new(Notify::new());
    let hold = held.clone();
    let mut provider = Provider::replying(move |_, _| Reply::Held(hold.clone())).await;
    let server = Server::start(route(&["sms"], [("sms", provider.channel(json!({})))])).await;
    let request = server.send(order(60)).await;
    let callback = provider.next().await.callback();
    assert_eq!(tell(&server, &callback, json!({"status": "delivered"})).await.status, 200);
    assert_eq!(server.delivery(&request).await, "delivered");
    held.notify_one();
    tell(&server, &callback, json!({"status": "read"})).await;
    assert_eq!(server.delivery(&request).await, "read");
}

#[tokio::test]
async fn a_third_provider_delivers_what_the_first_never_confirms_and_the_second_rejects() {
    let mut first = Provider::accepting().await;
    let mut second = Provider::replying(|_, _| Reply::Json(400, json!({"error": "landline"}), None)).await;
    let mut third = Provider::accepting().await;
    let channels =
        [("a", first.channel(json!({}))), ("b", second.channel(json!({}))), ("c", third.channel(json!({})))];
    let server = Server::start(route(&["a:30", "b:30", "c"], channels)).await;
    let request = server.send_until(order(300), "accepted").await;
    let (early, code) = {
        let message = first.next().await;
        (message.callback(), message.code())
    };
    server.advance(Duration::from_secs(30));
    assert_eq!(second.next().await.code(), code);
    let message = third.next().await;
    assert_eq!(message.code(), code, "the same code by every hop");
    assert_eq!(message.json()["ttl"], 270);
    tell(&server, &message.callback(), json!({"status": "delivered"})).await;
    assert_eq!(server.delivery(&request).await, "delivered");
    // The first one confirms when it no longer matters.
    assert_eq!(tell(&server, &early, json!({"status": "delivered"})).await.status, 200);
    assert_eq!(
        server.timeline(&request).await,
        [
            "charged 0.01",
            "sent a",
            "accepted a",
            "unconfirmed a",
            "fallback b",
            "failed b it answered 400: landline",
            "fallback c",
            "accepted c",
            "delivered c",
            "late_confirmation a",
        ]
    );
    assert_eq!(server.balance().await.to_string(), "99.99", "one charge");
    assert_eq!((first.waiting(), second.waiting(), third.waiting()), (0, 0, 0), "each was asked once");
    let check = json!({"request_id": request, "code": code});
    let verified = server.api("checkVerificationStatus", check).await.result();
    assert_eq!(verified["verification_status"]["status"], "code_valid");
}

#[tokio::test]
async fn a_provider_without_receipts_delivers_when_it_accepts() {
    let provider = Provider::accepting().await;
    let without = json!({"delivered_on_accept": true, "callback": null, "callbacks": false});
    let server = Server::start(route(&["sms"], [("sms", provider.channel(without))])).await;
    let request = server.send_until(order(60), "delivered").await;
    assert_eq!(server.delivery(&request).await, "delivered");
}
