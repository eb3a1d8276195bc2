//! What an issuer tells of itself (OpenID Connect Discovery 1.0 §3, RFC 8414).

use super::error::OidcError;
use super::settings::{Settings, endpoint};
use serde::Deserialize;
use url::Url;

/// What of it is used, each address judged.
#[derive(Debug)]
pub(super) struct Metadata {
    /// Where browsers are sent to.
    pub(super) authorization: Url,
    /// Where codes are exchanged.
    pub(super) token: Url,
    /// Where the keys are.
    pub(super) keys: Url,
    /// How we prove who we are.
    pub(super) client_auth: ClientAuth,
    /// Whether the verifier of a code is checked.
    pub(super) pkce: bool,
    /// Whether every answer names its issuer (RFC 9207).
    pub(super) names_itself: bool,
}

/// How a client proves itself (Core §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientAuth {
    /// In the header `Authorization`.
    Basic,
    /// In the body.
    Post,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    code_challenge_methods_supported: Vec<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl Metadata {
    /// Where an issuer tells of itself.
    pub(super) fn address(issuer: &str) -> String {
        format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
    }

    /// Reads what the issuer tells.
    pub(super) fn parse(json: &[u8], settings: &Settings) -> Result<Metadata, OidcError> {
        let document: Document = serde_json::from_slice(json)
            .map_err(|_| OidcError::Metadata("it is not the JSON that OpenID Connect Discovery describes"))?;
        if document.issuer != settings.issuer {
            return Err(OidcError::Metadata("it names another issuer than console.oidc.issuer"));
        }
        let endpoint = |text: &str| {
            endpoint(text, settings.plain_loopback)
                .map_err(|_| OidcError::Metadata("an address in it is not https"))
        };
        let client_auth = match &document.token_endpoint_auth_methods_supported {
            None => ClientAuth::Basic,
            Some(methods) => {
                let knows = |method: &str| methods.iter().any(|known| known == method);
                match (knows("client_secret_basic"), knows("client_secret_post")) {
                    (true, _) => ClientAuth::Basic,
                    (false, true) => ClientAuth::Post,
                    (false, false) => {
                        return Err(OidcError::Metadata("it takes no client by a secret"));
                    }
                }
            }
        };
        Ok(Metadata {
            authorization: endpoint(&document.authorization_endpoint)?,
            token: endpoint(&document.token_endpoint)?,
            keys: endpoint(&document.jwks_uri)?,
            client_auth,
            pkce: document.code_challenge_methods_supported.iter().any(|method| method == "S256"),
            names_itself: document.authorization_response_iss_parameter_supported,
        })
    }
}
