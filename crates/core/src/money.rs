//! Money: exact, in micro-credits, never a float.

use std::fmt;
use std::str::FromStr;

/// An amount of credits, exact to a millionth. Arithmetic is checked: an overflow is an error, never a wrong balance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(i64);

/// A text that is no amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an amount: give digits, with at most six after the point, such as 0.01")]
pub struct InvalidMoney;

const MICROS: u64 = 1_000_000;

impl Money {
    /// Nothing.
    pub const ZERO: Money = Money(0);

    /// An amount of `micros` millionths of a credit.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// The amount in millionths of a credit.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The sum, or `None` on overflow.
    pub const fn checked_add(self, other: Money) -> Option<Money> {
        match self.0.checked_add(other.0) {
            Some(micros) => Some(Money(micros)),
            None => None,
        }
    }

    /// The difference, or `None` on overflow.
    pub const fn checked_sub(self, other: Money) -> Option<Money> {
        match self.0.checked_sub(other.0) {
            Some(micros) => Some(Money(micros)),
            None => None,
        }
    }

    /// Whether the amount is more than nothing.
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }
}

/// The shortest decimal, as the wire shows money: `0`, `0.01`, `99.99`; never `0.0`, never scientific.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let micros = self.0.unsigned_abs();
        let (whole, mut fraction) = (micros / MICROS, micros % MICROS);
        if fraction == 0 {
            return write!(f, "{sign}{whole}");
        }
        let mut width = 6;
        while fraction % 10 == 0 {
            fraction /= 10;
            width -= 1;
        }
        write!(f, "{sign}{whole}.{fraction:0width$}")
    }
}

impl FromStr for Money {
    type Err = InvalidMoney;

    fn from_str(text: &str) -> Result<Self, InvalidMoney> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !all_digits(whole) || !all_digits(fraction) || fraction.len() > 6 {
            return Err(InvalidMoney);
        }
        let whole: i64 = whole.parse().map_err(|_| InvalidMoney)?;
        let fraction: i64 = format!("{fraction:0<6}").parse().map_err(|_| InvalidMoney)?;
        let micros = whole.checked_mul(1_000_000).and_then(|micros| micros.checked_add(fraction));
        let micros = micros.ok_or(InvalidMoney)?;
        Ok(Money(if negative { -micros } else { micros }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_shortest_decimal() {
        let shown = |micros| Money::from_micros(micros).to_string();
        assert_eq!(shown(0), "0");
        assert_eq!(shown(10_000), "0.01");
        assert_eq!(shown(99_990_000), "99.99");
        assert_eq!(shown(100_000_000), "100");
        assert_eq!(shown(1), "0.000001");
        assert_eq!(shown(-1_500_000), "-1.5");
        assert_eq!(shown(i64::MIN), "-9223372036854.775808");
    }

    #[test]
    fn reads_back_what_it_shows() {
        for micros in [0, 1, 10, 999_999, 1_000_000, 10_000, -1, i64::MAX] {
            let money = Money::from_micros(micros);
            assert_eq!(money.to_string().parse(), Ok(money));
        }
    }

    #[test]
    fn refuses_what_is_no_amount() {
        for text in
            ["", "-", ".", "1.", ".5", "1e3", "0.0000001", "1,5", "+1", "99999999999999", "１", " 1", "--1"]
        {
            assert_eq!(text.parse::<Money>(), Err(InvalidMoney), "{text:?}");
        }
    }
}
