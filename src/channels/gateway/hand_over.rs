//! Handing a message to the upstream once, although answers get lost.

use super::Gateway;
use chappe_client::wire::RequestStatus;
use chappe_client::{Error, Refusal, SendMessage};
use std::time::Duration;

/// For how long a message is handed over again that no answer came to: well within [`crate::channels::ERRAND_MAX`].
const REPEAT_FOR: Duration = Duration::from_secs(14);
/// How long to wait before it is.
const REPEAT_AFTER: Duration = Duration::from_millis(500);

impl Gateway {
    /// Hands a message over. An upstream that knows it by its key is told again, to the byte, until it answers; any other
    /// is told once.
    pub(super) async fn hand_over(&self, message: &SendMessage) -> Result<RequestStatus, Error> {
        if !self.settings.idempotent {
            return self.settings.client.send_verification_message(message).await;
        }
        let mut unanswered = None;
        let attempts = async {
            loop {
                match self.settings.client.send_verification_message(message).await {
                    Err(error) if error.may_have_taken_effect() => unanswered = Some(error),
                    Err(error) if unanswered.is_some() && !tells_of_earlier_attempts(&error) => {}
                    known => return known,
                }
                tokio::time::sleep(REPEAT_AFTER).await;
            }
        };
        match tokio::time::timeout(REPEAT_FOR, attempts).await {
            Ok(known) => known,
            Err(_) => Err(unanswered.unwrap_or(Error::Timeout)),
        }
    }
}

/// Whether a call that failed like this would have been answered as a success, had an earlier one with its key been one:
/// these are refused by what looks for the key first.
fn tells_of_earlier_attempts(error: &Error) -> bool {
    matches!(
        error,
        Error::Refused(
            Refusal::PhoneNumberNotAvailable | Refusal::BalanceNotEnough | Refusal::IdempotencyKeyReused
        )
    )
}
