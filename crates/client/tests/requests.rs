//! What every method sends, and what it makes of a good answer.
#![allow(clippy::unwrap_used)]

mod support;

use chappe_client::{CheckSendAbility, Client, DeliveryState, Money, SendMessage, VerificationState};
use support::Fake;

const STATUS: &str = r#"{"ok":true,"result":{"request_id":"222370177540343","phone_number":"391234567890","request_cost":0.01}}"#;

fn headers(fake: &Fake, body: &str, more: &[&str]) -> Vec<String> {
    let host = fake.base_url.trim_start_matches("http://");
    let mut headers = vec![
        "accept: */*".to_owned(),
        "authorization: Bearer AAAA-token".to_owned(),
        format!("content-length: {}", body.len()),
        "content-type: application/json".to_owned(),
        format!("host: {host}"),
        format!("user-agent: chappe-client/{}", env!("CARGO_PKG_VERSION")),
    ];
    headers.extend(more.iter().map(|line| (*line).to_owned()));
    headers.sort();
    headers
}

fn assert_request(fake: &Fake, method: &str, body: &str, more_headers: &[&str]) {
    let expected = (format!("POST /{method} HTTP/1.1"), headers(fake, body, more_headers), body.to_owned());
    assert_eq!(fake.request(), expected);
}

#[tokio::test]
async fn check_send_ability() {
    let fake = Fake::answering(STATUS).await;
    let status = fake.client().check_send_ability("+391234567890").await.unwrap();
    assert_eq!(status.request_id, "222370177540343");
    assert_eq!(status.request_cost, Money::from_micros(10_000));
    assert_request(&fake, "checkSendAbility", r#"{"phone_number":"+391234567890"}"#, &[]);
}

#[tokio::test]
async fn check_send_ability_once() {
    let fake = Fake::answering(STATUS).await;
    let parameters = CheckSendAbility::new("391234567890").idempotency_key("sign-up 17");
    fake.client().check_send_ability(parameters).await.unwrap();
    let body = r#"{"phone_number":"391234567890"}"#;
    assert_request(&fake, "checkSendAbility", body, &["idempotency-key: sign-up 17"]);
}

#[tokio::test]
async fn send_with_a_code_and_everything() {
    let fake = Fake::answering(STATUS).await;
    let message = SendMessage::with_code("+391234567890", "0451")
        .request_id("222370177540343")
        .sender_username("mychannel")
        .callback_url("https://example.org/reports?a=1")
        .payload("order \"17\" ✓")
        .ttl_s(60)
        .idempotency_key("k-1");
    fake.client().send_verification_message(&message).await.unwrap();
    let body = concat!(
        r#"{"phone_number":"+391234567890","request_id":"222370177540343","sender_username":"mychannel","#,
        r#""code":"0451","callback_url":"https://example.org/reports?a=1","payload":"order \"17\" ✓","ttl":60}"#,
    );
    assert_request(&fake, "sendVerificationMessage", body, &["idempotency-key: k-1"]);
}

#[tokio::test]
async fn send_with_a_length_and_nothing_else() {
    let fake = Fake::answering(STATUS).await;
    let message = SendMessage::with_code_length("+391234567890", 6);
    fake.client().send_verification_message(&message).await.unwrap();
    let body = r#"{"phone_number":"+391234567890","code_length":6}"#;
    assert_request(&fake, "sendVerificationMessage", body, &[]);
}

#[tokio::test]
async fn check_verification_status() {
    let fake = Fake::answering(concat!(
        r#"{"ok":true,"result":{"request_id":"1","phone_number":"2","request_cost":0,"#,
        r#""delivery_status":{"status":"read","updated_at":7}}}"#
    ))
    .await;
    let status = fake.client().check_verification_status("222370177540343", None).await.unwrap();
    let delivery = status.delivery_status.unwrap();
    assert_eq!((delivery.status, delivery.updated_at), (DeliveryState::Read, 7));
    assert_request(&fake, "checkVerificationStatus", r#"{"request_id":"222370177540343"}"#, &[]);
}

#[tokio::test]
async fn check_verification_status_with_a_code() {
    let fake = Fake::answering(&judged("code_invalid")).await;
    let status = fake.client().check_verification_status("222370177540343", Some("0451")).await.unwrap();
    let verification = status.verification_status.unwrap();
    assert_eq!(verification.status, VerificationState::CodeInvalid);
    assert_eq!(verification.code_entered.as_deref(), Some("0451"));
    let body = r#"{"request_id":"222370177540343","code":"0451"}"#;
    assert_request(&fake, "checkVerificationStatus", body, &[]);
}

#[tokio::test]
async fn verify_is_true_for_a_valid_code_alone() {
    for (state, right) in [
        ("code_valid", true),
        ("code_invalid", false),
        ("code_max_attempts_exceeded", false),
        ("expired", false),
        ("something_new", false),
    ] {
        let fake = Fake::answering(&judged(state)).await;
        assert_eq!(fake.client().verify("222370177540343", "0451").await.unwrap(), right, "{state}");
    }
    let fake = Fake::answering(STATUS).await;
    assert!(!fake.client().verify("222370177540343", "0451").await.unwrap(), "nothing was judged");
}

#[tokio::test]
async fn an_empty_code_is_never_right() {
    // A gateway takes an empty code for none, and would repeat what it said of an earlier one.
    let fake = Fake::answering(&judged("code_valid")).await;
    assert!(!fake.client().verify("222370177540343", "").await.unwrap());
    assert!(fake.requests().is_empty());
}

#[tokio::test]
async fn revoke() {
    let fake = Fake::answering(r#"{"ok":true,"result":true}"#).await;
    assert!(fake.client().revoke_verification_message("222370177540343").await.unwrap());
    assert_request(&fake, "revokeVerificationMessage", r#"{"request_id":"222370177540343"}"#, &[]);
}

#[tokio::test]
async fn balance() {
    let fake = Fake::answering(r#"{"ok":true,"result":{"balance":99.99}}"#).await;
    assert_eq!(fake.client().get_balance().await.unwrap().to_string(), "99.99");
    assert_request(&fake, "getBalance", "{}", &[]);
}

#[tokio::test]
async fn a_path_in_the_base_url_is_kept() {
    for slashes in ["", "/", "//"] {
        let fake = Fake::answering(r#"{"ok":true,"result":true}"#).await;
        let base_url = format!("{}/gateway{slashes}", fake.base_url);
        let client = Client::new(&base_url, support::TOKEN).unwrap();
        client.revoke_verification_message("1").await.unwrap();
        assert_eq!(fake.request().0, "POST /gateway/revokeVerificationMessage HTTP/1.1");
    }
}

#[tokio::test]
async fn the_user_agent_can_be_changed() {
    let fake = Fake::answering(r#"{"ok":true,"result":true}"#).await;
    let client =
        Client::builder(support::TOKEN).base_url(&fake.base_url).user_agent("shop/1").build().unwrap();
    client.revoke_verification_message("1").await.unwrap();
    assert!(fake.request().1.contains(&"user-agent: shop/1".to_owned()));
}

fn judged(state: &str) -> String {
    format!(
        r#"{{"ok":true,"result":{{"request_id":"222370177540343","phone_number":"391234567890","request_cost":0.01,"verification_status":{{"status":"{state}","updated_at":1789894598,"code_entered":"0451"}}}}}}"#
    )
}

#[tokio::test]
async fn the_time_of_a_gateway_is_the_date_of_its_answer() {
    let date = |date: &str| format!("HTTP/1.1 404 Not Found\r\n{date}content-length: 0\r\n\r\n");
    let told = Fake::raw(date("date: Sun, 06 Nov 1994 08:49:37 GMT\r\n")).await;
    let time = told.client().server_time().await.unwrap().unwrap();
    assert_eq!(time.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(), 784_111_777);
    let (first, headers, _) = told.request();
    assert_eq!(first, "HEAD / HTTP/1.1");
    assert!(!headers.iter().any(|header| header.starts_with("authorization")), "{headers:?}");
    for silent in ["", "date: yesterday\r\n"] {
        assert_eq!(Fake::raw(date(silent)).await.client().server_time().await.unwrap(), None);
    }
}
