//! A client behind the balancer that goes on whatever happens, and remembers every answer.

use crate::http::{Connection, Reply};
use crate::known::{Act, Known, TTL};
use crate::pulse::Pulse;
use crate::seeded::Seeded;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const SEND: &str = "sendVerificationMessage";
/// Between two calls of one client: a load that two processors carry with room for what the trial does to them.
const PACE: Duration = Duration::from_millis(15);

/// A send with an idempotency key that was not answered.
struct Unanswered {
    phone: String,
    code: String,
    params: Value,
    key: String,
}

/// A client with its books.
pub(crate) struct Teller {
    random: Seeded,
    /// Digits that keep clients from calling the same numbers.
    prefix: String,
    serial: u64,
    /// How many messages it sends to begin with that are never delivered, and so expire.
    pub(crate) expiring: u64,
    address: String,
    token: String,
    connection: Option<Connection>,
    /// Every request that was acknowledged.
    pub(crate) known: Vec<Known>,
    /// Those of `known` for which something is planned.
    open: Vec<usize>,
    unanswered: Vec<Unanswered>,
    /// How many requests may exist without this client knowing.
    pub(crate) unknown: u64,
    /// How many calls were answered as they should be.
    pub(crate) answers: u64,
    /// The calls that were not, and why.
    pub(crate) failures: Vec<String>,
}

impl Teller {
    /// The client with this number, from 0 to 99.
    pub(crate) fn new(number: usize, seed: u64, address: String, token: String) -> Teller {
        Teller {
            random: Seeded(seed ^ ((number as u64 + 1) << 32)),
            prefix: format!("3933{number:02}"),
            serial: 0,
            expiring: 0,
            address,
            token,
            connection: None,
            known: Vec::new(),
            open: Vec::new(),
            unanswered: Vec::new(),
            unknown: 0,
            answers: 0,
            failures: Vec::new(),
        }
    }

    /// Calls until told to stop.
    pub(crate) fn work(&mut self, stop: &AtomicBool, pulse: &Pulse) {
        while !stop.load(Ordering::Relaxed) {
            let before = self.answers;
            self.step();
            if self.answers > before {
                pulse.beat();
            }
            std::thread::sleep(PACE);
        }
    }

    /// Repeats what was not answered and can be repeated: each must have become one message.
    pub(crate) fn settle(&mut self) {
        for _ in 0..200 {
            if self.unanswered.is_empty() {
                return;
            }
            self.repeat();
        }
        panic!("still unanswered: {:?}", self.failures.last());
    }

    fn step(&mut self) {
        if !self.unanswered.is_empty() {
            return self.repeat();
        }
        if self.open.is_empty() || self.random.below(5) < 2 {
            return self.make();
        }
        let place = self.random.place(self.open.len());
        let at = self.open[place];
        let Some(act) = self.known[at].plan.pop() else {
            self.open.swap_remove(place);
            return;
        };
        let (method, params) = self.known[at].call(act);
        match self.call(&method, &params, None) {
            Some(reply) => self.known[at].learn(act, &reply),
            // What came of it is looked up in the end; nothing more is done that would hide it.
            None => self.known[at].plan.clear(),
        }
    }

    fn make(&mut self) {
        self.serial += 1;
        let phone = format!("{}{:06}", self.prefix, self.serial);
        let code = format!("{:06}", self.random.below(1_000_000));
        let magic = |digit: u64, random: &mut Seeded| format!("99966{digit}{:04}", random.below(10_000));
        if self.serial <= self.expiring {
            let phone = format!("999663{}{:02}", self.prefix.split_at(4).1, self.serial);
            return self.send(phone, Some(code), json!({ "ttl": TTL.as_secs() }), None, false);
        }
        match self.random.below(20) {
            0..7 => self.send(phone, Some(code), json!({}), None, true),
            7..9 => self.send(phone, None, json!({ "code_length": 6 }), None, true),
            9 => {
                let extra = json!({ "callback_url": "https://reports.invalid/hook", "payload": "x" });
                self.send(phone, Some(code), extra, None, true);
            }
            10..12 => {
                let digit = [1, 7, 8, 9][self.random.place(4)];
                let phone = magic(digit, &mut self.random);
                self.send(phone, Some(code), json!({}), None, true);
            }
            12..14 => self.ask_first(phone, code),
            14 => {
                if let Some(reply) = self.call("getBalance", &json!({}), None) {
                    assert!(reply.result()["balance"].is_number(), "{reply:?}");
                }
            }
            15 if !self.known.is_empty() => {
                let at = self.random.place(self.known.len());
                let id = self.known[at].id.clone();
                if let Some(reply) = self.call("checkVerificationStatus", &json!({ "request_id": id }), None)
                {
                    assert_eq!(reply.result()["request_id"], id, "an acknowledged request is gone");
                }
            }
            _ => {
                let key = format!("{phone}-{code}");
                self.send(phone, Some(code), json!({}), Some(key), true);
            }
        }
    }

    fn send(&mut self, phone: String, code: Option<String>, extra: Value, key: Option<String>, act: bool) {
        let mut params = json!({ "phone_number": phone });
        if let Some(code) = &code {
            params["code"] = json!(code);
        }
        for (name, value) in extra.as_object().into_iter().flatten() {
            params[name] = value.clone();
        }
        match (self.call(SEND, &params, key.as_deref()), key) {
            // The limit of a number holds over all clients, and magic numbers are few.
            (Some(reply), _) if reply.status == 429 || flooded(&reply) => {}
            (Some(reply), key) => {
                let plan = if act { self.plan(code.is_some()) } else { Vec::new() };
                let mut known = Known::new(&phone, code, plan, &reply);
                known.keyed = key.map(|key| (key, params, reply.text));
                self.add(known);
            }
            (None, Some(key)) => {
                let code = code.unwrap_or_default();
                self.unanswered.push(Unanswered { phone, code, params, key });
            }
            (None, None) => self.unknown += 1,
        }
    }

    fn repeat(&mut self) {
        let Some(Unanswered { phone, code, params, key }) = self.unanswered.pop() else { return };
        match self.call(SEND, &params, Some(&key)) {
            Some(first) => {
                let mut known = Known::new(&phone, Some(code), Vec::new(), &first);
                known.keyed = Some((key, params, first.text));
                self.add(known);
            }
            None => {
                self.unanswered.push(Unanswered { phone, code, params, key });
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }

    /// Asks with checkSendAbility, to send later.
    fn ask_first(&mut self, phone: String, code: String) {
        match self.call("checkSendAbility", &json!({ "phone_number": phone }), None) {
            Some(reply) => {
                let mut plan = self.plan(true);
                plan.push(Act::Send);
                self.add(Known::new(&phone, Some(code), plan, &reply));
            }
            None => self.unknown += 1,
        }
    }

    /// Up to seven wrong codes, and then something final or nothing.
    fn plan(&mut self, knows_code: bool) -> Vec<Act> {
        let end: &[Act] = match self.random.below(6) {
            0 => &[],
            1..4 if knows_code => &[Act::Right],
            4 if knows_code => &[Act::Revoke, Act::Right],
            _ => &[Act::Revoke],
        };
        let wrong = [0, 0, 0, 0, 1, 2, 5, 7][self.random.place(8)];
        end.iter().copied().chain(std::iter::repeat_n(Act::Wrong, wrong)).collect()
    }

    fn add(&mut self, known: Known) {
        if !known.plan.is_empty() {
            self.open.push(self.known.len());
        }
        self.known.push(known);
    }

    /// One call. `None` if it was not answered, or with an error of the service.
    fn call(&mut self, method: &str, params: &Value, key: Option<&str>) -> Option<Reply> {
        if self.connection.is_none() {
            match Connection::open(&self.address, &self.token) {
                Ok(connection) => self.connection = Some(connection),
                Err(error) => {
                    self.failures.push(format!("{method}: {error}"));
                    return None;
                }
            }
        }
        let connection = self.connection.as_mut()?;
        let answered = match key {
            Some(key) => connection.call_keyed(method, params, key),
            None => connection.call(method, params),
        };
        match answered {
            Ok(reply) if reply.status < 500 => {
                self.answers += 1;
                Some(reply)
            }
            Ok(reply) => {
                self.connection = None;
                self.failures.push(format!("{method}: {} {}", reply.status, reply.text.replace('\n', " ")));
                None
            }
            Err(error) => {
                self.connection = None;
                self.failures.push(format!("{method}: {error}"));
                None
            }
        }
    }
}

fn flooded(reply: &Reply) -> bool {
    reply.error().is_some_and(|error| error.starts_with("FLOOD_WAIT"))
}
