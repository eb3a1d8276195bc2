//! Adding funds: play money at once; real money by whoever the operator has collect it.

use super::form::{Form, Posted};
use super::path::Named;
use super::shell::{Shell, show};
use super::show::{At, at};
use super::trouble::{Trouble, see_other};
use super::visit::{Act, Seat};
use crate::app::App;
use crate::channels::telegram::Invoice;
use crate::funding::stripe::Order;
use crate::funding::{LINK_LIFE, STARS_CURRENCY, price, shown, units};
use crate::store::console::payments::{self, Collector, PaymentRow, PaymentState};
use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use chappe_core::ledger;
use chappe_core::{Command, Mode, Money};
use std::sync::Arc;
use std::time::Duration;

/// The most play money that is added at once.
const PLAY_MAX: Money = Money::from_micros(1_000_000_000);
/// How many payments an account may begin within [`BEGUN_WITHIN`].
const BEGUN_MAX: i64 = 20;
const BEGUN_WITHIN: Duration = Duration::from_secs(3600);
/// How many letters and digits a payment's name has: 142 bits.
const ID_LENGTH: usize = 24;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/budget/add", get(page).post(add))
        .route("/budget/payments/{payment}", get(payment_page))
}

#[derive(Template)]
#[template(path = "funds.html")]
struct FundsPage {
    shell: Shell,
    form: Form,
    methods: Vec<Method>,
    least: Money,
    most: Money,
    reference: String,
}

/// A way to pay.
struct Method {
    value: &'static str,
    label: &'static str,
    hint: String,
}

#[derive(Template)]
#[template(path = "payment.html")]
struct PaymentPage {
    shell: Shell,
    state: &'static str,
    amount: Money,
    price: String,
    with: &'static str,
    link: String,
    refunded: String,
    begun: At,
}

/// Whom a payment is paid with, as people know them.
pub(super) fn called(collector: Collector) -> &'static str {
    match collector {
        Collector::Stripe => "Stripe",
        Collector::Stars => "Telegram Stars",
    }
}

fn methods(app: &App) -> Vec<Method> {
    let funding = &app.settings.funding;
    let one = Money::from_micros(1_000_000);
    let method = |collector: Collector, price: String| Method {
        value: collector.as_str(),
        label: called(collector),
        hint: format!("{} for a credit", shown(&price)),
    };
    let stripe = funding
        .stripe
        .as_ref()
        .map(|stripe| method(Collector::Stripe, price(units(one, stripe.per_credit), &stripe.currency)));
    let stars = funding
        .stars
        .as_ref()
        .map(|stars| method(Collector::Stars, price(units(one, stars.per_credit), STARS_CURRENCY)));
    stripe.into_iter().chain(stars).collect()
}

async fn page(seat: Seat) -> Result<Response, Trouble> {
    seat.may(Act::AddFunds)?;
    let first = methods(seat.app()).first().map_or("", |method| method.value);
    let amount = if seat.mode == Mode::Test { "100" } else { "" };
    let form = Form::filled([("amount", amount.to_owned()), ("method", first.to_owned())]);
    show_form(&seat, form).await
}

async fn show_form(seat: &Seat, form: Form) -> Result<Response, Trouble> {
    let funding = &seat.app().settings.funding;
    show(&FundsPage {
        shell: seat.shell("/budget").await?,
        form,
        methods: methods(seat.app()),
        least: funding.least,
        most: funding.most,
        reference: format!("{} {}", seat.member.name, seat.account.0),
    })
}

/// Reads an amount within its bounds; a fault of its field otherwise.
fn amount(form: &mut Form, least: Money, most: Money) -> Option<Money> {
    match form.value("amount").parse::<Money>() {
        Ok(amount) if (least..=most).contains(&amount) => Some(amount),
        Ok(_) => {
            form.fault("amount", format!("Write an amount from {least} to {most}."));
            None
        }
        Err(_) => {
            form.fault("amount", "Write an amount such as 25 or 2.50.");
            None
        }
    }
}

async fn add(Posted { visit, mut form }: Posted) -> Result<Response, Trouble> {
    let seat = visit.seat()?;
    seat.may(Act::AddFunds)?;
    if seat.mode == Mode::Test {
        return add_play_money(&seat, form).await;
    }
    seat.visit.confirmed("/budget/add")?;
    let funding = &seat.app().settings.funding;
    let amount = amount(&mut form, funding.least, funding.most);
    let known = methods(seat.app()).iter().any(|method| method.value == form.value("method"));
    let collector = Collector::parse(form.value("method")).filter(|_| known);
    let (Some(amount), Some(collector)) = (amount, collector) else {
        if collector.is_none() {
            form.fault("method", "Choose how to pay.");
        }
        return show_form(&seat, form).await;
    };
    match begin(&seat, collector, amount).await? {
        Ok(payment) => Ok(see_other(&format!("/budget/payments/{payment}"))),
        Err(why) => {
            form.fault("amount", why);
            show_form(&seat, form).await
        }
    }
}

async fn add_play_money(seat: &Seat, mut form: Form) -> Result<Response, Trouble> {
    let Some(amount) = amount(&mut form, Money::from_micros(1), PLAY_MAX) else {
        return show_form(seat, form).await;
    };
    let command = Command::Credit {
        now: seat.visit.now,
        account: seat.account,
        kind: ledger::Kind::Deposit,
        amount,
        reference: None,
        reason: format!("play money for {}", seat.visit.who()),
    };
    match seat.app().engine.submit(command).await {
        Ok(_) => {
            seat.app().tell_pages(seat.account);
            Ok(see_other("/budget?said=added"))
        }
        Err(crate::engine::Failure::Rejected(_)) => {
            form.fault("amount", "So much the account cannot hold.");
            show_form(seat, form).await
        }
        Err(failure) => Err(failure.into()),
    }
}

/// Notes a payment, and has a page made where it is paid. The inner error is for people.
async fn begin(
    seat: &Seat,
    collector: Collector,
    amount: Money,
) -> Result<Result<String, &'static str>, Trouble> {
    let app = seat.app();
    let now = seat.visit.now;
    if app.pages.payments_begun(seat.account, now - BEGUN_WITHIN).await? >= BEGUN_MAX {
        return Ok(Err("Too many payments were begun within an hour. Pay one of them, or wait."));
    }
    let id = app.random.alphanumeric(ID_LENGTH)?;
    let price = price_of(app, collector, amount).ok_or(Trouble::NotFound)?;
    let row = PaymentRow {
        id: id.clone(),
        collector,
        account: seat.account,
        amount,
        price: price.clone(),
        link: String::new(),
        state: PaymentState::Open,
        charge: None,
        payer: String::new(),
        refunded: Money::ZERO,
        created_at: now,
    };
    let detail = format!("{amount} for {} by {}", shown(&price), called(collector));
    seat.visit.change(payments::begin(&row).noted(&seat.entry("payment.begin", detail))).await?;
    match offer(app, &row).await {
        Ok(link) => {
            seat.visit.change(payments::offer(&id, &link, now)).await?;
            Ok(Ok(id))
        }
        Err(error) => {
            tracing::error!(%error, collector = collector.as_str(), "a payment could not be begun");
            seat.visit.change(payments::fail(&id, now)).await?;
            Ok(Err("The payment could not be begun just now. Try again in a moment, or another way."))
        }
    }
}

fn price_of(app: &App, collector: Collector, amount: Money) -> Option<String> {
    let funding = &app.settings.funding;
    match collector {
        Collector::Stripe => {
            funding.stripe.as_ref().map(|stripe| price(units(amount, stripe.per_credit), &stripe.currency))
        }
        Collector::Stars => {
            funding.stars.as_ref().map(|stars| price(units(amount, stars.per_credit), STARS_CURRENCY))
        }
    }
}

/// Asks the collector where the payment is to be paid.
async fn offer(app: &App, row: &PaymentRow) -> Result<String, String> {
    let units = row.price.split(' ').next().and_then(|units| units.parse().ok()).unwrap_or(i64::MAX);
    let title = format!("{} credits", row.amount);
    match row.collector {
        Collector::Stripe => {
            let stripe = app.funding.stripe.as_ref().ok_or("Stripe is not set up")?;
            let base = app.settings.public_url.as_deref().ok_or("public_url is not set")?;
            let back = format!("{base}/budget/payments/{}", row.id);
            let order = Order { payment: &row.id, units, title: &title, back: &back };
            stripe.open(&order).await.map_err(|error| error.to_string())
        }
        Collector::Stars => {
            let stars = app.settings.funding.stars.as_ref().ok_or("Stars are not set up")?;
            let bot = app.channels.outside(&stars.channel).and_then(|outside| outside.bot());
            let bot = bot.ok_or("the channel is no bot")?;
            let description = "Credits to send verification codes with.";
            let invoice = Invoice { title: &title, description, payload: &row.id, stars: units };
            let link = bot.create_invoice_link(&invoice).await.map_err(|error| error.to_string())?;
            // It is going to be followed from a page of ours.
            let good = url::Url::parse(&link).is_ok_and(|url| url.scheme() == "https");
            if good { Ok(link) } else { Err("its answer holds no address to pay at".to_owned()) }
        }
    }
}

async fn payment_page(seat: Seat, Named(id): Named<String>) -> Result<Response, Trouble> {
    seat.may(Act::SeeMoney)?;
    let found = seat.app().pages.payment(&id).await?;
    let row = found.filter(|row| row.account == seat.member.live).ok_or(Trouble::NotFound)?;
    let young = seat.visit.now.since(row.created_at) <= LINK_LIFE && !row.link.is_empty();
    let state = match row.state {
        PaymentState::Open if young => "open",
        PaymentState::Open => "late",
        other => other.as_str(),
    };
    show(&PaymentPage {
        shell: seat.shell("/budget").await?,
        state,
        amount: row.amount,
        price: shown(&row.price),
        with: called(row.collector),
        link: row.link,
        refunded: if row.refunded.is_positive() { row.refunded.to_string() } else { String::new() },
        begun: at(row.created_at),
    })
}
