//! The cast of every simulated life: four accounts of two customers, a few numbers, and the rules that they live by.

use chappe_core::limits::{Limit, Rate};
use chappe_core::price::Prices;
use chappe_core::{Mode, Money, Phone, Rules, Time};
use std::collections::BTreeMap;
use std::time::Duration;

/// The moment at which every life begins.
pub(crate) const START: Time = Time::from_secs(1_795_000_000);

/// Two customers. Their accounts are numbered in this order, each customer's live one before its test twin.
pub(crate) const CUSTOMERS: [&str; 2] = ["anna", "bert"];
/// How many accounts there are.
pub(crate) const ACCOUNTS: usize = 4;
/// Anna's live account, the only one with a number of its own.
pub(crate) const ANNA: usize = 0;
/// Bert's live account, the only one whose codes are good for one use.
pub(crate) const BERT: usize = 2;

/// Anna's own number.
pub(crate) const OWN: &str = "447700900001";
/// Numbers of everyday life. The first has a price of its own.
pub(crate) const ORDINARY: [&str; 3] = ["447700900111", "14155550123", "393331234567"];
/// One magic number of each kind, in the order of their digits.
pub(crate) const MAGIC: [&str; 10] = [
    "9996600001",
    "9996610001",
    "9996620001",
    "9996630001",
    "9996640001",
    "9996650001",
    "9996660001",
    "9996670001",
    "9996680001",
    "9996690001",
];

/// The channel that reaches nobody but those who have subscribed to it.
pub(crate) const FOR_SUBSCRIBERS: &str = "bot";

/// Every live account has these sender channels; nobody has another.
pub(crate) const VERIFIED_SENDER: &str = "verified_one";
/// A sender channel that nobody has verified.
pub(crate) const UNVERIFIED_SENDER: &str = "unverified_one";
/// A sender channel of somebody else.
pub(crate) const FOREIGN_SENDER: &str = "someone_elses";

/// The price of a message, in micro-credits.
pub(crate) const PRICE: i64 = 10_000;
/// The price of a message to a number that begins with 44.
pub(crate) const PRICE_44: i64 = 25_000;
/// What every account has to begin with: enough for a handful of messages.
pub(crate) const FUNDS: i64 = 12 * PRICE;

/// How many messages a number gets within [`SENDS_WITHIN`].
pub(crate) const SENDS_MAX: usize = 5;
pub(crate) const SENDS_WITHIN: Duration = Duration::from_secs(600);
/// How many wrong codes a number's requests may get, per account, within [`FAILURES_WITHIN`].
pub(crate) const FAILURES_MAX: usize = 10;
pub(crate) const FAILURES_WITHIN: Duration = Duration::from_secs(3600);
/// How many wrong codes one request may get.
pub(crate) const ATTEMPTS_MAX: usize = 5;
/// An account may ask once a second, and so many times at once.
pub(crate) const RATE_INTERVAL: Duration = Duration::from_secs(1);
pub(crate) const RATE_BURST: u32 = 7;
/// How long a code is good for.
pub(crate) const CODE_LIFE: Duration = Duration::from_secs(600);
/// How long a worker may take.
pub(crate) const LEASE: Duration = Duration::from_secs(30);
/// How long channels are asked to give a message back, from its sending.
pub(crate) const RECALL: Duration = Duration::from_secs(48 * 3600);
/// How long it is known what channels call messages.
pub(crate) const NAME_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long a right code may be repeated where codes are good for one use.
pub(crate) const GRACE: Duration = Duration::from_secs(30);
/// How long an idempotency key is remembered.
pub(crate) const KEY_LIFE: Duration = Duration::from_secs(24 * 3600);
/// The pauses after failed attempts at a report, in seconds; each may be drawn out by a fifth.
pub(crate) const PAUSES_S: [u64; 10] = [5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 43_200];

/// These figures as the program's rules.
pub(crate) fn rules() -> Rules {
    let by_prefix = BTreeMap::from([("44".to_owned(), Money::from_micros(PRICE_44))]);
    Rules {
        prices: Prices::new(Money::from_micros(PRICE), by_prefix).unwrap(),
        sends_per_phone: Limit { max: SENDS_MAX, within: SENDS_WITHIN },
        failures_per_phone: Limit { max: FAILURES_MAX, within: FAILURES_WITHIN },
        attempts_max: ATTEMPTS_MAX as u8,
        account_rate: Some(Rate { per_second: 1, burst: RATE_BURST }),
        code_life: CODE_LIFE,
        lease: LEASE,
        idempotency_life: KEY_LIFE,
    }
}

pub(crate) fn mode(who: usize) -> Mode {
    if who.is_multiple_of(2) { Mode::Live } else { Mode::Test }
}

/// How many tokens every account has.
pub(crate) const TOKENS: usize = 2;

/// The text of an account's first or second token.
pub(crate) fn token(who: usize, which: usize) -> String {
    format!("token-{which}-of-account-{who}")
}

pub(crate) fn phone(text: &str) -> Phone {
    Phone::parse(text).unwrap()
}
