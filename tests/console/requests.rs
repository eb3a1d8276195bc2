//! The log of requests, and one request's timeline.

use crate::support::{ALICE, BOB, Browser, Server};
use chappe::store::console::people::Role;
use serde_json::{Value, json};
use std::time::Duration;

const ANNA: &str = "+9996600011";
const FINN: &str = "+9996600033";

/// Somebody who acts for a customer, logged in.
async fn seated(server: &Server, customer: &str, phone: &str, role: Role) -> Browser {
    server.admit(customer, phone, role).await;
    let mut browser = Browser::new(server);
    browser.log_in(server, phone).await;
    browser
}

async fn sent_as(server: &Server, token: &str, parameters: Value) -> String {
    let answer = server.api_as(token, "sendVerificationMessage", parameters).await;
    let request = answer.result()["request_id"].as_str().unwrap().to_owned();
    server.until(&request, "delivered").await;
    request
}

#[tokio::test]
async fn an_empty_log_says_how_to_fill_it() {
    let server = Server::start(|_| {}).await;
    let mut anna = seated(&server, "alice", ANNA, Role::Developer).await;
    let page = anna.open("/requests").await;
    assert_eq!(page.status, 200);
    let expected = format!("Bearer {ALICE}");
    assert!(page.text().contains("No requests yet") && page.text().contains(&expected), "{}", page.text());
    let csv = anna.open("/requests.csv").await;
    assert_eq!(csv.text().lines().count(), 1, "the names of the columns");
    server.stop();
}

#[tokio::test]
async fn requests_are_found_by_their_filters() {
    let server = Server::start(|_| {}).await;
    let mut anna = seated(&server, "alice", ANNA, Role::Developer).await;
    let read = server.send_until(json!({"phone_number": "+9996610001", "code": "123456"}), "read").await;
    let code = json!({"request_id": read, "code": "123456"});
    server.api("checkVerificationStatus", code).await.result();
    let payload = "=HYPERLINK(\"http://evil.example\")";
    let delivered = json!({"phone_number": "+9996600001", "code_length": 6, "payload": payload});
    let delivered = server.send_until(delivered, "delivered").await;
    let answer = server.api("checkSendAbility", json!({"phone_number": "+9996600002"})).await;
    let checked = answer.result()["request_id"].as_str().unwrap().to_owned();
    let all = [&read, &delivered, &checked];

    let mut listed = async |address: &str| -> Vec<bool> {
        let page = anna.open(address).await;
        assert_eq!(page.status, 200, "{address}");
        let text = page.text();
        // What was typed stays in its field.
        let typed = address.contains("q=");
        assert!(typed || !text.contains("9996610001") && !text.contains("9996600001"), "numbers are masked");
        let of_csv = anna.open(&address.replace("/requests", "/requests.csv")).await;
        let is_listed = |id: &&String| {
            let row = text.contains(&format!("href=\"/requests/{id}\""));
            assert_eq!(row, of_csv.text().contains(id.as_str()), "{address}: the file holds the same");
            row
        };
        all.iter().map(is_listed).collect()
    };
    let today = chappe_core::RequestId::parse(&read).unwrap().drawn_at().secs();
    let day = |shift: i64| {
        let time = jiff_day(today + shift * 86_400);
        format!("from={time}&to={time}")
    };
    for (query, expected) in [
        (String::new(), [true, true, true]),
        ("status=message".to_owned(), [true, true, false]),
        ("status=read".to_owned(), [true, false, false]),
        ("status=delivered".to_owned(), [true, true, false]),
        ("status=verified".to_owned(), [true, false, false]),
        ("status=checked".to_owned(), [false, false, true]),
        ("status=revoked".to_owned(), [false, false, false]),
        ("q=%2B9996600001".to_owned(), [false, true, false]),
        ("q=999+66+1-0001".to_owned(), [true, false, false]),
        (format!("q={delivered}"), [false, true, false]),
        (format!("q={delivered}&status=read"), [false, false, false]),
        ("channel=sandbox".to_owned(), [true, true, true]),
        ("channel=sms".to_owned(), [false, false, false]),
        (day(0), [true, true, true]),
        (day(-1), [false, false, false]),
    ] {
        assert_eq!(listed(&format!("/requests?{query}")).await, expected, "{query}");
    }
    // A formula of a payload is none in the file.
    let csv = anna.open("/requests.csv").await;
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    assert!(csv.header("content-disposition").unwrap().starts_with("attachment; filename=\"requests-"));
    assert!(csv.text().contains("\"'=HYPERLINK(\"\"http://evil.example\"\")\"\r\n"), "{}", csv.text());
    assert!(
        csv.text().contains(",code_valid,sandbox,0.01,no,")
            || csv.text().contains(",code_valid,sandbox,0,no,")
    );
    // What cannot be read is said, and finds nothing.
    let page = anna.open("/requests?q=anna").await;
    assert!(page.text().contains("Write a whole phone number"), "{}", page.text());
    assert!(!page.text().contains(&read));
    assert_eq!(anna.open("/requests.csv?q=anna").await.status, 400);
    server.stop();
}

/// The day of a moment, as a field for days has it.
fn jiff_day(secs: i64) -> String {
    jiff::Timestamp::from_second(secs).unwrap().strftime("%Y-%m-%d").to_string()
}

#[tokio::test]
async fn a_log_goes_on_page_by_page() {
    let server = Server::start(|_| {}).await;
    let mut anna = seated(&server, "alice", ANNA, Role::Owner).await;
    let mut sent = Vec::new();
    for number in 0..60 {
        let answer =
            server.api("checkSendAbility", json!({"phone_number": format!("+99966000{number:02}")})).await;
        sent.push(answer.result()["request_id"].as_str().unwrap().to_owned());
    }
    let first = anna.open("/requests?channel=sandbox").await.text().to_owned();
    let listed = |text: &str| {
        sent.iter()
            .filter(|id| text.contains(&format!("href=\"/requests/{id}\"")))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(&first), sent[10..]);
    let older = first.split("href=\"").find(|part| part.starts_with("/requests?channel=sandbox&")).unwrap();
    let older = older.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    let second = anna.open(&older).await.text().to_owned();
    assert_eq!(listed(&second), sent[..10]);
    assert!(second.contains("Newest") && !second.contains("Older"), "{second}");
    server.stop();
}

#[tokio::test]
async fn a_timeline_tells_everything() {
    let server = Server::start(|setup| setup.clock_at(1_795_000_000)).await;
    let mut anna = seated(&server, "alice", ANNA, Role::Owner).await;
    let asked = json!({"phone_number": "+9996630001", "code": "123456", "ttl": 30, "payload": "<b>order 7</b>",
                       "callback_url": "https://receiver.invalid/hook"});
    let request = server.send(asked).await;
    server.until(&request, "accepted").await;
    let wrong = json!({"request_id": request, "code": "000000"});
    server.api("checkVerificationStatus", wrong).await.result();
    let page = anna.open(&format!("/requests/{request}")).await;
    assert!(page.text().contains("still under way"), "{}", page.text());
    server.advance(Duration::from_secs(30));
    server.until(&request, "refunded").await;
    server.report(&request, 1, |report| report.attempts == 1).await;

    let page = anna.open(&format!("/requests/{request}")).await;
    let text = page.text();
    let parts = [
        "Fee charged",
        "Message accepted",
        "Taken over by the channel",
        "Wrong code entered",
        "the first wrong one",
        "Not delivered in time",
        "+30.000 s",
        "Fee given back",
        "Report of “expired” not acknowledged yet",
        "&#60;b&#62;order 7&#60;/b&#62;",
        "https://receiver.invalid/hook",
        "charged and given back",
        "checkVerificationStatus",
        "$CHAPPE_TOKEN",
        "+99*",
    ];
    for part in parts {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert!(!text.contains("9996630001") && !text.contains(ALICE) && !text.contains("123456"));
    let balance = server.balance().await;
    assert!(text.contains(&format!("balance {balance}")), "the owner sees what the account had");
    // A developer sees what it cost, and not what there is.
    let mut dev = seated(&server, "alice", "+9996600044", Role::Developer).await;
    let seen = dev.open(&format!("/requests/{request}")).await;
    assert!(seen.text().contains("charged and given back") && !seen.text().contains(">balance "));
    server.stop();
}

#[tokio::test]
async fn what_is_not_yours_is_as_unknown_as_what_never_was() {
    let server = Server::start(|_| {}).await;
    let mut anna = seated(&server, "alice", ANNA, Role::Owner).await;
    let bobs = sent_as(&server, BOB, json!({"phone_number": "+9996600001", "code_length": 6})).await;
    let twins = sent_as(
        &server,
        crate::support::ALICE_TEST,
        json!({"phone_number": "+9996600001", "code_length": 6}),
    )
    .await;
    let unknown = anna.get("/requests/123456789012345").await;
    assert_eq!(unknown.status, 404);
    for id in [&bobs, &twins] {
        let answer = anna.get(&format!("/requests/{id}")).await;
        assert_eq!((answer.status, &answer.body), (404, &unknown.body));
        for path in ["/requests", "/requests.csv", "/reports"] {
            let (theirs, nobodys) = (format!("{path}?q={id}"), format!("{path}?q=123456789012345"));
            let (theirs, nobodys) = (anna.get(&theirs).await, anna.get(&nobodys).await);
            let plain = |text: &str| text.replace(id.as_str(), "ID").replace("123456789012345", "ID");
            assert_eq!(plain(theirs.text()), plain(nobodys.text()), "{path}");
        }
    }
    for id in ["x", "1", "1234567890123456", "%00", "%ff"] {
        let answer = anna.get(&format!("/requests/{id}")).await;
        assert_eq!(answer.status, 404, "{id}");
    }
    server.stop();
}

#[tokio::test]
async fn finance_sees_no_requests() {
    let server = Server::start(|_| {}).await;
    let mut finn = seated(&server, "alice", FINN, Role::Finance).await;
    for path in ["/requests", "/requests.csv", "/requests/123456789012345", "/reports"] {
        assert_eq!(finn.get(path).await.status, 403, "{path}");
    }
    finn.open("/overview").await;
    for path in ["/reports/again", "/reports/recover", "/reports/check"] {
        let answer = finn.post(path, &[("report", "123456789012345-1"), ("since", "2026-01-01T00:00")]).await;
        assert_eq!(answer.status, 403, "{path}");
    }
    server.stop();
}
