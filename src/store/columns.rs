//! What stands in columns, for every database alike: names, seals, and lists as texts.

use super::records::StoreError;
use crate::vault::{Purpose, Vault};
use chappe_core::limits::Window;
use chappe_core::report::Report;
use chappe_core::request::{Message, Progress};
use chappe_core::{Code, Hop, Mode, Phone, Request, Time};
use ipnet::IpNet;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// The key of a number's window: real and play messages are counted apart, by its last bit.
pub(super) fn window_key(phone_key: i64, mode: Mode) -> i64 {
    let bit = match mode {
        Mode::Live => 0,
        Mode::Test => 1,
    };
    (phone_key & !1) | bit
}

pub(super) fn window(column: &str) -> Result<Window, StoreError> {
    let moments = column.split(',').map(|moment| moment.parse().map(Time::from_micros).map_err(damaged));
    Ok(Window::from_moments(moments.collect::<Result<_, _>>()?))
}

/// The moments of a window: microseconds, parted by commas, oldest first.
pub(super) fn window_column(window: &Window) -> String {
    window.moments().iter().map(|moment| moment.micros().to_string()).collect::<Vec<_>>().join(",")
}

/// When a window's last event was.
pub(super) fn last_at(window: &Window) -> i64 {
    window.moments().last().map_or(0, |moment| moment.micros())
}

pub(super) fn open_code(vault: &Vault, number: i64, sealed: &[u8]) -> Result<Code, StoreError> {
    let plain = vault.open(Purpose::Code, number, sealed).map_err(damaged)?;
    parsed("code", std::str::from_utf8(&plain).ok().and_then(Code::parse))
}

pub(super) fn sealed_code(vault: &Vault, number: i64, message: &Message) -> Option<Vec<u8>> {
    message.code.as_ref().map(|code| vault.seal(Purpose::Code, number, code.expose().as_bytes()))
}

pub(super) fn seal_phone(vault: &Vault, purpose: Purpose, row: i64, phone: Phone) -> Vec<u8> {
    vault.seal(purpose, row, &phone.number().to_be_bytes())
}

pub(super) fn open_phone(
    vault: &Vault,
    purpose: Purpose,
    row: i64,
    sealed: &[u8],
) -> Result<Phone, StoreError> {
    let plain = vault.open(purpose, row, sealed).map_err(damaged)?;
    let number = plain.as_slice().try_into().ok().map(u64::from_be_bytes);
    parsed("phone number", number.and_then(|number| Phone::parse(&number.to_string())))
}

pub(super) fn progress(name: &str, at: Option<Time>) -> Result<Progress, StoreError> {
    let progress = match (name, at) {
        ("queued", Some(at)) => Some(Progress::Queued(at)),
        ("leased", Some(at)) => Some(Progress::Leased(at)),
        ("accepted", at) => Some(Progress::Accepted(at)),
        ("withdrawing", Some(at)) => Some(Progress::Withdrawing(at)),
        ("uncertain", _) => Some(Progress::Uncertain),
        ("ended", _) => Some(Progress::Ended),
        _ => None,
    };
    parsed("progress", progress)
}

/// The two columns of a [`Progress`].
pub(super) fn progress_columns(progress: Progress) -> (&'static str, Option<i64>) {
    match progress {
        Progress::Queued(at) => ("queued", Some(at.micros())),
        Progress::Leased(until) => ("leased", Some(until.micros())),
        Progress::Accepted(poll_at) => ("accepted", poll_at.map(Time::micros)),
        Progress::Withdrawing(at) => ("withdrawing", Some(at.micros())),
        Progress::Uncertain => ("uncertain", None),
        Progress::Ended => ("ended", None),
    }
}

pub(super) fn route(text: &str) -> Result<Arc<[Hop]>, StoreError> {
    text.split(',').map(|hop| parsed("route", Hop::parse(hop))).collect()
}

pub(super) fn route_column(route: &[Hop]) -> String {
    route.iter().map(Hop::to_string).collect::<Vec<_>>().join(",")
}

/// When the last attempt at a report ended, and how long it took, from its two columns.
pub(super) fn last_attempt(at: Option<i64>, ms: Option<i64>) -> Result<Option<(Time, Duration)>, StoreError> {
    let Some((at, ms)) = at.zip(ms) else { return Ok(None) };
    let took = parsed("duration", u64::try_from(ms).ok())?;
    Ok(Some((Time::from_micros(at), Duration::from_millis(took))))
}

/// The two columns of the last attempt at a report.
pub(super) fn last_attempt_columns(report: &Report) -> (Option<i64>, Option<i64>) {
    let ms = |took: Duration| i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
    report.last_attempt.map(|(at, took)| (at.micros(), ms(took))).unzip()
}

/// What happened since the request was loaded, a line each.
pub(super) fn fresh_lines(request: &Request) -> String {
    let mut lines = String::with_capacity(48 * request.fresh_events.len());
    for event in &request.fresh_events {
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{event}");
    }
    lines
}

/// Scheme, host and port of a URL: who has to bear the load of its reports.
pub(super) fn receiver(url: &str) -> String {
    url::Url::parse(url).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
}

/// Addresses and ranges, parted by commas.
pub(super) fn allowed_column(allowed: &[IpNet]) -> String {
    allowed.iter().map(IpNet::to_string).collect::<Vec<_>>().join(",")
}

pub(super) fn allowed(column: &str) -> Result<Vec<IpNet>, StoreError> {
    let ranges = column.split(',').filter(|range| !range.is_empty());
    ranges.map(|range| range.parse().map_err(damaged)).collect()
}

pub(super) fn parsed<T>(what: &str, value: Option<T>) -> Result<T, StoreError> {
    value.ok_or_else(|| StoreError::Damaged(format!("its {what} is not one")))
}

pub(super) fn damaged(error: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged(error.to_string())
}
