//! The methods. Each reads as its specification: parse, in the order in which errors are judged, and hand in a command.

use super::answer::{Answer, Refusal};
use super::params::{Param, Params};
use crate::app::App;
use crate::wire::request_status;
use chappe_core::command::{
    Caller, CheckSendAbility, Entered, Idempotency, MessageParams, SendVerificationMessage,
};
use chappe_core::text::{Payload, Username};
use chappe_core::{Code, CodeLength, Command, Outcome, Phone, Rejection, RequestId, Ttl};
use std::sync::Arc;

/// The longest callback URL, in bytes.
const CALLBACK_URL_MAX_BYTES: usize = 256;
/// The longest idempotency key, in bytes.
const IDEMPOTENCY_KEY_MAX_BYTES: usize = 255;

/// The methods of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Can this number be reached?
    CheckSendAbility,
    /// Send a code.
    SendVerificationMessage,
    /// The state of a request; with a code, judge it.
    CheckVerificationStatus,
    /// Withdraw a message.
    RevokeVerificationMessage,
    /// What the account has left. Not part of Telegram's API.
    GetBalance,
}

impl Method {
    /// Every method.
    pub const ALL: [Method; 5] = [
        Method::CheckSendAbility,
        Method::SendVerificationMessage,
        Method::CheckVerificationStatus,
        Method::RevokeVerificationMessage,
        Method::GetBalance,
    ];

    /// The name in the path.
    pub fn name(self) -> &'static str {
        match self {
            Method::CheckSendAbility => "checkSendAbility",
            Method::SendVerificationMessage => "sendVerificationMessage",
            Method::CheckVerificationStatus => "checkVerificationStatus",
            Method::RevokeVerificationMessage => "revokeVerificationMessage",
            Method::GetBalance => "getBalance",
        }
    }

    /// The method with this name, in any case.
    pub fn find(name: &str) -> Option<Method> {
        Method::ALL.into_iter().find(|method| method.name().eq_ignore_ascii_case(name))
    }
}

/// A call by somebody whose token was found good.
pub(super) struct Call<'a> {
    pub(super) app: &'a App,
    pub(super) caller: Caller,
    pub(super) params: &'a Params,
    pub(super) idempotency_key: Option<&'a [u8]>,
}

impl Call<'_> {
    /// Carries the call out.
    pub(super) async fn answer(&self, method: Method) -> Result<Answer, Refusal> {
        let command = match method {
            Method::CheckSendAbility => self.check_send_ability()?,
            Method::SendVerificationMessage => self.send_verification_message()?,
            Method::CheckVerificationStatus => self.check_verification_status()?,
            Method::RevokeVerificationMessage => Command::Revoke {
                caller: self.caller,
                now: self.app.clock.now(),
                request: self.request_id()?,
            },
            Method::GetBalance => Command::Balance { caller: self.caller },
        };
        match self.app.engine.submit(command).await? {
            Outcome::Request(view) => Ok(Answer::Request(Box::new(request_status(&view)))),
            Outcome::Balance(balance) => Ok(Answer::Balance(balance)),
            Outcome::Revoked => Ok(Answer::True),
            // No command of a caller comes to this.
            Outcome::Report(_) | Outcome::Credited(_) | Outcome::AlreadyCredited | Outcome::Done => {
                Err(Refusal::Engine(crate::engine::Failure::Internal))
            }
        }
    }

    fn check_send_ability(&self) -> Result<Command, Refusal> {
        let idempotency = self.idempotency(Method::CheckSendAbility)?;
        let phone = self.phone()?;
        let now = self.app.clock.now();
        Ok(Command::CheckSendAbility(CheckSendAbility {
            caller: self.caller,
            now,
            new_id: self.app.next_request_id(now),
            phone,
            country: crate::numbering::country(phone),
            route: self.app.channels.route(self.caller.mode, phone),
            idempotency,
        }))
    }

    fn send_verification_message(&self) -> Result<Command, Refusal> {
        let idempotency = self.idempotency(Method::SendVerificationMessage)?;
        let phone = self.phone()?;
        let prior = self.params.get(Param::RequestId).map(request_id).transpose()?;
        let now = self.app.clock.now();
        let new_id = self.app.next_request_id(now);
        let message = match self.message(prior.unwrap_or(new_id)) {
            Ok(message) => Ok(message),
            // Whether the request id is good is judged first, and only the database knows.
            Err(Refusal::Rejected(rejection)) if prior.is_some() => Err(rejection),
            Err(refusal) => return Err(refusal),
        };
        Ok(Command::Send(SendVerificationMessage {
            caller: self.caller,
            now,
            prior,
            new_id,
            phone,
            country: crate::numbering::country(phone),
            route: self.app.channels.route(self.caller.mode, phone),
            message,
            idempotency,
        }))
    }

    fn check_verification_status(&self) -> Result<Command, Refusal> {
        let request = self.request_id()?;
        let entered = self.params.get(Param::Code).map(|text| {
            // Whatever was typed is judged, and given back; only what was never text is no code.
            let entered = Entered { text: text.into(), mac: self.app.vault.code_mac(request, text) };
            (!text.contains('\0')).then_some(entered).ok_or(Rejection::CodeInvalid)
        });
        let entered = entered.transpose()?;
        Ok(Command::CheckStatus { caller: self.caller, now: self.app.clock.now(), request, entered })
    }

    /// The message, or the first thing that is wrong with it.
    fn message(&self, id: RequestId) -> Result<MessageParams, Refusal> {
        let code = match self.params.get(Param::Code) {
            Some(code) => Code::parse(code).ok_or(Rejection::CodeInvalid)?,
            None => self.draw_code()?,
        };
        let ttl = self.params.get(Param::Ttl).map(|text| Ttl::parse(text).ok_or(Rejection::TtlInvalid));
        let ttl = ttl.transpose()?;
        let callback_url =
            self.params.get(Param::CallbackUrl).map(|text| self.callback_url(text)).transpose()?;
        let payload =
            self.params.get(Param::Payload).map(|text| Payload::parse(text).ok_or(Rejection::PayloadInvalid));
        let payload = payload.transpose()?;
        let sender = self.params.get(Param::SenderUsername);
        let sender =
            sender.map(|text| Username::parse(text).ok_or(Rejection::SenderUsernameInvalid)).transpose()?;
        let code_mac = self.app.vault.code_mac(id, code.expose());
        Ok(MessageParams { code, code_mac, sender, callback_url, payload, ttl })
    }

    fn draw_code(&self) -> Result<Code, Refusal> {
        let length = self.params.get(Param::CodeLength).ok_or(Rejection::CodeLengthRequired)?;
        let length = CodeLength::parse(length).ok_or(Rejection::CodeLengthInvalid)?;
        let draw = self.app.random.below(length.codes()).map_err(|error| {
            tracing::error!(%error, "no code can be drawn");
            Refusal::Engine(crate::engine::Failure::Internal)
        })?;
        Ok(Code::from_draw(length, draw))
    }

    fn callback_url(&self, text: &str) -> Result<Arc<str>, Rejection> {
        let url = self.app.settings.outbound.parse_url(text).map_err(|_| Rejection::CallbackUrlInvalid)?;
        let short_enough = text.len() <= CALLBACK_URL_MAX_BYTES;
        short_enough.then(|| Arc::from(url.as_str())).ok_or(Rejection::CallbackUrlInvalid)
    }

    fn phone(&self) -> Result<Phone, Rejection> {
        self.params.get(Param::PhoneNumber).and_then(Phone::parse).ok_or(Rejection::PhoneNumberInvalid)
    }

    fn request_id(&self) -> Result<RequestId, Rejection> {
        request_id(self.params.get(Param::RequestId).ok_or(Rejection::RequestIdRequired)?)
    }

    /// The idempotency key together with what was said under it.
    fn idempotency(&self, method: Method) -> Result<Option<Idempotency>, Rejection> {
        let Some(key) = self.idempotency_key else { return Ok(None) };
        let readable = (1..=IDEMPOTENCY_KEY_MAX_BYTES).contains(&key.len())
            && key.iter().all(|byte| (b' '..=b'~').contains(byte));
        if !readable {
            return Err(Rejection::IdempotencyKeyInvalid);
        }
        let said = std::iter::once(method.name()).chain(self.params.spoken()).map(str::as_bytes);
        let vault = &self.app.vault;
        Ok(Some(Idempotency { key: vault.idempotency_digest([key]), body: vault.idempotency_digest(said) }))
    }
}

/// A text that is no request id names no request.
fn request_id(text: &str) -> Result<RequestId, Rejection> {
    RequestId::parse(text).ok_or(Rejection::RequestIdInvalid)
}
