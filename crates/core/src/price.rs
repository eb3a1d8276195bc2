//! What a message costs, by the prefix of its number.

use crate::money::Money;
use crate::phone::Phone;
use crate::prefix::{ByPrefix, InvalidPrefix};
use std::collections::BTreeMap;

/// Prices by number prefix, the longest matching one wins; and the price of every other number.
#[derive(Clone, Debug)]
pub struct Prices(ByPrefix<Money>);

/// A price list that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPrices {
    /// A prefix that is none.
    #[error("among the prices, {0}")]
    Prefix(#[from] InvalidPrefix),
    /// A price below zero.
    #[error("the price {1} of prefix {0:?} is below zero")]
    Negative(String, Money),
}

impl Prices {
    /// A list with a price for everything, and exceptions by prefix (digits without `+`).
    pub fn new(default: Money, by_prefix: BTreeMap<String, Money>) -> Result<Prices, InvalidPrices> {
        let all = by_prefix.iter().map(|(prefix, price)| (prefix.as_str(), *price));
        for (prefix, price) in all.chain([("", default)]) {
            if price.micros() < 0 {
                return Err(InvalidPrices::Negative(prefix.to_owned(), price));
            }
        }
        Ok(Prices(ByPrefix::new(default, by_prefix)?))
    }

    /// The price of one message to a number that is under no prefix.
    pub fn default_price(&self) -> Money {
        *self.0.default()
    }

    /// The price of one message to `phone`.
    pub fn price(&self, phone: Phone) -> Money {
        *self.0.of(phone)
    }

    /// The price of one message to `phone`, and the prefix that it stands under; the empty one for the default.
    pub fn entry(&self, phone: Phone) -> (&str, Money) {
        let (prefix, price) = self.0.entry(phone);
        (prefix, *price)
    }

    /// Every price, each with its prefix; the default first, with the empty one.
    pub fn entries(&self) -> impl Iterator<Item = (&str, Money)> {
        self.0.entries().map(|(prefix, price)| (prefix, *price))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_cannot_be_a_price_list() {
        let list = |prefix: &str, micros| {
            let list = BTreeMap::from([(prefix.to_owned(), Money::from_micros(micros))]);
            Prices::new(Money::ZERO, list).err()
        };
        assert!(matches!(list("+39", 1), Some(InvalidPrices::Prefix(_))));
        assert!(matches!(list("", 1), Some(InvalidPrices::Prefix(_))));
        assert!(matches!(list("39", -1), Some(InvalidPrices::Negative(..))));
        assert!(Prices::new(Money::from_micros(-1), BTreeMap::new()).is_err());
    }
}
