//! What can become of a submit.

use crate::status::CommandStatus;
use std::time::Duration;

/// The SMSC has taken the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// The SMSC's id of each segment, in order. Receipts come for each of them.
    pub ids: Vec<String>,
}

/// Why a submit did not succeed. The four differ in what a sender may do next. The session repeats nothing by itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The message never left. It is safe to submit it again.
    #[error("not sent: {0}")]
    NotSent(NotSent),
    /// The SMSC said no, and would say so again.
    #[error("refused: {0}")]
    Refused(CommandStatus),
    /// The SMSC said: not now. It did not take the message, so it is safe to submit it again, but not before a pause.
    #[error("refused for now: {status}")]
    TryLater {
        /// What the SMSC said.
        status: CommandStatus,
        /// How long to wait.
        after: Duration,
    },
    /// The SMSC may have the message. Submitting it again may send it, and charge for it, twice.
    #[error("uncertain: {reason}")]
    Uncertain {
        /// How it came to this.
        reason: Uncertainty,
        /// The ids of those segments that the SMSC did take. Receipts come for them.
        ids: Vec<String>,
    },
}

/// Why a message never left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// There is no bound connection to the SMSC, or it was lost before the message was written.
    #[error("not connected")]
    Disconnected,
    /// Too many messages wait already.
    #[error("the queue is full")]
    QueueFull,
    /// It waited for longer than `Config::queue_timeout`.
    #[error("it has waited for too long")]
    Expired,
    /// The session is closed, or about to be.
    #[error("the session is shutting down")]
    ShuttingDown,
}

/// Why nobody knows whether the SMSC has a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Uncertainty {
    /// It was written, and then the connection was lost.
    #[error("the connection was lost before the answer")]
    ConnectionLost,
    /// It was written, and no answer came in `Config::response_timeout`.
    #[error("no answer in time")]
    NoAnswer,
    /// It was taken, but without an id: no receipt can be matched with it.
    #[error("the answer names no message id")]
    NoId,
    /// A message of several segments was taken in part; then this happened. No further segment was sent.
    #[error("only a part was taken: {0}")]
    InPart(Box<SubmitError>),
}
