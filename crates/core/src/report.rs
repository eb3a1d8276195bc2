//! Reports: telling the caller's server what became of a message, signed, in order, until it says 200.

use crate::hex::{from_hex, to_hex};
use crate::ids::{AccountId, ReportId, TokenId};
use crate::request::{Delivery, Verification};
use crate::time::Time;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Seconds to wait after each failed attempt. After the last one the report is lost.
/// 10 retries with growing pauses, so 11 attempts in all.
pub const RETRY_DELAYS_S: [u64; 10] = [5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 43_200];

/// How far a pause is drawn out at random, at most, in thousandths, so that receivers are not hit in step.
pub const JITTER_MAX_PERMILLE: u16 = 200;

/// Where a report stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// To be sent, or sent and not yet acknowledged.
    Pending,
    /// The receiver answered 200.
    Acknowledged,
    /// Every attempt failed.
    Lost,
}

impl State {
    /// The name in rows.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Acknowledged => "acknowledged",
            State::Lost => "lost",
        }
    }

    /// The state with this name.
    pub fn parse(text: &str) -> Option<State> {
        [State::Pending, State::Acknowledged, State::Lost].into_iter().find(|state| state.as_str() == text)
    }
}

/// One report: the state of a request at the moment its delivery status changed. Its body never changes afterwards, so
/// every attempt sends the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which one.
    pub id: ReportId,
    /// Whose.
    pub account: AccountId,
    /// The token that made the request: its digest is the signing key, also after a rotation.
    pub token: TokenId,
    /// The delivery status that it tells.
    pub delivery: (Delivery, Time),
    /// The verification status at that moment.
    pub verification: Option<(Verification, Time)>,
    /// Whether the fee had been given back.
    pub refunded: bool,
    /// Where it stands.
    pub state: State,
    /// Attempts that have ended.
    pub attempts: u8,
    /// When the next attempt is due, or when the lease of one under way lapses.
    pub due_at: Time,
    /// Whether an attempt is under way.
    pub leased: bool,
    /// What the last attempt came to: an HTTP status or a reason.
    pub last_result: Option<String>,
    /// When the last attempt ended, and how long it took.
    pub last_attempt: Option<(Time, Duration)>,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The receiver answered 200.
    Acknowledged,
    /// Anything else, with what it was.
    Failed(String),
}

impl Report {
    /// Takes the report for one attempt, if one is due.
    pub fn lease(&mut self, now: Time, lease: Duration) -> bool {
        let due = self.state == State::Pending && self.due_at <= now;
        if due {
            self.due_at = now + lease;
            self.leased = true;
        }
        due
    }

    /// Asks for the report to be sent again at once. One that is settled begins anew, with every attempt that a report has;
    /// one that waits for its next attempt need not wait for it; one under way is left alone. Its body stays what it was,
    /// so whoever has had it before can tell.
    pub fn resend(&mut self, now: Time) {
        match self.state {
            State::Pending if self.leased => {}
            State::Pending => self.due_at = self.due_at.min(now),
            State::Acknowledged | State::Lost => {
                self.state = State::Pending;
                self.attempts = 0;
                self.due_at = now;
            }
        }
    }

    /// Books what an attempt came to. `jitter_permille` (drawn by the caller, at most [`JITTER_MAX_PERMILLE`]) draws
    /// the next pause out.
    pub fn conclude(&mut self, attempt: Attempt, took: Duration, jitter_permille: u16, now: Time) {
        if self.state != State::Pending {
            return;
        }
        self.leased = false;
        self.last_attempt = Some((now, took));
        match attempt {
            Attempt::Acknowledged => {
                self.state = State::Acknowledged;
                self.last_result = Some("200".to_owned());
            }
            Attempt::Failed(reason) => {
                self.last_result = Some(reason);
                let delay_s = RETRY_DELAYS_S.get(usize::from(self.attempts));
                match delay_s {
                    Some(delay_s) => {
                        let stretched =
                            delay_s * 1000 + delay_s * u64::from(jitter_permille.min(JITTER_MAX_PERMILLE));
                        self.due_at = now + Duration::from_millis(stretched);
                    }
                    None => self.state = State::Lost,
                }
            }
        }
        self.attempts = self.attempts.saturating_add(1);
    }
}

/// The key that signs an account's reports: SHA-256 of the API token that made the request.
pub fn signing_key(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// The value of `X-Request-Signature`: lower-case hex of HMAC-SHA256 over the timestamp (Unix seconds, canonical
/// decimal), a line feed and the exact bytes of the body.
pub fn signature(token: &str, timestamp: i64, body: &[u8]) -> String {
    let digest = mac(token, &[timestamp.to_string().as_bytes(), b"\n", body]).finalize().into_bytes();
    to_hex(&digest)
}

/// The same check from the receiver's side, in time that does not depend on where a forgery goes wrong. `timestamp`
/// and `signature` are the headers as they came.
pub fn verify_signature(token: &str, timestamp: &str, body: &[u8], signature: &str) -> bool {
    let Some(claimed) = from_hex(signature) else { return false };
    mac(token, &[timestamp.as_bytes(), b"\n", body]).verify_slice(&claimed).is_ok()
}

/// The HMAC of the Standard Webhooks scheme over `id.timestamp.body`, with the same key.
pub fn standard_webhooks_mac(token: &str, id: &str, timestamp: i64, body: &[u8]) -> [u8; 32] {
    mac(token, &[id.as_bytes(), b".", timestamp.to_string().as_bytes(), b".", body])
        .finalize()
        .into_bytes()
        .into()
}

#[allow(clippy::expect_used)]
fn mac(token: &str, parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(&signing_key(token)).expect("HMAC takes a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RequestId;

    const TOOK: Duration = Duration::from_millis(120);

    fn report() -> Report {
        Report {
            id: ReportId { request: RequestId::from_number(222_370_177_540_343).unwrap(), seq: 1 },
            account: AccountId(100),
            token: TokenId(1),
            delivery: (Delivery::Delivered, Time::from_secs(1)),
            verification: None,
            refunded: false,
            state: State::Pending,
            attempts: 0,
            due_at: Time::from_secs(1),
            leased: false,
            last_result: None,
            last_attempt: None,
        }
    }

    #[test]
    fn eleven_attempts_then_lost() {
        let mut report = report();
        let mut waits = Vec::new();
        while report.state == State::Pending {
            let now = report.due_at;
            assert!(report.lease(now, Duration::from_secs(30)));
            assert!(!report.lease(now, Duration::from_secs(30)), "a leased report is nobody else's");
            report.conclude(Attempt::Failed("503".to_owned()), TOOK, 0, now);
            waits.push(report.due_at.since(now).as_secs());
        }
        assert_eq!(report.attempts, 11);
        assert_eq!(report.state, State::Lost);
        assert_eq!(waits.get(..10), Some(RETRY_DELAYS_S.as_slice()));
    }

    #[test]
    fn jitter_draws_a_pause_out_by_a_fifth_at_most() {
        let mut report = report();
        report.conclude(Attempt::Failed("timeout".to_owned()), TOOK, u16::MAX, Time::from_secs(100));
        assert_eq!(report.due_at, Time::from_secs(106));
    }

    #[test]
    fn what_is_settled_stays_settled() {
        let mut report = report();
        report.conclude(Attempt::Acknowledged, TOOK, 0, Time::from_secs(2));
        report.conclude(Attempt::Failed("late".to_owned()), Duration::ZERO, 0, Time::from_secs(3));
        assert_eq!((report.state, report.attempts), (State::Acknowledged, 1));
        assert_eq!(report.last_attempt, Some((Time::from_secs(2), TOOK)));
    }

    #[test]
    fn what_is_sent_again_begins_anew() {
        let now = Time::from_secs(500);
        let lost =
            Report { state: State::Lost, attempts: 11, last_result: Some("503".to_owned()), ..report() };
        let acknowledged = Report { state: State::Acknowledged, attempts: 1, ..report() };
        let waiting = Report { attempts: 4, due_at: Time::from_secs(9_000), ..report() };
        let due = Report { attempts: 4, due_at: Time::from_secs(400), ..report() };
        let under_way = Report { leased: true, attempts: 4, due_at: Time::from_secs(520), ..report() };
        for (before, attempts, due_s) in
            [(lost, 0, 500), (acknowledged, 0, 500), (waiting, 4, 500), (due, 4, 400), (under_way, 4, 520)]
        {
            let mut after = before.clone();
            after.resend(now);
            let due_at = Time::from_secs(due_s);
            assert_eq!(after, Report { state: State::Pending, attempts, due_at, ..before });
        }
    }

    #[test]
    fn signatures_match_an_independent_computation() {
        // printf '1733663990\n{"ok":1}' | openssl dgst -sha256 -mac HMAC -macopt hexkey:$(printf token | sha256sum)
        let known = "2293b8899bc102116f8e84f99d7d8a96162146c0ad43f5b9034b6b5006a418b1";
        assert_eq!(signature("token", 1_733_663_990, b"{\"ok\":1}"), known);
        assert!(verify_signature("token", "1733663990", b"{\"ok\":1}", known));
        for (timestamp, body, signature) in [
            ("1733663991", &b"{\"ok\":1}"[..], known.to_owned()),
            ("1733663990", b"{\"ok\":2}", known.to_owned()),
            ("1733663990", b"{\"ok\":1}", known.to_uppercase()),
            ("1733663990", b"{\"ok\":1}", String::new()),
            ("1733663990", b"{\"ok\":1}", known[..62].to_owned()),
        ] {
            assert!(!verify_signature("token", timestamp, body, &signature));
        }
    }
}
