//! What stands around every page behind the log-in: navigation, whose pages these are, and what the step before came to.

use super::show::{At, at};
use super::trouble::Trouble;
use super::visit::{Act, Seat, Visit};
use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use chappe_core::Mode;

/// What stands around a page.
#[derive(Clone, Debug)]
pub(super) struct Shell {
    pub(super) customer: String,
    pub(super) customers: Vec<Choice>,
    pub(super) mode: &'static str,
    pub(super) person: String,
    pub(super) nav: Vec<NavItem>,
    pub(super) operator: bool,
    pub(super) low_balance: bool,
    /// Whether somebody has asked the person to act for them.
    pub(super) invited: bool,
    pub(super) dev: bool,
    pub(super) csrf: String,
    pub(super) here: String,
    /// The moment of the page, after which "3 min ago" is reckoned: the clocks of browsers differ, and that of
    /// `chappe dev` can be moved.
    pub(super) now: At,
    pub(super) notice: Option<Notice>,
}

/// A customer that the person can turn to.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) current: bool,
}

/// An entry of the navigation.
#[derive(Clone, Copy, Debug)]
pub(super) struct NavItem {
    pub(super) href: &'static str,
    pub(super) label: &'static str,
    pub(super) icon: &'static str,
    /// The letter after `g` that leads there.
    pub(super) key: &'static str,
    /// The title of the group that begins with it.
    pub(super) heading: &'static str,
    pub(super) current: bool,
}

/// What the step before came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    /// `good`, `bad` or `warn`.
    pub(super) kind: &'static str,
    pub(super) text: &'static str,
}

/// Everything that a step can have come to, by the key that the address of the next page carries: a text of its own in an
/// address could be anybody's.
const NOTICES: &[(&str, &str, &str)] = &[
    ("saved", "good", "Saved."),
    ("welcome", "good", "Welcome. This is your account."),
    ("gone", "warn", "That is no longer there. Nothing was changed."),
    ("no-code", "bad", "No code could be sent to your number just now. Try again in ten minutes."),
    ("report-again", "good", "The report is on its way again."),
    ("reports-again", "good", "The lost reports are on their way again."),
    ("nothing-lost", "warn", "No report of requests since then is lost."),
    (
        "token-created",
        "good",
        "The token is made. Show it, and copy it to where your program has its secrets.",
    ),
    ("token-rotated", "good", "This is the new token. Give it to your program before the old one ends."),
    ("token-revoked", "good", "The token is revoked. Calls with it are refused from now on."),
    ("token-ended", "warn", "This token has ended already. Nothing was changed."),
    ("sender-registered", "good", "The channel is registered. Prove that it is yours."),
    ("sender-waits", "good", "The channel is registered. The operator looks at it next."),
    ("sender-proven", "good", "The channel is proven to be yours. The operator looks at it next."),
    ("sender-removed", "good", "The channel is removed."),
    (
        "sender-stranger",
        "warn",
        "The bot does not know your number yet. Share it with the bot, then check again.",
    ),
    ("sender-not-owner", "bad", "Whoever shared your number with the bot is not the owner of this channel."),
    ("sender-unseen", "bad", "The bot cannot see who runs this channel. Make it one of its administrators."),
    ("sender-no-answer", "bad", "Telegram gave no answer. Try again in a moment."),
    ("sender-verified", "good", "Verified. Messages to everybody can come from this channel now."),
    ("sender-withdrawn", "good", "Withdrawn. The channel waits for a word again."),
    (
        "sender-refused",
        "good",
        "Refused. The channel is off this list, and its customer is told. The audit log has it.",
    ),
    ("sender-too-often", "warn", "That was too often. Try again in ten minutes."),
    ("sender-no-bot", "warn", "There is no bot here that could look."),
    (
        "member-invited",
        "good",
        "They are asked as soon as they log in with their number. Nothing is sent to them.",
    ),
    ("joined", "good", "You belong to the team now."),
    ("declined", "good", "You have declined."),
    ("member-removed", "good", "They belong to the team no longer."),
    ("last-owner", "bad", "An account needs an owner: make somebody else one first."),
    ("session-ended", "good", "The session is ended."),
    ("sessions-ended", "good", "All other sessions are ended."),
    ("added", "good", "Added."),
    ("paying", "good", "Thank you. As soon as the payment is confirmed, it is in your budget."),
    ("booked", "good", "Booked."),
    ("booked-before", "warn", "This reference was booked before. Nothing was changed."),
    ("given-back", "good", "The payment went back, and the credits were taken from the balance."),
    (
        "not-given-back",
        "bad",
        "Telegram did not give the Stars back. Nothing was changed; the server's log says why.",
    ),
    ("unchanged", "warn", "Nothing was changed."),
];

impl Notice {
    /// The notice with this key.
    pub(super) fn of(key: &str) -> Option<Notice> {
        let (_, kind, text) = NOTICES.iter().find(|(known, ..)| *known == key)?;
        Some(Notice { kind, text })
    }
}

/// The pages, in the order of the navigation, and what one must be allowed to see them.
const PAGES: &[(NavItem, Act)] = &[
    (item("/overview", "Overview", "overview", "o", ""), Act::SeeStatistics),
    (item("/requests", "Requests", "requests", "r", ""), Act::SeeRequests),
    (item("/reports", "Reports", "reports", "p", ""), Act::SeeRequests),
    (item("/tokens", "API tokens", "tokens", "t", "Set up"), Act::Tokens),
    (item("/senders", "Senders", "senders", "s", ""), Act::Senders),
    (item("/budget", "Budget", "budget", "b", "Account"), Act::SeeMoney),
    (item("/team", "Team", "team", "m", ""), Act::SeeTeam),
    (item("/log", "Audit log", "audit", "", ""), Act::Manage),
];

/// The pages of those who run this gateway.
const OPERATOR_PAGES: &[NavItem] = &[
    item("/operator", "Accounts", "accounts", "o", "This gateway"),
    item("/operator/senders", "Senders", "senders", "s", ""),
    item("/operator/channels", "Channels", "channels", "c", ""),
    item("/operator/prices", "Prices and limits", "prices", "p", ""),
    item("/operator/log", "Audit log", "audit", "", ""),
];

const fn item(
    href: &'static str,
    label: &'static str,
    icon: &'static str,
    key: &'static str,
    heading: &'static str,
) -> NavItem {
    NavItem { href, label, icon, key, heading, current: false }
}

impl Shell {
    /// Around a customer's page.
    pub(super) async fn of_seat(seat: &Seat, page: &str) -> Result<Shell, Trouble> {
        let visit = &seat.visit;
        let pages = &visit.app.pages;
        let low_balance = seat.mode == Mode::Live && Act::SeeMoney.is_for(seat.member.role) && {
            let below = pages.customer(seat.member.customer).await?.and_then(|customer| customer.low_balance);
            match below {
                Some(below) => pages.balance(seat.account).await? < below,
                None => false,
            }
        };
        let allowed = PAGES.iter().filter(|(_, act)| act.is_for(seat.member.role));
        let customers = visit.memberships.iter().map(|one| Choice {
            id: one.customer.0,
            name: one.name.clone(),
            current: one.customer == seat.member.customer,
        });
        Ok(Shell {
            customer: seat.member.name.clone(),
            customers: customers.collect(),
            mode: seat.mode.as_str(),
            nav: marked(allowed.map(|(item, _)| *item), page),
            low_balance,
            ..Shell::bare(visit)
        })
    }

    /// Around a page of those who run this gateway.
    pub(super) fn of_operator(visit: &Visit, page: &str) -> Shell {
        Shell {
            customer: "This gateway".to_owned(),
            nav: marked(OPERATOR_PAGES.iter().copied(), page),
            ..Shell::bare(visit)
        }
    }

    fn bare(visit: &Visit) -> Shell {
        Shell {
            customer: String::new(),
            customers: Vec::new(),
            mode: Mode::Live.as_str(),
            person: visit.who(),
            nav: Vec::new(),
            operator: visit.session.person.operator,
            low_balance: false,
            invited: !visit.invitations.is_empty(),
            dev: visit.app.settings.dev,
            csrf: visit.csrf(),
            here: visit.here.clone(),
            now: at(visit.now),
            notice: visit.notice(),
        }
    }
}

fn marked(items: impl Iterator<Item = NavItem>, page: &str) -> Vec<NavItem> {
    items.map(|item| NavItem { current: item.href == page, ..item }).collect()
}

/// A page, written.
pub(super) fn show(page: &impl Template) -> Result<Response, Trouble> {
    Ok(Html(page.render()?).into_response())
}
