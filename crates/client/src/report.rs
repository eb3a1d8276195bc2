//! Reports: what a gateway posts to a message's `callback_url` whenever its delivery status changes.
//!
//! Answer 200 once the report is safely kept, and only then: everything else makes the gateway try again, so one
//! report can come twice. The signing key comes from the token that made the request; while a token is being rotated,
//! try the new one and then the old.
//!
//! ```
//! use chappe_client::report::{self, DEFAULT_TOLERANCE, verify_report};
//! use std::time::{Duration, UNIX_EPOCH};
//!
//! // From a request that the web framework has received:
//! let (timestamp, signature, body) = (
//!     "1733663990", // header report::TIMESTAMP_HEADER
//!     "3d58f03a113d70fe078c6d2b536cfd552513b7bb3f55dcc30939798312133d9a", // header report::SIGNATURE_HEADER
//!     br#"{"request_id":"923583492968596","phone_number":"391234567890","request_cost":0,"delivery_status":{"status":"delivered","updated_at":1733663990}}"#,
//! );
//! let now = UNIX_EPOCH + Duration::from_secs(1_733_663_991); // SystemTime::now()
//! let status = verify_report("my-token", timestamp, signature, body, now, DEFAULT_TOLERANCE)?;
//! assert_eq!(status.request_id, "923583492968596");
//! # Ok::<(), report::ReportError>(())
//! ```

use crate::wire::RequestStatus;
use chappe_core::report::verify_signature;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The header with the moment of the attempt, in Unix seconds.
pub const TIMESTAMP_HEADER: &str = "X-Request-Timestamp";

/// The header with the signature over timestamp and body.
pub const SIGNATURE_HEADER: &str = "X-Request-Signature";

/// How far a report's timestamp may be from one's own clock, unless there are reasons for another bound.
pub const DEFAULT_TOLERANCE: Duration = Duration::from_secs(300);

/// Why a report must not be believed.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The token's holder did not sign this body at this timestamp.
    #[error("the signature does not fit the report")]
    Signature,
    /// The timestamp is no plain decimal integer.
    #[error("the timestamp is not in Unix seconds")]
    Timestamp,
    /// The timestamp is too far from now: an old report played back, or a clock that is wrong.
    #[error("the timestamp is too far from now")]
    Stale,
    /// The body is genuine, but no request status.
    #[error("the body is not a request status")]
    Body(#[source] serde_json::Error),
}

/// Checks a report and reads it. `timestamp` and `signature` are the values of [`TIMESTAMP_HEADER`] and
/// [`SIGNATURE_HEADER`], `body` the very bytes that came; bound their number before they get here.
pub fn verify_report(
    token: &str,
    timestamp: &str,
    signature: &str,
    body: &[u8],
    now: SystemTime,
    tolerance: Duration,
) -> Result<RequestStatus, ReportError> {
    if !verify_signature(token, timestamp, body, signature) {
        return Err(ReportError::Signature);
    }
    let sent_at = parse_timestamp(timestamp).ok_or(ReportError::Timestamp)?;
    // An error holds the distance of a moment that lies ahead.
    let distance = now.duration_since(sent_at).unwrap_or_else(|ahead| ahead.duration());
    if distance > tolerance {
        return Err(ReportError::Stale);
    }
    serde_json::from_slice(body).map_err(ReportError::Body)
}

/// Only the canonical spelling: no sign, no leading zeros.
fn parse_timestamp(text: &str) -> Option<SystemTime> {
    let seconds: u64 = text.parse().ok()?;
    (seconds.to_string() == text).then(|| UNIX_EPOCH.checked_add(Duration::from_secs(seconds))).flatten()
}
