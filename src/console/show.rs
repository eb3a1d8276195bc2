//! Values as pages show them.

use chappe_core::Time;

/// A moment: for machines, and for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct At {
    /// RFC 3339.
    pub(super) iso: String,
    /// As people read it, in UTC.
    pub(super) text: String,
}

/// A moment as pages show it.
pub(super) fn at(time: Time) -> At {
    At { iso: utc(time, "%Y-%m-%dT%H:%M:%SZ"), text: utc(time, "%Y-%m-%d %H:%M:%S UTC") }
}

/// A moment in this format, in UTC.
pub(super) fn utc(time: Time, format: &str) -> String {
    jiff::Timestamp::from_second(time.secs())
        .map(|time| time.strftime(format).to_string())
        .unwrap_or_default()
}

/// What a browser is, as people say it, from what it calls itself: `Firefox on Linux`.
pub(super) fn device(agent: &str) -> String {
    // The first that fits: most browsers say that they are others as well.
    let named = |names: &[(&str, &'static str)]| {
        names.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name)
    };
    let browser = named(&[
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser", "Samsung Internet"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("CriOS/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ]);
    let system = named(&[
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Macintosh", "Mac"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) if agent.is_empty() => "Unknown".to_owned(),
        (None, None) => agent.chars().take(40).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_told_by_what_it_calls_itself() {
        let webkit = "AppleWebKit/537.36 (KHTML, like Gecko)";
        for (agent, device_name) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "Firefox on Linux"),
            (
                &format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/142.0 Safari/537.36"),
                "Chrome on Windows",
            ),
            (
                &format!("Mozilla/5.0 (Windows NT 10.0) {webkit} Chrome/142.0 Safari/537.36 Edg/142.0"),
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 26_1 like Mac OS X) AppleWebKit/605.1.15 Version/26.1 Safari/604.1",
                "Safari on iPhone",
            ),
            (
                &format!("Mozilla/5.0 (Linux; Android 10; K) {webkit} Chrome/142.0 Mobile Safari/537.36"),
                "Chrome on Android",
            ),
            ("curl/8.14.1", "curl/8.14.1"),
            ("", "Unknown"),
        ] {
            assert_eq!(device(agent), device_name, "{agent}");
        }
    }
}
