//! What comes to the sandbox in a shape that it does not want, and what its answers have in common.

use crate::support::{Answer, Request, Server};
use serde_json::json;

const PHONE: &str = "79123456719";
const OTHER: &str = "79123456720";

async fn dev() -> Server {
    Server::start(|setup| setup.clock_at(1_789_894_598)).await
}

async fn get(server: &Server, path: &str) -> Answer {
    server.call(&Request::get(&format!("/sandbox{path}"))).await
}

#[tokio::test]
async fn two_numbers_to_look_for_are_a_conflict_and_one_twice_is_none() {
    let server = dev().await;
    for phone in [PHONE, OTHER] {
        server.send_until(json!({"phone_number": phone, "code": "0042"}), "delivered").await;
    }
    for path in ["/messages", "/messages/latest"] {
        for query in ["phone_number=79123456719&phone_number=79123456720", "phone_number=x&phone_number=y"] {
            let answer = get(&server, &format!("{path}?{query}")).await;
            assert_eq!(answer.verdict(), (400, "PARAMETER_CONFLICT".to_owned()), "{path} {query}");
        }
        for query in [
            "phone_number=79123456719&phone_number=79123456719",
            "phone_number=79123456719&phone_number=",
            "phone_number=&phone_number=79123456719&x=1&x=2",
        ] {
            let answer = get(&server, &format!("{path}?{query}")).await;
            assert_eq!(answer.status, 200, "{path} {query}");
            assert!(!answer.text().contains(OTHER), "{path} {query}: {}", answer.text());
        }
    }
}

/// A person who comes to the page by a strange address sees the page.
#[tokio::test]
async fn the_page_shows_every_number_if_it_cannot_tell_which() {
    let server = dev().await;
    for phone in [PHONE, OTHER] {
        server.send_until(json!({"phone_number": phone, "code": "0042"}), "delivered").await;
    }
    for query in ["phone_number=79123456719&phone_number=79123456720", "phone_number=%ff&phone_number=1"] {
        let page = get(&server, &format!("?{query}")).await;
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
        assert!(page.text().contains(PHONE) && page.text().contains(OTHER), "{query}");
    }
    let one = get(&server, "?phone_number=79123456719&phone_number=79123456719").await;
    assert!(one.text().contains(PHONE) && !one.text().contains(OTHER));
}

#[tokio::test]
async fn a_path_that_cannot_be_read_names_nothing() {
    let server = dev().await;
    for path in ["/sandbox/messages/%ff/read", "/sandbox/messages/100000000000000/%ff"] {
        let answer = server.call(&Request::post(path)).await;
        assert_eq!(answer.verdict(), (404, "NOT_FOUND".to_owned()), "{path}");
    }
}

/// Codes are in these answers, or what became of them.
#[tokio::test]
async fn no_answer_may_be_kept_by_a_cache() {
    let server = dev().await;
    let request = server.send_until(json!({"phone_number": PHONE, "code": "0042"}), "delivered").await;
    let post = |path: &str| Request::post(&format!("/sandbox{path}"));
    let html = |request: Request| request.header("accept", "text/html");
    for (request, status) in [
        (Request::get("/sandbox"), 200),
        (Request::get("/sandbox/messages"), 200),
        (Request::get("/sandbox/messages/latest"), 200),
        (Request::get("/sandbox/messages/latest?phone_number=79123456721"), 404),
        (Request::get("/sandbox/messages?phone_number=1"), 400),
        (Request::get("/sandbox").header("host", "evil.example"), 403),
        (post(&format!("/messages/{request}/read")), 200),
        (html(post(&format!("/messages/{request}/read")).form("")), 303),
        (post("/clock").json(json!({"advance_s": 1})), 200),
        (post("/clear"), 200),
    ] {
        let answer = server.call(&request).await;
        assert_eq!(answer.status, status, "{request:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{request:?}");
    }
}
