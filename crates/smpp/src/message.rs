//! What is sent: a text, from whom, to whom.

use crate::text::{Alphabet, SEGMENTS_MAX, Segment, plan};
use rusmpp::pdus::SubmitSm;
use rusmpp::types::{COctetString, EmptyOrFullCOctetString, OctetString};
use rusmpp::values::{DataCoding, Npi, RegisteredDelivery, ServiceType, Ton};
use std::fmt;
use std::time::Duration;

/// An address: digits or a name, and how to read it (SMPP 3.4, 5.2.5 and 5.2.6).
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    text: COctetString<1, 21>,
    ton: Ton,
    npi: Npi,
}

/// Why a message cannot be sent by anybody. Nothing has left, and another try would end the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidMessage {
    /// Not 1 to 15 digits, with or without a `+` in front.
    #[error("a phone number has 1 to 15 digits")]
    Number,
    /// Not 1 to 11 letters, digits and other printable ASCII.
    #[error("an alphanumeric sender has 1 to 11 printable ASCII characters")]
    Sender,
    /// Not 1 to 20 digits.
    #[error("a short code has 1 to 20 digits")]
    ShortCode,
    /// The text takes more than [`SEGMENTS_MAX`] segments.
    #[error("the text takes more than {SEGMENTS_MAX} segments")]
    TooLong,
    /// Not 1 second to 30 days.
    #[error("a validity period is 1 second to 30 days")]
    Validity,
    /// More than 5 ASCII characters.
    #[error("a service_type has at most 5 printable ASCII characters")]
    ServiceType,
}

impl Address {
    /// A phone number with its country code: TON 1, NPI 1.
    pub fn international(number: &str) -> Result<Address, InvalidMessage> {
        let digits = number.strip_prefix('+').unwrap_or(number);
        Address::digits(digits, 15, InvalidMessage::Number).map(|address| address.with_ton_npi(1, 1))
    }

    /// A name as the sender: TON 5, NPI 0.
    pub fn alphanumeric(name: &str) -> Result<Address, InvalidMessage> {
        let is_printable = name.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        let is_name = (1..=11).contains(&name.len()) && is_printable;
        let text = c_string(name).filter(|_| is_name).ok_or(InvalidMessage::Sender)?;
        Ok(Address { text, ton: Ton::Alphanumeric, npi: Npi::Unknown })
    }

    /// A short code: TON 3 (network specific), NPI 0. Operators differ; see [`Address::with_ton_npi`].
    pub fn short_code(code: &str) -> Result<Address, InvalidMessage> {
        Address::digits(code, 20, InvalidMessage::ShortCode).map(|address| address.with_ton_npi(3, 0))
    }

    /// The same address with another type of number and numbering plan, where an operator asks for it.
    #[must_use]
    pub fn with_ton_npi(self, ton: u8, npi: u8) -> Address {
        Address { ton: Ton::from(ton), npi: Npi::from(npi), ..self }
    }

    fn digits(text: &str, most: usize, error: InvalidMessage) -> Result<Address, InvalidMessage> {
        let is_number = (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        let text = c_string(text).filter(|_| is_number).ok_or(error)?;
        Ok(Address { text, ton: Ton::Unknown, npi: Npi::Unknown })
    }
}

/// Says what kind of address it is, not which.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").field("ton", &self.ton).field("npi", &self.npi).finish_non_exhaustive()
    }
}

/// A text to a phone.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Everything but the text.
    submit: SubmitSm,
    pub(crate) text: String,
}

/// Neither text nor number: both are somebody's secret.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").finish_non_exhaustive()
    }
}

impl Message {
    /// A text of up to [`SEGMENTS_MAX`] segments. A delivery receipt is asked for with each.
    pub fn new(destination: Address, text: impl Into<String>) -> Result<Message, InvalidMessage> {
        let text = text.into();
        if plan(&text).segments > SEGMENTS_MAX {
            return Err(InvalidMessage::TooLong);
        }
        let submit = SubmitSm::builder()
            .dest_addr_ton(destination.ton)
            .dest_addr_npi(destination.npi)
            .destination_addr(destination.text)
            .registered_delivery(RegisteredDelivery::from(DELIVERY_RECEIPT))
            .build();
        Ok(Message { submit, text })
    }

    /// Who the message is from; without it, whoever the SMSC puts there.
    #[must_use]
    pub fn with_source(mut self, source: Address) -> Message {
        self.submit.source_addr_ton = source.ton;
        self.submit.source_addr_npi = source.npi;
        self.submit.source_addr = source.text;
        self
    }

    /// How long the SMSC shall try, in whole seconds; without it, as long as it likes. 1 second to 30 days.
    pub fn with_validity(mut self, validity: Duration) -> Result<Message, InvalidMessage> {
        let is_possible = (1..=30 * 24 * 3600).contains(&validity.as_secs());
        let period = EmptyOrFullCOctetString::from_string(relative(validity)).ok();
        self.submit.validity_period = period.filter(|_| is_possible).ok_or(InvalidMessage::Validity)?;
        Ok(self)
    }

    /// The service_type that an operator may ask for. Up to 5 characters.
    pub fn with_service_type(mut self, service_type: &str) -> Result<Message, InvalidMessage> {
        let is_printable = service_type.bytes().all(|byte| byte.is_ascii_graphic());
        let text = c_string(service_type).filter(|_| is_printable).ok_or(InvalidMessage::ServiceType)?;
        self.submit.service_type = ServiceType::new(text);
        Ok(self)
    }

    /// The PDU of one segment. `None` if that is longer than any segment is.
    pub(crate) fn submit_sm(&self, segment: Segment) -> Option<SubmitSm> {
        let mut submit = self.submit.clone();
        submit.data_coding = match segment.alphabet {
            Alphabet::Gsm7 => DataCoding::McSpecific,
            Alphabet::Ucs2 => DataCoding::Ucs2,
        };
        if segment.has_header {
            submit = submit.with_udhi_indicator();
        }
        Some(submit.with_short_message(OctetString::from_vec(segment.octets).ok()?))
    }
}

/// registered_delivery (SMPP 3.4, 5.2.17): a receipt whether it is delivered or not.
const DELIVERY_RECEIPT: u8 = 1;

pub(crate) fn c_string<const MAX: usize>(text: &str) -> Option<COctetString<1, MAX>> {
    COctetString::from_string(text.to_owned()).ok()
}

/// The relative time format (SMPP 3.4, 7.1.1.2): `YYMMDDhhmmsstnnp`, tenths and nn zero, `R` at the end.
fn relative(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / (24 * 3600));
    format!("0000{days:02}{:02}{:02}{:02}000R", hours % 24, minutes % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_period_has_sixteen_characters() {
        assert_eq!(relative(Duration::from_secs(60)), "000000000100000R");
        assert_eq!(relative(Duration::from_secs(30 * 24 * 3600)), "000030000000000R");
        assert_eq!(relative(Duration::from_secs(90_061)), "000001010101000R");
    }
}
