//! What depends on the prefix of a number.

use crate::phone::Phone;
use std::collections::BTreeMap;

/// Values by number prefix, the longest matching one wins; and the value of every other number.
#[derive(Clone, Debug)]
pub struct ByPrefix<T> {
    default: T,
    by_prefix: BTreeMap<String, T>,
    longest: usize,
}

/// A prefix that is not 1 to 15 digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the prefix {0:?} is not 1 to 15 digits, such as \"39\"")]
pub struct InvalidPrefix(pub String);

impl<T> ByPrefix<T> {
    /// A value for everything, and exceptions by prefix (digits without `+`).
    pub fn new(default: T, by_prefix: BTreeMap<String, T>) -> Result<ByPrefix<T>, InvalidPrefix> {
        let unusable = |prefix: &&String| {
            !(1..=15).contains(&prefix.len()) || !prefix.bytes().all(|byte| byte.is_ascii_digit())
        };
        if let Some(prefix) = by_prefix.keys().find(unusable) {
            return Err(InvalidPrefix(prefix.clone()));
        }
        let longest = by_prefix.keys().map(String::len).max().unwrap_or(0);
        Ok(ByPrefix { default, by_prefix, longest })
    }

    /// One value for everything.
    pub fn everywhere(value: T) -> ByPrefix<T> {
        ByPrefix { default: value, by_prefix: BTreeMap::new(), longest: 0 }
    }

    /// The value of every number that no prefix is of.
    pub fn default(&self) -> &T {
        &self.default
    }

    /// The value of a number.
    pub fn of(&self, phone: Phone) -> &T {
        self.entry(phone).1
    }

    /// The value of a number, and the prefix that it stands under; the empty one for the default.
    pub fn entry(&self, phone: Phone) -> (&str, &T) {
        if self.longest == 0 {
            return ("", &self.default);
        }
        let digits = phone.to_string();
        (1..=self.longest.min(digits.len()))
            .rev()
            .find_map(|length| self.by_prefix.get_key_value(digits.get(..length)?))
            .map_or(("", &self.default), |(prefix, value)| (prefix.as_str(), value))
    }

    /// Every value, each with its prefix; the default first, with the empty one.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &T)> {
        let exceptions = self.by_prefix.iter().map(|(prefix, value)| (prefix.as_str(), value));
        std::iter::once(("", &self.default)).chain(exceptions)
    }

    /// Every value.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.default).chain(self.by_prefix.values())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_wins() {
        let list = [("39", 2), ("393", 3), ("1", 1)].map(|(prefix, value)| (prefix.to_owned(), value));
        let values = ByPrefix::new(0, BTreeMap::from(list)).unwrap();
        let entry = |phone| values.entry(Phone::parse(phone).unwrap());
        assert_eq!(entry("+393331234567"), ("393", &3));
        assert_eq!(entry("+390612345678"), ("39", &2));
        assert_eq!(entry("+14155550123"), ("1", &1));
        assert_eq!(entry("+447911123456"), ("", &0));
        let all: Vec<_> = values.entries().collect();
        assert_eq!(all, [("", &0), ("1", &1), ("39", &2), ("393", &3)]);
        for prefix in ["+39", "", "3 9", "1234567890123456"] {
            assert!(ByPrefix::new(0, BTreeMap::from([(prefix.to_owned(), 1)])).is_err(), "{prefix:?}");
        }
    }
}
