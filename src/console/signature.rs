//! Says of a report whether its signature is right, and if not, why.

use crate::tokens::Token;
use chappe_core::Time;
use chappe_core::report::verify_signature;

/// A receiver should refuse what is older than this: it may be a copy that somebody sends again.
const FRESH_S: i64 = 300;

/// What was found: `good`, `warn` or `bad`, and in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) kind: &'static str,
    pub(super) text: String,
}

/// A report as it came in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received<'a> {
    pub(super) timestamp: &'a str,
    pub(super) signature: &'a str,
    pub(super) body: &'a str,
}

/// Checks a report with the token that it should be signed with; the others are tried to say what went wrong.
pub(super) fn check(received: Received<'_>, token: &Token, others: &[Token], now: Time) -> Found {
    let bad = |text: &str| Found { kind: "bad", text: text.to_owned() };
    let Received { timestamp, signature, body } = received;
    let is_canonical = timestamp.parse::<i64>().is_ok_and(|secs| secs.to_string() == timestamp);
    if !is_canonical {
        return bad("Not valid: the timestamp is not a count of seconds since 1970, in plain digits.");
    }
    if signature.starts_with("v1,") {
        return bad(
            "This is a webhook-signature (Standard Webhooks). Paste the value of X-Request-Signature, 64 \
             hexadecimal digits.",
        );
    }
    if signature.len() != 64 || !signature.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return bad("Not valid: a signature has 64 hexadecimal digits.");
    }
    if signature.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return bad(
            "Not valid: the digits of a signature are lower-case. It may have been changed on its way.",
        );
    }
    let signs =
        |token: &Token, body: &str| verify_signature(&token.text, timestamp, body.as_bytes(), signature);
    if signs(token, body) {
        return valid(timestamp, token, now);
    }
    if let Some(other) = others.iter().find(|other| signs(other, body)) {
        return bad(&format!("Not valid with “{}”: it was signed with “{}”.", token.name, other.name));
    }
    let compact = without_space(body);
    let all = || others.iter().chain([token]);
    if all().any(|token| signs(token, &compact)) {
        return bad(
            "Not valid for this body, but for the same without the white space between its parts. Check the bytes as \
             they came, before anything reads and writes them anew.",
        );
    }
    bad(
        "Not valid: the timestamp, the body or the signature is not what was sent, or another token signed it.",
    )
}

fn valid(timestamp: &str, token: &Token, now: Time) -> Found {
    let age = now.secs().saturating_sub(timestamp.parse().unwrap_or(0));
    let name = &token.name;
    if age.saturating_abs() <= FRESH_S {
        return Found { kind: "good", text: format!("Valid, signed with “{name}”.") };
    }
    let text = match age > 0 {
        true => format!(
            "Valid, signed with “{name}”, but {} old. Your side should refuse what is older than five minutes.",
            in_words(age)
        ),
        false => {
            format!(
                "Valid, signed with “{name}”, but {} in the future: is a clock wrong?",
                in_words(age.saturating_neg())
            )
        }
    };
    Found { kind: "warn", text }
}

fn in_words(secs: i64) -> String {
    match secs {
        ..120 => format!("{secs} seconds"),
        120..7_200 => format!("{} minutes", secs / 60),
        7_200..172_800 => format!("{} hours", secs / 3_600),
        _ => format!("{} days", secs / 86_400),
    }
}

/// A JSON text without the white space outside its strings.
fn without_space(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    json.chars()
        .filter(|char| {
            if in_string {
                in_string = escaped || *char != '"';
                escaped = !escaped && *char == '\\';
                return true;
            }
            in_string = *char == '"';
            !char.is_ascii_whitespace()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::TokenRow;
    use chappe_core::report::signature;
    use chappe_core::{AccountId, Mode, TokenId};
    use std::sync::Arc;
    use zeroize::Zeroizing;

    const NOW: Time = Time::from_secs(1_795_000_000);
    const BODY: &str = r#"{"request_id":"222370177540343","payload":"a \" b"}"#;

    fn token(id: i64, name: &str, text: &str) -> Token {
        Arc::new(TokenRow {
            id: TokenId(id),
            account: AccountId(100),
            mode: Mode::Live,
            name: name.to_owned(),
            text: Zeroizing::new(text.to_owned()),
            digest: [0; 32],
            allowed: Vec::new(),
            created_at: NOW,
            expires_at: None,
            revoked_at: None,
            last_used: None,
        })
    }

    #[test]
    fn a_signature_is_valid_or_why_not() {
        let (mine, other) = (token(1, "mine", "secret"), token(2, "other", "another"));
        let signed = |text: &str, at: i64| signature(text, at, BODY.as_bytes());
        let now = NOW.secs();
        let (good, spaced) = (signed("secret", now), BODY.replace(',', ",\r\n  ").replace(':', ": "));
        let upper = good.to_uppercase();
        let (old, early) = (signed("secret", now - 7_200), signed("secret", now + 3_600));
        let (foreign, short) = (signed("another", now), good[..62].to_owned());
        let (late_s, early_s, now_s) =
            ((now - 7_200).to_string(), (now + 3_600).to_string(), now.to_string());
        let padded = format!("0{now}");
        for (timestamp, signature, body, kind, words) in [
            (&now_s, &good, BODY, "good", "Valid, signed with “mine”."),
            (&late_s, &old, BODY, "warn", "2 hours old"),
            (&early_s, &early, BODY, "warn", "60 minutes in the future"),
            (&late_s, &good, BODY, "bad", "is not what was sent"),
            (&now_s, &foreign, BODY, "bad", "signed with “other”"),
            (&now_s, &good, spaced.as_str(), "bad", "white space"),
            (&now_s, &good, "{}", "bad", "is not what was sent"),
            (&now_s, &upper, BODY, "bad", "lower-case"),
            (&now_s, &short, BODY, "bad", "64 hexadecimal"),
            (&now_s, &"v1,abc=".to_owned(), BODY, "bad", "Standard Webhooks"),
            (&"now".to_owned(), &good, BODY, "bad", "plain digits"),
            (&padded, &good, BODY, "bad", "plain digits"),
        ] {
            let found =
                check(Received { timestamp, signature, body }, &mine, std::slice::from_ref(&other), NOW);
            assert!(found.kind == kind && found.text.contains(words), "{words}: {found:?}");
        }
    }
}
