//! The gateway as its callers, channels and workers use it, with a clock that moves by hand.

use super::Store;
use chappe_core::account::Account;
use chappe_core::command::{
    Caller, CheckSendAbility, Entered, Idempotency, MessageParams, Outcome, Rejection,
    SendVerificationMessage, View,
};
use chappe_core::ledger::Kind;
use chappe_core::limits::Limit;
use chappe_core::price::Prices;
use chappe_core::route::{Hop, Reach, Route};
use chappe_core::text::{ChannelName, Payload, Username};
use chappe_core::{
    AccountId, ChannelEvent, Code, CodeMac, Command, Country, Mode, Money, Phone, RequestId, Rules, Time,
    TokenId, Ttl,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// The moment at which every test begins.
pub(crate) const START: Time = Time::from_secs(1_795_000_000);
pub(crate) const HOUR: u64 = 3600;

pub(crate) const ALICE: Caller = Caller { account: AccountId(100), token: TokenId(1), mode: Mode::Live };
pub(crate) const BOB: Caller = Caller { account: AccountId(101), token: TokenId(2), mode: Mode::Live };
/// Alice's test twin.
pub(crate) const TWIN: Caller = Caller { account: AccountId(102), token: TokenId(3), mode: Mode::Test };

pub(crate) const PHONE: &str = "+447911123456";
pub(crate) const OTHER: &str = "+14155550123";
/// Alice's own number.
pub(crate) const OWN: &str = "+391234567890";
/// A magic number that is delivered at once.
pub(crate) const MAGIC: &str = "+9996600001";
/// The magic number that asks for code_max_attempts_exceeded.
pub(crate) const LOCKED: &str = "+9996670001";

pub(crate) const CODE: &str = "1234";
pub(crate) const WRONG: &str = "4321";
/// The price of a message to every number, in micro-credits.
pub(crate) const PRICE: i64 = 10_000;

/// The rules as the tests know them.
pub(crate) fn rules() -> Rules {
    Rules {
        prices: Prices::new(Money::from_micros(PRICE), BTreeMap::new()).unwrap(),
        sends_per_phone: Limit { max: 5, within: Duration::from_secs(600) },
        failures_per_phone: Limit { max: 10, within: Duration::from_secs(HOUR) },
        attempts_max: 5,
        account_rate: None,
        code_life: Duration::from_secs(600),
        lease: Duration::from_secs(30),
        idempotency_life: Duration::from_secs(24 * HOUR),
    }
}

pub(crate) fn phone(text: &str) -> Phone {
    Phone::parse(text).unwrap()
}

/// A digest that differs wherever request or code differ.
pub(crate) fn mac(id: RequestId, code: &str) -> CodeMac {
    let mut mac = [0; 16];
    mac[..8].copy_from_slice(&id.number().to_be_bytes());
    mac[8..8 + code.len()].copy_from_slice(code.as_bytes());
    CodeMac(mac)
}

/// What a caller asks for: a message, or whether one can be sent.
#[derive(Clone, Debug)]
pub(crate) struct Order<'a> {
    pub(crate) phone: &'a str,
    pub(crate) under: Option<RequestId>,
    pub(crate) ttl: Option<u16>,
    pub(crate) callback: bool,
    pub(crate) payload: Option<&'a str>,
    pub(crate) sender: Option<&'a str>,
    /// Channels with their waits, such as `bot:30`.
    pub(crate) hops: &'a [&'a str],
    /// The channels among them that serve subscribers alone.
    pub(crate) subscribers_only: &'a [&'a str],
    pub(crate) reach: Reach,
    pub(crate) key: Option<Idempotency>,
    /// What is wrong with the message itself.
    pub(crate) fault: Option<Rejection>,
}

/// A plain message to this number.
pub(crate) fn to(phone: &str) -> Order<'_> {
    Order {
        phone,
        under: None,
        ttl: None,
        callback: false,
        payload: None,
        sender: None,
        hops: &["sms"],
        subscribers_only: &[],
        reach: Reach::Yes,
        key: None,
        fault: None,
    }
}

impl Order<'_> {
    fn route(&self) -> Route {
        let hops = self.hops.iter().map(|hop| Hop::parse(hop).unwrap()).collect();
        let channels = self.subscribers_only.iter().map(|name| ChannelName::parse(name).unwrap());
        Route { hops, subscribers_only: channels.collect(), reach: self.reach }
    }

    pub(crate) fn check_command(&self, caller: Caller, now: Time, new_id: RequestId) -> Command {
        Command::CheckSendAbility(CheckSendAbility {
            caller,
            now,
            new_id,
            phone: phone(self.phone),
            country: Country::UNKNOWN,
            route: self.route(),
            idempotency: self.key,
        })
    }

    pub(crate) fn send_command(&self, caller: Caller, now: Time, new_id: RequestId) -> Command {
        let params = MessageParams {
            code: Code::parse(CODE).unwrap(),
            code_mac: mac(self.under.unwrap_or(new_id), CODE),
            sender: self.sender.map(|sender| Username::parse(sender).unwrap()),
            callback_url: self.callback.then(|| "https://example.com/hook".into()),
            payload: self.payload.map(|payload| Payload::parse(payload).unwrap()),
            ttl: self.ttl.map(|secs| Ttl::from_secs(secs).unwrap()),
        };
        Command::Send(SendVerificationMessage {
            caller,
            now,
            prior: self.under,
            new_id,
            phone: phone(self.phone),
            country: Country::UNKNOWN,
            route: self.route(),
            message: self.fault.map_or(Ok(params), Err),
            idempotency: self.key,
        })
    }
}

/// The gateway, the clock, and who calls.
pub(crate) struct Gate {
    pub(crate) store: Store,
    pub(crate) now: Time,
    pub(crate) caller: Caller,
    made: i64,
}

impl Gate {
    /// Three accounts with one credit each; Alice calls.
    pub(crate) fn new() -> Gate {
        Gate::with(rules())
    }

    pub(crate) fn with(rules: Rules) -> Gate {
        let mut gate = Gate { store: Store::new(rules), now: START, caller: ALICE, made: 0 };
        for caller in [ALICE, BOB, TWIN] {
            let account = Account {
                id: caller.account,
                mode: caller.mode,
                balance: Money::ZERO,
                transfers: 0,
                own_number: (caller == ALICE).then(|| phone(OWN)),
                single_use: false,
                rate_spent_until: Time::from_secs(0),
            };
            gate.store.accounts.insert(account.id, account);
            gate.credit(caller, 1_000_000, None).unwrap();
        }
        gate
    }

    /// Moves the clock to so many seconds after the start.
    pub(crate) fn at(&mut self, secs: u64) -> &mut Gate {
        self.now = START + Duration::from_secs(secs);
        self
    }

    /// Lets someone else call.
    pub(crate) fn caller(&mut self, caller: Caller) -> &mut Gate {
        self.caller = caller;
        self
    }

    pub(crate) fn new_id(&mut self) -> RequestId {
        self.made += 1;
        RequestId::from_number(222_000_000_000_000 + self.made).unwrap()
    }

    pub(crate) fn check(&mut self, order: &Order<'_>) -> Result<View, Rejection> {
        let id = self.new_id();
        self.view(order.check_command(self.caller, self.now, id))
    }

    pub(crate) fn send(&mut self, order: &Order<'_>) -> Result<View, Rejection> {
        let id = self.new_id();
        self.view(order.send_command(self.caller, self.now, id))
    }

    /// Sends a message that nothing is wrong with.
    pub(crate) fn sent(&mut self, order: &Order<'_>) -> RequestId {
        self.send(order).unwrap().request
    }

    pub(crate) fn status(&mut self, request: RequestId) -> Result<View, Rejection> {
        self.view(Command::CheckStatus { caller: self.caller, now: self.now, request, entered: None })
    }

    pub(crate) fn enter(&mut self, request: RequestId, code: &str) -> Result<View, Rejection> {
        let entered = Some(Entered { text: code.into(), mac: mac(request, code) });
        self.view(Command::CheckStatus { caller: self.caller, now: self.now, request, entered })
    }

    pub(crate) fn revoke(&mut self, request: RequestId) -> Result<(), Rejection> {
        let outcome = self.store.run(Command::Revoke { caller: self.caller, now: self.now, request })?;
        assert_eq!(outcome, Outcome::Revoked);
        Ok(())
    }

    /// The channel of a hop says something.
    pub(crate) fn hear(&mut self, request: RequestId, hop: u8, events: &[ChannelEvent]) {
        let found = self.store.requests.get(&request).and_then(|request| request.route.get(usize::from(hop)));
        let channel = found.map_or("nobody".to_owned(), |hop| hop.channel.to_string());
        self.hear_from(&channel, request, hop, events);
    }

    /// A channel says something of a hop.
    pub(crate) fn hear_from(&mut self, channel: &str, request: RequestId, hop: u8, events: &[ChannelEvent]) {
        let (channel, events) = (ChannelName::parse(channel).unwrap(), events.to_vec());
        let outcome = self.store.run(Command::Channel { now: self.now, request, hop, channel, events });
        assert_eq!(outcome, Ok(Outcome::Done));
    }

    pub(crate) fn due(&mut self, request: RequestId, may_expire: bool) {
        let outcome = self.store.run(Command::Due { now: self.now, request, may_expire });
        assert_eq!(outcome, Ok(Outcome::Done));
    }

    pub(crate) fn credit(
        &mut self,
        caller: Caller,
        micros: i64,
        reference: Option<&str>,
    ) -> Result<Outcome, Rejection> {
        self.store.run(Command::Credit {
            now: self.now,
            account: caller.account,
            kind: if micros < 0 { Kind::Adjustment } else { Kind::Deposit },
            amount: Money::from_micros(micros),
            reference: reference.map(str::to_owned),
            reason: "test".to_owned(),
        })
    }

    /// Leaves an account with exactly this much.
    pub(crate) fn set_balance(&mut self, caller: Caller, micros: i64) {
        let change = micros - self.balance(caller);
        if change != 0 {
            self.credit(caller, change, None).unwrap();
        }
    }

    pub(crate) fn balance(&mut self, caller: Caller) -> i64 {
        match self.store.run(Command::Balance { caller }) {
            Ok(Outcome::Balance(balance)) => balance.micros(),
            other => panic!("{other:?}"),
        }
    }

    fn view(&mut self, command: Command) -> Result<View, Rejection> {
        match self.store.run(command)? {
            Outcome::Request(view) => Ok(*view),
            other => panic!("{other:?}"),
        }
    }
}
