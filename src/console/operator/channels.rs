//! How the channels do.

use super::{Desk, Text, percent, share};
use crate::channels::gate::Health;
use crate::channels::route::Line;
use crate::console::shell::{Shell, show};
use crate::console::show::{At, at, utc};
use crate::console::trouble::Trouble;
use askama::Template;
use axum::response::Response;
use chappe_core::text::ChannelName;

/// How many days the figures are of: today and the day before, in UTC.
const PERIOD_DAYS: i32 = 2;

#[derive(Template)]
#[template(path = "operator_channels.html")]
struct ChannelsPage {
    shell: Shell,
    rows: Vec<Row>,
    routes: Vec<Route>,
}

struct Row {
    name: String,
    kind: &'static str,
    state: &'static str,
    note: String,
    inside: u32,
    waiting: i64,
    sent: i64,
    delivered: String,
    percent: i64,
    heard: Option<At>,
}

struct Route {
    prefix: String,
    hops: Vec<Text>,
}

pub(super) async fn page(desk: Desk) -> Result<Response, Trouble> {
    let (app, now) = (desk.app(), desk.0.now);
    let sums = app.pages.channel_sums(now.day() - PERIOD_DAYS + 1).await?;
    let waiting = app.pages.waiting(now).await?;
    let row = |(name, outside): (&ChannelName, &crate::channels::Outside)| {
        let health = outside.gate().health(now);
        let sum = sums.iter().find(|sum| sum.channel == name.as_str());
        let (sent, delivered) = sum.map_or((0, 0), |sum| (sum.sent, sum.delivered));
        let waits = waiting.iter().find(|(channel, _)| channel == name.as_str());
        Row {
            name: name.to_string(),
            kind: app.settings.channels.get(name).map_or("", |settings| settings.kind()),
            state: state(&health),
            note: note(&health),
            inside: health.inside,
            waiting: waits.map_or(0, |(_, count)| *count),
            sent,
            delivered: share(delivered, sent),
            percent: percent(delivered, sent),
            heard: health.last_well.map(at),
        }
    };
    let route = |(prefix, line): (&str, &Line)| Route {
        prefix: if prefix.is_empty() { "all others".to_owned() } else { format!("+{prefix}") },
        hops: hops(line).into_iter().map(|text| Text { text }).collect(),
    };
    show(&ChannelsPage {
        shell: desk.shell("/operator/channels"),
        rows: app.channels.all_outside().map(row).collect(),
        routes: app.channels.routes().entries().map(route).collect(),
    })
}

fn state(health: &Health) -> &'static str {
    match (&health.closed, health.last_well) {
        (Some(_), _) => "resting",
        (None, Some(_)) => "well",
        (None, None) => "idle",
    }
}

fn note(health: &Health) -> String {
    match (&health.closed, &health.last_fault) {
        (Some((until, reason)), _) => format!("left alone until {}: {reason}", utc(*until, "%H:%M:%S UTC")),
        (None, Some((when, reason))) => {
            format!("last fault on {}: {reason}", utc(*when, "%Y-%m-%d %H:%M:%S UTC"))
        }
        (None, None) => String::new(),
    }
}

fn hops(line: &Line) -> Vec<String> {
    match line {
        Line::Nowhere => vec!["unreachable".to_owned()],
        Line::Sandbox => vec!["the sandbox".to_owned()],
        Line::Hops(hops) => hops
            .iter()
            .map(|hop| match hop.wait {
                Some(wait) => format!("{}, for {} s", hop.channel, wait.as_secs()),
                None => hop.channel.to_string(),
            })
            .collect(),
    }
}
