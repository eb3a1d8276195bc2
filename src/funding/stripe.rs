//! A thin client of Stripe Checkout, <https://docs.stripe.com/api/checkout/sessions/create>, and its events,
//! <https://docs.stripe.com/webhooks#verify-manually>.

use super::{StripeSettings, price};
use crate::net::provider::{Failure, Provider};
use aws_lc_rs::hmac;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{Method, Request, Response};
use bytes::Bytes;
use chappe_core::Time;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The version of the API whose fields are read here.
const VERSION: &str = "2024-06-20";
/// How old an event may be, and how far ahead.
const TOLERANCE: Duration = Duration::from_secs(300);
/// How many signatures of an event are looked at: there are two while a secret is being changed.
const SIGNATURES_MAX: usize = 8;
/// Under which key a payment's name travels with everything that Stripe makes of it. Buyers cannot set it.
const PAYMENT: &str = "chappe_payment";
/// The longest name of anything that is believed, in bytes.
const NAME_MAX_BYTES: usize = 255;
/// The longest message of an error that is passed on, in characters.
const MESSAGE_MAX_CHARS: usize = 200;

/// Stripe, as far as money is collected by it.
pub struct Stripe {
    settings: StripeSettings,
    provider: Provider,
}

/// What is to be paid.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    /// What we call the payment.
    pub payment: &'a str,
    /// How much, in the smallest unit of the currency.
    pub units: i64,
    /// What for.
    pub title: &'a str,
    /// Where the browser comes back to.
    pub back: &'a str,
}

/// Why there is no session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StripeError {
    /// It said no.
    #[error("error {status}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it says, for people.
        message: String,
    },
    /// It did not answer, or not so that it can be understood.
    #[error("{0}")]
    NoAnswer(String),
}

/// What Stripe tells, as far as it is of interest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A payment was paid.
    Paid {
        /// What we call it.
        payment: String,
        /// What Stripe calls it.
        charge: String,
        /// How much was paid, in which currency.
        price: String,
        /// The payer's address, if Stripe has it.
        payer: String,
    },
    /// Nothing will come of a payment.
    Failed {
        /// What we call it.
        payment: String,
    },
    /// Of a payment, so much has gone back altogether.
    Refunded {
        /// What we call it.
        payment: String,
        /// How much, in the smallest unit of the currency.
        units: i64,
    },
    /// Something else.
    Other,
}

#[derive(Deserialize)]
struct Session {
    url: String,
}

#[derive(Deserialize)]
struct Errors {
    error: Error,
}

#[derive(Deserialize)]
struct Error {
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    r#type: String,
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    object: &'a RawValue,
}

/// The session of a checkout.
#[derive(Deserialize)]
struct Checkout {
    id: String,
    payment_status: String,
    amount_total: Option<i64>,
    currency: Option<String>,
    payment_intent: Option<String>,
    customer_details: Option<Customer>,
    #[serde(default)]
    metadata: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Customer {
    email: Option<String>,
}

#[derive(Deserialize)]
struct Charge {
    amount_refunded: i64,
    #[serde(default)]
    metadata: Option<BTreeMap<String, String>>,
}

impl Stripe {
    /// A client.
    pub fn new(settings: StripeSettings) -> Stripe {
        Stripe { settings, provider: Provider::new() }
    }

    /// What the operator set.
    pub fn settings(&self) -> &StripeSettings {
        &self.settings
    }

    /// Has a page made on which this can be paid. The same payment twice makes the same page, so that a call without an
    /// answer is made once more.
    pub async fn open(&self, order: &Order<'_>) -> Result<String, StripeError> {
        match self.call(order).await {
            Err(StripeError::NoAnswer(_)) => self.call(order).await,
            done => done,
        }
    }

    async fn call(&self, order: &Order<'_>) -> Result<String, StripeError> {
        let StripeSettings { base_url, secret_key, .. } = &self.settings;
        let unsent = |error: &dyn fmt::Display| StripeError::NoAnswer(error.to_string());
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{base_url}/v1/checkout/sessions"))
            .header(AUTHORIZATION, format!("Bearer {}", secret_key.expose()))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("stripe-version", VERSION)
            .header("idempotency-key", order.payment)
            .body(Bytes::from(self.form(order)))
            .map_err(|error| unsent(&error))?;
        match self.provider.call(request).await {
            Ok(answer) => link(&answer),
            Err(Failure::NotSent(reason) | Failure::NoAnswer(reason)) => Err(StripeError::NoAnswer(reason)),
        }
    }

    fn form(&self, order: &Order<'_>) -> String {
        let Order { payment, units, title, back } = order;
        let item = |name: &str| format!("line_items[0][{name}]");
        url::form_urlencoded::Serializer::new(String::new())
            .append_pair("mode", "payment")
            .append_pair("success_url", &format!("{back}?said=paying"))
            .append_pair("cancel_url", back)
            .append_pair("client_reference_id", payment)
            .append_pair(&format!("metadata[{PAYMENT}]"), payment)
            .append_pair(&format!("payment_intent_data[metadata][{PAYMENT}]"), payment)
            .append_pair(&item("quantity"), "1")
            .append_pair(&item("price_data][currency"), &self.settings.currency)
            .append_pair(&item("price_data][unit_amount"), &units.to_string())
            .append_pair(&item("price_data][product_data][name"), title)
            .finish()
    }

    /// Whether Stripe has signed this body, lately.
    pub fn signed(&self, header: &str, body: &[u8], now: Time) -> bool {
        let mut at = None;
        let mut shown = Vec::new();
        for (name, value) in header.split(',').filter_map(|part| part.trim().split_once('=')) {
            match name {
                "t" if at.is_none() => at = Some(value),
                "v1" if shown.len() < SIGNATURES_MAX => shown.push(value),
                _ => {}
            }
        }
        let Some(at) = at else { return false };
        let digits = !at.is_empty() && at.bytes().all(|byte| byte.is_ascii_digit());
        let Some(secs) = at.parse::<i64>().ok().filter(|secs| digits && *secs < 1 << 40) else {
            return false;
        };
        let told = Time::from_secs(secs);
        if now.since(told) > TOLERANCE || told.since(now) > TOLERANCE {
            return false;
        }
        let secret = self.settings.webhook_secret.expose();
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let signed = [at.as_bytes(), b".", body].concat();
        let good = |hex: &&str| {
            let mac = chappe_core::hex::from_hex(hex).unwrap_or_default();
            // Who has no secret believes nobody.
            !secret.is_empty() && hmac::verify(&key, &signed, &mac).is_ok()
        };
        shown.iter().any(good)
    }
}

/// Where the page is that was made.
fn link(answer: &Response<Bytes>) -> Result<String, StripeError> {
    let status = answer.status();
    if status.is_success() {
        let session: Session = serde_json::from_slice(answer.body())
            .map_err(|_| StripeError::NoAnswer("its answer cannot be read".to_owned()))?;
        let https = url::Url::parse(&session.url).is_ok_and(|url| url.scheme() == "https");
        return match https {
            true => Ok(session.url),
            false => Err(StripeError::NoAnswer("its answer holds no address to pay at".to_owned())),
        };
    }
    if status.is_server_error() {
        return Err(StripeError::NoAnswer(format!("error {}", status.as_u16())));
    }
    let message = serde_json::from_slice::<Errors>(answer.body()).map(|errors| errors.error.message);
    let message = message.unwrap_or_default().chars().take(MESSAGE_MAX_CHARS).collect();
    Err(StripeError::Refused { status: status.as_u16(), message })
}

/// Reads an event; `None` if it is none. What is not about a payment of ours is something else.
pub fn read(body: &[u8]) -> Option<Event> {
    let Envelope { r#type: kind, data } = serde_json::from_slice(body).ok()?;
    let object = data.object.get();
    match kind.as_str() {
        "checkout.session.completed" | "checkout.session.async_payment_succeeded" => {
            let session: Checkout = serde_json::from_str(object).ok()?;
            Some(paid(session).unwrap_or(Event::Other))
        }
        "checkout.session.expired" | "checkout.session.async_payment_failed" => {
            let session: Checkout = serde_json::from_str(object).ok()?;
            Some(ours(session.metadata).map_or(Event::Other, |payment| Event::Failed { payment }))
        }
        "charge.refunded" => {
            let Charge { amount_refunded: units, metadata } = serde_json::from_str(object).ok()?;
            let refunded = ours(metadata).filter(|_| units > 0);
            Some(refunded.map_or(Event::Other, |payment| Event::Refunded { payment, units }))
        }
        _ => Some(Event::Other),
    }
}

/// Whether a session is paid. Some ways to pay take days: then its end is told by an event of its own.
fn paid(session: Checkout) -> Option<Event> {
    let payment = ours(session.metadata)?;
    let charge = session.payment_intent.unwrap_or(session.id);
    let charge = Some(charge).filter(|charge| !charge.is_empty() && charge.len() <= NAME_MAX_BYTES)?;
    let price = price(session.amount_total?, &session.currency?.to_ascii_lowercase());
    let payer = session.customer_details.and_then(|customer| customer.email).unwrap_or_default();
    let payer = if payer.len() <= NAME_MAX_BYTES { payer } else { String::new() };
    (session.payment_status == "paid").then_some(Event::Paid { payment, charge, price, payer })
}

/// What we call the payment, if it is one of ours.
fn ours(metadata: Option<BTreeMap<String, String>>) -> Option<String> {
    metadata?.remove(PAYMENT).filter(|payment| payment.len() <= NAME_MAX_BYTES)
}

impl fmt::Debug for Stripe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stripe(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::num::NonZeroU32;

    fn stripe(webhook_secret: &str) -> Stripe {
        Stripe::new(StripeSettings {
            secret_key: "sk_test_1".into(),
            webhook_secret: webhook_secret.into(),
            currency: "eur".to_owned(),
            per_credit: NonZeroU32::MIN,
            base_url: "https://api.stripe.com".to_owned(),
        })
    }

    fn sign(secret: &str, at: &str, body: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let mac = hmac::sign(&key, format!("{at}.{body}").as_bytes());
        mac.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_signature_counts_for_its_body_its_secret_and_five_minutes() {
        let (stripe, now) = (stripe("whsec_1"), Time::from_secs(1_000_000));
        let is_good = |header: &str, body: &str| stripe.signed(header, body.as_bytes(), now);
        let good = sign("whsec_1", "1000000", "{}");
        assert!(is_good(&format!("t=1000000,v1={good}"), "{}"));
        assert!(is_good(&format!("t=1000000, v1={}, v0=x, v1={good}", "0".repeat(64)), "{}"), "two secrets");
        assert!(!is_good(&format!("t=1000000,v1={good}"), "{} "), "another body");
        assert!(!is_good(&format!("t=1000001,v1={good}"), "{}"), "another time");
        assert!(!is_good(&format!("t=1000000,v0={good}"), "{}"), "another scheme");
        let other = sign("whsec_2", "1000000", "{}");
        assert!(!is_good(&format!("t=1000000,v1={other}"), "{}"), "another secret");
        for (at, expected) in [("999700", true), ("999699", false), ("1000300", true), ("1000301", false)] {
            let header = format!("t={at},v1={}", sign("whsec_1", at, "{}"));
            assert_eq!(is_good(&header, "{}"), expected, "{at}");
        }
        let far = i64::MAX.to_string();
        for at in ["", "x", "-1", "+1000000", "1e6", &far] {
            assert!(!is_good(&format!("t={at},v1={}", sign("whsec_1", at, "{}")), "{}"), "{at}");
        }
        for header in ["", ",", "=", "t=1000000", "t=1000000,v1=", "t=1000000,v1=zz", &format!("v1={good}")] {
            assert!(!is_good(header, "{}"), "{header}");
        }
        let empty = self::stripe("");
        let header = format!("t=1000000,v1={}", sign("", "1000000", "{}"));
        assert!(!empty.signed(&header, b"{}", now), "without a secret nobody is believed");
    }

    fn event(kind: &str, object: Value) -> Option<Event> {
        read(json!({ "id": "evt_1", "type": kind, "data": { "object": object } }).to_string().as_bytes())
    }

    #[test]
    fn an_event_is_read_as_far_as_it_is_ours() {
        let session = |status: &str, metadata: Value| {
            json!({ "id": "cs_1", "payment_status": status, "amount_total": 1250, "currency": "eur",
                    "payment_intent": "pi_1", "customer_details": { "email": "a@b.example" }, "metadata": metadata })
        };
        let ours = || json!({ "chappe_payment": "p1", "more": "x" });
        let paid = Event::Paid {
            payment: "p1".to_owned(),
            charge: "pi_1".to_owned(),
            price: "1250 eur".to_owned(),
            payer: "a@b.example".to_owned(),
        };
        let completed = "checkout.session.completed";
        assert_eq!(event(completed, session("paid", ours())), Some(paid.clone()));
        // Paid in the buyer's own currency: Stripe tells that beside the price, which stays as it was asked for.
        let mut elsewhere = session("paid", ours());
        elsewhere["presentment_details"] =
            json!({ "presentment_amount": 1360, "presentment_currency": "usd" });
        assert_eq!(event(completed, elsewhere), Some(paid.clone()));
        assert_eq!(event("checkout.session.async_payment_succeeded", session("paid", ours())), Some(paid));
        assert_eq!(event(completed, session("unpaid", ours())), Some(Event::Other));
        for metadata in [json!({}), Value::Null, json!({ "chappe_payment": "x".repeat(256) })] {
            assert_eq!(event(completed, session("paid", metadata)), Some(Event::Other));
        }
        let failed = Some(Event::Failed { payment: "p1".to_owned() });
        assert_eq!(event("checkout.session.expired", session("unpaid", ours())), failed);
        let refund = json!({ "amount_refunded": 50, "metadata": ours() });
        let refunded = Some(Event::Refunded { payment: "p1".to_owned(), units: 50 });
        assert_eq!(event("charge.refunded", refund), refunded);
        assert_eq!(event("charge.refunded", json!({ "amount_refunded": 50 })), Some(Event::Other));
        assert_eq!(event("customer.created", json!({ "id": 7 })), Some(Event::Other));
        assert_eq!(event(completed, json!({ "id": 7 })), None);
        for body in ["", "null", "[]", "{}", r#"{"type":1}"#] {
            assert_eq!(read(body.as_bytes()), None, "{body}");
        }
    }
}
