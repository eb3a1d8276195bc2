//! What a message costs, by the prefix of its number.

use crate::money::Money;
use crate::phone::Phone;
use std::collections::BTreeMap;

/// Prices by number prefix, the longest matching one wins; and the price of every other number.
#[derive(Clone, Debug)]
pub struct Prices {
    default: Money,
    by_prefix: BTreeMap<String, Money>,
    longest_prefix: usize,
}

/// A price list that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPrices {
    /// A prefix that is not 1 to 15 digits.
    #[error("the price prefix {0:?} is not 1 to 15 digits, such as \"39\"")]
    Prefix(String),
    /// A price below zero.
    #[error("the price {1} of prefix {0:?} is below zero")]
    Negative(String, Money),
}

impl Prices {
    /// A list with a price for everything, and exceptions by prefix (digits without `+`).
    pub fn new(default: Money, by_prefix: BTreeMap<String, Money>) -> Result<Prices, InvalidPrices> {
        for (prefix, price) in
            by_prefix.iter().map(|(prefix, price)| (prefix.as_str(), price)).chain([("", &default)])
        {
            let digits = prefix.len() <= 15 && prefix.bytes().all(|byte| byte.is_ascii_digit());
            if !digits || (prefix.is_empty() && by_prefix.contains_key("")) {
                return Err(InvalidPrices::Prefix(prefix.to_owned()));
            }
            if price.micros() < 0 {
                return Err(InvalidPrices::Negative(prefix.to_owned(), *price));
            }
        }
        let longest_prefix = by_prefix.keys().map(String::len).max().unwrap_or(0);
        Ok(Prices { default, by_prefix, longest_prefix })
    }

    /// The price of one message to `phone`.
    pub fn price(&self, phone: Phone) -> Money {
        if self.longest_prefix == 0 {
            return self.default;
        }
        let digits = phone.to_string();
        (1..=self.longest_prefix.min(digits.len()))
            .rev()
            .find_map(|length| self.by_prefix.get(digits.get(..length)?))
            .copied()
            .unwrap_or(self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_wins() {
        let of = |prefix: &str, micros| (prefix.to_owned(), Money::from_micros(micros));
        let list = BTreeMap::from([of("39", 20_000), of("393", 30_000), of("1", 5_000)]);
        let prices = Prices::new(Money::from_micros(10_000), list).unwrap();
        let price = |phone| prices.price(Phone::parse(phone).unwrap()).micros();
        assert_eq!(price("+393331234567"), 30_000);
        assert_eq!(price("+390612345678"), 20_000);
        assert_eq!(price("+14155550123"), 5_000);
        assert_eq!(price("+447911123456"), 10_000);
    }

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
