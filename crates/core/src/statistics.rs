//! Statistics that are live and exact: what each request adds to its day's row.
//!
//! A request counts on the day (UTC) it was made, so that a funnel compares like with like: of the messages of that
//! day, so many were delivered, read, verified. A row is never counted up by hand: whoever saves a changed request adds
//! the difference between what it contributed before and what it contributes now.

use crate::ids::AccountId;
use crate::money::Money;
use crate::phone::Country;
use crate::request::{Delivery, Request};
use crate::text::ChannelName;
use std::ops::{AddAssign, Sub};

/// Which row a request counts in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DayKey {
    /// The account.
    pub account: AccountId,
    /// Days since 1970-01-01, UTC.
    pub day: i32,
    /// The number's country.
    pub country: Country,
    /// The channel that has the message now.
    pub channel: ChannelName,
}

/// The numbers of a row. Each is a plain sum over the requests that count in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Asked for by checkSendAbility, whether or not a message followed.
    pub checked: i64,
    /// Messages sent.
    pub sent: i64,
    /// Of them delivered, whether or not read.
    pub delivered: i64,
    /// Of them read.
    pub read: i64,
    /// Of them expired.
    pub expired: i64,
    /// Of them revoked before delivery.
    pub revoked: i64,
    /// Of them verified with the right code.
    pub verified: i64,
    /// Fees charged.
    pub charged: Money,
    /// Fees given back.
    pub refunded: Money,
}

/// What a request adds to its row.
pub fn contribution(request: &Request) -> (DayKey, Counters) {
    let message = request.message.as_ref();
    let is =
        |wanted: &[Delivery]| i64::from(message.is_some_and(|message| wanted.contains(&message.delivery)));
    let key = DayKey {
        account: request.account,
        day: request.created_at.day(),
        country: request.country,
        channel: request.channel().clone(),
    };
    let counters = Counters {
        checked: i64::from(request.ability_checked),
        sent: i64::from(message.is_some()),
        delivered: is(&[Delivery::Delivered, Delivery::Read]),
        read: is(&[Delivery::Read]),
        expired: is(&[Delivery::Expired]),
        revoked: is(&[Delivery::Revoked]),
        verified: i64::from(message.is_some_and(|message| message.verified_at.is_some())),
        charged: request.cost,
        refunded: if request.refunded { request.cost } else { Money::ZERO },
    };
    (key, counters)
}

impl Counters {
    /// Whether adding this would change nothing.
    pub fn is_zero(&self) -> bool {
        *self == Counters::default()
    }

    /// The numbers in the order of the row's columns, money in micro-credits.
    pub fn columns(&self) -> [i64; 9] {
        let Counters { checked, sent, delivered, read, expired, revoked, verified, charged, refunded } =
            *self;
        [checked, sent, delivered, read, expired, revoked, verified, charged.micros(), refunded.micros()]
    }

    fn combine(self, other: Counters, join: impl Fn(i64, i64) -> i64) -> Counters {
        let money = |one: Money, two: Money| Money::from_micros(join(one.micros(), two.micros()));
        Counters {
            checked: join(self.checked, other.checked),
            sent: join(self.sent, other.sent),
            delivered: join(self.delivered, other.delivered),
            read: join(self.read, other.read),
            expired: join(self.expired, other.expired),
            revoked: join(self.revoked, other.revoked),
            verified: join(self.verified, other.verified),
            charged: money(self.charged, other.charged),
            refunded: money(self.refunded, other.refunded),
        }
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Counters) {
        *self = self.combine(other, i64::saturating_add);
    }
}

impl Sub for Counters {
    type Output = Counters;
    fn sub(self, other: Counters) -> Counters {
        self.combine(other, i64::saturating_sub)
    }
}
