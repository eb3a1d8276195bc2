//! A client that calls the gateway as fast as it answers and remembers every answer. It lives in the test's own process,
//! so it survives whatever is done to the gateway.

use crate::http::{Connection, Reply};
use crate::known::{Act, Known, TTL};
use crate::seeded::Seeded;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::io::{Error, Result};

/// How many requests from before are looked at again after each crash, beside those that changed since the last one.
const OLD_ONES: usize = 20;

const SEND: &str = "sendVerificationMessage";

/// A call without an answer that would have made a request.
struct Cut {
    phone: String,
    code: String,
    params: Value,
    key: Option<String>,
}

/// A client with its journal.
pub(crate) struct Client {
    random: Seeded,
    /// Digits that keep clients and runs from calling the same numbers.
    prefix: String,
    serial: u64,
    connection: Option<Connection>,
    /// Every request that was acknowledged.
    pub(crate) known: Vec<Known>,
    /// Those of `known` for which something is planned.
    open: Vec<usize>,
    /// Those of `known` that were made or changed since the last crash.
    fresh: BTreeSet<usize>,
    cut: Option<Cut>,
    /// How many requests may exist without this client knowing: their calls were cut off.
    pub(crate) unknown: u64,
    /// How many answers came under load.
    pub(crate) answers: u64,
}

impl Client {
    /// The client with this number, from 0 to 99.
    pub(crate) fn new(number: usize, seed: u64) -> Client {
        Client {
            random: Seeded(seed ^ ((number as u64 + 1) << 32)),
            prefix: format!("3933{number:02}"),
            serial: 0,
            connection: None,
            known: Vec::new(),
            open: Vec::new(),
            fresh: BTreeSet::new(),
            cut: None,
            unknown: 0,
            answers: 0,
        }
    }

    /// Calls until the gateway is gone.
    pub(crate) fn work(&mut self, address: &str, token: &str) {
        self.connection = Connection::open(address, token).ok();
        while self.step().is_ok() {
            self.answers += 1;
        }
        self.connection = None;
    }

    /// After a crash: everything that was acknowledged is still there. What was cut off is settled as far as it can be.
    pub(crate) fn check(&mut self, address: &str, token: &str, attempts: &HashMap<String, u8>) {
        self.connection = Some(Connection::open(address, token).unwrap());
        let mut wanted = std::mem::take(&mut self.fresh);
        for _ in 0..OLD_ONES.min(self.known.len()) {
            wanted.insert(self.random.place(self.known.len()));
        }
        for at in wanted {
            self.check_one(at, attempts);
        }
        match self.cut.take() {
            Some(Cut { phone, code, params, key: Some(key) }) => self.settle(&phone, code, params, key),
            Some(Cut { key: None, .. }) => self.unknown += 1,
            None => {}
        }
    }

    fn check_one(&mut self, at: usize, attempts: &HashMap<String, u8>) {
        let known = self.at(at);
        let (id, keyed) = (known.id.clone(), known.keyed.clone());
        let status = self.call("checkVerificationStatus", &json!({ "request_id": id })).unwrap();
        let counted = attempts.get(&id).copied();
        self.at(at).check(&status, counted);
        if !self.at(at).plan.is_empty() && !self.open.contains(&at) {
            self.open.push(at);
        }
        if let Some(act) = self.at(at).probe() {
            self.act(at, act).unwrap();
        }
        if let Some((key, params, answer)) = keyed {
            let again = self.call_keyed(SEND, &params, &key).unwrap();
            assert_eq!(again.text, answer, "the same key has two answers");
        }
    }

    /// A call with an idempotency key that was cut off is made again, as its sender would: twice, to see that it is
    /// one message.
    fn settle(&mut self, phone: &str, code: String, params: Value, key: String) {
        let first = self.call_keyed(SEND, &params, &key).unwrap();
        let second = self.call_keyed(SEND, &params, &key).unwrap();
        assert_eq!(first.text, second.text, "the same key has two answers");
        let mut known = Known::new(phone, Some(code), Vec::new(), &first);
        known.keyed = Some((key, params, first.text));
        self.add(known);
    }

    fn step(&mut self) -> Result<()> {
        if self.open.is_empty() || self.random.below(5) < 2 {
            return self.make();
        }
        let place = self.random.place(self.open.len());
        let at = *self.open.get(place).unwrap();
        let act = self.at(at).plan.pop();
        if self.at(at).plan.is_empty() {
            self.open.swap_remove(place);
        }
        act.map_or(Ok(()), |act| self.act(at, act))
    }

    fn act(&mut self, at: usize, act: Act) -> Result<()> {
        self.fresh.insert(at);
        let (method, params) = self.at(at).call(act);
        let reply = self.call(&method, &params)?;
        self.at(at).learn(act, &reply);
        Ok(())
    }

    /// Makes a request, in one of the ways there are.
    fn make(&mut self) -> Result<()> {
        self.serial += 1;
        let ordinary = format!("{}{:06}", self.prefix, self.serial);
        let magic = |digit: u64, random: &mut Seeded| format!("99966{digit}{:04}", random.below(10_000));
        let code = format!("{:06}", self.random.below(1_000_000));
        match self.random.below(20) {
            0..8 => self.send(ordinary, code, json!({}), None),
            8 => self.send(ordinary, code, json!({ "callback_url": "http://127.0.0.1:9/report" }), None),
            9..14 => {
                let digit = [0, 1, 3, 3, 4, 6, 7, 8, 9].get(self.random.place(9)).copied().unwrap_or(0);
                let ttl = if digit == 3 { json!({ "ttl": TTL.as_secs() }) } else { json!({}) };
                let phone = magic(digit, &mut self.random);
                self.send(phone, code, ttl, None)
            }
            14 => {
                let (digit, error) = if self.random.below(2) == 0 {
                    (2, "PHONE_NUMBER_NOT_AVAILABLE")
                } else {
                    (5, "FLOOD_WAIT_5")
                };
                let phone = magic(digit, &mut self.random);
                let reply = self.call(SEND, &json!({ "phone_number": phone, "code": code }))?;
                assert_eq!(reply.error().as_deref(), Some(error));
                Ok(())
            }
            15..17 => self.ask_first(ordinary, code),
            _ => {
                let key = format!("{ordinary}-{code}");
                self.send(ordinary, code, json!({ "payload": "with a key" }), Some(key))
            }
        }
    }

    fn send(&mut self, phone: String, code: String, extra: Value, key: Option<String>) -> Result<()> {
        let mut params = json!({ "phone_number": phone, "code": code });
        for (name, value) in extra.as_object().into_iter().flatten() {
            params[name] = value.clone();
        }
        let cut = Cut { phone: phone.clone(), code: code.clone(), params: params.clone(), key: key.clone() };
        self.cut = Some(cut);
        let reply = match &key {
            Some(key) => self.call_keyed(SEND, &params, key)?,
            None => self.call(SEND, &params)?,
        };
        self.cut = None;
        let mut known = Known::new(&phone, Some(code), self.plan(), &reply);
        known.keyed = key.map(|key| (key, params, reply.text));
        if known.magic() == Some(3) {
            // Some end now, some when their ttl is over.
            let place = self.random.place(known.plan.len() + 1);
            known.plan.insert(place, Act::Fail);
            known.plan.truncate(known.plan.len() - self.random.place(2));
        }
        self.add(known);
        Ok(())
    }

    /// Asks with checkSendAbility, to send later.
    fn ask_first(&mut self, phone: String, code: String) -> Result<()> {
        let params = json!({ "phone_number": phone });
        self.cut = Some(Cut { phone: phone.clone(), code: code.clone(), params: params.clone(), key: None });
        let reply = self.call("checkSendAbility", &params)?;
        self.cut = None;
        let mut plan = self.plan();
        plan.push(Act::Send);
        self.add(Known::new(&phone, Some(code), plan, &reply));
        Ok(())
    }

    /// What shall be done with a request: up to seven wrong codes, and then something final or nothing.
    fn plan(&mut self) -> Vec<Act> {
        let end: &[Act] = match self.random.below(6) {
            0 | 1 => &[],
            2 | 3 => &[Act::Right],
            4 => &[Act::Revoke],
            _ => &[Act::Revoke, Act::Right],
        };
        let wrong = [0, 0, 0, 1, 2, 4, 5, 7].get(self.random.place(8)).copied().unwrap_or(0);
        end.iter().copied().chain(std::iter::repeat_n(Act::Wrong, wrong)).collect()
    }

    fn add(&mut self, known: Known) {
        let at = self.known.len();
        self.fresh.insert(at);
        if !known.plan.is_empty() {
            self.open.push(at);
        }
        self.known.push(known);
    }

    fn at(&mut self, at: usize) -> &mut Known {
        self.known.get_mut(at).unwrap()
    }

    fn call(&mut self, method: &str, params: &Value) -> Result<Reply> {
        let connection = self.connection.as_mut().ok_or_else(|| Error::other("not connected"))?;
        connection.call(method, params)
    }

    fn call_keyed(&mut self, method: &str, params: &Value, key: &str) -> Result<Reply> {
        let connection = self.connection.as_mut().ok_or_else(|| Error::other("not connected"))?;
        connection.call_keyed(method, params, key)
    }
}
