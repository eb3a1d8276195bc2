//! What a provider's answer to a message means.

use super::settings::Settings;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, Response};
use bytes::Bytes;
use chappe_core::ChannelEvent;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// When a provider that asks to be left alone, without saying for how long, is tried again.
const LATER: Duration = Duration::from_secs(5);
/// When a channel that is out of order is tried again; its gate makes that longer, if it stays so.
const OUT_OF_ORDER: Duration = Duration::from_secs(5);
/// The longest that a provider may ask to be left alone.
const LATER_MAX: Duration = Duration::from_secs(3_600);
/// A provider that wants to be left alone for longer than this is out of order for the others as well.
const THROTTLED_SHORTLY: Duration = Duration::from_secs(10);
/// The longest name of a message that is kept, in bytes.
const REFERENCE_MAX_BYTES: usize = 200;
/// The longest word of a provider about a failure that is shown, in characters.
const REASON_MAX_CHARS: usize = 120;

/// An answer that the operator described, and what it means.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    #[serde(default)]
    status: Statuses,
    #[serde(default)]
    json: BTreeMap<Pointer, AnyOf>,
    pub(super) means: Meaning,
}

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Meaning {
    /// The provider has the message.
    Accepted,
    /// This message can never be delivered there.
    Failed,
    /// The provider wants to be tried again later.
    Later,
    /// The channel is out of order, for every message.
    Unavailable,
    /// The provider may have the message or not.
    Uncertain,
}

/// What a fault of the provider (5xx) means: it came after the provider had the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum On5xx {
    /// It may have been taken.
    #[default]
    Uncertain,
    /// The provider promises that it was not.
    Retry,
}

/// A set of statuses; the empty one is every status.
#[derive(Clone, Debug, Default)]
struct Statuses(Vec<(u16, u16)>);

/// A JSON pointer (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Pointer(String);

/// Values, one of which is to be found, in whatever case; `*` is any but null.
#[derive(Clone, Debug, Default)]
pub(super) struct AnyOf(Vec<String>);

impl<'de> Deserialize<'de> for Pointer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pointer, D::Error> {
        let text = String::deserialize(deserializer)?;
        if !text.starts_with('/') {
            return Err(de::Error::custom(format!("{text:?} is no JSON pointer: it begins with a slash")));
        }
        Ok(Pointer(text))
    }
}

impl Pointer {
    pub(super) fn parse(text: &str) -> Option<Pointer> {
        text.starts_with('/').then(|| Pointer(text.to_owned()))
    }

    /// What it points at, as a text; `None` for what is not there, null, a list or an object.
    pub(super) fn find(&self, json: &Value) -> Option<String> {
        match json.pointer(&self.0)? {
            Value::String(text) => Some(text.clone()),
            number @ Value::Number(_) => Some(number.to_string()),
            Value::Bool(truth) => Some(truth.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The list that it points at.
    pub(super) fn list<'v>(&self, json: &'v Value) -> Option<&'v Vec<Value>> {
        json.pointer(&self.0)?.as_array()
    }
}

impl AnyOf {
    pub(super) fn has(&self, found: &str) -> bool {
        self.0.iter().any(|value| value == "*" || value.eq_ignore_ascii_case(found))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A single value, or a list of them; numbers and truths as texts.
impl<'de> Deserialize<'de> for AnyOf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AnyOf, D::Error> {
        let text = |value: Value| match value {
            Value::String(text) => Ok(text),
            number @ Value::Number(_) => Ok(number.to_string()),
            Value::Bool(truth) => Ok(truth.to_string()),
            other => Err(de::Error::custom(format!("{other} is no value to compare with"))),
        };
        let values = match Value::deserialize(deserializer)? {
            Value::Array(values) => values.into_iter().map(text).collect::<Result<_, _>>()?,
            value => vec![text(value)?],
        };
        Ok(AnyOf(values))
    }
}

/// A status, a range such as `"200-299"`, or a list of both.
impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Statuses, D::Error> {
        let AnyOf(texts) = AnyOf::deserialize(deserializer)?;
        let range = |text: &String| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            let range = first.trim().parse().ok().zip(last.trim().parse().ok());
            range
                .filter(|(first, last)| (100..=599).contains(first) && first <= last && *last <= 599)
                .ok_or_else(|| {
                    de::Error::custom(format!("{text:?} is no status, such as 200 or \"200-299\""))
                })
        };
        Ok(Statuses(texts.iter().map(range).collect::<Result<_, _>>()?))
    }
}

impl Rule {
    fn describes(&self, status: u16, json: &Value) -> bool {
        let Statuses(ranges) = &self.status;
        let in_range =
            ranges.is_empty() || ranges.iter().any(|(first, last)| (*first..=*last).contains(&status));
        let found = |(pointer, values): (&Pointer, &AnyOf)| {
            pointer.find(json).is_some_and(|found| values.has(&found))
        };
        in_range && self.json.iter().all(found)
    }

    /// Whether it describes every answer there is.
    pub(super) fn is_boundless(&self) -> bool {
        self.status.0.is_empty() && self.json.is_empty()
    }
}

/// What an answer says of the message. `scrub` takes out of a provider's words what nobody is to see.
pub(super) fn judge(
    settings: &Settings,
    answer: &Response<Bytes>,
    scrub: impl Fn(&str) -> String,
) -> Vec<ChannelEvent> {
    let status = answer.status().as_u16();
    let json: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let rule = settings.answers.iter().find(|rule| rule.describes(status, &json));
    let meaning = rule.map_or_else(|| usual(settings, status, answer.headers()), |rule| rule.means);
    let words = settings.reason.iter().find_map(|pointer| pointer.find(&json)).map(|words| scrub(&words));
    let reason = match words {
        Some(words) => format!("it answered {status}: {}", shortened(&words)),
        None => format!("it answered {status}"),
    };
    let asked = retry_after(answer.headers());
    let event = match meaning {
        Meaning::Accepted => {
            let accepted =
                ChannelEvent::Accepted { reference: reference(settings, answer, &json), poll_at: None };
            let delivered = settings.delivered_on_accept.then_some(ChannelEvent::Delivered);
            return std::iter::once(accepted).chain(delivered).collect();
        }
        Meaning::Failed => ChannelEvent::Failed { reason },
        Meaning::Later => match asked.unwrap_or(LATER) {
            after if after <= THROTTLED_SHORTLY => ChannelEvent::Postponed { after, reason },
            after => ChannelEvent::Unavailable { after, reason },
        },
        Meaning::Unavailable => ChannelEvent::Unavailable { after: asked.unwrap_or(OUT_OF_ORDER), reason },
        Meaning::Uncertain => ChannelEvent::Uncertain { reason },
    };
    vec![event]
}

/// As much of a provider's words about a failure as is shown.
pub(super) fn shortened(words: &str) -> String {
    words.chars().take(REASON_MAX_CHARS).collect()
}

/// What an answer means that the operator did not describe.
fn usual(settings: &Settings, status: u16, headers: &HeaderMap) -> Meaning {
    let described = settings.answers.iter().any(|rule| rule.means == Meaning::Accepted);
    match status {
        200..=299 if !described => Meaning::Accepted,
        // It sounds like a yes, but not the one that was described.
        200..=299 => Meaning::Uncertain,
        // Redirects are not followed: the address is wrong, or somebody stands in between.
        300..=399 => Meaning::Unavailable,
        // Credentials, credit, or the address of the account: the same for every message.
        401..=405 | 407 => Meaning::Unavailable,
        408 | 425 | 429 => Meaning::Later,
        400..=499 => Meaning::Failed,
        // "Come again" is said by whoever has not taken it.
        503 if headers.contains_key(RETRY_AFTER) => Meaning::Later,
        _ if settings.on_5xx == On5xx::Retry => Meaning::Unavailable,
        _ => Meaning::Uncertain,
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let secs = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(secs).clamp(Duration::from_secs(1), LATER_MAX))
}

/// What the provider calls the message.
fn reference(settings: &Settings, answer: &Response<Bytes>, json: &Value) -> Option<String> {
    let in_body = settings.reference.as_ref().and_then(|pointer| pointer.find(json));
    let in_header = || {
        let name = settings.reference_header.as_ref()?;
        answer.headers().get(name)?.to_str().ok().map(str::to_owned)
    };
    in_body.or_else(in_header).filter(|reference| is_reference(reference))
}

/// Whether a text may be a provider's name for a message.
pub(super) fn is_reference(text: &str) -> bool {
    (1..=REFERENCE_MAX_BYTES).contains(&text.len()) && !text.contains(char::is_control)
}

/// An error of a connection, when nothing can have been taken.
pub(super) fn unreachable(reason: String) -> ChannelEvent {
    ChannelEvent::Unavailable { after: OUT_OF_ORDER, reason }
}
