//! The audit log of a customer: who did what.

use super::form::Form;
use super::shell::{Shell, show};
use super::show::{At, at};
use super::trouble::Trouble;
use super::visit::{Act, Seat};
use crate::app::App;
use crate::store::console::audit_log::Entry;
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

/// What can be looked for: what the names of actions begin with, and what pages call it.
const KINDS: [(&str, &str); 9] = [
    ("", "Everything"),
    ("token.", "Tokens"),
    ("sender.", "Senders"),
    ("member.", "Team"),
    ("customer.", "Profile"),
    ("report.", "Reports"),
    ("payment.", "Payments"),
    ("account.", "Balance"),
    ("budget.", "Budget"),
];

pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route("/log", get(page))
}

#[derive(Template)]
#[template(path = "audit.html")]
struct LogPage {
    shell: Shell,
    form: Form,
    kinds: Vec<Choice>,
    filtered: bool,
    rows: Vec<Line>,
    newer: String,
    older: String,
    /// How far back was looked, where there is more to look through.
    looked: Option<At>,
}

struct Choice {
    value: &'static str,
    label: &'static str,
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
struct Filter {
    kind: String,
    /// In small letters.
    words: String,
}

impl Filter {
    fn of(form: &Form) -> Filter {
        let kind = KINDS.iter().find(|(kind, _)| *kind == form.value("what")).map_or("", |(kind, _)| kind);
        Filter { kind: kind.to_owned(), words: form.value("q").to_lowercase() }
    }

    fn is_set(&self) -> bool {
        !self.kind.is_empty() || !self.words.is_empty()
    }

    fn fits(&self, entry: &Entry) -> bool {
        let holds = |text: &String| text.to_lowercase().contains(&self.words);
        entry.action.starts_with(&self.kind)
            && [&entry.who, &entry.address, &entry.detail].into_iter().any(holds)
    }

    /// The address of the page that goes on after an entry; with none, of the first one.
    fn address(&self, before: Option<i64>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let before = before.map(|before| before.to_string()).unwrap_or_default();
        for (name, value) in [("q", &self.words), ("what", &self.kind), ("before", &before)] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        match query.finish() {
            none if none.is_empty() => "/log".to_owned(),
            query => format!("/log?{query}"),
        }
    }
}

/// What a page shows of the entries that it looked through, of which there are `more`.
struct Found {
    rows: Vec<(i64, Entry)>,
    /// After which entry the next page goes on.
    next: Option<i64>,
    /// Where the look stopped before the page was full.
    stopped: Option<At>,
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
    let filter = Filter::of(&form);
    let before = form.value("before").parse().ok();
    let limit = i64::try_from(LOOK).unwrap_or(i64::MAX).saturating_add(1);
    let entries = seat.app().pages.audit_log(Some(seat.member.customer), before, limit).await?;
    let Found { rows, next, stopped } = look(&filter, entries);
    let line = |(_, entry): (i64, Entry)| Line {
        at: at(entry.at),
        who: entry.who,
        action: entry.action,
        detail: entry.detail,
        address: entry.address,
    };
    show(&LogPage {
        shell: seat.shell("/log").await?,
        kinds: KINDS.iter().map(|(value, label)| Choice { value, label }).collect(),
        filtered: filter.is_set(),
        rows: rows.into_iter().map(line).collect(),
        newer: if before.is_some() { filter.address(None) } else { String::new() },
        older: next.map(|next| filter.address(Some(next))).unwrap_or_default(),
        looked: stopped,
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
        Filter::of(&Form::parse(query.as_bytes()))
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
