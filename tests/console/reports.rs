//! Reports: seen, sent again one by one and all at once, and their signatures checked.

use crate::support::{ALICE, ALICE_TEST, BOB, Browser, Receiver, Reply, Server};
use chappe::store::console::people::Role;
use chappe::store::{Change, Statement};
use chappe_core::RequestId;
use chappe_core::report::signature;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const ANNA: &str = "+9996600011";

/// Alice's owner, logged in.
async fn anna(server: &Server) -> Browser {
    server.admit("alice", ANNA, Role::Owner).await;
    let mut anna = Browser::new(server);
    anna.log_in(server, ANNA).await;
    anna
}

fn order(receiver: &Receiver) -> serde_json::Value {
    json!({"phone_number": "+9996600001", "code_length": 6, "callback_url": receiver.url()})
}

#[tokio::test]
async fn a_report_is_sent_again() {
    let server = Server::start(|_| {}).await;
    let mut anna = anna(&server).await;
    let page = anna.open("/reports").await;
    assert!(page.text().contains("No reports yet") && page.text().contains(ALICE), "{}", page.text());

    let mut receiver = Receiver::replying(Reply::Status("200 OK")).await;
    let request = server.send(order(&receiver)).await;
    let first = receiver.next().await;
    server.report(&request, 1, |report| report.state == "acknowledged").await;
    let page = anna.open("/reports?state=acknowledged").await;
    let text = page.text();
    for part in [&request, "127.0.0.1", "acknowledged", "200", "1 of 11", " ms", "Send again"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    let name = format!("{request}-1");
    let done =
        anna.post("/reports/again", &[("report", &name), ("back", "/reports?state=acknowledged")]).await;
    assert_eq!(
        (done.status, done.header("location")),
        (303, Some("/reports?state=acknowledged&said=report-again"))
    );
    let second = receiver.next().await;
    assert_eq!(first.body, second.body, "the same bytes");
    assert_eq!(second.header("webhook-id"), name);
    server.report(&request, 1, |report| report.state == "acknowledged").await;
    let page = anna.open("/log").await;
    assert!(page.text().contains("report.resend") && page.text().contains(&name), "{}", page.text());
    let page = anna.open("/reports?said=report-again").await;
    assert!(page.text().contains("on its way again"), "{}", page.text());
    server.stop();
}

#[tokio::test]
async fn nobody_sends_the_reports_of_others() {
    let server = Server::start(|_| {}).await;
    let mut anna = anna(&server).await;
    anna.open("/reports").await;
    let mut receiver = Receiver::replying(Reply::Status("200 OK")).await;
    let answer = server.api_as(BOB, "sendVerificationMessage", order(&receiver)).await;
    let bobs = answer.result()["request_id"].as_str().unwrap().to_owned();
    receiver.next().await;
    server.report(&bobs, 1, |report| report.state == "acknowledged").await;
    let unknown = anna.post("/reports/again", &[("report", "123456789012345-1")]).await;
    assert_eq!(unknown.status, 404);
    for name in [format!("{bobs}-1"), format!("{bobs}-2"), "x".to_owned(), String::new()] {
        let answer = anna.post("/reports/again", &[("report", &name)]).await;
        assert_eq!((answer.status, &answer.body), (404, &unknown.body), "{name}");
    }
    let report = server.report(&bobs, 1, |_| true).await;
    assert_eq!((report.state.as_str(), report.attempts), ("acknowledged", 1));
    let log = anna.open("/log").await;
    assert!(!log.text().contains("report.resend"), "nothing was done");
    server.stop();
}

/// Loses every report that there is, as if each had been tried to the end.
async fn lose_all(server: &Server) {
    let lose = Statement::new("UPDATE report SET state = 'lost', attempts = 11, leased = 0");
    assert!(server.store().await.change(&Change::default().must(lose)).await.unwrap());
}

#[tokio::test]
async fn lost_reports_are_recovered() {
    let server = Server::start(|_| {}).await;
    let mut anna = anna(&server).await;
    anna.open("/reports").await;
    let well = Arc::new(AtomicBool::new(false));
    let is_well = well.clone();
    let mut receiver = Receiver::start(move |_| match is_well.load(Ordering::SeqCst) {
        true => Reply::Status("200 OK"),
        false => Reply::Status("503 Service Unavailable"),
    })
    .await;
    let mut requests = Vec::new();
    for _ in 0..3 {
        requests.push(server.send(order(&receiver)).await);
        receiver.next().await;
    }
    for request in &requests {
        server.report(request, 1, |report| report.attempts == 1 && !report.leased).await;
    }
    let none = anna.submit("/reports/recover", &[("since", "2026-01-01T00:00")]).await;
    assert!(none.text().contains("No report of requests since then is lost"), "{}", none.text());
    lose_all(&server).await;
    let page = anna.open("/reports?state=lost").await;
    assert!(page.text().contains("3 reports were given up"), "{}", page.text());
    let wrong = anna.post("/reports/recover", &[("since", "yesterday")]).await;
    assert!(wrong.status == 200 && wrong.text().contains("Write a moment"), "{}", wrong.text());

    well.store(true, Ordering::SeqCst);
    let none = anna.submit("/reports/recover", &[("since", "2999-01-01T00:00")]).await;
    assert!(none.text().contains("No report of requests since then is lost"));
    let done = anna.post("/reports/recover", &[("since", "2026-01-01T00:00")]).await;
    assert_eq!(done.header("location"), Some("/reports?said=reports-again"), "{}", done.text());
    for request in &requests {
        let report = server.report(request, 1, |report| report.state == "acknowledged").await;
        assert_eq!(report.attempts, 1, "it began anew");
    }
    let log = anna.open("/log").await;
    assert!(log.text().contains("report.recover") && log.text().contains("2026-01-01 00:00:00 UTC"));
    server.stop();
}

#[tokio::test]
async fn a_long_recovery_goes_on_step_by_step() {
    let server = Server::start(|setup| {
        setup.workers = false;
        setup.sandbox_at_once = Some(true);
    })
    .await;
    let mut anna = anna(&server).await;
    anna.open("/reports").await;
    // Forty-one requests with 250 reports each: more than one step takes on. No caller can make so many, so the rows are put
    // there and taken away by hand.
    let answer = server.api("checkSendAbility", json!({"phone_number": "+9996600001"})).await;
    let like: i64 = answer.result()["request_id"].as_str().unwrap().parse().unwrap();
    let columns = "account_id, token_id, phone_key, phone_sealed, country, created_at, cost, refunded,
                   ability_checked, route, channel, reports, events, timeline, attempts, hop, open_hops";
    let numbers =
        |most: i64| format!("numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {most})");
    let requests = Statement::new(format!(
        "WITH RECURSIVE {} INSERT INTO request (id, {columns})
         SELECT request.id + 8 * n, {columns} FROM request JOIN numbers ON 1 = 1 WHERE id = $1",
        numbers(41)
    ));
    let reports = Statement::new(format!(
        "WITH RECURSIVE {} INSERT INTO report (request_id, seq, account_id, token_id, receiver, delivery, delivery_at,
                                               refunded, state, attempts, due_at, leased)
         SELECT id, n, account_id, token_id, 'https://example.com', 'delivered', created_at, 0, 'lost', 11, created_at, 0
         FROM request JOIN numbers ON 1 = 1 WHERE id > $1",
        numbers(250)
    ));
    let put = Change::default().must(requests.with(like)).must(reports.with(like));
    let mut store = server.store().await;
    assert!(store.change(&put).await.unwrap());

    let since = "2026-01-01T00:00";
    let page = anna.post("/reports/recover", &[("since", since)]).await;
    let text = page.text();
    assert!(page.status == 200 && text.contains("10240 are being sent again, 10 are left."), "{text}");
    let field = |name: &str| {
        let mark = format!("name=\"{name}\" value=\"");
        text.split_once(&mark).unwrap().1.split('"').next().unwrap().to_owned()
    };
    let (after, done) = (field("after"), field("done"));
    let done = anna.post("/reports/recover", &[("since", since), ("after", &after), ("done", &done)]).await;
    assert_eq!(done.header("location"), Some("/reports?said=reports-again"));
    let account = server.token(ALICE).await.account;
    let first = RequestId::from_number(like).unwrap();
    assert_eq!(server.reader().count_lost(account, first, 100).await.unwrap(), 0);
    let away = |what: &str| Statement::new(format!("DELETE FROM {what}")).with(like);
    let away =
        Change::default().must(away("report WHERE request_id > $1")).must(away("request WHERE id > $1"));
    assert!(store.change(&away).await.unwrap());
    server.stop();
}

#[tokio::test]
async fn a_signature_is_checked_with_tokens_of_ones_own() {
    let server = Server::start(|_| {}).await;
    let mut anna = anna(&server).await;
    let mut receiver = Receiver::replying(Reply::Status("200 OK")).await;
    server.send(order(&receiver)).await;
    let report = receiver.next().await;
    let body = String::from_utf8(report.body.clone()).unwrap();
    let (timestamp, signed) = (report.header("x-request-timestamp"), report.header("x-request-signature"));
    let token = server.token(ALICE).await.id.0.to_string();
    anna.open("/reports").await;
    let mut checked = async |token: &str, signature: &str, body: &str| {
        let fields = [("token", token), ("timestamp", timestamp), ("signature", signature), ("body", body)];
        anna.post("/reports/check", &fields).await.text().to_owned()
    };
    let text = checked(&token, signed, &body).await;
    assert!(text.contains("Valid, signed with “first”."), "{text}");
    assert!(!text.contains(ALICE) || text.contains("No reports yet"), "no token stands on the page");
    let text = checked(&token, signed, "{}").await;
    assert!(text.contains("Not valid"), "{text}");
    // What others' tokens signed is not told apart from what nobody's did, nor can such a token be chosen.
    let secs: i64 = timestamp.parse().unwrap();
    for other in [BOB, ALICE_TEST] {
        let text = checked(&token, &signature(other, secs, body.as_bytes()), &body).await;
        assert!(text.contains("or another token signed it"), "{text}");
        let id = server.token(other).await.id.0.to_string();
        let text = checked(&id, signed, &body).await;
        assert!(text.contains("Choose one of these tokens") && !text.contains("Valid, signed"), "{text}");
    }
    let text = checked("", "", "").await;
    for fault in ["Choose one of these tokens", "Fill this in", "Paste the body"] {
        assert!(text.contains(fault), "{fault} is missing in {text}");
    }
    server.stop();
}
