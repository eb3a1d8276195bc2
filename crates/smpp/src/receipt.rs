//! Delivery receipts: what an SMSC says became of a message.

use crate::pdu::{Delivery, ID_MAX, text};
use std::fmt;

/// How an operator spells message ids. Some answer a submit in one base and report on the message in another
/// (SMPP 3.4 says that an id is any text, so neither is wrong). Both sides are brought into one spelling, so that the
/// ids of `Submitted` and of [`Receipt`] can be compared as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdFormat {
    /// Both sides are the same text.
    #[default]
    AsIs,
    /// submit_sm_resp in hexadecimal, receipts in decimal.
    SubmitHexReceiptDecimal,
    /// submit_sm_resp in decimal, receipts in hexadecimal.
    SubmitDecimalReceiptHex,
}

impl IdFormat {
    /// The id of a submit_sm_resp, as the session gives it.
    pub fn of_submit(self, id: &str) -> String {
        match self {
            IdFormat::AsIs => id.to_owned(),
            IdFormat::SubmitHexReceiptDecimal => in_decimal(id, 16),
            IdFormat::SubmitDecimalReceiptHex => in_decimal(id, 10),
        }
    }

    /// The id of a receipt, as the session gives it.
    pub fn of_receipt(self, id: &str) -> String {
        match self {
            IdFormat::AsIs => id.to_owned(),
            IdFormat::SubmitHexReceiptDecimal => in_decimal(id, 10),
            IdFormat::SubmitDecimalReceiptHex => in_decimal(id, 16),
        }
    }
}

/// In decimal without leading zeros. What is no such number stays as it is.
fn in_decimal(id: &str, radix: u32) -> String {
    // `from_str_radix` would take a sign.
    let is_number = id.bytes().all(|digit| char::from(digit).is_digit(radix));
    match u128::from_str_radix(id, radix) {
        Ok(number) if is_number => number.to_string(),
        _ => id.to_owned(),
    }
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is on the handset.
    Delivered,
    /// It is not, and will not be.
    Failed(Failure),
    /// Still on its way: ENROUTE, ACCEPTED, or a notification in between.
    Pending,
    /// The SMSC does not know, or says what SMPP does not.
    Unknown,
}

/// Why a message was not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The final state, as receipts spell it: `UNDELIV`, `EXPIRED`, `DELETED`, `REJECTD`.
    pub stat: &'static str,
    /// The operator's own error code, if there is one. What it means only the operator can tell.
    pub err: Option<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.err {
            Some(err) => write!(f, "{} (err:{err})", self.stat),
            None => f.write_str(self.stat),
        }
    }
}

/// A delivery receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Which message, spelled as in `Submitted`.
    pub id: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// message_type of esm_class, bits 5 to 2 (SMPP 3.4, 5.2.12).
const MESSAGE_TYPE: u8 = 0b0011_1100;
const DELIVERY_RECEIPT: u8 = 0b0000_0100;
const INTERMEDIATE_NOTIFICATION: u8 = 0b0010_0000;

/// Bit 6 of esm_class: the text begins with a user data header.
const HEADER_INDICATOR: u8 = 0b0100_0000;

/// data_coding of UCS-2.
const UCS2: u8 = 8;

/// The longest error code that is kept. SMPP has three digits.
const ERR_MAX: usize = 32;

/// What a delivery turns out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    Receipt(Receipt),
    /// Somebody's message to us. Whatever its text looks like, it is never a receipt: anybody can write
    /// `id:… stat:DELIVRD` on a phone.
    Message,
    /// The SMSC calls it a receipt, but it names no message.
    Unreadable,
}

pub(crate) fn read(delivery: &Delivery, format: IdFormat) -> Reading {
    let kind = delivery.esm_class & MESSAGE_TYPE;
    // These two parameters only the SMSC can set, so they make a receipt too.
    let has_parameters = delivery.receipted_message_id.is_some() && delivery.message_state.is_some();
    if kind != DELIVERY_RECEIPT && kind != INTERMEDIATE_NOTIFICATION && !has_parameters {
        return Reading::Message;
    }
    let fields = Fields::read(&readable_text(delivery));
    let parameter = delivery.receipted_message_id.clone();
    // Where operators spell ids in two ways, it is the text that is known to differ.
    let id = match format {
        IdFormat::AsIs => parameter.or(fields.id),
        _ => fields.id.or(parameter),
    };
    let Some(id) = id else { return Reading::Unreadable };
    let err = delivery.network_error_code.map(|code| code.to_string()).or(fields.err);
    let by_state = delivery.message_state.map(|state| of_state(state, err.clone()));
    let outcome = by_state.or_else(|| fields.stat.map(|stat| of_stat(&stat, err)));
    let outcome = match outcome.unwrap_or(Outcome::Unknown) {
        // What is told in between is not the end.
        Outcome::Failed(_) if kind == INTERMEDIATE_NOTIFICATION => Outcome::Pending,
        outcome => outcome,
    };
    Reading::Receipt(Receipt { id: format.of_receipt(&id), outcome })
}

/// message_state (SMPP 3.4, 5.2.28).
fn of_state(state: u8, err: Option<String>) -> Outcome {
    let failed = |stat| Outcome::Failed(Failure { stat, err });
    match state {
        1 | 6 => Outcome::Pending,
        2 => Outcome::Delivered,
        3 => failed("EXPIRED"),
        4 => failed("DELETED"),
        5 => failed("UNDELIV"),
        8 => failed("REJECTD"),
        _ => Outcome::Unknown,
    }
}

/// The final states of Appendix B. Operators write them out or cut them short, so their beginning is enough.
fn of_stat(stat: &str, err: Option<String>) -> Outcome {
    let stat = stat.to_ascii_uppercase();
    let failed = |stat| Outcome::Failed(Failure { stat, err });
    match stat.as_str() {
        s if s.starts_with("DELIV") => Outcome::Delivered,
        s if s.starts_with("UNDEL") => failed("UNDELIV"),
        s if s.starts_with("EXPIR") => failed("EXPIRED"),
        s if s.starts_with("DELET") => failed("DELETED"),
        s if s.starts_with("REJEC") => failed("REJECTD"),
        s if s.starts_with("ACCEP") || s.starts_with("ENROU") => Outcome::Pending,
        _ => Outcome::Unknown,
    }
}

fn readable_text(delivery: &Delivery) -> String {
    let mut octets = &delivery.text[..];
    if delivery.esm_class & HEADER_INDICATOR != 0 {
        let header = octets.first().map_or(0, |length| usize::from(*length) + 1);
        octets = octets.get(header..).unwrap_or_default();
    }
    if delivery.data_coding == UCS2 {
        let units = octets.chunks_exact(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]]));
        return char::decode_utf16(units).map(|read| read.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    }
    text(octets)
}

/// The fields of Appendix B that matter:
/// `id:… sub:… dlvrd:… submit date:… done date:… stat:… err:… text:…`
#[derive(Debug, Default)]
struct Fields {
    id: Option<String>,
    stat: Option<String>,
    err: Option<String>,
}

impl Fields {
    fn read(text: &str) -> Fields {
        let lower = text.to_ascii_lowercase();
        // What follows is the beginning of the message itself: whoever wrote it may not have a say here.
        let end = key(&lower, "text:").map_or(text.len(), |at| at - "text:".len());
        let (text, lower) = (&text[..end], &lower[..end]);
        let field = |name| {
            let value = text[key(lower, name)?..].trim_start();
            let value = value.split(char::is_whitespace).next()?;
            (!value.is_empty()).then(|| value.to_owned())
        };
        let err = field("err:").filter(|err| err.len() <= ERR_MAX);
        let id = field("id:").filter(|id| id.len() <= ID_MAX);
        Fields { id, stat: field("stat:"), err }
    }
}

/// Where the value of a key begins. A key stands at the beginning of a word.
fn key(text: &str, name: &str) -> Option<usize> {
    let is_word = |(at, _): &(usize, &str)| {
        text[..*at].chars().next_back().is_none_or(|before| !before.is_ascii_alphanumeric() && before != '_')
    };
    text.match_indices(name).find(is_word).map(|(at, _)| at + name.len())
}
