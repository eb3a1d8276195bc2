//! The session: its handles, and the driver behind them.

mod driver;
mod link;
mod outbox;
mod pace;

pub use driver::{Driver, session};

use crate::error::{NotSent, SubmitError, Submitted, Uncertainty};
use crate::message::Message;
use crate::receipt::Receipt;
use crate::status::CommandStatus;
use crate::text::{Septets, segments};
use rusmpp::pdus::SubmitSm;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

/// Where the session stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// A connection is being made, or a bind waits for its answer.
    Connecting,
    /// Messages can be submitted.
    Bound,
    /// There is no connection.
    Down {
        /// Why.
        reason: DownReason,
        /// When the next attempt is made.
        retry_at: Instant,
    },
    /// The session has ended for good.
    Closed,
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DownReason {
    /// No connection could be made.
    #[error("no connection: {0}")]
    Connect(String),
    /// The SMSC refused the bind for who we are, what we know or what we call ourselves. Somebody has to mend the
    /// configuration; until then an attempt is made from time to time.
    #[error("the bind was refused, check the credentials: {0}")]
    Credentials(CommandStatus),
    /// The SMSC refused the bind for another reason.
    #[error("the bind was refused: {0}")]
    Bind(CommandStatus),
    /// Nobody answered the bind, or an enquire_link.
    #[error("the SMSC does not answer")]
    Silent,
    /// The SMSC ended the session.
    #[error("the SMSC has unbound")]
    Unbound,
    /// The connection was lost.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// What came was not SMPP.
    #[error("the SMSC sent {0}")]
    Garbage(String),
}

/// The handle to submit with. Clones share one session; when the last one is dropped, the session ends.
#[derive(Clone, Debug)]
pub struct Client {
    queue: mpsc::Sender<Job>,
    queue_timeout: Duration,
    septets: Septets,
    state: watch::Receiver<State>,
    stop: Arc<watch::Sender<bool>>,
    /// The next reference of a message of several segments.
    reference: Arc<AtomicU8>,
}

impl Client {
    /// Sends a message, and waits for what the SMSC says.
    ///
    /// The segments of a long message go one after the other, the next one once the last one is taken. If this future
    /// is dropped, what has not been written is not sent; what has been is uncertain.
    pub async fn submit(&self, message: &Message) -> Result<Submitted, SubmitError> {
        let reference = self.reference.fetch_add(1, Ordering::Relaxed);
        let segments = segments(&message.text, self.septets, reference);
        let places = self.queue.try_reserve_many(segments.len());
        let places = places.map_err(|error| SubmitError::NotSent(not_queued(&error)))?;

        let mut ids = Vec::with_capacity(segments.len());
        for (place, segment) in places.zip(segments) {
            // No segment is that long, or the SMSC would say this.
            let Some(submit) = message.submit_sm(segment) else {
                return Err(SubmitError::Refused(CommandStatus::RINVMSGLEN));
            };
            let (sender, answer) = oneshot::channel();
            let reply = Reply { sender: Some(sender), is_sent: false };
            place.send(Job { submit, reply, expires: Instant::now() + self.queue_timeout });
            match answer.await.unwrap_or(Err(SubmitError::lost())) {
                Ok(id) => ids.push(id),
                Err(error) if ids.is_empty() => return Err(error),
                Err(error) => {
                    return Err(SubmitError::Uncertain { reason: Uncertainty::InPart(error.into()), ids });
                }
            }
        }
        Ok(Submitted { ids })
    }

    /// Where the session stands, now and whenever that changes.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Ends the session: nothing more is taken, what was written may still be answered, and then it unbinds.
    /// [`Driver::run`] returns when that is done.
    pub fn shut_down(&self) {
        self.stop.send_replace(true);
    }
}

fn not_queued(error: &TrySendError<()>) -> NotSent {
    match error {
        TrySendError::Full(()) => NotSent::QueueFull,
        TrySendError::Closed(()) => NotSent::ShuttingDown,
    }
}

impl SubmitError {
    fn uncertain(reason: Uncertainty) -> SubmitError {
        SubmitError::Uncertain { reason, ids: Vec::new() }
    }

    fn lost() -> SubmitError {
        SubmitError::uncertain(Uncertainty::ConnectionLost)
    }
}

/// One segment on its way to the SMSC.
#[derive(Debug)]
struct Job {
    submit: SubmitSm,
    reply: Reply,
    /// When it has waited for too long.
    expires: Instant,
}

/// Where the answer to a segment goes. Dropped without one, it says what is true then: that the segment did not leave,
/// or that nobody knows. So whatever ends a connection, no submit is left without an answer, nor with a wrong one.
#[derive(Debug)]
struct Reply {
    sender: Option<oneshot::Sender<Result<String, SubmitError>>>,
    /// Whether the whole PDU was handed to the transport, or an attempt at that has failed.
    is_sent: bool,
}

impl Reply {
    fn send(mut self, result: Result<String, SubmitError>) {
        if let Some(sender) = self.sender.take() {
            // Whoever asked may have left.
            let _ = sender.send(result);
        }
    }

    fn is_abandoned(&self) -> bool {
        self.sender.as_ref().is_none_or(oneshot::Sender::is_closed)
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        let lost =
            if self.is_sent { SubmitError::lost() } else { SubmitError::NotSent(NotSent::Disconnected) };
        if let Some(sender) = self.sender.take() {
            let _ = sender.send(Err(lost));
        }
    }
}

/// Where receipts are taken from. While nobody takes them, or after this is dropped, the SMSC is told to keep them.
#[derive(Debug)]
pub struct Receipts(mpsc::Receiver<ReceiptDelivery>);

impl Receipts {
    /// The next receipt; `None` once the session has ended. Receipts come at least once, in no order that could be
    /// relied on: also before the answer to the submit, and after later ones.
    pub async fn next(&mut self) -> Option<ReceiptDelivery> {
        self.0.recv().await
    }
}

/// A receipt that the SMSC keeps until it is acknowledged. If this is dropped instead, the SMSC is told to send it
/// again.
pub struct ReceiptDelivery {
    /// What the SMSC says.
    pub receipt: Receipt,
    number: u64,
    verdicts: mpsc::Sender<(u64, bool)>,
    is_taken: bool,
}

impl ReceiptDelivery {
    /// Tells the SMSC to forget the receipt: call this when it is written down. If the connection is lost first, or
    /// `Config::receipt_timeout` has passed, the SMSC sends it again.
    pub fn acknowledge(mut self) {
        self.is_taken = true;
    }
}

impl Drop for ReceiptDelivery {
    fn drop(&mut self) {
        // There is a place for each receipt that still waits. If there is none, this one has been given up already.
        let _ = self.verdicts.try_send((self.number, self.is_taken));
    }
}

impl fmt::Debug for ReceiptDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReceiptDelivery").field(&self.receipt).finish()
    }
}
