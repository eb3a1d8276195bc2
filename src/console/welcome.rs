//! The first visit: who are you? And later: which customer's pages, and of which account.

use super::form::{Form, Posted};
use super::invitations::Invitation;
use super::login::back_to;
use super::path::up;
use super::shell::show;
use super::trouble::{Trouble, see_other};
use super::visit::Visit;
use crate::app::App;
use crate::engine::Chore;
use crate::store::console::people::{CustomerId, Profile, Role, describe, join, rename};
use crate::store::console::sessions;
use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use chappe_core::ledger::Kind;
use chappe_core::{Command, Mode, Money};
use std::sync::Arc;

/// How many names are tried for a customer whose own is taken.
const NAMES_MAX: u32 = 20;
/// What a new customer has to play with: of no worth, on its test account alone; under `chappe dev`, on both.
const PLAY_MONEY_MICROS: i64 = 100_000_000;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route("/welcome", get(page).post(answer)).route("/switch", get(up).post(switch))
}

#[derive(Template)]
#[template(path = "welcome.html")]
struct WelcomePage {
    form: Form,
    csrf: String,
    invitations: Vec<Invitation>,
    /// Whether everybody may have an account.
    open: bool,
    /// The number with its middle hidden.
    phone: String,
}

fn show_form(visit: &Visit, form: Form) -> Result<Response, Trouble> {
    let phone = format!("+{}", visit.session.person.phone.masked());
    let invitations = visit.invitations.iter().map(Invitation::from).collect();
    show(&WelcomePage {
        form,
        csrf: visit.csrf(),
        invitations,
        open: visit.app.settings.console.sign_up,
        phone,
    })
}

async fn page(visit: Visit) -> Result<Response, Trouble> {
    if !visit.memberships.is_empty() {
        return Ok(see_other("/overview"));
    }
    let form = Form::filled([("name", visit.session.person.name.clone())]);
    show_form(&visit, form)
}

/// Reads what a customer says of itself.
pub(super) fn profile_of(form: &mut Form) -> Profile {
    let profile = Profile {
        company: form.text("company", 100, true),
        email: form.text("email", 200, true),
        country: form.text("country", 60, true),
        city: form.text("city", 100, true),
        website: form.text("website", 200, false),
        purpose: form.text("purpose", 1_000, true),
    };
    let at = profile.email.split_once('@');
    if !profile.email.is_empty() && !at.is_some_and(|(name, host)| !name.is_empty() && host.contains('.')) {
        form.fault("email", "Write an e-mail address, such as you@example.com.");
    }
    let scheme = ["https://", "http://"].iter().any(|scheme| profile.website.starts_with(scheme));
    if !profile.website.is_empty() && !scheme {
        form.fault("website", "Write the whole address, such as https://example.com.");
    }
    profile
}

async fn answer(Posted { visit, mut form }: Posted) -> Result<Response, Trouble> {
    if !visit.memberships.is_empty() {
        return Ok(see_other("/overview"));
    }
    // Somebody whose invitation is gone has nothing to found where not everybody may sign up.
    if !visit.app.settings.console.sign_up {
        return Err(Trouble::Forbidden);
    }
    let name = form.text("name", 100, true);
    let profile = profile_of(&mut form);
    if !form.is_good() {
        return show_form(&visit, form);
    }
    let customer = found(&visit, &profile).await?;
    let person = visit.session.person.id;
    let entry = |action: &str, detail: &str| {
        let mut entry = visit.entry(action, detail);
        entry.customer = Some(customer);
        entry
    };
    let change = join(customer, person, Role::Owner, visit.now)
        .with(rename(person, &name))
        .with(describe(customer, &profile))
        .with(sessions::turn(visit.digest, customer, Mode::Live))
        .noted(&entry("customer.create", &profile.company));
    visit.change(change).await?;
    give_play_money(&visit, customer).await?;
    Ok(see_other("/overview?said=welcome"))
}

/// Creates the customer, under the name of its company or one that is free beside it.
async fn found(visit: &Visit, profile: &Profile) -> Result<CustomerId, Trouble> {
    for number in 1..=NAMES_MAX {
        let name = match number {
            1 => profile.company.clone(),
            _ => format!("{} {number}", profile.company),
        };
        if visit.app.engine.chore(Chore::CreateCustomer(name.clone(), visit.now)).await? {
            return visit.app.pages.customer_named(&name).await?.ok_or(Trouble::Internal);
        }
    }
    Err(Trouble::Busy)
}

async fn give_play_money(visit: &Visit, customer: CustomerId) -> Result<(), Trouble> {
    let memberships = visit.app.pages.memberships(visit.session.person.id).await?;
    let Some(member) = memberships.into_iter().find(|one| one.customer == customer) else { return Ok(()) };
    let modes: &[Mode] = if visit.app.settings.dev { &[Mode::Live, Mode::Test] } else { &[Mode::Test] };
    for mode in modes {
        let command = Command::Credit {
            now: visit.now,
            account: member.account(*mode),
            kind: Kind::Deposit,
            amount: Money::from_micros(PLAY_MONEY_MICROS),
            reference: None,
            reason: "to begin with".to_owned(),
        };
        visit.app.engine.submit(command).await?;
    }
    Ok(())
}

/// Turns to another customer, or to the other account of the same.
async fn switch(Posted { visit, form }: Posted) -> Result<Response, Trouble> {
    let back = back_to(&form);
    let seat = visit.clone().seat()?;
    let customer = match form.value("customer") {
        "" => seat.member.customer,
        chosen => {
            let chosen = chosen.parse().map(CustomerId).map_err(|_| Trouble::NotFound)?;
            let member = visit.memberships.iter().find(|one| one.customer == chosen);
            member.ok_or(Trouble::NotFound)?.customer
        }
    };
    let mode = Mode::parse(form.value("mode")).unwrap_or(seat.mode);
    visit.change(sessions::turn(visit.digest, customer, mode)).await?;
    Ok(see_other(&back))
}
