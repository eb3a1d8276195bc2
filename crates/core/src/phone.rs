//! Phone numbers, as E.164 writes them.

use std::fmt;

/// A phone number in E.164: 7 to 15 digits, the first not zero. Whether a number is well *formed* is judged here; a
/// numbering plan is not consulted, since plans change faster than gateways are updated and the channel knows better.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Phone(u64);

impl Phone {
    /// Reads a number with or without its leading `+`. One leading space stands for the `+` that a query string
    /// loses when a client forgets to encode it.
    pub fn parse(text: &str) -> Option<Phone> {
        let digits = text.strip_prefix(['+', ' ']).unwrap_or(text);
        let well_formed = (7..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit());
        well_formed.then(|| digits.parse().ok()).flatten().map(Phone)
    }

    /// The digits as a number.
    pub fn number(self) -> u64 {
        self.0
    }

    /// What a magic number asks of the sandbox; `None` for every ordinary number.
    pub fn magic(self) -> Option<Magic> {
        (9_996_600_000..=9_996_699_999).contains(&self.0).then_some(match (self.0 / 10_000) % 10 {
            0 => Magic::Delivered,
            1 => Magic::Read,
            2 => Magic::Unreachable,
            3 => Magic::Undelivered,
            4 => Magic::Late,
            5 => Magic::Flood,
            6 => Magic::Fallback,
            7 => Magic::Locked,
            8 => Magic::Unordered,
            _ => Magic::Uncertain,
        })
    }

    /// The number with its middle hidden, for logs and pages: `39*******890`.
    pub fn masked(self) -> String {
        let digits = self.to_string();
        let hidden = digits.len().saturating_sub(5);
        let tail = digits.get(digits.len().saturating_sub(3)..).unwrap_or("");
        format!("{}{}{}", digits.get(..2).unwrap_or(""), "*".repeat(hidden), tail)
    }
}

/// The digits without `+`, as the wire gives a number back.
impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Masked, so that a number cannot slip into a log.
impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Phone({})", self.masked())
    }
}

/// The magic numbers `+99966XYYYY` of the sandbox, by X. They are exempt from the limits of numbers and accounts; a
/// request takes no more wrong codes than any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Magic {
    /// 0: delivered at once.
    Delivered,
    /// 1: delivered, and read a second later.
    Read,
    /// 2: cannot be reached.
    Unreachable,
    /// 3: accepted and never delivered.
    Undelivered,
    /// 4: delivered after ten seconds.
    Late,
    /// 5: answers `FLOOD_WAIT_5`.
    Flood,
    /// 6: the first hop fails, the next delivers.
    Fallback,
    /// 7: every code check answers `code_max_attempts_exceeded`.
    Locked,
    /// 8: delivery events come doubled and out of order.
    Unordered,
    /// 9: accepted, with an uncertain outcome.
    Uncertain,
}

/// An ISO 3166 country of a number, for statistics; `ZZ` where none is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// No country is known.
    pub const UNKNOWN: Country = Country(*b"ZZ");

    /// The country with this two-letter code.
    pub fn parse(text: &str) -> Option<Country> {
        let bytes: [u8; 2] = text.as_bytes().try_into().ok()?;
        bytes.iter().all(u8::is_ascii_uppercase).then_some(Country(bytes))
    }

    /// The two letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("ZZ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_e164_with_or_without_plus() {
        for text in ["+391234567890", "391234567890", " 391234567890"] {
            assert_eq!(Phone::parse(text).unwrap().to_string(), "391234567890");
        }
        for text in ["+1234567", "+123456789012345"] {
            assert!(Phone::parse(text).is_some());
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "+",
            "123456",
            "1234567890123456",
            "0391234567",
            "++391234567890",
            "39 1234567890",
            "39-1234567",
            "abcdefgh",
            "٣٩١٢٣٤٥٦٧",
            "＋391234567",
            "39123456\0",
            "3.9e11",
            "  391234567890",
            "+391234567890\n",
        ] {
            assert_eq!(Phone::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn magic_numbers_are_exactly_the_pattern() {
        assert_eq!(Phone::parse("+9996600001").unwrap().magic(), Some(Magic::Delivered));
        assert_eq!(Phone::parse("+9996690000").unwrap().magic(), Some(Magic::Uncertain));
        assert_eq!(Phone::parse("+9996650000").unwrap().magic(), Some(Magic::Flood));
        for text in ["+9996700000", "+99966000011", "+999660000", "+391234567890"] {
            assert_eq!(Phone::parse(text).unwrap().magic(), None);
        }
    }

    #[test]
    fn is_masked_in_logs() {
        let phone = Phone::parse("+391234567890").unwrap();
        assert_eq!(phone.masked(), "39*******890");
        assert!(!format!("{phone:?}").contains("1234567"));
    }
}
