//! Who may do what for a customer. Whoever is invited here can log in, say yes and so have what their role allows:
//! changes want the person to have lately proved who they are, as tokens and money do.

use super::confirm::ConfirmPage;
use super::form::{Form, Posted};
use super::login::person_of;
use super::path::Named;
use super::shell::{Shell, show};
use super::show::{At, at};
use super::trouble::{Trouble, see_other};
use super::visit::{Act, Seat, called};
use crate::app::App;
use crate::store::console::people::{MEMBERS_MAX, MemberRow, PersonId, Role, invite, part, set_role};
use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use chappe_core::Phone;
use std::sync::Arc;
use std::time::Duration;

/// How many people may be asked for a customer within [`INVITED_WITHIN`].
const INVITED_MAX: i64 = 50;
const INVITED_WITHIN: Duration = Duration::from_secs(24 * 3600);

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/team", get(list).post(ask))
        .route("/team/{person}", get(role_page).post(change_role))
        .route("/team/{person}/remove", get(remove_page).post(remove))
}

#[derive(Template)]
#[template(path = "team.html")]
struct TeamPage {
    shell: Shell,
    rows: Vec<Row>,
    form: Form,
    roles: Vec<Choice>,
    can_edit: bool,
    /// Whether the person has lately proved who they are.
    confirmed: bool,
}

#[derive(Template)]
#[template(path = "member.html")]
struct MemberPage {
    shell: Shell,
    id: i64,
    name: String,
    form: Form,
    roles: Vec<Choice>,
}

struct Row {
    href: String,
    name: String,
    phone: String,
    role: Role,
    /// Whether they said yes to it.
    accepted: bool,
    seen: Option<At>,
    you: bool,
}

struct Choice {
    value: &'static str,
    label: &'static str,
    hint: &'static str,
}

/// What each role is for, in words.
fn roles() -> Vec<Choice> {
    let choice = |role: Role| {
        let (label, hint) = match role {
            Role::Owner => ("Owner", "Everything, and who belongs to the team."),
            Role::Developer => ("Developer", "Requests, reports, tokens and senders; no money."),
            Role::Finance => ("Finance", "The overview and money; no numbers, no codes, no tokens."),
        };
        Choice { value: role.as_str(), label, hint }
    };
    Role::ALL.into_iter().map(choice).collect()
}

async fn list(seat: Seat) -> Result<Response, Trouble> {
    seat.may(Act::SeeTeam)?;
    show_list(&seat, Form::filled([("role", Role::Developer.to_string())])).await
}

async fn show_list(seat: &Seat, form: Form) -> Result<Response, Trouble> {
    let members = seat.app().pages.members(seat.member.customer).await?;
    let can_edit = Act::Manage.is_for(seat.member.role);
    let row = |member: MemberRow| Row {
        href: format!("/team/{}", member.person.id.0),
        name: called(&member.person),
        // Whoever adds people must tell them apart; others need not know where to reach them.
        phone: if can_edit {
            format!("+{}", member.person.phone)
        } else {
            format!("+{}", member.person.phone.masked())
        },
        role: member.role,
        accepted: member.accepted,
        seen: member.seen_at.map(at),
        you: member.person.id == seat.visit.session.person.id,
    };
    show(&TeamPage {
        shell: seat.shell("/team").await?,
        rows: members.into_iter().map(row).collect(),
        form,
        roles: roles(),
        can_edit,
        confirmed: seat.visit.confirmed("").is_ok(),
    })
}

fn role_of(form: &mut Form) -> Option<Role> {
    let role = Role::parse(form.value("role"));
    if role.is_none() {
        form.fault("role", "Choose a role.");
    }
    role
}

async fn ask(Posted { visit, mut form }: Posted) -> Result<Response, Trouble> {
    let seat = visit.seat()?;
    seat.may(Act::Manage)?;
    seat.visit.confirmed("/team")?;
    let digits: String = form.value("phone_number").chars().filter(|char| !" -().".contains(*char)).collect();
    let phone = Phone::parse(&digits);
    if phone.is_none() {
        form.fault("phone_number", "Write the number with its country code, such as +39 333 123 4567.");
    }
    let role = role_of(&mut form);
    let (Some(phone), Some(role)) = (phone, role) else { return show_list(&seat, form).await };
    let (app, customer, now) = (seat.app(), seat.member.customer, seat.visit.now);
    let members = app.pages.members(customer).await?;
    if members.iter().any(|member| member.person.phone == phone) {
        form.fault("phone_number", "They belong to the team already, or were asked to.");
        return show_list(&seat, form).await;
    }
    if members.len() as i64 >= MEMBERS_MAX {
        form.fault("phone_number", format!("A team has {MEMBERS_MAX} members at most."));
        return show_list(&seat, form).await;
    }
    if app.pages.done_since(customer, "member.invite", now - INVITED_WITHIN).await? >= INVITED_MAX {
        form.fault("phone_number", "So many people were asked today that no more can be until tomorrow.");
        return show_list(&seat, form).await;
    }
    let person = person_of(app, phone).await?;
    // Whose number it is stays unsaid until they have said yes.
    let entry = seat.entry("member.invite", format!("{} as {role}", named("", phone)));
    let done = seat.visit.change(invite(customer, person.id, role, now).noted(&entry)).await?;
    Ok(see_other(if done { "/team?said=member-invited" } else { "/team?said=unchanged" }))
}

/// Somebody in the audit log: their number with its middle hidden, and their name if they have said it.
fn named(name: &str, phone: Phone) -> String {
    if name.is_empty() { format!("+{}", phone.masked()) } else { format!("{name}, +{}", phone.masked()) }
}

/// A member of the team, if somebody who may asks to change what they may do.
async fn find(seat: &Seat, id: i64, back: &str) -> Result<MemberRow, Trouble> {
    seat.may(Act::Manage)?;
    let members = seat.app().pages.members(seat.member.customer).await?;
    let found = members.into_iter().find(|member| member.person.id == PersonId(id));
    let found = found.ok_or(Trouble::NotFound)?;
    seat.visit.confirmed(back)?;
    Ok(found)
}

async fn role_page(seat: Seat, Named(id): Named<i64>) -> Result<Response, Trouble> {
    let member = find(&seat, id, &format!("/team/{id}")).await?;
    let form = Form::filled([("role", member.role.to_string())]);
    show_role(&seat, &member, form).await
}

async fn show_role(seat: &Seat, member: &MemberRow, form: Form) -> Result<Response, Trouble> {
    let (id, name) = (member.person.id.0, called(&member.person));
    show(&MemberPage { shell: seat.shell("/team").await?, id, name, form, roles: roles() })
}

async fn change_role(Named(id): Named<i64>, Posted { visit, mut form }: Posted) -> Result<Response, Trouble> {
    let seat = visit.seat()?;
    let member = find(&seat, id, &format!("/team/{id}")).await?;
    let Some(role) = role_of(&mut form) else { return show_role(&seat, &member, form).await };
    let who = named(&member.person.name, member.person.phone);
    let entry = seat.entry("member.role", format!("{who}: {} to {role}", member.role));
    let change = set_role(seat.member.customer, member.person.id, role).noted(&entry);
    if !seat.visit.change(change).await? {
        form.fault("role", "An account needs an owner: make somebody else one first.");
        return show_role(&seat, &member, form).await;
    }
    Ok(see_other("/team?said=saved"))
}

async fn remove_page(seat: Seat, Named(id): Named<i64>) -> Result<Response, Trouble> {
    let member = find(&seat, id, &format!("/team/{id}/remove")).await?;
    let name = called(&member.person);
    show(&ConfirmPage {
        shell: seat.shell("/team").await?,
        title: format!("Remove {name}?"),
        text: format!(
            "{name} sees nothing of {} from then on, wherever they are logged in. Tokens that they have copied still \
             work: rotate those.",
            seat.member.name
        ),
        points: Vec::new(),
        crumb: "Team".to_owned(),
        back: "/team".to_owned(),
        action: format!("/team/{id}/remove"),
        hidden: Vec::new(),
        submit: "Remove",
        danger: true,
    })
}

async fn remove(Named(id): Named<i64>, Posted { visit, .. }: Posted) -> Result<Response, Trouble> {
    let seat = visit.seat()?;
    let member = find(&seat, id, &format!("/team/{id}/remove")).await?;
    let entry = seat.entry("member.remove", named(&member.person.name, member.person.phone));
    let done = seat.visit.change(part(seat.member.customer, member.person.id).noted(&entry)).await?;
    Ok(see_other(if done { "/team?said=member-removed" } else { "/team?said=last-owner" }))
}
