//! Money as a JSON number, exact, with no float between the text and the amount.
//!
//! For fields: `#[serde(with = "chappe_client::wire::money")]`, or [`mod@optional`] for an `Option`. Only `serde_json`
//! can carry the exact text of a number, so it is the one format that these work with.
//!
//! Written is the shortest decimal: `0`, `0.01`, `99.99`. Read is every number that JSON allows: `0.010` and `1e-2` are
//! the same exact 0.01. What is finer than a millionth is rounded to the nearest one, halves away from zero: a
//! gateway that computes in floats may well say `99.98999999999999`, and an answer about a message that was sent and
//! paid must not be lost over that. A number beyond what [`Money`] can hold is an error.

use chappe_core::Money;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::value::RawValue;

/// Writes an amount.
pub fn serialize<S: Serializer>(money: &Money, serializer: S) -> Result<S::Ok, S::Error> {
    let text = money.to_string();
    let number: &RawValue = serde_json::from_str(&text).map_err(S::Error::custom)?;
    number.serialize(serializer)
}

/// Reads an amount.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
    let number = Box::<RawValue>::deserialize(deserializer)?;
    parse(number.get()).ok_or_else(|| D::Error::custom("not an amount"))
}

/// The same for an amount that may be absent; pair it with `default` and `skip_serializing_if = "Option::is_none"`.
pub mod optional {
    use super::{Deserialize, Deserializer, Money, Serialize, Serializer};
    use serde_json::value::RawValue;

    /// Writes an amount, or `null`.
    pub fn serialize<S: Serializer>(money: &Option<Money>, serializer: S) -> Result<S::Ok, S::Error> {
        match money {
            Some(money) => super::serialize(money, serializer),
            None => ().serialize(serializer),
        }
    }

    /// Reads an amount, or `null`.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Money>, D::Error> {
        match Option::<Box<RawValue>>::deserialize(deserializer)? {
            Some(number) => super::deserialize(&*number).map(Some).map_err(serde::de::Error::custom),
            None => Ok(None),
        }
    }
}

/// The amount of a JSON value, if it is a number within bounds. `serde_json` has seen to the grammar.
fn parse(value: &str) -> Option<Money> {
    let (negative, number) = value.strip_prefix('-').map_or((false, value), |rest| (true, rest));
    let (decimal, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    let digits = format!("{whole}{fraction}");
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return Some(Money::ZERO);
    }

    // How many of the significant digits, padded with zeros if need be, make up the whole micro-credits.
    let leading_zeros = digits.len() - significant.len();
    let point = i64::try_from(whole.len()).ok()?.checked_sub(i64::try_from(leading_zeros).ok()?)?;
    let kept = exponent.parse::<i64>().ok()?.checked_add(point)?.checked_add(6)?;
    if kept < 0 {
        return Some(Money::ZERO);
    }
    let mut digits = significant.bytes().map(|digit| i64::from(digit - b'0')).chain(std::iter::repeat(0));
    let mut next = || digits.next().unwrap_or(0);
    let mut micros: i64 = 0;
    // The first digit is not zero, so a far too large exponent overflows within twenty steps.
    for _ in 0..kept {
        micros = micros.checked_mul(10)?.checked_add(next())?;
    }
    micros = micros.checked_add(i64::from(next() >= 5))?;
    Some(Money::from_micros(if negative { -micros } else { micros }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> Option<i64> {
        parse(text).map(Money::micros)
    }

    #[test]
    fn reads_every_spelling_of_an_amount() {
        for spelling in ["0.01", "0.010", "1e-2", "1E-2", "1.0e-2", "0.1e-1", "0.0001e2", "10e-3"] {
            assert_eq!(micros(spelling), Some(10_000), "{spelling}");
        }
        assert_eq!(micros("99.99"), Some(99_990_000));
        assert_eq!(micros("100"), Some(100_000_000));
        assert_eq!(micros("1e+2"), Some(100_000_000));
        assert_eq!(micros("-1.5"), Some(-1_500_000));
        assert_eq!(micros("0e999999999999999999999"), Some(0));
        assert_eq!(micros("-0.0"), Some(0));
    }

    #[test]
    fn rounds_what_is_finer_than_a_millionth() {
        assert_eq!(micros("99.98999999999999"), Some(99_990_000));
        assert_eq!(micros("0.010000000000000002"), Some(10_000));
        assert_eq!(micros("0.0000005"), Some(1));
        assert_eq!(micros("-0.0000005"), Some(-1));
        assert_eq!(micros("0.00000049"), Some(0));
        assert_eq!(micros("9e-400"), Some(0));
    }

    #[test]
    fn refuses_what_is_no_amount_or_too_large() {
        for value in ["true", "null", "\"0.01\"", "[]", "{}", "1e13", "1e999999999", "9223372036854.775808"] {
            assert_eq!(micros(value), None, "{value}");
        }
    }

    #[test]
    fn agrees_with_the_house_on_what_the_house_writes() {
        for micros in [0, 1, 9, 10, 10_000, 999_999, 1_000_000, 99_990_000, 123_456_789, i64::MAX, -i64::MAX]
        {
            let money = Money::from_micros(micros);
            assert_eq!(parse(&money.to_string()), Some(money));
        }
    }
}
