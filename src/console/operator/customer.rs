//! One customer: its balances, its people, and money by hand.

use super::{Desk, Pair};
use crate::console::budget::{Line, line};
use crate::console::form::{Form, Posted};
use crate::console::funds::called;
use crate::console::path::Named;
use crate::console::shell::{Shell, show};
use crate::console::show::{At, at, utc};
use crate::console::trouble::{Trouble, see_other};
use crate::engine::Failure;
use crate::funding::shown;
use crate::store::Change;
use crate::store::console::audit_log::Entry;
use crate::store::console::movements::{MovementFilter, Side};
use crate::store::console::payments::{Collector, PaymentRow, PaymentState};
use crate::store::console::people::{CustomerId, CustomerRow};
use crate::store::{BookingRow, TokenRow};
use askama::Template;
use axum::response::Response;
use chappe_core::ledger::Kind;
use chappe_core::{AccountId, Command, Mode, Money, Outcome, Rejection};

/// How many movements, payments and senders the page shows.
const NEWEST: i64 = 20;
/// How many tokens it shows.
const TOKENS: usize = 50;

#[derive(Template)]
#[template(path = "operator_account.html")]
struct AccountPage {
    shell: Shell,
    id: i64,
    name: String,
    facts: Vec<Pair>,
    balances: Vec<Balance>,
    credit: Form,
    adjust: Form,
    members: Vec<Member>,
    tokens: Vec<Token>,
    senders: Vec<Sender>,
    payments: Vec<Payment>,
    movements: Vec<Line>,
}

struct Balance {
    label: &'static str,
    amount: Money,
    note: String,
}

struct Member {
    name: String,
    phone: String,
    role: String,
    since: At,
}

struct Token {
    name: String,
    mode: &'static str,
    state: &'static str,
    used: Option<At>,
}

struct Sender {
    username: String,
    state: &'static str,
}

struct Payment {
    begun: At,
    with: &'static str,
    amount: Money,
    price: String,
    charge: String,
    state: &'static str,
    /// Where it is given back, if it can be.
    refund: String,
}

/// A customer with its accounts.
struct Found {
    row: CustomerRow,
    live: AccountId,
    test: AccountId,
}

impl Found {
    fn account(&self, mode: Mode) -> AccountId {
        match mode {
            Mode::Live => self.live,
            Mode::Test => self.test,
        }
    }
}

async fn find(desk: &Desk, id: CustomerId) -> Result<Found, Trouble> {
    let pages = &desk.app().pages;
    let row = pages.customer(id).await?.ok_or(Trouble::NotFound)?;
    let (live, test) = pages.accounts_of(id).await?.ok_or(Trouble::NotFound)?;
    Ok(Found { row, live, test })
}

pub(super) async fn page(desk: Desk, Named(id): Named<i64>) -> Result<Response, Trouble> {
    let found = find(&desk, CustomerId(id)).await?;
    show_page(&desk, found, Form::default(), Form::default()).await
}

async fn show_page(desk: &Desk, found: Found, credit: Form, adjust: Form) -> Result<Response, Trouble> {
    let pages = &desk.app().pages;
    let Found { row, live, test } = found;
    let movements = pages.movements(live, &MovementFilter::default(), Side::Before(i64::MAX), NEWEST).await?;
    let mut tokens = pages.tokens(Some(live)).await?;
    tokens.extend(pages.tokens(Some(test)).await?);
    let member = |member: crate::store::console::people::MemberRow| Member {
        name: if member.person.name.is_empty() { "—".to_owned() } else { member.person.name },
        phone: format!("+{}", member.person.phone.masked()),
        role: member.role.to_string(),
        since: at(member.since),
    };
    let balance = |label, amount, note: &str| Balance { label, amount, note: note.to_owned() };
    let warned = row.low_balance.map_or_else(String::new, |below| format!("warned below {below}"));
    let senders = pages.sender_lines(Some(row.id), NEWEST).await?;
    show(&AccountPage {
        shell: desk.shell("/operator"),
        id: row.id.0,
        facts: facts(&row),
        balances: vec![
            balance("Live", pages.balance(live).await?, &warned),
            balance("Test", pages.balance(test).await?, "play money"),
        ],
        name: row.name,
        credit,
        adjust,
        members: pages.members(row.id).await?.into_iter().map(member).collect(),
        tokens: tokens.into_iter().take(TOKENS).map(|row| token(row, desk)).collect(),
        senders: senders
            .into_iter()
            .map(|row| Sender { state: super::senders::state(&row), username: row.username })
            .collect(),
        payments: pages.payments(live, NEWEST).await?.into_iter().map(payment).collect(),
        movements: movements.into_iter().map(|row| line(row, false)).collect(),
    })
}

fn facts(row: &CustomerRow) -> Vec<Pair> {
    let profile = &row.profile;
    let fact = |label, value: &String| Pair { label, value: value.clone() };
    let said = [
        fact("Company", &profile.company),
        fact("E-mail", &profile.email),
        fact("Country", &profile.country),
        fact("City", &profile.city),
        fact("Website", &profile.website),
        fact("Purpose", &profile.purpose),
        fact("Since", &utc(row.created_at, "%Y-%m-%d")),
    ];
    said.into_iter().filter(|fact| !fact.value.is_empty()).collect()
}

fn token(row: TokenRow, desk: &Desk) -> Token {
    let now = desk.0.now;
    let ended = row.revoked_at.is_some_and(|end| end <= now) || row.expires_at.is_some_and(|end| end <= now);
    Token {
        name: row.name,
        mode: row.mode.as_str(),
        state: if ended { "ended" } else { "" },
        used: row.last_used.map(|(used, _)| at(used)),
    }
}

fn payment(row: PaymentRow) -> Payment {
    let refundable = row.collector == Collector::Stars && row.state == PaymentState::Paid;
    Payment {
        begun: at(row.created_at),
        with: called(row.collector),
        amount: row.amount,
        price: shown(&row.price),
        charge: row.charge.unwrap_or_default(),
        state: row.state.as_str(),
        refund: if refundable { format!("/operator/payments/{}/refund", row.id) } else { String::new() },
    }
}

/// Which of the customer's accounts a form means.
fn mode(form: &Form) -> Mode {
    Mode::parse(form.value("mode")).unwrap_or(Mode::Live)
}

/// Books a payment.
pub(super) async fn credit(
    Named(id): Named<i64>,
    Posted { visit, mut form }: Posted,
) -> Result<Response, Trouble> {
    let desk = Desk::of(visit)?;
    let found = find(&desk, CustomerId(id)).await?;
    let here = format!("/operator/accounts/{}", found.row.id.0);
    desk.0.confirmed(&here)?;
    let amount = form.value("amount").parse::<Money>().ok().filter(|amount| amount.is_positive());
    if amount.is_none() {
        form.fault("amount", "Write an amount above zero, such as 25 or 2.50.");
    }
    let reference = form.text("reference", 64, true);
    let reason = form.text("reason", 200, true);
    let (Some(amount), true) = (amount, form.is_good()) else {
        return show_page(&desk, found, form, Form::default()).await;
    };
    let booking = Booking {
        account: found.account(mode(&form)),
        kind: Kind::Deposit,
        amount,
        reference: Some(reference.clone()),
        reason,
    };
    match book(&desk, &found, "account.credit", booking).await? {
        Ok(said) => Ok(see_other(&format!("{here}?said={said}"))),
        Err(why) => {
            let field = if why.starts_with("This reference") { "reference" } else { "amount" };
            form.fault(field, why);
            show_page(&desk, found, form, Form::default()).await
        }
    }
}

/// Corrects a balance.
pub(super) async fn adjust(
    Named(id): Named<i64>,
    Posted { visit, mut form }: Posted,
) -> Result<Response, Trouble> {
    let desk = Desk::of(visit)?;
    let found = find(&desk, CustomerId(id)).await?;
    let here = format!("/operator/accounts/{}", found.row.id.0);
    desk.0.confirmed(&here)?;
    let change = form.value("change").trim_start_matches('+').parse::<Money>();
    let change = change.ok().filter(|change| *change != Money::ZERO);
    if change.is_none() {
        form.fault("change", "Write an amount with its sign, such as -1.50.");
    }
    let reason = form.text("why", 200, true);
    let (Some(amount), true) = (change, form.is_good()) else {
        return show_page(&desk, found, Form::default(), form).await;
    };
    let account = found.account(mode(&form));
    let booking = Booking { account, kind: Kind::Adjustment, amount, reference: None, reason };
    match book(&desk, &found, "account.adjust", booking).await? {
        Ok(said) => Ok(see_other(&format!("{here}?said={said}"))),
        Err(why) => {
            form.fault("change", why);
            show_page(&desk, found, Form::default(), form).await
        }
    }
}

/// Money to be moved by hand.
struct Booking {
    account: AccountId,
    kind: Kind,
    amount: Money,
    reference: Option<String>,
    reason: String,
}

/// Notes and books it. Gives what the next page is to say, or what is wrong.
async fn book(
    desk: &Desk,
    found: &Found,
    action: &str,
    booking: Booking,
) -> Result<Result<&'static str, String>, Trouble> {
    let Booking { account, kind, amount, reference, reason } = booking;
    let mode = if account == found.live { Mode::Live } else { Mode::Test };
    let named = reference.as_ref().map(|reference| format!(" ({reference})")).unwrap_or_default();
    let detail = format!("{amount} to the {} account{named}: {reason}", mode.as_str());
    let command =
        Command::Credit { now: desk.0.now, account, kind, amount, reference: reference.clone(), reason };
    // An entry too many does less harm than one too few.
    let entry = Entry { customer: Some(found.row.id), ..desk.0.entry(action, detail) };
    desk.0.change(Change::default().noted(&entry)).await?;
    match desk.app().engine.submit(command).await {
        Ok(Outcome::AlreadyCredited) => {
            let booked = desk.app().pages.booking(&reference.unwrap_or_default()).await?;
            Ok(match booked {
                Some(BookingRow { account: of, customer, mode, amount: booked })
                    if (of, booked) != (account, amount) =>
                {
                    let mode = mode.as_str();
                    Err(format!(
                        "This reference was used before, for {booked} to the {mode} account of {customer}."
                    ))
                }
                _ => Ok("booked-before"),
            })
        }
        Ok(_) => {
            desk.app().tell_pages(account);
            Ok(Ok("booked"))
        }
        Err(Failure::Rejected(Rejection::BalanceNotEnough)) => {
            let left = desk.app().pages.balance(account).await?;
            Ok(Err(format!("The account has only {left}.")))
        }
        Err(Failure::Rejected(_)) => Ok(Err("So much the account cannot hold.".to_owned())),
        Err(failure) => Err(failure.into()),
    }
}
