//! The wire, to the byte: what is read and what is written.
#![allow(clippy::unwrap_used)]

use chappe_client::{
    Answer, Balance, DeliveryState, DeliveryStatus, Money, RequestStatus, VerificationState,
    VerificationStatus,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;

/// Answers as a live service gave them, numbers masked.
const SAMPLES: [&str; 5] = [
    r#"{"ok":true,"result":{"request_id":"222370177540343","phone_number":"79xxxxxxx19","request_cost":0.01,"remaining_balance":99.99}}"#,
    r#"{"ok":true,"result":{"request_id":"222370177540343","phone_number":"79xxxxxxx19","request_cost":0.01,"remaining_balance":0,"delivery_status":{"status":"sent","updated_at":1789894598},"payload":"probe 1.7"}}"#,
    r#"{"ok":true,"result":{"request_id":"222370177540343","phone_number":"79xxxxxxx19","request_cost":0.01,"delivery_status":{"status":"sent","updated_at":1789894598},"payload":"probe 1.7"}}"#,
    r#"{"ok":true,"result":{"request_id":"222370177540343","phone_number":"79xxxxxxx19","request_cost":0.01,"delivery_status":{"status":"delivered","updated_at":1789894598},"verification_status":{"status":"expired","updated_at":1789894598},"payload":"probe 1.7"}}"#,
    r#"{"ok":true,"result":{"request_id":"142431475830971","phone_number":"79xxxxxxx88","request_cost":0,"remaining_balance":0,"delivery_status":{"status":"sent","updated_at":1789713189},"payload":"…"}}"#,
];

const REPORT: &str = r#"{"request_id":"923583492968596","phone_number":"1999xxxxxxx26","request_cost":0,"delivery_status":{"status":"revoked","updated_at":1733663990},"verification_status":{"status":"expired","updated_at":1733663989}}"#;

#[track_caller]
fn assert_round_trip<T: Serialize + DeserializeOwned>(text: &str) -> T {
    let value: T = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&value).unwrap(), text);
    value
}

fn read(text: &str) -> RequestStatus {
    serde_json::from_str(text).unwrap()
}

#[test]
fn every_sample_comes_back_byte_for_byte() {
    for sample in SAMPLES {
        assert_round_trip::<Answer<RequestStatus>>(sample);
    }
    assert_round_trip::<RequestStatus>(REPORT);
    let refused =
        assert_round_trip::<Answer<RequestStatus>>(r#"{"ok":false,"error":"PHONE_NUMBER_NOT_AVAILABLE"}"#);
    assert_eq!(refused, Answer::Error("PHONE_NUMBER_NOT_AVAILABLE".into()));
    let revoked = assert_round_trip::<Answer<bool>>(r#"{"ok":true,"result":true}"#);
    assert_eq!(revoked, Answer::Result(true));
    let balance = assert_round_trip::<Answer<Balance>>(r#"{"ok":true,"result":{"balance":99.99}}"#);
    assert_eq!(balance, Answer::Result(Balance { balance: Money::from_micros(99_990_000) }));
}

#[test]
fn everything_at_once_in_the_order_of_the_api() {
    let status = RequestStatus {
        request_id: "222370177540343".to_owned(),
        phone_number: "391234567890".to_owned(),
        request_cost: Money::from_micros(10_000),
        is_refunded: true,
        remaining_balance: Some(Money::from_micros(99_990_000)),
        delivery_status: Some(DeliveryStatus { status: DeliveryState::Expired, updated_at: 1_789_894_598 }),
        verification_status: Some(VerificationStatus {
            status: VerificationState::CodeMaxAttemptsExceeded,
            updated_at: 1_789_894_599,
            code_entered: Some("0451".to_owned()),
        }),
        payload: Some("a \"b\" \\ ✓\n".to_owned()),
    };
    let text = concat!(
        r#"{"request_id":"222370177540343","phone_number":"391234567890","request_cost":0.01,"#,
        r#""is_refunded":true,"remaining_balance":99.99,"#,
        r#""delivery_status":{"status":"expired","updated_at":1789894598},"#,
        r#""verification_status":{"status":"code_max_attempts_exceeded","updated_at":1789894599,"code_entered":"0451"},"#,
        r#""payload":"a \"b\" \\ ✓\n"}"#,
    );
    assert_eq!(serde_json::to_string(&status).unwrap(), text);
    assert_eq!(read(text), status);
}

#[test]
fn money_keeps_every_digit() {
    for amount in ["0", "0.01", "99.99", "0.000001", "9007199254740.993001", "-0.5", "100"] {
        let status = read(&format!(r#"{{"request_id":"1","phone_number":"2","request_cost":{amount}}}"#));
        assert_eq!(status.request_cost, amount.parse().unwrap());
        assert!(serde_json::to_string(&status).unwrap().contains(&format!(r#""request_cost":{amount}}}"#)));
    }
}

#[test]
fn money_is_read_in_any_spelling_and_written_in_one() {
    for (spelling, shortest) in [("0.010", "0.01"), ("1e-2", "0.01"), ("0.0", "0"), ("1E2", "100")] {
        let text = format!(r#"{{"ok":true,"result":{{"balance":{spelling}}}}}"#);
        let answer: Answer<Balance> = serde_json::from_str(&text).unwrap();
        let expected = format!(r#"{{"ok":true,"result":{{"balance":{shortest}}}}}"#);
        assert_eq!(serde_json::to_string(&answer).unwrap(), expected);
    }
}

#[test]
fn nulls_are_absent_and_unknown_keys_ignored() {
    let text = r#"{"request_id":"1","phone_number":"2","request_cost":0,"is_refunded":null,
        "remaining_balance":null,"delivery_status":null,"verification_status":null,"payload":null,
        "brand_new":{"deep":[1,2.5,null]}}"#;
    let bare = r#"{"request_id":"1","phone_number":"2","request_cost":0}"#;
    assert_eq!(read(text), read(bare));
    assert_eq!(serde_json::to_string(&read(text)).unwrap(), bare);

    let answer: Answer<bool> =
        serde_json::from_str(r#"{"ok":true,"result":true,"error":null,"extra":1}"#).unwrap();
    assert_eq!(answer, Answer::Result(true));
    let answer: Answer<bool> =
        serde_json::from_str(r#"{"ok":false,"error":"X","result":null,"extra":1}"#).unwrap();
    assert_eq!(answer, Answer::Error(Cow::Borrowed("X")));
}

#[test]
fn ids_numbers_and_codes_may_be_numbers() {
    let status = read(
        r#"{"request_id":222370177540343,"phone_number":391234567890,"request_cost":0,
        "verification_status":{"status":"code_valid","updated_at":1,"code_entered":1234}}"#,
    );
    assert_eq!(status.request_id, "222370177540343");
    assert_eq!(status.phone_number, "391234567890");
    assert_eq!(status.verification_status.unwrap().code_entered.as_deref(), Some("1234"));
}

#[test]
fn every_state_has_its_name_and_unknown_names_are_kept() {
    for (state, name) in [
        (DeliveryState::Sent, "sent"),
        (DeliveryState::Delivered, "delivered"),
        (DeliveryState::Read, "read"),
        (DeliveryState::Expired, "expired"),
        (DeliveryState::Revoked, "revoked"),
        (DeliveryState::Other("on_the_moon".to_owned()), "on_the_moon"),
    ] {
        assert_eq!(assert_round_trip::<DeliveryState>(&format!("\"{name}\"")), state);
    }
    for (state, name) in [
        (VerificationState::CodeValid, "code_valid"),
        (VerificationState::CodeInvalid, "code_invalid"),
        (VerificationState::CodeMaxAttemptsExceeded, "code_max_attempts_exceeded"),
        (VerificationState::Expired, "expired"),
        (VerificationState::Other("Code_Valid".to_owned()), "Code_Valid"),
    ] {
        assert_eq!(assert_round_trip::<VerificationState>(&format!("\"{name}\"")), state);
    }
}

#[test]
fn any_way_of_reading_json_will_do() {
    let sample = SAMPLES[3];
    let expected: Answer<RequestStatus> = serde_json::from_str(sample).unwrap();
    let from_reader: Answer<RequestStatus> = serde_json::from_reader(sample.as_bytes()).unwrap();
    assert_eq!(from_reader, expected);
    let value: serde_json::Value = serde_json::from_str(sample).unwrap();
    assert_eq!(serde_json::from_value::<Answer<RequestStatus>>(value).unwrap(), expected);
}
