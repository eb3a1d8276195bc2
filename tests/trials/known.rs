//! What a client knows of a request because the gateway has told it, and what must therefore still be true after a
//! crash.

use crate::http::Reply;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The price of a message, in micro-credits.
pub(crate) const PRICE: i64 = 10_000;
/// The account's own number under `chappe dev`, to which messages are free.
const OWN_NUMBER: &str = "9996600001";
/// How many wrong codes a request takes.
pub(crate) const ATTEMPTS_MAX: u8 = 5;
/// The `ttl` of messages that are never delivered.
pub(crate) const TTL: Duration = Duration::from_secs(30);

/// What a client does with a request that it has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Send the message for which checkSendAbility has paid.
    Send,
    /// Enter a wrong code.
    Wrong,
    /// Enter the right code.
    Right,
    /// Withdraw the message.
    Revoke,
    /// Let the sandbox say that a message cannot be delivered: it is refunded.
    Fail,
}

/// A request that was acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) id: String,
    pub(crate) phone: String,
    /// What was charged, in micro-credits.
    pub(crate) cost: i64,
    /// The code, if the client chose it.
    pub(crate) code: Option<String>,
    /// What is still to be done with it, the next last.
    pub(crate) plan: Vec<Act>,
    /// The idempotency key, the parameters and the answer, if there was a key.
    pub(crate) keyed: Option<(String, Value, String)>,
    since: Instant,
    sent: bool,
    /// How many wrong codes were answered as wrong.
    pub(crate) wrong: u8,
    /// Whether a code was answered as one too many.
    refused: bool,
    verified_at: Option<i64>,
    revoked: bool,
    expired: bool,
    /// What was asked last and not answered: it may have happened or not.
    doubt: Option<Act>,
}

impl Known {
    /// A request as the call that made it has answered.
    pub(crate) fn new(phone: &str, code: Option<String>, plan: Vec<Act>, reply: &Reply) -> Known {
        let result = reply.result();
        let known = Known {
            id: text(&result["request_id"]),
            phone: phone.to_owned(),
            cost: micros(&result["request_cost"]),
            code,
            plan,
            keyed: None,
            since: Instant::now(),
            sent: !result["delivery_status"].is_null(),
            wrong: 0,
            refused: false,
            verified_at: None,
            revoked: false,
            expired: false,
            doubt: None,
        };
        known.is_described_by(&result);
        assert_eq!(known.cost, if phone == OWN_NUMBER { 0 } else { PRICE }, "{reply:?}");
        assert!(result["remaining_balance"].is_number(), "{reply:?}");
        known
    }

    /// The call that does `act`; until it is answered, it is in doubt whether it was done.
    pub(crate) fn call(&mut self, act: Act) -> (String, Value) {
        self.doubt = Some(act);
        let id = &self.id;
        let (method, params) = match act {
            Act::Send => {
                let params = json!({ "phone_number": self.phone, "request_id": id, "code": self.code });
                ("sendVerificationMessage", params)
            }
            Act::Right => ("checkVerificationStatus", json!({ "request_id": id, "code": self.code })),
            Act::Wrong => ("checkVerificationStatus", json!({ "request_id": id, "code": self.wrong_code() })),
            Act::Revoke => ("revokeVerificationMessage", json!({ "request_id": id })),
            Act::Fail => return (format!("sandbox/messages/{id}/failed"), json!({})),
        };
        (method.to_owned(), params)
    }

    /// Takes the answer to `act` in, and panics if it is not the one that everything before it calls for.
    pub(crate) fn learn(&mut self, act: Act, reply: &Reply) {
        self.doubt = None;
        match act {
            Act::Send if self.sent => assert_eq!(reply.error().as_deref(), Some("MESSAGE_ALREADY_SENT")),
            Act::Send => {
                self.is_described_by(&reply.result());
                self.sent = true;
            }
            Act::Revoke => {
                assert_eq!(reply.result(), true, "{self:?}");
                self.revoked = true;
            }
            Act::Fail => {
                assert_eq!(reply.status, 200, "{reply:?}");
                let delivery = text(&reply.json()["delivery_status"]);
                let possible = match delivery.as_str() {
                    "expired" => self.expired || !self.revoked || self.may_have_expired(),
                    "revoked" => self.revoked && !self.expired,
                    _ => false,
                };
                assert!(possible, "{delivery} for {self:?}");
                self.expired |= delivery == "expired";
            }
            Act::Wrong | Act::Right => self.learn_verdict(act, &reply.result()),
        }
    }

    fn learn_verdict(&mut self, act: Act, result: &Value) {
        self.is_described_by(result);
        let verdict = &result["verification_status"];
        assert!(verdict["code_entered"].is_string(), "{result}");
        if verdict["status"] == "expired" && self.may_have_expired() {
            self.expired = true;
        }
        let expected = if self.is_dead() {
            "expired"
        } else if self.wrong >= ATTEMPTS_MAX || self.magic() == Some(7) {
            "code_max_attempts_exceeded"
        } else if act == Act::Right {
            "code_valid"
        } else {
            "code_invalid"
        };
        assert_eq!(verdict["status"], expected, "{act:?}: {result} for {self:?}");
        match expected {
            "code_valid" => {
                let at = verdict["updated_at"].as_i64();
                assert!(self.verified_at.is_none() || self.verified_at == at, "{result} for {self:?}");
                self.verified_at = at;
            }
            "code_invalid" => self.wrong += 1,
            "code_max_attempts_exceeded" => self.refused = true,
            _ => {}
        }
    }

    /// After a crash: everything that was acknowledged still holds. `status` is the answer to a status call without a
    /// code, `attempts` what the database has counted. What was in doubt is settled by it.
    pub(crate) fn check(&mut self, status: &Reply, attempts: Option<u8>) {
        let doubt = self.doubt.take();
        let result = status.result();
        self.is_described_by(&result);
        let delivery = result["delivery_status"]["status"].as_str();
        assert!(!self.sent || delivery.is_some(), "a message is gone: {result} for {self:?}");
        assert!(self.sent || delivery.is_none() || doubt == Some(Act::Send), "{result} for {self:?}");
        self.sent = delivery.is_some();
        if doubt == Some(Act::Send) {
            // Asked again, it is done now if it was not, and refused if it was.
            self.plan.push(Act::Send);
        }
        let Some(delivery) = delivery else { return };

        let most = self.wrong + u8::from(doubt == Some(Act::Wrong));
        let attempts = attempts.unwrap_or_else(|| panic!("no row for {self:?}"));
        assert!((self.wrong..=most).contains(&attempts), "{attempts} wrong codes counted: {self:?}");
        self.wrong = attempts;

        self.check_delivery(delivery, doubt);
        self.check_verdict(&result["verification_status"], doubt);
        let refunded = result["is_refunded"] == true;
        assert_eq!(refunded, delivery == "expired" && self.cost > 0, "{result} for {self:?}");
    }

    fn check_delivery(&mut self, delivery: &str, doubt: Option<Act>) {
        let possible = match (delivery, self.magic()) {
            ("sent", _) => !self.revoked && !self.expired,
            ("revoked", _) => self.revoked || doubt == Some(Act::Revoke),
            ("expired", Some(3)) => self.expired || doubt == Some(Act::Fail) || self.may_have_expired(),
            ("delivered", magic) => !matches!(magic, Some(3 | 9)),
            ("read", Some(1 | 8)) => true,
            _ => false,
        };
        assert!(possible, "{delivery} for {self:?}");
        self.revoked |= delivery == "revoked";
        self.expired |= delivery == "expired";
    }

    fn check_verdict(&mut self, verdict: &Value, doubt: Option<Act>) {
        let status = verdict["status"].as_str();
        if let Some(verified_at) = self.verified_at {
            assert_eq!((status, verdict["updated_at"].as_i64()), (Some("code_valid"), Some(verified_at)));
            return;
        }
        match status {
            Some("code_valid") => {
                assert_eq!(doubt, Some(Act::Right), "{verdict} for {self:?}");
                self.verified_at = verdict["updated_at"].as_i64();
            }
            Some("expired") => {
                self.revoked |= doubt == Some(Act::Revoke) && !self.expired;
                assert!(self.is_dead(), "{verdict} for {self:?}");
            }
            Some("code_invalid") => {
                assert!(self.wrong > 0 && !self.refused && !self.is_dead(), "{verdict} for {self:?}");
            }
            Some("code_max_attempts_exceeded") => {
                assert!(self.wrong >= ATTEMPTS_MAX || self.magic() == Some(7), "{verdict} for {self:?}");
                assert!(!self.is_dead(), "{verdict} for {self:?}");
            }
            Some(other) => panic!("{other} for {self:?}"),
            None => {
                assert!(self.wrong == 0 && !self.refused && !self.is_dead(), "the verdict is gone: {self:?}")
            }
        }
    }

    /// What can be asked without changing anything, to see that verdicts stand.
    pub(crate) fn probe(&self) -> Option<Act> {
        let settled = self.verified_at.is_some() || self.wrong >= ATTEMPTS_MAX;
        (self.sent && settled && self.code.is_some()).then_some(Act::Right)
    }

    /// Every answer about a request tells the same id, number and cost.
    fn is_described_by(&self, result: &Value) {
        let told =
            (text(&result["request_id"]), text(&result["phone_number"]), micros(&result["request_cost"]));
        assert_eq!(told, (self.id.clone(), self.phone.clone(), self.cost), "{result}");
    }

    /// Whether its code has stopped working: with an expired delivery, or by a withdrawal before it was proven.
    fn is_dead(&self) -> bool {
        self.expired || (self.revoked && self.verified_at.is_none())
    }

    /// Whether its delivery can have expired by now. The gateway's clock started a moment before ours.
    fn may_have_expired(&self) -> bool {
        self.magic() == Some(3) && self.since.elapsed() + Duration::from_secs(1) >= TTL
    }

    /// What a magic number asks of the sandbox.
    pub(crate) fn magic(&self) -> Option<u8> {
        self.phone.strip_prefix("99966")?.get(..1)?.parse().ok()
    }

    /// A code that is not the right one, though as long.
    fn wrong_code(&self) -> String {
        let right: u32 = self.code.as_deref().and_then(|code| code.parse().ok()).unwrap_or(0);
        format!("{:06}", (right + 1) % 1_000_000)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// An amount as micro-credits, from its digits and not by way of a float.
pub(crate) fn micros(value: &Value) -> i64 {
    let digits = value.to_string();
    digits.parse::<chappe_core::Money>().unwrap_or_else(|_| panic!("no amount: {digits}")).micros()
}
