//! Calls to the issuer: what it tells of itself, its keys, and a code for a token.

use super::cache::Cache;
use super::error::OidcError;
use super::keys::KeySet;
use super::metadata::{ClientAuth, Metadata};
use super::settings::Settings;
use crate::net::provider::Provider;
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderValue, Request, Response, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chappe_core::Time;
use serde::Deserialize;
use std::sync::Arc;
use tokio::sync::Semaphore;
use url::form_urlencoded::{Serializer, byte_serialize};

/// The longest name of an error that is passed on, in characters.
const ERROR_MAX_CHARS: usize = 64;
/// How many codes are exchanged at once. Anybody can bring one, good or not, and each is a call to the issuer.
const EXCHANGES_MAX: usize = 16;
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An issuer.
#[derive(Debug)]
pub(super) struct Issuer {
    settings: Settings,
    provider: Provider,
    metadata: Cache<Metadata>,
    keys: Cache<KeySet>,
    exchanges: Semaphore,
}

#[derive(Deserialize)]
struct TokenAnswer {
    id_token: Option<String>,
    error: Option<String>,
}

impl Issuer {
    pub(super) fn new(settings: Settings) -> Issuer {
        Issuer {
            settings,
            provider: Provider::new(),
            metadata: Cache::empty(),
            keys: Cache::empty(),
            exchanges: Semaphore::new(EXCHANGES_MAX),
        }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What the issuer tells of itself.
    pub(super) async fn metadata(&self, now: Time) -> Result<Arc<Metadata>, OidcError> {
        let read = async {
            let json = self.get(&Metadata::address(&self.settings.issuer), "its metadata").await?;
            Metadata::parse(&json, &self.settings)
        };
        self.metadata.get(now, read).await
    }

    /// The issuer's keys.
    pub(super) async fn keys(&self, now: Time, metadata: &Metadata) -> Result<Arc<KeySet>, OidcError> {
        self.keys.get(now, self.read_keys(metadata)).await
    }

    /// The issuer's keys, read anew since `outdated` lacks one; `None` if that was done too short a while ago.
    pub(super) async fn newer_keys(
        &self,
        now: Time,
        metadata: &Metadata,
        outdated: &Arc<KeySet>,
    ) -> Result<Option<Arc<KeySet>>, OidcError> {
        self.keys.renew(now, outdated, self.read_keys(metadata)).await
    }

    async fn read_keys(&self, metadata: &Metadata) -> Result<KeySet, OidcError> {
        let json = self.get(metadata.keys.as_str(), "its keys").await?;
        KeySet::parse(&json).ok_or(OidcError::Metadata("its keys are no JSON Web Key Set"))
    }

    /// Exchanges the code of a log-in for an ID token (RFC 6749 §4.1.3, RFC 7636 §4.5).
    pub(super) async fn exchange(
        &self,
        metadata: &Metadata,
        code: &str,
        verifier: &str,
    ) -> Result<String, OidcError> {
        let _place = self.exchanges.try_acquire().map_err(|_| OidcError::Busy)?;
        let answer = self.call(self.exchange_request(metadata, code, verifier)?, "its tokens").await?;
        let status = answer.status();
        let unreadable = || OidcError::Unreachable(format!("asked for its tokens, it answered {status}"));
        if !(status == StatusCode::OK || status.is_client_error()) {
            return Err(unreadable());
        }
        let read: TokenAnswer = serde_json::from_slice(answer.body()).map_err(|_| unreadable())?;
        match (read.error, read.id_token) {
            (Some(error), _) if error == "invalid_grant" => Err(OidcError::CodeRefused),
            (Some(error), _) => Err(OidcError::ClientRefused(printable(&error))),
            (None, Some(token)) if status == StatusCode::OK => Ok(token),
            (None, _) => Err(unreadable()),
        }
    }

    fn exchange_request(
        &self,
        metadata: &Metadata,
        code: &str,
        verifier: &str,
    ) -> Result<Request<Bytes>, OidcError> {
        let Settings { client_id, client_secret, redirect_url, .. } = &self.settings;
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", redirect_url)
            .append_pair("code_verifier", verifier)
            .append_pair("client_id", client_id);
        let mut request = Request::post(metadata.token.as_str())
            .header(ACCEPT, JSON)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        match metadata.client_auth {
            ClientAuth::Basic => {
                request = request.header(AUTHORIZATION, basic(client_id, client_secret.expose())?)
            }
            ClientAuth::Post => {
                form.append_pair("client_secret", client_secret.expose());
            }
        }
        request.body(form.finish().into()).map_err(unsendable)
    }

    async fn get(&self, url: &str, what: &str) -> Result<Bytes, OidcError> {
        let request = Request::get(url).header(ACCEPT, JSON).body(Bytes::new()).map_err(unsendable)?;
        let answer = self.call(request, what).await?;
        match answer.status() {
            StatusCode::OK => Ok(answer.into_body()),
            status => Err(OidcError::Unreachable(format!("asked for {what}, it answered {status}"))),
        }
    }

    async fn call(&self, request: Request<Bytes>, what: &str) -> Result<Response<Bytes>, OidcError> {
        let answer = self.provider.call_within(self.settings.answer_max, request).await;
        answer.map_err(|failure| OidcError::Unreachable(format!("asked for {what}: {failure}")))
    }
}

/// The credentials of a client, each encoded before they are put together (RFC 6749 §2.3.1).
fn basic(client_id: &str, client_secret: &str) -> Result<HeaderValue, OidcError> {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let credentials = STANDARD.encode(format!("{}:{}", encoded(client_id), encoded(client_secret)));
    let mut header = HeaderValue::try_from(format!("Basic {credentials}")).map_err(|_| unsendable(()))?;
    header.set_sensitive(true);
    Ok(header)
}

/// An address or a header that HTTP cannot carry.
fn unsendable<E>(_: E) -> OidcError {
    OidcError::Metadata("an address in it cannot be called")
}

/// The name of an error, as far as it is one that can stand in a log.
pub(super) fn printable(error: &str) -> String {
    error.chars().filter(|char| char.is_ascii_graphic()).take(ERROR_MAX_CHARS).collect()
}
