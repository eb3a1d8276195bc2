//! What a caller passes. Nothing is judged here: the gateway does that, and names what it minds.

use serde::Serialize;
use std::fmt;

/// The header that makes a call safe to repeat on gateways that know it. Chappe does; Telegram ignores it.
pub const IDEMPOTENCY_KEY_HEADER: &str = "Idempotency-Key";

/// Parameters of `checkSendAbility`. A phone number alone turns into them.
#[derive(Clone, Serialize)]
pub struct CheckSendAbility {
    phone_number: String,
    /// The value of the header [`IDEMPOTENCY_KEY_HEADER`], if it is to be sent.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

impl CheckSendAbility {
    /// Can this number, in E.164 form, be reached?
    pub fn new(phone_number: impl Into<String>) -> Self {
        Self { phone_number: phone_number.into(), idempotency_key: None }
    }

    /// Sent in the header [`IDEMPOTENCY_KEY_HEADER`]: the same key with the same parameters charges once.
    #[must_use]
    pub fn idempotency_key(self, key: impl Into<String>) -> Self {
        Self { idempotency_key: Some(key.into()), ..self }
    }
}

impl<T: Into<String>> From<T> for CheckSendAbility {
    fn from(phone_number: T) -> Self {
        Self::new(phone_number)
    }
}

/// Parameters of `sendVerificationMessage`.
///
/// A message needs either a code or the length of one that the gateway draws, hence the two ways to begin:
///
/// ```
/// use chappe_client::SendMessage;
///
/// let drawn = SendMessage::with_code_length("+391234567890", 6).ttl_s(60).payload("order 17");
/// assert_eq!(
///     serde_json::to_string(&drawn)?,
///     r#"{"phone_number":"+391234567890","code_length":6,"payload":"order 17","ttl":60}"#,
/// );
/// let own = SendMessage::with_code("+391234567890", "0451").request_id("222370177540343");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Serialize)]
pub struct SendMessage {
    phone_number: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code_length: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u32>,
    /// The value of the header [`IDEMPOTENCY_KEY_HEADER`], if it is to be sent.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

impl SendMessage {
    /// Sends a code of the caller's own: 4 to 8 digits.
    pub fn with_code(phone_number: impl Into<String>, code: impl Into<String>) -> Self {
        Self { code: Some(code.into()), ..Self::to(phone_number.into()) }
    }

    /// Sends a code that the gateway draws: 4 to 8 digits long.
    pub fn with_code_length(phone_number: impl Into<String>, length: u8) -> Self {
        Self { code_length: Some(length), ..Self::to(phone_number.into()) }
    }

    fn to(phone_number: String) -> Self {
        Self {
            phone_number,
            request_id: None,
            sender_username: None,
            code: None,
            code_length: None,
            callback_url: None,
            payload: None,
            ttl: None,
            idempotency_key: None,
        }
    }

    /// The id that `checkSendAbility` gave for this number; that call has paid for this message.
    #[must_use]
    pub fn request_id(self, id: impl Into<String>) -> Self {
        Self { request_id: Some(id.into()), ..self }
    }

    /// The Telegram channel that the message comes from; the account must own it.
    #[must_use]
    pub fn sender_username(self, username: impl Into<String>) -> Self {
        Self { sender_username: Some(username.into()), ..self }
    }

    /// Where reports go: an https URL of at most 256 bytes. See [`crate::report`].
    #[must_use]
    pub fn callback_url(self, url: impl Into<String>) -> Self {
        Self { callback_url: Some(url.into()), ..self }
    }

    /// Given back in every status, never shown to the recipient: at most 128 bytes.
    #[must_use]
    pub fn payload(self, payload: impl Into<String>) -> Self {
        Self { payload: Some(payload.into()), ..self }
    }

    /// How many seconds delivery may take before the message expires and its fee comes back: 30 to 3600.
    #[must_use]
    pub fn ttl_s(self, ttl_s: u32) -> Self {
        Self { ttl: Some(ttl_s), ..self }
    }

    /// Sent in the header [`IDEMPOTENCY_KEY_HEADER`]: the same key with the same parameters sends and charges once.
    #[must_use]
    pub fn idempotency_key(self, key: impl Into<String>) -> Self {
        Self { idempotency_key: Some(key.into()), ..self }
    }
}

/// Parameters of `checkVerificationStatus`.
#[derive(Clone, Copy, Serialize)]
pub struct CheckVerificationStatus<'a> {
    /// The request.
    pub request_id: &'a str,
    /// The code to judge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'a str>,
}

/// Parameters of `revokeVerificationMessage`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RevokeVerificationMessage<'a> {
    /// The request.
    pub request_id: &'a str,
}

// What a program prints while it is debugged ends up in logs: no full numbers, no codes.

impl fmt::Debug for CheckSendAbility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckSendAbility").finish_non_exhaustive()
    }
}

impl fmt::Debug for SendMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { request_id, sender_username, code_length, ttl, .. } = self;
        f.debug_struct("SendMessage")
            .field("request_id", request_id)
            .field("sender_username", sender_username)
            .field("code_length", code_length)
            .field("ttl", ttl)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CheckVerificationStatus<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckVerificationStatus")
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}
