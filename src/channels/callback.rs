//! Callbacks: what a provider tells over HTTP, at an address below `/channels/` that it was given with the message.

use crate::vault::CallbackKey;
use axum::http::{HeaderMap, Method, StatusCode};
use bytes::Bytes;
use chappe_core::RequestId;
use chappe_core::book::Job;
use chappe_core::hex::{from_hex, to_hex};
use chappe_core::text::ChannelName;
use std::fmt;

/// A call of a provider, as it came. Nothing about it has been believed yet.
#[derive(Clone)]
pub struct Incoming {
    /// GET or POST.
    pub method: Method,
    /// What comes after `/channels/NAME/`, as it stood in the address.
    pub path: String,
    /// What comes after the question mark, as it stood in the address.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, bounded already.
    pub body: Bytes,
}

/// What a provider is answered. The same to everybody who has not shown who they are, whether what they ask about exists
/// or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is written down, or does not matter here: 200.
    Heard,
    /// It cannot be read: 400.
    Malformed,
    /// Whoever says so has not shown that they may: 403.
    Forbidden,
    /// Nothing is known of what it is about: 404. Most providers tell it again.
    Unknown,
    /// It could not be written down, and is to be told again: 503.
    Again,
}

/// Where providers are told to call back, and how their calls are known again.
#[derive(Clone, Debug)]
pub struct Callbacks {
    /// The address under which providers reach this server, without a slash at its end.
    base: Option<String>,
    key: CallbackKey,
}

impl Answer {
    /// The status on the wire.
    pub fn status(self) -> StatusCode {
        match self {
            Answer::Heard => StatusCode::OK,
            Answer::Malformed => StatusCode::BAD_REQUEST,
            Answer::Forbidden => StatusCode::FORBIDDEN,
            Answer::Unknown => StatusCode::NOT_FOUND,
            Answer::Again => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Names of headers and lengths alone: the rest may hold secrets.
impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.keys().collect();
        f.debug_struct("Incoming")
            .field("method", &self.method)
            .field("headers", &headers)
            .field("body", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl Callbacks {
    /// Callbacks to `base`, or to nowhere.
    pub fn new(base: Option<String>, key: CallbackKey) -> Callbacks {
        Callbacks { base, key }
    }

    /// The address of a channel's callbacks, for `path` below it; `None` if providers cannot reach this server.
    pub fn url(&self, channel: &ChannelName, path: &str) -> Option<String> {
        self.base.as_ref().map(|base| format!("{base}/channels/{channel}/{path}"))
    }

    /// The address for what becomes of the message of this hop. Nobody can guess it: whoever calls it was given it.
    pub fn url_of_hop(&self, channel: &ChannelName, request: RequestId, hop: u8) -> Option<String> {
        self.url(channel, &self.path_of_hop(channel, request, hop))
    }

    /// The address that goes out with a message, where the provider is wanted to call back.
    pub fn url_with(&self, wanted: bool, job: &Job) -> Option<String> {
        wanted.then(|| self.url_of_hop(&job.channel, job.request, job.hop)).flatten()
    }

    /// The path of that address below the channel's own.
    pub fn path_of_hop(&self, channel: &ChannelName, request: RequestId, hop: u8) -> String {
        format!("{request}-{hop}-{}", to_hex(&self.key.mac(channel, request, hop)))
    }

    /// The message that a path was made for; `None` for every path that we have not made.
    pub fn hop_of_path(&self, channel: &ChannelName, path: &str) -> Option<(RequestId, u8)> {
        let mut parts = path.split('-');
        let (request, hop, mac) = (parts.next()?, parts.next()?, parts.next()?);
        let request = RequestId::parse(request)?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let hop: u8 = digits(hop).then(|| hop.parse().ok())??;
        let mac = (parts.next().is_none() && mac.len() == 32).then(|| from_hex(mac))??;
        self.key.verify(channel, request, hop, &mac).then_some((request, hop))
    }

    /// Whether providers can reach this server.
    pub fn are_open(&self) -> bool {
        self.base.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::{MasterKey, Vault};

    fn callbacks(key: u8) -> Callbacks {
        let key = Vault::new(&MasterKey::from_bytes([key; 32])).callback_key();
        Callbacks::new(Some("https://codes.example".to_owned()), key)
    }

    fn channel(name: &str) -> ChannelName {
        ChannelName::parse(name).unwrap()
    }

    #[test]
    fn an_address_is_known_again_for_what_it_was_made_and_for_nothing_else() {
        let callbacks = callbacks(1);
        let (sms, request) = (channel("sms"), RequestId::parse("222370177540343").unwrap());
        let url = callbacks.url_of_hop(&sms, request, 2).unwrap();
        let path = url.strip_prefix("https://codes.example/channels/sms/").unwrap();
        assert_eq!(callbacks.hop_of_path(&sms, path), Some((request, 2)));
        assert_eq!(callbacks.hop_of_path(&channel("sms-2"), path), None, "another channel's");
        assert_eq!(self::callbacks(2).hop_of_path(&sms, path), None, "another house's");
        let (_, mac) = path.rsplit_once('-').unwrap();
        for forged in [
            String::new(),
            "status".to_owned(),
            format!("222370177540344-2-{mac}"),
            format!("222370177540343-1-{mac}"),
            format!("222370177540343-+2-{mac}"),
            format!("222370177540343-02-{mac}x"),
            format!("222370177540343-258-{mac}"),
            format!("{path}-"),
            format!("{path}/"),
            path.to_uppercase(),
            path[..path.len() - 2].to_owned(),
            format!("222370177540343-2-{}", "é".repeat(16)),
            format!("222370177540343-2-{}", "0".repeat(32)),
        ] {
            // Digits alone have no upper case.
            assert!(forged == path || callbacks.hop_of_path(&sms, &forged).is_none(), "{forged:?}");
        }
        assert_eq!(Callbacks::new(None, callbacks.key).url_of_hop(&sms, request, 2), None);
    }
}
