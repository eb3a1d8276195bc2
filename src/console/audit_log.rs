//! The audit log of a customer: who did what. What is looked for, and how far a page looks, is the same for the log of
//! everything.

use super::form::Form;
use super::shell::{Shell, show};
use super::show::{At, at};
use super::trouble::Trouble;
use super::visit::{Act, Seat};
use crate::app::App;
use crate::store::StoreError;
use crate::store::console::audit_log::Entry;
use crate::store::console::people::CustomerId;
use askama::Template;
use axum::Router;
use axum::extract::RawQuery;
use axum::response::Response;
use axum::routing::get;
use std::sync::Arc;

/// How many entries a page shows.
const PAGE: usize = 50;
/// How many entries a page looks through for those that are asked for. There is a way on from where it stopped.
const LOOK: usize = 2_000;

/// What can be looked for.
const KINDS: [Choice; 9] = [
    kind("", "Everything"),
    kind("token.", "Tokens"),
    kind("sender.", "Senders"),
    kind("member.", "Team"),
    kind("customer.", "Profile"),
    kind("report.", "Reports"),
    kind("payment.", "Payments"),
    kind("account.", "Balance"),
    kind("budget.", "Budget"),
];

/// A kind of entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    /// What the names of its actions begin with.
    pub(super) value: &'static str,
    /// What pages call it.
    pub(super) label: &'static str,
}

/// A kind of entry: what the names of its actions begin with, and what pages call it.
pub(super) const fn kind(value: &'static str, label: &'static str) -> Choice {
    Choice { value, label }
}

pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route("/log", get(page))
}

#[derive(Template)]
#[template(path = "audit.html")]
struct LogPage {
    shell: Shell,
    form: Form,
    kinds: &'static [Choice],
    filtered: bool,
    rows: Vec<Line>,
    newer: String,
    older: String,
    /// How far back was looked, where there is more to look through.
    looked: Option<At>,
}

/// An entry as the page shows it.
struct Line {
    at: At,
    who: String,
    action: String,
    detail: String,
    address: String,
}

/// What is asked for.
pub(super) struct Filter {
    /// The page on which it is.
    path: &'static str,
    kind: &'static str,
    /// In small letters.
    words: String,
    /// The entry after which the page begins.
    before: Option<i64>,
}

impl Filter {
    /// What a form asks for, on this page, which knows these kinds.
    pub(super) fn of(form: &Form, path: &'static str, kinds: &[Choice]) -> Filter {
        let kind = kinds.iter().find(|kind| kind.value == form.value("what")).map_or("", |kind| kind.value);
        Filter {
            path,
            kind,
            words: form.value("q").to_lowercase(),
            before: form.value("before").parse().ok(),
        }
    }

    /// Whether less than everything is asked for.
    pub(super) fn is_set(&self) -> bool {
        !self.kind.is_empty() || !self.words.is_empty()
    }

    fn fits(&self, entry: &Entry) -> bool {
        let holds = |text: &String| text.to_lowercase().contains(&self.words);
        entry.action.starts_with(self.kind)
            && [&entry.who, &entry.address, &entry.detail].into_iter().any(holds)
    }

    /// The address of the first page; empty if this is it.
    pub(super) fn newer(&self) -> String {
        if self.before.is_some() { self.address(None) } else { String::new() }
    }

    /// The address of the page that goes on after what was found; empty if that is all.
    pub(super) fn older(&self, found: &Found) -> String {
        found.next.map(|next| self.address(Some(next))).unwrap_or_default()
    }

    /// The address of the page that goes on after an entry; with none, of the first one.
    fn address(&self, before: Option<i64>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let before = before.map(|before| before.to_string()).unwrap_or_default();
        for (name, value) in [("q", self.words.as_str()), ("what", self.kind), ("before", &before)] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        match query.finish() {
            none if none.is_empty() => self.path.to_owned(),
            query => format!("{}?{query}", self.path),
        }
    }

    /// Looks for it: in what concerns a customer, or in everything.
    pub(super) async fn find(&self, app: &App, customer: Option<CustomerId>) -> Result<Found, StoreError> {
        // Without a filter, each entry fits.
        let limit = if self.is_set() { LOOK } else { PAGE };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        Ok(look(self, app.pages.audit_log(customer, self.before, limit).await?))
    }
}

/// What a page shows of the entries that it looked through.
pub(super) struct Found {
    /// The entries, each with its number.
    pub(super) rows: Vec<(i64, Entry)>,
    /// After which entry the next page goes on.
    next: Option<i64>,
    /// Where the look stopped before the page was full, though there is more.
    pub(super) stopped: Option<At>,
}

fn look(filter: &Filter, mut entries: Vec<(i64, Entry)>) -> Found {
    let more = entries.len() > LOOK;
    entries.truncate(LOOK);
    let last = entries.last().map(|(id, entry)| (*id, at(entry.at)));
    let mut rows: Vec<_> =
        entries.into_iter().filter(|(_, entry)| filter.fits(entry)).take(PAGE + 1).collect();
    if rows.len() > PAGE {
        rows.truncate(PAGE);
        let next = rows.last().map(|(id, _)| *id);
        return Found { rows, next, stopped: None };
    }
    let (next, stopped) = last.filter(|_| more).unzip();
    Found { rows, next, stopped }
}

async fn page(seat: Seat, RawQuery(query): RawQuery) -> Result<Response, Trouble> {
    seat.may(Act::Manage)?;
    let form = Form::parse(query.unwrap_or_default().as_bytes());
    let filter = Filter::of(&form, "/log", &KINDS);
    let found = filter.find(seat.app(), Some(seat.member.customer)).await?;
    let line = |(_, entry): (i64, Entry)| Line {
        at: at(entry.at),
        who: entry.who,
        action: entry.action,
        detail: entry.detail,
        address: entry.address,
    };
    show(&LogPage {
        shell: seat.shell("/log").await?,
        kinds: &KINDS,
        filtered: filter.is_set(),
        newer: filter.newer(),
        older: filter.older(&found),
        rows: found.rows.into_iter().map(line).collect(),
        looked: found.stopped,
        form,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chappe_core::Time;

    fn entry(action: &str, who: &str) -> Entry {
        Entry {
            at: Time::from_secs(1_795_000_000),
            customer: None,
            person: None,
            who: who.to_owned(),
            action: action.to_owned(),
            detail: "to something".to_owned(),
            address: "203.0.113.7".to_owned(),
        }
    }

    fn filter(query: &str) -> Filter {
        Filter::of(&Form::parse(query.as_bytes()), "/log", &KINDS)
    }

    #[test]
    fn entries_are_found_by_what_was_done_and_by_whom() {
        let made = entry("token.create", "Ünal");
        for (query, fits) in [
            ("", true),
            ("what=token.", true),
            ("what=member.", false),
            ("what=nonsense", true),
            ("q=ünAL", true),
            ("q=203.0.113.7", true),
            ("q=SOMETHING", true),
            ("q=Anna", false),
            ("q=%25", false),
            ("what=token.&q=Anna", false),
        ] {
            assert_eq!(filter(query).fits(&made), fits, "{query}");
        }
    }

    #[test]
    fn a_page_goes_on_where_it_stopped() {
        let entries = |count: usize| -> Vec<_> {
            (0..count).map(|at| (i64::try_from(count - at).unwrap(), entry("token.show", "Anna"))).collect()
        };
        let all = look(&filter(""), entries(PAGE));
        assert_eq!((all.rows.len(), all.next, all.stopped), (PAGE, None, None));
        let first = look(&filter(""), entries(PAGE + 1));
        assert_eq!((first.rows.len(), first.next, first.stopped), (PAGE, Some(2), None));
        let none = look(&filter("q=nobody"), entries(LOOK + 1));
        assert_eq!((none.rows.len(), none.next, none.stopped.is_some()), (0, Some(2), true));
        let none = look(&filter("q=nobody"), entries(LOOK));
        assert_eq!((none.rows.len(), none.next, none.stopped), (0, None, None));
    }

    #[test]
    fn the_way_on_keeps_what_is_asked_for() {
        assert_eq!(filter("q=a+b&what=token.&before=9").address(Some(7)), "/log?q=a+b&what=token.&before=7");
        assert_eq!(filter("").address(None), "/log");
    }
}
