//! What the operator sets of logging in by OpenID Connect.

use super::CALLBACK_PATH;
use crate::secret::Secret;
use serde::Deserialize;
use std::time::Duration;
use url::{Host, Url};

/// How long the issuer may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// What stands in `[console.oidc]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configured {
    issuer: String,
    client_id: String,
    client_secret: Secret,
    scopes: String,
}

/// Who says who people are, and what this server is to them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The issuer, as it names itself in its tokens: `https://oauth.telegram.org`.
    pub issuer: String,
    /// What this server is called there. For Telegram, the number of a bot.
    pub client_id: String,
    /// What proves that it is this server.
    pub client_secret: Secret,
    /// What to ask for, separated by spaces.
    pub scopes: String,
    /// Where browsers come back to. The issuer must know this very address.
    pub redirect_url: String,
    /// Whether an issuer on this machine may be spoken to without TLS: for development and tests.
    pub plain_loopback: bool,
    /// How long the issuer may take for each answer.
    pub answer_max: Duration,
}

/// Settings that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// The issuer is no address that can be relied on.
    #[error("issuer {0}")]
    Issuer(&'static str),
    /// No client.
    #[error("client_id is missing")]
    ClientId,
    /// No secret.
    #[error("client_secret is missing")]
    ClientSecret,
    /// Not what OpenID Connect asks for.
    #[error("scopes must have openid among them")]
    Scopes,
    /// Nowhere for browsers to come back to.
    #[error(
        "the issuer must be told where to send browsers back to: set public_url to this server's address"
    )]
    PublicUrl,
}

impl Configured {
    /// The settings of a server at `public_url`, if they can be used; `None` if no issuer is set.
    pub fn settings(
        &self,
        public_url: Option<&str>,
        plain_loopback: bool,
    ) -> Result<Option<Settings>, InvalidSettings> {
        let Configured { issuer, client_id, client_secret, scopes } = self.clone();
        if issuer.is_empty() {
            return Ok(None);
        }
        let url = endpoint(&issuer, plain_loopback).map_err(InvalidSettings::Issuer)?;
        if url.query().is_some() {
            return Err(InvalidSettings::Issuer("must have nothing after its path"));
        }
        if client_id.is_empty() {
            return Err(InvalidSettings::ClientId);
        }
        if client_secret.is_empty() {
            return Err(InvalidSettings::ClientSecret);
        }
        if !scopes.split(' ').any(|scope| scope == "openid") {
            return Err(InvalidSettings::Scopes);
        }
        let redirect_url = format!("{}{CALLBACK_PATH}", public_url.ok_or(InvalidSettings::PublicUrl)?);
        let answer_max = ANSWER_MAX;
        Ok(Some(Settings {
            issuer,
            client_id,
            client_secret,
            scopes,
            redirect_url,
            plain_loopback,
            answer_max,
        }))
    }
}

/// An address of the issuer, which only TLS makes one: keys and secrets go over it.
pub(super) fn endpoint(text: &str, plain_loopback: bool) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "is no absolute URL")?;
    let loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => return Err("is no absolute URL"),
    };
    if !(url.scheme() == "https" || (url.scheme() == "http" && loopback && plain_loopback)) {
        return Err("is not https");
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("holds a user name, a password or a fragment");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TELEGRAM: &str = "https://oauth.telegram.org";

    fn settings(
        issuer: &str,
        client_id: &str,
        secret: &str,
        scopes: &str,
    ) -> Result<Option<Settings>, InvalidSettings> {
        let [issuer, client_id, scopes] = [issuer, client_id, scopes].map(str::to_owned);
        let configured = Configured { issuer, client_id, client_secret: Secret::from(secret), scopes };
        configured.settings(Some("https://codes.example"), false)
    }

    #[test]
    fn browsers_come_back_below_the_public_address() {
        let settings = settings(TELEGRAM, "123", "s", "openid profile phone").unwrap().unwrap();
        assert_eq!(settings.redirect_url, "https://codes.example/login/telegram/callback");
    }

    #[test]
    fn without_an_issuer_there_is_nothing_to_set() {
        assert!(settings("", "", "", "").unwrap().is_none());
    }

    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        assert!(settings("https://id.example/realms/staff", "123", "s", "openid").is_ok());
        let (malformed, plain, secret) =
            ("is no absolute URL", "is not https", "holds a user name, a password or a fragment");
        for (refused, why) in [
            (settings("oauth.telegram.org", "1", "s", "openid"), InvalidSettings::Issuer(malformed)),
            (settings("http://oauth.telegram.org", "1", "s", "openid"), InvalidSettings::Issuer(plain)),
            (settings("http://127.0.0.1:1", "1", "s", "openid"), InvalidSettings::Issuer(plain)),
            (settings("https://a:b@id.example", "1", "s", "openid"), InvalidSettings::Issuer(secret)),
            (settings("https://id.example/#a", "1", "s", "openid"), InvalidSettings::Issuer(secret)),
            (
                settings("https://id.example/?a", "1", "s", "openid"),
                InvalidSettings::Issuer("must have nothing after its path"),
            ),
            (settings(TELEGRAM, "", "s", "openid"), InvalidSettings::ClientId),
            (settings(TELEGRAM, "1", "", "openid"), InvalidSettings::ClientSecret),
            (settings(TELEGRAM, "1", "s", "profile openid2"), InvalidSettings::Scopes),
        ] {
            assert_eq!(refused.unwrap_err(), why);
        }
        let configured = Configured {
            issuer: TELEGRAM.to_owned(),
            client_id: "1".to_owned(),
            client_secret: Secret::from("s"),
            scopes: "openid".to_owned(),
        };
        assert_eq!(configured.settings(None, false).unwrap_err(), InvalidSettings::PublicUrl);
    }

    #[test]
    fn without_tls_an_issuer_is_on_this_machine_and_in_development_alone() {
        for (url, in_development) in [
            ("http://127.0.0.1:8080/", true),
            ("http://[::1]:8080/", true),
            ("http://localhost:8080/", true),
            ("http://localhost.evil.example/", false),
            ("http://10.0.0.1/", false),
            ("ftp://127.0.0.1/", false),
        ] {
            assert_eq!(endpoint(url, true).is_ok(), in_development, "{url}");
            assert!(endpoint(url, false).is_err(), "{url}");
        }
    }
}
