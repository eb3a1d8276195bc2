//! The names that a gateway refuses with.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// Why a gateway refused a call. A refused call changed nothing and cost nothing, [`Refusal::Internal`] aside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// No token was given.
    AccessTokenRequired,
    /// The token is unknown, revoked or expired.
    AccessTokenInvalid,
    /// The token is good, but not from this address.
    IpNotAllowed,
    /// No such method; Telegram has no `getBalance`.
    UnknownMethod,
    /// The number is missing or malformed.
    PhoneNumberInvalid,
    /// The number cannot be reached.
    PhoneNumberNotAvailable,
    /// The number differs from the request id's.
    PhoneNumberMismatch,
    /// Less money than the fee.
    BalanceNotEnough,
    /// No request id was given where one is needed.
    RequestIdRequired,
    /// The request id is unknown, or another account's.
    RequestIdInvalid,
    /// A message was sent with this request id before.
    MessageAlreadySent,
    /// The code to be sent is not 4 to 8 digits.
    CodeInvalid,
    /// Neither a code nor a length.
    CodeLengthRequired,
    /// The length is outside 4 to 8.
    CodeLengthInvalid,
    /// The time to live is outside 30 to 3600 seconds.
    TtlInvalid,
    /// The callback is not https, too long, or no URL.
    CallbackUrlInvalid,
    /// The payload is over 128 bytes.
    PayloadInvalid,
    /// The sender is no username.
    SenderUsernameInvalid,
    /// The account does not own the sender.
    SenderNotOwned,
    /// The sender is not verified.
    SenderNotVerified,
    /// Too many calls.
    FloodWait {
        /// Seconds until the next one may succeed.
        seconds: u64,
    },
    /// One parameter came twice with different values.
    ParameterConflict,
    /// The idempotency key is empty, too long or not printable ASCII.
    IdempotencyKeyInvalid,
    /// The idempotency key was used before with other parameters.
    IdempotencyKeyReused,
    /// A fault of the gateway's own; whether it came before or after the call's effect is not known.
    Internal,
    /// The gateway has too much to do, and did not begin with the call.
    Overloaded,
    /// The gateway stands behind a proxy, and was spoken to past it.
    ProxyRequired,
    /// The body is too large.
    BodyTooLarge,
    /// The body did not arrive in time, and the call was not begun.
    BodyTimeout,
    /// The body cannot be read.
    BodyInvalid,
    /// The body's type is neither JSON nor a form.
    ContentTypeUnsupported,
    /// The body is compressed.
    ContentEncodingUnsupported,
    /// Neither GET nor POST.
    MethodNotAllowed,
    /// A name that this version does not know, as it came.
    Other(String),
}

/// Every refusal whose name never varies.
const FIXED: [Refusal; 32] = [
    Refusal::AccessTokenRequired,
    Refusal::AccessTokenInvalid,
    Refusal::IpNotAllowed,
    Refusal::UnknownMethod,
    Refusal::PhoneNumberInvalid,
    Refusal::PhoneNumberNotAvailable,
    Refusal::PhoneNumberMismatch,
    Refusal::BalanceNotEnough,
    Refusal::RequestIdRequired,
    Refusal::RequestIdInvalid,
    Refusal::MessageAlreadySent,
    Refusal::CodeInvalid,
    Refusal::CodeLengthRequired,
    Refusal::CodeLengthInvalid,
    Refusal::TtlInvalid,
    Refusal::CallbackUrlInvalid,
    Refusal::PayloadInvalid,
    Refusal::SenderUsernameInvalid,
    Refusal::SenderNotOwned,
    Refusal::SenderNotVerified,
    Refusal::ParameterConflict,
    Refusal::IdempotencyKeyInvalid,
    Refusal::IdempotencyKeyReused,
    Refusal::Internal,
    Refusal::Overloaded,
    Refusal::ProxyRequired,
    Refusal::BodyTooLarge,
    Refusal::BodyTimeout,
    Refusal::BodyInvalid,
    Refusal::ContentTypeUnsupported,
    Refusal::ContentEncodingUnsupported,
    Refusal::MethodNotAllowed,
];

const FLOOD_WAIT: &str = "FLOOD_WAIT_";

impl Refusal {
    /// The name on the wire.
    pub fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Refusal::FloodWait { seconds } => return Cow::Owned(format!("{FLOOD_WAIT}{seconds}")),
            Refusal::Other(name) => name,
            Refusal::AccessTokenRequired => "ACCESS_TOKEN_REQUIRED",
            Refusal::AccessTokenInvalid => "ACCESS_TOKEN_INVALID",
            Refusal::IpNotAllowed => "IP_NOT_ALLOWED",
            Refusal::UnknownMethod => "UNKNOWN_METHOD",
            Refusal::PhoneNumberInvalid => "PHONE_NUMBER_INVALID",
            Refusal::PhoneNumberNotAvailable => "PHONE_NUMBER_NOT_AVAILABLE",
            Refusal::PhoneNumberMismatch => "PHONE_NUMBER_MISMATCH",
            Refusal::BalanceNotEnough => "BALANCE_NOT_ENOUGH",
            Refusal::RequestIdRequired => "REQUEST_ID_REQUIRED",
            Refusal::RequestIdInvalid => "REQUEST_ID_INVALID",
            Refusal::MessageAlreadySent => "MESSAGE_ALREADY_SENT",
            Refusal::CodeInvalid => "CODE_INVALID",
            Refusal::CodeLengthRequired => "CODE_LENGTH_REQUIRED",
            Refusal::CodeLengthInvalid => "CODE_LENGTH_INVALID",
            Refusal::TtlInvalid => "TTL_INVALID",
            Refusal::CallbackUrlInvalid => "CALLBACK_URL_INVALID",
            Refusal::PayloadInvalid => "PAYLOAD_INVALID",
            Refusal::SenderUsernameInvalid => "SENDER_USERNAME_INVALID",
            Refusal::SenderNotOwned => "SENDER_NOT_OWNED",
            Refusal::SenderNotVerified => "SENDER_NOT_VERIFIED",
            Refusal::ParameterConflict => "PARAMETER_CONFLICT",
            Refusal::IdempotencyKeyInvalid => "IDEMPOTENCY_KEY_INVALID",
            Refusal::IdempotencyKeyReused => "IDEMPOTENCY_KEY_REUSED",
            Refusal::Internal => "INTERNAL",
            Refusal::Overloaded => "OVERLOADED",
            Refusal::ProxyRequired => "PROXY_REQUIRED",
            Refusal::BodyTooLarge => "BODY_TOO_LARGE",
            Refusal::BodyTimeout => "BODY_TIMEOUT",
            Refusal::BodyInvalid => "BODY_INVALID",
            Refusal::ContentTypeUnsupported => "CONTENT_TYPE_UNSUPPORTED",
            Refusal::ContentEncodingUnsupported => "CONTENT_ENCODING_UNSUPPORTED",
            Refusal::MethodNotAllowed => "METHOD_NOT_ALLOWED",
        })
    }

    /// The refusal with this name; [`Refusal::Other`] if it is none of the known ones.
    pub fn parse(name: &str) -> Refusal {
        let flood_wait = || {
            let seconds = name.strip_prefix(FLOOD_WAIT)?.parse().ok()?;
            Some(Refusal::FloodWait { seconds }).filter(|refusal| refusal.name() == name)
        };
        let fixed = FIXED.into_iter().find(|refusal| refusal.name() == name);
        fixed.or_else(flood_wait).unwrap_or_else(|| Refusal::Other(name.to_owned()))
    }

    /// Whether the same call may succeed later, with nothing changed by the caller.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Refusal::FloodWait { .. } | Refusal::Internal | Refusal::Overloaded | Refusal::BodyTimeout
        )
    }

    /// How long the gateway asks to wait before the next call.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Refusal::FloodWait { seconds } => Some(Duration::from_secs(*seconds)),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back() {
        let waits = [0, 1, 30, u64::MAX].map(|seconds| Refusal::FloodWait { seconds });
        for refusal in FIXED.into_iter().chain(waits) {
            assert_eq!(Refusal::parse(&refusal.name()), refusal);
            assert!(!matches!(refusal, Refusal::Other(_)));
        }
    }

    #[test]
    fn every_name_is_its_variant_in_upper_case() {
        for refusal in FIXED {
            let squeezed = refusal.name().replace('_', "");
            assert_eq!(squeezed, format!("{refusal:?}").to_uppercase());
        }
    }

    #[test]
    fn unknown_names_are_kept() {
        for name in ["SOMETHING_NEW", "", "flood_wait_3", "FLOOD_WAIT_", "FLOOD_WAIT_03", "FLOOD_WAIT_-1"] {
            assert_eq!(Refusal::parse(name), Refusal::Other(name.to_owned()));
            assert_eq!(Refusal::parse(name).to_string(), name);
        }
    }
}
