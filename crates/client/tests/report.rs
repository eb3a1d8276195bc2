//! Reports: what is believed and what is not.
#![allow(clippy::unwrap_used)]

use chappe_client::report::{DEFAULT_TOLERANCE, ReportError, verify_report};
use chappe_client::{DeliveryState, RequestStatus};
use chappe_core::report::signature;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const TOKEN: &str = "AAAA-token";
const BODY: &str = r#"{"request_id":"923583492968596","phone_number":"1999xxxxxxx26","request_cost":0,"delivery_status":{"status":"revoked","updated_at":1733663990},"verification_status":{"status":"expired","updated_at":1733663989}}"#;
const SENT_AT: i64 = 1_733_663_990;

fn unix(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn verify(timestamp: &str, signature: &str, body: &str, now: u64) -> Result<RequestStatus, ReportError> {
    verify_report(TOKEN, timestamp, signature, body.as_bytes(), unix(now), DEFAULT_TOLERANCE)
}

/// Signs whatever stands where the timestamp should be: timestamp and body are divided by the first line feed alone.
fn sign(timestamp: &str, body: &str) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&chappe_core::report::signing_key(TOKEN)).unwrap();
    mac.update(format!("{timestamp}\n{body}").as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_good_report_is_read() {
    let signature = signature(TOKEN, SENT_AT, BODY.as_bytes());
    assert_eq!(signature, sign("1733663990", BODY));
    let status = verify("1733663990", &signature, BODY, 1_733_663_991).unwrap();
    assert_eq!(status.request_id, "923583492968596");
    assert_eq!(status.delivery_status.unwrap().status, DeliveryState::Revoked);
}

#[test]
fn a_tampered_report_is_not() {
    let good = signature(TOKEN, SENT_AT, BODY.as_bytes());
    let other_body = BODY.replace("revoked", "deliver");
    let other_token = signature("AAAB-token", SENT_AT, BODY.as_bytes());
    for (timestamp, signature, body) in [
        ("1733663990", good.as_str(), other_body.as_str()),
        ("1733663991", &good, BODY),
        ("1733663990", &other_token, BODY),
        ("1733663990", &good.to_uppercase(), BODY),
        ("1733663990", &good[..62], BODY),
        ("1733663990", "", BODY),
        ("1733663990", "not hex", BODY),
        ("", &good, BODY),
    ] {
        let error = verify(timestamp, signature, body, 1_733_663_990).unwrap_err();
        assert!(matches!(error, ReportError::Signature), "{timestamp} {signature}: {error:?}");
    }
}

#[test]
fn the_clock_may_be_off_by_the_tolerance_and_no_more() {
    let signature = signature(TOKEN, SENT_AT, BODY.as_bytes());
    for now in [1_733_663_690, 1_733_663_990, 1_733_664_290] {
        assert!(verify("1733663990", &signature, BODY, now).is_ok(), "{now}");
    }
    for now in [0, 1_733_663_689, 1_733_664_291] {
        let error = verify("1733663990", &signature, BODY, now).unwrap_err();
        assert!(matches!(error, ReportError::Stale), "{now}: {error:?}");
    }
}

#[test]
fn only_a_canonical_timestamp_counts() {
    let spellings = [
        "01733663990",
        "+1733663990",
        "-1",
        "1733663990.0",
        " 1733663990",
        "1.7e9",
        "",
        "99999999999999999999",
    ];
    for timestamp in spellings {
        let error = verify(timestamp, &sign(timestamp, BODY), BODY, 1_733_663_990).unwrap_err();
        assert!(matches!(error, ReportError::Timestamp), "{timestamp}: {error:?}");
    }
    let far = u64::MAX.to_string();
    let error = verify(&far, &sign(&far, BODY), BODY, 1_733_663_990).unwrap_err();
    assert!(matches!(error, ReportError::Timestamp | ReportError::Stale), "{error:?}");
}

#[test]
fn a_genuine_body_may_still_be_no_status() {
    for body in ["", "{}", "true", r#"{"ok":true}"#] {
        let error = verify("1733663990", &sign("1733663990", body), body, 1_733_663_990).unwrap_err();
        assert!(matches!(error, ReportError::Body(_)), "{body}: {error:?}");
    }
}
