//! Codes: what a person types to prove that a number is theirs.

use std::fmt;

/// How many digits a drawn code has: 4 to 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeLength(u8);

impl CodeLength {
    /// A length that the wire allows.
    pub fn new(digits: u8) -> Option<CodeLength> {
        (4..=8).contains(&digits).then_some(CodeLength(digits))
    }

    /// Reads ASCII digits.
    pub fn parse(text: &str) -> Option<CodeLength> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten().and_then(CodeLength::new)
    }

    /// How many codes of this length there are: draw uniformly below it.
    pub fn codes(self) -> u32 {
        10u32.pow(self.0.into())
    }
}

/// A code: 4 to 8 ASCII digits, leading zeros kept. Its `Debug` form never shows it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code {
    digits: [u8; 8],
    length: u8,
}

impl Code {
    /// Reads a code as a caller chose it.
    pub fn parse(text: &str) -> Option<Code> {
        let bytes = text.as_bytes();
        if !(4..=8).contains(&bytes.len()) || !bytes.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let mut digits = [0; 8];
        digits.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Code { digits, length: bytes.len() as u8 })
    }

    /// The code that a uniform draw below [`CodeLength::codes`] stands for.
    pub fn from_draw(length: CodeLength, mut draw: u32) -> Code {
        let mut digits = [0; 8];
        for digit in digits.iter_mut().take(length.0.into()).rev() {
            *digit = b'0' + (draw % 10) as u8;
            draw /= 10;
        }
        Code { digits, length: length.0 }
    }

    /// The digits. The one place where a code leaves its wrapper: for the channel that delivers it.
    pub fn expose(&self) -> &str {
        self.digits
            .get(..self.length.into())
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .unwrap_or("")
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(…)")
    }
}

/// A keyed digest of a request id and a code. It is what codes are compared by and all that is kept of them, so the
/// database alone gives no code away and the time of a comparison says nothing about one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CodeMac(pub [u8; 16]);

impl fmt::Debug for CodeMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeMac(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_four_to_eight_ascii_digits() {
        for text in ["0000", "1234", "00012", "12345678"] {
            assert_eq!(Code::parse(text).unwrap().expose(), text);
        }
        for text in ["", "123", "123456789", "12a4", "١٢٣٤", "１２３４", " 1234", "12 34", "-123", "12.4"]
        {
            assert_eq!(Code::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_draw_keeps_leading_zeros() {
        let length = CodeLength::new(6).unwrap();
        assert_eq!(length.codes(), 1_000_000);
        assert_eq!(Code::from_draw(length, 42).expose(), "000042");
        assert_eq!(Code::from_draw(length, 999_999).expose(), "999999");
        assert_eq!(Code::from_draw(CodeLength::new(8).unwrap(), 99_999_999).expose(), "99999999");
    }

    #[test]
    fn lengths_are_bounded() {
        assert!(["4", "8"].iter().all(|text| CodeLength::parse(text).is_some()));
        assert!(
            ["3", "9", "", "-4", "4.0", "٤", "256", "260"]
                .iter()
                .all(|text| CodeLength::parse(text).is_none())
        );
    }

    #[test]
    fn is_never_shown_by_debug() {
        assert!(!format!("{:?}", Code::parse("8642").unwrap()).contains("8642"));
    }
}
