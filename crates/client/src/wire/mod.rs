//! What travels: answers, statuses and parameters, as a gateway writes and reads them.
//!
//! Writing is exact: compact JSON in the API's key order, absent values left out and never `null`, money in its
//! shortest decimal. Reading is lenient: unknown keys are ignored, `null` means absent, ids and codes may be strings or
//! numbers, a status with an unknown name is kept as [`DeliveryState::Other`] or [`VerificationState::Other`], and
//! money may take any form that JSON has for a number (see [`money`]).
//!
//! ```
//! use chappe_client::{Answer, DeliveryState, RequestStatus};
//!
//! let text = r#"{"ok":true,"result":{"request_id":"222370177540343","phone_number":"391234567890","request_cost":0.01,"remaining_balance":99.99,"delivery_status":{"status":"sent","updated_at":1789894598}}}"#;
//! let answer: Answer<RequestStatus> = serde_json::from_str(text)?;
//! assert_eq!(serde_json::to_string(&answer)?, text);
//!
//! let Answer::Result(status) = answer else { unreachable!() };
//! assert_eq!(status.request_cost.micros(), 10_000);
//! assert_eq!(status.delivery_status.map(|delivery| delivery.status), Some(DeliveryState::Sent));
//! # Ok::<(), serde_json::Error>(())
//! ```

mod answer;
pub mod money;
mod parameters;

pub use answer::{
    Answer, Balance, DeliveryState, DeliveryStatus, RequestStatus, VerificationState, VerificationStatus,
};
pub use parameters::{
    CheckSendAbility, CheckVerificationStatus, IDEMPOTENCY_KEY_HEADER, RevokeVerificationMessage, SendMessage,
};
