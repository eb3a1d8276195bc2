//! What a token is made with: how long it works, and from where.

use super::super::form::Form;
use crate::net::address::parse_range;
use ipnet::IpNet;
use std::time::Duration;

/// How many addresses and ranges a token may be limited to.
const RANGES_MAX: usize = 100;
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A span of time that can be chosen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// As forms send it.
    pub(super) value: &'static str,
    /// As people read it.
    pub(super) label: &'static str,
    hint: &'static str,
    /// How long; `None`: for good.
    pub(super) time: Option<Duration>,
}

/// How long a new token works.
pub(super) const LIVES: [Span; 4] = [
    Span { value: "never", label: "Never", hint: "", time: None },
    Span { value: "30d", label: "After 30 days", hint: "", time: Some(DAY.saturating_mul(30)) },
    Span { value: "90d", label: "After 90 days", hint: "", time: Some(DAY.saturating_mul(90)) },
    Span { value: "365d", label: "After a year", hint: "", time: Some(DAY.saturating_mul(365)) },
];

/// How long a token that is replaced still works.
pub(super) const OVERLAPS: [Span; 4] = [
    Span { value: "0s", label: "Not at all", hint: "It may have leaked.", time: Some(Duration::ZERO) },
    Span { value: "1h", label: "1 hour", hint: "One program, deployed at once.", time: Some(HOUR) },
    Span { value: "24h", label: "24 hours", hint: "A deployment in the course of a day.", time: Some(DAY) },
    Span {
        value: "7d",
        label: "7 days",
        hint: "Several programs, or other people’s.",
        time: Some(DAY.saturating_mul(7)),
    },
];

/// A choice of a form.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) value: &'static str,
    pub(super) label: &'static str,
    pub(super) hint: &'static str,
}

impl From<&Span> for Choice {
    fn from(span: &Span) -> Choice {
        Choice { value: span.value, label: span.label, hint: span.hint }
    }
}

/// How long a new token is to work; `None`: for good.
pub(super) fn life_of(form: &mut Form) -> Option<Duration> {
    chosen(form, "life", &LIVES)?.time
}

/// How long a token that is replaced is still to work.
pub(super) fn overlap_of(form: &mut Form) -> Option<Span> {
    chosen(form, "overlap", &OVERLAPS)
}

fn chosen(form: &mut Form, name: &'static str, spans: &[Span]) -> Option<Span> {
    let found = spans.iter().find(|span| span.value == form.value(name)).copied();
    if found.is_none() {
        form.fault(name, "Choose one.");
    }
    found
}

/// Addresses and ranges, parted by white space or commas.
pub(super) fn ranges_of(form: &mut Form) -> Vec<IpNet> {
    let mut ranges: Vec<IpNet> = Vec::new();
    let mut wrong = None;
    let words = form.value("ranges").split(|char: char| char.is_whitespace() || char == ',');
    for word in words.filter(|word| !word.is_empty()) {
        match parse_range(word) {
            Some(range) if ranges.contains(&range) => {}
            Some(range) => ranges.push(range),
            None => wrong = wrong.or(Some(word.chars().take(64).collect::<String>())),
        }
    }
    if let Some(word) = wrong {
        form.fault("ranges", format!("“{word}” is no address and no range such as 203.0.113.0/24."));
    } else if ranges.len() > RANGES_MAX {
        form.fault("ranges", format!("Name {RANGES_MAX} ranges at most."));
    }
    ranges
}

/// Addresses and ranges as a form shows them.
pub(super) fn in_lines(ranges: &[IpNet]) -> String {
    let line = |range: &IpNet| {
        let whole = range.prefix_len() == range.max_prefix_len();
        if whole { range.addr().to_string() } else { range.to_string() }
    };
    ranges.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let mut form = Form::filled([("ranges", text.to_owned())]);
        let ranges = ranges_of(&mut form);
        if form.is_good() { Ok(in_lines(&ranges)) } else { Err(form.error("ranges").to_owned()) }
    }

    #[test]
    fn ranges_are_read_as_people_write_them() {
        for (text, ranges) in [
            ("", ""),
            (" \r\n , ", ""),
            ("203.0.113.7\r\n2001:db8::/48", "203.0.113.7\n2001:db8::/48"),
            ("203.0.113.7, 203.0.113.7/32  198.51.100.9/24", "203.0.113.7\n198.51.100.0/24"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(ranges), "{text:?}");
        }
        for text in ["203.0.113", "203.0.113.0/33", "example.com", "203.0.113.7 <script>"] {
            let word = text.split(' ').next_back().unwrap();
            assert!(read(text).is_err_and(|why| why.contains(word)), "{text:?}");
        }
    }

    #[test]
    fn ranges_are_bounded() {
        let lines = |count: usize| (0..count).map(|at| format!("10.0.{at}.0/24\n")).collect::<String>();
        assert!(read(&lines(RANGES_MAX)).is_ok());
        assert!(read(&lines(RANGES_MAX + 1)).is_err());
    }

    #[test]
    fn what_is_not_offered_is_not_chosen() {
        for value in ["", "1y", "NEVER"] {
            let mut form = Form::filled([("life", value.to_owned())]);
            assert_eq!(life_of(&mut form), None);
            assert!(!form.is_good(), "{value}");
        }
        let mut form = Form::filled([("life", "30d".to_owned()), ("overlap", "24h".to_owned())]);
        assert_eq!(life_of(&mut form), Some(DAY * 30));
        assert_eq!(overlap_of(&mut form).and_then(|span| span.time), Some(DAY));
        assert!(form.is_good());
    }
}
