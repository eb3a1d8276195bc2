//! Who is there: the person of a session, the customer whose pages they look at, and what they may do.

use super::cookies::Cookie;
use super::shell::{Notice, Shell};
use super::trouble::Trouble;
use crate::app::App;
use crate::engine::Chore;
use crate::store::Change;
use crate::store::console::audit_log::Entry;
use crate::store::console::people::{MembershipRow, PersonRow, Role};
use crate::store::console::sessions::{self, IDLE_MAX, SESSION_MAX, SessionRow};
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::Method;
use axum::http::request::Parts;
use chappe_core::hex::to_hex;
use chappe_core::{AccountId, Mode, Time};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// For so long after somebody proved who they are, they may change money and tokens.
const CONFIRMED_MAX: Duration = Duration::from_secs(15 * 60);
/// How exactly it is noted when a session was last used.
const TOUCH_EVERY: Duration = Duration::from_secs(60);

/// What can be done on pages, as far as roles part it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// See the overview.
    SeeStatistics,
    /// See requests, their timelines and reports.
    SeeRequests,
    /// Send reports again.
    ResendReports,
    /// See and change tokens: whoever sees one can use it.
    Tokens,
    /// Register senders.
    Senders,
    /// See the balance and what moved it.
    SeeMoney,
    /// Add funds, and be warned.
    AddFunds,
    /// See who belongs to the account.
    SeeTeam,
    /// Change who does, what the customer says of itself, and see what was done.
    Manage,
}

impl Act {
    /// Everything that can be done.
    #[cfg(test)]
    const ALL: [Act; 9] = [
        Act::SeeStatistics,
        Act::SeeRequests,
        Act::ResendReports,
        Act::Tokens,
        Act::Senders,
        Act::SeeMoney,
        Act::AddFunds,
        Act::SeeTeam,
        Act::Manage,
    ];

    /// Whether a role may do this.
    pub(super) fn is_for(self, role: Role) -> bool {
        match role {
            Role::Owner => true,
            Role::Developer => !matches!(self, Act::SeeMoney | Act::AddFunds | Act::Manage),
            Role::Finance => {
                matches!(self, Act::SeeStatistics | Act::SeeMoney | Act::AddFunds | Act::SeeTeam)
            }
        }
    }
}

/// What somebody is called: their name, or their number with its middle hidden.
pub(super) fn called(person: &PersonRow) -> String {
    if person.name.is_empty() { format!("+{}", person.phone.masked()) } else { person.name.clone() }
}

/// Somebody who is logged in.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    pub(super) app: Arc<App>,
    /// The digest of what the browser holds.
    pub(super) digest: [u8; 32],
    pub(super) session: SessionRow,
    /// The customers that the person may act for.
    pub(super) memberships: Vec<MembershipRow>,
    /// The customers that have asked the person to, and have no answer yet.
    pub(super) invitations: Vec<MembershipRow>,
    /// Where the person is.
    pub(super) address: String,
    pub(super) now: Time,
    /// Path and query of what was asked for.
    pub(super) here: String,
    /// What the step before came to, by its key.
    said: Option<String>,
}

impl FromRequestParts<Arc<App>> for Visit {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Visit, Trouble> {
        let here = parts.uri.path_and_query().map_or("/", |here| here.as_str()).to_owned();
        // After a log-in a page can be shown, a form not be sent again.
        let back = if parts.method == Method::GET { here.clone() } else { String::new() };
        let log_in = || Trouble::LogIn(back.clone());
        let secret = Cookie::Session.read(app, &parts.headers).ok_or_else(log_in)?;
        let digest = app.vault.session_digest(&secret);
        let session = app.pages.session(digest).await?.ok_or_else(log_in)?;
        let now = app.clock.now();
        if now.since(session.seen_at) > IDLE_MAX || now.since(session.created_at) > SESSION_MAX {
            return Err(log_in());
        }
        if now.since(session.seen_at) > TOUCH_EVERY {
            app.engine.chore(Chore::Change(sessions::touch(digest, now))).await?;
        }
        let memberships = app.pages.memberships(session.person.id).await?;
        let invitations = app.pages.invitations(session.person.id).await?;
        let ConnectInfo(peer) =
            ConnectInfo::<SocketAddr>::from_request_parts(parts, app).await.map_err(|_| Trouble::Internal)?;
        let address = app.settings.trusted_proxies.client(peer.ip(), &parts.headers).to_string();
        let said = url::form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes())
            .find(|(name, _)| name == "said")
            .map(|(_, value)| value.into_owned());
        let app = app.clone();
        Ok(Visit { app, digest, session, memberships, invitations, address, now, here, said })
    }
}

impl Visit {
    /// What forms of this session's pages hold.
    pub(super) fn csrf(&self) -> String {
        let full = self.app.vault.session_digest(&format!("form {}", to_hex(&self.digest)));
        let mut half = to_hex(&full);
        half.truncate(32);
        half
    }

    /// What the person is called: their name, or their number with its middle hidden.
    pub(super) fn who(&self) -> String {
        called(&self.session.person)
    }

    /// The seat at which the person sits: the customer and account whose pages they look at.
    pub(super) fn seat(self) -> Result<Seat, Trouble> {
        let chosen = self.session.customer;
        let found = self.memberships.iter().find(|one| Some(one.customer) == chosen);
        let member = found.or(self.memberships.first()).cloned().ok_or(Trouble::Welcome)?;
        let mode = self.session.mode;
        Ok(Seat { account: member.account(mode), member, mode, visit: self })
    }

    /// Refuses whoever does not run this gateway, as if there were no such page.
    pub(super) fn operator(&self) -> Result<(), Trouble> {
        if self.session.person.operator { Ok(()) } else { Err(Trouble::NotFound) }
    }

    /// Wants the person to have proved lately who they are; `back` is the page to come back to.
    pub(super) fn confirmed(&self, back: &str) -> Result<(), Trouble> {
        let lately = self.now.since(self.session.confirmed_at) <= CONFIRMED_MAX;
        if lately { Ok(()) } else { Err(Trouble::Confirm(back.to_owned())) }
    }

    /// An entry of the audit log: that this person did something, here and now.
    pub(super) fn entry(&self, action: &str, detail: impl Into<String>) -> Entry {
        Entry {
            at: self.now,
            customer: None,
            person: Some(self.session.person.id),
            who: self.who(),
            action: action.to_owned(),
            detail: detail.into(),
            address: self.address.clone(),
        }
    }

    /// Carries a change out; says whether it was done.
    pub(super) async fn change(&self, change: Change) -> Result<bool, Trouble> {
        Ok(self.app.engine.chore(Chore::Change(change)).await?)
    }

    /// What the step before came to.
    pub(super) fn notice(&self) -> Option<Notice> {
        Notice::of(self.said.as_deref()?)
    }
}

/// Somebody who looks at the pages of a customer.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    pub(super) visit: Visit,
    pub(super) member: MembershipRow,
    pub(super) mode: Mode,
    pub(super) account: AccountId,
}

impl FromRequestParts<Arc<App>> for Seat {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Seat, Trouble> {
        Visit::from_request_parts(parts, app).await?.seat()
    }
}

impl Seat {
    /// Refuses what the role does not allow.
    pub(super) fn may(&self, act: Act) -> Result<(), Trouble> {
        if act.is_for(self.member.role) { Ok(()) } else { Err(Trouble::Forbidden) }
    }

    /// An entry of the customer's audit log.
    pub(super) fn entry(&self, action: &str, detail: impl Into<String>) -> Entry {
        Entry { customer: Some(self.member.customer), ..self.visit.entry(action, detail) }
    }

    /// What stands around a page; `page` is the path of its entry in the navigation.
    pub(super) async fn shell(&self, page: &str) -> Result<Shell, Trouble> {
        Shell::of_seat(self, page).await
    }

    /// What the pages read with.
    pub(super) fn app(&self) -> &App {
        &self.visit.app
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_do_what_it_is_for() {
        let of = |role| Act::ALL.into_iter().filter(|act| act.is_for(role)).collect::<Vec<_>>();
        assert_eq!(of(Role::Owner), Act::ALL);
        assert_eq!(
            of(Role::Developer),
            [
                Act::SeeStatistics,
                Act::SeeRequests,
                Act::ResendReports,
                Act::Tokens,
                Act::Senders,
                Act::SeeTeam
            ]
        );
        assert_eq!(of(Role::Finance), [Act::SeeStatistics, Act::SeeMoney, Act::AddFunds, Act::SeeTeam]);
    }
}
