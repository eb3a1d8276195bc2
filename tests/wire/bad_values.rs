//! Hostile values of parameters, and the bounds of every one: refused by its own name and free, whether it comes as JSON,
//! as a form or in the query string.

use crate::bad_input::server;
use crate::support::{ALICE, Request};
use serde_json::json;
use serde_json::value::RawValue;

/// What no parameter takes.
const NEVER: &str = r#"[] ["1234"] {} {"a":1} "\u0000" "1234\u0000""#;

/// Per parameter the error's name, and values as JSON spells them.
const REFUSED: [(&str, &str, &str); 8] = [
    (
        "phone_number",
        "PHONE_NUMBER_INVALID",
        r#""" null "+" "123456" "1234567890123456" "++79123456719" "079123456719" "7 912 345 67 19" "7-912-345-67-19"
        "(7)9123456719" "٧٩١٢٣٤٥٦٧١٩" "＋７９１２３４５６７１９" "79123456719\n" "\t79123456719" "79123456719 " "phone"
        "  79123456719" "7912345671a" "0x1275a6" "' OR 1=1 --" "79123456\u0000719" "79\u200b123456719" "true" true
        -79123456719 7.9e10 7.9123456719E10 79123456719.0 18446744073709551615 1e400 -0 0 "tel:+79123456719"
        "79123456719;79123456720" "79123456719,79123456720""#,
    ),
    (
        "request_id",
        "REQUEST_ID_INVALID",
        r#""1" "12345678901234" "1234567890123456" "012345678901234" "22237017754034x" "222370177540343" -1 1.5 true
        222370177540343 222370177540343.0 2.22370177540343e14 18446744073709551615 "٢٢٢٣٧٠١٧٧٥٤٠٣٤٣"
        " 222370177540343" "+22237017754034" "-22237017754034""#,
    ),
    (
        "code",
        "CODE_INVALID",
        r#""123" "123456789" "12a4" "12 34" " 1234" "1234\n" "-1234" "+1234" "12.4" "١٢٣٤" "１２３４" "²³¹²" 123 -1234
        1234.0 1.234e3 1e10 123456789 true false "0x12" "1e33" "true""#,
    ),
    (
        "code_length",
        "CODE_LENGTH_INVALID",
        r#"3 "3" 9 "9" 0 -4 4.5 4.0 "4.0" "four" "٤" " 6" "6 " "+6" true 18446744073709551615 "260" 262 "6e0" 6e0
        99999999999999999999999999999999999999999999"#,
    ),
    (
        "ttl",
        "TTL_INVALID",
        r#"29 "29" 3601 "3601" 0 -60 60.5 60.0 "60.0" "60s" "6e1" 6e1 "٦٠" " 60" "+60" true 65596 4294967356
        18446744073709551676 99999999999999999999999999999999999999999999"#,
    ),
    (
        "callback_url",
        "CALLBACK_URL_INVALID",
        r#""http://example.org/" "HTTP://EXAMPLE.ORG" "ftp://example.org/" "example.org" "//example.org/" "/hook" "https://"
        "https://?" "javascript:alert(1)" "file:///etc/passwd" "https://user@example.org/" "https://u:p@example.org/"
        "https://127.0.0.1/" "https://127.1/" "https://2130706433/" "https://[::1]/" "https://[::ffff:10.0.0.1]/"
        "https://169.254.169.254/latest/meta-data/" "https://0/" "https://exa mple.org/" "https://example.org/\r\nx: y"
        "https://example.org:99999/" "https://example.org\u0000/" " https://example.org/" "https://[::g]/"
        "https://１２７.0.0.1/" "https://127。0。0。1/" "https://%31%32%37.0.0.1/" true 1 1.5"#,
    ),
    ("payload", "PAYLOAD_INVALID", r#""a\u0000b""#),
    (
        "sender_username",
        "SENDER_USERNAME_INVALID",
        r#""four" "1abcde" "_abcde" "a-bcde" "a bcde" "@" "@@abcde" "äbcde" "abcde\n" "abcde\u0000" 12345 1.5 -12345"#,
    ),
];

/// Values as JSON spells them, parted by white space.
fn values(text: &str) -> Vec<String> {
    let stream = serde_json::Deserializer::from_str(text).into_iter::<Box<RawValue>>();
    stream.map(|value| value.unwrap().get().to_owned()).collect()
}

/// A call that is good but for this value: in JSON to the letter, and if it is a text, in a form and a query string.
fn spellings(name: &str, value: &str) -> Vec<Request> {
    let mut parameters = vec![("phone_number", r#""+79123456719""#), ("code", r#""1234""#)];
    // A code would overrule its length.
    parameters.retain(|(other, _)| *other != name && !(name == "code_length" && *other == "code"));
    parameters.push((name, value));
    let target = "/sendVerificationMessage";
    let members: Vec<String> = parameters.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    let mut requests = vec![Request::post(target).bearer(ALICE).json(format!("{{{}}}", members.join(",")))];
    if value.starts_with('"') {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in parameters {
            form.append_pair(name, &serde_json::from_str::<String>(value).unwrap());
        }
        let form = form.finish();
        requests.push(Request::post(target).bearer(ALICE).form(&form));
        requests.push(Request::get(&format!("{target}?{form}")).bearer(ALICE));
    }
    requests
}

#[tokio::test]
async fn no_parameter_takes_what_it_is_not() {
    let server = server().await;
    let mut connection = server.connect().await;
    let before = server.balance().await;
    let quoted = |text: String| json!(text).to_string();
    let long = [
        ("request_id", "REQUEST_ID_INVALID", quoted("1".repeat(2_000))),
        ("code_length", "CODE_LENGTH_INVALID", quoted("0".repeat(60_000) + "9")),
        ("callback_url", "CALLBACK_URL_INVALID", quoted(format!("https://example.org/{}", "x".repeat(237)))),
        ("callback_url", "CALLBACK_URL_INVALID", quoted(format!("https://example.org/{}", "é".repeat(119)))),
        ("payload", "PAYLOAD_INVALID", quoted("p".repeat(129))),
        ("payload", "PAYLOAD_INVALID", quoted("é".repeat(65))),
        ("payload", "PAYLOAD_INVALID", quoted("😀".repeat(33))),
        ("payload", "PAYLOAD_INVALID", quoted("p".repeat(60_000))),
        ("sender_username", "SENDER_USERNAME_INVALID", quoted("a".repeat(33))),
        ("phone_number", "PHONE_NUMBER_INVALID", quoted("7".repeat(60_000))),
        ("code", "CODE_INVALID", quoted("0".repeat(60_000))),
        ("access_token", "PARAMETER_CONFLICT", quoted("\0".to_owned())),
    ];
    let rows = REFUSED.iter().flat_map(|(name, expected, text)| {
        let all = values(text).into_iter().chain(values(NEVER));
        all.map(move |value| (*name, *expected, value))
    });
    let mut calls = 0;
    for (name, expected, value) in rows.chain(long) {
        for request in spellings(name, &value) {
            let answer = connection.exchange(&request).await;
            assert_eq!(answer.verdict(), (200, expected.to_owned()), "{name} = {value:.200}");
            assert_eq!(server.balance().await, before, "{name} = {value:.200}");
            calls += 1;
        }
    }
    assert!(calls > 350, "{calls} calls");
}

#[tokio::test]
async fn every_parameter_takes_its_bounds() {
    let server = server().await;
    let mut connection = server.connect().await;
    let quoted = |text: String| json!(text).to_string();
    let payload = |text: &str| ("payload", json!(text).to_string());
    let rows = [
        ("phone_number", r#""1234567" "+123456789012345" 79123456719 " 79123456719""#),
        ("code", r#""0000" "00000000" 1234 12345678"#),
        ("code_length", r#"4 8 "4" "8""#),
        ("ttl", r#"30 3600 "30" "3600" null """#),
        (
            "callback_url",
            r#""https://example.org" "https://1.1.1.1:8443/a?b=c#d" "https://bücher.example/é?ü=`|^{}\"<>" "HTTPS://EXAMPLE.ORG"
            null """#,
        ),
        ("payload", r#"12 1.50 1e3 true "null" "true" null """#),
        ("request_id", r#"null """#),
        ("sender_username", r#"null """#),
        ("unknown", r#"{"deep":[[[1]]]} "\u0000" 1e400"#),
    ];
    let rows = rows.iter().flat_map(|(name, text)| values(text).into_iter().map(move |value| (*name, value)));
    let long = [
        ("callback_url", quoted(format!("https://example.org/{}", "x".repeat(236)))),
        payload(&"p".repeat(128)),
        payload(&"é".repeat(64)),
        payload("\u{1}\n\r\t\"\\</script>😀\u{7f}\u{202e}\u{feff}"),
    ];
    for (name, value) in rows.chain(long) {
        for request in spellings(name, &value) {
            server.set_balance(ALICE, "0.01").await;
            let result = connection.exchange(&request).await.result();
            assert_eq!(result["remaining_balance"], json!(0), "{name} = {value}");
            if name == "payload" {
                // Given back as it was written, but for the quotes.
                let text = serde_json::from_str::<String>(&value).unwrap_or(value.clone());
                let expected = if text.is_empty() || value == "null" { json!(null) } else { json!(text) };
                assert_eq!(result["payload"], expected);
            }
        }
    }
}
