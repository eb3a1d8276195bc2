//! What the upstream tells by itself: believed if it is signed with our token and about the message it was asked to tell
//! of, and else not.

use super::double::{Call, Double, Play};
use super::upstream::Upstream;
use super::{START, has, route, settings};
use crate::process::TOKEN;
use crate::support::{Answer, Request, Server};
use chappe::env::Random;
use chappe_core::report::signature;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The public face of a server: reports go through it, and are kept. While it is shut, it answers 503.
struct Face {
    double: Double,
    behind: Arc<OnceLock<SocketAddr>>,
    shut: Arc<AtomicBool>,
}

impl Face {
    async fn new() -> Face {
        let (behind, shut): (Arc<OnceLock<SocketAddr>>, Arc<AtomicBool>) = Default::default();
        let (to, closed) = (behind.clone(), shut.clone());
        let double = Double::playing(move |_, _| match (closed.load(Ordering::SeqCst), to.get()) {
            (false, Some(address)) => Play::Pass(*address),
            _ => Play::Answer("503 Service Unavailable", String::new()),
        })
        .await;
        Face { double, behind, shut }
    }

    /// A server behind it whose messages go to an upstream, and whose clock stands: it asks for nothing by itself.
    async fn server(&self, base_url: &str, hops: &[&str]) -> Server {
        let server = Server::start(|setup| {
            setup.clock_at(START);
            setup.settings.public_url = Some(self.double.base_url());
            route(setup, hops, settings(base_url, json!({})));
        })
        .await;
        self.behind.set(server.address).unwrap();
        server
    }

    /// The report of this number, counted from 0.
    async fn report(&self, number: usize) -> Call {
        self.double.call("channels/upstream/", number).await
    }
}

/// A report as somebody sends it.
#[derive(Clone, Debug)]
struct Report {
    path: String,
    timestamp: String,
    signature: String,
    body: String,
}

impl From<&Call> for Report {
    fn from(call: &Call) -> Report {
        Report {
            path: format!("/{}", call.method),
            timestamp: call.header("x-request-timestamp").to_owned(),
            signature: call.header("x-request-signature").to_owned(),
            body: call.text(),
        }
    }
}

impl Report {
    /// Signed by whoever holds `token`.
    fn signed(self, token: &str) -> Report {
        let signature = signature(token, self.timestamp.parse().unwrap(), self.body.as_bytes());
        Report { signature, ..self }
    }

    async fn send(&self, server: &Server) -> Answer {
        let request = Request::post(&self.path)
            .header("x-request-timestamp", &self.timestamp)
            .header("x-request-signature", &self.signature)
            .json(&self.body);
        server.call(&request).await
    }
}

#[tokio::test]
async fn reports_tell_what_became_of_a_message() {
    let (upstream, face) = (Upstream::start("100").await, Face::new().await);
    let server = face.server(&upstream.base_url(), &["upstream"]).await;
    let message = json!({ "phone_number": "+9996640001", "code": "4711", "ttl": 300 });
    let request = server.send_until(message, "accepted").await;
    upstream.advance(10).await;
    server.until(&request, "delivered").await;
    upstream.happen("read").await;
    server.until(&request, "read").await;
    assert_eq!(server.status(&request).await["delivery_status"]["status"], "read");
    let report = face.report(0).await;
    assert_eq!(report.body["payload"], format!("{request}-0"));
    assert!(report.method.starts_with(&format!("channels/upstream/{request}-0-")), "{}", report.method);
}

#[tokio::test]
async fn a_report_that_it_expired_there_refunds_here_or_gives_the_next_hop_its_turn() {
    for (hops, end) in [(&["upstream"][..], "refunded"), (&["upstream", "other"][..], "delivered")] {
        let (upstream, face) = (Upstream::start("100").await, Face::new().await);
        let server = face.server(&upstream.base_url(), hops).await;
        let request =
            server.send_until(json!({ "phone_number": "+9996630001", "code": "4711" }), "accepted").await;
        upstream.happen("failed").await;
        server.until(&request, end).await;
        has(&server.timeline(&request).await, "failed upstream it expired at the upstream");
        assert_eq!(upstream.balance().await, "100");
    }
}

/// The answer to the hand-over got lost, and the report names the hop all the same.
#[tokio::test]
async fn a_report_makes_an_uncertain_message_certain() {
    let (upstream, face) = (Upstream::start("100").await, Face::new().await);
    let lossy = Double::always(Play::LoseAnswer(upstream.address())).await;
    let server = face.server(&lossy.base_url(), &["upstream"]).await;
    let message = json!({ "phone_number": "+9996640001", "code": "4711", "ttl": 300 });
    let request = server.send_until(message, "uncertain").await;
    upstream.advance(10).await;
    server.until(&request, "delivered").await;
    let judged =
        server.api("checkVerificationStatus", json!({ "request_id": request, "code": "4711" })).await;
    assert_eq!(judged.result()["verification_status"]["status"], "code_valid");
}

#[tokio::test]
async fn a_report_that_comes_again_changes_nothing() {
    let (upstream, face) = (Upstream::start("100").await, Face::new().await);
    let server = face.server(&upstream.base_url(), &["upstream"]).await;
    let message = json!({ "phone_number": "+9996640001", "code": "4711", "ttl": 300 });
    let request = server.send_until(message, "accepted").await;
    upstream.advance(10).await;
    server.until(&request, "delivered").await;
    upstream.happen("read").await;
    server.until(&request, "read").await;
    let (delivered, before) = (Report::from(&face.report(0).await), server.status(&request).await);
    for _ in 0..3 {
        assert_eq!(delivered.send(&server).await.status, 200);
    }
    assert_eq!(server.status(&request).await, before, "an old report says nothing new");
}

#[tokio::test]
async fn a_late_confirmation_of_an_earlier_hop_is_recorded_and_changes_nothing() {
    let (upstream, face) = (Upstream::start("100").await, Face::new().await);
    let server = face.server(&upstream.base_url(), &["upstream:40", "other"]).await;
    let message = json!({ "phone_number": "+9996630001", "code": "4711", "ttl": 300 });
    let request = server.send_until(message, "accepted").await;
    server.advance(Duration::from_secs(40));
    server.until(&request, "delivered").await;
    let (before, at_first) = (server.status(&request).await, server.timeline(&request).await);
    assert_eq!(at_first.last().unwrap(), "delivered other");
    has(&at_first, "unconfirmed upstream");
    upstream.happen("delivered").await;
    server.until(&request, "late_confirmation").await;
    let lines = server.timeline(&request).await;
    assert_eq!(lines, [at_first, vec!["late_confirmation upstream".to_owned()]].concat());
    assert_eq!(server.status(&request).await, before);
    assert_eq!(server.balance().await.to_string(), "99.99");
}

/// A genuine report is held up, so that whatever is made of it meanwhile would be news.
#[tokio::test]
async fn what_is_forged_changes_nothing_and_is_told_nothing() {
    let (upstream, face) = (Upstream::start("100").await, Face::new().await);
    let server = face.server(&upstream.base_url(), &["upstream", "other"]).await;
    face.shut.store(true, Ordering::SeqCst);
    let message = |phone: &str| json!({ "phone_number": phone, "code": "4711", "ttl": 300 });
    let request = server.send_until(message("+9996640001"), "accepted").await;
    let neighbour = server.send_until(message("+9996640002"), "accepted").await;
    upstream.advance(10).await;
    let (one, two) = (face.report(0).await, face.report(1).await);
    let of =
        |request: &str| if one.method.contains(request) { Report::from(&one) } else { Report::from(&two) };
    let (genuine, of_neighbour) = (of(&request), of(&neighbour));
    let before = (server.timeline(&request).await, server.timeline(&neighbour).await);
    let money = server.balance().await;

    let edited = |from: &str, to: &str| Report { body: genuine.body.replace(from, to), ..genuine.clone() };
    let path = |path: String| Report { path, ..genuine.clone() };
    let mac = genuine.path.rsplit_once('-').unwrap().1;
    let mut forged = vec![
        // Signed by somebody else, by nobody, or by the upstream for something else.
        genuine.clone().signed("another-token"),
        genuine.clone().signed(""),
        Report { signature: String::new(), ..genuine.clone() },
        Report { signature: genuine.signature.to_uppercase(), ..genuine.clone() },
        Report { timestamp: "0".to_owned(), ..genuine.clone() },
        edited("delivered", "read"),
        edited("delivered", "expired").signed("another-token"),
        edited("\"status\"", " \"status\""),
        // At an address that was not made for it, or for nothing.
        path(of_neighbour.path.clone()),
        Report { path: genuine.path.clone(), ..of_neighbour.clone() },
        path(genuine.path.replace("-0-", "-1-")),
        path(genuine.path.replace("upstream", "other")),
        path(genuine.path.replace("upstream", "nobody")),
        path(genuine.path.replace(&request, &neighbour)),
        path(genuine.path.replace(mac, &"0".repeat(32))),
        path(format!("{}0", genuine.path)),
        path("/channels/upstream/".to_owned()),
        path("/channels/upstream/%00".to_owned()),
        path("/channels/upstream/../../x".to_owned()),
        // Rightly signed, and no report of this message.
        Report { body: "{}".to_owned(), ..genuine.clone() }.signed(TOKEN),
        Report { body: "\u{fffd}".to_owned(), ..genuine.clone() }.signed(TOKEN),
        Report { body: "[".repeat(10_000), ..genuine.clone() }.signed(TOKEN),
        edited("payload", "no_payload").signed(TOKEN),
        edited(&format!("{request}-0"), &format!("{request}-1")).signed(TOKEN),
        edited(&format!("{request}-0"), &format!("{neighbour}-0")).signed(TOKEN),
    ];
    // And a few hundred more, by one byte each.
    let random = Random::seeded(4711);
    for round in 0..300 {
        let mut report = genuine.clone();
        let text = match round % 3 {
            0 => &mut report.body,
            1 => &mut report.signature,
            _ => &mut report.path,
        };
        let at = random.below(u32::try_from(text.len()).unwrap()).unwrap() as usize;
        // The path keeps its first letter: another would be another room's.
        let at = at.max(1);
        let new = char::from(b"0123456789abcdefXYZ{}\",:- "[random.below(26).unwrap() as usize]);
        let new = if round % 3 == 2 && !new.is_ascii_alphanumeric() { 'q' } else { new };
        if text.as_bytes()[at] != new as u8 {
            text.replace_range(at..=at, &new.to_string());
            forged.push(report);
        }
    }
    for report in &forged {
        let answer = report.send(&server).await;
        // What names no channel is taken for a method of the API, which there is none of.
        let refused = (400..500).contains(&answer.status) || answer.error() == "UNKNOWN_METHOD";
        assert!(refused, "{}: {report:#?}", answer.status);
    }
    assert_eq!((server.timeline(&request).await, server.timeline(&neighbour).await), before);
    assert_eq!(server.balance().await, money);

    // The genuine one is as good as ever.
    assert_eq!(genuine.send(&server).await.status, 200);
    server.until(&request, "delivered").await;
    assert_eq!(server.timeline(&neighbour).await, before.1);
}

#[tokio::test]
async fn a_word_that_nobody_knows_is_heard_and_means_nothing() {
    let (upstream, face) = (Upstream::start("100").await, Face::new().await);
    let server = face.server(&upstream.base_url(), &["upstream"]).await;
    face.shut.store(true, Ordering::SeqCst);
    let message = json!({ "phone_number": "+9996640001", "code": "4711", "ttl": 300 });
    let request = server.send_until(message, "accepted").await;
    upstream.advance(10).await;
    let genuine = Report::from(&face.report(0).await);
    let before = server.timeline(&request).await;
    for word in ["sent", "teleported"] {
        let body = genuine.body.replace("delivered", word);
        let report = Report { body, ..genuine.clone() }.signed(TOKEN);
        assert_eq!(report.send(&server).await.status, 200, "{word}");
    }
    assert_eq!(server.timeline(&request).await, before);
}

/// Reports that do not come cost nothing but time: the upstream is asked all the same, only less often.
#[tokio::test]
async fn what_is_not_told_is_asked_for() {
    let (upstream, face) = (Upstream::start("100").await, Face::new().await);
    let server = face.server(&upstream.base_url(), &["upstream"]).await;
    face.shut.store(true, Ordering::SeqCst);
    let message = json!({ "phone_number": "+9996640001", "code": "4711", "ttl": 300 });
    let request = server.send_until(message, "accepted").await;
    upstream.advance(10).await;
    server.advance(Duration::from_secs(29));
    face.report(0).await;
    assert_eq!(server.status(&request).await["delivery_status"]["status"], "sent");
    server.advance(Duration::from_secs(1));
    server.until(&request, "delivered").await;
}
