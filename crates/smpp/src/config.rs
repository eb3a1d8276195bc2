//! What a session is told before it begins.

use crate::message::c_string;
use crate::receipt::IdFormat;
use crate::text::{SEGMENTS_MAX, Septets};
use rusmpp::pdus::BindTransceiver;
use rusmpp::values::{InterfaceVersion, Npi, Ton};
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

/// The settings of a session. [`Config::new`] has sensible ones for everything but the credentials.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// Who we are: 1 to 15 ASCII characters.
    pub system_id: String,
    /// Up to 8 ASCII characters. `Debug` does not show it.
    pub password: String,
    /// Up to 12 ASCII characters, if the operator asks for it.
    pub system_type: String,
    /// The addresses served by this session, up to 40 ASCII characters. Operators seldom want it.
    pub address_range: String,
    /// The type of number of `address_range`.
    pub address_ton: u8,
    /// The numbering plan of `address_range`.
    pub address_npi: u8,

    /// The most submit_sm without an answer, at least 1. Default 10.
    pub window: usize,
    /// The most segments that wait for the window, at least [`SEGMENTS_MAX`]. Default 1000.
    pub queue: usize,
    /// How long a segment may wait there. Default 30 s.
    pub queue_timeout: Duration,
    /// The most segments a second; `None` leaves it to the SMSC to throttle. Default `None`.
    pub per_second: Option<NonZeroU32>,

    /// How long to wait for a connection, and then for the answer to the bind. Default 10 s each.
    pub connect_timeout: Duration,
    /// How long to wait for a submit_sm_resp. A time-out leaves a message uncertain, so this is better long. Default
    /// 30 s.
    pub response_timeout: Duration,
    /// After how much silence to ask whether the SMSC is there. Default 30 s.
    pub enquire_link_interval: Duration,
    /// How long the SMSC may then stay silent before the connection is given up. Default 10 s.
    pub enquire_link_timeout: Duration,

    /// The first pause before a connection is tried again; each further one is twice as long. Default 1 s.
    pub reconnect_min: Duration,
    /// The longest pause. A connection that held for as long starts over with the shortest. Default 60 s.
    pub reconnect_max: Duration,
    /// The pause after the SMSC has refused the credentials: trying often gets accounts locked. Default 5 min.
    pub credentials_retry: Duration,

    /// How GSM 7-bit text is laid into octets.
    pub septets: Septets,
    /// How the operator spells message ids.
    pub id_format: IdFormat,

    /// The most receipts that wait to be acknowledged, at least 1. Further ones the SMSC has to send again. Default 100.
    pub receipts: usize,
    /// How long a receipt may wait; then the SMSC has to send it again. Default 10 s.
    pub receipt_timeout: Duration,
}

/// A [`Config`] that makes a session.
#[derive(Clone)]
pub struct CheckedConfig {
    pub(crate) config: Config,
    pub(crate) bind: BindTransceiver,
}

/// What is wrong with a [`Config`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidConfig {
    /// A text that does not fit its field.
    #[error("{0} must be at most {1} printable ASCII characters")]
    Text(&'static str, usize),
    /// Nobody to bind as.
    #[error("system_id is empty")]
    NoSystemId,
    /// A number that leaves no room.
    #[error("{0} must be at least {1}")]
    TooSmall(&'static str, usize),
    /// A time of nothing.
    #[error("{0} must be at least a millisecond")]
    NoTime(&'static str),
}

impl Config {
    /// Everything at its default.
    pub fn new(system_id: impl Into<String>, password: impl Into<String>) -> Config {
        Config {
            system_id: system_id.into(),
            password: password.into(),
            system_type: String::new(),
            address_range: String::new(),
            address_ton: 0,
            address_npi: 0,
            window: 10,
            queue: 1000,
            queue_timeout: Duration::from_secs(30),
            per_second: None,
            connect_timeout: Duration::from_secs(10),
            response_timeout: Duration::from_secs(30),
            enquire_link_interval: Duration::from_secs(30),
            enquire_link_timeout: Duration::from_secs(10),
            reconnect_min: Duration::from_secs(1),
            reconnect_max: Duration::from_secs(60),
            credentials_retry: Duration::from_secs(300),
            septets: Septets::default(),
            id_format: IdFormat::default(),
            receipts: 100,
            receipt_timeout: Duration::from_secs(10),
        }
    }

    /// Checks that everything here can be.
    pub fn check(self) -> Result<CheckedConfig, InvalidConfig> {
        let bind = self.bind()?;
        Ok(CheckedConfig { config: self, bind })
    }

    fn bind(&self) -> Result<BindTransceiver, InvalidConfig> {
        if self.system_id.is_empty() {
            return Err(InvalidConfig::NoSystemId);
        }
        let sizes =
            [("window", self.window, 1), ("queue", self.queue, SEGMENTS_MAX), ("receipts", self.receipts, 1)];
        if let Some((name, _, least)) = sizes.into_iter().find(|(_, size, least)| size < least) {
            return Err(InvalidConfig::TooSmall(name, least));
        }
        let times = [
            ("queue_timeout", self.queue_timeout),
            ("connect_timeout", self.connect_timeout),
            ("response_timeout", self.response_timeout),
            ("enquire_link_interval", self.enquire_link_interval),
            ("enquire_link_timeout", self.enquire_link_timeout),
            ("reconnect_min", self.reconnect_min),
            ("reconnect_max", self.reconnect_max),
            ("credentials_retry", self.credentials_retry),
            ("receipt_timeout", self.receipt_timeout),
        ];
        if let Some((name, _)) = times.into_iter().find(|(_, time)| *time < Duration::from_millis(1)) {
            return Err(InvalidConfig::NoTime(name));
        }
        Ok(BindTransceiver::builder()
            .system_id(c_string(&self.system_id).ok_or(InvalidConfig::Text("system_id", 15))?)
            .password(c_string(&self.password).ok_or(InvalidConfig::Text("password", 8))?)
            .system_type(c_string(&self.system_type).ok_or(InvalidConfig::Text("system_type", 12))?)
            .interface_version(InterfaceVersion::Smpp3_4)
            .addr_ton(Ton::from(self.address_ton))
            .addr_npi(Npi::from(self.address_npi))
            .address_range(c_string(&self.address_range).ok_or(InvalidConfig::Text("address_range", 40))?)
            .build())
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("system_id", &self.system_id).finish_non_exhaustive()
    }
}

impl fmt::Debug for CheckedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.config.fmt(f)
    }
}
