//! Whether the upstream would take messages, found out for free.

use super::{Gateway, said};
use crate::channels::finding::Finding;
use chappe_client::{Error, Refusal};
use chappe_core::Time;
use std::time::{Duration, UNIX_EPOCH};

/// A request id that is nobody's: whoever is told so has shown a good token.
const NOBODYS_REQUEST: &str = "100000000000000";
/// How far the upstream's clock may be from ours before one of them must be wrong.
const CLOCK_DIFFERENCE_MAX: Duration = Duration::from_secs(30);
/// The longest address that an upstream calls back, in bytes.
const CALLBACK_MAX_BYTES: usize = 256;

impl Gateway {
    pub(in crate::channels) async fn examine(&self, now: Time) -> Vec<Finding> {
        let mut findings = vec![self.examine_callbacks()];
        match self.examine_token().await {
            Ok(()) => {
                findings.push(Finding::ok("the upstream is there and knows the token"));
                findings.extend(self.examine_balance().await);
                findings.extend(self.examine_clock(now).await);
            }
            Err(finding) => findings.push(finding),
        }
        findings
    }

    async fn examine_token(&self) -> Result<(), Finding> {
        let answer = self.settings.client.check_verification_status(NOBODYS_REQUEST, None).await;
        match answer {
            Ok(_) | Err(Error::Refused(Refusal::RequestIdInvalid)) => Ok(()),
            Err(error) => Err(Finding::fail(said::reason(&error), advice(&error))),
        }
    }

    async fn examine_balance(&self) -> Option<Finding> {
        match self.settings.client.get_balance().await {
            Ok(balance) if balance.is_positive() => {
                Some(Finding::ok(format!("the account at the upstream has {balance}")))
            }
            Ok(balance) => Some(Finding::fail(
                format!("the account at the upstream has {balance}"),
                "pay something in there, or give the route another hop",
            )),
            // Telegram's own does not have the method, and may say so in whatever way.
            Err(Error::Refused(_) | Error::Http { status: ..500, .. }) => {
                Some(Finding::ok("the upstream does not tell what the account has left: look there"))
            }
            Err(error) => Some(Finding::warn(said::reason(&error), advice(&error))),
        }
    }

    async fn examine_clock(&self, now: Time) -> Option<Finding> {
        let theirs = self.settings.client.server_time().await.ok().flatten()?;
        let theirs = theirs.duration_since(UNIX_EPOCH).ok()?.as_secs();
        let theirs = Time::from_secs(i64::try_from(theirs).ok()?);
        let difference = theirs.since(now).max(now.since(theirs));
        let what = format!("the upstream's clock and ours are {} s apart", difference.as_secs());
        Some(if difference <= CLOCK_DIFFERENCE_MAX {
            Finding::ok(what)
        } else {
            Finding::warn(what, "let this machine's clock be set by NTP, and look who is wrong")
        })
    }

    fn examine_callbacks(&self) -> Finding {
        let often = self.settings.poll.as_secs();
        let asked = format!("it is asked every {often} s at first what became of a message");
        let Some(url) = self.callbacks.url(&self.name, &"0".repeat(CALLBACK_PATH_BYTES)) else {
            return Finding::ok(format!("without public_url the upstream sends no reports: {asked}"));
        };
        if !self.settings.callbacks {
            return Finding::ok(format!("with callbacks = false the upstream sends no reports: {asked}"));
        }
        if url.len() > CALLBACK_MAX_BYTES {
            let what =
                format!("the address for reports has {} bytes, and may have {CALLBACK_MAX_BYTES}", url.len());
            return Finding::fail(what, "give public_url a shorter path, or set callbacks = false");
        }
        if !url.starts_with("https://") {
            return Finding::warn(
                "public_url is not https: most upstreams refuse every message that names it",
                "put TLS in front, or set callbacks = false",
            );
        }
        Finding::ok("the upstream sends its reports below public_url")
    }
}

/// How long the path of a hop is: its request's 15 digits, one of its own, and 16 bytes in hexadecimal.
const CALLBACK_PATH_BYTES: usize = 15 + 1 + 1 + 1 + 32;

fn advice(error: &Error) -> &'static str {
    match error {
        Error::Refused(Refusal::AccessTokenInvalid | Refusal::AccessTokenRequired) => {
            "set token to one that is good there, for the account that is to pay"
        }
        Error::Refused(Refusal::IpNotAllowed) => "allow this server's address there for the token",
        Error::Refused(Refusal::FloodWait { .. } | Refusal::Overloaded) => "look again later",
        Error::Connect(_) | Error::Timeout | Error::Transport(_) => {
            "check base_url, the name and the firewall: `curl -i BASE_URL` from this machine must get an answer"
        }
        _ => "check base_url: methods are appended to its path",
    }
}
