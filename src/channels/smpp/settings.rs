//! What the operator sets of an SMPP channel.

use super::link::Tls;
use crate::channels::Wording;
use crate::channels::gate::Pace;
use crate::channels::text::is_domain;
use crate::secret::Secret;
use chappe_smpp::{Address, CheckedConfig, Config, IdFormat, InvalidConfig, InvalidMessage, Septets};
use serde::Deserialize;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long a segment may wait in the session: what waits longer waits as a row.
const QUEUE_MAX: Duration = Duration::from_secs(4);
/// The longest that an answer of the SMSC can be waited for: an errand may not take longer.
const ANSWER_MAX_S: u64 = 15;
/// How many receipts may wait to be written down; further ones the SMSC is told to send again.
const RECEIPTS_MAX: usize = 1_000;
/// The longest silence.
const ENQUIRE_MAX_S: u64 = 3_600;

/// What the operator set of the channel, read once and good after.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Written")]
pub struct SmppSettings {
    pub(super) session: CheckedConfig,
    pub(super) host: Arc<str>,
    pub(super) port: u16,
    pub(super) tls: Option<Tls>,
    pub(super) sender: Option<Address>,
    pub(super) service_type: String,
    /// The language of every message; empty: that of the number's country.
    pub(super) language: String,
    pub(super) webotp: Option<String>,
    pace: Pace,
}

/// The settings as they are written. Every one but the first three has a default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// Where the SMSC is: `host:port`.
    address: String,
    /// Who we are, as the operator of the SMSC says.
    system_id: String,
    /// The password that belongs to it.
    password: Secret,
    /// Whether the connection is encrypted, and the SMSC's certificate checked.
    #[serde(default)]
    tls: bool,
    /// Whose certificates are believed: a PEM file; empty: the public roots.
    #[serde(default)]
    tls_roots: PathBuf,
    /// What some operators ask for beside the name.
    #[serde(default)]
    system_type: String,
    /// Whom messages come from: a name of up to 11 characters, a number with its `+`, or a short code; empty: as the SMSC
    /// likes.
    #[serde(default)]
    from: String,
    /// The type of number of `from`, where the operator asks for another than the usual one.
    #[serde(default)]
    from_ton: Option<u8>,
    /// The numbering plan of `from`, likewise.
    #[serde(default)]
    from_npi: Option<u8>,
    /// The service_type that some operators ask for.
    #[serde(default)]
    service_type: String,
    /// The language of messages, such as `it`; empty: by the number's country.
    #[serde(default)]
    language: String,
    /// The domain that codes are bound to, for pages that fill them in; empty: none.
    #[serde(default)]
    webotp: String,
    /// How message ids are spelled.
    #[serde(default)]
    ids: IdSpelling,
    /// Whether septets are packed on the wire, which few SMSCs want.
    #[serde(default)]
    packed: bool,
    /// How many submits may wait for their answer at a time.
    #[serde(default = "default_window")]
    window: NonZeroU32,
    /// How many messages are submitted in a second, at most.
    #[serde(default)]
    per_second: Option<NonZeroU32>,
    /// How long the SMSC may take to answer a submit; then it is uncertain whether it has the message.
    #[serde(default = "default_answer_s")]
    answer_s: u64,
    /// After how much silence the SMSC is asked whether it is there.
    #[serde(default = "default_enquire_s")]
    enquire_s: u64,
}

/// How an operator spells message ids: in submits and in receipts.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum IdSpelling {
    /// The same in both.
    #[default]
    Same,
    /// Hexadecimal in the answer to a submit, decimal in the receipt.
    HexThenDecimal,
    /// Decimal in the answer to a submit, hexadecimal in the receipt.
    DecimalThenHex,
}

fn default_window() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(9)
}

fn default_answer_s() -> u64 {
    10
}

fn default_enquire_s() -> u64 {
    30
}

/// Settings that make no channel, and why.
#[derive(Debug, thiserror::Error)]
pub enum InvalidSmpp {
    /// Where the SMSC is, is not said.
    #[error("address {0:?} is not host:port, such as \"smpp.example.com:2775\"")]
    Address(String),
    /// The name, the password or another text of the bind.
    #[error(transparent)]
    Session(#[from] InvalidConfig),
    /// The sender.
    #[error("from {0:?} cannot be used: {1}")]
    From(String, InvalidMessage),
    /// The domain.
    #[error("webotp {0:?} is no domain, such as \"example.com\"")]
    WebOtp(String),
    /// A time.
    #[error("{0} must be from 1 to {1}")]
    Seconds(&'static str, u64),
    /// The service type.
    #[error("service_type {0:?} cannot be used: at most 5 printable ASCII characters")]
    ServiceType(String),
    /// The file of certificates.
    #[error("tls_roots {0}: {1}")]
    Roots(String, String),
}

impl TryFrom<Written> for SmppSettings {
    type Error = InvalidSmpp;

    fn try_from(written: Written) -> Result<SmppSettings, InvalidSmpp> {
        let (host, port) = written.place()?;
        if !written.webotp.is_empty() && !is_domain(&written.webotp) {
            return Err(InvalidSmpp::WebOtp(written.webotp));
        }
        let printable = written.service_type.bytes().all(|byte| byte.is_ascii_graphic());
        if !printable || written.service_type.len() > 5 {
            return Err(InvalidSmpp::ServiceType(written.service_type));
        }
        Ok(SmppSettings {
            session: written.session()?.check()?,
            tls: written.tls.then(|| Tls::new(&host, &written.tls_roots)).transpose()?,
            host: host.into(),
            port,
            sender: written.sender()?,
            pace: Pace { concurrency: written.window, per_second: written.per_second },
            service_type: written.service_type,
            language: written.language,
            webotp: Some(written.webotp).filter(|domain| !domain.is_empty()),
        })
    }
}

impl SmppSettings {
    /// How much the channel is given at once: as much as the SMSC takes without an answer.
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// How it words its messages.
    pub fn wording(&self) -> Wording<'_> {
        Wording { language: &self.language, webotp: self.webotp.as_deref() }
    }
}

impl Written {
    /// Host and port.
    fn place(&self) -> Result<(String, u16), InvalidSmpp> {
        let place = self.address.rsplit_once(':').and_then(|(host, port)| {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let port = port.parse().ok().filter(|port| *port > 0)?;
            (!host.is_empty()).then(|| (host.to_owned(), port))
        });
        place.ok_or_else(|| InvalidSmpp::Address(self.address.clone()))
    }

    /// Whom messages come from.
    fn sender(&self) -> Result<Option<Address>, InvalidSmpp> {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let (address, ton, npi) = match self.from.as_str() {
            "" => return Ok(None),
            number if number.starts_with('+') => (Address::international(number), 1, 1),
            code if digits(code) => (Address::short_code(code), 3, 0),
            name => (Address::alphanumeric(name), 5, 0),
        };
        let address = address.map_err(|error| InvalidSmpp::From(self.from.clone(), error))?;
        Ok(Some(address.with_ton_npi(self.from_ton.unwrap_or(ton), self.from_npi.unwrap_or(npi))))
    }

    /// The settings of the session.
    fn session(&self) -> Result<Config, InvalidSmpp> {
        if !(1..=ANSWER_MAX_S).contains(&self.answer_s) {
            return Err(InvalidSmpp::Seconds("answer_s", ANSWER_MAX_S));
        }
        if !(1..=ENQUIRE_MAX_S).contains(&self.enquire_s) {
            return Err(InvalidSmpp::Seconds("enquire_s", ENQUIRE_MAX_S));
        }
        let mut config = Config::new(&self.system_id, self.password.expose());
        config.system_type.clone_from(&self.system_type);
        config.window = usize::try_from(self.window.get()).unwrap_or(usize::MAX);
        config.per_second = self.per_second;
        config.receipts = RECEIPTS_MAX;
        config.queue_timeout = QUEUE_MAX;
        config.response_timeout = Duration::from_secs(self.answer_s);
        config.enquire_link_interval = Duration::from_secs(self.enquire_s);
        config.septets = if self.packed { Septets::Packed } else { Septets::Unpacked };
        config.id_format = match self.ids {
            IdSpelling::Same => IdFormat::AsIs,
            IdSpelling::HexThenDecimal => IdFormat::SubmitHexReceiptDecimal,
            IdSpelling::DecimalThenHex => IdFormat::SubmitDecimalReceiptHex,
        };
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(more: &str) -> Result<SmppSettings, String> {
        let text = format!(
            "{{\"address\": \"smsc.example:2775\", \"system_id\": \"me\", \"password\": \"secret\"{more}}}"
        );
        serde_json::from_str(&text).map_err(|error| error.to_string())
    }

    #[test]
    fn little_is_needed_and_no_secret_is_shown() {
        let settings = settings("").unwrap();
        assert_eq!(
            (&*settings.host, settings.port, settings.pace().concurrency.get()),
            ("smsc.example", 2775, 10)
        );
        assert!(!format!("{settings:?}").contains("secret"), "{settings:?}");
    }

    #[test]
    fn what_cannot_be_is_named() {
        for (more, named) in [
            (r#", "address": "smsc.example""#, "duplicate"),
            (r#", "from": "TwelveLetter""#, "TwelveLetter"),
            (r#", "from": "+12ab""#, "+12ab"),
            (r#", "webotp": "https://example.com""#, "https://example.com"),
            (r#", "service_type": "toolong""#, "toolong"),
            (r#", "answer_s": 16"#, "answer_s"),
            (r#", "enquire_s": 0"#, "enquire_s"),
            (r#", "window": 0"#, "nonzero"),
            (r#", "system_type": "thirteen chars""#, "system_type"),
            (r#", "tls": true, "tls_roots": "/nowhere.pem""#, "/nowhere.pem"),
            (r#", "sender": "x""#, "sender"),
        ] {
            let error = settings(more).unwrap_err();
            assert!(error.contains(named) && !error.contains("secret"), "{more}: {error}");
        }
        assert!(settings(r#", "from": "Example", "from_ton": 1"#).is_ok());
        assert!(settings(r#", "from": "12345", "window": 100, "ids": "hex-then-decimal""#).is_ok());
    }
}
