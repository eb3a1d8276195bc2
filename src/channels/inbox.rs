//! The inbox: where channels put what they hear by themselves, and whence it goes to the engine.

use chappe_core::text::ChannelName;
use chappe_core::{ChannelEvent, Phone, RequestId};
use tokio::sync::{mpsc, oneshot};

/// How many letters may wait; a channel that finds the inbox full waits itself.
const LETTERS_MAX: usize = 1_024;

/// What a channel hears by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Something became of a message.
    Said {
        /// Of which.
        about: About,
        /// What, in order.
        events: Vec<ChannelEvent>,
    },
    /// Somebody wants to see the code that went through this hop of this request, and with that has opened it. Not taken
    /// as unknown: it is dead, and not to be shown.
    Opened {
        /// The request.
        request: RequestId,
        /// The hop.
        hop: u8,
    },
    /// Somebody subscribed, or did so anew.
    Subscribed {
        /// Their number.
        phone: Phone,
        /// Their chat.
        chat_id: i64,
        /// Their language as the channel says it; empty if it does not.
        language: String,
    },
    /// Somebody does not want to hear from the channel any more.
    Unsubscribed {
        /// Their chat.
        chat_id: i64,
    },
    /// Somebody is about to pay. Not taken as unknown: they are not to.
    Checkout {
        /// What we call the payment.
        payment: String,
        /// How much, in which currency.
        price: String,
    },
    /// Somebody has paid.
    Paid {
        /// What we call the payment.
        payment: String,
        /// What the channel calls it.
        charge: String,
        /// How much, in which currency.
        price: String,
        /// Who, as the channel knows them.
        payer: i64,
    },
    /// What somebody paid has gone back to them.
    PaidBack {
        /// What the channel calls the payment.
        charge: String,
    },
}

/// Which message something is said of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// The one that went through this hop of this request.
    Hop(RequestId, u8),
    /// The one that the channel calls so.
    Reference(String),
}

/// Why news were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// No message is known by this name: not yet, or not any more.
    #[error("no message is known by this name")]
    Unknown,
    /// They could not be written down: to be told again later.
    #[error("it could not be written down")]
    Failed,
}

/// Where one channel puts its news.
#[derive(Clone, Debug)]
pub struct Inbox {
    channel: ChannelName,
    letters: mpsc::Sender<Letter>,
}

/// News on their way.
#[derive(Debug)]
pub struct Letter {
    /// From which channel.
    pub channel: ChannelName,
    /// The news.
    pub news: News,
    /// Who waits to hear that they are durable.
    pub taken: oneshot::Sender<Result<(), NotTaken>>,
}

/// The slot of every inbox, and what falls through it.
pub fn slot() -> (mpsc::Sender<Letter>, mpsc::Receiver<Letter>) {
    mpsc::channel(LETTERS_MAX)
}

impl Inbox {
    /// The inbox of a channel.
    pub fn new(channel: ChannelName, letters: mpsc::Sender<Letter>) -> Inbox {
        Inbox { channel, letters }
    }

    /// Puts news in. Once this returns `Ok`, they are durable: only then may whoever told them be told that they were
    /// heard.
    pub async fn put(&self, news: News) -> Result<(), NotTaken> {
        let (taken, hearing) = oneshot::channel();
        let letter = Letter { channel: self.channel.clone(), news, taken };
        self.letters.send(letter).await.map_err(|_| NotTaken::Failed)?;
        hearing.await.unwrap_or(Err(NotTaken::Failed))
    }
}
