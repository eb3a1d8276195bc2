//! What customers have asked somebody: to act for them. Until they say yes, they see nothing of the customer, and the
//! customer nothing of them: otherwise anybody could make others work on an account that is not theirs, unaware.

use super::form::Posted;
use super::shell::{Shell, show};
use super::trouble::{Trouble, see_other};
use super::visit::Visit;
use crate::app::App;
use crate::store::console::audit_log::Entry;
use crate::store::console::people::{CustomerId, MembershipRow, Role, accept, decline};
use crate::store::console::sessions;
use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use chappe_core::Mode;
use std::sync::Arc;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route("/invitations", get(page).post(answer))
}

/// What a customer has asked.
pub(super) struct Invitation {
    pub(super) customer: i64,
    /// As the customer calls itself.
    pub(super) name: String,
    pub(super) role: Role,
}

impl From<&MembershipRow> for Invitation {
    fn from(row: &MembershipRow) -> Invitation {
        Invitation { customer: row.customer.0, name: row.name.clone(), role: row.role }
    }
}

#[derive(Template)]
#[template(path = "invitations.html")]
struct InvitationsPage {
    shell: Shell,
    invitations: Vec<Invitation>,
}

async fn page(visit: Visit) -> Result<Response, Trouble> {
    let invitations = visit.invitations.iter().map(Invitation::from).collect();
    // Whoever acts for nobody yet is asked on the page that comes first.
    let shell = visit.seat()?.shell("/invitations").await?;
    show(&InvitationsPage { shell, invitations })
}

async fn answer(Posted { visit, form }: Posted) -> Result<Response, Trouble> {
    let person = visit.session.person.id;
    let customer = form.value("customer").parse().map(CustomerId).map_err(|_| Trouble::NotFound)?;
    let asked = visit.invitations.iter().find(|one| one.customer == customer).ok_or(Trouble::NotFound)?;
    let entry = |action: &str, who: String| {
        let entry = visit.entry(action, format!("as {}", asked.role));
        Entry { customer: Some(customer), who, ..entry }
    };
    match form.value("answer") {
        "accept" => {
            let turn = sessions::turn(visit.digest, customer, Mode::Live);
            let change = accept(customer, person, visit.now).with(turn);
            let done = visit.change(change.noted(&entry("member.accept", visit.who()))).await?;
            Ok(see_other(if done { "/overview?said=joined" } else { "/overview?said=gone" }))
        }
        "decline" => {
            // How they are called stays unsaid.
            let who = format!("+{}", visit.session.person.phone.masked());
            visit.change(decline(customer, person).noted(&entry("member.decline", who))).await?;
            Ok(see_other(if visit.memberships.is_empty() {
                "/welcome"
            } else {
                "/invitations?said=declined"
            }))
        }
        _ => Err(Trouble::NotFound),
    }
}
