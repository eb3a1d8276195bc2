//! Payment with Telegram Stars, through a bot at a Bot API on loopback.

use crate::bot_api::{BotApi, Fault, TOKEN, error};
use crate::support::{Browser, Server};
use chappe::channels::ChannelSettings;
use chappe::funding::StarsSettings;
use chappe::store::console::payments::{Collector, PaymentRow, PaymentState};
use chappe::store::console::people::Role;
use chappe_core::ledger::Kind;
use chappe_core::text::ChannelName;
use chappe_core::{Command, Mode};
use serde_json::{Value, json};
use std::num::NonZeroU32;
use std::time::Duration;

const NOW: i64 = 1_795_000_000;
const ANNA: &str = "+9996600011";
const OTTO: &str = "+9996600033";
/// Who pays, on Telegram.
const PAYER: i64 = 42;

fn bot(api: &BotApi) -> ChannelSettings {
    let settings = json!({ "kind": "telegram", "token": TOKEN, "base_url": api.url() });
    serde_json::from_value(settings).unwrap()
}

async fn start(api: &BotApi) -> Server {
    Server::start(|setup| {
        setup.clock_at(NOW);
        let name = |text: &str| ChannelName::parse(text).unwrap();
        setup.settings.channels.insert(name("bot"), bot(api));
        setup.settings.funding.stars =
            Some(StarsSettings { channel: name("bot"), per_credit: NonZeroU32::new(50).unwrap() });
    })
    .await
}

async fn seated(server: &Server) -> Browser {
    server.admit("alice", ANNA, Role::Owner).await;
    let mut anna = Browser::new(server);
    anna.log_in(server, ANNA).await;
    anna.open("/budget/add").await;
    anna
}

/// Begins a payment of ten credits, which cost 500 Stars. Returns what we call it.
async fn begin(anna: &mut Browser) -> String {
    let page = anna.submit("/budget/add", &[("amount", "10"), ("method", "stars")]).await;
    let id = anna.at.strip_prefix("/budget/payments/");
    id.unwrap_or_else(|| panic!("no payment: {}", page.text())).to_owned()
}

fn payment_of(payload: &str, charge: &str, stars: i64) -> Value {
    json!({ "currency": "XTR", "total_amount": stars, "invoice_payload": payload,
            "telegram_payment_charge_id": charge, "provider_payment_charge_id": "" })
}

fn message(more: Value) -> Value {
    let mut message = json!({
        "message_id": 1, "date": NOW, "chat": { "id": PAYER, "type": "private" },
        "from": { "id": PAYER, "is_bot": false },
    });
    more.as_object().unwrap().iter().for_each(|(key, value)| message[key] = value.clone());
    json!({ "message": message })
}

/// Somebody has paid.
async fn pays(api: &BotApi, payload: &str, charge: &str, stars: i64) {
    let update = api.happens(message(json!({ "successful_payment": payment_of(payload, charge, stars) })));
    api.until_confirmed(update).await;
}

/// What Stars were paid has gone back.
async fn goes_back(api: &BotApi, payload: &str, charge: &str) {
    let back =
        json!({ "refunded_payment": payment_of(payload, charge, 500), "from": { "id": 9, "is_bot": true } });
    let update = api.happens(message(back));
    api.until_confirmed(update).await;
}

/// Somebody is about to pay: what they are told.
async fn checkout(api: &BotApi, payload: &str, currency: &str, stars: i64) -> Value {
    let nth = api.count("answerPreCheckoutQuery") + 1;
    api.happens(json!({ "pre_checkout_query": {
        "id": format!("q{nth}"), "from": { "id": PAYER, "is_bot": false },
        "currency": currency, "total_amount": stars, "invoice_payload": payload,
    } }));
    let answer = api.call("answerPreCheckoutQuery", nth).await.body;
    assert_eq!(answer["pre_checkout_query_id"], format!("q{nth}"));
    answer
}

async fn balance(server: &Server) -> String {
    server.balance().await.to_string()
}

async fn row(server: &Server, id: &str) -> PaymentRow {
    server.app.pages.payment(id).await.unwrap().unwrap()
}

#[tokio::test]
async fn stars_that_are_paid_are_booked_once() {
    let api = BotApi::start().await;
    let server = start(&api).await;
    let mut anna = seated(&server).await;
    let id = begin(&mut anna).await;
    let invoice = api.call("createInvoiceLink", 1).await.body;
    assert_eq!((&invoice["payload"], &invoice["currency"]), (&json!(id), &json!("XTR")));
    assert_eq!(invoice["prices"], json!([{ "label": "10 credits", "amount": 500 }]));
    let asks = api.call("getUpdates", 1).await.body;
    assert!(asks["allowed_updates"].as_array().unwrap().contains(&json!("pre_checkout_query")), "{asks}");
    let page = anna.open(&format!("/budget/payments/{id}")).await;
    assert!(page.text().contains("href=\"https://t.me/$invoice\""), "{}", page.text());
    assert!(page.text().contains("10 credits for 500 Stars"));

    assert_eq!(checkout(&api, &id, "XTR", 500).await["ok"], true);
    assert_eq!(balance(&server).await, "100", "nothing is paid yet");
    for _ in 0..3 {
        pays(&api, &id, "ch_1", 500).await;
        assert_eq!(balance(&server).await, "110");
    }
    let paid = row(&server, &id).await;
    assert_eq!((paid.state, paid.payer.as_str()), (PaymentState::Paid, "42"));
    assert!(server.app.pages.booking("stars:ch_1").await.unwrap().is_some());
    assert_eq!(checkout(&api, &id, "XTR", 500).await["ok"], false, "it is paid");
    server.stop();
}

#[tokio::test]
async fn nobody_may_pay_for_nothing() {
    let api = BotApi::start().await;
    let server = start(&api).await;
    let id = begin(&mut seated(&server).await).await;
    for (payload, currency, stars) in
        [("unknown", "XTR", 500), (id.as_str(), "XTR", 499), (&id, "XTR", 501), (&id, "USD", 500)]
    {
        let told = checkout(&api, payload, currency, stars).await;
        assert_eq!(told["ok"], false, "{payload} {currency} {stars}");
        assert!(told["error_message"].as_str().unwrap().contains("Begin a new payment"), "{told}");
    }
    server.app.clock.advance(Duration::from_secs(24 * 3600 + 1));
    assert_eq!(checkout(&api, &id, "XTR", 500).await["ok"], false, "too old");
    for (payload, stars) in [("unknown", 500), (id.as_str(), 499)] {
        pays(&api, payload, "ch_1", stars).await;
        assert_eq!(balance(&server).await, "100", "{payload} {stars}");
    }
    let log = server.app.pages.audit_log(None, None, 10).await.unwrap();
    assert!(log.iter().any(|(_, entry)| entry.action == "payment.mismatch"));
    // Whoever was let through before, and pays late, has paid.
    pays(&api, &id, "ch_2", 500).await;
    assert_eq!(balance(&server).await, "110");
    server.stop();
}

#[tokio::test]
async fn two_who_pay_for_one_link_have_both_paid() {
    let api = BotApi::start().await;
    let server = start(&api).await;
    let id = begin(&mut seated(&server).await).await;
    for _ in 0..2 {
        pays(&api, &id, "ch_1", 500).await;
        pays(&api, &id, "ch_2", 500).await;
    }
    assert_eq!(balance(&server).await, "120");
    let second = server.app.pages.payment_of(Collector::Stars, "ch_2").await.unwrap().unwrap();
    assert_eq!(second.state, PaymentState::Paid);
    goes_back(&api, &id, "ch_2").await;
    goes_back(&api, &id, "ch_2").await;
    assert_eq!((balance(&server).await.as_str(), row(&server, &id).await.state), ("110", PaymentState::Paid));
    server.stop();
}

#[tokio::test]
async fn the_operator_gives_stars_back() {
    let api = BotApi::start().await;
    let server = start(&api).await;
    let id = begin(&mut seated(&server).await).await;
    pays(&api, &id, "ch_1", 500).await;
    server.appoint(OTTO).await;
    let mut otto = Browser::new(&server);
    otto.log_in(&server, OTTO).await;
    let customer = server.app.pages.customer_named("alice").await.unwrap().unwrap();
    let page = otto.open(&format!("/operator/accounts/{}", customer.0)).await;
    let refund = format!("/operator/payments/{id}/refund");
    assert!(page.text().contains(&format!("href=\"{refund}\"")), "{}", page.text());
    let page = otto.open(&refund).await;
    assert!(
        page.text().contains("Give 500 Stars back?") && page.text().contains("which is 110"),
        "{}",
        page.text()
    );

    api.fail("refundStarPayment", [error(400, "Bad Request: BALANCE_TOO_LOW")]);
    let page = otto.submit(&refund, &[]).await;
    assert!(page.text().contains("Telegram did not give the Stars back"), "{}", page.text());
    assert_eq!(balance(&server).await, "110");
    // It was done, and nobody heard so: the next time it is known.
    api.fail("refundStarPayment", [Fault::Deaf]);
    otto.open(&refund).await;
    let page = otto.submit(&refund, &[]).await;
    assert!(page.text().contains("Telegram did not give the Stars back"), "{}", page.text());
    otto.open(&refund).await;
    let page = otto.submit(&refund, &[]).await;
    assert!(page.text().contains("The payment went back"), "{}", page.text());
    assert_eq!(
        (balance(&server).await.as_str(), row(&server, &id).await.state),
        ("100", PaymentState::Refunded)
    );
    let asked = api.call("refundStarPayment", 3).await.body;
    assert_eq!(asked, json!({ "user_id": PAYER, "telegram_payment_charge_id": "ch_1" }));

    goes_back(&api, &id, "ch_1").await;
    otto.open("/operator").await;
    otto.submit(&refund, &[]).await;
    assert_eq!(balance(&server).await, "100", "once");
    assert_eq!(api.count("refundStarPayment"), 3);
    pays(&api, &id, "ch_1", 500).await;
    assert_eq!(balance(&server).await, "100", "an old update");
    assert_eq!(otto.get("/operator/payments/unknown/refund").await.status, 404);
    server.stop();
}

#[tokio::test]
async fn a_crash_between_the_booking_and_the_mark_books_nothing_twice() {
    let api = BotApi::start().await;
    let server = start(&api).await;
    let id = begin(&mut seated(&server).await).await;
    let command = Command::Credit {
        now: server.app.clock.now(),
        account: server.account("alice", Mode::Live).await.id,
        kind: Kind::Deposit,
        amount: "10".parse().unwrap(),
        reference: Some("stars:ch_1".to_owned()),
        reason: "before the crash".to_owned(),
    };
    server.app.engine.submit(command).await.unwrap();
    pays(&api, &id, "ch_1", 500).await;
    assert_eq!((balance(&server).await.as_str(), row(&server, &id).await.state), ("110", PaymentState::Paid));
    server.stop();
}

#[tokio::test]
async fn a_bot_that_fails_leaves_nothing_behind_to_be_paid() {
    let api = BotApi::start().await;
    let server = start(&api).await;
    let mut anna = seated(&server).await;
    api.fail("createInvoiceLink", [error(400, "Bad Request: STARS_INVOICE_INVALID")]);
    let page = anna.submit("/budget/add", &[("amount", "10"), ("method", "stars")]).await;
    assert!(page.text().contains("could not be begun just now"), "{}", page.text());
    let odd = json!({ "ok": true, "result": "javascript:alert(1)" }).to_string();
    api.fail("createInvoiceLink", [Fault::Answer(200, odd)]);
    let page = anna.submit("/budget/add", &[("amount", "10"), ("method", "stars")]).await;
    assert!(page.text().contains("could not be begun just now"), "{}", page.text());
    let account = server.account("alice", Mode::Live).await.id;
    let rows = server.app.pages.payments(account, 10).await.unwrap();
    assert!(rows.len() == 2 && rows.iter().all(|row| row.state == PaymentState::Failed), "{rows:?}");
    server.stop();
}

/// Another bot of the same house hears of a payment that is not its own.
#[tokio::test]
async fn a_bot_that_collects_nothing_is_not_believed() {
    let (api, other) = (BotApi::start().await, BotApi::start().await);
    let server = Server::start(|setup| {
        setup.clock_at(NOW);
        let name = |text: &str| ChannelName::parse(text).unwrap();
        setup.settings.channels.insert(name("bot"), bot(&api));
        setup.settings.channels.insert(name("other"), bot(&other));
        setup.settings.funding.stars =
            Some(StarsSettings { channel: name("bot"), per_credit: NonZeroU32::new(50).unwrap() });
    })
    .await;
    let id = begin(&mut seated(&server).await).await;
    assert_eq!(checkout(&other, &id, "XTR", 500).await["ok"], false);
    pays(&other, &id, "ch_1", 500).await;
    assert_eq!(balance(&server).await, "100");
    pays(&api, &id, "ch_1", 500).await;
    goes_back(&other, &id, "ch_1").await;
    assert_eq!(balance(&server).await, "110");
    server.stop();
}
