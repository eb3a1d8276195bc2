//! Logging in, the first visit, and what a session is good for.

use crate::support::{Browser, Request, Server};
use chappe::store::console::people::Role;
use chappe_core::Mode;

const ANNA: &str = "+9996600011";
const BRUNO: &str = "+9996600022";

const PROFILE: [(&str, &str); 6] = [
    ("name", "Anna Rossi"),
    ("company", "Rossi & Figli"),
    ("email", "anna@rossi.example"),
    ("country", "Italy"),
    ("city", "Bologna"),
    ("purpose", "To know who books a table"),
];

#[tokio::test]
async fn the_first_visit_makes_an_account() {
    let server = Server::start(|_| {}).await;
    let mut anna = Browser::new(&server);
    let page = anna.open("/log").await;
    assert_eq!((page.status, anna.at.as_str()), (200, "/login?then=%2Flog"));
    anna.log_in(&server, ANNA).await;
    let page = anna.open("/log").await;
    assert_eq!(anna.at, "/welcome", "{}", page.text());

    let page = anna.submit("/welcome", &[("name", "Anna"), ("email", "nobody"), ("website", "rossi")]).await;
    for fault in ["Fill this in.", "such as you@example.com", "such as https://example.com"] {
        assert!(page.text().contains(fault), "{fault} is missing in {}", page.text());
    }
    let done = anna.post("/welcome", &PROFILE).await;
    assert_eq!((done.status, done.header("location")), (303, Some("/overview?said=welcome")));
    let page = anna.open("/log").await;
    assert!(page.text().contains("Rossi &#38; Figli"), "{}", page.text());
    assert!(page.text().contains("customer.create"));
    let account = server.account("Rossi & Figli", Mode::Test).await;
    assert_eq!(account.balance.to_string(), "100");

    // The same company again is another customer.
    let mut other = Browser::new(&server);
    other.log_in(&server, BRUNO).await;
    other.open("/log").await;
    other.post("/welcome", &PROFILE).await;
    server.account("Rossi & Figli 2", Mode::Live).await;
    server.stop();
}

#[tokio::test]
async fn a_number_that_nobody_knows_is_told_the_same() {
    let server = Server::start(|setup| {
        setup.serve();
        setup.settings.console.sign_up = false;
    })
    .await;
    server.admit("alice", ANNA, Role::Owner).await;
    let mut answers = Vec::new();
    for phone in [ANNA, BRUNO] {
        let mut browser = Browser::new(&server);
        browser.open("/login").await;
        let page = browser.submit("/login", &[("phone_number", phone)]).await;
        assert_eq!((page.status, browser.at.as_str()), (200, "/login/code"));
        let asked = page.text().replace(phone, "NUMBER");
        let mut tries = Vec::new();
        for _ in 0..6 {
            let page = browser.submit("/login/code", &[("code", "000000x")]).await;
            tries.push((page.status, page.text().replace(phone, "NUMBER")));
        }
        assert!(tries[5].1.contains("Too many codes were tried"), "{}", tries[5].1);
        answers.push((asked, tries));
    }
    assert_eq!(answers[0], answers[1]);
    let sent = server.app.pages.sandbox_messages(None, None, 10).await.unwrap();
    assert_eq!(sent.len(), 1, "only the number that is known gets a code");
    server.stop();
}

#[tokio::test]
async fn a_code_opens_one_session() {
    let server = Server::start(|_| {}).await;
    server.admit("alice", ANNA, Role::Owner).await;
    let mut anna = Browser::new(&server);
    anna.open("/login").await;
    anna.submit("/login", &[("phone_number", ANNA)]).await;
    let mut thief = anna.clone();
    let code = server.code_of(ANNA).await;
    let opened = anna.post("/login/code", &[("code", &code)]).await;
    assert_eq!((opened.status, opened.header("location")), (303, Some("/overview")));
    let again = thief.post("/login/code", &[("code", &code)]).await;
    assert_eq!((again.status, again.header("location")), (303, Some("/login")));
    assert!(!thief.cookies.contains_key("chappe-session"));

    assert_eq!(anna.open("/log").await.status, 200);
    anna.post("/logout", &[]).await;
    anna.open("/log").await;
    assert_eq!(anna.at, "/login?then=%2Flog");
    server.stop();
}

#[tokio::test]
async fn a_session_ends_by_itself() {
    let server = Server::start(|setup| setup.clock_at(1_795_000_000)).await;
    server.admit("alice", ANNA, Role::Owner).await;
    let mut anna = Browser::new(&server);
    anna.log_in(&server, ANNA).await;
    let hours = |hours: u64| std::time::Duration::from_secs(hours * 3600);
    for _ in 0..14 {
        server.app.clock.advance(hours(11));
        assert_eq!(anna.get("/log").await.status, 200, "used every eleven hours");
    }
    server.app.clock.advance(hours(15));
    assert_eq!(anna.get("/log").await.status, 303, "older than a week");
    anna.log_in(&server, ANNA).await;
    server.app.clock.advance(hours(13));
    assert_eq!(anna.get("/log").await.status, 303, "not used for half a day");
    server.stop();
}

#[tokio::test]
async fn a_form_of_another_page_changes_nothing() {
    let server = Server::start(|_| {}).await;
    server.admit("alice", ANNA, Role::Owner).await;
    let mut anna = Browser::new(&server);
    anna.log_in(&server, ANNA).await;
    anna.open("/log").await;
    let form = format!("csrf={}", anna.csrf);
    for (name, value) in
        [("sec-fetch-site", "cross-site"), ("origin", "http://evil.example"), ("x-nothing", "said")]
    {
        let answer = anna.send(Request::post("/logout").header(name, value).form(&form)).await;
        assert_eq!(answer.status, 403, "{name}: {value}");
    }
    let forged = Request::post("/logout").header("sec-fetch-site", "same-origin").form("csrf=0");
    assert_eq!(anna.send(forged).await.status, 403);
    assert_eq!(anna.get("/log").await.status, 200, "still logged in");
    let rebound = Request::get("/log").header("host", "evil.example");
    assert_eq!(anna.send(rebound).await.status, 403, "a foreign name that was made to resolve here");
    server.stop();
}

#[tokio::test]
async fn every_page_is_kept_ours() {
    let server = Server::start(|setup| setup.serve()).await;
    let mut browser = Browser::new(&server);
    for path in ["/login", "/log", "/login/code"] {
        let answer = browser.get(path).await;
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.contains("script-src 'self'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"));
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert!(answer.header("strict-transport-security").is_some(), "{path}");
    }
    server.admit("alice", ANNA, Role::Owner).await;
    browser.open("/login").await;
    let answer = browser.post("/login", &[("phone_number", ANNA)]).await;
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-chappe-login="), "{cookie}");
    for part in ["; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/;"] {
        assert!(cookie.contains(part), "{part} is missing in {cookie}");
    }
    assert!(!cookie.contains("Domain"));
    server.stop();
}

#[tokio::test]
async fn nobody_is_sent_elsewhere() {
    let server = Server::start(|_| {}).await;
    server.admit("alice", ANNA, Role::Owner).await;
    for then in ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"] {
        let mut anna = Browser::new(&server);
        anna.open("/login").await;
        anna.submit("/login", &[("phone_number", ANNA), ("then", then)]).await;
        let code = server.code_of(ANNA).await;
        let answer = anna.post("/login/code", &[("code", &code), ("then", then)]).await;
        assert_eq!(answer.header("location"), Some("/overview"), "{then}");
    }
    server.stop();
}

#[tokio::test]
async fn log_ins_from_one_address_are_bounded() {
    let server = Server::start(|setup| {
        setup.serve();
        setup.settings.console.sign_up = true;
    })
    .await;
    let mut browser = Browser::new(&server);
    for number in 0..20 {
        let phone = format!("+99966000{number:02}");
        let answer = browser.post("/login", &[("phone_number", &phone)]).await;
        assert_eq!(answer.status, 303, "{number}: {}", answer.text());
    }
    let answer = browser.post("/login", &[("phone_number", ANNA)]).await;
    assert!(answer.text().contains("Too many log-ins from your address"), "{}", answer.text());
    server.stop();
}
