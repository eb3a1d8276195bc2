//! What the client makes of everything that can go wrong.
#![allow(clippy::unwrap_used)]

mod support;

use chappe_client::{Client, Error, Refusal, SendMessage};
use std::time::Duration;
use support::{Fake, TOKEN};

/// Sends against a gateway that answers so.
async fn failure(status: &str, body: &str) -> Error {
    send(&Fake::with_status(status, body).await.client()).await
}

async fn send(client: &Client) -> Error {
    let message = SendMessage::with_code_length("+391234567890", 6);
    client.send_verification_message(&message).await.unwrap_err()
}

/// Whether to try again, and whether it may have happened.
fn advice(error: &Error) -> (bool, bool) {
    (error.is_retryable(), error.may_have_taken_effect())
}

#[tokio::test]
async fn a_refusal_is_a_refusal_whatever_the_http_status() {
    for status in ["200 OK", "400 Bad Request", "401 Unauthorized", "405 Method Not Allowed", "500 Oops"] {
        let error = failure(status, r#"{"ok":false,"error":"ACCESS_TOKEN_INVALID"}"#).await;
        assert!(matches!(error, Error::Refused(Refusal::AccessTokenInvalid)), "{status}: {error:?}");
        assert_eq!(advice(&error), (false, false));
    }
}

#[tokio::test]
async fn refusals_that_pass() {
    let error = failure("200 OK", r#"{"ok":false,"error":"FLOOD_WAIT_17"}"#).await;
    assert!(matches!(error, Error::Refused(Refusal::FloodWait { seconds: 17 })));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(17)));
    assert_eq!(advice(&error), (true, false));

    let error = failure("503 Service Unavailable", r#"{"ok":false,"error":"OVERLOADED"}"#).await;
    assert!(matches!(error, Error::Refused(Refusal::Overloaded)));
    assert_eq!(advice(&error), (true, false));

    let error = failure("408 Request Timeout", r#"{"ok":false,"error":"BODY_TIMEOUT"}"#).await;
    assert!(matches!(error, Error::Refused(Refusal::BodyTimeout)));
    assert_eq!(advice(&error), (true, false));

    let error = failure("500 Internal Server Error", r#"{"ok":false,"error":"INTERNAL"}"#).await;
    assert!(matches!(error, Error::Refused(Refusal::Internal)));
    assert_eq!(advice(&error), (true, true));
    assert_eq!(error.to_string(), "the gateway refused the call: INTERNAL");
}

#[tokio::test]
async fn unknown_refusals_are_kept() {
    let error = failure("200 OK", r#"{"ok":false,"error":"SOMETHING_NEW","hint":null}"#).await;
    assert!(matches!(&error, Error::Refused(Refusal::Other(name)) if name == "SOMETHING_NEW"));
    assert_eq!(advice(&error), (false, false));

    let error = failure("502 Bad Gateway", r#"{"ok":false,"error":"SOMETHING_NEW"}"#).await;
    assert_eq!(error.to_string(), "the gateway answered with HTTP status 502 and SOMETHING_NEW");
    assert_eq!(advice(&error), (true, true));
}

#[tokio::test]
async fn an_http_status_without_the_envelope() {
    for (line, code, expected) in [
        ("400 Bad Request", 400, (false, false)),
        ("404 Not Found", 404, (false, false)),
        ("408 Request Timeout", 408, (true, false)),
        ("429 Too Many Requests", 429, (true, false)),
        ("502 Bad Gateway", 502, (true, true)),
        ("504 Gateway Timeout", 504, (true, true)),
    ] {
        let error = failure(line, "<html>no</html>").await;
        assert!(matches!(error, Error::Http { status, error: None } if status == code), "{line}: {error:?}");
        assert_eq!(advice(&error), expected, "{line}");
    }
    let error = failure("500 Oops", r#"{"ok":true,"result":true}"#).await;
    assert!(matches!(error, Error::Http { status: 500, error: None }), "a success that is none: {error:?}");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Fake::answering(r#"{"ok":true,"result":true}"#).await;
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let location = &elsewhere.base_url;
        let answer = format!("HTTP/1.1 {status}\r\nlocation: {location}/\r\ncontent-length: 0\r\n\r\n");
        let error = send(&Fake::raw(answer).await.client()).await;
        assert!(matches!(error, Error::Http { status: 301..=308, .. }), "{status}: {error:?}");
        assert_eq!(advice(&error), (false, false));
    }
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn answers_that_cannot_be_read() {
    for body in [
        "",
        "<html>hello</html>",
        "[]",
        "{}",
        r#"{"ok":true}"#,
        r#"{"ok":false}"#,
        r#"{"ok":true,"result":null}"#,
        r#"{"ok":true,"result":true}"#,
        r#"{"ok":true,"result":{"request_id":"1","phone_number":"2"}}"#,
        r#"{"ok":true,"result":{"request_id":"1","phone_number":"2","request_cost":"gratis"}}"#,
        "{\"ok\":false,\"error\":\"\u{0}\"}",
    ] {
        let error = failure("200 OK", body).await;
        assert!(matches!(error, Error::Malformed(_)), "{body:?}: {error:?}");
        assert_eq!(advice(&error), (false, true));
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large() {
    let fitting = format!(r#"{{"ok":false,"error":"OVERLOADED"}}{}"#, " ".repeat(64 * 1024 - 33));
    assert_eq!(fitting.len(), 64 * 1024);
    assert!(matches!(failure("200 OK", &fitting).await, Error::Refused(Refusal::Overloaded)));

    let error = failure("200 OK", &format!("{fitting} ")).await;
    assert!(matches!(error, Error::TooLarge), "{error:?}");
    assert_eq!(advice(&error), (false, true));

    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(1 << 20));
    assert!(matches!(send(&Fake::raw(endless).await.client()).await, Error::TooLarge));
}

#[tokio::test]
async fn no_answer_in_time() {
    for answer in ["", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"] {
        let fake = Fake::raw(answer.to_owned()).await;
        let client = Client::builder(TOKEN).base_url(&fake.base_url).timeout(Duration::from_millis(50));
        let error = send(&client.build().unwrap()).await;
        // The second of these hangs up in the middle, which must not look like a short answer.
        assert!(matches!(error, Error::Timeout | Error::Transport(_)), "{error:?}");
        assert_eq!(matches!(error, Error::Timeout), answer.is_empty());
        assert_eq!(advice(&error), (true, true));
    }
}

#[tokio::test]
async fn nobody_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = send(&Client::new(&base_url, TOKEN).unwrap()).await;
    assert!(matches!(error, Error::Connect(_)), "{error:?}");
    assert_eq!(advice(&error), (true, false));
}

#[tokio::test]
async fn https_means_tls() {
    let fake = Fake::raw("HTTP/1.1 200 OK\r\n\r\n".to_owned()).await;
    let base_url = fake.base_url.replace("http:", "https:");
    let client = match Client::new(&base_url, TOKEN) {
        Ok(client) => client,
        // No root certificates on this machine: nothing to be seen here.
        Err(error) => return assert!(matches!(error, Error::Setup(_)), "{error:?}"),
    };
    // The fake waits for the end of a request head that never comes; a TLS greeting has none.
    let message = SendMessage::with_code_length("+391234567890", 6);
    let call = tokio::time::timeout(Duration::from_millis(100), client.send_verification_message(&message));
    assert!(call.await.is_err());
    assert!(fake.requests().is_empty());
}

#[tokio::test]
async fn what_cannot_be_a_header_is_never_sent() {
    for token in ["", "a\r\nb", "ключ", "a\n"] {
        assert!(matches!(Client::builder(token).build(), Err(Error::InvalidToken)), "{token:?}");
    }
    let fake = Fake::answering(r#"{"ok":true,"result":true}"#).await;
    for key in ["", "a\r\nx: y", "ключ"] {
        let message = SendMessage::with_code("+391234567890", "0451").idempotency_key(key);
        let error = fake.client().send_verification_message(&message).await.unwrap_err();
        assert!(matches!(error, Error::InvalidIdempotencyKey), "{error:?}");
        assert_eq!(advice(&error), (false, false));
    }
    assert!(fake.requests().is_empty());
}

#[test]
fn base_urls() {
    for good in [
        "https://gatewayapi.telegram.org",
        "https://example.org:8443/gateway/",
        "http://localhost:8080",
        "http://127.0.0.1:8080",
        "http://127.9.9.9",
        "http://[::1]:8080",
    ] {
        assert!(!matches!(Client::new(good, TOKEN), Err(Error::InvalidBaseUrl(_))), "{good}");
    }
    for bad in [
        "",
        "gatewayapi.telegram.org",
        "ftp://example.org",
        "file:///etc/hosts",
        "http://example.org",
        "http://127.0.0.1.example.org",
        "http://10.0.0.1",
        "https://user:word@example.org",
        "https://example.org/?a=1",
        "https://example.org/#a",
    ] {
        let error = Client::new(bad, TOKEN).unwrap_err();
        assert!(matches!(error, Error::InvalidBaseUrl(_)), "{bad}: {error:?}");
        assert_eq!(advice(&error), (false, false));
    }
    assert!(Client::builder(TOKEN).base_url("http://10.0.0.1").allow_plain_http().build().is_ok());
}

#[test]
fn debug_shows_no_secrets() {
    let builder = Client::builder(TOKEN).base_url("http://localhost");
    let message = SendMessage::with_code("+391234567890", "0451");
    let shown = format!("{builder:?} {:?} {message:?}", builder.clone().build().unwrap());
    for secret in [TOKEN, "391234567890", "0451"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
