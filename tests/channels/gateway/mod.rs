//! The gateway channel, against a second Chappe as a process of its own, and against doubles that misbehave.

mod double;
mod examine;
mod faults;
mod reports;
mod stories;
mod upstream;

use crate::support::{Server, Setup};
use chappe::channels::route::{Line, Routes};
use chappe::channels::scripted::Scripted;
use chappe::channels::{ChannelSettings, Errand, Said};
use chappe_core::ChannelEvent;
use chappe_core::text::ChannelName;
use serde_json::{Value, json};
use std::time::Duration;

/// When the servers' clocks stand still, unless a test needs the real time.
const START: i64 = 1_795_000_000;

/// Settings of the channel `upstream` at this address, with what `more` sets beside.
fn settings(base_url: &str, more: Value) -> ChannelSettings {
    let mut settings = json!({
        "kind": "gateway", "base_url": base_url, "token": crate::process::TOKEN, "timeout_s": 2,
    });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(settings).unwrap()
}

/// Sends all live messages by this route; `upstream` is the channel of these settings, `other` one that delivers all.
fn route(setup: &mut Setup, hops: &[&str], upstream: ChannelSettings) {
    let name = |name| ChannelName::parse(name).unwrap();
    setup.settings.routes = Routes::all(Line::parse(hops).unwrap());
    setup.settings.channels.insert(name("upstream"), upstream);
    let other = Scripted::new(|errand, _, _| {
        assert_eq!(errand, Errand::Deliver);
        let accepted = ChannelEvent::Accepted { reference: None, poll_at: None };
        Box::pin(async { Said::from(vec![accepted, ChannelEvent::Delivered]) })
    });
    setup.settings.channels.insert(name("other"), ChannelSettings::Scripted(other));
}

/// A server whose live messages all go to the upstream at this address, its clock standing.
async fn server(base_url: &str, hops: &[&str], more: Value) -> Server {
    Server::start(|setup| {
        setup.clock_at(START);
        route(setup, hops, settings(base_url, more));
    })
    .await
}

/// The timeline must hold a line that begins like this.
#[track_caller]
fn has(timeline: &[String], line: &str) {
    assert!(timeline.iter().any(|found| found.starts_with(line)), "no {line:?} in {timeline:#?}");
}

/// Moves the clock on, a step at a time, until an event stands in the timeline.
async fn wait_for(server: &Server, request: &str, event: &str, step: Duration) {
    let happened = server.until(request, event);
    tokio::pin!(happened);
    for _ in 0..100 {
        server.advance(step);
        tokio::select! {
            () = &mut happened => return,
            // The workers are at it.
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
    }
    panic!("{request} is never {event}: {:#?}", server.timeline(request).await);
}

/// Waits until so many lines of the timeline begin like this.
async fn until_lines(server: &Server, request: &str, line: &str, count: usize) {
    let enough =
        |timeline: &[String]| timeline.iter().filter(|found| found.starts_with(line)).count() >= count;
    server.until_told(request, &format!("{line:?}, {count} times"), enough).await;
}
