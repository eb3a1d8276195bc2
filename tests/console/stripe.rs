//! Payment by Stripe Checkout, against a Stripe on loopback.

mod double;

use crate::support::{Answer, Browser, Request, Server};
use aws_lc_rs::hmac;
use chappe::funding::StripeSettings;
use chappe::store::console::payments::{PaymentRow, PaymentState};
use chappe::store::console::people::Role;
use chappe_core::ledger::Kind;
use chappe_core::{Command, Mode};
use double::{Fault, Stripe};
use serde_json::{Value, json};
use std::num::NonZeroU32;
use std::time::Duration;

const NOW: i64 = 1_795_000_000;
const ANNA: &str = "+9996600011";
const SECRET: &str = "whsec_test";
const PAID: &str = "checkout.session.completed";
const PAID_LATER: &str = "checkout.session.async_payment_succeeded";

async fn start(stripe: &Stripe) -> Server {
    Server::start(|setup| {
        setup.clock_at(NOW);
        setup.settings.public_url = Some("https://codes.example".to_owned());
        setup.settings.funding.stripe = Some(StripeSettings {
            secret_key: double::KEY.into(),
            webhook_secret: SECRET.into(),
            currency: "eur".to_owned(),
            per_credit: NonZeroU32::new(125).unwrap(),
            base_url: stripe.url(),
        });
    })
    .await
}

async fn seated(server: &Server) -> Browser {
    server.admit("alice", ANNA, Role::Finance).await;
    let mut anna = Browser::new(server);
    anna.log_in(server, ANNA).await;
    anna.open("/budget/add").await;
    anna
}

/// Begins a payment of ten credits, which cost 12.50 EUR. Returns what we call it.
async fn begin(anna: &mut Browser) -> String {
    let page = anna.submit("/budget/add", &[("amount", "10"), ("method", "stripe")]).await;
    let id = anna.at.strip_prefix("/budget/payments/");
    id.unwrap_or_else(|| panic!("no payment: {}", page.text())).to_owned()
}

fn session(payment: &str) -> Value {
    json!({
        "id": "cs_1", "object": "checkout.session", "payment_status": "paid", "status": "complete",
        "amount_total": 1250, "currency": "eur", "payment_intent": format!("pi_{payment}"),
        "client_reference_id": payment, "customer_details": { "email": "anna@rossi.example" },
        "metadata": { "chappe_payment": payment },
    })
}

fn charge(payment: &str, refunded: i64) -> Value {
    json!({
        "id": "ch_1", "object": "charge", "amount": 1250, "amount_refunded": refunded, "currency": "eur",
        "payment_intent": format!("pi_{payment}"), "metadata": { "chappe_payment": payment },
    })
}

fn changed(object: &Value, name: &str, value: Value) -> Value {
    let mut object = object.clone();
    object[name] = value;
    object
}

fn body(kind: &str, object: &Value) -> String {
    json!({ "id": "evt_1", "object": "event", "type": kind, "created": NOW, "data": { "object": object } })
        .to_string()
}

fn signature(secret: &str, at: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mac = hmac::sign(&key, format!("{at}.{body}").as_bytes());
    let hex: String = mac.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={at},v1={hex}")
}

async fn deliver(server: &Server, signature: &str, body: &str) -> Answer {
    let request = Request::post("/funding/stripe").header("stripe-signature", signature).json(body);
    server.call(&request).await
}

/// Tells an event as Stripe does. Returns the status of the answer.
async fn tell(server: &Server, kind: &str, object: &Value) -> u16 {
    let body = body(kind, object);
    deliver(server, &signature(SECRET, server.app.clock.now().secs(), &body), &body).await.status
}

async fn balance(server: &Server) -> String {
    server.balance().await.to_string()
}

async fn payment(server: &Server, id: &str) -> PaymentRow {
    server.app.pages.payment(id).await.unwrap().unwrap()
}

#[tokio::test]
async fn open_pages_are_told_of_what_is_paid_once_it_shows() {
    let stripe = Stripe::start().await;
    let server = start(&stripe).await;
    let id = begin(&mut seated(&server).await).await;
    let account = server.account("alice", Mode::Live).await.id;
    let mut changed = server.app.changed.subscribe();
    assert_eq!(tell(&server, PAID, &session(&id)).await, 200);
    assert_eq!(changed.recv().await.unwrap(), (account, None));
    assert_eq!(payment(&server, &id).await.state, PaymentState::Paid);
    assert_eq!(tell(&server, "charge.refunded", &charge(&id, 1250)).await, 200);
    assert_eq!(changed.recv().await.unwrap(), (account, None));
    server.stop();
}

#[tokio::test]
async fn what_is_paid_is_booked_once_whatever_is_told_again() {
    let stripe = Stripe::start().await;
    let server = start(&stripe).await;
    let mut anna = seated(&server).await;
    let page = anna.open("/budget/add").await;
    assert!(page.text().contains("1.25 EUR for a credit"), "{}", page.text());
    let id = begin(&mut anna).await;

    let asked = stripe.calls().remove(0);
    assert_eq!(asked.idempotency_key, id);
    for (name, value) in [
        ("mode", "payment"),
        ("client_reference_id", &id),
        ("metadata[chappe_payment]", &id),
        ("payment_intent_data[metadata][chappe_payment]", &id),
        ("line_items[0][quantity]", "1"),
        ("line_items[0][price_data][currency]", "eur"),
        ("line_items[0][price_data][unit_amount]", "1250"),
        ("line_items[0][price_data][product_data][name]", "10 credits"),
        ("success_url", &format!("https://codes.example/budget/payments/{id}?said=paying")),
        ("cancel_url", &format!("https://codes.example/budget/payments/{id}")),
    ] {
        assert_eq!(asked.form.get(name).map(String::as_str), Some(value), "{name}");
    }
    let page = anna.open(&format!("/budget/payments/{id}")).await;
    let link = payment(&server, &id).await.link;
    assert!(page.text().contains(&format!("href=\"{link}\"")), "{}", page.text());
    assert!(page.text().contains("10 credits for 12.50 EUR") && page.text().contains("not paid yet"));

    for kind in [PAID, PAID, PAID_LATER, PAID] {
        assert_eq!(tell(&server, kind, &session(&id)).await, 200);
        assert_eq!(balance(&server).await, "110");
    }
    let row = payment(&server, &id).await;
    assert_eq!((row.state, row.payer.as_str()), (PaymentState::Paid, "anna@rossi.example"));
    let booked = server.app.pages.booking(&format!("stripe:pi_{id}")).await.unwrap().unwrap();
    assert_eq!(booked.amount.to_string(), "10");
    let page = anna.open(&format!("/budget/payments/{id}?said=paying")).await;
    assert!(page.text().contains("Thank you: the credits are in your"), "{}", page.text());
    let log = server.app.pages.audit_log(None, None, 20).await.unwrap();
    let actions: Vec<_> =
        log.iter().map(|(_, entry)| entry.action.as_str()).filter(|one| one.starts_with("payment")).collect();
    assert_eq!(actions, ["payment.paid", "payment.begin"]);
    server.stop();
}

#[tokio::test]
async fn events_at_the_same_moment_are_booked_once() {
    let stripe = Stripe::start().await;
    let server = start(&stripe).await;
    let id = begin(&mut seated(&server).await).await;
    let object = session(&id);
    let told = (0..8).map(|at| tell(&server, if at % 2 == 0 { PAID } else { PAID_LATER }, &object));
    assert_eq!(futures_util::future::join_all(told).await, [200; 8]);
    assert_eq!(balance(&server).await, "110");
    let refunded = charge(&id, 625);
    let all = charge(&id, 1250);
    let told = (0..8).map(|at| tell(&server, "charge.refunded", if at % 2 == 0 { &refunded } else { &all }));
    assert_eq!(futures_util::future::join_all(told).await, [200; 8]);
    assert_eq!(balance(&server).await, "100");
    server.stop();
}

#[tokio::test]
async fn nothing_is_believed_that_stripe_has_not_signed_just_now() {
    let stripe = Stripe::start().await;
    let server = start(&stripe).await;
    let id = begin(&mut seated(&server).await).await;
    let body = body(PAID, &session(&id));
    let other = body.replace("1250", "1251");
    for (signature, body) in [
        (String::new(), &body),
        ("t=1,v1=00".to_owned(), &body),
        (signature("whsec_other", NOW, &body), &body),
        (signature(SECRET, NOW, &body), &other),
        (signature(SECRET, NOW - 301, &body), &body),
        (signature(SECRET, NOW + 301, &body), &body),
    ] {
        assert_eq!(deliver(&server, &signature, body).await.status, 400, "{signature}");
    }
    let good = signature(SECRET, NOW - 300, &body);
    server.app.clock.advance(Duration::from_secs(1));
    assert_eq!(deliver(&server, &good, &body).await.status, 400, "it has become too old");
    for odd in ["", "null", "{}", "[[[[", r#"{"type":"charge.refunded","data":{"object":{}}}"#] {
        let now = server.app.clock.now().secs();
        assert_eq!(deliver(&server, &signature(SECRET, now, odd), odd).await.status, 400, "{odd}");
    }
    let long = " ".repeat(256 * 1024 + 1);
    assert_eq!(deliver(&server, "", &long).await.status, 413);
    assert_eq!(server.call(&Request::get("/funding/stripe")).await.status, 405);
    assert_eq!(balance(&server).await, "100");
    assert_eq!(payment(&server, &id).await.state, PaymentState::Open);
    server.stop();
}

#[tokio::test]
async fn only_what_was_asked_for_is_booked() {
    let stripe = Stripe::start().await;
    let server = start(&stripe).await;
    let id = begin(&mut seated(&server).await).await;
    let good = session(&id);
    for (name, value) in [
        ("amount_total", json!(1249)),
        ("amount_total", json!(1251)),
        ("currency", json!("usd")),
        ("payment_status", json!("unpaid")),
        ("payment_status", json!("no_payment_required")),
        ("amount_total", Value::Null),
        ("metadata", json!({})),
        ("metadata", json!({ "chappe_payment": "unknown" })),
    ] {
        assert_eq!(tell(&server, PAID, &changed(&good, name, value.clone())).await, 200, "{name}: {value}");
        assert_eq!(balance(&server).await, "100", "{name}: {value}");
    }
    assert_eq!(tell(&server, "customer.created", &json!({ "id": "cus_1" })).await, 200);
    assert_eq!(tell(&server, "charge.refunded", &charge("unknown", 1250)).await, 200);
    assert_eq!(payment(&server, &id).await.state, PaymentState::Open);
    let log = server.app.pages.audit_log(None, None, 20).await.unwrap();
    let odd = log.iter().filter(|(_, entry)| entry.action == "payment.mismatch").count();
    assert_eq!(odd, 3, "the operator learns of each");
    assert_eq!(tell(&server, PAID_LATER, &good).await, 200);
    assert_eq!(balance(&server).await, "110");
    server.stop();
}

#[tokio::test]
async fn a_payment_that_was_given_up_is_over_unless_it_is_paid_all_the_same() {
    let stripe = Stripe::start().await;
    let server = start(&stripe).await;
    let mut anna = seated(&server).await;
    let id = begin(&mut anna).await;
    assert_eq!(tell(&server, "checkout.session.expired", &session(&id)).await, 200);
    assert_eq!(payment(&server, &id).await.state, PaymentState::Failed);
    let page = anna.open(&format!("/budget/payments/{id}")).await;
    assert!(page.text().contains("Nothing was paid"), "{}", page.text());
    assert_eq!(tell(&server, PAID_LATER, &session(&id)).await, 200);
    assert_eq!(
        (balance(&server).await.as_str(), payment(&server, &id).await.state),
        ("110", PaymentState::Paid)
    );
    assert_eq!(tell(&server, "checkout.session.async_payment_failed", &session(&id)).await, 200);
    assert_eq!(payment(&server, &id).await.state, PaymentState::Paid);

    let second = begin(&mut anna).await;
    server.app.clock.advance(Duration::from_secs(24 * 3600 + 1));
    anna.log_in(&server, ANNA).await;
    let page = anna.open(&format!("/budget/payments/{second}")).await;
    assert!(page.text().contains("Nothing was paid"), "its link is dead: {}", page.text());
    server.stop();
}

#[tokio::test]
async fn what_goes_back_is_taken_from_the_balance_once() {
    let stripe = Stripe::start().await;
    let server = start(&stripe).await;
    let mut anna = seated(&server).await;
    let id = begin(&mut anna).await;
    assert_eq!(tell(&server, "charge.refunded", &charge(&id, 1250)).await, 409, "it is to be told again");
    tell(&server, PAID, &session(&id)).await;
    for (refunded, left) in
        [(0, "110"), (250, "108"), (250, "108"), (1000, "102"), (500, "102"), (1250, "100")]
    {
        assert_eq!(tell(&server, "charge.refunded", &charge(&id, refunded)).await, 200);
        assert_eq!(balance(&server).await, left, "{refunded}");
    }
    assert_eq!(payment(&server, &id).await.state, PaymentState::Refunded);
    assert_eq!(tell(&server, PAID, &session(&id)).await, 200, "an old event");
    assert_eq!(balance(&server).await, "100");
    let page = anna.open(&format!("/budget/payments/{id}")).await;
    assert!(page.text().contains("went back to the payer"), "{}", page.text());
    server.stop();
}

#[tokio::test]
async fn of_what_was_spent_already_only_the_rest_is_taken() {
    let stripe = Stripe::start().await;
    let server = start(&stripe).await;
    let id = begin(&mut seated(&server).await).await;
    tell(&server, PAID, &session(&id)).await;
    server.set_balance(crate::support::ALICE, "3").await;
    assert_eq!(tell(&server, "charge.refunded", &charge(&id, 1250)).await, 200);
    assert_eq!(balance(&server).await, "0");
    assert_eq!(tell(&server, "charge.refunded", &charge(&id, 1250)).await, 200);
    let log = server.app.pages.audit_log(None, None, 5).await.unwrap();
    let told: Vec<_> = log.iter().filter(|(_, entry)| entry.action == "payment.refund").collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].1.detail, "3 of 10; 7 was spent already");
    server.set_balance(crate::support::ALICE, "50").await;
    tell(&server, "charge.refunded", &charge(&id, 1250)).await;
    assert_eq!(balance(&server).await, "50", "that is over");
    server.stop();
}

/// The money is booked before the payment is marked: a crash lies between the two.
#[tokio::test]
async fn a_crash_between_the_booking_and_the_mark_books_nothing_twice() {
    let stripe = Stripe::start().await;
    let server = start(&stripe).await;
    let id = begin(&mut seated(&server).await).await;
    let by_hand = async |amount: &str, kind: Kind, reference: String| {
        let command = Command::Credit {
            now: server.app.clock.now(),
            account: server.account("alice", Mode::Live).await.id,
            kind,
            amount: amount.parse().unwrap(),
            reference: Some(reference),
            reason: "before the crash".to_owned(),
        };
        server.app.engine.submit(command).await.unwrap();
    };
    by_hand("10", Kind::Deposit, format!("stripe:pi_{id}")).await;
    assert_eq!(tell(&server, PAID, &session(&id)).await, 200);
    assert_eq!(
        (balance(&server).await.as_str(), payment(&server, &id).await.state),
        ("110", PaymentState::Paid)
    );

    by_hand("-4", Kind::Adjustment, format!("stripe:refund:{id}:0")).await;
    assert_eq!(tell(&server, "charge.refunded", &charge(&id, 500)).await, 200);
    assert_eq!(balance(&server).await, "106");
    assert_eq!(payment(&server, &id).await.refunded.to_string(), "4");
    assert_eq!(tell(&server, "charge.refunded", &charge(&id, 1250)).await, 200);
    assert_eq!(balance(&server).await, "100");
    server.stop();
}

#[tokio::test]
async fn a_stripe_that_fails_leaves_nothing_behind_to_be_paid() {
    let stripe = Stripe::start().await;
    let server = start(&stripe).await;
    let mut anna = seated(&server).await;
    let refused = r#"{"error":{"message":"Invalid API Key provided","type":"invalid_request_error"}}"#;
    for fault in [
        Fault::Answer(401, refused.to_owned()),
        Fault::Answer(200, "{}".to_owned()),
        Fault::Answer(200, r#"{"url":"javascript:alert(1)"}"#.to_owned()),
    ] {
        stripe.fail([fault.clone(), fault]);
        let page = anna.submit("/budget/add", &[("amount", "10"), ("method", "stripe")]).await;
        assert!(page.text().contains("could not be begun just now"), "{}", page.text());
        assert!(!page.text().contains("API Key"), "what it says is for the log");
        stripe.mend();
    }
    let account = server.account("alice", Mode::Live).await.id;
    let rows = server.app.pages.payments(account, 10).await.unwrap();
    assert!(rows.len() == 3 && rows.iter().all(|row| row.state == PaymentState::Failed), "{rows:?}");

    // An answer that is lost is asked for once more, under the same key.
    let before = stripe.calls().len();
    stripe.fail([Fault::Deaf]);
    let id = begin(&mut anna).await;
    let keys: Vec<_> = stripe.calls().drain(before..).map(|call| call.idempotency_key).collect();
    assert_eq!(keys, [id.clone(), id]);
    server.stop();
}

#[tokio::test]
async fn amounts_have_bounds_and_payments_are_ones_own() {
    let stripe = Stripe::start().await;
    let server = start(&stripe).await;
    let mut anna = seated(&server).await;
    for (amount, said) in [
        ("", "such as 25 or 2.50"),
        ("0.99", "from 1 to 10000"),
        ("10001", "from 1 to 10000"),
        ("-5", "from 1"),
    ] {
        let page = anna.submit("/budget/add", &[("amount", amount), ("method", "stripe")]).await;
        assert!(page.text().contains(said), "{amount}: {}", page.text());
    }
    for method in ["", "stars", "gold"] {
        let page = anna.submit("/budget/add", &[("amount", "10"), ("method", method)]).await;
        assert!(page.text().contains("Choose how to pay."), "{method}: {}", page.text());
    }
    assert_eq!(stripe.calls().len(), 0);
    let id = begin(&mut anna).await;
    let bruno = "+9996600022";
    server.admit("bob", bruno, Role::Owner).await;
    let mut other = Browser::new(&server);
    other.log_in(&server, bruno).await;
    let foreign = other.get(&format!("/budget/payments/{id}")).await;
    let unknown = other.get("/budget/payments/unknown").await;
    assert_eq!((foreign.status, foreign.text()), (404, unknown.text()));

    for _ in 0..19 {
        begin(&mut anna).await;
    }
    let page = anna.submit("/budget/add", &[("amount", "10"), ("method", "stripe")]).await;
    assert!(page.text().contains("Too many payments were begun"), "{}", page.text());
    server.app.clock.advance(Duration::from_secs(16 * 60));
    let answer = anna.post("/budget/add", &[("amount", "10"), ("method", "stripe")]).await;
    assert_eq!(answer.header("location"), Some("/confirm?then=%2Fbudget%2Fadd"), "a proof of late is wanted");
    server.stop();
}

#[tokio::test]
async fn without_stripe_there_is_nothing_to_tell() {
    let server = Server::start(|_| {}).await;
    assert_eq!(tell(&server, PAID, &session("p1")).await, 404);
    server.stop();
}
