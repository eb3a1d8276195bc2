//! What a gateway answers and reports.

use super::money;
use crate::refusal::Refusal;
use chappe_core::Money;
use serde::de::{Deserializer, Error as _};
use serde::ser::{SerializeStruct, Serializer};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The envelope of every answer: `{"ok":true,"result":…}` or `{"ok":false,"error":"NAME"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// The call was done.
    Result(T),
    /// The call was refused, under this name.
    Error(Cow<'static, str>),
}

impl<T> Answer<T> {
    /// The result, or the refusal.
    pub fn into_result(self) -> Result<T, Refusal> {
        match self {
            Answer::Result(result) => Ok(result),
            Answer::Error(name) => Err(Refusal::parse(&name)),
        }
    }
}

impl<T: Serialize> Serialize for Answer<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut answer = serializer.serialize_struct("Answer", 2)?;
        match self {
            Answer::Result(result) => {
                answer.serialize_field("ok", &true)?;
                answer.serialize_field("result", result)?;
            }
            Answer::Error(name) => {
                answer.serialize_field("ok", &false)?;
                answer.serialize_field("error", name)?;
            }
        }
        answer.end()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Answer<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(bound = "T: Deserialize<'de>")]
        struct Envelope<T> {
            ok: bool,
            result: Option<T>,
            error: Option<String>,
        }
        match Envelope::deserialize(deserializer)? {
            Envelope { ok: true, result: Some(result), .. } => Ok(Answer::Result(result)),
            Envelope { ok: false, error: Some(name), .. } => Ok(Answer::Error(Cow::Owned(name))),
            Envelope { ok: true, .. } => Err(D::Error::missing_field("result")),
            Envelope { ok: false, .. } => Err(D::Error::missing_field("error")),
        }
    }
}

/// Where a request stands: the result of most methods, and the body of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestStatus {
    /// The request's id. Telegram's have 15 decimal digits.
    #[serde(deserialize_with = "text")]
    pub request_id: String,
    /// The number in E.164 form, without the plus.
    #[serde(deserialize_with = "text")]
    pub phone_number: String,
    /// What the request cost.
    #[serde(with = "money")]
    pub request_cost: Money,
    /// Whether the fee was given back; written only if it was.
    #[serde(default, deserialize_with = "null_is_false", skip_serializing_if = "std::ops::Not::not")]
    pub is_refunded: bool,
    /// What the account has left; only in answers of the two methods that charge.
    #[serde(default, with = "money::optional", skip_serializing_if = "Option::is_none")]
    pub remaining_balance: Option<Money>,
    /// Where the message is, once one was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_status: Option<DeliveryStatus>,
    /// What is known of the code, once one was checked, or it expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification_status: Option<VerificationStatus>,
    /// What the caller wanted back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
}

/// Where a message is, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryStatus {
    /// Where it is.
    pub status: DeliveryState,
    /// Since when, in Unix seconds.
    pub updated_at: i64,
}

/// What is known of a code, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerificationStatus {
    /// What is known.
    pub status: VerificationState,
    /// Since when, in Unix seconds.
    pub updated_at: i64,
    /// The code that the user entered.
    #[serde(default, deserialize_with = "optional_text", skip_serializing_if = "Option::is_none")]
    pub code_entered: Option<String>,
}

/// Where a message is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeliveryState {
    /// On its way.
    Sent,
    /// On the phone.
    Delivered,
    /// Opened.
    Read,
    /// Not delivered in time; the fee is given back.
    Expired,
    /// Withdrawn by the caller before it was delivered.
    Revoked,
    /// A name that this version does not know, as it came.
    #[serde(untagged)]
    Other(String),
}

/// What is known of a code.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum VerificationState {
    /// The right code was entered.
    CodeValid,
    /// A wrong code was entered.
    CodeInvalid,
    /// Too many wrong codes: no further one is judged.
    CodeMaxAttemptsExceeded,
    /// The code is too old, or was withdrawn.
    Expired,
    /// A name that this version does not know, as it came.
    #[serde(untagged)]
    Other(String),
}

/// The result of `getBalance`, a method that Chappe has and Telegram has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// What the account has left.
    #[serde(with = "money")]
    pub balance: Money,
}

/// A word that may come as a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Word(String),
    Number(u64),
}

impl From<Text> for String {
    fn from(text: Text) -> String {
        match text {
            Text::Word(word) => word,
            Text::Number(number) => number.to_string(),
        }
    }
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Text::deserialize(deserializer).map(String::from)
}

fn optional_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Text>::deserialize(deserializer)?.map(String::from))
}

fn null_is_false<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(false))
}
