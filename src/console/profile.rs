//! What people and customers say of themselves, and where somebody is logged in.

use super::form::{Form, Posted};
use super::path::up;
use super::shell::{Shell, show};
use super::show::{At, at, device};
use super::trouble::{Trouble, see_other};
use super::visit::{Act, Seat, Visit};
use super::welcome::profile_of;
use crate::app::App;
use crate::engine::Chore;
use crate::store::Change;
use crate::store::console::people::{Profile, describe, rename};
use crate::store::console::sessions::{IDLE_MAX, SessionRow, close_one, close_others};
use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use chappe_core::{Mode, Phone};
use std::sync::Arc;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/profile", get(page).post(call_me))
        .route("/profile/customer", get(up).post(change_customer))
        .route("/profile/own-number", get(up).post(set_own_number))
        .route("/sessions", get(sessions))
        .route("/sessions/end", get(up).post(end_one))
        .route("/sessions/others", get(up).post(end_others))
}

#[derive(Template)]
#[template(path = "profile.html")]
struct ProfilePage {
    shell: Shell,
    form: Form,
    /// The person's number, with its middle hidden.
    phone: String,
    customer: Option<CustomerPart>,
}

/// What the page says of the customer.
struct CustomerPart {
    form: Form,
    can_edit: bool,
    /// The number to which messages are free, with its middle hidden; empty for none.
    own_number: String,
    /// Whether that is the person's.
    own_is_mine: bool,
}

#[derive(Template)]
#[template(path = "sessions.html")]
struct SessionsPage {
    shell: Shell,
    rows: Vec<Row>,
    others: usize,
}

struct Row {
    id: i64,
    device: String,
    address: String,
    since: At,
    seen: At,
    current: bool,
}

/// What stands around pages that are the person's own: those of a customer, or of the gateway that they run.
async fn around(visit: &Visit) -> Result<(Shell, Option<Seat>), Trouble> {
    match visit.clone().seat() {
        Ok(seat) => Ok((seat.shell("/profile").await?, Some(seat))),
        Err(_) if visit.session.person.operator => Ok((Shell::of_operator(visit, "/profile"), None)),
        Err(trouble) => Err(trouble),
    }
}

async fn page(visit: Visit) -> Result<Response, Trouble> {
    show_page(&visit, None, None).await
}

/// The page, with forms as they were sent if something is wrong with them.
async fn show_page(visit: &Visit, own: Option<Form>, customer: Option<Form>) -> Result<Response, Trouble> {
    let (shell, seat) = around(visit).await?;
    let person = &visit.session.person;
    show(&ProfilePage {
        shell,
        form: own.unwrap_or_else(|| Form::filled([("name", person.name.clone())])),
        phone: format!("+{}", person.phone.masked()),
        customer: match &seat {
            Some(seat) => Some(customer_part(seat, customer).await?),
            None => None,
        },
    })
}

async fn customer_part(seat: &Seat, form: Option<Form>) -> Result<CustomerPart, Trouble> {
    let own_number = own_number(seat).await?;
    let form = match form {
        Some(form) => form,
        None => {
            let customer = seat.app().pages.customer(seat.member.customer).await?;
            filled(customer.ok_or(Trouble::NotFound)?.profile)
        }
    };
    Ok(CustomerPart {
        form,
        can_edit: Act::Manage.is_for(seat.member.role),
        own_number: own_number.map(|phone| format!("+{}", phone.masked())).unwrap_or_default(),
        own_is_mine: own_number == Some(seat.visit.session.person.phone),
    })
}

fn filled(profile: Profile) -> Form {
    let Profile { company, email, country, city, website, purpose } = profile;
    Form::filled([
        ("company", company),
        ("email", email),
        ("country", country),
        ("city", city),
        ("website", website),
        ("purpose", purpose),
    ])
}

/// The number to which the customer's messages are free.
async fn own_number(seat: &Seat) -> Result<Option<Phone>, Trouble> {
    let account = seat.app().pages.account(&seat.member.name, Mode::Live).await?;
    Ok(account.own_number)
}

async fn call_me(Posted { visit, mut form }: Posted) -> Result<Response, Trouble> {
    let name = form.text("name", 100, true);
    if !form.is_good() {
        return show_page(&visit, Some(form), None).await;
    }
    visit.change(rename(visit.session.person.id, &name)).await?;
    Ok(see_other("/profile?said=saved"))
}

async fn change_customer(Posted { visit, mut form }: Posted) -> Result<Response, Trouble> {
    let seat = visit.clone().seat()?;
    seat.may(Act::Manage)?;
    let profile = profile_of(&mut form);
    if !form.is_good() {
        return show_page(&visit, None, Some(form)).await;
    }
    let entry = seat.entry("customer.describe", &profile.company);
    visit.change(describe(seat.member.customer, &profile).noted(&entry)).await?;
    Ok(see_other("/profile?said=saved"))
}

/// Makes the person's own number, which they have proven to be theirs, the one to which messages are free; or none.
async fn set_own_number(Posted { visit, form }: Posted) -> Result<Response, Trouble> {
    let seat = visit.seat()?;
    seat.may(Act::Manage)?;
    seat.visit.confirmed("/profile")?;
    let number = match form.value("number") {
        "mine" => Some(seat.visit.session.person.phone),
        "none" => None,
        _ => return Err(Trouble::Invalid),
    };
    let detail = number.map_or_else(|| "none".to_owned(), |number| format!("+{}", number.masked()));
    let entry = seat.entry("customer.own-number", detail);
    seat.visit.change(Change::default().noted(&entry)).await?;
    for account in [seat.member.live, seat.member.test] {
        seat.app().engine.chore(Chore::SetOwnNumber(account, number)).await?;
    }
    Ok(see_other("/profile?said=saved"))
}

async fn sessions(visit: Visit) -> Result<Response, Trouble> {
    let (shell, _) = around(&visit).await?;
    let (app, person) = (&visit.app, visit.session.person.id);
    let all = app.pages.sessions(person, visit.now - IDLE_MAX).await?;
    let row = |session: SessionRow| Row {
        id: session.id,
        device: device(&session.agent),
        address: session.address,
        since: at(session.created_at),
        seen: at(session.seen_at),
        current: session.id == visit.session.id,
    };
    let rows: Vec<Row> = all.into_iter().map(row).collect();
    show(&SessionsPage { shell, others: rows.iter().filter(|row| !row.current).count(), rows })
}

async fn end_one(Posted { visit, form }: Posted) -> Result<Response, Trouble> {
    let id: i64 = form.value("session").parse().map_err(|_| Trouble::NotFound)?;
    let change = close_one(visit.session.person.id, id).noted(&visit.entry("session.end", ""));
    let done = visit.change(change).await?;
    Ok(see_other(if done { "/sessions?said=session-ended" } else { "/sessions?said=gone" }))
}

async fn end_others(Posted { visit, .. }: Posted) -> Result<Response, Trouble> {
    let others = close_others(visit.session.person.id, visit.session.id);
    visit.change(others.noted(&visit.entry("session.end-others", ""))).await?;
    Ok(see_other("/sessions?said=sessions-ended"))
}
