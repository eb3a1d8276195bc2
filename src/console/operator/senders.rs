//! Sender channels: those that wait for a word, and those that have it.

use super::Desk;
use crate::console::form::Posted;
use crate::console::shell::{Shell, show};
use crate::console::show::{At, at, utc};
use crate::console::trouble::{Trouble, see_other};
use crate::engine::Chore;
use crate::store::Change;
use crate::store::console::audit_log::Entry;
use crate::store::console::operator::SenderLine;
use crate::store::console::people::CustomerId;
use askama::Template;
use axum::response::Response;
use chappe_core::text::Username;

/// What the audit log says of a sender that was refused, whose row is gone.
pub(in crate::console) const REFUSED: &str = "sender.refuse";
/// How many senders the page shows: those that wait come first.
const MOST: i64 = 500;

#[derive(Template)]
#[template(path = "operator_senders.html")]
struct SendersPage {
    shell: Shell,
    waiting: usize,
    rows: Vec<Line>,
}

struct Line {
    id: String,
    username: String,
    customer: String,
    customer_href: String,
    state: &'static str,
    proof: String,
    added: At,
}

/// Where a sender stands.
pub(super) fn state(row: &SenderLine) -> &'static str {
    if row.verified { "verified" } else { "pending" }
}

pub(super) async fn page(desk: Desk) -> Result<Response, Trouble> {
    let found = desk.app().pages.sender_lines(None, MOST).await?;
    let line = |row: SenderLine| Line {
        id: format!("{} {}", row.customer.0, row.username),
        state: state(&row),
        customer_href: format!("/operator/accounts/{}", row.customer.0),
        proof: row.proven_at.map_or_else(
            || "not proven".to_owned(),
            |proven| format!("proven through the bot on {}", utc(proven, "%Y-%m-%d")),
        ),
        username: row.username,
        customer: row.name,
        added: at(row.created_at),
    };
    show(&SendersPage {
        shell: desk.shell("/operator/senders"),
        waiting: found.iter().filter(|row| !row.verified).count(),
        rows: found.into_iter().map(line).collect(),
    })
}

/// Verifies a sender, or takes that back; one that is refused is gone.
pub(super) async fn judge(Posted { visit, form }: Posted) -> Result<Response, Trouble> {
    let desk = Desk::of(visit)?;
    let pages = &desk.app().pages;
    let verify = form.is_ticked("verify");
    let named = if verify { form.value("verify") } else { form.value("refuse") };
    let (customer, username) = named.split_once(' ').ok_or(Trouble::Invalid)?;
    let customer = customer.parse().map(CustomerId).map_err(|_| Trouble::NotFound)?;
    let username = Username::parse(username).ok_or(Trouble::NotFound)?;
    let found = pages.sender_lines(Some(customer), MOST).await?;
    let Some(sender) = found.into_iter().find(|row| row.username == username.as_str()) else {
        return Ok(see_other("/operator/senders?said=gone"));
    };
    let (action, said) = match (verify, sender.verified) {
        (true, _) => ("sender.verify", "sender-verified"),
        (false, true) => ("sender.withdraw", "sender-withdrawn"),
        (false, false) => (REFUSED, "sender-refused"),
    };
    let entry = Entry { customer: Some(customer), ..desk.0.entry(action, format!("@{}", username.as_str())) };
    desk.0.change(Change::default().noted(&entry)).await?;
    let (live, test) = pages.accounts_of(customer).await?.ok_or(Trouble::NotFound)?;
    for account in [live, test] {
        let chore = if verify || sender.verified {
            Chore::PutSender(account, username.clone(), verify, desk.0.now)
        } else {
            Chore::RemoveSender(account, username.clone())
        };
        desk.app().engine.chore(chore).await?;
    }
    Ok(see_other(&format!("/operator/senders?said={said}")))
}
