//! Reports: signed, only ended by a 200, tried again by schedule, in order, over restarts, and never to the inside.

use crate::support::{ALICE, Delivery, Home, Receiver, Reply, Request, Server, Setup};
use base64::Engine;
use chappe::net::outbound::OutboundPolicy;
use chappe::work;
use chappe_client::report::{DEFAULT_TOLERANCE, verify_report};
use chappe_core::report::Attempt;
use chappe_core::{ReportId, RequestId};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::{Duration, UNIX_EPOCH};

const NOW: i64 = 1_789_894_598;
/// The pauses after failed attempts, by the contract, in seconds.
const PAUSES: [u64; 10] = [5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 43_200];

async fn start() -> Server {
    Server::start(|setup| setup.clock_at(NOW)).await
}

/// A message to a number that is delivered to at once, whose reports go to `to`.
fn message(to: &str) -> Value {
    json!({"phone_number": "+9996600001", "code": "1234", "callback_url": to})
}

/// HMAC-SHA256 under the SHA-256 of the token, computed here once more.
fn mac(token: &str, message: &[u8]) -> Vec<u8> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&Sha256::digest(token)).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// Checks every header of a report that `token` is to have signed.
pub(crate) fn assert_signed(token: &str, report: &Delivery, webhook_id: &str, at: i64) {
    let timestamp = report.header("x-request-timestamp");
    assert_eq!(timestamp, at.to_string());
    let hex: String = mac(token, &[timestamp.as_bytes(), b"\n", &report.body].concat())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(report.header("x-request-signature"), hex);

    assert_eq!(report.header("webhook-id"), webhook_id);
    assert_eq!(report.header("webhook-timestamp"), timestamp);
    let signed = [webhook_id.as_bytes(), b".", timestamp.as_bytes(), b".", &report.body].concat();
    let standard = base64::engine::general_purpose::STANDARD.encode(mac(token, &signed));
    assert_eq!(report.header("webhook-signature"), format!("v1,{standard}"));

    // What receivers in Rust do.
    let now = UNIX_EPOCH + Duration::from_secs(at as u64);
    let signature = report.header("x-request-signature");
    verify_report(token, timestamp, signature, &report.body, now, DEFAULT_TOLERANCE).unwrap();
    assert!(verify_report("other", timestamp, signature, &report.body, now, DEFAULT_TOLERANCE).is_err());
}

async fn status(server: &Server, request: &str) -> Value {
    server.api("checkVerificationStatus", json!({"request_id": request})).await.result()
}

#[tokio::test]
async fn a_report_is_a_bare_status_signed_in_both_ways() {
    let server = start().await;
    let mut receiver = Receiver::replying(Reply::Status("200 OK")).await;
    let url = format!("http://{}/h%C3%B6ok/é?a=b&c=%20#part", receiver.address);
    let mut send = message(&url);
    send["payload"] = json!("päy\"load");
    let request = server.send(send).await;
    let report = receiver.next().await;
    let (line, _) = report.head.split_once("\r\n").unwrap();
    assert_eq!(line, "POST /h%C3%B6ok/%C3%A9?a=b&c=%20 HTTP/1.1");
    assert_eq!(report.header("content-type"), "application/json");
    assert_eq!(report.header("host"), receiver.address.to_string());
    assert!(!report.head.to_lowercase().contains("authorization") && !report.head.contains(ALICE));
    assert_signed(ALICE, &report, &format!("{request}-1"), NOW);
    let told: Value = report.json();
    assert_eq!(told, status(&server, &request).await, "the same as an answer says");
    assert_eq!(told["payload"], "päy\"load");
    let state = server.report(&request, 1, |report| report.state == "acknowledged").await;
    assert_eq!((state.attempts, state.last_result.as_deref()), (1, Some("200")));
}

/// What each magic number has reported. A row: the number, the ttl, the statuses, and after how many seconds each.
#[tokio::test]
async fn every_change_after_sent_is_reported_once() {
    let server = start().await;
    for (number, ttl, expected) in [
        ("+9996600001", 60, &[("delivered", 0)][..]),
        ("+9996610001", 60, &[("delivered", 0), ("read", 1)]),
        ("+9996630001", 60, &[("expired", 60)]),
        ("+9996640001", 60, &[("delivered", 10)]),
        ("+9996660001", 60, &[("delivered", 0)]),
        ("+9996680001", 60, &[("read", 0)]),
        ("+9996690001", 30, &[("expired", 30)]),
    ] {
        let mut receiver = Receiver::replying(Reply::Status("200 OK")).await;
        let send =
            json!({"phone_number": number, "code": "1234", "callback_url": receiver.url(), "ttl": ttl});
        // What comes out of order has been read before it was taken over.
        let taken = if number == "+9996680001" { "read" } else { "accepted" };
        let request = server.send_until(send, taken).await;
        for (at, (status, wait)) in expected.iter().enumerate() {
            server.advance(Duration::from_secs(*wait));
            let report = receiver.next().await;
            assert_eq!(report.status(), *status, "{number}");
            assert_eq!(report.header("webhook-id"), format!("{request}-{}", at + 1), "{number}");
            assert_eq!(report.json().get("is_refunded").is_some(), *status == "expired", "{number}");
        }
        server.report(&request, expected.len() as u8, |report| report.state == "acknowledged").await;
        server.advance(Duration::from_secs(60));
        let other = server.send(message(&receiver.url())).await;
        assert_eq!(
            receiver.next().await.header("webhook-id"),
            format!("{other}-1"),
            "nothing came after {number}"
        );
    }
}

#[tokio::test]
async fn a_revocation_is_reported_and_a_late_delivery_is_not() {
    let server = start().await;
    let mut receiver = Receiver::replying(Reply::Status("200 OK")).await;
    let send = json!({"phone_number": "+9996640001", "code": "1234", "callback_url": receiver.url()});
    let request = server.send_until(send, "accepted").await;
    server.api("revokeVerificationMessage", json!({"request_id": request})).await.result();
    let report = receiver.next().await;
    assert_eq!(report.status(), "revoked");
    assert_eq!(report.json()["verification_status"], json!({"status": "expired", "updated_at": NOW}));
    let mark = Request::post(&format!("/sandbox/messages/{request}/delivered"));
    assert_eq!(server.call(&mark).await.json()["delivery_status"], "revoked");
    server.report(&request, 1, |report| report.state == "acknowledged").await;
    assert!(receiver.waiting().is_none());
}

#[tokio::test]
async fn only_a_200_acknowledges() {
    const STATUSES: [&str; 18] = [
        "201 Created",
        "202 Accepted",
        "204 No Content",
        "206 Partial Content",
        "226 IM Used",
        "300 Multiple Choices",
        "301 Moved Permanently",
        "302 Found",
        "303 See Other",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
        "400 Bad Request",
        "401 Unauthorized",
        "404 Not Found",
        "410 Gone",
        "429 Too Many Requests",
        "500 Internal Server Error",
        "503 Service Unavailable",
    ];
    let server = start().await;
    let mut all = Vec::new();
    for status in STATUSES {
        let reply = move |n| Reply::Status(if n == 0 { status } else { "200 OK" });
        let mut receiver = Receiver::start(reply).await;
        let request = server.send(message(&receiver.url())).await;
        let first = receiver.next().await;
        let state = server.report(&request, 1, |report| report.attempts == 1).await;
        assert_eq!((state.state.as_str(), state.last_result.as_deref()), ("pending", status.get(..3)));
        all.push((receiver, request, first));
    }
    server.advance(Duration::from_secs(6));
    for (mut receiver, request, first) in all {
        let second = receiver.next().await;
        assert_eq!(second.body, first.body, "the very same bytes");
        assert_signed(ALICE, &second, first.header("webhook-id"), NOW + 6);
        let state = server.report(&request, 1, |report| report.state != "pending").await;
        assert_eq!((state.state.as_str(), state.attempts), ("acknowledged", 2));
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let server = start().await;
    let target = Receiver::replying(Reply::Status("200 OK")).await;
    let to = target.url();
    let mut receiver = Receiver::replying(Reply::Redirect(to)).await;
    let request = server.send(message(&receiver.url())).await;
    receiver.next().await;
    let state = server.report(&request, 1, |report| report.attempts == 1).await;
    assert_eq!((state.state.as_str(), state.last_result.as_deref()), ("pending", Some("302")));
    assert_eq!(target.connections(), 0);
}

/// Eleven attempts by the schedule, each the same bytes under a signature of its own, and then no more.
#[tokio::test]
async fn a_report_is_tried_eleven_times_and_then_lost() {
    let server = start().await;
    let mut receiver = Receiver::replying(Reply::Status("500 Internal Server Error")).await;
    let mut bystander = Receiver::replying(Reply::Status("200 OK")).await;
    // Delivered and then read: the second report has to wait for the end of the first.
    let mut send = message(&receiver.url());
    send["phone_number"] = json!("+9996610001");
    let request = server.send_until(send, "delivered").await;
    let mut bodies = Vec::new();
    for attempt in 1..=11u8 {
        let report = receiver.next().await;
        assert_signed(ALICE, &report, &format!("{request}-1"), server.app.clock.now().secs());
        bodies.push(report.body);
        let state = server.report(&request, 1, |report| report.attempts == attempt).await;
        let Some(pause) = PAUSES.get(usize::from(attempt) - 1) else {
            assert_eq!(state.state, "lost");
            break;
        };
        assert_eq!(state.state, "pending");
        let wait = state.due_at.since(server.app.clock.now());
        let bounds = Duration::from_secs(*pause)..=Duration::from_millis(pause * 1_200);
        assert!(bounds.contains(&wait), "after attempt {attempt}: {wait:?}");
        // A second early, the worker looks (it serves somebody else) and does not send.
        server.advance(wait - Duration::from_secs(1));
        server.send(message(&bystander.url())).await;
        bystander.next().await;
        assert!(receiver.waiting().is_none(), "attempt {} came early", attempt + 1);
        server.advance(Duration::from_secs(1));
    }
    assert_eq!(bodies.len(), 11);
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "every attempt sends the same bytes");
    assert!(String::from_utf8_lossy(&bodies[0]).contains(r#""delivered""#));

    // The read, which happened long ago, is told now; and that is the end of the first.
    let next = receiver.next().await;
    assert_signed(ALICE, &next, &format!("{request}-2"), server.app.clock.now().secs());
    assert_eq!(next.status(), "read");
    server.report(&request, 2, |report| report.attempts == 1).await;
    server.advance(Duration::from_secs(90_000));
    assert_eq!(receiver.next().await.header("webhook-id"), format!("{request}-2"));
    let state = server.report(&request, 1, |_| true).await;
    assert_eq!(
        (state.state.as_str(), state.attempts, state.last_result.as_deref()),
        ("lost", 11, Some("500"))
    );
}

/// A report tells the moment of its change, whatever has happened since.
#[tokio::test]
async fn reports_of_a_request_come_in_order_and_tell_their_moment() {
    let server = start().await;
    let fails_once = |n| Reply::Status(if n == 0 { "503 Service Unavailable" } else { "200 OK" });
    let mut receiver = Receiver::start(fails_once).await;
    let mut bystander = Receiver::replying(Reply::Status("200 OK")).await;
    let mut send = message(&receiver.url());
    send["phone_number"] = json!("+9996630001");
    let request = server.send_until(send, "accepted").await;
    let check = |code: &str| json!({"request_id": request, "code": code});
    server.api("checkVerificationStatus", check("4321")).await.result();
    let mark = |event: &str| Request::post(&format!("/sandbox/messages/{request}/{event}"));
    server.call(&mark("delivered")).await;
    let first = receiver.next().await;
    server.report(&request, 1, |report| report.attempts == 1).await;

    server.advance(Duration::from_secs(2));
    server.api("checkVerificationStatus", check("1234")).await.result();
    server.call(&mark("read")).await;
    server.send(message(&bystander.url())).await;
    bystander.next().await;
    assert!(receiver.waiting().is_none(), "the second waits for the first");

    server.advance(Duration::from_secs(5));
    let (again, second) = (receiver.next().await, receiver.next().await);
    assert_eq!(again.body, first.body);
    let wrong = json!({"status": "code_invalid", "updated_at": NOW});
    let right = json!({"status": "code_valid", "updated_at": NOW + 2});
    let told = |report: &Delivery| (report.header("webhook-id").to_owned(), report.json());
    let (id, body) = told(&again);
    assert_eq!((id, &body["verification_status"]), (format!("{request}-1"), &wrong));
    assert_eq!(body["delivery_status"], json!({"status": "delivered", "updated_at": NOW}));
    let (id, body) = told(&second);
    assert_eq!((id, &body["verification_status"]), (format!("{request}-2"), &right));
    assert_eq!(body["delivery_status"], json!({"status": "read", "updated_at": NOW + 2}));
}

/// A batch of the engine is bounded, so a worker must not hand in everything at once.
#[tokio::test]
async fn many_attempts_are_written_down_in_batches() {
    let mut server = Server::start(|setup| (setup.engine, setup.workers) = (false, false)).await;
    let request = RequestId::next(server.app.clock.now(), 0, None);
    let id = ReportId { request, seq: 1 };
    let concluded = vec![(id, Attempt::Acknowledged, Duration::ZERO); 2 * work::BATCH + 1];
    let app = server.app.clone();
    let conclusion = tokio::spawn(async move { work::report::conclude(&app, concluded).await });
    let mut batches = 0;
    while !conclusion.is_finished() {
        batches += usize::from(server.step().await);
        tokio::task::yield_now().await;
    }
    assert_eq!(batches, 3);
}

/// Starts a server again where one was stopped, at the same moment, with what `tweak` changes.
async fn restart(home: Home, clock: &chappe::env::Clock, tweak: impl FnOnce(&mut Setup)) -> Server {
    let mut setup = Setup::dev();
    setup.clock = clock.clone();
    tweak(&mut setup);
    home.serve(setup).await
}

#[tokio::test]
async fn reports_survive_restarts() {
    let server = start().await;
    let clock = server.app.clock.clone();
    let replies = |n| match n {
        0 => Reply::Status("503 Service Unavailable"),
        1 => Reply::Hang,
        _ => Reply::Status("200 OK"),
    };
    let mut receiver = Receiver::start(replies).await;
    let request = server.send(message(&receiver.url())).await;
    let first = receiver.next().await;
    server.report(&request, 1, |report| report.attempts == 1).await;

    // Stopped between two attempts: the next one comes in its time.
    let server = restart(server.stop(), &clock, |_| {}).await;
    let state = server.report(&request, 1, |_| true).await;
    assert_eq!((state.state.as_str(), state.attempts, state.leased), ("pending", 1, false));
    server.advance(Duration::from_secs(6));
    let second = receiver.next().await;

    // Stopped in the middle of an attempt: it is made again at once, for nobody knows what came of it.
    let server = restart(server.stop(), &clock, |_| {}).await;
    // Where other servers may be at work, the lease has to lapse first.
    let lapsed = if server.has_neighbours() { server.app.settings.rules.lease.as_secs() } else { 0 };
    server.advance(Duration::from_secs(lapsed));
    let third = receiver.next().await;
    let state = server.report(&request, 1, |report| report.state == "acknowledged").await;
    assert_eq!(state.attempts, 2, "the one that was cut off is not counted");
    for (report, at) in [(second, NOW + 6), (third, NOW + 6 + lapsed as i64)] {
        assert_eq!(report.body, first.body);
        assert_signed(ALICE, &report, &format!("{request}-1"), at);
    }
}

#[tokio::test]
async fn no_report_goes_inside() {
    let inside = Receiver::replying(Reply::Status("200 OK")).await;
    let server = start().await;
    let clock = server.app.clock.clone();
    let home = server.stop();

    // A name says nothing until it is resolved, so it is taken; and is not connected to.
    let server = restart(home, &clock, Setup::serve).await;
    let request = server.send(message(&format!("https://localhost:{}/hook", inside.address.port()))).await;
    let state = server.report(&request, 1, |report| report.attempts == 1).await;
    assert_eq!(state.last_result.as_deref(), Some("the name resolves to no public address"));

    // A URL that was good when it was given is judged again when it is called.
    let server = restart(server.stop(), &clock, |setup| setup.workers = false).await;
    assert_eq!(server.app.settings.outbound, OutboundPolicy::LoopbackToo);
    let request = server.send(message(&inside.url())).await;
    server.call(&Request::post(&format!("/sandbox/messages/{request}/delivered"))).await;
    let server = restart(server.stop(), &clock, Setup::serve).await;
    let state = server.report(&request, 1, |report| report.attempts == 1).await;
    assert_eq!((state.state.as_str(), state.last_result.as_deref()), ("pending", Some("not https")));
    assert_eq!(inside.connections(), 0);
}

/// Twenty reports to each of the worst receivers, and then five to a good one. Ten seconds of real time.
#[tokio::test]
async fn bad_receivers_hold_nobody_else_up() {
    const EACH: usize = 20;
    let server = start().await;
    let mut good = Receiver::replying(Reply::Status("200 OK")).await;
    let mut bad = Vec::new();
    for reply in [Reply::Hang, Reply::Drip, Reply::Endless, Reply::Garbage, Reply::Reset] {
        let receiver = Receiver::replying(reply.clone()).await;
        let mut requests = Vec::new();
        for _ in 0..EACH {
            requests.push(server.send(message(&receiver.url())).await);
        }
        bad.push((reply, receiver, requests));
    }
    for (_, receiver, _) in &mut bad {
        receiver.next().await;
    }
    for _ in 0..5 {
        let request = server.send(message(&good.url())).await;
        assert_eq!(good.next().await.header("webhook-id"), format!("{request}-1"));
        server.report(&request, 1, |report| report.state == "acknowledged").await;
    }
    // All the while the others have been at it, each with no more than its share.
    for (reply, mut receiver, requests) in bad {
        match reply {
            Reply::Hang | Reply::Drip => {
                assert!(receiver.connections() <= 8, "{reply:?}: {}", receiver.connections());
                let state = server.report(&requests[0], 1, |_| true).await;
                assert_eq!((state.attempts, state.leased), (0, true), "{reply:?}");
                // The ninth is called once one of the eight was given up.
                while receiver.connections() <= 8 {
                    receiver.next().await;
                }
                let state = server.report(&requests[0], 1, |report| report.attempts == 1).await;
                assert_eq!(state.last_result.as_deref(), Some("no answer within 10 s"), "{reply:?}");
            }
            Reply::Endless => {
                // It said 200; what it says after that nobody has to hear.
                for request in requests {
                    server.report(&request, 1, |report| report.state == "acknowledged").await;
                }
            }
            _ => {
                for request in requests {
                    let state = server.report(&request, 1, |report| report.attempts == 1).await;
                    assert_eq!(state.state, "pending", "{reply:?}");
                }
            }
        }
    }
}
