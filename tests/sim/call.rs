//! A call of a client: what it says, and how it is put on the wire or into a command.

use crate::cast::{self, TOKENS, token};
use crate::operation::{Script, Way, Wish};
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use chappe::api::Method;
use chappe::app::App;
use chappe_core::command::{
    Caller, CheckSendAbility, Entered, Idempotency, MessageParams, SendVerificationMessage,
};
use chappe_core::route::{Hop, Route};
use chappe_core::text::{ChannelName, Payload, Username};
use chappe_core::{AccountId, Code, Command, Country, RequestId, Time, TokenId, Ttl};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// How long the codes are that the gateway draws.
pub(crate) const DRAWN_LENGTH: usize = 6;
/// The client's own code where the wish has none and the gateway cannot draw one.
const OWN_CODE: &str = "4711";

/// A call at a moment.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) who: usize,
    /// Which of the account's tokens it comes with.
    pub(crate) token: usize,
    pub(crate) now: Time,
    /// The id that a new request gets.
    pub(crate) new_id: RequestId,
    pub(crate) way: Way,
    pub(crate) ask: Ask,
}

/// What a client says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ask {
    Check {
        phone: &'static str,
        key: Option<String>,
        script: Option<Script>,
    },
    Send {
        phone: &'static str,
        prior: Option<RequestId>,
        wish: Wish,
        key: Option<String>,
        script: Option<Script>,
    },
    Status {
        request: RequestId,
        code: Option<String>,
    },
    Revoke {
        request: RequestId,
    },
    Balance,
}

impl Ask {
    pub(crate) fn key(&self) -> Option<&str> {
        match self {
            Ask::Check { key, .. } | Ask::Send { key, .. } => key.as_deref(),
            Ask::Status { .. } | Ask::Revoke { .. } | Ask::Balance => None,
        }
    }
}

impl Wish {
    /// The code, if the client chose it.
    pub(crate) fn code(&self, way: Way) -> Option<&'static str> {
        match way {
            Way::Wire => self.own_code,
            Way::Command => Some(self.own_code.unwrap_or(OWN_CODE)),
        }
    }
}

/// The caller that an account's token stands for: accounts and tokens are numbered in the order of the cast.
pub(crate) fn caller(who: usize, token: usize) -> Caller {
    Caller {
        account: AccountId(AccountId::FIRST_CUSTOMER + who as i64),
        token: TokenId(1 + (who * TOKENS + token) as i64),
        mode: cast::mode(who),
    }
}

impl Call {
    /// The call as the router gets it.
    pub(crate) fn http(&self) -> Request<Body> {
        let (method, params) = match &self.ask {
            Ask::Check { phone, .. } => {
                (Method::CheckSendAbility, json!({ "phone_number": format!("+{phone}") }))
            }
            Ask::Send { phone, prior, wish, .. } => {
                let drawn = wish.own_code.is_none().then_some(DRAWN_LENGTH);
                let params = json!({
                    "phone_number": phone,
                    "request_id": prior.map(|prior| prior.to_string()),
                    "code": wish.own_code,
                    "code_length": drawn,
                    "sender_username": wish.sender,
                    "callback_url": wish.callback,
                    "payload": wish.payload,
                    "ttl": wish.ttl_s,
                });
                (Method::SendVerificationMessage, params)
            }
            Ask::Status { request, code } => {
                let params = json!({ "request_id": request.to_string(), "code": code });
                (Method::CheckVerificationStatus, params)
            }
            Ask::Revoke { request } => {
                (Method::RevokeVerificationMessage, json!({ "request_id": request.to_string() }))
            }
            Ask::Balance => (Method::GetBalance, Value::Null),
        };
        let body = if params.is_null() { String::new() } else { params.to_string() };
        let mut request = Request::post(format!("/{}", method.name()))
            .header("Authorization", format!("Bearer {}", token(self.who, self.token)))
            .header("Content-Type", "application/json");
        if let Some(key) = self.ask.key() {
            request = request.header("Idempotency-Key", key);
        }
        let mut request = request.body(Body::from(body)).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 4711))));
        request
    }

    /// The call as the router would hand it in, or with a route that it would not choose.
    pub(crate) fn command(&self, app: &App) -> Command {
        let (caller, now, new_id) = (caller(self.who, self.token), self.now, self.new_id);
        let country = Country::UNKNOWN;
        let idempotency = self.ask.key().map(|key| Idempotency {
            key: app.vault.idempotency_digest([key.as_bytes()]),
            body: app.vault.idempotency_digest([format!("{:?}", self.ask).as_bytes()]),
        });
        match &self.ask {
            Ask::Check { phone, script, .. } => {
                let (phone, route) = (cast::phone(phone), self.route(app, phone, *script));
                let check = CheckSendAbility { caller, now, new_id, phone, country, route, idempotency };
                Command::CheckSendAbility(check)
            }
            Ask::Send { phone, prior, wish, script, .. } => {
                let code = Code::parse(wish.code(Way::Command).unwrap_or_default()).unwrap();
                let message = MessageParams {
                    code,
                    code_mac: app.vault.code_mac(prior.unwrap_or(new_id), code.expose()),
                    sender: wish.sender.map(|name| Username::parse(name).unwrap()),
                    callback_url: wish.callback.map(Into::into),
                    payload: wish.payload.map(|text| Payload::parse(text).unwrap()),
                    ttl: wish.ttl_s.map(|secs| Ttl::from_secs(secs).unwrap()),
                };
                Command::Send(SendVerificationMessage {
                    caller,
                    now,
                    prior: *prior,
                    new_id,
                    phone: cast::phone(phone),
                    country,
                    route: self.route(app, phone, *script),
                    message: Ok(message),
                    idempotency,
                })
            }
            Ask::Status { request, code } => {
                let entered = code.as_ref().map(|code| Entered {
                    text: code.as_str().into(),
                    mac: app.vault.code_mac(*request, code),
                });
                Command::CheckStatus { caller, now, request: *request, entered }
            }
            Ask::Revoke { request } => Command::Revoke { caller, now, request: *request },
            Ask::Balance => Command::Balance { caller },
        }
    }

    fn route(&self, app: &App, phone: &str, script: Option<Script>) -> Route {
        match script {
            Some(Script { hops: names, reach }) => {
                Route { hops: hops(names), subscribers_only: channels(&[cast::FOR_SUBSCRIBERS]), reach }
            }
            None => app.channels.route(cast::mode(self.who), cast::phone(phone)),
        }
    }
}

/// Channels with their waits.
pub(crate) fn hops<T: FromIterator<Hop>>(texts: &[&str]) -> T {
    texts.iter().map(|text| Hop::parse(text).unwrap()).collect()
}

/// Channels by their names.
pub(crate) fn channels<T: FromIterator<ChannelName>>(names: &[&str]) -> T {
    names.iter().map(|name| ChannelName::parse(name).unwrap()).collect()
}
