//! A code behind a button. What the button stands for travels with it, sealed for the chat that it is in: nothing of it
//! has to be stored, and nobody else can make one, read one, or use one in another chat.

use crate::vault::Sealer;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chappe_core::text::ChannelName;
use chappe_core::{Code, RequestId, Time};

/// The longest that the Bot API takes behind a button, in bytes.
pub(super) const DATA_MAX_BYTES: usize = 64;
/// What a button's data begins with, and how it is laid out.
const VERSION: char = 'r';
const REQUEST_BYTES: usize = 8;
/// Hop, seconds, digits.
const PLAIN_BYTES: usize = 1 + 4 + 8;

/// A code, and which message it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hidden {
    pub(super) request: RequestId,
    pub(super) hop: u8,
    /// When the code stops working at the latest; to the second.
    pub(super) until: Time,
    pub(super) code: Code,
}

impl Hidden {
    /// The data of a button in this chat.
    pub(super) fn seal(&self, sealer: &Sealer, channel: &ChannelName, chat_id: i64) -> String {
        let mut plain = [0; PLAIN_BYTES];
        let until = u32::try_from(self.until.secs()).unwrap_or(u32::MAX).to_be_bytes();
        let digits = self.code.expose().bytes();
        let bytes = std::iter::once(self.hop).chain(until).chain(digits);
        plain.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        let sealed = sealer.seal(self.request, &place(channel, chat_id), &plain);
        let data = [&self.request.number().to_be_bytes(), sealed.as_slice()].concat();
        format!("{VERSION}{}", URL_SAFE_NO_PAD.encode(data))
    }

    /// Reads the data of a button that was pressed in this chat; `None` if it was not made here.
    pub(super) fn open(sealer: &Sealer, channel: &ChannelName, chat_id: i64, data: &str) -> Option<Hidden> {
        let data = data.strip_prefix(VERSION).filter(|data| data.len() < DATA_MAX_BYTES)?;
        let data = URL_SAFE_NO_PAD.decode(data).ok()?;
        let (request, sealed) = data.split_first_chunk::<REQUEST_BYTES>()?;
        let request = RequestId::from_number(i64::from_be_bytes(*request))?;
        let plain = sealer.open(request, &place(channel, chat_id), sealed).ok()?;
        let (hop, plain) = plain.split_first()?;
        let (until, digits) = plain.split_first_chunk::<4>()?;
        let digits = std::str::from_utf8(digits).ok()?.trim_end_matches('\0');
        let until = Time::from_secs(u32::from_be_bytes(*until).into());
        Some(Hidden { request, hop: *hop, until, code: Code::parse(digits)? })
    }
}

fn place(channel: &ChannelName, chat_id: i64) -> Vec<u8> {
    [&chat_id.to_be_bytes(), channel.as_str().as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::{MasterKey, Vault};

    fn sealer(byte: u8) -> Sealer {
        Vault::new(&MasterKey::from_bytes([byte; 32])).button_sealer()
    }

    fn channel(name: &str) -> ChannelName {
        ChannelName::parse(name).unwrap()
    }

    fn hidden(code: &str) -> Hidden {
        let request = RequestId::parse("222370177540343").unwrap();
        Hidden { request, hop: 7, until: Time::from_secs(1_795_000_600), code: Code::parse(code).unwrap() }
    }

    #[test]
    fn it_opens_in_its_own_chat_of_its_own_channel_alone() {
        let bot = channel("bot");
        for code in ["1234", "00000000", "98765432", "01230"] {
            let data = hidden(code).seal(&sealer(1), &bot, 42);
            assert!(data.len() <= DATA_MAX_BYTES && !data.contains(code), "{data}");
            assert_eq!(Hidden::open(&sealer(1), &bot, 42, &data), Some(hidden(code)));
            assert_eq!(Hidden::open(&sealer(1), &bot, 43, &data), None, "another chat");
            assert_eq!(Hidden::open(&sealer(1), &channel("bot2"), 42, &data), None, "another channel");
            assert_eq!(Hidden::open(&sealer(2), &bot, 42, &data), None, "another key");
        }
    }

    #[test]
    fn whatever_else_stands_behind_a_button_is_nothing() {
        let bot = channel("bot");
        let data = hidden("123456").seal(&sealer(1), &bot, 42);
        for at in 0..data.len() {
            let mut bytes = data.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let tampered = String::from_utf8(bytes).unwrap();
            assert_eq!(Hidden::open(&sealer(1), &bot, 42, &tampered), None, "{tampered}");
            assert_eq!(Hidden::open(&sealer(1), &bot, 42, &data[..at]), None, "cut at {at}");
        }
        for data in ["", "r", "x", "rAAAA", "r\u{e9}", &"r".repeat(64), &format!("{data}{data}")] {
            assert_eq!(Hidden::open(&sealer(1), &bot, 42, data), None, "{data}");
        }
    }
}
