//! The wire once more, spelled out by hand: what the auditor expects to the byte.

use chappe::engine::Failure;
use chappe_core::{Money, Outcome, Time, View};

/// An answer: the HTTP status and the body.
pub(crate) fn answer(said: &Result<Outcome, Failure>) -> (u16, String) {
    let result = match said {
        Ok(Outcome::Request(view)) => status(view),
        Ok(Outcome::Balance(balance)) => format!("{{\"balance\":{}}}", money(*balance)),
        Ok(_) => "true".to_owned(),
        Err(failure) => {
            let (code, name) = match failure {
                Failure::Rejected(rejection) => (200, rejection.name()),
                Failure::Overloaded => (503, "OVERLOADED".into()),
                Failure::Internal => (500, "INTERNAL".into()),
            };
            return (code, format!("{{\"ok\":false,\"error\":\"{name}\"}}"));
        }
    };
    (200, format!("{{\"ok\":true,\"result\":{result}}}"))
}

/// A RequestStatus.
pub(crate) fn status(view: &View) -> String {
    let mut fields = vec![
        format!("\"request_id\":\"{}\"", view.request),
        format!("\"phone_number\":\"{}\"", view.phone),
        format!("\"request_cost\":{}", money(view.cost)),
    ];
    if view.refunded {
        fields.push("\"is_refunded\":true".to_owned());
    }
    fields.extend(view.remaining_balance.map(|left| format!("\"remaining_balance\":{}", money(left))));
    if let Some((delivery, at)) = view.delivery {
        fields.push(format!("\"delivery_status\":{{{}}}", since(delivery.as_str(), at)));
    }
    if let Some((verification, at)) = view.verification {
        let entered = view.code_entered.as_ref().map(|code| format!(",\"code_entered\":{}", text(code)));
        let since = since(verification.as_str(), at);
        fields.push(format!("\"verification_status\":{{{since}{}}}", entered.unwrap_or_default()));
    }
    fields.extend(view.payload.as_ref().map(|payload| format!("\"payload\":{}", text(payload.as_str()))));
    format!("{{{}}}", fields.join(","))
}

fn since(status: &str, at: Time) -> String {
    format!("\"status\":\"{status}\",\"updated_at\":{}", at.micros() / 1_000_000)
}

/// The shortest decimal. No amount on the wire is below zero.
fn money(amount: Money) -> String {
    let micros = amount.micros();
    let decimal = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    decimal.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn text(plain: &str) -> String {
    serde_json::to_string(plain).unwrap()
}
